"""Compare lmtokens with other packages and with wrk, and write one table: `compare.py [SECTION...]`.

The peers take turns within each round, and each measurement is a process of its own; the table has the medians of the
rounds. Without arguments all sections run; if none is skipped, RESULTS.md is written. The numbers are not guarantees.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import lmtokens.sandbox
import machine
import many_portals
import rate_limit
import server
import sizes
import wrk
from table import Row, at_least, at_most, markdown, number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Measurement = Mapping[str, float]
    Environment = Mapping[str, str]

HERE = Path(__file__).parent
ROUNDS = 5
PROCESS_ROUNDS = 11  # of the short measurements of whole processes
BLOCKING = ("lmtokens", "requests", "httpx", "pyreqwest", "SDK")
ASYNC = ("lmtokens", "aiohttp", "httpx", "pyreqwest")
AT_ONCE = (1, 8, 32, 128)
BULK_ROWS = 10_000

INTRODUCTION = """\
Every peer signs each request (LMv1), sends it over TLS to nginx on loopback with a verified certificate, and reads the
JSON in the response: one created token, or pages of 1,000 tokens. nginx has one worker and sends static responses. wrk
sends one signed request again and again, without reading the responses: it is the limit. "N awaited at once" is N tasks
in one event loop, each of which awaits one create after another. CPU is that of all threads of the client. The bulk
runs use a sandbox in another process; the ideal duration of a limited one uses up each window as soon as it opens.

The peers take turns, each measurement is a process of its own, and the table has the medians. Goals are for lmtokens.
"""

PACKAGES = {
    "lmtokens": "lmtokens",
    "requests": "requests",
    "httpx": "httpx",
    "aiohttp": "aiohttp",
    "pyreqwest": "pyreqwest",
    "SDK": "logicmonitor-sdk",
}
IMPORTS = {
    "lmtokens": "import lmtokens",
    "requests": "import requests",
    "httpx": "import httpx",
    "aiohttp": "import aiohttp",
    "pyreqwest": "import pyreqwest.client",
    "SDK": "import logicmonitor_sdk",
}
ONE_CREATE = {
    "lmtokens": "import lmtokens; lmtokens.add_token(32, 'ci')",
    "requests": "import peers; peers.Requests().create()",
    "httpx": "import peers; peers.Httpx().create()",
    "aiohttp": """
import asyncio, peers
async def main():
    client = peers.AsyncAiohttp()
    await client.create()
    await client.close()
asyncio.run(main())
""",
    "pyreqwest": "import peers; peers.Pyreqwest().create()",
    "SDK": "import peers; peers.Sdk().create()",
}
TIMED = """
import time
begun = time.perf_counter()
{}
print(time.perf_counter() - begun)
"""


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
    return {"wrk": lambda: wrk.measure(environment, connections)} if wrk.path() else {}


def pick(measured: Mapping[str, Measurement], key: str) -> dict[str, float]:
    return {name: values[key] for name, values in measured.items()}


def startup(environment: Environment) -> Iterator[Row]:
    def whole_process(code: str) -> Callable[[], Measurement]:
        def measure() -> Measurement:
            begun = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], env={**environment, "PYTHONPATH": str(HERE)}, check=True)
            return {"ms": (time.perf_counter() - begun) * 1000}

        return measure

    bare = {"bare": whole_process("pass")}
    measured = in_turns({**bare, **{peer: whole_process(code) for peer, code in ONE_CREATE.items()}}, PROCESS_ROUNDS)
    beyond = {peer: measured[peer]["ms"] - measured["bare"]["ms"] for peer in ONE_CREATE}
    title = "whole process with one create, beyond a bare interpreter"
    yield Row(title, "ms", beyond, [at_most(5, None, beyond), at_most(1 / 25, "requests", beyond)])


def imports(environment: Environment) -> Iterator[Row]:
    def timed(statement: str) -> Callable[[], Measurement]:
        command = [sys.executable, "-c", TIMED.format(statement)]

        def measure() -> Measurement:
            finished = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
            return {"ms": float(finished.stdout) * 1000}

        return measure

    measured = in_turns({peer: timed(statement) for peer, statement in IMPORTS.items()}, PROCESS_ROUNDS)
    ms = pick(measured, "ms")
    yield Row("import", "ms", ms, [at_most(1.5, None, ms)])


def signature(environment: Environment) -> Iterator[Row]:
    measured = in_turns({signer: worker(environment, "signature", signer) for signer in ("lmtokens", "hmac")})
    microseconds = pick(measured, "microseconds")
    title = f"one signature (with the hmac module: {number(microseconds['hmac'])})"
    yield Row(title, "µs", microseconds, [at_most(0.8, None, microseconds)])


def blocking(environment: Environment) -> Iterator[Row]:
    peers = {peer: worker(environment, "blocking", peer, 1) for peer in BLOCKING}
    measured = in_turns({**peers, **wrk_if_installed(environment, 1)})
    median = pick(measured, "median")
    yield Row("one blocking call on a warm connection", "µs", median, [at_most(1.6, "wrk", median)])
    yield Row("one blocking call, CPU", "µs", pick(measured, "cpu"))


def awaited(environment: Environment) -> Iterator[Row]:
    measured = {}
    for count in AT_ONCE:
        peers = {peer: worker(environment, "awaited", peer, count) for peer in ASYNC}
        rounds = ROUNDS if count in (1, 32) else 3
        measured[count] = in_turns({**peers, **wrk_if_installed(environment, count)}, rounds)
    yield Row("one awaited call on a warm connection", "µs", pick(measured[1], "median"))
    for count in AT_ONCE:
        rate = pick(measured[count], "rate")
        goals = [at_least(4, "aiohttp", rate), at_least(0.35, "wrk", rate)] if count == 32 else []
        yield Row(f"{count} awaited at once", "calls/s", rate, goals)
    for count in AT_ONCE:
        yield Row(f"{count} awaited at once, CPU per call", "µs", pick(measured[count], "cpu"))


def threads(environment: Environment) -> Iterator[Row]:
    measured = in_turns({peer: worker(environment, "blocking", peer, 8) for peer in BLOCKING}, rounds=3)
    yield Row("blocking calls in 8 threads", "calls/s", pick(measured, "rate"))
    yield Row("blocking calls in 8 threads, CPU per call", "µs", pick(measured, "cpu"))


def listing(environment: Environment) -> Iterator[Row]:
    measured = in_turns({peer: worker(environment, "listing", peer) for peer in PACKAGES}, rounds=3)
    for name, key in (("list of 10,000 tokens", "median"), ("list of 10,000 tokens, CPU", "cpu")):
        yield Row(name, "ms", {peer: value / 1000 for peer, value in pick(measured, key).items()})


def bulk(environment: Environment) -> Iterator[Row]:
    def measure() -> Measurement:
        with lmtokens.sandbox.Portal(rate_limit=1_000_000, record_limit=0) as portal:
            return worker({**environment, **portal.environment()}, "bulk", BULK_ROWS)()

    measured = in_turns({"lmtokens": measure}, rounds=3)
    title = f"bulk of {BULK_ROWS:,} rows with a journal"
    yield Row(title, "rows/s", pick(measured, "rate"))
    yield Row(f"{title}, CPU per row", "µs", pick(measured, "cpu"))
    yield Row(f"{title}, peak memory", "MB", pick(measured, "megabytes"))


def limited(environment: Environment) -> Iterator[Row]:
    del environment  # a sandbox with a rate limit instead of nginx
    title = f"bulk of {rate_limit.ROWS} rows, {rate_limit.LIMIT} per {rate_limit.WINDOW:g} s"
    for name, with_other in ((title, False), (f"{title}, a third used by another process", True)):
        run = rate_limit.measure(with_other=with_other)
        ratio, rejected = {"lmtokens": run.ratio}, {"lmtokens": run.rejected_percent}
        yield Row(name, "× ideal", ratio, [] if with_other else [at_most(1.01, None, ratio)])
        yield Row(f"{name}: answered 429", "%", rejected, [] if with_other else [at_most(0.5, None, rejected)])


def portals(environment: Environment) -> Iterator[Row]:
    del environment  # sandboxes instead of nginx
    result = many_portals.measure()
    title = f"{many_portals.PORTALS:,} portals kept at their limit"
    yield Row(title, "% of ideal", {"lmtokens": result.share_percent})
    yield Row(f"{title}: answered 429", "%", {"lmtokens": result.rejected_percent})
    yield Row(f"{title}, CPU", "% of a core", {"lmtokens": 100 * result.cores})
    yield Row(f"{title}, memory", "MB", {"lmtokens": result.megabytes})


def size(environment: Environment) -> Iterator[Row]:
    del environment
    megabytes = {peer: sizes.installed_size(package) for peer, package in PACKAGES.items()}
    yield Row("installed size, with requirements", "MB", megabytes, [at_most(6, None, megabytes)])


SECTIONS = (startup, imports, signature, blocking, awaited, threads, listing, bulk, limited, portals, size)
ON_NGINX = (startup, blocking, awaited, threads, listing)


def main(names: list[str]) -> None:
    known = [section.__name__ for section in SECTIONS]
    if not set(names) <= set(known):
        sys.exit(f"unknown section in {names}; expected {', '.join(known)}")
    sections = [section for section in SECTIONS if not names or section.__name__ in names]
    # Without the variables of this machine, such as proxies and trusted certificates.
    environment = {"PATH": os.environ["PATH"]}
    os.environ.clear()
    os.environ.update(environment)
    rows: list[Row] = []
    skipped: list[str] = []
    begun = machine.state()
    with ExitStack() as stack:
        if server.nginx():
            environment.update(stack.enter_context(server.serve()))
        else:
            without = ", ".join(section.__name__ for section in ON_NGINX)
            skipped.append(f"nginx is not installed (apt-get install nginx): skipped {without}")
            sections = [section for section in sections if section not in ON_NGINX]
        if not wrk.path():
            skipped.append("wrk is not installed (apt-get install wrk): skipped its column and the goals that use it")
        for section in sections:
            print(f"measuring: {section.__name__}", file=sys.stderr, flush=True)
            rows += section(environment)
    results = "\n\n".join([markdown(rows), *skipped])
    print(results)
    if not names and not skipped:
        text = f"# Results of `make bench`\n\n{begun}\n\n{INTRODUCTION}\n{results}\n"
        (HERE / "RESULTS.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
