"""Interrupt a bulk run while it waits for the rate limit; report how long it takes to end, and what it leaves.

    python tests/soak/interrupt.py [TIMES]

For the shell and for ``add_tokens``, prints the seconds from the signal to the exit, the states of the journal's rows
and of the portal's tokens, and the result of resuming the run with the command that was printed.
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

ROWS, LIMIT, WINDOW = 300, 100, 60.0

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
    for name, base_command in (("lmtokens bulk", command), ("add_tokens", [sys.executable, "-c", FUNCTION])):
        runs = [interrupt(base_command, journal_option=base_command is command) for _ in range(parsed.times)]
        durations = [seconds for seconds, _ in runs]
        print(f"{name}: ended {statistics.median(durations):.3f} s after the signal, {max(durations):.3f} s at most")
        print("    " + runs[-1][1].replace("\n", "\n    "))


def interrupt(base_command: list[str], *, journal_option: bool) -> tuple[float, str]:
    """Interrupt one run; return the seconds until it ended and a description of what it left."""
    with Portal() as portal, tempfile.TemporaryDirectory() as folder:
        portal.set_rate_limit(10 * ROWS, WINDOW)
        portal.set_rate_limit(LIMIT, WINDOW, method="POST")
        environment = {**os.environ, **portal.environment()}
        rows, journal = Path(folder, "rows.csv"), Path(folder, "run.journal")
        rows.write_text("admin_id,note\n" + "".join(f"32,row-{number}\n" for number in range(ROWS)))
        options = ["--journal", str(journal)] if journal_option else [str(journal)]
        process = subprocess.Popen(
            [*base_command, str(rows), *options],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        output = ""
        while "waiting" not in output:
            line = process.stderr.readline()
            assert line, f"the run ended before it waited: {output}"
            output += line
        sent = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=60)
        seconds = time.monotonic() - sent
        states = Counter(entry.state for entry in lmtokens.read_journal(journal))
        report = f"exit code {process.returncode}; journal {dict(states)}; portal {tokens(portal)}"

        portal.set_rate_limit(10 * ROWS, WINDOW, method="POST")
        resume_command = next(line for line in (output + rest).splitlines() if "lmtokens bulk" in line)
        # ``add_tokens`` does not know the file of its rows.
        resume_command = resume_command[resume_command.index("lmtokens bulk") :].replace("FILE", str(rows))
        options_to_resume = shlex.split(resume_command)[1:]
        resumed = subprocess.run(
            [sys.executable, "-m", "lmtokens", *options_to_resume],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        report += f"\n{resume_command}\n{resumed.stderr.strip()}; portal {tokens(portal)}"
        enabled = [token for token in portal.tokens if token.admin_id == 32]
        assert sorted(token.note for token in enabled) == sorted(f"row-{number}" for number in range(ROWS))
        return seconds, report.replace(folder, "FOLDER")


def tokens(portal: Portal) -> dict[str, int]:
    statuses = (token.status for token in portal.tokens if token.admin_id == 32)
    return dict(Counter("enabled" if status == ENABLED else "disabled" for status in statuses))


if __name__ == "__main__":
    main()
