"""A create whose process was killed is finished or cleared by the next create to the same file."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import lmtokens
import lmtokens.sandbox
import pytest
from api_variants import VARIANTS, api_for
from delivery_helpers import created_tokens, edit_token, is_pending, request_methods, requests_with_method
from lmtokens.deliver import to_file
from support import HANG_TIMEOUT, TOKEN_TYPES, run_shell, start_shell, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from lmtokens.sandbox import Portal, StoredToken

FOREVER = 3600
FORMATS = ["json", "env", "env-file", "key"]


def pending_files(path: Path) -> list[Path]:
    """Return the pending files of a path."""
    return sorted(path.parent.glob(f"{path.name}.*.pending"))


def create(path: Path, *options: str, user: str = "32", note: str = "ci") -> subprocess.CompletedProcess[str]:
    """Run the command under test."""
    return run_shell("add", user, "--note", note, "--to", f"file:{path}", *options)


def kill_create(portal: Portal, path: Path, *options: str, at: Any = "PATCH", kind: Any = "act-then-delay") -> None:
    """Kill a create while it waits for the response to one of its requests."""
    before = len([seen for seen in portal.record if seen.method == at])
    portal.fail(kind, method=at, seconds=FOREVER)
    with start_shell("add", "32", "--note", "ci", "--to", f"file:{path}", *options) as process:
        wait_until(lambda: len([seen for seen in portal.record if seen.method == at and seen.applied]) > before)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=HANG_TIMEOUT)
    portal.clear_faults()
    portal.clear_record()


def only_token(portal: Portal) -> StoredToken:
    (stored,) = created_tokens(portal)
    return stored


def assert_in_place(portal: Portal, path: Path) -> StoredToken:
    """Assert that the portal has one enabled token, whose key is in the file, and that no other file is left."""
    stored = only_token(portal)
    assert (stored.status, stored.note) == (2, "ci")
    assert stored.access_key.reveal() in path.read_text()
    assert list(path.parent.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o600
    return stored


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("type", TOKEN_TYPES)
def test_shell_finishes_a_create_killed_after_the_token_was_enabled(
    lmtokens_portal: Portal, tmp_path: Path, format: str, type: str
) -> None:
    path = tmp_path / "token"
    kill_create(lmtokens_portal, path, "-o", format, "--type", type)
    before = only_token(lmtokens_portal)
    assert before.status == 2
    completed = create(path, "-o", format, "--type", type)
    assert completed.returncode == 0, completed.stderr
    stored = assert_in_place(lmtokens_portal, path)
    assert (stored.id, stored.type, completed.stdout) == (before.id, type, f"{before.id}\n")
    assert f"finished token {before.id}" in completed.stderr
    assert stored.access_key.reveal() not in completed.stderr
    assert set(request_methods(lmtokens_portal)) == {"GET"}


@pytest.mark.parametrize("variant", VARIANTS)
def test_python_finishes_a_create_killed_after_the_token_was_enabled(
    lmtokens_portal: Portal, tmp_path: Path, variant: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "token.json"
    kill_create(lmtokens_portal, path)
    caplog.set_level("INFO", "lmtokens")
    token = api_for(variant, lmtokens_portal).add_token(32, "ci", deliver=to_file(path))
    stored = assert_in_place(lmtokens_portal, path)
    content = json.loads(path.read_text())
    assert (token.id, token.access_key, content["id"], content["note"]) == (stored.id, None, stored.id, "ci")
    assert f"finished token {stored.id}" in caplog.text


def test_file_is_the_same_whether_or_not_the_process_was_killed(lmtokens_portal: Portal, tmp_path: Path) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    kill_create(lmtokens_portal, killed)
    assert create(killed).returncode == 0
    assert create(whole).returncode == 0
    first, second = (json.loads(path.read_text()) for path in (killed, whole))
    assert first.keys() == second.keys()
    same = set(first) - {"id", "access_id", "access_key", "created_on"}
    assert {name: first[name] for name in same} == {name: second[name] for name in same}


def test_overwritten_key_is_kept_until_the_killed_create_is_finished(lmtokens_portal: Portal, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("the old key")
    kill_create(lmtokens_portal, path, "--overwrite")
    assert path.read_text() == "the old key"
    refused = create(path)
    assert refused.returncode == 1
    assert "--overwrite" in refused.stderr
    assert str(pending_files(path)[0]) in refused.stderr
    assert path.read_text() == "the old key"
    completed = create(path, "--overwrite")
    assert completed.returncode == 0, completed.stderr
    assert_in_place(lmtokens_portal, path)


def test_create_killed_before_the_token_was_enabled_is_cleared(lmtokens_portal: Portal, tmp_path: Path) -> None:
    path = tmp_path / "token"
    lmtokens_portal.fail("delay", method="PATCH", seconds=FOREVER)
    with start_shell("add", "32", "--note", "ci", "--to", f"file:{path}") as process:
        wait_until(lambda: "PATCH" in request_methods(lmtokens_portal))
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=HANG_TIMEOUT)
    lmtokens_portal.clear_faults()
    old = only_token(lmtokens_portal)
    assert is_pending(old)
    completed = create(path)
    assert completed.returncode == 0, completed.stderr
    stored = assert_in_place(lmtokens_portal, path)
    assert stored.id != old.id
    assert f"deleted token {old.id}" in completed.stderr


def test_create_killed_before_its_key_arrived_leaves_nothing_that_stops_the_next(
    lmtokens_portal: Portal, tmp_path: Path
) -> None:
    path = tmp_path / "token"
    kill_create(lmtokens_portal, path, at="POST")
    (left,) = pending_files(path)
    assert left.stat().st_size == 0
    orphan = only_token(lmtokens_portal)
    assert is_pending(orphan)
    completed = create(path)
    assert completed.returncode == 0, completed.stderr
    assert f"disabled tokens whose notes begin with: {orphan.note.split()[0]}" in completed.stderr
    assert "lmtokens sweep --yes" in completed.stderr
    assert list(tmp_path.iterdir()) == [path]
    assert created_tokens(lmtokens_portal)[1].access_key.reveal() in path.read_text()


def test_token_that_was_deleted_since_is_created_again(lmtokens_portal: Portal, tmp_path: Path) -> None:
    path = tmp_path / "token"
    kill_create(lmtokens_portal, path)
    old = only_token(lmtokens_portal)
    lmtokens_portal.client().delete_token(old.id)
    completed = create(path)
    assert completed.returncode == 0, completed.stderr
    assert assert_in_place(lmtokens_portal, path).id != old.id
    assert f"token {old.id}" in completed.stderr


def test_token_that_these_credentials_cannot_see_stops_the_create(lmtokens_portal: Portal, tmp_path: Path) -> None:
    path = tmp_path / "token"
    kill_create(lmtokens_portal, path)
    (left,) = pending_files(path)
    user = lmtokens_portal.add_user("blind", may_view=False)
    caller = lmtokens_portal.create_token(user)
    environment = {"LM_ACCESS_ID": caller.access_id, "LM_ACCESS_KEY": caller.access_key.reveal()}
    refused = run_shell("add", "32", "--note", "ci", "--to", f"file:{path}", environment=environment)
    assert refused.returncode == 1
    assert str(left) in refused.stderr
    assert "does not show whether it is enabled" in refused.stderr
    assert "warning" not in refused.stderr
    assert left.exists()
    assert [stored.admin_id for stored in created_tokens(lmtokens_portal)] == [32, user]


@pytest.mark.parametrize("type", TOKEN_TYPES)
def test_token_that_was_enabled_by_hand_before_its_last_request_is_finished(
    lmtokens_portal: Portal, tmp_path: Path, type: str
) -> None:
    path = tmp_path / "token"
    kill_create(lmtokens_portal, path, "--type", type)
    old = only_token(lmtokens_portal)
    tag = pending_files(path)[0].name[len("token.") : -len(".pending")]
    edit_token(lmtokens_portal, old, note=f"{tag} ci", status=2)
    completed = create(path, "--type", type)
    assert completed.returncode == 0, completed.stderr
    assert assert_in_place(lmtokens_portal, path).id == old.id


@pytest.mark.parametrize("status", [1, 2])
@pytest.mark.parametrize("rest", [" ci keep me", " CI", " c", ""])
def test_pending_token_whose_note_was_edited_is_kept(
    lmtokens_portal: Portal, tmp_path: Path, rest: str, status: int
) -> None:
    path = tmp_path / "token"
    kill_create(lmtokens_portal, path)
    (left,) = pending_files(path)
    old = only_token(lmtokens_portal)
    tag = left.name[len("token.") : -len(".pending")]
    edit_token(lmtokens_portal, old, note=f"{tag}{rest}", status=status)
    completed = create(path)
    assert completed.returncode == 1
    assert f"token {old.id}" in completed.stderr
    assert "its note was changed" in completed.stderr
    stored = only_token(lmtokens_portal)
    assert (stored.id, stored.note, stored.status) == (old.id, f"{tag}{rest}", status)
    assert left.exists()


@pytest.mark.parametrize("options", [["--type", "bearer"], ["--disabled"], ["--note", "other"], []], ids=repr)
def test_create_of_another_token_names_the_file_that_is_left(
    lmtokens_portal: Portal, tmp_path: Path, options: list[str]
) -> None:
    path = tmp_path / "token"
    kill_create(lmtokens_portal, path)
    (left,) = pending_files(path)
    content = left.read_bytes()
    old = only_token(lmtokens_portal)
    user = "32" if options else str(lmtokens_portal.add_user("another"))
    note = [] if "--note" in options else ["--note", "ci"]
    completed = run_shell("add", user, *note, *options, "--to", f"file:{path}")
    assert completed.returncode == 0, completed.stderr
    assert left.read_bytes() == content
    assert "warning" in completed.stderr
    assert str(left) in completed.stderr
    assert f"token {old.id}" in completed.stderr
    assert old.access_key.reveal() not in completed.stderr
    assert len(created_tokens(lmtokens_portal)) == 2


def test_create_at_another_portal_names_the_file_that_is_left(lmtokens_portal: Portal, tmp_path: Path) -> None:
    path = tmp_path / "token"
    kill_create(lmtokens_portal, path)
    (left,) = pending_files(path)
    with lmtokens.sandbox.Portal() as other:
        completed = run_shell("add", "32", "--note", "ci", "--to", f"file:{path}", environment=other.environment())
        assert completed.returncode == 0, completed.stderr
        assert created_tokens(other)[0].access_key.reveal() in path.read_text()
    assert str(left) in completed.stderr
    assert left.exists()
    assert len(created_tokens(lmtokens_portal)) == 1


@pytest.mark.parametrize(
    "content", [b"garbage", b"{", b'{"lmtokens_pending":1}\n', b"\xff\xfe\n", b"[]\n", b"1" * 3_000_000]
)
def test_damaged_pending_file_is_named_and_kept(lmtokens_portal: Portal, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "token"
    damaged = tmp_path / f"token.lmtokens-1-{'0' * 16}-1700000000-{'0' * 32}.pending"
    damaged.write_bytes(content)
    damaged.chmod(0o600)
    completed = create(path)
    assert completed.returncode == 0, completed.stderr
    assert str(damaged) in completed.stderr
    assert damaged.read_bytes() == content
    assert only_token(lmtokens_portal).access_key.reveal() in path.read_text()


@pytest.mark.parametrize("cut", [1, 20, 200])
def test_truncated_pending_file_is_named_and_kept(lmtokens_portal: Portal, tmp_path: Path, cut: int) -> None:
    path = tmp_path / "token"
    kill_create(lmtokens_portal, path)
    (left,) = pending_files(path)
    left.write_bytes(left.read_bytes()[:-cut])
    completed = create(path)
    assert completed.returncode == 0, completed.stderr
    assert str(left) in completed.stderr
    assert left.exists()


@pytest.mark.parametrize("member", ["id", "access_id", "admin_id"])
def test_file_that_disagrees_with_the_portal_stops_the_create(
    lmtokens_portal: Portal, tmp_path: Path, member: str
) -> None:
    path = tmp_path / "token"
    other = lmtokens_portal.client().add_token(lmtokens_portal.add_user("another"), "ci")
    kill_create(lmtokens_portal, path)
    (left,) = pending_files(path)
    record: dict[str, Any] = json.loads(left.read_text())
    record[member] = getattr(other, "id" if member == "id" else member)
    left.write_text(json.dumps(record) + "\n")
    before = [(stored.id, stored.status, stored.note) for stored in lmtokens_portal.tokens]
    user = str(record["admin_id"])
    refused = create(path, user=user)
    assert refused.returncode == 1
    assert str(left) in refused.stderr
    assert [(stored.id, stored.status, stored.note) for stored in lmtokens_portal.tokens] == before
    assert left.exists()
    assert not path.exists()


def test_token_that_was_disabled_by_hand_stops_the_create(lmtokens_portal: Portal, tmp_path: Path) -> None:
    path = tmp_path / "token"
    kill_create(lmtokens_portal, path)
    (left,) = pending_files(path)
    old = only_token(lmtokens_portal)
    lmtokens_portal.client().disable_token(old.id)
    refused = create(path)
    assert refused.returncode == 1
    assert str(left) in refused.stderr
    assert f"token {old.id}" in refused.stderr
    assert [stored.status for stored in created_tokens(lmtokens_portal)] == [1]


def test_disabled_token_whose_note_lost_the_tag_is_kept(lmtokens_portal: Portal, tmp_path: Path) -> None:
    path = tmp_path / "token"
    kill_create(lmtokens_portal, path)
    (left,) = pending_files(path)
    old = only_token(lmtokens_portal)
    edit_token(lmtokens_portal, old, note="by hand", status=1)
    refused = create(path)
    assert refused.returncode == 1
    assert "it is disabled and its note no longer has the tag" in refused.stderr
    assert "status was changed" not in refused.stderr
    assert left.exists()
    # The hint works.
    lmtokens_portal.client().enable_token(old.id)
    assert create(path).returncode == 0
    assert old.access_key.reveal() in path.read_text()


def test_edited_note_does_not_stop_the_create(lmtokens_portal: Portal, tmp_path: Path) -> None:
    path = tmp_path / "token"
    kill_create(lmtokens_portal, path)
    lmtokens_portal.client().update_token(only_token(lmtokens_portal).id, note="by hand")
    completed = create(path)
    assert completed.returncode == 0, completed.stderr
    stored = only_token(lmtokens_portal)
    assert (stored.status, stored.note) == (2, "by hand")
    assert stored.access_key.reveal() in path.read_text()


def test_pending_files_of_another_path_are_not_touched(lmtokens_portal: Portal, tmp_path: Path) -> None:
    kill_create(lmtokens_portal, tmp_path / "token")
    (left,) = pending_files(tmp_path / "token")
    completed = create(tmp_path / "another")
    assert (completed.returncode, "warning" in completed.stderr) == (0, False), completed.stderr
    assert left.exists()


def test_two_creates_at_once_on_one_path(lmtokens_portal: Portal, tmp_path: Path) -> None:
    path = tmp_path / "token"
    lmtokens_portal.fail("act-then-delay", method="PATCH", seconds=FOREVER)
    with start_shell("add", "32", "--note", "ci", "--to", f"file:{path}") as process:
        wait_until(lambda: created_tokens(lmtokens_portal) and created_tokens(lmtokens_portal)[0].status == 2)
        for options in ([], ["--overwrite"]):
            refused = create(path, *options)
            assert refused.returncode == 1
            assert "another" in refused.stderr
        assert request_methods(lmtokens_portal) == ["POST", "PATCH"]
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=HANG_TIMEOUT)
    assert create(path).returncode == 0
    assert_in_place(lmtokens_portal, path)


@pytest.mark.parametrize("killed", [False, True])
def test_race_on_one_path_creates_one_token(lmtokens_portal: Portal, tmp_path: Path, killed: bool) -> None:
    path = tmp_path / "token"
    if killed:
        kill_create(lmtokens_portal, path)
    processes = [start_shell("add", "32", "--note", "ci", "--to", f"file:{path}") for _ in range(6)]
    statuses = []
    for process in processes:
        with process:
            process.communicate(timeout=HANG_TIMEOUT)
        statuses.append(process.returncode)
    assert set(statuses) <= {0, 1}
    assert statuses.count(0) == 1, statuses
    assert_in_place(lmtokens_portal, path)


def test_cancelled_create_is_finished_by_the_same_process(lmtokens_portal: Portal, tmp_path: Path) -> None:
    path = tmp_path / "token"

    async def cancel_then_repeat() -> lmtokens.Token:
        destination = to_file(path)
        async with lmtokens.AsyncClient() as client:
            create = asyncio.ensure_future(client.add_token(32, "ci", deliver=destination))
            while not any(seen.applied for seen in requests_with_method(lmtokens_portal, "PATCH")):
                await asyncio.sleep(0.005)
            create.cancel()
            with pytest.raises(asyncio.CancelledError):
                await create
            return await client.add_token(32, "ci", deliver=destination)

    lmtokens_portal.fail("act-then-delay", method="PATCH", seconds=FOREVER)
    token = asyncio.run(asyncio.wait_for(cancel_then_repeat(), HANG_TIMEOUT))
    stored = assert_in_place(lmtokens_portal, path)
    assert (token.id, token.status) == (stored.id, lmtokens.TokenStatus.ENABLED)
    assert request_methods(lmtokens_portal).count("POST") == 1


def test_unknown_outcome_of_the_last_request_is_settled_by_the_next_call(
    lmtokens_portal: Portal, tmp_path: Path
) -> None:
    path = tmp_path / "token.json"
    client = lmtokens_portal.client(max_attempts=1)
    lmtokens_portal.fail("act-then-close", method="PATCH", times=None)
    with pytest.raises(lmtokens.OutcomeUnknownError):
        client.add_token(32, "ci", deliver=to_file(path))
    lmtokens_portal.clear_faults()
    token = client.add_token(32, "ci", deliver=to_file(path))
    assert assert_in_place(lmtokens_portal, path).id == token.id


@pytest.mark.parametrize("left", [0, 1])
def test_thousands_of_pending_files(lmtokens_portal: Portal, tmp_path: Path, left: int) -> None:
    path = tmp_path / "token"
    kill_create(lmtokens_portal, path)
    record = json.loads(pending_files(path)[0].read_text())
    record["note"] = "another"
    for number in range(3000):
        tag = f"lmtokens-1-{number:016x}-1700000000-{number:032x}"
        file = tmp_path / f"token.{tag}.pending"
        file.write_text(json.dumps({**record, "tag": tag}) + "\n" if left else "")
        file.chmod(0o600)
    completed = create(path)
    assert completed.returncode == 0, completed.stderr
    assert only_token(lmtokens_portal).access_key.reveal() in path.read_text()
    assert len(pending_files(path)) == 3000 * left
    assert len(completed.stderr) < 5000


def test_crash_after_the_key_was_put_in_place(lmtokens_portal: Portal, tmp_path: Path) -> None:
    path = tmp_path / "token"
    kill_create(lmtokens_portal, path)
    (left,) = pending_files(path)
    record = left.read_bytes()
    assert create(path).returncode == 0
    # As if the process had been killed between the two last steps.
    left.write_bytes(record)
    left.chmod(0o600)
    os.link(path, left.with_suffix(".new"))
    completed = create(path)
    assert completed.returncode == 0, completed.stderr
    assert_in_place(lmtokens_portal, path)
