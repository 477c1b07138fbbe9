"""A proxy is never used for a portal on loopback, and is used for any other portal unless NO_PROXY excludes it."""

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

REMOTE_URL = "https://portal.example/santaba/rest"
VARIABLES = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]


@pytest.fixture
def silent_proxy(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> Listener:
    """Every proxy variable points to a listener that records bytes and never responds."""
    for name, url in listener.proxies().items():
        monkeypatch.setenv(name, url)
    return listener


@pytest.fixture
def remote(lmtokens_portal: Portal) -> Iterator[TlsServer]:
    """TLS in front of the sandbox as ``portal.example``, a name that only the proxy can resolve."""
    with tls_in_front_of(lmtokens_portal, issued("portal.example")) as server:
        yield server


@pytest.fixture
def proxy(remote: TlsServer) -> Iterator[ConnectProxy]:
    with ConnectProxy({"portal.example:443": remote.port}) as running:
        yield running


def remote_client(portal: Portal, ca_bundle: Path, **settings: Any) -> lmtokens.Client:
    return portal.client(base_url=REMOTE_URL, ca_bundle=ca_bundle, **settings)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST"])
def test_loopback_bypasses_the_proxy(silent_proxy: Listener, lmtokens_portal: Portal, host: str) -> None:
    base_url = lmtokens_portal.base_url.replace("127.0.0.1", host)
    lmtokens_portal.client(base_url=base_url).add_token(32)
    assert len(lmtokens_portal.record) == 1
    assert silent_proxy.received == []


@NEEDS_IPV6
def test_ipv6_loopback_bypasses_the_proxy(silent_proxy: Listener, lmtokens_portal: Portal) -> None:
    with Relay(port_of(lmtokens_portal), "::1") as relay:
        token = lmtokens_portal.client(base_url=f"http://[::1]:{relay.port}/santaba/rest").add_token(32)
    assert token.id == lmtokens_portal.tokens[-1].id
    assert relay.connections == 1
    assert silent_proxy.received == []


def test_loopback_bypasses_a_proxy_passed_as_argument(listener: Listener, lmtokens_portal: Portal) -> None:
    lmtokens_portal.client(proxy=listener.url).add_token(32)
    assert listener.received == []


@pytest.mark.parametrize("host", ["127.0.0.2", pytest.param("[::1]", marks=NEEDS_IPV6)])
def test_unreachable_loopback_bypasses_the_proxy(silent_proxy: Listener, host: str) -> None:
    address = host.strip("[]")
    # Bound but not listening, so that no other program can take the port.
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as unused:
        unused.bind((address, 0))
        client = lmtokens.Client(
            access_id=ACCESS_ID,
            access_key=ACCESS_KEY,
            base_url=f"http://{host}:{unused.getsockname()[1]}/santaba/rest",
        )
        with pytest.raises(lmtokens.ConnectError):
            client.add_token(32)
    assert silent_proxy.received == []


def test_loopback_bypasses_the_proxy_in_a_new_process(silent_proxy: Listener, lmtokens_portal: Portal) -> None:
    completed = run_python("import lmtokens; print(lmtokens.add_token(32).id)")
    assert completed.stdout.strip() == str(lmtokens_portal.tokens[-1].id)
    assert run_shell("add", "32").returncode == 0
    assert [seen.method for seen in lmtokens_portal.record] == ["POST", "POST", "PATCH"]
    assert silent_proxy.received == []


@pytest.mark.parametrize("name", VARIABLES)
@pytest.mark.parametrize("form", ["http://127.0.0.1:{port}", "http://127.0.0.1:{port}/", "127.0.0.1:{port}"])
def test_proxy_from_a_variable(
    proxy: ConnectProxy,
    lmtokens_portal: Portal,
    ca_bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    form: str,
) -> None:
    monkeypatch.setenv(name, form.format(port=proxy.port))
    assert remote_client(lmtokens_portal, ca_bundle).add_token(32).id == lmtokens_portal.tokens[-1].id
    (connect,) = proxy.seen
    assert connect.head.startswith("CONNECT portal.example:443 HTTP/1.1\r\n")
    assert "Authorization" not in connect.head


def test_proxy_sees_the_target_but_not_the_content(
    proxy: ConnectProxy, lmtokens_portal: Portal, ca_bundle: Path
) -> None:
    remote_client(lmtokens_portal, ca_bundle, proxy=proxy.url).add_token(32, "hidden from the proxy")
    assert lmtokens_portal.tokens[-1].note == "hidden from the proxy"
    tunnelled = b"".join(proxy.seen[0].tunnelled)
    assert tunnelled
    assert not [word for word in (b"LMv1", b"santaba", b"hidden", b"accessKey") if word in tunnelled]


def test_portal_receives_no_proxy_headers(proxy: ConnectProxy, lmtokens_portal: Portal, ca_bundle: Path) -> None:
    with_credentials = proxy.url_for("user", "invented-password")
    remote_client(lmtokens_portal, ca_bundle, proxy=with_credentials).add_token(32)
    assert lmtokens_portal.record[0].headers == [
        "accept",
        "accept-encoding",
        "authorization",
        "content-length",
        "content-type",
        "host",
        "user-agent",
        "x-version",
    ]


def test_one_tunnel_serves_several_calls(proxy: ConnectProxy, lmtokens_portal: Portal, ca_bundle: Path) -> None:
    client = remote_client(lmtokens_portal, ca_bundle, proxy=proxy.url)
    for _ in range(3):
        client.add_token(32)
    assert len(proxy.seen) == 1
    assert len(lmtokens_portal.record) == 3


def test_argument_wins_over_the_variables(
    silent_proxy: Listener,
    proxy: ConnectProxy,
    lmtokens_portal: Portal,
    ca_bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A proxy passed as an argument overrides NO_PROXY as well.
    monkeypatch.setenv("NO_PROXY", "*")
    remote_client(lmtokens_portal, ca_bundle, proxy=proxy.url).add_token(32)
    assert len(proxy.seen) == 1
    assert silent_proxy.received == []


def test_http_proxy_variable_is_ignored(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
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
    # Neither the host nor the proxy leads anywhere; the error shows which of them was tried.
    with ConnectProxy({}) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.setenv(name, exceptions)
        client = lmtokens_portal.client(base_url="https://acme.invalid/santaba/rest")
        with pytest.raises(lmtokens.ConnectError, match="cannot find the host" if direct else "cannot connect to"):
            client.add_token(32)
    assert {connect.target for connect in proxy.seen} == (set() if direct else {"acme.invalid:443"})


def test_proxy_behind_tls(proxy: ConnectProxy, lmtokens_portal: Portal, ca_bundle: Path) -> None:
    with TlsServer(issued("localhost"), proxy.port) as secured:
        client = remote_client(lmtokens_portal, ca_bundle, proxy=f"https://localhost:{secured.port}")
        assert client.add_token(32).id == lmtokens_portal.tokens[-1].id
    assert b"".join(secured.received).startswith(b"CONNECT portal.example:443 ")


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno",
        b"HTTP/1.1 302 Found\r\nLocation: https://login.example/\r\nContent-Length: 0\r\n\r\n",
        b"not HTTP\r\n\r\n",
        b"",
        b"HTTP/1.1 200 OK\r\n\r\n",
    ],
    ids=["forbidden", "redirect", "not HTTP", "empty", "no tunnel"],
)
def test_proxy_that_refuses_the_tunnel(lmtokens_portal: Portal, response: bytes) -> None:
    with ConnectProxy({}, response=response) as refusing:
        client = lmtokens_portal.client(base_url=REMOTE_URL, proxy=refusing.url)
        with pytest.raises(lmtokens.ConnectError) as caught:
            client.add_token(32)
    # The error names the proxy, and the portal cannot have created a token.
    assert f"cannot connect to portal.example (through the proxy 127.0.0.1:{refusing.port})" in str(caught.value)
    assert caught.value.maybe_applied is False
    assert lmtokens_portal.record == []


def test_proxy_that_does_not_respond() -> None:
    def read_until_closed(connection: socket.socket) -> None:
        while connection.recv(65536):
            pass

    with Server(read_until_closed) as silent:
        client = lmtokens.Client(
            access_id=ACCESS_ID,
            access_key=ACCESS_KEY,
            base_url=REMOTE_URL,
            proxy=f"http://127.0.0.1:{silent.port}",
            timeout=(0.3, HANG_TIMEOUT),
        )
        with pytest.raises(lmtokens.RequestTimeoutError, match=r"through the proxy .* within 0\.3 s") as caught:
            client.add_token(32)
    assert caught.value.maybe_applied is False
