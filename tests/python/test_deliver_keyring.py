"""``deliver.to_keyring`` and ``--to keyring:NAME``: the secret of a new token in the keyring, for a profile."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
from api_variants import modifying_requests
from lmtokens import DeliveryError
from lmtokens.deliver import to_keyring
from support import HANG_TIMEOUT, SHELL, TOKEN_TYPES, run_shell, wait_until
from test_keyring import FAKE

if TYPE_CHECKING:
    from pathlib import Path

    from lmtokens.sandbox import Portal


class Keyring:
    """What this package uses of the package keyring, with entries in memory."""

    def __init__(self) -> None:
        self.entries: dict[str, str] = {}
        self.seen: list[set[str]] = []
        self.priority: float = 1
        self.fails_to_set = ""
        self.drops = False

    def get_keyring(self) -> Keyring:
        return self

    def get_password(self, service: str, name: str) -> str | None:
        assert service == "lmtokens"
        return self.entries.get(name)

    def set_password(self, service: str, name: str, password: str) -> None:
        if self.fails_to_set and name.endswith(self.fails_to_set):
            raise OSError("marker")
        if self.drops:
            return
        self.entries[name] = password
        self.seen.append(set(self.entries))

    def delete_password(self, service: str, name: str) -> None:
        del self.entries[name]


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> Keyring:
    fake = Keyring()
    monkeypatch.setitem(sys.modules, "keyring", fake)
    return fake


@pytest.mark.parametrize("type", TOKEN_TYPES)
def test_profile_uses_the_delivered_secret(
    api: lmtokens.Client,
    lmtokens_portal: Portal,
    keyring: Keyring,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    type: Any,
) -> None:
    token = api.add_token(1, type=type, deliver=to_keyring("acme"))
    assert token.access_key is None
    assert list(keyring.entries) == ["acme"]
    config = tmp_path / "config.toml"
    config.write_text(f'[profiles.acme]\nbase_url = "{lmtokens_portal.base_url}"\nkeyring = true\n')
    monkeypatch.setenv("LM_CONFIG_FILE", str(config))
    assert lmtokens.Client(profile="acme").whoami().token_id == token.id


def test_old_secret_is_kept_until_the_token_is_enabled(lmtokens_portal: Portal, keyring: Keyring) -> None:
    keyring.entries["acme"] = "old"
    with pytest.raises(DeliveryError, match="the keyring entry acme exists already"):
        lmtokens.add_token(32, deliver=to_keyring("acme"))
    assert modifying_requests(lmtokens_portal) == []
    token = lmtokens.add_token(32, deliver=to_keyring("acme", overwrite=True))
    ((_, pending),) = {tuple(sorted(names)) for names in keyring.seen[:1]}
    assert pending == "acme.pending"
    assert list(keyring.entries) == ["acme"]
    assert json.loads(keyring.entries["acme"])["access_id"] == token.access_id


def test_rotation_does_not_deliver_to_the_keyring(lmtokens_portal: Portal, keyring: Keyring) -> None:
    old = lmtokens.add_token(32, deliver=to_keyring("acme"))
    entries = dict(keyring.entries)
    lmtokens_portal.clear_record()
    with pytest.raises(ValueError, match="a rotation cannot deliver to the keyring"):
        lmtokens.rotate_token(old, deliver=to_keyring("acme"), overlap=0)
    for words in ([str(old.id)], ["--older-than", "1d"]):
        refused = run_shell("rotate", *words, "--to", "keyring:acme", "--overlap", "0")
        assert refused.returncode == 2
        assert "a rotation cannot deliver to the keyring" in refused.stderr
    assert lmtokens_portal.record == []
    assert keyring.entries == entries


def test_token_is_deleted_if_the_keyring_fails(lmtokens_portal: Portal, keyring: Keyring) -> None:
    keyring.entries["acme"] = "old"
    keyring.fails_to_set = "pending"
    before = len(lmtokens_portal.tokens)
    with pytest.raises(DeliveryError) as caught:
        lmtokens.add_token(32, deliver=to_keyring("acme", overwrite=True))
    assert "the keyring failed with OSError" in f"{caught.value} {caught.value.__cause__}"
    assert "marker" not in f"{caught.value!r} {caught.value.__cause__!r}"
    assert len(lmtokens_portal.tokens) == before
    assert keyring.entries == {"acme": "old"}


def test_delivered_secret_is_discarded_with_its_token(lmtokens_portal: Portal, keyring: Keyring) -> None:
    lmtokens_portal.fail("status-before-acting", status=403, method="PATCH", times=None)
    with pytest.raises(lmtokens.LMTokensError):
        lmtokens.add_token(32, deliver=to_keyring("acme"))
    assert keyring.entries == {}


def test_secret_that_is_not_committed_stays_in_its_pending_entry(lmtokens_portal: Portal, keyring: Keyring) -> None:
    keyring.fails_to_set = "acme"
    with pytest.raises(DeliveryError, match="token"):
        lmtokens.add_token(32, deliver=to_keyring("acme"))
    (name,) = keyring.entries
    assert name == "acme.pending"
    assert lmtokens_portal.tokens[-1].access_id == json.loads(keyring.entries[name])["access_id"]
    before = len(lmtokens_portal.tokens)
    # Another token would take its place.
    keyring.fails_to_set = ""
    with pytest.raises(DeliveryError, match=r"acme\.pending holds the key of token"):
        lmtokens.add_token(32, "another", deliver=to_keyring("acme"))
    # The same call finishes it.
    token = lmtokens.add_token(32, deliver=to_keyring("acme"))
    assert list(keyring.entries) == ["acme"]
    assert json.loads(keyring.entries["acme"])["access_id"] == token.access_id
    assert len(lmtokens_portal.tokens) == before


def test_damaged_pending_entry_is_not_replaced(lmtokens_portal: Portal, keyring: Keyring) -> None:
    keyring.entries["acme.pending"] = "{}"
    with pytest.raises(DeliveryError, match=r"the keyring entry acme\.pending is damaged"):
        lmtokens.add_token(32, deliver=to_keyring("acme"))
    assert modifying_requests(lmtokens_portal) == []
    assert keyring.entries == {"acme.pending": "{}"}


def test_token_is_deleted_if_the_keyring_stores_nothing(lmtokens_portal: Portal, keyring: Keyring) -> None:
    keyring.drops = True
    before = len(lmtokens_portal.tokens)
    with pytest.raises(DeliveryError, match=r"the keyring did not store the entry acme\.pending"):
        lmtokens.add_token(32, deliver=to_keyring("acme"))
    assert len(lmtokens_portal.tokens) == before


def test_keyring_that_cannot_be_used_prevents_the_create(
    lmtokens_portal: Portal, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyring.priority = 0
    with pytest.raises(DeliveryError, match="no keyring can store secrets"):
        lmtokens.add_token(32, deliver=to_keyring("acme"))
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(DeliveryError, match="the package keyring is not installed"):
        lmtokens.add_token(32, deliver=to_keyring("acme"))
    assert modifying_requests(lmtokens_portal) == []


@pytest.mark.parametrize("name", ["", "a b", "a/b", "x" * 65, "acme.pending"])
def test_invalid_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="invalid name of a keyring entry"):
        to_keyring(name)
    assert run_shell("add", "32", "--to", f"keyring:{name}").returncode == 2


@pytest.fixture
def entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file with the entries of the keyring of other processes."""
    (tmp_path / "keyring.py").write_text(FAKE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "lmtokens").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path / "entries.json"


def start(**environment: str) -> subprocess.Popen[str]:
    words = [*SHELL, "add", "32", "--to", "keyring:acme"]
    environment = {**os.environ, **environment}
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment)


def check_only_token(portal: Portal, entries: Path, before: int) -> None:
    """Check that one enabled token was created, and that the keyring holds its key and nothing else."""
    (token,) = portal.tokens[before:]
    assert token.status == 2
    ((name, entry),) = json.loads(entries.read_text()).items()
    assert (name, json.loads(entry)["access_id"]) == ("lmtokens acme", token.access_id)


def test_of_two_creates_at_once_one_is_refused(
    lmtokens_portal: Portal, entries: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A session of cron has other folders for temporary files than a login."""
    monkeypatch.setenv("KEYRING_DELAY", "2")
    before = len(lmtokens_portal.tokens)
    processes = [start(), start(XDG_RUNTIME_DIR=str(tmp_path), TMPDIR=str(tmp_path))]
    shown = [process.communicate(timeout=HANG_TIMEOUT)[1] for process in processes]
    assert sorted(process.returncode for process in processes) == [0, 1]
    assert "another create is writing to the keyring entry acme" in "".join(shown)
    check_only_token(lmtokens_portal, entries, before)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("name", ["acme", "acme.pending"])
def test_interrupted_create_is_finished_or_cleared_by_the_next(
    lmtokens_portal: Portal, entries: Path, monkeypatch: pytest.MonkeyPatch, name: str, number: signal.Signals
) -> None:
    before = len(lmtokens_portal.tokens)
    monkeypatch.setenv("KEYRING_HANGS", f"set {name}")
    process = start()
    wait_until(entries.with_name("hangs").exists)
    process.send_signal(number)
    shown = process.communicate(timeout=HANG_TIMEOUT)[1]
    if number != signal.SIGKILL:
        assert ("run the same command again" in shown) == (name == "acme"), shown
    monkeypatch.delenv("KEYRING_HANGS")
    completed = run_shell("add", "32", "--to", "keyring:acme")
    assert completed.returncode == 0, completed.stderr
    if name == "acme":
        assert "finished token" in completed.stderr
        check_only_token(lmtokens_portal, entries, before)
    else:
        # The key of the disabled token was not stored. A sweep deletes the token.
        disabled, enabled = lmtokens_portal.tokens[before:]
        assert (disabled.status, enabled.status) == (1, 2)
        assert list(json.loads(entries.read_text())) == ["lmtokens acme"]


def test_shell_delivers_to_the_keyring(lmtokens_portal: Portal, entries: Path) -> None:
    completed = run_shell("add", "1", "--to", "keyring:acme")
    assert completed.returncode == 0, completed.stderr
    assert "key delivered to the keyring entry acme" in completed.stderr
    entry = json.loads(entries.read_text())["lmtokens acme"]
    secret = json.loads(entry)["access_key"]
    assert secret not in completed.stdout + completed.stderr
    refused = run_shell("add", "1", "--to", "keyring:acme")
    assert refused.returncode == 1
    assert "--overwrite" in refused.stderr
    assert run_shell("add", "1", "--to", "keyring:acme", "--overwrite").returncode == 0
    for option in (["-o", "json"], ["--trust-folder"]):
        assert run_shell("add", "1", "--to", "keyring:acme", *option).returncode == 2


def test_sandbox_shuts_out_the_keyring_of_the_user(
    lmtokens_portal: Portal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package keyring then has no backend, unless one is set on purpose."""
    pytest.importorskip("keyring")
    (tmp_path / "backend.py").write_text(BACKEND)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "lmtokens").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    add = ["add", "1", "--to", "keyring:acme"]
    refused = run_shell(*add)
    assert refused.returncode == 1
    assert "no keyring can store secrets" in refused.stderr
    assert run_shell("sandbox", "--", *SHELL, *add).returncode == 1
    assert modifying_requests(lmtokens_portal) == []
    backend = "PYTHON_KEYRING_BACKEND=backend.Memory"
    delivered = run_shell("sandbox", "--", "env", backend, *SHELL, *add)
    assert delivered.returncode == 0, delivered.stderr


BACKEND = """
from keyring.backend import KeyringBackend
class Memory(KeyringBackend):
    priority = 1
    entries = {}
    def get_password(self, service, username):
        return self.entries.get(username)
    def set_password(self, service, username, password):
        self.entries[username] = password
    def delete_password(self, service, username):
        del self.entries[username]
"""
