"""``lmtokens bulk`` in scripts and at a terminal: exit codes, the resume command, and exporting keys."""

from __future__ import annotations

import csv
import fcntl
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

import lmtokens
import pytest
from delivery_helpers import (
    assert_no_key_is_lost,
    created_tokens,
    journal_lines,
    keys_in_journal,
    requests_with_method,
)
from support import (
    HANG_TIMEOUT,
    SHELL,
    run_at_terminal,
    run_shell,
    run_shell_to_closed_pipe,
    screen,
    start_shell,
    wait_until,
)

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
        assert "another process, uses the journal" in completed.stderr
        process.kill()


def test_progress_is_shown_at_a_terminal(lmtokens_portal: Portal, rows: Path, journal: Path) -> None:
    typed = run_at_terminal([*SHELL, "bulk", str(rows), "--journal", str(journal)], [])
    assert typed.status == 0
    assert "/20" in typed.shown
    assert "20 rows: 20 created" in typed.shown


def test_messages_are_not_written_onto_the_progress_bar(lmtokens_portal: Portal, rows: Path, journal: Path) -> None:
    # A wait, two failed rows, and results on the same terminal.
    lmtokens_portal.set_rate_limit(6, 4, method="POST")
    lmtokens_portal.fail("status-before-acting", method="POST", status=403, skip=1, times=2)
    arguments = ["bulk", str(rows), "--journal", str(journal), "--concurrency", "2", "-o", "jsonl"]
    typed = run_at_terminal([*SHELL, *arguments], [])
    lines = [line for line in screen(typed.shown) if line]
    beginnings = (
        r'rate limit of POST|line \d+: failed: |hint: |\{"line":|20 rows: |resume the run with:|  lmtokens bulk '
    )
    # The bar is gone at the end, and every line has one message.
    assert [line for line in lines if not re.match(beginnings, line)] == []
    results = [json.loads(line) for line in lines if line.startswith("{")]
    assert sorted(result["line"] for result in results) == list(range(2, 22))
    assert any(line.startswith("rate limit of POST") for line in lines)
    assert len([line for line in lines if line.startswith("line ")]) == 2
    assert "/20" in typed.shown


def test_interrupt_leaves_no_rest_of_the_progress_bar(lmtokens_portal: Portal, rows: Path, journal: Path) -> None:
    lmtokens_portal.set_rate_limit(3, 90, method="POST")
    arguments = ["bulk", str(rows), "--journal", str(journal)]
    typed = run_at_terminal([*SHELL, *arguments], [("rate limit of POST", "\x03")])
    assert typed.status == 130
    lines = [line for line in screen(typed.shown) if line]
    assert "20 rows: 3 created, 17 not done" in lines
    assert "interrupted by SIGINT" in lines
    assert [line for line in lines if "/20" in line] == []
    assert any(line.startswith("rate limit of POST") for line in lines)


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


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_export_has_the_order_of_the_input(lmtokens_portal: Portal, rows: Path, journal: Path, format: str) -> None:
    lmtokens_portal.fail("delay", method="POST", seconds=2, skip=1)
    notes = [f"row {number}" for number in range(1, 12)]
    rows.write_text("admin_id,note\n" + "".join(f"32,{note}\n" for note in notes))
    assert bulk(rows, journal).returncode == 0
    assert [line["row"]["note"] for line in journal_lines(journal)[1:] if line["event"] == "created"] != notes
    completed = export(journal, "-o", format)
    if format == "csv":
        exported = list(csv.DictReader(io.StringIO(completed.stdout)))
    else:
        exported = [json.loads(line) for line in completed.stdout.splitlines()]
    assert [(int(row["row"]), row["note"]) for row in exported] == list(enumerate(notes, 1))


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


INTERRUPTED_INPUT = "admin_id,note\n32,a\nno-such-user,b\n32,c\n"


@pytest.fixture
def failed_row(lmtokens_portal: Portal, rows: Path, journal: Path) -> Path:
    """The journal of a run with one row that failed."""
    rows.write_text(INTERRUPTED_INPUT)
    assert bulk(rows, journal).returncode == 3
    assert export(journal).returncode == 3
    return journal


@pytest.mark.parametrize(
    "corrected",
    [
        "admin_id,note\n32,a\n33,b\n32,c\n",
        "admin_id,note\n33,b\n32,c\n32,a\n",
        "admin_id,note\n32,c\n32,a\n",
        "admin_id,note\n32,c\n33,b\n33,d\n",
    ],
    ids=["corrected", "reordered", "removed", "replaced"],
)
def test_export_after_a_corrected_run_is_complete(rows: Path, failed_row: Path, corrected: str) -> None:
    rows.write_text(corrected)
    assert bulk(rows, failed_row, "--resume").returncode == 0
    completed = export(failed_row)
    assert (completed.returncode, completed.stderr) == (0, "")
    exported = {row["note"] for row in csv.DictReader(io.StringIO(completed.stdout))}
    # A finished row stays in the journal, which is the only place with its key.
    assert exported == {"a", "c", *(line.split(",")[1] for line in corrected.splitlines()[1:])}
    assert {entry.state for entry in lmtokens.read_journal(failed_row)} == {"created"}


def test_row_that_fails_again_or_returns_is_reported(rows: Path, failed_row: Path) -> None:
    rows.write_text("admin_id,note\n32,a\nno-such-user-either,b\n32,c\n")
    assert bulk(rows, failed_row, "--resume").returncode == 3
    completed = export(failed_row)
    assert completed.returncode == 3
    assert "1 rows are not finished (1 failed)" in completed.stderr
    rows.write_text(INTERRUPTED_INPUT)
    assert bulk(rows, failed_row, "--resume").returncode == 3
    (failed,) = [entry for entry in lmtokens.read_journal(failed_row) if entry.state != "created"]
    assert (failed.admin_id, failed.state) == ("no-such-user", "failed")


def test_input_of_which_every_row_failed_can_be_corrected(lmtokens_portal: Portal, rows: Path, journal: Path) -> None:
    rows.write_text("admin_id,note\nno-such-user,a\n")
    assert bulk(rows, journal).returncode == 1
    rows.write_text("admin_id,note\n32,a\n")
    resumed = bulk(rows, journal, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert export(journal).returncode == 0


@pytest.mark.parametrize("skip", [0, 1, 2])
def test_removing_one_of_several_equal_rows_creates_no_other_token(
    lmtokens_portal: Portal, rows: Path, journal: Path, skip: int
) -> None:
    rows.write_text("admin_id,note\n32,a\n32,a\n32,a\n")
    lmtokens_portal.fail("status-before-acting", method="POST", status=403, skip=skip)
    assert bulk(rows, journal, "--concurrency", "1").returncode == 3
    rows.write_text("admin_id,note\n32,a\n32,a\n")
    resumed = bulk(rows, journal, "--resume")
    assert "2 rows: 0 created, 2 already created" in resumed.stderr
    assert len(created_tokens(lmtokens_portal)) == 2
    assert export(journal).returncode == 0


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_results_are_printed_without_keys(lmtokens_portal: Portal, rows: Path, journal: Path, format: str) -> None:
    rows.write_text("admin_id,note,type\n32,a,lmv1\nno-such-user,b,lmv1\nviewer,c,bearer\n")
    completed = bulk(rows, journal, "-o", format)
    assert completed.returncode == 3
    if format == "csv":
        results = list(csv.DictReader(io.StringIO(completed.stdout)))
    else:
        results = [json.loads(line) for line in completed.stdout.splitlines()]
    by_line = {int(result["line"]): result for result in results}
    stored = {token.note: token for token in created_tokens(lmtokens_portal)}
    assert {line: result["state"] for line, result in by_line.items()} == {2: "created", 3: "failed", 4: "created"}
    assert [str(by_line[line]["admin_id"]) for line in (2, 3, 4)] == ["32", "no-such-user", "viewer"]
    assert (int(by_line[2]["id"]), by_line[2]["access_id"]) == (stored["a"].id, stored["a"].access_id)
    assert "no-such-user" in by_line[3]["reason"]
    assert int(by_line[4]["id"]) == stored["c"].id
    assert not any(token.access_key.reveal() in completed.stdout for token in stored.values())


def test_results_of_a_resumed_run_name_the_earlier_tokens(lmtokens_portal: Portal, rows: Path, journal: Path) -> None:
    assert bulk(rows, journal).returncode == 0
    results = [json.loads(line) for line in bulk(rows, journal, "--resume", "-o", "jsonl").stdout.splitlines()]
    assert {result["state"] for result in results} == {"skipped"}
    assert {result["id"] for result in results} == {token.id for token in created_tokens(lmtokens_portal)}


def test_result_is_printed_when_its_row_ends(lmtokens_portal: Portal, rows: Path, journal: Path) -> None:
    lmtokens_portal.set_rate_limit(3, 90, method="POST")
    with start_shell("bulk", str(rows), "--journal", str(journal), "-o", "jsonl") as process:
        assert process.stdout is not None
        assert [json.loads(process.stdout.readline())["state"] for _ in range(3)] == ["created"] * 3
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=HANG_TIMEOUT)
    assert process.returncode == 130


def test_run_whose_results_cannot_be_printed_stops(lmtokens_portal: Portal, rows: Path, journal: Path) -> None:
    completed = run_shell_to_closed_pipe(
        "bulk", str(rows), "--journal", str(journal), "-o", "jsonl", "--concurrency", "2"
    )
    assert completed.returncode == 1
    assert "cannot write to standard output" in completed.stderr
    stored = created_tokens(lmtokens_portal)
    assert 0 < len(stored) < 20
    assert [token.status for token in stored] == [2] * len(stored)
    resumed = run_pasted(resume_command(completed.stderr).replace(" -o jsonl", ""))
    assert resumed.returncode == 0, resumed.stderr
    assert len(created_tokens(lmtokens_portal)) == 20


@pytest.mark.parametrize(
    "arguments",
    [
        ["--export", "in.csv"],
        ["--export", "--resume"],
        ["--export", "--concurrency", "8"],
        ["--export", "--on-error", "continue"],
        ["--export", "--no-lock"],
        ["--export", "--trust-folder"],
        ["--export", "--dry-run"],
        ["--export", "--company", "acme"],
        ["--export", "--domain", "lmgov.us"],
        ["--export", "--base-url", "http://127.0.0.1:1/santaba/rest"],
        ["--export", "--timeout", "5"],
        ["--export", "--max-wait", "5"],
        ["in.csv", "--skip-damaged"],
        ["in.csv", "-o", "env"],
        ["in.csv", "-o", "env-file"],
        ["in.csv", "--dry-run", "-o", "jsonl"],
        ["in.csv", "--dry-run", "--timeout", "0"],
        ["in.csv", "--dry-run", "--max-wait", "-1"],
        ["in.csv", "--dry-run", "--company", "not a company"],
        ["in.csv", "--dry-run", "--base-url", "http://example.com/santaba/rest"],
    ],
    ids=" ".join,
)
def test_option_without_effect_is_refused(
    lmtokens_portal: Portal, rows: Path, journal: Path, arguments: list[str]
) -> None:
    finished = journal.with_name("finished.journal")
    assert bulk(rows, finished).returncode == 0
    lmtokens_portal.clear_record()
    used = finished if "--export" in arguments else journal
    words = [str(rows) if word == "in.csv" else word for word in arguments]
    completed = run_shell("bulk", "--journal", str(used), *words)
    assert (completed.returncode, completed.stdout) == (2, ""), completed.stderr
    assert lmtokens_portal.record == []
    assert not journal.exists()


def test_dry_run_considers_the_journal(lmtokens_portal: Portal, rows: Path, journal: Path) -> None:
    lmtokens_portal.fail("status-before-acting", method="POST", status=403, times=2)
    bulk(rows, journal)
    before = journal.read_bytes()
    lmtokens_portal.clear_record()
    resumed = bulk(rows, journal, "--resume", "--dry-run")
    assert (resumed.returncode, resumed.stdout) == (0, "2 tokens would be created, 18 already created\n")
    again = bulk(rows, journal, "--dry-run")
    assert (again.returncode, again.stdout) == (1, "")
    assert "exists already" in again.stderr
    other = rows.with_name("other.csv")
    other.write_text("admin_id,note\n33,of another input\n")
    assert "belongs to another input" in bulk(other, journal, "--resume", "--dry-run").stderr
    assert (journal.read_bytes(), lmtokens_portal.record) == (before, [])


def test_dry_run_checks_the_journal_as_the_run_does(lmtokens_portal: Portal, rows: Path, journal: Path) -> None:
    assert bulk(rows, journal).returncode == 0
    lmtokens_portal.clear_record()
    journal.chmod(0o644)
    before = journal.read_bytes()

    def refusal(*arguments: str, path: Path = journal) -> str:
        refused = bulk(rows, path, "--resume", "--dry-run", *arguments)
        assert (refused.returncode, refused.stdout) == (1, "")
        return refused.stderr

    other = "https://acme.logicmonitor.com/santaba/rest"
    assert f"belongs to the portal {lmtokens_portal.base_url}, not to {other}" in refusal("--base-url", other)
    assert "is not a folder" in refusal(path=journal / "run.journal") or "cannot read the folder" in refusal(
        path=journal / "run.journal"
    )
    with journal.open("rb") as locked:
        fcntl.flock(locked, fcntl.LOCK_EX)
        assert "another process, uses the journal" in refusal()
        assert bulk(rows, journal, "--resume", "--dry-run", "--no-lock").returncode == 0
    link = journal.with_name("link")
    link.symlink_to(journal)
    assert "is a symbolic link" in refusal(path=link)
    journal.parent.chmod(0o777)
    assert "can write to" in refusal() or "--trust-folder" in refusal()
    assert bulk(rows, journal, "--resume", "--dry-run", "--trust-folder").returncode == 0
    assert (journal.read_bytes(), lmtokens_portal.record) == (before, [])
    assert journal.stat().st_mode & 0o777 == 0o644


def test_dry_run_needs_no_portal(rows: Path, journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("LM_")]:
        monkeypatch.delenv(name)
    dry = bulk(rows, journal, "--dry-run")
    assert (dry.returncode, dry.stdout, dry.stderr) == (0, "20 tokens would be created\n", "")


def test_dry_run_names_the_options_that_the_base_url_overrides(
    lmtokens_portal: Portal, rows: Path, journal: Path
) -> None:
    words = ["--dry-run", "--company", "acme"]
    assert bulk(rows, journal, *words).stderr == "LM_BASE_URL overrides --company\n"
    elsewhere = {"LM_BASE_URL": "https://gateway.example.com/santaba/rest"}
    warned = run_shell("bulk", str(rows), "--journal", str(journal), *words, environment=elsewhere)
    assert warned.returncode == 0
    assert warned.stderr.startswith("warning: LM_BASE_URL overrides --company: requests go to https://gateway")
    assert warned.stderr.count("LM_BASE_URL") == 1
    invalid = run_shell("bulk", str(rows), "--journal", str(journal), "--dry-run", environment={"LM_BASE_URL": "x"})
    assert (invalid.returncode, invalid.stdout) == (2, "")


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
