"""Values of unexpected types: none makes a token look unused, disabled or old, and none hides other tokens."""

from __future__ import annotations

import datetime
import json
import pickle
import time
from typing import TYPE_CHECKING, Callable

import lmtokens
import pytest
from api_variants import modifying_requests
from delivery_helpers import RecordingDestination, created_tokens, tag_for
from lmtokens import where
from support import ACCESS_ID, ACCESS_KEY, StubServer
from tampering_proxy import Exchange, TamperingProxy

if TYPE_CHECKING:
    from pathlib import Path

    from lmtokens.sandbox import Portal, StoredToken

HOUR = 3600
NOW = int(time.time())
MOMENT = datetime.datetime.fromtimestamp(1_700_000_000, datetime.timezone.utc)

NEVER = ["null", "0", '""', '"0"']
# JSON of the last use of a token that was used, and the time that it tells.
USED = {
    "1700000000": MOMENT,
    '"1700000000"': MOMENT,
    "1.7e9": MOMENT,
    "1700000000.75": MOMENT,
    '"1.7e9"': MOMENT,
    "1700000000000.0": MOMENT,
    '"2023-11-14T22:13:20Z"': None,
    '"never"': None,
    '" "': None,
    "-1": None,
    "0.5": None,
    "1e999": None,
    "9" * 400: None,
    "true": None,
    "false": None,
    "[]": None,
    "[0]": None,
    "{}": None,
    '{"time":0}': None,
    r'"\ud83d"': None,
}
NOT_DISABLED = ["null", "true", "false", "1.5", '"not disabled"', '"1.5"', "[1]", "{}", "1" * 400, "-1", "2", "2.0"]
DISABLED = ["1", "1.0", "1e0", '"1"', '"1.0"', '"disabled"', '"Suspended"']
ENABLED = ["2", "2.0", "2e0", '"2"', '"2.0"', '"enabled"', '"Active"']
UNKNOWN_TYPES = ["0", "null", '""', '"API Token"', '"apitoken"', '"LMv1 "', "[]", "{}"]
NO_TIME = ["null", "0", "-1700000000", '"yesterday"', "true", "[]", "{}", "1e999", "1e300"]


def pending_note(run: str = "0123456789abcdef", *, created: int = NOW - 2 * HOUR) -> str:
    return tag_for(seconds=created, run=run)


def orphan(portal: Portal) -> StoredToken:
    created = NOW - 2 * HOUR
    return portal.create_token(32, note=pending_note(), status=1, created_on=created)


def replaced(member: str, raw: str | None) -> Callable[[Exchange], None]:
    """Return a change of lists: the tokens of user 32 have a member with the given JSON, or lack it."""

    def change(exchange: Exchange) -> None:
        body = json.loads(exchange.response_body or b"null")
        if exchange.method == "GET" and isinstance(body, dict) and "items" in body:
            for item in body["items"]:
                if item.get("adminId") == 32:
                    item[member] = "@odd@"
                    if raw is None:
                        del item[member]
            exchange.response_body = json.dumps(body).replace('"@odd@"', raw or "").encode()

    return change


def swept_ids(portal: Portal, change: Callable[[Exchange], None]) -> list[int]:
    with TamperingProxy(portal, after=change) as proxy, proxy.client() as client:
        return [swept.token.id for swept in client.sweep_tokens(dry_run=False)]


@pytest.mark.parametrize("raw", [None, *NEVER])
def test_unused_token_is_swept(lmtokens_portal: Portal, raw: str | None) -> None:
    stored = orphan(lmtokens_portal)
    assert swept_ids(lmtokens_portal, replaced("lastUsedOn", raw)) == [stored.id]
    assert created_tokens(lmtokens_portal) == []


@pytest.mark.parametrize("raw", USED)
def test_used_token_is_not_swept(lmtokens_portal: Portal, raw: str) -> None:
    stored = orphan(lmtokens_portal)
    assert swept_ids(lmtokens_portal, replaced("lastUsedOn", raw)) == []
    assert [token.id for token in created_tokens(lmtokens_portal)] == [stored.id]


@pytest.mark.parametrize("raw", NOT_DISABLED)
def test_token_that_may_be_enabled_is_not_swept(lmtokens_portal: Portal, raw: str) -> None:
    stored = orphan(lmtokens_portal)
    assert swept_ids(lmtokens_portal, replaced("status", raw)) == []
    assert [token.id for token in created_tokens(lmtokens_portal)] == [stored.id]


@pytest.mark.parametrize("raw", DISABLED)
def test_disabled_token_is_swept(lmtokens_portal: Portal, raw: str) -> None:
    stored = orphan(lmtokens_portal)
    assert swept_ids(lmtokens_portal, replaced("status", raw)) == [stored.id]


def replaced_in_changes(member: str, values: dict[str, str]) -> Callable[[Exchange], None]:
    """Return a change of the responses to creates and updates: a member is written in another way."""

    def change(exchange: Exchange) -> None:
        if exchange.method in ("POST", "PATCH") and exchange.status == 200:
            token = json.loads(exchange.response_body)
            raw = values.get(str(token.get(member)), values.get("*"))
            assert raw is not None
            token[member] = "@odd@"
            exchange.response_body = json.dumps(token).replace('"@odd@"', raw).encode()

    return change


@pytest.mark.parametrize("delivers", [False, True])
@pytest.mark.parametrize(("disabled", "enabled"), list(zip(DISABLED, ENABLED)))
def test_status_in_any_notation(lmtokens_portal: Portal, disabled: str, enabled: str, delivers: bool) -> None:
    change = replaced_in_changes("status", {"1": disabled, "2": enabled})
    destination = RecordingDestination() if delivers else None
    with TamperingProxy(lmtokens_portal, after=change) as proxy:
        token = proxy.client().add_token(32, "ci", deliver=destination)
    (stored,) = created_tokens(lmtokens_portal)
    assert (token.status, stored.status, stored.note) == (2, 2, "ci")
    assert [seen.method for seen in modifying_requests(lmtokens_portal)] == ["POST", "PATCH"][: 1 + delivers]


@pytest.mark.parametrize("raw", ENABLED)
def test_key_is_not_delivered_while_the_token_looks_enabled(lmtokens_portal: Portal, raw: str) -> None:
    """The portal enables the token in spite of the request, and says so in another notation."""

    def enable(exchange: Exchange) -> None:
        if exchange.method == "POST":
            exchange.body = exchange.body.replace(b'"status":1', b'"status":2')

    events: list[str] = []

    class Destination(RecordingDestination):
        def deliver(self, token: lmtokens.Token) -> None:
            events.append(f"delivered while {created_tokens(lmtokens_portal)[0].status}")
            super().deliver(token)

    change = replaced_in_changes("status", {"1": "1", "2": raw})
    with TamperingProxy(lmtokens_portal, before=enable, after=change) as proxy:
        proxy.client().add_token(32, "ci", deliver=Destination())
    assert events == ["delivered while 1"]


@pytest.mark.parametrize("delivers", [False, True])
@pytest.mark.parametrize("raw", UNKNOWN_TYPES)
def test_unknown_type_is_no_difference(lmtokens_portal: Portal, raw: str, delivers: bool) -> None:
    destination = RecordingDestination() if delivers else None
    with TamperingProxy(lmtokens_portal, after=replaced_in_changes("type", {"*": raw})) as proxy:
        token = proxy.client().add_token(32, "ci", deliver=destination)
    (stored,) = created_tokens(lmtokens_portal)
    assert (token.id, token.type, stored.status) == (stored.id, "lmv1", 2)
    assert delivers or token.access_key == stored.access_key


@pytest.mark.parametrize("code", [0, 200, "200", 1200, 1204, 4711, None])
def test_key_beside_any_code_is_not_lost(lmtokens_portal: Portal, code: object) -> None:
    def add_code(exchange: Exchange) -> None:
        if exchange.status == 200 and exchange.method == "POST":
            token = json.loads(exchange.response_body)
            token.update(errorCode=code, errorMessage="OK")
            exchange.response_body = json.dumps(token).encode()

    with TamperingProxy(lmtokens_portal, after=add_code) as proxy:
        token = proxy.client().add_token(32, "ci")
    (stored,) = created_tokens(lmtokens_portal)
    assert token.access_key == stored.access_key


def test_unknown_code_leaves_the_outcome_open(lmtokens_portal: Portal) -> None:
    def add_code(exchange: Exchange) -> None:
        if exchange.status == 200 and exchange.method != "GET":
            exchange.response_body = b'{"errorCode":4711,"errorMessage":"words"}'

    with TamperingProxy(lmtokens_portal, after=add_code) as proxy:
        client = proxy.client()
        with pytest.raises(lmtokens.OutcomeUnknownError, match="words"):
            client.add_token(32, "ci")
        (stored,) = created_tokens(lmtokens_portal)
        with pytest.raises(lmtokens.APIError, match="words") as caught:
            client.delete_token(stored.id)
    assert caught.value.maybe_applied
    assert created_tokens(lmtokens_portal) == []


@pytest.mark.parametrize("raw", NO_TIME)
def test_token_of_unknown_age_is_not_swept(lmtokens_portal: Portal, raw: str) -> None:
    stored = orphan(lmtokens_portal)
    assert swept_ids(lmtokens_portal, replaced("createdOn", raw)) == []
    assert [token.id for token in created_tokens(lmtokens_portal)] == [stored.id]


@pytest.mark.parametrize(("raw", "is_removed"), [("0", True), ("true", False), ('"x"', False)])
def test_used_token_of_a_bulk_run_is_kept(lmtokens_portal: Portal, tmp_path: Path, raw: str, is_removed: bool) -> None:
    journal = tmp_path / "journal"
    with TamperingProxy(lmtokens_portal, after=replaced("lastUsedOn", raw)) as proxy, proxy.client() as client:
        client.add_tokens([(33, "a")], journal=journal).finish()
        run = json.loads(journal.read_text().splitlines()[0])["run"]
        left = lmtokens_portal.create_token(32, note=pending_note(run, created=NOW), status=1)
        client.add_tokens([(33, "a"), (33, "b")], journal=journal, resume=True).finish()
    assert (left.id not in [token.id for token in created_tokens(lmtokens_portal)]) == is_removed


@pytest.mark.parametrize(("raw", "is_candidate"), [("0", True), ("true", False), ('"x"', False), ("1e999", False)])
def test_used_token_is_not_a_candidate(lmtokens_portal: Portal, raw: str, is_candidate: bool) -> None:
    lmtokens_portal.fail("act-then-close", method="POST")
    with (
        TamperingProxy(lmtokens_portal, after=replaced("lastUsedOn", raw)) as proxy,
        pytest.raises(lmtokens.OutcomeUnknownError) as caught,
    ):
        proxy.client().add_token(32, "ci")
    assert bool(caught.value.candidates) == is_candidate


def listed(*items: str, before: str = "") -> list[lmtokens.Token]:
    """List LMv1 tokens of a portal that sends the given items."""
    body = f'{before}{{"total":{len(items)},"items":[{",".join(items)}]}}'.encode()
    return listed_from(body)


def listed_from(body: bytes, filter: lmtokens.Filter | None = None) -> list[lmtokens.Token]:
    with StubServer(body) as server:
        client = lmtokens.Client(base_url=server.base_url, access_id=ACCESS_ID, access_key=ACCESS_KEY)
        return list(client.list_tokens(type="lmv1", filter=filter))


@pytest.mark.parametrize("raw", USED)
def test_time_of_the_last_use(raw: str) -> None:
    (token,) = listed(f'{{"id":1,"lastUsedOn":{raw}}}')
    assert token.last_used_on == USED[raw]
    assert pickle.loads(pickle.dumps(token)).last_used_on == token.last_used_on


@pytest.mark.parametrize("condition", [where.last_used_on < NOW, where.last_used_on == 0, where.last_used_on > 0])
@pytest.mark.parametrize("raw", [raw for raw, moment in USED.items() if moment is None])
def test_unknown_time_matches_no_filter(raw: str, condition: lmtokens.Filter) -> None:
    body = f'{{"total":1,"items":[{{"id":1,"lastUsedOn":{raw}}}]}}'.encode()
    assert listed_from(body, filter=condition) == []
    assert len(listed_from(body, filter=where.last_used_on != 0)) == 1


@pytest.mark.parametrize("raw", NO_TIME)
def test_token_of_unknown_age_is_not_old(raw: str) -> None:
    body = f'{{"total":1,"items":[{{"id":1,"createdOn":{raw}}}]}}'.encode()
    assert listed_from(body, filter=where.created_on < NOW) == []


@pytest.mark.parametrize("odd", ["null", "7", '"x"', "[]", "{}", "[{}]", '{"id":null}', '{"id":1e999}', "1e999"])
def test_odd_item_does_not_hide_others(odd: str) -> None:
    assert [token.id for token in listed('{"id":1}', odd, '{"id":2}')] == [1, 2]


@pytest.mark.parametrize(("raw", "id"), [("7", 7), ('"7"', 7), ("7.0", 7), ("7e0", 7)])
def test_id_in_any_notation(raw: str, id: int) -> None:
    assert [token.id for token in listed(f'{{"id":{raw}}}')] == [id]


@pytest.mark.parametrize("raw", ["7.5", '"7.5"', "true", "[7]", '"0x7"', '"inf"', '"nan"', "1e300", "9" * 30])
def test_unreadable_id_is_not_a_token(raw: str) -> None:
    assert listed(f'{{"id":{raw}}}') == []


@pytest.mark.parametrize("id", ["0", "-5", "-5.0", "99999999999"])
def test_token_with_an_impossible_id_is_not_listed(id: str) -> None:
    with StubServer(f'{{"total":2,"items":[{{"id":{id},"adminId":32}},{{"id":5,"adminId":32}}]}}'.encode()) as server:
        client = lmtokens.Client(base_url=server.base_url, access_id=ACCESS_ID, access_key=ACCESS_KEY)
        assert [token.id for token in client.list_tokens(type="lmv1")] == [5]


def test_half_a_character_is_replaced() -> None:
    notes = [r"a\ud83d", r"\ude00b", r"\ud83d\ude00", r"\ud83d\ud83d\ude00", r"\\ud83d", r"\ud83dx\u00e9"]
    items = [f'{{"id":{id},"note":"{note}","{note}":"{note}"}}' for id, note in enumerate(notes, 1)]
    expected = ["a\ufffd", "\ufffdb", "\U0001f600", "\ufffd\U0001f600", r"\ud83d", "\ufffdx\u00e9"]
    assert [token.note for token in listed(*items)] == expected


def test_byte_order_mark_is_ignored() -> None:
    assert [token.id for token in listed('{"id":1}', before="\ufeff")] == [1]


@pytest.mark.parametrize("body", [b'{"items":null}', b'{"items":null,"total":null}', b'{"total":"0","items":[]}'])
def test_null_is_an_empty_list(body: bytes) -> None:
    assert listed_from(body) == []


@pytest.mark.parametrize("body", [b"{}", b'{"items":{}}', b'{"items":"x"}', b'{"items":7}', b"[]", b"null", b"7"])
def test_other_shape_is_not_a_list(body: bytes) -> None:
    with pytest.raises(lmtokens.ResponseError, match="does not contain a list"):
        listed_from(body)


@pytest.mark.parametrize("code", ['"1403"', "1403.0", "1e999", '"x"', "[]", "true"])
def test_error_with_an_odd_code_is_not_a_success(code: str) -> None:
    body = f'{{"errorMessage":"no","errorCode":{code}}}'.encode()
    with StubServer(body) as server:
        client = lmtokens.Client(base_url=server.base_url, access_id=ACCESS_ID, access_key=ACCESS_KEY)
        with pytest.raises(lmtokens.LMTokensError, match="no"):
            client.find_token(1)
        located = lmtokens.Token._from_members({"id": 7, "admin_id": 32, "type": "bearer"})
        with pytest.raises(lmtokens.LMTokensError, match="no"):
            client.delete_token(located)
