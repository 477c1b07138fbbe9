"""The examples run as they stand, against the embedded portal."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import EXAMPLES, HANG_TIMEOUT, run_shell

if TYPE_CHECKING:
    from lmtokens.sandbox import Portal


def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs an example in a program of its own; the fixture's portal is where the environment points to."""
    return subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / name), *arguments],
        env={**os.environ, "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=HANG_TIMEOUT,
        check=False,
    )


def signatures(portal: Portal) -> set[str]:
    return {seen.signature for seen in portal.record}


def test_requests(lmtokens_portal: Portal) -> None:
    # More than one page.
    for number in range(100, 160):
        lmtokens_portal.add_user(f"user-{number}", id=number)
    completed = run("auth_requests.py")
    assert completed.stderr == ""
    names = [line.split(" ", 1)[1] for line in completed.stdout.splitlines()]
    assert names == ["admin", "api-user", "viewer", *(f"user-{number}" for number in range(100, 160))]
    assert signatures(lmtokens_portal) == {"valid"}
    assert len(lmtokens_portal.record) == 2


def test_httpx(lmtokens_portal: Portal) -> None:
    token = lmtokens_portal.create_token(note="before")
    completed = run("auth_httpx.py", "32", str(token.id), "Zoë’s 🔑")
    assert (completed.stdout, completed.stderr) == (f"{token.id}: Zoë’s 🔑\n", "")
    assert lmtokens_portal.tokens[-1].note == "Zoë’s 🔑"
    assert [(seen.method, seen.signature) for seen in lmtokens_portal.record] == [("PATCH", "valid")]


def test_httpx_says_how_it_is_used(lmtokens_portal: Portal) -> None:
    completed = run("auth_httpx.py")
    assert (completed.returncode, completed.stderr) == (1, "usage: auth_httpx.py USER_ID TOKEN_ID NOTE\n")


def test_httpx_async(lmtokens_portal: Portal) -> None:
    for _ in range(2):
        lmtokens_portal.create_token(32)
    completed = run("auth_httpx_async.py")
    assert completed.stderr == ""
    assert completed.stdout.splitlines() == ["admin 1", "api-user 2", "viewer 0"]
    assert signatures(lmtokens_portal) == {"valid"}


def test_aiohttp(lmtokens_portal: Portal) -> None:
    lmtokens_portal.create_token(32, note="Zoë’s 🔑")
    lmtokens_portal.create_token(32, note="disabled", status=1)
    completed = run("auth_aiohttp.py")
    assert completed.stderr == ""
    assert "Zoë’s 🔑 (never used)" in completed.stdout
    assert "disabled" not in completed.stdout
    assert signatures(lmtokens_portal) == {"valid"}


def test_aiohttp_waits_for_budget(lmtokens_portal: Portal) -> None:
    lmtokens_portal.set_rate_limit(200, 1, method="GET")
    lmtokens_portal.fail("rate-limited", times=2)
    completed = run("auth_aiohttp.py")
    assert (completed.returncode, completed.stderr) == (0, "")
    assert [seen.status for seen in lmtokens_portal.record] == [429, 429, 200]
    assert signatures(lmtokens_portal) == {"valid"}


@pytest.mark.parametrize("name", ["auth_requests.py", "auth_httpx_async.py", "auth_aiohttp.py"])
def test_command_of_the_example(name: str) -> None:
    # With no portal but the one that the command brings.
    completed = run_shell("sandbox", "--", sys.executable, str(EXAMPLES / name))
    assert completed.returncode == 0
    assert "admin" in completed.stdout
    assert f"python examples/{name}" in (EXAMPLES / name).read_text(encoding="utf-8")


def test_command_of_the_example_of_httpx() -> None:
    text = (EXAMPLES / "auth_httpx.py").read_text(encoding="utf-8")
    (line,) = (line.strip() for line in text.splitlines() if line.strip().startswith("lmtokens sandbox -- "))
    completed = subprocess.run(
        line,
        shell=True,
        cwd=EXAMPLES.parent,
        env={**os.environ, "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])},
        capture_output=True,
        text=True,
        timeout=HANG_TIMEOUT,
        check=False,
    )
    assert completed.returncode == 0
    assert completed.stdout.splitlines()[-1] == "103: night job"
