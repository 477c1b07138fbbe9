"""The interpreter ends cleanly just after an awaited call, in a finaliser, and while daemon threads make calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support import run_python

if TYPE_CHECKING:
    from lmtokens.sandbox import Portal

# Each run has its own chance to end at a wrong moment.
RUNS = 50


def ends_cleanly(code: str, portal: Portal, runs: int = RUNS) -> None:
    portal.set_rate_limit(1_000_000)
    for run in range(runs):
        completed = run_python(code, environment=portal.environment())
        said = (completed.returncode, completed.stdout, completed.stderr)
        assert said == (0, "end\n", ""), f"run {run}"


def test_end_of_a_script_that_awaits(lmtokens_portal: Portal) -> None:
    code = """
import asyncio, lmtokens
asyncio.run(lmtokens.AsyncClient().whoami())
print("end")
"""
    ends_cleanly(code, lmtokens_portal)


def test_end_of_a_script_that_abandons_its_loop(lmtokens_portal: Portal) -> None:
    code = """
import asyncio, lmtokens
async def main():
    calls = [asyncio.ensure_future(lmtokens.AsyncClient().whoami()) for _ in range(8)]
    await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
asyncio.run(main())
print("end")
"""
    ends_cleanly(code, lmtokens_portal)


def test_call_in_a_finaliser_of_the_interpreters_end(lmtokens_portal: Portal) -> None:
    code = """
import lmtokens
client = lmtokens.Client()
class Last:
    def __del__(self, client=client):
        client.add_token(32)
        print("end")
last = Last()
"""
    ends_cleanly(code, lmtokens_portal, 1)


DAEMONS = """
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
def test_daemon_threads_in_quick_calls_at_exit(lmtokens_portal: Portal, name: str) -> None:
    ends_cleanly(DAEMONS.replace("CALL", CALLS[name]), lmtokens_portal, 20)
