"""Resuming a killed bulk run: completed rows stay completed, and no row gets two enabled tokens."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lmtokens
import lmtokens.sandbox
import pytest
from api_variants import credentials_of
from delivery_helpers import (
    RecordingDestination,
    assert_no_key_is_lost,
    created_tokens,
    edit_token,
    is_pending,
    keys_in_journal,
    requests_with_method,
    sealed,
    tag_for,
)
from support import HANG_TIMEOUT, wait_until

if TYPE_CHECKING:
    from lmtokens.sandbox import Portal, StoredToken

ROWS = [(32, f"row {number}") for number in range(60)]


def resume(rows: Any, journal: Path, **options: Any) -> lmtokens.Summary:
    # Like a new process: with a client that has seen no token yet.
    lmtokens.configure()
    return lmtokens.add_tokens(rows, journal=journal, resume=True, **options).finish()


def enabled_notes(portal: Portal) -> list[str]:
    """Return the notes of the enabled tokens."""
    return sorted(stored.note for stored in created_tokens(portal) if stored.status == 2)


ADD = """
import json, sys, lmtokens
lmtokens.add_tokens(json.loads(sys.argv[2]), journal=sys.argv[1], resume=True).finish()
"""


@pytest.mark.parametrize("request_number", [0, 1, 2, 5, 13, 29, 44])
def test_killed_run_can_be_resumed(lmtokens_portal: Portal, journal: Path, request_number: int) -> None:
    command = [sys.executable, "-c", ADD, str(journal), json.dumps(ROWS)]
    with subprocess.Popen(command) as process:
        wait_until(
            lambda: (
                len(requests_with_method(lmtokens_portal, "POST" if request_number % 2 else "PATCH")) >= request_number
            )
        )
        process.send_signal(signal.SIGKILL)
        # The process may have finished before the signal.
        assert process.wait(HANG_TIMEOUT) in {0, -signal.SIGKILL}
    if journal.exists():
        assert_no_key_is_lost(lmtokens_portal, keys_in_journal(journal))
    done = len(enabled_notes(lmtokens_portal))
    summary = resume(ROWS, journal)
    assert summary.created + summary.already_done == 60
    assert summary.already_done >= min(done, 60) - 8
    # Requests of the killed process may still arrive; their tokens are disabled and tagged.
    assert enabled_notes(lmtokens_portal) == sorted(note for _, note in ROWS)
    assert_no_key_is_lost(lmtokens_portal, keys_in_journal(journal))


def test_run_that_is_killed_repeatedly_can_be_completed(lmtokens_portal: Portal, journal: Path) -> None:
    command = [sys.executable, "-c", ADD, str(journal), json.dumps(ROWS)]
    lmtokens_portal.fail_at_random(0.05, seed=7, kinds=["act-then-close", "act-then-status", "garbage", "no-key"])
    for kill in range(1, 6):
        with subprocess.Popen(command) as process:
            while len(enabled_notes(lmtokens_portal)) < kill * 8 and process.poll() is None:
                time.sleep(0.005)
            process.kill()
        assert_no_key_is_lost(lmtokens_portal, keys_in_journal(journal))
    lmtokens_portal.clear_faults()
    resume(ROWS, journal)
    assert resume(ROWS, journal).already_done == 60
    assert enabled_notes(lmtokens_portal) == sorted(note for _, note in ROWS)
    assert_no_key_is_lost(lmtokens_portal, keys_in_journal(journal))
    assert [stored for stored in created_tokens(lmtokens_portal) if stored.status == 1] == []


def test_resuming_a_completed_run_changes_nothing_and_returns_the_keys(lmtokens_portal: Portal, journal: Path) -> None:
    lmtokens.add_tokens(ROWS[:5], journal=journal).finish()
    lmtokens_portal.clear_record()
    results = list(lmtokens.add_tokens(ROWS[:5], journal=journal, resume=True))
    assert {(result.state, result.reason) for result in results} == {("skipped", "created by an earlier run")}
    assert requests_with_method(lmtokens_portal, "POST") == []
    assert requests_with_method(lmtokens_portal, "PATCH") == []
    keys = {stored.id: stored.access_key.reveal() for stored in created_tokens(lmtokens_portal)}
    results_keys = {result.token.id: result.token.access_key for result in results if result.token is not None}
    assert {id: key.reveal() for id, key in results_keys.items() if key is not None} == keys


def test_resuming_without_a_journal_starts_one(lmtokens_portal: Portal, journal: Path) -> None:
    assert resume(ROWS[:3], journal).created == 3


@pytest.fixture
def unfinished(lmtokens_portal: Portal, journal: Path) -> list[str]:
    """The journal lines of a run of two rows that was killed before it enabled the second token."""
    lmtokens_portal.fail("status-before-acting", method="PATCH", status=403, skip=1)
    lmtokens_portal.fail("status-before-acting", method="DELETE", status=403, times=None)
    lmtokens.add_tokens([(32, "a"), (32, "b")], journal=journal, concurrency=1).finish()
    lines = journal.read_text().splitlines(keepends=True)
    assert [json.loads(line).get("event") for line in lines][:4] == [None, "pending", "created", "pending"]
    assert [stored.status for stored in created_tokens(lmtokens_portal)] == [2, 1]
    journal.write_text("".join(lines[:4]))
    lmtokens_portal.clear_faults()
    return lines[:4]


def test_row_with_a_pending_token_is_created_again(
    lmtokens_portal: Portal, journal: Path, unfinished: list[str]
) -> None:
    old = created_tokens(lmtokens_portal)[1]
    summary = resume([(32, "a"), (32, "b")], journal)
    assert (summary.already_done, summary.created) == (1, 1)
    assert enabled_notes(lmtokens_portal) == ["a", "b"]
    assert len(created_tokens(lmtokens_portal)) == 2
    assert old.id not in {stored.id for stored in created_tokens(lmtokens_portal)}
    assert keys_in_journal(journal).keys() == {stored.id for stored in created_tokens(lmtokens_portal)}
    assert [entry.state for entry in lmtokens.read_journal(journal)] == ["created", "created"]


def test_line_torn_at_any_byte_is_recovered(lmtokens_portal: Portal, journal: Path, unfinished: list[str]) -> None:
    lmtokens_portal.set_rate_limit(100_000)
    old = created_tokens(lmtokens_portal)[1]
    for cut in range(len(unfinished[3])):
        left = lmtokens_portal.create_token(32, note=old.note, status=1)
        torn = unfinished[3].replace(str(old.id), str(left.id)).replace(old.access_id, left.access_id)[:cut]
        journal.write_text("".join(unfinished[:3]) + torn)
        summary = resume([(32, "a"), (32, "b")], journal, concurrency=1)
        assert (summary.already_done, summary.created) == (1, 1), cut
        assert enabled_notes(lmtokens_portal) == ["a", "b"]
        assert_no_key_is_lost(lmtokens_portal, keys_in_journal(journal))
        # The resumed run deletes the pending token of the killed one.
        assert [stored for stored in created_tokens(lmtokens_portal) if is_pending(stored)] == []
        torn_files = [path for path in journal.parent.iterdir() if path.suffix == ".torn"]
        assert [path.read_text() for path in torn_files] == ([torn] if torn else [])
        assert [path.stat().st_mode & 0o777 for path in torn_files] == [0o600] * len(torn_files)
        for path in torn_files:
            path.unlink()
        lmtokens.delete_token(created_tokens(lmtokens_portal)[-1].id)


def test_torn_created_line_creates_no_second_token(lmtokens_portal: Portal, journal: Path) -> None:
    lmtokens.add_tokens([(32, "a"), (32, "b")], journal=journal, concurrency=1).finish()
    lines = journal.read_text().splitlines(keepends=True)
    assert json.loads(lines[-1])["event"] == "created"
    for cut in range(len(lines[-1])):
        journal.write_text("".join(lines[:-1]) + lines[-1][:cut])
        summary = resume([(32, "a"), (32, "b")], journal)
        assert (summary.already_done, summary.created) == (2, 0), cut
    assert len(created_tokens(lmtokens_portal)) == 2
    assert enabled_notes(lmtokens_portal) == ["a", "b"]


def test_header_that_is_not_complete_is_rejected(lmtokens_portal: Portal, journal: Path) -> None:
    # A journal gets its name when its header is complete, so that only damage shortens it.
    lmtokens.add_tokens([], journal=journal).finish()
    header = journal.read_text()
    lmtokens_portal.clear_record()
    for cut in range(0, len(header), 3):
        journal.write_text(header[:cut])
        with pytest.raises(lmtokens.DeliveryError, match=r"is damaged: it is empty|is not a journal|line 1 is damaged"):
            resume([(32, str(cut))], journal)
    assert lmtokens_portal.record == []


@pytest.mark.parametrize("garbage", ["garbage\n", "\0" * 40 + "\n", '{"event":"pending"}\n', "\n"], ids=repr)
def test_journal_damaged_before_its_last_line_is_rejected(lmtokens_portal: Portal, journal: Path, garbage: str) -> None:
    lmtokens.add_tokens(ROWS[:4], journal=journal, concurrency=1).finish()
    lines = journal.read_text().splitlines(keepends=True)
    damaged = "".join([*lines[:3], garbage, *lines[4:]])
    journal.write_text(damaged)
    lmtokens_portal.clear_record()
    with pytest.raises(lmtokens.DeliveryError, match="line 4 is damaged"):
        resume(ROWS[:4], journal)
    assert (journal.read_text(), lmtokens_portal.record) == (damaged, [])


@pytest.mark.parametrize("text", ["notes of mine\n", '{"id": 7}\n', "x"], ids=repr)
def test_file_that_is_not_a_journal_is_left_unchanged(lmtokens_portal: Portal, journal: Path, text: str) -> None:
    journal.write_text(text)
    with pytest.raises(lmtokens.DeliveryError, match="is not a journal"):
        resume(ROWS, journal)
    assert (journal.read_text(), lmtokens_portal.record) == (text, [])


def test_journal_of_another_portal_is_rejected(lmtokens_portal: Portal, journal: Path) -> None:
    lmtokens.add_tokens(ROWS[:2], journal=journal).finish()
    with lmtokens.sandbox.Portal() as other:
        with pytest.raises(lmtokens.DeliveryError, match="belongs to the portal") as caught:
            other.client().add_tokens(ROWS[:2], journal=journal, resume=True)
        assert lmtokens_portal.base_url in str(caught.value)
        assert other.record == []


def test_journal_of_another_input_is_rejected(lmtokens_portal: Portal, journal: Path) -> None:
    lmtokens.add_tokens(ROWS[:2], journal=journal).finish()
    lmtokens_portal.clear_record()
    with pytest.raises(lmtokens.DeliveryError, match="belongs to another input"):
        resume(ROWS[2:], journal)
    assert lmtokens_portal.record == []


def test_changed_input_creates_only_new_rows(lmtokens_portal: Portal, journal: Path) -> None:
    lmtokens.add_tokens([(32, "a"), (32, "b"), (32, "b")], journal=journal).finish()
    before = created_tokens(lmtokens_portal)
    changed = [(32, "c"), (32, "b"), (33, "a"), (32, "a"), (32, "b"), (32, "b")]
    results = {result.number: result.state for result in lmtokens.add_tokens(changed, journal=journal, resume=True)}
    assert [results[number] for number in range(1, 7)] == [
        "created",
        "skipped",
        "created",
        "skipped",
        "skipped",
        "created",
    ]
    assert created_tokens(lmtokens_portal)[:3] == before
    assert enabled_notes(lmtokens_portal) == ["a", "a", "b", "b", "b", "c"]


def test_failed_rows_are_retried(lmtokens_portal: Portal, journal: Path) -> None:
    lmtokens_portal.fail("status-before-acting", method="POST", status=403, skip=1, times=2)
    assert lmtokens.add_tokens(ROWS[:5], journal=journal).finish().failed == 2
    summary = resume(ROWS[:5], journal)
    assert (summary.created, summary.already_done) == (2, 3)
    assert enabled_notes(lmtokens_portal) == sorted(note for _, note in ROWS[:5])


def test_unknown_rows_are_retried(lmtokens_portal: Portal, journal: Path) -> None:
    # The lookup after the lost response fails too, so the row stays unknown.
    lmtokens_portal.fail("act-then-close", method="POST", skip=1)
    lmtokens_portal.fail("status-before-acting", method="GET", status=500, times=None)
    client = lmtokens_portal.client(max_attempts=1)
    summary = client.add_tokens(ROWS[:4], journal=journal, concurrency=1).finish()
    assert (summary.created, summary.unknown) == (3, 1)
    assert [entry.state for entry in lmtokens.read_journal(journal)].count("unknown") == 1
    lmtokens_portal.clear_faults()
    assert resume(ROWS[:4], journal).created == 1
    assert enabled_notes(lmtokens_portal) == sorted(note for _, note in ROWS[:4])
    assert len(created_tokens(lmtokens_portal)) == 4


def test_token_enabled_by_the_killed_run_is_found(
    lmtokens_portal: Portal, journal: Path, unfinished: list[str]
) -> None:
    # As if the PATCH of the killed run had arrived late.
    second = created_tokens(lmtokens_portal)[1]
    lmtokens.update_token(second.id, "b", 2)
    summary = resume([(32, "a"), (32, "b")], journal)
    assert (summary.already_done, summary.created) == (2, 0)
    assert enabled_notes(lmtokens_portal) == ["a", "b"]
    assert keys_in_journal(journal)[second.id] == second.access_key.reveal()


def test_token_deleted_before_resuming_is_created_again(
    lmtokens_portal: Portal, journal: Path, unfinished: list[str]
) -> None:
    lmtokens.delete_token(created_tokens(lmtokens_portal)[1].id)
    summary = resume([(32, "a"), (32, "b")], journal)
    assert (summary.already_done, summary.created, summary.unknown) == (1, 1, 0)
    assert enabled_notes(lmtokens_portal) == ["a", "b"]


def test_only_token_deleted_before_resuming_is_created_again(
    lmtokens_portal: Portal, journal: Path, unfinished: list[str]
) -> None:
    # The journal has no other token, so the run has to find out by other means that these credentials can see tokens.
    journal.write_text(sealed([json.loads(unfinished[0]), json.loads(unfinished[3])]))
    for stored in created_tokens(lmtokens_portal):
        lmtokens.delete_token(stored.id)
    summary = resume([(32, "b")], journal)
    assert (summary.created, summary.unknown) == (1, 0)
    assert enabled_notes(lmtokens_portal) == ["b"]


def test_credentials_that_cannot_view_leave_the_row_unknown(
    lmtokens_portal: Portal, journal: Path, unfinished: list[str]
) -> None:
    user = lmtokens_portal.add_user("writer", may_view=False)
    client = lmtokens_portal.client(**credentials_of(lmtokens_portal.create_token(user)))
    before = [stored.id for stored in created_tokens(lmtokens_portal)]
    results = list(client.add_tokens([(32, "a"), (32, "b")], journal=journal, resume=True))
    assert {result.row.note: result.state for result in results} == {"a": "unknown", "b": "unknown"}
    assert [stored.id for stored in created_tokens(lmtokens_portal)] == before


def test_token_enabled_by_hand_gets_its_note(lmtokens_portal: Portal, journal: Path, unfinished: list[str]) -> None:
    second = created_tokens(lmtokens_portal)[1]
    # enable_token would handle the tag.
    lmtokens.update_token(second.id, status=2)
    assert created_tokens(lmtokens_portal)[1].status == 2
    summary = resume([(32, "a"), (32, "b")], journal)
    assert summary.already_done == 2
    assert [(stored.id, stored.note, stored.status) for stored in created_tokens(lmtokens_portal)][1] == (
        second.id,
        "b",
        2,
    )


def test_pending_tokens_of_other_runs_are_kept(lmtokens_portal: Portal, journal: Path, unfinished: list[str]) -> None:
    this_run = json.loads(unfinished[0])["run"]
    now = int(time.time())

    def create_pending(run: str) -> StoredToken:
        return lmtokens_portal.create_token(32, note=tag_for("x", seconds=now, run=run) + " x", status=1)

    create_pending(this_run)
    other = create_pending("0" * 16)
    used = lmtokens_portal.create_token(32, note=tag_for(seconds=now, run=this_run), status=1, last_used_on=now)
    resume([(32, "a"), (32, "b")], journal)
    assert [stored.id for stored in created_tokens(lmtokens_portal) if stored.status == 1] == [other.id, used.id]


def test_pending_token_whose_note_was_edited_is_kept(
    lmtokens_portal: Portal, journal: Path, unfinished: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    header, *_ = unfinished
    second = next(stored for stored in created_tokens(lmtokens_portal) if stored.status == 1)
    edit_token(lmtokens_portal, second, note=f"{second.note} keep me")
    now = int(time.time())
    note = tag_for("x", seconds=now, run=json.loads(header)["run"]) + " keep me"
    orphan = lmtokens_portal.create_token(32, note=note, status=1)
    lmtokens_portal.clear_record()
    summary = resume([(32, "a"), (32, "b")], journal)
    assert (summary.already_done, summary.unknown) == (1, 1)
    left = {stored.id: stored.note for stored in created_tokens(lmtokens_portal) if stored.status == 1}
    assert left == {second.id: f"{second.note} keep me", orphan.id: note}
    assert "kept pending tokens" in caplog.text
    assert requests_with_method(lmtokens_portal, "DELETE") == []


@pytest.mark.parametrize("first", [None, RecordingDestination()], ids=["journal", "destination"])
def test_destination_cannot_be_changed_when_resuming(
    lmtokens_portal: Portal, journal: Path, first: RecordingDestination | None
) -> None:
    lmtokens.add_tokens(ROWS[:2], journal=journal, deliver=first).finish()
    with pytest.raises(lmtokens.DeliveryError, match="a destination for the keys"):
        resume(ROWS[:3], journal, deliver=RecordingDestination() if first is None else None)
    assert resume(ROWS[:3], journal, deliver=first).created == 1
