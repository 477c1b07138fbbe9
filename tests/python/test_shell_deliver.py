"""``lmtokens add --to`` delivers the secret to its destination only, and never enables a token whose secret is lost."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from delivery_helpers import created_tokens, is_pending, request_methods
from support import HANG_TIMEOUT, SHELL, run_shell, wait_until

if TYPE_CHECKING:
    from lmtokens.sandbox import Portal

needs_full_disk = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")


def secret(portal: Portal) -> str:
    (stored,) = created_tokens(portal)
    assert stored.status == 2
    return stored.access_key.reveal()


@pytest.mark.parametrize("arguments", [[], ["--to", "-"]], ids=["default", "-"])
@pytest.mark.parametrize("format", ["table", "json", "jsonl", "csv", "env", "env-file", "key"])
def test_key_is_printed_to_standard_output_once(lmtokens_portal: Portal, arguments: list[str], format: str) -> None:
    completed = run_shell("add", "32", "--note", "ci", *arguments, "-o", format)
    assert completed.returncode == 0, completed.stderr
    key = secret(lmtokens_portal)
    assert completed.stdout.count(key) == 1
    assert key not in completed.stderr
    assert request_methods(lmtokens_portal) == ["POST", "PATCH"]


def test_delivery_to_a_file(lmtokens_portal: Portal, tmp_path: Path) -> None:
    completed = run_shell("add", "32", "--to", f"file:{tmp_path / 'token.json'}")
    (stored,) = created_tokens(lmtokens_portal)
    assert (completed.returncode, completed.stdout) == (0, f"{stored.id}\n")
    assert json.loads((tmp_path / "token.json").read_text())["access_key"] == secret(lmtokens_portal)
    assert stat.S_IMODE((tmp_path / "token.json").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["token.json"]
    assert secret(lmtokens_portal) not in completed.stdout + completed.stderr
    assert str(tmp_path / "token.json") in completed.stderr


@pytest.mark.parametrize(
    ("format", "prefix"), [("json", "{"), ("env", "export LM_"), ("env-file", "LM_BASE_URL="), ("key", "")]
)
def test_delivery_to_a_file_in_other_formats(lmtokens_portal: Portal, tmp_path: Path, format: str, prefix: str) -> None:
    completed = run_shell("add", "32", "--to", f"file:{tmp_path / 'token'}", "-o", format)
    assert completed.returncode == 0, completed.stderr
    text = (tmp_path / "token").read_text()
    assert text.startswith(prefix or secret(lmtokens_portal))
    assert secret(lmtokens_portal) in text


def test_format_of_the_file_has_an_option_of_its_own(lmtokens_portal: Portal, tmp_path: Path) -> None:
    path = tmp_path / "app.env"
    completed = run_shell("add", "32", "--to", f"file:{path}", "--format", "env-file")
    assert completed.returncode == 0, completed.stderr
    assert f"LM_ACCESS_KEY={secret(lmtokens_portal)}\n" in path.read_text()


def test_delivery_to_a_relative_path(lmtokens_portal: Portal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_shell("add", "32", "--to", "file:token.json").returncode == 0
    assert (tmp_path / "token.json").exists()


def test_existing_file_is_replaced_only_with_overwrite(lmtokens_portal: Portal, tmp_path: Path) -> None:
    path = tmp_path / "token.key"
    path.write_text("the old key")
    completed = run_shell("add", "32", "--to", f"file:{path}", "-o", "key")
    assert completed.returncode == 1
    assert "exists already" in completed.stderr
    assert "--overwrite" in completed.stderr
    assert (path.read_text(), lmtokens_portal.record) == ("the old key", [])
    assert run_shell("add", "32", "--to", f"file:{path}", "-o", "key", "--overwrite").returncode == 0
    assert path.read_text() == secret(lmtokens_portal) + "\n"


def test_delivery_to_a_command(lmtokens_portal: Portal, tmp_path: Path) -> None:
    code = "import pathlib, sys; text = sys.stdin.read(); pathlib.Path(sys.argv[1]).write_text(text); "
    code += "print(text); print(text, file=sys.stderr)"
    completed = run_shell("add", "32", "--to", f"command:{sys.executable} -c '{code}' '{tmp_path / 'a file'}'")
    assert completed.returncode == 0, completed.stderr
    assert json.loads((tmp_path / "a file").read_text())["access_key"] == secret(lmtokens_portal)
    assert completed.stdout == f"{created_tokens(lmtokens_portal)[0].id}\n"
    assert secret(lmtokens_portal) not in completed.stderr


def test_failing_command(lmtokens_portal: Portal) -> None:
    completed = run_shell("add", "32", "--to", "command:sh -c 'cat >&2; exit 5'")
    assert (completed.returncode, completed.stdout) == (1, "")
    assert "exit status: 5" in completed.stderr
    assert "access_key" not in completed.stderr
    assert created_tokens(lmtokens_portal) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["--to", ""],
        ["--to", "file:"],
        ["--to", "command:"],
        ["--to", "command:sh -c 'not closed"],
        ["--to", "vault:x"],
        ["--to", "token.json"],
        ["--to", "command:cat", "-o", "json"],
        ["--to", "command:cat", "--overwrite"],
        ["--to", "file:x", "-o", "table"],
        ["--to", "file:x", "-o", "csv"],
        ["--to", "file:x", "-o", "json", "--format", "json"],
        ["--to", "file:x", "--format", "table"],
        ["--format", "json"],
    ],
    ids=" ".join,
)
def test_invalid_destination_is_rejected_before_any_request(
    lmtokens_portal: Portal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    completed = run_shell("add", "32", *arguments)
    assert (completed.returncode, completed.stdout) == (2, "")
    assert lmtokens_portal.record == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("to", ["file:none/token.json", "file:/", "command:no-such-program-of-lmtokens"])
def test_unusable_destination_is_rejected_before_any_request(lmtokens_portal: Portal, to: str) -> None:
    completed = run_shell("add", "api-user", "--to", to)
    assert (completed.returncode, completed.stdout) == (1, "")
    assert lmtokens_portal.record == []


def test_closed_pipe_leaves_no_token(lmtokens_portal: Portal) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        completed = subprocess.run(
            [*SHELL, "add", "32"], stdout=pipe, stderr=subprocess.PIPE, text=True, timeout=HANG_TIMEOUT, check=False
        )
    assert completed.returncode == 1
    assert "cannot write to standard output" in completed.stderr
    assert created_tokens(lmtokens_portal) == []
    assert request_methods(lmtokens_portal) == ["POST", "DELETE"]


@needs_full_disk
@pytest.mark.parametrize("faults", [0, 2])
def test_full_disk_leaves_no_token(lmtokens_portal: Portal, faults: int) -> None:
    if faults:
        lmtokens_portal.fail("act-then-close", method="DELETE", times=faults)
    with open("/dev/full", "w") as full:
        completed = subprocess.run(
            [*SHELL, "add", "32"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=HANG_TIMEOUT, check=False
        )
    assert completed.returncode == 1
    assert "No space left" in completed.stderr
    assert created_tokens(lmtokens_portal) == []


def test_closed_standard_output_leaves_no_enabled_token(lmtokens_portal: Portal) -> None:
    completed = subprocess.run(
        ["sh", "-c", f'exec "{SHELL[0]}" add 32 >&-'],
        stderr=subprocess.PIPE,
        text=True,
        timeout=HANG_TIMEOUT,
        check=False,
    )
    if completed.returncode == 0:
        pytest.skip("this system replaces a closed standard output")
    assert completed.returncode == 1
    assert [stored for stored in created_tokens(lmtokens_portal) if not is_pending(stored)] == []


def test_interrupt_while_the_command_runs(lmtokens_portal: Portal, tmp_path: Path) -> None:
    command = f"command:sh -c 'touch \"{tmp_path / 'reached'}\"; exec sleep 600'"
    with subprocess.Popen([*SHELL, "add", "32", "--to", command], stderr=subprocess.PIPE, text=True) as process:
        wait_until((tmp_path / "reached").exists)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=HANG_TIMEOUT)
    assert process.returncode == 130
    (pending,) = created_tokens(lmtokens_portal)
    assert is_pending(pending)
    # The pending token is reported, as in the Python API.
    assert str(pending.id) in err
    assert "sweep" in err


def test_unknown_outcome_has_its_own_exit_code(lmtokens_portal: Portal, tmp_path: Path) -> None:
    lmtokens_portal.fail("close-before-acting", method="POST")
    completed = run_shell("add", "32", "--to", f"file:{tmp_path / 'token.json'}")
    assert completed.returncode == 7
    assert "hint: the token is harmless" in completed.stderr
    assert list(tmp_path.iterdir()) == []
