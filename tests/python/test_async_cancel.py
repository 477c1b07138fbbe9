"""A client whose first call was cancelled, at whatever moment, answers the next one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support import run_python

if TYPE_CHECKING:
    from lmtokens.sandbox import Portal

CODE = """
import asyncio, lmtokens
async def main():
    for number in range(400):
        client = lmtokens.AsyncClient()
        call = asyncio.ensure_future(client.whoami())
        await asyncio.sleep(0.0001 * (number % 30))
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        await asyncio.wait_for(client.whoami(), 20)
asyncio.run(main())
lmtokens.whoami()
"""


def test_cancelling_a_first_call_at_any_moment_leaves_a_client_that_works(lmtokens_portal: Portal) -> None:
    lmtokens_portal.set_rate_limit(1_000_000)
    completed = run_python(CODE, environment=lmtokens_portal.environment())
    assert (completed.returncode, completed.stderr) == (0, "")
