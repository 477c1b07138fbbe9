"""A disk that fails: nothing is created if the disk cannot take a key, and no key of an enabled token is lost."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
from delivery_helpers import created_tokens, is_pending, request_methods
from lmtokens.deliver import to_file
from support import SHELL, run_python, run_shell, run_with_other_files
from tampering_proxy import Exchange, TamperingProxy
from test_rotate_token import passing_time

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lmtokens.sandbox import FaultKind, Portal

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")

# The files that the disk has room for; the folder itself counts as one.
NO_FILE, ONE_FILE, TWO_FILES = 1, 2, 3

# Makes a call on a full disk, then again on one with room, and prints each error and the files afterwards.
FIRST_WITHOUT_ROOM = """
import json, os, subprocess, sys
import lmtokens
from lmtokens.deliver import to_file

folder = sys.argv[1]
path = os.path.join(folder, "token.json")

def outcome(call):
    try:
        call()
        report = {"error": None}
    except lmtokens.LMTokensError as error:
        report = {"error": f"{type(error).__name__}: {error} {error!r}", "hint": error.suggestion}
    report["files"] = {name: open(os.path.join(folder, name)).read() for name in sorted(os.listdir(folder))}
    return report

def mount(options):
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)

CALL
first = outcome(call)
mount("nr_inodes=100")
print(json.dumps([first, outcome(call)]))
"""


def disk(folder: Path, options: str) -> str:
    """Return a script that mounts a small disk."""
    return f"mount -t tmpfs -o mode=700,{options} none {folder} || exit 77"


def without_room_and_with(folder: Path, options: str, call: str) -> list[dict[str, Any]]:
    command = [sys.executable, "-c", FIRST_WITHOUT_ROOM.replace("CALL", call), str(folder)]
    completed = run_with_other_files(disk(folder, options), command)
    assert completed.returncode == 0, completed.stderr
    outcomes: list[dict[str, Any]] = json.loads(completed.stdout)
    return outcomes


@pytest.mark.parametrize(
    ("options", "problem", "hint"),
    [
        (f"nr_inodes={NO_FILE}", "No space left on device", "free space on its disk, or use a folder on another one"),
        ("ro", "Read-only file system", "use a folder that you may write to"),
    ],
    ids=["full", "read-only"],
)
def test_disk_that_takes_no_file_fails_before_the_token_is_created(
    lmtokens_portal: Portal, tmp_path: Path, options: str, problem: str, hint: str
) -> None:
    path = tmp_path / "token.json"
    completed = run_with_other_files(disk(tmp_path, options), [*SHELL, "add", "32", "--to", f"file:{path}"])
    assert (completed.returncode, completed.stdout) == (1, "")
    assert str(path) in completed.stderr
    assert problem in completed.stderr
    assert f"hint: {hint}\n" in completed.stderr
    assert request_methods(lmtokens_portal) == []


def test_folder_without_permission_fails_before_the_token_is_created(lmtokens_portal: Portal) -> None:
    code = """
import os, shutil, tempfile
import lmtokens
from lmtokens.deliver import to_file
if os.geteuid() == 0:
    # Root may write everywhere.
    os.setresuid(65534, 65534, 65534)
folder = tempfile.mkdtemp()
os.chmod(folder, 0o500)
try:
    lmtokens.add_token(32, deliver=to_file(os.path.join(folder, "token.json")))
except lmtokens.DeliveryError as error:
    print(error, "hint:", error.suggestion)
finally:
    shutil.rmtree(folder)
"""
    completed = run_python(code)
    assert completed.returncode == 0, completed.stderr
    assert "cannot write" in completed.stdout
    assert "hint: use a folder that you may write to" in completed.stdout
    assert "Permission denied" in completed.stdout
    assert request_methods(lmtokens_portal) == []


def test_key_of_an_enabled_token_waits_on_a_full_disk_for_the_repeated_call(
    lmtokens_portal: Portal, tmp_path: Path
) -> None:
    call = 'call = lambda: lmtokens.add_token(32, "ci", deliver=to_file(path))'
    full, repeated = without_room_and_with(tmp_path, f"nr_inodes={ONE_FILE}", call)
    (stored,) = created_tokens(lmtokens_portal)
    key = stored.access_key.reveal()
    assert (stored.status, stored.note) == (2, "ci")
    assert full["error"].startswith(f"DeliveryError: token {stored.id} is enabled")
    assert "No space left on device" in full["error"]
    assert "call again with the same user" in full["hint"]
    assert key not in full["error"] + full["hint"]
    ((name, text),) = full["files"].items()
    assert name.endswith(".pending")
    assert json.loads(text)["access_key"] == key
    assert repeated["error"] is None
    ((name, text),) = repeated["files"].items()
    assert (name, json.loads(text)["access_key"]) == ("token.json", key)
    assert request_methods(lmtokens_portal).count("POST") == 1


def test_key_of_an_enabled_token_waits_on_a_full_disk_for_the_repeated_command(
    lmtokens_portal: Portal, tmp_path: Path
) -> None:
    command = f'lmtokens="$1"; add() {{ "$lmtokens" add 32 --note ci --to file:{tmp_path}/token.json; }}\n'
    command += f"add && exit 78; status=$?; mount -o remount,nr_inodes=100 {tmp_path} || exit 77\n"
    command += f"echo $status; add; grep -c . {tmp_path}/token.json; ls {tmp_path}"
    completed = run_with_other_files(disk(tmp_path, f"nr_inodes={ONE_FILE}"), ["sh", "-c", command, "sh", SHELL[0]])
    (stored,) = created_tokens(lmtokens_portal)
    assert completed.stdout.split() == ["1", str(stored.id), "1", "token.json"], completed.stderr
    assert f"token {stored.id} is enabled" in completed.stderr
    assert "hint: the key is safe" in completed.stderr
    assert stored.access_key.reveal() not in completed.stdout + completed.stderr
    assert stored.status == 2
    assert request_methods(lmtokens_portal).count("POST") == 1


def test_rotation_keeps_the_old_key_if_the_disk_has_no_room_for_both(lmtokens_portal: Portal, tmp_path: Path) -> None:
    call = """
old = lmtokens.add_token(32, "ci", deliver=to_file(path))
call = lambda: lmtokens.rotate_token(old.id, deliver=to_file(path), overlap="1d")
"""
    with passing_time(lmtokens_portal):
        full, repeated = without_room_and_with(tmp_path, f"nr_inodes={TWO_FILES}", call)
    old, new = created_tokens(lmtokens_portal)
    keys = [token.access_key.reveal() for token in (old, new)]
    assert "cannot keep the old secret" in full["error"]
    assert "No space left on device" in full["error"]
    assert full["hint"]
    assert not any(key in full["error"] + full["hint"] for key in keys)
    kept = full["files"]
    assert json.loads(kept.pop("token.json"))["access_key"] == keys[0]
    ((name, text),) = kept.items()
    assert name.endswith(".pending")
    assert json.loads(text)["access_key"] == keys[1]
    assert repeated["error"] is None
    files = repeated["files"]
    assert json.loads(files["token.json"])["access_key"] == keys[1]
    assert json.loads(files[f"token.json.{old.id}.previous"])["access_key"] == keys[0]
    assert [token.status for token in (old, new)] == [2, 2]


@pytest.fixture
def unremovable(tmp_path: Path) -> Iterator[list[Path]]:
    """Files that even root cannot remove until the end of the test."""
    chattr = shutil.which("chattr")
    probe = tmp_path / "probe"
    probe.touch()
    if chattr is None or subprocess.run([chattr, "+i", probe], capture_output=True, check=False).returncode != 0:
        pytest.skip("needs permission to make files immutable")
    made = [probe]
    yield made
    for path in made:
        subprocess.run([chattr, "-i", path], check=True)


def test_pending_file_that_cannot_be_removed_is_named(
    lmtokens_portal: Portal, tmp_path: Path, unremovable: list[Path]
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / "token.json"

    def make_unremovable(exchange: Exchange) -> None:
        if exchange.method == "PATCH":
            (pending,) = folder.iterdir()
            subprocess.run(["chattr", "+i", pending], check=True)
            unremovable.append(pending)

    with (
        TamperingProxy(lmtokens_portal, before=make_unremovable) as proxy,
        pytest.raises(lmtokens.DeliveryError, match="cannot be removed") as caught,
    ):
        proxy.client().add_token(32, "ci", deliver=to_file(path))
    (stored,) = created_tokens(lmtokens_portal)
    assert stored.status == 2
    assert json.loads(path.read_text())["access_key"] == stored.access_key.reveal()
    assert str(unremovable[-1]) in str(caught.value)
    assert "remove that file" in str(caught.value.suggestion)


@pytest.mark.parametrize(
    ("fault", "parameters"),
    [("status-before-acting", {"status": 403}), ("html", {}), ("close-before-acting", {})],
    ids=["403", "503", "cut"],
)
def test_key_of_a_token_that_could_not_be_deleted_is_replaced_by_the_next_call(
    lmtokens_portal: Portal, tmp_path: Path, fault: FaultKind, parameters: dict[str, Any]
) -> None:
    path = tmp_path / "token.json"
    lmtokens_portal.fail("status-before-acting", method="PATCH", status=403)
    lmtokens_portal.fail(fault, method="DELETE", times=None, **parameters)
    with pytest.raises(lmtokens.PermissionDeniedError) as caught:
        lmtokens_portal.client(max_attempts=1).add_token(32, "ci", deliver=to_file(path))
    (pending,) = created_tokens(lmtokens_portal)
    assert is_pending(pending)
    assert f"token {pending.id} remains, disabled" in str(caught.value.suggestion)
    # The key is removed after its token only.
    (kept,) = tmp_path.iterdir()
    assert json.loads(kept.read_text())["access_key"] == pending.access_key.reveal()
    assert pending.access_key.reveal() not in f"{caught.value!r} {vars(caught.value)} {caught.value.suggestion}"
    lmtokens_portal.clear_faults()
    token = lmtokens.add_token(32, "ci", deliver=to_file(path))
    (stored,) = created_tokens(lmtokens_portal)
    assert (stored.id, stored.status, stored.id != pending.id) == (token.id, 2, True)
    assert json.loads(path.read_text())["access_key"] == stored.access_key.reveal()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("status", [401, 503])
def test_shell_names_the_token_that_remains_after_a_failed_command(lmtokens_portal: Portal, status: int) -> None:
    lmtokens_portal.fail("status-before-acting", method="DELETE", status=status, times=None)
    completed = run_shell("add", "32", "--note", "ci", "--to", "command:cat >&2; exit 3")
    (pending,) = created_tokens(lmtokens_portal)
    assert completed.returncode == 1
    assert is_pending(pending)
    assert f"token {pending.id} remains, disabled, because deleting it failed" in completed.stderr
    assert "lmtokens sweep" in completed.stderr
    assert pending.access_key.reveal() not in completed.stdout + completed.stderr
    # The hint is true: once it is old enough, a sweep deletes it.
    lmtokens_portal.clear_faults()
    lmtokens_portal.advance(hours=2)
    swept = run_shell("sweep", "--yes")
    assert swept.returncode == 0, swept.stderr
    assert created_tokens(lmtokens_portal) == []
