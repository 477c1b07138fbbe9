"""Responses that arrive while the program exits, and calls in its exit handlers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support import UNLIMITED, run_python

if TYPE_CHECKING:
    from lmtokens.sandbox import Portal

FIRST_OF_EIGHT = """
import asyncio, lmtokens
async def main():
    client = lmtokens.AsyncClient()
    calls = [asyncio.ensure_future(client.whoami()) for _ in range(8)]
    await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
asyncio.run(main())
"""


def test_responses_during_exit_do_not_crash_the_interpreter(lmtokens_portal: Portal) -> None:
    lmtokens_portal.set_rate_limit(UNLIMITED)
    for _ in range(40):
        completed = run_python(FIRST_OF_EIGHT, environment=lmtokens_portal.environment())
        assert (completed.returncode, completed.stderr) == (0, "")


CALLS = {
    "blocking": "print(lmtokens.add_token(32, 'last').note)",
    "awaited": "print(asyncio.run(lmtokens.AsyncClient().add_token(32, 'last')).note)",
}


@pytest.mark.parametrize("earlier", ["", "lmtokens.whoami()"], ids=["first call", "later call"])
@pytest.mark.parametrize("registered", ["before", "after"])
@pytest.mark.parametrize("kind", CALLS)
def test_exit_handler_may_make_a_call(lmtokens_portal: Portal, kind: str, registered: str, earlier: str) -> None:
    lines = ["atexit.register(last)", earlier]
    code = f"""
import asyncio, atexit, lmtokens
def last():
    {CALLS[kind]}
"""
    code += "\n".join(lines if registered == "before" else reversed(lines))
    completed = run_python(code, environment=lmtokens_portal.environment())
    assert (completed.returncode, completed.stdout, completed.stderr) == (0, "last\n", "")
