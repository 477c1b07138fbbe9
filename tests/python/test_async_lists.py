"""Lists of the async API: resumed after an error, and shared between tasks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import lmtokens
import pytest
from listing import create_tokens

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
