"""A proxy that demands a password gets it, and it stands nowhere that a person or a log could see it."""

from __future__ import annotations

import asyncio
import base64
import logging
import traceback
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import lmtokens
import pytest
from certificates import authority_pem, issued
from network import ConnectProxy, TlsServer, tls_in_front_of
from support import ACCESS_ID, ACCESS_KEY, run_python, run_shell

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lmtokens.sandbox import Portal

ELSEWHERE = "https://portal.example/santaba/rest"
USER = "proxy-user"
# Invented: every character that means something in a URL, and one outside ASCII; no word that a text may hold anyway.
PASSWORD = "nv3nt3d:p@ss/word?#%é"
WRONG = "nv3nt3d-wr0ng-0ne"


def spellings(password: str) -> list[str]:
    """All that an output must not hold: the password as it is, in a URL, in the header, and alone in base64."""
    pair = f"{USER}:{password}".encode()
    encoded = [base64.b64encode(text).decode().rstrip("=") for text in (pair, password.encode())]
    # A prefix as well: an output may be cut.
    return [password, quote(password, safe=""), repr(password), password[:8], *encoded, encoded[0][:24]]


def leaks(output: object, password: str = PASSWORD) -> list[str]:
    return [spelling for spelling in spellings(password) if spelling in str(output)]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = tmp_path / "authority.pem"
    path.write_bytes(authority_pem())
    return path


@pytest.fixture
def proxy(lmtokens_portal: Portal) -> Iterator[ConnectProxy]:
    with (
        tls_in_front_of(lmtokens_portal, issued("portal.example")) as elsewhere,
        ConnectProxy({"portal.example:443": elsewhere.port}, credentials=f"{USER}:{PASSWORD}") as running,
    ):
        yield running


@pytest.fixture
def environment(
    proxy: ConnectProxy, lmtokens_portal: Portal, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> pytest.MonkeyPatch:
    """Everything by variables, the right password too."""
    monkeypatch.setenv("LM_BASE_URL", ELSEWHERE)
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    monkeypatch.setenv("HTTPS_PROXY", url(proxy))
    return monkeypatch


def url(proxy: ConnectProxy, password: str = PASSWORD) -> str:
    return proxy.url_for(USER, quote(password, safe=""))


def client_of(portal: Portal, bundle: Path, proxy_url: str | lmtokens.Secret) -> lmtokens.Client:
    return portal.client(base_url=ELSEWHERE, ca_bundle=bundle, proxy=proxy_url)


@pytest.mark.parametrize("wrap", [str, lmtokens.Secret])
def test_argument(proxy: ConnectProxy, lmtokens_portal: Portal, bundle: Path, wrap: Any) -> None:
    token = client_of(lmtokens_portal, bundle, wrap(url(proxy))).add_token(32)
    assert token.id == lmtokens_portal.tokens[-1].id
    expected = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    assert f"Proxy-Authorization: Basic {expected}".lower() in proxy.seen[0].head.lower()


def test_variable(environment: pytest.MonkeyPatch, lmtokens_portal: Portal) -> None:
    assert lmtokens.add_token(32).id == lmtokens_portal.tokens[-1].id


def test_async(proxy: ConnectProxy, lmtokens_portal: Portal, bundle: Path) -> None:
    async def add() -> lmtokens.Token:
        client = lmtokens_portal.async_client(base_url=ELSEWHERE, ca_bundle=bundle, proxy=url(proxy))
        return await client.add_token(32)

    assert asyncio.run(add()).id == lmtokens_portal.tokens[-1].id
    assert len(proxy.seen) == 1


def test_shell(environment: pytest.MonkeyPatch, lmtokens_portal: Portal) -> None:
    completed = run_shell("add", "32", "-o", "json")
    assert completed.returncode == 0
    assert f'"id": {lmtokens_portal.tokens[-1].id}' in completed.stdout
    assert leaks(completed.stdout + completed.stderr) == []


def test_proxy_behind_tls(proxy: ConnectProxy, lmtokens_portal: Portal, bundle: Path) -> None:
    with TlsServer(issued("localhost"), proxy.port) as secured:
        secured_url = f"https://{USER}:{quote(PASSWORD, safe='')}@localhost:{secured.port}"
        client_of(lmtokens_portal, bundle, secured_url).add_token(32)
    assert b"proxy-authorization: basic " in b"".join(secured.received).lower()


@pytest.mark.parametrize("password", [WRONG, None])
def test_wrong_or_no_password(proxy: ConnectProxy, lmtokens_portal: Portal, bundle: Path, password: str | None) -> None:
    proxy_url = proxy.url if password is None else url(proxy, password)
    with pytest.raises(lmtokens.ConnectError) as caught:
        client_of(lmtokens_portal, bundle, proxy_url).add_token(32)
    assert (
        f"cannot connect to portal.example (through the proxy 127.0.0.1:{proxy.port}): "
        "the proxy requires a user name and a password, or rejected the given ones"
    ) in str(caught.value)
    assert "http://USER:PASSWORD@HOST:PORT" in str(caught.value.suggestion)
    # Once: a company's accounts are locked after a few wrong passwords.
    assert (caught.value.attempts, len(proxy.seen)) == (1, 1)
    assert caught.value.maybe_applied is False
    assert lmtokens_portal.record == []


def test_nothing_shows_it(
    proxy: ConnectProxy, lmtokens_portal: Portal, bundle: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "lmtokens")
    client = client_of(lmtokens_portal, bundle, lmtokens.Secret(url(proxy)))
    client.add_token(32)
    who = client.whoami()
    asynchronous = lmtokens_portal.async_client(base_url=ELSEWHERE, proxy=lmtokens.Secret(url(proxy)))
    auth = lmtokens_portal.auth(base_url=ELSEWHERE, proxy=lmtokens.Secret(url(proxy)))
    for holder in (client, asynchronous, auth, who):
        shown = [f"{holder} {holder!r}", *(getattr(holder, name, None) for name in dir(holder))]
        assert leaks(shown) == []
    assert leaks(proxy.seen[0].head), "the search finds it where it has to be"
    assert "200" in caplog.text
    assert leaks(caplog.text) == []
    assert leaks([vars(record) for record in caplog.records]) == []


@pytest.mark.parametrize("password", [PASSWORD, WRONG])
def test_no_error_shows_it(
    proxy: ConnectProxy,
    lmtokens_portal: Portal,
    environment: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    password: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    environment.setenv("HTTPS_PROXY", url(proxy, password))
    # One that the proxy knows and whose certificate does not fit, one that it does not know.
    for base_url in (ELSEWHERE.replace("portal", "other"), ELSEWHERE):
        environment.setenv("LM_BASE_URL", base_url)
        environment.delenv("SSL_CERT_FILE", raising=False)
        with pytest.raises(lmtokens.TransportError) as caught:
            lmtokens.Client().add_token(32)
        error = caught.value
        shown = traceback.TracebackException(type(error), error, error.__traceback__, capture_locals=False)
        everything = ["".join(shown.format()), repr(error), vars(error), error.args, caplog.text]
        assert "127.0.0.1" in str(error)
        assert leaks(everything, password) == []


SCHEMES = ["socks5://{userinfo}@127.0.0.1:1080", "ftp://{userinfo}@127.0.0.1"]
HOSTS = ["http://{userinfo}@", "http://{userinfo}@127.0.0.1:no-port", "http://{userinfo}@127.0.0.1:99999"]


@pytest.mark.parametrize(
    ("source", "form"),
    [
        *(("proxy", form) for form in [*SCHEMES, *HOSTS, "{userinfo}@127.0.0.1:3128"]),
        # A variable may leave the scheme out, as elsewhere.
        *(("HTTPS_PROXY", form) for form in [*SCHEMES, *HOSTS, "{userinfo}@127.0.0.1:99999"]),
    ],
)
def test_url_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, source: str, form: str) -> None:
    unusable = form.format(userinfo=f"{USER}:{quote(PASSWORD, safe='')}")
    settings: dict[str, Any] = {"proxy": lmtokens.Secret(unusable)} if source == "proxy" else {}
    if source != "proxy":
        monkeypatch.setenv(source, unusable)
    with pytest.raises(lmtokens.ConfigurationError) as caught:
        lmtokens.Client("acme", access_id=ACCESS_ID, access_key=ACCESS_KEY, **settings)
    assert str(caught.value).startswith(f"invalid {source}: not the URL of a proxy")
    assert "http://HOST:PORT" in str(caught.value.suggestion)
    assert leaks(f"{caught.value} {caught.value!r} {vars(caught.value)}") == []


_TALKATIVE = """
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
def test_no_output_of_a_whole_program_shows_it(
    proxy: ConnectProxy, environment: pytest.MonkeyPatch, password: str
) -> None:
    environment.setenv("HTTPS_PROXY", url(proxy, password))
    for name, value in {"RUST_LOG": "trace", "RUST_BACKTRACE": "full", "PYTHONDEVMODE": "1"}.items():
        environment.setenv(name, value)
    completed = run_python(_TALKATIVE)
    assert completed.returncode == 1
    expected = "no token with id 4711" if password == PASSWORD else "through the proxy"
    assert expected in completed.stderr
    assert "DEBUG:lmtokens" in completed.stdout
    assert leaks(completed.stdout + completed.stderr, password) == []


def test_shell_does_not_show_a_wrong_one(proxy: ConnectProxy, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("HTTPS_PROXY", url(proxy, WRONG))
    environment.setenv("RUST_LOG", "trace")
    completed = run_shell("add", "32")
    assert completed.returncode == 1
    assert "cannot connect to portal.example (through the proxy" in completed.stderr
    assert leaks(completed.stdout + completed.stderr, WRONG) == []
