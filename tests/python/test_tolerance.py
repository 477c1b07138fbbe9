"""One value that cannot be read does not hide the rest of a response, and is reported once without its content."""

from __future__ import annotations

import contextlib
import json
import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import lmtokens
import pytest
from support import ACCESS_ID, ACCESS_KEY, ReceivedRequest, StubServer, run_shell

if TYPE_CHECKING:
    from collections.abc import Callable

TOKEN = {"id": 7, "accessId": "x" * 20, "accessKey": "k" * 40, "adminId": 32, "note": "ci", "status": 2}


def client_of(server: StubServer, **settings: Any) -> lmtokens.Client:
    return lmtokens.Client(base_url=server.base_url, access_id=ACCESS_ID, access_key=ACCESS_KEY, **settings)


def listed_from(body: bytes) -> list[lmtokens.Token]:
    with StubServer(body) as server, client_of(server) as client:
        return list(client.list_tokens(type="lmv1"))


def listed(*items: str) -> list[lmtokens.Token]:
    return listed_from(f'{{"total":{len(items)},"items":[{",".join(items)}]}}'.encode())


# A string as a broken portal writes it, and how it is read.
STRINGS = {
    rb"a\ud83d": "a\ufffd",
    rb"\uDE00b": "\ufffdb",
    rb"\ud83d\n": "\ufffd\n",
    b"caf\xe9": "caf\ufffd",
    b"\xff\xfe": "\ufffd\ufffd",
    b"\xed\xa0\xbd": "\ufffd\ufffd\ufffd",
    b"a\tb\nc": "a\tb\nc",
    b"\x00\x1b[0m": "\x00\x1b[0m",
    rb"\x41": "\ufffdx41",
    rb"it\'s": "it\ufffd's",
    rb"\u12": "\ufffdu12",
    rb"\u+123": "\ufffdu+123",
    rb"\\x\"\/\b\u0041": '\\x"/\x08A',
    b"NaN": "NaN",
}


@pytest.mark.parametrize("raw", STRINGS, ids=repr)
def test_string_that_is_not_json_does_not_hide_the_list(raw: bytes) -> None:
    other = b'{"id":2,"note":"ci","%s":"%s"}' % (raw, raw)
    body = b'{"total":2,"%s":"%s","items":[{"id":1,"note":"%s"},%s]}' % (raw, raw, raw, other)
    assert [(token.id, token.note) for token in listed_from(body)] == [(1, STRINGS[raw]), (2, "ci")]


@pytest.mark.parametrize("raw", ["NaN", "Infinity", "-Infinity"])
def test_number_that_json_does_not_have_is_unreadable(raw: str) -> None:
    first, second = listed(f'{{"id":1,"lastUsedOn":{raw},"createdOn":{raw},"x":[{raw}]}}', '{"id":2}')
    assert (first.id, first.created_on, first.last_used_on, second.id) == (1, None, None, 2)
    assert [token.id for token in listed_from(f'{{"total":{raw},"items":[{{"id":1}}]}}'.encode())] == [1]


@pytest.mark.parametrize(
    "before", [b"\xef\xbb\xbf", b" \r\n\xef\xbb\xbf", b"\xef\xbb\xbf \n", b"\xef\xbb\xbf\xef\xbb\xbf"]
)
@pytest.mark.parametrize("after", [b"", b"\r\n", b" \xef\xbb\xbf"])
def test_byte_order_mark_and_white_space_are_ignored(before: bytes, after: bytes) -> None:
    assert [token.id for token in listed_from(before + b'{"items":[{"id":1}]}' + after)] == [1]


@pytest.mark.parametrize("note", [rb"ci \ud83d", b"ci\xff", b"ci\x01", rb"ci\q"])
def test_create_keeps_its_key_whatever_the_other_members_are(note: bytes) -> None:
    body = json.dumps({**TOKEN, "adminName": "@"}).encode().replace(b"@", note)
    with StubServer(body) as server, client_of(server) as client:
        token = client.add_token(32, "ci")
    assert token.access_key is not None
    assert token.access_key.reveal() == TOKEN["accessKey"]


@pytest.mark.parametrize("end", [rb"\ud83d", b"\xf0\x9f"])
def test_note_that_the_portal_cut_in_a_character_is_the_requested_one(end: bytes) -> None:
    body = json.dumps({**TOKEN, "note": "ci @"}).encode().replace(b"@", end)
    with StubServer(body) as server, client_of(server) as client:
        assert client.add_token(32, "ci \U0001f600 job").access_key


@pytest.mark.parametrize("member", ["accessKey", "accessId"])
@pytest.mark.parametrize("damage", [rb"\ud83d", b"\xff", rb"\q"])
def test_damaged_credentials_are_not_returned_as_whole(member: str, damage: bytes) -> None:
    body = json.dumps({**TOKEN, member: "@" * 20}).encode().replace(b"@" * 20, b"x" * 10 + damage + b"y" * 9)
    with StubServer(body) as server, client_of(server) as client, pytest.raises(lmtokens.OutcomeUnknownError):
        client.add_token(32, "ci")
    assert [request.method for request in server.requests].count("POST") == 1


@pytest.mark.parametrize("raw", [rb"\ud83d", b"\xff", b"\x01", rb"\q"])
def test_error_body_keeps_its_code(raw: bytes) -> None:
    body = b'{"errorMessage":"no %s","errorCode":1403,"errorDetail":"%s"}' % (raw, raw)
    for status in (200, 403):
        with StubServer(body, status) as server, client_of(server) as client:
            for call in CALLS:
                with pytest.raises(lmtokens.PermissionDeniedError, match="no") as raised:
                    call(client)
                assert raised.value.code == 1403


CALLS: list[Callable[[lmtokens.Client], object]] = [
    lambda client: client.add_token(32),
    lambda client: client.find_token(5),
    lambda client: list(client.list_tokens("ghost")),
    lambda client: client.update_token(7, "x"),
    lambda client: client.sweep_tokens(),
]


@pytest.mark.parametrize("raw", [rb"\ud83d", b"\xff", b"\x01", rb"\q", b'","x":NaN,"y":"'])
def test_users_are_found_beside_an_unreadable_name(raw: bytes) -> None:
    def respond(request: ReceivedRequest) -> bytes:
        users = b'{"items":[null,{"id":1,"username":"%s"},{"id":32,"username":"ci"}]}' % raw
        return users if request.method == "GET" else json.dumps({**TOKEN, "note": ""}).encode()

    with StubServer(respond) as server, client_of(server) as client:
        assert client.add_token("ci").admin_id == 32


@pytest.mark.parametrize("raw", [rb"\ud83d", b"\xff", b"\x01"])
def test_whoami_beside_an_unreadable_note(raw: bytes) -> None:
    items = b'{"id":1,"note":"%s"},{"id":2,"accessId":"%s","note":"%s"}' % (raw, ACCESS_ID.encode(), raw)
    with StubServer(b'{"items":[null,%s]}' % items) as server, client_of(server) as client:
        token = client.whoami().token
        assert token is not None
        assert token.id == 2


@pytest.mark.parametrize("count", [1000, 200_000])
def test_deep_nesting_is_skipped(count: int) -> None:
    deep = "[" * count + "]" * count
    assert [token.id for token in listed(f'{{"id":1,"x":{deep},"roles":{deep}}}', deep, '{"id":2}')] == [1, 2]


@pytest.mark.parametrize("total", ["0", "1", "-1", "null", '"x"', "1e400", "-1e400", "[]", "99999999999999999999999"])
@pytest.mark.parametrize("page_size", [1, 2, 3])
def test_total_that_makes_no_sense_does_not_cut_the_list(total: str, page_size: int) -> None:
    if (total, page_size) == ("1", 1):
        pytest.skip("a list of one token looks the same")
    with PagedPortal([token(id) for id in range(1, 6)], total=total) as portal:
        assert portal.ids(page_size=page_size) == [1, 2, 3, 4, 5]


# What is not a token, and how the log names it.
UNREADABLE = {
    "null": "null",
    "7": "a number",
    '"secret-text"': "a string",
    "[1]": "an array",
    "true": "a boolean",
    "{}": "an object without a valid id",
    '{"id":null}': "an object without a valid id",
    '{"id":"secret-text"}': "an object without a valid id",
    '{"id":-5}': "an object without a valid id",
    '{"id":1e400}': "an object without a valid id",
}


def token(id: int) -> str:
    return f'{{"id":{id},"adminId":32,"note":"ci"}}'


class PagedPortal(StubServer):
    """Lists the given items of LMv1 tokens by key and offset, in their order."""

    def __init__(self, items: list[str], *, total: str | None = None, filters: bool = True) -> None:
        self._items, self._total, self._filters = items, total, filters
        super().__init__(self._page)

    def _page(self, request: ReceivedRequest) -> bytes:
        assert len(self.requests) < 200, "the list does not end"
        query = {name: values[0] for name, values in parse_qs(urlsplit(request.target).query).items()}
        items = [] if query.get("type") == "bearer" else self._items
        after = query.get("filter", "id>0").removeprefix("id>")
        if self._filters and after.isdecimal():
            # An item that is not a token is where the portal has it: after the tokens before it.
            first = next((n for n, item in enumerate(items) if id_of(item) > int(after)), len(items))
            while first > 0 and id_of(items[first - 1]) == 0:
                first -= 1
            items = items[first:]
        start = int(query.get("offset", 0))
        page = items[start : start + int(query["size"])]
        total = len(items) if self._total is None else self._total
        return f'{{"total":{total},"items":[{",".join(page)}]}}'.encode()

    def ids(self, **arguments: Any) -> list[int]:
        with client_of(self) as client:
            return sorted(token.id for token in client.list_tokens(**arguments))


def id_of(item: str) -> int:
    value = json.loads(item)
    id = value.get("id") if isinstance(value, dict) else 0
    return id if isinstance(id, int) and id > 0 else 0


@pytest.mark.parametrize("arguments", [{}, {"filter": 'note~"c"||note~"i"'}], ids=["by key", "overlapping"])
@pytest.mark.parametrize("page_size", [1, 2, 3, 5, 1000])
@pytest.mark.parametrize("total", [None, "-1", "null"])
@pytest.mark.parametrize("odd", [[0], [2], [6], [0, 1, 2], [3, 4, 5, 6], [0, 6], [1, 3, 5]], ids=str)
def test_list_goes_on_after_unreadable_items(
    odd: list[int], total: str | None, page_size: int, arguments: dict[str, Any]
) -> None:
    items = ["null" if n in odd else token(n + 1) for n in range(7)]
    with PagedPortal(items, total=total) as portal:
        assert portal.ids(page_size=page_size, **arguments) == [n + 1 for n in range(7) if n not in odd]


@pytest.mark.parametrize("item", ["null", token(1)])
@pytest.mark.parametrize("total", ["null", "-1", "0", "1", "1000000000"])
@pytest.mark.parametrize("arguments", [{}, {"filter": 'note~"c"||note~"i"'}], ids=["by key", "overlapping"])
@pytest.mark.parametrize("page_size", [1, 3])
def test_list_that_never_ends_is_given_up(item: str, total: str, arguments: dict[str, Any], page_size: int) -> None:
    body = f'{{"total":{total},"items":[{",".join([item] * 3)}]}}'.encode()
    with StubServer(body) as server, client_of(server) as client:
        found: list[int] = []
        # Some of these lists look complete.
        with contextlib.suppress(lmtokens.ResponseError):
            found.extend(token.id for token in client.list_tokens(page_size=page_size, type="lmv1", **arguments))
    assert found == ([1] if item != "null" else [])
    assert len(server.requests) < 200


@pytest.mark.parametrize("raw", UNREADABLE)
@pytest.mark.parametrize("page_size", [1, 2, 1000])
def test_unreadable_item_is_logged_once(raw: str, page_size: int, caplog: pytest.LogCaptureFixture) -> None:
    with PagedPortal([token(1), raw, token(2)]) as portal, caplog.at_level(logging.WARNING, "lmtokens"):
        assert portal.ids(page_size=page_size) == [1, 2]
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert f"cannot be read: the first is {UNREADABLE[raw]}" in record.getMessage()
    assert "secret-text" not in record.getMessage()


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.find_token(1),
        lambda client: client.find_token("x" * 20),
        lambda client: client.whoami(),
        lambda client: list(client.list_tokens(type="lmv1")),
        lambda client: list(client.list_tokens(32, type="lmv1")),
    ],
)
def test_every_reading_of_a_list_logs_an_unreadable_item(
    call: Callable[[lmtokens.Client], object], caplog: pytest.LogCaptureFixture
) -> None:
    body = json.dumps(
        {"items": [None, {"id": 1, "adminId": 32, "accessId": "x" * 20}, {"id": 2, "accessId": ACCESS_ID}]}
    )
    if "32" in str(call.__code__.co_consts):
        body = json.dumps({"items": [None, {"id": 1, "adminId": 32}]})
    with StubServer(body.encode()) as server, client_of(server) as client:
        call(client)
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_shell_says_that_an_item_is_skipped() -> None:
    with PagedPortal([token(1), "null"]) as portal:
        settings = {"LM_BASE_URL": portal.base_url, "LM_ACCESS_ID": ACCESS_ID, "LM_ACCESS_KEY": ACCESS_KEY}
        shown = run_shell("sweep", environment=settings)
    assert shown.returncode == 0
    assert shown.stderr.count("warning: skipped items") == 1


def test_items_that_are_absent_are_an_empty_list_only_if_the_total_is_zero() -> None:
    assert listed_from(b'{"total":0}') == []
    for body in (b'{"total":3}', b"{}", b'{"total":null}'):
        with pytest.raises(lmtokens.ResponseError, match="does not contain a list"):
            listed_from(body)
