"""``lmtokens bulk`` in scripts and at a terminal: exit codes, the resume command, and exporting keys."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shlex
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from delivery_helpers import assert_no_key_is_lost, created_tokens, keys_in_journal, requests_with_method
from support import HANG_TIMEOUT, SHELL, run_at_terminal, run_shell, wait_until

if TYPE_CHECKING:
    from lmtokens.sandbox import Portal

needs_full_disk = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "in.csv"
    path.write_text("admin_id,note\n" + "".join(f"32,row {number}\n" for number in range(20)))
    return path


def bulk(rows: Path, journal: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_shell("bulk", str(rows), "--journal", str(journal), *arguments)


def resume_command(text: str) -> str:
    """Return the resume command in the output."""
    (command,) = re.findall(r"^  (lmtokens bulk .*--resume.*)$", text, re.MULTILINE)
    return str(command)


def run_pasted(command: str) -> subprocess.CompletedProcess[str]:
    """Run a command line in a shell that has ``lmtokens`` in its PATH."""
    path = os.pathsep.join([str(Path(SHELL[0]).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path}
    return subprocess.run(
        ["sh", "-c", command], env=environment, capture_output=True, text=True, timeout=HANG_TIMEOUT, check=False
    )


def test_exit_code_0_if_all_rows_are_created(lmtokens_portal: Portal, rows: Path, journal: Path) -> None:
    completed = bulk(rows, journal)
    assert (completed.returncode, completed.stdout) == (0, "")
    assert "20 rows: 20 created" in completed.stderr
    assert len(keys_in_journal(journal)) == 20
    assert_no_key_is_lost(lmtokens_portal, keys_in_journal(journal))
    assert not any(key in completed.stderr for key in keys_in_journal(journal).values())


def test_exit_code_3_if_some_rows_fail(lmtokens_portal: Portal, rows: Path, journal: Path) -> None:
    lmtokens_portal.fail("status-before-acting", method="POST", status=403, skip=1, times=2)
    completed = bulk(rows, journal, "--concurrency", "1")
    assert completed.returncode == 3
    assert re.search(r"^line 3: failed: ", completed.stderr, re.MULTILINE)
    assert re.search(r"^line 4: failed: ", completed.stderr, re.MULTILINE)
    assert "20 rows: 18 created, 2 failed" in completed.stderr
    resumed = run_pasted(resume_command(completed.stderr))
    assert resumed.returncode == 0, resumed.stderr
    assert "20 rows: 2 created, 18 already created" in resumed.stderr
    assert len(created_tokens(lmtokens_portal)) == 20


def test_exit_code_1_if_no_row_is_created(lmtokens_portal: Portal, rows: Path, journal: Path) -> None:
    lmtokens_portal.fail("status-before-acting", method="POST", status=400, times=None)
    assert bulk(rows, journal).returncode == 1
    assert created_tokens(lmtokens_portal) == []


def test_exit_code_4_if_credentials_are_rejected(lmtokens_portal: Portal, rows: Path, journal: Path) -> None:
    lmtokens_portal.fail("status-before-acting", method="POST", status=401, skip=4, times=None)
    completed = bulk(rows, journal, "--concurrency", "2")
    assert completed.returncode == 4
    assert "hint: " in completed.stderr
    lmtokens_portal.clear_faults()
    assert run_pasted(resume_command(completed.stderr)).returncode == 0
    assert len(created_tokens(lmtokens_portal)) == 20


def test_on_error_stop_starts_no_further_row(lmtokens_portal: Portal, rows: Path, journal: Path) -> None:
    lmtokens_portal.fail("status-before-acting", method="POST", status=403, skip=3)
    completed = bulk(rows, journal, "--on-error", "stop", "--concurrency", "1")
    assert completed.returncode == 3
    assert "20 rows: 3 created, 1 failed, 16 not done" in completed.stderr


@pytest.mark.parametrize("arguments", [["--concurrency", "0"], ["--concurrency", "65"], ["--on-error", "retry"]])
def test_exit_code_2_for_an_invalid_option(
    lmtokens_portal: Portal, rows: Path, journal: Path, arguments: list[str]
) -> None:
    assert bulk(rows, journal, *arguments).returncode == 2
    assert lmtokens_portal.record == []
    assert not journal.exists()


def test_journal_is_required(lmtokens_portal: Portal, rows: Path) -> None:
    assert run_shell("bulk", str(rows)).returncode == 2


def test_existing_journal_is_rejected(lmtokens_portal: Portal, rows: Path, journal: Path) -> None:
    bulk(rows, journal)
    lmtokens_portal.clear_record()
    completed = bulk(rows, journal)
    assert completed.returncode == 1
    assert "exists already" in completed.stderr
    assert "--resume" in completed.stderr
    assert lmtokens_portal.record == []


def test_resume_command_quotes_special_characters(lmtokens_portal: Portal, tmp_path: Path) -> None:
    folder = tmp_path / "a folder's $HOME"
    folder.mkdir()
    rows = folder / "in put.csv"
    rows.write_text("admin_id,note\n32,a\n32,b\n")
    lmtokens_portal.fail("status-before-acting", method="POST", status=403)
    completed = bulk(rows, folder / "run `id`.journal")
    assert completed.returncode == 3
    command = resume_command(completed.stderr)
    assert str(rows) in shlex.split(command)
    resumed = run_pasted(command)
    assert resumed.returncode == 0, resumed.stderr
    assert len(created_tokens(lmtokens_portal)) == 2


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_a_wait_for_the_rate_limit(
    lmtokens_portal: Portal, rows: Path, journal: Path, signal_number: signal.Signals
) -> None:
    lmtokens_portal.set_rate_limit(7, 90, method="POST")
    command = [*SHELL, "bulk", str(rows), "--journal", str(journal)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        wait_until(lambda: journal.exists() and journal.read_text().count('"event":"created"') == 7)
        begun = time.monotonic()
        process.send_signal(signal_number)
        _, stderr = process.communicate(timeout=HANG_TIMEOUT)
        seconds = time.monotonic() - begun
    print(f"{signal_number.name} in a wait of 90 s for the rate limit: ended after {seconds:.3f} s")
    assert process.returncode == 128 + signal_number
    assert seconds < 5
    # The last row may be in the journal but not yet in the summary.
    assert re.search(r"20 rows: [67] created, 1[34] not done", stderr)
    assert len(keys_in_journal(journal)) == 7
    assert_no_key_is_lost(lmtokens_portal, keys_in_journal(journal))
    lmtokens_portal.set_rate_limit(1000, 60)
    resumed = run_pasted(resume_command(stderr))
    assert resumed.returncode == 0, resumed.stderr
    assert "13 created, 7 already created" in resumed.stderr
    assert len(created_tokens(lmtokens_portal)) == 20


def test_second_process_is_rejected(lmtokens_portal: Portal, rows: Path, journal: Path) -> None:
    lmtokens_portal.set_rate_limit(3, 90, method="POST")
    with subprocess.Popen([*SHELL, "bulk", str(rows), "--journal", str(journal)], stderr=subprocess.DEVNULL) as process:
        wait_until(lambda: len(requests_with_method(lmtokens_portal, "PATCH")) == 3)
        completed = bulk(rows, journal, "--resume")
        assert completed.returncode == 1
        assert "another process uses the journal" in completed.stderr
        process.kill()


def test_progress_is_shown_at_a_terminal(lmtokens_portal: Portal, rows: Path, journal: Path) -> None:
    typed = run_at_terminal([*SHELL, "bulk", str(rows), "--journal", str(journal)], [])
    assert typed.status == 0
    assert "/20" in typed.shown
    assert "20 rows: 20 created" in typed.shown


@pytest.fixture
def finished_journal(lmtokens_portal: Portal, rows: Path, journal: Path) -> Path:
    rows.write_text('admin_id,note,type\n32,it\'s,lmv1\nviewer,"a, b",bearer\n')
    assert bulk(rows, journal).returncode == 0
    lmtokens_portal.clear_record()
    return journal


def export(journal: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_shell("bulk", "--journal", str(journal), "--export", *arguments)


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_export_as_csv_or_json_lines(lmtokens_portal: Portal, finished_journal: Path, format: str) -> None:
    completed = export(finished_journal, "-o", format)
    assert (completed.returncode, completed.stderr) == (0, "")
    if format == "csv":
        exported = list(csv.DictReader(io.StringIO(completed.stdout)))
    else:
        exported = [json.loads(line) for line in completed.stdout.splitlines()]
    stored = created_tokens(lmtokens_portal)
    expected_keys = {each.note: (str(each.id), each.access_id, each.access_key.reveal()) for each in stored}
    for row in exported:
        # A bearer token has no access id.
        assert (str(row["id"]), row["access_id"] or "", row["access_key"]) == expected_keys.pop(row["note"])
    assert expected_keys == {}
    assert lmtokens_portal.record == []


def test_export_as_environment_variables(lmtokens_portal: Portal, finished_journal: Path) -> None:
    completed = export(finished_journal, "-o", "env")
    script = 'eval "$1"; printf "%s\\n" "$LM_ACCESS_ID" "$LM_ACCESS_KEY" "$LM_BEARER_TOKEN"'
    shown = subprocess.run(
        ["sh", "-c", script, "sh", completed.stdout], capture_output=True, text=True, timeout=HANG_TIMEOUT, check=True
    )
    lmv1, bearer = sorted(created_tokens(lmtokens_portal), key=lambda stored: stored.type, reverse=True)
    assert shown.stdout.splitlines() == [lmv1.access_id, lmv1.access_key.reveal(), bearer.access_key.reveal()]
    assert "it's" in completed.stdout


def test_export_needs_no_credentials(finished_journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("LM_")]:
        monkeypatch.delenv(name)
    assert export(finished_journal).returncode == 0


def test_export_reports_unfinished_rows(lmtokens_portal: Portal, rows: Path, journal: Path) -> None:
    lmtokens_portal.fail("status-before-acting", method="POST", status=403, skip=3, times=2)
    bulk(rows, journal)
    completed = export(journal)
    assert completed.returncode == 3
    assert len(list(csv.DictReader(io.StringIO(completed.stdout)))) == 18
    assert "2 rows are not finished (2 failed)" in completed.stderr


def test_export_of_a_missing_or_invalid_journal_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("notes of mine\n")
    for name in ("none", "file"):
        completed = export(tmp_path / name)
        assert (completed.returncode, completed.stdout) == (1, "")
        assert str(tmp_path / name) in completed.stderr


@needs_full_disk
def test_export_to_a_full_disk_is_an_error(finished_journal: Path) -> None:
    with open("/dev/full", "w") as full:
        completed = subprocess.run(
            [*SHELL, "bulk", "--journal", str(finished_journal), "--export"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=HANG_TIMEOUT,
            check=False,
        )
    assert completed.returncode == 1
    assert "cannot write to standard output" in completed.stderr
