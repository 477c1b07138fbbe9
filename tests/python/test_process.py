"""A good citizen of a Python process: threads, event loops, pickling, closing and the end of the interpreter."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import pickle
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
from listing import create_tokens
from support import UNLIMITED, run_python, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmtokens.sandbox import Portal

THREADS = 32


def in_threads(number: int, work: Callable[[int], object]) -> None:
    """Runs work in so many threads, all of which begin at once; the first exception comes through."""
    barrier = threading.Barrier(number, timeout=30)

    def begin(index: int) -> None:
        barrier.wait()
        work(index)

    with ThreadPoolExecutor(number) as pool:
        for result in [pool.submit(begin, index) for index in range(number)]:
            result.result()


def test_many_threads_share_a_client(lmtokens_portal: Portal) -> None:
    lmtokens_portal.set_rate_limit(UNLIMITED)
    client = lmtokens_portal.client()
    notes: list[str | None] = []

    def work(index: int) -> None:
        for call in range(20):
            token = client.add_token(32, f"{index}-{call}")
            notes.append(client.find_token(token).note)
            client.delete_token(token)

    in_threads(THREADS, work)
    assert sorted(map(str, notes)) == sorted(f"{index}-{call}" for index in range(THREADS) for call in range(20))
    assert len(lmtokens_portal.tokens) == 2
    assert {seen.status for seen in lmtokens_portal.record} == {200}


def test_many_clients_in_many_threads(lmtokens_portal: Portal) -> None:
    made: list[int] = []

    def work(_: int) -> None:
        with lmtokens_portal.client() as client:
            made.extend(client.add_token(32).id for _ in range(5))

    in_threads(8, work)
    assert len(set(made)) == 40


def test_threads_call_at_the_same_time(lmtokens_portal: Portal) -> None:
    # One after the other could not: the first is still waiting for its answer when the last is seen.
    lmtokens_portal.fail("delay", times=8, seconds=0.5)
    client = lmtokens_portal.client()
    in_threads(8, lambda _: client.add_token(32))
    arrivals = [seen.received_at_ms for seen in lmtokens_portal.record]
    assert len(arrivals) == 8
    assert max(arrivals) - min(arrivals) < 8 * 500 - 500


def test_default_client_is_one_for_all_threads(lmtokens_portal: Portal) -> None:
    clients: list[lmtokens.Client] = []
    in_threads(THREADS, lambda _: clients.append(lmtokens.default_client()))
    assert len({id(client) for client in clients}) == 1


def test_other_threads_run_during_a_call(lmtokens_portal: Portal) -> None:
    lmtokens_portal.fail("delay", seconds=30)
    client = lmtokens_portal.client(timeout=60)

    def wait() -> None:
        with contextlib.suppress(lmtokens.TransportError):
            client.whoami()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    # The call holds no lock that this thread would need to see it under way.
    wait_until(lambda: lmtokens_portal.record)
    assert thread.is_alive()
    assert client.add_token(32).admin_id == 32
    lmtokens_portal.close()
    thread.join(30)


def test_blocking_calls_inside_a_running_event_loop(lmtokens_portal: Portal) -> None:
    async def main() -> list[int]:
        direct = lmtokens.add_token(32).id
        threaded = await asyncio.get_running_loop().run_in_executor(None, lmtokens.add_token, 32)
        async with lmtokens_portal.async_client() as client:
            awaited = await client.add_token(32)
            listed = [token.id for token in lmtokens.list_tokens(32)]
        assert listed == sorted(listed)
        assert {direct, threaded.id, awaited.id} == set(listed)
        return listed

    assert len(asyncio.run(main())) == 3


def test_one_client_in_several_event_loops_at_once(lmtokens_portal: Portal) -> None:
    lmtokens_portal.set_rate_limit(UNLIMITED)
    client = lmtokens_portal.async_client()
    notes: list[str | None] = []

    async def main(index: int) -> None:
        made = await asyncio.gather(*(client.add_token(32, f"{index}-{call}") for call in range(10)))
        notes.extend(token.note for token in made)

    in_threads(8, lambda index: asyncio.run(main(index)))
    assert sorted(map(str, notes)) == sorted(f"{index}-{call}" for index in range(8) for call in range(10))


def test_one_client_in_event_loops_one_after_the_other(lmtokens_portal: Portal) -> None:
    client = lmtokens_portal.async_client()
    assert [asyncio.run(client.add_token(32, str(turn))).note for turn in range(3)] == ["0", "1", "2"]


class TestClose:
    def test_leaves_the_client_usable(self, lmtokens_portal: Portal) -> None:
        with lmtokens_portal.client() as client:
            client.add_token(32)
        client.close()
        client.close()
        assert client.add_token(32, "after").note == "after"
        before, after = lmtokens_portal.record
        assert before.connection != after.connection

    def test_of_an_async_client_leaves_it_usable(self, lmtokens_portal: Portal) -> None:
        async def main() -> str | None:
            async with lmtokens_portal.async_client() as client:
                await client.add_token(32)
            await client.close()
            await client.close()
            return (await client.add_token(32, "after")).note

        assert asyncio.run(main()) == "after"
        before, after = lmtokens_portal.record
        assert before.connection != after.connection

    def test_happens_also_after_an_error_which_goes_through(self, lmtokens_portal: Portal) -> None:
        client = lmtokens_portal.client()

        def fail() -> None:
            with client:
                client.whoami()
                raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            fail()
        client.whoami()
        assert len({seen.connection for seen in lmtokens_portal.record}) == 2

    def test_does_not_end_calls_of_other_threads(self, lmtokens_portal: Portal) -> None:
        lmtokens_portal.fail("delay", seconds=0.3)
        client = lmtokens_portal.client()
        with ThreadPoolExecutor(1) as pool:
            call = pool.submit(client.add_token, 32, "under way")
            wait_until(lambda: lmtokens_portal.record)
            client.close()
            assert call.result(30).note == "under way"

    def test_leaves_a_list_readable(self, lmtokens_portal: Portal) -> None:
        made = create_tokens(lmtokens_portal, 20)
        client = lmtokens_portal.client()
        tokens = client.list_tokens(32, type="lmv1", page_size=5)
        first = next(tokens)
        client.close()
        assert [first.id, *(token.id for token in tokens)] == made


class TestPickle:
    @pytest.mark.parametrize("what", ["client", "async client", "auth", "secret", "token that was just made"])
    def test_of_a_holder_of_credentials_is_refused_with_advice(self, lmtokens_portal: Portal, what: str) -> None:
        holders: dict[str, Callable[[], Any]] = {
            "client": lmtokens_portal.client,
            "async client": lmtokens_portal.async_client,
            "auth": lmtokens_portal.auth,
            "secret": lambda: lmtokens_portal.access_key,
            "token that was just made": lambda: lmtokens_portal.client().add_token(32).access_key,
        }
        with pytest.raises(TypeError) as raised:
            pickle.dumps(holders[what]())
        advice = str(raised.value)
        assert "reveal()" in advice or "make" in advice.lower(), advice
        assert lmtokens_portal.access_key.reveal() not in advice

    def test_of_a_listed_token_is_the_token(self, lmtokens_portal: Portal) -> None:
        create_tokens(lmtokens_portal, 1)
        (token,) = lmtokens_portal.client().list_tokens(32)
        assert pickle.loads(pickle.dumps(token)) == copy.deepcopy(token) == token


DAEMON = """
import threading, time
import lmtokens, lmtokens.sandbox
portal = lmtokens.sandbox.Portal()
portal.fail("delay", times=None, seconds=40)
client = portal.client(timeout=60)
def forever():
    while True:
        CALL
for _ in range(4):
    threading.Thread(target=forever, daemon=True).start()
while len(portal.record) < 4:
    time.sleep(0.001)
print("end", flush=True)
"""


@pytest.mark.parametrize("call", ["client.whoami()", "client.add_token(32)", "list(client.list_tokens())"])
def test_daemon_threads_in_a_call_at_exit(call: str) -> None:
    completed = run_python(DAEMON.replace("CALL", call))
    assert (completed.returncode, completed.stdout, completed.stderr) == (0, "end\n", "")


@pytest.mark.parametrize(
    "code",
    [
        "atexit.register(lambda: print(client.add_token(32, 'last').note))",
        "client.whoami()\nprint('last')",
    ],
    ids=["at exit", "nothing is closed"],
)
def test_end_of_the_interpreter(code: str) -> None:
    preamble = "import atexit\nimport lmtokens.sandbox\nportal = lmtokens.sandbox.Portal()\n"
    completed = run_python(f"{preamble}client = portal.client()\n{code}\n")
    assert (completed.returncode, completed.stdout, completed.stderr) == (0, "last\n", "")


def test_no_thread_outlives_what_it_needs(lmtokens_portal: Portal) -> None:
    # However many clients there are, one thread drives them all.
    code = """
import os, sys, lmtokens
clients = [lmtokens.Client() for _ in range(50)]
for client in clients: client.whoami()
print(len(os.listdir("/proc/self/task")))
"""
    if sys.platform != "linux":
        pytest.skip("counts threads in Linux's /proc")
    completed = run_python(code, environment=lmtokens_portal.environment())
    assert (completed.stdout, completed.stderr) == ("2\n", "")
