"""Clients across fork(): parent and children can use a client from before, and share no socket."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from support import UNLIMITED, run_python

if TYPE_CHECKING:
    from pathlib import Path

    from lmtokens.sandbox import Portal

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork()")

CHILDREN = 50

# The children use the clients of their parent; each child reports which sockets it opened.
PREAMBLE = f"""
import asyncio, json, os, signal, socket, sys, time, warnings
warnings.simplefilter("ignore", DeprecationWarning)
import lmtokens

CHILDREN = {CHILDREN}
client = lmtokens.Client()
async_client = lmtokens.AsyncClient()

def sync_call(note):
    return client.add_token(32, note).note

def async_call(note):
    async def main():
        return (await async_client.add_token(32, note)).note
    return asyncio.run(main())

def sockets():
    found = set()
    for name in os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd") else []:
        try:
            target = os.readlink("/proc/self/fd/" + name)
        except OSError:
            continue
        if target.startswith("socket:"):
            found.add(target)
    return found

def child(number, work):
    reader, writer = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writer)
        return pid, reader
    try:
        inherited = sockets()
        report = {{"note": work(f"child {{number}}"), "opened": sorted(sockets() - inherited)}}
        os.write(writer, json.dumps(report).encode())
    except BaseException as error:
        os.write(writer, json.dumps({{"error": repr(error)}}).encode())
    finally:
        os._exit(0)

def outcome(pid, reader):
    deadline = time.monotonic() + 40
    while not os.waitpid(pid, os.WNOHANG)[0]:
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            sys.exit("a child hangs")
        time.sleep(0.002)
    with open(reader, "rb") as pipe:
        return json.loads(pipe.read())
"""


def run(code: str) -> Any:
    """Run code after the preamble and return the JSON that it prints."""
    completed = run_python(PREAMBLE + code)
    assert (completed.returncode, completed.stderr) == (0, "")
    return json.loads(completed.stdout)


def connections(portal: Portal, prefix: str) -> list[int]:
    return [seen.connection for seen in portal.record if f'"note":"{prefix}' in seen.body.replace(" ", "")]


def test_fifty_children_use_the_clients_of_their_parent(lmtokens_portal: Portal) -> None:
    lmtokens_portal.set_rate_limit(UNLIMITED)
    result = run(
        """
before = [sync_call("parent"), async_call("parent")]
running = [child(number, (sync_call, async_call)[number % 2]) for number in range(CHILDREN)]
outcomes = [outcome(*one) for one in running]
after = [sync_call("parent"), async_call("parent")]
print(json.dumps({"before": before, "outcomes": outcomes, "after": after}))
"""
    )
    assert result["before"] == result["after"] == ["parent", "parent"]
    assert [one.get("note") for one in result["outcomes"]] == [f"child {number}" for number in range(CHILDREN)], result
    if os.path.exists("/proc/self/fd"):
        assert all(one["opened"] for one in result["outcomes"])
    parent_connections, child_connections = (
        connections(lmtokens_portal, "parent"),
        connections(lmtokens_portal, "child"),
    )
    # The portal would see a socket shared by two processes as one connection.
    assert len(set(child_connections)) == len(child_connections) == CHILDREN
    assert set(child_connections).isdisjoint(parent_connections)
    # The parent keeps using its connections.
    assert len(parent_connections) == 4
    assert set(parent_connections[2:]) <= set(parent_connections[:2])


def test_children_of_an_event_loop_with_a_call_in_progress(lmtokens_portal: Portal) -> None:
    lmtokens_portal.fail("delay", seconds=1.0, path="/setting/admins/33/apitokens")
    result = run(
        """
async def main():
    client.whoami()
    call = asyncio.ensure_future(async_client.add_token(33, "parent"))
    await asyncio.sleep(0)
    running = [child(number, sync_call) for number in range(8)]
    outcomes = await asyncio.to_thread(lambda: [outcome(*one) for one in running])
    return outcomes, (await call).note
outcomes, note = asyncio.run(main())
print(json.dumps({"outcomes": outcomes, "note": note}))
"""
    )
    assert result["note"] == "parent"
    assert [one.get("note") for one in result["outcomes"]] == [f"child {number}" for number in range(8)], result
    assert len(connections(lmtokens_portal, "parent")) == 1


@pytest.mark.parametrize("work", ["sync_call", "async_call"])
def test_pool_of_forked_workers_uses_the_client(lmtokens_portal: Portal, work: str) -> None:
    lmtokens_portal.set_rate_limit(UNLIMITED)
    result = run(
        f"""
import multiprocessing
{work}("before")
with multiprocessing.get_context("fork").Pool(4) as pool:
    notes = pool.map({work}, [str(number) for number in range(100)], chunksize=1)
    pool.close()
    pool.join()
print(json.dumps([*notes, {work}("after")]))
"""
    )
    assert result == [*map(str, range(100)), "after"]
    assert len(lmtokens_portal.tokens) == 2 + 102


def test_child_makes_the_first_call(lmtokens_portal: Portal) -> None:
    result = run(
        'print(json.dumps([outcome(*child(0, sync_call)), outcome(*child(1, async_call)), sync_call("after")]))'
    )
    assert [result[0]["note"], result[1]["note"], result[2]] == ["child 0", "child 1", "after"]


def test_grandchild_uses_the_client(lmtokens_portal: Portal) -> None:
    result = run(
        """
def with_child(note):
    return [sync_call(note), outcome(*child(1, async_call))["note"]]
sync_call("before")
print(json.dumps(outcome(*child(0, with_child))["note"]))
"""
    )
    assert result == ["child 0", "child 1"]
    assert [token.note for token in lmtokens_portal.tokens[2:]] == ["before", "child 0", "child 1"]


def test_fork_while_threads_make_calls(lmtokens_portal: Portal) -> None:
    lmtokens_portal.set_rate_limit(UNLIMITED)
    result = run(
        """
import threading
stop = threading.Event()
calls = [0] * 4
def work(number):
    while not stop.is_set():
        client.whoami()
        calls[number] += 1
threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
for thread in threads: thread.start()
while min(calls) < 3: time.sleep(0.001)
outcomes = [outcome(*child(number, (sync_call, async_call)[number % 2]))["note"] for number in range(10)]
stop.set()
for thread in threads: thread.join()
print(json.dumps(outcomes))
"""
    )
    assert result == [f"child {number}" for number in range(10)]


@pytest.mark.usefixtures("lmtokens_portal")
def test_sandbox_of_a_parent_survives_its_child() -> None:
    result = run(
        """
import lmtokens.sandbox
portal = lmtokens.sandbox.Portal()
of_portal = portal.client()
of_portal.whoami()
def work(note):
    created = of_portal.add_token(32, note).note
    portal.close()
    return created
print(json.dumps([outcome(*child(0, work))["note"], of_portal.add_token(32, "after").note]))
"""
    )
    assert result == ["child 0", "after"]


@pytest.mark.parametrize("begun", [False, True])
def test_bulk_run_belongs_to_the_process_that_started_it(lmtokens_portal: Portal, journal: Path, begun: bool) -> None:
    result = run(
        f"""
import gc
run = client.add_tokens([(32, "first"), (32, "second")], journal={str(journal)!r})
if {begun}:
    next(run)
def work(note):
    global run
    try:
        next(run)
    except RuntimeError as error:
        del run
        gc.collect()
        return str(error)
print(json.dumps([outcome(*child(0, work))["note"], run.finish().created]))
"""
    )
    assert result[0].startswith("the process was forked after add_tokens(...)")
    assert result[1] == 2
    assert sorted(token.note for token in lmtokens_portal.tokens[2:]) == ["first", "second"]


def test_async_bulk_run_belongs_to_the_process_that_started_it(lmtokens_portal: Portal, journal: Path) -> None:
    result = run(
        f"""
async def main():
    run = async_client.add_tokens([(32, "first"), (32, "second")], journal={str(journal)!r})
    def work(note):
        # Let a child have a loop of its own.
        asyncio.events._set_running_loop(None)
        async def step():
            return await run.__anext__()
        try:
            asyncio.run(step())
        except RuntimeError as error:
            return str(error)
    return outcome(*child(0, work))["note"], (await run).created
print(json.dumps(asyncio.run(main())))
"""
    )
    assert result[0].startswith("the process was forked after add_tokens(...)")
    assert result[1] == 2
