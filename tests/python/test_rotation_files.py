"""Files of rotated tokens: what is replaced, kept beside and removed."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
from api_variants import modifying_requests
from lmtokens.deliver import to_file
from support import run_shell
from test_rotate_token import delivered, passing_time, stored, works

if TYPE_CHECKING:
    from pathlib import Path

    from lmtokens.sandbox import Portal, StoredToken


def add(path: Path, format: str = "json", **arguments: Any) -> lmtokens.Token:
    """Create a token whose key is in a file."""
    deliver: Any = to_file(path, format)  # type: ignore[arg-type]
    token: lmtokens.Token = lmtokens.add_token(32, "ci", deliver=deliver, **arguments)
    return token


def rotate(token: int, path: Path, format: str = "json", *, overwrite: bool = False, **more: Any) -> lmtokens.Rotation:
    deliver: Any = to_file(path, format, overwrite=overwrite)  # type: ignore[arg-type]
    return lmtokens.rotate_token(token, deliver=deliver, **{"overlap": 0, **more})


def previous_of(path: Path, token: int) -> Path:
    return path.with_name(f"{path.name}.{token}.previous")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def object_of(token: StoredToken) -> str:
    return json.dumps({"access_id": token.access_id, "access_key": token.access_key.reveal()})


@pytest.mark.parametrize("format", ["json", "env", "env-file"])
def test_file_of_the_old_token_is_replaced_and_kept_beside(
    lmtokens_portal: Portal, format: str, tmp_path: Path
) -> None:
    path = tmp_path / "ci"
    old = add(path, format)
    text = path.read_text()
    rotate(old.id, path, format, quarantine="1h")
    assert names(tmp_path) == ["ci", f"ci.{old.id}.previous"]
    assert previous_of(path, old.id).read_text() == text
    lmtokens_portal.advance(hours=25)
    assert rotate(old.id, path, format).state == "finished"
    assert names(tmp_path) == ["ci"]
    assert path.read_text() != text


@pytest.mark.parametrize(
    ("format", "text"),
    [
        ("json", "[{old}, {other}]"),
        ("json", '{"access_id": "<id>", "access_key": "<key>", "password": "p"}'),
        ("json", "LM_ACCESS_ID=<id>\nLM_ACCESS_KEY=<key>\n"),
        ("env-file", "LM_ACCESS_ID=<id>\nLM_ACCESS_KEY=<key>\nDB_PASSWORD=p\n"),
        ("env-file", "LM_ACCESS_ID=other\nLM_ACCESS_KEY=k\nLM_ACCESS_ID=<id>\nLM_ACCESS_KEY=<key>\n"),
        ("env", "export LM_ACCESS_ID='<id>'\nexport DB_PASSWORD='p'\nunset LM_BEARER_TOKEN\n"),
        ("env", "export LM_ACCESS_ID='<id>'\nexport LM_ACCESS_KEY='<key>' P='p'\nunset LM_BEARER_TOKEN\n"),
        ("env", "export LM_ACCESS_ID='<id>'\nrm cache\nunset LM_BEARER_TOKEN\n"),
        ("key", '{"access_id": "<id>", "access_key": "<key>"}'),
    ],
)
def test_file_with_more_than_the_old_token_is_never_lost(
    lmtokens_portal: Portal, format: str, text: str, tmp_path: Path
) -> None:
    path = tmp_path / "ci"
    old, other = lmtokens_portal.create_token(32), lmtokens_portal.create_token(32)
    text = text.replace("{old}", object_of(old)).replace("{other}", object_of(other))
    text = text.replace("<id>", old.access_id).replace("<key>", old.access_key.reveal())
    path.write_text(text)
    with pytest.raises(lmtokens.DeliveryError, match="exists already"):
        rotate(old.id, path, format)
    assert modifying_requests(lmtokens_portal) == []
    assert path.read_text() == text
    # What is replaced on demand is kept, and not removed with the old token.
    rotate(old.id, path, format, overwrite=True, quarantine=0)
    assert previous_of(path, old.id).read_text() == text


def test_file_of_another_token_is_replaced_only_with_overwrite(lmtokens_portal: Portal, tmp_path: Path) -> None:
    path = tmp_path / "ci.json"
    other, old = add(path), lmtokens_portal.create_token(32)
    with pytest.raises(lmtokens.DeliveryError, match="exists already"):
        rotate(old.id, path)
    assert delivered(path)["id"] == other.id
    rotate(old.id, path, overwrite=True)
    assert names(tmp_path) == ["ci.json"]


@pytest.mark.parametrize("format", ["json", "key"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_old_secret_survives_repeated_cancels(
    lmtokens_portal: Portal, format: str, overwrite: bool, tmp_path: Path
) -> None:
    path = tmp_path / "ci"
    old = add(path, format)
    text = path.read_text()
    # A file with the key alone does not show whose it is.
    overwrite = overwrite or format == "key"
    for _ in range(2):
        assert rotate(old.id, path, format, overwrite=overwrite, overlap="1h").state == "overlap"
        assert path.read_text() != text
        with passing_time(lmtokens_portal):
            assert lmtokens.cancel_rotation(old.id).state == "cancelled"
        assert names(tmp_path) == ["ci", f"ci.{old.id}.previous"]
        assert previous_of(path, old.id).read_text() == text
    assert stored(lmtokens_portal, old.id).status == 2


def test_old_secret_survives_a_check_that_deletes_the_new_token(lmtokens_portal: Portal, tmp_path: Path) -> None:
    path = tmp_path / "ci.json"
    old = add(path)
    text = path.read_text()

    def delete(token: lmtokens.Token) -> None:
        lmtokens.delete_token(token)

    for _ in range(2):
        with pytest.raises(lmtokens.RotationError):
            rotate(old.id, path, overwrite=True, then=delete)
        assert previous_of(path, old.id).read_text() == text
    # The file may be replaced: it has the key of the new token only.
    assert rotate(old.id, path).state == "quarantine"
    assert works(lmtokens_portal, delivered(path))
    assert previous_of(path, old.id).read_text() == text


def test_cancelled_secret_is_replaced_without_overwrite(lmtokens_portal: Portal, tmp_path: Path) -> None:
    path = tmp_path / "ci.json"
    old = add(path)
    rotate(old.id, path, overlap="1h")
    with passing_time(lmtokens_portal):
        lmtokens.cancel_rotation(old.id)
    cancelled = path.read_text()
    path.write_text("notes")
    with pytest.raises(lmtokens.DeliveryError, match="exists already"):
        rotate(old.id, path)
    path.write_text(cancelled)
    assert rotate(old.id, path).state == "quarantine"


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_foreign_previous_file_stops_the_rotation_before_it_begins(
    lmtokens_portal: Portal, kind: str, tmp_path: Path
) -> None:
    path = tmp_path / "ci.json"
    old = add(path)
    previous = previous_of(path, old.id)
    if kind == "folder":
        previous.mkdir()
    elif kind == "link":
        previous.symlink_to(tmp_path / "elsewhere")
    else:
        previous.write_text("of somebody else")
    count = len(modifying_requests(lmtokens_portal))
    with pytest.raises(lmtokens.DeliveryError) as raised:
        rotate(old.id, path, overwrite=True)
    assert str(previous) in str(raised.value)
    assert len(modifying_requests(lmtokens_portal)) == count
    assert names(tmp_path) == ["ci.json", previous.name]
    assert delivered(path)["id"] == old.id


def test_bearer_file_is_known_by_its_id(lmtokens_portal: Portal, tmp_path: Path) -> None:
    path = tmp_path / "ci.json"
    old = add(path, type="bearer")
    rotate(old.id, path, allow_bearer=True, quarantine=0)
    assert names(tmp_path) == ["ci.json"]
    assert delivered(path)["id"] != old.id


def test_rotation_of_one_token_in_two_processes_is_a_rotation_error(lmtokens_portal: Portal, tmp_path: Path) -> None:
    path = tmp_path / "ci.json"
    old = add(path)
    errors: list[BaseException] = []

    def check(_: lmtokens.Token) -> None:
        with pytest.raises(lmtokens.LMTokensError) as raised:
            lmtokens_portal.client().rotate_token(old.id, deliver=to_file(path), overlap=0)
        errors.append(raised.value)

    def from_another_thread(token: lmtokens.Token) -> None:
        thread = threading.Thread(target=check, args=[token])
        thread.start()
        thread.join()

    rotate(old.id, path, then=from_another_thread)
    (error,) = errors
    assert isinstance(error, lmtokens.RotationError)
    assert f"another process is rotating token {old.id}" in str(error)
    assert names(tmp_path) == ["ci.json", f"ci.json.{old.id}.previous"]


def test_refused_calls_leave_no_pending_file(lmtokens_portal: Portal, tmp_path: Path) -> None:
    path = tmp_path / "ci.json"
    one, other = lmtokens_portal.create_token(32), lmtokens_portal.create_token(32)

    def check(_: lmtokens.Token) -> None:
        completed = run_shell("rotate", str(other.id), "--to", f"file:{path}", "--overlap", "0", "--overwrite")
        assert completed.returncode == 1
        assert f"another process is rotating token {one.id} to" in completed.stderr

    rotate(one.id, path, then=check)
    assert names(tmp_path) == ["ci.json"]
