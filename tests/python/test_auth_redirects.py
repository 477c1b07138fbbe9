"""A redirect to another server is followed without credentials; one within the portal as each library does it."""

from __future__ import annotations

import asyncio
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
    from pathlib import Path

OTHER_PATH = "/setting/admins/apitokens"
# These resend the header of the first request within one origin; aiohttp runs its middleware again.
RESENDS_THE_HEADER = ["requests", "httpx", "httpx async"]
# The errors of each library for a redirect to an invalid address.
LIBRARY_ERRORS: dict[str, tuple[type[Exception], ...]] = {
    "requests": (requests.RequestException, ValueError),
    "httpx": (httpx.HTTPError, httpx.InvalidURL),
    "httpx async": (httpx.HTTPError, httpx.InvalidURL),
    "aiohttp": (aiohttp.ClientError,),
}


def header_names(received: ReceivedRequest) -> set[str]:
    return {name.lower() for name in received.headers}


def credentials_for(portal: Portal, credential_type: str) -> dict[str, Any]:
    return {"bearer_token": portal.bearer_token} if credential_type == "bearer" else {}


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    ("credential_type", "host", "status"),
    [
        *(("LMv1", "127.0.0.1", status) for status in (301, 302, 303, 307, 308)),
        ("LMv1", "localhost", 302),
        ("bearer", "127.0.0.1", 302),
        ("bearer", "localhost", 307),
    ],
)
def test_redirect_to_another_server_sends_no_credentials(
    library: str, lmtokens_portal: Portal, other_server: StubServer, host: str, status: int, credential_type: str
) -> None:
    target = other_server.base_url.replace("127.0.0.1", host) + TOKENS_PATH
    lmtokens_portal.fail("redirect", location=target, status=status)
    auth = lmtokens_portal.auth(**credentials_for(lmtokens_portal, credential_type))
    reply = send(library, auth, "GET", lmtokens_portal.base_url + TOKENS_PATH)
    assert (reply.status, reply.body) == (200, b'"arrived"')
    assert len(other_server.requests) == 1
    assert "authorization" not in header_names(other_server.requests[0])
    assert "valid" in lmtokens_portal.record[0].signature


@pytest.mark.parametrize("library", LIBRARIES)
def test_redirect_with_a_body_to_another_server_sends_no_credentials(
    library: str, lmtokens_portal: Portal, other_server: StubServer
) -> None:
    lmtokens_portal.fail("redirect", location=other_server.base_url + TOKENS_PATH, status=307)
    reply = send(library, lmtokens_portal.auth(), "POST", lmtokens_portal.base_url + TOKENS_PATH, json={"note": "Zoë"})
    assert reply.status == 200
    (received,) = other_server.requests
    assert (received.method, json.loads(received.body)) == ("POST", {"note": "Zoë"})
    assert "authorization" not in header_names(received)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("credential_type", ["LMv1", "bearer"])
def test_redirect_to_another_portal_sends_no_credentials(
    library: str, lmtokens_portal: Portal, credential_type: str
) -> None:
    with Portal() as other:
        lmtokens_portal.fail("redirect", location=other.base_url + TOKENS_PATH)
        auth = lmtokens_portal.auth(**credentials_for(lmtokens_portal, credential_type))
        assert send(library, auth, "GET", lmtokens_portal.base_url + TOKENS_PATH).status == 401
        assert [seen.signature for seen in other.record] == ["absent"]


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("credential_type", ["LMv1", "bearer"])
def test_redirect_from_https_to_http_sends_no_credentials(
    library: str, lmtokens_portal: Portal, other_server: StubServer, ca_bundle: Path, credential_type: str
) -> None:
    with tls_in_front_of(lmtokens_portal, issued("127.0.0.1")) as server:
        lmtokens_portal.fail("redirect", location=other_server.base_url + TOKENS_PATH)
        auth = lmtokens_portal.auth(base_url=server.base_url(), **credentials_for(lmtokens_portal, credential_type))
        reply = send(library, auth, "GET", server.base_url() + TOKENS_PATH, ca_bundle=ca_bundle)
    assert (reply.status, reply.body) == (200, b'"arrived"')
    assert "valid" in lmtokens_portal.record[0].signature
    assert "authorization" not in header_names(other_server.requests[0])


@pytest.mark.parametrize("library", LIBRARIES)
def test_redirect_within_the_portal_follows_the_library(library: str, lmtokens_portal: Portal) -> None:
    lmtokens_portal.fail("redirect", location=lmtokens_portal.base_url + OTHER_PATH)
    reply = send(library, lmtokens_portal.auth(), "GET", lmtokens_portal.base_url + TOKENS_PATH)
    # The signature covers the path, so a resent header is invalid for another path.
    expected = ("invalid", 401) if library in RESENDS_THE_HEADER else ("valid", 200)
    assert (lmtokens_portal.record[1].path, lmtokens_portal.record[1].query) == (f"/santaba/rest{OTHER_PATH}", "")
    assert (lmtokens_portal.record[1].signature, reply.status) == expected


@pytest.mark.parametrize("library", LIBRARIES)
def test_redirect_within_the_portal_keeps_the_bearer_token(library: str, lmtokens_portal: Portal) -> None:
    lmtokens_portal.fail("redirect", location=lmtokens_portal.base_url + OTHER_PATH)
    auth = lmtokens_portal.auth(bearer_token=lmtokens_portal.bearer_token)
    assert send(library, auth, "GET", lmtokens_portal.base_url + TOKENS_PATH).status == 200
    assert [seen.signature for seen in lmtokens_portal.record] == ["bearer-valid", "bearer-valid"]


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(("method", "status"), [("GET", 302), ("POST", 307), ("POST", 308)])
def test_redirect_to_the_same_path_keeps_the_signature_valid(
    library: str, lmtokens_portal: Portal, method: str, status: int
) -> None:
    # The signature does not cover the query.
    lmtokens_portal.fail("redirect", location=f"/santaba/rest{TOKENS_PATH}?fields=id", status=status)
    body = {"json": {"note": "Zoë"}} if method == "POST" else {}
    reply = send(library, lmtokens_portal.auth(), method, lmtokens_portal.base_url + TOKENS_PATH, **body)
    assert reply.status == 200
    assert [(seen.method, seen.signature, seen.query) for seen in lmtokens_portal.record] == [
        (method, "valid", ""),
        (method, "valid", "fields=id"),
    ]


@pytest.mark.parametrize("library", LIBRARIES)
def test_redirect_to_another_portal_and_back(library: str, lmtokens_portal: Portal) -> None:
    with Portal() as other:
        lmtokens_portal.fail("redirect", location=other.base_url + TOKENS_PATH)
        other.fail("redirect", location=lmtokens_portal.base_url + TOKENS_PATH)
        reply = send(library, lmtokens_portal.auth(), "GET", lmtokens_portal.base_url + TOKENS_PATH)
        assert [seen.signature for seen in other.record] == ["absent"]
    expected = ("absent", 401) if library in RESENDS_THE_HEADER else ("valid", 200)
    assert (lmtokens_portal.record[1].signature, reply.status) == expected


@pytest.mark.parametrize("library", LIBRARIES)
def test_redirect_that_is_not_followed_sends_nothing(
    library: str, lmtokens_portal: Portal, other_server: StubServer
) -> None:
    lmtokens_portal.fail("redirect", location=other_server.base_url + TOKENS_PATH)
    reply = send(library, lmtokens_portal.auth(), "GET", lmtokens_portal.base_url + TOKENS_PATH, follow=False)
    assert reply.status == 302
    assert other_server.requests == []


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("location", ["http://[", "http://127.0.0.1:no-port/", "mailto:someone@example", "?", "#x"])
def test_redirect_to_an_invalid_address_raises_the_librarys_error(
    library: str, lmtokens_portal: Portal, location: str
) -> None:
    lmtokens_portal.fail("redirect", location=location, times=None)
    with pytest.raises(LIBRARY_ERRORS[library]) as caught:
        send(library, lmtokens_portal.auth(), "GET", lmtokens_portal.base_url + TOKENS_PATH)
    assert not isinstance(caught.value, lmtokens.LMTokensError)
    assert {seen.signature for seen in lmtokens_portal.record} == {"valid"}


def test_own_request_after_a_redirect_in_aiohttp_sends_no_credentials(
    lmtokens_portal: Portal, other_server: StubServer
) -> None:
    # A middleware cannot tell it from the redirect that aiohttp follows. LMv1Auth documents this.
    target = other_server.base_url + TOKENS_PATH
    lmtokens_portal.fail("redirect", location=target)

    async def main() -> None:
        async with aiohttp.ClientSession(middlewares=[lmtokens_portal.auth()]) as session:
            await session.get(lmtokens_portal.base_url + TOKENS_PATH, allow_redirects=False)
            await session.post(target)
            with pytest.raises(lmtokens.ConfigurationError):
                await session.post(target)

    asyncio.run(main())
    (received,) = other_server.requests
    assert "authorization" not in header_names(received)


def test_requests_replaces_auth_by_netrc_on_a_redirect(
    lmtokens_portal: Portal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # requests does this on every redirect if netrc has an entry for the host; an auth cannot prevent it.
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login netrc-user password invented-netrc-password\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    lmtokens_portal.fail("redirect", location=lmtokens_portal.base_url + TOKENS_PATH)
    assert send("requests", lmtokens_portal.auth(), "GET", lmtokens_portal.base_url + TOKENS_PATH).status == 401
    assert [seen.signature for seen in lmtokens_portal.record] == ["valid", "malformed"]
