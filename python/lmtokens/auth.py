"""Signing for requests, httpx and aiohttp: one object, so that a script keeps its own calls and drops its hmac code."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, cast

from lmtokens._lmtokens import Signer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from os import PathLike
    from typing import Any

    from typing_extensions import Self

    from lmtokens._lmtokens import Secret

__all__ = ["LMv1Auth"]

# The origin that the last answer of this task redirected to. aiohttp runs its middleware on every hop.
_redirected_to: ContextVar[str | None] = ContextVar("lmtokens_redirected_to", default=None)


class _Header(str):
    """The header's value, for requests and exceptions that others print: a bearer token stands in it whole."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'********'"


class LMv1Auth(Signer):
    """Signs requests to one portal: ``auth=`` in requests and httpx (sync and async), a middleware in aiohttp.

    ``requests.get(url, auth=LMv1Auth())``, ``httpx.Client(auth=LMv1Auth())``,
    ``aiohttp.ClientSession(middlewares=[LMv1Auth()])``. None of the three is a dependency.

    Takes the arguments of ``Client`` and follows the same chain; bearer tokens work as well. It is bound to one origin,
    its portal's: a request to any other address is an error, and a redirect elsewhere is followed without credentials.
    What is signed is the body's exact bytes and the path, never the query. The portal speaks version 3 of its API only
    to requests with the header ``X-Version: 3``, which stays the caller's business.

    A signature holds for about 30 minutes and one path. A call that you make again is signed again. What requests or
    httpx send again by themselves (urllib3's ``Retry``, a redirect within the portal) carries the old header; aiohttp
    signs each hop, and each attempt of a middleware that stands before this one.

    Raises:
        ConfigurationError: when called: a request to another address than the portal's.
        TypeError: when called: a body that is read while it is sent, so that it cannot be signed before.

    Example:
        >>> import lmtokens
        >>> lmtokens.LMv1Auth("acme", access_id="exampleAccessId00001", access_key="invented-key")
        <lmtokens.LMv1Auth https://acme.logicmonitor.com/santaba/rest, LMv1 from arguments>
    """

    if TYPE_CHECKING:
        # The generated stub has the base class make itself, whichever class was called.
        def __new__(
            cls,
            company: str | None = None,
            *,
            access_id: str | Secret | None = None,
            access_key: str | Secret | None = None,
            bearer_token: str | Secret | None = None,
            domain: str | None = None,
            base_url: str | None = None,
            timeout: float | tuple[float, float] | None = None,
            ca_bundle: str | PathLike[str] | None = None,
            client_cert: tuple[str | PathLike[str], str | PathLike[str]] | str | PathLike[str] | None = None,
            proxy: str | Secret | None = None,
        ) -> Self: ...

    def __call__(self, request: Any, handler: Callable[[Any], Awaitable[Any]] | None = None) -> Any:
        """Sign a request of requests or httpx; with a handler, sign one of aiohttp and send it."""
        if handler is not None:
            return self._aiohttp(request, handler)
        body = _httpx_body(request) if hasattr(request, "stream") else _requests_body(request)
        request.headers["Authorization"] = _Header(self._authorization(request.method, str(request.url), body))
        return request

    async def _aiohttp(self, request: Any, handler: Callable[[Any], Awaitable[Any]]) -> Any:
        url = str(request.url)
        if self._is_bound_to(url) or _redirected_to.get() != str(request.url.origin()):
            body = await _aiohttp_body(request)
            request.headers["Authorization"] = _Header(self._authorization(request.method, url, body))
        _redirected_to.set(None)
        response = await handler(request)
        _redirected_to.set(_target(response))
        return response


def _target(response: Any) -> str | None:
    """The origin that an answer of aiohttp redirects to."""
    location = response.headers.get("Location")
    if not 300 <= response.status < 400 or location is None:
        return None
    try:
        target = response.url.join(type(response.url)(location))
        return str(target.origin()) if target.is_absolute() else None
    except ValueError:
        # No address: aiohttp says so better.
        return None


_STREAM = (
    "a body that is read while it is sent cannot be signed before: pass it whole, as bytes, as text or with json= (the "
    "signature covers it)"
)


def _requests_body(request: Any) -> bytes:
    if isinstance(request.body, str):
        # urllib3 1.26 would send it as Latin-1: what is signed must be what travels.
        request.body = request.body.encode("utf-8")
        request.prepare_content_length(request.body)
    if request.body is None:
        return b""
    if isinstance(request.body, (bytes, bytearray)):
        return bytes(request.body)
    raise TypeError(_STREAM)


def _httpx_body(request: Any) -> bytes:
    try:
        return cast("bytes", request.content)
    except Exception as error:
        # httpx.RequestNotRead; naming it would import httpx.
        if type(error).__name__ == "RequestNotRead":
            raise TypeError(_STREAM) from None
        raise


async def _aiohttp_body(request: Any) -> bytes:
    from aiohttp import payload

    if not request.body:
        return b""
    if not isinstance(request.body, payload.BytesPayload) or request.compress:
        raise TypeError(_STREAM)
    return await request.body.as_bytes()
