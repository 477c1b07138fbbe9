"""The signature of LMv1Auth matches the request that the portal receives, with every library and kind of body."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import lmtokens
import pytest
from http_libraries import LIBRARIES, send
from support import TOKENS_PATH

if TYPE_CHECKING:
    from lmtokens.sandbox import Portal

NOTE = "Zoë’s 🔑 = & ü"

pytestmark = pytest.mark.parametrize("library", LIBRARIES)


def test_get_with_query_parameters(library: str, lmtokens_portal: Portal) -> None:
    lmtokens_portal.create_token(note="the other")
    expected = lmtokens_portal.create_token(note=NOTE)
    params = {"filter": f"id:{expected.id}", "fields": "id,note", "unknown": NOTE}
    reply = send(library, lmtokens_portal.auth(), "GET", lmtokens_portal.base_url + TOKENS_PATH, params=params)
    assert (reply.status, json.loads(reply.body)["items"]) == (200, [{"id": expected.id, "note": NOTE}])
    (seen,) = lmtokens_portal.record
    assert (seen.signature, seen.status) == ("valid", 200)
    assert "filter=id" in seen.query
    assert seen.access_id == lmtokens_portal.access_id


@pytest.mark.parametrize("query", ["?size=1", "?", "?filter=note:%22a%20b%22&size=1", "?a=b?c/d"])
def test_get_with_a_query_in_the_url(library: str, lmtokens_portal: Portal, query: str) -> None:
    reply = send(library, lmtokens_portal.auth(), "GET", lmtokens_portal.base_url + TOKENS_PATH + query)
    assert (reply.status, lmtokens_portal.record[0].signature) == (200, "valid")


@pytest.mark.parametrize(
    "path", ["/setting/admins/32/no%20such", "/setting/admins/Zoë", "/a+b", "/a%2Fb", "/a;b=c,d", "/setting/admins/"]
)
def test_path_with_special_characters(library: str, lmtokens_portal: Portal, path: str) -> None:
    reply = send(library, lmtokens_portal.auth(), "GET", lmtokens_portal.base_url + path)
    assert (reply.status, lmtokens_portal.record[0].signature) == (404, "valid")


def test_post_json(library: str, lmtokens_portal: Portal) -> None:
    reply = send(library, lmtokens_portal.auth(), "POST", lmtokens_portal.base_url + TOKENS_PATH, json={"note": NOTE})
    assert (reply.status, json.loads(reply.body)["note"]) == (200, NOTE)
    assert lmtokens_portal.tokens[-1].note == NOTE
    assert lmtokens_portal.record[0].signature == "valid"
    # Each library encodes JSON differently, so the signature has to cover the bytes that are sent.
    assert json.loads(lmtokens_portal.record[0].body) == {"note": NOTE}


@pytest.mark.parametrize("ensure_ascii", [True, False])
@pytest.mark.parametrize("encode", [False, True])
def test_post_text_or_bytes(library: str, lmtokens_portal: Portal, ensure_ascii: bool, encode: bool) -> None:
    text = json.dumps({"note": NOTE}, ensure_ascii=ensure_ascii)
    body = text.encode() if encode else text
    reply = send(library, lmtokens_portal.auth(), "POST", lmtokens_portal.base_url + TOKENS_PATH, text_or_bytes=body)
    assert (reply.status, json.loads(reply.body)["note"]) == (200, NOTE)
    assert (lmtokens_portal.record[0].signature, lmtokens_portal.record[0].body) == ("valid", text)


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_patch_and_put(library: str, lmtokens_portal: Portal, method: str) -> None:
    stored = lmtokens_portal.create_token(note="before")
    url = f"{lmtokens_portal.base_url}{TOKENS_PATH}/{stored.id}"
    reply = send(library, lmtokens_portal.auth(), method, url, json={"note": NOTE, "status": 1})
    assert reply.status == 200
    assert lmtokens_portal.record[0].signature == "valid"
    assert [
        (stored_now.note, stored_now.status) for stored_now in lmtokens_portal.tokens if stored_now.id == stored.id
    ] == [(NOTE, 1)]


def test_delete(library: str, lmtokens_portal: Portal) -> None:
    stored = lmtokens_portal.create_token()
    url = f"{lmtokens_portal.base_url}{TOKENS_PATH}/{stored.id}"
    assert send(library, lmtokens_portal.auth(), "DELETE", url).status == 200
    assert lmtokens_portal.record[0].signature == "valid"
    assert stored.id not in [stored_now.id for stored_now in lmtokens_portal.tokens]


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE", "GET"])
@pytest.mark.parametrize("body", [None, b"", ""])
def test_empty_body(library: str, lmtokens_portal: Portal, method: str, body: bytes | str | None) -> None:
    send(library, lmtokens_portal.auth(), method, lmtokens_portal.base_url + TOKENS_PATH, text_or_bytes=body)
    assert [(seen.method, seen.signature, seen.body) for seen in lmtokens_portal.record] == [(method, "valid", "")]


@pytest.mark.parametrize("body", [b"\xff\x00\r\n\r\n\xfe", b"{}", b"x" * 300_000], ids=["binary", "object", "large"])
def test_post_any_bytes(library: str, lmtokens_portal: Portal, body: bytes) -> None:
    send(library, lmtokens_portal.auth(), "POST", lmtokens_portal.base_url + TOKENS_PATH, text_or_bytes=body)
    assert lmtokens_portal.record[0].signature == "valid"
    assert len(lmtokens_portal.record[0].body) == len(body.decode(errors="replace"))


def test_get_with_a_body(library: str, lmtokens_portal: Portal) -> None:
    send(library, lmtokens_portal.auth(), "GET", lmtokens_portal.base_url + TOKENS_PATH, text_or_bytes=b"{}")
    assert [(seen.signature, seen.body) for seen in lmtokens_portal.record] == [("valid", "{}")]


def test_post_form(library: str, lmtokens_portal: Portal) -> None:
    send(library, lmtokens_portal.auth(), "POST", lmtokens_portal.base_url + TOKENS_PATH, form={"note": NOTE})
    assert lmtokens_portal.record[0].signature == "valid"
    assert lmtokens_portal.record[0].body.startswith("note=Zo%C3%AB")


@pytest.mark.parametrize("method", ["get", "Get"])
def test_lowercase_method(library: str, lmtokens_portal: Portal, method: str) -> None:
    reply = send(library, lmtokens_portal.auth(), method, lmtokens_portal.base_url + TOKENS_PATH)
    assert (reply.status, lmtokens_portal.record[0].signature) == (200, "valid")


def test_bearer_token(library: str, lmtokens_portal: Portal) -> None:
    auth = lmtokens_portal.auth(bearer_token=lmtokens_portal.bearer_token)
    reply = send(library, auth, "POST", lmtokens_portal.base_url + TOKENS_PATH, json={"note": NOTE})
    assert (reply.status, lmtokens_portal.tokens[-1].note) == (200, NOTE)
    assert (lmtokens_portal.record[0].signature, lmtokens_portal.record[0].access_id) == ("bearer-valid", None)


def test_credentials_from_the_environment(library: str, lmtokens_portal: Portal) -> None:
    assert send(library, lmtokens.LMv1Auth(), "GET", lmtokens_portal.base_url + TOKENS_PATH).status == 200
    assert lmtokens_portal.record[0].signature == "valid"


def test_credentials_from_arguments(library: str, lmtokens_portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in lmtokens_portal.environment():
        monkeypatch.delenv(name)
    stored = lmtokens_portal.create_token(1)
    auth = lmtokens.LMv1Auth(
        access_id=stored.access_id, access_key=stored.access_key, base_url=lmtokens_portal.base_url
    )
    assert send(library, auth, "GET", lmtokens_portal.base_url + TOKENS_PATH).status == 200
    assert (lmtokens_portal.record[0].signature, lmtokens_portal.record[0].token_id) == ("valid", stored.id)


def test_wrong_key_is_rejected(library: str, lmtokens_portal: Portal) -> None:
    auth = lmtokens_portal.auth(access_id=lmtokens_portal.access_id, access_key="invented-wrong-key")
    assert send(library, auth, "GET", lmtokens_portal.base_url + TOKENS_PATH).status == 401
    assert lmtokens_portal.record[0].signature == "invalid"
