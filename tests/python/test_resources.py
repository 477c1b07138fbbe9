"""Threads, files and memory do not grow over many calls, clients, abandoned lists and event loops."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from listing import create_tokens
from process_usage import needs_proc
from support import UNLIMITED, run_python

if TYPE_CHECKING:
    from lmtokens.sandbox import Portal

pytestmark = needs_proc

USAGE_MODULE = Path(__file__).with_name("process_usage.py")

# Tolerated growth: an allocator keeps freed memory, and a call that starts before the previous connection is idle again
# opens another one.
MAX_KILOBYTES = 6_000
MAX_FILES = 2

# The warm-up allocates everything that the process keeps permanently.
PROGRAM = """
import asyncio, json, runpy, time
import lmtokens, lmtokens.aio
process_usage = runpy.run_path({usage_module!r})["process_usage"]
client = lmtokens.Client()
async_client = lmtokens.AsyncClient()

def work(times):
{body}

def usage_after_closing(bound):
    deadline = time.monotonic() + 30
    usage = process_usage()
    while usage["files"] > bound["files"] + {files} and time.monotonic() < deadline:
        time.sleep(0.01)
        usage = process_usage()
    return usage

work({warm_up})
before = process_usage()
work({times})
print(json.dumps([before, usage_after_closing(before)]))
"""

WORK = {
    "5,000 calls": (5_000, "    for _ in range(times): client.whoami()"),
    "5,000 errors": (
        5_000,
        """
    for _ in range(times):
        try: client.update_token(1, "n")
        except lmtokens.NotFoundError: pass""",
    ),
    "5,000 awaited calls, 10 at once": (
        5_000,
        """
    async def main():
        for _ in range(times // 10):
            await asyncio.gather(*(async_client.whoami() for _ in range(10)))
    asyncio.run(main())""",
    ),
    "2,000 cancelled calls": (
        2_000,
        """
    async def main():
        await async_client.whoami()
        for number in range(times):
            call = asyncio.ensure_future(async_client.whoami())
            await asyncio.sleep(0.0005 if number % 2 else 0)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
    asyncio.run(main())""",
    ),
    "cancelled calls in 50 loops": (
        50,
        """
    async def main():
        for number in range(10):
            call = asyncio.ensure_future(async_client.whoami())
            await asyncio.sleep(0.0005 if number % 2 else 0)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
    for _ in range(times): asyncio.run(main())""",
    ),
    "200 clients": (200, "    for _ in range(times): lmtokens.Client().whoami()"),
    "100 async clients and loops": (100, "    for _ in range(times): asyncio.run(lmtokens.AsyncClient().whoami())"),
    "200 abandoned lists": (200, "    for _ in range(times): next(client.list_tokens(32))"),
    "200 abandoned async lists": (
        200,
        """
    async def main():
        for _ in range(times):
            async for token in async_client.list_tokens(32):
                break
    asyncio.run(main())""",
    ),
    "50 sandboxes": (
        50,
        """
    import lmtokens.sandbox
    for _ in range(times):
        with lmtokens.sandbox.Portal() as portal: portal.client().whoami()""",
    ),
}


@pytest.mark.parametrize("name", WORK)
def test_resources_do_not_grow(lmtokens_portal: Portal, name: str) -> None:
    times, body = WORK[name]
    lmtokens_portal.set_rate_limit(UNLIMITED)
    create_tokens(lmtokens_portal, 400)
    program = PROGRAM.format(
        usage_module=str(USAGE_MODULE), body=body, times=times, warm_up=times // 4, files=MAX_FILES
    )
    completed = run_python(program, environment=lmtokens_portal.environment())
    assert (completed.returncode, completed.stderr) == (0, "")
    before, after = json.loads(completed.stdout)
    print(f"\n{name}: before {before}, after {after}")
    assert after["threads"] <= before["threads"]
    assert after["files"] <= before["files"] + MAX_FILES
    assert after["kilobytes"] - before["kilobytes"] < MAX_KILOBYTES
