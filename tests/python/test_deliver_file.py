"""A file as the destination: complete or absent, private, and never in place of a key that still works."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
from api_variants import VARIANTS, api_for
from delivery_helpers import TAG, created_tokens, request_methods
from lmtokens.deliver import ToFile, to_file
from support import HANG_TIMEOUT, run_python

if TYPE_CHECKING:
    from lmtokens.sandbox import Portal

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
needs_unix = pytest.mark.skipif(sys.platform == "win32", reason="needs Unix")


def modes(folder: Path) -> dict[str, int]:
    """Return the permissions of the files in a folder by name."""
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


def pending_files(folder: Path) -> list[Path]:
    """Return the files of tokens that are not yet enabled."""
    return [path for path in folder.iterdir() if path.name.endswith(".pending")]


@pytest.mark.parametrize("variant", VARIANTS)
def test_file_has_the_token_and_is_private(lmtokens_portal: Portal, tmp_path: Path, variant: str) -> None:
    path = tmp_path / "token.json"
    token = api_for(variant, lmtokens_portal).add_token(32, "ci", deliver=to_file(path))
    (stored,) = created_tokens(lmtokens_portal)
    content = json.loads(path.read_text())
    assert content["access_key"] == stored.access_key.reveal()
    assert (content["id"], content["access_id"], content["admin_id"]) == (token.id, stored.access_id, 32)
    assert (content["status"], content["note"], content["type"]) == (2, "ci", "lmv1")
    assert path.read_text().endswith("}\n")
    assert {path.name: 0o600} == modes(tmp_path)
    assert token.access_key is None


def test_file_is_private_with_any_umask(lmtokens_portal: Portal, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        lmtokens.add_token(32, deliver=to_file(tmp_path / "token.json"))
    finally:
        os.umask(before)
    assert modes(tmp_path) == {"token.json": 0o600}


@pytest.mark.parametrize("type", ["lmv1", "bearer"])
def test_env_format_is_read_by_a_shell(lmtokens_portal: Portal, tmp_path: Path, type: Any) -> None:
    path = tmp_path / "token.env"
    lmtokens.add_token(32, type=type, deliver=to_file(path, "env"))
    (stored,) = created_tokens(lmtokens_portal)
    names = ["LM_ACCESS_ID", "LM_ACCESS_KEY"] if type == "lmv1" else ["LM_BEARER_TOKEN"]
    script = f'. "{path}"; for name in {" ".join(names)}; do eval "printf \'%s\\n\' \\"\\$$name\\""; done'
    shown = subprocess.run(
        ["sh", "-c", script], capture_output=True, text=True, timeout=HANG_TIMEOUT, check=True
    ).stdout
    secret = stored.access_key.reveal()
    assert shown.splitlines() == ([stored.access_id, secret] if type == "lmv1" else [secret])


def test_key_format_has_only_the_secret(lmtokens_portal: Portal, tmp_path: Path) -> None:
    path = tmp_path / "key"
    lmtokens.add_token(32, deliver=to_file(path, format="key"))
    assert path.read_text() == created_tokens(lmtokens_portal)[0].access_key.reveal() + "\n"


def test_secret_is_in_a_pending_file_until_the_token_is_enabled(lmtokens_portal: Portal, tmp_path: Path) -> None:
    path = tmp_path / "token.json"
    path.write_text("the old key")
    lmtokens_portal.fail("act-then-close", method="PATCH", times=None)
    with pytest.raises(lmtokens.OutcomeUnknownError, match="delivered") as caught:
        lmtokens_portal.client(max_attempts=1).add_token(32, "ci", deliver=to_file(path, overwrite=True))
    # The new key may not work, so the old one is kept.
    assert path.read_text() == "the old key"
    (pending_file,) = pending_files(tmp_path)
    name, _, tag = pending_file.name.removesuffix(".pending").partition(".json.")
    assert name == "token"
    assert TAG.fullmatch(tag)
    assert stat.S_IMODE(pending_file.stat().st_mode) == 0o600
    assert json.loads(pending_file.read_text())["access_key"] == created_tokens(lmtokens_portal)[0].access_key.reveal()
    assert str(tmp_path) in str(caught.value)


def test_overwrite_replaces_the_old_key_once_the_token_is_enabled(lmtokens_portal: Portal, tmp_path: Path) -> None:
    path = tmp_path / "token.key"
    path.write_text("the old key")
    path.chmod(0o644)
    lmtokens.add_token(32, deliver=to_file(path, "key", overwrite=True))
    assert path.read_text() == created_tokens(lmtokens_portal)[0].access_key.reveal() + "\n"
    assert modes(tmp_path) == {"token.key": 0o600}


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("fault", [("PATCH", 403), ("POST", 400)], ids=["PATCH", "POST"])
def test_failed_create_leaves_no_file(
    lmtokens_portal: Portal, tmp_path: Path, fault: tuple[str, int], overwrite: bool
) -> None:
    path = tmp_path / "token.json"
    if overwrite:
        path.write_text("the old key")
    lmtokens_portal.fail("status-before-acting", method=fault[0], status=fault[1])
    with pytest.raises(lmtokens.APIError):
        lmtokens.add_token(32, deliver=to_file(path, overwrite=overwrite))
    assert created_tokens(lmtokens_portal) == []
    assert [path.read_text() for path in tmp_path.iterdir()] == (["the old key"] if overwrite else [])


def rejection(portal: Portal, destination: ToFile) -> str:
    """Return the message with which a destination is rejected before the first request."""
    with pytest.raises(lmtokens.DeliveryError) as caught:
        lmtokens.add_token("api-user", deliver=destination)
    assert portal.record == []
    return f"{caught.value} {caught.value.suggestion}"


def test_existing_file_is_rejected_before_the_first_request(lmtokens_portal: Portal, tmp_path: Path) -> None:
    path = tmp_path / "token.json"
    path.write_text("the old key")
    message = rejection(lmtokens_portal, to_file(path))
    assert "exists already" in message
    assert "overwrite=True" in message
    assert path.read_text() == "the old key"


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("dangling", [False, True])
def test_symbolic_link_is_rejected_before_the_first_request(
    lmtokens_portal: Portal, tmp_path: Path, overwrite: bool, dangling: bool
) -> None:
    target = tmp_path / "target"
    if not dangling:
        target.write_text("another file")
    (tmp_path / "link").symlink_to(target)
    assert "symbolic link" in rejection(lmtokens_portal, to_file(tmp_path / "link", overwrite=overwrite))


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o757])
def test_folder_writable_by_others_is_rejected_before_the_first_request(
    lmtokens_portal: Portal, tmp_path: Path, mode: int
) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(mode)
    message = rejection(lmtokens_portal, to_file(folder / "token.json"))
    assert "other users can write" in message
    assert "chmod" in message


def test_sticky_folder_is_accepted(lmtokens_portal: Portal, tmp_path: Path) -> None:
    folder = tmp_path / "sticky"
    folder.mkdir()
    folder.chmod(0o1777)
    lmtokens.add_token(32, deliver=to_file(folder / "token.json"))
    assert (folder / "token.json").exists()


@pytest.mark.parametrize("overwrite", [False, True])
def test_path_of_a_folder_is_rejected_before_the_first_request(
    lmtokens_portal: Portal, tmp_path: Path, overwrite: bool
) -> None:
    (tmp_path / "folder").mkdir()
    assert "not a regular file" in rejection(lmtokens_portal, to_file(tmp_path / "folder", overwrite=overwrite))


def test_pipe_is_rejected_before_the_first_request(lmtokens_portal: Portal, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "not a regular file" in rejection(lmtokens_portal, to_file(tmp_path / "pipe", overwrite=True))


def test_missing_folder_is_rejected_before_the_first_request(lmtokens_portal: Portal, tmp_path: Path) -> None:
    assert str(tmp_path / "none") in rejection(lmtokens_portal, to_file(tmp_path / "none" / "token.json"))


def test_relative_path_is_resolved_when_the_destination_is_created(
    lmtokens_portal: Portal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path)
    destination = to_file("token.json")
    monkeypatch.chdir(tmp_path / "there")
    lmtokens.add_token(32, deliver=destination)
    assert (tmp_path / "token.json").exists()
    assert list((tmp_path / "there").iterdir()) == []


def test_file_created_during_the_delivery_is_not_replaced(lmtokens_portal: Portal, tmp_path: Path) -> None:
    path = tmp_path / "token.json"
    lmtokens_portal.fail("act-then-delay", method="PATCH", seconds=0.2)
    code = """
import pathlib, sys, threading
import lmtokens
from lmtokens.deliver import to_file
folder = pathlib.Path(sys.argv[1])
def appear():
    while not any(path.stat().st_size for path in folder.glob("*.pending")):
        pass
    (folder / "token.json").write_text("another file")
threading.Thread(target=appear).start()
try:
    lmtokens.add_token(32, deliver=to_file(folder / "token.json"))
except lmtokens.DeliveryError as error:
    print(error)
"""
    completed = run_python(code, str(tmp_path))
    assert completed.returncode == 0, completed.stderr
    assert path.read_text() == "another file"
    # The token is enabled, so the message names the file with its key.
    (pending_file,) = pending_files(tmp_path)
    assert re.search(r"token [0-9]+ is enabled", completed.stdout)
    assert str(pending_file) in completed.stdout
    (stored,) = created_tokens(lmtokens_portal)
    assert stored.status == 2
    assert json.loads(pending_file.read_text())["access_key"] == stored.access_key.reveal()


@needs_unix
@pytest.mark.parametrize("mode", ["400", "000"])
@pytest.mark.parametrize("format", ["json", "key"])
def test_old_key_that_its_owner_may_not_write_is_replaced(lmtokens_portal: Portal, mode: str, format: str) -> None:
    """The permissions of a file do not apply to root."""
    code = """
import os, pathlib, shutil, sys, tempfile
import lmtokens
from lmtokens.deliver import to_file
if os.geteuid() == 0:
    os.setresuid(65534, 65534, 65534)
folder = pathlib.Path(tempfile.mkdtemp())
path = folder / "key"
path.write_text("the old key")
path.chmod(int(sys.argv[1], 8))
token = lmtokens.add_token(32, "ci", deliver=to_file(path, sys.argv[2], overwrite=True))
assert [path.name for path in folder.iterdir()] == ["key"]
print(token.id, path.read_text())
shutil.rmtree(folder)
"""
    completed = run_python(code, mode, format)
    assert completed.returncode == 0, completed.stderr
    (stored,) = created_tokens(lmtokens_portal)
    assert stored.access_key.reveal() in completed.stdout
    assert (stored.status, stored.note) == (2, "ci")


@needs_unix
def test_forked_child_does_not_keep_a_delivery_whose_commit_failed(lmtokens_portal: Portal, tmp_path: Path) -> None:
    lmtokens_portal.fail("act-then-delay", method="PATCH", seconds=0.5)
    code = """
import os, pathlib, signal, sys, threading, time
import lmtokens
from lmtokens.deliver import to_file
folder = pathlib.Path(sys.argv[1])
path = folder / "token.json"
children = []
def fork():
    while not any(path.stat().st_size for path in folder.glob("*.pending")):
        pass
    child = os.fork()
    if child == 0:
        time.sleep(60)
        os._exit(0)
    children.append(child)
    path.write_text("another file")
thread = threading.Thread(target=fork)
thread.start()
try:
    lmtokens.add_token(32, deliver=to_file(path))
except lmtokens.DeliveryError as error:
    print("failed:", error)
thread.join()
try:
    print(lmtokens.add_token(32, deliver=to_file(path, overwrite=True)).id)
finally:
    os.kill(children[0], signal.SIGKILL)
"""
    completed = run_python(code, str(tmp_path))
    assert completed.returncode == 0, completed.stderr
    assert "failed: token" in completed.stdout
    (stored,) = created_tokens(lmtokens_portal)
    assert json.loads((tmp_path / "token.json").read_text())["access_key"] == stored.access_key.reveal()
    assert list(tmp_path.iterdir()) == [tmp_path / "token.json"]


@needs_linux
def test_full_disk_deletes_the_token_and_leaves_no_file(lmtokens_portal: Portal, tmp_path: Path) -> None:
    code = """
import resource, sys
import lmtokens
from lmtokens.deliver import to_file
resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
try:
    lmtokens.add_token(32, deliver=to_file(sys.argv[1]))
except lmtokens.DeliveryError as error:
    print(error)
    print(error.suggestion)
"""
    completed = run_python(code, str(tmp_path / "token.json"))
    assert completed.returncode == 0, completed.stderr
    assert "cannot write" in completed.stdout
    assert "has been deleted" in completed.stdout
    assert list(tmp_path.iterdir()) == []
    assert created_tokens(lmtokens_portal) == []


@needs_linux
def test_file_and_folder_are_synced_before_the_token_is_enabled(lmtokens_portal: Portal, tmp_path: Path) -> None:
    strace = "/usr/bin/strace"
    if not os.access(strace, os.X_OK):
        pytest.skip("needs strace")
    code = "import lmtokens, sys; lmtokens.add_token(32, deliver=lmtokens.deliver.to_file(sys.argv[1]))"
    log = tmp_path / "log"
    folder = tmp_path / "folder"
    folder.mkdir()
    calls = "openat,fsync,fdatasync,write,writev,sendto,sendmsg"
    command = [strace, "-f", "-y", "-e", calls, "-o", str(log), sys.executable, "-c", code, str(folder / "token.json")]
    subprocess.run(command, check=True, timeout=HANG_TIMEOUT, capture_output=True)
    lines = log.read_text().splitlines()
    created_at = next(at for at, line in enumerate(lines) if ".pending" in line and "O_CREAT" in line)
    assert "O_EXCL" in lines[created_at]
    assert "0600" in lines[created_at]
    synced = [at for at, line in enumerate(lines) if "sync(" in line and str(folder) in line]
    patched_at = next(at for at, line in enumerate(lines) if "PATCH " in line)
    assert [at for at in synced if ".pending" in lines[at] and created_at < at < patched_at]
    assert [at for at in synced if f"<{folder}>" in lines[at] and created_at < at < patched_at]
    assert [at for at in synced if f"<{folder}>" in lines[at] and at > patched_at]
    assert request_methods(lmtokens_portal) == ["POST", "PATCH"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_file_is_rejected_for_several_rows(lmtokens_portal: Portal, tmp_path: Path, overwrite: bool) -> None:
    """Each key would take the place of the one before, whose token is enabled."""
    path, journal = tmp_path / "token.json", tmp_path / "journal"
    with pytest.raises(ValueError, match=r"token\.json holds the key of one token, not those of the rows 1 and 2"):
        lmtokens.add_tokens([(32,), (32,)], journal=journal, deliver=to_file(path, overwrite=overwrite))
    assert (lmtokens_portal.record, list(tmp_path.iterdir())) == ([], [])
    summary = lmtokens.add_tokens([(32,)], journal=journal, deliver=to_file(path, overwrite=overwrite)).finish()
    assert summary.created == 1
    assert json.loads(path.read_text())["access_key"] == created_tokens(lmtokens_portal)[0].access_key.reveal()


@pytest.mark.parametrize("format", ["JSON", "", "csv"])
def test_unknown_format_is_rejected(format: Any) -> None:
    with pytest.raises(ValueError, match=r'"json".*"env".*"env-file".*"key"'):
        to_file("token.json", format)


@pytest.mark.parametrize("arguments", [{}, {"path": None}, {"path": 7}], ids=repr)
def test_path_of_a_wrong_type_is_rejected(arguments: Any) -> None:
    with pytest.raises(TypeError):
        to_file(**arguments)


def test_repr_names_the_file(tmp_path: Path) -> None:
    assert repr(to_file(tmp_path / "token.json")) == f"<lmtokens.deliver.ToFile {tmp_path / 'token.json'}>"
