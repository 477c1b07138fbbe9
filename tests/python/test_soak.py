"""The soaks, for a few seconds each; ``make soak`` runs them for as long as it takes to be sure.

The seeds are fixed, so that the same faults strike in every run; where the kills fall is up to the machine.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SOAKS = Path(__file__).parents[1] / "soak"


def soak(name: str, *numbers: int) -> dict[str, int]:
    """Runs one and reads what it counted; it fails where something is not as it must be."""
    command = [sys.executable, str(SOAKS / name), *map(str, numbers)]
    completed = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert completed.returncode == 0, completed.stdout + completed.stderr
    counted = (line.strip().split("  ", 1) for line in completed.stdout.splitlines()[1:])
    return {what: int(count) for count, what in counted}


def test_killed_creates_leave_nothing_live_that_nobody_holds() -> None:
    kills = 16
    found = soak("create.py", kills, 20261125)
    assert found["kills"] == kills
    assert found["token enabled, key at PATH"] > 0


def test_killed_and_resumed_bulk_run_makes_each_token_once() -> None:
    rows, kills = 120, 8
    found = soak("bulk.py", rows, kills, 20261125)
    assert found["kills"] == kills
    assert found["second processes refused with exit code 1"] == 1
    assert found["tokens enabled, their keys proved by a signed request"] == rows
