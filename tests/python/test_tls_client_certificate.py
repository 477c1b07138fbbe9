"""A certificate of our own, for portals behind a gateway that demands one."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import lmtokens
import pytest
import trustme
from certificates import Credential, authority_pem, issued, with_pass_phrase
from network import TlsServer, tls_in_front_of
from support import ACCESS_ID, ACCESS_KEY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lmtokens.sandbox import Portal

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture
def own() -> Credential:
    return issued("client.example")


@pytest.fixture
def one_file(tmp_path: Path, own: Credential) -> Path:
    path = tmp_path / "both.pem"
    path.write_bytes(own.in_one)
    return path


@pytest.fixture
def two_files(tmp_path: Path, own: Credential) -> tuple[Path, Path]:
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(own.chain)
    key.write_bytes(own.key)
    return chain, key


@pytest.fixture(params=VERSIONS, ids=lambda version: version.name)
def server(request: pytest.FixtureRequest, lmtokens_portal: Portal) -> Iterator[TlsServer]:
    """A server that demands a certificate of the same authority."""
    with tls_in_front_of(
        lmtokens_portal, issued("localhost"), newest=request.param, client_authority=authority_pem()
    ) as running:
        yield running


def test_one_file(server: TlsServer, lmtokens_portal: Portal, ca_bundle: Path, one_file: Path) -> None:
    client = lmtokens_portal.client(base_url=server.base_url("localhost"), ca_bundle=ca_bundle, client_cert=one_file)
    assert client.add_token(32).id == lmtokens_portal.tokens[-1].id


@pytest.mark.parametrize("as_text", [False, True])
def test_two_files(
    server: TlsServer, lmtokens_portal: Portal, ca_bundle: Path, two_files: tuple[Path, Path], as_text: bool
) -> None:
    pair = tuple(map(str, two_files)) if as_text else two_files
    client = lmtokens_portal.client(base_url=server.base_url("localhost"), ca_bundle=ca_bundle, client_cert=pair)
    assert client.add_token(32).id == lmtokens_portal.tokens[-1].id


def test_none_where_one_is_demanded(server: TlsServer, lmtokens_portal: Portal, ca_bundle: Path) -> None:
    client = lmtokens_portal.client(base_url=server.base_url("localhost"), ca_bundle=ca_bundle)
    # In TLS 1.3 the refusal comes after the request was written, but a server that refuses reads nothing of it.
    with pytest.raises(lmtokens.TLSError) as caught:
        client.add_token(32)
    assert caught.value.maybe_applied is False
    assert server.received == []
    assert lmtokens_portal.record == []


def test_none_where_one_is_demanded_says_what_to_do(ca_bundle: Path, lmtokens_portal: Portal) -> None:
    with tls_in_front_of(lmtokens_portal, issued("localhost"), client_authority=authority_pem()) as server:
        client = lmtokens_portal.client(base_url=server.base_url("localhost"), ca_bundle=ca_bundle)
        with pytest.raises(lmtokens.TLSError) as caught:
            client.find_token(1)
    assert "client_cert" in str(caught.value)


def test_one_of_a_stranger(server: TlsServer, lmtokens_portal: Portal, ca_bundle: Path, tmp_path: Path) -> None:
    stranger = tmp_path / "stranger.pem"
    stranger.write_bytes(issued("client.example", issuer=trustme.CA()).in_one)
    client = lmtokens_portal.client(base_url=server.base_url("localhost"), ca_bundle=ca_bundle, client_cert=stranger)
    with pytest.raises(lmtokens.TLSError) as caught:
        client.add_token(32)
    assert caught.value.maybe_applied is False
    assert server.received == []


def refusal(**settings: object) -> lmtokens.ConfigurationError:
    with pytest.raises(lmtokens.ConfigurationError) as caught:
        lmtokens.Client("acme", access_id=ACCESS_ID, access_key=ACCESS_KEY, **settings)  # type: ignore[arg-type]
    return caught.value


def test_key_with_a_pass_phrase(tmp_path: Path, own: Credential, two_files: tuple[Path, Path]) -> None:
    protected = tmp_path / "protected.pem"
    protected.write_bytes(with_pass_phrase(own.key, b"unit-test-phrase"))
    error = refusal(client_cert=(two_files[0], protected))
    assert str(protected) in str(error)
    assert "pass phrase" in str(error)
    both = tmp_path / "protected-both.pem"
    both.write_bytes(protected.read_bytes() + own.chain)
    assert "pass phrase" in str(refusal(client_cert=both))


def test_files_that_are_none(tmp_path: Path, two_files: tuple[Path, Path]) -> None:
    chain, key = two_files
    nothing = tmp_path / "nothing.pem"
    nothing.write_text("no certificate")
    for client_cert, at_fault in [
        (tmp_path / "nowhere", tmp_path / "nowhere"),
        (nothing, nothing),
        (chain, chain),
        (key, key),
        ((chain, tmp_path / "nowhere"), tmp_path / "nowhere"),
        ((chain, nothing), nothing),
        ((chain, chain), chain),
        ((key, chain), key),
    ]:
        error = refusal(client_cert=client_cert)
        assert f"client_cert ({at_fault})" in str(error)
        assert "(certificate chain, private key)" in str(error.suggestion)


def test_key_of_another_certificate(tmp_path: Path, two_files: tuple[Path, Path]) -> None:
    other = tmp_path / "other.pem"
    other.write_bytes(issued("client.example").key)
    assert "client_cert" in str(refusal(client_cert=(two_files[0], other)))


def test_certificate_that_is_no_certificate(tmp_path: Path, two_files: tuple[Path, Path]) -> None:
    junk = tmp_path / "junk.pem"
    junk.write_text("-----BEGIN CERTIFICATE-----\nbm8gY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n")
    assert "client_cert" in str(refusal(client_cert=(junk, two_files[1])))


def test_message_holds_nothing_of_the_key(tmp_path: Path, own: Credential, two_files: tuple[Path, Path]) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_bytes(own.key.replace(b"\n", b"*\n", 2))
    error = refusal(client_cert=(two_files[0], broken))
    lines = [line for line in own.key.decode().splitlines() if not line.startswith("-")]
    assert not [line for line in lines if line[:12] in f"{error} {error!r} {vars(error)}"]


@pytest.mark.parametrize("client_cert", [("one",), ("one", "two", "three"), 7, ["a", "b"], b"bytes"])
def test_shape_that_is_none(client_cert: object) -> None:
    with pytest.raises((TypeError, lmtokens.ConfigurationError)):
        lmtokens.Client("acme", access_id=ACCESS_ID, access_key=ACCESS_KEY, client_cert=client_cert)  # type: ignore[arg-type]
