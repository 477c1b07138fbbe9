"""Short runs of the soak tests; ``make soak`` runs them for longer.

The seeds are fixed, so every run injects the same faults; the moments of the kills depend on the machine.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SOAKS = Path(__file__).parents[1] / "soak"


def soak(name: str, *numbers: int) -> dict[str, int]:
    """Run a soak test and return its counts; a violated invariant makes it fail."""
    command = [sys.executable, str(SOAKS / name), *map(str, numbers)]
    completed = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert completed.returncode == 0, completed.stdout + completed.stderr
    lines = (line.strip().split("  ", 1) for line in completed.stdout.splitlines()[1:])
    return {label: int(count) for count, label in lines}


def test_killed_creates_leave_no_enabled_token_without_its_key() -> None:
    kills = 16
    found = soak("create.py", kills, 20261125)
    assert found["kills"] == kills
    assert found["token enabled, key at PATH"] > 0
    assert found["create repeated: finished"] >= kills // 2


def test_killed_and_resumed_bulk_run_creates_each_token_once() -> None:
    rows, kills = 120, 8
    found = soak("bulk.py", rows, kills, 20261125)
    assert found["kills"] == kills
    assert found["second processes rejected with exit code 1"] == 1
    assert found["enabled tokens whose key signed a request"] == rows


def test_killed_rotations_leave_a_working_token() -> None:
    kills, races = 8, 3
    found = soak("rotate.py", kills, races, 20261126)
    assert found["kills"] == kills
    assert sum(count for label, count in found.items() if label.startswith("race: ")) == races


def test_removed_damaged_and_forged_journals_do_no_harm() -> None:
    found = soak("journal.py", 3, 20, 6, 20261126)
    assert (found["flips"], found["flips refused"]) == (20, 20)
    assert found["forgeries, done"] + found["forgeries, pending"] == 6


def test_audit_equals_the_rules_in_python() -> None:
    command = [sys.executable, str(SOAKS / "audit.py"), "1000", "50", "20261126"]
    completed = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert completed.returncode == 0, completed.stdout + completed.stderr
