"""What a process holds: threads, file descriptors, memory. Linux only."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest

needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's /proc")


def held() -> dict[str, int]:
    """How many threads and open files this process has, and how many kilobytes of memory are its own."""
    gc.collect()
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {
        "files": len(os.listdir("/proc/self/fd")),
        "threads": int(status["Threads"]),
        "kilobytes": int(status["VmRSS"].split()[0]),
    }
