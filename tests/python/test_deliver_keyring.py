"""``deliver.to_keyring`` and ``--to keyring:NAME``: the secret of a new token in the keyring, for a profile."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
from api_variants import modifying_requests
from lmtokens import DeliveryError
from lmtokens.deliver import to_keyring
from support import TOKEN_TYPES, run_shell
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

    def get_keyring(self) -> Keyring:
        return self

    def get_password(self, service: str, name: str) -> str | None:
        assert service == "lmtokens"
        return self.entries.get(name)

    def set_password(self, service: str, name: str, password: str) -> None:
        if self.fails_to_set and name.endswith(self.fails_to_set):
            raise OSError("marker")
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
    assert pending.startswith("acme.lmtokens-")
    assert pending.endswith(".pending")
    assert list(keyring.entries) == ["acme"]
    assert json.loads(keyring.entries["acme"])["access_id"] == token.access_id


def test_rotation_replaces_the_entry_of_the_old_token(lmtokens_portal: Portal, keyring: Keyring) -> None:
    old = lmtokens.add_token(32, deliver=to_keyring("acme"))
    rotation = lmtokens.rotate_token(old, deliver=to_keyring("acme"), overlap=0)
    assert list(keyring.entries) == ["acme"]
    new = lmtokens.find_token(json.loads(keyring.entries["acme"])["access_id"])
    assert (rotation.old.id, rotation.new.id if rotation.new else None) == (old.id, new.id)
    # The entry of another token is kept.
    other = lmtokens.add_token(32)
    with pytest.raises(lmtokens.LMTokensError, match="the keyring entry acme exists already"):
        lmtokens.rotate_token(other, deliver=to_keyring("acme"), overlap=0)


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
    assert name.endswith(".pending")
    assert lmtokens_portal.tokens[-1].access_id == json.loads(keyring.entries[name])["access_id"]


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


@pytest.mark.parametrize("name", ["", "a b", "a/b", "x" * 65])
def test_invalid_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="invalid name of a keyring entry"):
        to_keyring(name)
    assert run_shell("add", "32", "--to", f"keyring:{name}").returncode == 2


def test_shell_delivers_to_the_keyring(
    lmtokens_portal: Portal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "keyring.py").write_text(FAKE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    completed = run_shell("add", "1", "--to", "keyring:acme")
    assert completed.returncode == 0, completed.stderr
    assert "key delivered to the keyring entry acme" in completed.stderr
    entry = json.loads((tmp_path / "entries.json").read_text())["lmtokens acme"]
    secret = json.loads(entry)["access_key"]
    assert secret not in completed.stdout + completed.stderr
    refused = run_shell("add", "1", "--to", "keyring:acme")
    assert refused.returncode == 1
    assert "--overwrite" in refused.stderr
    assert run_shell("add", "1", "--to", "keyring:acme", "--overwrite").returncode == 0
    for option in (["-o", "json"], ["--trust-folder"]):
        assert run_shell("add", "1", "--to", "keyring:acme", *option).returncode == 2
