"""Lists of the async API: resumed after an error, and shared between tasks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import lmtokens
import pytest
from listing import create_tokens
from support import wait_until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lmtokens.sandbox import Portal


async def append_ids(tokens: AsyncIterator[lmtokens.Token], collected: list[int]) -> None:
    async for token in tokens:
        collected.append(token.id)


def test_list_resumes_at_the_same_token_after_an_error(lmtokens_portal: Portal) -> None:
    created = create_tokens(lmtokens_portal, 25)
    lmtokens_portal.fail("status-before-acting", status=500, skip=1)

    async def main() -> None:
        listed: list[int] = []
        tokens = lmtokens_portal.async_client().list_tokens(32, type="lmv1", page_size=10)
        with pytest.raises(lmtokens.ServerError):
            await append_ids(tokens, listed)
        assert listed == created[:10]
        # If the iterator ended here, the list would seem complete.
        await append_ids(tokens, listed)
        assert listed == created

    asyncio.run(main())


def test_list_shared_between_tasks_returns_each_token_once(lmtokens_portal: Portal) -> None:
    created = create_tokens(lmtokens_portal, 100)

    async def main() -> list[int]:
        tokens = lmtokens_portal.async_client().list_tokens(32, type="lmv1", page_size=10)
        listed: list[int] = []
        await asyncio.gather(*(append_ids(tokens, listed) for _ in range(4)))
        return listed

    assert sorted(asyncio.run(main())) == created


@pytest.mark.parametrize("method", ["cancel", "close"])
def test_step_that_is_no_longer_awaited_cancels_its_request(lmtokens_portal: Portal, method: str) -> None:
    created = create_tokens(lmtokens_portal, 5)
    lmtokens_portal.fail("delay", seconds=30)

    async def main() -> list[int]:
        tokens = lmtokens_portal.async_client().list_tokens(32, type="lmv1")
        loop, step = asyncio.get_running_loop(), tokens.__anext__()
        if method == "cancel":
            task = asyncio.ensure_future(step)
            await loop.run_in_executor(None, wait_until, lambda: lmtokens_portal.record)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        else:
            step.send(None)  # type: ignore[attr-defined]
            await loop.run_in_executor(None, wait_until, lambda: lmtokens_portal.record)
            step.close()  # type: ignore[attr-defined]
        # The next step requests the page again.
        return [token.id async for token in tokens]

    assert asyncio.run(main()) == created
    # The client closed the first connection before the response was sent.
    assert [seen.status for seen in lmtokens_portal.record] == [None, 200]
