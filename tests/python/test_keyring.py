"""Profiles whose secret is in the keyring of the operating system: a fake one in a file, and a real Secret Service."""

from __future__ import annotations

import importlib.util
import json
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import lmtokens
import pytest
from lmtokens import ConfigurationError, CredentialsError
from profile_helpers import BEARER, NAMED
from support import ACCESS_ID, ACCESS_KEY, HANG_TIMEOUT, SHELL, run_python, run_shell, wait_until

if TYPE_CHECKING:
    from pathlib import Path
CONSTRUCT = "import lmtokens; print(repr(lmtokens.Client(profile='acme')))"

# What this package uses of the package keyring. Each variable KEYRING_… makes a call fail, as its value says.
FAKE = """
import json, os, pathlib, time
PATH = pathlib.Path(__file__).with_name("entries.json")
class Backend:
    priority = float(os.environ.get("KEYRING_PRIORITY", "1"))
class KeyringLocked(Exception):
    pass
def begin(call):
    if os.environ.get("KEYRING_HANGS") == call:
        PATH.with_name("hangs").touch()
        time.sleep(60)
    if os.environ.get("KEYRING_IMPORTS") == call:
        import nonexistent
    if os.environ.get("KEYRING_LOCKED") in ("1", call):
        raise KeyringLocked("marker")
def read():
    return json.loads(PATH.read_text()) if PATH.exists() else {}
def get_keyring():
    if "KEYRING_LOCKED" not in os.environ or os.environ["KEYRING_LOCKED"] == "get_keyring":
        begin("get_keyring")
    return Backend()
def get_password(service, name):
    begin("get")
    return read().get(f"{service} {name}")
def set_password(service, name, password):
    begin("set")
    begin(f"set {name}")
    if "KEYRING_DROPS" not in os.environ:
        time.sleep(float(os.environ.get("KEYRING_DELAY", "0")))
        PATH.write_text(json.dumps({**read(), f"{service} {name}": password}))
def delete_password(service, name):
    begin("delete")
    entries = read()
    del entries[f"{service} {name}"]
    PATH.write_text(json.dumps(entries))
"""


@pytest.fixture
def entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file with the entries of the keyring."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "keyring.py").write_text(FAKE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "modules"))
    return tmp_path / "modules" / "entries.json"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration file with a profile whose secret is in the keyring. Others may read it."""
    path = tmp_path / "config.toml"
    path.write_text(f'[profiles.acme]\ncompany = "acme"\naccess_id = "{ACCESS_ID}"\nkeyring = true\n')
    path.chmod(0o644)
    monkeypatch.setenv("LM_CONFIG_FILE", str(path))
    return path


def profile(*words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    completed = subprocess.run(
        [*SHELL, "profile", *words], input=stdin, capture_output=True, text=True, timeout=HANG_TIMEOUT, check=False
    )
    assert ACCESS_KEY not in completed.stdout + completed.stderr
    return completed


def test_secret_of_the_keyring_is_used_and_reported(config: Path, entries: Path) -> None:
    entries.write_text(json.dumps({"lmtokens acme": ACCESS_KEY}))
    expected = f"LMv1 from keyring of profile acme in {NAMED}"
    assert expected in run_python(CONSTRUCT).stdout
    assert expected in run_python(CONSTRUCT.replace("Client", "LMv1Auth")).stdout
    assert expected in run_python(CONSTRUCT.replace("Client", "AsyncClient")).stdout
    assert run_shell("add", "32", "--profile", "acme", "--dry-run").stdout.startswith("POST https://acme.")


@pytest.mark.parametrize("entry", [{}, {"lmtokens acme": ""}, {"lmtokens other": ACCESS_KEY}])
def test_missing_entry_is_an_error(config: Path, entries: Path, entry: dict[str, str]) -> None:
    entries.write_text(json.dumps(entry))
    shown = run_python(CONSTRUCT).stderr
    assert f"CredentialsError: the keyring has no secret of profile acme in {NAMED}" in shown
    completed = run_shell("add", "32", "--profile", "acme")
    assert completed.returncode == 4
    assert "lmtokens profile add --overwrite" in completed.stderr


def test_invalid_entry_names_its_source(config: Path, entries: Path) -> None:
    entries.write_text(json.dumps({"lmtokens acme": "marker key"}))
    shown = run_python(CONSTRUCT).stderr
    assert f"from keyring of profile acme in {NAMED}" in shown
    assert "marker" not in shown.replace(CONSTRUCT, "")


def test_failure_of_the_keyring_is_named(config: Path, entries: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYRING_LOCKED", "1")
    shown = run_python(CONSTRUCT).stderr
    assert f"CredentialsError: the keyring failed with KeyringLocked (from profile acme in {NAMED})" in shown
    assert "marker" not in shown
    completed = run_shell("add", "32", "--profile", "acme")
    assert completed.returncode == 4
    assert "KeyringLocked" in completed.stderr


def test_missing_package_is_named(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Whether or not it is installed here.
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(ConfigurationError, match="the package keyring is not installed") as caught:
        lmtokens.Client(profile="acme")
    assert "pip install 'lmtokens[keyring]'" in str(caught.value.suggestion)


def test_interrupt_in_the_keyring_ends_the_call(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted:
        def get_password(self, service: str, name: str) -> str:
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "keyring", Interrupted())
    with pytest.raises(KeyboardInterrupt):
        lmtokens.Client(profile="acme")


@pytest.mark.parametrize("value", ['"yes"', "1"])
def test_keyring_is_true_or_false(config: Path, value: str) -> None:
    config.write_text(config.read_text().replace("true", value))
    with pytest.raises(ConfigurationError, match="keyring of profile acme is not true or false in line 4"):
        lmtokens.Client(profile="acme")
    config.write_text(config.read_text().replace(value, "false"))
    with pytest.raises(CredentialsError, match="access_key is missing"):
        lmtokens.Client(profile="acme")


def test_added_secret_goes_to_the_keyring(config: Path, entries: Path) -> None:
    words = ["--company", "acme", "--access-id", ACCESS_ID]
    added = profile("add", "new", *words, stdin=ACCESS_KEY)
    assert added.stderr == f"added profile new to {NAMED}, and its secret to the keyring\n"
    assert ACCESS_KEY not in config.read_text()
    assert "access_id" not in config.read_text().partition("[profiles.new]")[2]
    ((name, entry),) = json.loads(entries.read_text()).items()
    base_url = "https://acme.logicmonitor.com/santaba/rest"
    pair = {"access_id": ACCESS_ID, "access_key": ACCESS_KEY}
    assert (name, json.loads(entry)) == ("lmtokens new", {"base_url": base_url, **pair})
    assert "keyring of profile new" in run_python(CONSTRUCT.replace("acme", "new")).stdout
    assert profile("add", "token", "--company", "acme", stdin=BEARER).returncode == 0
    assert "bearer from keyring" in run_python(CONSTRUCT.replace("acme", "token")).stdout
    listed = json.loads(profile("list", "-o", "json").stdout)
    assert [(row["secret"], row["access_id"]) for row in listed] == [("keyring", None)] * 3
    assert profile("remove", "new", "--yes").returncode == 0
    entry = json.loads(entries.read_text())["lmtokens token"]
    assert json.loads(entry) == {"base_url": base_url, "bearer_token": BEARER}


def test_plain_text_replaces_the_entry_of_the_keyring(config: Path, entries: Path) -> None:
    words = ["add", "new", "--company", "acme", "--access-id", ACCESS_ID]
    assert profile(*words, stdin=ACCESS_KEY).returncode == 0
    added = profile(*words, "--plain-text", "--overwrite", stdin=ACCESS_KEY)
    assert "warning: the secret will be in plain text" in added.stderr
    assert json.loads(entries.read_text()) == {}
    assert ACCESS_KEY in config.read_text()
    assert profile(*words, "--overwrite", stdin=ACCESS_KEY).returncode == 0
    assert ACCESS_KEY not in config.read_text()


@pytest.mark.parametrize("variables", [{"KEYRING_PRIORITY": "0"}, {"KEYRING_PRIORITY": "-1"}])
def test_backend_that_stands_for_none_is_not_used(
    config: Path, entries: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    added = profile("add", "new", "--company", "acme", "--access-id", ACCESS_ID, stdin=ACCESS_KEY)
    assert "plain text" in added.stderr
    assert not entries.exists()


def test_profile_is_not_added_if_the_keyring_fails(
    config: Path, entries: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = config.read_text()
    monkeypatch.setenv("KEYRING_LOCKED", "1")
    added = profile("add", "new", "--company", "acme", "--access-id", ACCESS_ID, stdin=ACCESS_KEY)
    assert added.returncode == 4
    assert "KeyringLocked" in added.stderr
    assert config.read_text() == before


@pytest.mark.parametrize("key", ["{9xx" + ACCESS_KEY, "{}" + ACCESS_KEY, "}{" + ACCESS_KEY])
def test_key_that_begins_with_a_brace_is_used(config: Path, entries: Path, key: str) -> None:
    entries.write_text(json.dumps({"lmtokens acme": key}))
    sign = "auth._authorization('GET', auth.base_url + '/x', b'')"
    auth = f"import lmtokens; auth = lmtokens.LMv1Auth(profile={{!r}}); print({sign})"
    expected = f"LMv1 {ACCESS_ID}:"
    assert run_python(auth.format("acme")).stdout.startswith(expected)
    assert profile("add", "new", "--company", "acme", "--access-id", ACCESS_ID, stdin=key).returncode == 0
    assert run_python(auth.format("new")).stdout.startswith(expected)


def test_entry_that_is_json_without_credentials_is_an_error(config: Path, entries: Path) -> None:
    for entry in ({"marker": "x"}, {"access_key": 5}):
        entries.write_text(json.dumps({"lmtokens acme": json.dumps(entry)}))
        shown = run_python(CONSTRUCT).stderr
        assert "has no credentials; expected a secret" in shown
        assert "marker" not in shown


def test_entry_of_another_portal_is_refused(config: Path, entries: Path) -> None:
    assert profile("add", "new", "--company", "newco", stdin=BEARER).returncode == 0
    config.write_text(config.read_text().replace("newco", "oldco"))
    shown = run_python(CONSTRUCT.replace("acme", "new")).stderr
    assert "keyring of profile new" in shown
    assert "not for its portal https://oldco.logicmonitor.com/santaba/rest" in shown


def test_failed_write_of_the_file_keeps_the_entry(
    config: Path, entries: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The new file beside it would have a longer name.
    path = config.rename(tmp_path / ("c" * 250))
    monkeypatch.setenv("LM_CONFIG_FILE", str(path))
    entries.write_text(json.dumps({"lmtokens acme": ACCESS_KEY}))
    for words in (["add", "acme", "--company", "newco", "--overwrite"], ["remove", "acme", "--yes"]):
        completed = profile(*words, stdin=BEARER)
        assert completed.returncode == 2
        assert f"cannot write {NAMED}" in completed.stderr
        assert json.loads(entries.read_text()) == {"lmtokens acme": ACCESS_KEY}


@pytest.mark.parametrize("variable", ["KEYRING_LOCKED", "KEYRING_IMPORTS"])
def test_profile_is_removed_even_if_the_keyring_fails(
    config: Path, entries: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    entries.write_text(json.dumps({"lmtokens acme": ACCESS_KEY}))
    monkeypatch.setenv(variable, "delete")
    removed = profile("remove", "acme", "--yes")
    assert removed.returncode == 4
    assert f"removed profile acme from {NAMED}" in removed.stderr
    assert "the secret of profile acme is still in the keyring" in removed.stderr
    assert "keyring del lmtokens acme" in removed.stderr
    assert "not installed" not in removed.stderr
    assert "acme" not in config.read_text()


def test_keyring_that_stores_nothing_is_noticed(config: Path, entries: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = config.read_text()
    monkeypatch.setenv("KEYRING_DROPS", "1")
    added = profile("add", "new", "--company", "acme", stdin=BEARER)
    assert added.returncode == 4
    assert "the keyring did not store the entry new" in added.stderr
    assert config.read_text() == before


def test_secret_is_not_in_plain_text_if_the_keyring_cannot_be_found_out(
    config: Path, entries: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = config.read_text()
    for variable in ("KEYRING_LOCKED", "KEYRING_IMPORTS"):
        monkeypatch.setenv(variable, "get_keyring")
        added = profile("add", "new", "--company", "acme", stdin=BEARER)
        assert added.returncode == 4
        assert "the keyring failed with " in added.stderr
        assert "--plain-text" in added.stderr
        assert "not installed" not in added.stderr
        assert config.read_text() == before
        assert profile("add", "new", "--company", "acme", "--plain-text", stdin=BEARER).returncode == 0
        config.write_text(before)
        monkeypatch.delenv(variable)


def test_failed_import_of_a_backend_is_not_a_missing_package(
    config: Path, entries: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEYRING_IMPORTS", "get")
    shown = run_python(CONSTRUCT).stderr
    assert "CredentialsError: the keyring failed with ModuleNotFoundError" in shown
    assert "not installed" not in shown


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("call", ["get_keyring", "get", "set", "delete"])
def test_signal_ends_a_call_of_the_keyring(
    config: Path, entries: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: signal.Signals
) -> None:
    entries.write_text(json.dumps({"lmtokens acme": ACCESS_KEY}))
    before = config.read_text()
    is_removal = call in ("get", "delete")
    words = ["remove", "acme", "--yes"] if is_removal else ["add", "new", "--company", "acme"]
    monkeypatch.setenv("KEYRING_HANGS", call)
    process = subprocess.Popen([*SHELL, "profile", *words], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdin is not None
    process.stdin.write(BEARER)
    process.stdin.close()
    wait_until(entries.with_name("hangs").exists)
    process.send_signal(number)
    status = process.wait(HANG_TIMEOUT)
    assert process.stderr is not None
    shown = process.stderr.read()
    process.stderr.close()
    if call == "get_keyring" and number != signal.SIGINT:
        # Nothing has begun that has to be ended.
        assert status == -number
    else:
        assert status == 128 + number
        assert f"by {number.name}" in shown
    assert "plain text" not in shown
    assert (config.read_text() == before) == (not is_removal)


SECRET_SERVICE = """
printf unlock | gnome-keyring-daemon --unlock --components=secrets > /dev/null
printf %s "$SECRET" | "$LMTOKENS" profile add new --company acme --access-id "$ID" || exit
"$PYTHON" -c "import lmtokens; print(lmtokens.Client(profile='new'))"
"$LMTOKENS" profile remove new --yes
"$PYTHON" -c "import keyring; print(keyring.get_keyring(), keyring.get_password('lmtokens', 'new'))"
"""


@pytest.mark.skipif(
    not (shutil.which("dbus-run-session") and shutil.which("gnome-keyring-daemon"))
    or importlib.util.find_spec("keyring") is None,
    reason="needs dbus-run-session, gnome-keyring-daemon and the package keyring",
)
def test_secret_service_keeps_the_secret(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHON_KEYRING_BACKEND")
    variables = {"HOME": tmp_path, "XDG_RUNTIME_DIR": tmp_path, "LMTOKENS": SHELL[0], "PYTHON": sys.executable}
    for name, value in {**variables, "ID": ACCESS_ID, "SECRET": ACCESS_KEY}.items():
        monkeypatch.setenv(name, str(value))
    completed = subprocess.run(
        ["dbus-run-session", "--", "sh", "-c", SECRET_SERVICE],
        capture_output=True,
        text=True,
        timeout=HANG_TIMEOUT,
        check=False,
    )
    assert f"added profile new to {NAMED}, and its secret to the keyring" in completed.stderr
    client, keyring = completed.stdout.splitlines()
    assert f"LMv1 from keyring of profile new in {NAMED}" in client
    assert keyring.endswith("None")
    assert "SecretService" in keyring
    assert ACCESS_KEY not in completed.stdout + completed.stderr
    assert "new" not in config.read_text()
