"""The blocking client, the module functions and the async client behind one interface, to test all three alike."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import lmtokens

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lmtokens.sandbox import Portal, Seen, StoredToken

VARIANTS = ["client", "functions", "async"]


def public_methods(client: type) -> set[str]:
    return {name for name in dir(client) if not name.startswith("_") and callable(getattr(client, name))}


# Derived from the blocking client; test_parity compares the other two APIs with it.
OPERATIONS = sorted(public_methods(lmtokens.Client) - {"close"})


class _BlockingAdapter:
    """An ``AsyncClient`` that runs each call in its own event loop."""

    def __init__(self, client: lmtokens.AsyncClient) -> None:
        self._client = client

    def __getattr__(self, operation: str) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            async def awaited() -> Any:
                return await getattr(self._client, operation)(*arguments, **named)

            return asyncio.run(awaited())

        return call

    def list_tokens(self, *arguments: Any, **named: Any) -> Iterator[lmtokens.Token]:
        tokens = self._client.list_tokens(*arguments, **named)

        async def listed() -> list[lmtokens.Token]:
            return [token async for token in tokens]

        return iter(asyncio.run(listed()))


def api_for(variant: str, portal: Portal, **settings: Any) -> lmtokens.Client:
    """Return one of the variants, with the methods of a client.

    It calls as the portal's administrator unless ``settings`` name other credentials. The module functions use the
    environment, which the ``lmtokens_portal`` fixture sets, unless there are ``settings``.
    """
    if variant == "client":
        return portal.client(**settings)
    if variant == "async":
        return cast("lmtokens.Client", _BlockingAdapter(portal.async_client(**settings)))
    if settings:
        lmtokens.configure(company=portal.company, base_url=portal.base_url, **settings)
    return cast("lmtokens.Client", lmtokens)


def credentials_of(token: StoredToken) -> dict[str, Any]:
    """Return the settings of a client that calls as this token."""
    if token.type == "bearer":
        return {"bearer_token": token.access_key}
    return {"access_id": token.access_id, "access_key": token.access_key}


def stored_token(portal: Portal, id: int) -> StoredToken | None:
    """Return the portal's copy of a token, or None if the token does not exist."""
    return next((token for token in portal.tokens if token.id == id), None)


def modifying_requests(portal: Portal) -> list[Seen]:
    """Return the requests that were not GETs."""
    return [seen for seen in portal.record if seen.method != "GET"]


def token_reference(how: str, api: lmtokens.Client, token: StoredToken) -> Any:
    """Return a token's ``"id"``, its ``"access id"`` or the ``"Token"`` itself: what a ``token`` argument accepts."""
    return {"id": token.id, "access id": token.access_id, "Token": None}[how] or api.find_token(token.id)
