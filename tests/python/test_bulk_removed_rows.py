"""Resuming a bulk run after rows have left its input, and after others changed its tokens."""

from __future__ import annotations

import csv
import io
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
from delivery_helpers import RecordingDestination, created_tokens, journal_lines, requests_with_method, sealed
from support import HANG_TIMEOUT, run_shell, start_shell, wait_until

if TYPE_CHECKING:
    import subprocess

    from lmtokens.sandbox import Portal, StoredToken

FOREVER = 100


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return tmp_path / "in.csv"


def write(rows: Path, *lines: str) -> None:
    rows.write_text("".join(f"{line}\n" for line in ("admin_id,note", *lines)))


def bulk(rows: Path, journal: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_shell("bulk", str(rows), "--journal", str(journal), *arguments)


def export(journal: Path) -> tuple[int, str, set[int]]:
    """Return the exit code, the messages and the ids of the exported tokens."""
    completed = run_shell("bulk", "--journal", str(journal), "--export")
    return (
        completed.returncode,
        completed.stderr,
        {int(row["id"]) for row in csv.DictReader(io.StringIO(completed.stdout))},
    )


def kill_at_last_patch(portal: Portal, rows: Path, journal: Path, kind: Any) -> StoredToken:
    """Kill a run while it waits for the response to the PATCH of its last row, and return that row's token."""
    before = len(rows.read_text().splitlines()) - 2
    portal.fail(kind, method="PATCH", seconds=FOREVER, skip=before)
    with start_shell("bulk", str(rows), "--journal", str(journal), "--concurrency", "1") as process:
        wait_until(lambda: len(requests_with_method(portal, "PATCH")) > before)
        wait_until(lambda: kind == "delay" or created_tokens(portal)[-1].status == 2)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=HANG_TIMEOUT)
    portal.clear_faults()
    portal.clear_record()
    return created_tokens(portal)[-1]


def ids(portal: Portal) -> set[int]:
    return {stored.id for stored in created_tokens(portal)}


@pytest.mark.parametrize("earlier", [["33,first"], []], ids=["with others", "alone"])
@pytest.mark.parametrize("corrected", ["32,ci-corrected", "33,ci", "api-user,ci"])
def test_live_token_of_a_corrected_row_is_named_and_exported(
    lmtokens_portal: Portal, rows: Path, journal: Path, earlier: list[str], corrected: str
) -> None:
    write(rows, *earlier, "32,ci")
    live = kill_at_last_patch(lmtokens_portal, rows, journal, "act-then-delay")
    assert export(journal)[0] == 3
    write(rows, *earlier, corrected)
    for _ in range(2):
        resumed = bulk(rows, journal, "--resume")
        assert resumed.returncode == 0, resumed.stderr
        assert "rows that are no longer in the input have tokens" in resumed.stderr
        assert f'token {live.id} of user 32 with note "ci"' in resumed.stderr
        assert export(journal) == (0, "", ids(lmtokens_portal))
    assert live.id in ids(lmtokens_portal)
    assert len(ids(lmtokens_portal)) == len(earlier) + 2


@pytest.mark.parametrize("earlier", [["33,first"], []], ids=["with others", "alone"])
def test_pending_token_of_a_corrected_row_is_deleted_and_the_journal_says_so(
    lmtokens_portal: Portal, rows: Path, journal: Path, earlier: list[str]
) -> None:
    write(rows, *earlier, "32,ci")
    pending = kill_at_last_patch(lmtokens_portal, rows, journal, "delay")
    write(rows, *earlier, "32,ci-corrected")
    resumed = bulk(rows, journal, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert f"deleted token {pending.id}, which an interrupted call had left unfinished" in resumed.stderr
    assert pending.id not in ids(lmtokens_portal)
    assert export(journal) == (0, "", ids(lmtokens_portal))
    events = [line["event"] for line in journal_lines(journal) if line.get("id") == pending.id]
    assert events == ["discarded"]


def test_pending_token_of_a_corrected_row_is_discarded_at_its_destination(
    lmtokens_portal: Portal, journal: Path
) -> None:
    lmtokens_portal.fail("act-then-close", method="PATCH", times=None)
    lmtokens_portal.fail("status-before-acting", method="GET", status=403, times=None)
    destination = RecordingDestination()
    lmtokens.add_tokens([(32, "a")], journal=journal, deliver=destination).finish()
    (left,) = created_tokens(lmtokens_portal)
    lmtokens_portal.clear_faults()
    lmtokens.delete_token(left.id, force=True)
    lmtokens.add_tokens([(32, "b")], journal=journal, resume=True, deliver=destination).finish()
    assert destination.calls[-3:] == [
        ("discard", left.id),
        ("deliver", created_tokens(lmtokens_portal)[0].id),
        ("commit", created_tokens(lmtokens_portal)[0].id),
    ]
    assert [(entry.state, entry.note) for entry in lmtokens.read_journal(journal)] == [("created", "b")]


@pytest.mark.parametrize("is_removed", [True, False], ids=["removed", "kept"])
@pytest.mark.parametrize("note", ["who made this?", "KEEP {} ci", "ci"])
def test_disabled_token_with_another_note_is_unknown_and_untouched(
    lmtokens_portal: Portal, rows: Path, journal: Path, note: str, is_removed: bool
) -> None:
    write(rows, "33,first", "32,ci")
    pending = kill_at_last_patch(lmtokens_portal, rows, journal, "delay")
    lmtokens.update_token(pending.id, note.format(pending.note.split()[0]), force=True)
    left = created_tokens(lmtokens_portal)[-1]
    assert left.status == 1
    if is_removed:
        write(rows, "33,first")
    lmtokens_portal.clear_record()
    resumed = bulk(rows, journal, "--resume")
    assert resumed.returncode == (0 if is_removed else 3), resumed.stderr
    assert f"token {pending.id} of this row is not as an earlier run created it" in resumed.stderr
    assert "its note and status were changed since; nothing was changed" in resumed.stderr
    assert ("it is unclear what became of rows that are no longer in the input" in resumed.stderr) == is_removed
    assert {seen.method for seen in lmtokens_portal.record} == {"GET"}
    assert created_tokens(lmtokens_portal)[-1] == left
    status, messages, exported = export(journal)
    assert (status, exported) == (3, {created_tokens(lmtokens_portal)[0].id})
    assert f"not known to be enabled, and not printed: tokens {pending.id}" in messages


def test_row_that_wants_a_disabled_token_is_done_if_only_the_note_was_changed(
    lmtokens_portal: Portal, rows: Path, journal: Path
) -> None:
    rows.write_text("admin_id,note,status\n32,ci,disabled\n")
    left = kill_at_last_patch(lmtokens_portal, rows, journal, "delay")
    lmtokens.update_token(left.id, "who made this?", force=True)
    assert bulk(rows, journal, "--resume").returncode == 0
    assert export(journal) == (0, "", {left.id})


def test_key_of_a_token_that_was_deleted_since_is_not_exported(
    lmtokens_portal: Portal, rows: Path, journal: Path
) -> None:
    write(rows, "33,first", "32,ci")
    assert bulk(rows, journal, "--concurrency", "1").returncode == 0
    kept, deleted = created_tokens(lmtokens_portal)
    lmtokens.delete_token(deleted.id)
    for _ in range(2):
        resumed = bulk(rows, journal, "--resume")
        assert resumed.returncode == 3
        assert (
            f"token {deleted.id} of this row was created by an earlier run and has been deleted since" in resumed.stderr
        )
        status, messages, exported = export(journal)
        assert (status, exported) == (3, {kept.id})
        assert "1 rows are not finished (1 failed)" in messages
        assert [(entry.state, entry.note) for entry in lmtokens.read_journal(journal)] == [
            ("created", "first"),
            ("failed", "ci"),
        ]
    # Without its row, the journal is complete.
    write(rows, "33,first")
    assert bulk(rows, journal, "--resume").returncode == 0
    assert export(journal) == (0, "", {kept.id})
    assert ids(lmtokens_portal) == {kept.id}


def test_forged_deletion_of_a_live_token_is_not_believed(lmtokens_portal: Portal, rows: Path, journal: Path) -> None:
    write(rows, "32,ci")
    assert bulk(rows, journal).returncode == 0
    (live,) = created_tokens(lmtokens_portal)
    lines = journal_lines(journal)
    journal.write_text(sealed([*lines, {**lines[-1], "event": "discarded"}]))
    assert export(journal)[2] == set()
    resumed = bulk(rows, journal, "--resume")
    assert "1 rows: 0 created, 1 already created" in resumed.stderr
    assert export(journal) == (0, "", {live.id})


def test_removed_rows_in_python_are_warned_of(
    lmtokens_portal: Portal, journal: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lmtokens.add_tokens([(32, "a"), (32, None)], journal=journal, concurrency=1).finish()
    first, second = created_tokens(lmtokens_portal)
    with caplog.at_level("WARNING", "lmtokens"):
        lmtokens.add_tokens([(32, "a")], journal=journal, resume=True).finish()
    (record,) = caplog.records
    assert f"token {second.id} of user 32 without a note" in record.getMessage()
    assert f"token {first.id}" not in record.getMessage()
