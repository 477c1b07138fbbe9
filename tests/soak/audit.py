"""An audit of many tokens of many users, compared with ten lines of Python over the same data.

    python tests/soak/audit.py [TOKENS [USERS [SEED]]]      (default 10000 500 1)

Prints the seconds that each part took, and how much memory the audit added to the process. The sandbox runs in a
process of its own.
"""

from __future__ import annotations

import random
import resource
import sys
import time
from collections import Counter
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import lmtokens
from lmtokens.sandbox import Portal

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

DAY = 24 * 3600


def fill(portal: Portal, tokens: int, users: int, rng: random.Random) -> list[dict[str, Any]]:
    """Store users and tokens, and return the tokens as plain data."""
    now = int(time.time())
    owners = {}
    for number in range(users):
        roles, api_only = ["administrator" if rng.random() < 0.1 else "readonly"], rng.random() < 0.8
        owners[portal.add_user(f"user {number}", roles=roles, apionly=api_only)] = (roles, api_only)
    data = []
    for _ in range(tokens):
        owner, created = rng.choice(list(owners)), rng.randrange(500 * DAY)
        used = rng.choice([None, rng.randrange(created + 1)])
        stored = portal.create_token(
            owner,
            note=rng.choice(["", "ci", "backup"]),
            status=rng.choice([1, 2, 2]),
            type="bearer" if rng.random() < 0.3 else "lmv1",
            created_on=now - created,
            last_used_on=now - used if used is not None else 0,
        )
        members = {name: getattr(stored, name) for name in ("id", "note", "status", "created_on", "last_used_on")}
        data.append({**members, "roles": owners[owner][0], "api_only": owners[owner][1]})
    return data


def expected(token: dict[str, Any], now: int) -> set[str]:
    enabled, age = token["status"] == 2, now - token["created_on"]
    idle = now - token["last_used_on"] if token["last_used_on"] else None
    reasons = {
        "idle": enabled and idle is not None and idle > 45 * DAY,
        "never_used": enabled and idle is None and age > 7 * DAY,
        "old": enabled and age > 365 * DAY,
        "disabled": not enabled and (age if idle is None else idle) > 30 * DAY,
        "no_note": not token["note"],
        "owner_not_api_only": enabled and not token["api_only"],
        "administrator": enabled and "administrator" in token["roles"],
    }
    return {reason for reason, applies in reasons.items() if applies}


def serve(connection: Connection, tokens: int, users: int, seed: int) -> None:
    """Run a sandbox with tokens until the other side closes the connection."""
    with Portal(record_limit=0) as portal:
        portal.set_rate_limit(1_000_000)
        data = fill(portal, tokens, users, random.Random(seed))
        connection.send((portal.base_url, portal.access_id, portal.access_key.reveal(), data))
        connection.recv()


def peak_mib() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def compare(audit: lmtokens.Audit, data: list[dict[str, Any]]) -> Counter[str]:
    assert audit.checked_on is not None
    now = int(audit.checked_on.timestamp())
    wanted = {token["id"]: expected(token, now) for token in data}
    found = {
        finding.token.id: {reason.value for reason in finding.reasons}
        for finding in audit
        if finding.token.id in wanted
    }
    assert found == {id: reasons for id, reasons in wanted.items() if reasons}
    # With the two built-in tokens.
    assert audit.checked == len(data) + 2
    assert audit.limitations == []
    return Counter(reason for reasons in found.values() for reason in sorted(reasons))


def main(tokens: int = 10_000, users: int = 500, seed: int = 1) -> None:
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=serve, args=(theirs, tokens, users, seed), daemon=True)
    started = time.monotonic()
    server.start()
    base_url, access_id, access_key, data = ours.recv()
    print(f"{tokens} tokens of {users} users stored in {time.monotonic() - started:.1f} s (seed {seed})")
    with lmtokens.Client(base_url=base_url, access_id=access_id, access_key=access_key) as client:
        client.whoami()
        before, started = peak_mib(), time.monotonic()
        audit = client.audit_tokens()
        elapsed, after = time.monotonic() - started, peak_mib()
    print(f"audit: {elapsed:.2f} s, peak memory {after:.1f} MiB, {after - before:.1f} MiB more than before")
    counts = compare(audit, data)
    print(f"{audit!r}")
    print("as expected:", ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items())))
    ours.send(None)
    server.join(30)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
