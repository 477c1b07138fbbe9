"""requests, httpx (sync and async) and aiohttp behind one function, to test LMv1Auth alike with each."""

from __future__ import annotations

import asyncio
import functools
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable

import aiohttp
import httpx
import requests
from support import HANG_TIMEOUT

if TYPE_CHECKING:
    from pathlib import Path

    import lmtokens

VERSION_3 = {"X-Version": "3"}


@dataclass(frozen=True)
class Reply:
    """The final response, after any redirects."""

    status: int
    body: bytes


@functools.cache
def _system_context() -> ssl.SSLContext:
    # Cached because loading the certificates takes longer than most of these tests.
    return ssl.create_default_context()


@dataclass(frozen=True)
class Options:
    """Options of a request; ``text_or_bytes`` is sent unchanged, ``form`` is URL-encoded."""

    params: dict[str, str] | None = None
    json: Any = None
    text_or_bytes: str | bytes | None = None
    form: dict[str, str] | None = None
    ca_bundle: Path | None = None
    follow: bool = True

    @property
    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.ca_bundle) if self.ca_bundle else _system_context()


def _with_requests(auth: lmtokens.LMv1Auth, method: str, url: str, options: Options) -> Reply:
    with requests.Session() as session:
        response = session.request(
            method,
            url,
            params=options.params,
            json=options.json,
            data=options.form if options.text_or_bytes is None else options.text_or_bytes,
            headers=VERSION_3,
            auth=auth,
            allow_redirects=options.follow,
            verify=str(options.ca_bundle) if options.ca_bundle else True,
            timeout=HANG_TIMEOUT,
        )
        return Reply(response.status_code, response.content)


def _for_httpx(options: Options) -> tuple[dict[str, Any], dict[str, Any]]:
    client = {
        "verify": options.context,
        "follow_redirects": options.follow,
        "timeout": HANG_TIMEOUT,
        "headers": VERSION_3,
    }
    body = {"json": options.json, "content": options.text_or_bytes, "data": options.form}
    return client, {"params": options.params, **{name: value for name, value in body.items() if value is not None}}


def _with_httpx(auth: lmtokens.LMv1Auth, method: str, url: str, options: Options) -> Reply:
    client_options, request_options = _for_httpx(options)
    with httpx.Client(auth=auth, **client_options) as client:
        response = client.request(method, url, **request_options)
        return Reply(response.status_code, response.content)


def _with_httpx_async(auth: lmtokens.LMv1Auth, method: str, url: str, options: Options) -> Reply:
    async def run() -> Reply:
        client_options, request_options = _for_httpx(options)
        async with httpx.AsyncClient(auth=auth, **client_options) as client:
            response = await client.request(method, url, **request_options)
            return Reply(response.status_code, response.content)

    return asyncio.run(run())


def _with_aiohttp(auth: lmtokens.LMv1Auth, method: str, url: str, options: Options) -> Reply:
    async def run() -> Reply:
        timeout = aiohttp.ClientTimeout(HANG_TIMEOUT)
        # The other libraries use the environment by default.
        async with (
            aiohttp.ClientSession(middlewares=[auth], headers=VERSION_3, timeout=timeout, trust_env=True) as session,
            session.request(
                method,
                url,
                params=options.params,
                json=options.json,
                data=options.form if options.text_or_bytes is None else options.text_or_bytes,
                allow_redirects=options.follow,
                ssl=options.context,
            ) as response,
        ):
            return Reply(response.status, await response.read())

    return asyncio.run(run())


_SEND: dict[str, Callable[[lmtokens.LMv1Auth, str, str, Options], Reply]] = {
    "requests": _with_requests,
    "httpx": _with_httpx,
    "httpx async": _with_httpx_async,
    "aiohttp": _with_aiohttp,
}

LIBRARIES = list(_SEND)


def send(library: str, auth: lmtokens.LMv1Auth, method: str, url: str, **options: Any) -> Reply:
    """Send a request with a new client and return the response; ``options`` are the fields of ``Options``."""
    return _SEND[library](auth, method, url, Options(**options))
