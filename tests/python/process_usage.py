"""Resources that this process uses (threads, file descriptors, memory; Linux only), and whether others run."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest

needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's /proc")


def is_running(id: int) -> bool:
    """Return whether a process exists and, where ``/proc`` tells, is not a zombie.

    A container may have no process that reaps zombies.
    """
    try:
        os.kill(id, 0)
    except ProcessLookupError:
        return False
    if not Path("/proc/self/stat").exists():
        return True
    try:
        return Path(f"/proc/{id}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def process_usage() -> dict[str, int]:
    """Return the numbers of threads and open files of this process, and its resident memory in kilobytes."""
    gc.collect()
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {
        "files": len(os.listdir("/proc/self/fd")),
        "threads": int(status["Threads"]),
        "kilobytes": int(status["VmRSS"].split()[0]),
    }
