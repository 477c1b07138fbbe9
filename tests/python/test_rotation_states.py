"""What finishing and sweeping rotations do if somebody interferes, and what they report."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import lmtokens
import pytest
from api_variants import VARIANTS, api_for, stored_token
from lmtokens.deliver import to_file
from test_rotate_token import passing_time

if TYPE_CHECKING:
    from pathlib import Path

    from lmtokens.sandbox import Portal


def disable_as_others(portal: Portal, token_id: int) -> None:
    portal.client().disable_token(token_id)


@pytest.mark.parametrize("kind", VARIANTS)
def test_enabled_token_of_a_cancelled_rotation_is_a_token_like_any_other(
    lmtokens_portal: Portal, kind: str, tmp_path: Path
) -> None:
    api = api_for(kind, lmtokens_portal)
    old = lmtokens_portal.create_token(32, note="ci")
    new = api.rotate_token(old.id, deliver=to_file(tmp_path / "token.json"), overlap="1d").new
    assert new is not None
    with passing_time(lmtokens_portal):
        api.cancel_rotation(old.id)
    api.enable_token(new.id)
    lmtokens_portal.advance(days=8)
    assert api.sweep_tokens(dry_run=False) == []
    enabled = api.find_token(new.id)
    assert (enabled.status, enabled.note, enabled.replaces) == (2, "ci", None)


def test_sweep_reports_a_rotation_whose_old_token_is_gone_and_whose_new_token_is_disabled(
    lmtokens_portal: Portal, tmp_path: Path
) -> None:
    client = lmtokens_portal.client()
    old = lmtokens_portal.create_token(32, note="ci")
    new = client.rotate_token(old.id, deliver=to_file(tmp_path / "token.json"), overlap=0).new
    assert new is not None
    client.delete_token(old.id)
    disable_as_others(lmtokens_portal, new.id)
    for _ in range(2):
        (swept,) = client.sweep_tokens(dry_run=False)
        assert (swept.deleted, swept.rotation) == (False, None)
        assert isinstance(swept.error, lmtokens.RotationError)
    with pytest.raises(lmtokens.RotationError, match="is deleted"):
        client.finish_rotations(new.id)


def test_sweep_counts_a_token_as_deleted_only_if_it_deleted_it(lmtokens_portal: Portal, tmp_path: Path) -> None:
    client = lmtokens_portal.client()
    for deletes in (False, True):
        old = lmtokens_portal.create_token(32, note="ci")
        client.rotate_token(old.id, deliver=to_file(tmp_path / f"{old.id}.json"), overlap=0)
        lmtokens_portal.advance(days=7)
        if not deletes:
            client.delete_token(old.id)
        (swept,) = client.sweep_tokens(dry_run=False)
        assert (swept.rotation, swept.deleted) == ("finished", deletes)
        assert stored_token(lmtokens_portal, old.id) is None
        assert client.sweep_tokens() == []


def test_sweep_stops_at_rejected_credentials_and_returns_what_it_did(lmtokens_portal: Portal, tmp_path: Path) -> None:
    client = lmtokens_portal.client()
    expired = client.add_token(32, expires=60, deliver=to_file(tmp_path / "expired.json"))
    first, second = (lmtokens_portal.create_token(32, note=note) for note in ("a", "b"))
    for old in (first, second):
        client.rotate_token(old.id, deliver=to_file(tmp_path / f"{old.id}.json"), overlap=0)
    lmtokens_portal.advance(days=7)
    lmtokens_portal.fail("status-before-acting", path="/setting/accesslogs", status=401)
    swept = client.sweep_tokens(dry_run=False)
    assert [(each.token.id, each.deleted) for each in swept] == [(expired.id, True), (first.id, False)]
    assert isinstance(swept[1].error, lmtokens.AuthenticationError)
    assert stored_token(lmtokens_portal, second.id) is not None

    lmtokens_portal.create_token(32, note="c")
    pending = client.add_token(32, expires=60, deliver=to_file(tmp_path / "other.json"))
    lmtokens_portal.advance(seconds=120)
    lmtokens_portal.fail("status-before-acting", method="DELETE", status=401)
    (rejected,) = client.sweep_tokens(dry_run=False)
    assert rejected.token.id == pending.id
    assert isinstance(rejected.error, lmtokens.AuthenticationError)


def test_sweep_keeps_the_bearer_token_that_took_the_place_of_the_old_one(
    lmtokens_portal: Portal, tmp_path: Path
) -> None:
    lmtokens_portal.configure(one_bearer_per_user=True)
    client = lmtokens_portal.client()
    path = tmp_path / "bearer.json"
    old = client.add_token(32, "ci", type="bearer", deliver=to_file(path))

    def failing(_token: lmtokens.Token) -> None:
        raise RuntimeError

    with pytest.raises(lmtokens.DeliveryError):
        client.rotate_token(old.id, deliver=failing, overlap=0, allow_bearer=True)
    lmtokens_portal.advance(hours=2)
    (kept,) = client.sweep_tokens(dry_run=False)
    assert (kept.reason, kept.deleted) == ("orphan", False)
    assert kept.kept == "the token that it replaces is gone; rotate it again"
    path.unlink()
    with passing_time(lmtokens_portal):
        rotation = client.rotate_token(old.id, deliver=to_file(path), overlap=0, allow_bearer=True)
    assert (rotation.state, rotation.old.id) == ("finished", old.id)
    assert client.sweep_tokens() == []


def test_interrupted_rotation_is_logged(
    lmtokens_portal: Portal, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old = lmtokens_portal.create_token(32, note="ci")
    path = tmp_path / "token.json"
    # The first change enables the new token, and the second one marks it.
    lmtokens_portal.fail("delay", method="PATCH", skip=1, seconds=30)

    async def interrupt() -> None:
        client = lmtokens_portal.async_client()
        await asyncio.wait_for(client.rotate_token(old.id, deliver=to_file(path), overlap="1d"), 3)

    with caplog.at_level("WARNING", "lmtokens"), pytest.raises(asyncio.TimeoutError):
        asyncio.run(interrupt())
    (message,) = [record.getMessage() for record in caplog.records if "interrupted" in record.getMessage()]
    assert message.startswith(f"the rotation of token {old.id} was interrupted")
    assert "call rotate_token again" in message
    lmtokens_portal.clear_faults()
    with passing_time(lmtokens_portal):
        rotation = lmtokens_portal.client().rotate_token(old.id, deliver=to_file(path), overlap="1d")
    assert rotation.state == "overlap"


def test_failed_rotation_shows_no_data_of_the_new_token_as_those_of_the_old_one(
    lmtokens_portal: Portal, tmp_path: Path
) -> None:
    client = lmtokens_portal.client()
    old = client.add_token(32, "ci")
    lmtokens_portal.advance(days=10)
    client.rotate_token(old.id, deliver=to_file(tmp_path / "token.json"), overlap="1h")
    lmtokens_portal.advance(days=1)
    lmtokens_portal.fail("status-before-acting", method="PATCH", status=400, times=None)
    (rotation,) = client.finish_rotations()
    shown = rotation.old
    assert (shown.id, shown.created_on, shown.last_used_on) == (old.id, old.created_on, None)
    assert (shown.access_id, shown.note) == (old.access_id, "ci")
    (swept,) = client.sweep_tokens(dry_run=False)
    assert swept.token.id == old.id
    assert swept.token.created_on in (None, old.created_on)
    assert (swept.token.last_used_on, swept.token.last_auth_ip) == (None, None)


def test_old_token_that_others_deleted_has_no_data_of_the_new_one(lmtokens_portal: Portal, tmp_path: Path) -> None:
    client = lmtokens_portal.client()
    old = lmtokens_portal.create_token(32)
    client.rotate_token(old.id, deliver=to_file(tmp_path / "token.json"), overlap=0)
    client.delete_token(old.id)
    (swept,) = client.sweep_tokens()
    (rotation,) = client.finish_rotations()
    for shown in (swept.token, rotation.old):
        assert (shown.id, shown.admin_id) == (old.id, 32)
        assert (shown.created_on, shown.created_by, shown.last_used_on, shown.last_auth_ip) == (None, None, None, None)
