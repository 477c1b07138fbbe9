"""Which repeated requests are signed again, and which resend the first signature."""

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
def unavailable_server() -> Iterator[StubServer]:
    """A server that always responds with 503."""
    with StubServer(b"{}", 503) as running:
        yield running


def authorization_headers(server: StubServer) -> list[str]:
    return [
        {name.lower(): value for name, value in received.headers.items()}["authorization"]
        for received in server.requests
    ]


def signed_at(header: str) -> int:
    return int(header.rsplit(":", 1)[1])


def wait_for_next_millisecond() -> None:
    """Wait until the timestamp of a new signature differs."""
    start = time.time_ns() // 1_000_000
    while time.time_ns() // 1_000_000 == start:
        pass


@pytest.mark.parametrize("library", LIBRARIES)
def test_repeated_call_is_signed_again(library: str, server: StubServer, lmtokens_portal: Portal) -> None:
    auth = lmtokens_portal.auth(base_url=server.base_url)
    for _ in range(3):
        send(library, auth, "GET", server.base_url + TOKENS_PATH)
        wait_for_next_millisecond()
    timestamps = [signed_at(header) for header in authorization_headers(server)]
    assert timestamps == sorted(set(timestamps))
    assert abs(timestamps[-1] - time.time() * 1000) < HANG_TIMEOUT * 1000


@pytest.mark.parametrize("library", LIBRARIES)
def test_repeated_call_after_a_503_is_signed_again(library: str, lmtokens_portal: Portal) -> None:
    lmtokens_portal.fail("status-before-acting", status=503, times=1)
    auth = lmtokens_portal.auth()
    statuses = [send(library, auth, "POST", lmtokens_portal.base_url + TOKENS_PATH, json={}).status for _ in range(2)]
    assert statuses == [503, 200]
    assert [seen.signature for seen in lmtokens_portal.record] == ["valid", "valid"]


def session_with_retries(auth: lmtokens.LMv1Auth) -> requests.Session:
    retry = urllib3.Retry(2, status_forcelist=[503], backoff_factor=0.01, raise_on_status=False, allowed_methods=None)
    session = requests.Session()
    session.mount("http://", requests.adapters.HTTPAdapter(max_retries=retry))
    session.auth = auth
    session.headers.update(VERSION_3)
    return session


def test_retry_of_urllib3_resends_the_header(unavailable_server: StubServer, lmtokens_portal: Portal) -> None:
    # urllib3 retries below requests, which calls an auth once per call.
    with session_with_retries(lmtokens_portal.auth(base_url=unavailable_server.base_url)) as session:
        session.post(unavailable_server.base_url + TOKENS_PATH, json={"note": "Zoë"}, timeout=HANG_TIMEOUT)
    assert len(unavailable_server.requests) == 3
    assert len(set(authorization_headers(unavailable_server))) == 1
    assert len({received.body for received in unavailable_server.requests}) == 1


def test_retry_of_urllib3_is_accepted_while_the_signature_is_valid(lmtokens_portal: Portal) -> None:
    lmtokens_portal.fail("status-before-acting", status=503, times=2)
    with session_with_retries(lmtokens_portal.auth()) as session:
        response = session.post(lmtokens_portal.base_url + TOKENS_PATH, json={"note": "Zoë"}, timeout=HANG_TIMEOUT)
    assert (response.status_code, response.json()["note"]) == (200, "Zoë")
    assert [seen.signature for seen in lmtokens_portal.record] == ["valid"] * 3


def test_prepared_request_is_signed_once(server: StubServer, lmtokens_portal: Portal) -> None:
    auth = lmtokens_portal.auth(base_url=server.base_url)
    with requests.Session() as session:
        request = requests.Request("GET", server.base_url + TOKENS_PATH, auth=auth)
        prepared = session.prepare_request(request)
        for _ in range(2):
            session.send(prepared, timeout=HANG_TIMEOUT)
            wait_for_next_millisecond()
        session.send(session.prepare_request(request), timeout=HANG_TIMEOUT)
    first, second, third = authorization_headers(server)
    assert first == second
    assert signed_at(third) > signed_at(second)


def test_prepared_request_is_rejected_when_its_signature_is_stale(lmtokens_portal: Portal) -> None:
    with requests.Session() as session:
        request = requests.Request(
            "GET", lmtokens_portal.base_url + TOKENS_PATH, headers=VERSION_3, auth=lmtokens_portal.auth()
        )
        prepared = session.prepare_request(request)
        assert session.send(prepared, timeout=HANG_TIMEOUT).status_code == 200
        # The portal rejects signatures older than half an hour.
        lmtokens_portal.set_clock_offset(1900)
        assert session.send(prepared, timeout=HANG_TIMEOUT).status_code == 401
    assert [seen.signature for seen in lmtokens_portal.record] == ["valid", "stale"]


def test_repeated_request_of_httpx_is_signed_again(server: StubServer, lmtokens_portal: Portal) -> None:
    with httpx.Client(auth=lmtokens_portal.auth(base_url=server.base_url)) as client:
        request = client.build_request("POST", server.base_url + TOKENS_PATH, json={"note": "Zoë"})
        for _ in range(2):
            client.send(request)
            wait_for_next_millisecond()
    first, second = authorization_headers(server)
    assert signed_at(second) > signed_at(first)


async def retry_twice(
    request: aiohttp.ClientRequest,
    handler: Callable[[aiohttp.ClientRequest], Awaitable[aiohttp.ClientResponse]],
) -> aiohttp.ClientResponse:
    """A middleware that retries, as in the documentation of aiohttp."""
    for _ in range(2):
        response = await handler(request)
        if response.status != 503:
            return response
        response.release()
        wait_for_next_millisecond()
    return await handler(request)


def post_with_middlewares(server: StubServer, *middlewares: aiohttp.ClientMiddlewareType) -> list[str]:
    async def run() -> None:
        async with (
            aiohttp.ClientSession(middlewares=middlewares, headers=VERSION_3) as session,
            session.post(server.base_url + TOKENS_PATH, json={"note": "Zoë"}),
        ):
            pass

    asyncio.run(run())
    assert len({received.body for received in server.requests}) == 1
    return authorization_headers(server)


def test_retry_middleware_before_the_auth_is_signed_each_time(
    unavailable_server: StubServer, lmtokens_portal: Portal
) -> None:
    headers = post_with_middlewares(
        unavailable_server, retry_twice, lmtokens_portal.auth(base_url=unavailable_server.base_url)
    )
    timestamps = [signed_at(header) for header in headers]
    assert len(timestamps) == 3
    assert timestamps == sorted(set(timestamps))


def test_retry_middleware_after_the_auth_resends_the_header(
    unavailable_server: StubServer, lmtokens_portal: Portal
) -> None:
    headers = post_with_middlewares(
        unavailable_server, lmtokens_portal.auth(base_url=unavailable_server.base_url), retry_twice
    )
    assert len(headers) == 3
    assert len(set(headers)) == 1


def test_auth_is_shared_by_concurrent_tasks(lmtokens_portal: Portal) -> None:
    async def run() -> list[int]:
        async with aiohttp.ClientSession(middlewares=[lmtokens_portal.auth()], headers=VERSION_3) as session:

            async def add(number: int) -> int:
                url = lmtokens_portal.base_url + TOKENS_PATH
                async with session.post(url, json={"note": f"Zoë {number}"}) as response:
                    return response.status

            return await asyncio.gather(*(add(number) for number in range(40)))

    assert set(asyncio.run(run())) == {200}
    assert {seen.signature for seen in lmtokens_portal.record} == {"valid"}
    assert {stored.note for stored in lmtokens_portal.tokens} >= {f"Zoë {number}" for number in range(40)}
