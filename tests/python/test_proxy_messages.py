"""Errors follow what was done: a proxy is named only if it was used, and its own refusal is told with its status."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import threading
from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
from certificates import issued, self_signed
from delivery_helpers import created_tokens, is_pending
from lmtokens.deliver import to_file
from network import ConnectProxy, Server, TlsServer, read_head, tls_in_front_of
from support import ACCESS_ID, ACCESS_KEY, HANG_TIMEOUT, run_shell
from test_sweep import orphan

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lmtokens.sandbox import Portal

pytestmark = pytest.mark.usefixtures("_no_ca_variables")

REMOTE_URL = "https://portal.example/santaba/rest"
CREDENTIALS: dict[str, Any] = {"access_id": ACCESS_ID, "access_key": ACCESS_KEY}
# Invented: what a proxy may repeat of a request.
MARKER = "Hunter2Zebra"


def everything_about(error: lmtokens.LMTokensError) -> str:
    return f"{error} {error!r} {vars(error)} {error.suggestion}".lower()


def refused_by(response: bytes, url: str = "http://{address}", **settings: Any) -> tuple[lmtokens.ConnectError, int]:
    with ConnectProxy({}, response=response) as proxy:
        client = lmtokens.Client(
            base_url=REMOTE_URL,
            proxy=url.format(address=f"127.0.0.1:{proxy.port}"),
            max_attempts=2,
            **CREDENTIALS,
            **settings,
        )
        with pytest.raises(lmtokens.ConnectError) as caught:
            client.add_token(32)
    error = caught.value
    assert f"cannot connect to portal.example (through the proxy 127.0.0.1:{proxy.port}): " in str(error)
    assert error.maybe_applied is False
    assert MARKER.lower() not in everything_about(error)
    # A refusal is final. It is followed by another connection, which asks for the reason.
    assert (error.attempts, len(proxy.seen)) == (1, 2)
    return error, sum("proxy-authorization:" in connect.head.lower() for connect in proxy.seen)


def response(status: str, *headers: str, body: str = MARKER) -> bytes:
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", body]
    return "\r\n".join(lines).encode()


@pytest.mark.parametrize("status", [301, 302, 400, 401, 403, 404, 405, 407, 429, 500, 502, 503, 504, 511])
@pytest.mark.parametrize("url", ["http://{address}", "http://user:" + MARKER + "@{address}"])
def test_status_is_told_with_advice(status: int, url: str) -> None:
    error, passwords = refused_by(response(f"{status} {MARKER}", f"X-Seen: {MARKER}", f"Location: {MARKER}"), url)
    assert f"status {status}" in str(error)
    assert error.status == status
    assert error.suggestion
    if MARKER in url:
        # A proxy that refuses the password is sent it once: repeated wrong passwords may lock the account.
        assert passwords == (1 if status == 407 else 2)


def test_advice_of_a_forbidden_connection_names_the_portal() -> None:
    error, _ = refused_by(response("403 Forbidden"))
    assert "portal.example:443" in str(error.suggestion)


@pytest.mark.parametrize(
    ("challenges", "expected"),
    [
        (["NTLM"], "NTLM"),
        (["Negotiate"], "Negotiate"),
        (["Negotiate", "NTLM"], "NTLM or Negotiate"),
        (["Negotiate, NTLM"], "NTLM or Negotiate"),
        (["ntlm TlRMTVNTUAACAAAA"], "NTLM"),
        (['Digest realm="' + MARKER + '", nonce="x"'], "Digest"),
        (['Digest realm="please use Basic login"'], "Digest"),
        (['Digest realm="x, Basic, \\", Basic", nonce = "Basic", algorithm = Basic'], "Digest"),
        (["Digest Basic=x", 'Negotiate realm="Basic"'], "Digest or Negotiate"),
    ],
)
def test_unsupported_authentication_is_named(challenges: list[str], expected: str) -> None:
    headers = [f"Proxy-Authenticate: {challenge}" for challenge in challenges]
    for url in ("http://{address}", "http://user:" + MARKER + "@{address}"):
        error, passwords = refused_by(response("407 Authenticate", *headers), url)
        assert "status 407" in str(error)
        assert f"requires {expected}, and only Basic is supported" in str(error)
        assert (error.status, error.attempts, passwords) == (407, 1, MARKER in url)


@pytest.mark.parametrize(
    "challenges",
    [["Basic realm=x"], ["NTLM", "Basic realm=x"], ['NTLM, Digest realm="x, y", Basic'], ["basic"], [], ["Unknown"]],
)
def test_missing_or_wrong_password(challenges: list[str]) -> None:
    headers = [f"proxy-authenticate: {challenge}" for challenge in challenges]
    error, _ = refused_by(response("407 Authenticate", *headers))
    assert "requires a user name and a password, or rejected the given ones (status 407)" in str(error)
    assert (error.status, error.attempts) == (407, 1)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"", "closed the connection without a response"),
        (b"SSH-2.0-" + MARKER.encode() + b"\r\n\r\n", "is not HTTP"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "is not HTTP"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "is not HTTP"),
        (b"HTTP/1.1\r\n\r\n", "is not HTTP"),
        (b"HTTP/1.1 403 Forbidden", "status 403"),
        (b"HTTP/1.0 503 x\n\n", "status 503"),
        (b"x" * 100_000, "is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000, "is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + MARKER.encode(), "before the end of its response"),
        (b"HTTP/1.1 200", "before the end of its response"),
        (b"HTTP/1.1 20", "is not HTTP"),
    ],
    ids=range(12),
)
def test_odd_answers(answer: bytes, expected: str) -> None:
    error, _ = refused_by(answer)
    assert expected in str(error)
    assert (
        "check the proxy" in str(error.suggestion) or "proxy cannot reach" in str(error.suggestion) or "403" in expected
    )


class ForgetfulProxy(Server):
    """Sends each response to one connection, and then none: it hangs, as after the last one."""

    def __init__(self, *responses: bytes) -> None:
        self.passwords = 0
        self.asked_again = threading.Event()
        self._responses = list(responses)
        super().__init__(self._respond)

    def _respond(self, connection: socket.socket) -> None:
        head = read_head(connection)
        self.passwords += b"proxy-authorization:" in head.lower()
        if self._responses:
            connection.sendall(self._responses.pop(0))
        else:
            self.asked_again.set()
            _silent(connection)

    def client(self, **settings: Any) -> lmtokens.Client:
        proxy = f"http://user:{MARKER}@127.0.0.1:{self.port}"
        return lmtokens.Client(base_url=REMOTE_URL, proxy=proxy, **CREDENTIALS, **settings)

    def __enter__(self) -> ForgetfulProxy:
        return self


@pytest.mark.parametrize(("first", "passwords", "status"), [("403 x", 2, None), ("407 x", 1, 407), ("503 x", 2, None)])
@pytest.mark.parametrize("timeout", [(0.3, 60), 0.3])
def test_reason_that_cannot_be_learned(first: str, passwords: int, status: int | None, timeout: Any) -> None:
    with ForgetfulProxy(response(first)) as proxy, pytest.raises(lmtokens.ConnectError) as caught:
        proxy.client(timeout=timeout).add_token(32)
    error = caught.value
    assert (error.attempts, error.maybe_applied, error.status) == (1, False, status)
    assert (proxy.connections, proxy.passwords) == (2, passwords)


@pytest.fixture
def remote(lmtokens_portal: Portal) -> Iterator[TlsServer]:
    with tls_in_front_of(lmtokens_portal, issued("portal.example")) as server:
        yield server


class ExpiringPassword(ConnectProxy):
    """A proxy that accepts the password for the first connection only."""

    def _connect(self, connection: socket.socket) -> None:
        if self.seen:
            self._expected = "another"
        super()._connect(connection)


def through(proxy: ConnectProxy, ca_bundle: Path) -> dict[str, str]:
    """Return the environment of a command that sends the marker as the proxy's password."""
    return {
        "LM_BASE_URL": REMOTE_URL,
        "SSL_CERT_FILE": str(ca_bundle),
        "HTTPS_PROXY": proxy.url_for("user", MARKER),
    }


def client_through(proxy: ConnectProxy, portal: Portal, ca_bundle: Path) -> lmtokens.Client:
    """Return a client that sends the marker as the proxy's password."""
    url = proxy.url_for("user", MARKER)
    return portal.client(base_url=REMOTE_URL, proxy=url, ca_bundle=ca_bundle, max_attempts=1)


def passwords_in(proxy: ConnectProxy) -> int:
    return sum("proxy-authorization:" in connect.head.lower() for connect in proxy.seen)


def test_bulk_run_sends_a_rejected_password_once(
    lmtokens_portal: Portal, remote: TlsServer, ca_bundle: Path, journal: Path
) -> None:
    rows = [(32, f"row {number}") for number in range(20)]
    settings: dict[str, Any] = {"base_url": REMOTE_URL, "ca_bundle": ca_bundle}
    with ConnectProxy({"portal.example:443": remote.port}, credentials="user:right") as proxy:
        client = lmtokens_portal.client(proxy=proxy.url_for("user", MARKER), **settings)
        run = client.add_tokens(rows, journal=journal)
        with pytest.raises(lmtokens.ConnectError, match="rejected the given ones") as caught:
            run.finish()
        assert passwords_in(proxy) == 1
        assert caught.value.status == 407
        assert MARKER.lower() not in everything_about(caught.value)
        assert (run.summary.failed, run.summary.skipped) == (1, 19)
        assert lmtokens_portal.record == []
        client = lmtokens_portal.client(proxy=proxy.url_for("user", "right"), **settings)
        assert client.add_tokens(rows, journal=journal, resume=True).finish().created == 20
    assert sorted(stored.note for stored in created_tokens(lmtokens_portal)) == sorted(note for _, note in rows)


def test_sweep_sends_a_rejected_password_once(lmtokens_portal: Portal, remote: TlsServer, ca_bundle: Path) -> None:
    orphans = [orphan(lmtokens_portal).id for _ in range(3)]
    # It ends the connection, so that the next request needs another one.
    lmtokens_portal.fail("close-before-acting", method="DELETE")
    with ExpiringPassword({"portal.example:443": remote.port}, credentials=f"user:{MARKER}") as proxy:
        client = client_through(proxy, lmtokens_portal, ca_bundle)
        swept = client.sweep_tokens(dry_run=False)
        assert passwords_in(proxy) == 2
    (error,) = (token.error for token in swept if token.error is not None)
    assert "status 407" in str(error)
    assert MARKER.lower() not in everything_about(error)
    assert [token.deleted for token in swept] == [False] * 3
    assert [stored.id for stored in created_tokens(lmtokens_portal)] == orphans


@pytest.mark.parametrize("command", [("delete", "--yes"), ("disable",), ("enable",)])
def test_shell_sends_a_rejected_password_once_for_many_tokens(
    lmtokens_portal: Portal, remote: TlsServer, ca_bundle: Path, command: tuple[str, ...]
) -> None:
    tokens = [lmtokens_portal.client().add_token(32) for _ in range(3)]
    with ConnectProxy({"portal.example:443": remote.port}, credentials="user:right") as proxy:
        ids = [str(token.id) for token in tokens]
        completed = run_shell(*command, *ids, environment=through(proxy, ca_bundle))
        assert passwords_in(proxy) == 1
    assert completed.returncode == 1
    assert completed.stderr.count("rejected the given ones") == 1
    assert MARKER.lower() not in (completed.stdout + completed.stderr).lower()
    assert [stored.status for stored in created_tokens(lmtokens_portal)] == [2, 2, 2]


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_rotation_sends_a_rejected_password_once(
    lmtokens_portal: Portal, remote: TlsServer, ca_bundle: Path, tmp_path: Path, method: str
) -> None:
    old = lmtokens_portal.client().add_token(32, "ci")
    # It ends the connection, so that the next request needs another one.
    lmtokens_portal.fail("close-before-acting", method=method)
    with ExpiringPassword({"portal.example:443": remote.port}, credentials=f"user:{MARKER}") as proxy:
        client = client_through(proxy, lmtokens_portal, ca_bundle)
        with pytest.raises(lmtokens.LMTokensError, match="status 407") as caught:
            client.rotate_token(old.id, deliver=to_file(tmp_path / "token.json"), overlap=0)
        assert passwords_in(proxy) == 2
    assert MARKER.lower() not in everything_about(caught.value)
    # A new token that may exist is not enabled, and the old one is as before.
    first, *others = created_tokens(lmtokens_portal)
    assert (first.id, first.status, first.note) == (old.id, 2, "ci")
    assert [token.status for token in others] == [1] * (method == "PATCH")


def test_audit_sends_a_rejected_password_once(lmtokens_portal: Portal, remote: TlsServer, ca_bundle: Path) -> None:
    for _ in range(3):
        lmtokens_portal.client().add_token(32)
    lmtokens_portal.fail("close-before-acting", method="PATCH")
    with ExpiringPassword({"portal.example:443": remote.port}, credentials=f"user:{MARKER}") as proxy:
        arguments = ("--disable", "--reason", "no_note", "--yes")
        completed = run_shell("audit", *arguments, environment=through(proxy, ca_bundle))
        assert passwords_in(proxy) == 2
    assert completed.stderr.count("status 407") == 1
    assert MARKER.lower() not in (completed.stdout + completed.stderr).lower()
    assert [stored.status for stored in created_tokens(lmtokens_portal)] == [2, 2, 2]


def test_password_rejected_after_the_delivery_is_sent_once_and_the_key_is_kept(
    lmtokens_portal: Portal, remote: TlsServer, ca_bundle: Path, tmp_path: Path
) -> None:
    path = tmp_path / "token.json"

    def add(proxy: ConnectProxy) -> lmtokens.Token:
        client = client_through(proxy, lmtokens_portal, ca_bundle)
        return client.add_token(32, "ci", deliver=to_file(path))

    routes = {"portal.example:443": remote.port}
    # It ends the connection, so that the next request needs another one.
    lmtokens_portal.fail("close-before-acting", method="PATCH")
    with ExpiringPassword(routes, credentials=f"user:{MARKER}") as proxy:
        with pytest.raises(lmtokens.OutcomeUnknownError, match="status 407") as caught:
            add(proxy)
        assert passwords_in(proxy) == 2
    assert MARKER.lower() not in everything_about(caught.value)
    (pending,) = created_tokens(lmtokens_portal)
    assert is_pending(pending)
    (kept,) = tmp_path.glob("token.json.*.pending")
    assert json.loads(kept.read_text())["access_key"] == pending.access_key.reveal()
    # The hint says to repeat the call, which also gets rid of what is left.
    assert "call again with the same arguments" in str(caught.value.suggestion)
    with ConnectProxy(routes, credentials=f"user:{MARKER}") as proxy:
        token = add(proxy)
    (stored,) = created_tokens(lmtokens_portal)
    assert (stored.id, stored.status, stored.note) == (token.id, 2, "ci")
    assert json.loads(path.read_text())["access_key"] == stored.access_key.reveal()
    assert list(tmp_path.glob("token.json*")) == [path]


def test_closed_and_reset_connections_are_refusals() -> None:
    def reset(connection: socket.socket) -> None:
        read_head(connection)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")

    def close(connection: socket.socket) -> None:
        read_head(connection)

    for handle in (close, reset):
        with Server(handle) as proxy:
            url = f"http://user:{MARKER}@127.0.0.1:{proxy.port}"
            client = lmtokens.Client(base_url=REMOTE_URL, proxy=url, **CREDENTIALS)
            with pytest.raises(lmtokens.ConnectError, match="closed the connection without a response") as caught:
                client.add_token(32)
        assert (caught.value.attempts, proxy.connections) == (1, 2)
        assert "http://" in str(caught.value.suggestion)


@pytest.mark.parametrize("destination", [{}, {"deliver": lambda token: None}])
def test_deadline_while_the_reason_is_asked(destination: Any) -> None:
    with ForgetfulProxy(response("403 x")) as proxy, pytest.raises(lmtokens.LMTokensError) as caught:
        proxy.client(deadline=1).add_token(32, **destination)
    assert caught.value.maybe_applied is False
    assert not isinstance(caught.value, lmtokens.OutcomeUnknownError)
    assert proxy.asked_again.is_set()


@pytest.mark.parametrize("destination", [{}, {"deliver": lambda token: None}])
def test_cancel_while_the_reason_is_asked(caplog: pytest.LogCaptureFixture, destination: Any) -> None:
    async def cancel(proxy: ForgetfulProxy) -> None:
        client = lmtokens.AsyncClient(
            base_url=REMOTE_URL, proxy=f"http://user:{MARKER}@127.0.0.1:{proxy.port}", **CREDENTIALS
        )
        task = asyncio.ensure_future(client.add_token(32, **destination))
        await asyncio.to_thread(proxy.asked_again.wait, HANG_TIMEOUT)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    caplog.set_level(logging.WARNING, "lmtokens")
    with ForgetfulProxy(response("403 x")) as proxy:
        asyncio.run(cancel(proxy))
    assert proxy.asked_again.is_set()
    assert caplog.messages == []


@pytest.mark.parametrize("after", [b"", b"<html>Hello</html>\r\n\r\n"])
def test_tunnel_to_something_else(after: bytes) -> None:
    with ConnectProxy({}, response=b"HTTP/1.1 200 OK\r\n\r\n" + after) as proxy:
        client = lmtokens.Client(base_url=REMOTE_URL, proxy=proxy.url, max_attempts=1, **CREDENTIALS)
        with pytest.raises((lmtokens.ConnectError, lmtokens.TLSError)) as caught:
            client.add_token(32)
    assert "the proxy's URL" in str(caught.value.suggestion)


def test_wrong_scheme_of_the_proxys_url(ca_bundle: Path) -> None:
    with Server(_not_tls) as plain, TlsServer(issued("localhost"), 9) as secure:
        for url in (f"https://127.0.0.1:{plain.port}", f"http://localhost:{secure.port}"):
            client = lmtokens.Client(base_url=REMOTE_URL, proxy=url, ca_bundle=ca_bundle, max_attempts=1, **CREDENTIALS)
            with pytest.raises((lmtokens.ConnectError, lmtokens.TLSError)) as caught:
                client.add_token(32)
            assert "check the proxy's URL: its scheme (http:// or https://)" in str(caught.value.suggestion)


def test_status_in_the_shell() -> None:
    with ConnectProxy({}, response=response("403 Forbidden")) as proxy:
        environment = {
            "LM_BASE_URL": REMOTE_URL,
            "LM_ACCESS_ID": ACCESS_ID,
            "LM_ACCESS_KEY": ACCESS_KEY,
            "HTTPS_PROXY": f"http://user:{MARKER}@127.0.0.1:{proxy.port}",
        }
        completed = run_shell("add", "32", environment=environment)
    assert completed.returncode == 1
    assert "the proxy returned status 403" in completed.stderr
    assert MARKER not in completed.stderr


def test_unknown_proxy_host_is_not_the_portals() -> None:
    client = lmtokens.Client("acme", proxy="http://proxy.invalid:3128", max_attempts=1, **CREDENTIALS)
    with pytest.raises(lmtokens.ConnectError, match="cannot find the proxy's host") as caught:
        client.add_token(32)
    assert "proxy.invalid:3128" in str(caught.value)
    assert "company" not in str(caught.value.suggestion)


def test_untrusted_proxy_is_named(ca_bundle: Path) -> None:
    with TlsServer(self_signed("localhost"), 9) as proxy:
        url = f"https://localhost:{proxy.port}"
        client = lmtokens.Client(base_url=REMOTE_URL, proxy=url, ca_bundle=ca_bundle, max_attempts=1, **CREDENTIALS)
        with pytest.raises(lmtokens.TLSError, match="no secure connection to the proxy") as caught:
            client.add_token(32)
    assert caught.value.maybe_applied is False
    assert proxy.received == []


EXCEPTED = [
    "*",
    "acme.invalid",
    ".acme.invalid",
    "invalid",
    ".invalid",
    "*.invalid",
    "ACME.Invalid",
    "acme.invalid.",
    "acme.invalid:8443",
    ".invalid:8443",
    "*.invalid:8443",
    "*:8443",
    " other.example ,\tacme.invalid ",
    "other.example acme.invalid",
    ",,acme.invalid,",
    "acme.invalid:443,invalid:8443",
]
NOT_EXCEPTED = [
    "",
    ",",
    "cme.invalid",
    "*.acme.invalid",
    "www.acme.invalid",
    "acme.invalid.example",
    "acme.invalid:443",
    "invalid:443",
    "acme",
    "acme.*",
    "a*.invalid",
    ".",
    "*.",
    "acme.invalid:",
    "acme.invalid:x",
    "10.0.0.0/8",
    "0.0.0.0/0",
]


@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
@pytest.mark.parametrize(
    ("exceptions", "direct"), [*((entry, True) for entry in EXCEPTED), *((entry, False) for entry in NOT_EXCEPTED)]
)
def test_no_proxy_names(monkeypatch: pytest.MonkeyPatch, name: str, exceptions: str, direct: bool) -> None:
    assert is_direct(monkeypatch, name, exceptions, "acme.invalid:8443") == direct


@pytest.mark.parametrize(
    ("host", "exceptions", "direct"),
    [
        ("192.0.2.7:8443", "192.0.2.7", True),
        ("192.0.2.7:8443", "192.0.2.7:8443", True),
        ("192.0.2.7:8443", "192.0.2.7:443", False),
        ("192.0.2.7:8443", "192.0.2.0/24", True),
        ("192.0.2.7:8443", "192.0.2.9/24", True),
        ("192.0.2.7:8443", "192.0.2.7/32", True),
        ("192.0.2.7:8443", "0.0.0.0/0", True),
        ("192.0.2.7:8443", "192.0.2.8/29", False),
        ("192.0.2.7:8443", "192.0.2.0/33", False),
        ("192.0.2.7:8443", "192.0.2.0/", False),
        ("192.0.2.7:8443", "192.0.2.0/-1", False),
        ("192.0.2.7:8443", "2.7", False),
        ("192.0.2.7:8443", ".2.7", False),
        ("192.0.2.7:8443", "*", True),
        ("192.0.2.7:8443", "::ffff:192.0.2.7", True),
        ("[2001:db8::7]:8443", "2001:db8::7", True),
        ("[2001:db8::7]:8443", "2001:DB8:0:0::7", True),
        ("[2001:db8::7]:8443", "[2001:db8::7]", True),
        ("[2001:db8::7]:8443", "[2001:db8::7]:8443", True),
        ("[2001:db8::7]:8443", "[2001:db8::7]:443", False),
        ("[2001:db8::7]:8443", "2001:db8::/32", True),
        ("[2001:db8::7]:8443", "[2001:db8::]/32", True),
        ("[2001:db8::7]:8443", "::/0", True),
        ("[2001:db8::7]:8443", "2001:db9::/32", False),
        ("[2001:db8::7]:8443", "192.0.2.0/24", False),
        ("[2001:db8::7]:8443", "0.0.0.0/0", False),
    ],
)
def test_no_proxy_addresses(monkeypatch: pytest.MonkeyPatch, host: str, exceptions: str, direct: bool) -> None:
    assert is_direct(monkeypatch, "NO_PROXY", exceptions, host) == direct


def is_direct(monkeypatch: pytest.MonkeyPatch, name: str, exceptions: str, host: str) -> bool:
    """Return whether a request bypasses the proxy, which must then not be mentioned."""
    with ConnectProxy({}) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.setenv(name, exceptions)
        client = lmtokens.Client(
            base_url=f"https://{host}/santaba/rest", max_attempts=1, timeout=(0.2, 60), **CREDENTIALS
        )
        with pytest.raises((lmtokens.ConnectError, lmtokens.RequestTimeoutError)) as caught:
            client.add_token(32)
    is_named = "proxy" in everything_about(caught.value)
    assert is_named == bool(proxy.seen)
    return not proxy.seen


def _closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port


def _silent(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


def _not_tls(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@pytest.mark.parametrize("route", ["excepted", "loopback"])
@pytest.mark.parametrize(
    "problem", ["refused", "silent", "not TLS", "untrusted", "other name", "html", "reset", "unknown"]
)
def test_direct_errors_do_not_mention_the_proxy(
    lmtokens_portal: Portal,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    route: str,
    problem: str,
) -> None:
    caplog.set_level(logging.DEBUG, "lmtokens")
    settings: dict[str, Any] = {"max_attempts": 1, "timeout": (0.3, 60)}
    if route == "excepted":
        monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
        monkeypatch.setenv("NO_PROXY", "*")
    else:
        settings["proxy"] = "http://proxy.example:3128"
    servers: dict[str, Server] = {
        "silent": Server(_silent),
        "not TLS": Server(_not_tls),
        "untrusted": TlsServer(self_signed("localhost"), 9),
        "other name": TlsServer(issued("other.example"), 9),
        "reset": Server(lambda connection: None),
    }
    server = servers.get(problem)
    base_url = f"https://localhost:{server.port if server else _closed_port()}/santaba/rest"
    if problem == "html":
        lmtokens_portal.fail("html", status=503)
        base_url = lmtokens_portal.base_url
    if problem == "unknown":
        if route == "loopback":
            pytest.skip("loopback is always known")
        base_url = "https://acme.invalid/santaba/rest"
    client = lmtokens_portal.client(base_url=base_url, **settings)
    with contextlib.ExitStack() as running:
        for each in servers.values():
            running.enter_context(each)
        with pytest.raises(lmtokens.LMTokensError) as caught:
            client.add_token(32)
    assert "proxy" not in everything_about(caught.value)
    assert "proxy" not in " ".join(caplog.messages).lower()
    assert caplog.messages
