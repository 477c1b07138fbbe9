"""Lists stay whole while tokens are deleted, and may be shared: nothing comes twice, nothing that lived is missed."""

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


class TestDeletionsMeanwhile:
    """The three ways of paging: by key, overlapping, and overlapping because the portal does not sort."""

    COUNT = 2_500

    @pytest.mark.parametrize("share", [0.1, 0.6, 1.0])
    @pytest.mark.parametrize("raw", [None, 'note~"e"||note~"o"'], ids=["by-key", "overlapping"])
    def test_hide_nothing_and_repeat_nothing(self, portal: Portal, raw: str | None, share: float) -> None:
        made = create_tokens(portal, self.COUNT) + create_tokens(portal, self.COUNT, type="bearer")
        deleting = {token.id: token for token in portal.client().list_tokens(32)}
        client = portal.client()
        chaos = ConcurrentDeletions(7, made, lambda id: client.delete_token(deleting[id]), share)
        for token in client.list_tokens(32, filter=raw, page_size=100):
            chaos.record(token.id)
        chaos.check()
        # Half of them, or there was no chaos.
        assert len(chaos.surviving) < len(made) * (1 - share / 2)

    @pytest.mark.parametrize("raw", [None, 'note~"e"||note~"o"'], ids=["by-key", "overlapping"])
    def test_hide_nothing_and_repeat_nothing_from_an_awaited_list(self, portal: Portal, raw: str | None) -> None:
        made = create_tokens(portal, self.COUNT) + create_tokens(portal, self.COUNT, type="bearer")
        client = portal.client()
        deleting = {token.id: token for token in client.list_tokens(32)}
        chaos = ConcurrentDeletions(11, made, lambda id: client.delete_token(deleting[id]), 0.3)

        async def main() -> None:
            async for token in portal.async_client().list_tokens(32, filter=raw, page_size=100):
                chaos.record(token.id)

        asyncio.run(main())
        chaos.check()
        assert len(chaos.surviving) < len(made) * 0.85

    @pytest.mark.parametrize("share", [0.1, 1.0])
    @pytest.mark.parametrize(
        "settings", [{"sorts": False}, {"filters": False}, {"sorts": False, "filters": False}], ids=str
    )
    def test_at_a_portal_that_is_odd(self, settings: dict[str, bool], share: float) -> None:
        with OddPortal(**settings) as odd, odd.client() as client:
            made = [odd.add("x") for _ in range(800)] + [odd.add("x", type="bearer") for _ in range(800)]
            random.Random(7).shuffle(odd.tokens)
            odd.bearers.reverse()

            def delete(id: int) -> None:
                with odd.lock:
                    odd.tokens = [token for token in odd.tokens if token["id"] != id]
                    odd.bearers = [token for token in odd.bearers if token["id"] != id]

            chaos = ConcurrentDeletions(7, made, delete, share)
            for token in client.list_tokens(page_size=50):
                chaos.record(token.id)
        chaos.check()

    @pytest.mark.parametrize("raw", [None, ALTERNATIVES], ids=["by-key", "overlapping"])
    @pytest.mark.parametrize("page_size", [2, 7, 100])
    def test_of_every_token_as_it_is_listed(self, portal: Portal, raw: str | None, page_size: int) -> None:
        made = create_tokens(portal, 250) + create_tokens(portal, 50, type="bearer")
        client = portal.client()
        listed = []
        for token in client.list_tokens(32, filter=raw, page_size=page_size):
            listed.append(token.id)
            client.delete_token(token)
        assert listed == made
        assert [token.admin_id for token in portal.tokens] == [1, 1]

    @pytest.mark.parametrize("raw", [None, ALTERNATIVES], ids=["by-key", "overlapping"])
    def test_of_all_that_was_listed_at_once(self, portal: Portal, raw: str | None) -> None:
        made = create_tokens(portal, 300)
        client = portal.client()
        listed = []
        for number, token in enumerate(client.list_tokens(32, filter=raw, page_size=50), 1):
            listed.append(token)
            if number % 50 == 0:
                for one in listed[-50:]:
                    client.delete_token(one)
        assert token_ids(listed) == made

    @pytest.mark.parametrize("raw", [None, ALTERNATIVES], ids=["by-key", "overlapping"])
    def test_of_all_that_is_still_to_come(self, portal: Portal, raw: str | None) -> None:
        made = create_tokens(portal, 300)
        client = portal.client()
        tokens = client.list_tokens(32, type="lmv1", filter=raw, page_size=50)
        first = next(tokens)
        for id in made[100:]:
            client.delete_token(id)
        assert [first.id, *token_ids(tokens)] == made[:100]


class TestSharing:
    @pytest.mark.parametrize("raw", [None, ALTERNATIVES])
    def test_between_threads_gives_each_token_once(self, portal: Portal, raw: str | None) -> None:
        made = create_tokens(portal, 500) + create_tokens(portal, 500, type="bearer")
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
        assert sorted(id for share in shares for id in share) == sorted(made)

    def test_between_lists_is_none(self, portal: Portal) -> None:
        made = create_tokens(portal, 30)
        client = portal.client()
        one = client.list_tokens(32, type="lmv1", page_size=10)
        two = client.list_tokens(32, type="lmv1", page_size=7)
        assert [(a.id, b.id) for a, b in zip(one, two)] == [(id, id) for id in made]
