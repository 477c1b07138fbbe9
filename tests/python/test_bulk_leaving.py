"""A bulk run that is left starts no new row, whichever way it is left, and lets go of its journal."""

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
    """Lets the first row through, and the others when it is opened."""

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


LEAVE: dict[str, Callable[[Any], None]] = {"close": lambda run: run.close(), "with": lambda run: run.__exit__()}


@pytest.mark.parametrize("leave", LEAVE.values(), ids=LEAVE.keys())
def test_left_run_starts_no_new_row(lmtokens_portal: Portal, journal: Path, leave: Callable[[Any], None]) -> None:
    gate = Gate()
    with TamperingProxy(lmtokens_portal, before=gate.before) as portal:
        run = portal.client().add_tokens([(32, str(number)) for number in range(40)], journal=journal, concurrency=2)
        next(run)
        wait_until(lambda: gate.posts == 3)
        leave(run)
        gate.open.set()
        assert list(run) == []
        # Those under way go on to their end.
        wait_until(lambda: [stored.status for stored in created_tokens(lmtokens_portal)] == [2, 2, 2])
    assert gate.posts == 3
    assert_no_key_is_lost(lmtokens_portal, keys_in_journal(journal))


def test_loop_that_is_broken_off_starts_no_new_row(lmtokens_portal: Portal, journal: Path) -> None:
    # The name keeps the run: the end of the loop is all that it hears of.
    run = lmtokens.add_tokens([(32, str(number)) for number in range(40)], journal=journal, concurrency=2)
    for _ in run:
        break
    # Time in which it could make all of them.
    for _ in range(60):
        lmtokens.add_token(33)
    assert len([stored for stored in created_tokens(lmtokens_portal) if stored.admin_id == 32]) < 20
    assert run.finish().created == 40


def test_left_run_with_a_python_destination_lets_go_of_its_journal(lmtokens_portal: Portal, journal: Path) -> None:
    keeper = RecordingDestination()
    with lmtokens.add_tokens(ROWS, journal=journal, deliver=keeper, concurrency=4) as run:
        next(run)

    # Nobody waits any more to be called: deliveries under way fail, and the run ends.
    def resumed() -> lmtokens.BulkRun | None:
        with suppress(lmtokens.DeliveryError):
            return lmtokens.add_tokens(ROWS, journal=journal, deliver=keeper, resume=True)
        return None

    deadline = time.monotonic() + HANG_TIMEOUT / 2
    while (again := resumed()) is None:
        assert time.monotonic() < deadline, "the journal is still locked"
        time.sleep(0.01)
    again.finish()
    assert sorted(stored.note for stored in created_tokens(lmtokens_portal)) == sorted(note for _, note in ROWS)
    assert_no_key_is_lost(lmtokens_portal, keeper.keys)


def test_run_is_iterated_by_one_at_a_time(lmtokens_portal: Portal, journal: Path) -> None:
    gate = Gate()
    with TamperingProxy(lmtokens_portal, before=gate.before) as portal:
        run = portal.client().add_tokens([(32, str(number)) for number in range(3)], journal=journal)
        next(run)
        thread = threading.Thread(target=lambda: next(run))
        thread.start()
        wait_until(lambda: gate.posts == 3)
        with pytest.raises(ValueError, match="iterated"):
            next(run)
        gate.open.set()
        thread.join(HANG_TIMEOUT)
        assert run.finish().created == 3
