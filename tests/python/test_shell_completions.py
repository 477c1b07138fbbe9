"""The completions of the shells know every command and option."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from support import HANG_TIMEOUT, SHELL, run_shell, run_shell_to_closed_pipe

needs_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")

# Completes the last word of its arguments as bash does after a tab.
SCRIPT = r"""
set -u
eval "$("$1" completions bash)"
shift
function=$(complete -p lmtokens | sed 's/.*-F \([^ ]*\).*/\1/')
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_POINT=${#COMP_LINE} COMP_TYPE=9 COMP_KEY=9
$function lmtokens "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\n' "${COMPREPLY[@]}"
"""


@needs_bash
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["lmtokens", "sho"], ["show"]),
        (["lmtokens", "u"], ["users", "update"]),
        (["lmtokens", "list", "--st"], ["--status"]),
        (["lmtokens", "list", "--status", "en"], ["enabled"]),
        (["lmtokens", "sandbox", "adv"], ["advance"]),
        (["lmtokens", "audit", "--fail-on", "w"], ["warning"]),
    ],
    ids=" ".join,
)
def test_bash_completes(words: list[str], expected: list[str]) -> None:
    completed = subprocess.run(
        ["bash", "--norc", "-c", SCRIPT, "bash", SHELL[0], *words],
        capture_output=True,
        text=True,
        timeout=HANG_TIMEOUT,
        check=False,
    )
    assert completed.stderr == ""
    assert sorted(completed.stdout.split()) == sorted(expected)


@pytest.mark.parametrize(("shell", "start"), [("zsh", "#compdef lmtokens\n"), ("fish", "")])
def test_other_shells_read_the_script(shell: str, start: str, tmp_path: Path) -> None:
    completed = run_shell("completions", shell)
    assert (completed.returncode, completed.stderr) == (0, "")
    assert completed.stdout.startswith(start)
    assert "unused-for" in completed.stdout
    if shutil.which(shell) is not None:
        script = tmp_path / "script"
        script.write_text(completed.stdout)
        subprocess.run([shell, "-n", str(script)], timeout=HANG_TIMEOUT, check=True)


def test_unknown_shell_is_2() -> None:
    completed = run_shell("completions", "tcsh")
    assert (completed.returncode, completed.stdout) == (2, "")
    assert "bash, zsh, fish" in completed.stderr


def test_closed_pipe_is_an_error() -> None:
    assert run_shell_to_closed_pipe("completions", "bash").returncode == 1
