"""A bulk run under random faults, killed with SIGKILL at random moments and resumed to its end.

    python tests/soak/bulk.py [ROWS [KILLS [SEED]]]      (a kill needs about 15 rows)

After each kill every token that works has its key in the journal, and no row has two. At the end exactly one token for
each row works, nothing else is left, and every key of the journal signs a request that the portal takes. Once on the
way, a second process on the same journal is refused.
"""

from __future__ import annotations

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

import lmtokens
from lmtokens.sandbox import Portal
from soak_helpers import ENABLED, KINDS, PATIENCE, SECONDS, TAG, arguments, settle, show, wait_for_requests

RATE = 0.1
COMMAND = [sys.executable, "-m", "lmtokens", "bulk"]
# More runs than this to finish what is left are no bad luck.
MOST_RUNS = 30


class Soak:
    """One run of many lives."""

    def __init__(self, portal: Portal, folder: Path, rows: int, chance: random.Random) -> None:
        self.portal, self.chance = portal, chance
        self.rows = rows
        self.journal = folder / "run.journal"
        self.errors = folder / "errors.txt"
        self.input = folder / "rows.csv"
        lines = [f"32,row {number}\n" for number in range(rows)]
        self.input.write_text("admin_id,note\n" + "".join(lines))
        self.bystanders = {token.id for token in portal.tokens}
        self.found: Counter[str] = Counter()
        # How many requests a life may see, so that the rows last for all kills.
        self.most_requests = 60

    def start(self) -> subprocess.Popen[str]:
        with self.errors.open("w") as errors:
            return subprocess.Popen(
                [*COMMAND, str(self.input), "--journal", str(self.journal), "--resume"],
                env={**os.environ, **self.portal.environment()},
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                text=True,
            )

    def strike(self) -> None:
        self.portal.clear_record()
        kinds = [*KINDS, "rate-limited"]
        self.portal.fail_at_random(RATE, seed=self.chance.getrandbits(64), kinds=kinds, seconds=SECONDS)

    def killed(self) -> None:
        """One life, ended at some time from its start, or so many requests after it."""
        self.strike()
        with self.start() as process:
            seconds = self.chance.uniform(0, 0.3) if self.chance.random() < 0.2 else PATIENCE
            wait_for_requests(self.portal, self.chance.randrange(1, self.most_requests), seconds)
            time.sleep(self.chance.choice([0, 0, 0.0005, 0.002, 0.01]))
            process.kill()
            status = process.wait(60)
        assert status == -signal.SIGKILL, f"ended by itself with {status}: {self.errors.read_text()}"
        self.found["kills"] += 1
        settle(self.portal)
        self.check()

    def second_process_is_refused(self) -> None:
        """The first is stopped while the second tries, so that it is certainly at work."""
        self.strike()
        with self.start() as process:
            wait_for_requests(self.portal, 3)
            process.send_signal(signal.SIGSTOP)
            second = subprocess.run(
                process.args,
                env={**os.environ, **self.portal.environment()},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            process.kill()
        assert (second.returncode, second.stdout) == (1, ""), second
        message = f"error: another process is at work on the journal {self.journal}"
        assert message in second.stderr, second.stderr
        self.found["second processes refused with exit code 1"] += 1
        settle(self.portal)
        self.check()

    def finish(self) -> None:
        """Resumes, under the same faults, until nothing is left to do."""
        for _ in range(MOST_RUNS):
            self.strike()
            with self.start() as process:
                status = process.wait(300)
            settle(self.portal)
            self.check()
            self.found[f"runs to their end with exit code {status}"] += 1
            assert status in (0, 3), self.errors.read_text()
            if status == 0:
                return
        raise AssertionError(f"not finished after {MOST_RUNS} runs: {self.errors.read_text()}")

    def made(self) -> dict[int, tuple[str, str]]:
        """Access id and key of every token that the journal holds, read as anybody could."""
        made = {}
        whole = self.journal.read_text().splitlines(keepends=True) if self.journal.exists() else []
        for line in whole:
            if not line.endswith("\n"):
                self.found["journals with a torn last line"] += 1
                continue
            event = json.loads(line)
            if event.get("event") == "pending":
                token = event["token"]
                made[token["id"]] = (token["access_id"], token["access_key"])
        return made

    def check(self) -> None:
        made = self.made()
        notes = set()
        for token in self.portal.tokens:
            if token.id in self.bystanders:
                continue
            if token.status != ENABLED:
                assert token.note.startswith(TAG), f"token {token.id} is disabled and not tagged"
                self.found["disabled tokens seen after kills"] += 1
                continue
            assert made.get(token.id) == (token.access_id, token.access_key.reveal()), f"token {token.id}: no key"
            assert token.note not in notes, f"two tokens work for {token.note}"
            notes.add(token.note)

    def all_is_done(self) -> None:
        self.portal.clear_faults()
        left = [token for token in self.portal.tokens if token.id not in self.bystanders]
        if any(token.status != ENABLED for token in left):
            # What landed late, or could not be deleted for the faults.
            self.found["runs to remove what the faults left"] += 1
            with self.start() as process:
                assert process.wait(300) == 0, self.errors.read_text()
            left = [token for token in self.portal.tokens if token.id not in self.bystanders]
        assert sorted(token.note for token in left) == sorted(f"row {number}" for number in range(self.rows))
        assert {token.status for token in left} == {ENABLED}

        entries = lmtokens.read_journal(self.journal)
        assert {entry.state for entry in entries} == {"created"}
        assert len(entries) == self.rows
        self.portal.clear_record()
        for entry in entries:
            token = entry.token
            assert token is not None
            assert token.access_key is not None
            with self.portal.client(access_id=token.access_id, access_key=token.access_key) as client:
                next(iter(client.list_tokens(32, type="lmv1")))
        proved = {seen.token_id for seen in self.portal.record if seen.signature == "valid" and seen.status == 200}
        assert proved == {token.id for token in left}
        self.found["tokens enabled, their keys proved by a signed request"] = len(proved)


def soak(rows: int, kills: int, seed: int) -> Counter[str]:
    """Raises where something is not as it must be."""
    with Portal() as portal, tempfile.TemporaryDirectory() as folder:
        portal.set_rate_limit(1_000_000, 1.0)
        run = Soak(portal, Path(folder), rows, random.Random(seed))
        # Each row takes two: so there are rows left for the last kill.
        run.most_requests = max(2, rows // max(kills, 1))
        for number in range(kills):
            run.killed()
            if number == kills // 2:
                run.second_process_is_refused()
        run.finish()
        run.all_is_done()
        return run.found


def main() -> None:
    parsed = arguments(__doc__ or "", rows=1000, kills=50)
    show(soak(parsed.rows, parsed.kills, parsed.seed))


if __name__ == "__main__":
    main()
