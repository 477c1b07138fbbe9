"""Rate limits are shared by all clients, respected before the portal rejects requests, and robust to wrong headers."""

from __future__ import annotations

import asyncio
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
from api_variants import VARIANTS, api_for
from lmtokens.sandbox import Portal
from support import ACCESS_ID, ACCESS_KEY, HANG_TIMEOUT, LoopbackServer, RequestHandler, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lmtokens.sandbox import Seen

# Longer than any call takes without a wait, shorter than a wait for a long window.
SOON = 20.0
LONG_WINDOW = 60.0


def requests_of(portal: Portal, method: str) -> list[Seen]:
    return [seen for seen in portal.record if seen.method == method]


def rejections(portal: Portal) -> int:
    return sum(seen.status == 429 for seen in portal.record)


def max_requests_in_a_window(seen: list[Seen], milliseconds: int) -> int:
    times = sorted(request.received_at_ms for request in seen)
    return max(sum(start <= other < start + milliseconds for other in times) for start in times)


class TestSharing:
    LIMIT, WINDOW, ROUNDS = 20, 1.0, 4

    def test_clients_and_threads_share_a_limit(self, lmtokens_portal: Portal) -> None:
        lmtokens_portal.set_rate_limit(self.LIMIT, self.WINDOW)
        clients = [lmtokens_portal.client(), lmtokens_portal.client()]
        barrier = threading.Barrier(16)

        def create(thread: int) -> None:
            barrier.wait(HANG_TIMEOUT)
            for number in range(self.ROUNDS):
                clients[thread % 2].add_token(32, f"{thread}, {number}")

        with ThreadPoolExecutor(16) as pool:
            list(pool.map(create, range(16)))
        posts = requests_of(lmtokens_portal, "POST")
        assert len([seen for seen in posts if seen.status == 200]) == 16 * self.ROUNDS
        assert rejections(lmtokens_portal) == 0
        assert max_requests_in_a_window(posts, 1000) <= self.LIMIT

    def test_tasks_of_two_async_clients_share_a_limit(self, lmtokens_portal: Portal) -> None:
        lmtokens_portal.set_rate_limit(self.LIMIT, self.WINDOW)

        async def main() -> None:
            async with lmtokens_portal.async_client() as one, lmtokens_portal.async_client() as other:
                creates = [client.add_token(32) for _ in range(16) for client in (one, other)]
                await asyncio.gather(*creates)

        asyncio.run(main())
        assert len(requests_of(lmtokens_portal, "POST")) == 32
        assert rejections(lmtokens_portal) == 0

    def test_blocking_and_async_clients_share_a_limit(self, lmtokens_portal: Portal) -> None:
        lmtokens_portal.set_rate_limit(1, LONG_WINDOW, method="POST")
        lmtokens_portal.client().add_token(32)

        async def main() -> None:
            with pytest.raises(lmtokens.RateLimitError):
                await lmtokens_portal.async_client(on_limit="raise").add_token(32)

        asyncio.run(main())
        assert len(requests_of(lmtokens_portal, "POST")) == 1

    def test_each_portal_has_its_own_limit(self, lmtokens_portal: Portal) -> None:
        lmtokens_portal.set_rate_limit(1, LONG_WINDOW, method="POST")
        lmtokens_portal.client().add_token(32)
        with Portal() as other:
            other.client(on_limit="raise").add_token(32)

    def test_users_of_a_portal_share_a_limit(self, lmtokens_portal: Portal) -> None:
        lmtokens_portal.set_rate_limit(1, LONG_WINDOW, method="POST")
        client = lmtokens_portal.client(on_limit="raise")
        client.add_token(32)
        with pytest.raises(lmtokens.RateLimitError):
            client.add_token(33)

    def test_lists_do_not_wait_for_creates(self, lmtokens_portal: Portal) -> None:
        self._assert_other_method_does_not_wait(lmtokens_portal, "POST")

    def test_creates_do_not_wait_for_lists(self, lmtokens_portal: Portal) -> None:
        self._assert_other_method_does_not_wait(lmtokens_portal, "GET")

    def _assert_other_method_does_not_wait(self, portal: Portal, exhausted: str) -> None:
        window = 3.0
        portal.set_rate_limit(1, window, method=exhausted)
        waits = threading.Event()
        client = portal.client(on_wait=lambda seconds: waits.set())
        calls: dict[str, Callable[[], object]] = {
            "POST": lambda: client.add_token(32),
            "GET": lambda: list(client.list_tokens(32, type="lmv1")),
        }
        waiting, free = calls.pop(exhausted), next(iter(calls.values()))
        waiting()
        with ThreadPoolExecutor(1) as pool:
            waiter = pool.submit(waiting)
            assert waits.wait(HANG_TIMEOUT)
            for _ in range(3):
                free()
            waiter.result(HANG_TIMEOUT)
        assert [seen.method == exhausted for seen in portal.record] == [True, False, False, False, True]


class TestOtherClientsOfThePortal:
    def test_remaining_requests_are_not_exceeded(self, lmtokens_portal: Portal) -> None:
        limit, window = 10, 2.0
        lmtokens_portal.set_rate_limit(limit, window, method="POST")
        client = lmtokens_portal.client()
        client.add_token(32, "ours")
        for _ in range(limit - 2):
            create_with_another_client(lmtokens_portal)
        # This response reports that no request remains, so the next call waits for the window to end.
        client.add_token(32, "ours")
        client.add_token(32, "ours")
        assert rejections(lmtokens_portal) == 0

    def test_unexpected_429_is_waited_out(self, lmtokens_portal: Portal) -> None:
        limit, window = 10, 2.0
        lmtokens_portal.set_rate_limit(limit, window, method="POST")
        client = lmtokens_portal.client()
        client.add_token(32, "ours")
        for _ in range(limit - 1):
            create_with_another_client(lmtokens_portal)
        for _ in range(3):
            client.add_token(32, "ours")
        assert 1 <= rejections(lmtokens_portal) <= 3
        assert len([token for token in lmtokens_portal.tokens if token.note == "ours"]) == 4


def create_with_another_client(portal: Portal) -> None:
    """Create a token without this package, so that its rate limiter does not count the request."""
    path, body = "/setting/admins/33/apitokens", b"{}"
    signed = lmtokens.sign("POST", path, body, access_id=portal.access_id, access_key=portal.access_key)
    headers = {"Authorization": signed, "X-Version": "3", "Content-Type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(portal.base_url + path, body, headers)).close()


class TestRateLimitedResponse:
    @pytest.mark.parametrize("headers", ["normal", "missing", "nonsense", "contradictory"])
    def test_is_waited_out_with_any_headers(self, lmtokens_portal: Portal, headers: str) -> None:
        lmtokens_portal.set_rate_limit(1000, 1.0)
        client = lmtokens_portal.client()
        client.add_token(32, "first")
        lmtokens_portal.fail("rate-limited", method="POST", headers=headers)
        begun = time.monotonic()
        client.add_token(32, "second")
        assert 0.04 < time.monotonic() - begun < SOON
        assert [seen.status for seen in requests_of(lmtokens_portal, "POST")] == [200, 429, 200]

    def test_blocks_other_clients(self, lmtokens_portal: Portal) -> None:
        lmtokens_portal.fail("rate-limited", method="POST", headers="missing")
        for _ in range(2):
            with pytest.raises(lmtokens.RateLimitError):
                lmtokens_portal.client(max_wait=5).add_token(32)
        # The second request was not sent: without headers, the window is assumed to last a minute.
        assert len(requests_of(lmtokens_portal, "POST")) == 1

    def test_raises_immediately_if_the_caller_asks(self, lmtokens_portal: Portal) -> None:
        lmtokens_portal.fail("rate-limited", method="POST")
        with pytest.raises(lmtokens.RateLimitError) as raised:
            lmtokens_portal.client(on_limit="raise").add_token(32)
        assert (raised.value.status, raised.value.attempts, raised.value.maybe_applied) == (429, 1, False)


class RateHeaderHandler(RequestHandler):
    """A portal without tokens that responds with the rate limit headers of a test."""

    rate: dict[str, str] = {}  # noqa: RUF012

    def do_GET(self) -> None:
        body = b'{"total":0,"items":[]}'
        self.send_response(200)
        for name, value in {"Content-Length": str(len(body)), **self.rate}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def handler_with(*values: str | None) -> type[RateHeaderHandler]:
    names = ("X-Rate-Limit-Limit", "X-Rate-Limit-Remaining", "X-Rate-Limit-Window")
    rate = {name: value for name, value in zip(names, values) if value is not None}
    return type("Handler", (RateHeaderHandler,), {"rate": rate})


@pytest.fixture
def client(request: pytest.FixtureRequest) -> Iterator[lmtokens.Client]:
    """A client of a portal that responds with the parametrized rate limit headers."""
    with LoopbackServer(handler_with(*request.param)) as server:
        yield lmtokens.Client(
            base_url=server.base_url, access_id=ACCESS_ID, access_key=ACCESS_KEY, deadline=HANG_TIMEOUT
        )


ODD_HEADERS: list[Any] = [
    ("10", "50", "60"),
    ("10", "10", "0"),
    ("0", "0", "60"),
    ("plenty", "-1", "soon"),
    ("10", None, "60"),
    (None, "0", None),
    ("10", "0", str(2**70)),
    ("10", "0", "31536000"),
    ("1e3", "0.5", "60"),
    # No request ever remains, in short windows: one request per window is sent.
    ("10", "0", "1"),
    # More than 2**32 remaining.
    (str(2**63), str(2**63 - 1), "60"),
]


@pytest.mark.parametrize("client", ODD_HEADERS, indirect=True, ids=str)
def test_invalid_headers_do_not_block_the_client(client: lmtokens.Client) -> None:
    begun = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: list(client.list_tokens(32, type="lmv1")), range(4))) == [[]] * 4
    assert time.monotonic() - begun < SOON


class TestExhaustedLimit:
    @pytest.mark.parametrize("kind", VARIANTS)
    def test_raises_before_any_request(self, lmtokens_portal: Portal, kind: str) -> None:
        lmtokens_portal.set_rate_limit(2, LONG_WINDOW, method="POST")
        api = api_for(kind, lmtokens_portal, **identity(lmtokens_portal), on_limit="raise")
        for _ in range(2):
            api.add_token(32)
        with pytest.raises(lmtokens.RateLimitError, match="POST") as raised:
            api.add_token(32)
        error = raised.value
        assert (error.limit, error.remaining, error.window) == (2, 0, LONG_WINDOW)
        assert (error.status, error.attempts, error.maybe_applied) == (None, 0, False)
        assert len(requests_of(lmtokens_portal, "POST")) == 2

    @pytest.mark.parametrize("kind", VARIANTS)
    def test_raises_if_the_wait_exceeds_max_wait(self, lmtokens_portal: Portal, kind: str) -> None:
        lmtokens_portal.set_rate_limit(1, LONG_WINDOW, method="POST")
        api = api_for(kind, lmtokens_portal, **identity(lmtokens_portal), max_wait=LONG_WINDOW / 2)
        api.add_token(32)
        begun = time.monotonic()
        with pytest.raises(lmtokens.RateLimitError, match="max_wait=30") as raised:
            api.add_token(32)
        assert time.monotonic() - begun < SOON
        assert (raised.value.attempts, raised.value.maybe_applied) == (0, False)
        assert len(requests_of(lmtokens_portal, "POST")) == 1

    @pytest.mark.parametrize("kind", VARIANTS)
    def test_wait_ends_at_the_deadline(self, lmtokens_portal: Portal, kind: str) -> None:
        lmtokens_portal.set_rate_limit(1, LONG_WINDOW, method="POST")
        api_for(kind, lmtokens_portal).add_token(32)
        api = api_for(kind, lmtokens_portal, **identity(lmtokens_portal), deadline=0.3)
        with pytest.raises(lmtokens.RequestTimeoutError, match=r"deadline of 0\.3 s") as raised:
            api.add_token(32)
        # The deadline is also measured by the wall clock, in whole milliseconds.
        assert 0.299 <= raised.value.elapsed < SOON
        assert (raised.value.attempts, raised.value.maybe_applied) == (0, False)
        assert len(requests_of(lmtokens_portal, "POST")) == 1

    def test_wait_ends_with_the_window(self, lmtokens_portal: Portal) -> None:
        lmtokens_portal.set_rate_limit(1, 1.0, method="POST")
        client = lmtokens_portal.client(max_wait=SOON)
        for _ in range(3):
            client.add_token(32)
        first, _, third = (seen.received_at_ms for seen in requests_of(lmtokens_portal, "POST"))
        assert 2000 <= third - first < SOON * 1000
        assert rejections(lmtokens_portal) == 0

    def test_raising_call_does_not_block_a_waiting_call(self, lmtokens_portal: Portal) -> None:
        lmtokens_portal.set_rate_limit(1, 3.0, method="POST")
        waits = threading.Event()
        client = lmtokens_portal.client(on_wait=lambda seconds: waits.set())
        client.add_token(32)
        with ThreadPoolExecutor(1) as pool:
            waiter = pool.submit(client.add_token, 32)
            assert waits.wait(HANG_TIMEOUT)
            with pytest.raises(lmtokens.RateLimitError):
                lmtokens_portal.client(on_limit="raise").add_token(32)
            waiter.result(HANG_TIMEOUT)
        wait_until(lambda: len(requests_of(lmtokens_portal, "POST")) == 2)


def identity(portal: Portal) -> dict[str, Any]:
    return {"access_id": portal.access_id, "access_key": portal.access_key}
