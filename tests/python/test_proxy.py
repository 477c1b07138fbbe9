"""When a proxy is used: never for a portal on loopback, and for one elsewhere unless NO_PROXY says otherwise."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
from certificates import issued
from network import NEEDS_IPV6, ConnectProxy, Relay, Server, TlsServer, port_of, tls_in_front_of
from support import ACCESS_ID, ACCESS_KEY, HANG_TIMEOUT, Listener, run_python, run_shell

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lmtokens.sandbox import Portal

ELSEWHERE = "https://portal.example/santaba/rest"
VARIABLES = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]


@pytest.fixture
def deaf_proxy(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> Listener:
    """A proxy by every variable, which keeps what it hears and answers nothing."""
    for name, url in listener.proxies().items():
        monkeypatch.setenv(name, url)
    return listener


@pytest.fixture
def elsewhere(lmtokens_portal: Portal) -> Iterator[TlsServer]:
    """TLS in front of the portal, as ``portal.example``: a name that only the proxy knows."""
    with tls_in_front_of(lmtokens_portal, issued("portal.example")) as server:
        yield server


@pytest.fixture
def proxy(elsewhere: TlsServer) -> Iterator[ConnectProxy]:
    with ConnectProxy({"portal.example:443": elsewhere.port}) as running:
        yield running


def client_of(portal: Portal, ca_bundle: Path, **settings: Any) -> lmtokens.Client:
    return portal.client(base_url=ELSEWHERE, ca_bundle=ca_bundle, **settings)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST"])
def test_no_byte_for_a_loopback_portal(deaf_proxy: Listener, lmtokens_portal: Portal, host: str) -> None:
    base_url = lmtokens_portal.base_url.replace("127.0.0.1", host)
    lmtokens_portal.client(base_url=base_url).add_token(32)
    assert len(lmtokens_portal.record) == 1
    assert deaf_proxy.received == []


@NEEDS_IPV6
def test_no_byte_for_a_loopback_portal_of_ipv6(deaf_proxy: Listener, lmtokens_portal: Portal) -> None:
    with Relay(port_of(lmtokens_portal), "::1") as relay:
        token = lmtokens_portal.client(base_url=f"http://[::1]:{relay.port}/santaba/rest").add_token(32)
    assert token.id == lmtokens_portal.tokens[-1].id
    assert relay.connections == 1
    assert deaf_proxy.received == []


def test_no_byte_for_a_loopback_portal_with_a_proxy_given(listener: Listener, lmtokens_portal: Portal) -> None:
    lmtokens_portal.client(proxy=listener.url).add_token(32)
    assert listener.received == []


@pytest.mark.parametrize("host", ["127.0.0.2", pytest.param("[::1]", marks=NEEDS_IPV6)])
def test_no_byte_for_a_loopback_address_where_nobody_is(deaf_proxy: Listener, host: str) -> None:
    address = host.strip("[]")
    # Bound and never listening: nobody else can take the port meanwhile.
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as nobody:
        nobody.bind((address, 0))
        client = lmtokens.Client(
            access_id=ACCESS_ID,
            access_key=ACCESS_KEY,
            base_url=f"http://{host}:{nobody.getsockname()[1]}/santaba/rest",
        )
        with pytest.raises(lmtokens.ConnectError):
            client.add_token(32)
    assert deaf_proxy.received == []


def test_no_byte_of_a_program_of_its_own(deaf_proxy: Listener, lmtokens_portal: Portal) -> None:
    completed = run_python("import lmtokens; print(lmtokens.add_token(32).id)")
    assert completed.stdout.strip() == str(lmtokens_portal.tokens[-1].id)
    assert run_shell("add", "32").returncode == 0
    assert [seen.method for seen in lmtokens_portal.record] == ["POST", "POST", "PATCH"]
    assert deaf_proxy.received == []


@pytest.mark.parametrize("name", VARIABLES)
@pytest.mark.parametrize("form", ["http://127.0.0.1:{port}", "http://127.0.0.1:{port}/", "127.0.0.1:{port}"])
def test_variable(
    proxy: ConnectProxy,
    lmtokens_portal: Portal,
    ca_bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    form: str,
) -> None:
    monkeypatch.setenv(name, form.format(port=proxy.port))
    assert client_of(lmtokens_portal, ca_bundle).add_token(32).id == lmtokens_portal.tokens[-1].id
    (connect,) = proxy.seen
    assert connect.head.startswith("CONNECT portal.example:443 HTTP/1.1\r\n")
    assert "Authorization" not in connect.head


def test_proxy_sees_where_to_and_nothing_of_what(proxy: ConnectProxy, lmtokens_portal: Portal, ca_bundle: Path) -> None:
    client_of(lmtokens_portal, ca_bundle, proxy=proxy.url).add_token(32, "to be seen by no proxy")
    assert lmtokens_portal.tokens[-1].note == "to be seen by no proxy"
    carried = b"".join(proxy.seen[0].tunnelled)
    assert carried
    assert not [word for word in (b"LMv1", b"santaba", b"to be seen", b"accessKey") if word in carried]


def test_portal_sees_nothing_of_the_proxy(proxy: ConnectProxy, lmtokens_portal: Portal, ca_bundle: Path) -> None:
    with_credentials = proxy.url_for("user", "invented-password")
    client_of(lmtokens_portal, ca_bundle, proxy=with_credentials).add_token(32)
    assert lmtokens_portal.record[0].headers == [
        "accept",
        "authorization",
        "content-length",
        "content-type",
        "host",
        "user-agent",
        "x-version",
    ]


def test_one_tunnel_serves_several_calls(proxy: ConnectProxy, lmtokens_portal: Portal, ca_bundle: Path) -> None:
    client = client_of(lmtokens_portal, ca_bundle, proxy=proxy.url)
    for _ in range(3):
        client.add_token(32)
    assert len(proxy.seen) == 1
    assert len(lmtokens_portal.record) == 3


def test_argument_wins_over_the_variables(
    deaf_proxy: Listener,
    proxy: ConnectProxy,
    lmtokens_portal: Portal,
    ca_bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Whoever names a proxy in the call wants it.
    monkeypatch.setenv("NO_PROXY", "*")
    client_of(lmtokens_portal, ca_bundle, proxy=proxy.url).add_token(32)
    assert len(proxy.seen) == 1
    assert deaf_proxy.received == []


def test_variable_of_plain_http_is_not_for_us(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, listener.url)
    client = lmtokens.Client(access_id=ACCESS_ID, access_key=ACCESS_KEY, base_url="https://acme.invalid/santaba/rest")
    with pytest.raises(lmtokens.ConnectError):
        client.add_token(32)
    assert listener.received == []


@pytest.mark.parametrize(
    ("name", "exceptions", "direct"),
    [
        ("NO_PROXY", "acme.invalid", True),
        ("no_proxy", "acme.invalid", True),
        ("NO_PROXY", "ACME.invalid", True),
        ("NO_PROXY", ".invalid", True),
        ("NO_PROXY", "other.example, acme.invalid", True),
        ("NO_PROXY", "*", True),
        ("NO_PROXY", "", False),
        ("NO_PROXY", "cme.invalid", False),
        ("NO_PROXY", "www.acme.invalid,other.example", False),
    ],
)
def test_no_proxy(
    lmtokens_portal: Portal, monkeypatch: pytest.MonkeyPatch, name: str, exceptions: str, direct: bool
) -> None:
    # The name leads nowhere on its own, and the proxy leads nowhere either: only who was asked differs.
    with ConnectProxy({}) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.setenv(name, exceptions)
        client = lmtokens_portal.client(base_url="https://acme.invalid/santaba/rest")
        with pytest.raises(lmtokens.ConnectError, match="cannot find the host" if direct else "cannot connect to"):
            client.add_token(32)
    assert {connect.target for connect in proxy.seen} == (set() if direct else {"acme.invalid:443"})


def test_proxy_behind_tls(proxy: ConnectProxy, lmtokens_portal: Portal, ca_bundle: Path) -> None:
    with TlsServer(issued("localhost"), proxy.port) as secured:
        client = client_of(lmtokens_portal, ca_bundle, proxy=f"https://localhost:{secured.port}")
        assert client.add_token(32).id == lmtokens_portal.tokens[-1].id
    assert b"".join(secured.received).startswith(b"CONNECT portal.example:443 ")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno",
        b"HTTP/1.1 302 Found\r\nLocation: https://login.example/\r\nContent-Length: 0\r\n\r\n",
        b"no HTTP at all\r\n\r\n",
        b"",
        b"HTTP/1.1 200 OK\r\n\r\n",
    ],
    ids=["forbidden", "redirect", "no HTTP", "nothing", "no tunnel"],
)
def test_proxy_that_gives_no_tunnel(lmtokens_portal: Portal, answer: bytes) -> None:
    with ConnectProxy({}, response=answer) as refusing:
        client = lmtokens_portal.client(base_url=ELSEWHERE, proxy=refusing.url)
        with pytest.raises(lmtokens.ConnectError) as caught:
            client.add_token(32)
    # It is told apart from a portal that refuses, and no create can have happened.
    assert f"cannot connect to portal.example (through the proxy 127.0.0.1:{refusing.port})" in str(caught.value)
    assert caught.value.maybe_applied is False
    assert lmtokens_portal.record == []


def test_proxy_that_says_nothing() -> None:
    def wait_for_the_end(connection: socket.socket) -> None:
        while connection.recv(65536):
            pass

    with Server(wait_for_the_end) as silent:
        client = lmtokens.Client(
            access_id=ACCESS_ID,
            access_key=ACCESS_KEY,
            base_url=ELSEWHERE,
            proxy=f"http://127.0.0.1:{silent.port}",
            timeout=(0.3, HANG_TIMEOUT),
        )
        with pytest.raises(lmtokens.RequestTimeoutError, match=r"through the proxy .* within 0\.3 s") as caught:
            client.add_token(32)
    assert caught.value.maybe_applied is False
