"""An invalid certificate raises an error with the reason, and no part of the request is sent."""

from __future__ import annotations

import socket
import ssl
import struct
from typing import TYPE_CHECKING, Callable

import lmtokens
import pytest
import trustme
from certificates import DAY, NOW, Credential, issued, self_signed
from network import NEEDS_IPV6, Server, read_head, tls_in_front_of
from support import ACCESS_ID, ACCESS_KEY, run_python

if TYPE_CHECKING:
    from pathlib import Path

    from lmtokens.sandbox import Portal

pytestmark = pytest.mark.usefixtures("_no_ca_variables")

INVALID: dict[str, tuple[Callable[[], Credential], str, str]] = {
    "self-signed": (
        lambda: self_signed("localhost"),
        "its certificate is self-signed",
        "add its CA certificate to the CA bundle (ca_bundle or SSL_CERT_FILE)",
    ),
    "expired": (
        lambda: issued("localhost", not_before=NOW - 9 * DAY, not_after=NOW - DAY),
        "its certificate has expired",
        "check this machine's clock; if it is right, the host's operator must renew the certificate",
    ),
    "not yet valid": (
        lambda: issued("localhost", not_before=NOW + DAY, not_after=NOW + 9 * DAY),
        "its certificate is not valid yet",
        "check this machine's clock",
    ),
    "wrong name": (
        lambda: issued("other.example"),
        "its certificate is not valid for localhost",
        "check the company and the domain",
    ),
    "unknown issuer": (
        lambda: issued("localhost", issuer=trustme.CA()),
        "its certificate was issued by an unknown CA",
        "add its CA certificate to the CA bundle (ca_bundle or SSL_CERT_FILE)",
    ),
}


@pytest.mark.parametrize("kind", INVALID)
def test_invalid_certificate(lmtokens_portal: Portal, ca_bundle: Path, kind: str) -> None:
    credential, problem, advice = INVALID[kind]
    with tls_in_front_of(lmtokens_portal, credential()) as server:
        client = lmtokens_portal.client(base_url=server.base_url("localhost"), ca_bundle=ca_bundle)
        with pytest.raises(lmtokens.TLSError) as caught:
            client.add_token(32)
    print(f"{kind}: {caught.value}")
    assert f"no secure connection to localhost: {problem}" in str(caught.value)
    assert advice in str(caught.value.suggestion)
    assert (caught.value.maybe_applied, caught.value.attempts, caught.value.status) == (False, 1, None)
    assert server.connections == 1
    assert server.received == []
    assert lmtokens_portal.record == []


@pytest.mark.parametrize("kind", ["self-signed", "unknown issuer"])
def test_invalid_certificate_with_the_system_store(lmtokens_portal: Portal, kind: str) -> None:
    credential, problem, advice = INVALID[kind]
    with (
        tls_in_front_of(lmtokens_portal, credential()) as server,
        pytest.raises(lmtokens.TLSError, match=problem) as caught,
    ):
        lmtokens_portal.client(base_url=server.base_url("localhost")).add_token(32)
    assert advice in str(caught.value.suggestion)
    assert server.received == []


@pytest.mark.parametrize("kind", INVALID)
def test_no_variable_disables_verification(
    lmtokens_portal: Portal, ca_bundle: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    for name in ("PYTHONHTTPSVERIFY", "NODE_TLS_REJECT_UNAUTHORIZED", "SSL_VERIFY", "LM_VERIFY_SSL", "VERIFY_SSL"):
        monkeypatch.setenv(name, "0")
    for name in ("GIT_SSL_NO_VERIFY", "LM_INSECURE", "CURL_INSECURE"):
        monkeypatch.setenv(name, "1")
    code = "import lmtokens, sys; lmtokens.Client(ca_bundle=sys.argv[1]).add_token(32)"
    with tls_in_front_of(lmtokens_portal, INVALID[kind][0]()) as server:
        monkeypatch.setenv("LM_BASE_URL", server.base_url("localhost"))
        completed = run_python(code, str(ca_bundle))
    assert INVALID[kind][1] in completed.stderr
    assert completed.returncode == 1
    assert server.connections == 1
    assert server.received == []


@pytest.mark.parametrize("name", ["verify", "verify_ssl", "insecure", "check_hostname", "ssl", "ssl_context"])
@pytest.mark.parametrize("construct", [lmtokens.Client, lmtokens.AsyncClient, lmtokens.LMv1Auth, lmtokens.configure])
def test_no_argument_disables_verification(construct: Callable[..., object], name: str) -> None:
    with pytest.raises(TypeError, match=name):
        construct("acme", access_id=ACCESS_ID, access_key=ACCESS_KEY, **{name: False})


@pytest.mark.parametrize("invalid_bundle", [False, "", 0])
def test_no_bundle_value_disables_verification(invalid_bundle: object) -> None:
    with pytest.raises((TypeError, lmtokens.ConfigurationError)):
        lmtokens.Client("acme", access_id=ACCESS_ID, access_key=ACCESS_KEY, ca_bundle=invalid_bundle)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("localhost", "localhost"),
        ("127.0.0.1", "127.0.0.1"),
        pytest.param("[::1]", "::1", marks=NEEDS_IPV6),
    ],
)
def test_valid_certificate(lmtokens_portal: Portal, ca_bundle: Path, host: str, name: str) -> None:
    with tls_in_front_of(lmtokens_portal, issued(name), host="::1" if name == "::1" else "127.0.0.1") as server:
        token = lmtokens_portal.client(base_url=server.base_url(host), ca_bundle=ca_bundle).add_token(32)
    assert token.id == lmtokens_portal.tokens[-1].id
    assert server.versions == ["TLSv1.3"]


def test_certificate_for_a_name_is_invalid_for_an_address(lmtokens_portal: Portal, ca_bundle: Path) -> None:
    with (
        tls_in_front_of(lmtokens_portal, issued("localhost")) as server,
        pytest.raises(lmtokens.TLSError, match=r"not valid for 127\.0\.0\.1"),
    ):
        lmtokens_portal.client(base_url=server.base_url("127.0.0.1"), ca_bundle=ca_bundle).add_token(32)
    assert server.received == []


def test_server_with_tls_1_2(lmtokens_portal: Portal, ca_bundle: Path) -> None:
    with tls_in_front_of(lmtokens_portal, issued("localhost"), newest=ssl.TLSVersion.TLSv1_2) as server:
        lmtokens_portal.client(base_url=server.base_url("localhost"), ca_bundle=ca_bundle).add_token(32)
    assert server.versions == ["TLSv1.2"]


def test_https_to_an_http_port(lmtokens_portal: Portal, ca_bundle: Path) -> None:
    base_url = lmtokens_portal.base_url.replace("http:", "https:")
    with pytest.raises(lmtokens.TLSError, match=r"no secure connection to 127\.0\.0\.1") as caught:
        lmtokens_portal.client(base_url=base_url, ca_bundle=ca_bundle).add_token(32)
    assert caught.value.maybe_applied is False
    assert "check the portal's address" in str(caught.value.suggestion)
    assert lmtokens_portal.record == []


def test_http_to_an_https_port(lmtokens_portal: Portal) -> None:
    with tls_in_front_of(lmtokens_portal, issued("localhost")) as server:
        base_url = server.base_url("localhost").replace("https:", "http:")
        with pytest.raises(lmtokens.LMTokensError) as caught:
            lmtokens_portal.client(base_url=base_url).add_token(32)
    assert lmtokens_portal.access_key.reveal() not in str(caught.value)
    assert lmtokens_portal.record == []


def _reset(connection: socket.socket) -> None:
    connection.recv(64)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _hang_up(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.shutdown(socket.SHUT_WR)
    connection.recv(65536)


def _cut(connection: socket.socket) -> None:
    connection.recv(65536)
    # The beginning of a ServerHello.
    connection.sendall(b"\x16\x03\x03\x00\x7a\x02\x00\x00")
    connection.shutdown(socket.SHUT_WR)
    connection.recv(65536)


@pytest.mark.parametrize("end", [_reset, _hang_up, _cut])
def test_server_that_aborts_the_handshake(end: Callable[[socket.socket], None]) -> None:
    with Server(end) as server:
        client = lmtokens.Client(
            access_id=ACCESS_ID, access_key=ACCESS_KEY, base_url=f"https://localhost:{server.port}/santaba/rest"
        )
        with pytest.raises(lmtokens.ConnectError, match="cannot connect to localhost") as caught:
            client.add_token(32)
    assert caught.value.maybe_applied is False
    # Nothing was sent, so even a create is safe to retry.
    assert caught.value.attempts == server.connections > 1


def test_server_that_sends_an_alert() -> None:
    def send_alert(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"\x15\x03\x03\x00\x02\x02\x28")
        connection.recv(65536)

    with Server(send_alert) as server:
        client = lmtokens.Client(
            access_id=ACCESS_ID, access_key=ACCESS_KEY, base_url=f"https://localhost:{server.port}/santaba/rest"
        )
        with pytest.raises(lmtokens.TLSError) as caught:
            client.add_token(32)
    assert (caught.value.maybe_applied, caught.value.attempts) == (False, 1)


@pytest.mark.parametrize("end", ["close", "close_notify"])
def test_connection_cut_after_the_request_leaves_the_outcome_unknown(ca_bundle: Path, end: str) -> None:
    heads: list[bytes] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued("localhost").configure(context)

    def cut(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            heads.append(read_head(secure))
            if end == "close_notify":
                secure.unwrap()

    with Server(cut) as server:
        client = lmtokens.Client(
            access_id=ACCESS_ID,
            access_key=ACCESS_KEY,
            base_url=f"https://localhost:{server.port}/santaba/rest",
            ca_bundle=ca_bundle,
        )
        with pytest.raises(lmtokens.OutcomeUnknownError, match="lost the connection to localhost") as caught:
            client.add_token(32)
    assert caught.value.maybe_applied is True
    assert [head.startswith(b"POST ") for head in heads].count(True) == 1
    # The manual of a TLS library does not help the caller.
    assert "https://" not in str(caught.value)
