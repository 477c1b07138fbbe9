"""Hostile responses of any size and shape cost little memory, and block neither signals nor event loops."""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import lmtokens
import pytest
from listing import token_ids
from network import Server
from odd_portal import OddPortal
from process_usage import needs_proc
from support import ACCESS_ID, ACCESS_KEY, HANG_TIMEOUT, ReceivedRequest, StubServer, run_python

if TYPE_CHECKING:
    import socket

LIMIT = 8 * 1024 * 1024
# Most bodies are slightly shorter than the limit.
SIZE = LIMIT - 100_000

# Megabytes; a tree of the values of such a body takes several hundred.
MAX_GROWTH = 64

LIMIT_MESSAGE = r"the response is too long: the limit is 8388608 bytes \(8 MiB\)"


def filled(before: str, repeated: str, after: str) -> bytes:
    """Return a body of ``SIZE`` bytes at most: ``repeated`` as often as it fits."""
    return (before + repeated * ((SIZE - len(before) - len(after)) // len(repeated)) + after).encode()


# Each body, and the ids of the tokens that it contains; `None` if it is refused.
BODIES: dict[str, tuple[bytes, list[int] | None]] = {
    "objects": (filled('{"total":1,"items":[{"id":1}', ",{}", "]}"), [1]),
    "nulls": (filled('{"total":1,"items":[{"id":1}', ",null", "]}"), [1]),
    "tokens": (filled('{"total":1,"items":[{"id":1}', ',{"id":2}', "]}"), None),
    "nesting": (
        ('{"total":1,"items":[{"id":1},{"id":2,"note":' + "[" * 3_000_000 + "]" * 3_000_000 + "}]}").encode(),
        [1, 2],
    ),
    "nesting of objects": (
        ('{"total":1,"items":[{"id":1,"x":' + '{"x":' * 1_000_000 + "1" + "}" * 1_000_000 + "}]}").encode(),
        [1],
    ),
    "string": (filled('{"total":1,"items":[{"id":1,"note":"', "x", '"}]}'), [1]),
    "escapes": (filled('{"total":1,"items":[{"id":1,"note":"', r"\ud83d", '"}]}'), [1]),
    "repeated members": (filled('{"total":1,"items":[{"id":2', ',"id":1', "}]}"), [1]),
    "unknown members": (filled('{"total":1,"items":[{"id":1', ',"x":0', "}]}"), [1]),
    "digits": (filled('{"total":1,"items":[{"id":1,"createdOn":', "1", "}]}"), [1]),
    "exponents": (filled('{"total":1,"items":[{"id":1,"status":1e', "9", "}]}"), [1]),
    "roles": (filled('{"total":1,"items":[{"id":1,"roles":["a"', ',"a"', "]}]}"), [1]),
    "totals": (filled('{"items":[{"id":1}],"total":1', ',"total":1', "}"), [1]),
}

LIST_CODE = """
import lmtokens, sys
def megabytes():
    lines = open("/proc/self/status").read().splitlines()
    return int(dict(line.split(":", 1) for line in lines)["VmHWM"].split()[0]) / 1024
url, access_id, access_key = sys.argv[1:]
client = lmtokens.Client(base_url=url, access_id=access_id, access_key=access_key)
try:
    client.find_token(2_000_000_000)
except lmtokens.LMTokensError:
    pass
before = megabytes()
try:
    print([token.id for token in client.list_tokens(type="lmv1")])
except lmtokens.ResponseError as error:
    print(error)
print(megabytes() - before)
"""


def client_of(server: StubServer | Server, **settings: Any) -> lmtokens.Client:
    base_url = server.base_url if isinstance(server, StubServer) else f"http://127.0.0.1:{server.port}/santaba/rest"
    return lmtokens.Client(base_url=base_url, access_id=ACCESS_ID, access_key=ACCESS_KEY, **settings)


@needs_proc
@pytest.mark.parametrize("name", BODIES)
def test_memory_is_bounded(name: str) -> None:
    body, ids = BODIES[name]
    assert len(body) <= LIMIT
    with StubServer(lambda request: body if "offset" in request.target else b'{"items":[]}') as server:
        completed = run_python(LIST_CODE, server.base_url, ACCESS_ID, ACCESS_KEY)
    assert completed.returncode == 0, completed.stderr
    result, growth = completed.stdout.splitlines()
    print(f"\n{name}: {len(body)} bytes, {float(growth):.0f} MB")
    assert result == ("the response contains more than 100000 tokens" if ids is None else str(ids))
    assert float(growth) < MAX_GROWTH


def test_error_with_a_huge_message() -> None:
    body = filled('{"errorCode":1400,"errorMessage":"', "words ", '"}')
    with StubServer(body, status=400) as server, pytest.raises(lmtokens.BadRequestError, match=r"^words ") as caught:
        client_of(server).find_token(1)
    assert len(str(caught.value)) < 1000


def test_longer_response_to_a_create_is_an_unknown_outcome() -> None:
    body = b'{"id":5,"accessId":"a","accessKey":"b","note":"' + b"x" * LIMIT + b'"}'
    with StubServer(lambda request: body if request.method == "POST" else b'{"items":[]}') as server:
        with pytest.raises(lmtokens.OutcomeUnknownError, match=LIMIT_MESSAGE) as caught:
            client_of(server).add_token(32)
        assert [request.method for request in server.requests] == ["POST", "GET"]
    assert caught.value.maybe_applied is True
    assert isinstance(caught.value.__cause__, lmtokens.ResponseError)


def test_announced_length_is_refused_without_reading() -> None:
    def announce(connection: socket.socket) -> None:
        connection.recv(65536)
        # The rest never arrives: a client that waits for it times out.
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n{")
        while connection.recv(65536):
            pass

    with Server(announce) as server, pytest.raises(lmtokens.ResponseError, match=LIMIT_MESSAGE):
        client_of(server).find_token(1)


@pytest.mark.parametrize("framing", ["chunked", "close"])
def test_unannounced_length_is_limited(framing: str) -> None:
    def endless(connection: socket.socket) -> None:
        connection.recv(65536)
        chunk = b"[" * 65536
        head = b"Transfer-Encoding: chunked" if framing == "chunked" else b"Connection: close"
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n")
        try:
            while True:
                connection.sendall(b"10000\r\n" + chunk + b"\r\n" if framing == "chunked" else chunk)
        except OSError:
            pass

    with Server(endless) as server, pytest.raises(lmtokens.ResponseError, match=LIMIT_MESSAGE):
        client_of(server).find_token(1)


def sizes(targets: list[str]) -> list[int]:
    return [int(parse_qs(urlsplit(target).query)["size"][0]) for target in targets]


@pytest.mark.parametrize("sorts", [True, False])
def test_page_that_is_too_long_is_halved(sorts: bool) -> None:
    with OddPortal(sorts=sorts) as odd, odd.client() as client:
        created = [odd.add("x" * 20_000) for _ in range(900)]
        if not sorts:
            odd.tokens.reverse()
        assert sorted(token_ids(client.list_tokens(type="lmv1"))) == created
        asked = sizes([target for _, target, _ in odd.requests])
    assert asked[:3] == [1000, 500, 250]
    assert set(asked[3:]) == {250}


def test_page_that_is_too_long_with_one_token() -> None:
    body = b'{"items":[' + b" " * LIMIT + b"]}"
    with StubServer(body) as server:
        with pytest.raises(lmtokens.ResponseError, match=LIMIT_MESSAGE):
            list(client_of(server).list_tokens(page_size=5))
        assert sizes([request.target for request in server.requests]) == [5, 2, 1]


def long_unless_small(request: ReceivedRequest) -> bytes:
    """Respond with a list that is too long unless it is asked for at most 100 items."""
    if request.method == "POST":
        return b"not JSON"
    size = int(parse_qs(urlsplit(request.target).query)["size"][0])
    user = {"id": 32, "username": "ci", "note": "ci", "adminId": 32}
    return json.dumps({"items": [user], "padding": "x" * (size * LIMIT // 100)}).encode()


def test_look_ups_that_are_too_long_are_halved() -> None:
    with StubServer(long_unless_small) as server, client_of(server) as client:
        assert client.find_token(32).id == 32
        with pytest.raises(lmtokens.OutcomeUnknownError) as caught:
            client.add_token("ci", "ci")
        # The user, the POST, and the search for candidates.
        assert caught.value.candidates is not None
        assert [token.id for token in caught.value.candidates] == [32]
        gets = [request.target for request in server.requests if request.method == "GET"]
    assert sizes(gets) == [1000, 500, 250, 125, 62] * 3
    assert all("fields=id%2Cusername" in target for target in gets if "/admins?" in target)


# Reading this takes long in a debug build.
SLOW = filled('{"total":-1,"items":[', '{"status":1,"roles":["a"]},', '{"id":1}]}')

INTERRUPT_CODE = """
import lmtokens, os, signal, sys, threading, time
url, access_id, access_key = sys.argv[1:]
client = lmtokens.Client(base_url=url, access_id=access_id, access_key=access_key)
sent = []
def interrupt():
    sent.append(time.monotonic())
    os.kill(os.getpid(), signal.SIGINT)
threading.Timer(1, interrupt).start()
try:
    while True:
        list(client.list_tokens(type="lmv1", filter="x:1"))
except KeyboardInterrupt:
    print(time.monotonic() - sent[0])
"""


def test_interrupt_while_a_large_response_is_read() -> None:
    with StubServer(SLOW) as server:
        completed = run_python(INTERRUPT_CODE, server.base_url, ACCESS_ID, ACCESS_KEY)
    assert completed.returncode == 0, completed.stderr
    print(f"\ninterrupted after {float(completed.stdout) * 1000:.0f} ms")
    assert float(completed.stdout) < HANG_TIMEOUT / 10


def test_event_loop_runs_while_a_large_response_is_read() -> None:
    async def call() -> tuple[int, list[int]]:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.001)
                ticks += 1

        ticking = asyncio.create_task(tick())
        async with lmtokens.AsyncClient(base_url=server.base_url, access_id=ACCESS_ID, access_key=ACCESS_KEY) as client:
            listed = [token.id async for token in client.list_tokens(type="lmv1")]
        ticking.cancel()
        return ticks, listed

    with StubServer(BODIES["objects"][0]) as server:
        ticks, listed = asyncio.run(call())
    assert listed == [1]
    assert ticks > 1


WITHOUT_THREADS_CODE = """
import lmtokens, os, resource, sys, threading
url, access_id, access_key = sys.argv[1:]
client = lmtokens.Client(base_url=url, access_id=access_id, access_key=access_key)
client.find_token(1)
os.setuid(65534)
resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
try:
    threading.Thread(target=print).start()
except RuntimeError:
    print([token.id for token in client.list_tokens(type="lmv1")])
"""


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs root to become another user")
def test_large_response_is_read_if_no_thread_can_be_started() -> None:
    body = BODIES["objects"][0]
    with StubServer(lambda request: body if "offset" in request.target else b'{"items":[{"id":1}]}') as server:
        completed = run_python(WITHOUT_THREADS_CODE, server.base_url, ACCESS_ID, ACCESS_KEY)
    assert (completed.returncode, completed.stdout) == (0, "[1]\n"), completed.stderr
