"""The interpreter exits cleanly after an awaited call, in a finalizer, and while daemon threads make calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support import UNLIMITED, run_python

if TYPE_CHECKING:
    from lmtokens.sandbox import Portal

# Repeated because a crash depends on timing.
RUNS = 50


def assert_clean_exit(code: str, portal: Portal, runs: int = RUNS) -> None:
    portal.set_rate_limit(UNLIMITED)
    for run in range(runs):
        completed = run_python(code, environment=portal.environment())
        outcome = (completed.returncode, completed.stdout, completed.stderr)
        assert outcome == (0, "end\n", ""), f"run {run}"


def test_exit_after_an_awaited_call(lmtokens_portal: Portal) -> None:
    code = """
import asyncio, lmtokens
asyncio.run(lmtokens.AsyncClient().whoami())
print("end")
"""
    assert_clean_exit(code, lmtokens_portal)


def test_exit_with_calls_in_progress(lmtokens_portal: Portal) -> None:
    code = """
import asyncio, lmtokens
async def main():
    calls = [asyncio.ensure_future(lmtokens.AsyncClient().whoami()) for _ in range(8)]
    await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
asyncio.run(main())
print("end")
"""
    assert_clean_exit(code, lmtokens_portal)


def test_call_in_a_finalizer_during_exit(lmtokens_portal: Portal) -> None:
    code = """
import lmtokens
client = lmtokens.Client()
class Last:
    def __del__(self, client=client):
        client.add_token(32)
        print("end")
last = Last()
"""
    assert_clean_exit(code, lmtokens_portal, 1)


DAEMON_THREADS = """
import asyncio, threading, time
import lmtokens
client = lmtokens.Client()
calls = [0] * 4
def forever(number):
    while True:
        CALL
        calls[number] += 1
for number in range(4):
    threading.Thread(target=forever, args=(number,), daemon=True).start()
while min(calls) < 3:
    time.sleep(0.001)
print("end", flush=True)
"""

CALLS = {
    "calls": "client.whoami()",
    "clients": "lmtokens.Client()",
    "errors": """
        try: client.find_token(999_999)
        except lmtokens.NotFoundError: pass""",
    "lists": "list(client.list_tokens())",
    "event loops": "asyncio.run(lmtokens.AsyncClient().whoami())",
}


@pytest.mark.parametrize("name", CALLS)
def test_exit_while_daemon_threads_make_calls(lmtokens_portal: Portal, name: str) -> None:
    assert_clean_exit(DAEMON_THREADS.replace("CALL", CALLS[name]), lmtokens_portal, 20)
