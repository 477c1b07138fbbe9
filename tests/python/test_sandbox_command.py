"""``lmtokens sandbox -- COMMAND``: the command gets every signal once and does not outlive the sandbox."""

from __future__ import annotations

import ast
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import lmtokens
import pytest
from process_usage import is_running
from profile_helpers import ACME, write_profiles
from support import HANG_TIMEOUT, SHELL, Listener, run_at_terminal, run_shell, start_shell, wait_until

# Every signal that ends a process unless it is handled.
FATAL = [
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGALRM,
]
# Signals that cannot be handled, or that end a process because of an error in it.
UNHANDLED = [signal.SIGKILL, signal.SIGABRT, signal.SIGSEGV, signal.SIGXCPU]

STUBBORN = """
import os, signal, time
if IGNORES:
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
print(os.getpid(), os.environ["LM_BASE_URL"].split(":")[2].split("/")[0], flush=True)
time.sleep(300)
"""


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize(
    ("number", "ignores"),
    [(number, False) for number in FATAL + UNHANDLED] + [(number, True) for number in UNHANDLED],
    ids=str,
)
def test_command_does_not_outlive_the_sandbox(number: int, ignores: bool) -> None:
    code = STUBBORN.replace("IGNORES", str(ignores))
    with start_shell("sandbox", "--", sys.executable, "-c", code) as process:
        assert process.stdout is not None
        id, port = map(int, process.stdout.readline().split())
        try:
            assert is_running(id)
            assert is_open(port)
            process.send_signal(number)
            status = process.wait(HANG_TIMEOUT)
            wait_until(lambda: not is_running(id))
            assert not is_open(port)
        finally:
            if is_running(id):
                os.kill(id, signal.SIGKILL)
    assert status == (-number if number in UNHANDLED else 128 + number)


HANDLER = """
import os, signal, sys, time
def handler(number, frame):
    print("got", number, flush=True)
    sys.exit(7)
signal.signal(NUMBER, handler)
print("ready", flush=True)
# A signal that arrives just before a sleep does not end it.
for _ in range(400):
    time.sleep(0.1)
"""


@pytest.mark.parametrize("number", FATAL)
def test_signal_is_forwarded(number: int) -> None:
    code = HANDLER.replace("NUMBER", str(int(number)))
    with start_shell("sandbox", "--", sys.executable, "-c", code) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=HANG_TIMEOUT / 2)
    assert (out, process.returncode, err) == (f"got {int(number)}\n", 7, "")


COUNTER = """
import os, signal, sys, time
got = []
signal.signal(NUMBER, lambda number, frame: got.append(number))
print("ready", flush=True)
if SENDS:
    os.kill(os.getppid(), NUMBER)
deadline = time.monotonic() + 30
while not got and time.monotonic() < deadline:
    time.sleep(0.01)
# Long enough for a second one.
time.sleep(1)
print("count", len(got), flush=True)
sys.exit(9)
"""


@pytest.mark.parametrize(("number", "key"), [(signal.SIGINT, "\x03"), (signal.SIGQUIT, "\x1c")], ids=["INT", "QUIT"])
@pytest.mark.parametrize("typed", [True, False], ids=["typed", "sent"])
@pytest.mark.parametrize("stdin", ["", "</dev/null"], ids=["terminal", "null"])
def test_interrupt_reaches_the_command_once_at_a_terminal(number: int, key: str, typed: bool, stdin: str) -> None:
    code = COUNTER.replace("NUMBER", str(int(number))).replace("SENDS", str(not typed))
    command = ["/bin/sh", "-c", f'exec "$@" {stdin}', "sh", *SHELL, "sandbox", "--", sys.executable, "-c", code]
    result = run_at_terminal(command, [("ready", key)] if typed else [])
    assert "count 1\r\n" in result.shown
    assert result.status == 9


@pytest.mark.skipif(
    not os.path.exists("/proc/self/status"), reason="the system does not tell which signals are ignored"
)
def test_hang_up_is_ignored_under_nohup() -> None:
    code = "import time; print('ready', flush=True); time.sleep(1); print('alive', flush=True)"
    ignoring = ["/bin/sh", "-c", 'trap "" HUP; exec "$@"', "sh", *SHELL, "sandbox", "--", sys.executable, "-c", code]
    with subprocess.Popen(ignoring, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGHUP)
        out, _ = process.communicate(timeout=HANG_TIMEOUT)
    assert (out, process.returncode) == ("alive\n", 0)


def test_command_may_handle_a_signal_and_continue() -> None:
    code = HANDLER.replace("NUMBER", str(int(signal.SIGUSR1))).replace("sys.exit(7)", "pass")
    with start_shell("sandbox", "--", sys.executable, "-c", code) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        for _ in range(3):
            process.send_signal(signal.SIGUSR1)
            assert process.stdout.readline() == f"got {int(signal.SIGUSR1)}\n"
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(HANG_TIMEOUT) == 128 + signal.SIGTERM


def test_nothing_but_the_command_is_signalled_or_left_after_its_end() -> None:
    children = Path("/proc/self/task") / str(os.getpid()) / "children"
    if not children.exists():
        pytest.skip("this kernel does not list children")
    code = (
        "import os, pathlib\n"
        "parent = os.getppid()\n"
        "print(pathlib.Path(f'/proc/{parent}/task/{parent}/children').read_text())"
    )
    completed = run_shell("sandbox", "--", sys.executable, "-c", code)
    ids = [int(id) for id in completed.stdout.split()]
    assert len(ids) >= 1
    assert [id for id in ids if is_running(id)] == []
    assert completed.returncode == 0


def test_grandchild_with_the_streams_does_not_delay_the_end() -> None:
    started = time.monotonic()
    with subprocess.Popen(
        [*SHELL, "sandbox", "--", "/bin/sh", "-c", "sleep 50 </dev/null >/dev/null 2>&1 & echo $!"],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        out, _ = process.communicate(timeout=HANG_TIMEOUT)
    os.kill(int(out), signal.SIGKILL)
    assert process.returncode == 0
    assert time.monotonic() - started < 45


@pytest.mark.parametrize("command", ["/nonexistent/command", "nonexistent-command"])
def test_command_that_is_not_found(command: str, tmp_path: Path) -> None:
    record = tmp_path / "record.jsonl"
    completed = run_shell("sandbox", "--record", str(record), "--", command)
    assert (completed.returncode, completed.stdout) == (127, "")
    assert completed.stderr.startswith(f"error: cannot run {command}: ")
    assert record.read_text() == ""


@pytest.mark.parametrize(
    ("given", "upper", "lower"),
    [
        ({}, "127.0.0.1,localhost", "127.0.0.1,localhost"),
        ({"NO_PROXY": ""}, "127.0.0.1,localhost", "127.0.0.1,localhost"),
        ({"NO_PROXY": "corp"}, "corp,127.0.0.1,localhost", "corp,127.0.0.1,localhost"),
        ({"no_proxy": "a, b"}, "a, b,127.0.0.1,localhost", "a, b,127.0.0.1,localhost"),
        ({"NO_PROXY": "a", "no_proxy": "b"}, "a,127.0.0.1,localhost", "b,127.0.0.1,localhost"),
        ({"NO_PROXY": "localhost,127.0.0.1"}, "localhost,127.0.0.1", "localhost,127.0.0.1"),
        ({"NO_PROXY": "xlocalhost"}, "xlocalhost,127.0.0.1,localhost", "xlocalhost,127.0.0.1,localhost"),
        ({"no_proxy": "*"}, "*", "*"),
    ],
    ids=str,
)
def test_command_reaches_the_sandbox_without_a_proxy(given: dict[str, str], upper: str, lower: str) -> None:
    code = "import os; print(repr([os.environ[name] for name in ('NO_PROXY', 'no_proxy')]))"
    completed = run_shell("sandbox", "--", sys.executable, "-c", code, environment=given)
    assert ast.literal_eval(completed.stdout) == [upper, lower]


@pytest.mark.parametrize("given", [{}, {"NO_PROXY": "corp.example"}, {"no_proxy": "corp.example"}], ids=str)
def test_other_http_libraries_reach_the_sandbox_behind_a_proxy(listener: Listener, given: dict[str, str]) -> None:
    code = """
import json, os, urllib.request
with urllib.request.urlopen(os.environ["LM_BASE_URL"] + "/setting/admins") as response:
    print(json.load(response)["status"])
"""
    completed = run_shell("sandbox", "--", sys.executable, "-c", code, environment={**listener.proxies(), **given})
    # It is not signed, which the sandbox notices.
    assert completed.stdout == "403\n", completed.stderr
    assert listener.received == []


def test_command_cannot_use_other_credentials() -> None:
    names = ["LM_COMPANY", "LM_ACCOUNT", "LM_PORTAL", "LM_DOMAIN_NAME", "LM_BASE_URL", "LM_PROFILE", "LM_CONFIG_FILE"]
    names += ["LM_ACCESS_ID", "LM_ACCESS_KEY", "LM_API_ID", "LM_API_KEY", "LM_BEARER_TOKEN"]
    names += ["LM_ACCESS_KEY_FILE", "LM_BEARER_TOKEN_FILE"]
    code = "import os; print(*(value for name, value in os.environ.items() if name.startswith('LM_')))"
    completed = run_shell(
        "sandbox", "--", sys.executable, "-c", code, environment=dict.fromkeys(names, "of-the-real-portal")
    )
    assert completed.returncode == 0
    assert "of-the-real-portal" not in completed.stdout


@pytest.fixture
def _real_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's profile of a real portal, which is also the default."""
    write_profiles(tmp_path / "lmtokens" / "config.toml", "real", real={**ACME, "company": "real"})
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert "real" in repr(lmtokens.Client())


@pytest.mark.usefixtures("_real_profile")
def test_command_cannot_use_the_profiles_of_the_user() -> None:
    code = """
import os, lmtokens
for arguments in ({"profile": "real"}, {}):
    try:
        print(lmtokens.Client(**arguments))
    except lmtokens.LMTokensError as error:
        print(str(error).splitlines()[0])
    for name in [name for name in os.environ if name.startswith("LM_ACCESS")]:
        del os.environ[name]
"""
    environment = {"LM_PROFILE": "real"}
    completed = run_shell("sandbox", "--", sys.executable, "-c", code, environment=environment)
    named, default = completed.stdout.splitlines()
    assert named == "unknown profile: the configuration file does not exist"
    assert default == "no credentials in the arguments, the environment or a profile"
    refused = run_shell("sandbox", "--", *SHELL, "add", "32", "--profile", "real", environment=environment)
    assert refused.returncode == 2
    assert "unknown profile" in refused.stderr


@pytest.mark.usefixtures("_real_profile")
def test_printed_variables_replace_the_profiles_of_the_user() -> None:
    with start_shell("sandbox") as process:
        assert process.stdout is not None
        printed = [process.stdout.readline()]
        while not printed[-1].startswith("unset "):
            printed.append(process.stdout.readline())
        shown_names = "env | grep -E '^(LM|PYTHON_KEYRING)_' | cut -d= -f1"
        script = f"export LM_PROFILE=real LM_DOMAIN_NAME=lmgov.us\n{''.join(printed)}{shown_names}"
        shown = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=HANG_TIMEOUT, check=True)
        process.send_signal(signal.SIGINT)
        assert process.wait(HANG_TIMEOUT) == 0
    names = {"LM_COMPANY", "LM_BASE_URL", "LM_ACCESS_ID", "LM_ACCESS_KEY", "LM_CONFIG_FILE", "PYTHON_KEYRING_BACKEND"}
    assert set(shown.stdout.split()) == names


@pytest.mark.usefixtures("_real_profile", "lmtokens_portal")
def test_fixture_shuts_out_the_profiles_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(lmtokens.ConfigurationError, match="unknown profile: the configuration file does not exist"):
        lmtokens.Client(profile="real")
    monkeypatch.delenv("LM_ACCESS_ID")
    monkeypatch.delenv("LM_ACCESS_KEY")
    with pytest.raises(lmtokens.CredentialsError, match="no credentials"):
        lmtokens.Client()


def test_command_that_cannot_be_run(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    for command in (script, tmp_path):
        completed = run_shell("sandbox", "--", str(command))
        assert (completed.returncode, completed.stdout) == (126, "")
        assert str(command) in completed.stderr


def test_command_of_lmtokens_that_is_no_program_has_a_hint() -> None:
    completed = run_shell("sandbox", "--", "whoami", environment={"PATH": "/nonexistent"})
    assert completed.returncode == 127
    assert "hint: write lmtokens sandbox -- lmtokens whoami" in completed.stderr
    completed = run_shell("sandbox", "--", "no-such-program")
    assert (completed.returncode, "hint:" in completed.stderr) == (127, False)
