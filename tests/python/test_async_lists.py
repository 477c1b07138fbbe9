"""An awaited list goes on after an error where it was, and may be shared between tasks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import lmtokens
import pytest
from listing import create_tokens

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lmtokens.sandbox import Portal


async def taken(tokens: AsyncIterator[lmtokens.Token], into: list[int]) -> None:
    async for token in tokens:
        into.append(token.id)


def test_error_leaves_the_list_where_it_was(lmtokens_portal: Portal) -> None:
    made = create_tokens(lmtokens_portal, 25)
    lmtokens_portal.fail("status-before-acting", status=500, skip=1)

    async def main() -> None:
        listed: list[int] = []
        tokens = lmtokens_portal.async_client().list_tokens(32, type="lmv1", page_size=10)
        with pytest.raises(lmtokens.ServerError):
            await taken(tokens, listed)
        assert listed == made[:10]
        # A list that ended here would look whole.
        await taken(tokens, listed)
        assert listed == made

    asyncio.run(main())


def test_list_shared_between_tasks_gives_each_token_once(lmtokens_portal: Portal) -> None:
    made = create_tokens(lmtokens_portal, 100)

    async def main() -> list[int]:
        tokens = lmtokens_portal.async_client().list_tokens(32, type="lmv1", page_size=10)
        listed: list[int] = []
        await asyncio.gather(*(taken(tokens, listed) for _ in range(4)))
        return listed

    assert sorted(asyncio.run(main())) == made
