"""Two-phase creates killed with SIGKILL at random moments, with random faults on.

    python tests/soak/create.py [KILLS [SEED]]

A child creates token after token, each delivered to a file of its own, until it is killed. After each kill no token may
work whose key is not in its file or in the pending one beside it; after a sweep, with the portal's clock an hour on, no
tagged token may be left, and the bystanders must live. What was found is counted and printed.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lmtokens.sandbox import Portal
from soak_helpers import ENABLED, KINDS, SECONDS, TAG, arguments, settle, show, wait_for_requests

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
    """The keys that files hold, by the id of their token."""

    final: dict[int, str]
    pending: dict[int, str]

    @property
    def all(self) -> dict[int, str]:
        return {**self.pending, **self.final}


def main() -> None:
    parsed = arguments(__doc__ or "", kills=200)
    show(soak(parsed.kills, parsed.seed))


def soak(kills: int, seed: int) -> Counter[str]:
    """Kills so often; raises where something is not as it must be."""
    chance = random.Random(seed)
    found: Counter[str] = Counter()
    with Portal() as portal, tempfile.TemporaryDirectory() as folder:
        portal.set_rate_limit(1_000_000, 1.0)
        bystanders = [*portal.tokens, *make_bystanders(portal)]
        for number in range(kills):
            admin_id = portal.add_user(f"owner-{number}")
            place = Path(folder, str(number))
            place.mkdir(mode=0o700)
            portal.fail_at_random(RATE, seed=chance.getrandbits(64), kinds=KINDS, seconds=SECONDS)
            portal.clear_record()
            told = killed(portal, place, admin_id, chance)
            portal.clear_faults()
            settle(portal)
            found += check(portal, place, admin_id, told)
            found["tokens swept"] += sweep(portal, bystanders)
    found["kills"] = kills
    return found


def killed(portal: Portal, place: Path, admin_id: int, chance: random.Random) -> list[list[str]]:
    """Runs a child until it is killed: at some time, or some time after so many requests; what it had said by then."""
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(place), str(admin_id)],
        env={**os.environ, **portal.environment()},
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        if chance.random() < 0.5:
            time.sleep(chance.uniform(0, 0.2))
        else:
            wait_for_requests(portal, chance.randrange(1, 12))
            time.sleep(chance.choice([0, 0, 0.0005, 0.002, 0.01]))
        child.kill()
        said, _ = child.communicate(timeout=60)
    return [line.split() for line in said.splitlines(keepends=True) if line.endswith("\n")]


def delivered(place: Path) -> Delivered:
    """Reads what is on disk, as whoever looks for keys would."""
    found = Delivered({}, {})
    for path in place.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600, path
        try:
            members = json.loads(path.read_text())
        except ValueError:
            assert path.name.endswith(".pending"), f"{path} is torn"
            continue
        keys = found.final if path.suffix == ".json" else found.pending
        keys[members["id"]] = members["access_key"]
    return found


def check(portal: Portal, place: Path, admin_id: int, told: list[list[str]]) -> Counter[str]:
    """What is there after a kill, counted by state."""
    keys = delivered(place)
    tokens = {token.id: token for token in portal.tokens if token.admin_id == admin_id}
    found: Counter[str] = Counter()
    for token in tokens.values():
        key = keys.all.get(token.id)
        if token.status == ENABLED:
            assert key is not None, f"token {token.id} works, and its key is nowhere"
            assert not token.note.startswith(TAG), f"token {token.id} works and is tagged"
            found["token enabled, key " + ("at PATH" if token.id in keys.final else "pending")] += 1
        else:
            assert token.note.startswith(TAG), f"token {token.id} is disabled and not tagged"
            found["token disabled, key " + ("not delivered" if key is None else "pending")] += 1
            assert token.id not in keys.final, f"token {token.id} is not enabled, and its key is at PATH"
        assert key in (None, token.access_key.reveal()), f"the key of token {token.id} is of another"
    found["no token, key pending"] += len(keys.pending.keys() - tokens.keys())
    assert keys.final.keys() <= tokens.keys(), "a key at PATH whose token is gone"
    for words in told:
        found[f"create ended: {words[0]}"] += 1
        if words[0] == "done":
            assert tokens[int(words[1])].status == ENABLED
            assert int(words[1]) in keys.final
    return found


def make_bystanders(portal: Portal) -> list[StoredToken]:
    """Tokens that no sweep may touch, all as old as what it looks for."""
    created_on = int(time.time())
    tag = f"{TAG}{'0' * 15}1-{created_on}-{'0' * 31}1"
    looks_alike = ["", "ci", TAG, tag[:-1], f"{tag}0", f"x{tag}", f" {tag}", f"{tag} ", f"{tag}-ci", tag.upper()]
    wrong_time = f"{TAG}{'0' * 15}1-{created_on - 2 * HOUR}-{'0' * 31}1"
    looks_alike.append(wrong_time)
    made = [portal.create_token(note=note, status=1, created_on=created_on) for note in looks_alike]
    made += [portal.create_token(note=note, created_on=created_on) for note in ("ci", tag, f"{tag} ci")]
    used = created_on + 1
    made += [portal.create_token(note=tag, status=1, created_on=created_on, last_used_on=used)]
    made += [portal.create_token(note="ci", status=1, type="bearer", created_on=created_on)]
    return made


def sweep(portal: Portal, bystanders: list[StoredToken]) -> int:
    """Sweeps when the portal's clock is an hour on; nothing tagged is left after that but bystanders."""
    portal.set_clock_offset(HOUR + 60)
    try:
        # A signature tells a time, which would be an hour off; a bearer does not.
        with portal.client(bearer_token=portal.bearer_token) as client:
            young = client.sweep_tokens()
            swept = client.sweep_tokens(dry_run=False)
    finally:
        portal.set_clock_offset(0)
    assert [one.token.id for one in young] == [one.token.id for one in swept]
    assert all(one.deleted for one in swept)
    kept = {token.id: (token.status, token.note) for token in portal.tokens}
    for token in bystanders:
        assert kept.pop(token.id, None) == (token.status, token.note), f"the bystander {token.id} was touched"
    assert not [id for id, (status, note) in kept.items() if status != ENABLED or note.startswith(TAG)]
    return len(swept)


if __name__ == "__main__":
    main()
