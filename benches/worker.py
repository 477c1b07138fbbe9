"""One measurement of one peer, in a process of its own: `worker.py MEASUREMENT ARGUMENT...`; prints JSON."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import statistics
import sys
import tempfile
import time
import timeit
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import peers

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

WARM_UP_SECONDS, SECONDS = 0.2, 0.5


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


async def repeat_async(call: Callable[[], Awaitable[object]], seconds: float) -> list[float]:
    """Await in a loop for some seconds and return the duration of each call."""
    durations, end, now = [], time.perf_counter() + seconds, time.perf_counter()
    while now < end:
        await call()
        begun, now = now, time.perf_counter()
        durations.append(now - begun)
    return durations


def blocking(peer: str, threads: str) -> dict[str, float]:
    """One client; each thread sends one create after another."""
    create, thread_count = peers.BLOCKING[peer]().create, int(threads)

    def run(seconds: float) -> list[float]:
        if thread_count == 1:
            return repeat(create, seconds)
        with ThreadPoolExecutor(thread_count) as pool:
            runs = [pool.submit(repeat, create, seconds) for _ in range(thread_count)]
        return [duration for run in runs for duration in run.result()]

    run(WARM_UP_SECONDS)
    usage = Usage()
    return usage.per_call(run(SECONDS))


def awaited(peer: str, tasks: str) -> dict[str, float]:
    """One client; each task awaits one create after another."""

    async def run() -> dict[str, float]:
        client = peers.ASYNC[peer]()
        await asyncio.gather(*(repeat_async(client.create, WARM_UP_SECONDS) for _ in range(int(tasks))))
        usage = Usage()
        runs = await asyncio.gather(*(repeat_async(client.create, SECONDS) for _ in range(int(tasks))))
        measured = usage.per_call([duration for run in runs for duration in run])
        await client.close()
        return measured

    return asyncio.run(run())


def listing(peer: str) -> dict[str, float]:
    """All tokens, page by page, after one list that opens the connection."""

    async def run_async() -> dict[str, float]:
        client = peers.ASYNC[peer]()
        await client.list_tokens()
        usage = Usage()
        measured = usage.per_call(await repeat_async(client.list_tokens, SECONDS))
        await client.close()
        return measured

    if peer not in peers.BLOCKING:
        return asyncio.run(run_async())
    list_tokens = peers.BLOCKING[peer]().list_tokens
    list_tokens()
    usage = Usage()
    return usage.per_call(repeat(list_tokens, SECONDS))


def signature(signer: str) -> dict[str, float]:
    """The header of a create: by lmtokens, or by hand with the hmac module."""
    import lmtokens

    variables = {
        "sign": lmtokens.sign if signer == "lmtokens" else peers.sign,
        "resource": peers.CREATE,
        "body": peers.create_body(),
        "credentials": {"access_id": "exampleAccessId00001", "access_key": "invented-access-key"},
    }
    timer = timeit.Timer('sign("POST", resource, body, **credentials)', globals=variables)
    calls = 20_000
    return {"microseconds": min(timer.repeat(5, calls)) / calls * 1e6}


def bulk(rows: str) -> dict[str, float]:
    """A bulk run, with its journal. The peak of the memory is that of the whole process."""
    import lmtokens

    with tempfile.TemporaryDirectory() as folder:
        tokens = [(32, f"row {number}") for number in range(int(rows))]
        usage = Usage()
        summary = lmtokens.add_tokens(tokens, journal=Path(folder, "run.journal")).finish()
        assert summary.created == len(tokens), summary
        measured = usage.per_call([0.0] * len(tokens))
    return {**measured, "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000}


if __name__ == "__main__":
    measurement, *arguments = sys.argv[1:]
    print(json.dumps(globals()[measurement](*arguments)), flush=True)
    # Without finalizing the interpreter, during which pyreqwest sometimes aborts the process.
    os._exit(0)
