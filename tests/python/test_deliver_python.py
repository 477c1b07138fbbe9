"""Python's own code as the destination: called where its caller waits, free to call back, and heard when it raises."""

from __future__ import annotations

import asyncio
import re
import threading
from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
from api_variants import VARIANTS, api_for
from delivery_helpers import RecordingDestination, assert_no_key_is_lost, created_tokens, is_pending, request_methods
from support import HANG_TIMEOUT, run_python

if TYPE_CHECKING:
    from lmtokens.sandbox import Portal


@pytest.mark.parametrize("kind", VARIANTS)
def test_object_is_told_of_each_step(lmtokens_portal: Portal, kind: str) -> None:
    keeper = RecordingDestination()
    token = api_for(kind, lmtokens_portal).add_token(32, "ci", deliver=keeper)
    assert keeper.calls == [("deliver", token.id), ("commit", token.id)]
    assert_no_key_is_lost(lmtokens_portal, keeper.keys)


def test_commit_and_discard_may_be_lacking(lmtokens_portal: Portal) -> None:
    class OnlyDelivers:
        def deliver(self, token: lmtokens.Token) -> None:
            assert token.access_key

    lmtokens.add_token(32, deliver=OnlyDelivers())
    lmtokens_portal.fail("status-before-acting", method="PATCH", status=400)
    with pytest.raises(lmtokens.BadRequestError):
        lmtokens.add_token(32, deliver=OnlyDelivers())
    assert [stored.status for stored in created_tokens(lmtokens_portal)] == [2]


def test_commit_comes_when_the_token_works(lmtokens_portal: Portal) -> None:
    statuses: list[tuple[str, int]] = []

    class Looks:
        def deliver(self, token: lmtokens.Token) -> None:
            statuses.append(("deliver", created_tokens(lmtokens_portal)[-1].status))

        def commit(self, token: lmtokens.Token) -> None:
            assert token.access_key is not None
            statuses.append(("commit", created_tokens(lmtokens_portal)[-1].status))

    lmtokens.add_token(32, deliver=Looks())
    assert statuses == [("deliver", 1), ("commit", 2)]


def test_commit_that_raises_says_that_the_token_works(lmtokens_portal: Portal) -> None:
    class Fails(RecordingDestination):
        def commit(self, token: lmtokens.Token) -> None:
            raise OSError("full")

    keeper = Fails()
    with pytest.raises(lmtokens.DeliveryError) as caught:
        lmtokens.add_token(32, "ci", deliver=keeper)
    (stored,) = created_tokens(lmtokens_portal)
    assert stored.status == 2
    assert keeper.names == ["deliver"]
    said = f"{caught.value} {caught.value.suggestion}"
    assert str(stored.id) in said
    assert "works" in said
    assert caught.value.maybe_applied


@pytest.mark.parametrize("kind", VARIANTS)
def test_destination_runs_on_the_thread_that_called(lmtokens_portal: Portal, kind: str) -> None:
    threads: list[int] = []
    api_for(kind, lmtokens_portal).add_token(32, deliver=lambda token: threads.append(threading.get_ident()))
    assert threads == [threading.get_ident()]


def test_destination_may_call_the_client_that_called_it(lmtokens_portal: Portal) -> None:
    client = lmtokens_portal.client()
    keeper = RecordingDestination()
    listed: list[int] = []

    class Nested(RecordingDestination):
        def deliver(self, token: lmtokens.Token) -> None:
            super().deliver(token)
            listed.extend(found.id for found in client.list_tokens(32))
            client.add_token(33, "inner", deliver=keeper)

    outer = Nested()
    token = client.add_token(32, "outer", deliver=outer)
    assert listed == [token.id]
    assert sorted((stored.note, stored.status) for stored in created_tokens(lmtokens_portal)) == [
        ("inner", 2),
        ("outer", 2),
    ]
    assert_no_key_is_lost(lmtokens_portal, outer.keys | keeper.keys)


def test_coroutine_may_call_the_client_that_called_it(lmtokens_portal: Portal) -> None:
    keeper = RecordingDestination()
    listed: list[int] = []

    async def run() -> lmtokens.Token:
        client = lmtokens_portal.async_client()

        async def deliver(token: lmtokens.Token) -> None:
            keeper.deliver(token)
            listed.extend([found.id async for found in client.list_tokens(32)])
            await client.add_token(33, "inner", deliver=keeper)

        return await asyncio.wait_for(client.add_token(32, "outer", deliver=deliver), HANG_TIMEOUT)

    token = asyncio.run(run())
    assert listed == [token.id]
    assert sorted((stored.note, stored.status) for stored in created_tokens(lmtokens_portal)) == [
        ("inner", 2),
        ("outer", 2),
    ]
    assert_no_key_is_lost(lmtokens_portal, keeper.keys)


def test_blocking_call_of_a_client_in_a_loops_destination(lmtokens_portal: Portal) -> None:
    # It holds up the loop, which is its writer's business; it must not hang.
    blocking = lmtokens_portal.client()
    found: list[lmtokens.Token | None] = []

    async def run() -> None:
        client = lmtokens_portal.async_client()
        await client.add_token(32, deliver=lambda token: found.append(blocking.find_token(token.id)))

    asyncio.run(asyncio.wait_for(run(), HANG_TIMEOUT))
    assert [token is not None for token in found] == [True]


def test_loop_goes_on_while_a_coroutine_delivers(lmtokens_portal: Portal) -> None:
    async def run() -> None:
        client = lmtokens_portal.async_client()
        reached, go = asyncio.Event(), asyncio.Event()

        class Waits:
            async def deliver(self, token: lmtokens.Token) -> None:
                reached.set()
                await go.wait()

            async def commit(self, token: lmtokens.Token) -> None:
                assert created_tokens(lmtokens_portal)[0].status == 2

        adding = asyncio.create_task(client.add_token(32, deliver=Waits()))
        await reached.wait()
        (stored,) = created_tokens(lmtokens_portal)
        assert is_pending(stored)
        assert request_methods(lmtokens_portal) == ["POST"]
        go.set()
        await adding

    asyncio.run(asyncio.wait_for(run(), HANG_TIMEOUT))
    assert created_tokens(lmtokens_portal)[0].status == 2


def test_many_destinations_at_once_in_a_loop(lmtokens_portal: Portal) -> None:
    keeper = RecordingDestination()

    async def run() -> None:
        client = lmtokens_portal.async_client()

        async def deliver(token: lmtokens.Token) -> None:
            await asyncio.sleep(0)
            keeper.deliver(token)

        await asyncio.gather(*(client.add_token(32, f"n{number}", deliver=deliver) for number in range(20)))

    asyncio.run(asyncio.wait_for(run(), HANG_TIMEOUT))
    assert sorted(stored.note for stored in created_tokens(lmtokens_portal)) == sorted(
        f"n{number}" for number in range(20)
    )
    assert_no_key_is_lost(lmtokens_portal, keeper.keys)


@pytest.mark.parametrize("kind", ["client", "functions"])
def test_blocking_call_cannot_await(lmtokens_portal: Portal, kind: str) -> None:
    async def deliver(token: lmtokens.Token) -> None:
        raise AssertionError("never awaited")

    with pytest.raises(lmtokens.DeliveryError, match="TypeError") as caught:
        api_for(kind, lmtokens_portal).add_token(32, deliver=deliver)
    assert "AsyncClient" in str(caught.value.__cause__)
    assert created_tokens(lmtokens_portal) == []


def test_coroutine_that_raises_deletes_the_token(lmtokens_portal: Portal) -> None:
    async def deliver(token: lmtokens.Token) -> None:
        await asyncio.sleep(0)
        raise OSError("no room")

    with pytest.raises(lmtokens.DeliveryError, match="OSError") as caught:
        api_for("async", lmtokens_portal).add_token(32, deliver=deliver)
    assert isinstance(caught.value.__cause__, OSError)
    assert created_tokens(lmtokens_portal) == []


@pytest.mark.parametrize("kind", VARIANTS)
def test_what_was_raised_is_the_cause_and_not_in_the_message(lmtokens_portal: Portal, kind: str) -> None:
    def deliver(token: lmtokens.Token) -> None:
        assert token.access_key is not None
        raise ValueError(token.access_key.reveal())

    with pytest.raises(lmtokens.DeliveryError, match="ValueError") as caught:
        api_for(kind, lmtokens_portal).add_token(32, deliver=deliver)
    # Whoever writes a secret into an exception has it there, and nowhere else.
    secret = str(caught.value.__cause__)
    assert secret
    assert secret not in f"{caught.value} {caught.value.suggestion} {caught.value!r}"


@pytest.mark.parametrize("kind", VARIANTS)
@pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit])
def test_more_than_an_error_is_raised_as_it_is(lmtokens_portal: Portal, kind: str, raised: type[BaseException]) -> None:
    def deliver(token: lmtokens.Token) -> None:
        raise raised("from the destination")

    with pytest.raises(raised, match="from the destination"):
        api_for(kind, lmtokens_portal).add_token(32, deliver=deliver)
    assert [stored for stored in created_tokens(lmtokens_portal) if not is_pending(stored)] == []


@pytest.mark.parametrize("raised", ["KeyboardInterrupt", "SystemExit"])
def test_more_than_an_error_ends_a_coroutines_program(lmtokens_portal: Portal, raised: str) -> None:
    code = f"""
import asyncio, lmtokens
async def deliver(token):
    await asyncio.sleep(0)
    raise {raised}("from the destination")
async def main():
    async with lmtokens.AsyncClient() as client:
        await client.add_token(32, deliver=deliver)
try:
    asyncio.run(main())
except {raised} as error:
    print("ended with", error)
"""
    completed = run_python(code)
    assert completed.returncode == 0, completed.stderr
    assert completed.stdout == "ended with from the destination\n"
    assert [stored for stored in created_tokens(lmtokens_portal) if not is_pending(stored)] == []


def test_cancelled_create_ends_its_delivery_and_leaves_nothing_that_works(
    lmtokens_portal: Portal, caplog: pytest.LogCaptureFixture
) -> None:
    ended: list[str] = []

    async def run() -> None:
        client = lmtokens_portal.async_client()
        reached = asyncio.Event()

        async def deliver(token: lmtokens.Token) -> None:
            reached.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                ended.append("cancelled")
                raise

        adding = asyncio.create_task(client.add_token(32, "ci", deliver=deliver))
        await reached.wait()
        adding.cancel()
        with pytest.raises(asyncio.CancelledError):
            await adding
        # The delivery hears of it as soon as the loop goes round, and not only when the loop ends.
        for _ in range(100):
            if ended or len(asyncio.all_tasks()) == 1:
                break
            await asyncio.sleep(0.01)
        ended.append("told" if ended else "not told")

    asyncio.run(asyncio.wait_for(run(), HANG_TIMEOUT))
    assert ended == ["cancelled", "told"]
    (left,) = created_tokens(lmtokens_portal)
    assert is_pending(left)
    assert re.search(rf"token {left.id} of user 32 may be left behind", caplog.text)


def test_create_cancelled_during_its_change_says_that_the_key_is_delivered(
    lmtokens_portal: Portal, caplog: pytest.LogCaptureFixture
) -> None:
    keeper = RecordingDestination()

    async def run() -> None:
        client = lmtokens_portal.async_client()
        lmtokens_portal.fail("delay", method="PATCH", seconds=600)
        adding = asyncio.create_task(client.add_token(32, "ci", deliver=keeper))
        while "deliver" not in keeper.names or "PATCH" not in request_methods(lmtokens_portal):
            await asyncio.sleep(0.005)
        adding.cancel()
        with pytest.raises(asyncio.CancelledError):
            await adding

    asyncio.run(asyncio.wait_for(run(), HANG_TIMEOUT))
    assert_no_key_is_lost(lmtokens_portal, keeper.keys)
    assert "its key was delivered" in caplog.text


def test_time_limit_of_the_caller_around_a_create(lmtokens_portal: Portal) -> None:
    async def run() -> None:
        client = lmtokens_portal.async_client()

        async def deliver(token: lmtokens.Token) -> None:
            await asyncio.Event().wait()

        await asyncio.wait_for(client.add_token(32, deliver=deliver), 0.5)

    with pytest.raises((TimeoutError, asyncio.TimeoutError)):
        asyncio.run(run())
    assert [is_pending(stored) for stored in created_tokens(lmtokens_portal)] == [True]


def test_destination_is_let_go_of(lmtokens_portal: Portal) -> None:
    import gc
    import weakref

    keeper = RecordingDestination()
    gone = weakref.ref(keeper)
    client = lmtokens_portal.client()
    client.add_token(32, deliver=keeper)
    del keeper
    gc.collect()
    assert gone() is None


def test_threads_deliver_at_once(lmtokens_portal: Portal) -> None:
    client = lmtokens_portal.client()
    barrier = threading.Barrier(4, timeout=HANG_TIMEOUT)
    errors: list[Any] = []
    keeper = RecordingDestination()

    def add() -> None:
        def deliver(token: lmtokens.Token) -> None:
            # Each delivery waits for all others: none holds a lock that another needs.
            barrier.wait()
            keeper.deliver(token)

        try:
            client.add_token(32, deliver=deliver)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG_TIMEOUT)
    assert errors == []
    assert len(keeper.keys) == 4
    assert_no_key_is_lost(lmtokens_portal, keeper.keys)
