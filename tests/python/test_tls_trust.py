"""Trusted certificates come from the argument, else from the variables, else from the system."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
import trustme
from certificates import DAY, NOW, authority, authority_pem, issued, self_signed
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from network import TlsServer, tls_in_front_of
from support import ACCESS_ID, ACCESS_KEY, CA_VARIABLES, run_with_other_files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lmtokens.sandbox import Portal

pytestmark = pytest.mark.usefixtures("_no_ca_variables")


@pytest.fixture
def trusted_ca(tmp_path: Path) -> Path:
    path = tmp_path / "trusted_ca.pem"
    path.write_bytes(authority_pem())
    return path


@pytest.fixture
def other_ca(tmp_path: Path) -> Path:
    path = tmp_path / "other_ca.pem"
    path.write_bytes(trustme.CA().cert_pem.bytes())
    return path


@pytest.fixture
def folder(tmp_path: Path, trusted_ca: Path, other_ca: Path) -> Path:
    """A folder like the system's: certificates under any name, links, and files without certificates."""
    path = tmp_path / "certificates"
    (path / "below").mkdir(parents=True)
    shutil.copy(other_ca, path / "1.crt")
    (path / "4042bcee.0").symlink_to(trusted_ca)
    (path / "dangling.0").symlink_to(path / "nowhere")
    (path / "README").write_text("not a certificate")
    (path / "binary").write_bytes(bytes(range(256)))
    return path


@pytest.fixture
def server(lmtokens_portal: Portal, monkeypatch: pytest.MonkeyPatch) -> Iterator[TlsServer]:
    """TLS in front of the sandbox; the environment points to it."""
    with tls_in_front_of(lmtokens_portal, issued("localhost")) as running:
        monkeypatch.setenv("LM_BASE_URL", running.base_url("localhost"))
        yield running


def is_trusted(**settings: Path | str) -> bool:
    """Return whether a client with these settings trusts the server; raise any other TLS error."""
    try:
        lmtokens.Client(**settings).add_token(32)  # type: ignore[arg-type]
    except lmtokens.TLSError as error:
        if "issued by an unknown CA" not in str(error):
            raise
        return False
    return True


def test_unknown_authority_is_not_trusted(server: TlsServer) -> None:
    assert not is_trusted()


def test_bundle_file(server: TlsServer, trusted_ca: Path, other_ca: Path) -> None:
    assert is_trusted(ca_bundle=trusted_ca)
    assert is_trusted(ca_bundle=str(trusted_ca))
    assert not is_trusted(ca_bundle=other_ca)


def test_bundle_folder(server: TlsServer, folder: Path) -> None:
    assert is_trusted(ca_bundle=folder)
    (folder / "4042bcee.0").unlink()
    assert not is_trusted(ca_bundle=folder)


def test_file_with_several_certificates(server: TlsServer, tmp_path: Path, trusted_ca: Path, other_ca: Path) -> None:
    many = tmp_path / "many.pem"
    many.write_bytes(b"# a comment\n" + other_ca.read_bytes() + b"\nmore\n" + trusted_ca.read_bytes())
    assert is_trusted(ca_bundle=many)


def test_file_with_windows_line_endings(server: TlsServer, tmp_path: Path, trusted_ca: Path) -> None:
    converted = tmp_path / "windows.pem"
    converted.write_bytes(trusted_ca.read_bytes().replace(b"\n", b"\r\n"))
    assert is_trusted(ca_bundle=converted)


@pytest.mark.parametrize("name", CA_VARIABLES)
@pytest.mark.parametrize("form", ["file", "folder"])
def test_ca_variable(
    server: TlsServer, monkeypatch: pytest.MonkeyPatch, trusted_ca: Path, folder: Path, name: str, form: str
) -> None:
    monkeypatch.setenv(name, str(trusted_ca if form == "file" else folder))
    assert is_trusted()


@pytest.mark.parametrize("name", CA_VARIABLES)
def test_argument_overrides_a_variable(
    server: TlsServer, monkeypatch: pytest.MonkeyPatch, trusted_ca: Path, other_ca: Path, name: str
) -> None:
    monkeypatch.setenv(name, str(trusted_ca))
    assert not is_trusted(ca_bundle=other_ca)
    monkeypatch.setenv(name, "/nowhere")
    assert is_trusted(ca_bundle=trusted_ca)


@pytest.mark.parametrize(
    ("winner", "loser"),
    [
        ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"),
        ("SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"),
        ("SSL_CERT_FILE", "CURL_CA_BUNDLE"),
        ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    ],
)
def test_first_variable_wins(
    server: TlsServer, monkeypatch: pytest.MonkeyPatch, trusted_ca: Path, other_ca: Path, winner: str, loser: str
) -> None:
    monkeypatch.setenv(winner, str(trusted_ca))
    monkeypatch.setenv(loser, str(other_ca))
    assert is_trusted()
    monkeypatch.setenv(winner, str(other_ca))
    monkeypatch.setenv(loser, str(trusted_ca))
    assert not is_trusted()


@pytest.mark.parametrize("trusted_in", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_file_and_folder_are_combined(
    server: TlsServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    trusted_ca: Path,
    other_ca: Path,
    trusted_in: str,
) -> None:
    in_folder, in_file = (trusted_ca, other_ca) if trusted_in == "SSL_CERT_DIR" else (other_ca, trusted_ca)
    only = tmp_path / "only"
    only.mkdir()
    shutil.copy(in_folder, only)
    monkeypatch.setenv("SSL_CERT_DIR", str(only))
    monkeypatch.setenv("SSL_CERT_FILE", str(in_file))
    assert is_trusted()


def test_several_folders_in_one_variable(
    server: TlsServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, folder: Path, other_ca: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(other_ca, other)
    # As in OpenSSL, this may be a list like PATH.
    monkeypatch.setenv("SSL_CERT_DIR", os.pathsep.join([str(other), str(folder)]))
    assert is_trusted()


@pytest.mark.parametrize("name", CA_VARIABLES)
def test_empty_variable_is_ignored(
    server: TlsServer, monkeypatch: pytest.MonkeyPatch, trusted_ca: Path, name: str
) -> None:
    monkeypatch.setenv(name, "")
    assert not is_trusted()
    assert is_trusted(ca_bundle=trusted_ca)


def _unusable(tmp_path: Path) -> dict[str, Path]:
    text, der, broken, key_only, junk, empty = (
        tmp_path / name for name in ("text.pem", "der.crt", "broken.pem", "key.pem", "junk.pem", "empty")
    )
    text.write_text("not a certificate")
    der.write_bytes(b"0\x82\x01\x0a" + bytes(range(256)))
    broken.write_bytes(authority_pem().replace(b"M", b"*"))
    key_only.write_bytes(issued("localhost").key)
    # Valid base64, but not a certificate.
    junk.write_text("-----BEGIN CERTIFICATE-----\nbm8gY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n")
    empty.mkdir()
    folder_of_texts = tmp_path / "texts"
    folder_of_texts.mkdir()
    shutil.copy(text, folder_of_texts)
    return {
        "missing": tmp_path / "nowhere",
        "text": text,
        "DER": der,
        "broken": broken,
        "key only": key_only,
        "junk in PEM": junk,
        "empty folder": empty,
        "folder without certificates": folder_of_texts,
        "empty file": Path(os.devnull),
    }


UNUSABLE = [
    "missing",
    "text",
    "DER",
    "broken",
    "key only",
    "junk in PEM",
    "empty folder",
    "folder without certificates",
    "empty file",
]


@pytest.mark.parametrize("source", ["ca_bundle", *CA_VARIABLES])
@pytest.mark.parametrize("kind", UNUSABLE)
def test_unusable_source(
    server: TlsServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str, source: str
) -> None:
    path = _unusable(tmp_path)[kind]
    settings: dict[str, Any] = {"ca_bundle": path} if source == "ca_bundle" else {}
    if source != "ca_bundle":
        monkeypatch.setenv(source, str(path))
    # A signature uses no variable, but a wrong argument is always reported.
    signer = lmtokens.LMv1Auth if source == "ca_bundle" else lmtokens.Client
    for construct in (lmtokens.Client, lmtokens.AsyncClient, signer):
        with pytest.raises(lmtokens.ConfigurationError) as caught:
            construct(**settings)
        assert str(path) in str(caught.value)
        assert source in str(caught.value)
        assert "PEM" in str(caught.value.suggestion)
    assert server.connections == 0


# Runs as root in its own mount namespace, so that the machine keeps its certificates.
_HIDE_STORE = """
for folder in /etc/ssl /etc/pki /usr/share/ca-certificates /usr/local/share/certs /usr/lib/ssl /etc/ca-certificates; do
    test ! -d "$folder" || mount -t tmpfs none "$folder" || exit 77
done
if test -n "$STORE"; then
    mkdir -p /etc/ssl/certs && cp "$STORE" /etc/ssl/certs/ca-certificates.crt || exit 77
fi
if test -n "$SINGLE"; then
    cp "$SINGLE" /etc/ssl/certs/4042bcee.0 || exit 77
fi
"""

_CREATE = """
import os, sys, lmtokens
assert os.path.exists("/etc/ssl/certs") == bool(os.environ["STORE"])
try:
    print(lmtokens.add_token(32).id)
except lmtokens.TLSError as error:
    print(error)
"""


def _with_other_store(store: Path | None, single: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Create a token in a program that sees this bundle, or none, and this single file as the system's certificates."""
    environment = {"STORE": str(store or ""), "SINGLE": str(single or "")}
    return run_with_other_files(_HIDE_STORE, [sys.executable, "-c", _CREATE], environment)


def test_system_store(server: TlsServer, lmtokens_portal: Portal, trusted_ca: Path, other_ca: Path) -> None:
    completed = _with_other_store(trusted_ca)
    assert (completed.stdout.strip(), completed.stderr) == (str(lmtokens_portal.tokens[-1].id), "")
    assert "issued by an unknown CA" in _with_other_store(other_ca).stdout
    assert len(lmtokens_portal.record) == 1


def test_single_file_beside_the_bundle(
    server: TlsServer, lmtokens_portal: Portal, trusted_ca: Path, other_ca: Path
) -> None:
    completed = _with_other_store(other_ca, single=trusted_ca)
    assert (completed.stdout.strip(), completed.stderr) == (str(lmtokens_portal.tokens[-1].id), "")
    assert "issued by an unknown CA" in _with_other_store(other_ca, single=other_ca).stdout


def test_bundled_roots_if_the_system_has_no_store(server: TlsServer) -> None:
    completed = _with_other_store(None)
    assert "its certificate was issued by an unknown CA" in completed.stdout
    assert completed.stderr == ""
    assert server.connections == 1
    assert server.received == []


def test_variable_if_the_system_has_no_store(
    server: TlsServer, monkeypatch: pytest.MonkeyPatch, trusted_ca: Path, lmtokens_portal: Portal
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted_ca))
    completed = _with_other_store(None)
    assert completed.stderr == ""
    assert completed.stdout.strip() == str(lmtokens_portal.tokens[-1].id)


def test_certificate_of_an_intermediate(server: TlsServer, lmtokens_portal: Portal, trusted_ca: Path) -> None:
    intermediate = authority().create_child_ca()
    with tls_in_front_of(lmtokens_portal, issued("localhost", issuer=intermediate)) as other:
        client = lmtokens.Client(base_url=other.base_url("localhost"), ca_bundle=trusted_ca)
        assert client.add_token(32).id == lmtokens_portal.tokens[-1].id


def test_bundle_is_read_when_the_client_is_created(server: TlsServer, trusted_ca: Path) -> None:
    client = lmtokens.Client(ca_bundle=trusted_ca)
    trusted_ca.unlink()
    client.add_token(32)
    with pytest.raises(lmtokens.ConfigurationError):
        lmtokens.Client(ca_bundle=trusted_ca)


def test_bundle_is_checked_for_an_http_portal(lmtokens_portal: Portal) -> None:
    with pytest.raises(lmtokens.ConfigurationError, match="/nowhere"):
        lmtokens.Client(
            access_id=ACCESS_ID, access_key=ACCESS_KEY, base_url=lmtokens_portal.base_url, ca_bundle="/nowhere"
        )


@pytest.mark.parametrize("is_trusted", [False, True])
def test_ca_certificate_of_a_server_is_named(lmtokens_portal: Portal, tmp_path: Path, is_trusted: bool) -> None:
    credential = self_signed("localhost", is_authority=True)
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(credential.chain if is_trusted else authority_pem())
    with tls_in_front_of(lmtokens_portal, credential) as server:
        client = lmtokens_portal.client(base_url=server.base_url("localhost"), ca_bundle=bundle)
        with pytest.raises(lmtokens.TLSError, match="uses a CA certificate as its own") as caught:
            client.add_token(32)
    assert "operator" in str(caught.value.suggestion)


@pytest.mark.parametrize("kind", ["same", "other"])
def test_self_signed_certificate_with_the_name_of_a_trusted_one(
    lmtokens_portal: Portal, tmp_path: Path, kind: str
) -> None:
    # The trusted one has a key of the same or of another kind.
    key = ec.generate_private_key(ec.SECP256R1()) if kind == "same" else rsa.generate_private_key(65537, 2048)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a root")])
    root = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
        .add_extension(x509.BasicConstraints(True, None), critical=True)
        .sign(key, hashes.SHA256())
    )
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(root.public_bytes(serialization.Encoding.PEM))
    with tls_in_front_of(lmtokens_portal, self_signed("localhost", subject=subject)) as server:
        client = lmtokens_portal.client(base_url=server.base_url("localhost"), ca_bundle=bundle)
        with pytest.raises(lmtokens.TLSError, match="its certificate is self-signed"):
            client.add_token(32)


@pytest.mark.parametrize("folder_name", ["ca \u2764\ufe0f", "ca\u3000\u8a3c", "'ca'", "%CA%"])
@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "ca_bundle"])
def test_path_that_exists_bears_no_trace_of_copying(
    server: TlsServer,
    tmp_path: Path,
    trusted_ca: Path,
    monkeypatch: pytest.MonkeyPatch,
    folder_name: str,
    name: str,
) -> None:
    del server
    folder = tmp_path / folder_name
    folder.mkdir()
    path = Path(shutil.copy(trusted_ca, folder / "\u2764\ufe0f.pem"))
    path = folder if name == "SSL_CERT_DIR" else path
    if name == "ca_bundle":
        assert is_trusted(ca_bundle=path)
    else:
        monkeypatch.setenv(name, str(path))
        assert is_trusted()


def test_path_that_does_not_exist_is_judged_by_its_form(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings: Any = {"company": "acme", "access_id": ACCESS_ID, "access_key": ACCESS_KEY}
    for path, reason in ((f'"{tmp_path}"', "quotation marks"), (f"{tmp_path}/\u200b", r"U\+200B")):
        with pytest.raises(lmtokens.ConfigurationError, match=f"invalid client_cert: .*{reason}"):
            lmtokens.Client(**settings, client_cert=path)
        with monkeypatch.context() as environment:
            environment.setenv("SSL_CERT_FILE", path)
            with pytest.raises(lmtokens.ConfigurationError, match=f"invalid SSL_CERT_FILE: .*{reason}"):
                lmtokens.Client(**settings)
