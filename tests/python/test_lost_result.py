"""A create that succeeded but whose result is lost is logged as a warning."""

from __future__ import annotations

import asyncio
import re
import select
import textwrap
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from lmtokens import _lmtokens
from support import HANG_TIMEOUT, run_python, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lmtokens.sandbox import Portal, StoredToken

    AnyLoop = asyncio.SelectorEventLoop
else:
    AnyLoop = object

PREAMBLE = f"""
import os, signal, sys, time
sys.path.insert(0, {str(Path(__file__).parent)!r})
import lmtokens.sandbox
from tampering_proxy import TamperingProxy

portal = lmtokens.sandbox.Portal()
interrupted_method, delay = None, 0.0

def interrupt(exchange):
    # The response follows the signal, so that the operation cannot end before it.
    if exchange.method == interrupted_method:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(delay)

client = TamperingProxy(portal, after=interrupt).client()
client.whoami()

def interrupted(operation, method):
    global interrupted_method
    interrupted_method = method
    try:
        operation()
    except KeyboardInterrupt:
        return
    raise AssertionError("not interrupted")
"""


def interrupted(code: str) -> tuple[str, str]:
    """Run code after the preamble and return its standard output and standard error."""
    completed = run_python(PREAMBLE + textwrap.dedent(code))
    assert completed.returncode == 0, completed.stderr
    return completed.stdout, completed.stderr


# Usually, the response arrives before the next check for signals: the blocking API checks every 50 ms.
@pytest.mark.parametrize("delay", [0.0, 0.01, 0.02])
def test_interrupt_when_the_response_arrives_names_the_token(delay: float) -> None:
    out, err = interrupted(
        f"""
        delay = {delay}
        interrupted(lambda: client.add_token(32, "ci"), "POST")
        print(portal.tokens[-1].id)
        """
    )
    # If the signal is seen first, the id is unknown.
    if "may exist" not in err:
        assert re.search(rf'token {int(out)} of user 32 with note "ci" was created, but its key was not returned', err)
        assert f"delete_token({int(out)})" in err


def test_interrupt_when_the_outcome_is_unknown_warns() -> None:
    _, err = interrupted(
        """
        portal.fail("act-then-status", method="POST")
        interrupted(lambda: client.add_token(32, "ci"), "GET")
        """
    )
    assert re.search("a token (for|of) user 32 .*may (have been created|exist)", err)


@pytest.mark.parametrize("operation", ["client.whoami()", "client.find_token(1)", "next(client.list_tokens())"])
def test_interrupt_of_a_read_does_not_warn(operation: str) -> None:
    out, err = interrupted(f'interrupted(lambda: {operation}, "GET")')
    assert (out, err) == ("", "")


class Observed(AnyLoop):
    """Tells when the I/O thread has posted a result, and calls back right after results are delivered."""

    def __init__(self) -> None:
        super().__init__()
        self.after_delivery: Callable[[], object] = lambda: None
        self._watched: list[int] = []

    def add_reader(self, fd: Any, callback: Any, *arguments: Any) -> None:  # type: ignore[override]
        self._watched.append(fd)
        super().add_reader(fd, self.delivering(callback, *arguments))

    def delivering(self, callback: Any, *arguments: Any) -> Callable[[], None]:
        def deliver() -> None:
            callback(*arguments)
            self.after_delivery()

        return deliver

    def result_is_posted(self) -> bool:
        return bool(select.select(self._watched, [], [], HANG_TIMEOUT)[0])


class ObservedLoop(Observed, asyncio.SelectorEventLoop):
    pass


class LoopWithoutReaders(ObservedLoop):
    """A loop that cannot watch sockets, as the default one of Windows."""

    def __init__(self) -> None:
        super().__init__()
        self._posted = threading.Event()

    def add_reader(self, fd: Any, callback: Any, *arguments: Any) -> None:  # type: ignore[override]
        raise NotImplementedError

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Any, *arguments: Any, context: Any = None
    ) -> asyncio.Handle:
        handle = super().call_soon_threadsafe(self.delivering(callback, *arguments), context=context)
        self._posted.set()
        return handle

    def result_is_posted(self) -> bool:
        return self._posted.wait(HANG_TIMEOUT)


def observed_uvloop() -> Any:
    uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed")
    return type("ObservedUvloop", (Observed, uvloop.Loop), {})()


@pytest.fixture(params=[ObservedLoop, LoopWithoutReaders, observed_uvloop])
def loop(request: pytest.FixtureRequest) -> Iterator[Observed]:
    loop: Observed = request.param()
    yield loop
    loop.close()


def logged_warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage() for record in caplog.records if (record.name, record.levelname) == ("lmtokens", "WARNING")
    ]


def token_exists_pattern(token: StoredToken) -> str:
    return (
        rf'token {token.id} of user {token.admin_id} with note "{token.note}" was created.*'
        + rf"delete_token\({token.id}\)"
    )


def test_cancellation_after_the_response_names_the_token(
    lmtokens_portal: Portal, loop: Observed, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        task = asyncio.ensure_future(lmtokens_portal.async_client().add_token(32, "ci"))
        await asyncio.sleep(0)
        # The loop is blocked here, so the result stays queued.
        assert loop.result_is_posted()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    loop.run_until_complete(main())
    [message] = logged_warnings(caplog)
    assert re.search(token_exists_pattern(lmtokens_portal.tokens[-1]), message)


def test_cancellation_after_the_future_is_resolved_names_the_token(
    lmtokens_portal: Portal, loop: Observed, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        task = asyncio.ensure_future(lmtokens_portal.async_client().add_token(32, "ci"))
        loop.after_delivery = task.cancel
        with pytest.raises(asyncio.CancelledError):
            await task

    loop.run_until_complete(main())
    [message] = logged_warnings(caplog)
    assert re.search(token_exists_pattern(lmtokens_portal.tokens[-1]), message)


def test_cancellation_after_an_unknown_outcome_names_the_candidate(
    lmtokens_portal: Portal, loop: Observed, caplog: pytest.LogCaptureFixture
) -> None:
    lmtokens_portal.fail("act-then-close", method="POST")

    async def main() -> None:
        task = asyncio.ensure_future(lmtokens_portal.async_client().add_token(32, "ci"))
        loop.after_delivery = task.cancel
        with pytest.raises(asyncio.CancelledError):
            await task

    loop.run_until_complete(main())
    [message] = logged_warnings(caplog)
    assert "a token for user 32 may have been created" in message
    assert f"token {lmtokens_portal.tokens[-1].id}" in message


@pytest.mark.parametrize("when", ["before the response", "after the response"])
def test_closed_loop_names_the_token(
    lmtokens_portal: Portal, loop: Observed, caplog: pytest.LogCaptureFixture, when: str
) -> None:
    # A response that arrives while the loop stops would be delivered.
    lmtokens_portal.fail("act-then-delay", method="POST", seconds=0.5)

    async def begin() -> Any:
        return _lmtokens._AsyncCore.add_token(lmtokens_portal.async_client(), 32, "ci")

    future_and_call = loop.run_until_complete(begin())
    if when == "after the response":
        assert loop.result_is_posted()
    loop.close()
    del future_and_call
    wait_until(lambda: logged_warnings(caplog))
    [message] = logged_warnings(caplog)
    assert re.search(token_exists_pattern(lmtokens_portal.tokens[-1]), message)


def test_closed_coroutine_cancels_the_request(
    lmtokens_portal: Portal, loop: Observed, caplog: pytest.LogCaptureFixture
) -> None:
    lmtokens_portal.fail("delay", method="POST", seconds=40)

    async def main() -> None:
        created = lmtokens_portal.async_client().add_token(32, "ci")
        created.send(None)
        await asyncio.get_running_loop().run_in_executor(None, wait_until, lambda: lmtokens_portal.record)
        created.close()
        await asyncio.sleep(0)

    loop.run_until_complete(main())
    [message] = logged_warnings(caplog)
    assert 'a token of user 32 with note "ci" may exist' in message


def test_no_warning_if_the_token_is_returned(
    lmtokens_portal: Portal, loop: Observed, caplog: pytest.LogCaptureFixture
) -> None:
    client = lmtokens_portal.async_client()

    async def main() -> None:
        tokens = await asyncio.gather(*(client.add_token(32, str(number)) for number in range(20)))
        assert len({token.id for token in tokens}) == 20
        with pytest.raises(ValueError, match="admin_id"):
            await client.add_token(0)

    loop.run_until_complete(main())
    assert logged_warnings(caplog) == []
