"""Request signing for requests, httpx and aiohttp."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, cast

from lmtokens._lmtokens import _Signer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

__all__ = ["LMv1Auth"]

# The origin to which the last response in this task redirected. aiohttp runs its middleware for every redirect.
_redirected_to: ContextVar[str | None] = ContextVar("lmtokens_redirected_to", default=None)


class _Header(str):
    """An ``Authorization`` value whose ``repr`` is masked, because other libraries print headers in their errors."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'********'"


class LMv1Auth(_Signer):
    """Sign requests to one portal: ``auth=`` in requests and httpx (sync and async), a middleware in aiohttp.

    ``requests.get(url, auth=LMv1Auth())``, ``httpx.Client(auth=LMv1Auth())``,
    ``aiohttp.ClientSession(middlewares=[LMv1Auth()])``. None of the three libraries is a dependency.

    The constructor takes the same portal, credential and connection arguments as ``Client``, and uses the same
    credential sources. Bearer tokens work as well. The object keeps its credentials: make a new
    one after a rotation of its token.

    The object is bound to its portal's origin: a request to any other address raises an error, and a redirect to
    another origin is followed without credentials. The signature covers the exact bytes of the body (not of ``GET`` and
    ``HEAD``, which have none) and the path, but not the query. Set the header ``X-Version: 3`` yourself if you want
    version 3 of the API.

    A signature is valid for about 30 minutes and for one path. Each call that you make is signed anew. Requests that
    requests or httpx repeat themselves (urllib3's ``Retry``, a redirect within the portal) carry the old header.
    aiohttp signs each redirect, and each attempt of a retry middleware that is listed before this one. A middleware of
    aiohttp cannot tell a redirect that aiohttp follows from a request of yours: after a redirect to another origin that
    was not followed (``allow_redirects=False``), the next request in the same task, if it is to that origin, is sent
    without credentials instead of raising an error.

    Raises:
        ConfigurationError: when called, if the request is for another address than the portal's.
        TypeError: when called, if the body is streamed: it must be known in full before it can be signed.

    Example:
        >>> import lmtokens
        >>> lmtokens.LMv1Auth("acme", access_id="exampleAccessId00001", access_key="invented-key")
        <lmtokens.LMv1Auth https://acme.logicmonitor.com/santaba/rest, LMv1 from arguments>
    """

    def __call__(self, request: Any, handler: Callable[[Any], Awaitable[Any]] | None = None) -> Any:
        """Sign a request of requests or httpx. With a handler, sign and send a request of aiohttp."""
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
    """Return the origin to which a response of aiohttp redirects."""
    location = response.headers.get("Location")
    if not 300 <= response.status < 400 or location is None:
        return None
    try:
        target = response.url.join(type(response.url)(location))
        return str(target.origin()) if target.is_absolute() else None
    except ValueError:
        # The address is invalid, and aiohttp's own error describes it better.
        return None


_STREAM = (
    "cannot sign a streamed body, because the signature covers the whole body; pass it as bytes, as a string or with "
    "json="
)


def _requests_body(request: Any) -> bytes:
    if isinstance(request.body, str):
        # urllib3 1.26 would send it as Latin-1, but the signature must cover the bytes that are sent.
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
        # Compare by name, because referring to httpx.RequestNotRead would import httpx.
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
