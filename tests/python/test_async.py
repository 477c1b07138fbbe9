"""Coroutines of the async API with asyncio: gather, task groups, time limits, cancellation."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import lmtokens
import pytest
from listing import create_tokens
from support import UNLIMITED

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from lmtokens.sandbox import Portal

    T = TypeVar("T")

    class Run(Protocol):
        def __call__(self, main: Coroutine[Any, Any, T]) -> T: ...


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine in a new loop."""
    library: Any = pytest.importorskip(request.param, reason=f"{request.param} is not installed")
    function: Run = library.run
    return function


async def wait_until(condition: Callable[[], object]) -> None:
    async def wait() -> None:
        while not condition():
            await asyncio.sleep(0.002)

    await asyncio.wait_for(wait(), 30)


def test_gather_returns_each_result_to_its_call(lmtokens_portal: Portal, run: Run) -> None:
    lmtokens_portal.set_rate_limit(UNLIMITED)

    async def main() -> list[lmtokens.Token]:
        async with lmtokens_portal.async_client() as client:
            return list(await asyncio.gather(*(client.add_token(32, str(number)) for number in range(100))))

    tokens = run(main())
    assert [token.note for token in tokens] == [str(number) for number in range(100)]
    assert len({token.id for token in tokens}) == 100


def test_calls_run_concurrently(lmtokens_portal: Portal, run: Run) -> None:
    # The client sends its first request alone, because the response has the rate limit.
    lmtokens_portal.client().add_token(32)
    lmtokens_portal.clear_record()
    # Each response is delayed until the portal has all ten requests.
    lmtokens_portal.fail("delay", seconds=1.0, times=10)

    async def main() -> None:
        client = lmtokens_portal.async_client()
        calls = [asyncio.ensure_future(client.add_token(32)) for _ in range(10)]
        await wait_until(lambda: len(lmtokens_portal.record) == 10)
        assert not any(call.done() for call in calls)
        await asyncio.gather(*calls)

    run(main())


def test_event_loop_runs_during_a_call(lmtokens_portal: Portal, run: Run) -> None:
    lmtokens_portal.fail("delay", seconds=0.3)

    async def main() -> int:
        call = asyncio.ensure_future(lmtokens_portal.async_client().whoami())
        turns = 0
        while not call.done():
            turns += 1
            await asyncio.sleep(0.001)
        await call
        return turns

    assert run(main()) > 20


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio has no TaskGroup here")
def test_failing_task_group_cancels_its_other_calls(lmtokens_portal: Portal, run: Run) -> None:
    lmtokens_portal.fail("delay", seconds=30, path="/setting/admins/32/apitokens", times=5)

    async def main() -> None:
        client = lmtokens_portal.async_client()
        async with asyncio.TaskGroup() as group:  # type: ignore[attr-defined,unused-ignore]
            for _ in range(5):
                group.create_task(client.add_token(32))
            await wait_until(lambda: len(lmtokens_portal.record) == 5)
            group.create_task(client.add_token(4711))

    with pytest.raises(Exception, match="unhandled errors in a TaskGroup") as raised:
        run(main())
    (failure,) = raised.value.exceptions  # type: ignore[attr-defined]
    assert isinstance(failure, lmtokens.NotFoundError)
    assert len(lmtokens_portal.tokens) == 2


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio has no TaskGroup here")
def test_task_group_succeeds(lmtokens_portal: Portal, run: Run) -> None:
    async def main() -> list[int]:
        async with lmtokens_portal.async_client() as client, asyncio.TaskGroup() as group:  # type: ignore[attr-defined,unused-ignore]
            tasks = [group.create_task(client.add_token(32)) for _ in range(5)]
        return [task.result().id for task in tasks]

    assert sorted(run(main())) == [token.id for token in lmtokens_portal.tokens[2:]]


class TestCancellation:
    async def cancel_call(self, call: Awaitable[object], portal: Portal, method: str) -> None:
        task = asyncio.ensure_future(call)
        await wait_until(lambda: portal.record)
        if method == "wait_for":
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(task, 0.05)
        else:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert task.cancelled()

    @pytest.mark.parametrize("method", ["wait_for", "cancel"])
    def test_cancels_the_request(self, lmtokens_portal: Portal, method: str, run: Run) -> None:
        lmtokens_portal.fail("delay", method="POST", seconds=0.5)
        lmtokens_portal.fail("delay", method="POST", seconds=1.5)

        async def main() -> None:
            client = lmtokens_portal.async_client()
            await self.cancel_call(client.add_token(32, "dropped"), lmtokens_portal, method)
            # When this call returns, the response to the first one would have arrived.
            assert (await client.add_token(32, "after")).note == "after"

        run(main())
        dropped, after = lmtokens_portal.record
        # The client closed the connection before the response was sent.
        assert (dropped.status, after.status) == (None, 200)
        assert dropped.connection != after.connection

    def test_of_a_create_that_was_sent_logs_a_warning(
        self, lmtokens_portal: Portal, caplog: pytest.LogCaptureFixture, run: Run
    ) -> None:
        lmtokens_portal.fail("act-then-delay", method="POST", seconds=30)

        async def main() -> None:
            await self.cancel_call(lmtokens_portal.async_client().add_token(32, "ci"), lmtokens_portal, "cancel")

        with caplog.at_level(logging.WARNING, logger="lmtokens"):
            run(main())
        (warning,) = [record.getMessage() for record in caplog.records if record.name == "lmtokens"]
        assert 'a token of user 32 with note "ci" may exist' in warning

    def test_of_a_read_logs_no_warning(
        self, lmtokens_portal: Portal, caplog: pytest.LogCaptureFixture, run: Run
    ) -> None:
        lmtokens_portal.fail("delay", seconds=30)

        async def main() -> None:
            await self.cancel_call(lmtokens_portal.async_client().whoami(), lmtokens_portal, "cancel")

        with caplog.at_level(logging.WARNING, logger="lmtokens"):
            run(main())
        assert [record for record in caplog.records if record.name == "lmtokens"] == []

    def test_before_the_task_starts_sends_nothing(self, lmtokens_portal: Portal, run: Run) -> None:
        async def main() -> None:
            client = lmtokens_portal.async_client()
            task = asyncio.ensure_future(client.add_token(32))
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await client.whoami()

        run(main())
        assert [seen.method for seen in lmtokens_portal.record] == ["GET"]

    def test_of_some_calls_does_not_affect_the_others(self, lmtokens_portal: Portal, run: Run) -> None:
        lmtokens_portal.client().add_token(32)
        lmtokens_portal.clear_record()
        lmtokens_portal.fail("delay", seconds=0.5, times=10)

        async def main() -> list[object]:
            client = lmtokens_portal.async_client()
            calls = [asyncio.ensure_future(client.add_token(32, str(number))) for number in range(10)]
            await wait_until(lambda: len(lmtokens_portal.record) == 10)
            for call in calls[::2]:
                call.cancel()
            return list(await asyncio.gather(*calls, return_exceptions=True))

        outcomes = run(main())
        assert [getattr(outcome, "note", "cancelled") for outcome in outcomes] == [
            "cancelled" if number % 2 == 0 else str(number) for number in range(10)
        ]

    def test_does_not_reach_a_shielded_call(self, lmtokens_portal: Portal, run: Run) -> None:
        lmtokens_portal.fail("delay", method="POST", seconds=0.3)

        async def main() -> str | None:
            call = asyncio.ensure_future(lmtokens_portal.async_client().add_token(32, "shielded"))
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(asyncio.shield(call), 0.01)
            return (await call).note

        assert run(main()) == "shielded"

    def test_at_any_moment_raises_cancelled_error_or_returns_the_result(
        self, lmtokens_portal: Portal, run: Run
    ) -> None:
        # Cancel each call after a different delay, also just when its response arrives.
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

        assert 0 < run(main()) < 300


def test_list_can_be_resumed_after_a_break(lmtokens_portal: Portal, run: Run) -> None:
    created = create_tokens(lmtokens_portal, 30)

    async def main() -> list[int]:
        listed = []
        tokens = lmtokens_portal.async_client().list_tokens(32, type="lmv1", page_size=10)
        async for token in tokens:
            listed.append(token.id)
            if len(listed) == 15:
                break
        assert len(lmtokens_portal.record) == 2
        return [*listed, *[token.id async for token in tokens]]

    assert run(main()) == created
