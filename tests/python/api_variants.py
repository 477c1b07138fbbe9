"""The three faces behind one: what is promised of a verb is promised of each."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import lmtokens

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lmtokens.sandbox import Portal, Seen, StoredToken

KINDS = ["client", "functions", "async"]

VERBS = [
    "add_token",
    "add_tokens",
    "delete_token",
    "disable_token",
    "enable_token",
    "find_token",
    "list_tokens",
    "sweep_tokens",
    "update_token",
    "whoami",
]


class _Awaited:
    """An ``AsyncClient`` whose every call has an event loop of its own."""

    def __init__(self, client: lmtokens.AsyncClient) -> None:
        self._client = client

    def __getattr__(self, verb: str) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            async def awaited() -> Any:
                return await getattr(self._client, verb)(*arguments, **named)

            return asyncio.run(awaited())

        return call

    def list_tokens(self, *arguments: Any, **named: Any) -> Iterator[lmtokens.Token]:
        tokens = self._client.list_tokens(*arguments, **named)

        async def listed() -> list[lmtokens.Token]:
            return [token async for token in tokens]

        return iter(asyncio.run(listed()))


def face(kind: str, portal: Portal, **settings: Any) -> lmtokens.Client:
    """One of the three, as the portal's administrator or as ``settings`` say, with the verbs of a client.

    The functions follow the environment that the fixture of the portal has set, unless ``settings`` say otherwise.
    """
    if kind == "client":
        return portal.client(**settings)
    if kind == "async":
        return cast("lmtokens.Client", _Awaited(portal.async_client(**settings)))
    if settings:
        lmtokens.configure(company=portal.company, base_url=portal.base_url, **settings)
    return cast("lmtokens.Client", lmtokens)


def credentials(token: StoredToken) -> dict[str, Any]:
    """The settings of a client that calls as this token."""
    if token.type == "bearer":
        return {"bearer_token": token.access_key}
    return {"access_id": token.access_id, "access_key": token.access_key}


def kept(portal: Portal, id: int) -> StoredToken | None:
    """The token as the portal has it."""
    return next((token for token in portal.tokens if token.id == id), None)


def changes(portal: Portal) -> list[Seen]:
    """The requests that were more than looks."""
    return [seen for seen in portal.record if seen.method != "GET"]


def named(how: str, verbs: lmtokens.Client, token: StoredToken) -> Any:
    """A token as callers may name one: by ``"id"``, by ``"access id"`` or as a ``"Token"``."""
    return {"id": token.id, "access id": token.access_id, "Token": None}[how] or verbs.find_token(token.id)
