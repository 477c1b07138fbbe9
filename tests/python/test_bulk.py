"""Bulk runs: every row is checked first, the first row is sent alone, results arrive during the run, then a summary."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
from api_variants import VARIANTS
from delivery_helpers import (
    TAG,
    RecordingDestination,
    assert_no_key_is_lost,
    created_tokens,
    json_body,
    keys_in_journal,
    request_methods,
    requests_with_method,
)
from lmtokens import NewToken
from support import HANG_TIMEOUT
from tampering_proxy import Exchange, TamperingProxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lmtokens.sandbox import Portal

ROWS = [(32, f"row {number}") for number in range(10)]


def run_blocking(portal: Portal, rows: Any, **options: Any) -> tuple[list[lmtokens.RowResult], lmtokens.Summary]:
    run = portal.client().add_tokens(rows, **options)
    return list(run), run.summary


def run_functions(portal: Portal, rows: Any, **options: Any) -> tuple[list[lmtokens.RowResult], lmtokens.Summary]:
    del portal
    run = lmtokens.add_tokens(rows, **options)
    return list(run), run.summary


def run_async(portal: Portal, rows: Any, **options: Any) -> tuple[list[lmtokens.RowResult], lmtokens.Summary]:
    async def run() -> tuple[list[lmtokens.RowResult], lmtokens.Summary]:
        running = portal.async_client().add_tokens(rows, **options)
        return [result async for result in running], running.summary

    return asyncio.run(asyncio.wait_for(run(), HANG_TIMEOUT))


RUNNERS = [run_blocking, run_functions, run_async]


@pytest.fixture(params=RUNNERS, ids=VARIANTS)
def add_tokens(request: pytest.FixtureRequest) -> Callable[..., tuple[list[lmtokens.RowResult], lmtokens.Summary]]:
    run: Callable[..., tuple[list[lmtokens.RowResult], lmtokens.Summary]] = request.param
    return run


def test_creates_one_token_per_row_with_its_key_in_the_journal(
    lmtokens_portal: Portal, journal: Path, add_tokens: Callable[..., Any]
) -> None:
    results, summary = add_tokens(lmtokens_portal, ROWS, journal=journal)
    assert sorted(result.number for result in results) == list(range(1, 11))
    assert {result.state for result in results} == {"created"}
    assert (summary.total, summary.created, summary.failed, summary.unknown, summary.skipped) == (10, 10, 0, 0, 0)
    assert sorted(stored.note for stored in created_tokens(lmtokens_portal)) == sorted(note for _, note in ROWS)
    assert {stored.status for stored in created_tokens(lmtokens_portal)} == {2}
    assert len(keys_in_journal(journal)) == 10
    assert_no_key_is_lost(lmtokens_portal, keys_in_journal(journal))
    for result in results:
        stored = next(stored for stored in created_tokens(lmtokens_portal) if stored.id == result.token.id)
        assert result.token.access_key.reveal() == stored.access_key.reveal()
        assert (result.row.admin_id, result.row.note, result.reason, result.error) == (32, stored.note, None, None)


def test_keys_in_the_journal_work(lmtokens_portal: Portal, journal: Path) -> None:
    lmtokens.add_tokens([(1, "one"), (1, "two", 2)], journal=journal).finish()
    for entry in lmtokens.read_journal(journal):
        assert entry.token is not None
        assert entry.token.access_key is not None
        client = lmtokens_portal.client(access_id=entry.token.access_id, access_key=entry.token.access_key)
        assert client.whoami().token_id == entry.token.id


def test_creates_each_token_disabled_under_a_tag_of_the_run(lmtokens_portal: Portal, journal: Path) -> None:
    lmtokens.add_tokens(ROWS, journal=journal).finish()
    notes = [json_body(seen)["note"] for seen in requests_with_method(lmtokens_portal, "POST")]
    assert {json_body(seen)["status"] for seen in requests_with_method(lmtokens_portal, "POST")} == {1}
    assert all(TAG.fullmatch(note) for note in notes)
    assert len({note.split("-")[2] for note in notes}) == 1
    assert len(set(notes)) == 10


def rows_of_every_form() -> Iterator[Any]:
    yield NewToken(32, "a NewToken")
    yield NewToken("viewer", "by name", "disabled", type="bearer")
    yield {"admin_id": 32, "note": "a dict", "status": 1, "type": "lmv1"}
    yield {"admin_id": 33}
    yield (32, "a tuple", "enabled", "bearer")
    yield (33,)
    yield [32, "a list"]


def test_accepts_rows_of_every_form_from_a_generator(lmtokens_portal: Portal, journal: Path) -> None:
    assert lmtokens.add_tokens(rows_of_every_form(), journal=journal).finish().created == 7
    assert sorted(
        (stored.admin_id, stored.note, stored.status, stored.type) for stored in created_tokens(lmtokens_portal)
    ) == [
        (32, "a NewToken", 2, "lmv1"),
        (32, "a dict", 1, "lmv1"),
        (32, "a list", 2, "lmv1"),
        (32, "a tuple", 2, "bearer"),
        (33, "", 2, "lmv1"),
        (33, "", 2, "lmv1"),
        (33, "by name", 1, "bearer"),
    ]


def test_no_rows_send_nothing(lmtokens_portal: Portal, journal: Path, add_tokens: Callable[..., Any]) -> None:
    results, summary = add_tokens(lmtokens_portal, [], journal=journal)
    assert (results, summary.total) == ([], 0)
    assert lmtokens_portal.record == []


def test_every_invalid_row_is_reported_before_the_first_request(
    lmtokens_portal: Portal, journal: Path, add_tokens: Callable[..., Any]
) -> None:
    tag = f"lmtokens-1-{'0' * 16}-1700000000-{'0' * 32}"
    rows: list[Any] = [
        (32, "good"),
        (0, "no id"),
        ("+32", "another number"),
        {"note": "no user"},
        {"admin_id": 32, "nte": "misspelt"},
        (32, "x", 3),
        (32, 7),
        (32, tag),
        (32, "x", 2, "v1"),
        (32, "x", 2, "lmv1", "more"),
        7,
        "text",
        None,
        (True, "x"),
    ]
    with pytest.raises(ValueError, match=r"^row 2: ") as caught:
        add_tokens(lmtokens_portal, rows, journal=journal)
    lines = str(caught.value).splitlines()
    assert [line.partition(":")[0] for line in lines] == [f"row {number}" for number in range(2, 15)]
    assert lmtokens_portal.record == []
    assert not journal.exists()


def test_report_of_many_invalid_rows_is_shortened(lmtokens_portal: Portal, journal: Path) -> None:
    with pytest.raises(ValueError, match=r"and 80 more$"):
        lmtokens.add_tokens([(0,)] * 100, journal=journal)


def test_error_of_the_callers_generator_is_raised_unchanged(lmtokens_portal: Portal, journal: Path) -> None:
    def rows() -> Iterator[Any]:
        yield (32, "a")
        raise LookupError("of the generator")

    with pytest.raises(LookupError, match="of the generator"):
        lmtokens.add_tokens(rows(), journal=journal)
    assert lmtokens_portal.record == []
    assert not journal.exists()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"concurrency": 0}, ValueError),
        ({"concurrency": 65}, ValueError),
        ({"concurrency": -1}, ValueError),
        ({"on_error": "retry"}, ValueError),
        ({"progress": 7}, TypeError),
        ({"deliver": 7}, TypeError),
        ({"journal": 7}, TypeError),
    ],
    ids=repr,
)
def test_invalid_option_is_rejected_before_the_first_request(
    lmtokens_portal: Portal, journal: Path, options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        lmtokens.add_tokens(ROWS, **{"journal": journal, **options})
    assert lmtokens_portal.record == []
    assert not journal.exists()


def test_each_user_name_is_looked_up_once_and_first(lmtokens_portal: Portal, journal: Path) -> None:
    rows = [("api-user", "a"), ("viewer", "b"), ("api-user", "c"), (32, "d"), ("viewer", "e")]
    assert lmtokens.add_tokens(rows, journal=journal).finish().created == 5
    assert request_methods(lmtokens_portal)[:2] == ["GET", "GET"]
    assert request_methods(lmtokens_portal).count("GET") == 2
    assert sorted((stored.note, stored.admin_id) for stored in created_tokens(lmtokens_portal)) == [
        ("a", 32),
        ("b", 33),
        ("c", 32),
        ("d", 32),
        ("e", 33),
    ]


def test_unknown_user_fails_only_its_own_rows(lmtokens_portal: Portal, journal: Path) -> None:
    rows = [("no-such-user", "a"), (32, "b"), ("no-such-user", "c")]
    run = lmtokens.add_tokens(rows, journal=journal)
    results = {result.number: result for result in run}
    assert [results[number].state for number in (1, 2, 3)] == ["failed", "created", "failed"]
    assert isinstance(results[1].error, lmtokens.NotFoundError)
    assert "no-such-user" in str(results[1].reason)
    assert [stored.note for stored in created_tokens(lmtokens_portal)] == ["b"]


def test_rows_of_an_unknown_user_are_in_the_journal(lmtokens_portal: Portal, journal: Path) -> None:
    lmtokens.add_tokens([("no-such-user", "a"), (32, "b")], journal=journal).finish()
    states = {(entry.admin_id, entry.note, entry.state) for entry in lmtokens.read_journal(journal)}
    assert states == {("no-such-user", "a", "failed"), (32, "b", "created")}


class ConcurrencyCounter:
    """Counts the creates that are in progress at the same time."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.before_first_change: int | None = None
        self._posts = 0
        self._lock = threading.Lock()

    def before(self, exchange: Exchange) -> None:
        with self._lock:
            if exchange.method == "POST":
                self._posts += 1
                self.now += 1
                self.most = max(self.most, self.now)
            if exchange.method == "PATCH" and self.before_first_change is None:
                self.before_first_change = self._posts

    def after(self, exchange: Exchange) -> None:
        if exchange.method == "PATCH":
            with self._lock:
                self.now -= 1


@pytest.mark.parametrize("concurrency", [1, 3, 8])
def test_sends_the_first_row_alone_and_then_as_many_as_allowed(
    lmtokens_portal: Portal, journal: Path, concurrency: int
) -> None:
    counter = ConcurrencyCounter()
    with TamperingProxy(lmtokens_portal, before=counter.before, after=counter.after) as portal:
        portal.client().add_tokens([(32,)] * 24, journal=journal, concurrency=concurrency).finish()
    assert counter.before_first_change == 1
    assert counter.most == concurrency if concurrency < 8 else 3 < counter.most <= 8


def test_sends_the_first_row_alone_until_it_is_delivered(lmtokens_portal: Portal, journal: Path) -> None:
    posts: list[int] = []

    def deliver(token: lmtokens.Token) -> None:
        posts.append(len(requests_with_method(lmtokens_portal, "POST")))

    lmtokens.add_tokens(ROWS, journal=journal, deliver=deliver).finish()
    assert posts[0] == 1


def test_nothing_is_sent_before_the_first_result_is_requested(lmtokens_portal: Portal, journal: Path) -> None:
    run = lmtokens.add_tokens([("api-user", "a")], journal=journal)
    assert lmtokens_portal.record == []
    assert run.summary == run.summary
    assert (run.summary.total, run.summary.created) == (1, 0)
    next(run)
    assert request_methods(lmtokens_portal) == ["GET", "POST", "PATCH"]


def test_results_are_returned_during_the_run(lmtokens_portal: Portal, journal: Path) -> None:
    run = lmtokens.add_tokens(ROWS, journal=journal, concurrency=1)
    assert next(run).number == 1
    assert run.summary.created == 1
    assert [result.number for result in run] == list(range(2, 11))


def test_progress_callback_is_called_for_each_row(
    lmtokens_portal: Portal, journal: Path, add_tokens: Callable[..., Any]
) -> None:
    progress: list[tuple[int, int]] = []
    add_tokens(lmtokens_portal, ROWS, journal=journal, progress=lambda done, total: progress.append((done, total)))
    assert progress == [(number, 10) for number in range(1, 11)]


def test_progress_callback_may_call_the_client(lmtokens_portal: Portal, journal: Path) -> None:
    client = lmtokens_portal.client()
    seen: list[int] = []

    def progress(done: int, total: int) -> None:
        seen.append(len(list(client.list_tokens(32))))

    client.add_tokens(ROWS, journal=journal, progress=progress, concurrency=1).finish()
    assert len(seen) == 10
    assert seen[-1] == 10


def test_destination_keeps_the_keys_out_of_the_journal(
    lmtokens_portal: Portal, journal: Path, add_tokens: Callable[..., Any]
) -> None:
    destination = RecordingDestination()
    results, summary = add_tokens(lmtokens_portal, ROWS, journal=journal, deliver=destination)
    assert summary.created == 10
    assert_no_key_is_lost(lmtokens_portal, destination.keys)
    assert [result.token.access_key for result in results] == [None] * 10
    text = journal.read_text()
    assert [stored.id for stored in created_tokens(lmtokens_portal) if stored.access_key.reveal() in text] == []
    assert "access_key" not in text


def test_coroutine_destination_receives_every_key(lmtokens_portal: Portal, journal: Path) -> None:
    destination = RecordingDestination()

    async def run() -> lmtokens.Summary:
        client = lmtokens_portal.async_client()

        class Stores:
            async def deliver(self, token: lmtokens.Token) -> None:
                await client.find_token(token.id)
                destination.deliver(token)

        return await client.add_tokens(ROWS, journal=journal, deliver=Stores()).finish()

    assert asyncio.run(asyncio.wait_for(run(), HANG_TIMEOUT)).created == 10
    assert_no_key_is_lost(lmtokens_portal, destination.keys)
