"""``deadline`` bounds a whole call: every request of it, all pages of a list, and the search after a lost response."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Callable
from urllib.parse import parse_qs, urlsplit

import lmtokens
import pytest
from api_variants import VARIANTS, api_for, modifying_requests
from delivery_helpers import RecordingDestination, created_tokens, is_pending
from support import ACCESS_ID, ACCESS_KEY, HANG_TIMEOUT, ReceivedRequest, StubServer

if TYPE_CHECKING:
    from pathlib import Path

    from lmtokens.sandbox import Portal

DEADLINE = 1.0


class EndlessPortal(StubServer):
    """A portal whose lists never end."""

    def __init__(self) -> None:
        self._count = 0
        super().__init__(self._page)

    def _page(self, request: ReceivedRequest) -> bytes:
        if "username" in request.target:
            # The look-up of a user gives up after some pages: they must not all fit into the deadline.
            time.sleep(DEADLINE / 10)
        size = int(parse_qs(urlsplit(request.target).query)["size"][0])
        ids = range(self._count + 1, self._count + 1 + size)
        self._count += size
        items = [{"id": id, "adminId": 32, "username": f"user{id}", "note": "ci", "status": 2} for id in ids]
        return json.dumps({"total": 10**9, "items": items}).encode()

    def client(self, **settings: Any) -> lmtokens.Client:
        return lmtokens.Client(access_id=ACCESS_ID, access_key=ACCESS_KEY, base_url=self.base_url, **settings)


@pytest.mark.parametrize(
    "call",
    [
        lambda client: sum(1 for _ in client.list_tokens(page_size=50)),
        lambda client: sum(1 for _ in client.list_tokens(32, filter='note:"x"||note:"y"', page_size=50)),
        lambda client: client.add_token("absent-user"),
        lambda client: list(client.list_tokens("absent-user")),
        lambda client: client.sweep_tokens(),
        lambda client: client.whoami(),
    ],
    ids=["list", "raw-filter", "user", "list-of-user", "sweep", "whoami"],
)
def test_deadline_ends_an_endless_answer(call: Callable[[lmtokens.Client], object]) -> None:
    with EndlessPortal() as portal:
        client = portal.client(deadline=DEADLINE)
        started = time.monotonic()
        with pytest.raises(lmtokens.RequestTimeoutError, match="deadline of 1 s"):
            call(client)
        assert DEADLINE * 0.9 <= time.monotonic() - started < HANG_TIMEOUT
        assert len(portal.requests) > 1


def test_time_between_the_pages_does_not_count() -> None:
    with EndlessPortal() as portal:
        tokens = portal.client(deadline=DEADLINE).list_tokens(page_size=1)
        for _ in range(4):
            next(tokens)
            time.sleep(DEADLINE / 2)


def test_list_fails_again_after_its_deadline() -> None:
    with EndlessPortal() as portal:
        tokens = portal.client(deadline=DEADLINE).list_tokens(page_size=50)
        for _ in range(2):
            with pytest.raises(lmtokens.RequestTimeoutError):
                list(tokens)


@pytest.mark.parametrize("variant", VARIANTS)
def test_deadline_bounds_all_requests_of_a_call(lmtokens_portal: Portal, variant: str) -> None:
    token = lmtokens_portal.create_token(32)
    lmtokens_portal.fail("delay", seconds=DEADLINE * 0.7, times=None)
    api = api_for(variant, lmtokens_portal, bearer_token=lmtokens_portal.bearer_token, deadline=DEADLINE)
    started = time.monotonic()
    # A look-up, then the change: each alone would end in time.
    with pytest.raises(lmtokens.RequestTimeoutError, match="deadline of 1 s"):
        api.update_token(token.id, note="new")
    assert DEADLINE <= time.monotonic() - started < HANG_TIMEOUT


def test_deadline_bounds_the_search_after_a_lost_response(lmtokens_portal: Portal) -> None:
    lmtokens_portal.fail("act-then-close", method="POST")
    lmtokens_portal.fail("delay", method="GET", seconds=HANG_TIMEOUT, times=None)
    started = time.monotonic()
    with pytest.raises(lmtokens.OutcomeUnknownError) as raised:
        lmtokens_portal.client(deadline=DEADLINE).add_token(32)
    # Without the deadline, the search takes up to 10 s.
    assert time.monotonic() - started < 8
    assert raised.value.candidates is None


def test_deadline_leaves_a_delivered_create_disabled(lmtokens_portal: Portal) -> None:
    destination = RecordingDestination()
    lmtokens_portal.fail("delay", method="PATCH", seconds=3.0, times=None)
    started = time.monotonic()
    with pytest.raises(lmtokens.OutcomeUnknownError, match="was created and its key delivered"):
        lmtokens_portal.client(deadline=DEADLINE).add_token(32, "ci", deliver=destination)
    assert time.monotonic() - started < HANG_TIMEOUT
    assert destination.names == ["deliver"]
    assert is_pending(created_tokens(lmtokens_portal)[0])


def test_deadline_counts_for_each_row_of_a_bulk_run(lmtokens_portal: Portal, tmp_path: Path) -> None:
    # Two rows together take longer than the deadline.
    lmtokens_portal.fail("delay", method="POST", seconds=2.0, times=None)
    client = lmtokens_portal.client(deadline=3.0)
    results = list(client.add_tokens([(32, f"row {n}") for n in range(2)], journal=tmp_path / "j", concurrency=1))
    assert [result.state for result in results] == ["created"] * 2
    assert len(modifying_requests(lmtokens_portal)) == 4
