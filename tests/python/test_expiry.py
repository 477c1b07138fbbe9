"""Tokens that expire: the marker in the note is set before the token works, and survives lost responses and crashes."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
from api_variants import VARIANTS, api_for, credentials_of, stored_token
from delivery_helpers import (
    TAG,
    RecordingDestination,
    created_tokens,
    edit_token,
    is_pending,
    json_body,
    marked_token,
    request_methods,
    requests_with_method,
    tag_for,
)
from lmtokens.deliver import to_file
from support import run_shell, wait_until
from tampering_proxy import Exchange, TamperingProxy

if TYPE_CHECKING:
    from pathlib import Path

    from lmtokens.sandbox import Portal

HOUR = timedelta(hours=1)
PAST = "expires 2020-01-31T00:00Z"
FUTURE = "expires 2100-01-31T00:00Z"
TOLERANCE = timedelta(seconds=30)


ADD_CODE = """
import datetime, sys
import lmtokens
from lmtokens.deliver import to_file
lmtokens.add_token(32, "ci", deliver=to_file(sys.argv[1]), expires=eval(sys.argv[2]))
"""


def now() -> datetime:
    return datetime.now(timezone.utc)


def written(time: datetime) -> str:
    text = time.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    return text.replace(":00Z", "Z")


def assert_expires_in(token: lmtokens.Token, duration: timedelta) -> None:
    assert token.expires_on is not None
    assert abs(token.expires_on - now() - duration) < TOLERANCE


def assert_marked(portal: Portal, token: lmtokens.Token, note: str = "ci") -> None:
    assert token.expires_on is not None
    stored = stored_token(portal, token.id)
    assert stored is not None
    assert stored.note == f"[lmtokens {token.id} expires {written(token.expires_on)}] {note}".rstrip(" ")


def ids(portal: Portal) -> list[int]:
    return [stored.id for stored in created_tokens(portal)]


class TestAddToken:
    @pytest.mark.parametrize("status", [403, 502])
    def test_time_of_a_response_without_date_is_not_taken(self, lmtokens_portal: Portal, status: int) -> None:
        def refuse(exchange: Exchange) -> None:
            if exchange.method == "GET":
                exchange.status, exchange.headers, exchange.response_body = status, {}, b"{}"

        with TamperingProxy(lmtokens_portal, after=refuse) as proxy, pytest.raises(lmtokens.LMTokensError):
            proxy.client(max_attempts=1).add_token(32, expires=timedelta(hours=1))
        assert {request.method for request in lmtokens_portal.record} == {"GET"}

    @pytest.mark.parametrize("kind", VARIANTS)
    @pytest.mark.parametrize("type", ["lmv1", "bearer"])
    @pytest.mark.parametrize("note", ["ci", None])
    def test_token_is_enabled_with_its_marker(
        self, lmtokens_portal: Portal, kind: str, type: Any, note: str | None
    ) -> None:
        token = api_for(kind, lmtokens_portal).add_token(32, note, type=type, expires=HOUR)
        assert (token.note or "", token.status) == (note or "", 2)
        assert_expires_in(token, HOUR)
        assert_marked(lmtokens_portal, token, note or "")
        # The GET tells the portal's time.
        assert request_methods(lmtokens_portal) == ["GET", "POST", "PATCH"]
        post, patch = map(json_body, lmtokens_portal.record[1:])
        assert TAG.fullmatch(post["note"])
        assert "-e" in post["note"]
        assert (post["status"], patch["status"]) == (1, 2)
        (stored,) = created_tokens(lmtokens_portal)
        assert isinstance(token, lmtokens.CreatedToken)
        assert token.access_key.reveal() == stored.access_key.reveal()
        assert lmtokens_portal.client(**credentials_of(stored)).whoami().token == lmtokens.find_token(token.id)

    @pytest.mark.parametrize(
        "expires",
        [
            3600,
            3600.0,
            3599.5,
            "60m",
            HOUR,
            # Hours can pass between the collection of the tests and this one.
            lambda: now() + HOUR,
            lambda: (now() + HOUR).astimezone(timezone(timedelta(hours=5))),
        ],
        ids=["int", "float", "fraction", "text", "timedelta", "datetime", "datetime with offset"],
    )
    def test_accepted_values(self, lmtokens_portal: Portal, expires: Any) -> None:
        value: Any = expires() if callable(expires) else expires
        token = lmtokens.add_token(32, "ci", status=1, expires=value)
        assert token.status == 1
        assert token.expires_on is not None
        assert abs(token.expires_on - now() - HOUR) < timedelta(minutes=10)
        assert_marked(lmtokens_portal, token)

    @pytest.mark.parametrize("kind", VARIANTS)
    @pytest.mark.parametrize(
        ("expires", "message"),
        [
            (datetime(2100, 1, 1), "naive datetime"),
            (datetime(2020, 1, 1, tzinfo=timezone.utc), "expected a time in the future"),
            (datetime(1900, 1, 1, tzinfo=timezone.utc), "expected a time in the future"),
            (datetime(1, 1, 1, tzinfo=timezone.utc), "expected a time in the future"),
            (0, "invalid expires 0"),
            (-1, "invalid expires -1"),
            (float("nan"), "invalid expires NaN"),
            (float("inf"), "invalid expires inf"),
            (10**400, "invalid expires inf"),
            (1_800_000_000, "ten years"),
            (1_800_000_000_000, "not milliseconds"),
            (timedelta(0), "invalid expires 0"),
            ("0d", "invalid expires 0"),
            ("3651d", "ten years"),
            ("2100-01-01T00:00Z", '^invalid expires; expected an aware datetime, .* such as "30d"'),
            (timedelta(days=-1), "invalid expires -86400"),
            (timedelta(days=3651), "ten years"),
        ],
    )
    def test_refused_values(self, lmtokens_portal: Portal, kind: str, expires: Any, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            api_for(kind, lmtokens_portal).add_token(32, "ci", expires=expires)
        assert lmtokens_portal.record == []

    @pytest.mark.parametrize("expires", [True, [1], datetime(2100, 1, 1).date()])
    def test_refused_types(self, lmtokens_portal: Portal, expires: Any) -> None:
        with pytest.raises(TypeError, match=r"^expires must be an aware datetime"):
            lmtokens.add_token(32, expires=expires)
        assert lmtokens_portal.record == []

    def test_time_is_in_the_future_by_the_portals_clock(self, lmtokens_portal: Portal) -> None:
        lmtokens_portal.set_clock_offset(2 * 3600)
        client = lmtokens_portal.client(access_id=None, access_key=None, bearer_token=lmtokens_portal.bearer_token)
        client.whoami()
        with pytest.raises(ValueError, match="in the future"):
            client.add_token(32, expires=now() + HOUR)
        assert_expires_in(client.add_token(32, expires=HOUR), 3 * HOUR)

    @pytest.mark.parametrize("kind", VARIANTS)
    def test_destination_receives_the_token_as_it_will_be(self, lmtokens_portal: Portal, kind: str) -> None:
        received: list[lmtokens.CreatedToken] = []
        token = api_for(kind, lmtokens_portal).add_token(32, "ci", deliver=received.append, expires=HOUR)
        assert token.access_key is None
        assert [(each.note, each.expires_on) for each in received] == [("ci", token.expires_on)]
        assert_marked(lmtokens_portal, token)

    @pytest.mark.parametrize("method", ["POST", "PATCH"])
    @pytest.mark.parametrize("fault", ["act-then-close", "html", "close-before-acting"])
    def test_lost_response_keeps_the_expiry(self, lmtokens_portal: Portal, method: str, fault: Any) -> None:
        lmtokens.add_token(32, "seen")
        list(lmtokens.list_tokens(32))
        lmtokens_portal.fail(fault, method=method)
        token = lmtokens.add_token(32, "ci", expires=HOUR)
        assert_expires_in(token, HOUR)
        assert_marked(lmtokens_portal, token)
        assert [stored.id for stored in created_tokens(lmtokens_portal, 3)] == [token.id]

    @pytest.mark.parametrize("fault", ["act-then-close", "close-before-acting"])
    def test_unknown_outcome_holds_the_key_and_can_be_finished(self, lmtokens_portal: Portal, fault: Any) -> None:
        # Three attempts without a response, then a rejection.
        lmtokens_portal.fail(fault, method="PATCH", times=3)
        lmtokens_portal.fail("status-before-acting", method="PATCH", status=403)
        with pytest.raises(lmtokens.OutcomeUnknownError, match="final status and note is unknown") as raised:
            lmtokens.add_token(32, "ci", expires=HOUR)
        lmtokens_portal.clear_faults()
        error = raised.value
        (stored,) = created_tokens(lmtokens_portal)
        assert is_pending(stored) is (fault == "close-before-acting")
        assert error.token is not None
        assert error.token.access_key is not None
        assert error.token.access_key.reveal() == stored.access_key.reveal()
        assert stored.access_key.reveal() not in str(error)
        assert f'update_token({stored.id}, note="ci", status=2)' in str(error)
        token = lmtokens.update_token(stored.id, note="ci", status=2)
        assert (token.status, token.expires_on) == (2, error.token.expires_on)
        assert_marked(lmtokens_portal, token)

    @pytest.mark.parametrize("change", [{"status": 2}, {"note": "ci"}, {"note": "new", "status": 2}])
    def test_pending_token_that_is_finished_by_hand_keeps_the_expiry(
        self, lmtokens_portal: Portal, change: dict[str, Any]
    ) -> None:
        created = int(time.time())
        expires = created + 3600
        tag = tag_for("ci", seconds=created, random="0" * 32 + f"-e{expires}")
        stored = lmtokens_portal.create_token(32, note=f"{tag} ci", status=1)
        token = lmtokens.update_token(stored.id, **change)
        assert_expires_in(token, HOUR)
        assert_marked(lmtokens_portal, token, change.get("note", "ci"))


class TestFinish:
    """A create with a file that was interrupted is finished by the same call."""

    @staticmethod
    def interrupt(portal: Portal, path: Path, kind: Any, expires: timedelta | datetime) -> lmtokens.Token:
        """Kill a create before its last PATCH is carried out ("delay") or after; return its token."""
        portal.fail(kind, method="PATCH", seconds=3600)
        with subprocess.Popen([sys.executable, "-c", ADD_CODE, str(path), repr(expires)]) as process:
            wait_until(lambda: "PATCH" in request_methods(portal))
            wait_until(lambda: kind == "delay" or not is_pending(created_tokens(portal)[0]))
            process.kill()
        portal.clear_faults()
        return lmtokens.find_token(created_tokens(portal)[-1].id)

    @pytest.mark.parametrize("absolute", [True, False])
    def test_finished_token_keeps_its_expiry(self, lmtokens_portal: Portal, tmp_path: Path, absolute: bool) -> None:
        path = tmp_path / "key.json"
        expires: Any = (now() + HOUR).replace(microsecond=0) if absolute else HOUR
        left = self.interrupt(lmtokens_portal, path, "act-then-delay", expires)
        token = lmtokens.add_token(32, "ci", deliver=to_file(path), expires=expires if absolute else 2 * HOUR)
        assert (token.id, token.expires_on, token.status) == (left.id, left.expires_on, 2)
        assert_marked(lmtokens_portal, token)
        members = json.loads(path.read_text())
        assert token.expires_on is not None
        assert (members["note"], members["expires_on"]) == ("ci", token.expires_on.isoformat())
        assert ids(lmtokens_portal) == [left.id]

    @pytest.mark.parametrize("by_hand", [True, False])
    def test_pending_token_gets_its_expiry(self, lmtokens_portal: Portal, tmp_path: Path, by_hand: bool) -> None:
        path = tmp_path / "key.json"
        left = self.interrupt(lmtokens_portal, path, "delay", HOUR)
        if by_hand:
            edit_token(lmtokens_portal, created_tokens(lmtokens_portal)[0], status=2)
        token = lmtokens.add_token(32, "ci", deliver=to_file(path), expires=HOUR)
        assert (token.id == left.id) is by_hand
        assert_expires_in(token, HOUR)
        assert_marked(lmtokens_portal, token)
        assert json.loads(path.read_text())["id"] == token.id
        assert ids(lmtokens_portal) == [token.id]

    @pytest.mark.parametrize("expires", [None, now() + 3 * HOUR])
    def test_call_with_another_expiry_does_not_finish_it(
        self, lmtokens_portal: Portal, tmp_path: Path, expires: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = tmp_path / "key.json"
        left = self.interrupt(lmtokens_portal, path, "act-then-delay", HOUR)
        token = lmtokens.add_token(32, "ci", deliver=to_file(path), expires=expires)
        assert token.id != left.id
        assert (token.expires_on is None) is (expires is None)
        assert f"token {left.id} of user 32" in caplog.text

    def test_expired_token_is_replaced(self, lmtokens_portal: Portal, tmp_path: Path) -> None:
        path = tmp_path / "key.json"
        left = self.interrupt(lmtokens_portal, path, "act-then-delay", timedelta(seconds=1))
        time.sleep(2.1)
        token = lmtokens.add_token(32, "ci", deliver=to_file(path), expires=HOUR)
        assert token.id != left.id
        assert_expires_in(token, HOUR)
        assert ids(lmtokens_portal) == [token.id]
        assert json.loads(path.read_text())["id"] == token.id


class TestSweep:
    @pytest.mark.parametrize("kind", VARIANTS)
    @pytest.mark.parametrize("type", ["lmv1", "bearer"])
    @pytest.mark.parametrize("status", [1, 2])
    @pytest.mark.parametrize("used", [0, 1_700_000_000])
    def test_expired_token_is_deleted(
        self, lmtokens_portal: Portal, kind: str, type: str, status: int, used: int
    ) -> None:
        stored = marked_token(lmtokens_portal, PAST, type=type, status=status, last_used_on=used)
        kept = marked_token(lmtokens_portal, FUTURE, type=type, status=status)
        api = api_for(kind, lmtokens_portal)
        (found,) = api.sweep_tokens()
        assert (found.token.id, found.reason, found.deleted, found.kept) == (stored.id, "expired", False, None)
        assert repr(found) == f"<lmtokens.SweptToken {stored.id}, expired>"
        assert set(request_methods(lmtokens_portal)[2:]) == {"GET"}
        (swept,) = api.sweep_tokens(dry_run=False)
        assert (swept.token.id, swept.reason, swept.deleted, swept.error) == (stored.id, "expired", True, None)
        assert ids(lmtokens_portal) == [kept.id]

    def test_created_token_is_deleted_once_it_has_expired(self, lmtokens_portal: Portal) -> None:
        token = lmtokens.add_token(32, "ci", expires=2)
        kept = lmtokens.add_token(32, "ci", expires=HOUR)
        assert [each.token.id for each in lmtokens.sweep_tokens(dry_run=False)] == []
        time.sleep(3.1)
        assert [each.token.id for each in lmtokens.sweep_tokens(dry_run=False)] == [token.id]
        assert ids(lmtokens_portal) == [kept.id]

    def test_tokens_without_an_own_expiry_are_kept(self, lmtokens_portal: Portal) -> None:
        expired = marked_token(lmtokens_portal, PAST)
        notes = [
            expired.note,
            f"ci {expired.note}",
            f" {expired.note}",
            expired.note.replace("[lmtokens", "[LMTokens"),
            "expires 2020-01-31T00:00Z",
        ]
        copies = [lmtokens_portal.create_token(32, note=note) for note in notes]
        others = [
            marked_token(lmtokens_portal, parts)
            for parts in (
                "expires 2020-01-31",
                "expires 2020-01-31T00:00:00Z",
                "expired 2020-01-31T00:00Z",
                "replaces 5",
            )
        ]
        assert [each.token.id for each in lmtokens.sweep_tokens(dry_run=False)] == [expired.id]
        assert ids(lmtokens_portal) == [token.id for token in (*copies, *others)]

    @pytest.mark.parametrize("parts", [f"replaces 5; {PAST}", f"replaced by 5, delete after 2100-01-31T00:00Z; {PAST}"])
    def test_expiry_counts_beside_other_parts(self, lmtokens_portal: Portal, parts: str) -> None:
        stored = marked_token(lmtokens_portal, parts)
        assert [each.token.id for each in lmtokens.sweep_tokens(dry_run=False)] == [stored.id]

    @pytest.mark.parametrize("kind", VARIANTS)
    def test_selection_by_reason(self, lmtokens_portal: Portal, kind: str) -> None:
        api = api_for(kind, lmtokens_portal)
        expired = marked_token(lmtokens_portal, PAST)
        created = int(time.time() - 7200)
        orphan = lmtokens_portal.create_token(32, note=tag_for(seconds=created), status=1, created_on=created)
        assert {each.token.id: each.reason for each in api.sweep_tokens()} == {
            expired.id: "expired",
            orphan.id: "orphan",
        }
        assert [each.token.id for each in api.sweep_tokens(only="expired")] == [expired.id]
        assert [each.token.id for each in api.sweep_tokens(dry_run=False, only="orphans")] == [orphan.id]
        assert ids(lmtokens_portal) == [expired.id]

    @pytest.mark.parametrize(("only", "error"), [("rotation", ValueError), ("", ValueError), (1, TypeError)])
    def test_unknown_reason_is_refused(self, lmtokens_portal: Portal, only: Any, error: type[Exception]) -> None:
        with pytest.raises(error, match="only"):
            lmtokens.sweep_tokens(only=only)
        assert lmtokens_portal.record == []

    def test_calling_token_is_kept(self, lmtokens_portal: Portal) -> None:
        stored = marked_token(lmtokens_portal, PAST, admin_id=1)
        client = lmtokens_portal.client(**credentials_of(stored))
        (swept,) = client.sweep_tokens(dry_run=False)
        assert isinstance(swept.error, lmtokens.SelfLockoutError)
        assert ids(lmtokens_portal) == [stored.id]

    @pytest.mark.parametrize(
        ("note", "is_deleted"),
        [
            (f"{FUTURE}] ci", False),
            (f"{PAST}] another note", True),
            (f"replaces 5; {PAST}] ci", True),
            (f"{PAST} ci", False),
        ],
    )
    def test_token_is_read_again(self, lmtokens_portal: Portal, note: str, is_deleted: bool) -> None:
        stored = marked_token(lmtokens_portal, PAST)
        changed: list[bool] = []

        def after(exchange: Exchange) -> None:
            if not changed and str(stored.id).encode() in exchange.response_body:
                changed.append(True)
                edit_token(lmtokens_portal, stored, note=f"[lmtokens {stored.id} {note}")

        with TamperingProxy(lmtokens_portal, after=after) as portal:
            swept = portal.client().sweep_tokens(dry_run=False)
        assert [each.deleted for each in swept] == [True] * is_deleted
        assert ids(lmtokens_portal) == [stored.id] * (not is_deleted)

    def test_portals_clock_decides(self, lmtokens_portal: Portal) -> None:
        stored = marked_token(lmtokens_portal, f"expires {written(now() + HOUR)}")
        client = lmtokens_portal.client(access_id=None, access_key=None, bearer_token=lmtokens_portal.bearer_token)
        assert client.sweep_tokens() == []
        lmtokens_portal.set_clock_offset(3600 + 60)
        assert [each.token.id for each in client.sweep_tokens(dry_run=False)] == [stored.id]


class TestShell:
    def test_token_is_added_listed_and_swept(self, lmtokens_portal: Portal) -> None:
        added = run_shell("add", "32", "--note", "ci", "--expires", "1s", "-o", "json")
        token = json.loads(added.stdout)
        (stored,) = created_tokens(lmtokens_portal)
        assert stored.note.startswith(f"[lmtokens {stored.id} expires ")
        assert (token["note"], stored.access_key.reveal()) == ("ci", token["access_key"])
        assert written(datetime.fromisoformat(token["expires_on"])) in stored.note
        time.sleep(2.1)
        listed = run_shell("sweep", "-o", "csv")
        (row,) = csv.DictReader(io.StringIO(listed.stdout))
        assert (listed.returncode, row["id"], row["reason"], row["note"]) == (0, str(stored.id), "expired", "ci")
        assert row["expires_on"] == token["expires_on"]
        assert "1 due; pass --yes" in listed.stderr
        assert run_shell("sweep", "--only", "orphans", "--yes").stdout == ""
        swept = run_shell("sweep", "--only", "expired", "--yes", "-o", "jsonl")
        assert (swept.returncode, json.loads(swept.stdout)["deleted"]) == (0, True)
        assert created_tokens(lmtokens_portal) == []
        assert "nothing is due" in run_shell("sweep").stderr

    def test_file_holds_the_expiry(self, lmtokens_portal: Portal, tmp_path: Path) -> None:
        path = tmp_path / "ci.json"
        completed = run_shell("add", "32", "--to", f"file:{path}", "--expires", "30d")
        assert completed.returncode == 0, completed.stderr
        expires = datetime.fromisoformat(json.loads(path.read_text())["expires_on"])
        assert abs(expires - now() - timedelta(days=30)) < TOLERANCE

    def test_exit_status_if_something_due_was_left(self, lmtokens_portal: Portal) -> None:
        left, deleted = (marked_token(lmtokens_portal, PAST) for _ in range(2))
        lmtokens_portal.fail("status-before-acting", method="DELETE", status=403)
        completed = run_shell("sweep", "--yes", "-o", "jsonl")
        rows = {row["id"]: row["deleted"] for row in map(json.loads, completed.stdout.splitlines())}
        assert (completed.returncode, rows) == (3, {left.id: False, deleted.id: True})
        assert "1 of 2 deleted" in completed.stderr

    @pytest.mark.parametrize("note", [["--note", "ci"], []])
    def test_dry_run_shows_the_marker(self, lmtokens_portal: Portal, note: list[str]) -> None:
        completed = run_shell("add", "32", *note, "--expires", "7d", "--dry-run")
        shown = json.loads(completed.stdout.splitlines()[-1])["note"]
        assert shown.startswith(f"[lmtokens ID expires {written(now() + timedelta(days=7))[:13]}")
        # Without a note, the marker is not followed by a space.
        assert shown.partition("]")[2] == " ".join(["", *note[1:]])
        assert requests_with_method(lmtokens_portal, "POST") == []

    @pytest.mark.parametrize("duration", ["", "0", "-1", "x", "1.5h", "30D", "1w", "1h30m", "4000d", "1801353600"])
    def test_invalid_duration(self, lmtokens_portal: Portal, duration: str) -> None:
        completed = run_shell("add", "32", "--expires", duration)
        assert completed.returncode == 2
        assert "invalid" in completed.stderr
        assert lmtokens_portal.record == []


def test_key_is_delivered_before_the_token_is_enabled(lmtokens_portal: Portal) -> None:
    destination = RecordingDestination()
    lmtokens_portal.fail("status-before-acting", method="PATCH", status=403)
    with pytest.raises(lmtokens.PermissionDeniedError):
        lmtokens.add_token(32, "ci", deliver=destination, expires=HOUR)
    assert destination.names == ["deliver", "discard"]
    assert created_tokens(lmtokens_portal) == []


@pytest.mark.parametrize("expires", [None, 3600])
@pytest.mark.parametrize("limit", [5, 40, 70])
def test_portal_that_cuts_tags_keeps_no_pending_token(
    lmtokens_portal: Portal, tmp_path: Path, limit: int, expires: int | None
) -> None:
    lmtokens_portal.configure(note_limit=limit, long_notes="cut")
    with pytest.raises(lmtokens.LMTokensError, match="shows another note than requested"):
        lmtokens.add_token(32, "ci", deliver=to_file(tmp_path / "key.json"), expires=expires)
    assert created_tokens(lmtokens_portal) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("expires", [None, 3600])
def test_token_with_a_note_of_others_is_named_and_not_deleted(
    lmtokens_portal: Portal, tmp_path: Path, expires: int | None
) -> None:
    def replace_note(exchange: Exchange) -> None:
        if exchange.method == "POST":
            exchange.body = json.dumps({**json.loads(exchange.body), "note": "of others"}).encode()

    with TamperingProxy(lmtokens_portal, before=replace_note) as portal:
        unknown = pytest.raises(lmtokens.OutcomeUnknownError, match="shows another note than requested")
        with unknown as raised:
            portal.client().add_token(32, "ci", deliver=to_file(tmp_path / "key.json"), expires=expires)
    (stored,) = created_tokens(lmtokens_portal)
    assert raised.value.candidates is not None
    assert [token.id for token in raised.value.candidates] == [stored.id]
    assert f"delete_token({stored.id})" in str(raised.value.suggestion)
    assert stored.status == 1


@pytest.mark.parametrize("offset", [-20 * 60, 20 * 60])
def test_expiry_counts_by_the_portals_clock(lmtokens_portal: Portal, offset: int) -> None:
    lmtokens_portal.set_clock_offset(offset)
    token = lmtokens_portal.client().add_token(32, expires=60)
    assert token.created_on is not None
    assert token.expires_on is not None
    assert 55 <= (token.expires_on - token.created_on).total_seconds() <= 65
    assert lmtokens_portal.record[0].query == "size=1"


def test_time_that_has_passed_at_the_portal_is_refused(lmtokens_portal: Portal) -> None:
    lmtokens_portal.set_clock_offset(20 * 60)
    soon = datetime.now(timezone.utc) + timedelta(minutes=10)
    with pytest.raises(ValueError, match="expected a time in the future"):
        lmtokens_portal.client().add_token(32, expires=soon)
    assert created_tokens(lmtokens_portal) == []


def test_repeated_create_refuses_a_token_whose_expiry_was_removed(lmtokens_portal: Portal, tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    lmtokens_portal.fail("act-then-close", method="PATCH", times=None)
    with pytest.raises(lmtokens.OutcomeUnknownError):
        lmtokens.add_token(32, "ci", deliver=to_file(path), expires=3600)
    lmtokens_portal.clear_faults()
    (stored,) = created_tokens(lmtokens_portal)
    edit_token(lmtokens_portal, stored, note="ci")
    with pytest.raises(lmtokens.DeliveryError, match="somebody has changed its expiry since"):
        lmtokens.add_token(32, "ci", deliver=to_file(path), expires=3600)
    assert not path.exists()


def test_bulk_input_with_expiries_is_refused(lmtokens_portal: Portal, tmp_path: Path) -> None:
    (tmp_path / "tokens.csv").write_text("admin_id,note,expires\n32,ci,30d\n")
    completed = run_shell("bulk", str(tmp_path / "tokens.csv"), "--journal", str(tmp_path / "run.journal"))
    assert completed.returncode == 2
    assert 'column "expires" is not supported' in completed.stderr
    assert lmtokens_portal.record == []
