"""The machine and the versions that a result holds for."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import re
import subprocess
from pathlib import Path

import server
import wrk

PACKAGES = ("lmtokens", "requests", "httpx", "aiohttp", "pyreqwest", "logicmonitor-sdk")


def state() -> str:
    """Describe the machine, its load at this moment and the versions, as a Markdown list."""
    versions = [f"{name} {importlib.metadata.version(name)}" for name in PACKAGES]
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return "\n".join(
        [
            f"- Date: {datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d %H:%M} UTC",
            f"- Machine: {processor()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
            f"- Load when the run began: {os.getloadavg()[0]:.1f}",
            f"- Versions: {', '.join([python, *versions, *tools()])}",
        ]
    )


def processor() -> str:
    try:
        match = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    except OSError:
        match = None
    return match[1] if match else platform.machine()


def tools() -> list[str]:
    """Return the names and versions of nginx and wrk as far as they are installed."""
    found = []
    for name, path in (("nginx", server.nginx()), ("wrk", wrk.path())):
        if path is not None:
            # wrk has no option for this: it prints its version and its usage, and exits with 1.
            finished = subprocess.run(
                [path, "-v"], check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
            version = re.search(r"\d+\.\d+\S*", finished.stdout)
            found.append(f"{name} {version[0]}" if version else name)
    return found
