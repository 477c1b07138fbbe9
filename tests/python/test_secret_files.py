"""``LM_ACCESS_KEY_FILE`` and ``LM_BEARER_TOKEN_FILE``: secrets in files, as containers mount them."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
from lmtokens import ConfigurationError, CredentialsError
from support import ACCESS_ID, ACCESS_KEY, run_python, run_shell

if TYPE_CHECKING:
    from pathlib import Path

    from lmtokens.sandbox import Portal

BEARER = "lmb_invented-bearer"
CONSTRUCTORS = [lmtokens.Client, lmtokens.AsyncClient, lmtokens.LMv1Auth, lmtokens.configure]


@pytest.fixture
def key_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the access key that belongs to ``LM_ACCESS_ID``."""
    path = tmp_path / "key"
    path.write_text(ACCESS_KEY)
    monkeypatch.setenv("LM_COMPANY", "acme")
    monkeypatch.setenv("LM_ACCESS_ID", ACCESS_ID)
    monkeypatch.setenv("LM_ACCESS_KEY_FILE", str(path))
    return path


def is_refused(message: str, error: type[Exception] = ConfigurationError) -> None:
    with pytest.raises(error, match=message) as caught:
        lmtokens.Client()
    assert ACCESS_KEY not in str(caught.value)


@pytest.mark.parametrize("construct", CONSTRUCTORS)
def test_access_key_of_a_file_is_used_and_reported(key_file: Path, construct: Any) -> None:
    assert "LMv1 from environment (LM_ACCESS_ID, LM_ACCESS_KEY_FILE)" in repr(construct())


def test_request_is_signed_with_the_key_of_a_file(
    lmtokens_portal: Portal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "key"
    path.write_text(lmtokens_portal.access_key.reveal() + "\n")
    monkeypatch.delenv("LM_ACCESS_KEY")
    monkeypatch.setenv("LM_ACCESS_KEY_FILE", str(path))
    assert lmtokens.add_token(32).id
    assert lmtokens.whoami().credentials_from == "environment (LM_ACCESS_ID, LM_ACCESS_KEY_FILE)"
    assert run_shell("add", "32", "-o", "json").returncode == 0
    assert {request.signature for request in lmtokens_portal.record} == {"valid"}


def test_bearer_token_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "token"
    path.write_text(f"{BEARER}\r\n")
    monkeypatch.setenv("LM_BEARER_TOKEN_FILE", str(path))
    assert "bearer from environment (LM_BEARER_TOKEN_FILE)" in repr(lmtokens.Client("acme"))


def test_bearer_token_in_the_file_of_the_key_needs_no_id(key_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key_file.write_text(BEARER)
    monkeypatch.delenv("LM_ACCESS_ID")
    assert "bearer from environment (LM_ACCESS_KEY_FILE)" in repr(lmtokens.Client())


def test_secret_is_accepted_as_kubernetes_mounts_it(key_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "..2026_01_01"
    folder.mkdir()
    key_file.rename(folder / "key")
    (folder / "key").chmod(0o644)
    (tmp_path / "..data").symlink_to(folder.name)
    key_file.symlink_to("..data/key")
    assert "LM_ACCESS_KEY_FILE" in repr(lmtokens.Client())


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_one_line_break_at_the_end_is_dropped(key_file: Path, end: str) -> None:
    key_file.write_bytes((ACCESS_KEY + end).encode())
    assert "LM_ACCESS_KEY_FILE" in repr(lmtokens.Client())


@pytest.mark.parametrize("content", [f"{ACCESS_KEY}\n\n", f" {ACCESS_KEY}", f'"{ACCESS_KEY}"\n', "", "\n"])
def test_other_traces_of_editing_are_refused(key_file: Path, content: str) -> None:
    key_file.write_text(content)
    is_refused(r"invalid access_key: .* \(from LM_ACCESS_ID and LM_ACCESS_KEY_FILE\)", CredentialsError)


def test_variable_and_file_with_the_same_secret_agree(key_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LM_ACCESS_KEY", ACCESS_KEY)
    assert "(LM_ACCESS_ID, LM_ACCESS_KEY)" in repr(lmtokens.Client())


@pytest.mark.parametrize("name", ["LM_ACCESS_KEY", "LM_BEARER_TOKEN"])
def test_variable_and_file_with_different_secrets_are_refused(
    key_file: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    if name == "LM_BEARER_TOKEN":
        monkeypatch.delenv("LM_ACCESS_ID")
        monkeypatch.setenv("LM_BEARER_TOKEN_FILE", os.environ["LM_ACCESS_KEY_FILE"])
        monkeypatch.delenv("LM_ACCESS_KEY_FILE")
    monkeypatch.setenv(name, "invented-other")
    is_refused(f"{name} and {name}_FILE have different values")


def test_file_without_its_access_id_is_half_a_pair(key_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LM_ACCESS_ID")
    is_refused("LM_ACCESS_ID is missing: LM_ACCESS_KEY_FILE is set without it", CredentialsError)
    # The other alias of the id is not combined with it.
    monkeypatch.setenv("LM_API_ID", ACCESS_ID)
    is_refused("LM_ACCESS_ID is missing", CredentialsError)


def test_bearer_token_of_a_file_is_ignored_beside_a_pair(
    key_file: Path, lmtokens_portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It is not even read.
    monkeypatch.setenv("LM_BEARER_TOKEN_FILE", "/nonexistent")
    assert lmtokens.whoami().ignored_sources == ["LM_BEARER_TOKEN_FILE"]


def test_file_is_not_read_if_arguments_have_credentials(key_file: Path) -> None:
    key_file.unlink()
    assert "LMv1 from arguments" in repr(lmtokens.Client(access_id=ACCESS_ID, access_key=ACCESS_KEY))


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        ("missing", "No such file"),
        ("folder", "it is not a regular file"),
        ("pipe", "it is not a regular file"),
        ("device", "it is not a regular file"),
        ("large", "it is larger than 1048576 bytes"),
        ("bytes", "it is not valid UTF-8"),
    ],
)
def test_unusable_file_is_refused_without_waiting(
    key_file: Path, monkeypatch: pytest.MonkeyPatch, kind: str, problem: str
) -> None:
    key_file.unlink()
    if kind == "folder":
        key_file.mkdir()
    elif kind == "pipe":
        os.mkfifo(key_file)
    elif kind == "device":
        monkeypatch.setenv("LM_ACCESS_KEY_FILE", "/dev/zero")
    elif kind == "large":
        key_file.write_bytes(b"x" * (1 << 20) + b"x")
    elif kind == "bytes":
        key_file.write_bytes(b"\xff\xfe")
    is_refused(f"cannot read the file that LM_ACCESS_KEY_FILE names: {problem}")
    # In a process of its own, which a hang would not block.
    completed = run_python("import lmtokens; lmtokens.Client()")
    assert problem in completed.stderr


def test_secret_in_place_of_its_path_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LM_BEARER_TOKEN_FILE", BEARER)
    with pytest.raises(ConfigurationError, match="LM_BEARER_TOKEN_FILE") as caught:
        lmtokens.Client("acme")
    assert "path of a file" in str(caught.value.suggestion)
    completed = run_shell("add", "32", "--company", "acme")
    assert completed.returncode == 2
    shown = f"{caught.value!r} {caught.value.suggestion} {completed.stdout} {completed.stderr}"
    assert not re.search("invented|lmb_", shown)


def test_error_about_the_content_of_a_file_does_not_repeat_it(key_file: Path) -> None:
    key_file.write_text("marker one\nmarker two\n")
    completed = run_shell("add", "32")
    assert completed.returncode == 4
    assert "LM_ACCESS_KEY_FILE" in completed.stderr
    assert "marker" not in completed.stderr
