"""Lists stay complete and without duplicates while tokens are deleted, also if threads share a list."""

from __future__ import annotations

import asyncio
import random
import threading
from typing import TYPE_CHECKING

import pytest
from listing import ALTERNATIVES, ConcurrentDeletions, create_tokens, token_ids
from odd_portal import OddPortal

if TYPE_CHECKING:
    from lmtokens.sandbox import Portal


class TestDeletionsWhileListing:
    """The three ways of paging: by key, overlapping, and overlapping because the portal does not sort."""

    COUNT = 2_500

    @pytest.mark.parametrize("share", [0.1, 0.6, 1.0])
    @pytest.mark.parametrize("raw", [None, 'note~"e"||note~"o"'], ids=["by-key", "overlapping"])
    def test_remaining_tokens_are_listed_exactly_once(self, portal: Portal, raw: str | None, share: float) -> None:
        created = create_tokens(portal, self.COUNT) + create_tokens(portal, self.COUNT, type="bearer")
        tokens_by_id = {token.id: token for token in portal.client().list_tokens(32)}
        client = portal.client()
        deletions = ConcurrentDeletions(7, created, lambda id: client.delete_token(tokens_by_id[id]), share)
        for token in client.list_tokens(32, filter=raw, page_size=100):
            deletions.record(token.id)
        deletions.check()
        # Proves that enough tokens were deleted.
        assert len(deletions.surviving) < len(created) * (1 - share / 2)

    @pytest.mark.parametrize("raw", [None, 'note~"e"||note~"o"'], ids=["by-key", "overlapping"])
    def test_remaining_tokens_are_listed_exactly_once_by_the_async_api(self, portal: Portal, raw: str | None) -> None:
        created = create_tokens(portal, self.COUNT) + create_tokens(portal, self.COUNT, type="bearer")
        client = portal.client()
        tokens_by_id = {token.id: token for token in client.list_tokens(32)}
        deletions = ConcurrentDeletions(11, created, lambda id: client.delete_token(tokens_by_id[id]), 0.3)

        async def main() -> None:
            async for token in portal.async_client().list_tokens(32, filter=raw, page_size=100):
                deletions.record(token.id)

        asyncio.run(main())
        deletions.check()
        assert len(deletions.surviving) < len(created) * 0.85

    @pytest.mark.parametrize("share", [0.1, 1.0])
    @pytest.mark.parametrize(
        "settings", [{"sorts": False}, {"filters": False}, {"sorts": False, "filters": False}], ids=str
    )
    def test_portal_without_sorting_or_filtering(self, settings: dict[str, bool], share: float) -> None:
        with OddPortal(**settings) as odd, odd.client() as client:
            created = [odd.add("x") for _ in range(800)] + [odd.add("x", type="bearer") for _ in range(800)]
            random.Random(7).shuffle(odd.tokens)
            odd.bearers.reverse()

            def delete(id: int) -> None:
                with odd.lock:
                    odd.tokens = [token for token in odd.tokens if token["id"] != id]
                    odd.bearers = [token for token in odd.bearers if token["id"] != id]

            deletions = ConcurrentDeletions(7, created, delete, share)
            for token in client.list_tokens(page_size=50):
                deletions.record(token.id)
        deletions.check()

    @pytest.mark.parametrize("raw", [None, ALTERNATIVES], ids=["by-key", "overlapping"])
    @pytest.mark.parametrize("page_size", [2, 7, 100])
    def test_deleting_each_token_when_it_is_listed(self, portal: Portal, raw: str | None, page_size: int) -> None:
        created = create_tokens(portal, 250) + create_tokens(portal, 50, type="bearer")
        client = portal.client()
        listed = []
        for token in client.list_tokens(32, filter=raw, page_size=page_size):
            listed.append(token.id)
            client.delete_token(token)
        assert listed == created
        assert [token.admin_id for token in portal.tokens] == [1, 1]

    @pytest.mark.parametrize("raw", [None, ALTERNATIVES], ids=["by-key", "overlapping"])
    def test_deleting_each_page_when_it_is_listed(self, portal: Portal, raw: str | None) -> None:
        created = create_tokens(portal, 300)
        client = portal.client()
        listed = []
        for number, token in enumerate(client.list_tokens(32, filter=raw, page_size=50), 1):
            listed.append(token)
            if number % 50 == 0:
                for one in listed[-50:]:
                    client.delete_token(one)
        assert token_ids(listed) == created

    @pytest.mark.parametrize("raw", [None, ALTERNATIVES], ids=["by-key", "overlapping"])
    def test_deleting_tokens_that_are_not_listed_yet(self, portal: Portal, raw: str | None) -> None:
        created = create_tokens(portal, 300)
        client = portal.client()
        tokens = client.list_tokens(32, type="lmv1", filter=raw, page_size=50)
        first = next(tokens)
        for id in created[100:]:
            client.delete_token(id)
        assert [first.id, *token_ids(tokens)] == created[:100]


class TestSharing:
    @pytest.mark.parametrize("raw", [None, ALTERNATIVES])
    def test_threads_get_each_token_once(self, portal: Portal, raw: str | None) -> None:
        created = create_tokens(portal, 500) + create_tokens(portal, 500, type="bearer")
        tokens = portal.client().list_tokens(32, filter=raw, page_size=20)
        shares: list[list[int]] = [[] for _ in range(4)]
        barrier = threading.Barrier(len(shares), timeout=30)

        def work(share: list[int]) -> None:
            barrier.wait()
            share.extend(token.id for token in tokens)

        threads = [threading.Thread(target=work, args=(share,)) for share in shares]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(id for share in shares for id in share) == sorted(created)

    def test_lists_are_independent(self, portal: Portal) -> None:
        created = create_tokens(portal, 30)
        client = portal.client()
        one = client.list_tokens(32, type="lmv1", page_size=10)
        two = client.list_tokens(32, type="lmv1", page_size=7)
        assert [(a.id, b.id) for a, b in zip(one, two)] == [(id, id) for id in created]
