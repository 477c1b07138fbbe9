"""Throughput of a bulk run under a rate limit, alone and next to a second process that uses a third of the limit.

The limit is 100 POSTs and 100 PATCHes per 2 s; each row sends one of each. In the ideal run every window is used up as
soon as it opens: (⌈rows / share⌉ − 1) windows. The second process sends at a constant rate and ignores the responses.
"429" counts the requests of the run itself that the portal rejected. The numbers are not guarantees.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import lmtokens.sandbox

if TYPE_CHECKING:
    from lmtokens.sandbox import Portal

ROWS = 600
LIMIT, WINDOW = 100, 2.0
OTHER_SHARE = LIMIT // 3
RUNS = 3

RUN = """
import sys, time
import lmtokens
rows, journal = int(sys.argv[1]), sys.argv[2]
begun = time.perf_counter()
summary = lmtokens.add_tokens([(32, f"row {number}") for number in range(rows)], journal=journal).finish()
print(time.perf_counter() - begun)
assert summary.created == rows, summary
"""

# Sends POST and PATCH in turn, each the given number of times per window.
OTHER = """
import os, sys, time, urllib.error, urllib.request
import lmtokens
count, window, token_id = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
path, body, sent, begun = "/setting/admins/33/apitokens", b'{"status":1}', 0, time.monotonic()
key = {name: os.environ[f"LM_{name.upper()}"] for name in ("access_id", "access_key")}
while True:
    for method, resource in (("POST", path), ("PATCH", f"{path}/{token_id}")):
        headers = {"Content-Type": "application/json", "X-Version": "3", "User-Agent": "other"}
        headers["Authorization"] = lmtokens.sign(method, resource, body, **key)
        url = os.environ["LM_BASE_URL"] + resource
        try:
            urllib.request.urlopen(urllib.request.Request(url, body, headers, method=method)).close()
        except urllib.error.HTTPError as error:
            assert error.code == 429, error
    sent += 1
    if sent == count:
        print("steady", flush=True)
    time.sleep(max(0.0, begun + sent * window / count - time.monotonic()))
"""


@dataclass(frozen=True)
class BulkRun:
    """One run: its duration and the ideal one in seconds, and the requests that it sent."""

    seconds: float
    ideal: float
    posts: int
    patches: int
    rejected: int
    sent: int

    @property
    def ratio(self) -> float:
        return self.seconds / self.ideal

    @property
    def rejected_percent(self) -> float:
        return 100 * self.rejected / self.sent


def main() -> None:
    headings = (f"bulk of {ROWS}, {LIMIT} per {WINDOW:g} s", "s", "ideal", "ratio", "POSTs", "PATCHes", "429", "429 %")
    print("{:<42} {:>7} {:>7} {:>7} {:>7} {:>8} {:>5} {:>7}".format(*headings))
    for name, with_other in (("alone", False), (f"with a process that uses {OTHER_SHARE} of {LIMIT}", True)):
        for _ in range(RUNS):
            run = measure(with_other=with_other)
            print(
                f"{name:<42} {run.seconds:>7.2f} {run.ideal:>7.2f} {run.ratio:>7.3f} {run.posts:>7} {run.patches:>8} "
                f"{run.rejected:>5} {run.rejected_percent:>7.2f}",
                flush=True,
            )


def measure(*, with_other: bool) -> BulkRun:
    share = LIMIT - OTHER_SHARE if with_other else LIMIT
    with lmtokens.sandbox.Portal(rate_limit=LIMIT, window=WINDOW) as portal, tempfile.TemporaryDirectory() as folder:
        portal.set_rate_limit(1_000_000, WINDOW, method="GET")
        environment = {**os.environ, **portal.environment()}
        other = start_other(portal, environment) if with_other else None
        try:
            command = [sys.executable, "-c", RUN, str(ROWS), str(Path(folder, "run.journal"))]
            run = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
        finally:
            if other is not None:
                other.kill()
                other.communicate()
        record = [seen for seen in portal.record if seen.user_agent != "other"]
    posts, patches = (sum(seen.method == method for seen in record) for method in ("POST", "PATCH"))
    return BulkRun(
        seconds=json.loads(run.stdout),
        ideal=(math.ceil(ROWS / share) - 1) * WINDOW,
        posts=posts,
        patches=patches,
        rejected=sum(seen.status == 429 for seen in record),
        sent=len(record),
    )


def start_other(portal: Portal, environment: dict[str, str]) -> subprocess.Popen[str]:
    """Start the second process and return when it has used its share of one window."""
    token = portal.create_token(33)
    command = [sys.executable, "-c", OTHER, str(OTHER_SHARE), str(WINDOW), str(token.id)]
    other = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "steady\n"
    return other


if __name__ == "__main__":
    main()
