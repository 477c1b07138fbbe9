"""Threads, event loops, pickling, closing and interpreter exit."""

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
    """Run work in this many threads, started together, and raise the first exception."""
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
    created: list[int] = []

    def work(_: int) -> None:
        with lmtokens_portal.client() as client:
            created.extend(client.add_token(32).id for _ in range(5))

    in_threads(8, work)
    assert len(set(created)) == 40


def test_threads_call_at_the_same_time(lmtokens_portal: Portal) -> None:
    # Each response is delayed, so serial calls would arrive half a second apart.
    lmtokens_portal.fail("delay", times=8, seconds=0.5)
    client = lmtokens_portal.client()
    in_threads(8, lambda _: client.add_token(32))
    arrivals = [seen.received_at_ms for seen in lmtokens_portal.record]
    assert len(arrivals) == 8
    assert max(arrivals) - min(arrivals) < 8 * 500 - 500


def test_default_client_is_shared_by_all_threads(lmtokens_portal: Portal) -> None:
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
    # The blocked call must not hold the GIL or another lock that this thread needs.
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
        created = await asyncio.gather(*(client.add_token(32, f"{index}-{call}") for call in range(10)))
        notes.extend(token.note for token in created)

    in_threads(8, lambda index: asyncio.run(main(index)))
    assert sorted(map(str, notes)) == sorted(f"{index}-{call}" for index in range(8) for call in range(10))


def test_one_client_in_successive_event_loops(lmtokens_portal: Portal) -> None:
    client = lmtokens_portal.async_client()
    assert [asyncio.run(client.add_token(32, str(turn))).note for turn in range(3)] == ["0", "1", "2"]


class TestClose:
    def test_client_is_usable_after_close(self, lmtokens_portal: Portal) -> None:
        with lmtokens_portal.client() as client:
            client.add_token(32)
        client.close()
        client.close()
        assert client.add_token(32, "after").note == "after"
        before, after = lmtokens_portal.record
        assert before.connection != after.connection

    def test_async_client_is_usable_after_close(self, lmtokens_portal: Portal) -> None:
        async def main() -> str | None:
            async with lmtokens_portal.async_client() as client:
                await client.add_token(32)
            await client.close()
            await client.close()
            return (await client.add_token(32, "after")).note

        assert asyncio.run(main()) == "after"
        before, after = lmtokens_portal.record
        assert before.connection != after.connection

    def test_context_manager_closes_after_an_error_and_propagates_it(self, lmtokens_portal: Portal) -> None:
        client = lmtokens_portal.client()

        def fail() -> None:
            with client:
                client.whoami()
                raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            fail()
        client.whoami()
        assert len({seen.connection for seen in lmtokens_portal.record}) == 2

    def test_close_does_not_abort_calls_of_other_threads(self, lmtokens_portal: Portal) -> None:
        lmtokens_portal.fail("delay", seconds=0.3)
        client = lmtokens_portal.client()
        with ThreadPoolExecutor(1) as pool:
            call = pool.submit(client.add_token, 32, "under way")
            wait_until(lambda: lmtokens_portal.record)
            client.close()
            assert call.result(30).note == "under way"

    def test_list_continues_after_close(self, lmtokens_portal: Portal) -> None:
        created = create_tokens(lmtokens_portal, 20)
        client = lmtokens_portal.client()
        tokens = client.list_tokens(32, type="lmv1", page_size=5)
        first = next(tokens)
        client.close()
        assert [first.id, *(token.id for token in tokens)] == created


class TestPickle:
    @pytest.mark.parametrize("kind", ["client", "async client", "auth", "secret", "new token"])
    def test_object_with_credentials_is_rejected_with_advice(self, lmtokens_portal: Portal, kind: str) -> None:
        holders: dict[str, Callable[[], Any]] = {
            "client": lmtokens_portal.client,
            "async client": lmtokens_portal.async_client,
            "auth": lmtokens_portal.auth,
            "secret": lambda: lmtokens_portal.access_key,
            "new token": lambda: lmtokens_portal.client().add_token(32).access_key,
        }
        with pytest.raises(TypeError) as raised:
            pickle.dumps(holders[kind]())
        advice = str(raised.value)
        assert "reveal()" in advice or "create it" in advice, advice
        assert lmtokens_portal.access_key.reveal() not in advice

    def test_listed_token_round_trips(self, lmtokens_portal: Portal) -> None:
        create_tokens(lmtokens_portal, 1)
        (token,) = lmtokens_portal.client().list_tokens(32)
        for other in (pickle.loads(pickle.dumps(token)), copy.deepcopy(token)):
            assert (other, other.portal, other.to_dict()) == (token, token.portal, token.to_dict())


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
def test_exit_with_daemon_threads_in_a_call(call: str) -> None:
    completed = run_python(DAEMON.replace("CALL", call))
    assert (completed.returncode, completed.stdout, completed.stderr) == (0, "end\n", "")


@pytest.mark.parametrize(
    "code",
    [
        "atexit.register(lambda: print(client.add_token(32, 'last').note))",
        "client.whoami()\nprint('last')",
    ],
    ids=["at exit", "client not closed"],
)
def test_call_at_interpreter_exit(code: str) -> None:
    preamble = "import atexit\nimport lmtokens.sandbox\nportal = lmtokens.sandbox.Portal()\n"
    completed = run_python(f"{preamble}client = portal.client()\n{code}\n")
    assert (completed.returncode, completed.stdout, completed.stderr) == (0, "last\n", "")


def test_clients_share_one_thread(lmtokens_portal: Portal) -> None:
    # One I/O thread serves every client.
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
