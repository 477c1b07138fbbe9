"""A create that was done, and whose result reaches nobody, is told of in the log."""

from __future__ import annotations

import asyncio
import re
import textwrap
import threading
from typing import TYPE_CHECKING, Any

import pytest
from support import HANG_TIMEOUT, run_python, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lmtokens.sandbox import Portal, StoredToken

PREAMBLE = """
import os, signal, threading, time
import lmtokens, lmtokens.sandbox

portal = lmtokens.sandbox.Portal()
client = portal.client()
client.whoami()
portal.clear_record()

def interrupted(verb, method):
    def wait():
        while not any(seen.method == method for seen in portal.record):
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGINT)
    threading.Thread(target=wait, daemon=True).start()
    try:
        verb()
    except KeyboardInterrupt:
        return
    raise AssertionError("not interrupted")
"""


def interrupted(code: str) -> tuple[str, str]:
    """Runs code after the preamble; what it wrote to standard output and standard error."""
    completed = run_python(PREAMBLE + textwrap.dedent(code))
    assert completed.returncode == 0, completed.stderr
    return completed.stdout, completed.stderr


# The answer comes before the next look for signals, with which the blocking face begins anew every 50 ms.
@pytest.mark.parametrize("delay", [0.01, 0.02, 0.03])
def test_interrupt_that_comes_with_the_answer_names_the_token(delay: float) -> None:
    out, err = interrupted(
        f"""
        portal.fail("act-then-delay", method="POST", seconds={delay})
        interrupted(lambda: client.add_token(32, "ci"), "POST")
        print(portal.tokens[-1].id)
        """
    )
    # On a loaded machine the signal may be seen first; then nobody knows the id.
    if "may exist" not in err:
        assert re.search(rf'token {int(out)} of user 32 with note "ci" exists, and nobody holds its key', err)
        assert f"delete_token({int(out)})" in err


def test_interrupt_that_comes_with_an_unknown_outcome_warns() -> None:
    _, err = interrupted(
        """
        portal.fail("act-then-close", method="POST")
        portal.fail("act-then-delay", method="GET", seconds=0.02)
        interrupted(lambda: client.add_token(32, "ci"), "GET")
        """
    )
    assert re.search("a token (for|of) user 32 .*may (have been made|exist)", err)


@pytest.mark.parametrize("verb", ["client.whoami()", "client.find_token(1)", "next(client.list_tokens())"])
def test_interrupt_that_comes_with_another_answer_is_silent(verb: str) -> None:
    out, err = interrupted(
        f"""
        portal.fail("act-then-delay", method="GET", seconds=0.02)
        interrupted(lambda: {verb}, "GET")
        """
    )
    assert (out, err) == ("", "")


class Watched(asyncio.SelectorEventLoop):
    """Says when a result is on its way from the thread that drives the sockets, and does something right after it."""

    def __init__(self) -> None:
        super().__init__()
        self.answered = threading.Event()
        self.right_after: Callable[[], object] = lambda: None

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Any, *arguments: Any, context: Any = None
    ) -> asyncio.Handle:
        def both() -> None:
            callback(*arguments)
            self.right_after()

        handle = super().call_soon_threadsafe(both, context=context)
        self.answered.set()
        return handle


@pytest.fixture
def loop() -> Iterator[Watched]:
    loop = Watched()
    yield loop
    loop.close()


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage() for record in caplog.records if (record.name, record.levelname) == ("lmtokens", "WARNING")
    ]


def names(token: StoredToken) -> str:
    return rf'token {token.id} of user {token.admin_id} with note "{token.note}" exists.*delete_token\({token.id}\)'


def test_cancellation_after_the_answer(
    lmtokens_portal: Portal, loop: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        task = asyncio.ensure_future(lmtokens_portal.async_client().add_token(32, "ci"))
        await asyncio.sleep(0)
        # The loop stands still, so that the result waits for it.
        assert loop.answered.wait(HANG_TIMEOUT)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    loop.run_until_complete(main())
    [message] = warned(caplog)
    assert re.search(names(lmtokens_portal.tokens[-1]), message)


def test_cancellation_after_the_future_has_its_result(
    lmtokens_portal: Portal, loop: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        task = asyncio.ensure_future(lmtokens_portal.async_client().add_token(32, "ci"))
        loop.right_after = task.cancel
        with pytest.raises(asyncio.CancelledError):
            await task

    loop.run_until_complete(main())
    [message] = warned(caplog)
    assert re.search(names(lmtokens_portal.tokens[-1]), message)


def test_cancellation_after_an_unknown_outcome(
    lmtokens_portal: Portal, loop: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    lmtokens_portal.fail("act-then-close", method="POST")

    async def main() -> None:
        task = asyncio.ensure_future(lmtokens_portal.async_client().add_token(32, "ci"))
        loop.right_after = task.cancel
        with pytest.raises(asyncio.CancelledError):
            await task

    loop.run_until_complete(main())
    [message] = warned(caplog)
    assert "a token for user 32 may have been made" in message
    assert f"id {lmtokens_portal.tokens[-1].id}" in message


@pytest.mark.parametrize("when", ["before the answer", "after the answer"])
def test_loop_that_is_closed(
    lmtokens_portal: Portal, loop: Watched, caplog: pytest.LogCaptureFixture, when: str
) -> None:
    if when == "before the answer":
        lmtokens_portal.fail("act-then-delay", method="POST", seconds=0.5)

    async def begin() -> Any:
        return lmtokens_portal.async_client()._add_token(32, "ci")

    future = loop.run_until_complete(begin())
    if when == "after the answer":
        assert loop.answered.wait(HANG_TIMEOUT)
    loop.close()
    del future
    wait_until(lambda: warned(caplog))
    [message] = warned(caplog)
    assert re.search(names(lmtokens_portal.tokens[-1]), message)


def test_coroutine_that_is_closed_drops_its_request(
    lmtokens_portal: Portal, loop: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    lmtokens_portal.fail("delay", method="POST", seconds=40)

    async def main() -> None:
        created = lmtokens_portal.async_client().add_token(32, "ci")
        created.send(None)
        await asyncio.get_running_loop().run_in_executor(None, wait_until, lambda: lmtokens_portal.record)
        created.close()
        await asyncio.sleep(0)

    loop.run_until_complete(main())
    [message] = warned(caplog)
    assert 'a token of user 32 with note "ci" may exist' in message


def test_nothing_is_told_where_the_token_arrives(
    lmtokens_portal: Portal, loop: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    client = lmtokens_portal.async_client()

    async def main() -> None:
        tokens = await asyncio.gather(*(client.add_token(32, str(number)) for number in range(20)))
        assert len({token.id for token in tokens}) == 20
        with pytest.raises(ValueError, match="admin_id"):
            await client.add_token(0)

    loop.run_until_complete(main())
    assert warned(caplog) == []
