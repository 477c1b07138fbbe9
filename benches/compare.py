"""Compare lmtokens with other packages and with wrk, and write one table: `compare.py [SECTION...]`.

The peers take turns within each round, and each measurement is a process of its own; the table has the medians of the
rounds. Without arguments all sections run, and the table is also written to RESULTS.md. The numbers are not guarantees.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import server
import wrk
from table import Row, at_least, at_most, markdown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Measurement = Mapping[str, float]
    Environment = Mapping[str, str]

HERE = Path(__file__).parent
ROUNDS = 5
BLOCKING = ("lmtokens", "requests", "httpx", "pyreqwest", "SDK")
ASYNC = ("lmtokens", "aiohttp", "httpx", "pyreqwest")
AT_ONCE = (1, 8, 32, 128)


def in_turns(measurements: Mapping[str, Callable[[], Measurement]], rounds: int = ROUNDS) -> dict[str, Measurement]:
    """Carry out all measurements in each round, and return the medians of each."""
    results: dict[str, list[Measurement]] = {name: [] for name in measurements}
    for _ in range(rounds):
        for name, measure in measurements.items():
            results[name].append(measure())
    return {
        name: {key: statistics.median(result[key] for result in of_name) for key in of_name[0]}
        for name, of_name in results.items()
    }


def worker(environment: Environment, *arguments: object) -> Callable[[], Measurement]:
    """Return a measurement of `worker.py`."""
    command = [sys.executable, str(HERE / "worker.py"), *map(str, arguments)]

    def measure() -> Measurement:
        finished = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
        measured: Measurement = json.loads(finished.stdout)
        return measured

    return measure


def wrk_if_installed(environment: Environment, connections: int) -> dict[str, Callable[[], Measurement]]:
    return {"wrk": lambda: wrk.measure(environment, connections)} if wrk.is_installed() else {}


def pick(measured: Mapping[str, Measurement], key: str) -> dict[str, float]:
    return {name: values[key] for name, values in measured.items()}


def blocking(environment: Environment) -> Iterator[Row]:
    peers = {peer: worker(environment, "blocking", peer, 1) for peer in BLOCKING}
    measured = in_turns({**peers, **wrk_if_installed(environment, 1)})
    median = pick(measured, "median")
    yield Row("one blocking call", "µs", median, [at_most(1.6, "wrk", median)])
    yield Row("one blocking call, CPU", "µs", pick(measured, "cpu"))


def awaited(environment: Environment) -> Iterator[Row]:
    measured = {}
    for count in AT_ONCE:
        peers = {peer: worker(environment, "awaited", peer, count) for peer in ASYNC}
        rounds = ROUNDS if count in (1, 32) else 3
        measured[count] = in_turns({**peers, **wrk_if_installed(environment, count)}, rounds)
    yield Row("one awaited call", "µs", pick(measured[1], "median"))
    for count in AT_ONCE:
        rate = pick(measured[count], "rate")
        goals = [at_least(4, "aiohttp", rate), at_least(0.35, "wrk", rate)] if count == 32 else []
        yield Row(f"{count} awaited at once", "calls/s", rate, goals)
    for count in AT_ONCE:
        yield Row(f"{count} awaited at once, CPU per call", "µs", pick(measured[count], "cpu"))


def threads(environment: Environment) -> Iterator[Row]:
    measured = in_turns({peer: worker(environment, "blocking", peer, 8) for peer in BLOCKING}, rounds=3)
    yield Row("8 threads, blocking calls", "calls/s", pick(measured, "rate"))
    yield Row("8 threads, CPU per call", "µs", pick(measured, "cpu"))


SECTIONS = {section.__name__: section for section in (blocking, awaited, threads)}


def main(names: list[str]) -> None:
    rows: list[Row] = []
    # Without the variables of this machine, such as proxies and trusted certificates.
    clean = {"PATH": os.environ["PATH"]}
    with server.serve() as settings:
        for name in names or SECTIONS:
            print(f"measuring: {name}", file=sys.stderr, flush=True)
            rows += SECTIONS[name]({**clean, **settings})
    print(markdown(rows))


if __name__ == "__main__":
    main(sys.argv[1:])
