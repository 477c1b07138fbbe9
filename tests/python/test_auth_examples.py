"""The examples of LMv1Auth run unchanged against the sandbox."""

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


def run_example(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run an example in a new process, with the portal that the environment names."""
    return subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / name), *arguments],
        env={**os.environ, "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=HANG_TIMEOUT,
        check=False,
    )


def signature_results(portal: Portal) -> set[str]:
    return {seen.signature for seen in portal.record}


def test_requests_example(lmtokens_portal: Portal) -> None:
    # Enough users for more than one page.
    for number in range(100, 160):
        lmtokens_portal.add_user(f"user-{number}", id=number)
    completed = run_example("auth_requests.py")
    assert completed.stderr == ""
    names = [line.split(" ", 1)[1] for line in completed.stdout.splitlines()]
    assert names == ["admin", "api-user", "viewer", *(f"user-{number}" for number in range(100, 160))]
    assert signature_results(lmtokens_portal) == {"valid"}
    assert len(lmtokens_portal.record) == 2


def test_httpx_example(lmtokens_portal: Portal) -> None:
    token = lmtokens_portal.create_token(note="before")
    completed = run_example("auth_httpx.py", "32", str(token.id), "Zoë’s 🔑")
    assert (completed.stdout, completed.stderr) == (f"{token.id}: Zoë’s 🔑\n", "")
    assert lmtokens_portal.tokens[-1].note == "Zoë’s 🔑"
    assert [(seen.method, seen.signature) for seen in lmtokens_portal.record] == [("PATCH", "valid")]


def test_httpx_example_prints_its_usage(lmtokens_portal: Portal) -> None:
    completed = run_example("auth_httpx.py")
    assert (completed.returncode, completed.stderr) == (1, "usage: auth_httpx.py USER_ID TOKEN_ID NOTE\n")


def test_httpx_async_example(lmtokens_portal: Portal) -> None:
    for _ in range(2):
        lmtokens_portal.create_token(32)
    completed = run_example("auth_httpx_async.py")
    assert completed.stderr == ""
    assert completed.stdout.splitlines() == ["admin 1", "api-user 2", "viewer 0"]
    assert signature_results(lmtokens_portal) == {"valid"}


def test_aiohttp_example(lmtokens_portal: Portal) -> None:
    lmtokens_portal.create_token(32, note="Zoë’s 🔑")
    lmtokens_portal.create_token(32, note="disabled", status=1)
    completed = run_example("auth_aiohttp.py")
    assert completed.stderr == ""
    assert "Zoë’s 🔑 (never used)" in completed.stdout
    assert "disabled" not in completed.stdout
    assert signature_results(lmtokens_portal) == {"valid"}


def test_aiohttp_example_waits_for_the_rate_limit(lmtokens_portal: Portal) -> None:
    lmtokens_portal.set_rate_limit(200, 1, method="GET")
    lmtokens_portal.fail("rate-limited", times=2)
    completed = run_example("auth_aiohttp.py")
    assert (completed.returncode, completed.stderr) == (0, "")
    assert [seen.status for seen in lmtokens_portal.record] == [429, 429, 200]
    assert signature_results(lmtokens_portal) == {"valid"}


@pytest.mark.parametrize("name", ["auth_requests.py", "auth_httpx_async.py", "auth_aiohttp.py"])
def test_documented_command_runs(name: str) -> None:
    # Without the fixture: the command starts its own sandbox.
    completed = run_shell("sandbox", "--", sys.executable, str(EXAMPLES / name))
    assert completed.returncode == 0
    assert "admin" in completed.stdout
    assert f"python examples/{name}" in (EXAMPLES / name).read_text(encoding="utf-8")


def test_documented_command_of_the_httpx_example_runs() -> None:
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
