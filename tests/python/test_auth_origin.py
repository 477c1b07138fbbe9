"""LMv1Auth is bound to its portal: whatever else a first request goes to, it is an error and nothing is sent."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import lmtokens
import pytest
from http_libraries import LIBRARIES, send
from lmtokens.sandbox import Portal
from support import ACCESS_ID, ACCESS_KEY, Answering

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATH = "/setting/admins/32/apitokens"
NETRC = "machine {host} login netrc-user password invented-netrc-password\n"


@pytest.fixture
def elsewhere() -> Iterator[Answering]:
    """A server that would take whatever comes."""
    with Answering(b"{}") as server:
        yield server


def refused(library: str, auth: lmtokens.LMv1Auth, url: str, method: str = "GET") -> lmtokens.ConfigurationError:
    with pytest.raises(lmtokens.ConfigurationError, match="these credentials are bound to") as caught:
        send(library, auth, method, url)
    return caught.value


@pytest.mark.parametrize("library", LIBRARIES)
def test_another_port(library: str, lmtokens_portal: Portal, elsewhere: Answering) -> None:
    error = refused(library, lmtokens_portal.auth(), elsewhere.base_url + PATH)
    assert elsewhere.base_url.removesuffix("/santaba/rest") in str(error)
    assert lmtokens_portal.base_url in str(error)
    assert "base_url" in str(error.suggestion)
    assert elsewhere.heard == []


@pytest.mark.parametrize("library", LIBRARIES)
def test_another_name_of_the_same_host(library: str, lmtokens_portal: Portal) -> None:
    refused(library, lmtokens_portal.auth(), lmtokens_portal.base_url.replace("127.0.0.1", "localhost") + PATH)
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
def test_another_path_of_the_portal(library: str, lmtokens_portal: Portal, path: str) -> None:
    refused(library, lmtokens_portal.auth(), lmtokens_portal.base_url.removesuffix("/santaba/rest") + path)
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
def test_bound_to_a_portal_of_the_vendor(library: str, url: str) -> None:
    refused(library, lmtokens.LMv1Auth("acme", access_id=ACCESS_ID, access_key=ACCESS_KEY), url)


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
def test_url_that_two_parsers_may_read_differently(
    library: str, lmtokens_portal: Portal, elsewhere: Answering, disguise: str
) -> None:
    # A bearer token travels whole: one request that goes elsewhere gives it away.
    auth = lmtokens_portal.auth(bearer_token=lmtokens_portal.bearer_token)
    portal, other = (urlsplit(base).netloc for base in (lmtokens_portal.base_url, elsewhere.base_url))
    # Whether it is an error and whose is the library's business.
    with contextlib.suppress(Exception):
        send(library, auth, "GET", disguise.format(portal=portal, other=other))
    assert elsewhere.heard == []


@pytest.mark.parametrize("library", LIBRARIES)
def test_message_shows_neither_query_nor_user_info(library: str, elsewhere: Answering) -> None:
    auth = lmtokens.LMv1Auth("acme", access_id=ACCESS_ID, access_key=ACCESS_KEY)
    url = elsewhere.base_url.replace("127.0.0.1", "user:invented-password@127.0.0.1")
    error = refused(library, auth, f"{url}/x?key=invented-query")
    assert "invented" not in f"{error} {error!r} {vars(error)}"


@pytest.mark.parametrize("library", LIBRARIES)
def test_our_authorization_wins_over_netrc(
    library: str, lmtokens_portal: Portal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text(NETRC.format(host="127.0.0.1"))
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    assert send(library, lmtokens_portal.auth(), "GET", lmtokens_portal.base_url + PATH).status == 200
    assert [seen.signature for seen in lmtokens_portal.record] == ["valid"]


@pytest.mark.parametrize("library", LIBRARIES)
def test_our_authorization_wins_over_the_urls_user_info(library: str, lmtokens_portal: Portal) -> None:
    url = lmtokens_portal.base_url.replace("127.0.0.1", "user:invented-password@127.0.0.1")
    assert send(library, lmtokens_portal.auth(), "GET", url + PATH).status == 200
    assert [seen.signature for seen in lmtokens_portal.record] == ["valid"]


def test_default_port_may_be_written() -> None:
    auth = lmtokens.LMv1Auth("acme", access_id=ACCESS_ID, access_key=ACCESS_KEY)
    assert auth._is_bound_to("https://ACME.logicmonitor.com:443/santaba/rest/x")
    assert not auth._is_bound_to("https://acme.logicmonitor.com:80/santaba/rest/x")


def test_each_portal_has_its_own(lmtokens_portal: Portal) -> None:
    with Portal() as other:
        for portal, stranger in ((lmtokens_portal, other), (other, lmtokens_portal)):
            assert send("requests", portal.auth(), "GET", portal.base_url + PATH).status == 200
            refused("requests", portal.auth(), stranger.base_url + PATH)
        assert [len(portal.record) for portal in (lmtokens_portal, other)] == [1, 1]


def test_company_is_missing() -> None:
    with pytest.raises(lmtokens.ConfigurationError, match="company") as caught:
        lmtokens.LMv1Auth(access_id=ACCESS_ID, access_key=ACCESS_KEY)
    assert "LM_COMPANY" in str(caught.value)


def test_credentials_are_missing() -> None:
    with pytest.raises(lmtokens.CredentialsError) as caught:
        lmtokens.LMv1Auth("acme")
    assert "LM_ACCESS_ID" in str(caught.value)


@pytest.mark.parametrize("base_url", ["http://acme.logicmonitor.com/santaba/rest", "http://192.0.2.1/santaba/rest"])
def test_plain_http_is_refused(base_url: str) -> None:
    with pytest.raises(lmtokens.ConfigurationError, match="http"):
        lmtokens.LMv1Auth(base_url=base_url, access_id=ACCESS_ID, access_key=ACCESS_KEY)
