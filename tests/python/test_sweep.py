"""Sweeping up deletes what was never finished and nothing else: whatever lacks one of the marks stays."""

from __future__ import annotations

import csv
import io
import json
import time
from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
from api_variants import VARIANTS, api_for
from delivery_helpers import created_tokens, request_methods, requests_with_method
from support import run_shell
from tampering_proxy import Exchange, TamperingProxy

if TYPE_CHECKING:
    from lmtokens.sandbox import Portal, StoredToken

HOUR = 3600


def tag(seconds: float, *, run: str = "0123456789abcdef", random: str = "0" * 31 + "1") -> str:
    return f"lmtokens-1-{run}-{int(seconds)}-{random}"


def left(portal: Portal, *, age: float = 2 * HOUR, note: str = "", off: float = 0, **members: Any) -> StoredToken:
    """What a create leaves that died ``age`` seconds ago; its tag is ``off`` by so many seconds."""
    born = int(time.time() - age)
    return portal.create_token(
        members.pop("admin_id", 32),
        **{"note": tag(born + off) + note, "status": 1, "created_on": born, **members},
    )


def ids(portal: Portal) -> list[int]:
    return [stored.id for stored in created_tokens(portal)]


@pytest.mark.parametrize("kind", VARIANTS)
@pytest.mark.parametrize("type", ["lmv1", "bearer"])
@pytest.mark.parametrize("note", ["", " ci", " a note  with spaces "])
def test_left_over_is_swept(lmtokens_portal: Portal, kind: str, type: str, note: str) -> None:
    stored = left(lmtokens_portal, note=note, type=type)
    (swept,) = api_for(kind, lmtokens_portal).sweep_tokens(dry_run=False)
    assert (swept.token.id, swept.deleted, swept.error) == (stored.id, True, None)
    assert created_tokens(lmtokens_portal) == []


@pytest.mark.parametrize("kind", VARIANTS)
def test_dry_run_is_the_default_and_only_tells(lmtokens_portal: Portal, kind: str) -> None:
    stored = left(lmtokens_portal)
    (swept,) = api_for(kind, lmtokens_portal).sweep_tokens()
    assert (swept.token.id, swept.deleted, swept.error) == (stored.id, False, None)
    assert set(request_methods(lmtokens_portal)) == {"GET"}
    assert ids(lmtokens_portal) == [stored.id]


def bystanders(portal: Portal) -> list[StoredToken]:
    """Tokens that each lack one mark of a left-over."""
    old = time.time() - 2 * HOUR
    good = tag(old)
    look_alikes = [
        "",
        "ci",
        "x" + good,
        good + "x",
        good + "0",
        good[:-1],
        good + " ",
        good + "\t",
        good + "\n",
        " " + good,
        "note " + good,
        good.upper(),
        good.replace("lmtokens", "LMTokens"),
        good.replace("lmtokens-1", "lmtokens-2"),
        good.replace("lmtokens-1", "lmtokens-01"),
        good.replace("abcdef", "ABCDEF"),
        good.replace("abcdef", "abcdeg"),
        good.replace("-", "_"),
        good.replace("-0123", "--0123"),
        good + "-",
        good + "-1",
        f"lmtokens-1-0123456789abcdef-0{int(old)}-{'0' * 32}",
        f"lmtokens-1-0123456789abcdef-+{int(old)}-{'0' * 32}",
        f"lmtokens-1-0123456789abcdef--{int(old)}-{'0' * 32}",
        f"lmtokens-1-0123456789abcdef-{2**70}-{'0' * 32}",
        good.replace("0123", "０123"),
        good + " ci",
    ]
    kept = []
    for number, note in enumerate(look_alikes):
        # The last one is a good tag: it is enabled.
        status = 2 if number == len(look_alikes) - 1 else 1
        kept.append(portal.create_token(32, note=note, status=status, created_on=int(old)))
    kept.append(left(portal, status=2))
    kept.append(left(portal, status=0))
    kept.append(left(portal, status=3))
    kept.append(left(portal, last_used_on=int(old) + 5))
    # Made at another time than the tag says.
    kept.append(left(portal, age=4 * HOUR, off=HOUR + 60))
    kept.append(left(portal, age=4 * HOUR, off=-HOUR - 60))
    kept.append(left(portal, created_on=0))
    # Young.
    kept.append(left(portal, age=0))
    kept.append(left(portal, age=HOUR - 60))
    kept.append(left(portal, age=-2 * HOUR))
    return kept


@pytest.mark.parametrize("type", ["lmv1", "bearer"])
def test_bystanders_live_on(lmtokens_portal: Portal, type: str) -> None:
    kept = [stored.id for stored in bystanders(lmtokens_portal)]
    condemned = left(lmtokens_portal, type=type, off=HOUR - 60)
    swept = lmtokens.sweep_tokens(dry_run=False)
    assert [each.token.id for each in swept] == [condemned.id]
    assert ids(lmtokens_portal) == kept
    assert len(requests_with_method(lmtokens_portal, "DELETE")) == 1


def test_age_is_told_by_the_portals_clock(lmtokens_portal: Portal) -> None:
    # Half an hour old by the local clock; the portal is right, whatever it says.
    stored = left(lmtokens_portal, age=HOUR / 2)
    bearer = lmtokens_portal.client(access_id=None, access_key=None, bearer_token=lmtokens_portal.bearer_token)
    assert bearer.sweep_tokens(dry_run=False) == []
    lmtokens_portal.set_clock_offset(HOUR)
    assert [each.token.id for each in bearer.sweep_tokens(dry_run=False)] == [stored.id]
    assert created_tokens(lmtokens_portal) == []


def test_local_clock_is_no_ground_to_delete(lmtokens_portal: Portal) -> None:
    stored = left(lmtokens_portal, age=HOUR / 2)
    # As if the local clock ran an hour ahead of the portal's.
    lmtokens_portal.set_clock_offset(-HOUR)
    bearer = lmtokens_portal.client(access_id=None, access_key=None, bearer_token=lmtokens_portal.bearer_token)
    left(lmtokens_portal, age=HOUR + 600)
    assert bearer.sweep_tokens(dry_run=False) == []
    assert stored.id in ids(lmtokens_portal)


def test_portal_without_a_clock_gets_nothing_deleted(lmtokens_portal: Portal) -> None:
    stored = left(lmtokens_portal)

    def without_date(exchange: Exchange) -> None:
        exchange.headers = {name: value for name, value in exchange.headers.items() if name.lower() != "date"}

    told_no_time = pytest.raises(lmtokens.ResponseError, match="does not tell its time")
    with TamperingProxy(lmtokens_portal, after=without_date) as portal, told_no_time:
        portal.client().sweep_tokens(dry_run=False)
    assert ids(lmtokens_portal) == [stored.id]


CHANGES: dict[str, dict[str, Any]] = {
    "enabled": {"status": 2},
    "renamed": {"note": "ci"},
    "tagged anew": {"note": tag(time.time() - 2 * HOUR, random="f" * 32)},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_token_that_changed_since_the_list_is_spared(lmtokens_portal: Portal, change: dict[str, Any]) -> None:
    stored = left(lmtokens_portal)
    other = lmtokens_portal.client()
    changed: list[bool] = []

    def after(exchange: Exchange) -> None:
        # Just when the list has been answered.
        if not changed and str(stored.id).encode() in exchange.response_body:
            changed.append(True)
            other.update_token(stored.id, **change) if "note" not in change or change["note"] == "ci" else retag()

    def retag() -> None:
        with pytest.raises(ValueError, match="tags"):
            other.update_token(stored.id, **change)
        other.update_token(stored.id, note="was retagged")

    with TamperingProxy(lmtokens_portal, after=after) as portal:
        assert portal.client().sweep_tokens(dry_run=False) == []
    assert changed == [True]
    assert ids(lmtokens_portal) == [stored.id]
    assert requests_with_method(lmtokens_portal, "DELETE") == []


def test_token_that_is_gone_since_the_list_is_no_error(lmtokens_portal: Portal) -> None:
    stored = left(lmtokens_portal)
    other = lmtokens_portal.client()
    gone: list[bool] = []

    def after(exchange: Exchange) -> None:
        if not gone and str(stored.id).encode() in exchange.response_body:
            gone.append(True)
            other.delete_token(stored.id)

    with TamperingProxy(lmtokens_portal, after=after) as portal:
        assert portal.client().sweep_tokens(dry_run=False) == []


def test_refused_deletion_is_told_and_the_others_go_on(lmtokens_portal: Portal) -> None:
    first, second = left(lmtokens_portal), left(lmtokens_portal)
    lmtokens_portal.fail("status-before-acting", method="DELETE", status=403)
    swept = {each.token.id: each for each in lmtokens.sweep_tokens(dry_run=False)}
    assert not swept[first.id].deleted
    assert isinstance(swept[first.id].error, lmtokens.PermissionDeniedError)
    assert (swept[second.id].deleted, swept[second.id].error) == (True, None)
    assert ids(lmtokens_portal) == [first.id]


def test_refused_credentials_end_it(lmtokens_portal: Portal) -> None:
    left(lmtokens_portal)
    left(lmtokens_portal)
    lmtokens_portal.fail("status-before-acting", method="DELETE", status=401, times=None)
    with pytest.raises(lmtokens.AuthenticationError):
        lmtokens.sweep_tokens(dry_run=False)
    assert len(requests_with_method(lmtokens_portal, "DELETE")) == 1


def test_many_pages_of_both_types(lmtokens_portal: Portal) -> None:
    lmtokens_portal.set_rate_limit(100_000)
    kept = [lmtokens_portal.create_token(32, note=f"n{number}").id for number in range(1500)]
    for number in range(20):
        left(lmtokens_portal, type="bearer" if number % 2 else "lmv1")
    assert [each.deleted for each in lmtokens.sweep_tokens(dry_run=False)] == [True] * 20
    assert ids(lmtokens_portal) == kept


def test_enabling_a_left_over_takes_its_tag_away(lmtokens_portal: Portal) -> None:
    for note, rest in [("", ""), (" ci", "ci"), (" two  words", "two  words")]:
        stored = left(lmtokens_portal, note=note)
        token = lmtokens.enable_token(stored.id)
        assert (created_tokens(lmtokens_portal)[-1].note, created_tokens(lmtokens_portal)[-1].status) == (rest, 2)
        assert (token.note or "") == rest
    assert lmtokens.sweep_tokens() == []


def test_repr_tells_which_and_whether(lmtokens_portal: Portal) -> None:
    stored = left(lmtokens_portal)
    assert repr(lmtokens.sweep_tokens()) == f"[<lmtokens.SweptToken {stored.id}, left behind>]"
    assert repr(lmtokens.sweep_tokens(dry_run=False)) == f"[<lmtokens.SweptToken {stored.id}, deleted>]"


def test_shell_lists_and_deletes_only_with_yes(lmtokens_portal: Portal) -> None:
    stored = left(lmtokens_portal, note=" ci")
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


def test_shell_tells_of_a_refused_deletion(lmtokens_portal: Portal) -> None:
    left(lmtokens_portal)
    left(lmtokens_portal)
    lmtokens_portal.fail("status-before-acting", method="DELETE", status=403)
    completed = run_shell("sweep", "--yes", "-o", "json")
    assert completed.returncode == 3
    assert [each["deleted"] for each in json.loads(completed.stdout)] == [False, True]
    assert "error: " in completed.stderr
    assert "1 of 2 deleted" in completed.stderr


def test_shell_with_refused_credentials(lmtokens_portal: Portal) -> None:
    lmtokens_portal.fail("status-before-acting", status=401, times=None)
    assert run_shell("sweep", "--yes").returncode == 4
