"""A sweep deletes orphans only: a token that lacks one of their marks is kept."""

from __future__ import annotations

import csv
import io
import json
import re
import time
from contextlib import contextmanager
from datetime import datetime
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
from api_variants import VARIANTS, api_for
from certificates import issued
from delivery_helpers import created_tokens, request_methods, requests_with_method, tag_for
from network import ConnectProxy, TlsServer, port_of
from support import HANG_TIMEOUT, run_shell
from tampering_proxy import Exchange, TamperingProxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lmtokens.sandbox import Portal, StoredToken

HOUR = 3600


def orphan(
    portal: Portal, *, age: float = 2 * HOUR, note: str = "", tag_offset: float = 0, **members: Any
) -> StoredToken:
    """Store a token left by a create that crashed ``age`` seconds ago; its tag differs by ``tag_offset`` seconds."""
    created = int(time.time() - age)
    tag = tag_for(note, seconds=created + tag_offset)
    return portal.create_token(
        members.pop("admin_id", 32),
        **{"note": f"{tag} {note}" if note else tag, "status": 1, "created_on": created, **members},
    )


def ids(portal: Portal) -> list[int]:
    return [stored.id for stored in created_tokens(portal)]


@pytest.mark.parametrize("kind", VARIANTS)
@pytest.mark.parametrize("type", ["lmv1", "bearer"])
@pytest.mark.parametrize("note", ["", "ci", "a note  with spaces ", "a & b", "caf\u00e9"])
def test_orphan_is_deleted(lmtokens_portal: Portal, kind: str, type: str, note: str) -> None:
    stored = orphan(lmtokens_portal, note=note, type=type)
    (swept,) = api_for(kind, lmtokens_portal).sweep_tokens(dry_run=False)
    assert (swept.token.id, swept.deleted, swept.error) == (stored.id, True, None)
    assert created_tokens(lmtokens_portal) == []


@pytest.mark.parametrize("kind", VARIANTS)
def test_dry_run_is_the_default_and_deletes_nothing(lmtokens_portal: Portal, kind: str) -> None:
    stored = orphan(lmtokens_portal)
    (swept,) = api_for(kind, lmtokens_portal).sweep_tokens()
    assert (swept.token.id, swept.deleted, swept.error) == (stored.id, False, None)
    assert set(request_methods(lmtokens_portal)) == {"GET"}
    assert ids(lmtokens_portal) == [stored.id]


def bystanders(portal: Portal) -> list[StoredToken]:
    """Store tokens that each lack one mark of an orphan."""
    old = time.time() - 2 * HOUR
    valid = tag_for(seconds=old)
    version_1 = f"lmtokens-1-0123456789abcdef-{int(old)}-{'0' * 32}"
    look_alikes = [
        "",
        "ci",
        "x" + valid,
        valid + "x",
        valid + "0",
        valid[:-1],
        valid + " ",
        valid + "\t",
        valid + "\n",
        " " + valid,
        "note " + valid,
        valid.upper(),
        valid.replace("lmtokens", "LMTokens"),
        valid.replace("lmtokens-2", "lmtokens-1"),
        valid.replace("lmtokens-2", "lmtokens-3"),
        valid.replace("lmtokens-2", "lmtokens-02"),
        version_1.replace("lmtokens-1", "lmtokens-2"),
        valid.replace("abcdef", "ABCDEF"),
        valid.replace("abcdef", "abcdeg"),
        valid.replace("-", "_"),
        valid.replace("-0123", "--0123"),
        valid + "-",
        valid + "-1",
        valid.replace(f"-{int(old)}", f"-0{int(old)}"),
        valid.replace(f"-{int(old)}", f"-+{int(old)}"),
        valid.replace(f"-{int(old)}", f"--{int(old)}"),
        valid.replace(f"-{int(old)}", f"-{2**70}"),
        version_1.replace(f"-{int(old)}", f"-0{int(old)}"),
        valid.replace("0123", "０123"),
        valid + " ci",
    ]
    kept = []
    for number, note in enumerate(look_alikes):
        # The last note has a valid tag, so its token is enabled.
        status = 2 if number == len(look_alikes) - 1 else 1
        kept.append(portal.create_token(32, note=note, status=status, created_on=int(old)))
    kept.append(orphan(portal, status=2))
    kept.append(orphan(portal, status=0))
    kept.append(orphan(portal, status=3))
    kept.append(orphan(portal, last_used_on=int(old) + 5))
    # Created at another time than the tag says.
    kept.append(orphan(portal, age=4 * HOUR, tag_offset=HOUR + 60))
    kept.append(orphan(portal, age=4 * HOUR, tag_offset=-HOUR - 60))
    kept.append(orphan(portal, created_on=0))
    # Too young.
    kept.append(orphan(portal, age=0))
    kept.append(orphan(portal, age=HOUR - 60))
    kept.append(orphan(portal, age=-2 * HOUR))
    return kept


@pytest.mark.parametrize("type", ["lmv1", "bearer"])
def test_other_tokens_are_kept(lmtokens_portal: Portal, type: str) -> None:
    kept = [stored.id for stored in bystanders(lmtokens_portal)]
    deleted = orphan(lmtokens_portal, type=type, tag_offset=HOUR - 60)
    swept = lmtokens.sweep_tokens(dry_run=False)
    assert [each.token.id for each in swept] == [deleted.id]
    assert ids(lmtokens_portal) == kept
    assert len(requests_with_method(lmtokens_portal, "DELETE")) == 1


def test_age_is_measured_by_the_portals_clock(lmtokens_portal: Portal) -> None:
    # Half an hour old by the local clock, but only the portal's clock counts.
    stored = orphan(lmtokens_portal, age=HOUR / 2)
    bearer = administrator(lmtokens_portal)
    assert bearer.sweep_tokens(dry_run=False) == []
    lmtokens_portal.set_clock_offset(HOUR)
    assert [each.token.id for each in bearer.sweep_tokens(dry_run=False)] == [stored.id]
    assert created_tokens(lmtokens_portal) == []


def test_local_clock_does_not_make_a_token_old(lmtokens_portal: Portal) -> None:
    stored = orphan(lmtokens_portal, age=HOUR / 2)
    # As if the local clock ran an hour ahead of the portal's.
    lmtokens_portal.set_clock_offset(-HOUR)
    bearer = administrator(lmtokens_portal)
    orphan(lmtokens_portal, age=HOUR + 600)
    assert bearer.sweep_tokens(dry_run=False) == []
    assert stored.id in ids(lmtokens_portal)


def test_nothing_is_deleted_if_the_portal_sends_no_date(lmtokens_portal: Portal) -> None:
    stored = orphan(lmtokens_portal)

    def without_date(exchange: Exchange) -> None:
        exchange.headers = {name: value for name, value in exchange.headers.items() if name.lower() != "date"}

    no_date = pytest.raises(lmtokens.ResponseError, match="sends no Date header")
    with TamperingProxy(lmtokens_portal, after=without_date) as portal, no_date:
        portal.client().sweep_tokens(dry_run=False)
    assert ids(lmtokens_portal) == [stored.id]


def administrator(portal: Portal) -> lmtokens.Client:
    """Return a client with a bearer token: unlike a signature, it is valid at any time of the portal's clock."""
    return portal.client(access_id=None, access_key=None, bearer_token=portal.bearer_token)


def test_clock_that_jumps_forward_during_the_sweep_makes_no_token_old(lmtokens_portal: Portal) -> None:
    orphans = [orphan(lmtokens_portal) for _ in range(2)]
    young = orphan(lmtokens_portal, age=60)
    lists: list[str] = []

    def before(exchange: Exchange) -> None:
        if exchange.method == "GET":
            lists.append(exchange.path)
            # The second list, of bearer tokens, and every later response come from a clock two hours ahead.
            if len(lists) == 2:
                lmtokens_portal.set_clock_offset(2 * HOUR)
                orphan(lmtokens_portal, age=60, type="bearer")

    with TamperingProxy(lmtokens_portal, before=before) as portal:
        swept = portal.client().sweep_tokens(dry_run=False)
    assert [each.token.id for each in swept if each.deleted] == [stored.id for stored in orphans]
    assert ids(lmtokens_portal) == [young.id, young.id + 1]


def test_stale_date_makes_no_token_old(lmtokens_portal: Portal) -> None:
    stored = orphan(lmtokens_portal, age=2 * HOUR)

    def after(exchange: Exchange) -> None:
        if "filter=id" in exchange.path:
            exchange.headers["date"] = formatdate(time.time() - HOUR - 60, usegmt=True)

    with TamperingProxy(lmtokens_portal, after=after) as portal:
        assert portal.client().sweep_tokens(dry_run=False) == []
    assert ids(lmtokens_portal) == [stored.id]


def test_token_is_young_if_its_tag_is(lmtokens_portal: Portal) -> None:
    # As if the clock that sets createdOn were behind the one that sets Date.
    stored = orphan(lmtokens_portal, age=HOUR + 600, tag_offset=HOUR - 60)
    assert lmtokens.sweep_tokens(dry_run=False) == []
    assert ids(lmtokens_portal) == [stored.id]


class TestRemotePortal:
    """A portal that is not on loopback: its clock must agree with the local one."""

    @pytest.fixture
    def remote(self, lmtokens_portal: Portal, ca_bundle: Path) -> Iterator[lmtokens.Client]:
        with remote_client(lmtokens_portal, ca_bundle, port_of(lmtokens_portal)) as client:
            yield client

    def test_orphan_is_deleted(self, lmtokens_portal: Portal, remote: lmtokens.Client) -> None:
        orphan(lmtokens_portal)
        assert [each.deleted for each in remote.sweep_tokens(dry_run=False)] == [True]

    @pytest.mark.parametrize("dry_run", [True, False])
    @pytest.mark.parametrize("offset", [HOUR + 120, -HOUR - 120, 365 * 24 * HOUR])
    def test_clocks_that_differ_are_an_error(
        self, lmtokens_portal: Portal, remote: lmtokens.Client, offset: int, dry_run: bool
    ) -> None:
        kept = [orphan(lmtokens_portal, age=age).id for age in (60, 2 * HOUR, 9 * HOUR)]
        lmtokens_portal.set_clock_offset(offset)
        with pytest.raises(lmtokens.ResponseError, match="cannot tell how old tokens are") as raised:
            remote.sweep_tokens(dry_run=dry_run)
        times = [datetime.fromisoformat(time) for time in re.findall(r"[-\d]{10}T[:\d]{8}\+00:00", str(raised.value))]
        assert len(times) == 2
        assert abs((times[0] - times[1]).total_seconds() - offset) < HANG_TIMEOUT
        assert ids(lmtokens_portal) == kept

    def test_portals_clock_ahead_by_less_than_an_hour_makes_no_token_old(
        self, lmtokens_portal: Portal, remote: lmtokens.Client
    ) -> None:
        young, old = orphan(lmtokens_portal, age=300), orphan(lmtokens_portal, age=HOUR + 300)
        lmtokens_portal.set_clock_offset(HOUR - 120)
        assert [each.token.id for each in remote.sweep_tokens(dry_run=False)] == [old.id]
        assert ids(lmtokens_portal) == [young.id]

    @pytest.mark.parametrize("offset", [2 * HOUR, -2 * HOUR])
    def test_clock_is_checked_before_each_delete(self, lmtokens_portal: Portal, ca_bundle: Path, offset: int) -> None:
        orphans = [orphan(lmtokens_portal) for _ in range(3)]

        def after(exchange: Exchange) -> None:
            if exchange.method == "DELETE":
                lmtokens_portal.set_clock_offset(offset)

        with TamperingProxy(lmtokens_portal, after=after) as proxy:
            port = int(proxy.base_url.split(":")[2].split("/")[0])
            with remote_client(lmtokens_portal, ca_bundle, port) as client:
                swept = client.sweep_tokens(dry_run=False)
        assert [each.deleted for each in swept] == [True, False, False]
        assert [isinstance(each.error, lmtokens.ResponseError) for each in swept] == [False, True, True]
        assert ids(lmtokens_portal) == [stored.id for stored in orphans[1:]]
        assert len(requests_with_method(lmtokens_portal, "DELETE")) == 1


@contextmanager
def remote_client(portal: Portal, ca_bundle: Path, port: int) -> Iterator[lmtokens.Client]:
    """Return a client that reaches the server on a port as ``portal.example``."""
    server = TlsServer(issued("portal.example"), port)
    with server, ConnectProxy({"portal.example:443": server.port}) as proxy:
        yield lmtokens.Client(
            base_url="https://portal.example/santaba/rest",
            bearer_token=portal.bearer_token,
            ca_bundle=ca_bundle,
            proxy=proxy.url,
        )


@pytest.mark.parametrize("offset", [-5 * HOUR, 5 * HOUR])
def test_tag_has_the_portals_time_once_it_is_known(lmtokens_portal: Portal, offset: int) -> None:
    lmtokens_portal.set_clock_offset(offset)
    client = administrator(lmtokens_portal)
    client.whoami()
    pending: list[StoredToken] = []
    client.add_token(32, deliver=lambda token: pending.append(created_tokens(lmtokens_portal)[-1]))
    (stored,) = pending
    assert abs(int(stored.note.split("-")[3]) - stored.created_on) < HANG_TIMEOUT


@pytest.mark.parametrize("shown", ["", None])
def test_orphan_that_may_be_the_calling_token_is_kept(lmtokens_portal: Portal, shown: str | None) -> None:
    stored = orphan(lmtokens_portal, type="bearer")

    def hide(exchange: Exchange) -> None:
        page = json.loads(exchange.response_body)
        for token in page.get("items", []):
            token["accessKey"] = shown
        exchange.response_body = json.dumps(page).encode()

    with TamperingProxy(lmtokens_portal, after=hide) as portal:
        (swept,) = portal.client().sweep_tokens(dry_run=False)
    assert isinstance(swept.error, lmtokens.SelfLockoutError)
    assert ids(lmtokens_portal) == [stored.id]


CHANGES: dict[str, dict[str, Any]] = {
    "enabled": {"status": 2},
    "renamed": {"note": "ci"},
    "retagged": {"note": tag_for(seconds=time.time() - 2 * HOUR, random="f" * 32)},
}


def edited(whole: str) -> dict[str, str]:
    """Return what a user may make of the note of a pending token."""
    tag, _, rest = whole.partition(" ")
    return {
        "appended": f"{whole} keep me",
        "appended without a space": f"{whole}, keep me",
        "prepended": f"keep me {whole}",
        "prepended to the rest": f"{tag} keep me {rest}",
        "cut": f"{tag} {rest[:-1]}",
        "cut to the tag": tag,
        "replaced": f"{tag} keep me",
        "upper case": f"{tag} {rest.upper()}",
        "tag in upper case": f"{tag.upper()} {rest}",
        "tag cut": f"{tag[:-1]} {rest}",
        "tag of version 1": f"{tag.replace('lmtokens-2', 'lmtokens-1').rpartition('-')[0]} {rest}",
    }


EDITS = list(edited("x y"))


@pytest.mark.parametrize("kind", VARIANTS)
@pytest.mark.parametrize("edit", EDITS)
def test_token_whose_note_was_edited_is_kept(lmtokens_portal: Portal, kind: str, edit: str) -> None:
    created = int(time.time() - 2 * HOUR)
    whole = f"{tag_for('ci job', seconds=created)} ci job"
    note = edited(whole)[edit]
    stored = lmtokens_portal.create_token(32, note=note, status=1, created_on=created)
    for dry_run in (True, False):
        swept = api_for(kind, lmtokens_portal).sweep_tokens(dry_run=dry_run)
        assert [each.deleted for each in swept] == [False] * len(swept)
        if note.startswith("lmtokens-") and edit != "tag cut":
            (each,) = swept
            assert (each.token.id, each.error) == (stored.id, None)
            assert each.kept is not None
            assert "changed" in each.kept
            assert repr(each) == f"<lmtokens.SweptToken {stored.id}, kept>"
    assert ids(lmtokens_portal) == [stored.id]
    assert requests_with_method(lmtokens_portal, "DELETE") == []


def test_appending_to_a_bare_tag_keeps_the_token(lmtokens_portal: Portal) -> None:
    created = int(time.time() - 2 * HOUR)
    orphan(lmtokens_portal)
    stored = lmtokens_portal.create_token(32, note=f"{tag_for(seconds=created)} keep me", status=1, created_on=created)
    swept = {each.token.id: each for each in lmtokens.sweep_tokens(dry_run=False)}
    assert [swept[stored.id].deleted, bool(swept[stored.id].kept)] == [False, True]
    assert ids(lmtokens_portal) == [stored.id]


def test_tag_of_version_1_is_deleted_only_without_more_text(lmtokens_portal: Portal) -> None:
    created = int(time.time() - 2 * HOUR)
    tag = f"lmtokens-1-0123456789abcdef-{created}-{'0' * 32}"
    bare, noted = (
        lmtokens_portal.create_token(32, note=note, status=1, created_on=created) for note in (tag, f"{tag} ci")
    )
    swept = {each.token.id: each for each in lmtokens.sweep_tokens(dry_run=False)}
    assert swept[bare.id].deleted
    assert "earlier version" in (swept[noted.id].kept or "")
    assert ids(lmtokens_portal) == [noted.id]


@pytest.mark.parametrize(
    ("note", "stored_note"), [(" ci  job ", "ci job"), ("a & <b>", "a &amp; &lt;b&gt;"), ("   ", "")]
)
def test_note_that_the_portal_normalized_is_an_orphans(lmtokens_portal: Portal, note: str, stored_note: str) -> None:
    created = int(time.time() - 2 * HOUR)
    shown = f"{tag_for(note, seconds=created)} {stored_note}".rstrip()
    lmtokens_portal.create_token(32, note=shown, status=1, created_on=created)
    assert [each.deleted for each in lmtokens.sweep_tokens(dry_run=False)] == [True]


def test_note_edited_since_the_list_is_reported_as_kept(lmtokens_portal: Portal) -> None:
    stored = orphan(lmtokens_portal, note="ci")
    edits: list[str] = []

    def after(exchange: Exchange) -> None:
        if not edits or "filter=id" not in exchange.path:
            edits.append(exchange.path)
            return
        page = json.loads(exchange.response_body)
        for token in page["items"]:
            token["note"] += " keep me"
        exchange.response_body = json.dumps(page).encode()

    with TamperingProxy(lmtokens_portal, after=after) as portal:
        (swept,) = portal.client().sweep_tokens(dry_run=False)
    assert (swept.token.id, swept.deleted, bool(swept.kept)) == (stored.id, False, True)
    assert (swept.token.note or "").endswith(" keep me")
    assert ids(lmtokens_portal) == [stored.id]


def test_shell_reports_a_token_whose_note_was_edited(lmtokens_portal: Portal) -> None:
    created = int(time.time() - 2 * HOUR)
    note = f"{tag_for('ci', seconds=created)} ci, keep me"
    stored = lmtokens_portal.create_token(32, note=note, status=1, created_on=created)
    orphan(lmtokens_portal)
    for options, counts in ([], "1 due"), (["--yes"], "1 of 1 deleted"):
        completed = run_shell("sweep", "-o", "jsonl", *options)
        rows = {row["id"]: row for row in map(json.loads, completed.stdout.splitlines())}
        assert completed.returncode == 0
        assert (rows[stored.id]["deleted"], "changed" in rows[stored.id]["kept"]) == (False, True)
        assert f"token {stored.id} is kept: its note was changed" in completed.stderr
        assert counts in completed.stderr
    assert ids(lmtokens_portal) == [stored.id]


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_token_changed_since_the_list_is_kept(lmtokens_portal: Portal, change: dict[str, Any]) -> None:
    stored = orphan(lmtokens_portal)
    other = lmtokens_portal.client()
    changed: list[bool] = []

    def after(exchange: Exchange) -> None:
        # Right after the portal has listed the token.
        if not changed and str(stored.id).encode() in exchange.response_body:
            changed.append(True)
            other.update_token(stored.id, **change) if "note" not in change or change["note"] == "ci" else retag()

    def retag() -> None:
        with pytest.raises(ValueError, match="tag of lmtokens"):
            other.update_token(stored.id, **change)
        other.update_token(stored.id, note="was retagged")

    with TamperingProxy(lmtokens_portal, after=after) as portal:
        assert portal.client().sweep_tokens(dry_run=False) == []
    assert changed == [True]
    assert ids(lmtokens_portal) == [stored.id]
    assert requests_with_method(lmtokens_portal, "DELETE") == []


def test_token_deleted_since_the_list_is_not_an_error(lmtokens_portal: Portal) -> None:
    stored = orphan(lmtokens_portal)
    other = lmtokens_portal.client()
    gone: list[bool] = []

    def after(exchange: Exchange) -> None:
        if not gone and str(stored.id).encode() in exchange.response_body:
            gone.append(True)
            other.delete_token(stored.id)

    with TamperingProxy(lmtokens_portal, after=after) as portal:
        assert portal.client().sweep_tokens(dry_run=False) == []


def test_rejected_delete_is_reported_and_the_sweep_continues(lmtokens_portal: Portal) -> None:
    first, second = orphan(lmtokens_portal), orphan(lmtokens_portal)
    lmtokens_portal.fail("status-before-acting", method="DELETE", status=403)
    swept = {each.token.id: each for each in lmtokens.sweep_tokens(dry_run=False)}
    assert not swept[first.id].deleted
    assert isinstance(swept[first.id].error, lmtokens.PermissionDeniedError)
    assert (swept[second.id].deleted, swept[second.id].error) == (True, None)
    assert ids(lmtokens_portal) == [first.id]


def test_rejected_credentials_end_the_sweep_and_are_reported(lmtokens_portal: Portal) -> None:
    tokens = [orphan(lmtokens_portal) for _ in range(3)]
    lmtokens_portal.fail("status-before-acting", method="DELETE", status=401, times=None, skip=1)
    swept = lmtokens.sweep_tokens(dry_run=False)
    assert [(each.token.id, each.deleted) for each in swept] == [
        (token.id, number == 0) for number, token in enumerate(tokens)
    ]
    assert [type(each.error) for each in swept] == [type(None), lmtokens.AuthenticationError, type(None)]
    assert len(requests_with_method(lmtokens_portal, "DELETE")) == 2


def test_dict_has_the_members_that_the_shell_prints(lmtokens_portal: Portal) -> None:
    found = orphan(lmtokens_portal)
    (swept,) = lmtokens.sweep_tokens()
    members = swept.to_dict()
    assert (members["id"], members["reason"], members["deleted"]) == (found.id, "orphan", False)
    assert json.loads(run_shell("sweep", "-o", "json").stdout) == [members]


def test_shell_reports_what_it_deleted_before_the_credentials_were_rejected(lmtokens_portal: Portal) -> None:
    for _ in range(3):
        orphan(lmtokens_portal)
    lmtokens_portal.fail("status-before-acting", method="DELETE", status=401, times=None, skip=1)
    completed = run_shell("sweep", "--yes", "-o", "json")
    assert completed.returncode == 4
    assert [row["deleted"] for row in json.loads(completed.stdout)] == [True, False, False]
    assert completed.stderr.count("error: ") == 1
    assert "1 of 3 deleted" in completed.stderr


def test_many_pages_of_both_types(lmtokens_portal: Portal) -> None:
    lmtokens_portal.set_rate_limit(100_000)
    kept = [lmtokens_portal.create_token(32, note=f"n{number}").id for number in range(1500)]
    for number in range(20):
        orphan(lmtokens_portal, type="bearer" if number % 2 else "lmv1")
    assert [each.deleted for each in lmtokens.sweep_tokens(dry_run=False)] == [True] * 20
    assert ids(lmtokens_portal) == kept


def test_enabling_an_orphan_removes_its_tag(lmtokens_portal: Portal) -> None:
    for note, rest in [("", ""), ("ci", "ci"), ("two  words", "two  words")]:
        stored = orphan(lmtokens_portal, note=note)
        token = lmtokens.enable_token(stored.id)
        assert (created_tokens(lmtokens_portal)[-1].note, created_tokens(lmtokens_portal)[-1].status) == (rest, 2)
        assert (token.note or "") == rest
    assert lmtokens.sweep_tokens() == []


def test_repr_names_the_token_and_the_result(lmtokens_portal: Portal) -> None:
    stored = orphan(lmtokens_portal)
    assert repr(lmtokens.sweep_tokens()) == f"[<lmtokens.SweptToken {stored.id}, orphan>]"
    assert repr(lmtokens.sweep_tokens(dry_run=False)) == f"[<lmtokens.SweptToken {stored.id}, deleted>]"


def test_shell_deletes_only_with_yes(lmtokens_portal: Portal) -> None:
    stored = orphan(lmtokens_portal, note="ci")
    listed = run_shell("sweep", "-o", "jsonl")
    assert (listed.returncode, json.loads(listed.stdout)["deleted"]) == (0, False)
    assert "--yes" in listed.stderr
    assert ids(lmtokens_portal) == [stored.id]
    deleted = run_shell("sweep", "--yes", "-o", "csv")
    (row,) = csv.DictReader(io.StringIO(deleted.stdout))
    assert (deleted.returncode, row["id"], row["deleted"]) == (0, str(stored.id), "true")
    assert "1 of 1 deleted" in deleted.stderr
    assert created_tokens(lmtokens_portal) == []
    assert (run_shell("sweep").returncode, run_shell("sweep").stdout) == (0, "")


def test_shell_reports_a_rejected_delete(lmtokens_portal: Portal) -> None:
    orphan(lmtokens_portal)
    orphan(lmtokens_portal)
    lmtokens_portal.fail("status-before-acting", method="DELETE", status=403)
    completed = run_shell("sweep", "--yes", "-o", "json")
    assert completed.returncode == 3
    assert [each["deleted"] for each in json.loads(completed.stdout)] == [False, True]
    assert "error: " in completed.stderr
    assert "1 of 2 deleted" in completed.stderr


def test_shell_with_rejected_credentials(lmtokens_portal: Portal) -> None:
    lmtokens_portal.fail("status-before-acting", status=401, times=None)
    assert run_shell("sweep", "--yes").returncode == 4


def test_empty_list_has_the_header_of_another(lmtokens_portal: Portal) -> None:
    empty = run_shell("sweep", "-o", "csv").stdout
    assert empty.startswith("id,type,access_id,")
    assert empty.count("\n") == 1
    lmtokens_portal.client().add_token(32, expires=60)
    lmtokens_portal.advance(120)
    assert run_shell("sweep", "-o", "csv").stdout.startswith(f"{empty}")
