"""A file as the destination: whole or not there, its owner's only, and never in place of a key that still works."""

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

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux")


def modes(folder: Path) -> dict[str, int]:
    """Who may do what with the files of a folder."""
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


def pending(folder: Path) -> list[Path]:
    """The files that wait for their token to work."""
    return [path for path in folder.iterdir() if path.name.endswith(".pending")]


@pytest.mark.parametrize("kind", VARIANTS)
def test_file_holds_the_token_and_is_its_owners_only(lmtokens_portal: Portal, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "token.json"
    token = api_for(kind, lmtokens_portal).add_token(32, "ci", deliver=to_file(path))
    (stored,) = created_tokens(lmtokens_portal)
    kept = json.loads(path.read_text())
    assert kept["access_key"] == stored.access_key.reveal()
    assert (kept["id"], kept["access_id"], kept["admin_id"]) == (token.id, stored.access_id, 32)
    assert (kept["status"], kept["note"], kept["type"]) == (2, "ci", "lmv1")
    assert path.read_text().endswith("}\n")
    assert {path.name: 0o600} == modes(tmp_path)
    assert token.access_key is None


def test_file_is_private_whatever_the_umask(lmtokens_portal: Portal, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        lmtokens.add_token(32, deliver=to_file(tmp_path / "token.json"))
    finally:
        os.umask(before)
    assert modes(tmp_path) == {"token.json": 0o600}


@pytest.mark.parametrize("type", ["lmv1", "bearer"])
def test_env_is_understood_by_a_shell(lmtokens_portal: Portal, tmp_path: Path, type: str) -> None:
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


def test_key_is_the_secret_alone(lmtokens_portal: Portal, tmp_path: Path) -> None:
    path = tmp_path / "key"
    lmtokens.add_token(32, deliver=to_file(path, format="key"))
    assert path.read_text() == created_tokens(lmtokens_portal)[0].access_key.reveal() + "\n"


def test_secret_waits_beside_until_the_token_works(lmtokens_portal: Portal, tmp_path: Path) -> None:
    path = tmp_path / "token.json"
    path.write_text("the old key")
    lmtokens_portal.fail("act-then-close", method="PATCH", times=None)
    with pytest.raises(lmtokens.OutcomeUnknownError, match="delivered") as caught:
        lmtokens_portal.client(max_attempts=1).add_token(32, "ci", deliver=to_file(path, overwrite=True))
    # The new key may not work: the old one is still there, and the new one beside it.
    assert path.read_text() == "the old key"
    (waiting,) = pending(tmp_path)
    name, _, tag = waiting.name.removesuffix(".pending").partition(".json.")
    assert name == "token"
    assert TAG.fullmatch(tag)
    assert stat.S_IMODE(waiting.stat().st_mode) == 0o600
    assert json.loads(waiting.read_text())["access_key"] == created_tokens(lmtokens_portal)[0].access_key.reveal()
    assert str(tmp_path) in str(caught.value)


def test_overwriting_replaces_the_old_key_when_the_new_one_works(lmtokens_portal: Portal, tmp_path: Path) -> None:
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


def refused(portal: Portal, destination: ToFile) -> str:
    """Why a destination is refused before anything is sent."""
    with pytest.raises(lmtokens.DeliveryError) as caught:
        lmtokens.add_token("api-user", deliver=destination)
    assert portal.record == []
    return f"{caught.value} {caught.value.suggestion}"


def test_existing_file_is_refused_unsent(lmtokens_portal: Portal, tmp_path: Path) -> None:
    path = tmp_path / "token.json"
    path.write_text("the old key")
    said = refused(lmtokens_portal, to_file(path))
    assert "exists already" in said
    assert "overwrite=True" in said
    assert path.read_text() == "the old key"


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("dangling", [False, True])
def test_symbolic_link_is_refused_unsent(
    lmtokens_portal: Portal, tmp_path: Path, overwrite: bool, dangling: bool
) -> None:
    target = tmp_path / "target"
    if not dangling:
        target.write_text("somebody else's")
    (tmp_path / "link").symlink_to(target)
    assert "symbolic link" in refused(lmtokens_portal, to_file(tmp_path / "link", overwrite=overwrite))


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o757])
def test_folder_that_others_may_write_to_is_refused_unsent(lmtokens_portal: Portal, tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(mode)
    said = refused(lmtokens_portal, to_file(folder / "token.json"))
    assert "others may write" in said
    assert "chmod" in said


def test_sticky_folder_is_good(lmtokens_portal: Portal, tmp_path: Path) -> None:
    folder = tmp_path / "sticky"
    folder.mkdir()
    folder.chmod(0o1777)
    lmtokens.add_token(32, deliver=to_file(folder / "token.json"))
    assert (folder / "token.json").exists()


@pytest.mark.parametrize("overwrite", [False, True])
def test_folder_as_a_file_is_refused_unsent(lmtokens_portal: Portal, tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "folder").mkdir()
    assert "no regular file" in refused(lmtokens_portal, to_file(tmp_path / "folder", overwrite=overwrite))


def test_pipe_is_refused_unsent(lmtokens_portal: Portal, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "no regular file" in refused(lmtokens_portal, to_file(tmp_path / "pipe", overwrite=True))


def test_missing_folder_is_refused_unsent(lmtokens_portal: Portal, tmp_path: Path) -> None:
    assert str(tmp_path / "none") in refused(lmtokens_portal, to_file(tmp_path / "none" / "token.json"))


def test_relative_path_is_of_the_folder_in_which_it_was_named(
    lmtokens_portal: Portal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path)
    destination = to_file("token.json")
    monkeypatch.chdir(tmp_path / "there")
    lmtokens.add_token(32, deliver=destination)
    assert (tmp_path / "token.json").exists()
    assert list((tmp_path / "there").iterdir()) == []


def test_file_that_appears_meanwhile_is_not_replaced(lmtokens_portal: Portal, tmp_path: Path) -> None:
    path = tmp_path / "token.json"
    lmtokens_portal.fail("act-then-delay", method="PATCH", seconds=0.2)
    code = """
import pathlib, sys, threading
import lmtokens
from lmtokens.deliver import to_file
folder = pathlib.Path(sys.argv[1])
def appear():
    while not list(folder.glob("*.pending")):
        pass
    (folder / "token.json").write_text("somebody else's")
threading.Thread(target=appear).start()
try:
    lmtokens.add_token(32, deliver=to_file(folder / "token.json"))
except lmtokens.DeliveryError as error:
    print(error)
"""
    completed = run_python(code, str(tmp_path))
    assert completed.returncode == 0, completed.stderr
    assert path.read_text() == "somebody else's"
    # The token works; the message names the file that holds its key.
    (waiting,) = pending(tmp_path)
    assert re.search(r"token [0-9]+ works", completed.stdout)
    assert str(waiting) in completed.stdout
    (stored,) = created_tokens(lmtokens_portal)
    assert stored.status == 2
    assert json.loads(waiting.read_text())["access_key"] == stored.access_key.reveal()


@needs_linux
def test_full_disk_leaves_nothing(lmtokens_portal: Portal, tmp_path: Path) -> None:
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
def test_file_and_its_name_are_on_disk_before_the_token_works(lmtokens_portal: Portal, tmp_path: Path) -> None:
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
    birth = next(at for at, line in enumerate(lines) if ".pending" in line and "O_CREAT" in line)
    assert "O_EXCL" in lines[birth]
    assert "0600" in lines[birth]
    synced = [at for at, line in enumerate(lines) if "sync(" in line and str(folder) in line]
    change = next(at for at, line in enumerate(lines) if "PATCH " in line)
    assert [at for at in synced if ".pending" in lines[at] and birth < at < change]
    assert [at for at in synced if f"<{folder}>" in lines[at] and birth < at < change]
    assert [at for at in synced if f"<{folder}>" in lines[at] and at > change]
    assert request_methods(lmtokens_portal) == ["POST", "PATCH"]


@pytest.mark.parametrize("format", ["JSON", "", "csv"])
def test_unknown_format_is_refused(format: str) -> None:
    with pytest.raises(ValueError, match=r'"json".*"env".*"key"'):
        to_file("token.json", format)


@pytest.mark.parametrize("arguments", [{}, {"path": None}, {"path": 7}], ids=repr)
def test_what_is_no_path_is_refused(arguments: Any) -> None:
    with pytest.raises(TypeError):
        to_file(**arguments)


def test_repr_names_the_file(tmp_path: Path) -> None:
    assert repr(to_file(tmp_path / "token.json")) == f"<lmtokens.deliver.ToFile {tmp_path / 'token.json'}>"
