"""One process that keeps many portals at their rate limit: `many_portals.py [PORTALS]`.

The portals are sandboxes in a few other processes. In this process, one event loop has one `AsyncClient` and one task
per portal; each task creates one token after another. The portals count, over whole windows after a warm-up: in the
ideal run, each creates as many tokens as its limit allows. The numbers are not guarantees.
"""

from __future__ import annotations

import asyncio
import json
import logging
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lmtokens
import lmtokens.sandbox
from lmtokens.aio import AsyncClient

if TYPE_CHECKING:
    from collections.abc import Sequence

PORTALS, SERVERS = 2_000, 4
LIMIT, WINDOW = 10, 10.0
WARM_UP_WINDOWS, WINDOWS = 1, 3


@dataclass(frozen=True)
class Result:
    """What the client used and what the portals counted, during the measured windows."""

    created: int
    rejected: int
    ideal: int
    cores: float
    megabytes: float

    @property
    def share_percent(self) -> float:
        return 100 * self.created / self.ideal

    @property
    def rejected_percent(self) -> float:
        return 100 * self.rejected / (self.created + self.rejected)


def main(portals: int) -> None:
    result = measure(portals)
    print(
        f"{portals:,} portals, {LIMIT} creates per {WINDOW:g} s each: {result.share_percent:.1f} % of the ideal rate "
        f"({result.created:,} of {result.ideal:,}), {result.rejected:,} answered 429, "
        f"CPU {100 * result.cores:.0f} % of one core, {result.megabytes:.0f} MB"
    )


def measure(portals: int = PORTALS) -> Result:
    allow_open_files()
    command = [sys.executable, __file__, "serve", str(portals // SERVERS)]
    servers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(SERVERS)
    ]
    try:
        environments = [settings for server in servers for settings in answer(server)]
        before = memory_megabytes()
        begun, ended, cores = asyncio.run(create_until_measured(environments))
        after = memory_megabytes()
        counts = [answer(server, [begun, ended]) for server in servers]
    finally:
        for server in servers:
            server.kill()
            server.communicate()
    return Result(
        created=sum(count["created"] for count in counts),
        rejected=sum(count["rejected"] for count in counts),
        ideal=len(environments) * LIMIT * WINDOWS,
        cores=cores,
        megabytes=after - before,
    )


def answer(server: subprocess.Popen[str], question: object = None) -> Any:
    """Send a line of JSON, if there is a question, and read one."""
    assert server.stdin is not None
    assert server.stdout is not None
    if question is not None:
        print(json.dumps(question), file=server.stdin, flush=True)
    return json.loads(server.stdout.readline())


async def create_until_measured(environments: Sequence[dict[str, str]]) -> tuple[float, float, float]:
    """Keep every portal busy; return the begin and the end of the measured time, and the CPU cores used."""

    async def keep_creating(client: AsyncClient) -> None:
        while True:
            await client.add_token(32)

    clients = [
        AsyncClient(
            base_url=settings["LM_BASE_URL"], access_id=settings["LM_ACCESS_ID"], access_key=settings["LM_ACCESS_KEY"]
        )
        for settings in environments
    ]
    tasks = [asyncio.create_task(keep_creating(client)) for client in clients]
    await asyncio.sleep(WARM_UP_WINDOWS * WINDOW)
    begun, cpu = time.time(), time.process_time()
    await asyncio.sleep(WINDOWS * WINDOW)
    ended, cpu = time.time(), time.process_time() - cpu
    # Each cancelled create would log a warning that a token may exist.
    logging.getLogger("lmtokens").setLevel(logging.CRITICAL)
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    errors = [result for result in results if not isinstance(result, asyncio.CancelledError)]
    assert errors == [], errors[0]
    return begun, ended, cpu / (ended - begun)


def serve(portals: int) -> None:
    """Run sandboxes; print their settings, and for each line of input the counts between two times."""
    allow_open_files()
    running = [lmtokens.sandbox.Portal(rate_limit=LIMIT, window=WINDOW) for _ in range(portals)]
    print(json.dumps([portal.environment() for portal in running]), flush=True)
    for line in sys.stdin:
        begun, ended = json.loads(line)
        statuses = [
            seen.status
            for portal in running
            for seen in portal.record
            if begun <= seen.received_at_ms / 1000 < ended and seen.method == "POST"
        ]
        counts = {"created": statuses.count(200), "rejected": statuses.count(429)}
        print(json.dumps(counts), flush=True)


def allow_open_files() -> None:
    """Raise the limit of open files as far as the system allows: each portal needs several."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def memory_megabytes() -> float:
    """Return the memory that this process has in RAM at this moment."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 1e6


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(int(sys.argv[2]))
    else:
        main(int(sys.argv[1]) if sys.argv[1:] else PORTALS)
