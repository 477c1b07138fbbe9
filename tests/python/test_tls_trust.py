"""Whose certificates are trusted: the argument, else a variable, else the system; and nobody else's."""

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
from certificates import authority, authority_pem, issued
from network import TlsServer, tls_in_front_of
from support import ACCESS_ID, ACCESS_KEY, PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lmtokens.sandbox import Portal

VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@pytest.fixture(autouse=True)
def _no_trust_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.pem"
    path.write_bytes(authority_pem())
    return path


@pytest.fixture
def stranger(tmp_path: Path) -> Path:
    path = tmp_path / "stranger.pem"
    path.write_bytes(trustme.CA().cert_pem.bytes())
    return path


@pytest.fixture
def folder(tmp_path: Path, good: Path, stranger: Path) -> Path:
    """As the system's: certificates under any name, links, and files that are none."""
    path = tmp_path / "certificates"
    (path / "below").mkdir(parents=True)
    shutil.copy(stranger, path / "1.crt")
    (path / "4042bcee.0").symlink_to(good)
    (path / "dangling.0").symlink_to(path / "nowhere")
    (path / "README").write_text("no certificate")
    (path / "binary").write_bytes(bytes(range(256)))
    return path


@pytest.fixture
def server(lmtokens_portal: Portal, monkeypatch: pytest.MonkeyPatch) -> Iterator[TlsServer]:
    """TLS in front of the portal; the environment points to it."""
    with tls_in_front_of(lmtokens_portal, issued("localhost")) as running:
        monkeypatch.setenv("LM_BASE_URL", running.base_url("localhost"))
        yield running


def works(**settings: Path | str) -> bool:
    """Whether a client with these settings trusts the server; any other refusal is an error of the test."""
    try:
        lmtokens.Client(**settings).add_token(32)  # type: ignore[arg-type]
    except lmtokens.TLSError as error:
        if "issued by an unknown CA" not in str(error):
            raise
        return False
    return True


def test_nothing_given(server: TlsServer) -> None:
    assert not works()


def test_file_given(server: TlsServer, good: Path, stranger: Path) -> None:
    assert works(ca_bundle=good)
    assert works(ca_bundle=str(good))
    assert not works(ca_bundle=stranger)


def test_folder_given(server: TlsServer, folder: Path) -> None:
    assert works(ca_bundle=folder)
    (folder / "4042bcee.0").unlink()
    assert not works(ca_bundle=folder)


def test_file_of_many(server: TlsServer, tmp_path: Path, good: Path, stranger: Path) -> None:
    many = tmp_path / "many.pem"
    many.write_bytes(b"# a comment\n" + stranger.read_bytes() + b"\nmore\n" + good.read_bytes())
    assert works(ca_bundle=many)


def test_file_with_line_ends_of_windows(server: TlsServer, tmp_path: Path, good: Path) -> None:
    converted = tmp_path / "windows.pem"
    converted.write_bytes(good.read_bytes().replace(b"\n", b"\r\n"))
    assert works(ca_bundle=converted)


@pytest.mark.parametrize("name", VARIABLES)
@pytest.mark.parametrize("form", ["file", "folder"])
def test_variable(
    server: TlsServer, monkeypatch: pytest.MonkeyPatch, good: Path, folder: Path, name: str, form: str
) -> None:
    monkeypatch.setenv(name, str(good if form == "file" else folder))
    assert works()


@pytest.mark.parametrize("name", VARIABLES)
def test_argument_wins_over_a_variable(
    server: TlsServer, monkeypatch: pytest.MonkeyPatch, good: Path, stranger: Path, name: str
) -> None:
    monkeypatch.setenv(name, str(good))
    assert not works(ca_bundle=stranger)
    monkeypatch.setenv(name, "/nowhere")
    assert works(ca_bundle=good)


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
    server: TlsServer, monkeypatch: pytest.MonkeyPatch, good: Path, stranger: Path, winner: str, loser: str
) -> None:
    monkeypatch.setenv(winner, str(good))
    monkeypatch.setenv(loser, str(stranger))
    assert works()
    monkeypatch.setenv(winner, str(stranger))
    monkeypatch.setenv(loser, str(good))
    assert not works()


@pytest.mark.parametrize("good_one", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_file_and_folder_are_one_store(
    server: TlsServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, good: Path, stranger: Path, good_one: str
) -> None:
    in_folder, in_file = (good, stranger) if good_one == "SSL_CERT_DIR" else (stranger, good)
    only = tmp_path / "only"
    only.mkdir()
    shutil.copy(in_folder, only)
    monkeypatch.setenv("SSL_CERT_DIR", str(only))
    monkeypatch.setenv("SSL_CERT_FILE", str(in_file))
    assert works()


def test_several_folders_in_one_variable(
    server: TlsServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, folder: Path, stranger: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(stranger, other)
    # OpenSSL reads a list here, as PATH is one.
    monkeypatch.setenv("SSL_CERT_DIR", os.pathsep.join([str(other), str(folder)]))
    assert works()


@pytest.mark.parametrize("name", VARIABLES)
def test_empty_variable_is_none(server: TlsServer, monkeypatch: pytest.MonkeyPatch, good: Path, name: str) -> None:
    monkeypatch.setenv(name, "")
    assert not works()
    assert works(ca_bundle=good)


def _unusable(tmp_path: Path) -> dict[str, Path]:
    text, der, broken, key_only, no_certificate, empty = (
        tmp_path / name for name in ("text.pem", "der.crt", "broken.pem", "key.pem", "junk.pem", "empty")
    )
    text.write_text("no certificate")
    der.write_bytes(b"0\x82\x01\x0a" + bytes(range(256)))
    broken.write_bytes(authority_pem().replace(b"M", b"*"))
    key_only.write_bytes(issued("localhost").key)
    # Well-formed base64 of what is no certificate.
    no_certificate.write_text("-----BEGIN CERTIFICATE-----\nbm8gY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n")
    empty.mkdir()
    folder_of_text = tmp_path / "texts"
    folder_of_text.mkdir()
    shutil.copy(text, folder_of_text)
    return {
        "nothing there": tmp_path / "nowhere",
        "text": text,
        "DER": der,
        "broken": broken,
        "key only": key_only,
        "junk in PEM": no_certificate,
        "empty folder": empty,
        "folder of texts": folder_of_text,
        "empty file": Path(os.devnull),
    }


UNUSABLE = [
    "nothing there",
    "text",
    "DER",
    "broken",
    "key only",
    "junk in PEM",
    "empty folder",
    "folder of texts",
    "empty file",
]


@pytest.mark.parametrize("source", ["ca_bundle", *VARIABLES])
@pytest.mark.parametrize("kind", UNUSABLE)
def test_unusable_source(
    server: TlsServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str, source: str
) -> None:
    path = _unusable(tmp_path)[kind]
    settings: dict[str, Any] = {"ca_bundle": path} if source == "ca_bundle" else {}
    if source != "ca_bundle":
        monkeypatch.setenv(source, str(path))
    for take in (lmtokens.Client, lmtokens.AsyncClient, lmtokens.LMv1Auth):
        with pytest.raises(lmtokens.ConfigurationError) as caught:
            take(**settings)
        assert str(path) in str(caught.value)
        assert source in str(caught.value)
        assert "PEM" in str(caught.value.suggestion)
    assert server.connections == 0


# As root in a name space of its own, so that the machine keeps its certificates.
_HIDE_STORE = """
for folder in /etc/ssl /etc/pki /usr/share/ca-certificates /usr/local/share/certs /usr/lib/ssl /etc/ca-certificates; do
    test ! -d "$folder" || mount -t tmpfs none "$folder" || exit 77
done
if test -n "$STORE"; then
    mkdir -p /etc/ssl/certs && cp "$STORE" /etc/ssl/certs/ca-certificates.crt || exit 77
fi
exec "$@"
"""

_CREATE = """
import os, sys, lmtokens
assert os.path.exists("/etc/ssl/certs") == bool(os.environ["STORE"])
try:
    print(lmtokens.add_token(32).id)
except lmtokens.TLSError as error:
    print(error)
"""


def _with_other_store(store: Path | None) -> subprocess.CompletedProcess[str]:
    """A create by a program that sees this file as the system's certificates, or none at all."""
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("nothing here can hide the system's certificates")
    command = [unshare, "--map-root-user", "--mount", "sh", "-c", _HIDE_STORE, "sh", sys.executable, "-c"]
    completed = subprocess.run(
        [*command, _CREATE],
        env={**os.environ, "STORE": str(store or "")},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    if completed.returncode == 77 or "unshare" in completed.stderr:
        pytest.skip("this machine lets nobody hide the system's certificates")
    return completed


def test_systems_store(server: TlsServer, lmtokens_portal: Portal, good: Path, stranger: Path) -> None:
    completed = _with_other_store(good)
    assert (completed.stdout.strip(), completed.stderr) == (str(lmtokens_portal.tokens[-1].id), "")
    assert "issued by an unknown CA" in _with_other_store(stranger).stdout
    assert len(lmtokens_portal.record) == 1


def test_bundled_roots_where_the_system_has_none(server: TlsServer) -> None:
    completed = _with_other_store(None)
    assert "its certificate was issued by an unknown CA" in completed.stdout
    assert completed.stderr == ""
    assert server.connections == 1
    assert server.received == []


def test_variable_where_the_system_has_none(
    server: TlsServer, monkeypatch: pytest.MonkeyPatch, good: Path, lmtokens_portal: Portal
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(good))
    completed = _with_other_store(None)
    assert completed.stderr == ""
    assert completed.stdout.strip() == str(lmtokens_portal.tokens[-1].id)


def test_certificate_of_an_intermediate(server: TlsServer, lmtokens_portal: Portal, good: Path) -> None:
    intermediate = authority().create_child_ca()
    with tls_in_front_of(lmtokens_portal, issued("localhost", issuer=intermediate)) as other:
        client = lmtokens.Client(base_url=other.base_url("localhost"), ca_bundle=good)
        assert client.add_token(32).id == lmtokens_portal.tokens[-1].id


def test_bundle_is_read_when_the_client_is_made(server: TlsServer, good: Path) -> None:
    client = lmtokens.Client(ca_bundle=good)
    good.unlink()
    client.add_token(32)
    with pytest.raises(lmtokens.ConfigurationError):
        lmtokens.Client(ca_bundle=good)


def test_bundle_is_checked_for_a_portal_of_plain_http_as_well(lmtokens_portal: Portal) -> None:
    with pytest.raises(lmtokens.ConfigurationError, match="/nowhere"):
        lmtokens.Client(
            access_id=ACCESS_ID, access_key=ACCESS_KEY, base_url=lmtokens_portal.base_url, ca_bundle="/nowhere"
        )
