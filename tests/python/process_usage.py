"""Resources that this process uses: threads, file descriptors, memory. Linux only."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest

needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's /proc")


def process_usage() -> dict[str, int]:
    """Return the numbers of threads and open files of this process, and its resident memory in kilobytes."""
    gc.collect()
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {
        "files": len(os.listdir("/proc/self/fd")),
        "threads": int(status["Threads"]),
        "kilobytes": int(status["VmRSS"].split()[0]),
    }
