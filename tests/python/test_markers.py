"""Markers in notes: users see their own part of a note, and a marker counts only on the token that it names."""

from __future__ import annotations

import copy
import json
import pickle
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Callable

import lmtokens
import pytest
from api_variants import VARIANTS, api_for, modifying_requests, stored_token
from delivery_helpers import edit_token, json_body, marked_token, requests_with_method, tag_for
from lmtokens import where
from support import run_shell
from tampering_proxy import Exchange, TamperingProxy

if TYPE_CHECKING:
    from pathlib import Path

    from lmtokens.sandbox import Portal, StoredToken

JANUARY = datetime(2027, 1, 31, tzinfo=timezone.utc)
EXPIRES = "expires 2027-01-31T00:00Z"
REPLACED = "replaced by 7, delete after 2027-02-07T00:00Z"


def whole_note(portal: Portal, token: StoredToken | lmtokens.Token) -> str:
    stored = stored_token(portal, token.id)
    assert stored is not None
    return stored.note


@pytest.mark.parametrize("kind", VARIANTS)
def test_token_shows_the_users_part_and_what_the_marker_says(lmtokens_portal: Portal, kind: str) -> None:
    api = api_for(kind, lmtokens_portal)
    token = api.find_token(marked_token(lmtokens_portal, f"{REPLACED}; {EXPIRES}").id)
    assert (token.note, token.expires_on, token.replaces, token.replaced_by) == ("ci", JANUARY, None, 7)
    members = token.to_dict()
    assert (members["note"], members["expires_on"]) == ("ci", "2027-01-31T00:00:00+00:00")
    assert (members["replaces"], members["replaced_by"]) == (None, 7)
    assert "[lmtokens" not in repr(token)
    successor = api.find_token(marked_token(lmtokens_portal, "replaces 17 after 2027-01-31T00:00Z", "").id)
    assert (successor.note, successor.expires_on, successor.replaces, successor.replaced_by) == ("", None, 17, None)


def test_copies_keep_the_marker(lmtokens_portal: Portal) -> None:
    token = lmtokens.find_token(marked_token(lmtokens_portal, f"replaces 17; {EXPIRES}").id)
    for other in (copy.copy(token), copy.deepcopy(token), pickle.loads(pickle.dumps(token))):
        assert (other, other.to_dict()) == (token, token.to_dict())
        assert (other.note, other.expires_on, other.replaces) == ("ci", JANUARY, 17)


def test_marker_of_another_token_means_nothing(lmtokens_portal: Portal) -> None:
    original = marked_token(lmtokens_portal, EXPIRES)
    copied = lmtokens_portal.create_token(32, note=original.note)
    token = lmtokens.find_token(copied.id)
    assert (token.note, token.expires_on) == (original.note, None)
    assert lmtokens.update_token(copied.id, note="own").note == "own"
    assert whole_note(lmtokens_portal, copied) == "own"


@pytest.mark.parametrize(
    ("built", "expected"),
    [
        (where.note == "ci", ["marked", "plain"]),
        (where.note == "", ["marked empty"]),
        (where.note.contains("c"), ["marked", "plain", "other"]),
        (where.note.contains("expires"), []),
        (where.note.contains("[lmtokens"), []),
        (where.note.not_contains("expires"), ["marked", "marked empty", "plain", "other"]),
        (where.note != "ci", ["marked empty", "other"]),
        (where.note.one_of(["ci", ""]), ["marked", "marked empty", "plain"]),
    ],
    ids=repr,
)
def test_filters_see_the_users_part(lmtokens_portal: Portal, built: lmtokens.Filter, expected: list[str]) -> None:
    names = {
        marked_token(lmtokens_portal, EXPIRES).id: "marked",
        marked_token(lmtokens_portal, EXPIRES, "").id: "marked empty",
        lmtokens_portal.create_token(32, note="ci").id: "plain",
        lmtokens_portal.create_token(32, note="other ci").id: "other",
    }
    assert [names[token.id] for token in lmtokens.list_tokens(32, filter=built)] == expected


@pytest.mark.parametrize("kind", VARIANTS)
@pytest.mark.parametrize("by", ["id", "Token", "stale Token"])
def test_change_of_the_note_keeps_the_marker(lmtokens_portal: Portal, kind: str, by: str) -> None:
    api = api_for(kind, lmtokens_portal)
    stored = lmtokens_portal.create_token(32, note="ci")
    stale = api.find_token(stored.id)
    edit_token(lmtokens_portal, stored, note=f"[lmtokens {stored.id} {EXPIRES}] ci")
    target: Any = {"id": stored.id, "Token": api.find_token(stored.id), "stale Token": stale}[by]
    token = api.update_token(target, note="new")
    assert (token.note, token.expires_on) == ("new", JANUARY)
    assert whole_note(lmtokens_portal, stored) == f"[lmtokens {stored.id} {EXPIRES}] new"
    assert api.update_token(target, note="").expires_on == JANUARY
    assert whole_note(lmtokens_portal, stored) == f"[lmtokens {stored.id} {EXPIRES}]"


@pytest.mark.parametrize("kind", VARIANTS)
def test_enabling_keeps_the_marker(lmtokens_portal: Portal, kind: str) -> None:
    api = api_for(kind, lmtokens_portal)
    for parts in [
        REPLACED,
        f"{REPLACED}; {EXPIRES}",
        EXPIRES,
        "replaces 17 after 2027-01-31T00:00Z",
    ]:
        for enable in (api.enable_token, lambda id: api.update_token(id, status=2)):
            stored = marked_token(lmtokens_portal, parts, status=1)
            token = enable(stored.id)
            assert (token.note, token.status) == ("ci", 2)
            assert whole_note(lmtokens_portal, stored) == f"[lmtokens {stored.id} {parts}] ci"


@pytest.mark.parametrize("kind", VARIANTS)
@pytest.mark.parametrize("word", ["cancelled", "superseded"])
def test_enabling_ends_the_part_in_a_rotation_that_was_given_up(lmtokens_portal: Portal, kind: str, word: str) -> None:
    api = api_for(kind, lmtokens_portal)
    given_up = f"{word} 2027-01-31T00:00:01Z"
    for parts, left in [("replaces 17", ""), (f"replaces 17; {EXPIRES}", EXPIRES)]:
        for enable in (api.enable_token, lambda id: api.update_token(id, status=2)):
            stored = marked_token(lmtokens_portal, f"{parts}; {given_up}", status=1)
            token = enable(stored.id)
            assert (token.note, token.status, token.replaces) == ("ci", 2, None)
            marker = f"[lmtokens {stored.id} {left}] " if left else ""
            assert whole_note(lmtokens_portal, stored) == f"{marker}ci"
        stored = marked_token(lmtokens_portal, f"{parts}; {given_up}", status=2)
        api.update_token(stored.id, note="new")
        assert whole_note(lmtokens_portal, stored) == f"[lmtokens {stored.id} {parts}; {given_up}] new"


@pytest.mark.parametrize("force", [False, True])
def test_disabling_keeps_the_marker(lmtokens_portal: Portal, force: bool) -> None:
    stored = marked_token(lmtokens_portal, f"{REPLACED}; {EXPIRES}")
    token = lmtokens.disable_token(stored.id, force=force)
    assert (token.status, token.replaced_by, token.expires_on) == (1, 7, JANUARY)
    assert whole_note(lmtokens_portal, stored) == stored.note
    (patch,) = [json_body(seen) for seen in requests_with_method(lmtokens_portal, "PATCH")[-1:]]
    assert patch == {"status": 1}


def test_credentials_that_cannot_view_tokens_use_the_callers_copy(lmtokens_portal: Portal) -> None:
    stored = marked_token(lmtokens_portal, EXPIRES)
    token = lmtokens.find_token(stored.id)
    lmtokens_portal.fail("status-before-acting", method="GET", status=403, times=None)
    assert lmtokens.update_token(token, note="new").expires_on == JANUARY
    assert whole_note(lmtokens_portal, stored) == f"[lmtokens {stored.id} {EXPIRES}] new"


def test_marker_that_the_portal_cut_is_an_error(lmtokens_portal: Portal) -> None:
    stored = marked_token(lmtokens_portal, EXPIRES)

    def cut(exchange: Exchange) -> None:
        if exchange.method == "PATCH":
            token = json.loads(exchange.response_body)
            token["note"] = token["note"][:30]
            exchange.response_body = json.dumps(token).encode()

    with TamperingProxy(lmtokens_portal, after=cut) as portal:
        other_note = pytest.raises(lmtokens.ResponseError, match="shows another note than requested")
        with other_note as raised:
            portal.client().update_token(stored.id, note="a new note")
    assert raised.value.maybe_applied


LOOK_ALIKES = [
    "[lmtokens 5 expires 2027-01-31T00:00Z] ci",
    " [lmtokens 5",
    "[lmtokens\u00a05 expires",
    "&#91;lmtokens 5 replaces 6]",
]


@pytest.mark.parametrize("note", LOOK_ALIKES)
@pytest.mark.parametrize("kind", VARIANTS)
def test_note_that_begins_like_a_marker_is_refused(
    lmtokens_portal: Portal, kind: str, note: str, tmp_path: Path
) -> None:
    api = api_for(kind, lmtokens_portal)
    calls: list[Callable[[], object]] = [
        lambda: api.add_token(32, note),
        lambda: api.add_token(32, note, deliver=lambda _: None),
        lambda: api.update_token(5, note=note),
        lambda: api.add_tokens([(32, note)], journal=tmp_path / "run.journal"),
        lambda: api.add_tokens([{"admin_id": 32, "note": note}], journal=tmp_path / "run.journal"),
        lambda: lmtokens.NewToken(32, note),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r'begins with "\[lmtokens "'):
            call()
    assert lmtokens_portal.record == []


@pytest.mark.parametrize("note", [*LOOK_ALIKES, tag_for(seconds=1_700_000_000)])
def test_shell_refuses_the_notes_of_markers_and_tags(lmtokens_portal: Portal, note: str, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"admin_id": 32, "note": note}) + "\n")
    for completed in (
        run_shell("add", "32", "--note", note),
        run_shell("bulk", str(rows), "--journal", str(tmp_path / "run.journal")),
    ):
        assert completed.returncode == 2
        assert "invalid note: it " in completed.stderr
    assert modifying_requests(lmtokens_portal) == []
