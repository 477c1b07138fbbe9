"""Creates to a file, killed with SIGKILL between the enabling request and the commit, then run again.

    python tests/soak/commit.py [KILLS [SEED]]

The second run of the same command must leave exactly one enabled token, whose key is in the file. Prints how often each
state was found; ends with status 1 if a token is enabled without its key in the file.
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
from pathlib import Path
from typing import TYPE_CHECKING

from lmtokens.sandbox import Portal
from soak_helpers import ENABLED, PATIENCE, arguments, settle, show

if TYPE_CHECKING:
    from lmtokens.sandbox import StoredToken

DELAY = 0.2
EXISTS = "exists already"
WITHOUT_KEY = "enabled tokens whose key is not in the file"


def main() -> None:
    parsed = arguments(__doc__, kills=200)
    counts = soak(parsed.kills, parsed.seed)
    show(counts)
    sys.exit(1 if counts[WITHOUT_KEY] or counts["files with the key of no enabled token"] else 0)


def soak(kills: int, seed: int) -> Counter[str]:
    rng = random.Random(seed)
    counts: Counter[str] = Counter({WITHOUT_KEY: 0})
    with Portal() as portal, tempfile.TemporaryDirectory() as folder:
        for number in range(kills):
            admin_id = portal.add_user(f"owner-{number}")
            path = Path(folder, f"{number}.json")
            kill_before_commit(portal, admin_id, path, rng)
            tokens = tokens_of(portal, admin_id)
            counts["killed with the token enabled"] += any(token.status == ENABLED for token in tokens)
            counts["killed with the key in the file"] += path.exists()
            again = subprocess.run(
                command(admin_id, path),
                env=environment(portal),
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            is_refused = again.returncode == 1 and EXISTS in again.stderr
            counts["second runs: " + ("refused, the file exists" if is_refused else f"exit {again.returncode}")] += 1
            counts += check(portal, admin_id, path)
    counts["kills"] = kills
    return counts


def command(admin_id: int, path: Path) -> list[str]:
    return [sys.executable, "-m", "lmtokens", "add", str(admin_id), "--note", "ci", "--to", f"file:{path}"]


def environment(portal: Portal) -> dict[str, str]:
    return {**os.environ, **portal.environment()}


def tokens_of(portal: Portal, admin_id: int) -> list[StoredToken]:
    return [token for token in portal.tokens if token.admin_id == admin_id]


def kill_before_commit(portal: Portal, admin_id: int, path: Path, rng: random.Random) -> None:
    """Run the command and kill it once the portal has seen the enabling request."""
    portal.clear_record()
    if rng.random() < 0.5:
        # The response is late, so that the kill comes first.
        portal.fail("act-then-delay", method="PATCH", seconds=DELAY)
    process = subprocess.Popen(
        command(admin_id, path), env=environment(portal), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + PATIENCE
    while not any(seen.method == "PATCH" for seen in portal.record) and time.monotonic() < deadline:
        pass
    time.sleep(rng.choice([0, 0, 0, 0.0005, 0.001, 0.002]))
    process.kill()
    process.wait()
    portal.clear_faults()
    settle(portal)


def check(portal: Portal, admin_id: int, path: Path) -> Counter[str]:
    enabled = [token for token in tokens_of(portal, admin_id) if token.status == ENABLED]
    key = json.loads(path.read_text())["access_key"] if path.exists() else None
    with_key = [token for token in enabled if token.access_key.reveal() == key]
    return Counter(
        {
            "enabled tokens": len(enabled),
            WITHOUT_KEY: len(enabled) - len(with_key),
            "files with the key of no enabled token": int(key is not None and not with_key),
            "pending files left": len(list(path.parent.glob(f"{path.name}.*.pending"))),
        }
    )


if __name__ == "__main__":
    main()
