"""Abandoned, failed or cancelled calls cause no asyncio warnings: warnings are errors here, and debug mode is on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support import run_python

if TYPE_CHECKING:
    from lmtokens.sandbox import Portal

STRICT = {"PYTHONWARNINGS": "error", "PYTHONDEVMODE": "1"}

# The blocking call at the end takes longer than the abandoned calls, so that their warnings would be seen.
PROGRAM = """
import asyncio, gc
import lmtokens
client = lmtokens.AsyncClient(timeout=60)

async def main():
    # Do not warn about a slow machine.
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
    "a handled error": """
    try: await client.find_token(999_999)
    except lmtokens.NotFoundError: pass""",
    "a timeout": """
    try: await asyncio.wait_for(client.whoami(), 0.05)
    except asyncio.TimeoutError: pass""",
    "a cancelled call": """
    task = asyncio.ensure_future(client.whoami())
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)""",
    "several failures, one of them handled": """
    try: await asyncio.gather(*(client.find_token(999_990 + number) for number in range(8)))
    except lmtokens.NotFoundError: pass""",
    "calls in progress when the main coroutine returns": """
    calls = [asyncio.ensure_future(client.whoami()) for _ in range(8)]
    await asyncio.sleep(0.05)""",
    "a list that is not read to its end": """
    async for token in client.list_tokens(page_size=1):
        break""",
    "a list that is never read": "client.list_tokens(32)",
    "a client that is deleted during a call": """
    global client
    call = asyncio.ensure_future(client.whoami())
    await asyncio.sleep(0)
    del client
    gc.collect()
    await call""",
}


def assert_no_warnings(portal: Portal, body: str, end: str) -> None:
    portal.fail("delay", seconds=0.3, path="/setting/admins/apitokens", times=2)
    lines = [f"    {line.strip()}" if "\n" not in body else line for line in body.strip("\n").splitlines()]
    code = PROGRAM.replace("BODY", "\n".join(lines)).replace("END", end)
    completed = run_python(code, environment={**portal.environment(), **STRICT})
    assert (completed.returncode, completed.stderr) == (0, "")
    assert completed.stdout == "quiet\n"


@pytest.mark.parametrize("library", ["asyncio", "uvloop"])
@pytest.mark.parametrize("name", BODIES)
def test_no_warnings_in_a_new_loop(lmtokens_portal: Portal, name: str, library: str) -> None:
    pytest.importorskip(library, reason=f"{library} is not installed")
    assert_no_warnings(lmtokens_portal, BODIES[name], f"import {library}\n{library}.run(main(), debug=True)")


def test_no_warnings_if_the_loop_is_closed_during_a_call(lmtokens_portal: Portal) -> None:
    # The loop is closed when the response arrives. asyncio itself warns about the pending task unless it is ended.
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
    assert_no_warnings(lmtokens_portal, body, end)
