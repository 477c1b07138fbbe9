"""Ctrl-C while a bulk run waits for the portal's budget: how long it takes to end, and what it leaves.

    python tests/soak/interrupt.py [TIMES]

Prints, for the command and for ``add_tokens``, the seconds from the signal to the end of the process, the states of the
journal's rows and of the portal's tokens, and what the command that it told to go on with made of the rest.
"""

from __future__ import annotations

import os
import shlex
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import lmtokens
from lmtokens.sandbox import Portal
from soak_helpers import ENABLED, arguments

ROWS, BUDGET, WINDOW = 300, 100, 60.0

FUNCTION = """
import logging, sys
import lmtokens
logging.basicConfig(level=logging.INFO)
rows = [tuple(line.split(",")) for line in open(sys.argv[1]).read().split()[1:]]
lmtokens.add_tokens([(int(owner), note) for owner, note in rows], journal=sys.argv[2]).finish()
"""


def main() -> None:
    parsed = arguments(__doc__, times=10)
    command = [sys.executable, "-m", "lmtokens", "bulk"]
    for name, begun in (("lmtokens bulk", command), ("add_tokens", [sys.executable, "-c", FUNCTION])):
        runs = [interrupted(begun, journal_option=begun is command) for _ in range(parsed.times)]
        seconds = [took for took, _ in runs]
        print(f"{name}: ended {statistics.median(seconds):.3f} s after the signal, {max(seconds):.3f} s at most")
        print("    " + runs[-1][1].replace("\n", "\n    "))


def interrupted(begun: list[str], *, journal_option: bool) -> tuple[float, str]:
    """How long one run took to end, and what it left."""
    with Portal() as portal, tempfile.TemporaryDirectory() as folder:
        portal.set_rate_limit(10 * ROWS, WINDOW)
        portal.set_rate_limit(BUDGET, WINDOW, method="POST")
        environment = {**os.environ, **portal.environment()}
        rows, journal = Path(folder, "rows.csv"), Path(folder, "run.journal")
        rows.write_text("admin_id,note\n" + "".join(f"32,row-{number}\n" for number in range(ROWS)))
        options = ["--journal", str(journal)] if journal_option else [str(journal)]
        process = subprocess.Popen(
            [*begun, str(rows), *options], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stderr is not None
        said = ""
        while "waiting" not in said:
            line = process.stderr.readline()
            assert line, f"it ended before it waited: {said}"
            said += line
        sent = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=60)
        took = time.monotonic() - sent
        left = Counter(entry.state for entry in lmtokens.read_journal(journal))
        shown = f"exit code {process.returncode}; journal {dict(left)}; portal {tokens(portal)}"

        portal.set_rate_limit(10 * ROWS, WINDOW, method="POST")
        go_on = next(line for line in (said + rest).splitlines() if "lmtokens bulk" in line)
        # ``add_tokens`` does not know where its rows come from.
        go_on = go_on[go_on.index("lmtokens bulk") :].replace("FILE", str(rows))
        words = shlex.split(go_on)[1:]
        resumed = subprocess.run(
            [sys.executable, "-m", "lmtokens", *words], env=environment, capture_output=True, text=True, check=True
        )
        shown += f"\n{go_on}\n{resumed.stderr.strip()}; portal {tokens(portal)}"
        enabled = [token for token in portal.tokens if token.admin_id == 32]
        assert sorted(token.note for token in enabled) == sorted(f"row-{number}" for number in range(ROWS))
        return took, shown.replace(folder, "FOLDER")


def tokens(portal: Portal) -> dict[str, int]:
    statuses = (token.status for token in portal.tokens if token.admin_id == 32)
    return dict(Counter("enabled" if status == ENABLED else "disabled" for status in statuses))


if __name__ == "__main__":
    main()
