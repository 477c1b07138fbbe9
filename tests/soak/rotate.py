"""Rotations under random faults, killed with SIGKILL at random moments, and rotations by two processes at once.

    python tests/soak/rotate.py [KILLS [RACES [SEED]]]

A child process rotates a token to a file again and again, each time the token that the last rotation created, until it
is killed. After each kill, at least one enabled token of the owner must have its key in a file. Another process then
continues, finishes or cancels the rotation, half of the time under faults too. At the end, exactly one token of the
owner must be enabled, its key must be in a file and sign a request, and after a sweep two hours later by the portal's
clock, no tagged token may remain. In a race, two processes rotate one token to two files at once: one new token must be
enabled, with its key in a file. Prints how often each state was found.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import lmtokens
from lmtokens.deliver import to_file
from lmtokens.sandbox import Portal
from soak_helpers import ENABLED, KINDS, SECONDS, TAG, arguments, delivered_files, settle, show, wait_for_requests

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lmtokens.sandbox import StoredToken

RATE = 0.2

CHILD = """
import sys
import lmtokens
from lmtokens.deliver import to_file

path, token = sys.argv[1], int(sys.argv[2])
client = lmtokens.default_client()
while True:
    print("rotate", token, flush=True)
    try:
        rotation = client.rotate_token(token, deliver=to_file(path), overlap=0, quarantine=0)
    except lmtokens.LMTokensError as error:
        print(type(error).__name__, flush=True)
        continue
    if rotation.state == "finished" and rotation.new:
        token = rotation.new.id
"""

RACER = """
import sys
import lmtokens
from lmtokens.deliver import to_file

path, token = sys.argv[1], int(sys.argv[2])
client = lmtokens.default_client()
print("ready", flush=True)
sys.stdin.readline()
try:
    print(client.rotate_token(token, deliver=to_file(path), overlap=0).state)
except lmtokens.RotationError as error:
    print(type(error).__name__)
"""


def main() -> None:
    parsed = arguments(__doc__ or "", kills=500, races=200)
    show(soak(parsed.kills, parsed.seed) + race(parsed.races))


@contextmanager
def passing_time(portal: Portal) -> Iterator[None]:
    """Let the portal's time pass a hundred times as fast: a rotation that is continued waits a minute."""
    done = threading.Event()

    def advance() -> None:
        while not done.wait(0.1):
            portal.advance(seconds=10)

    thread = threading.Thread(target=advance)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def soak(kills: int, seed: int) -> Counter[str]:
    """Kill this many children and return the counts; raise AssertionError if an invariant is violated."""
    rng = random.Random(seed)
    counts: Counter[str] = Counter()
    with Portal() as portal, tempfile.TemporaryDirectory() as folder:
        portal.set_rate_limit(1_000_000, 1.0)
        bystander = portal.create_token(32, note="bystander")
        for number in range(kills):
            admin_id = portal.add_user(f"owner-{number}")
            directory = Path(folder, str(number))
            directory.mkdir(mode=0o700)
            path = directory / "token.json"
            first = portal.client().add_token(admin_id, f"number {number}", deliver=to_file(path))
            portal.clear_record()
            portal.fail_at_random(RATE, seed=rng.getrandbits(64), kinds=KINDS, seconds=SECONDS)
            with passing_time(portal):
                old = run_until_killed(portal, rng, path, first.id)
            portal.clear_faults()
            settle(portal)
            counts[state(portal, admin_id, directory)] += 1
            counts[go_on(portal, rng, path, old)] += 1
            check_end(portal, admin_id, directory)
            assert stored(portal, bystander.id) == bystander
    counts["kills"] = kills
    return counts


def run_until_killed(portal: Portal, rng: random.Random, path: Path, token: int) -> int:
    """Run a child, kill it at a random moment, and return the id of the token that it was rotating."""
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path), str(token)],
        env={**os.environ, **portal.environment()},
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        wait_for_requests(portal, rng.randrange(1, 60))
        time.sleep(rng.choice([0, 0, 0.0005, 0.002, 0.01]))
        child.kill()
        stdout, _ = child.communicate(timeout=60)
    begun = [int(line.split()[1]) for line in stdout.splitlines() if line.startswith("rotate ")]
    return begun[-1] if begun else token


def stored(portal: Portal, id: int) -> StoredToken | None:
    return next((token for token in portal.tokens if token.id == id), None)


def held_keys(directory: Path) -> dict[int, str]:
    """Return the keys in the files of a directory, by token id."""
    return {members["id"]: members["access_key"] for _, members in delivered_files(directory)}


def enabled_tokens(portal: Portal, admin_id: int) -> list[StoredToken]:
    return [token for token in portal.tokens if token.admin_id == admin_id and token.status == ENABLED]


def state(portal: Portal, admin_id: int, directory: Path) -> str:
    """Check the tokens and keys after a kill, and describe the notes of the tokens."""
    keys = held_keys(directory)
    enabled = enabled_tokens(portal, admin_id)
    assert any(keys.get(token.id) == token.access_key.reveal() for token in enabled), f"no working token: {enabled}"
    forms = []
    for token in portal.tokens:
        if token.admin_id == admin_id:
            marks = ["replaces", "replaced by", "superseded", "cancelled"]
            marker = token.note.partition("]")[0] if token.note.startswith("[lmtokens ") else ""
            form = " ".join(mark for mark in marks if mark in marker) or ("tag" if TAG in token.note else "plain")
            forms.append(f"{form} {'enabled' if token.status == ENABLED else 'disabled'}")
    return "killed: " + ", ".join(sorted(forms))


def go_on(portal: Portal, rng: random.Random, path: Path, old: int) -> str:
    """Continue, finish or cancel a rotation, and return what that came to."""
    client = portal.client()
    action = rng.choice(["rotate", "rotate", "finish", "cancel"])
    if rng.random() < 0.5:
        portal.fail_at_random(RATE, seed=rng.getrandbits(64), kinds=KINDS, seconds=SECONDS)

    def act() -> str:
        if action == "cancel":
            return client.cancel_rotation(old).state
        if action == "finish":
            return client.finish_rotations(old, quarantine=0)[0].state
        return client.rotate_token(old, deliver=to_file(path), overlap=0, quarantine=0).state

    with passing_time(portal):
        try:
            outcome = act()
        except lmtokens.LMTokensError as error:
            outcome = type(error).__name__
        portal.clear_faults()
        if action == "cancel":
            # What the faults interrupted is repeated; without a rotation, or if it is too late, there is nothing to do.
            with suppress(lmtokens.RotationError, lmtokens.NotFoundError):
                outcome = act()
        # A cancelled rotation can begin again.
        if action != "cancel" or outcome != "cancelled":
            finish(portal, path, old)
    return f"{action}: {outcome}"


def finish(portal: Portal, path: Path, old: int) -> None:
    """Complete the rotation without faults."""
    try:
        rotation = portal.client().rotate_token(old, deliver=to_file(path), overlap=0, quarantine=0)
    except lmtokens.NotFoundError:
        portal.client().finish_rotations(quarantine=0)
    else:
        assert rotation.state == "finished", rotation


def check_end(portal: Portal, admin_id: int, directory: Path) -> None:
    """Check that one token is left that works, and that nothing remains after a sweep."""
    (token,) = enabled_tokens(portal, admin_id)
    key = held_keys(directory)[token.id]
    assert key == token.access_key.reveal()
    who = portal.client(access_id=token.access_id, access_key=key).whoami()
    assert who.token is None or who.token.id == token.id
    portal.advance(hours=2)
    portal.client().sweep_tokens(dry_run=False)
    tagged = [token for token in portal.tokens if token.note.startswith(TAG)]
    assert tagged == [], tagged


def race(races: int) -> Counter[str]:
    """Let two processes rotate a token at once, this many times."""
    counts: Counter[str] = Counter()
    with Portal() as portal, tempfile.TemporaryDirectory() as folder:
        portal.set_rate_limit(1_000_000, 1.0)
        for number in range(races):
            admin_id = portal.add_user(f"owner-{number}")
            old = portal.create_token(admin_id)
            racers = []
            for side in "ab":
                directory = Path(folder, f"{number}{side}")
                directory.mkdir(mode=0o700)
                command = [sys.executable, "-c", RACER, str(directory / "token.json"), str(old.id)]
                racers.append(
                    subprocess.Popen(
                        command,
                        env={**os.environ, **portal.environment()},
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        text=True,
                    )
                )
            for racer in racers:
                assert racer.stdout is not None
                assert racer.stdout.readline() == "ready\n"
            outcomes = []
            for racer in racers:
                assert racer.stdin is not None
                racer.stdin.write("\n")
                racer.stdin.flush()
            for racer in racers:
                stdout, _ = racer.communicate(timeout=120)
                outcomes.append(stdout.strip())
            (new,) = enabled_tokens(portal, admin_id)
            keys = {**held_keys(Path(folder, f"{number}a")), **held_keys(Path(folder, f"{number}b"))}
            assert keys[new.id] == new.access_key.reveal()
            left = [token for token in portal.tokens if token.admin_id == admin_id]
            assert {token.id for token in left} == {old.id, new.id}, left
            counts[f"race: {' and '.join(sorted(outcomes))}"] += 1
    return counts


if __name__ == "__main__":
    main()
