"""A journal that is removed, truncated or damaged, during a run and between runs."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
from delivery_helpers import (
    RecordingDestination,
    created_tokens,
    is_pending,
    journal_lines,
    keys_in_journal,
    requests_with_method,
)
from support import HANG_TIMEOUT, run_shell, start_shell, wait_until
from tampering_proxy import Exchange, TamperingProxy

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmtokens.sandbox import Portal

ROWS = [(32, f"row {number}") for number in range(40)]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "in.csv"
    path.write_text("admin_id,note\n" + "".join(f"{admin},{note}\n" for admin, note in ROWS))
    return path


def remove_lock_files(journal: Path) -> None:
    for path in journal.parent.glob("*.lock"):
        path.unlink()


def remove(journal: Path) -> None:
    journal.unlink()


def rename(journal: Path) -> None:
    journal.rename(journal.with_suffix(".old"))


def replace_by_copy(journal: Path) -> None:
    copy = journal.with_suffix(".copy")
    copy.write_bytes(journal.read_bytes())
    copy.rename(journal)


def truncate(journal: Path) -> None:
    os.truncate(journal, 0)


@pytest.mark.parametrize("change", [remove_lock_files, remove, rename, replace_by_copy, truncate])
@pytest.mark.parametrize("after", [1, 6, 25])
def test_second_process_creates_no_row_twice(
    lmtokens_portal: Portal, rows: Path, journal: Path, change: Callable[[Path], None], after: int
) -> None:
    # The run cannot end before it is stopped.
    lmtokens_portal.fail("delay", method="PATCH", seconds=3, times=None, skip=after - 1)
    command = ["bulk", str(rows), "--journal", str(journal), "--resume", "--concurrency", "4"]
    with start_shell(*command) as first:
        wait_until(lambda: len(requests_with_method(lmtokens_portal, "PATCH")) >= after)
        first.send_signal(signal.SIGSTOP)
        lmtokens_portal.clear_faults()
        change(journal)
        second = run_shell(*command)
        first.send_signal(signal.SIGCONT)
        first.communicate(timeout=HANG_TIMEOUT)
    if change in (remove_lock_files, truncate):
        assert second.returncode == 1
        assert "another process, uses the journal" in second.stderr
    assert first.returncode == (0 if change is remove_lock_files else 1)
    created = created_tokens(lmtokens_portal)
    enabled = [token.note for token in created if token.status == 2]
    assert enabled
    assert sorted(enabled) == sorted(set(enabled))
    assert all(token.status == 2 or is_pending(token) for token in created)


def test_truncated_journal_stops_the_run(lmtokens_portal: Portal, journal: Path) -> None:
    saved: dict[int, str] = {}

    def before(exchange: Exchange) -> None:
        if exchange.method == "POST" and len(requests_with_method(lmtokens_portal, "POST")) == 5 and not saved:
            saved.update(keys_in_journal(journal))
            os.truncate(journal, 0)

    with TamperingProxy(lmtokens_portal, before=before) as portal:
        run = portal.client().add_tokens(ROWS, journal=journal, concurrency=1)
        with pytest.raises(lmtokens.DeliveryError, match="another process changed it"):
            run.finish()
    assert (run.summary.created, run.summary.skipped) == (5, 34)
    # The token whose key could not be written is deleted.
    assert {token.id for token in created_tokens(lmtokens_portal)} == saved.keys()


@pytest.mark.parametrize("read", ["resume", "read_journal", "--resume", "--export"])
def test_empty_journal_is_refused(lmtokens_portal: Portal, rows: Path, journal: Path, read: str) -> None:
    lmtokens.add_tokens(ROWS[:3], journal=journal).finish()
    truncate(journal)
    lmtokens_portal.clear_record()
    if read.startswith("--"):
        arguments = ["--export"] if read == "--export" else [str(rows), "--resume"]
        completed = run_shell("bulk", "--journal", str(journal), *arguments)
        assert completed.returncode == 1
        assert f"the journal {journal} is damaged: it is empty" in completed.stderr
        assert "--export --skip-damaged" in completed.stderr
        assert "read_journal" not in completed.stderr
    else:
        call: Callable[[], object] = {
            "resume": lambda: lmtokens.add_tokens(ROWS, journal=journal, resume=True),
            "read_journal": lambda: lmtokens.read_journal(journal),
        }[read]
        with pytest.raises(lmtokens.DeliveryError, match="is damaged: it is empty") as raised:
            call()
        assert "read_journal(path, skip_damaged=True)" in str(raised.value.suggestion)
        assert "--skip-damaged" not in str(raised.value.suggestion)
    assert lmtokens_portal.record == []


def test_journal_appears_with_its_header_and_nothing_else(lmtokens_portal: Portal, journal: Path) -> None:
    run = lmtokens.add_tokens(ROWS[:1], journal=journal)
    assert [path.name for path in journal.parent.iterdir()] == [journal.name]
    assert len(journal_lines(journal)) == 1
    run.finish()
    assert [path.name for path in journal.parent.iterdir()] == [journal.name]


def test_flipped_bit_never_changes_what_is_read(lmtokens_portal: Portal, journal: Path) -> None:
    lmtokens.add_tokens(ROWS[:6], journal=journal).finish()
    text = journal.read_bytes()
    keys = keys_in_journal(journal)
    header = text.index(b"\n") + 1
    lmtokens_portal.clear_record()
    rng = random.Random(5)
    for _ in range(200):
        flipped = bytearray(text)
        position = rng.randrange(len(text))
        flipped[position] ^= 1 << rng.randrange(8)
        journal.write_bytes(flipped)
        with pytest.raises(lmtokens.DeliveryError, match=r"is damaged|is not a journal"):
            lmtokens.read_journal(journal)
        with pytest.raises(lmtokens.DeliveryError, match=r"is damaged|is not a journal"):
            lmtokens.add_tokens(ROWS[:6], journal=journal, resume=True)
        if position >= header:
            entries = lmtokens.read_journal(journal, skip_damaged=True)
            assert "damaged" in {entry.state for entry in entries}
            tokens = [entry.token for entry in entries if entry.token is not None]
            assert len(tokens) >= 5
            for token in tokens:
                assert token.access_key is not None
                assert keys[token.id] == token.access_key.reveal()
    assert lmtokens_portal.record == []


def test_intact_lines_of_a_damaged_journal_are_exported(lmtokens_portal: Portal, journal: Path) -> None:
    lmtokens.add_tokens(ROWS[:4], journal=journal, concurrency=1).finish()
    lines = journal.read_text().splitlines(keepends=True)
    lines[3] = lines[3].replace('"access_key":"', '"access_key":"x')
    journal.write_text("".join(lines))
    refused = run_shell("bulk", "--journal", str(journal), "--export")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "is damaged: line 4 is damaged" in refused.stderr
    assert "--skip-damaged" in refused.stderr
    completed = run_shell("bulk", "--journal", str(journal), "--export", "-o", "jsonl", "--skip-damaged")
    assert completed.returncode == 3
    assert [json.loads(line)["note"] for line in completed.stdout.splitlines()] == ["row 0", "row 2", "row 3"]
    assert "line 4 is damaged; keys may be missing" in completed.stderr


@pytest.mark.parametrize("removed", [2, 3, 4])
def test_missing_line_is_noticed(lmtokens_portal: Portal, journal: Path, removed: int) -> None:
    lmtokens.add_tokens(ROWS[:3], journal=journal, concurrency=1).finish()
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(lines[: removed - 1] + lines[removed:]))
    with pytest.raises(lmtokens.DeliveryError, match=f"line {removed} is not in its place"):
        lmtokens.add_tokens(ROWS[:3], journal=journal, resume=True)


@pytest.mark.parametrize("interface", ["python", "shell"])
def test_token_of_a_run_that_was_killed_before_its_first_line_is_removed_and_reported(
    lmtokens_portal: Portal, rows: Path, journal: Path, caplog: pytest.LogCaptureFixture, interface: str
) -> None:
    lmtokens_portal.fail("act-then-delay", method="POST", seconds=2)
    with start_shell("bulk", str(rows), "--journal", str(journal)) as process:
        wait_until(lambda: created_tokens(lmtokens_portal))
        process.kill()
        process.communicate(timeout=HANG_TIMEOUT)
    (left,) = created_tokens(lmtokens_portal)
    assert (len(journal_lines(journal)), is_pending(left)) == (1, True)
    if interface == "shell":
        completed = run_shell("bulk", str(rows), "--journal", str(journal), "--resume")
        assert completed.returncode == 0
        report = completed.stderr
    else:
        with caplog.at_level("INFO"):
            lmtokens.add_tokens(ROWS, journal=journal, resume=True).finish()
        report = caplog.text
    assert f"had left, disabled: {left.id}" in report
    assert left.id not in {token.id for token in created_tokens(lmtokens_portal)}
    assert len(created_tokens(lmtokens_portal)) == 40


RUN = """
import os, sys, lmtokens
class Destination:
    def deliver(self, token):
        print("deliver", token.id, flush=True)
    def commit(self, token):
        if sys.argv[2] == "before commit":
            os._exit(9)
    def discard(self, token):
        pass
lmtokens.add_tokens([(32, "a")], journal=sys.argv[1], deliver=Destination()).finish()
"""


def test_resumed_run_commits_a_delivery_that_was_interrupted(lmtokens_portal: Portal, journal: Path) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", RUN, str(journal), "before commit"], timeout=HANG_TIMEOUT, check=False
    )
    assert killed.returncode == 9
    (token,) = created_tokens(lmtokens_portal)
    assert (token.note, token.status) == ("a", 2)
    destination = RecordingDestination()
    run = lmtokens.add_tokens([(32, "a")], journal=journal, resume=True, deliver=destination)
    assert run.finish().already_done == 1
    assert destination.calls == [("commit", token.id)]
    # Once is enough.
    lmtokens.add_tokens([(32, "a")], journal=journal, resume=True, deliver=destination).finish()
    assert destination.calls == [("commit", token.id)]


def test_failed_commit_is_repeated_when_the_run_is_resumed(lmtokens_portal: Portal, journal: Path) -> None:
    class Failing(RecordingDestination):
        def commit(self, token: lmtokens.Token) -> None:
            super().commit(token)
            if len(self.calls) < 4:
                raise OSError("no room")

    destination = Failing()
    assert lmtokens.add_tokens([(32, "a")], journal=journal, deliver=destination).finish().unknown == 1
    options: dict[str, Any] = {"journal": journal, "resume": True, "deliver": destination}
    assert lmtokens.add_tokens([(32, "a")], **options).finish().unknown == 1
    assert lmtokens.add_tokens([(32, "a")], **options).finish().already_done == 1
    assert destination.names == ["deliver", "commit", "commit", "commit"]
    assert len(created_tokens(lmtokens_portal)) == 1


@pytest.mark.parametrize("deleted", [False, True])
def test_resumed_run_discards_a_delivery_that_will_not_be_finished(
    lmtokens_portal: Portal, journal: Path, deleted: bool
) -> None:
    lmtokens_portal.fail("status-before-acting", method="PATCH", status=403)
    lmtokens_portal.fail("status-before-acting", method="DELETE", status=403, times=None)
    destination = RecordingDestination()
    run = lmtokens.add_tokens([(32, "a")], journal=journal, deliver=destination)
    assert run.finish().failed == 1
    (pending,) = created_tokens(lmtokens_portal)
    assert destination.calls == [("deliver", pending.id)]
    lmtokens_portal.clear_faults()
    if deleted:
        lmtokens.delete_token(pending.id)
    seen_key: list[object] = []

    class Recording(RecordingDestination):
        def discard(self, token: lmtokens.Token) -> None:
            self.calls.append(("discard", token.id))
            seen_key.append(token.access_key)

    again = Recording()
    assert lmtokens.add_tokens([(32, "a")], journal=journal, resume=True, deliver=again).finish().created == 1
    (token,) = created_tokens(lmtokens_portal)
    assert again.calls == [("discard", pending.id), ("deliver", token.id), ("commit", token.id)]
    assert seen_key == [None]
