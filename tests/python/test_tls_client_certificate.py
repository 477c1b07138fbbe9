"""Client certificates, for portals behind a gateway that requires one."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import lmtokens
import pytest
import trustme
from certificates import Credential, authority_pem, issued, with_pass_phrase
from network import TlsServer, tls_in_front_of
from support import ACCESS_ID, ACCESS_KEY, run_shell

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lmtokens.sandbox import Portal

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture
def credential() -> Credential:
    return issued("client.example")


@pytest.fixture
def one_file(tmp_path: Path, credential: Credential) -> Path:
    path = tmp_path / "both.pem"
    path.write_bytes(credential.in_one)
    return path


@pytest.fixture
def two_files(tmp_path: Path, credential: Credential) -> tuple[Path, Path]:
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(credential.chain)
    key.write_bytes(credential.key)
    return chain, key


@pytest.fixture(params=VERSIONS, ids=lambda version: version.name)
def server(request: pytest.FixtureRequest, lmtokens_portal: Portal) -> Iterator[TlsServer]:
    """A server that requires a certificate of the same authority."""
    with tls_in_front_of(
        lmtokens_portal, issued("localhost"), newest=request.param, client_authority=authority_pem()
    ) as running:
        yield running


def test_certificate_and_key_in_one_file(
    server: TlsServer, lmtokens_portal: Portal, ca_bundle: Path, one_file: Path
) -> None:
    client = lmtokens_portal.client(base_url=server.base_url("localhost"), ca_bundle=ca_bundle, client_cert=one_file)
    assert client.add_token(32).id == lmtokens_portal.tokens[-1].id


@pytest.mark.parametrize("as_text", [False, True])
def test_certificate_and_key_in_two_files(
    server: TlsServer, lmtokens_portal: Portal, ca_bundle: Path, two_files: tuple[Path, Path], as_text: bool
) -> None:
    pair = tuple(map(str, two_files)) if as_text else two_files
    client = lmtokens_portal.client(base_url=server.base_url("localhost"), ca_bundle=ca_bundle, client_cert=pair)
    assert client.add_token(32).id == lmtokens_portal.tokens[-1].id


def test_missing_certificate(server: TlsServer, lmtokens_portal: Portal, ca_bundle: Path) -> None:
    client = lmtokens_portal.client(base_url=server.base_url("localhost"), ca_bundle=ca_bundle)
    # In TLS 1.3 the rejection arrives after the request was written, but the server has read none of it.
    with pytest.raises(lmtokens.TLSError) as caught:
        client.add_token(32)
    assert caught.value.maybe_applied is False
    # TLS 1.2 has no alert of its own for this.
    assert "client_cert" in str(caught.value.suggestion)
    assert "rejected" not in str(caught.value)
    assert server.received == []
    assert lmtokens_portal.record == []


def test_missing_certificate_error_names_the_argument(ca_bundle: Path, lmtokens_portal: Portal) -> None:
    with tls_in_front_of(lmtokens_portal, issued("localhost"), client_authority=authority_pem()) as server:
        client = lmtokens_portal.client(base_url=server.base_url("localhost"), ca_bundle=ca_bundle)
        with pytest.raises(lmtokens.TLSError) as caught:
            client.find_token(1)
    assert "client_cert" in str(caught.value)


def test_certificate_of_an_unknown_issuer(
    server: TlsServer, lmtokens_portal: Portal, ca_bundle: Path, tmp_path: Path
) -> None:
    untrusted = tmp_path / "untrusted.pem"
    untrusted.write_bytes(issued("client.example", issuer=trustme.CA()).in_one)
    client = lmtokens_portal.client(base_url=server.base_url("localhost"), ca_bundle=ca_bundle, client_cert=untrusted)
    with pytest.raises(lmtokens.TLSError, match="rejected the client certificate") as caught:
        client.add_token(32)
    assert caught.value.maybe_applied is False
    assert "client_cert" in str(caught.value.suggestion)
    assert server.received == []


def test_missing_certificate_in_the_shell(server: TlsServer, lmtokens_portal: Portal, ca_bundle: Path) -> None:
    environment = {"LM_BASE_URL": server.base_url("localhost"), "SSL_CERT_FILE": str(ca_bundle)}
    completed = run_shell("add", "32", environment=environment)
    assert (completed.returncode, completed.stdout) == (1, "")
    assert "no secure connection to localhost" in completed.stderr
    assert "client certificate" in completed.stderr.partition("hint: ")[2]
    assert lmtokens_portal.access_key.reveal() not in completed.stderr
    assert lmtokens_portal.record == []


def construction_error(**settings: object) -> lmtokens.ConfigurationError:
    with pytest.raises(lmtokens.ConfigurationError) as caught:
        lmtokens.Client("acme", access_id=ACCESS_ID, access_key=ACCESS_KEY, **settings)  # type: ignore[arg-type]
    return caught.value


def test_key_with_a_pass_phrase_is_rejected(
    tmp_path: Path, credential: Credential, two_files: tuple[Path, Path]
) -> None:
    protected = tmp_path / "protected.pem"
    protected.write_bytes(with_pass_phrase(credential.key, b"unit-test-phrase"))
    error = construction_error(client_cert=(two_files[0], protected))
    assert str(protected) in str(error)
    assert "pass phrase" in str(error)
    both = tmp_path / "protected-both.pem"
    both.write_bytes(protected.read_bytes() + credential.chain)
    assert "pass phrase" in str(construction_error(client_cert=both))


def test_unusable_files_are_rejected(tmp_path: Path, two_files: tuple[Path, Path]) -> None:
    chain, key = two_files
    invalid = tmp_path / "invalid.pem"
    invalid.write_text("not a certificate")
    for client_cert, expected in [
        (tmp_path / "missing", tmp_path / "missing"),
        (invalid, invalid),
        (chain, chain),
        (key, key),
        ((chain, tmp_path / "missing"), tmp_path / "missing"),
        ((chain, invalid), invalid),
        ((chain, chain), chain),
        ((key, chain), key),
    ]:
        error = construction_error(client_cert=client_cert)
        assert f"client_cert ({expected})" in str(error)
        assert "(certificate chain, private key)" in str(error.suggestion)


def test_key_of_another_certificate_is_rejected(tmp_path: Path, two_files: tuple[Path, Path]) -> None:
    other = tmp_path / "other.pem"
    other.write_bytes(issued("client.example").key)
    assert "client_cert" in str(construction_error(client_cert=(two_files[0], other)))


def test_pem_without_a_valid_certificate_is_rejected(tmp_path: Path, two_files: tuple[Path, Path]) -> None:
    junk = tmp_path / "junk.pem"
    junk.write_text("-----BEGIN CERTIFICATE-----\nbm8gY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n")
    assert "client_cert" in str(construction_error(client_cert=(junk, two_files[1])))


def test_message_does_not_contain_the_key(tmp_path: Path, credential: Credential, two_files: tuple[Path, Path]) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_bytes(credential.key.replace(b"\n", b"*\n", 2))
    error = construction_error(client_cert=(two_files[0], broken))
    lines = [line for line in credential.key.decode().splitlines() if not line.startswith("-")]
    assert not [line for line in lines if line[:12] in f"{error} {error!r} {vars(error)}"]


@pytest.mark.parametrize("client_cert", [("one",), ("one", "two", "three"), 7, ["a", "b"], b"bytes"])
def test_argument_of_the_wrong_shape_is_rejected(client_cert: object) -> None:
    with pytest.raises((TypeError, lmtokens.ConfigurationError)):
        lmtokens.Client("acme", access_id=ACCESS_ID, access_key=ACCESS_KEY, client_cert=client_cert)  # type: ignore[arg-type]
