"""Certificates are read from every form of PEM that OpenSSL reads; only if no source has any, that is an error."""

from __future__ import annotations

import base64
import itertools
import os
import re
import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
import trustme
from certificates import authority_pem, issued
from network import TlsServer, tls_in_front_of
from support import ACCESS_ID, ACCESS_KEY, CA_VARIABLES, run_shell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lmtokens.sandbox import Portal

pytestmark = pytest.mark.usefixtures("_no_ca_variables")

BOM = b"\xef\xbb\xbf"
CREDENTIALS: dict[str, Any] = {"access_id": ACCESS_ID, "access_key": ACCESS_KEY}


@pytest.fixture
def server(lmtokens_portal: Portal, monkeypatch: pytest.MonkeyPatch) -> Iterator[TlsServer]:
    with tls_in_front_of(lmtokens_portal, issued("localhost")) as running:
        monkeypatch.setenv("LM_BASE_URL", running.base_url("localhost"))
        yield running


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.pem"
    path.write_bytes(authority_pem())
    return path


def _missing(tmp_path: Path) -> Path:
    return tmp_path / "missing"


def _empty_folder(tmp_path: Path) -> Path:
    path = tmp_path / "empty"
    path.mkdir(exist_ok=True)
    return path


def _text(tmp_path: Path) -> Path:
    path = tmp_path / "text.pem"
    path.write_text("not a certificate")
    return path


def _truncated(tmp_path: Path) -> Path:
    path = tmp_path / "truncated.pem"
    path.write_bytes(authority_pem()[:300])
    return path


BAD = [_missing, _empty_folder, _text, _truncated]


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize(
    ("good_name", "bad_name"), [("SSL_CERT_FILE", "SSL_CERT_DIR"), ("SSL_CERT_DIR", "SSL_CERT_FILE")]
)
def test_one_good_source_is_enough(
    server: TlsServer,
    good: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    bad: Any,
    good_name: str,
    bad_name: str,
) -> None:
    monkeypatch.setenv(good_name, str(good))
    monkeypatch.setenv(bad_name, str(bad(tmp_path)))
    lmtokens.Client().add_token(32)
    assert run_shell("add", "32").returncode == 0


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("first", ["SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"])
def test_next_variable_replaces_one_without_certificates(
    server: TlsServer, good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: Any, first: str
) -> None:
    monkeypatch.setenv(first, str(bad(tmp_path)))
    monkeypatch.setenv("CURL_CA_BUNDLE", str(good))
    lmtokens.Client().add_token(32)


@pytest.mark.parametrize("value", [b'"/etc/x.pem"', b"/x/\xe9.pem", b"${CA}", b" ", b"/x\n"])
@pytest.mark.parametrize(("good_name", "bad_name"), list(itertools.permutations(CA_VARIABLES, 2)))
def test_odd_value_beside_a_good_one(
    server: TlsServer, good: Path, monkeypatch: pytest.MonkeyPatch, value: bytes, good_name: str, bad_name: str
) -> None:
    monkeypatch.setenv(good_name, str(good))
    monkeypatch.setenv(bad_name, os.fsdecode(value))
    lmtokens.Client().add_token(32)


def test_path_that_is_not_utf8(server: TlsServer, good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = os.fsdecode(os.fsencode(good.parent) + b"/caf\xe9.pem")
    Path(path).write_bytes(good.read_bytes())
    for name in CA_VARIABLES:
        with monkeypatch.context() as patched:
            patched.setenv(name, path)
            lmtokens.Client().add_token(32)
            assert run_shell("add", "32").returncode == 0


def test_quoted_path_without_another_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CA_VARIABLES:
        with monkeypatch.context() as patched:
            patched.setenv(name, '"/etc/x.pem"')
            with pytest.raises(lmtokens.ConfigurationError, match=f"invalid {name}.*quotation marks"):
                lmtokens.Client("acme", **CREDENTIALS)


def test_list_of_folders_with_one_good_one(
    server: TlsServer, good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [str(_missing(tmp_path)), "", str(_empty_folder(tmp_path)), str(good.parent)]
    monkeypatch.setenv("SSL_CERT_DIR", os.pathsep.join(folders))
    lmtokens.Client().add_token(32)


def test_error_names_every_source_with_its_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(_truncated(tmp_path)))
    monkeypatch.setenv("SSL_CERT_DIR", os.pathsep.join([str(_missing(tmp_path)), str(_empty_folder(tmp_path))]))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(_text(tmp_path)))
    with pytest.raises(lmtokens.ConfigurationError) as caught:
        lmtokens.Client("acme", **CREDENTIALS)
    for expected in [
        f"SSL_CERT_FILE ({_truncated(tmp_path)}): is truncated",
        f"SSL_CERT_DIR ({_empty_folder(tmp_path)}): contains no usable PEM certificate",
        f"REQUESTS_CA_BUNDLE ({_text(tmp_path)}): contains no usable PEM certificate",
    ]:
        assert expected in str(caught.value)


def element(tag: int, *content: bytes) -> bytes:
    """Return an element of DER."""
    joined = b"".join(content)
    return bytes([tag, len(joined)]) + joined


SERVER = element(0x06, b"\x2b\x06\x01\x05\x05\x07\x03\x01")
EMAIL = element(0x06, b"\x2b\x06\x01\x05\x05\x07\x03\x04")
ANY = element(0x06, b"\x55\x1d\x25\x00")
ALIAS = element(0x0C, b"an alias")


def trusted(pem: bytes, *settings: bytes) -> bytes:
    """Return a certificate as ``openssl x509 -trustout -setalias`` writes it: with settings after the certificate."""
    return with_trailer(pem, element(0x30, *(settings or (ALIAS,))))


def with_trailer(pem: bytes, trailer: bytes) -> bytes:
    body = base64.encodebytes(ssl.PEM_cert_to_DER_cert(pem.decode()) + trailer)
    return b"-----BEGIN TRUSTED CERTIFICATE-----\n" + body + b"-----END TRUSTED CERTIFICATE-----\n"


def forms() -> dict[str, bytes]:
    pem, other = authority_pem(), trustme.CA().cert_pem.bytes()
    x509 = pem.replace(b"CERTIFICATE", b"X509 CERTIFICATE")
    return {
        "byte order mark": BOM + pem,
        "marks of joined files": BOM + other + BOM + pem,
        "mark and CRLF": BOM + pem.replace(b"\n", b"\r\n"),
        "CR only": pem.replace(b"\n", b"\r"),
        "X509": x509,
        "TRUSTED": trusted(pem),
        "TRUSTED with mark and CRLF": BOM + trusted(pem).replace(b"\n", b"\r\n"),
        "TRUSTED for servers": trusted(pem, element(0x30, EMAIL, SERVER), element(0xA0, EMAIL), ALIAS),
        "TRUSTED but not for e-mail": trusted(pem, element(0xA0, EMAIL)),
        "TRUSTED for any purpose": trusted(pem, element(0x30, ANY)),
        "TRUSTED with a key id": trusted(pem, ALIAS, element(0x04, b"id")),
        "TRUSTED between others": other + trusted(pem) + other,
        "TRUSTED without settings": pem.replace(b"CERTIFICATE", b"TRUSTED CERTIFICATE"),
        "text between blocks": b"Subject: x\n# a comment \xe9\n"
        + other
        + b"\n=====\nnext: TRUSTED CERTIFICATE\n"
        + pem,
        "no final line break": pem.rstrip(b"\n"),
        "tabs and spaces after each line": pem.replace(b"\n", b"\t \n"),
        "trailing spaces": pem.replace(b"-----\n", b"----- \n"),
        "after a truncated one": other[:400] + b"\n" + pem,
        "before a truncated one": pem + other[:400],
        "after one that is not base64": other.replace(b"M", b"*") + pem,
        "after one that is no certificate": b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n" + pem,
        "after a malformed header": b"-----BEGIN CERTIFICATE----\n" + pem,
        "among other objects": issued("x").key + b"-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n" + pem,
    }


@pytest.mark.parametrize("form", list(forms()))
def test_form_of_pem(server: TlsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    path = tmp_path / "folder" / "form.pem"
    path.parent.mkdir()
    path.write_bytes(forms()[form])
    for bundle in (path, path.parent):
        lmtokens.Client(ca_bundle=bundle).add_token(32)
    for name in CA_VARIABLES:
        with monkeypatch.context() as patched:
            patched.setenv(name, str(path))
            lmtokens.Client().add_token(32)


def distrusted() -> dict[str, bytes]:
    pem = authority_pem()
    rejecting = trusted(pem, element(0xA0, SERVER))
    return {
        "rejected for servers": rejecting,
        "rejected for any purpose": trusted(pem, element(0xA0, ANY)),
        "trusted for e-mail": trusted(pem, element(0x30, EMAIL)),
        "trusted for nothing": trusted(pem, element(0x30)),
        "trusted and rejected": trusted(pem, element(0x30, SERVER), element(0xA0, EMAIL, ANY)),
        "rejected, and plain": rejecting + pem,
        "plain, and rejected": pem + rejecting,
        "not a sequence": with_trailer(pem, ALIAS),
        "two sequences": with_trailer(pem, element(0x30, element(0x30, SERVER)) * 2),
        "truncated": with_trailer(pem, element(0x30, element(0x30, SERVER))[:-1]),
        "in another order": trusted(pem, ALIAS, element(0x30, SERVER)),
        "two lists": trusted(pem, element(0x30, SERVER), element(0x30, SERVER)),
        "unknown member": trusted(pem, element(0x30, SERVER), element(0xA2)),
        "not a purpose": trusted(pem, element(0x30, SERVER, ALIAS)),
        "length without end": with_trailer(pem, b"\x30\x80\x00\x00"),
        "endless length": with_trailer(pem, b"\x30\x88" + b"\xff" * 8),
    }


@pytest.mark.parametrize("kind", list(distrusted()))
def test_distrusted_certificate_is_not_trusted(
    server: TlsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path = tmp_path / "folder" / "distrusted.pem"
    path.parent.mkdir()
    path.write_bytes(distrusted()[kind])
    for bundle in (path, path.parent):
        with pytest.raises(lmtokens.ConfigurationError, match="marked as not trusted for servers"):
            lmtokens.Client(ca_bundle=bundle)
    path.write_bytes(path.read_bytes() + trustme.CA().cert_pem.bytes())
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    with pytest.raises(lmtokens.TLSError):
        lmtokens.Client().add_token(32)
    assert server.received == []


def broken() -> dict[str, bytes]:
    pem, key = authority_pem(), issued("localhost").key
    return {
        "truncated": pem[:300],
        "truncated in the end line": pem.rstrip()[:-8],
        "truncated in the begin line": pem[:20],
        "truncated TRUSTED": trusted(pem)[:300],
        "malformed header": pem.replace(b"BEGIN CERTIFICATE-----", b"BEGIN CERTIFICATE--"),
        "not base64": pem.replace(b"M", b"*"),
        "wrong end": pem.replace(b"END CERTIFICATE", b"END PRIVATE KEY"),
        "truncated key": key[:100],
        "unknown truncated block": b"-----BEGIN SOMETHING-----\nabc",
        "UTF-16": pem.decode().encode("utf-16"),
        "empty": b"",
    }


BYTES = re.compile(r"\[\d+(, \d+)+|\[\]|[A-Za-z]+ ?[{(]\w+:|MissingSection|IllegalSection|Base64Decode|SectionTooLarge")


@pytest.mark.parametrize("kind", list(broken()))
@pytest.mark.parametrize("source", ["ca_bundle", "client_cert", "client key", "folder", *CA_VARIABLES])
def test_broken_pem_is_described_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, source: str
) -> None:
    path = tmp_path / "folder" / "broken.pem"
    path.parent.mkdir()
    path.write_bytes(broken()[kind])
    chain = tmp_path / "chain.pem"
    chain.write_bytes(issued("localhost").chain)
    arguments: dict[str, dict[str, Any]] = {
        "ca_bundle": {"ca_bundle": path},
        "folder": {"ca_bundle": path.parent},
        "client_cert": {"client_cert": path},
        "client key": {"client_cert": (chain, path)},
    }
    settings = arguments.get(source, {})
    if not settings:
        monkeypatch.setenv(source, str(path))
    with pytest.raises(lmtokens.ConfigurationError) as caught:
        lmtokens.Client("acme", **CREDENTIALS, **settings)
    message = str(caught.value)
    assert str(path.parent) in message
    assert not BYTES.search(message), message
    assert len(message) < 700
    assert "MII" not in f"{message} {vars(caught.value)}"


def test_client_certificate_with_marks(server: TlsServer, good: Path, tmp_path: Path) -> None:
    own = issued("client.example")
    path = tmp_path / "own.pem"
    path.write_bytes(
        BOM + own.key.replace(b"\n", b"\r\n") + BOM + own.chain.replace(b"CERTIFICATE", b"X509 CERTIFICATE")
    )
    lmtokens.Client(ca_bundle=good, client_cert=path).add_token(32)


def _fifo(folder: Path) -> Path:
    path = folder / "pipe.pem"
    os.mkfifo(path)
    return path


def _socket(folder: Path) -> Path:
    path = folder / "socket.pem"
    with socket.socket(socket.AF_UNIX) as unused:
        unused.bind(str(path))
    return path


def _zero(folder: Path) -> Path:
    path = folder / "zero.pem"
    path.symlink_to("/dev/zero")
    return path


def _loop(folder: Path) -> Path:
    path = folder / "loop.pem"
    path.symlink_to(path)
    return path


def _huge(folder: Path) -> Path:
    path = folder / "huge.pem"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    return path


def _folder(folder: Path) -> Path:
    path = folder / "below.pem"
    path.mkdir()
    return path


ODD = [_fifo, _socket, _zero, _loop, _huge, _folder]


@pytest.mark.parametrize("odd", ODD)
def test_folder_with_an_odd_file(server: TlsServer, tmp_path: Path, good: Path, odd: Any) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    odd(folder)
    (folder / "good.pem").write_bytes(good.read_bytes())
    lmtokens.Client(ca_bundle=folder).add_token(32)


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("source", ["ca_bundle", "client_cert", *CA_VARIABLES])
def test_odd_file_does_not_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, odd: Any, source: str) -> None:
    path = odd(tmp_path)
    settings: dict[str, Any] = {source: path} if source in {"ca_bundle", "client_cert"} else {}
    if not settings:
        monkeypatch.setenv(source, str(path))
    with pytest.raises(lmtokens.ConfigurationError) as caught:
        lmtokens.Client("acme", **CREDENTIALS, **settings)
    assert f"{source} ({path})" in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read every file")
def test_folder_with_an_unreadable_file(server: TlsServer, tmp_path: Path, good: Path) -> None:
    (tmp_path / "secret.pem").touch(0)
    lmtokens.Client(ca_bundle=tmp_path).add_token(32)
