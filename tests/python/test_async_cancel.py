"""A client whose first call was cancelled, at any moment, can make the next call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support import UNLIMITED, run_python

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


def test_client_works_after_its_first_call_was_cancelled(lmtokens_portal: Portal) -> None:
    lmtokens_portal.set_rate_limit(UNLIMITED)
    completed = run_python(CODE, environment=lmtokens_portal.environment())
    assert (completed.returncode, completed.stderr) == (0, "")
