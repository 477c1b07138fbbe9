"""Helpers for the soak tests: arguments, faults, and waiting for requests."""

from __future__ import annotations

import argparse
import json
import random
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator
    from pathlib import Path

    from lmtokens.sandbox import FaultKind, Portal

ENABLED = 2
TAG = "lmtokens-2-"

KINDS: list[FaultKind] = [
    "close-before-acting",
    "act-then-close",
    "status-before-acting",
    "act-then-status",
    "html",
    "act-then-html",
    "truncated",
    "garbage",
    "empty",
    "no-key",
    "delay",
    "act-then-delay",
    "late",
]
# The delay of the faults that have one: long enough for a kill to hit it.
SECONDS = 0.01
# Seconds; longer than any child takes to send its first request.
PATIENCE = 30.0


def arguments(about: str | None, **numbers: int) -> argparse.Namespace:
    """Parse numbers with defaults, and a seed, from the command line."""
    parser = argparse.ArgumentParser(description=about and about.splitlines()[0])
    for name, default in numbers.items():
        parser.add_argument(name, type=int, nargs="?", default=default)
    parser.add_argument("seed", type=int, nargs="?", default=random.SystemRandom().randrange(2**32))
    parsed = parser.parse_args()
    print(", ".join(f"{name} {value}" for name, value in vars(parsed).items()), flush=True)
    return parsed


def state(portal: Portal) -> list[tuple[int, int, str]]:
    """Return the id, status and note of every token."""
    return [(token.id, token.status, token.note) for token in portal.tokens]


def settle(portal: Portal) -> None:
    """Wait until the portal's tokens no longer change: it may still apply requests of a killed process."""
    before = None
    while (now := state(portal)) != before:
        before = now
        time.sleep(5 * SECONDS)


def wait_for_requests(portal: Portal, number: int, seconds: float = PATIENCE) -> None:
    """Wait until the portal has seen this many requests, or for this time. A busy loop makes it precise."""
    deadline = time.monotonic() + seconds
    while len(portal.record) < number and time.monotonic() < deadline:
        pass


def delivered_files(directory: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Read the files of a directory, each with what was delivered to it. Only unfinished ones may be torn."""
    for path in directory.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600, path
        try:
            members = json.loads(path.read_text())
        except ValueError:
            assert path.suffix in {".pending", ".new"}, f"{path} is torn"
            continue
        yield path, members


def show(counts: Counter[str]) -> None:
    for label, count in sorted(counts.items()):
        print(f"{count:>7}  {label}")
