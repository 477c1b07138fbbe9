"""Failures that end a bulk run or some of its rows: no key is lost, and the error names the remedy."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
from delivery_helpers import (
    RecordingDestination,
    assert_no_key_is_lost,
    created_tokens,
    is_pending,
    journal_lines,
    keys_in_journal,
    request_methods,
    requests_with_method,
)
from support import HANG_TIMEOUT, run_python
from tampering_proxy import Exchange, TamperingProxy

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmtokens.sandbox import Portal

ROWS = [(32, f"row {number}") for number in range(40)]


def collect(run: lmtokens.BulkRun) -> tuple[list[lmtokens.RowResult], lmtokens.LMTokensError | None]:
    """Return all results of a run and the error that ended it, if any."""
    results = []
    try:
        for result in run:
            results.append(result)
    except lmtokens.LMTokensError as error:
        return results, error
    return results, None


def count_state(results: list[lmtokens.RowResult], state: Any) -> int:
    return [result.state for result in results].count(state)


def test_rejected_credentials_are_used_once(lmtokens_portal: Portal, journal: Path) -> None:
    client = lmtokens_portal.client(access_id=lmtokens_portal.access_id, access_key="not-the-key-of-any-token")
    results, error = collect(client.add_tokens(ROWS, journal=journal))
    assert isinstance(error, lmtokens.AuthenticationError)
    assert error.suggestion
    assert (error.status, error.code, error.attempts) == (401, 1401, 1)
    assert error.elapsed > 0
    assert request_methods(lmtokens_portal) == ["POST"]
    assert (count_state(results, "failed"), count_state(results, "skipped")) == (1, 39)
    assert {result.reason for result in results if result.state == "skipped"} == {f"the run stopped: {error.args[0]}"}


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_credentials_rejected_during_the_run_stop_it(lmtokens_portal: Portal, journal: Path, method: str) -> None:
    lmtokens_portal.fail("status-before-acting", method=method, status=401, skip=5, times=None)
    run = lmtokens.add_tokens(ROWS, journal=journal, concurrency=4)
    results, error = collect(run)
    assert isinstance(error, lmtokens.AuthenticationError)
    assert len(results) == 40
    # Up to 4 rows are in progress when the first one is rejected.
    assert len([seen for seen in requests_with_method(lmtokens_portal, method) if seen.status == 401]) <= 4
    assert count_state(results, "created") >= 5
    assert run.summary.skipped == count_state(results, "skipped") >= 40 - 5 - 8
    assert_no_key_is_lost(lmtokens_portal, keys_in_journal(journal))
    lmtokens_portal.clear_faults()
    assert lmtokens.add_tokens(ROWS, journal=journal, resume=True).finish().failed == 0
    assert sorted(stored.note for stored in created_tokens(lmtokens_portal)) == sorted(note for _, note in ROWS)


def test_credentials_rejected_in_the_lookup_of_a_lost_create_stop_the_run(
    lmtokens_portal: Portal, journal: Path
) -> None:
    lmtokens_portal.fail("act-then-close", method="POST", skip=1)
    lmtokens_portal.fail("status-before-acting", method="GET", status=401, times=None)
    results, error = collect(lmtokens.add_tokens(ROWS, journal=journal, concurrency=1))
    assert isinstance(error, lmtokens.AuthenticationError)
    assert [result.state for result in results] == ["created", "unknown"] + ["skipped"] * 38
    assert len(requests_with_method(lmtokens_portal, "POST")) == 2
    assert len(requests_with_method(lmtokens_portal, "GET")) == 1
    assert_no_key_is_lost(lmtokens_portal, keys_in_journal(journal))
    lmtokens_portal.clear_faults()
    assert lmtokens.add_tokens(ROWS, journal=journal, resume=True).finish().failed == 0
    assert sorted(stored.note for stored in created_tokens(lmtokens_portal)) == sorted(note for _, note in ROWS)


def test_credentials_rejected_in_a_user_lookup_stop_the_run(lmtokens_portal: Portal, journal: Path) -> None:
    client = lmtokens_portal.client(access_id=lmtokens_portal.access_id, access_key="not-the-key-of-any-token")
    results, error = collect(client.add_tokens([("api-user", "a"), ("viewer", "b"), (32, "c")], journal=journal))
    assert isinstance(error, lmtokens.AuthenticationError)
    assert count_state(results, "skipped") == 3
    assert request_methods(lmtokens_portal) == ["GET"]


def test_other_rejections_fail_only_their_own_rows(lmtokens_portal: Portal, journal: Path) -> None:
    lmtokens_portal.fail("status-before-acting", method="POST", status=403, times=2, message="not yours")
    results, error = collect(lmtokens.add_tokens(ROWS, journal=journal))
    assert error is None
    failed = [result for result in results if result.state == "failed"]
    assert [type(result.error) for result in failed] == [lmtokens.PermissionDeniedError] * 2
    assert all("not yours" in str(result.reason) for result in failed)
    assert {result.token for result in failed} == {None}
    assert count_state(results, "created") == 38


def test_on_error_stop_starts_no_further_row(lmtokens_portal: Portal, journal: Path) -> None:
    lmtokens_portal.fail("status-before-acting", method="POST", status=403, skip=6)
    run = lmtokens.add_tokens(ROWS, journal=journal, on_error="stop", concurrency=2)
    results, error = collect(run)
    assert error is None
    assert count_state(results, "failed") == 1
    assert 6 <= count_state(results, "created") <= 8
    assert run.summary.skipped == 40 - 1 - count_state(results, "created")
    assert {result.reason for result in results if result.state == "skipped"} == {"an earlier row failed"}
    assert_no_key_is_lost(lmtokens_portal, keys_in_journal(journal))


def test_failed_delivery_fails_its_row(lmtokens_portal: Portal, journal: Path) -> None:
    class FailingDestination(RecordingDestination):
        def deliver(self, token: lmtokens.Token) -> None:
            if token.note == "row 7":
                raise OSError("no room")
            super().deliver(token)

    destination = FailingDestination()
    results, error = collect(lmtokens.add_tokens(ROWS, journal=journal, deliver=destination))
    assert error is None
    (failed,) = [result for result in results if result.state == "failed"]
    assert (failed.row.note, type(failed.error)) == ("row 7", lmtokens.DeliveryError)
    assert len(created_tokens(lmtokens_portal)) == 39
    assert_no_key_is_lost(lmtokens_portal, destination.keys)


@pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit])
def test_base_exception_in_a_destination_ends_the_run(
    lmtokens_portal: Portal, journal: Path, raised: type[BaseException]
) -> None:
    destination = RecordingDestination()

    def deliver(token: lmtokens.Token) -> None:
        if len(destination.keys) == 3:
            raise raised("from the destination")
        destination.deliver(token)

    with pytest.raises(raised, match="from the destination"):
        lmtokens.add_tokens(ROWS, journal=journal, deliver=deliver, concurrency=1).finish()
    assert_no_key_is_lost(lmtokens_portal, destination.keys)


def test_exception_of_the_progress_callback_is_raised(lmtokens_portal: Portal, journal: Path) -> None:
    def progress(done: int, total: int) -> None:
        if done == 3:
            raise LookupError("of the caller")

    run = lmtokens.add_tokens(ROWS, journal=journal, progress=progress, concurrency=1)
    with pytest.raises(LookupError, match="of the caller"):
        run.finish()
    run.finish()
    assert_no_key_is_lost(lmtokens_portal, keys_in_journal(journal))


FULL_DISK = """
import os, resource, sys, lmtokens
size = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
run = lmtokens.add_tokens([(32, f"row {number}") for number in range(40)], journal=sys.argv[1])
try:
    run.finish()
except lmtokens.DeliveryError as error:
    print(error.args[0], error.suggestion, sep="\\n")
print(run.summary)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs the file size limit of Linux")
@pytest.mark.parametrize("size", [400, 1000, 3000, 9000])
def test_full_disk_stops_the_run(lmtokens_portal: Portal, journal: Path, size: int) -> None:
    completed = run_python(FULL_DISK, str(journal), str(size))
    assert completed.returncode == 0, completed.stderr
    error, suggestion, summary = completed.stdout.splitlines()
    assert "cannot write the journal" in error
    assert str(journal) in error
    assert "resume" in suggestion
    assert "skipped=0" not in summary
    assert_no_key_is_lost(lmtokens_portal, keys_in_journal(journal))
    # The run can be resumed once there is space.
    again = lmtokens.add_tokens(ROWS, journal=journal, resume=True).finish()
    assert (again.created + again.already_done, again.failed, again.unknown) == (40, 0, 0)
    assert sorted(stored.note for stored in created_tokens(lmtokens_portal)) == sorted(note for _, note in ROWS)
    assert_no_key_is_lost(lmtokens_portal, keys_in_journal(journal))


@pytest.mark.skipif(sys.platform != "linux", reason="needs the file size limit of Linux")
def test_disk_that_is_full_before_the_run_sends_nothing(lmtokens_portal: Portal, journal: Path) -> None:
    code = FULL_DISK.replace("run = lmt", "try:\n    run = lmt").replace(
        "journal=sys.argv[1])\ntry",
        "journal=sys.argv[1])\nexcept lmtokens.DeliveryError as error:\n    sys.exit(error)\ntry",
    )
    completed = run_python(code, str(journal), "20")
    assert completed.returncode == 1
    assert "cannot write the journal" in completed.stderr
    assert lmtokens_portal.record == []


def remove_journal(journal: Path) -> None:
    journal.unlink()


def replace_journal(journal: Path) -> None:
    journal.with_suffix(".new").write_text("another file\n")
    journal.with_suffix(".new").rename(journal)


def remove_folder(journal: Path) -> None:
    shutil.rmtree(journal.parent)


@pytest.mark.parametrize("damage", [remove_journal, replace_journal, remove_folder])
def test_removed_or_replaced_journal_stops_the_run(
    lmtokens_portal: Portal, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    journal = folder / "run.journal"
    saved_keys: dict[int, str] = {}
    damaged: list[bool] = []

    def before(exchange: Exchange) -> None:
        if exchange.method == "POST" and len(requests_with_method(lmtokens_portal, "POST")) >= 5 and not damaged:
            saved_keys.update(keys_in_journal(journal))
            damaged.append(True)
            damage(journal)

    with TamperingProxy(lmtokens_portal, before=before) as portal:
        run = portal.client().add_tokens(ROWS, journal=journal, concurrency=1)
        results, error = collect(run)
    assert isinstance(error, lmtokens.DeliveryError)
    assert "cannot write the journal" in str(error)
    assert (count_state(results, "created"), count_state(results, "failed")) == (5, 1)
    assert run.summary.skipped == 34
    # A token whose key could not be stored is deleted.
    assert_no_key_is_lost(lmtokens_portal, saved_keys)
    assert len(created_tokens(lmtokens_portal)) == 5


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root can write read-only files")
def test_read_only_journal_is_rejected_before_the_first_request(lmtokens_portal: Portal, journal: Path) -> None:
    lmtokens.add_tokens(ROWS[:2], journal=journal).finish()
    lmtokens_portal.clear_record()
    journal.chmod(0o400)
    with pytest.raises(lmtokens.DeliveryError, match="cannot write the journal"):
        lmtokens.add_tokens(ROWS, journal=journal, resume=True)
    assert lmtokens_portal.record == []


def test_waits_for_the_rate_limit(lmtokens_portal: Portal, journal: Path) -> None:
    lmtokens_portal.set_rate_limit(15, 0.5, method="POST")
    begun = time.monotonic()
    summary = lmtokens.add_tokens(ROWS, journal=journal).finish()
    assert summary.created == 40
    assert time.monotonic() - begun >= 1.0


@pytest.mark.parametrize("seed", range(4))
def test_random_faults_leave_no_token_without_its_key(lmtokens_portal: Portal, journal: Path, seed: int) -> None:
    lmtokens_portal.fail_at_random(0.1, seed=seed, seconds=0.05)
    lmtokens_portal.set_rate_limit(100_000, 0.2)
    results, error = collect(lmtokens_portal.client(timeout=5).add_tokens(ROWS, journal=journal))
    assert error is None
    assert len(results) == 40
    assert_no_key_is_lost(lmtokens_portal, keys_in_journal(journal))
    lmtokens_portal.clear_faults()
    lmtokens.add_tokens(ROWS, journal=journal, resume=True).finish()
    assert sorted(stored.note for stored in created_tokens(lmtokens_portal) if stored.status == 2) == sorted(
        n for _, n in ROWS
    )


CTRL_C = """
import json, os, signal, sys, threading, time, lmtokens
path = sys.argv[1]
# Only the interrupt can end this wait.
run = lmtokens.Client(max_wait=3600).add_tokens([(32, f"row {number}") for number in range(40)], journal=path)
times = []
def interrupt():
    while not times:
        time.sleep(0.01)
    time.sleep(0.2)
    times.append(time.monotonic())
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=interrupt, daemon=True).start()
try:
    for result in run:
        if run.summary.created == 10:
            times.append("waiting")
except KeyboardInterrupt:
    print(time.monotonic() - times[-1])
    print(run.summary)
"""


def test_ctrl_c_ends_a_wait_for_the_rate_limit(lmtokens_portal: Portal, journal: Path) -> None:
    lmtokens_portal.set_rate_limit(10, 600, method="POST")
    completed = run_python(CTRL_C, str(journal))
    assert completed.returncode == 0, completed.stderr
    seconds, summary = completed.stdout.splitlines()
    print(f"Ctrl-C in a wait of 600 s for the rate limit: ended after {float(seconds):.3f} s")
    assert float(seconds) < 5
    assert "created=10" in summary
    assert "resume=True" in completed.stderr
    assert str(journal) in completed.stderr
    assert len(keys_in_journal(journal)) == 10
    assert_no_key_is_lost(lmtokens_portal, keys_in_journal(journal))
    lmtokens_portal.set_rate_limit(1000, 60)
    again = lmtokens.add_tokens(ROWS, journal=journal, resume=True).finish()
    assert (again.created, again.already_done) == (30, 10)


def test_cancelled_task_ends_the_run(lmtokens_portal: Portal, journal: Path, caplog: pytest.LogCaptureFixture) -> None:
    lmtokens_portal.set_rate_limit(10, 600, method="POST")

    async def run() -> lmtokens.Summary:
        bulk_run = lmtokens_portal.async_client(max_wait=3600).add_tokens(ROWS, journal=journal)
        task = asyncio.create_task(bulk_run.finish())
        while bulk_run.summary.created < 10:
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [result async for result in bulk_run] == []
        return bulk_run.summary

    assert asyncio.run(asyncio.wait_for(run(), HANG_TIMEOUT)).created == 10
    assert "resume=True" in caplog.text
    assert_no_key_is_lost(lmtokens_portal, keys_in_journal(journal))


def test_journal_has_the_reason_of_a_failed_row(lmtokens_portal: Portal, journal: Path) -> None:
    lmtokens_portal.fail("status-before-acting", method="POST", status=400, message="odd note")
    lmtokens.add_tokens([(32, "a")], journal=journal).finish()
    last: dict[str, Any] = journal_lines(journal)[-1]
    assert (last["event"], "odd note" in last["error"]) == ("failed", True)
    (entry,) = lmtokens.read_journal(journal)
    assert (entry.state, entry.token) == ("failed", None)
    assert "odd note" in str(entry.error)
    assert not any(is_pending(stored) for stored in created_tokens(lmtokens_portal))
