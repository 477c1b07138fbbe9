"""What the soaks share: faults, waiting for what is under way, and what is on a portal."""

from __future__ import annotations

import argparse
import random
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections import Counter

    from lmtokens.sandbox import Portal

ENABLED = 2
TAG = "lmtokens-1-"

KINDS = [
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
# How long those kinds wait that do: long enough to be killed in.
SECONDS = 0.01
# Longer than any child takes to send its first request.
PATIENCE = 30.0


def arguments(about: str | None, **numbers: int) -> argparse.Namespace:
    """The numbers of a command line, each with its default, and a seed."""
    parser = argparse.ArgumentParser(description=about and about.splitlines()[0])
    for name, default in numbers.items():
        parser.add_argument(name, type=int, nargs="?", default=default)
    parser.add_argument("seed", type=int, nargs="?", default=random.SystemRandom().randrange(2**32))
    parsed = parser.parse_args()
    print(", ".join(f"{name} {value}" for name, value in vars(parsed).items()), flush=True)
    return parsed


def state(portal: Portal) -> list[tuple[int, int, str]]:
    """Every token's id, status and note."""
    return [(token.id, token.status, token.note) for token in portal.tokens]


def settle(portal: Portal) -> None:
    """Waits until the portal has done what it was asked: requests may land after their sender is dead."""
    before = None
    while (now := state(portal)) != before:
        before = now
        time.sleep(5 * SECONDS)


def wait_for_requests(portal: Portal, number: int, seconds: float = PATIENCE) -> None:
    """Returns when the portal has seen so many, as precisely as can be, or after that time."""
    deadline = time.monotonic() + seconds
    while len(portal.record) < number and time.monotonic() < deadline:
        pass


def show(found: Counter[str]) -> None:
    for what, count in sorted(found.items()):
        print(f"{count:>7}  {what}")
