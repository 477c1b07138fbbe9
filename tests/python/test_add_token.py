"""Creating a token: the request that is sent and the token that is returned."""

from __future__ import annotations

import datetime
import json
import threading
from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
from lmtokens import TokenStatus, TokenType
from support import ACCESS_ID, ACCESS_KEY, StubServer

if TYPE_CHECKING:
    from lmtokens.sandbox import Portal, Seen

PATH = "/santaba/rest/setting/admins/32/apitokens"

TOKEN_JSON = {
    "id": 248,
    "accessId": "exampleAccessId00002",
    "accessKey": "invented-new-key",
    "adminId": 32,
    "adminName": "api-user",
    "roles": ["readonly", "auditor"],
    "status": 2,
    "note": "ci",
    "createdBy": "root",
    "createdOn": 1700000000,
    "lastUsedOn": 1700000060,
    "lastAuthIp": "192.0.2.7",
    "userPermission": "write",
}

ATTRIBUTES = {
    "portal",
    "id",
    "type",
    "access_id",
    "access_key",
    "admin_id",
    "admin_name",
    "status",
    "note",
    "expires_on",
    "replaces",
    "replaced_by",
    "roles",
    "created_by",
    "created_on",
    "last_used_on",
    "last_auth_ip",
    "user_permission",
}


def only_request(portal: Portal) -> Seen:
    (seen,) = portal.record
    return seen


def token_from_response(members: dict[str, Any], **arguments: Any) -> lmtokens.Token:
    """Return the token that a client builds from a response with these members, if it asked for such a token."""
    arguments = {
        "note": members.get("note", "ci"),
        "status": members.get("status") or 2,
        "type": members.get("type") or "lmv1",
        **arguments,
    }
    if not isinstance(arguments["note"], str):
        arguments["note"] = "ci"
    with StubServer(json.dumps(members).encode()) as server:
        client = lmtokens.Client(access_id=ACCESS_ID, access_key=ACCESS_KEY, base_url=server.base_url)
        token: lmtokens.Token = client.add_token(32, **arguments)
        return token


def test_add_token_sends_exactly_one_post(lmtokens_portal: Portal) -> None:
    token = lmtokens.add_token(32, note="ci")
    seen = only_request(lmtokens_portal)
    assert (seen.method, seen.path, seen.query) == ("POST", PATH, "")
    assert json.loads(seen.body) == {"note": "ci", "status": 2}
    assert (seen.signature, seen.status, seen.applied) == ("valid", 200, True)
    stored = lmtokens_portal.tokens[-1]
    assert (stored.id, stored.access_id, stored.admin_id) == (token.id, token.access_id, 32)
    assert token.access_key == stored.access_key


def test_accepts_positional_arguments(lmtokens_portal: Portal) -> None:
    token = lmtokens.add_token(32, "ci", 1)
    assert json.loads(only_request(lmtokens_portal).body) == {"note": "ci", "status": 1}
    assert (token.admin_id, token.note, token.status) == (32, "ci", TokenStatus.DISABLED)


def test_accepts_named_arguments(lmtokens_portal: Portal) -> None:
    token = lmtokens.add_token(admin_id=32, note="ci", status=2, type="lmv1")
    assert (token.admin_id, token.note) == (32, "ci")
    assert (token.status, token.type) == (TokenStatus.ENABLED, TokenType.LMV1)


def test_type_is_keyword_only(lmtokens_portal: Portal) -> None:
    with pytest.raises(TypeError):
        lmtokens.add_token(32, "ci", 2, "bearer")  # type: ignore[call-overload]
    assert lmtokens_portal.record == []


@pytest.mark.parametrize("client_of", ["portal", "configured", "context"])
def test_client_sends_the_same_request_as_the_function(lmtokens_portal: Portal, client_of: str) -> None:
    if client_of == "portal":
        token = lmtokens_portal.client().add_token(32, "ci")
    elif client_of == "configured":
        token = lmtokens.configure().add_token(32, "ci")
    else:
        with lmtokens.Client() as client:
            token = client.add_token(32, "ci")
    seen = only_request(lmtokens_portal)
    assert (seen.method, seen.path, json.loads(seen.body)) == ("POST", PATH, {"note": "ci", "status": 2})
    assert token.id == lmtokens_portal.tokens[-1].id


def test_client_is_usable_after_close(lmtokens_portal: Portal) -> None:
    client = lmtokens_portal.client()
    with client:
        first = client.add_token(32)
    second = client.add_token(32)
    client.close()
    client.close()
    assert first.id != second.id
    before, after = lmtokens_portal.record
    assert before.connection != after.connection


def test_connection_is_reused_between_calls(lmtokens_portal: Portal) -> None:
    client = lmtokens_portal.client()
    client.add_token(32)
    client.add_token(32)
    first, second = lmtokens_portal.record
    assert first.connection == second.connection


def test_request_headers() -> None:
    with StubServer(json.dumps(TOKEN_JSON).encode()) as server:
        lmtokens.Client(access_id=ACCESS_ID, access_key=ACCESS_KEY, base_url=server.base_url).add_token(32, "ci")
        (request,) = server.requests
    headers = {name.lower(): value for name, value in request.headers.items()}
    agent = headers.pop("user-agent")
    authorization = headers.pop("authorization")
    assert headers == {
        "x-version": "3",
        "accept": "application/json",
        "accept-encoding": "identity",
        "content-type": "application/json",
        "content-length": str(len(request.body)),
        "host": server.base_url.split("/")[2],
    }
    assert agent.startswith(f"lmtokens/{lmtokens.__version__} (CPython ")
    scheme, _, rest = authorization.partition(" ")
    assert (scheme, rest.count(":")) == ("LMv1", 2)


@pytest.mark.parametrize("status", [1, "disabled", "Disabled", "suspended", TokenStatus.DISABLED])
def test_status_disabled_is_sent_as_1(lmtokens_portal: Portal, status: Any) -> None:
    token = lmtokens.add_token(32, status=status)
    assert json.loads(only_request(lmtokens_portal).body) == {"status": 1}
    assert token.status == TokenStatus.DISABLED
    assert lmtokens_portal.tokens[-1].status == 1


@pytest.mark.parametrize("status", [2, "enabled", "ENABLED", "active", TokenStatus.ENABLED])
def test_status_enabled_is_sent_as_2(lmtokens_portal: Portal, status: Any) -> None:
    assert lmtokens.add_token(32, status=status).status == TokenStatus.ENABLED
    assert json.loads(only_request(lmtokens_portal).body) == {"status": 2}


@pytest.mark.parametrize("kind", ["bearer", "Bearer", TokenType.BEARER])
def test_bearer_type_is_sent_in_the_query(lmtokens_portal: Portal, kind: Any) -> None:
    token = lmtokens.add_token(32, "ci", type=kind)
    seen = only_request(lmtokens_portal)
    assert (seen.query, json.loads(seen.body)) == ("type=bearer", {"note": "ci", "status": 2})
    assert (token.type, token.access_id) == (TokenType.BEARER, None)
    assert token.access_key is not None
    assert token.access_key == lmtokens_portal.tokens[-1].access_key


@pytest.mark.parametrize("kind", ["lmv1", "LMv1", TokenType.LMV1])
def test_lmv1_type_is_not_sent(lmtokens_portal: Portal, kind: Any) -> None:
    assert lmtokens.add_token(32, type=kind).type == TokenType.LMV1
    assert only_request(lmtokens_portal).query == ""


@pytest.mark.parametrize("name", ["bearer_token", "access_key"])
def test_client_with_bearer_credentials(lmtokens_portal: Portal, name: str) -> None:
    token = lmtokens_portal.client(**{name: lmtokens_portal.bearer_token}).add_token(32)
    assert only_request(lmtokens_portal).signature == "bearer-valid"
    assert token.id == lmtokens_portal.tokens[-1].id


def test_new_token_works_as_credentials(lmtokens_portal: Portal) -> None:
    signed = lmtokens.add_token(1)
    bearer = lmtokens.add_token(1, type="bearer")
    lmtokens_portal.clear_record()
    lmtokens_portal.client(access_id=signed.access_id, access_key=signed.access_key).add_token(32)
    lmtokens_portal.client(bearer_token=bearer.access_key).add_token(32)
    assert [(seen.signature, seen.token_id) for seen in lmtokens_portal.record] == [
        ("valid", signed.id),
        ("bearer-valid", bearer.id),
    ]


@pytest.mark.parametrize(
    "note",
    [
        "",
        "ci",
        "café",
        "日本語",
        "🔑👩🏽‍💻",
        'quote " back \\ slash',
        "line\nbreak\ttab\x00nul",
        "n" * 100_000,
        "[]&#?=%2F",
    ],
    ids=["empty", "plain", "accent", "CJK", "emoji", "escapes", "controls", "long", "symbols"],
)
def test_note_is_stored_unchanged(lmtokens_portal: Portal, note: str) -> None:
    token = lmtokens.add_token(32, note)
    assert token.note == note
    assert lmtokens_portal.tokens[-1].note == note
    assert json.loads(only_request(lmtokens_portal).body)["note"] == note


def test_note_none_is_not_sent(lmtokens_portal: Portal) -> None:
    lmtokens.add_token(32, None)
    assert json.loads(only_request(lmtokens_portal).body) == {"status": 2}


def test_note_with_a_lone_surrogate_is_rejected(lmtokens_portal: Portal) -> None:
    with pytest.raises(ValueError, match="surrogate"):
        lmtokens.add_token(32, "\ud83d")
    assert lmtokens_portal.record == []


@pytest.mark.parametrize("note", [5, b"ci", ["ci"]])
def test_note_that_is_not_a_string_is_rejected(lmtokens_portal: Portal, note: Any) -> None:
    with pytest.raises(TypeError, match="note"):
        lmtokens.add_token(32, note)
    assert lmtokens_portal.record == []


@pytest.mark.parametrize("admin_id", [32, 2**31 - 1])
def test_user_id_is_in_the_path(lmtokens_portal: Portal, admin_id: int) -> None:
    lmtokens_portal.add_user("owner", id=admin_id)
    assert lmtokens.add_token(admin_id).admin_id == admin_id
    assert only_request(lmtokens_portal).path == f"/santaba/rest/setting/admins/{admin_id}/apitokens"


def test_user_id_may_be_any_object_with_index(lmtokens_portal: Portal) -> None:
    class Index:
        def __index__(self) -> int:
            return 32

    assert lmtokens.add_token(Index()).admin_id == 32  # type: ignore[call-overload]


def test_every_member_of_the_response_is_parsed() -> None:
    token = token_from_response(TOKEN_JSON)
    utc = datetime.timezone.utc
    assert {name: getattr(token, name) for name in ATTRIBUTES - {"access_key", "portal"}} == {
        "id": 248,
        "type": TokenType.LMV1,
        "access_id": "exampleAccessId00002",
        "admin_id": 32,
        "admin_name": "api-user",
        "status": TokenStatus.ENABLED,
        "note": "ci",
        "expires_on": None,
        "replaces": None,
        "replaced_by": None,
        "roles": ["readonly", "auditor"],
        "created_by": "root",
        "created_on": datetime.datetime(2023, 11, 14, 22, 13, 20, tzinfo=utc),
        "last_used_on": datetime.datetime(2023, 11, 14, 22, 14, 20, tzinfo=utc),
        "last_auth_ip": "192.0.2.7",
        "user_permission": "write",
    }
    assert isinstance(token.access_key, lmtokens.Secret)
    assert token.access_key.reveal() == "invented-new-key"


def test_token_attributes_are_the_documented_ones() -> None:
    members = {name for name in dir(lmtokens.Token) if not name.startswith("_")}
    assert members == ATTRIBUTES | {"to_dict"}


def test_times_are_aware_and_in_utc(lmtokens_portal: Portal) -> None:
    before = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    token = lmtokens.add_token(32)
    after = datetime.datetime.now(datetime.timezone.utc)
    assert token.created_on is not None
    assert token.created_on.utcoffset() == datetime.timedelta(0)
    assert before <= token.created_on <= after
    assert token.last_used_on is None


@pytest.mark.parametrize("missing", sorted(set(TOKEN_JSON) - {"id", "accessId", "accessKey"}))
@pytest.mark.parametrize("how", ["absent", "null"])
def test_missing_member_is_tolerated(missing: str, how: str) -> None:
    members = {name: value for name, value in TOKEN_JSON.items() if name != missing}
    if how == "null":
        members[missing] = None
    token = token_from_response(members)
    python_name = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in missing)
    # The client knows the user from its own request.
    expected = {"roles": [], "admin_id": 32}.get(python_name)
    assert getattr(token, python_name) == expected
    assert token.id == 248


@pytest.mark.parametrize(
    ("members", "name", "expected"),
    [
        ({"futureMember": {"a": [1]}}, "id", 248),
        ({"id": "248"}, "id", 248),
        ({"type": "bearer"}, "type", TokenType.BEARER),
        ({"type": "LMv1"}, "type", TokenType.LMV1),
        ({"roles": [{"name": "readonly"}]}, "roles", ["readonly"]),
        ({"roles": "readonly"}, "roles", ["readonly"]),
        ({"lastUsedOn": 0}, "last_used_on", None),
        ({"createdOn": "1700000000"}, "created_on", datetime.datetime.fromtimestamp(1700000000, datetime.timezone.utc)),
        (
            {"createdOn": 1700000000999},
            "created_on",
            datetime.datetime.fromtimestamp(1700000000, datetime.timezone.utc),
        ),
        ({"createdOn": 2**62}, "created_on", None),
        ({"createdOn": -5}, "created_on", None),
        ({"note": 5}, "note", None),
    ],
)
def test_unexpected_member_is_tolerated(members: dict[str, Any], name: str, expected: object) -> None:
    assert getattr(token_from_response({**TOKEN_JSON, **members}), name) == expected


@pytest.mark.parametrize("name", sorted(ATTRIBUTES | {"invented"}))
def test_token_is_immutable(lmtokens_portal: Portal, name: str) -> None:
    token = lmtokens.add_token(32)
    with pytest.raises(AttributeError):
        setattr(token, name, None)
    with pytest.raises(AttributeError):
        delattr(token, name)


def test_list_of_roles_is_a_copy() -> None:
    token = token_from_response(TOKEN_JSON)
    token.roles.append("administrator")
    assert token.roles == ["readonly", "auditor"]


class EqualToEverything:
    """Equal to every object, as mock.ANY is."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return True


@pytest.mark.parametrize("value", [TokenStatus.ENABLED, TokenType.LMV1, lmtokens.Secret("invented"), "token"], ids=str)
def test_comparison_with_another_type_defers_to_the_other_operand(value: Any) -> None:
    compared = token_from_response(TOKEN_JSON) if value == "token" else value
    assert (compared == object()) is False
    assert (compared != object()) is True
    assert (compared == EqualToEverything()) is True


def test_status_and_type_equal_the_portals_values() -> None:
    # Any: type checkers compare the literal types of the members.
    enabled: Any = TokenStatus.ENABLED
    bearer: Any = TokenType.BEARER
    assert (enabled == 2, enabled == TokenStatus.DISABLED) == (True, False)
    assert {2: "found"}[enabled] == "found"
    assert (int(enabled), str(enabled), f"{enabled:>10}") == (2, "enabled", "   enabled")
    assert (enabled.name, enabled.value, json.dumps([enabled, TokenStatus(7)])) == ("ENABLED", 2, "[2, 7]")
    assert (list(TokenStatus), list(TokenType)) == ([1, 2], ["lmv1", "bearer"])
    assert (repr(TokenStatus(2)), repr(TokenStatus(7))) == ("TokenStatus.ENABLED", "TokenStatus.UNKNOWN_7")
    assert TokenStatus(7) is TokenStatus(7)
    assert bearer == "bearer"
    assert {"bearer": "found"}[bearer] == "found"
    assert (str(TokenType.LMV1), repr(TokenType("lmv1"))) == ("lmv1", "TokenType.LMV1")
    assert (repr(TokenType("oauth")), str(TokenType("oauth"))) == ("TokenType.UNKNOWN_oauth", "oauth")


def test_unknown_status_and_type_of_a_token_are_pseudo_members(lmtokens_portal: Portal) -> None:
    lmtokens_portal.create_token(32, status=3)
    (token,) = lmtokens.list_tokens(32)
    assert token.status is TokenStatus(3)
    assert token.status is not None
    assert (token.status.name, token.to_dict()["status"], repr(token)[-20:]) == ("UNKNOWN_3", 3, "status='3', note='')")
    assert token.type is TokenType.LMV1


def test_repr_shows_the_main_attributes() -> None:
    assert repr(token_from_response(TOKEN_JSON)) == (
        "Token(id=248, type='lmv1', access_id='exampleAccessId00002', access_key=Secret('********'), "
        "admin_id=32, status='enabled', note='ci')"
    )


def test_repr_cuts_a_long_note(lmtokens_portal: Portal) -> None:
    assert "note='" + "x" * 80 + "')" in repr(lmtokens.add_token(32, "x" * 80))
    assert "note='" + "é" * 80 + "…')" in repr(lmtokens.add_token(32, "é" * 81))
    assert "note='" + "x" * 80 + "…', status=2" in repr(lmtokens.NewToken(32, "x" * 4000))
    assert repr(lmtokens.NewToken(32)) == "NewToken(32, note=None, status=2, type='lmv1')"


def test_to_dict_is_json_serializable() -> None:
    members = token_from_response(TOKEN_JSON).to_dict()
    assert json.loads(json.dumps(members)) == members
    assert members == {
        "id": 248,
        "type": "lmv1",
        "access_id": "exampleAccessId00002",
        "admin_id": 32,
        "admin_name": "api-user",
        "status": 2,
        "note": "ci",
        "expires_on": None,
        "replaces": None,
        "replaced_by": None,
        "roles": ["readonly", "auditor"],
        "created_by": "root",
        "created_on": "2023-11-14T22:13:20+00:00",
        "last_used_on": "2023-11-14T22:14:20+00:00",
        "last_auth_ip": "192.0.2.7",
        "user_permission": "write",
    }
    assert datetime.datetime.fromisoformat(str(members["created_on"])) == token_from_response(TOKEN_JSON).created_on


def test_client_is_thread_safe(lmtokens_portal: Portal) -> None:
    client = lmtokens_portal.client()
    created: list[lmtokens.Token] = []
    barrier = threading.Barrier(8)

    def add() -> None:
        barrier.wait()
        created.extend([client.add_token(32, threading.current_thread().name) for _ in range(10)])

    threads = [threading.Thread(target=add, name=f"thread {number}") for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({token.id for token in created}) == 80
    assert [seen.signature for seen in lmtokens_portal.record] == ["valid"] * 80
    keys = {stored.id: stored.access_key for stored in lmtokens_portal.tokens}
    notes = {stored.id: stored.note for stored in lmtokens_portal.tokens}
    assert all(keys[token.id] == token.access_key and notes[token.id] == token.note for token in created)


def test_default_client_is_created_once_for_all_threads(lmtokens_portal: Portal) -> None:
    clients: list[lmtokens.Client] = []
    barrier = threading.Barrier(8)

    def first_use() -> None:
        barrier.wait()
        clients.append(lmtokens.default_client())

    threads = [threading.Thread(target=first_use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(clients) == 8
    assert len({id(client) for client in clients}) == 1
