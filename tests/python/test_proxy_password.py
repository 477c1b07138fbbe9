"""A proxy password is sent to the proxy only, and never shown or logged."""

from __future__ import annotations

import asyncio
import base64
import logging
import traceback
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import lmtokens
import pytest
from certificates import issued
from network import ConnectProxy, TlsServer, tls_in_front_of
from support import ACCESS_ID, ACCESS_KEY, run_python, run_shell

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lmtokens.sandbox import Portal

REMOTE_URL = "https://portal.example/santaba/rest"
USER = "proxy-user"
# Invented, with every character that has a meaning in URLs, one outside ASCII, and no word that other output contains.
PASSWORD = "nv3nt3d:p@ss/word?#%é"
WRONG = "nv3nt3d-wr0ng-0ne"


def spellings(password: str) -> list[str]:
    """Return what no output may contain: the password as is, URL-encoded, in the header, and in base64."""
    pair = f"{USER}:{password}".encode()
    encoded = [base64.b64encode(text).decode().rstrip("=") for text in (pair, password.encode())]
    # Prefixes too, because output may be truncated.
    return [password, quote(password, safe=""), repr(password), password[:8], *encoded, encoded[0][:24]]


def leaks(output: object, password: str = PASSWORD) -> list[str]:
    return [spelling for spelling in spellings(password) if spelling in str(output)]


@pytest.fixture
def proxy(lmtokens_portal: Portal) -> Iterator[ConnectProxy]:
    with (
        tls_in_front_of(lmtokens_portal, issued("portal.example")) as remote,
        ConnectProxy({"portal.example:443": remote.port}, credentials=f"{USER}:{PASSWORD}") as running,
    ):
        yield running


@pytest.fixture
def environment(
    proxy: ConnectProxy, lmtokens_portal: Portal, ca_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> pytest.MonkeyPatch:
    """Portal, CA bundle and proxy with its password, all set by environment variables."""
    monkeypatch.setenv("LM_BASE_URL", REMOTE_URL)
    monkeypatch.setenv("SSL_CERT_FILE", str(ca_bundle))
    monkeypatch.setenv("HTTPS_PROXY", url(proxy))
    return monkeypatch


def url(proxy: ConnectProxy, password: str = PASSWORD) -> str:
    return proxy.url_for(USER, quote(password, safe=""))


def remote_client(portal: Portal, ca_bundle: Path, proxy_url: str | lmtokens.Secret) -> lmtokens.Client:
    return portal.client(base_url=REMOTE_URL, ca_bundle=ca_bundle, proxy=proxy_url)


@pytest.mark.parametrize("wrap", [str, lmtokens.Secret])
def test_password_in_the_argument(proxy: ConnectProxy, lmtokens_portal: Portal, ca_bundle: Path, wrap: Any) -> None:
    token = remote_client(lmtokens_portal, ca_bundle, wrap(url(proxy))).add_token(32)
    assert token.id == lmtokens_portal.tokens[-1].id
    expected = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    assert f"Proxy-Authorization: Basic {expected}".lower() in proxy.seen[0].head.lower()


def test_password_in_a_variable(environment: pytest.MonkeyPatch, lmtokens_portal: Portal) -> None:
    assert lmtokens.add_token(32).id == lmtokens_portal.tokens[-1].id


def test_password_with_the_async_client(proxy: ConnectProxy, lmtokens_portal: Portal, ca_bundle: Path) -> None:
    async def add() -> lmtokens.Token:
        client = lmtokens_portal.async_client(base_url=REMOTE_URL, ca_bundle=ca_bundle, proxy=url(proxy))
        return await client.add_token(32)

    assert asyncio.run(add()).id == lmtokens_portal.tokens[-1].id
    assert len(proxy.seen) == 1


def test_password_in_the_shell(environment: pytest.MonkeyPatch, lmtokens_portal: Portal) -> None:
    completed = run_shell("add", "32", "-o", "json")
    assert completed.returncode == 0
    assert f'"id": {lmtokens_portal.tokens[-1].id}' in completed.stdout
    assert leaks(completed.stdout + completed.stderr) == []


def test_proxy_behind_tls(proxy: ConnectProxy, lmtokens_portal: Portal, ca_bundle: Path) -> None:
    with TlsServer(issued("localhost"), proxy.port) as secured:
        secured_url = f"https://{USER}:{quote(PASSWORD, safe='')}@localhost:{secured.port}"
        remote_client(lmtokens_portal, ca_bundle, secured_url).add_token(32)
    assert b"proxy-authorization: basic " in b"".join(secured.received).lower()


@pytest.mark.parametrize("password", [WRONG, None])
def test_wrong_or_missing_password(
    proxy: ConnectProxy, lmtokens_portal: Portal, ca_bundle: Path, password: str | None
) -> None:
    proxy_url = proxy.url if password is None else url(proxy, password)
    with pytest.raises(lmtokens.ConnectError) as caught:
        remote_client(lmtokens_portal, ca_bundle, proxy_url).add_token(32)
    assert (
        f"cannot connect to portal.example (through the proxy 127.0.0.1:{proxy.port}): "
        "the proxy requires a user name and a password, or rejected the given ones"
    ) in str(caught.value)
    assert "http://USER:PASSWORD@HOST:PORT" in str(caught.value.suggestion)
    # Not retried: companies lock accounts after a few wrong passwords. The proxy is asked for its reason without one.
    sent = [connect for connect in proxy.seen if "proxy-authorization:" in connect.head.lower()]
    assert (caught.value.attempts, len(sent)) == (1, 0 if password is None else 1)
    assert len(proxy.seen) == 2
    assert caught.value.maybe_applied is False
    assert lmtokens_portal.record == []


def test_objects_and_logs_do_not_show_the_password(
    proxy: ConnectProxy, lmtokens_portal: Portal, ca_bundle: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "lmtokens")
    client = remote_client(lmtokens_portal, ca_bundle, lmtokens.Secret(url(proxy)))
    client.add_token(32)
    identity = client.whoami()
    asynchronous = lmtokens_portal.async_client(base_url=REMOTE_URL, proxy=lmtokens.Secret(url(proxy)))
    auth = lmtokens_portal.auth(base_url=REMOTE_URL, proxy=lmtokens.Secret(url(proxy)))
    for holder in (client, asynchronous, auth, identity):
        shown = [f"{holder} {holder!r}", *(getattr(holder, name, None) for name in dir(holder))]
        assert leaks(shown) == []
    assert leaks(proxy.seen[0].head), "the search finds the password in the CONNECT request"
    assert "200" in caplog.text
    assert leaks(caplog.text) == []
    assert leaks([vars(record) for record in caplog.records]) == []


@pytest.mark.parametrize("password", [PASSWORD, WRONG])
def test_errors_do_not_show_the_password(
    proxy: ConnectProxy,
    lmtokens_portal: Portal,
    environment: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    password: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    environment.setenv("HTTPS_PROXY", url(proxy, password))
    # A host that the proxy does not know, and a host whose certificate is not trusted.
    for base_url in (REMOTE_URL.replace("portal", "other"), REMOTE_URL):
        environment.setenv("LM_BASE_URL", base_url)
        environment.delenv("SSL_CERT_FILE", raising=False)
        with pytest.raises(lmtokens.TransportError) as caught:
            lmtokens.Client().add_token(32)
        error = caught.value
        shown = traceback.TracebackException(type(error), error, error.__traceback__, capture_locals=False)
        everything = ["".join(shown.format()), repr(error), vars(error), error.args, caplog.text]
        assert "127.0.0.1" in str(error)
        assert leaks(everything, password) == []


SCHEMES = ["ftp://{userinfo}@127.0.0.1", "file://{userinfo}@127.0.0.1/x"]
HOSTS = ["http://{userinfo}@", "http://{userinfo}@127.0.0.1:no-port", "http://{userinfo}@127.0.0.1:99999"]


@pytest.mark.parametrize(
    ("source", "form"),
    [
        *(("proxy", form) for form in [*SCHEMES, *HOSTS, "{userinfo}@127.0.0.1:3128"]),
        # A variable may omit the scheme.
        *(("HTTPS_PROXY", form) for form in [*SCHEMES, *HOSTS, "{userinfo}@127.0.0.1:99999"]),
    ],
)
def test_unusable_proxy_url(monkeypatch: pytest.MonkeyPatch, source: str, form: str) -> None:
    unusable = form.format(userinfo=f"{USER}:{quote(PASSWORD, safe='')}")
    settings: dict[str, Any] = {"proxy": lmtokens.Secret(unusable)} if source == "proxy" else {}
    if source != "proxy":
        monkeypatch.setenv(source, unusable)
    with pytest.raises(lmtokens.ConfigurationError) as caught:
        lmtokens.Client("acme", access_id=ACCESS_ID, access_key=ACCESS_KEY, **settings)
    assert str(caught.value).startswith(f"invalid {source}: not the URL of a proxy")
    assert "http://HOST:PORT" in str(caught.value.suggestion)
    assert leaks(f"{caught.value} {caught.value!r} {vars(caught.value)}") == []


_VERBOSE_PROGRAM = """
import logging, sys, traceback
logging.basicConfig(level=logging.DEBUG, stream=sys.stdout)
import lmtokens
client = lmtokens.Client()
print(client, repr(client))
try:
    print(client.whoami())
    print(client.add_token(32))
    print(list(client.list_tokens(32)))
    client.find_token(4711)
except lmtokens.LMTokensError as error:
    print(repr(error), vars(error))
    trace = traceback.TracebackException(type(error), error, error.__traceback__, capture_locals=True)
    print("".join(trace.format()))
    raise
"""


@pytest.mark.parametrize("password", [PASSWORD, WRONG])
def test_program_output_does_not_show_the_password(
    proxy: ConnectProxy, environment: pytest.MonkeyPatch, password: str
) -> None:
    environment.setenv("HTTPS_PROXY", url(proxy, password))
    for name, value in {"RUST_LOG": "trace", "RUST_BACKTRACE": "full", "PYTHONDEVMODE": "1"}.items():
        environment.setenv(name, value)
    completed = run_python(_VERBOSE_PROGRAM)
    assert completed.returncode == 1
    expected = "token with id 4711 not found" if password == PASSWORD else "through the proxy"
    assert expected in completed.stderr
    assert "DEBUG:lmtokens" in completed.stdout
    assert leaks(completed.stdout + completed.stderr, password) == []


def test_shell_does_not_show_a_wrong_password(proxy: ConnectProxy, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("HTTPS_PROXY", url(proxy, WRONG))
    environment.setenv("RUST_LOG", "trace")
    completed = run_shell("add", "32")
    assert completed.returncode == 1
    assert "cannot connect to portal.example (through the proxy" in completed.stderr
    assert leaks(completed.stdout + completed.stderr, WRONG) == []


@pytest.mark.parametrize(
    ("credentials", "problem"),
    [("s%3Avc:pw", "colon"), ("svc:p%E9ss", "UTF-8"), ("sv%E9:pw", "UTF-8"), ("svc:%ff", "UTF-8")],
)
def test_credentials_that_cannot_be_sent_as_they_are(
    monkeypatch: pytest.MonkeyPatch, credentials: str, problem: str
) -> None:
    url = f"http://{credentials}@proxy.example:8080"
    settings: dict[str, Any] = {"base_url": REMOTE_URL, "access_id": ACCESS_ID, "access_key": ACCESS_KEY}
    with pytest.raises(lmtokens.ConfigurationError, match=problem) as caught:
        lmtokens.Client(proxy=url, **settings)
    assert credentials not in str(caught.value)
    monkeypatch.setenv("HTTPS_PROXY", url)
    with pytest.raises(lmtokens.ConfigurationError, match=f"HTTPS_PROXY.*{problem}"):
        lmtokens.Client(**settings)
