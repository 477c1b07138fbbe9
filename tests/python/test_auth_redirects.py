"""A redirect elsewhere is followed without credentials; one within the portal as each library does it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx
import lmtokens
import pytest
import requests
from certificates import issued
from http_libraries import LIBRARIES, send
from lmtokens.sandbox import Portal
from network import tls_in_front_of
from support import TOKENS_PATH, ReceivedRequest, StubServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OTHER_PATH = "/setting/admins/apitokens"
# These re-send the first hop's header where the origin stays; aiohttp runs its middleware again.
SENDS_THE_OLD_HEADER = ["requests", "httpx", "httpx async"]
# For a redirect to what is no address: their own error, and none of ours.
OF_THE_LIBRARY: dict[str, tuple[type[Exception], ...]] = {
    "requests": (requests.RequestException, ValueError),
    "httpx": (httpx.HTTPError, httpx.InvalidURL),
    "httpx async": (httpx.HTTPError, httpx.InvalidURL),
    "aiohttp": (aiohttp.ClientError,),
}


@pytest.fixture
def elsewhere() -> Iterator[StubServer]:
    with StubServer(b'"arrived"') as server:
        yield server


def header_names(heard: ReceivedRequest) -> set[str]:
    return {name.lower() for name in heard.headers}


def credentials(portal: Portal, kind: str) -> dict[str, Any]:
    return {"bearer_token": portal.bearer_token} if kind == "bearer" else {}


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    ("kind", "host", "status"),
    [
        *(("LMv1", "127.0.0.1", status) for status in (301, 302, 303, 307, 308)),
        ("LMv1", "localhost", 302),
        ("bearer", "127.0.0.1", 302),
        ("bearer", "localhost", 307),
    ],
)
def test_elsewhere(
    library: str, lmtokens_portal: Portal, elsewhere: StubServer, host: str, status: int, kind: str
) -> None:
    target = elsewhere.base_url.replace("127.0.0.1", host) + TOKENS_PATH
    lmtokens_portal.fail("redirect", location=target, status=status)
    auth = lmtokens_portal.auth(**credentials(lmtokens_portal, kind))
    reply = send(library, auth, "GET", lmtokens_portal.base_url + TOKENS_PATH)
    assert (reply.status, reply.body) == (200, b'"arrived"')
    assert len(elsewhere.requests) == 1
    assert "authorization" not in header_names(elsewhere.requests[0])
    assert "valid" in lmtokens_portal.record[0].signature


@pytest.mark.parametrize("library", LIBRARIES)
def test_elsewhere_with_a_body(library: str, lmtokens_portal: Portal, elsewhere: StubServer) -> None:
    lmtokens_portal.fail("redirect", location=elsewhere.base_url + TOKENS_PATH, status=307)
    reply = send(library, lmtokens_portal.auth(), "POST", lmtokens_portal.base_url + TOKENS_PATH, json={"note": "Zoë"})
    assert reply.status == 200
    (heard,) = elsewhere.requests
    assert (heard.method, json.loads(heard.body)) == ("POST", {"note": "Zoë"})
    assert "authorization" not in header_names(heard)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("kind", ["LMv1", "bearer"])
def test_to_another_portal(library: str, lmtokens_portal: Portal, kind: str) -> None:
    with Portal() as other:
        lmtokens_portal.fail("redirect", location=other.base_url + TOKENS_PATH)
        auth = lmtokens_portal.auth(**credentials(lmtokens_portal, kind))
        assert send(library, auth, "GET", lmtokens_portal.base_url + TOKENS_PATH).status == 401
        assert [seen.signature for seen in other.record] == ["absent"]


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("kind", ["LMv1", "bearer"])
def test_to_plain_http_of_the_same_host(
    library: str, lmtokens_portal: Portal, elsewhere: StubServer, ca_bundle: Path, kind: str
) -> None:
    with tls_in_front_of(lmtokens_portal, issued("127.0.0.1")) as server:
        lmtokens_portal.fail("redirect", location=elsewhere.base_url + TOKENS_PATH)
        auth = lmtokens_portal.auth(base_url=server.base_url(), **credentials(lmtokens_portal, kind))
        reply = send(library, auth, "GET", server.base_url() + TOKENS_PATH, ca_bundle=ca_bundle)
    assert (reply.status, reply.body) == (200, b'"arrived"')
    assert "valid" in lmtokens_portal.record[0].signature
    assert "authorization" not in header_names(elsewhere.requests[0])


@pytest.mark.parametrize("library", LIBRARIES)
def test_within_the_portal(library: str, lmtokens_portal: Portal) -> None:
    lmtokens_portal.fail("redirect", location=lmtokens_portal.base_url + OTHER_PATH)
    reply = send(library, lmtokens_portal.auth(), "GET", lmtokens_portal.base_url + TOKENS_PATH)
    # The path is part of what is signed: an old header fits no other path.
    expected = ("invalid", 401) if library in SENDS_THE_OLD_HEADER else ("valid", 200)
    assert (lmtokens_portal.record[1].path, lmtokens_portal.record[1].query) == (f"/santaba/rest{OTHER_PATH}", "")
    assert (lmtokens_portal.record[1].signature, reply.status) == expected


@pytest.mark.parametrize("library", LIBRARIES)
def test_within_the_portal_with_a_bearer(library: str, lmtokens_portal: Portal) -> None:
    lmtokens_portal.fail("redirect", location=lmtokens_portal.base_url + OTHER_PATH)
    auth = lmtokens_portal.auth(bearer_token=lmtokens_portal.bearer_token)
    assert send(library, auth, "GET", lmtokens_portal.base_url + TOKENS_PATH).status == 200
    assert [seen.signature for seen in lmtokens_portal.record] == ["bearer-valid", "bearer-valid"]


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(("method", "status"), [("GET", 302), ("POST", 307), ("POST", 308)])
def test_within_the_portal_to_the_same_path(library: str, lmtokens_portal: Portal, method: str, status: int) -> None:
    # The query is not signed.
    lmtokens_portal.fail("redirect", location=f"/santaba/rest{TOKENS_PATH}?fields=id", status=status)
    body = {"json": {"note": "Zoë"}} if method == "POST" else {}
    reply = send(library, lmtokens_portal.auth(), method, lmtokens_portal.base_url + TOKENS_PATH, **body)
    assert reply.status == 200
    assert [(seen.method, seen.signature, seen.query) for seen in lmtokens_portal.record] == [
        (method, "valid", ""),
        (method, "valid", "fields=id"),
    ]


@pytest.mark.parametrize("library", LIBRARIES)
def test_there_and_back(library: str, lmtokens_portal: Portal) -> None:
    with Portal() as other:
        lmtokens_portal.fail("redirect", location=other.base_url + TOKENS_PATH)
        other.fail("redirect", location=lmtokens_portal.base_url + TOKENS_PATH)
        reply = send(library, lmtokens_portal.auth(), "GET", lmtokens_portal.base_url + TOKENS_PATH)
        assert [seen.signature for seen in other.record] == ["absent"]
    expected = ("absent", 401) if library in SENDS_THE_OLD_HEADER else ("valid", 200)
    assert (lmtokens_portal.record[1].signature, reply.status) == expected


@pytest.mark.parametrize("library", LIBRARIES)
def test_not_followed(library: str, lmtokens_portal: Portal, elsewhere: StubServer) -> None:
    lmtokens_portal.fail("redirect", location=elsewhere.base_url + TOKENS_PATH)
    reply = send(library, lmtokens_portal.auth(), "GET", lmtokens_portal.base_url + TOKENS_PATH, follow=False)
    assert reply.status == 302
    assert elsewhere.requests == []


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("location", ["http://[", "http://127.0.0.1:no-port/", "mailto:nobody@example", "?", "#x"])
def test_to_what_is_no_address(library: str, lmtokens_portal: Portal, location: str) -> None:
    lmtokens_portal.fail("redirect", location=location, times=None)
    with pytest.raises(OF_THE_LIBRARY[library]) as caught:
        send(library, lmtokens_portal.auth(), "GET", lmtokens_portal.base_url + TOKENS_PATH)
    assert not isinstance(caught.value, lmtokens.LMTokensError)
    assert {seen.signature for seen in lmtokens_portal.record} == {"valid"}


def test_requests_puts_netrc_in_our_place_on_a_redirect(
    lmtokens_portal: Portal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A rule of requests that no auth can change: whoever redirects within the portal gets what netrc has for it.
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login netrc-user password invented-netrc-password\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    lmtokens_portal.fail("redirect", location=lmtokens_portal.base_url + TOKENS_PATH)
    assert send("requests", lmtokens_portal.auth(), "GET", lmtokens_portal.base_url + TOKENS_PATH).status == 401
    assert [seen.signature for seen in lmtokens_portal.record] == ["valid", "malformed"]
