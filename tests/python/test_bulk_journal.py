"""The journal of a bulk run: private, written before a token is enabled, and locked by one process."""

from __future__ import annotations

import json
import os
import re
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
from delivery_helpers import TAG, RecordingDestination, created_tokens, journal_lines, keys_in_journal
from support import run_python
from tampering_proxy import Exchange, TamperingProxy

if TYPE_CHECKING:
    from lmtokens.sandbox import Portal

ROWS = [(32, "a"), (33, "b"), ("viewer", None, 1, "bearer")]


def test_journal_is_private_with_any_umask(lmtokens_portal: Portal, journal: Path) -> None:
    before = os.umask(0)
    try:
        lmtokens.add_tokens(ROWS, journal=journal).finish()
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in journal.parent.iterdir()}
    assert modes == {"run.journal": 0o600}


def test_header_comes_first_and_holds_no_secret(lmtokens_portal: Portal, journal: Path) -> None:
    lmtokens.add_tokens(ROWS, journal=journal).finish()
    header, *lines = journal_lines(journal)
    assert header.keys() == {"lmtokens_journal", "run", "proof", "portal", "begun", "holds_keys", "line", "check"}
    assert (header["lmtokens_journal"], header["portal"]) == (2, lmtokens_portal.base_url)
    assert re.fullmatch(r"[0-9a-f]{16}", header["run"])
    assert header["holds_keys"] is True
    assert lmtokens_portal.access_key.reveal() not in journal.read_text()
    assert [line["event"] for line in lines].count("pending") == 3
    assert [line["event"] for line in lines].count("created") == 3


def test_header_is_written_before_the_first_create(lmtokens_portal: Portal, journal: Path) -> None:
    journals: list[list[dict[str, Any]]] = []

    def check_journal(exchange: Exchange) -> None:
        if exchange.method == "POST" and not journals:
            journals.append(journal_lines(journal))

    with TamperingProxy(lmtokens_portal, before=check_journal) as portal:
        portal.client().add_tokens(ROWS, journal=journal).finish()
        ((header,),) = journals
        assert header["portal"] == portal.base_url


def test_key_is_written_before_its_token_is_enabled(lmtokens_portal: Portal, journal: Path) -> None:
    seen: list[bool] = []

    def check_journal(exchange: Exchange) -> None:
        if exchange.method == "PATCH":
            id = int(exchange.path.partition("?")[0].rpartition("/")[2])
            stored = next(stored for stored in created_tokens(lmtokens_portal) if stored.id == id)
            seen.append(keys_in_journal(journal).get(id) == stored.access_key.reveal())

    with TamperingProxy(lmtokens_portal, before=check_journal) as portal:
        portal.client().add_tokens([(32, str(number)) for number in range(30)], journal=journal).finish()
    assert seen == [True] * 30


@pytest.mark.skipif(not os.access("/usr/bin/strace", os.X_OK), reason="needs strace")
def test_key_is_synced_to_disk_before_its_token_is_enabled(lmtokens_portal: Portal, journal: Path) -> None:
    code = """
import os, sys, subprocess
os.execv("/usr/bin/strace", ["strace", "-f", "-s", "40", "-e", "trace=write,writev,sendto,fsync,fdatasync", "-y",
    "-o", sys.argv[1] + ".strace", sys.executable, "-c", sys.argv[2], sys.argv[1]])
"""
    add_tokens = "import lmtokens, sys; lmtokens.add_tokens([(32,)] * 3, journal=sys.argv[1], concurrency=1).finish()"
    completed = run_python(code, str(journal), add_tokens)
    assert completed.returncode == 0, completed.stderr
    steps = []
    for line in Path(f"{journal}.strace").read_text().splitlines():
        if '{\\"event\\":\\"pending\\"' in line:
            steps.append("pending")
        elif "sync(" in line and "run.journal" in line and "resumed" not in line:
            steps.append("sync")
        elif '"PATCH ' in line:
            steps.append("PATCH")
    assert "PATCH" in steps
    for index, step in enumerate(steps):
        if step == "PATCH":
            assert "sync" in steps[:index]
            last_pending = max(other for other in range(index) if steps[other] == "pending")
            assert "sync" in steps[last_pending:index]


def test_pending_line_has_the_tag_and_the_row(lmtokens_portal: Portal, journal: Path) -> None:
    lmtokens.add_tokens([(32, "a")], journal=journal).finish()
    header, line, _ = journal_lines(journal)
    (stored,) = created_tokens(lmtokens_portal)
    assert line["row"] == {"admin": 32, "note": "a", "status": 2, "type": "lmv1", "nth": 0}
    assert (line["token"]["id"], line["token"]["access_key"]) == (stored.id, stored.access_key.reveal())
    assert TAG.fullmatch(line["token"]["tag"])
    assert header["run"] in line["token"]["tag"]


def test_read_journal_returns_rows_with_their_keys(lmtokens_portal: Portal, journal: Path) -> None:
    lmtokens_portal.fail("status-before-acting", method="POST", status=400, skip=1)
    lmtokens.add_tokens(ROWS, journal=journal, concurrency=1).finish()
    first, second, third = lmtokens.read_journal(journal)
    assert [(entry.state, entry.admin_id, entry.note) for entry in (first, second, third)] == [
        ("created", 32, "a"),
        ("failed", 33, "b"),
        ("created", "viewer", None),
    ]
    assert first.token is not None
    assert (first.token.admin_id, first.token.status, first.error) == (32, lmtokens.TokenStatus.ENABLED, None)
    assert second.token is None
    assert second.error
    assert third.token is not None
    assert (third.token.admin_id, third.token.status) == (33, lmtokens.TokenStatus.DISABLED)
    assert third.token.type == lmtokens.TokenType.BEARER
    keys = keys_in_journal(journal)
    assert keys == {stored.id: stored.access_key.reveal() for stored in created_tokens(lmtokens_portal)}
    assert not any(key in repr([first, second, third]) for key in keys.values())


def test_rows_are_read_in_the_order_of_the_input(lmtokens_portal: Portal, journal: Path) -> None:
    lmtokens_portal.fail("delay", method="POST", seconds=2, skip=1)
    rows = [(32, "a"), (32, "b"), (32, "c")]
    ended = [result.number for result in lmtokens.add_tokens(rows, journal=journal)]
    assert ended == [1, 3, 2]
    read = [(entry.number, entry.note) for entry in lmtokens.read_journal(journal)]
    assert read == [(1, "a"), (2, "b"), (3, "c")]


def test_order_of_the_input_of_the_last_run_counts(lmtokens_portal: Portal, journal: Path) -> None:
    lmtokens.add_tokens([(32, "removed"), (32, "a")], journal=journal, concurrency=1).finish()
    rows = [("no-such-user", "b"), (33, "c"), (32, "a")]
    lmtokens.add_tokens(rows, journal=journal, resume=True).finish()
    read = [(entry.number, entry.state, entry.note) for entry in lmtokens.read_journal(journal)]
    # The removed row keeps the number that it had.
    assert read == [(1, "created", "removed"), (1, "failed", "b"), (2, "created", "c"), (3, "created", "a")]


def test_damage_is_listed_after_the_rows(lmtokens_portal: Portal, journal: Path) -> None:
    lmtokens.add_tokens([(32, "a"), (32, "b")], journal=journal, concurrency=1).finish()
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:2], b"{}\n", *lines[3:]]))
    read = [(entry.state, entry.note) for entry in lmtokens.read_journal(journal, skip_damaged=True)]
    assert read == [("pending", "a"), ("created", "b"), ("damaged", None)]


def test_entries_name_users_as_the_rows_do(lmtokens_portal: Portal, journal: Path) -> None:
    rows = [(32, "a"), ("viewer", "b"), ("no-such-user", "c")]
    results = sorted(lmtokens.add_tokens(rows, journal=journal), key=lambda result: result.number)
    entries = {entry.note: entry.admin_id for entry in lmtokens.read_journal(journal)}
    assert entries == {result.row.note: result.row.admin_id for result in results}
    assert entries == {"a": 32, "b": "viewer", "c": "no-such-user"}


def test_damaged_entry_names_no_user(lmtokens_portal: Portal, journal: Path) -> None:
    lmtokens.add_tokens([(32, "a"), (32, "b")], journal=journal, concurrency=1).finish()
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:2], b"{}\n", *lines[3:]]))
    damaged = [entry for entry in lmtokens.read_journal(journal, skip_damaged=True) if entry.state == "damaged"]
    assert [entry.admin_id for entry in damaged] == [None]
    assert [repr(entry) for entry in damaged] == [f"<lmtokens.JournalEntry damaged: {damaged[0].error}>"]


def test_corrected_row_is_left_out(lmtokens_portal: Portal, journal: Path) -> None:
    lmtokens.add_tokens([(32, "a"), ("no-such-user", "b")], journal=journal).finish()
    summary = lmtokens.add_tokens([("viewer", "b"), (32, "a")], journal=journal, resume=True).finish()
    assert (summary.total, summary.created, summary.already_done) == (2, 1, 1)
    assert [(entry.state, entry.note) for entry in lmtokens.read_journal(journal)] == [
        ("created", "b"),
        ("created", "a"),
    ]


def test_journal_can_be_read_during_the_run(lmtokens_portal: Portal, journal: Path) -> None:
    run = lmtokens.add_tokens([(32,)] * 3, journal=journal, concurrency=1)
    next(run)
    assert "created" in {entry.state for entry in lmtokens.read_journal(journal)}
    assert run.finish().created == 3


@pytest.mark.parametrize("text", ["hello\n", "{}\n", '{"lmtokens_journal":1}\n', "[]\n", '{"id":7}\n'])
def test_file_that_is_not_a_journal_cannot_be_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "file").write_text(text)
    with pytest.raises(lmtokens.DeliveryError, match="is not a journal"):
        lmtokens.read_journal(tmp_path / "file")


def test_missing_journal_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(lmtokens.DeliveryError, match="cannot read"):
        lmtokens.read_journal(tmp_path / "none")


@pytest.mark.parametrize("version", [1, 3])
def test_journal_of_another_version_is_rejected(lmtokens_portal: Portal, journal: Path, version: int) -> None:
    lmtokens.add_tokens(ROWS, journal=journal).finish()
    journal.write_text(journal.read_text().replace('"lmtokens_journal":2', f'"lmtokens_journal":{version}'))
    with pytest.raises(lmtokens.DeliveryError, match=f"version {version}; expected 2"):
        lmtokens.read_journal(journal)
    with pytest.raises(lmtokens.DeliveryError, match=f"version {version}; expected 2"):
        lmtokens.add_tokens(ROWS, journal=journal, resume=True)


def test_existing_journal_is_rejected_unless_resumed(lmtokens_portal: Portal, journal: Path) -> None:
    lmtokens.add_tokens(ROWS, journal=journal).finish()
    text = journal.read_text()
    lmtokens_portal.clear_record()
    with pytest.raises(lmtokens.DeliveryError, match="exists already") as caught:
        lmtokens.add_tokens(ROWS, journal=journal)
    assert "resume=True" in str(caught.value.suggestion)
    assert journal.read_text() == text
    assert lmtokens_portal.record == []


@pytest.mark.parametrize("resume", [False, True])
def test_unsafe_path_is_rejected_before_the_first_request(
    lmtokens_portal: Portal, tmp_path: Path, resume: bool
) -> None:
    (tmp_path / "target").touch()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder").chmod(0o777)
    os.mkfifo(tmp_path / "pipe")
    for path, reason in [
        (tmp_path / "link", "symbolic link"),
        (tmp_path / "folder", "not a regular file"),
        (tmp_path / "folder" / "journal", "other users can write"),
        (tmp_path / "none" / "journal", "cannot read the folder"),
        (tmp_path / "pipe", "not a regular file"),
    ]:
        with pytest.raises(lmtokens.DeliveryError, match=reason):
            lmtokens.add_tokens(ROWS, journal=path, resume=resume)
    assert lmtokens_portal.record == []


def test_relative_path_is_resolved_when_the_run_is_created(
    lmtokens_portal: Portal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path)
    run = lmtokens.add_tokens(ROWS, journal="run.journal")
    monkeypatch.chdir(tmp_path / "there")
    assert run.finish().created == 3
    assert len(lmtokens.read_journal(tmp_path / "run.journal")) == 3


def test_resuming_makes_a_readable_journal_private(lmtokens_portal: Portal, journal: Path) -> None:
    lmtokens.add_tokens(ROWS, journal=journal).finish()
    journal.chmod(0o644)
    lmtokens.add_tokens(ROWS, journal=journal, resume=True).finish()
    assert stat.S_IMODE(journal.stat().st_mode) == 0o600


SECOND_PROCESS = """
import sys, lmtokens
try:
    run = lmtokens.add_tokens([(32, "a")], journal=sys.argv[1], resume=True, lock="unlocked" not in sys.argv)
except lmtokens.DeliveryError as error:
    sys.exit(f"{error}; {error.suggestion}")
print(run.summary)
"""


def test_second_process_is_rejected(lmtokens_portal: Portal, journal: Path) -> None:
    run = lmtokens.add_tokens([(32, "a"), (32, "b")], journal=journal)
    text = journal.read_text()
    completed = run_python(SECOND_PROCESS, str(journal))
    assert completed.returncode == 1
    assert f"another process, uses the journal {journal}" in completed.stderr
    assert (journal.read_text(), lmtokens_portal.record) == (text, [])
    assert run.finish().created == 2


def test_lock_is_released_at_the_end_of_the_run(lmtokens_portal: Portal, journal: Path) -> None:
    lmtokens.add_tokens([(32, "a")], journal=journal).finish()
    completed = run_python(SECOND_PROCESS, str(journal))
    assert completed.returncode == 0, completed.stderr


def test_lock_of_a_killed_process_is_released(lmtokens_portal: Portal, journal: Path) -> None:
    code = "import os, sys, lmtokens; run = lmtokens.add_tokens([(32, 'a')], journal=sys.argv[1]); os._exit(9)"
    assert run_python(code, str(journal)).returncode == 9
    assert lmtokens.add_tokens([(32, "a")], journal=journal, resume=True).finish().created == 1


@pytest.mark.skipif(sys.platform == "win32", reason="locks on Windows also prevent reading")
def test_lock_can_be_disabled(lmtokens_portal: Portal, journal: Path) -> None:
    lmtokens.add_tokens([(32, "a")], journal=journal, lock=False).finish()
    holder = lmtokens.add_tokens([(32, "a")], journal=journal, resume=True)
    completed = run_python(SECOND_PROCESS, str(journal), "unlocked")
    assert completed.returncode == 0, completed.stderr
    holder.close()


def test_journal_has_no_secret_if_the_run_has_a_destination(lmtokens_portal: Portal, journal: Path) -> None:
    lmtokens.add_tokens(ROWS, journal=journal, deliver=RecordingDestination()).finish()
    text = journal.read_text()
    assert json.loads(text.splitlines()[0])["holds_keys"] is False
    assert not any(stored.access_key.reveal() in text for stored in created_tokens(lmtokens_portal))
    assert keys_in_journal(journal) == {}
    assert [entry.state for entry in lmtokens.read_journal(journal)] == ["created"] * 3
