"""``lmtokens bulk`` as scripts and people at a terminal use it: exit codes, the resume command, and the keys again."""

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
from delivery_helpers import assert_nobody_lacks_a_key, keys_of, made, of_method
from support import PATIENCE, SHELL, run_at_terminal, run_shell, wait_until

if TYPE_CHECKING:
    from lmtokens.sandbox import Portal

needs_full_disk = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no disk that is always full")


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "in.csv"
    path.write_text("admin_id,note\n" + "".join(f"32,row {number}\n" for number in range(20)))
    return path


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "run.journal"


def bulk(rows: Path, journal: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_shell("bulk", str(rows), "--journal", str(journal), *arguments)


def resume_command(text: str) -> str:
    """The line that the user is told to go on with."""
    (command,) = re.findall(r"^  (lmtokens bulk .*--resume.*)$", text, re.MULTILINE)
    return str(command)


def paste(command: str) -> subprocess.CompletedProcess[str]:
    """Runs a line as a shell does where the command is installed."""
    path = os.pathsep.join([str(Path(SHELL[0]).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path}
    return subprocess.run(
        ["sh", "-c", command], env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )


def test_all_made(lmtokens_portal: Portal, rows: Path, journal: Path) -> None:
    completed = bulk(rows, journal)
    assert (completed.returncode, completed.stdout) == (0, "")
    assert "20 rows: 20 created" in completed.stderr
    assert len(keys_of(journal)) == 20
    assert_nobody_lacks_a_key(lmtokens_portal, keys_of(journal))
    assert not any(key in completed.stderr for key in keys_of(journal).values())


def test_some_made(lmtokens_portal: Portal, rows: Path, journal: Path) -> None:
    lmtokens_portal.fail("status-before-acting", method="POST", status=403, skip=1, times=2)
    completed = bulk(rows, journal, "--concurrency", "1")
    assert completed.returncode == 3
    assert re.search(r"^line 3: failed: ", completed.stderr, re.MULTILINE)
    assert re.search(r"^line 4: failed: ", completed.stderr, re.MULTILINE)
    assert "20 rows: 18 created, 2 failed" in completed.stderr
    again = paste(resume_command(completed.stderr))
    assert again.returncode == 0, again.stderr
    assert "20 rows: 2 created, 18 already created" in again.stderr
    assert len(made(lmtokens_portal)) == 20


def test_none_made(lmtokens_portal: Portal, rows: Path, journal: Path) -> None:
    lmtokens_portal.fail("status-before-acting", method="POST", status=400, times=None)
    assert bulk(rows, journal).returncode == 1
    assert made(lmtokens_portal) == []


def test_refused_credentials(lmtokens_portal: Portal, rows: Path, journal: Path) -> None:
    lmtokens_portal.fail("status-before-acting", method="POST", status=401, skip=4, times=None)
    completed = bulk(rows, journal, "--concurrency", "2")
    assert completed.returncode == 4
    assert "hint: " in completed.stderr
    lmtokens_portal.clear_faults()
    assert paste(resume_command(completed.stderr)).returncode == 0
    assert len(made(lmtokens_portal)) == 20


def test_on_error_stop(lmtokens_portal: Portal, rows: Path, journal: Path) -> None:
    lmtokens_portal.fail("status-before-acting", method="POST", status=403, skip=3)
    completed = bulk(rows, journal, "--on-error", "stop", "--concurrency", "1")
    assert completed.returncode == 3
    assert "20 rows: 3 created, 1 failed, 16 not done" in completed.stderr


@pytest.mark.parametrize("arguments", [["--concurrency", "0"], ["--concurrency", "65"], ["--on-error", "retry"]])
def test_impossible_option(lmtokens_portal: Portal, rows: Path, journal: Path, arguments: list[str]) -> None:
    assert bulk(rows, journal, *arguments).returncode == 2
    assert lmtokens_portal.record == []
    assert not journal.exists()


def test_journal_is_needed(lmtokens_portal: Portal, rows: Path) -> None:
    assert run_shell("bulk", str(rows)).returncode == 2


def test_journal_that_is_there(lmtokens_portal: Portal, rows: Path, journal: Path) -> None:
    bulk(rows, journal)
    lmtokens_portal.clear_record()
    completed = bulk(rows, journal)
    assert completed.returncode == 1
    assert "exists already" in completed.stderr
    assert "--resume" in completed.stderr
    assert lmtokens_portal.record == []


def test_resume_command_of_odd_names_works_when_pasted(lmtokens_portal: Portal, tmp_path: Path) -> None:
    folder = tmp_path / "a folder's $HOME"
    folder.mkdir()
    rows = folder / "in put.csv"
    rows.write_text("admin_id,note\n32,a\n32,b\n")
    lmtokens_portal.fail("status-before-acting", method="POST", status=403)
    completed = bulk(rows, folder / "run `id`.journal")
    assert completed.returncode == 3
    command = resume_command(completed.stderr)
    assert str(rows) in shlex.split(command)
    again = paste(command)
    assert again.returncode == 0, again.stderr
    assert len(made(lmtokens_portal)) == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_in_a_wait_for_the_budget(
    lmtokens_portal: Portal, rows: Path, journal: Path, number: signal.Signals
) -> None:
    lmtokens_portal.set_rate_limit(7, 90, method="POST")
    command = [*SHELL, "bulk", str(rows), "--journal", str(journal)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        wait_until(lambda: journal.exists() and journal.read_text().count('"event":"created"') == 7)
        begun = time.monotonic()
        process.send_signal(number)
        _, said = process.communicate(timeout=PATIENCE)
        seconds = time.monotonic() - begun
    print(f"{number.name} in a wait of 90 s for the budget: ended after {seconds:.3f} s")
    assert process.returncode == 128 + number
    assert seconds < 5
    # The last one may stand in the journal and not yet be counted.
    assert re.search(r"20 rows: [67] created, 1[34] not done", said)
    assert len(keys_of(journal)) == 7
    assert_nobody_lacks_a_key(lmtokens_portal, keys_of(journal))
    lmtokens_portal.set_rate_limit(1000, 60)
    again = paste(resume_command(said))
    assert again.returncode == 0, again.stderr
    assert "13 created, 7 already created" in again.stderr
    assert len(made(lmtokens_portal)) == 20


def test_second_process_is_refused(lmtokens_portal: Portal, rows: Path, journal: Path) -> None:
    lmtokens_portal.set_rate_limit(3, 90, method="POST")
    with subprocess.Popen([*SHELL, "bulk", str(rows), "--journal", str(journal)], stderr=subprocess.DEVNULL) as process:
        wait_until(lambda: len(of_method(lmtokens_portal, "PATCH")) == 3)
        completed = bulk(rows, journal, "--resume")
        assert completed.returncode == 1
        assert "another process is at work" in completed.stderr
        process.kill()


def test_progress_is_shown_at_a_terminal_only(lmtokens_portal: Portal, rows: Path, journal: Path) -> None:
    typed = run_at_terminal([*SHELL, "bulk", str(rows), "--journal", str(journal)], [])
    assert typed.status == 0
    assert "/20" in typed.shown
    assert "20 rows: 20 created" in typed.shown


@pytest.fixture
def finished(lmtokens_portal: Portal, rows: Path, journal: Path) -> Path:
    rows.write_text('admin_id,note,type\n32,it\'s,lmv1\nviewer,"a, b",bearer\n')
    assert bulk(rows, journal).returncode == 0
    lmtokens_portal.clear_record()
    return journal


def export(journal: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_shell("bulk", "--journal", str(journal), "--export", *arguments)


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_export_of_rows(lmtokens_portal: Portal, finished: Path, format: str) -> None:
    completed = export(finished, "-o", format)
    assert (completed.returncode, completed.stderr) == (0, "")
    if format == "csv":
        told = list(csv.DictReader(io.StringIO(completed.stdout)))
    else:
        told = [json.loads(line) for line in completed.stdout.splitlines()]
    stored = made(lmtokens_portal)
    kept = {each.note: (str(each.id), each.access_id, each.access_key.reveal()) for each in stored}
    for row in told:
        # A bearer has no access id.
        assert (str(row["id"]), row["access_id"] or "", row["access_key"]) == kept.pop(row["note"])
    assert kept == {}
    assert lmtokens_portal.record == []


def test_export_for_a_shell(lmtokens_portal: Portal, finished: Path) -> None:
    completed = export(finished, "-o", "env")
    script = 'eval "$1"; printf "%s\\n" "$LM_ACCESS_ID" "$LM_ACCESS_KEY" "$LM_BEARER_TOKEN"'
    shown = subprocess.run(
        ["sh", "-c", script, "sh", completed.stdout], capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    lmv1, bearer = sorted(made(lmtokens_portal), key=lambda stored: stored.type, reverse=True)
    assert shown.stdout.splitlines() == [lmv1.access_id, lmv1.access_key.reveal(), bearer.access_key.reveal()]
    assert "it's" in completed.stdout


def test_export_needs_no_credentials(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("LM_")]:
        monkeypatch.delenv(name)
    assert export(finished).returncode == 0


def test_export_says_what_is_not_finished(lmtokens_portal: Portal, rows: Path, journal: Path) -> None:
    lmtokens_portal.fail("status-before-acting", method="POST", status=403, skip=3, times=2)
    bulk(rows, journal)
    completed = export(journal)
    assert completed.returncode == 3
    assert len(list(csv.DictReader(io.StringIO(completed.stdout)))) == 18
    assert "2 rows are not finished (2 failed)" in completed.stderr


def test_export_of_no_journal(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("notes of mine\n")
    for name in ("none", "file"):
        completed = export(tmp_path / name)
        assert (completed.returncode, completed.stdout) == (1, "")
        assert str(tmp_path / name) in completed.stderr


@needs_full_disk
def test_export_to_a_full_disk_is_an_error(finished: Path) -> None:
    with open("/dev/full", "w") as full:
        completed = subprocess.run(
            [*SHELL, "bulk", "--journal", str(finished), "--export"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    assert completed.returncode == 1
    assert "cannot write to standard output" in completed.stderr
