"""A command as the destination: it receives JSON, must exit successfully in time, and its output is not shown."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
from api_variants import VARIANTS, api_for
from delivery_helpers import created_tokens, is_pending
from lmtokens.deliver import to_command
from process_usage import is_running
from support import HANG_TIMEOUT, run_python, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from lmtokens.sandbox import Portal


def python_command(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", code, *arguments]


WRITE_STDIN = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_text(sys.stdin.read())"


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("type", ["lmv1", "bearer"])
def test_command_receives_the_token_as_json(lmtokens_portal: Portal, tmp_path: Path, variant: Any, type: Any) -> None:
    command = python_command(WRITE_STDIN, str(tmp_path / "got"))
    token = api_for(variant, lmtokens_portal).add_token(32, "ci", type=type, deliver=to_command(command))
    (stored,) = created_tokens(lmtokens_portal)
    received = json.loads((tmp_path / "got").read_text())
    assert (received["access_key"], received["id"], received["note"]) == (stored.access_key.reveal(), token.id, "ci")
    assert (received["status"], received["type"], stored.status) == (2, type, 2)


def test_token_is_disabled_until_the_command_exits(lmtokens_portal: Portal, tmp_path: Path) -> None:
    code = """
import pathlib, sys, time
sys.stdin.read()
pathlib.Path(sys.argv[1]).touch()
while not pathlib.Path(sys.argv[2]).exists():
    time.sleep(0.01)
"""
    reached, go = tmp_path / "reached", tmp_path / "go"
    code_of_caller = "import lmtokens, sys; from lmtokens.deliver import to_command; "
    code_of_caller += "lmtokens.add_token(32, deliver=to_command(sys.argv[1:]))"
    with subprocess.Popen(python_command(code_of_caller, *python_command(code, str(reached), str(go)))) as process:
        wait_until(reached.exists)
        (stored,) = created_tokens(lmtokens_portal)
        assert is_pending(stored)
        go.touch()
        assert process.wait(HANG_TIMEOUT) == 0
    assert created_tokens(lmtokens_portal)[0].status == 2


@pytest.mark.parametrize("variant", VARIANTS)
def test_failed_command_deletes_the_token_and_its_output_is_not_shown(
    lmtokens_portal: Portal, capfd: pytest.CaptureFixture[str], variant: str
) -> None:
    code = "import sys; text = sys.stdin.read(); print(text); print(text, file=sys.stderr); sys.exit(3)"
    with pytest.raises(lmtokens.DeliveryError, match="exit status: 3") as caught:
        api_for(variant, lmtokens_portal).add_token(32, deliver=to_command(python_command(code)))
    assert created_tokens(lmtokens_portal) == []
    assert capfd.readouterr() == ("", "")
    assert "access_key" not in f"{caught.value} {caught.value.suggestion}"
    assert "has been deleted" in str(caught.value.suggestion)


def test_output_of_a_successful_command_is_not_shown(
    lmtokens_portal: Portal, capfd: pytest.CaptureFixture[str]
) -> None:
    code = "import sys; text = sys.stdin.read(); print(text); print(text, file=sys.stderr)"
    lmtokens.add_token(32, deliver=to_command(python_command(code)))
    assert capfd.readouterr() == ("", "")
    assert created_tokens(lmtokens_portal)[0].status == 2


def test_command_killed_by_a_signal_deletes_the_token(lmtokens_portal: Portal) -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    with pytest.raises(lmtokens.DeliveryError, match="signal: 9"):
        lmtokens.add_token(32, deliver=to_command(python_command(code)))
    assert created_tokens(lmtokens_portal) == []


def test_command_is_killed_after_its_timeout(lmtokens_portal: Portal, tmp_path: Path) -> None:
    code = (
        f"import os, pathlib, time; pathlib.Path(r'{tmp_path / 'pid'}').write_text(str(os.getpid())); time.sleep(600)"
    )
    begun = time.monotonic()
    with pytest.raises(lmtokens.DeliveryError, match="did not exit within 2 s"):
        lmtokens.add_token(32, deliver=to_command(python_command(code), timeout=2))
    assert time.monotonic() - begun < HANG_TIMEOUT
    assert created_tokens(lmtokens_portal) == []
    pid = int((tmp_path / "pid").read_text())
    wait_until(lambda: not is_running(pid))


def test_command_that_does_not_read_its_whole_input_fails(lmtokens_portal: Portal) -> None:
    code = "import os, sys; os.read(0, 10); os.close(0)"
    with pytest.raises(lmtokens.DeliveryError, match="did not read the whole token"):
        lmtokens.add_token(32, "x" * 500_000, deliver=to_command(python_command(code)))
    assert created_tokens(lmtokens_portal) == []


def test_command_that_never_reads_is_killed_after_its_timeout(lmtokens_portal: Portal) -> None:
    with pytest.raises(lmtokens.DeliveryError, match="did not exit within"):
        lmtokens.add_token(32, "x" * 500_000, deliver=to_command(["sleep", "600"], timeout=0.5))
    assert created_tokens(lmtokens_portal) == []


def test_missing_program_is_rejected_before_the_first_request(lmtokens_portal: Portal, tmp_path: Path) -> None:
    for program in ("no-such-program-of-lmtokens", str(tmp_path / "none"), str(tmp_path)):
        with pytest.raises(lmtokens.DeliveryError, match=re.escape(f"cannot find the command {program}")):
            lmtokens.add_token("api-user", deliver=to_command([program]))
    assert lmtokens_portal.record == []


def test_program_that_cannot_be_executed_deletes_the_token(lmtokens_portal: Portal, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o600)
    with pytest.raises(lmtokens.DeliveryError, match="cannot"):
        lmtokens.add_token(32, deliver=to_command([program]))
    assert created_tokens(lmtokens_portal) == []


def test_arguments_are_not_interpreted_by_a_shell(lmtokens_portal: Portal, tmp_path: Path) -> None:
    special = "a b; $HOME `id` 'x' \"y\" *"
    code = "import pathlib, sys; sys.stdin.read(); pathlib.Path(sys.argv[1]).write_text(sys.argv[2])"
    lmtokens.add_token(32, deliver=to_command(python_command(code, str(tmp_path / "got"), special)))
    assert (tmp_path / "got").read_text() == special


def test_ctrl_c_kills_the_command(lmtokens_portal: Portal, tmp_path: Path) -> None:
    code = """
import os, pathlib, signal, sys, threading, time
import lmtokens
from lmtokens.deliver import to_command
child = "import os, pathlib, sys, time; path = pathlib.Path(sys.argv[1]); new = path.with_suffix('.new'); "
child += "new.write_text(str(os.getpid())); new.rename(path); time.sleep(600)"
path = pathlib.Path(sys.argv[1])
def interrupt():
    while not path.exists():
        time.sleep(0.005)
    # Unlike Ctrl-C at a terminal, this signal reaches only the calling process and not its child.
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=interrupt, daemon=True).start()
try:
    lmtokens.add_token(32, "ci", deliver=to_command([sys.executable, "-c", child, str(path)], timeout=500))
except KeyboardInterrupt:
    print("interrupted")
"""
    completed = run_python(code, str(tmp_path / "pid"))
    assert completed.stdout == "interrupted\n"
    pid = int((tmp_path / "pid").read_text())
    wait_until(lambda: not is_running(pid))
    (pending,) = created_tokens(lmtokens_portal)
    assert is_pending(pending)
    assert f"token {pending.id} of user 32 may be left pending" in completed.stderr
    assert pending.note.removesuffix(" ci") in completed.stderr


@pytest.mark.parametrize("command", ["vault write", b"vault", 7, None, [7], [None]], ids=repr)
def test_command_that_is_not_a_list_of_strings_is_rejected(command: Any) -> None:
    with pytest.raises(TypeError):
        to_command(command)


@pytest.mark.parametrize("command", [[], [""]], ids=repr)
def test_empty_command_is_rejected(command: list[str]) -> None:
    with pytest.raises(ValueError, match="empty"):
        to_command(command)


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf")])
def test_invalid_timeout_is_rejected(timeout: float) -> None:
    with pytest.raises(ValueError, match="timeout"):
        to_command(["true"], timeout=timeout)


def test_repr_has_no_arguments() -> None:
    assert repr(to_command(["vault", "argument-of-the-user"])) == "<lmtokens.deliver.ToCommand the command vault>"
