"""LMv1Auth is bound to its portal: a first request to any other address is an error and is not sent."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import lmtokens
import pytest
from http_libraries import LIBRARIES, send
from lmtokens.sandbox import Portal
from support import ACCESS_ID, ACCESS_KEY, TOKENS_PATH, StubServer

if TYPE_CHECKING:
    from pathlib import Path

NETRC = "machine {host} login netrc-user password invented-netrc-password\n"


def send_rejected(library: str, auth: lmtokens.LMv1Auth, url: str, method: str = "GET") -> lmtokens.ConfigurationError:
    with pytest.raises(lmtokens.ConfigurationError, match="these credentials are bound to") as caught:
        send(library, auth, method, url)
    return caught.value


@pytest.mark.parametrize("library", LIBRARIES)
def test_request_to_another_port_is_rejected(library: str, lmtokens_portal: Portal, other_server: StubServer) -> None:
    error = send_rejected(library, lmtokens_portal.auth(), other_server.base_url + TOKENS_PATH)
    assert other_server.base_url.removesuffix("/santaba/rest") in str(error)
    assert lmtokens_portal.base_url in str(error)
    assert "base_url" in str(error.suggestion)
    assert other_server.requests == []


@pytest.mark.parametrize("library", LIBRARIES)
def test_request_to_another_name_of_the_host_is_rejected(library: str, lmtokens_portal: Portal) -> None:
    send_rejected(
        library, lmtokens_portal.auth(), lmtokens_portal.base_url.replace("127.0.0.1", "localhost") + TOKENS_PATH
    )
    assert lmtokens_portal.record == []


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/santaba/rest",
        "/santaba/restricted",
        "/santaba/rest/../uiv4",
        "/santaba/rest/%2e%2e/uiv4",
        "/SANTABA/REST/setting",
        "//santaba/rest/setting",
    ],
)
def test_request_to_another_path_of_the_portal_is_rejected(library: str, lmtokens_portal: Portal, path: str) -> None:
    send_rejected(library, lmtokens_portal.auth(), lmtokens_portal.base_url.removesuffix("/santaba/rest") + path)
    assert lmtokens_portal.record == []


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    "url",
    [
        "http://acme.logicmonitor.com/santaba/rest/x",
        "https://acme.logicmonitor.com:8443/santaba/rest/x",
        "https://acme.logicmonitor.com.attacker.example/santaba/rest/x",
        "https://attacker.example/acme.logicmonitor.com/santaba/rest/x",
        "https://acme.logicmonitor.com@attacker.example/santaba/rest/x",
        "https://logicmonitor.com/santaba/rest/x",
        "https://other.logicmonitor.com/santaba/rest/x",
    ],
)
def test_request_to_another_url_than_the_companys_is_rejected(library: str, url: str) -> None:
    send_rejected(library, lmtokens.LMv1Auth("acme", access_id=ACCESS_ID, access_key=ACCESS_KEY), url)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    "disguise",
    [
        "http://{portal}\\santaba\\rest\\x@{other}/santaba/rest/x",
        "http://{portal}\\@{other}/santaba/rest/x",
        "http://{other}\\@{portal}/santaba/rest/x",
        "http://{portal}@{other}/santaba/rest/x",
        "http://{portal}/santaba/rest/x@{other}",
        "http://{other}#@{portal}/santaba/rest/x",
        "http://{other}?@{portal}/santaba/rest/x",
        "http:{other}/santaba/rest/x",
        "http:///{other}/santaba/rest/x",
        "http://{portal}\t@{other}/santaba/rest/x",
        "http://{portal}%2f@{other}/santaba/rest/x",
        "http://{portal}%40{other}/santaba/rest/x",
    ],
)
def test_ambiguous_url_does_not_leak_credentials(
    library: str, lmtokens_portal: Portal, other_server: StubServer, disguise: str
) -> None:
    # A bearer token is sent in full: a single request to another server would leak it.
    auth = lmtokens_portal.auth(bearer_token=lmtokens_portal.bearer_token)
    portal, other = (urlsplit(base).netloc for base in (lmtokens_portal.base_url, other_server.base_url))
    # Each library may raise its own error or send the request to the portal.
    with contextlib.suppress(Exception):
        send(library, auth, "GET", disguise.format(portal=portal, other=other))
    assert other_server.requests == []


@pytest.mark.parametrize("library", LIBRARIES)
def test_rejection_shows_neither_query_nor_user_info(library: str, other_server: StubServer) -> None:
    auth = lmtokens.LMv1Auth("acme", access_id=ACCESS_ID, access_key=ACCESS_KEY)
    url = other_server.base_url.replace("127.0.0.1", "user:invented-password@127.0.0.1")
    error = send_rejected(library, auth, f"{url}/x?key=invented-query")
    assert "invented" not in f"{error} {error!r} {vars(error)}"


@pytest.mark.parametrize("library", LIBRARIES)
def test_rejection_shows_the_origin_only(library: str, other_server: StubServer) -> None:
    auth = lmtokens.LMv1Auth("acme", access_id=ACCESS_ID, access_key=ACCESS_KEY)
    origin = other_server.base_url.removesuffix("/santaba/rest")
    error = send_rejected(library, auth, f"{origin}/services/INVENTEDPATH")
    assert f"not sent to {origin}" in str(error)
    assert "inventedpath" not in f"{error} {error!r} {vars(error)}".lower()


@pytest.mark.parametrize("url", ["https://svc:2024/Hunter2.example", "https://svc:2024/Hunter2@x", "https://svc@x/y"])
def test_rejection_of_an_ambiguous_address_shows_nothing(url: str) -> None:
    auth = lmtokens.LMv1Auth("acme", access_id=ACCESS_ID, access_key=ACCESS_KEY)
    with pytest.raises(lmtokens.ConfigurationError, match="not sent to another address") as caught:
        auth._authorization("GET", url, b"")
    assert [part for part in ("svc", "2024", "hunter") if part in str(caught.value).lower()] == []


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("query", ['f=note~"a\\"b"', 'f=note~"50%"', "f=a\\b", "f=%zz", "f=^{}`|", "f=caf\xe9"])
def test_query_of_any_characters_is_sent(library: str, lmtokens_portal: Portal, query: str) -> None:
    send(library, lmtokens_portal.auth(), "GET", f"{lmtokens_portal.base_url}/setting/admins?{query}")
    assert [request.status for request in lmtokens_portal.record] == [200]


@pytest.mark.parametrize("path", ["/setting\\admins", "/setting/%zz", "/setting\t/admins"])
def test_path_that_libraries_read_differently_is_not_signed(path: str) -> None:
    auth = lmtokens.LMv1Auth("acme", access_id=ACCESS_ID, access_key=ACCESS_KEY)
    with pytest.raises(ValueError, match="invalid request URL"):
        auth._authorization("GET", "https://acme.logicmonitor.com/santaba/rest" + path, b"")


@pytest.mark.parametrize("library", LIBRARIES)
def test_auth_takes_precedence_over_netrc(
    library: str, lmtokens_portal: Portal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text(NETRC.format(host="127.0.0.1"))
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    assert send(library, lmtokens_portal.auth(), "GET", lmtokens_portal.base_url + TOKENS_PATH).status == 200
    assert [seen.signature for seen in lmtokens_portal.record] == ["valid"]


@pytest.mark.parametrize("library", LIBRARIES)
def test_auth_takes_precedence_over_user_info_in_the_url(library: str, lmtokens_portal: Portal) -> None:
    url = lmtokens_portal.base_url.replace("127.0.0.1", "user:invented-password@127.0.0.1")
    assert send(library, lmtokens_portal.auth(), "GET", url + TOKENS_PATH).status == 200
    assert [seen.signature for seen in lmtokens_portal.record] == ["valid"]


def test_default_port_may_be_explicit() -> None:
    auth = lmtokens.LMv1Auth("acme", access_id=ACCESS_ID, access_key=ACCESS_KEY)
    assert auth._is_bound_to("https://ACME.logicmonitor.com:443/santaba/rest/x")
    assert not auth._is_bound_to("https://acme.logicmonitor.com:80/santaba/rest/x")


def test_each_auth_is_bound_to_its_own_portal(lmtokens_portal: Portal) -> None:
    with Portal() as other:
        for portal, foreign in ((lmtokens_portal, other), (other, lmtokens_portal)):
            assert send("requests", portal.auth(), "GET", portal.base_url + TOKENS_PATH).status == 200
            send_rejected("requests", portal.auth(), foreign.base_url + TOKENS_PATH)
        assert [len(portal.record) for portal in (lmtokens_portal, other)] == [1, 1]


def test_missing_company_is_an_error() -> None:
    with pytest.raises(lmtokens.ConfigurationError, match="company") as caught:
        lmtokens.LMv1Auth(access_id=ACCESS_ID, access_key=ACCESS_KEY)
    assert "LM_COMPANY" in str(caught.value)


def test_missing_credentials_are_an_error() -> None:
    with pytest.raises(lmtokens.CredentialsError) as caught:
        lmtokens.LMv1Auth("acme")
    assert "LM_ACCESS_ID" in str(caught.value)


@pytest.mark.parametrize("base_url", ["http://acme.logicmonitor.com/santaba/rest", "http://192.0.2.1/santaba/rest"])
def test_plain_http_is_rejected(base_url: str) -> None:
    with pytest.raises(lmtokens.ConfigurationError, match="http"):
        lmtokens.LMv1Auth(base_url=base_url, access_id=ACCESS_ID, access_key=ACCESS_KEY)
