"""A temporary token is deleted however its block ends, or is left to sweep."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
import traceback
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
from api_variants import VARIANTS, credentials_of
from delivery_helpers import created_tokens, edit_token, request_methods, requests_with_method
from support import HANG_TIMEOUT, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from lmtokens.sandbox import Portal

HOUR = timedelta(hours=1)
DELAY = 40


class BlockError(Exception):
    pass


def temporary(portal: Portal, variant: str, **arguments: Any) -> Any:
    if variant == "async":
        return portal.async_client().temporary_token(32, "job", **arguments)
    api: Any = portal.client() if variant == "client" else lmtokens
    return api.temporary_token(32, "job", **arguments)


def use(manager: Any, block: Callable[[lmtokens.CreatedToken], object]) -> None:
    """Run a block with a temporary token of any variant of the API."""
    if hasattr(manager, "__enter__"):
        with manager as token:
            block(token)
        return

    async def awaited() -> None:
        async with manager as token:
            block(token)

    asyncio.run(awaited())


def fail(token: lmtokens.CreatedToken) -> None:
    raise BlockError


def nothing(token: lmtokens.CreatedToken) -> None:
    pass


def reject_deletion(portal: Portal) -> None:
    portal.fail("status-before-acting", method="DELETE", status=403)


def ids(portal: Portal) -> list[int]:
    return [stored.id for stored in created_tokens(portal)]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


def assert_warned(caplog: pytest.LogCaptureFixture, id: int) -> None:
    [message] = warnings(caplog)
    assert f"deleting temporary token {id} failed or was interrupted" in message
    assert "until sweep deletes it after 20" in message
    assert f"delete_token({id})" in message


@pytest.mark.parametrize("variant", VARIANTS)
class TestBlock:
    @pytest.mark.parametrize("type", ["lmv1", "bearer"])
    def test_token_works_in_the_block_and_is_deleted_after_it(
        self, lmtokens_portal: Portal, variant: str, type: Any
    ) -> None:
        def block(token: lmtokens.CreatedToken) -> None:
            assert isinstance(token, lmtokens.CreatedToken)
            [stored] = created_tokens(lmtokens_portal)
            assert (stored.id, stored.type, stored.access_key.reveal()) == (token.id, type, token.access_key.reveal())
            assert (token.note, token.status) == ("job", 2)
            assert token.expires_on is not None
            assert abs(token.expires_on - datetime.now(timezone.utc) - HOUR) < timedelta(seconds=30)
            assert lmtokens_portal.client(**credentials_of(stored)).whoami().token is not None

        use(temporary(lmtokens_portal, variant, type=type), block)
        assert ids(lmtokens_portal) == []

    def test_nothing_is_sent_before_it_is_entered(self, lmtokens_portal: Portal, variant: str) -> None:
        manager = temporary(lmtokens_portal, variant)
        assert lmtokens_portal.record == []
        del manager
        assert lmtokens_portal.record == []

    def test_exception_propagates_and_the_token_is_deleted(
        self, lmtokens_portal: Portal, variant: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        with pytest.raises(BlockError) as caught:
            use(temporary(lmtokens_portal, variant), fail)
        assert (caught.value.__cause__, caught.value.__context__) == (None, None)
        assert ids(lmtokens_portal) == []
        assert warnings(caplog) == []

    def test_failed_deletion_is_raised(
        self, lmtokens_portal: Portal, variant: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("DEBUG", "lmtokens")
        reject_deletion(lmtokens_portal)
        with pytest.raises(lmtokens.PermissionDeniedError) as caught:
            use(temporary(lmtokens_portal, variant), nothing)
        [stored] = created_tokens(lmtokens_portal)
        assert f"delete_token({stored.id})" in str(caught.value)
        assert_warned(caplog, stored.id)
        shown = caplog.text + "".join(traceback.format_exception(None, caught.value, caught.tb))
        assert "DELETE" in shown
        assert stored.access_key.reveal() not in shown

    def test_failed_deletion_does_not_replace_the_exception_of_the_block(
        self, lmtokens_portal: Portal, variant: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        reject_deletion(lmtokens_portal)
        with pytest.raises(BlockError) as caught:
            use(temporary(lmtokens_portal, variant), fail)
        assert caught.value.__context__ is None
        assert_warned(caplog, ids(lmtokens_portal)[0])

    @pytest.mark.parametrize("fault", ["act-then-close", "close-before-acting"])
    def test_deletion_is_repeated_after_a_lost_response(
        self, lmtokens_portal: Portal, variant: str, fault: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        lmtokens_portal.fail(fault, method="DELETE")
        use(temporary(lmtokens_portal, variant), nothing)
        assert ids(lmtokens_portal) == []
        assert len(requests_with_method(lmtokens_portal, "DELETE")) == 2
        assert warnings(caplog) == []

    def test_token_that_is_gone_is_ignored(
        self, lmtokens_portal: Portal, variant: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        client = lmtokens_portal.client()
        use(temporary(lmtokens_portal, variant), client.delete_token)
        assert ids(lmtokens_portal) == []
        assert warnings(caplog) == []

    def test_token_that_was_changed_is_deleted(self, lmtokens_portal: Portal, variant: str) -> None:
        def change(token: lmtokens.CreatedToken) -> None:
            [stored] = created_tokens(lmtokens_portal)
            edit_token(lmtokens_portal, stored, note="renamed", status=1)

        use(temporary(lmtokens_portal, variant), change)
        assert ids(lmtokens_portal) == []

    def test_another_token_with_the_same_id_is_kept(self, lmtokens_portal: Portal, variant: str) -> None:
        other: list[int] = []

        def replace(token: lmtokens.CreatedToken) -> None:
            # The reset sandbox counts from the beginning again.
            lmtokens_portal.reset()
            other.append(lmtokens_portal.create_token(32, note="other").id)
            assert other == [token.id]

        use(temporary(lmtokens_portal, variant), replace)
        assert ids(lmtokens_portal) == other

    def test_credentials_that_may_not_view_tokens_delete_it(self, lmtokens_portal: Portal, variant: str) -> None:
        user = lmtokens_portal.add_user("creator", may_view=False)
        creator = credentials_of(lmtokens_portal.create_token(user))
        lmtokens.configure(company=lmtokens_portal.company, base_url=lmtokens_portal.base_url, **creator)
        api: Any = lmtokens_portal.async_client(**creator) if variant == "async" else lmtokens
        use(api.temporary_token(32), nothing)
        assert [stored for stored in lmtokens_portal.tokens if stored.admin_id == 32] == []

    def test_token_is_kept_if_it_cannot_be_read(
        self, lmtokens_portal: Portal, variant: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        def block(token: lmtokens.CreatedToken) -> None:
            lmtokens_portal.fail("status-before-acting", method="GET", status=500)

        with pytest.raises(lmtokens.ServerError):
            use(temporary(lmtokens_portal, variant), block)
        assert requests_with_method(lmtokens_portal, "DELETE") == []
        assert_warned(caplog, ids(lmtokens_portal)[0])

    def test_entering_twice_is_an_error(self, lmtokens_portal: Portal, variant: str) -> None:
        manager = temporary(lmtokens_portal, variant)
        use(manager, nothing)
        sent = len(lmtokens_portal.record)
        with pytest.raises(RuntimeError, match="can be entered only once"):
            use(manager, nothing)
        assert len(lmtokens_portal.record) == sent

    def test_failed_creation_is_raised_and_deletes_nothing(self, lmtokens_portal: Portal, variant: str) -> None:
        lmtokens_portal.fail("status-before-acting", method="POST", status=403)
        with pytest.raises(lmtokens.PermissionDeniedError):
            use(temporary(lmtokens_portal, variant), nothing)
        assert request_methods(lmtokens_portal)[-1] == "POST"

    @pytest.mark.parametrize(
        "arguments", [{"expires": 0}, {"expires": datetime(2100, 1, 1)}, {"type": "other"}, {"expires": 1_800_000_000}]
    )
    def test_invalid_arguments_are_refused_at_once(
        self, lmtokens_portal: Portal, variant: str, arguments: dict[str, Any]
    ) -> None:
        with pytest.raises(ValueError, match=r"expires|type"):
            temporary(lmtokens_portal, variant, **arguments)

    def test_representation_has_no_secret(self, lmtokens_portal: Portal, variant: str) -> None:
        manager = temporary(lmtokens_portal, variant)

        def block(token: lmtokens.CreatedToken) -> None:
            shown = f"{manager!r} {manager} {token!r} {getattr(manager, '__dict__', '')}"
            assert token.access_key.reveal() not in shown

        use(manager, block)


def test_client_of_the_creation_deletes_the_token(lmtokens_portal: Portal) -> None:
    with lmtokens.temporary_token(32) as token:
        lmtokens.configure(
            lmtokens_portal.company,
            base_url=lmtokens_portal.base_url,
            access_id=token.access_id,
            access_key=token.access_key,
        )
        assert lmtokens.whoami().token is not None
    assert ids(lmtokens_portal) == []


BLOCKING = """
import sys, time, lmtokens
try:
    with lmtokens.temporary_token(32, "job", expires=3600) as token:
        print("entered", flush=True)
        # A signal that arrives just before a sleep does not end it.
        for _ in range(400 if sys.argv[1] == "wait" else 0):
            time.sleep(0.1)
finally:
    print("left", flush=True)
"""

AWAITED = """
import asyncio, sys, lmtokens
async def main():
    async with lmtokens.AsyncClient() as client:
        async with client.temporary_token(32, "job", expires=3600) as token:
            print("entered", flush=True)
            if sys.argv[1] == "wait":
                await asyncio.sleep(40)
try:
    asyncio.run(main())
finally:
    print("left", flush=True)
"""


@pytest.fixture(params=[BLOCKING, AWAITED], ids=["blocking", "awaited"])
def start(lmtokens_portal: Portal, request: pytest.FixtureRequest) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Start a process that enters a block, and waits in it or leaves it."""
    started = []

    def start(argument: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", request.param, argument]
        process = subprocess.Popen(
            command,
            env={**os.environ, **lmtokens_portal.environment()},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "entered\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


STOPPED_LOOP = """
import asyncio, logging, sys, threading, lmtokens
logging.basicConfig()
async def main():
    async with lmtokens.AsyncClient().temporary_token(32, "job"):
        print("entered", flush=True)
        if sys.argv[1] == "block":
            await asyncio.sleep(40)
loop = asyncio.new_event_loop()
task = loop.create_task(main())
def wait():
    sys.stdin.readline()
    loop.call_soon_threadsafe(loop.stop)
threading.Thread(target=wait, daemon=True).start()
loop.run_forever()
"""


@pytest.mark.parametrize("stage", ["create", "block", "delete"])
def test_process_that_ends_with_a_stopped_loop_leaves_no_token_unreported(lmtokens_portal: Portal, stage: str) -> None:
    if stage == "create":
        lmtokens_portal.fail("act-then-delay", method="PATCH", seconds=DELAY)
    if stage == "delete":
        lmtokens_portal.fail("delay", method="DELETE", seconds=DELAY)
    process = subprocess.Popen(
        [sys.executable, "-c", STOPPED_LOOP, stage],
        env={**os.environ, **lmtokens_portal.environment()},
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    with process:
        expected = {"create": "PATCH", "block": "PATCH", "delete": "DELETE"}[stage]
        wait_until(lambda: expected in request_methods(lmtokens_portal))
        if stage == "block":
            time.sleep(0.5)
        _, err = process.communicate("stop\n", timeout=HANG_TIMEOUT)
    assert process.returncode == 0
    if stage == "create":
        [id] = ids(lmtokens_portal)
        assert str(id) in err
    else:
        assert ids(lmtokens_portal) == []


class TestSignals:
    def test_interrupt_in_the_block_deletes_the_token(
        self, lmtokens_portal: Portal, start: Callable[[str], subprocess.Popen[str]]
    ) -> None:
        process = start("wait")
        assert len(ids(lmtokens_portal)) == 1
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=DELAY / 2)
        assert out == "left\n"
        assert err.endswith("KeyboardInterrupt\n")
        assert "temporary token" not in err
        assert ids(lmtokens_portal) == []

    @pytest.mark.parametrize("argument", ["wait", "leave"])
    def test_interrupt_during_the_deletion_waits_for_it(
        self, lmtokens_portal: Portal, argument: str, start: Callable[[str], subprocess.Popen[str]]
    ) -> None:
        lmtokens_portal.fail("delay", method="DELETE", seconds=1)
        process = start(argument)
        if argument == "wait":
            process.send_signal(signal.SIGINT)
        wait_until(lambda: requests_with_method(lmtokens_portal, "DELETE"))
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=DELAY / 2)
        assert "KeyboardInterrupt" in err
        assert "temporary token" not in err
        assert ids(lmtokens_portal) == []

    def test_killed_process_leaves_a_token_that_sweep_deletes(
        self, lmtokens_portal: Portal, start: Callable[[str], subprocess.Popen[str]]
    ) -> None:
        process = start("wait")
        process.kill()
        process.communicate(timeout=HANG_TIMEOUT)
        [left] = created_tokens(lmtokens_portal)
        assert left.status == 2
        assert left.note.startswith(f"[lmtokens {left.id} expires 20")
        assert lmtokens.sweep_tokens(dry_run=False) == []
        lmtokens_portal.advance(hours=1, seconds=2)
        [swept] = lmtokens.sweep_tokens(dry_run=False)
        assert (swept.token.id, swept.reason, swept.deleted) == (left.id, "expired", True)
        assert ids(lmtokens_portal) == []


def test_interrupt_while_the_token_is_enabled_names_it(lmtokens_portal: Portal) -> None:
    lmtokens_portal.fail("delay", method="PATCH", seconds=DELAY)
    command = [sys.executable, "-c", BLOCKING, "leave"]
    environment = {**os.environ, **lmtokens_portal.environment()}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        wait_until(lambda: requests_with_method(lmtokens_portal, "PATCH"))
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=HANG_TIMEOUT)
    [stored] = created_tokens(lmtokens_portal)
    assert f"token {stored.id} of user 32" in err
    assert f"delete_token({stored.id})" in err
    assert "KeyboardInterrupt" in err


def test_second_interrupt_ends_a_blocking_deletion_with_a_warning(lmtokens_portal: Portal) -> None:
    lmtokens_portal.fail("delay", method="DELETE", seconds=DELAY)
    command = [sys.executable, "-c", BLOCKING, "leave"]
    environment = {**os.environ, **lmtokens_portal.environment()}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        wait_until(lambda: requests_with_method(lmtokens_portal, "DELETE"))
        # Two signals in quick succession arrive as one.
        while child.poll() is None:
            child.send_signal(signal.SIGINT)
            time.sleep(1)
        _, err = child.communicate(timeout=HANG_TIMEOUT)
    [stored] = created_tokens(lmtokens_portal)
    assert f"deleting temporary token {stored.id} failed or was interrupted" in err
    assert "KeyboardInterrupt" in err
    assert stored.access_key.reveal() not in err


def new_uvloop() -> asyncio.AbstractEventLoop:
    uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed")
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


@pytest.fixture(params=[asyncio.new_event_loop, new_uvloop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Iterator[Callable[[Coroutine[Any, Any, None]], None]]:
    """Run a coroutine in a loop of each kind."""
    loop: asyncio.AbstractEventLoop = request.param()
    yield loop.run_until_complete
    loop.close()


class TestCancellation:
    @staticmethod
    async def block(client: lmtokens.AsyncClient, seconds: float = DELAY) -> None:
        async with client.temporary_token(32, "job"):
            await asyncio.sleep(seconds)

    @staticmethod
    async def reach(condition: Callable[[], object]) -> None:
        while not condition():
            await asyncio.sleep(0.005)

    def test_cancellation_in_the_block_deletes_the_token(self, lmtokens_portal: Portal, run: Any) -> None:
        async def main() -> None:
            entered = asyncio.Event()

            async def block() -> None:
                async with lmtokens_portal.async_client().temporary_token(32):
                    entered.set()
                    await asyncio.sleep(DELAY)

            task = asyncio.ensure_future(block())
            await entered.wait()
            assert len(ids(lmtokens_portal)) == 1
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        run(main())
        assert ids(lmtokens_portal) == []

    def test_timeout_in_the_block_deletes_the_token(self, lmtokens_portal: Portal, run: Any) -> None:
        async def main() -> None:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(self.block(lmtokens_portal.async_client()), 1)

        run(main())
        assert len(requests_with_method(lmtokens_portal, "POST")) == 1
        assert ids(lmtokens_portal) == []

    def test_cancellation_during_the_deletion_waits_for_it(
        self, lmtokens_portal: Portal, run: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        lmtokens_portal.fail("delay", method="DELETE", seconds=0.5)

        async def main() -> None:
            task = asyncio.ensure_future(self.block(lmtokens_portal.async_client(), 0))
            await self.reach(lambda: requests_with_method(lmtokens_portal, "DELETE"))
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        run(main())
        assert ids(lmtokens_portal) == []
        assert warnings(caplog) == []

    def test_failure_after_a_cancellation_is_logged(
        self, lmtokens_portal: Portal, run: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        lmtokens_portal.fail("delay", method="DELETE", seconds=DELAY)

        async def main() -> None:
            client = lmtokens_portal.async_client(timeout=2, max_attempts=1)
            task = asyncio.ensure_future(self.block(client, 0))
            await self.reach(lambda: requests_with_method(lmtokens_portal, "DELETE"))
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        run(main())
        assert_warned(caplog, ids(lmtokens_portal)[0])

    def test_second_cancellation_ends_the_deletion_with_a_warning(
        self, lmtokens_portal: Portal, run: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        lmtokens_portal.fail("delay", method="DELETE", seconds=DELAY)

        async def main() -> None:
            task = asyncio.ensure_future(self.block(lmtokens_portal.async_client(), 0))
            await self.reach(lambda: requests_with_method(lmtokens_portal, "DELETE"))
            for _ in range(2):
                task.cancel()
                await asyncio.sleep(0.01)
            with pytest.raises(asyncio.CancelledError):
                await task

        run(main())
        assert_warned(caplog, ids(lmtokens_portal)[0])

    def test_two_at_once_are_independent(self, lmtokens_portal: Portal, run: Any) -> None:
        async def main() -> None:
            client = lmtokens_portal.async_client()
            async with client.temporary_token(32, "a") as one, client.temporary_token(32, "b") as other:
                assert ids(lmtokens_portal) == [one.id, other.id]
            outcomes = await asyncio.gather(
                *(self.block(client, 0.2) for _ in range(8)),
                asyncio.wait_for(self.block(client), 1),
                return_exceptions=True,
            )
            assert [type(outcome) for outcome in outcomes] == [type(None)] * 8 + [asyncio.TimeoutError]

        run(main())
        assert len(requests_with_method(lmtokens_portal, "POST")) == 11
        assert ids(lmtokens_portal) == []


def test_child_process_of_the_block_leaves_the_token_to_its_parent(lmtokens_portal: Portal) -> None:
    block = lmtokens.temporary_token(32)
    token = block.__enter__()
    child = os.fork()
    if child == 0:
        block.__exit__(None, None, None)
        os._exit(0)
    os.waitpid(child, 0)
    assert lmtokens.find_token(token.id).id == token.id
    block.__exit__(None, None, None)
    assert token.id not in [left.id for left in lmtokens_portal.tokens]


def test_coroutine_that_is_closed_after_its_loop_deletes_the_token(lmtokens_portal: Portal) -> None:
    entered: list[lmtokens.CreatedToken] = []

    async def use() -> None:
        async with lmtokens_portal.async_client().temporary_token(32) as token:
            entered.append(token)
            await asyncio.sleep(HANG_TIMEOUT)

    coroutine = use()
    loop = asyncio.new_event_loop()
    task = loop.create_task(coroutine)
    while not entered:
        loop.run_until_complete(asyncio.sleep(0.01))
    loop.close()
    coroutine.close()
    assert entered[0].id not in [left.id for left in lmtokens_portal.tokens]
    del task
