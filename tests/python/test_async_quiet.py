"""Whatever becomes of awaited calls, asyncio has nothing to complain about: warnings are errors, debug mode is on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support import run_python

if TYPE_CHECKING:
    from lmtokens.sandbox import Portal

STRICT = {"PYTHONWARNINGS": "error", "PYTHONDEVMODE": "1"}

# The blocking call at the end outlasts what was abandoned: a complaint would be there before the program ends.
PROGRAM = """
import asyncio, gc
import lmtokens
client = lmtokens.AsyncClient(timeout=60)

async def main():
    # A slow machine is no news.
    asyncio.get_running_loop().slow_callback_duration = 60
BODY

END
gc.collect()
lmtokens.whoami()
gc.collect()
print("quiet")
"""

BODIES = {
    "plain calls": "await client.whoami()",
    "an error that is handled": """
    try: await client.find_token(999_999)
    except lmtokens.NotFoundError: pass""",
    "a time limit": """
    try: await asyncio.wait_for(client.whoami(), 0.05)
    except asyncio.TimeoutError: pass""",
    "a cancelled call": """
    task = asyncio.ensure_future(client.whoami())
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)""",
    "several failures, of which one is seen": """
    try: await asyncio.gather(*(client.find_token(999_990 + number) for number in range(8)))
    except lmtokens.NotFoundError: pass""",
    "calls under way when the program's last coroutine returns": """
    calls = [asyncio.ensure_future(client.whoami()) for _ in range(8)]
    await asyncio.sleep(0.05)""",
    "a list that is left early": """
    async for token in client.list_tokens(page_size=1):
        break""",
    "a list that is never begun": "client.list_tokens(32)",
    "a client that is dropped during a call": """
    global client
    call = asyncio.ensure_future(client.whoami())
    await asyncio.sleep(0)
    del client
    gc.collect()
    await call""",
}


def check(portal: Portal, body: str, end: str) -> None:
    portal.fail("delay", seconds=0.3, path="/setting/admins/apitokens", times=2)
    lines = [f"    {line.strip()}" if "\n" not in body else line for line in body.strip("\n").splitlines()]
    code = PROGRAM.replace("BODY", "\n".join(lines)).replace("END", end)
    completed = run_python(code, environment={**portal.environment(), **STRICT})
    assert (completed.returncode, completed.stderr) == (0, "")
    assert completed.stdout == "quiet\n"


@pytest.mark.parametrize("name", BODIES)
def test_in_a_loop_that_is_run(lmtokens_portal: Portal, name: str) -> None:
    check(lmtokens_portal, BODIES[name], "asyncio.run(main(), debug=True)")


def test_in_a_loop_that_is_closed_during_a_call(lmtokens_portal: Portal) -> None:
    # The loop is gone when the answer comes. The task is asyncio's to destroy: it is ended by hand here.
    body = """
    task = asyncio.ensure_future(client.whoami())
    await asyncio.sleep(0.05)
    return task"""
    end = """
loop = asyncio.new_event_loop()
task = loop.run_until_complete(main())
task.get_coro().close()
task._log_destroy_pending = False
loop.close()
del task, loop"""
    check(lmtokens_portal, body, end)
