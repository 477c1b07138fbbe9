"""Ctrl-C ends the command with exit code 130 and without a traceback at any time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from lmtokens import __main__, _lmtokens
from support import ACCESS_ID, HANG_TIMEOUT, SHELL, run_at_terminal, start_shell, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from lmtokens.sandbox import Portal


def test_interrupt_while_the_result_is_written(lmtokens_portal: Portal) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while os.write(writing, b"\n" * 65_536):
            pass
    os.set_blocking(writing, True)
    try:
        with subprocess.Popen(
            [*SHELL, "add", "32"], stdin=subprocess.DEVNULL, stdout=writing, stderr=subprocess.PIPE, text=True
        ) as process:
            os.close(writing)
            wait_until(lambda: [seen.status for seen in lmtokens_portal.record] == [200])
            process.send_signal(signal.SIGINT)
            while os.read(reading, 65_536):
                pass
            _, err = process.communicate(timeout=HANG_TIMEOUT)
    finally:
        os.close(reading)
    assert process.returncode == 130, err
    assert "Traceback" not in err


@pytest.mark.parametrize("command", [["list", "-o", "jsonl"], ["users"], ["show", "101"], ["sign", "GET", "/x"]])
def test_interrupt_while_nobody_reads_the_output(lmtokens_portal: Portal, command: list[str]) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while os.write(writing, b"\n" * 65_536):
            pass
    os.set_blocking(writing, True)
    try:
        with subprocess.Popen([*SHELL, *command], stdin=subprocess.DEVNULL, stdout=writing) as process:
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(1)
            process.send_signal(signal.SIGINT)
            assert process.wait(HANG_TIMEOUT) == 130
    finally:
        os.close(reading)
        os.close(writing)
    assert len(lmtokens_portal.record) <= 2


def test_interrupt_before_any_request(lmtokens_portal: Portal, tmp_path: Path) -> None:
    # The input is a FIFO, so the command waits for it before it calls the portal.
    rows = tmp_path / "in.csv"
    os.mkfifo(rows)
    with start_shell("bulk", str(rows), "--journal", str(tmp_path / "run.journal")) as process:
        with rows.open("w") as pipe:
            process.send_signal(signal.SIGINT)
            pipe.write("admin_id\n32\n")
        out, err = process.communicate(timeout=HANG_TIMEOUT)
    assert (process.returncode, out, err) == (130, "", "interrupted by SIGINT\n")
    assert lmtokens_portal.record == []


@pytest.mark.parametrize(
    "command",
    [
        ["users"],
        ["list"],
        ["show", "101"],
        ["whoami"],
        ["doctor"],
        ["disable", "103", "104"],
        ["delete", "103", "--yes"],
    ],
    ids=lambda command: command[0],
)
def test_interrupt_during_a_request(lmtokens_portal: Portal, command: list[str]) -> None:
    lmtokens_portal.fail("delay", seconds=HANG_TIMEOUT * 2, times=None)
    with start_shell(*command) as process:
        wait_until(lambda: lmtokens_portal.record)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=HANG_TIMEOUT)
    assert (process.returncode, out) == (130, "")
    assert err.endswith("interrupted by SIGINT\n")
    assert "Traceback" not in err
    assert len(lmtokens_portal.record) == 1


def test_interrupt_outside_the_native_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(arguments: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(_lmtokens, "_shell", interrupted)
    assert __main__.main() == 130


@pytest.mark.parametrize("prompt", ["Access id", "Access key"])
@pytest.mark.parametrize("redirect_stdout", [False, True], ids=["terminal", "redirected"])
def test_interrupt_at_the_prompt(
    lmtokens_portal: Portal, monkeypatch: pytest.MonkeyPatch, prompt: str, redirect_stdout: bool
) -> None:
    for name in ("LM_ACCESS_ID", "LM_ACCESS_KEY"):
        monkeypatch.delenv(name)
    dialogue = [("Access id", "\x03")]
    if prompt == "Access key":
        dialogue = [("Access id", f"{ACCESS_ID}\n"), (prompt, "\x03")]
    terminal = run_at_terminal([*SHELL, "add", "32"], dialogue, redirect_stdout=redirect_stdout)
    assert (terminal.status, terminal.stdout) == (130, ""), terminal.shown
    assert terminal.shown.endswith("interrupted by SIGINT\r\n")
    assert "error:" not in terminal.shown
    assert "Traceback" not in terminal.shown
    assert lmtokens_portal.record == []


def test_end_of_input_at_the_prompt_is_a_credentials_error(
    lmtokens_portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LM_ACCESS_ID", "LM_ACCESS_KEY"):
        monkeypatch.delenv(name)
    terminal = run_at_terminal([*SHELL, "add", "32"], [("Access id", "\x04")], redirect_stdout=True)
    assert (terminal.status, terminal.stdout) == (4, ""), terminal.shown
    assert "EOFError" in terminal.shown


def test_interrupt_at_the_prompt_of_a_python_program_propagates(
    lmtokens_portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LM_ACCESS_ID", "LM_ACCESS_KEY"):
        monkeypatch.delenv(name)
    code = (
        "import lmtokens\n"
        "try: lmtokens.add_token(32)\n"
        "except KeyboardInterrupt as error: print('interrupted', error.__context__)\n"
    )
    terminal = run_at_terminal([sys.executable, "-c", code], [("Access id", "\x03")], redirect_stdout=True)
    assert (terminal.status, terminal.stdout) == (0, "interrupted None\n"), terminal.shown
