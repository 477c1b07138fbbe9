"""Python code as the destination: called on the caller's thread or loop, may call the client, and may raise."""

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


@pytest.mark.parametrize("variant", VARIANTS)
def test_deliver_and_commit_are_called_in_order(lmtokens_portal: Portal, variant: str) -> None:
    destination = RecordingDestination()
    token = api_for(variant, lmtokens_portal).add_token(32, "ci", deliver=destination)
    assert destination.calls == [("deliver", token.id), ("commit", token.id)]
    assert_no_key_is_lost(lmtokens_portal, destination.keys)


def test_commit_and_discard_are_optional(lmtokens_portal: Portal) -> None:
    class DeliverOnly:
        def deliver(self, token: lmtokens.Token) -> None:
            assert token.access_key

    lmtokens.add_token(32, deliver=DeliverOnly())
    lmtokens_portal.fail("status-before-acting", method="PATCH", status=400)
    with pytest.raises(lmtokens.BadRequestError):
        lmtokens.add_token(32, deliver=DeliverOnly())
    assert [stored.status for stored in created_tokens(lmtokens_portal)] == [2]


def test_commit_is_called_once_the_token_is_enabled(lmtokens_portal: Portal) -> None:
    statuses: list[tuple[str, int]] = []

    class StatusRecorder:
        def deliver(self, token: lmtokens.Token) -> None:
            statuses.append(("deliver", created_tokens(lmtokens_portal)[-1].status))

        def commit(self, token: lmtokens.Token) -> None:
            assert token.access_key is not None
            statuses.append(("commit", created_tokens(lmtokens_portal)[-1].status))

    lmtokens.add_token(32, deliver=StatusRecorder())
    assert statuses == [("deliver", 1), ("commit", 2)]


def test_failed_commit_reports_that_the_token_is_enabled(lmtokens_portal: Portal) -> None:
    class FailingDestination(RecordingDestination):
        def commit(self, token: lmtokens.Token) -> None:
            raise OSError("full")

    destination = FailingDestination()
    with pytest.raises(lmtokens.DeliveryError) as caught:
        lmtokens.add_token(32, "ci", deliver=destination)
    (stored,) = created_tokens(lmtokens_portal)
    assert stored.status == 2
    assert destination.names == ["deliver"]
    message = f"{caught.value} {caught.value.suggestion}"
    assert str(stored.id) in message
    assert "is enabled" in message
    assert caught.value.maybe_applied


@pytest.mark.parametrize("variant", VARIANTS)
def test_destination_is_called_on_the_calling_thread(lmtokens_portal: Portal, variant: str) -> None:
    threads: list[int] = []
    api_for(variant, lmtokens_portal).add_token(32, deliver=lambda token: threads.append(threading.get_ident()))
    assert threads == [threading.get_ident()]


def test_destination_may_call_its_client(lmtokens_portal: Portal) -> None:
    client = lmtokens_portal.client()
    destination = RecordingDestination()
    listed: list[int] = []

    class NestedDestination(RecordingDestination):
        def deliver(self, token: lmtokens.Token) -> None:
            super().deliver(token)
            listed.extend(found.id for found in client.list_tokens(32))
            client.add_token(33, "inner", deliver=destination)

    outer = NestedDestination()
    token = client.add_token(32, "outer", deliver=outer)
    assert listed == [token.id]
    assert sorted((stored.note, stored.status) for stored in created_tokens(lmtokens_portal)) == [
        ("inner", 2),
        ("outer", 2),
    ]
    assert_no_key_is_lost(lmtokens_portal, outer.keys | destination.keys)


def test_coroutine_destination_may_call_its_client(lmtokens_portal: Portal) -> None:
    destination = RecordingDestination()
    listed: list[int] = []

    async def run() -> lmtokens.Token:
        client = lmtokens_portal.async_client()

        async def deliver(token: lmtokens.Token) -> None:
            destination.deliver(token)
            listed.extend([found.id async for found in client.list_tokens(32)])
            await client.add_token(33, "inner", deliver=destination)

        return await asyncio.wait_for(client.add_token(32, "outer", deliver=deliver), HANG_TIMEOUT)

    token = asyncio.run(run())
    assert listed == [token.id]
    assert sorted((stored.note, stored.status) for stored in created_tokens(lmtokens_portal)) == [
        ("inner", 2),
        ("outer", 2),
    ]
    assert_no_key_is_lost(lmtokens_portal, destination.keys)


def test_destination_of_the_async_api_may_use_a_blocking_client(lmtokens_portal: Portal) -> None:
    # The call blocks the event loop but must not deadlock.
    blocking = lmtokens_portal.client()
    found: list[lmtokens.Token | None] = []

    async def run() -> None:
        client = lmtokens_portal.async_client()
        await client.add_token(32, deliver=lambda token: found.append(blocking.find_token(token.id)))

    asyncio.run(asyncio.wait_for(run(), HANG_TIMEOUT))
    assert [token is not None for token in found] == [True]


def test_event_loop_runs_while_a_coroutine_delivers(lmtokens_portal: Portal) -> None:
    async def run() -> None:
        client = lmtokens_portal.async_client()
        reached, go = asyncio.Event(), asyncio.Event()

        class WaitingDestination:
            async def deliver(self, token: lmtokens.Token) -> None:
                reached.set()
                await go.wait()

            async def commit(self, token: lmtokens.Token) -> None:
                assert created_tokens(lmtokens_portal)[0].status == 2

        task = asyncio.create_task(client.add_token(32, deliver=WaitingDestination()))
        await reached.wait()
        (stored,) = created_tokens(lmtokens_portal)
        assert is_pending(stored)
        assert request_methods(lmtokens_portal) == ["POST"]
        go.set()
        await task

    asyncio.run(asyncio.wait_for(run(), HANG_TIMEOUT))
    assert created_tokens(lmtokens_portal)[0].status == 2


def test_coroutine_destinations_run_concurrently(lmtokens_portal: Portal) -> None:
    destination = RecordingDestination()

    async def run() -> None:
        client = lmtokens_portal.async_client()

        async def deliver(token: lmtokens.Token) -> None:
            await asyncio.sleep(0)
            destination.deliver(token)

        await asyncio.gather(*(client.add_token(32, f"n{number}", deliver=deliver) for number in range(20)))

    asyncio.run(asyncio.wait_for(run(), HANG_TIMEOUT))
    assert sorted(stored.note for stored in created_tokens(lmtokens_portal)) == sorted(
        f"n{number}" for number in range(20)
    )
    assert_no_key_is_lost(lmtokens_portal, destination.keys)


@pytest.mark.parametrize("variant", ["client", "functions"])
def test_coroutine_destination_of_a_blocking_call_fails(lmtokens_portal: Portal, variant: str) -> None:
    async def deliver(token: lmtokens.Token) -> None:
        raise AssertionError("never awaited")

    with pytest.raises(lmtokens.DeliveryError, match="TypeError") as caught:
        api_for(variant, lmtokens_portal).add_token(32, deliver=deliver)
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


@pytest.mark.parametrize("variant", VARIANTS)
def test_exception_of_the_destination_is_the_cause_and_not_in_the_message(
    lmtokens_portal: Portal, variant: str
) -> None:
    def deliver(token: lmtokens.Token) -> None:
        assert token.access_key is not None
        raise ValueError(token.access_key.reveal())

    with pytest.raises(lmtokens.DeliveryError, match="ValueError") as caught:
        api_for(variant, lmtokens_portal).add_token(32, deliver=deliver)
    # A secret in the destination's own exception does not spread further.
    secret = str(caught.value.__cause__)
    assert secret
    assert secret not in f"{caught.value} {caught.value.suggestion} {caught.value!r}"


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit])
def test_base_exception_of_the_destination_is_raised_unchanged(
    lmtokens_portal: Portal, variant: str, raised: type[BaseException]
) -> None:
    def deliver(token: lmtokens.Token) -> None:
        raise raised("from the destination")

    with pytest.raises(raised, match="from the destination"):
        api_for(variant, lmtokens_portal).add_token(32, deliver=deliver)
    assert [stored for stored in created_tokens(lmtokens_portal) if not is_pending(stored)] == []


@pytest.mark.parametrize("raised", ["KeyboardInterrupt", "SystemExit"])
def test_base_exception_of_a_coroutine_destination_ends_the_loop(lmtokens_portal: Portal, raised: str) -> None:
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


def test_cancelled_create_cancels_its_delivery_and_leaves_no_enabled_token(
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

        task = asyncio.create_task(client.add_token(32, "ci", deliver=deliver))
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        # The delivery is cancelled right away and not only when the loop ends.
        for _ in range(100):
            if ended or len(asyncio.all_tasks()) == 1:
                break
            await asyncio.sleep(0.01)
        ended.append("in time" if ended else "too late")

    asyncio.run(asyncio.wait_for(run(), HANG_TIMEOUT))
    assert ended == ["cancelled", "in time"]
    (pending,) = created_tokens(lmtokens_portal)
    assert is_pending(pending)
    assert re.search(rf"token {pending.id} of user 32 may be left pending", caplog.text)


def test_create_cancelled_while_enabling_logs_that_the_key_was_delivered(
    lmtokens_portal: Portal, caplog: pytest.LogCaptureFixture
) -> None:
    destination = RecordingDestination()

    async def run() -> None:
        client = lmtokens_portal.async_client()
        lmtokens_portal.fail("delay", method="PATCH", seconds=600)
        task = asyncio.create_task(client.add_token(32, "ci", deliver=destination))
        while "deliver" not in destination.names or "PATCH" not in request_methods(lmtokens_portal):
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(asyncio.wait_for(run(), HANG_TIMEOUT))
    assert_no_key_is_lost(lmtokens_portal, destination.keys)
    assert "its key was delivered" in caplog.text


def test_timeout_of_the_caller_leaves_no_enabled_token(lmtokens_portal: Portal) -> None:
    async def run() -> None:
        client = lmtokens_portal.async_client()

        async def deliver(token: lmtokens.Token) -> None:
            await asyncio.Event().wait()

        await asyncio.wait_for(client.add_token(32, deliver=deliver), 0.5)

    with pytest.raises((TimeoutError, asyncio.TimeoutError)):
        asyncio.run(run())
    assert [is_pending(stored) for stored in created_tokens(lmtokens_portal)] == [True]


def test_destination_is_released_after_the_call(lmtokens_portal: Portal) -> None:
    import gc
    import weakref

    destination = RecordingDestination()
    reference = weakref.ref(destination)
    client = lmtokens_portal.client()
    client.add_token(32, deliver=destination)
    del destination
    gc.collect()
    assert reference() is None


def test_deliveries_of_several_threads_run_concurrently(lmtokens_portal: Portal) -> None:
    client = lmtokens_portal.client()
    barrier = threading.Barrier(4, timeout=HANG_TIMEOUT)
    errors: list[Any] = []
    destination = RecordingDestination()

    def add() -> None:
        def deliver(token: lmtokens.Token) -> None:
            # Each delivery waits for all others, which deadlocks if one of them holds a lock.
            barrier.wait()
            destination.deliver(token)

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
    assert len(destination.keys) == 4
    assert_no_key_is_lost(lmtokens_portal, destination.keys)
