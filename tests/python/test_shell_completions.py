"""The completions of the shells know every command, every option and the values of options."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support import HANG_TIMEOUT, SHELL, run_at_terminal, run_shell, run_shell_to_closed_pipe

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


@needs_bash
@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("lmtokens ro", "lmtokens rotate "),
        ("lmtokens list --st", "lmtokens list --status "),
        ("lmtokens list --status en", "lmtokens list --status enabled "),
        ("lmtokens list -o c", "lmtokens list -o csv "),
        ("lmtokens add 32 -o env-", "lmtokens add 32 -o env-file "),
        ("lmtokens profile sh", "lmtokens profile show "),
        ("lmtokens --error-format j", "lmtokens --error-format json "),
        ("lmtokens bulk row", "lmtokens bulk rows.csv "),
        ("lmtokens bulk rows.csv --journal run.j", "lmtokens bulk rows.csv --journal run.journal "),
        ("lmtokens audit --diff row", "lmtokens audit --diff rows.csv "),
    ],
    ids=lambda text: text.strip(),
)
def test_tab_completes_at_a_terminal(tmp_path: Path, typed: str, completed: str) -> None:
    for name in ("rows.csv", "run.journal"):
        (tmp_path / name).touch()
    bash = shutil.which("bash")
    assert bash is not None
    # The bar shows where the cursor is after the tab; Ctrl-U then removes the line.
    ended = run_at_terminal(
        [bash, "--norc", "--noprofile", "-i"],
        [
            ("first> ", f"cd {tmp_path}; eval \"$({SHELL[0]} completions bash)\"; PS1='sec''ond> '\r"),
            ("second> ", f"{typed}\t"),
            (completed.rstrip(), "|\x15exit\r"),
        ],
        environment={"PS1": "first> ", "TERM": "dumb", "PATH": f"{Path(SHELL[0]).parent}:{os.environ['PATH']}"},
    )
    assert f"second> {completed}|" in ended.shown, ended.shown


@pytest.mark.skipif(shutil.which("zsh") is None, reason="needs zsh")
@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("lmtokens ro", "lmtokens rotate "),
        ("lmtokens list --st", "lmtokens list --status="),
        ("lmtokens list --status en", "lmtokens list --status enabled "),
        ("lmtokens bulk row", "lmtokens bulk rows.csv "),
    ],
    ids=lambda text: text.strip(),
)
def test_zsh_completes_at_a_terminal(tmp_path: Path, typed: str, completed: str) -> None:
    (tmp_path / "rows.csv").touch()
    zsh = shutil.which("zsh")
    assert zsh is not None
    load = f'autoload -Uz compinit; compinit -D -u; eval "$({SHELL[0]} completions zsh)"'
    ended = run_at_terminal(
        [zsh, "-f", "-i"],
        [
            ("first> ", f"cd {tmp_path}; {load}; PS1='sec''ond> '\r"),
            ("second> ", f"{typed}\t"),
            (completed.split()[-1], "|\x15exit\r"),
        ],
        environment={"PS1": "first> ", "TERM": "dumb", "PATH": f"{Path(SHELL[0]).parent}:{os.environ['PATH']}"},
    )
    # zsh may remove the last space when the bar follows.
    assert f"{completed}|" in ended.shown.replace("\b", ""), ended.shown


@pytest.mark.skipif(shutil.which("fish") is None, reason="needs fish")
@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("lmtokens ro", ["rotate"]),
        ("lmtokens list --st", ["--status"]),
        ("lmtokens list --status ", ["disabled", "enabled"]),
        ("lmtokens bulk row", ["rows.csv"]),
    ],
)
def test_fish_completes(tmp_path: Path, typed: str, expected: list[str]) -> None:
    (tmp_path / "rows.csv").touch()
    completed = subprocess.run(
        ["fish", "--no-config", "-c", "lmtokens completions fish | source; complete -C $argv[1]", typed],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{Path(SHELL[0]).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=HANG_TIMEOUT,
        check=True,
    )
    assert [line.split("\t")[0] for line in completed.stdout.splitlines()] == expected


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
