"""One measurement of one peer, in a process of its own: `worker.py MEASUREMENT PEER [NUMBER]`; prints JSON."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import peers

if TYPE_CHECKING:
    from collections.abc import Callable

WARM_UP_SECONDS, SECONDS = 0.3, 0.7


class Usage:
    """The wall-clock and CPU time since it was made. The CPU time includes every thread of this process."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), cpu_seconds()

    def per_call(self, durations: list[float]) -> dict[str, float]:
        """Return the rate and the costs of calls with the given durations in seconds."""
        wall, cpu, calls = time.perf_counter() - self._wall, cpu_seconds() - self._cpu, len(durations)
        return {"rate": calls / wall, "cpu": cpu / calls * 1e6, "median": statistics.median(durations) * 1e6}


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def repeat(call: Callable[[], object], seconds: float) -> list[float]:
    """Call in a loop for some seconds and return the duration of each call."""
    durations, end, now = [], time.perf_counter() + seconds, time.perf_counter()
    while now < end:
        call()
        begun, now = now, time.perf_counter()
        durations.append(now - begun)
    return durations


def blocking(peer: str, thread_count: int) -> dict[str, float]:
    """One client; each thread sends one create after another."""
    create = peers.BLOCKING[peer]().create

    def run(seconds: float) -> list[float]:
        if thread_count == 1:
            return repeat(create, seconds)
        with ThreadPoolExecutor(thread_count) as pool:
            runs = [pool.submit(repeat, create, seconds) for _ in range(thread_count)]
        return [duration for run in runs for duration in run.result()]

    run(WARM_UP_SECONDS)
    usage = Usage()
    return usage.per_call(run(SECONDS))


def awaited(peer: str, task_count: int) -> dict[str, float]:
    """One client; each task awaits one create after another."""

    async def repeat_in_task(client: Any, seconds: float) -> list[float]:
        durations, end, now = [], time.perf_counter() + seconds, time.perf_counter()
        while now < end:
            await client.create()
            begun, now = now, time.perf_counter()
            durations.append(now - begun)
        return durations

    async def run() -> dict[str, float]:
        client = peers.ASYNC[peer]()
        await asyncio.gather(*(repeat_in_task(client, WARM_UP_SECONDS) for _ in range(task_count)))
        usage = Usage()
        runs = await asyncio.gather(*(repeat_in_task(client, SECONDS) for _ in range(task_count)))
        measured = usage.per_call([duration for run in runs for duration in run])
        await client.close()
        return measured

    return asyncio.run(run())


if __name__ == "__main__":
    measurement, peer, *numbers = sys.argv[1:]
    print(json.dumps(globals()[measurement](peer, *map(int, numbers))), flush=True)
    # Without finalizing the interpreter, during which pyreqwest sometimes aborts the process.
    os._exit(0)
