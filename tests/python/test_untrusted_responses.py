"""A response is obeyed only if it is about the token of the request: another token is never returned or touched."""

from __future__ import annotations

import json
import logging
import pickle
from typing import TYPE_CHECKING, Any, Callable

import lmtokens
import pytest
from api_variants import modifying_requests, stored_token
from delivery_helpers import TAG, RecordingDestination, created_tokens, is_pending
from lmtokens.deliver import to_file
from support import ACCESS_ID, ACCESS_KEY, StubServer
from tampering_proxy import Exchange, TamperingProxy

if TYPE_CHECKING:
    from pathlib import Path

    from lmtokens.sandbox import Portal

CREATED = {"id": 248, "accessId": "exampleAccessId00002", "accessKey": "invented-new-key", "adminId": 32, "status": 2}

# What a response shows instead: each is evidence of another token.
FOREIGN: dict[str, Callable[[dict[str, Any], int], dict[str, Any]]] = {
    "other-token": lambda token, victim: {"id": victim, "adminId": 33, "status": 2, "note": "production"},
    "other-owner": lambda token, victim: {**token, "id": victim, "adminId": 33},
    "other-type": lambda token, victim: {**token, "id": victim, "type": "bearer"},
    "id-0": lambda token, victim: {**token, "id": 0},
    "negative-id": lambda token, victim: {**token, "id": -victim},
    "no-id": lambda token, victim: {name: value for name, value in token.items() if name != "id"},
    "other-user-as-text": lambda token, victim: {**token, "id": victim, "adminId": "33"},
}


def other_tag(note: str) -> str:
    tag = note.split(" ")[0]
    return tag[:-1] + ("0" if tag[-1] != "0" else "1") + note[len(tag) :]


# Further evidence if the note was the tag of a pending token.
UNTAGGED: dict[str, Callable[[dict[str, Any], int], dict[str, Any]]] = {
    "other-note": lambda token, victim: {**token, "id": victim, "note": "production"},
    "plain-note": lambda token, victim: {**token, "id": victim, "note": "ci"},
    "empty-note": lambda token, victim: {**token, "id": victim, "note": ""},
    "null-note": lambda token, victim: {**token, "id": victim, "note": None},
    "cut-tag": lambda token, victim: {**token, "id": victim, "note": token["note"].split(" ")[0][:-1]},
    "other-tag": lambda token, victim: {**token, "id": victim, "note": other_tag(token["note"])},
}


class Forger:
    """Replaces the token in the first response to a method."""

    def __init__(self, method: str, forge: Callable[[dict[str, Any], int], dict[str, Any]], victim: int) -> None:
        self._method, self._forge, self._victim = method, forge, victim
        self.forged = 0

    def __call__(self, exchange: Exchange) -> None:
        if exchange.method == self._method and exchange.status == 200 and not self.forged:
            self.forged += 1
            token = json.loads(exchange.response_body)
            exchange.response_body = json.dumps(self._forge(token, self._victim)).encode()


@pytest.fixture
def victim(lmtokens_portal: Portal) -> int:
    """Return the id of an enabled token of user 33, and store another of user 32."""
    lmtokens_portal.create_token(32, note="production")
    return lmtokens_portal.create_token(33, note="production").id


def assert_untouched(portal: Portal, victim: int) -> None:
    token = stored_token(portal, victim)
    assert token is not None
    assert (token.admin_id, token.note, token.status) == (33, "production", 2)
    assert not [seen for seen in modifying_requests(portal) if seen.path.endswith(f"/{victim}")]


def assert_delivers(portal: Portal, after: Callable[[Exchange], None]) -> None:
    """Assert that a create with a destination succeeds although its responses are changed."""
    destination = RecordingDestination()
    with TamperingProxy(portal, after=after) as proxy:
        token = proxy.client().add_token(32, "ci", deliver=destination)
    assert destination.names == ["deliver", "commit"]
    stored = stored_token(portal, token.id)
    assert stored is not None
    assert (stored.status, stored.note) == (2, "ci")


@pytest.mark.parametrize("forge", FOREIGN.values(), ids=FOREIGN)
def test_create_with_a_foreign_response_is_an_unknown_outcome(
    lmtokens_portal: Portal, victim: int, forge: Callable[..., Any]
) -> None:
    with (
        TamperingProxy(lmtokens_portal, after=Forger("POST", forge, victim)) as proxy,
        pytest.raises(lmtokens.OutcomeUnknownError, match="response to the create") as raised,
    ):
        proxy.client().add_token(32, "ci")
    created = lmtokens_portal.tokens[-1]
    assert raised.value.candidates is not None
    assert [token.id for token in raised.value.candidates] == [created.id]
    assert raised.value.token is None
    assert [seen.method for seen in modifying_requests(lmtokens_portal)] == ["POST"]
    assert_untouched(lmtokens_portal, victim)


@pytest.mark.parametrize("forge", [*FOREIGN.values(), *UNTAGGED.values()], ids=[*FOREIGN, *UNTAGGED])
def test_delivered_create_with_a_foreign_response_starts_again(
    lmtokens_portal: Portal, victim: int, forge: Callable[..., Any]
) -> None:
    destination = RecordingDestination()
    forger = Forger("POST", forge, victim)
    with TamperingProxy(lmtokens_portal, after=forger) as proxy:
        token = proxy.client().add_token(32, "ci", deliver=destination)
    assert forger.forged == 1
    stored = lmtokens_portal.tokens[-1]
    assert (token.id, stored.note, stored.status) == (stored.id, "ci", 2)
    assert destination.keys == {stored.id: stored.access_key.reveal()}
    assert len(created_tokens(lmtokens_portal)) == 3
    assert_untouched(lmtokens_portal, victim)


@pytest.mark.parametrize("forge", [*FOREIGN.values(), *UNTAGGED.values()], ids=[*FOREIGN, *UNTAGGED])
def test_bulk_row_with_a_foreign_response_starts_again(
    lmtokens_portal: Portal, victim: int, forge: Callable[..., Any], tmp_path: Path
) -> None:
    with TamperingProxy(lmtokens_portal, after=Forger("POST", forge, victim)) as proxy:
        results = list(proxy.client().add_tokens([(32, "ci"), (32, "cd")], journal=tmp_path / "run.journal"))
    assert {result.state for result in results} == {"created"}
    keys = {result.token.id: result.token.access_key for result in results if result.token}
    assert keys == {token.id: token.access_key for token in lmtokens_portal.tokens[-2:]}
    assert_untouched(lmtokens_portal, victim)


@pytest.mark.parametrize("forge", FOREIGN.values(), ids=FOREIGN)
def test_foreign_response_to_the_enabling_request_is_repeated(
    lmtokens_portal: Portal, victim: int, forge: Callable[..., Any]
) -> None:
    destination = RecordingDestination()
    with TamperingProxy(lmtokens_portal, after=Forger("PATCH", forge, victim)) as proxy:
        token = proxy.client().add_token(32, "ci", deliver=destination)
    assert destination.calls == [("deliver", token.id), ("commit", token.id)]
    assert [seen.method for seen in modifying_requests(lmtokens_portal)] == ["POST", "PATCH", "PATCH"]
    assert_untouched(lmtokens_portal, victim)


@pytest.mark.parametrize(
    "forge",
    [*FOREIGN.values(), lambda token, _: {**token, "status": 2}, lambda token, _: {**token, "note": "other"}],
    ids=[*FOREIGN, "old-status", "other-note"],
)
def test_update_with_a_foreign_response_is_an_error(
    lmtokens_portal: Portal, victim: int, forge: Callable[..., Any]
) -> None:
    own = lmtokens_portal.create_token(32, note="ci")
    with (
        TamperingProxy(lmtokens_portal, after=Forger("PATCH", forge, victim)) as proxy,
        pytest.raises(lmtokens.ResponseError, match="response to the change") as raised,
    ):
        proxy.client().update_token(own.id, note="new", status=1)
    assert raised.value.maybe_applied
    assert_untouched(lmtokens_portal, victim)


def test_token_with_another_note_is_in_the_error_with_its_key(lmtokens_portal: Portal) -> None:
    def rename(exchange: Exchange) -> None:
        if exchange.method == "POST":
            exchange.response_body = json.dumps({**json.loads(exchange.response_body), "note": "other"}).encode()

    with (
        TamperingProxy(lmtokens_portal, after=rename) as proxy,
        pytest.raises(lmtokens.OutcomeUnknownError, match="note") as raised,
    ):
        proxy.client().add_token(32, "ci")
    stored = lmtokens_portal.tokens[-1]
    token = raised.value.token
    assert token is not None
    assert token.access_key == stored.access_key
    assert (token.id, token.note) == (stored.id, "other")
    assert raised.value.candidates is not None
    assert [candidate.access_key for candidate in raised.value.candidates] == [None]
    key = stored.access_key.reveal()
    copied = pickle.loads(pickle.dumps(raised.value))
    assert (str(copied), copied.token, copied.candidates) == (str(raised.value), None, raised.value.candidates)
    assert key.encode() not in pickle.dumps(raised.value)
    assert key not in str(raised.value) + repr(raised.value) + repr(token) + repr(vars(raised.value))


def test_token_with_another_note_is_named_although_looking_for_it_fails(
    lmtokens_portal: Portal, tmp_path: Path
) -> None:
    def rename(exchange: Exchange) -> None:
        if exchange.method == "POST":
            exchange.body = json.dumps({**json.loads(exchange.body), "note": "other"}).encode()
            lmtokens_portal.fail("status-before-acting", method="GET", status=400, times=None)

    with (
        TamperingProxy(lmtokens_portal, before=rename) as proxy,
        pytest.raises(lmtokens.OutcomeUnknownError) as raised,
    ):
        proxy.client(max_attempts=1).add_token(32, "ci", deliver=to_file(tmp_path / "token.json"))
    (stored,) = [token for token in lmtokens_portal.tokens if token.note == "other"]
    assert f"token {stored.id} may have been created" in str(raised.value)
    assert "harmless" not in str(raised.value)
    assert raised.value.candidates is not None
    assert [candidate.id for candidate in raised.value.candidates] == [stored.id]


@pytest.mark.parametrize(
    ("sent", "returned"),
    [
        ("ci", "ci"),
        (None, None),
        (None, ""),
        ("", None),
        ("  two\t words ", "two words"),
        ("a <b> & 'c'", "a &lt;b&gt; &amp; &#39;c&#x27;"),
        ("cafe\u0301", "caf\u00e9"),
        ("x" * 300, "x" * 255),
    ],
)
def test_note_that_the_portal_changed_is_accepted(sent: str | None, returned: str | None) -> None:
    with StubServer(json.dumps({**CREATED, "note": returned}).encode()) as server:
        client = lmtokens.Client(access_id=ACCESS_ID, access_key=ACCESS_KEY, base_url=server.base_url)
        assert client.add_token(32, sent).note == returned
        assert len(server.requests) == 1


@pytest.mark.parametrize(("sent", "returned"), [("ci", ""), (None, "production"), ("ci", "ci job"), ("ci", "CI")])
def test_other_note_is_not_accepted(sent: str | None, returned: str) -> None:
    with StubServer(json.dumps({**CREATED, "note": returned}).encode()) as server:
        client = lmtokens.Client(access_id=ACCESS_ID, access_key=ACCESS_KEY, base_url=server.base_url)
        with pytest.raises(lmtokens.OutcomeUnknownError) as raised:
            client.add_token(32, sent)
    assert raised.value.token is not None
    assert raised.value.token.access_key is not None
    assert raised.value.token.access_key.reveal() == "invented-new-key"


class StatusIgnored:
    """Makes the portal ignore the status of every POST."""

    def __init__(self, status: int) -> None:
        self._status = status

    def __call__(self, exchange: Exchange) -> None:
        if exchange.method == "POST":
            exchange.body = json.dumps({**json.loads(exchange.body), "status": self._status}).encode()


@pytest.mark.parametrize(("asked", "ignored"), [(1, 2), (2, 1)])
def test_other_status_is_set_right_and_logged(
    lmtokens_portal: Portal, asked: Any, ignored: int, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        TamperingProxy(lmtokens_portal, before=StatusIgnored(ignored)) as proxy,
        caplog.at_level(logging.WARNING, logger="lmtokens"),
    ):
        token = proxy.client().add_token(32, "ci", status=asked)
    stored = lmtokens_portal.tokens[-1]
    assert (token.id, token.status, stored.status) == (stored.id, asked, asked)
    assert token.access_key == stored.access_key
    assert [seen.method for seen in modifying_requests(lmtokens_portal)] == ["POST", "PATCH"]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert f"token {token.id}" in caplog.text


def test_status_that_cannot_be_set_right_keeps_the_token(lmtokens_portal: Portal) -> None:
    lmtokens_portal.fail("html", method="PATCH", times=None)
    with (
        TamperingProxy(lmtokens_portal, before=StatusIgnored(2)) as proxy,
        pytest.raises(lmtokens.OutcomeUnknownError, match="enabled instead of disabled") as raised,
    ):
        proxy.client(max_attempts=1).add_token(32, "ci", status=1)
    assert raised.value.token is not None
    assert raised.value.token.access_key == lmtokens_portal.tokens[-1].access_key


@pytest.mark.parametrize("status", [7, 0, -1])
def test_unknown_status_of_a_create_is_not_passed_as_the_requested_one(status: int) -> None:
    with StubServer(json.dumps({**CREATED, "note": "ci", "status": status}).encode()) as server:
        client = lmtokens.Client(access_id=ACCESS_ID, access_key=ACCESS_KEY, base_url=server.base_url, max_attempts=1)
        with pytest.raises(lmtokens.OutcomeUnknownError) as raised:
            client.add_token(32, "ci")
    assert raised.value.token is not None


@pytest.mark.parametrize("name", ["adminId", "note", "status", "type", "accessId"])
def test_missing_member_does_not_stop_a_delivered_create(lmtokens_portal: Portal, name: str) -> None:
    def remove(exchange: Exchange) -> None:
        if exchange.method in ("POST", "PATCH") and (name, exchange.method) != ("accessId", "POST"):
            members = json.loads(exchange.response_body)
            members.pop(name, None)
            exchange.response_body = json.dumps(members).encode()

    assert_delivers(lmtokens_portal, remove)


def not_found(exchange: Exchange) -> None:
    exchange.status, exchange.response_body = 404, b'{"errorCode": 1404, "errorMessage": "not found"}'


def test_token_that_was_enabled_despite_a_404_keeps_its_key(lmtokens_portal: Portal) -> None:
    def mix(exchange: Exchange) -> None:
        if exchange.method == "PATCH":
            not_found(exchange)

    assert_delivers(lmtokens_portal, mix)


def test_token_that_a_404_leaves_disabled_is_deleted_before_its_key(lmtokens_portal: Portal) -> None:
    def block(exchange: Exchange) -> None:
        if exchange.method == "PATCH":
            # The portal does not act: it does not know this path.
            exchange.path = exchange.path.replace("/apitokens/", "/unknown/")

    destination = RecordingDestination()
    with TamperingProxy(lmtokens_portal, before=block) as proxy, pytest.raises(lmtokens.NotFoundError):
        proxy.client().add_token(32, "ci", deliver=destination)
    assert destination.names == ["deliver", "discard"]
    assert created_tokens(lmtokens_portal) == []
    assert [seen.method for seen in modifying_requests(lmtokens_portal)] == ["POST", "PATCH", "DELETE"]


@pytest.mark.parametrize("body", [{"items": [], "total": 0}, {"id": 1, "note": "other"}], ids=["list", "token"])
def test_deletion_with_the_response_to_another_request_is_an_error(lmtokens_portal: Portal, body: Any) -> None:
    own = lmtokens_portal.create_token(32, note="ci")

    def mix(exchange: Exchange) -> None:
        if exchange.method == "DELETE":
            exchange.response_body = json.dumps(body).encode()

    with (
        TamperingProxy(lmtokens_portal, after=mix) as proxy,
        pytest.raises(lmtokens.ResponseError, match="another request") as raised,
    ):
        proxy.client().delete_token(own.id)
    assert raised.value.maybe_applied


def test_list_of_a_user_that_shows_tokens_of_others_is_an_error(lmtokens_portal: Portal, victim: int) -> None:
    def mix(exchange: Exchange) -> None:
        members = json.loads(exchange.response_body)
        members["items"] = [{"id": victim, "adminId": 33, "note": "production", "status": 2}]
        exchange.response_body = json.dumps(members).encode()

    with (
        TamperingProxy(lmtokens_portal, after=mix) as proxy,
        pytest.raises(lmtokens.ResponseError, match="another user"),
    ):
        list(proxy.client().list_tokens(32))


def test_orphan_of_a_lost_create_is_searched_among_the_owners_tokens_only(lmtokens_portal: Portal, victim: int) -> None:
    notes: list[str] = []

    def lose(exchange: Exchange) -> None:
        if exchange.method == "POST":
            notes.append(json.loads(exchange.body)["note"])
            exchange.status, exchange.response_body = 502, b""
        elif exchange.method == "GET":
            members = json.loads(exchange.response_body)
            members["items"] = [{"id": victim, "adminId": 33, "note": notes[-1], "status": 1}]
            exchange.response_body = json.dumps(members).encode()

    with TamperingProxy(lmtokens_portal, after=lose) as proxy, pytest.raises(lmtokens.OutcomeUnknownError):
        proxy.client().add_token(32, "ci", deliver=RecordingDestination())
    assert notes
    assert TAG.fullmatch(notes[0])
    assert_untouched(lmtokens_portal, victim)
    (orphan,) = created_tokens(lmtokens_portal, skip=4)
    assert is_pending(orphan)


@pytest.mark.parametrize("id", [0, -5, 2**62])
def test_invalid_id_of_a_user_is_an_error_of_the_portal(id: int) -> None:
    with StubServer(json.dumps({"items": [{"id": id, "username": "ci"}], "total": 1}).encode()) as server:
        client = lmtokens.Client(access_id=ACCESS_ID, access_key=ACCESS_KEY, base_url=server.base_url)
        with pytest.raises(lmtokens.ResponseError, match="the portal returned an invalid"):
            client.add_token("ci")


@pytest.mark.parametrize("owner", [0, -32, 2**62])
def test_invalid_owner_of_a_token_is_an_error_of_the_portal(owner: int) -> None:
    item = {"id": 5, "adminId": owner, "accessId": "exampleAccessId00002", "status": 2}
    with StubServer(json.dumps({"items": [item], "total": 1}).encode()) as server:
        client = lmtokens.Client(access_id=ACCESS_ID, access_key=ACCESS_KEY, base_url=server.base_url)
        with pytest.raises(lmtokens.ResponseError, match="the portal returned an invalid"):
            client.delete_token(5)
    assert {request.method for request in server.requests} == {"GET"}


@pytest.mark.parametrize("is_shown", [True, False])
@pytest.mark.parametrize("deliver", [False, True])
@pytest.mark.parametrize("status", [1, 2])
def test_calling_token_is_not_changed_by_a_forged_create(
    lmtokens_portal: Portal, is_shown: bool, deliver: bool, status: Any
) -> None:
    own = lmtokens_portal.tokens[0]
    assert own.access_id == lmtokens_portal.access_id

    def forge(exchange: Exchange) -> None:
        if exchange.method == "POST" and exchange.status == 200:
            members = {"id": own.id, "status": status, "accessId": own.access_id, "accessKey": "invented-key"}
            if not is_shown:
                members["accessId"] = "exampleAccessId00009"
            exchange.response_body = json.dumps(members).encode()

    destination = RecordingDestination()
    with TamperingProxy(lmtokens_portal, after=forge) as proxy:
        client = lmtokens.Client(
            base_url=proxy.base_url, access_id=lmtokens_portal.access_id, access_key=lmtokens_portal.access_key
        )
        with pytest.raises(lmtokens.LMTokensError):
            client.add_token(32, status=3 - status, deliver=destination if deliver else None)
    left = stored_token(lmtokens_portal, own.id)
    assert left is not None
    assert (left.status, left.note) == (own.status, own.note)
    assert destination.names == []
    assert not [seen for seen in modifying_requests(lmtokens_portal) if seen.path.endswith(f"/{own.id}")]


def test_response_without_a_note_is_confirmed_by_the_list(lmtokens_portal: Portal, victim: int) -> None:
    forger = Forger(
        "POST", lambda token, victim: {**{k: token[k] for k in ("accessId", "accessKey")}, "id": victim}, victim
    )
    destination = RecordingDestination()
    with TamperingProxy(lmtokens_portal, after=forger) as proxy:
        token = proxy.client().add_token(32, "ci", deliver=destination)
    assert destination.calls == [("deliver", token.id), ("commit", token.id)]
    assert_untouched(lmtokens_portal, victim)


@pytest.mark.parametrize("look_up", ["fails", "hides the access id"])
def test_key_is_kept_if_a_404_cannot_be_explained(lmtokens_portal: Portal, look_up: str) -> None:
    """The enabling request acts and is answered 404: the token is enabled, so its key must not be discarded."""
    is_enabled = False

    def mix(exchange: Exchange) -> None:
        nonlocal is_enabled
        if exchange.method == "PATCH":
            is_enabled = True
            not_found(exchange)
        elif exchange.method == "GET" and is_enabled:
            if look_up == "fails":
                exchange.status, exchange.response_body = 500, b"{}"
            else:
                members = json.loads(exchange.response_body)
                for item in members["items"]:
                    del item["accessId"]
                exchange.response_body = json.dumps(members).encode()

    destination = RecordingDestination()
    with TamperingProxy(lmtokens_portal, after=mix) as proxy:
        if look_up == "fails":
            with pytest.raises(lmtokens.OutcomeUnknownError):
                proxy.client().add_token(32, "ci", deliver=destination)
        else:
            proxy.client().add_token(32, "ci", deliver=destination)
    (stored,) = created_tokens(lmtokens_portal)
    assert destination.keys == {stored.id: stored.access_key.reveal()}


def test_deletion_that_is_answered_404_is_confirmed_by_the_list(lmtokens_portal: Portal) -> None:
    class Failing(RecordingDestination):
        def deliver(self, token: lmtokens.Token) -> None:
            raise OSError("no")

    def mix(exchange: Exchange) -> None:
        if exchange.method == "DELETE":
            exchange.path = exchange.path.replace("/apitokens/", "/unknown/")

    with (
        TamperingProxy(lmtokens_portal, before=mix) as proxy,
        pytest.raises(lmtokens.DeliveryError, match="remains, disabled"),
    ):
        proxy.client().add_token(32, "ci", deliver=Failing())
    assert is_pending(created_tokens(lmtokens_portal)[0])


def test_enabled_token_that_cannot_be_disabled_or_deleted_is_named(lmtokens_portal: Portal) -> None:
    lmtokens_portal.fail("html", method="PATCH", times=None)
    lmtokens_portal.fail("html", method="DELETE", times=None)
    destination = RecordingDestination()
    with (
        TamperingProxy(lmtokens_portal, before=StatusIgnored(2)) as proxy,
        pytest.raises(lmtokens.ServerError, match="maybe enabled"),
    ):
        proxy.client(max_attempts=1).add_token(32, "ci", deliver=destination)
    assert destination.names == []
