"""A bulk run that is closed or abandoned starts no further row and unlocks its journal."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import lmtokens
import pytest
from delivery_helpers import RecordingDestination, assert_no_key_is_lost, created_tokens, keys_in_journal
from support import HANG_TIMEOUT, run_python, wait_until
from tampering_proxy import Exchange, TamperingProxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lmtokens.sandbox import Portal

ROWS = [(32, f"row {number}") for number in range(10)]


class Gate:
    """Holds back all rows but the first until ``open`` is set."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.posts = 0
        self._lock = threading.Lock()

    def before(self, exchange: Exchange) -> None:
        if exchange.method == "POST":
            with self._lock:
                self.posts += 1
                is_first = self.posts == 1
            if not is_first:
                self.open.wait(HANG_TIMEOUT)


MANY = [(32, str(number)) for number in range(40)]


def leave_block(run: lmtokens.BulkRun) -> None:
    with run:
        pass


def leave_block_by_an_error(run: lmtokens.BulkRun) -> None:
    with pytest.raises(ZeroDivisionError), run:
        raise ZeroDivisionError


CLOSE: dict[str, Callable[[lmtokens.BulkRun], None]] = {
    "close": lambda run: run.close(),
    "block": leave_block,
    "block with an error": leave_block_by_an_error,
}


@contextmanager
def two_rows_in_progress(portal: Portal, journal: Path) -> Iterator[tuple[Gate, lmtokens.Client, lmtokens.BulkRun]]:
    """Start a run of ``MANY`` whose first row is complete and whose next two wait for the gate."""
    gate = Gate()
    with TamperingProxy(portal, before=gate.before) as proxy:
        client = proxy.client()
        run = client.add_tokens(MANY, journal=journal, concurrency=2)
        next(run)
        wait_until(lambda: gate.posts == 3)
        yield gate, client, run


def assert_three_rows_ran(
    portal: Portal, client: lmtokens.Client, journal: Path, run: lmtokens.BulkRun | lmtokens.AsyncBulkRun
) -> None:
    """Check that the first row and the two in progress are complete, and that the run can be resumed at once."""
    assert [stored.status for stored in created_tokens(portal)] == [2, 2, 2]
    assert (run.summary.created, run.summary.skipped) == (3, len(MANY) - 3)
    assert_no_key_is_lost(portal, keys_in_journal(journal))
    summary = client.add_tokens(MANY, journal=journal, resume=True).finish()
    assert (summary.created, summary.already_done) == (len(MANY) - 3, 3)


@pytest.mark.parametrize("close_run", CLOSE.values(), ids=CLOSE.keys())
def test_closed_run_waits_for_rows_in_progress_and_starts_no_other(
    lmtokens_portal: Portal, journal: Path, close_run: Callable[[lmtokens.BulkRun], None]
) -> None:
    with two_rows_in_progress(lmtokens_portal, journal) as (gate, client, run):
        threading.Timer(0.3, gate.open.set).start()
        close_run(run)
        assert gate.posts == 3
        assert list(run) == []
        assert_three_rows_ran(lmtokens_portal, client, journal, run)


@pytest.mark.parametrize("way", ["close", "block", "block with an error"])
def test_closed_async_run_waits_for_rows_in_progress(lmtokens_portal: Portal, journal: Path, way: str) -> None:
    gate = Gate()

    async def main(client: lmtokens.AsyncClient) -> lmtokens.AsyncBulkRun:
        run = client.add_tokens(MANY, journal=journal, concurrency=2)
        await run.__anext__()
        await asyncio.to_thread(wait_until, lambda: gate.posts == 3)
        threading.Timer(0.3, gate.open.set).start()
        if way == "close":
            await run.close()
        elif way == "block":
            async with run:
                pass
        else:
            with pytest.raises(ZeroDivisionError):
                async with run:
                    raise ZeroDivisionError
        assert [row async for row in run] == []
        return run

    with TamperingProxy(lmtokens_portal, before=gate.before) as portal:
        client = lmtokens.AsyncClient(
            base_url=portal.base_url,
            access_id=lmtokens_portal.access_id,
            access_key=lmtokens_portal.access_key,
        )
        run = asyncio.run(main(client))
        assert gate.posts == 3
        assert_three_rows_ran(lmtokens_portal, portal.client(), journal, run)


def test_error_of_the_run_is_raised_when_it_is_closed(lmtokens_portal: Portal, journal: Path) -> None:
    with two_rows_in_progress(lmtokens_portal, journal) as (gate, _, run):
        lmtokens_portal.fail("status-before-acting", status=401)
        gate.open.set()
        with pytest.raises(lmtokens.AuthenticationError):
            run.close()


@pytest.mark.parametrize("leave", ["run.close()", "run.__exit__(None, None, None)"])
def test_interrupt_of_a_close_cancels_the_rows_in_progress(leave: str) -> None:
    completed = run_python(
        f"""
import os, signal, tempfile, threading, time
import lmtokens, lmtokens.sandbox
portal = lmtokens.sandbox.Portal()
path = os.path.join(tempfile.mkdtemp(), "journal")
run = portal.client().add_tokens([(32, str(number)) for number in range(10)], journal=path, concurrency=2)
portal.fail("delay", method="POST", skip=1, times=9, seconds={HANG_TIMEOUT})
next(run)
threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
begun = time.monotonic()
try:
    {leave}
except KeyboardInterrupt:
    print("interrupted", run.summary.created, time.monotonic() - begun < {HANG_TIMEOUT / 2})
"""
    )
    assert (completed.stdout, completed.returncode) == ("interrupted 1 True\n", 0)
    assert "resume with add_tokens" in completed.stderr


def test_interrupt_in_a_block_does_not_wait(lmtokens_portal: Portal, journal: Path) -> None:
    with two_rows_in_progress(lmtokens_portal, journal) as (gate, _, run):
        with pytest.raises(KeyboardInterrupt), run:
            raise KeyboardInterrupt
        assert not gate.open.is_set()
        gate.open.set()
        # Rows in progress are completed.
        wait_until(lambda: [stored.status for stored in created_tokens(lmtokens_portal)] == [2, 2, 2])
    assert gate.posts == 3
    assert_no_key_is_lost(lmtokens_portal, keys_in_journal(journal))


def test_close_during_an_iteration_does_not_wait(lmtokens_portal: Portal, journal: Path) -> None:
    delivering, closed = threading.Event(), threading.Event()

    class Slow(RecordingDestination):
        def deliver(self, token: lmtokens.Token) -> None:
            super().deliver(token)
            delivering.set()
            assert closed.wait(HANG_TIMEOUT)

    destination = Slow()
    run = lmtokens.add_tokens(ROWS, journal=journal, deliver=destination, concurrency=2)
    rows: list[lmtokens.RowResult] = []
    thread = threading.Thread(target=lambda: rows.extend(run))
    thread.start()
    assert delivering.wait(HANG_TIMEOUT)
    run.close()
    closed.set()
    thread.join(HANG_TIMEOUT)
    assert [row.state for row in rows] == ["created"]


def test_break_in_a_loop_starts_no_further_row(lmtokens_portal: Portal, journal: Path) -> None:
    # The variable keeps the run alive after the loop.
    run = lmtokens.add_tokens([(32, str(number)) for number in range(40)], journal=journal, concurrency=2)
    for _ in run:
        break
    # These calls take long enough for the run to create all its tokens.
    for _ in range(60):
        lmtokens.add_token(33)
    assert len([stored for stored in created_tokens(lmtokens_portal) if stored.admin_id == 32]) < 20
    assert run.finish().created == 40


def test_closed_run_completes_deliveries_in_progress(lmtokens_portal: Portal, journal: Path) -> None:
    destination = RecordingDestination()
    with lmtokens.add_tokens(ROWS, journal=journal, deliver=destination, concurrency=4) as run:
        next(run)
    assert len(created_tokens(lmtokens_portal)) == run.summary.created == len(destination.keys)
    lmtokens.add_tokens(ROWS, journal=journal, deliver=destination, resume=True).finish()
    assert sorted(stored.note for stored in created_tokens(lmtokens_portal)) == sorted(note for _, note in ROWS)
    assert_no_key_is_lost(lmtokens_portal, destination.keys)


def test_destination_may_close_the_run(lmtokens_portal: Portal, journal: Path) -> None:
    runs: list[lmtokens.BulkRun] = []

    class Closing(RecordingDestination):
        def deliver(self, token: lmtokens.Token) -> None:
            super().deliver(token)
            runs[0].close()

    destination = Closing()
    runs.append(lmtokens.add_tokens(ROWS, journal=journal, deliver=destination))
    assert runs[0].finish().created == 1
    assert_no_key_is_lost(lmtokens_portal, destination.keys)


def test_concurrent_iteration_is_rejected(lmtokens_portal: Portal, journal: Path) -> None:
    gate = Gate()
    with TamperingProxy(lmtokens_portal, before=gate.before) as portal:
        run = portal.client().add_tokens([(32, str(number)) for number in range(3)], journal=journal)
        next(run)
        errors: list[ValueError] = []

        def iterate() -> None:
            try:
                next(run)
            except ValueError as error:
                errors.append(error)

        # Either may be the first; the other is rejected while the gate keeps the first waiting.
        threads = [threading.Thread(target=iterate) for _ in range(2)]
        for thread in threads:
            thread.start()
        wait_until(lambda: errors)
        gate.open.set()
        for thread in threads:
            thread.join(HANG_TIMEOUT)
        assert [str(error) for error in errors] == ["another thread or task is iterating over this run"]
        assert run.finish().created == 3
