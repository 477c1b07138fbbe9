"""Coroutines are as asyncio has them: together, in groups, with limits, cancelled."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import TYPE_CHECKING

import lmtokens
import pytest
from listing import create_tokens
from support import UNLIMITED

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lmtokens.sandbox import Portal


async def until(condition: Callable[[], object]) -> None:
    async def wait() -> None:
        while not condition():
            await asyncio.sleep(0.002)

    await asyncio.wait_for(wait(), 30)


def test_gather(lmtokens_portal: Portal) -> None:
    lmtokens_portal.set_rate_limit(UNLIMITED)

    async def main() -> list[lmtokens.Token]:
        async with lmtokens_portal.async_client() as client:
            return list(await asyncio.gather(*(client.add_token(32, str(number)) for number in range(100))))

    tokens = asyncio.run(main())
    # Each answer came to the call that asked.
    assert [token.note for token in tokens] == [str(number) for number in range(100)]
    assert len({token.id for token in tokens}) == 100


def test_calls_overlap(lmtokens_portal: Portal) -> None:
    # The first request goes alone: its answer tells the budget.
    lmtokens_portal.client().add_token(32)
    lmtokens_portal.clear_record()
    # Ten answers are held back until all ten have asked, or the first would have been given up.
    lmtokens_portal.fail("delay", seconds=1.0, times=10)

    async def main() -> None:
        client = lmtokens_portal.async_client()
        calls = [asyncio.ensure_future(client.add_token(32)) for _ in range(10)]
        await until(lambda: len(lmtokens_portal.record) == 10)
        assert not any(call.done() for call in calls)
        await asyncio.gather(*calls)

    asyncio.run(main())


def test_loop_runs_during_a_call(lmtokens_portal: Portal) -> None:
    lmtokens_portal.fail("delay", seconds=0.3)

    async def main() -> int:
        call = asyncio.ensure_future(lmtokens_portal.async_client().whoami())
        turns = 0
        while not call.done():
            turns += 1
            await asyncio.sleep(0.001)
        await call
        return turns

    assert asyncio.run(main()) > 20


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio has no TaskGroup here")
def test_task_group_that_fails_drops_the_others(lmtokens_portal: Portal) -> None:
    lmtokens_portal.fail("delay", seconds=30, path="/setting/admins/32/apitokens", times=5)

    async def main() -> None:
        client = lmtokens_portal.async_client()
        async with asyncio.TaskGroup() as group:  # type: ignore[attr-defined,unused-ignore]
            for _ in range(5):
                group.create_task(client.add_token(32))
            await until(lambda: len(lmtokens_portal.record) == 5)
            group.create_task(client.add_token(4711))

    with pytest.raises(Exception, match="unhandled errors in a TaskGroup") as raised:
        asyncio.run(main())
    (failure,) = raised.value.exceptions  # type: ignore[attr-defined]
    assert isinstance(failure, lmtokens.NotFoundError)
    assert len(lmtokens_portal.tokens) == 2


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio has no TaskGroup here")
def test_task_group_that_succeeds(lmtokens_portal: Portal) -> None:
    async def main() -> list[int]:
        async with lmtokens_portal.async_client() as client, asyncio.TaskGroup() as group:  # type: ignore[attr-defined,unused-ignore]
            tasks = [group.create_task(client.add_token(32)) for _ in range(5)]
        return [task.result().id for task in tasks]

    assert sorted(asyncio.run(main())) == [token.id for token in lmtokens_portal.tokens[2:]]


class TestCancelling:
    async def cancelled(self, call: Awaitable[object], portal: Portal, how: str) -> None:
        task = asyncio.ensure_future(call)
        await until(lambda: portal.record)
        if how == "wait_for":
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(task, 0.05)
        else:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert task.cancelled()

    @pytest.mark.parametrize("how", ["wait_for", "cancel"])
    def test_drops_the_request(self, lmtokens_portal: Portal, how: str) -> None:
        lmtokens_portal.fail("delay", method="POST", seconds=0.5)
        lmtokens_portal.fail("delay", method="POST", seconds=1.5)

        async def main() -> None:
            client = lmtokens_portal.async_client()
            await self.cancelled(client.add_token(32, "dropped"), lmtokens_portal, how)
            # When the second is answered, the first would have been too.
            assert (await client.add_token(32, "after")).note == "after"

        asyncio.run(main())
        dropped, after = lmtokens_portal.record
        # Nobody was there to take the answer; the portal acts all the same, as real ones do.
        assert (dropped.status, after.status) == (None, 200)
        assert dropped.connection != after.connection

    def test_a_create_that_was_sent_warns(self, lmtokens_portal: Portal, caplog: pytest.LogCaptureFixture) -> None:
        lmtokens_portal.fail("act-then-delay", method="POST", seconds=30)

        async def main() -> None:
            await self.cancelled(lmtokens_portal.async_client().add_token(32, "ci"), lmtokens_portal, "cancel")

        with caplog.at_level(logging.WARNING, logger="lmtokens"):
            asyncio.run(main())
        (warning,) = [record.getMessage() for record in caplog.records if record.name == "lmtokens"]
        assert 'a token of user 32 with note "ci" may exist' in warning

    def test_a_read_warns_of_nothing(self, lmtokens_portal: Portal, caplog: pytest.LogCaptureFixture) -> None:
        lmtokens_portal.fail("delay", seconds=30)

        async def main() -> None:
            await self.cancelled(lmtokens_portal.async_client().whoami(), lmtokens_portal, "cancel")

        with caplog.at_level(logging.WARNING, logger="lmtokens"):
            asyncio.run(main())
        assert [record for record in caplog.records if record.name == "lmtokens"] == []

    def test_before_the_first_turn_sends_nothing(self, lmtokens_portal: Portal) -> None:
        async def main() -> None:
            client = lmtokens_portal.async_client()
            task = asyncio.ensure_future(client.add_token(32))
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await client.whoami()

        asyncio.run(main())
        assert [seen.method for seen in lmtokens_portal.record] == ["GET"]

    def test_one_of_several_leaves_the_others(self, lmtokens_portal: Portal) -> None:
        lmtokens_portal.client().add_token(32)
        lmtokens_portal.clear_record()
        lmtokens_portal.fail("delay", seconds=0.5, times=10)

        async def main() -> list[object]:
            client = lmtokens_portal.async_client()
            calls = [asyncio.ensure_future(client.add_token(32, str(number))) for number in range(10)]
            await until(lambda: len(lmtokens_portal.record) == 10)
            for call in calls[::2]:
                call.cancel()
            return list(await asyncio.gather(*calls, return_exceptions=True))

        outcomes = asyncio.run(main())
        assert [getattr(outcome, "note", "cancelled") for outcome in outcomes] == [
            "cancelled" if number % 2 == 0 else str(number) for number in range(10)
        ]

    def test_a_shield_keeps_the_call(self, lmtokens_portal: Portal) -> None:
        lmtokens_portal.fail("delay", method="POST", seconds=0.3)

        async def main() -> str | None:
            call = asyncio.ensure_future(lmtokens_portal.async_client().add_token(32, "shielded"))
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(asyncio.shield(call), 0.01)
            return (await call).note

        assert asyncio.run(main()) == "shielded"

    def test_storm(self, lmtokens_portal: Portal) -> None:
        # Each at another moment of its life, also just when its answer comes.
        lmtokens_portal.set_rate_limit(UNLIMITED)

        async def main() -> int:
            client = lmtokens_portal.async_client()
            await client.whoami()
            finished = 0
            for number in range(300):
                call = asyncio.ensure_future(client.whoami())
                await asyncio.sleep(number % 60 / 10_000)
                call.cancel()
                (outcome,) = await asyncio.gather(call, return_exceptions=True)
                finished += isinstance(outcome, lmtokens.Whoami)
                assert isinstance(outcome, (lmtokens.Whoami, asyncio.CancelledError)), outcome
            await client.whoami()
            return finished

        assert 0 < asyncio.run(main()) < 300


def test_list_that_is_left_early_can_be_gone_on_with(lmtokens_portal: Portal) -> None:
    made = create_tokens(lmtokens_portal, 30)

    async def main() -> list[int]:
        listed = []
        tokens = lmtokens_portal.async_client().list_tokens(32, type="lmv1", page_size=10)
        async for token in tokens:
            listed.append(token.id)
            if len(listed) == 15:
                break
        assert len(lmtokens_portal.record) == 2
        return [*listed, *[token.id async for token in tokens]]

    assert asyncio.run(main()) == made
