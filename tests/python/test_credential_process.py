"""``credential_process``: a command of a profile that prints credentials."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
from lmtokens import ConfigurationError, CredentialsError
from process_usage import is_running
from profile_helpers import BEARER, NAMED
from support import ACCESS_ID, ACCESS_KEY, HANG_TIMEOUT, SHELL, run_python, run_shell, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmtokens.sandbox import Portal, StoredToken

CONSTRUCTORS: list[Any] = [lmtokens.Client, lmtokens.AsyncClient, lmtokens.LMv1Auth, lmtokens.configure]
SOURCE = f"credential_process of profile acme in {NAMED}"
PAIR = json.dumps({"access_id": ACCESS_ID, "access_key": ACCESS_KEY, "note": "ignored", "id": 17})


@pytest.fixture
def write_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Write a profile whose credentials the given shell command prints."""
    path = tmp_path / "config.toml"

    def write(command: str | list[str], **settings: str) -> Path:
        monkeypatch.setenv("LM_CONFIG_FILE", str(path))
        words = ["sh", "-c", command] if isinstance(command, str) else command
        text = "".join(f"{key} = {json.dumps(value)}\n" for key, value in {"company": "acme", **settings}.items())
        path.write_text(f"[profiles.acme]\n{text}credential_process = {json.dumps(words)}\n")
        path.chmod(0o644)
        return path

    return write


def prints(output: str) -> str:
    return f"printf %s {shlex.quote(output)}"


def is_refused(message: str, error: type[Exception] = CredentialsError) -> None:
    with pytest.raises(error, match=message) as caught:
        lmtokens.Client(profile="acme")
    shown = f"{caught.value!r} {getattr(caught.value, 'suggestion', '')}"
    assert not any(value in shown for value in ("marker", ACCESS_ID, ACCESS_KEY, BEARER))


@pytest.mark.parametrize("construct", CONSTRUCTORS)
@pytest.mark.parametrize(
    ("output", "settings", "kind"),
    [
        (PAIR, {}, "LMv1"),
        (json.dumps({"bearer_token": BEARER}), {}, "bearer"),
        # The same as `lmtokens add --type bearer -o json` prints.
        (json.dumps({"id": 1, "access_id": None, "access_key": BEARER}), {}, "bearer"),
        (json.dumps({"access_key": ACCESS_KEY}), {"access_id": ACCESS_ID}, "LMv1"),
        (ACCESS_KEY, {"access_id": ACCESS_ID}, "LMv1"),
        (f"{ACCESS_KEY}\n", {"access_id": ACCESS_ID}, "LMv1"),
        (f"{BEARER}\n", {}, "bearer"),
    ],
)
def test_output_is_used_and_reported(
    write_process: Any, construct: Any, output: str, settings: dict[str, str], kind: str
) -> None:
    write_process(prints(output), **settings)
    shown = repr(construct(profile="acme"))
    assert (
        f"https://acme.logicmonitor.com/santaba/rest, {kind} from credential_process of profile acme in {NAMED}"
        in shown
    )


def test_request_is_signed_with_the_output(
    write_process: Any, lmtokens_portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LM_COMPANY", "LM_BASE_URL", "LM_ACCESS_ID", "LM_ACCESS_KEY"):
        monkeypatch.delenv(name)
    token = lmtokens_portal.create_token(1)
    output = json.dumps({"access_id": token.access_id, "access_key": token.access_key.reveal()})
    path = write_process(prints(output), base_url=lmtokens_portal.base_url)
    monkeypatch.setenv("LM_CONFIG_FILE", str(path))
    monkeypatch.setenv("LM_PROFILE", "acme")
    who = lmtokens.whoami()
    assert who.credentials_from == f"credential_process of profile acme in {NAMED}"
    assert who.portal_from == f"profile acme in {NAMED}"
    assert run_shell("add", "32", "-o", "json").returncode == 0
    assert lmtokens_portal.record[-1].token_id == token.id


def test_output_is_used_as_long_as_the_process_runs(write_process: Any, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    write_process(f"echo >> {shlex.quote(str(runs))}; {prints(PAIR)}")
    for construct in CONSTRUCTORS:
        construct(profile="acme")
    assert runs.read_text() == "\n"
    # Not if it was unusable.
    write_process(f"echo >> {shlex.quote(str(runs))}; echo '{{\"'")
    for _ in range(2):
        is_refused("printed something else than credentials")
    assert runs.read_text() == "\n\n\n"


def test_output_is_used_for_its_profile_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "config.toml"
    command = 'credential_process = ["sh", "-c", "printf lmb_$WHO"]'
    path.write_text("".join(f'[profiles.{name}]\ncompany = "{name}"\n{command}\n' for name in ("one", "two")))
    path.chmod(0o600)
    monkeypatch.setenv("LM_CONFIG_FILE", str(path))
    for name in ("one", "two"):
        monkeypatch.setenv("WHO", name)
        auth = lmtokens.LMv1Auth(profile=name)
        assert auth._authorization("GET", f"{auth.base_url}/setting/admins", b"") == f"Bearer lmb_{name}"


def test_threads_run_the_command_once(write_process: Any, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    write_process(f"echo >> {shlex.quote(str(runs))}; sleep 0.3; {prints(PAIR)}")
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: lmtokens.Client(profile="acme"), range(8)))
    assert runs.read_text() == "\n"


def test_key_may_begin_with_a_brace(write_process: Any) -> None:
    write_process(prints("{invented-key"), access_id=ACCESS_ID)
    assert "LMv1" in repr(lmtokens.Client(profile="acme"))


@pytest.mark.skipif(not hasattr(signal, "SIGCHLD"), reason="needs SIGCHLD")
def test_command_may_run_while_sigchld_is_ignored(write_process: Any) -> None:
    write_process(prints(PAIR))
    code = "import lmtokens, signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN); lmtokens.Client(profile='acme')"
    completed = run_python(code)
    assert completed.returncode == 0, completed.stderr


# Appends a line to a file, and prints credentials that expire: at first after the given seconds, then after an hour.
EXPIRING = """
import datetime, json, sys
runs, credentials, seconds = sys.argv[1:]
with open(runs, "a+") as file:
    file.write("run\\n")
    file.seek(0)
    seconds = float(seconds) if len(file.readlines()) == 1 else 3600
end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
with open(credentials) as file:
    print(json.dumps({**json.load(file), "KEY": end.isoformat()}))
"""


class Expiring:
    """A profile of the sandbox whose command prints credentials that expire."""

    def __init__(self, write_process: Any, folder: Path, portal: Portal, seconds: float, key: str = "expires") -> None:
        self._runs, self._credentials = folder / "runs", folder / "credentials"
        arguments = [str(self._runs), str(self._credentials), str(seconds)]
        words = [sys.executable, "-c", EXPIRING.replace("KEY", key), *arguments]
        write_process(words, base_url=portal.base_url)

    def set(self, token: StoredToken) -> None:
        pair = {"access_id": token.access_id, "access_key": token.access_key.reveal()}
        self._credentials.write_text(json.dumps(pair))

    @property
    def runs(self) -> int:
        return len(self._runs.read_text().splitlines()) if self._runs.exists() else 0


@pytest.mark.parametrize("key", ["expires", "Expiration"])
def test_command_is_run_again_before_the_credentials_expire(
    write_process: Any, tmp_path: Path, lmtokens_portal: Portal, key: str
) -> None:
    expiring = Expiring(write_process, tmp_path, lmtokens_portal, 2, key)
    first, second = lmtokens_portal.create_token(1), lmtokens_portal.create_token(1)
    expiring.set(first)
    client = lmtokens.Client(profile="acme")
    assert client.whoami().token_id == first.id
    expiring.set(second)
    time.sleep(2)
    who = client.whoami()
    assert (who.token_id, who.credentials_from) == (second.id, SOURCE)
    assert lmtokens.Client(profile="acme").whoami().token_id == second.id
    assert expiring.runs == 2


@pytest.mark.parametrize("kind", ["Client", "AsyncClient"])
def test_command_whose_credentials_expire_is_run_again_after_a_401(
    write_process: Any, tmp_path: Path, lmtokens_portal: Portal, kind: str
) -> None:
    expiring = Expiring(write_process, tmp_path, lmtokens_portal, 3600)
    first, second = lmtokens_portal.create_token(1), lmtokens_portal.create_token(1)
    expiring.set(first)
    client = getattr(lmtokens, kind)(profile="acme")
    lmtokens_portal.client().delete_token(first.id)
    expiring.set(second)

    async def whoami() -> lmtokens.Whoami:
        result = client.whoami()
        return await result if kind == "AsyncClient" else result  # type: ignore[no-any-return]

    assert asyncio.run(whoami()).token_id == second.id
    assert expiring.runs == 2


def test_clients_with_the_profile_share_a_renewal(write_process: Any, tmp_path: Path, lmtokens_portal: Portal) -> None:
    expiring = Expiring(write_process, tmp_path, lmtokens_portal, 2)
    tokens = [lmtokens_portal.create_token(1) for _ in range(3)]
    expiring.set(tokens[0])
    clients = [lmtokens.Client(profile="acme") for _ in range(4)]
    expiring.set(tokens[1])
    time.sleep(2)
    assert {client.whoami().token_id for client in clients} == {tokens[1].id}
    assert expiring.runs == 2
    lmtokens_portal.client().delete_token(tokens[1].id)
    expiring.set(tokens[2])
    assert {client.whoami().token_id for client in clients} == {tokens[2].id}
    assert expiring.runs == 3


@pytest.mark.parametrize("key", ["expires", "Expiration"])
@pytest.mark.parametrize(
    ("expires", "message"),
    [
        ("2020-01-01T00:00:00Z", "have expired"),
        *((value, "an invalid expires; expected a time as in RFC 3339") for value in ("marker", "", 1893456000)),
        ("2030-01-01T00:00:00", "an invalid expires; expected a time as in RFC 3339"),
    ],
)
def test_invalid_expiry_is_an_error(write_process: Any, key: str, expires: object, message: str) -> None:
    write_process(prints(json.dumps({"access_id": ACCESS_ID, "access_key": ACCESS_KEY, key: expires})))
    is_refused(message)


def test_command_without_an_expiry_is_not_run_again_after_a_401(
    write_process: Any, tmp_path: Path, lmtokens_portal: Portal
) -> None:
    runs = tmp_path / "runs"
    write_process(f"echo >> {shlex.quote(str(runs))}; {prints(PAIR)}", base_url=lmtokens_portal.base_url)
    client = lmtokens.Client(profile="acme")
    with pytest.raises(lmtokens.AuthenticationError):
        client.whoami()
    assert runs.read_text() == "\n"
    assert len(lmtokens_portal.record) == 1


@pytest.mark.skipif(not hasattr(signal, "SIGINT"), reason="needs signals")
def test_interrupt_ends_a_command_that_is_run_again(
    write_process: Any, tmp_path: Path, lmtokens_portal: Portal
) -> None:
    started = tmp_path / "started"
    output = json.dumps({"access_id": ACCESS_ID, "access_key": ACCESS_KEY, "expires": "2099-01-01T00:00:00Z"})
    wait = f"if test -e {started}; then echo $$ > {started}.pid; exec sleep 60; fi; touch {started}"
    write_process(f"{wait}; {prints(output)}", base_url=lmtokens_portal.base_url)
    client = lmtokens.Client(profile="acme")
    pid_file = Path(f"{started}.pid")

    def interrupt() -> None:
        wait_until(lambda: pid_file.exists() and pid_file.read_text().endswith("\n"))
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        client.whoami()
    thread.join(HANG_TIMEOUT)
    pid = int(pid_file.read_text())
    wait_until(lambda: not is_running(pid))


def test_command_is_not_run_if_it_is_not_needed(write_process: Any, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    path = write_process(f"echo >> {shlex.quote(str(runs))}")
    path.write_text(f'default = "acme"\n{path.read_text()}')
    lmtokens.Client("acme", access_id=ACCESS_ID, access_key=ACCESS_KEY)
    lmtokens.Client(profile="acme", access_id=ACCESS_ID, access_key=ACCESS_KEY)
    listed = json.loads(run_shell("profile", "list", "-o", "json").stdout)
    assert [row["secret"] for row in listed] == ["credential_process"]
    assert run_shell("profile", "show", "acme").returncode == 0
    assert not runs.exists()


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (prints("marker one\nmarker two\n"), "printed something else than credentials"),
        (prints('{"access_key": "marker'), "printed something else than credentials"),
        (prints('{"access_id": 1234, "access_key": "marker"}'), "printed something else than credentials"),
        (prints('{"AccessKeyId": "marker", "SecretAccessKey": "marker"}'), "printed something else than credentials"),
        (prints("{}"), "printed something else than credentials"),
        (prints("[]marker"), "access_id is missing"),
        ("true", "printed something else than credentials"),
        ("printf '\\377'", "printed what cannot be read: it is not valid UTF-8"),
        ("echo marker; exit 3", "failed with exit status: 3"),
        ("echo marker >&2; kill -9 $$", "failed with signal: 9"),
        (prints('{"access_id": "marker1234", "access_key": "lmb_x y"}'), "invalid bearer_token"),
        (prints(ACCESS_KEY), "access_id is missing"),
    ],
)
def test_unusable_output_is_refused_and_not_shown(
    write_process: Any, capfd: pytest.CaptureFixture[str], command: str, message: str
) -> None:
    write_process(command)
    is_refused(f"{SOURCE} {message}|{message}.* .from {SOURCE}")
    assert capfd.readouterr() == ("", "")
    completed = run_shell("add", "32", "--profile", "acme")
    assert completed.returncode == 4
    assert message in completed.stderr
    assert "marker" not in completed.stdout + completed.stderr


def test_command_that_cannot_be_run_is_refused(write_process: Any) -> None:
    write_process(["/nonexistent/marker"])
    is_refused(f"{SOURCE} cannot be run: No such file")


@pytest.mark.parametrize("value", ['"vault read"', "[]", "[1]", "true", '["sh", ["-c"]]'])
def test_command_that_is_no_list_of_words_is_refused(write_process: Any, value: str) -> None:
    path = write_process("true")
    path.write_text(f'[profiles.acme]\ncompany = "acme"\ncredential_process = {value}\n')
    is_refused("credential_process of profile acme is not a list of a program and its arguments", ConfigurationError)


@pytest.mark.parametrize("key", ["access_key", "bearer_token", "keyring"])
def test_command_beside_another_secret_is_refused(write_process: Any, key: str) -> None:
    path = write_process("true")
    value = "true" if key == "keyring" else '"x"'
    path.write_text(f"{path.read_text()}{key} = {value}\n")
    path.chmod(0o600)
    is_refused("expected one", ConfigurationError)


def test_command_that_others_can_change_is_refused(write_process: Any) -> None:
    write_process(prints(PAIR)).chmod(0o664)
    is_refused(rf"other users can change {NAMED} \(mode 664\)", ConfigurationError)


def test_command_that_reads_its_input_does_not_wait(write_process: Any) -> None:
    write_process(f"cat; {prints(PAIR)}")
    code = "import lmtokens; print(lmtokens.Client(profile='acme'))"
    assert "credential_process" in run_python(code, stdin="rows of a program").stdout


def test_other_threads_run_meanwhile(write_process: Any, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    # It ends only once another thread has created the file.
    write_process(f"while ! [ -e {shlex.quote(str(ready))} ]; do sleep 0.02; done; {prints(PAIR)}")
    thread = threading.Timer(0.1, ready.touch)
    thread.start()
    assert "credential_process" in repr(lmtokens.Client(profile="acme"))


def has_ended(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize("program", ["python", "shell"])
def test_ctrl_c_ends_the_call_and_the_command(write_process: Any, tmp_path: Path, program: str) -> None:
    started = tmp_path / "started"
    write_process(f"echo $$ > {shlex.quote(str(started))}; exec sleep 1000")
    code = """
import lmtokens
try:
    lmtokens.Client(profile="acme")
except KeyboardInterrupt:
    print("interrupted")
"""
    command = [sys.executable, "-c", code] if program == "python" else [*SHELL, "add", "32", "--profile", "acme"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: started.exists() and started.read_text().strip())
    interrupted = time.monotonic()
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=HANG_TIMEOUT)
    # The command would take longer to be killed by its time limit.
    assert time.monotonic() - interrupted < 20
    if program == "python":
        assert (process.returncode, stdout) == (0, "interrupted\n"), stderr
    else:
        assert (process.returncode, stdout) == (130, ""), stderr
    pid = int(started.read_text())
    wait_until(lambda: has_ended(pid))
