"""wrk as the limit: it sends one signed create again and again, without reading the response."""

from __future__ import annotations

import json
import re
import resource
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import peers

if TYPE_CHECKING:
    from collections.abc import Mapping

SECONDS = 2
UNITS = {"us": 1.0, "ms": 1e3, "s": 1e6}


def path() -> str | None:
    return shutil.which("wrk")


def measure(environment: Mapping[str, str], connections: int) -> dict[str, float]:
    """Return calls per second, CPU microseconds per call and the median latency in microseconds."""
    body = peers.create_body()
    headers = peers.headers("POST", peers.CREATE, body, environment)
    # JSON texts are Lua texts as long as they are ASCII without escapes.
    script = f'wrk.method = "POST"\nwrk.body = {json.dumps(body.decode())}\n'
    script += "".join(f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}\n" for name, value in headers.items())
    with tempfile.TemporaryDirectory() as folder:
        script_path = Path(folder, "create.lua")
        script_path.write_text(script, encoding="ascii")
        command = ["wrk", "--threads=1", f"--connections={connections}", f"--duration={SECONDS}s", "--latency"]
        command += [f"--script={script_path}", environment["LM_BASE_URL"] + peers.CREATE]
        before = children_cpu_seconds()
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        cpu = children_cpu_seconds() - before
    if "Socket errors" in output or "Non-2xx" in output:
        raise RuntimeError(output)
    median, unit = found(r" 50% +([0-9.]+)(us|ms|s)", output)
    (rate,) = found(r"Requests/sec: +([0-9.]+)", output)
    (calls,) = found(r"([0-9]+) requests in", output)
    return {"rate": float(rate), "cpu": cpu / int(calls) * 1e6, "median": float(median) * UNITS[unit]}


def found(pattern: str, output: str) -> tuple[str, ...]:
    match = re.search(pattern, output)
    if match is None:
        raise RuntimeError(output)
    return match.groups()


def children_cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
