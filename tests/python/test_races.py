"""Concurrent and late requests never lose a key and never delete a working token."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import lmtokens
import pytest
from delivery_helpers import (
    RecordingDestination,
    assert_no_key_is_lost,
    created_tokens,
    is_pending,
    keys_in_journal,
    requests_with_method,
)
from support import HANG_TIMEOUT, wait_until
from tampering_proxy import Exchange, TamperingProxy

if TYPE_CHECKING:
    from pathlib import Path

    from lmtokens.sandbox import Portal

HOUR = 3600


def bearer_client(portal: Portal) -> lmtokens.Client:
    """Return a client whose requests carry no timestamp: they stay valid when a test moves the portal's clock."""
    return lmtokens.Client(base_url=portal.base_url, bearer_token=portal.bearer_token)


def test_sweep_during_a_slow_delivery_keeps_a_young_token(lmtokens_portal: Portal) -> None:
    keeper = RecordingDestination()

    class Slow(RecordingDestination):
        def deliver(self, token: lmtokens.Token) -> None:
            keeper.deliver(token)
            assert bearer_client(lmtokens_portal).sweep_tokens(dry_run=False) == []

    lmtokens.add_token(32, "ci", deliver=Slow())
    assert [(stored.note, stored.status) for stored in created_tokens(lmtokens_portal)] == [("ci", 2)]
    assert_no_key_is_lost(lmtokens_portal, keeper.keys)


def test_sweep_deletes_a_token_whose_delivery_takes_over_an_hour(lmtokens_portal: Portal) -> None:
    class VerySlow(RecordingDestination):
        def deliver(self, token: lmtokens.Token) -> None:
            super().deliver(token)
            # Simulates a delivery that takes more than an hour.
            lmtokens_portal.set_clock_offset(HOUR + 60)
            swept = bearer_client(lmtokens_portal).sweep_tokens(dry_run=False)
            assert [each.token.id for each in swept] == [token.id]

    keeper = VerySlow()
    with pytest.raises(lmtokens.NotFoundError, match="is void"):
        bearer_client(lmtokens_portal).add_token(32, "ci", deliver=keeper)
    assert keeper.names == ["deliver", "discard"]
    assert created_tokens(lmtokens_portal) == []


def test_sweep_between_delivery_and_enable(lmtokens_portal: Portal) -> None:
    # Whichever request arrives first, no token loses its key and no working token is deleted.
    keeper = RecordingDestination()

    def before(exchange: Exchange) -> None:
        if exchange.method == "PATCH":
            lmtokens_portal.set_clock_offset(HOUR + 60)
            bearer_client(lmtokens_portal).sweep_tokens(dry_run=False)

    with TamperingProxy(lmtokens_portal, before=before) as portal, pytest.raises(lmtokens.NotFoundError):
        portal.client().add_token(32, "ci", deliver=keeper)
    assert created_tokens(lmtokens_portal) == []
    assert keeper.keys == {}


def test_enable_between_the_reads_of_a_sweep(lmtokens_portal: Portal) -> None:
    keeper = RecordingDestination()
    patched, listed = threading.Event(), threading.Event()

    def in_create(exchange: Exchange) -> None:
        if exchange.method == "PATCH":
            lmtokens_portal.set_clock_offset(HOUR + 60)
            assert listed.wait(HANG_TIMEOUT)

    def in_sweep(exchange: Exchange) -> None:
        if exchange.method == "GET" and not listed.is_set() and b"lmtokens-2-" in exchange.response_body:
            listed.set()
            assert patched.wait(HANG_TIMEOUT)

    def create(portal: TamperingProxy) -> None:
        portal.client().add_token(32, "ci", deliver=keeper)
        patched.set()

    with (
        TamperingProxy(lmtokens_portal, before=in_create) as first,
        TamperingProxy(lmtokens_portal, after=in_sweep) as second,
    ):
        thread = threading.Thread(target=create, args=(first,))
        thread.start()
        wait_until(lambda: keeper.keys)
        wait_until(lambda: any(is_pending(stored) for stored in created_tokens(lmtokens_portal)))
        lmtokens_portal.set_clock_offset(HOUR + 60)
        assert second.client().sweep_tokens(dry_run=False) == []
        thread.join(HANG_TIMEOUT)
    assert [(stored.note, stored.status) for stored in created_tokens(lmtokens_portal)] == [("ci", 2)]
    assert_no_key_is_lost(lmtokens_portal, keeper.keys)


def test_late_create_is_swept(lmtokens_portal: Portal) -> None:
    keeper = RecordingDestination()
    client = lmtokens_portal.client()
    client.add_token(32, "before", deliver=keeper)
    lmtokens_portal.fail("late", method="POST", seconds=1.5)
    client.add_token(32, "ci", deliver=keeper)
    wait_until(lambda: len(created_tokens(lmtokens_portal)) == 3)
    (late,) = [stored for stored in created_tokens(lmtokens_portal) if is_pending(stored)]
    assert_no_key_is_lost(lmtokens_portal, keeper.keys)
    assert bearer_client(lmtokens_portal).sweep_tokens(dry_run=False) == []
    lmtokens_portal.set_clock_offset(HOUR + 60)
    assert [each.token.id for each in bearer_client(lmtokens_portal).sweep_tokens(dry_run=False)] == [late.id]
    assert sorted(stored.note for stored in created_tokens(lmtokens_portal)) == ["before", "ci"]


def test_late_creates_of_a_bulk_run_stay_disabled(lmtokens_portal: Portal, tmp_path: Path) -> None:
    lmtokens_portal.fail("late", method="POST", skip=3, times=3, seconds=0.2)
    summary = lmtokens.add_tokens([(32, str(number)) for number in range(12)], journal=tmp_path / "journal").finish()
    assert summary.created == 12
    wait_until(
        lambda: len([seen for seen in requests_with_method(lmtokens_portal, "POST") if seen.fault == "late"]) == 3
    )
    assert_no_key_is_lost(lmtokens_portal, keys_in_journal(tmp_path / "journal"))
    assert sorted(int(stored.note) for stored in created_tokens(lmtokens_portal) if stored.status == 2) == list(
        range(12)
    )


def test_late_enables_leave_one_token_per_row(lmtokens_portal: Portal, tmp_path: Path) -> None:
    lmtokens_portal.fail("late", method="PATCH", skip=1, times=4, seconds=0.3)
    summary = lmtokens.add_tokens([(32, str(number)) for number in range(12)], journal=tmp_path / "journal").finish()
    assert summary.created == 12
    assert_no_key_is_lost(lmtokens_portal, keys_in_journal(tmp_path / "journal"))
    assert sorted(int(stored.note) for stored in created_tokens(lmtokens_portal)) == list(range(12))


@pytest.mark.parametrize("times", [1, 2])
def test_bulk_row_is_retried_if_its_token_is_deleted(lmtokens_portal: Portal, tmp_path: Path, times: int) -> None:
    journal = tmp_path / "journal"
    other = lmtokens_portal.client()
    deleted: list[int] = []

    def before(exchange: Exchange) -> None:
        id = int(exchange.path.partition("?")[0].rpartition("/")[2]) if exchange.method == "PATCH" else 0
        note = next((stored.note for stored in created_tokens(lmtokens_portal) if stored.id == id), "")
        if note.endswith(" b") and len(deleted) < times:
            deleted.append(id)
            other.delete_token(id)

    with TamperingProxy(lmtokens_portal, before=before) as portal:
        summary = portal.client().add_tokens([(32, "a"), (32, "b"), (32, "c")], journal=journal).finish()
    assert len(deleted) == times
    assert summary.created == 3
    assert sorted(stored.note for stored in created_tokens(lmtokens_portal)) == ["a", "b", "c"]
    assert keys_in_journal(journal) == {
        stored.id: stored.access_key.reveal() for stored in created_tokens(lmtokens_portal)
    }


def test_bulk_row_fails_if_its_token_is_always_deleted(lmtokens_portal: Portal, tmp_path: Path) -> None:
    other = lmtokens_portal.client()

    def before(exchange: Exchange) -> None:
        if exchange.method == "PATCH":
            other.delete_token(int(exchange.path.partition("?")[0].rpartition("/")[2]))

    with TamperingProxy(lmtokens_portal, before=before) as portal:
        (result,) = portal.client().add_tokens([(32, "a")], journal=tmp_path / "journal")
    assert result.state == "failed"
    assert isinstance(result.error, lmtokens.NotFoundError)
    assert created_tokens(lmtokens_portal) == []
    # Three creates, each with a probe: a list that shows it proves that the token is deleted.
    assert len(requests_with_method(lmtokens_portal, "POST")) == 6


def test_concurrent_creates_with_the_same_note_are_independent(lmtokens_portal: Portal) -> None:
    # Each create deletes the token with its own tag, not any token with the same note.
    lmtokens_portal.fail("act-then-close", method="POST", times=2)
    keepers = [RecordingDestination(), RecordingDestination()]
    threads = [threading.Thread(target=lmtokens.add_token, args=(32, "ci"), kwargs={"deliver": k}) for k in keepers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG_TIMEOUT)
    assert [(stored.note, stored.status) for stored in created_tokens(lmtokens_portal)] == [("ci", 2)] * 2
    assert_no_key_is_lost(lmtokens_portal, keepers[0].keys | keepers[1].keys)
