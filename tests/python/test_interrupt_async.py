"""Ctrl-C interrupts a ten-second call promptly, blocking and awaited, twenty times each."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support import run_python

if TYPE_CHECKING:
    from lmtokens.sandbox import Portal

TIMES = 20
DELAY = 10
# Generous for a loaded machine, but shorter than a call that is not interrupted.
SOON = DELAY / 2

CODE = f"""
import asyncio, json, os, signal, threading, time
import lmtokens, lmtokens.sandbox

portal = lmtokens.sandbox.Portal()
client = portal.client()
async_client = portal.async_client()

async def awaited():
    await async_client.OPERATION

def blocking():
    client.OPERATION

def call():
    CALL

def interrupt_when_seen():
    while not any(seen.fault for seen in portal.record):
        time.sleep(0.001)
    # A signal between asyncio's last check for signals and its wait does not wake the loop, whatever is awaited.
    time.sleep(0.02)
    sent.append(time.monotonic())
    os.kill(os.getpid(), signal.SIGINT)

latencies = []
for _ in range({TIMES}):
    sent = []
    portal.clear_record()
    portal.fail("delay", seconds={DELAY})
    thread = threading.Thread(target=interrupt_when_seen)
    thread.start()
    try:
        call()
    except KeyboardInterrupt:
        latencies.append(time.monotonic() - sent[0])
    thread.join()
    portal.clear_faults()
    # The client stays usable after an interrupt.
    assert client.whoami().token is not None
print(json.dumps(latencies))
"""

CALLS = {"blocking": "blocking()", "awaited": "asyncio.run(awaited())"}


@pytest.mark.parametrize("operation", ["whoami()", "add_token(32)", "find_token(1)"])
@pytest.mark.parametrize("call", CALLS)
def test_interrupt_is_prompt(call: str, operation: str) -> None:
    completed = run_python(CODE.replace("CALL", CALLS[call]).replace("OPERATION", operation))
    assert completed.returncode == 0, completed.stderr
    latencies = json.loads(completed.stdout)
    print(f"\n{call} {operation}: the slowest of {len(latencies)} interrupts took {max(latencies) * 1000:.0f} ms")
    assert len(latencies) == TIMES
    assert max(latencies) < SOON


def test_interrupted_list_can_be_continued(lmtokens_portal: Portal) -> None:
    code = """
import os, signal, threading, time
import lmtokens
client = lmtokens.Client()
created = [client.add_token(32).id for _ in range(6)]
tokens = client.list_tokens(32, type="lmv1", page_size=2)
listed = [next(tokens).id, next(tokens).id]
threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    next(tokens)
except KeyboardInterrupt:
    print("interrupted")
assert listed + [token.id for token in tokens] == created
"""
    lmtokens_portal.fail("delay", method="GET", skip=1, seconds=DELAY)
    completed = run_python(code, environment=lmtokens_portal.environment())
    assert (completed.returncode, completed.stdout, completed.stderr) == (0, "interrupted\n", "")
