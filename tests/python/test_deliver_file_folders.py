"""Folders that other users or processes change: a key that another one can replace is never reported as delivered."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Callable

import lmtokens
import pytest
from delivery_helpers import created_tokens, request_methods
from lmtokens.deliver import to_file
from support import run_python, run_shell
from tampering_proxy import Exchange, TamperingProxy

if TYPE_CHECKING:
    from lmtokens.sandbox import Portal

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs Unix")
needs_root = pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="needs root")

OTHER_USER = 1000
TAG = f"lmtokens-1-{'0' * 16}-1700000000-{'0' * 32}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    created = tmp_path / "folder"
    created.mkdir(mode=0o700)
    return created


def owned_by_another(path: Path) -> Path:
    os.chown(path, OTHER_USER, OTHER_USER)
    return path


def add_with_change_before_commit(
    portal: Portal, path: Path, change: Callable[[], None], overwrite: bool = False
) -> lmtokens.Token:
    """Create a token, and change something after the delivery and before the token is enabled."""

    def before(exchange: Exchange) -> None:
        if exchange.method == "PATCH":
            change()

    with TamperingProxy(portal, before=before) as proxy:
        return proxy.client().add_token(32, "ci", deliver=to_file(path, overwrite=overwrite))


def pending_file(folder: Path) -> Path:
    (found,) = folder.glob("*.pending")
    return found


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("owner", [None, pytest.param(OTHER_USER, marks=needs_root)])
@pytest.mark.parametrize("kind", ["file", "symbolic link", "folder", "nothing"])
def test_pending_file_replaced_before_commit(
    lmtokens_portal: Portal, folder: Path, owner: int | None, kind: str, overwrite: bool
) -> None:
    path = folder / "token.json"
    target = folder.parent / "target"
    target.write_text("not a key")

    def replace() -> None:
        pending = pending_file(folder)
        pending.unlink()
        if kind == "file":
            pending.write_text('{"access_key": "forged"}\n')
        elif kind == "symbolic link":
            pending.symlink_to(target)
        elif kind == "folder":
            pending.mkdir()
        if owner is not None and kind != "nothing":
            os.chown(pending, owner, owner, follow_symlinks=False)

    if owner is not None:
        owned_by_another(folder)
    with pytest.raises(lmtokens.DeliveryError, match="replaced") as caught:
        add_with_change_before_commit(lmtokens_portal, path, replace, overwrite)
    (stored,) = created_tokens(lmtokens_portal)
    # The token is enabled, so that its key must not be lost with the pending file.
    assert stored.status == 2
    assert json.loads(path.read_text())["access_key"] == stored.access_key.reveal()
    assert str(path) in str(caught.value)
    assert target.read_text() == "not a key"


@pytest.mark.parametrize("kind", ["symbolic link", "folder", "nothing"])
def test_folder_replaced_before_commit(lmtokens_portal: Portal, folder: Path, kind: str) -> None:
    path = folder / "token.json"
    moved, forged = folder.parent / "moved", folder.parent / "forged"
    forged.mkdir()

    def replace() -> None:
        name = pending_file(folder).name
        (forged / name).write_text('{"access_key": "forged"}\n')
        folder.rename(moved)
        if kind == "symbolic link":
            folder.symlink_to(forged)
        elif kind == "folder":
            forged.rename(folder)

    with pytest.raises(lmtokens.DeliveryError, match="replaced") as caught:
        add_with_change_before_commit(lmtokens_portal, path, replace)
    (stored,) = created_tokens(lmtokens_portal)
    assert json.loads(pending_file(moved).read_text())["access_key"] == stored.access_key.reveal()
    assert not path.exists()
    for other in (forged, folder):
        assert all("forged" in file.read_text() for file in other.glob("*"))
    assert f"token {stored.id}" in str(caught.value)
    assert "delete" in str(caught.value.suggestion)


@pytest.mark.parametrize("name", ["final", "new"])
def test_symbolic_links_that_appear_before_commit_are_not_followed(
    lmtokens_portal: Portal, folder: Path, name: str
) -> None:
    path = folder / "token.json"
    target = folder.parent / "target"
    target.write_text("not a key")

    def link() -> None:
        (path if name == "final" else pending_file(folder).with_suffix(".new")).symlink_to(target)

    add_with_change_before_commit(lmtokens_portal, path, link, overwrite=True)
    (stored,) = created_tokens(lmtokens_portal)
    assert target.read_text() == "not a key"
    assert not path.is_symlink()
    assert json.loads(path.read_text())["access_key"] == stored.access_key.reveal()
    assert list(folder.iterdir()) == [path]


def test_pending_file_replaced_before_the_token_is_delivered(lmtokens_portal: Portal, folder: Path) -> None:
    def before(exchange: Exchange) -> None:
        if exchange.method == "POST":
            pending_file(folder).unlink()

    replaced = pytest.raises(lmtokens.DeliveryError, match="replaced")
    with TamperingProxy(lmtokens_portal, before=before) as proxy, replaced:
        proxy.client().add_token(32, "ci", deliver=to_file(folder / "token.json"))
    assert created_tokens(lmtokens_portal) == []
    assert list(folder.iterdir()) == []


@needs_root
def test_folder_of_another_user_is_a_warning_in_the_shell(lmtokens_portal: Portal, folder: Path) -> None:
    owned_by_another(folder)
    completed = run_shell("add", "32", "--to", f"file:{folder / 'first'}")
    assert completed.returncode == 0, completed.stderr
    assert f"warning: the folder {folder} belongs to another user (id {OTHER_USER})" in completed.stderr
    assert "--trust-folder" in completed.stderr
    trusted = run_shell("add", "32", "--to", f"file:{folder / 'second'}", "--trust-folder")
    assert (trusted.returncode, "warning" in trusted.stderr) == (0, False), trusted.stderr
    assert len(created_tokens(lmtokens_portal)) == 2


@needs_root
def test_folder_of_another_user_is_a_warning_in_python(lmtokens_portal: Portal, folder: Path) -> None:
    owned_by_another(folder)
    code = "import lmtokens, sys; lmtokens.add_token(32, deliver=lmtokens.deliver.to_file(sys.argv[1]{}))"
    completed = run_python(code.format(""), str(folder / "first"), environment=lmtokens_portal.environment())
    assert completed.returncode == 0, completed.stderr
    assert f"the folder {folder} belongs to another user" in completed.stderr
    assert "trust_folder=True" in completed.stderr
    code = code.format(", trust_folder=True")
    trusted = run_python(code, str(folder / "second"), environment=lmtokens_portal.environment())
    assert (trusted.returncode, trusted.stderr) == (0, "")


@needs_root
def test_folder_of_root_needs_no_warning(lmtokens_portal: Portal, folder: Path) -> None:
    completed = run_shell("add", "32", "--to", f"file:{folder / 'token'}")
    assert (completed.returncode, "warning" in completed.stderr) == (0, False)


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o757])
def test_folder_writable_by_others_is_accepted_if_trusted(lmtokens_portal: Portal, folder: Path, mode: int) -> None:
    folder.chmod(mode)
    refused = run_shell("add", "32", "--to", f"file:{folder / 'first'}")
    assert refused.returncode == 1
    assert "--trust-folder" in refused.stderr
    with pytest.raises(lmtokens.DeliveryError) as caught:
        lmtokens.add_token(32, deliver=to_file(folder / "first"))
    assert "trust_folder=True" in str(caught.value.suggestion)
    assert lmtokens_portal.record == []
    assert run_shell("add", "32", "--to", f"file:{folder / 'first'}", "--trust-folder").returncode == 0
    lmtokens.add_token(32, deliver=to_file(folder / "second", trust_folder=True))
    keys = [stored.access_key.reveal() for stored in created_tokens(lmtokens_portal)]
    assert [json.loads((folder / name).read_text())["access_key"] for name in ("first", "second")] == keys


def test_journal_in_a_folder_writable_by_others_is_accepted_if_trusted(lmtokens_portal: Portal, folder: Path) -> None:
    folder.chmod(0o777)
    rows = folder / "rows.csv"
    rows.write_text("admin_id\n32\n")
    refused = run_shell("bulk", str(rows), "--journal", str(folder / "first"))
    assert refused.returncode == 1
    assert "--trust-folder" in refused.stderr
    with pytest.raises(lmtokens.DeliveryError, match="other users can write"):
        lmtokens.add_tokens([(32,)], journal=folder / "first")
    assert lmtokens_portal.record == []
    assert run_shell("bulk", str(rows), "--journal", str(folder / "first"), "--trust-folder").returncode == 0
    lmtokens.add_tokens([(32,)], journal=folder / "second", trust_folder=True).finish()
    assert len(created_tokens(lmtokens_portal)) == 2


@needs_root
def test_journal_in_a_folder_of_another_user_is_a_warning(lmtokens_portal: Portal, folder: Path) -> None:
    owned_by_another(folder)
    rows = folder.parent / "rows.csv"
    rows.write_text("admin_id\n32\n")
    for options, has_warning in ([], True), (["--trust-folder"], False):
        journal = folder / f"run-{has_warning}"
        completed = run_shell("bulk", str(rows), "--journal", str(journal), *options)
        assert completed.returncode == 0, completed.stderr
        assert (f"belongs to another user (id {OTHER_USER})" in completed.stderr) == has_warning


@needs_root
@pytest.mark.parametrize("overwrite", [False, True])
def test_file_of_another_user_in_a_sticky_folder_is_rejected_before_the_first_request(
    lmtokens_portal: Portal, folder: Path, overwrite: bool
) -> None:
    folder.chmod(0o1777)
    path = folder / "token.json"
    path.write_text("mine")
    owned_by_another(path)
    with pytest.raises(lmtokens.DeliveryError, match=f"another user .id {OTHER_USER}"):
        lmtokens.add_token("api-user", deliver=to_file(path, overwrite=overwrite))
    assert lmtokens_portal.record == []
    assert path.read_text() == "mine"


@needs_root
@pytest.mark.parametrize("is_sticky", [False, True])
def test_pending_file_of_another_user_is_not_believed(lmtokens_portal: Portal, folder: Path, is_sticky: bool) -> None:
    """Anyone can write a record of a token that exists, with a key of their own."""
    existing = lmtokens_portal.client().add_token(32, "ci")
    if is_sticky:
        folder.chmod(0o1777)
    else:
        owned_by_another(folder)
    path = folder / "token.json"
    record = {
        "lmtokens_pending": 1,
        "portal": lmtokens_portal.base_url,
        "tag": TAG,
        "id": existing.id,
        "type": "lmv1",
        "access_id": existing.access_id,
        "access_key": "forged",
        "admin_id": 32,
        "admin_name": None,
        "status": 2,
        "note": "ci",
        "roles": list[str](),
        "created_by": None,
        "created_on": None,
    }
    planted = folder / f"token.json.{TAG}.pending"
    planted.write_text(json.dumps(record) + "\n")
    planted.chmod(0o600)
    owned_by_another(planted)
    completed = run_shell("add", "32", "--note", "ci", "--to", f"file:{path}")
    assert completed.returncode == 0, completed.stderr
    assert f"{planted} (the file of another user)" in completed.stderr
    assert json.loads(path.read_text())["access_key"] == created_tokens(lmtokens_portal)[-1].access_key.reveal()
    assert planted.exists()
    # The record would be believed if it were ours.
    path.unlink()
    os.chown(planted, 0, 0)
    assert run_shell("add", "32", "--note", "ci", "--to", f"file:{path}").returncode == 0
    assert json.loads(path.read_text())["access_key"] == "forged"


@pytest.mark.parametrize("kind", ["symbolic link", "pipe", "folder"])
def test_special_pending_file_is_named_and_kept(lmtokens_portal: Portal, folder: Path, kind: str) -> None:
    path = folder / "token.json"
    planted = folder / f"token.json.{TAG}.pending"
    if kind == "symbolic link":
        (folder.parent / "target").write_text("")
        planted.symlink_to(folder.parent / "target")
    elif kind == "pipe":
        os.mkfifo(planted)
    else:
        planted.mkdir()
    completed = run_shell("add", "32", "--to", f"file:{path}")
    assert completed.returncode == 0, completed.stderr
    assert f"{planted} (not a regular file)" in completed.stderr
    assert os.path.lexists(planted)
    assert request_methods(lmtokens_portal) == ["POST", "PATCH"]


@pytest.mark.parametrize("value", [1, "yes", None])
def test_trust_folder_of_a_wrong_type_is_rejected(value: object) -> None:
    with pytest.raises(TypeError, match="trust_folder"):
        to_file("token.json", trust_folder=value)  # type: ignore[arg-type]


def test_trust_folder_is_rejected_for_a_command(lmtokens_portal: Portal) -> None:
    completed = run_shell("add", "32", "--to", "command:cat", "--trust-folder")
    assert completed.returncode == 2
    assert lmtokens_portal.record == []
