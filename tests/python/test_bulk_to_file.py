"""A bulk run of one row whose key goes to a file never creates a second token beside one that may be enabled."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
from delivery_helpers import created_tokens, is_pending, request_methods
from lmtokens.deliver import to_file
from support import HANG_TIMEOUT, SHELL, run_shell, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from lmtokens.sandbox import Portal

FOREVER = 3600
ROW = (32, "ci")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "token.json"


def pending_file(target: Path) -> Path:
    (found,) = target.parent.glob(f"{target.name}.*.pending")
    return found


def kill_at_patch(portal: Portal, kind: Any, command: list[str]) -> None:
    """Kill a command while it waits for the response to the PATCH."""
    portal.fail(kind, method="PATCH", seconds=FOREVER)
    with subprocess.Popen(command) as process:
        wait_until(lambda: "PATCH" in request_methods(portal))
        wait_until(lambda: kind == "delay" or created_tokens(portal)[0].status == 2)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=HANG_TIMEOUT)
    portal.clear_faults()
    portal.clear_record()


def kill_add(portal: Portal, kind: str, target: Path, note: str = "ci") -> None:
    kill_at_patch(portal, kind, [*SHELL, "add", "32", "--note", note, "--to", f"file:{target}"])


RUN_CODE = """
import sys
import lmtokens
from lmtokens.deliver import to_file
lmtokens.add_tokens([(32, "ci")], journal=sys.argv[1], deliver=to_file(sys.argv[2])).finish()
"""


def kill_bulk(portal: Portal, kind: str, target: Path, journal: Path) -> None:
    kill_at_patch(portal, kind, [sys.executable, "-c", RUN_CODE, str(journal), str(target)])


def run_row(target: Path, journal: Path, resume: bool = False) -> lmtokens.RowResult:
    (result,) = lmtokens.add_tokens([ROW], journal=journal, resume=resume, deliver=to_file(target))
    return result


def assert_refused(result: lmtokens.RowResult, portal: Portal, target: Path) -> None:
    assert result.state == "failed"
    assert isinstance(result.error, lmtokens.DeliveryError)
    assert str(pending_file(target)) in str(result.error)
    assert "repeat the interrupted call or resume the interrupted run" in str(result.error)
    assert "POST" not in request_methods(portal)
    assert len(created_tokens(portal)) == 1


def assert_in_place(portal: Portal, target: Path) -> None:
    (stored,) = [stored for stored in created_tokens(portal) if not is_pending(stored)]
    assert (stored.status, stored.note) == (2, "ci")
    assert json.loads(target.read_text())["access_key"] == stored.access_key.reveal()


@pytest.mark.parametrize("kind", ["delay", "act-then-delay"])
def test_key_of_an_interrupted_call_stops_the_run(
    lmtokens_portal: Portal, target: Path, journal: Path, kind: str
) -> None:
    kill_add(lmtokens_portal, kind, target)
    assert_refused(run_row(target, journal), lmtokens_portal, target)
    # A resumed run also looks for tokens that resemble its rows'.
    assert run_row(target, journal, resume=True).state == "unknown"
    assert "POST" not in request_methods(lmtokens_portal)
    completed = run_shell("add", "32", "--note", "ci", "--to", f"file:{target}")
    assert completed.returncode == 0, completed.stderr
    assert_in_place(lmtokens_portal, target)


@pytest.mark.parametrize("kind", ["delay", "act-then-delay"])
def test_key_of_an_interrupted_run_stops_another_run_but_not_its_own(
    lmtokens_portal: Portal, target: Path, journal: Path, kind: str
) -> None:
    kill_bulk(lmtokens_portal, kind, target, journal)
    assert_refused(run_row(target, journal.with_name("another.journal")), lmtokens_portal, target)
    assert run_row(target, journal, resume=True).error is None
    assert_in_place(lmtokens_portal, target)
    assert not list(target.parent.glob("*.pending"))


def test_key_that_the_runs_own_journal_lost_is_removed(lmtokens_portal: Portal, target: Path, journal: Path) -> None:
    """The file is written before the line. A token whose line was not written was never enabled."""
    kill_bulk(lmtokens_portal, "delay", target, journal)
    header, _pending = journal.read_text().splitlines(keepends=True)
    journal.write_text(header)
    left = pending_file(target)
    result = run_row(target, journal, resume=True)
    assert (result.state, result.error) == ("created", None)
    assert_in_place(lmtokens_portal, target)
    assert not left.exists()


def test_key_of_another_token_does_not_stop_the_run(lmtokens_portal: Portal, target: Path, journal: Path) -> None:
    kill_add(lmtokens_portal, "delay", target, note="other")
    left = pending_file(target)
    assert run_row(target, journal).state == "created"
    assert_in_place(lmtokens_portal, target)
    assert left.exists()


def test_unknown_outcome_names_the_file_that_has_the_key(lmtokens_portal: Portal, target: Path, journal: Path) -> None:
    lmtokens_portal.fail("act-then-close", method="PATCH", times=None)
    client = lmtokens_portal.client(max_attempts=1)
    (result,) = client.add_tokens([ROW], journal=journal, deliver=to_file(target))
    assert result.state == "unknown"
    assert f"delivered to {pending_file(target)}" in str(result.error)
