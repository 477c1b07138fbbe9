"""Two-phase creates under random faults, killed with SIGKILL at random moments.

    python tests/soak/create.py [KILLS [SEED]]

A child process creates tokens, each delivered to its own file, until it is killed: half of the children at a random
moment, the others between enabling and commit. After each kill, the key of every enabled token must be in its file or
in the pending file beside it. The same create is then repeated: one enabled token with its key in the file must be the
result, and no pending file may remain. After a sweep an hour later by the portal's clock, no tagged token may remain,
and the bystanders must be unchanged. Prints how often each state was found.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Callable

from lmtokens.deliver import to_file
from lmtokens.sandbox import Portal
from soak_helpers import (
    ENABLED,
    KINDS,
    PATIENCE,
    SECONDS,
    TAG,
    arguments,
    delivered_files,
    settle,
    show,
    wait_for_requests,
)

if TYPE_CHECKING:
    from lmtokens.sandbox import StoredToken

HOUR = 3600
RATE = 0.25

CHILD = """
import itertools, sys
import lmtokens
from lmtokens.deliver import to_file

folder, admin_id = sys.argv[1], int(sys.argv[2])
client = lmtokens.default_client()
print("ready", flush=True)
for number in itertools.count():
    path = f"{folder}/{number}.json"
    try:
        token = client.add_token(admin_id, f"number {number}", deliver=to_file(path))
    except lmtokens.LMTokensError as error:
        print(type(error).__name__, flush=True)
    else:
        print("done", token.id, path, flush=True)
"""


@dataclass(frozen=True)
class Delivered:
    """The keys in the files, by token id."""

    final: dict[int, str]
    pending: dict[int, str]

    @property
    def all(self) -> dict[int, str]:
        return {**self.pending, **self.final}


def main() -> None:
    parsed = arguments(__doc__ or "", kills=200)
    show(soak(parsed.kills, parsed.seed))


def soak(kills: int, seed: int) -> Counter[str]:
    """Kill this many children and return the counts; raise AssertionError if an invariant is violated."""
    rng = random.Random(seed)
    counts: Counter[str] = Counter()
    with Portal() as portal, tempfile.TemporaryDirectory() as folder:
        portal.set_rate_limit(1_000_000, 1.0)
        bystanders = [*portal.tokens, *create_bystanders(portal)]
        for number in range(kills):
            admin_id = portal.add_user(f"owner-{number}")
            directory = Path(folder, str(number))
            directory.mkdir(mode=0o700)
            portal.clear_record()
            if number % 2:
                output = run_until_killed(portal, directory, admin_id, enabled_moment(portal, rng))
            else:
                portal.fail_at_random(RATE, seed=rng.getrandbits(64), kinds=KINDS, seconds=SECONDS)
                output = run_until_killed(portal, directory, admin_id, random_moment(portal, rng))
            portal.clear_faults()
            settle(portal)
            counts += check_tokens(portal, directory, admin_id, output)
            counts += repeat_creates(portal, directory, admin_id)
            counts["tokens swept"] += sweep(portal, bystanders)
    counts["kills"] = kills
    return counts


def random_moment(portal: Portal, rng: random.Random) -> Callable[[], None]:
    """Return a function that waits for a random time or number of requests."""

    def wait() -> None:
        if rng.random() < 0.5:
            time.sleep(rng.uniform(0, 0.2))
        else:
            wait_for_requests(portal, rng.randrange(1, 12))
            time.sleep(rng.choice([0, 0, 0.0005, 0.002, 0.01]))

    return wait


def enabled_moment(portal: Portal, rng: random.Random) -> Callable[[], None]:
    """Return a function that waits until one of the first tokens is enabled; its response is delayed."""
    skip = rng.randrange(3)
    portal.fail("act-then-delay", method="PATCH", skip=skip, seconds=PATIENCE)

    def wait() -> None:
        deadline = time.monotonic() + PATIENCE
        while sum(seen.method == "PATCH" and seen.applied for seen in portal.record) <= skip:
            assert time.monotonic() < deadline, "the child enabled no token"
            time.sleep(0.002)

    return wait


def run_until_killed(portal: Portal, directory: Path, admin_id: int, wait: Callable[[], None]) -> list[list[str]]:
    """Run a child, kill it after a wait, and return the words of its output lines."""
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(directory), str(admin_id)],
        env={**os.environ, **portal.environment()},
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        wait()
        child.kill()
        stdout, _ = child.communicate(timeout=60)
    return [line.split() for line in stdout.splitlines(keepends=True) if line.endswith("\n")]


def read_delivered_keys(directory: Path) -> Delivered:
    """Read the keys of the files in a directory."""
    keys = Delivered({}, {})
    for path, members in delivered_files(directory):
        by_id = keys.final if path.suffix == ".json" else keys.pending
        by_id[members["id"]] = members["access_key"]
    return keys


def check_tokens(portal: Portal, directory: Path, admin_id: int, output: list[list[str]]) -> Counter[str]:
    """Check the tokens and keys after a kill, and count them by state."""
    keys = read_delivered_keys(directory)
    tokens = {token.id: token for token in portal.tokens if token.admin_id == admin_id}
    counts: Counter[str] = Counter()
    for token in tokens.values():
        key = keys.all.get(token.id)
        if token.status == ENABLED:
            assert key is not None, f"token {token.id} is enabled, but its key is lost"
            assert not token.note.startswith(TAG), f"token {token.id} is enabled and tagged"
            counts["token enabled, key " + ("at PATH" if token.id in keys.final else "pending")] += 1
        else:
            assert token.note.startswith(TAG), f"token {token.id} is disabled, but not tagged"
            counts["token disabled, key " + ("not delivered" if key is None else "pending")] += 1
            assert token.id not in keys.final, f"token {token.id} is disabled, but its key is at PATH"
        assert key in (None, token.access_key.reveal()), f"the key delivered for token {token.id} is another token's"
    counts["no token, key pending"] += len(keys.pending.keys() - tokens.keys())
    assert keys.final.keys() <= tokens.keys(), "a key is at PATH, but its token does not exist"
    for words in output:
        counts[f"create ended: {words[0]}"] += 1
        if words[0] == "done":
            assert tokens[int(words[1])].status == ENABLED
            assert int(words[1]) in keys.final
    return counts


def repeat_creates(portal: Portal, directory: Path, admin_id: int) -> Counter[str]:
    """Repeat the creates that left a pending file, and count how each ended."""
    counts: Counter[str] = Counter()
    numbers = {int(path.name.partition(".")[0]) for path in directory.glob("*.pending")}
    for number in numbers:
        before = {each.id for each in portal.tokens if (each.admin_id, each.note) == (admin_id, f"number {number}")}
        path = directory / f"{number}.json"
        with portal.client() as client:
            token = client.add_token(admin_id, f"number {number}", deliver=to_file(path))
        (stored,) = (each for each in portal.tokens if (each.admin_id, each.note) == (admin_id, f"number {number}"))
        assert (stored.id, stored.status) == (token.id, ENABLED)
        assert read_delivered_keys(directory).final[token.id] == stored.access_key.reveal()
        counts["create repeated: " + ("finished" if token.id in before else "created anew")] += 1
    left = [path for path in directory.iterdir() if path.suffix != ".json"]
    assert not left, f"{left} remain"
    return counts


def create_bystanders(portal: Portal) -> list[StoredToken]:
    """Create tokens that no sweep may touch, as old as the orphans that it deletes."""
    created_on = int(time.time())
    tag = f"{TAG}{'0' * 15}1-{created_on}-{'0' * 31}1"
    similar_notes = ["", "ci", TAG, tag[:-1], f"{tag}0", f"x{tag}", f" {tag}", f"{tag} ", f"{tag}-ci", tag.upper()]
    wrong_time = f"{TAG}{'0' * 15}1-{created_on - 2 * HOUR}-{'0' * 31}1"
    similar_notes.append(wrong_time)
    bystanders = [portal.create_token(note=note, status=1, created_on=created_on) for note in similar_notes]
    bystanders += [portal.create_token(note=note, created_on=created_on) for note in ("ci", tag, f"{tag} ci")]
    used = created_on + 1
    bystanders += [portal.create_token(note=tag, status=1, created_on=created_on, last_used_on=used)]
    bystanders += [portal.create_token(note="ci", status=1, type="bearer", created_on=created_on)]
    return bystanders


def sweep(portal: Portal, bystanders: list[StoredToken]) -> int:
    """Sweep with the portal's clock an hour ahead, check what is left, and return the number of deleted tokens."""
    portal.set_clock_offset(HOUR + 60)
    try:
        # The timestamp of a signature would be an hour off; a bearer token has none.
        with portal.client(bearer_token=portal.bearer_token) as client:
            found = client.sweep_tokens()
            swept = client.sweep_tokens(dry_run=False)
    finally:
        portal.set_clock_offset(0)
    assert [each.token.id for each in found] == [each.token.id for each in swept]
    assert all(each.deleted for each in swept)
    remaining = {token.id: (token.status, token.note) for token in portal.tokens}
    for token in bystanders:
        assert remaining.pop(token.id, None) == (token.status, token.note), (
            f"the sweep changed the bystander {token.id}"
        )
    assert not [id for id, (status, note) in remaining.items() if status != ENABLED or note.startswith(TAG)]
    return len(swept)


if __name__ == "__main__":
    main()
