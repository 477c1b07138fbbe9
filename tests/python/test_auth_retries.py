"""What is signed again when a request is made again, and what only travels again."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import aiohttp
import httpx
import pytest
import requests
import requests.adapters
import urllib3
from http_libraries import LIBRARIES, VERSION_3, send
from support import HANG_TIMEOUT, TOKENS_PATH, StubServer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    import lmtokens
    from lmtokens.sandbox import Portal


@pytest.fixture
def server() -> Iterator[StubServer]:
    with StubServer(b"{}") as running:
        yield running


@pytest.fixture
def refusing() -> Iterator[StubServer]:
    """A server that is not ready, whatever comes."""
    with StubServer(b"{}", 503) as running:
        yield running


def headers_of(server: StubServer) -> list[str]:
    return [
        {name.lower(): value for name, value in heard.headers.items()}["authorization"] for heard in server.requests
    ]


def timestamp(header: str) -> int:
    return int(header.rsplit(":", 1)[1])


def next_millisecond() -> None:
    """Waits until the clock that is signed shows something new."""
    start = time.time_ns() // 1_000_000
    while time.time_ns() // 1_000_000 == start:
        pass


@pytest.mark.parametrize("library", LIBRARIES)
def test_call_made_again_is_signed_again(library: str, server: StubServer, lmtokens_portal: Portal) -> None:
    auth = lmtokens_portal.auth(base_url=server.base_url)
    for _ in range(3):
        send(library, auth, "GET", server.base_url + TOKENS_PATH)
        next_millisecond()
    moments = [timestamp(header) for header in headers_of(server)]
    assert moments == sorted(set(moments))
    assert abs(moments[-1] - time.time() * 1000) < HANG_TIMEOUT * 1000


@pytest.mark.parametrize("library", LIBRARIES)
def test_call_made_again_after_a_503(library: str, lmtokens_portal: Portal) -> None:
    lmtokens_portal.fail("status-before-acting", status=503, times=1)
    auth = lmtokens_portal.auth()
    statuses = [send(library, auth, "POST", lmtokens_portal.base_url + TOKENS_PATH, json={}).status for _ in range(2)]
    assert statuses == [503, 200]
    assert [seen.signature for seen in lmtokens_portal.record] == ["valid", "valid"]


def retrying(auth: lmtokens.LMv1Auth) -> requests.Session:
    retry = urllib3.Retry(2, status_forcelist=[503], backoff_factor=0.01, raise_on_status=False, allowed_methods=None)
    session = requests.Session()
    session.mount("http://", requests.adapters.HTTPAdapter(max_retries=retry))
    session.auth = auth
    session.headers.update(VERSION_3)
    return session


def test_retry_of_urllib3_sends_the_old_header(refusing: StubServer, lmtokens_portal: Portal) -> None:
    # It stands below requests, which calls an auth once a call.
    with retrying(lmtokens_portal.auth(base_url=refusing.base_url)) as session:
        session.post(refusing.base_url + TOKENS_PATH, json={"note": "Zoë"}, timeout=HANG_TIMEOUT)
    assert len(refusing.requests) == 3
    assert len(set(headers_of(refusing))) == 1
    assert len({heard.body for heard in refusing.requests}) == 1


def test_retry_of_urllib3_is_accepted_while_the_signature_holds(lmtokens_portal: Portal) -> None:
    lmtokens_portal.fail("status-before-acting", status=503, times=2)
    with retrying(lmtokens_portal.auth()) as session:
        response = session.post(lmtokens_portal.base_url + TOKENS_PATH, json={"note": "Zoë"}, timeout=HANG_TIMEOUT)
    assert (response.status_code, response.json()["note"]) == (200, "Zoë")
    assert [seen.signature for seen in lmtokens_portal.record] == ["valid"] * 3


def test_request_prepared_once_is_signed_once(server: StubServer, lmtokens_portal: Portal) -> None:
    auth = lmtokens_portal.auth(base_url=server.base_url)
    with requests.Session() as session:
        request = requests.Request("GET", server.base_url + TOKENS_PATH, auth=auth)
        prepared = session.prepare_request(request)
        for _ in range(2):
            session.send(prepared, timeout=HANG_TIMEOUT)
            next_millisecond()
        session.send(session.prepare_request(request), timeout=HANG_TIMEOUT)
    first, second, third = headers_of(server)
    assert first == second
    assert timestamp(third) > timestamp(second)


def test_request_prepared_too_long_ago_is_refused(lmtokens_portal: Portal) -> None:
    with requests.Session() as session:
        request = requests.Request(
            "GET", lmtokens_portal.base_url + TOKENS_PATH, headers=VERSION_3, auth=lmtokens_portal.auth()
        )
        prepared = session.prepare_request(request)
        assert session.send(prepared, timeout=HANG_TIMEOUT).status_code == 200
        # Half an hour and more goes by at the portal.
        lmtokens_portal.set_clock_offset(1900)
        assert session.send(prepared, timeout=HANG_TIMEOUT).status_code == 401
    assert [seen.signature for seen in lmtokens_portal.record] == ["valid", "stale"]


def test_request_of_httpx_sent_again_is_signed_again(server: StubServer, lmtokens_portal: Portal) -> None:
    with httpx.Client(auth=lmtokens_portal.auth(base_url=server.base_url)) as client:
        request = client.build_request("POST", server.base_url + TOKENS_PATH, json={"note": "Zoë"})
        for _ in range(2):
            client.send(request)
            next_millisecond()
    first, second = headers_of(server)
    assert timestamp(second) > timestamp(first)


async def thrice(
    request: aiohttp.ClientRequest,
    handler: Callable[[aiohttp.ClientRequest], Awaitable[aiohttp.ClientResponse]],
) -> aiohttp.ClientResponse:
    """A middleware that tries again, as aiohttp's own documentation shows it."""
    for _ in range(2):
        response = await handler(request)
        if response.status != 503:
            return response
        response.release()
        next_millisecond()
    return await handler(request)


def post_thrice(server: StubServer, *middlewares: aiohttp.ClientMiddlewareType) -> list[str]:
    async def run() -> None:
        async with (
            aiohttp.ClientSession(middlewares=middlewares, headers=VERSION_3) as session,
            session.post(server.base_url + TOKENS_PATH, json={"note": "Zoë"}),
        ):
            pass

    asyncio.run(run())
    assert len({heard.body for heard in server.requests}) == 1
    return headers_of(server)


def test_middleware_before_ours_is_signed_each_time(refusing: StubServer, lmtokens_portal: Portal) -> None:
    headers = post_thrice(refusing, thrice, lmtokens_portal.auth(base_url=refusing.base_url))
    moments = [timestamp(header) for header in headers]
    assert len(moments) == 3
    assert moments == sorted(set(moments))


def test_middleware_behind_ours_sends_the_old_header(refusing: StubServer, lmtokens_portal: Portal) -> None:
    headers = post_thrice(refusing, lmtokens_portal.auth(base_url=refusing.base_url), thrice)
    assert len(headers) == 3
    assert len(set(headers)) == 1


def test_many_tasks_of_one_session(lmtokens_portal: Portal) -> None:
    async def run() -> list[int]:
        async with aiohttp.ClientSession(middlewares=[lmtokens_portal.auth()], headers=VERSION_3) as session:

            async def add(number: int) -> int:
                url = lmtokens_portal.base_url + TOKENS_PATH
                async with session.post(url, json={"note": f"Zoë {number}"}) as response:
                    return response.status

            return await asyncio.gather(*(add(number) for number in range(40)))

    assert set(asyncio.run(run())) == {200}
    assert {seen.signature for seen in lmtokens_portal.record} == {"valid"}
    assert {kept.note for kept in lmtokens_portal.tokens} >= {f"Zoë {number}" for number in range(40)}
