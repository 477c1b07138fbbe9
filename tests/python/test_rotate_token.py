"""Rotation: another token takes the place of one, and at every moment a token works whose secret somebody holds."""

from __future__ import annotations

import json
import logging
import sys
import threading
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import lmtokens
import pytest
from api_variants import VARIANTS, api_for, credentials_of, modifying_requests, stored_token, token_reference
from lmtokens.deliver import to_command, to_file
from support import run_shell
from tampering_proxy import Exchange, TamperingProxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lmtokens.sandbox import Portal, StoredToken


@contextmanager
def passing_time(portal: Portal) -> Iterator[None]:
    """Let the portal's time pass a hundred times as fast, for calls that wait a minute."""
    done = threading.Event()

    def advance() -> None:
        while not done.wait(0.1):
            portal.advance(seconds=10)

    thread = threading.Thread(target=advance)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def delivered(path: Path) -> dict[str, Any]:
    members: dict[str, Any] = json.loads(path.read_text())
    return members


def works(portal: Portal, token: StoredToken | dict[str, Any]) -> bool:
    """Return whether the portal accepts a token."""
    key = token["access_key"] if isinstance(token, dict) else token.access_key
    access_id = token["access_id"] if isinstance(token, dict) else token.access_id
    try:
        portal.client(access_id=access_id, access_key=key).whoami()
    except lmtokens.AuthenticationError:
        return False
    return True


def stored(portal: Portal, id: int) -> StoredToken:
    token = stored_token(portal, id)
    assert token is not None
    return token


@pytest.mark.parametrize("kind", VARIANTS)
@pytest.mark.parametrize("how", ["id", "access id", "Token"])
def test_token_is_rotated_with_an_overlap_and_a_quarantine(
    lmtokens_portal: Portal, kind: str, how: str, tmp_path: Path
) -> None:
    path = tmp_path / "token.json"
    api = api_for(kind, lmtokens_portal)
    old = lmtokens_portal.create_token(32, note="ci")
    token = token_reference(how, api, old)
    rotation = api.rotate_token(token, deliver=to_file(path), overlap="24h")
    assert rotation.new is not None
    assert (rotation.old.id, rotation.state, rotation.changes) == (old.id, "overlap", 3)
    assert (rotation.new.replaces, rotation.new.note, rotation.new.access_key) == (old.id, "ci", None)
    assert rotation.due is not None
    assert timedelta(hours=23) < rotation.due - lmtokens_portal_now(lmtokens_portal) <= timedelta(hours=24)
    assert delivered(path)["id"] == rotation.new.id
    assert works(lmtokens_portal, delivered(path))
    assert works(lmtokens_portal, old)
    (finished,) = api.finish_rotations()
    assert (finished.state, finished.due, finished.changes) == ("overlap", rotation.due, 0)
    old_and_new = f"{rotation.old.id} by {rotation.new.id}"
    assert repr(finished) == f"<lmtokens.Rotation of {old_and_new}, overlap, due {rotation.due.isoformat()}>"

    lmtokens_portal.advance(hours=37)
    (finished,) = api.finish_rotations(old.id, quarantine=timedelta(days=1))
    assert (finished.state, finished.old.replaced_by) == ("quarantine", rotation.new.id)
    assert not works(lmtokens_portal, old)
    assert api.rotate_token(token, deliver=to_file(path), overlap="24h").state == "quarantine"

    lmtokens_portal.advance(days=1)
    (finished,) = api.finish_rotations()
    assert (finished.state, finished.due, finished.error) == ("finished", None, None)
    assert repr(finished) == f"<lmtokens.Rotation of {old_and_new}, finished>"
    assert stored_token(lmtokens_portal, old.id) is None
    assert stored(lmtokens_portal, rotation.new.id).note == "ci"
    assert api.finish_rotations() == []
    assert works(lmtokens_portal, delivered(path))


@pytest.mark.parametrize("kind", VARIANTS)
def test_rejected_credentials_end_the_finishing_and_are_reported(
    lmtokens_portal: Portal, kind: str, tmp_path: Path
) -> None:
    api = api_for(kind, lmtokens_portal)
    old = [lmtokens_portal.create_token(32) for _ in range(3)]
    for token in old:
        api.rotate_token(token.id, deliver=to_file(tmp_path / str(token.id)), overlap=3600)
    lmtokens_portal.advance(hours=2)
    lmtokens_portal.fail("status-before-acting", method="PATCH", status=401, times=None, skip=1)
    finished = api.finish_rotations()
    assert [(each.old.id, each.state) for each in finished] == [(old[0].id, "quarantine"), (old[1].id, "failed")]
    assert finished[1].new is not None
    assert finished[1].new.id == delivered(tmp_path / str(old[1].id))["id"]
    assert isinstance(finished[1].error, lmtokens.AuthenticationError)


@pytest.mark.parametrize("kind", VARIANTS)
def test_shorter_overlap_shortens_a_running_one(lmtokens_portal: Portal, kind: str, tmp_path: Path) -> None:
    api = api_for(kind, lmtokens_portal)
    old = lmtokens_portal.create_token(32, note="ci")
    dues = []
    for overlap in ("24h", "48h", "24h", "2h", "24h"):
        rotation = api.rotate_token(old.id, deliver=to_file(tmp_path / "ci.json"), overlap=overlap)
        assert rotation.state == "overlap"
        assert rotation.due is not None
        dues.append(rotation.due)
    assert dues[0] == dues[1] == dues[2]
    assert timedelta(hours=21) < dues[0] - dues[3] < timedelta(hours=23)
    assert dues[3] == dues[4]
    rotation = api.rotate_token(old.id, deliver=to_file(tmp_path / "ci.json"), overlap=0)
    assert rotation.state == "quarantine"
    assert not works(lmtokens_portal, old)
    assert works(lmtokens_portal, delivered(tmp_path / "ci.json"))


@pytest.mark.parametrize("call", ["rotate_token", "finish_rotations", "rotate", "rotate --finish"])
def test_quarantine_of_0_ends_a_running_one_of_a_named_token(
    lmtokens_portal: Portal, call: str, tmp_path: Path
) -> None:
    path = tmp_path / "ci.json"
    old, other = (lmtokens_portal.create_token(32, note="ci") for _ in range(2))
    lmtokens.rotate_token(other.id, deliver=to_file(tmp_path / "other.json"), overlap=0)
    assert lmtokens.rotate_token(old.id, deliver=to_file(path), overlap=0, quarantine="30d").state == "quarantine"
    before = stored(lmtokens_portal, old.id)

    def state(**arguments: Any) -> str:
        if call == "rotate_token":
            return lmtokens.rotate_token(old.id, deliver=to_file(path), overlap=0, **arguments).state
        if call == "finish_rotations":
            return lmtokens.finish_rotations(old.id, **arguments)[0].state
        options = ["--to", f"file:{path}", "--overlap", "0"] if call == "rotate" else []
        options += [f"--{name}={value}" for name, value in arguments.items()]
        completed = run_shell(*call.split(), str(old.id), *options, "-o", "json")
        assert completed.returncode == 0, completed.stderr
        return str(json.loads(completed.stdout)[0]["state"])

    # Neither the default nor another time changes the one in the note.
    assert [state(), state(quarantine="1h"), state(quarantine="60d")] == ["quarantine"] * 3
    assert stored(lmtokens_portal, old.id) == before
    assert state(quarantine=0) == "finished"
    assert stored_token(lmtokens_portal, old.id) is None
    assert stored(lmtokens_portal, other.id).status == 1
    new = delivered(path)
    assert stored(lmtokens_portal, new["id"]).note == "ci"
    assert works(lmtokens_portal, new)


def test_quarantine_of_0_for_all_rotations_ends_no_running_one(lmtokens_portal: Portal, tmp_path: Path) -> None:
    first, second = (lmtokens_portal.create_token(32) for _ in range(2))
    lmtokens.rotate_token(first.id, deliver=to_file(tmp_path / "first.json"), overlap=0)
    lmtokens.rotate_token(second.id, deliver=to_file(tmp_path / "second.json"), overlap="1h")
    lmtokens_portal.advance(hours=2)
    completed = run_shell("rotate", "--finish", "--quarantine", "0", "-o", "json")
    states = {row["old_id"]: row["state"] for row in json.loads(completed.stdout)}
    assert states == {first.id: "quarantine", second.id: "finished"}


@pytest.mark.parametrize("force", [False, True])
def test_refused_calls_outlast_a_quarantine_of_0(lmtokens_portal: Portal, force: bool, tmp_path: Path) -> None:
    old = lmtokens_portal.create_token(32)
    lmtokens.rotate_token(old.id, deliver=to_file(tmp_path / "ci.json"), overlap=0)
    assert not works(lmtokens_portal, old)
    (finished,) = lmtokens.finish_rotations(old.id, quarantine=0, force=force)
    assert finished.state == ("finished" if force else "in_use")
    assert (stored_token(lmtokens_portal, old.id) is None) == force


@pytest.mark.parametrize("kind", VARIANTS)
def test_running_rotation_refuses_another_destination_or_note(
    lmtokens_portal: Portal, kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    api = api_for(kind, lmtokens_portal)
    old = lmtokens_portal.create_token(32, note="ci")
    other = lmtokens_portal.create_token(33)
    api.rotate_token(old.id, deliver=to_file(tmp_path / "ci.json"), overlap="2h")
    api.rotate_token(other.id, deliver=to_file(tmp_path / "other.json"), overlap="2h")
    before = [token.note for token in lmtokens_portal.tokens]
    for name in ("missing.json", "other.json"):
        with pytest.raises(lmtokens.RotationError, match=f"was delivered before, and is not in .*{name}") as refused:
            api.rotate_token(old.id, deliver=to_file(tmp_path / name, overwrite=True), overlap="1h")
        assert "pass the first destination" in str(refused.value.suggestion)
    with pytest.raises(lmtokens.RotationError, match="has another note than the given one"):
        api.rotate_token(old.id, deliver=to_file(tmp_path / "ci.json"), overlap="1h", note="other")
    assert [token.note for token in lmtokens_portal.tokens] == before
    assert not (tmp_path / "missing.json").exists()
    assert delivered(tmp_path / "other.json")["admin_id"] == 33

    called: list[lmtokens.Token] = []
    caplog.set_level(logging.INFO, "lmtokens")
    again = api.rotate_token(old.id, deliver=to_file(tmp_path / "ci.json"), overlap="1h", note="ci", then=called.append)
    assert (again.state, called) == ("overlap", [])
    assert again.new is not None
    assert f"did not run the check of token {again.new.id}" in caplog.text


def test_rotation_whose_file_was_moved_ends_after_its_overlap(lmtokens_portal: Portal, tmp_path: Path) -> None:
    old = lmtokens_portal.create_token(32, note="ci")
    path = tmp_path / "ci.json"

    def rotate(overlap: int) -> str:
        with lmtokens_portal.client() as client:
            return client.rotate_token(old.id, deliver=to_file(path), overlap=overlap, force=True).state

    assert rotate(3600) == "overlap"
    path.rename(tmp_path / "taken.json")
    with pytest.raises(lmtokens.RotationError, match=r"ci\.json") as refused:
        rotate(3600)
    assert "if the key was moved from there, a sweep finishes the rotation" in str(refused.value.suggestion)
    lmtokens_portal.advance(hours=2)
    assert rotate(3600) == "quarantine"
    assert rotate(3600) == "quarantine"
    assert works(lmtokens_portal, delivered(tmp_path / "taken.json"))


def test_repeated_check_refuses_another_note(lmtokens_portal: Portal, tmp_path: Path) -> None:
    old = lmtokens_portal.create_token(32, note="ci")
    called: list[int] = []

    def fail(_: lmtokens.Token) -> None:
        called.append(1)
        raise RuntimeError("the service does not start")

    for note, calls in ((None, 1), ("other", 1), ("ci", 2)):
        with pytest.raises(lmtokens.RotationError):
            lmtokens.rotate_token(old.id, deliver=to_file(tmp_path / "ci.json"), overlap=0, note=note, then=fail)
        assert len(called) == calls


def test_refused_shorter_overlap_of_the_calling_token_changes_nothing(lmtokens_portal: Portal, tmp_path: Path) -> None:
    own = lmtokens_portal.create_token(1, note="ci")
    path = tmp_path / "ci.json"
    lmtokens_portal.client(**credentials_of(own)).rotate_token(own.id, deliver=to_file(path), overlap="2h")
    before = [token.note for token in lmtokens_portal.tokens]
    # A later process has the old secret, and the destination has the new one in place.
    later = lmtokens_portal.client(**credentials_of(own))
    with pytest.raises(lmtokens.SelfLockoutError):
        later.rotate_token(own.id, deliver=to_file(path), overlap=0)
    assert [token.note for token in lmtokens_portal.tokens] == before
    assert lmtokens_portal.client().finish_rotations()[0].state == "overlap"
    assert works(lmtokens_portal, own)
    assert later.rotate_token(own.id, deliver=to_file(path), overlap="1h").state == "overlap"


def test_dict_has_the_members_that_the_shell_prints(lmtokens_portal: Portal, tmp_path: Path) -> None:
    old = lmtokens_portal.create_token(32, note="ci")
    rotation = lmtokens.rotate_token(old.id, deliver=to_file(tmp_path / "ci.json"), overlap=3600)
    members = rotation.to_dict()
    assert rotation.new is not None
    assert rotation.due is not None
    assert (members["new_id"], members["due"]) == (rotation.new.id, rotation.due.isoformat())
    completed = run_shell("rotate", str(old.id), "--to", f"file:{tmp_path}/ci.json", "--overlap", "1h", "-o", "json")
    assert json.loads(completed.stdout) == [{**members, "changes": 0}]


def lmtokens_portal_now(portal: Portal) -> datetime:
    created = portal.create_token(32).created_on
    return datetime.fromtimestamp(created, timezone.utc)


@pytest.mark.parametrize("kind", VARIANTS)
def test_sweep_does_what_is_due(lmtokens_portal: Portal, kind: str, tmp_path: Path) -> None:
    api = api_for(kind, lmtokens_portal)
    old = lmtokens_portal.create_token(32)
    rotation = api.rotate_token(old.id, deliver=to_file(tmp_path / "token.json"), overlap="1h")
    assert api.sweep_tokens(dry_run=False) == []
    lmtokens_portal.advance(hours=1)
    for only in ("rotations", None):
        (due,) = api.sweep_tokens(only=only)
        assert (due.token.id, due.reason, due.rotation, due.deleted) == (old.id, "rotation", None, False)
    assert api.sweep_tokens(only="expired") == []
    (swept,) = api.sweep_tokens(dry_run=False)
    assert (swept.token.id, swept.rotation, swept.kept, swept.error) == (old.id, "quarantine", None, None)
    assert stored(lmtokens_portal, old.id).status == 1
    assert api.sweep_tokens(dry_run=False) == []
    lmtokens_portal.advance(days=7)
    (swept,) = api.sweep_tokens(dry_run=False, only="rotations")
    assert (swept.rotation, swept.deleted) == ("finished", True)
    assert stored_token(lmtokens_portal, old.id) is None
    assert rotation.new is not None
    assert stored(lmtokens_portal, rotation.new.id).note == ""
    assert api.sweep_tokens(dry_run=False) == []


def test_shell_sweeps_rotations(lmtokens_portal: Portal, tmp_path: Path) -> None:
    old = lmtokens_portal.create_token(32)
    lmtokens.rotate_token(old.id, deliver=to_file(tmp_path / "token.json"), overlap="1h")
    lmtokens_portal.advance(hours=1)
    assert works(lmtokens_portal, old)
    completed = run_shell("sweep", "--only", "rotations", "-o", "jsonl")
    assert (completed.returncode, json.loads(completed.stdout)["reason"]) == (0, "rotation")
    completed = run_shell("sweep", "--yes", "-o", "jsonl")
    assert (completed.returncode, json.loads(completed.stdout)["rotation"]) == (3, "in_use"), completed.stderr
    lmtokens_portal.advance(hours=1)
    completed = run_shell("sweep", "--yes", "-o", "jsonl")
    assert (completed.returncode, json.loads(completed.stdout)["rotation"]) == (0, "quarantine"), completed.stderr


@pytest.mark.parametrize("kind", VARIANTS)
def test_callable_receives_the_secret_once(lmtokens_portal: Portal, kind: str) -> None:
    old = lmtokens_portal.create_token(32)
    received: list[lmtokens.CreatedToken] = []
    checked: list[lmtokens.Token] = []
    rotation = api_for(kind, lmtokens_portal).rotate_token(
        old.id, deliver=received.append, overlap=0, quarantine=0, then=checked.append
    )
    (token,) = received
    assert (rotation.state, rotation.changes) == ("finished", 5)
    assert [each.id for each in checked] == [token.id]
    assert checked[0].access_key is None
    assert works(lmtokens_portal, stored(lmtokens_portal, token.id))


@pytest.mark.parametrize("kind", VARIANTS)
def test_check_that_raises_leaves_both_tokens(lmtokens_portal: Portal, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "token.json"
    old = lmtokens_portal.create_token(32)
    api = api_for(kind, lmtokens_portal)

    def fail(_: lmtokens.Token) -> None:
        raise RuntimeError("the service does not start")

    with pytest.raises(lmtokens.RotationError, match="then raised RuntimeError") as raised:
        api.rotate_token(old.id, deliver=to_file(path), overlap=0, then=fail)
    assert isinstance(raised.value.__cause__, RuntimeError)
    assert "both tokens work" in str(raised.value)
    assert "call rotate_token again" in str(raised.value.suggestion)
    with pytest.raises(lmtokens.RotationError) as unfinished:
        api.rotate_token(old.id, deliver=to_file(path), overlap=0, then=lambda _: print)
    assert "then must be done when it returns" in str(unfinished.value.__cause__)
    assert works(lmtokens_portal, delivered(path))
    assert works(lmtokens_portal, old)
    assert api.rotate_token(old.id, deliver=to_file(path), overlap=0).state == "quarantine"
    assert works(lmtokens_portal, delivered(path))
    assert not works(lmtokens_portal, old)


@pytest.mark.parametrize("kind", VARIANTS)
def test_rotation_is_cancelled(lmtokens_portal: Portal, kind: str, tmp_path: Path) -> None:
    api = api_for(kind, lmtokens_portal)
    old = lmtokens_portal.create_token(32, note="ci")
    rotation = api.rotate_token(old.id, deliver=to_file(tmp_path / "token.json"), overlap=0)
    assert rotation.new is not None
    with passing_time(lmtokens_portal):
        cancelled = api.cancel_rotation(rotation.new)
    assert (cancelled.state, cancelled.old.id, cancelled.old.note) == ("cancelled", old.id, "ci")
    assert works(lmtokens_portal, old)
    assert stored(lmtokens_portal, rotation.new.id).status == 1
    with pytest.raises(lmtokens.RotationError, match="is not being rotated"):
        api.cancel_rotation(lmtokens_portal.create_token(32).id)


@pytest.mark.parametrize("kind", VARIANTS)
def test_old_token_that_is_enabled_is_reported_until_its_rotation_is_cancelled(
    lmtokens_portal: Portal, kind: str, tmp_path: Path
) -> None:
    api = api_for(kind, lmtokens_portal)
    old = lmtokens_portal.create_token(32, note="ci")
    rotation = api.rotate_token(old.id, deliver=to_file(tmp_path / "token.json"), overlap=0)
    assert rotation.new is not None
    assert api.enable_token(old.id).replaced_by == rotation.new.id
    for _ in range(2):
        (finished,) = api.finish_rotations()
        assert finished.state == "failed"
        assert "enabled by others" in str(finished.error)
        assert f"cancel_rotation({old.id})" in str(finished.error)
        assert api.sweep_tokens(dry_run=False) == []
    lmtokens_portal.advance(days=7)
    (swept,) = api.sweep_tokens(dry_run=False)
    assert "enabled by others" in str(swept.error)
    assert works(lmtokens_portal, old)
    with passing_time(lmtokens_portal):
        assert api.cancel_rotation(old.id).state == "cancelled"
    assert stored(lmtokens_portal, old.id).note == "ci"
    assert works(lmtokens_portal, old)


@pytest.mark.parametrize("kind", VARIANTS)
def test_sweep_deletes_the_new_token_of_a_cancelled_rotation(
    lmtokens_portal: Portal, kind: str, tmp_path: Path
) -> None:
    api = api_for(kind, lmtokens_portal)
    old = lmtokens_portal.create_token(32, note="ci")
    rotation = api.rotate_token(old.id, deliver=to_file(tmp_path / "token.json"), overlap=0)
    assert rotation.new is not None
    with passing_time(lmtokens_portal):
        api.cancel_rotation(old.id)
    lmtokens_portal.advance(days=6, hours=23)
    assert api.sweep_tokens() == []
    lmtokens_portal.advance(hours=1)
    for only in ("abandoned", None):
        (due,) = api.sweep_tokens(only=only)
        assert (due.token.id, due.reason, due.deleted) == (rotation.new.id, "abandoned", False)
    assert api.sweep_tokens(only="rotations", dry_run=False) == []
    (swept,) = api.sweep_tokens(dry_run=False)
    assert (swept.deleted, swept.rotation, swept.error) == (True, None, None)
    assert stored_token(lmtokens_portal, rotation.new.id) is None
    assert works(lmtokens_portal, old)


@pytest.mark.parametrize("kind", VARIANTS)
def test_old_token_works_again_at_the_next_sweep_after_the_new_one_is_deleted(
    lmtokens_portal: Portal, kind: str, tmp_path: Path
) -> None:
    api = api_for(kind, lmtokens_portal)
    old = lmtokens_portal.create_token(32)
    rotation = api.rotate_token(old.id, deliver=to_file(tmp_path / "token.json"), overlap=0)
    assert api.sweep_tokens() == []
    assert rotation.new is not None
    api.delete_token(rotation.new.id)
    (due,) = api.sweep_tokens()
    assert (due.token.id, due.reason) == (old.id, "rotation")
    (swept,) = api.sweep_tokens(dry_run=False)
    assert (swept.rotation, swept.error) == ("restored", None)
    assert works(lmtokens_portal, old)
    assert api.sweep_tokens(dry_run=False) == []


@pytest.mark.parametrize("status", [1, 2])
def test_token_with_a_copy_of_the_new_note_is_not_changed(lmtokens_portal: Portal, status: int, tmp_path: Path) -> None:
    old = lmtokens_portal.create_token(32)

    class Killed:
        def deliver(self, _: lmtokens.CreatedToken) -> None:
            pass

        def commit(self, _: lmtokens.CreatedToken) -> None:
            raise OSError("killed")

    with pytest.raises(lmtokens.DeliveryError):
        lmtokens.rotate_token(old.id, deliver=Killed(), overlap=0)
    new = max(lmtokens_portal.tokens, key=lambda token: token.id)
    other = lmtokens_portal.create_token(32, note=new.note, status=status)
    lmtokens_portal.advance(minutes=59)
    count = len(modifying_requests(lmtokens_portal))
    for call in (
        lambda: lmtokens.rotate_token(old.id, deliver=to_file(tmp_path / "token.json"), overlap=0),
        lambda: lmtokens.finish_rotations(new.id),
        lambda: lmtokens.cancel_rotation(old.id),
    ):
        with pytest.raises(lmtokens.RotationError, match=f"tokens {new.id} and {other.id} have the same tag"):
            call()
    assert len(modifying_requests(lmtokens_portal)) == count


@pytest.mark.parametrize("kind", VARIANTS)
def test_token_in_use_is_kept_until_it_is_idle(lmtokens_portal: Portal, kind: str, tmp_path: Path) -> None:
    api = api_for(kind, lmtokens_portal)
    old = lmtokens_portal.create_token(32)

    def rotate(**arguments: Any) -> lmtokens.Rotation:
        return api.rotate_token(old.id, deliver=to_file(tmp_path / "token.json"), overlap="1h", **arguments)

    rotate()
    lmtokens_portal.advance(hours=1)
    assert works(lmtokens_portal, old)
    rotation = rotate()
    assert (rotation.state, rotation.is_same_address, rotation.last_used_from) == ("in_use", True, "127.0.0.1")
    assert rotation.last_used_on == rotation.old.last_used_on is not None
    assert works(lmtokens_portal, old)
    (finished,) = api.finish_rotations()
    assert finished.state == "in_use"
    lmtokens_portal.advance(hours=1)
    (finished,) = api.finish_rotations()
    assert finished.state == "quarantine"


@pytest.mark.skipif(sys.platform != "linux", reason="127.0.0.2 is not an address of every system")
def test_use_from_another_address_is_reported(lmtokens_portal: Portal, tmp_path: Path) -> None:
    old = lmtokens_portal.create_token(32)
    lmtokens.rotate_token(old.id, deliver=to_file(tmp_path / "token.json"), overlap="1h")
    lmtokens_portal.advance(hours=1)
    signature = lmtokens.sign("GET", "/setting/admins", **credentials_of(old))
    url = urlsplit(lmtokens_portal.base_url)
    assert url.hostname is not None
    connection = HTTPConnection(url.hostname, url.port, source_address=("127.0.0.2", 0))
    connection.request("GET", f"{url.path}/setting/admins", headers={"Authorization": signature, "X-Version": "3"})
    assert connection.getresponse().status == 200
    connection.close()
    (finished,) = lmtokens.finish_rotations()
    assert (finished.state, finished.is_same_address, finished.last_used_from) == ("in_use", False, "127.0.0.2")
    assert "the address that last used the new token" not in run_shell("rotate", "--finish").stderr


@pytest.mark.parametrize("kind", ["client", "async"])
def test_client_that_rotates_its_own_token_uses_the_new_one(lmtokens_portal: Portal, kind: str, tmp_path: Path) -> None:
    own = lmtokens_portal.create_token(1)
    api = api_for(kind, lmtokens_portal, **credentials_of(own))
    rotation = api.rotate_token(own.id, deliver=to_file(tmp_path / "token.json"), overlap=0)
    assert rotation.new is not None
    assert rotation.state == "quarantine"
    who = api.whoami()
    assert who.token is not None
    assert who.token.id == rotation.new.id
    with pytest.raises(lmtokens.AuthenticationError):
        lmtokens_portal.client(**credentials_of(own)).whoami()


def test_module_functions_use_the_new_token_of_the_default_client(lmtokens_portal: Portal, tmp_path: Path) -> None:
    own = lmtokens_portal.create_token(1)
    api_for("functions", lmtokens_portal, **credentials_of(own))
    rotation = lmtokens.rotate_token(own.id, deliver=to_file(tmp_path / "token.json"), overlap=0)
    who = lmtokens.whoami()
    assert rotation.new is not None
    assert who.token is not None
    assert who.token.id == rotation.new.id


def test_expiry_is_carried_over(lmtokens_portal: Portal, tmp_path: Path) -> None:
    token = lmtokens.add_token(32, "ci", expires=timedelta(days=90))
    rotation = lmtokens.rotate_token(token, deliver=to_file(tmp_path / "token.json"), overlap=0, quarantine=0)
    assert rotation.new is not None
    assert rotation.new.expires_on == token.expires_on
    assert delivered(tmp_path / "token.json")["expires_on"] is not None
    assert stored(lmtokens_portal, rotation.new.id).note.startswith(f"[lmtokens {rotation.new.id} expires ")


def test_overlap_below_a_second_is_not_none(lmtokens_portal: Portal, tmp_path: Path) -> None:
    old = lmtokens_portal.create_token(32)
    assert lmtokens.rotate_token(old.id, deliver=to_file(tmp_path / "token.json"), overlap=0.5).state == "overlap"


def test_note_can_be_replaced(lmtokens_portal: Portal, tmp_path: Path) -> None:
    old = lmtokens_portal.create_token(32, note="ci")
    rotation = lmtokens.rotate_token(old.id, deliver=to_file(tmp_path / "token.json"), overlap=0, note="new")
    assert rotation.new is not None
    assert rotation.new.note == "new"


def test_command_receives_the_secret(lmtokens_portal: Portal, tmp_path: Path) -> None:
    path = tmp_path / "token.json"
    old = lmtokens_portal.create_token(32)
    store = to_command(["sh", "-c", f"cat > {path}"])
    assert lmtokens.rotate_token(old.id, deliver=store, overlap=0).state == "quarantine"
    assert works(lmtokens_portal, delivered(path))


@pytest.mark.parametrize("kind", VARIANTS)
def test_failed_delivery_leaves_the_old_token(lmtokens_portal: Portal, kind: str) -> None:
    old = lmtokens_portal.create_token(32)

    def fail(_: lmtokens.CreatedToken) -> None:
        raise OSError("full")

    with pytest.raises(lmtokens.DeliveryError, match="deliver raised OSError"):
        api_for(kind, lmtokens_portal).rotate_token(old.id, deliver=fail, overlap=0)
    assert works(lmtokens_portal, old)
    assert [token.id for token in lmtokens_portal.tokens if token.admin_id == 32] == [old.id]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"overlap": -1}, ValueError, "invalid overlap -1; expected 0 to 315360000 seconds"),
        ({"overlap": float("nan")}, ValueError, "invalid overlap NaN"),
        ({"overlap": "1w"}, ValueError, "invalid overlap; expected a number of seconds, a timedelta"),
        ({"overlap": None}, TypeError, "overlap must be a number of seconds"),
        ({"overlap": 0, "quarantine": datetime(2027, 1, 1, tzinfo=timezone.utc)}, TypeError, "quarantine must be"),
        ({"overlap": 0, "then": "systemctl restart"}, TypeError, "then must be a callable"),
        ({"overlap": 0, "note": "[lmtokens 5"}, ValueError, "invalid note"),
        ({}, TypeError, "overlap"),
    ],
)
def test_invalid_arguments_are_refused(
    lmtokens_portal: Portal, arguments: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        lmtokens.rotate_token(5, deliver=lambda _: None, **arguments)
    assert lmtokens_portal.record == []


def test_bearer_token_needs_permission(lmtokens_portal: Portal, tmp_path: Path) -> None:
    bearer = lmtokens_portal.create_token(32, type="bearer")
    with pytest.raises(lmtokens.RotationError, match="is a bearer token") as raised:
        lmtokens.rotate_token(bearer.id, deliver=to_file(tmp_path / "token.json"), overlap=0)
    assert "allow_bearer=True" in str(raised.value.suggestion)
    assert modifying_requests(lmtokens_portal) == []


def test_shell_rotates_finishes_and_cancels(lmtokens_portal: Portal, tmp_path: Path) -> None:
    path = tmp_path / "token.json"
    old = lmtokens_portal.create_token(32, note="ci")
    rotate = ("rotate", str(old.id), "--to", f"file:{path}", "--overlap", "24h", "-o", "json")
    for _ in range(2):
        completed = run_shell(*rotate)
        assert completed.returncode == 0, completed.stderr
        (shown,) = json.loads(completed.stdout)
        assert (shown["old_id"], shown["state"], shown["new_id"]) == (old.id, "overlap", delivered(path)["id"])
        assert f"token {old.id} is disabled after" in completed.stderr
    lmtokens_portal.advance(hours=24)
    assert works(lmtokens_portal, old)
    completed = run_shell("rotate", "--finish", "-o", "jsonl")
    assert completed.returncode == 3
    assert json.loads(completed.stdout)["state"] == "in_use"
    assert "is in use and still works" in completed.stderr
    assert "127.0.0.1" in completed.stderr
    completed = run_shell("rotate", "--finish", str(old.id), "--force", "-o", "jsonl")
    assert (completed.returncode, json.loads(completed.stdout)["state"]) == (0, "quarantine"), completed.stderr
    with passing_time(lmtokens_portal):
        completed = run_shell("rotate", "--cancel", str(old.id), "-o", "jsonl")
    assert (completed.returncode, json.loads(completed.stdout)["state"]) == (0, "cancelled"), completed.stderr
    assert works(lmtokens_portal, old)


def test_shell_runs_the_check(lmtokens_portal: Portal, tmp_path: Path) -> None:
    path = tmp_path / "token.json"
    old = lmtokens_portal.create_token(32)
    rotate = ("rotate", old.access_id, "--to", f"file:{path}", "--overlap", "0")
    completed = run_shell(*rotate, "--then", "sh -c 'echo checking; exit 3'")
    assert completed.returncode == 1
    assert "checking" in completed.stderr
    assert "both tokens work" in completed.stderr
    assert works(lmtokens_portal, old)
    assert works(lmtokens_portal, delivered(path))
    completed = run_shell(*rotate, "--then", f"touch {tmp_path / 'checked'}")
    assert completed.returncode == 0, completed.stderr
    assert (tmp_path / "checked").exists()


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("99", "--to", "file:PATH", "--overlap", "0"), 5, "not found"),
        (("5", "--to", "file:PATH"), 2, "--overlap"),
        (("5", "--overlap", "0"), 2, "--to"),
        (("5", "--to", "-", "--overlap", "0"), 2, "invalid --to"),
        (("5", "--to", "file:PATH", "--overlap", "1w"), 2, "expected 90s, 30m, 24h, 7d"),
        (("--finish", "--cancel", "5"), 2, "cannot be used with"),
        (("--cancel", "5", "--force"), 2, "cannot be used with"),
        ((), 2, "required"),
    ],
)
def test_shell_refuses(
    lmtokens_portal: Portal, arguments: tuple[str, ...], status: int, message: str, tmp_path: Path
) -> None:
    completed = run_shell("rotate", *(word.replace("PATH", str(tmp_path / "token.json")) for word in arguments))
    assert completed.returncode == status, completed.stderr
    assert message in completed.stderr
    assert modifying_requests(lmtokens_portal) == []


def rotate_many(tmp_path: Path, *arguments: str) -> tuple[int, list[dict[str, Any]], str]:
    """Run ``lmtokens rotate`` for several tokens; return its exit code, its rows and its standard error."""
    keys = tmp_path / "keys"
    keys.mkdir(mode=0o700, exist_ok=True)
    to = f"file:{keys}/{{old_id}}.json"
    completed = run_shell("rotate", "--to", to, "--overlap", "1h", "-o", "json", *arguments)
    return completed.returncode, json.loads(completed.stdout or "[]"), completed.stderr


def test_shell_rotates_all_old_tokens_again_and_again(lmtokens_portal: Portal, tmp_path: Path) -> None:
    month = int(datetime.now(timezone.utc).timestamp()) - 30 * 86400
    old = [lmtokens_portal.create_token(32, created_on=month) for _ in range(3)]
    lmtokens_portal.create_token(32, created_on=month, status=1)
    lmtokens_portal.create_token(32, created_on=month, type="bearer")
    lmtokens_portal.create_token(32)
    arguments = ("--user", "32", "--older-than", "7d")
    status, rows, shown = rotate_many(tmp_path, *arguments, "--dry-run")
    assert (status, [row["old_id"] for row in rows]) == (0, [token.id for token in old])
    assert "3 tokens would be rotated" in shown
    assert modifying_requests(lmtokens_portal) == []
    for _ in range(2):
        status, rows, _ = rotate_many(tmp_path, *arguments)
        assert status == 0
        assert [(row["old_id"], row["state"]) for row in rows] == [(token.id, "overlap") for token in old]
    for token in old:
        assert works(lmtokens_portal, delivered(tmp_path / "keys" / f"{token.id}.json"))
    assert len(list((tmp_path / "keys").iterdir())) == 3
    lmtokens_portal.advance(hours=2)
    _, rows, _ = rotate_many(tmp_path, *arguments)
    assert [row["state"] for row in rows] == ["quarantine"] * 3
    assert rotate_many(tmp_path, *arguments)[:2] == (0, [])


def test_shell_shows_what_would_be_rotated(lmtokens_portal: Portal, tmp_path: Path) -> None:
    path = tmp_path / "token.json"
    tokens = [lmtokens_portal.create_token(32, status=status, note="ci") for status in (2, 1)]
    for token, count in zip(tokens, (1, 0)):
        completed = run_shell(
            "rotate", token.access_id, "--to", f"file:{path}", "--overlap", "0", "--dry-run", "-o", "json"
        )
        assert completed.returncode == 0, completed.stderr
        rows = [(row["old_id"], row["destination"]) for row in json.loads(completed.stdout)]
        assert rows == [(token.id, str(path))] * count
        assert f"{count} tokens would be rotated" in completed.stderr
    assert modifying_requests(lmtokens_portal) == []
    assert list(tmp_path.iterdir()) == []


def test_shell_reports_that_another_process_is_rotating(lmtokens_portal: Portal, tmp_path: Path) -> None:
    old = lmtokens_portal.create_token(32)
    path = tmp_path / "token.json"
    command = ("rotate", str(old.id), "--to", f"file:{path}", "--overlap", "0")
    statuses: list[int] = []

    def check(_: lmtokens.Token) -> None:
        # The file is locked until the call ends; after a failed check, it can be continued at once.
        statuses.append(run_shell(*command).returncode)

    lmtokens.rotate_token(old.id, deliver=to_file(path), overlap=0, then=check)
    assert statuses == [1]
    assert run_shell(*command).returncode == 0
    assert run_shell("rotate", "--finish", "999").returncode == 5
    assert run_shell("rotate", "--cancel", "999").returncode == 5


def test_shell_stops_if_the_first_rotation_fails(lmtokens_portal: Portal, tmp_path: Path) -> None:
    old = [lmtokens_portal.create_token(32) for _ in range(3)]
    status, rows, shown = rotate_many(tmp_path, "--user", "32", "--then", "false")
    assert status == 1
    assert [(row["old_id"], row["state"]) for row in rows] == [(old[0].id, "failed")]
    assert "2 tokens were not rotated" in shown
    assert all(works(lmtokens_portal, token) for token in old)


def test_shell_stops_if_credentials_are_rejected_in_a_lookup(
    lmtokens_portal: Portal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = [lmtokens_portal.create_token(32) for _ in range(3)]
    posts: list[str] = []

    def after(exchange: Exchange) -> None:
        if exchange.method == "POST":
            posts.append(exchange.path)
            if len(posts) == 2:
                # The response is lost, and with it the answer to whether there is a token.
                exchange.status, exchange.response_body = 502, b""
                lmtokens_portal.fail("status-before-acting", method="GET", status=401, times=None)

    with TamperingProxy(lmtokens_portal, after=after) as portal:
        monkeypatch.setenv("LM_BASE_URL", portal.base_url)
        _, rows, shown = rotate_many(tmp_path, "--user", "32")
    assert [row["old_id"] for row in rows] == [old[0].id, old[1].id]
    assert "1 tokens were not rotated" in shown
    assert len(posts) == 2
    rejected = [seen for seen in lmtokens_portal.record if seen.status == 401]
    assert len(rejected) == 1


def test_shell_goes_on_after_a_later_rotation_fails(lmtokens_portal: Portal, tmp_path: Path) -> None:
    old = [lmtokens_portal.create_token(32) for _ in range(3)]
    (tmp_path / "keys").mkdir(mode=0o700)
    (tmp_path / "keys" / f"{old[1].id}.json").write_text("of another token")
    status, rows, shown = rotate_many(tmp_path, "--filter", "adminId:32")
    assert status == 3
    assert [row["state"] for row in rows] == ["overlap", "failed", "overlap"]
    assert "exists already" in shown


def test_shell_rotates_the_calling_token_last(lmtokens_portal: Portal, tmp_path: Path) -> None:
    first = lmtokens_portal.create_token(1)
    other = lmtokens_portal.create_token(1)
    environment = {"LM_ACCESS_ID": first.access_id, "LM_ACCESS_KEY": first.access_key.reveal()}
    lmtokens_portal.create_token(32)
    keys = tmp_path / "keys"
    keys.mkdir(mode=0o700)
    command = ("--user", "1", "--to", f"file:{keys}/{{access_id}}.json", "--overlap", "0", "-o", "jsonl")
    completed = run_shell("rotate", *command, environment=environment)
    assert completed.returncode == 0, completed.stderr
    rows = [json.loads(line) for line in completed.stdout.splitlines()]
    assert rows[-1]["old_id"] == first.id
    assert other.id in {row["old_id"] for row in rows}
    assert {row["state"] for row in rows} == {"quarantine"}
    assert works(lmtokens_portal, delivered(keys / f"{first.access_id}.json"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--to", "file:{note}.json"), "invalid placeholder"),
        (("--to", "file:{old_id"), "invalid placeholder"),
        (("--to", "file:{id}.json"), "{id} in --to is not known before the new token is created; use {old_id}"),
        (("--to", "file:{old_id}.json", "--overwrite"), "--overwrite cannot be combined"),
        (("--to", "file:x", "5"), "cannot be used with"),
    ],
)
def test_shell_refuses_templates(lmtokens_portal: Portal, arguments: tuple[str, ...], message: str) -> None:
    completed = run_shell("rotate", "--user", "32", "--overlap", "0", *arguments)
    assert completed.returncode == 2, completed.stderr
    assert message in completed.stderr
    assert lmtokens_portal.record == []
