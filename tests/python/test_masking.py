"""Masking keeps messages readable and covers local variables in tracebacks."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import lmtokens
import pytest
from support import ACCESS_ID, HANG_TIMEOUT, StubServer

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("key", ["e", "er", "error"])
def test_very_short_key_does_not_hide_the_message(key: str) -> None:
    body = json.dumps({"errorMessage": "the error is here", "errorCode": 1400}).encode()
    with StubServer(body, 400) as server:
        client = lmtokens.Client(access_id=ACCESS_ID, access_key=key, base_url=server.base_url)
        with pytest.raises(lmtokens.BadRequestError, match="the error is here"):
            client.add_token(32)


def test_message_with_a_key_of_six_characters_is_withheld() -> None:
    body = json.dumps({"errorMessage": "no such key: qwertz", "errorCode": 1400}).encode()
    with StubServer(body, 400) as server:
        client = lmtokens.Client(access_id=ACCESS_ID, access_key="qwertz", base_url=server.base_url)
        with pytest.raises(lmtokens.BadRequestError, match="withheld"):
            client.add_token(32)


FAILING_FIXTURE = """
import os, pathlib
from lmtokens import _lmtokens

def test_it(monkeypatch, request):
    def fail():
        pathlib.Path("key").write_text(os.environ["LM_ACCESS_KEY"])
        raise RuntimeError("invented")
    monkeypatch.setattr(_lmtokens, "_forget_default_client", fail)
    request.getfixturevalue("lmtokens_portal")
"""


def test_fixture_traceback_with_locals_is_masked(tmp_path: Path) -> None:
    test = tmp_path / "test_it.py"
    test.write_text(FAILING_FIXTURE)
    command = [sys.executable, "-m", "pytest", "--showlocals", "-vv", "-p", "no:cacheprovider", str(test)]
    completed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=HANG_TIMEOUT, check=False)
    shown = completed.stdout + completed.stderr
    assert "RuntimeError: invented" in shown
    assert "Portal http" in shown
    assert (tmp_path / "key").read_text() not in shown
