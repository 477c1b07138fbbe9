"""A bulk run that is closed or abandoned starts no further row and unlocks its journal."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
from delivery_helpers import RecordingDestination, assert_no_key_is_lost, created_tokens, keys_in_journal
from support import HANG_TIMEOUT, wait_until
from tampering_proxy import Exchange, TamperingProxy

if TYPE_CHECKING:
    from collections.abc import Callable

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


CLOSE: dict[str, Callable[[Any], None]] = {"close": lambda run: run.close(), "with": lambda run: run.__exit__()}


@pytest.mark.parametrize("close_run", CLOSE.values(), ids=CLOSE.keys())
def test_closed_run_starts_no_further_row(
    lmtokens_portal: Portal, journal: Path, close_run: Callable[[Any], None]
) -> None:
    gate = Gate()
    with TamperingProxy(lmtokens_portal, before=gate.before) as portal:
        run = portal.client().add_tokens([(32, str(number)) for number in range(40)], journal=journal, concurrency=2)
        next(run)
        wait_until(lambda: gate.posts == 3)
        close_run(run)
        gate.open.set()
        assert list(run) == []
        # Rows in progress are completed.
        wait_until(lambda: [stored.status for stored in created_tokens(lmtokens_portal)] == [2, 2, 2])
    assert gate.posts == 3
    assert_no_key_is_lost(lmtokens_portal, keys_in_journal(journal))


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


def test_closed_run_with_a_python_destination_unlocks_its_journal(lmtokens_portal: Portal, journal: Path) -> None:
    destination = RecordingDestination()
    with lmtokens.add_tokens(ROWS, journal=journal, deliver=destination, concurrency=4) as run:
        next(run)

    # No thread is left to call the destination, so deliveries in progress fail and the run ends.
    def try_to_resume() -> lmtokens.BulkRun | None:
        with suppress(lmtokens.DeliveryError):
            return lmtokens.add_tokens(ROWS, journal=journal, deliver=destination, resume=True)
        return None

    deadline = time.monotonic() + HANG_TIMEOUT / 2
    while (resumed_run := try_to_resume()) is None:
        assert time.monotonic() < deadline, "the journal is still locked"
        time.sleep(0.01)
    resumed_run.finish()
    assert sorted(stored.note for stored in created_tokens(lmtokens_portal)) == sorted(note for _, note in ROWS)
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
