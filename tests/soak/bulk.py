"""A bulk run under random faults, killed with SIGKILL at random moments and resumed until it is complete.

    python tests/soak/bulk.py [ROWS [KILLS [SEED]]]      (a kill needs about 15 rows)

After each kill, the key of every enabled token must be in the journal, and no row may have two enabled tokens. At the
end, each row must have exactly one enabled token, no other token may remain, and every key in the journal must sign a
valid request. Once, a second process with the same journal must be rejected.
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
# Random faults alone do not explain more runs than this.
MAX_RUNS = 30


class Soak:
    """A bulk run that is killed and resumed many times."""

    def __init__(self, portal: Portal, folder: Path, rows: int, rng: random.Random) -> None:
        self.portal, self.rng = portal, rng
        self.rows = rows
        self.journal = folder / "run.journal"
        self.errors = folder / "errors.txt"
        self.input = folder / "rows.csv"
        lines = [f"32,row {number}\n" for number in range(rows)]
        self.input.write_text("admin_id,note\n" + "".join(lines))
        self.bystanders = {token.id for token in portal.tokens}
        self.counts: Counter[str] = Counter()
        # The most requests before a kill, so that rows remain for every kill.
        self.max_requests = 60

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

    def inject_faults(self) -> None:
        self.portal.clear_record()
        seed = self.rng.getrandbits(64)
        self.portal.fail_at_random(RATE, seed=seed, kinds=[*KINDS, "rate-limited"], seconds=SECONDS)

    def run_until_killed(self) -> None:
        """Resume the run and kill it after a random time or number of requests."""
        self.inject_faults()
        with self.start() as process:
            seconds = self.rng.uniform(0, 0.3) if self.rng.random() < 0.2 else PATIENCE
            wait_for_requests(self.portal, self.rng.randrange(1, self.max_requests), seconds)
            time.sleep(self.rng.choice([0, 0, 0.0005, 0.002, 0.01]))
            process.kill()
            status = process.wait(60)
        assert status == -signal.SIGKILL, f"exited with {status} before the kill: {self.errors.read_text()}"
        self.counts["kills"] += 1
        settle(self.portal)
        self.check_invariants()

    def check_second_process_is_rejected(self) -> None:
        """Start a second process while the first is stopped and holds the journal."""
        self.inject_faults()
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
        message = f"error: another run, of this or another process, uses the journal {self.journal}"
        assert message in second.stderr, second.stderr
        self.counts["second processes rejected with exit code 1"] += 1
        settle(self.portal)
        self.check_invariants()

    def finish(self) -> None:
        """Resume the run under faults until it is complete."""
        for _ in range(MAX_RUNS):
            self.inject_faults()
            with self.start() as process:
                status = process.wait(300)
            settle(self.portal)
            self.check_invariants()
            self.counts[f"complete runs with exit code {status}"] += 1
            assert status in (0, 3), self.errors.read_text()
            if status == 0:
                return
        raise AssertionError(f"not finished after {MAX_RUNS} runs: {self.errors.read_text()}")

    def journaled_keys(self) -> dict[int, tuple[str, str]]:
        """Return the access id and key of every token in the journal, without lmtokens."""
        keys = {}
        lines = self.journal.read_text().splitlines(keepends=True) if self.journal.exists() else []
        for line in lines:
            if not line.endswith("\n"):
                self.counts["journals with a torn last line"] += 1
                continue
            event = json.loads(line)
            if event.get("event") == "pending":
                token = event["token"]
                keys[token["id"]] = (token["access_id"], token["access_key"])
        return keys

    def check_invariants(self) -> None:
        keys = self.journaled_keys()
        notes = set()
        for token in self.portal.tokens:
            if token.id in self.bystanders:
                continue
            if token.status != ENABLED:
                assert token.note.startswith(TAG), f"token {token.id} is disabled, but not tagged"
                self.counts["disabled tokens seen after kills"] += 1
                continue
            assert keys.get(token.id) == (token.access_id, token.access_key.reveal()), (
                f"token {token.id}: its key is not in the journal"
            )
            assert token.note not in notes, f"{token.note} has two enabled tokens"
            notes.add(token.note)

    def check_final_state(self) -> None:
        self.portal.clear_faults()
        remaining = [token for token in self.portal.tokens if token.id not in self.bystanders]
        if any(token.status != ENABLED for token in remaining):
            # Late creates, and tokens whose deletion failed because of the faults.
            self.counts["runs to remove pending tokens"] += 1
            with self.start() as process:
                assert process.wait(300) == 0, self.errors.read_text()
            remaining = [token for token in self.portal.tokens if token.id not in self.bystanders]
        assert sorted(token.note for token in remaining) == sorted(f"row {number}" for number in range(self.rows))
        assert {token.status for token in remaining} == {ENABLED}

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
        authenticated = {
            seen.token_id for seen in self.portal.record if seen.signature == "valid" and seen.status == 200
        }
        assert authenticated == {token.id for token in remaining}
        self.counts["enabled tokens whose key signed a request"] = len(authenticated)


def soak(rows: int, kills: int, seed: int) -> Counter[str]:
    """Kill and resume a run this many times and return the counts; raise AssertionError if an invariant is violated."""
    with Portal() as portal, tempfile.TemporaryDirectory() as folder:
        portal.set_rate_limit(1_000_000, 1.0)
        run = Soak(portal, Path(folder), rows, random.Random(seed))
        # A row takes two requests, so rows remain for the last kill.
        run.max_requests = max(2, rows // max(kills, 1))
        for number in range(kills):
            run.run_until_killed()
            if number == kills // 2:
                run.check_second_process_is_rejected()
        run.finish()
        run.check_final_state()
        return run.counts


def main() -> None:
    parsed = arguments(__doc__ or "", rows=1000, kills=50)
    show(soak(parsed.rows, parsed.kills, parsed.seed))


if __name__ == "__main__":
    main()
