"""No request is written to a connection that the server said it would have closed by then."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
from certificates import issued
from network import ConnectProxy, Server, TlsServer, read_head
from support import ACCESS_ID, ACCESS_KEY

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = {"id": 7, "accessId": "x" * 20, "accessKey": "k" * 40, "adminId": 32, "note": "ci", "status": 2}
BODY = json.dumps(TOKEN).encode()


class ClosingServer(Server):
    """Answers every request, and resets a connection on which one arrives later than it announced.

    Args:
        head: lines after the status line, such as ``Keep-Alive: timeout=1``.
        seconds: how long after a response it accepts another request.
    """

    def __init__(self, head: str, seconds: float, *, version: str = "1.1") -> None:
        self.posts = 0
        self.resets = 0
        self._count = threading.Lock()
        self._head, self._seconds = head, seconds
        self._version = version
        super().__init__(self._answer)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/santaba/rest"

    def client(self, **settings: Any) -> lmtokens.Client:
        return lmtokens.Client(base_url=self.base_url, access_id=ACCESS_ID, access_key=ACCESS_KEY, **settings)

    def _answer(self, connection: socket.socket) -> None:
        answered = None
        while head := self._read(connection):
            late = answered is not None and time.monotonic() - answered > self._seconds
            with self._count:
                self.posts += head.startswith(b"POST")
                self.resets += late
            if late:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
                return
            head = f"HTTP/{self._version} 200 OK\r\n{self._head}Content-Length: {len(BODY)}\r\n\r\n".encode("latin-1")
            connection.sendall(head + BODY)
            answered = time.monotonic()

    @staticmethod
    def _read(connection: socket.socket) -> bytes:
        received = read_head(connection)
        head, _, body = received.partition(b"\r\n\r\n")
        lengths = [
            line.partition(b":")[2] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
        ]
        missing = int(lengths[0]) - len(body) if lengths else 0
        while missing > 0:
            missing -= len(connection.recv(missing)) or missing
        return head

    def __enter__(self) -> ClosingServer:
        return self


# What the server says, after how many seconds it closes, and how long the caller pauses.
NO_REUSE = [
    "Keep-Alive: timeout=0\r\n",
    "Keep-Alive: timeout=1\r\n",
    "keep-alive: TimeOut = 1 , Max=100\r\n",
    'Keep-Alive: max=5,timeout="1"\r\n',
    "Connection: keep-alive\r\nKeep-Alive: timeout=1\r\n",
    "Keep-Alive: timeout=60\r\nKeep-Alive: timeout=1\r\n",
    "Keep-Alive: 1\r\n",
    "Keep-Alive: timeout=-3\r\n",
    "Keep-Alive: timeout=60, max=0\r\n",
    "Keep-Alive: timeout=1, x=\xe9\r\n",
    "Keep-Alive: timeout=1000ms\r\n",
    "Connection: close\r\n",
    "Connection: Close\r\n",
    "Connection: foo, close\r\n",
    "Connection: close\r\nConnection: keep-alive\r\n",
    "Connection: keep-alive\r\nConnection: close\r\n",
]


@pytest.mark.parametrize("head", NO_REUSE)
def test_connection_is_not_used_again(head: str) -> None:
    with ClosingServer(head, seconds=0) as server, server.client() as client:
        for _ in range(3):
            client.add_token(32, "ci")
    assert (server.posts, server.connections, server.resets) == (3, 3, 0)


def test_connection_of_http_1_0_is_not_used_again() -> None:
    with ClosingServer("", seconds=0, version="1.0") as server, server.client() as client:
        for _ in range(3):
            client.add_token(32, "ci")
    assert (server.posts, server.connections, server.resets) == (3, 3, 0)


@pytest.mark.parametrize(
    "head",
    ["", "Keep-Alive: timeout=99999999999999999999\r\n", "Keep-Alive: timeout=soon\r\n", "Keep-Alive: max=9\r\n"],
)
def test_connection_is_used_again_if_the_server_sets_no_short_limit(head: str) -> None:
    with ClosingServer(head, seconds=60) as server, server.client() as client:
        for _ in range(3):
            client.add_token(32, "ci")
    assert (server.posts, server.connections, server.resets) == (3, 1, 0)


def test_connection_is_used_again_within_a_long_limit() -> None:
    # The first response tells the limit; the pool that keeps to it starts with the second connection.
    with ClosingServer("Keep-Alive: timeout=15\r\n", seconds=60) as server, server.client() as client:
        for _ in range(5):
            client.add_token(32, "ci")
    assert (server.posts, server.connections, server.resets) == (5, 2, 0)


def test_blocking_calls_after_a_pause() -> None:
    with ClosingServer("Keep-Alive: timeout=3\r\n", seconds=2.5) as server, server.client() as client:
        for _ in range(3):
            client.add_token(32, "ci")
            client.add_token(32, "ci")
            time.sleep(2.8)
    assert (server.posts, server.resets) == (6, 0)


@pytest.mark.parametrize("seconds", [1, 2])
def test_burst_of_threads_after_a_pause(seconds: int) -> None:
    head = f"Keep-Alive: timeout={seconds}\r\n"
    with ClosingServer(head, seconds=seconds - 0.2) as server, server.client() as client, ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            list(pool.map(lambda _: client.add_token(32, "ci"), range(8)))
            time.sleep(seconds)
    assert (server.posts, server.resets) == (24, 0)


@pytest.mark.parametrize("seconds", [1, 2])
def test_burst_of_awaited_calls_after_a_pause(seconds: int) -> None:
    async def bursts(base_url: str) -> None:
        async with lmtokens.AsyncClient(base_url=base_url, access_id=ACCESS_ID, access_key=ACCESS_KEY) as client:
            for _ in range(3):
                await asyncio.gather(*(client.add_token(32, "ci") for _ in range(8)))
                await asyncio.sleep(seconds)

    with ClosingServer(f"Keep-Alive: timeout={seconds}\r\n", seconds=seconds - 0.2) as server:
        asyncio.run(bursts(server.base_url))
    assert (server.posts, server.resets) == (24, 0)


def test_calls_through_a_tunnel_after_a_pause(ca_bundle: Path) -> None:
    with (
        ClosingServer("Keep-Alive: timeout=2\r\n", seconds=1.5) as server,
        TlsServer(issued("portal.example"), server.port) as remote,
        ConnectProxy({"portal.example:443": remote.port}) as proxy,
    ):
        client = lmtokens.Client(
            base_url="https://portal.example/santaba/rest",
            access_id=ACCESS_ID,
            access_key=ACCESS_KEY,
            proxy=proxy.url,
            ca_bundle=ca_bundle,
        )
        client.add_token(32, "ci")
        # A new pool needs no file again.
        ca_bundle.unlink()
        for _ in range(2):
            client.add_token(32, "ci")
            client.add_token(32, "ci")
            time.sleep(1.8)
        client.close()
    assert (server.posts, server.resets) == (5, 0)


def test_module_functions_after_a_pause() -> None:
    with ClosingServer("Keep-Alive: timeout=1\r\n", seconds=0.5) as server:
        lmtokens.configure(base_url=server.base_url, access_id=ACCESS_ID, access_key=ACCESS_KEY)
        for _ in range(2):
            lmtokens.add_token(32, "ci")
            time.sleep(0.7)
    assert (server.posts, server.resets) == (2, 0)
