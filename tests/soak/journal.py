"""Journals that are removed, damaged or forged: what a bulk run then does to the portal's tokens.

    python tests/soak/journal.py [REMOVALS [FLIPS [FORGERIES [SEED]]]]

Removals: during a run, its lock files or its journal are removed and a second run is started. Flips: one bit of a
finished journal is flipped, and the journal is exported and resumed. Forgeries: a line of an unfinished journal is
changed by somebody who also renews its checksum, and the journal is resumed. No row may have two enabled tokens, no
wrong key may be exported, and no token of others may be changed.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import lmtokens
from lmtokens.sandbox import Portal, StoredToken
from soak_helpers import ENABLED, TAG, arguments, settle, show, wait_for_requests

COMMAND = [sys.executable, "-m", "lmtokens", "bulk"]
ROWS = 40
TWICE = "rows with two enabled tokens"
WRONG = "wrong keys exported"
TOUCHED = "tokens of others changed"
MISTAKEN = "rows done with a token of others"
REPEATED = "rows created again although their token is live"
VIOLATIONS = (TWICE, WRONG, TOUCHED, MISTAKEN, REPEATED)

Line = dict[str, Any]


def sealed(lines: list[Line]) -> str:
    """Return a journal of these lines, with renewed checksums if it has any."""
    if "check" not in lines[0]:
        return "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    text = ""
    for number, line in enumerate(lines, 1):
        members = {name: value for name, value in line.items() if name not in ("line", "check")}
        body = json.dumps({**members, "line": number}, separators=(",", ":"))[:-1]
        check = hashlib.sha256((lines[0]["run"] + body).encode()).hexdigest()[:16]
        text += f'{body},"check":"{check}"}}\n'
    return text


class Trial:
    """One portal, one input, one journal."""

    def __init__(self, portal: Portal, folder: Path, rows: int) -> None:
        self.portal = portal
        self.journal = folder / "run.journal"
        self.input = folder / "rows.csv"
        self.input.write_text("admin_id,note\n" + "".join(f"32,row {number}\n" for number in range(rows)))
        portal.set_rate_limit(1_000_000, 1.0)
        self.other = portal.create_token(33, note="production")
        self.older = portal.create_token(32, note="production", created_on=int(time.time()) - 86_400)
        run = f"lmtokens-1-{'5' * 16}-{int(time.time())}-{'6' * 32}"
        self.other_run = portal.create_token(32, note=f"{run} other", status=1)
        self.before = self.state()
        self.ids = {token.id for token in portal.tokens}

    def state(self) -> dict[int, tuple[int, str]]:
        return {token.id: (token.status, token.note) for token in self.portal.tokens}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*COMMAND, str(self.input), "--journal", str(self.journal), "--resume", *arguments],
            env={**os.environ, **self.portal.environment()},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def resume(self) -> None:
        with self.start() as process:
            process.wait(300)

    def count_violations(self, counts: Counter[str]) -> None:
        settle(self.portal)
        now = self.state()
        counts[TOUCHED] += sum(now.get(id) != before for id, before in self.before.items())
        enabled = Counter(token.note for token in self.created() if token.status == ENABLED)
        counts[TWICE] += sum(number - 1 for number in enabled.values())

    def created(self) -> list[StoredToken]:
        return [token for token in self.portal.tokens if token.id not in self.ids]

    def lines(self) -> list[Line]:
        return [json.loads(line) for line in self.journal.read_text().splitlines()]


def removal(trial: Trial, rng: random.Random, counts: Counter[str]) -> None:
    """Remove the lock files, or the journal too, while a run is in progress, and start a second run."""
    trial.portal.fail("delay", seconds=0.01, times=None)
    with trial.start() as first:
        wait_for_requests(trial.portal, rng.randrange(3, ROWS))
        first.send_signal(signal.SIGSTOP)
        for path in trial.journal.parent.glob("*.lock"):
            path.unlink()
        change = rng.choice(["lock files", "lock files", "journal", "journal moved", "journal truncated"])
        if change == "journal":
            trial.journal.unlink()
        elif change == "journal moved":
            trial.journal.rename(trial.journal.with_suffix(".moved"))
        elif change == "journal truncated":
            os.truncate(trial.journal, 0)
        with trial.start() as second:
            wait_for_requests(trial.portal, len(trial.portal.record) + rng.randrange(1, 10), 1)
            first.send_signal(signal.SIGCONT)
            second.wait(300)
        first.wait(300)
    counts[f"removals: {change}"] += 1
    trial.count_violations(counts)


def exported(trial: Trial) -> list[Line]:
    completed = subprocess.run(
        [*COMMAND, "--journal", str(trial.journal), "--export", "-o", "jsonl"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    return [json.loads(line) for line in completed.stdout.splitlines()]


def flip(trial: Trial, text: bytes, rng: random.Random, counts: Counter[str]) -> None:
    """Flip one bit of a finished journal, export it and resume it."""
    flipped = bytearray(text)
    flipped[rng.randrange(len(text))] ^= 1 << rng.randrange(8)
    trial.journal.write_bytes(flipped)
    before = trial.state()
    keys = {token.id: (token.access_id, token.access_key.reveal()) for token in trial.portal.tokens}
    for row in exported(trial):
        counts[WRONG] += keys.get(row["id"]) != (row["access_id"], row["access_key"])
    try:
        with trial.portal.client() as client:
            rows = [(32, f"row {number}") for number in range(5)]
            for result in client.add_tokens(rows, journal=trial.journal, resume=True):
                if result.token is not None and result.token.access_key is not None:
                    counts[WRONG] += keys.get(result.token.id, ("", ""))[1] != result.token.access_key.reveal()
                    counts[REPEATED] += result.state == "created"
    except (lmtokens.LMTokensError, ValueError):
        counts["flips refused"] += 1
    counts["flips"] += 1
    settled = trial.state()
    counts[TOUCHED] += sum(settled.get(id) != state for id, state in before.items())


def forgery(trial: Trial, rng: random.Random, counts: Counter[str]) -> None:
    """Change a line of an unfinished journal, renew its checksum, and resume the run."""
    with trial.portal.client() as client:
        client.add_tokens([(32, f"row {number}") for number in range(5)], journal=trial.journal, concurrency=1).finish()
    header, *lines = trial.lines()
    victim = rng.choice([trial.other, trial.older, trial.other_run, trial.portal.tokens[0]])
    position = rng.randrange(0, len(lines) - 1, 2)
    pending, created = lines[position], lines[position + 1]
    trial.portal.client().delete_token(created["id"])
    token = {**pending["token"], "id": victim.id, "access_key": "forged"}
    if rng.random() < 0.5:
        token["access_id"] = victim.access_id
    if rng.random() < 0.5:
        token["admin_id"] = victim.admin_id
    if rng.random() < 0.5 and victim.note.startswith(TAG):
        token["tag"] = victim.note.partition(" ")[0]
    lines[position : position + 2] = [{**pending, "token": token}]
    is_done = rng.random() < 0.5
    if is_done:
        lines.insert(position + 1, {**created, "id": victim.id})
    trial.journal.write_text(sealed([header, *lines]))
    with trial.portal.client() as client:
        rows = [(32, f"row {number}") for number in range(5)]
        for result in client.add_tokens(rows, journal=trial.journal, resume=True):
            counts[MISTAKEN] += result.token is not None and result.token.id == victim.id
    counts["forgeries, done" if is_done else "forgeries, pending"] += 1
    trial.count_violations(counts)


def soak(removals: int, flips: int, forgeries: int, seed: int) -> Counter[str]:
    """Run the trials and return the counts."""
    rng = random.Random(seed)
    counts: Counter[str] = Counter(dict.fromkeys(VIOLATIONS, 0))
    for _ in range(removals):
        with Portal() as portal, tempfile.TemporaryDirectory() as folder:
            removal(Trial(portal, Path(folder), ROWS), rng, counts)
    with Portal() as portal, tempfile.TemporaryDirectory() as folder:
        trial = Trial(portal, Path(folder), 5)
        trial.resume()
        text = trial.journal.read_bytes()
        for _ in range(flips):
            flip(trial, text, rng, counts)
    for _ in range(forgeries):
        with Portal() as portal, tempfile.TemporaryDirectory() as folder:
            forgery(Trial(portal, Path(folder), 5), rng, counts)
    return counts


def main() -> None:
    parsed = arguments(__doc__ or "", removals=50, flips=400, forgeries=30)
    counts = soak(parsed.removals, parsed.flips, parsed.forgeries, parsed.seed)
    show(counts)
    if any(counts[name] for name in VIOLATIONS):
        sys.exit("an invariant was violated")


if __name__ == "__main__":
    main()
