"""Every error of a call tells what was sent, how long the call took and which status the error is about."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Callable

import lmtokens
import pytest
from api_variants import VARIANTS, api_for
from support import ACCESS_ID, ACCESS_KEY, HANG_TIMEOUT, ReceivedRequest, StubServer, run_shell

if TYPE_CHECKING:
    from pathlib import Path

    from lmtokens.sandbox import Portal

ABSENT_ID = 987_654
ABSENT_ACCESS_ID = "absentAccessId000001"


def own_token(portal: Portal) -> int:
    """Return the id of the token with which ``portal.client()`` calls."""
    token = portal.client().whoami().token
    assert token is not None
    return token.id


# Calls that fail after a look-up, and what they raise.
CALLS: dict[str, tuple[Callable[[lmtokens.Client, int], object], type[lmtokens.LMTokensError]]] = {
    "find": (lambda api, _: api.find_token(ABSENT_ID), lmtokens.NotFoundError),
    "find by access id": (lambda api, _: api.find_token(ABSENT_ACCESS_ID), lmtokens.NotFoundError),
    "update": (lambda api, _: api.update_token(ABSENT_ID, "x"), lmtokens.NotFoundError),
    "update by access id": (lambda api, _: api.update_token(ABSENT_ACCESS_ID, "x"), lmtokens.NotFoundError),
    "enable": (lambda api, _: api.enable_token(ABSENT_ID), lmtokens.NotFoundError),
    "disable": (lambda api, _: api.disable_token(ABSENT_ID), lmtokens.NotFoundError),
    "delete": (lambda api, _: api.delete_token(ABSENT_ID), lmtokens.NotFoundError),
    "forced delete": (lambda api, _: api.delete_token(ABSENT_ACCESS_ID, force=True), lmtokens.NotFoundError),
    "create": (lambda api, _: api.add_token("ghost"), lmtokens.NotFoundError),
    "delivered create": (lambda api, _: api.add_token("ghost", deliver=print), lmtokens.NotFoundError),
    "list": (lambda api, _: list(api.list_tokens("ghost")), lmtokens.NotFoundError),
    "disable itself": (lambda api, own: api.disable_token(own), lmtokens.SelfLockoutError),
    "delete itself": (lambda api, own: api.delete_token(own), lmtokens.SelfLockoutError),
}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", CALLS)
def test_error_after_a_look_up_has_the_facts_of_the_call(lmtokens_portal: Portal, name: str, variant: str) -> None:
    call, kind = CALLS[name]
    own = own_token(lmtokens_portal)
    before = len(lmtokens_portal.record)
    started = time.monotonic()
    with pytest.raises(kind) as raised:
        call(api_for(variant, lmtokens_portal), own)
    sent = len(lmtokens_portal.record) - before
    assert sent > 0
    assert (raised.value.attempts, raised.value.status, raised.value.maybe_applied) == (sent, 200, False)
    assert 0 < raised.value.elapsed <= time.monotonic() - started
    assert "HTTP 200" not in str(raised.value)


def test_rejected_change_counts_only_its_own_attempts(lmtokens_portal: Portal) -> None:
    token = lmtokens_portal.create_token(32)
    lmtokens_portal.fail("delay", method="GET", seconds=0.2)
    lmtokens_portal.fail("status-before-acting", method="PATCH", status=403)
    with pytest.raises(lmtokens.PermissionDeniedError) as raised:
        lmtokens_portal.client().update_token(token.access_id, "x")
    assert (raised.value.attempts, raised.value.status) == (1, 403)
    # The look-up's time is the caller's too.
    assert raised.value.elapsed > 0.2


def test_retries_and_pauses_of_a_look_up_count(lmtokens_portal: Portal) -> None:
    lmtokens_portal.fail("status-before-acting", method="GET", status=503, times=2)
    with pytest.raises(lmtokens.NotFoundError) as raised:
        lmtokens_portal.client().find_token(ABSENT_ID)
    assert raised.value.attempts == len(lmtokens_portal.record) == 4
    assert raised.value.elapsed > 0
    assert raised.value.status == 200


def test_look_up_that_fails_keeps_its_status(lmtokens_portal: Portal) -> None:
    lmtokens_portal.fail("status-before-acting", method="GET", status=403)
    with pytest.raises(lmtokens.PermissionDeniedError) as raised:
        lmtokens_portal.client().add_token("ghost")
    assert (raised.value.attempts, raised.value.status) == (1, 403)


def test_lost_create_was_sent_once(lmtokens_portal: Portal) -> None:
    lmtokens_portal.fail("act-then-close", method="POST")
    lmtokens_portal.fail("delay", method="GET", skip=1, seconds=0.2)
    with pytest.raises(lmtokens.OutcomeUnknownError) as raised:
        lmtokens_portal.client().add_token("admin", "ci")
    error = raised.value
    assert [seen.method for seen in lmtokens_portal.record] == ["GET", "POST", "GET"]
    assert (error.attempts, error.status) == (1, None)
    assert error.elapsed > 0.2
    assert isinstance(error.__cause__, lmtokens.TransportError)


def test_time_of_a_list_is_that_of_all_its_pages(lmtokens_portal: Portal) -> None:
    for _ in range(6):
        lmtokens_portal.create_token(32)
    lmtokens_portal.fail("delay", method="GET", seconds=0.2)
    tokens = lmtokens_portal.client(max_attempts=1).list_tokens(32, type="lmv1", page_size=2)
    for _ in range(4):
        next(tokens)
    lmtokens_portal.fail("status-before-acting", method="GET", status=503)
    with pytest.raises(lmtokens.ServerError) as raised:
        list(tokens)
    assert (raised.value.attempts, raised.value.status) == (1, 503)
    assert raised.value.elapsed > 0.2


def test_change_that_the_rate_limit_stops_has_the_facts_of_its_look_up(lmtokens_portal: Portal) -> None:
    token = lmtokens_portal.create_token(32)
    client = lmtokens_portal.client(on_limit="raise")
    lmtokens_portal.set_rate_limit(1, method="PATCH")
    client.update_token(token.id, "one")
    with pytest.raises(lmtokens.RateLimitError) as raised:
        client.update_token(token.id, "two")
    assert (raised.value.attempts, raised.value.status, raised.value.maybe_applied) == (1, None, False)
    assert raised.value.elapsed > 0


def test_deadline_counts_what_was_sent(lmtokens_portal: Portal) -> None:
    lmtokens_portal.fail("delay", method="POST", seconds=HANG_TIMEOUT)
    with pytest.raises(lmtokens.OutcomeUnknownError) as raised:
        lmtokens_portal.client(deadline=1.0).add_token("admin")
    assert raised.value.attempts == 1
    assert 0.9 < raised.value.elapsed < HANG_TIMEOUT


def test_nothing_sent_is_nothing_counted() -> None:
    client = lmtokens.Client(base_url="http://127.0.0.1:1/santaba/rest", access_id=ACCESS_ID, access_key=ACCESS_KEY)
    with pytest.raises(lmtokens.ConnectError) as raised:
        client.add_token("ghost")
    # A connection was tried each time, and failed.
    assert (raised.value.attempts, raised.value.status) == (3, None)


@pytest.mark.parametrize("concurrency", [1, 4])
def test_row_of_a_bulk_run_counts_its_own_requests(lmtokens_portal: Portal, journal: Path, concurrency: int) -> None:
    lmtokens_portal.fail("status-before-acting", method="POST", status=403, times=None)
    rows = [(32, "one"), (32, "two"), ("ghost", "three"), ("ghost", "four")]
    results = list(lmtokens_portal.client().add_tokens(rows, journal=journal, concurrency=concurrency))
    errors = {result.row.note: result.error for result in results}
    for note in ("one", "two"):
        error = errors[note]
        assert error is not None
        assert (error.attempts, error.status) == (1, 403)
        assert error.elapsed > 0
    for note in ("three", "four"):
        error = errors[note]
        assert isinstance(error, lmtokens.NotFoundError)
        assert (error.attempts, error.status) == (1, 200)
        assert error.elapsed > 0
        assert error.suggestion is not None


def test_swept_token_counts_its_own_requests(lmtokens_portal: Portal) -> None:
    created = int(time.time()) - 7200
    for _ in range(2):
        note = f"lmtokens-1-0123456789abcdef-{created}-{'0' * 32}"
        lmtokens_portal.create_token(32, note=note, status=1, created_on=created)
    lmtokens_portal.fail("status-before-acting", method="DELETE", status=403, times=None)
    swept = lmtokens_portal.client().sweep_tokens(dry_run=False)
    assert len(swept) == 2
    for one in swept:
        assert one.error is not None
        assert (one.error.attempts, one.error.status) == (1, 403)
        assert one.error.elapsed > 0


class LostCreates(StubServer):
    """Answers POSTs with garbage, and never answers a list in time."""

    def __init__(self) -> None:
        super().__init__(self._respond)

    @staticmethod
    def _respond(request: ReceivedRequest) -> bytes:
        if request.method == "GET":
            time.sleep(HANG_TIMEOUT / 2)
        return b"<html>"


def settings_of(server: StubServer) -> dict[str, Any]:
    return {"base_url": server.base_url, "access_id": ACCESS_ID, "access_key": ACCESS_KEY, "timeout": 1}


@pytest.mark.parametrize("how", ["client", "async", "functions", "shell"])
def test_timeout_bounds_the_look_after_a_lost_create(how: str) -> None:
    with LostCreates() as server:
        started = time.monotonic()
        if how == "shell":
            settings = {
                "LM_BASE_URL": server.base_url,
                "LM_ACCESS_ID": ACCESS_ID,
                "LM_ACCESS_KEY": ACCESS_KEY,
                "LM_TIMEOUT": "1",
            }
            assert run_shell("add", "32", environment=settings).returncode == 7
        else:
            with pytest.raises(lmtokens.OutcomeUnknownError) as raised:
                lost_create(how, server)
            assert raised.value.candidates is None
            # With the usual three attempts, the look takes more than four seconds.
            assert [request.method for request in server.requests] == ["POST", "GET"]
        assert time.monotonic() - started < HANG_TIMEOUT / 2


def lost_create(how: str, server: StubServer) -> None:
    settings = settings_of(server)
    if how == "functions":
        lmtokens.configure(**settings)
        lmtokens.add_token(32)
    elif how == "async":
        import asyncio

        async def create() -> None:
            async with lmtokens.AsyncClient(**settings) as client:
                await client.add_token(32)

        asyncio.run(create())
    else:
        lmtokens.Client(**settings).add_token(32)


@pytest.mark.parametrize("garbage", [b"<html>", json.dumps({"id": 7}).encode()])
def test_delivered_create_at_a_portal_without_answers_ends_with_its_deadline(garbage: bytes) -> None:
    with StubServer(lambda request: garbage if request.method == "POST" else b"{}") as server:
        client = lmtokens.Client(**settings_of(server), deadline=2)
        started = time.monotonic()
        with pytest.raises(lmtokens.LMTokensError) as raised:
            client.add_token(32, "ci", deliver=print)
        assert time.monotonic() - started < HANG_TIMEOUT / 2
        assert 0 < raised.value.attempts <= len(server.requests)
        assert raised.value.elapsed > 0
