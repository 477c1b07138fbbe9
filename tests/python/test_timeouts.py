"""A server that does not respond costs no more time than the timeout allows."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from typing import TYPE_CHECKING

import lmtokens
import pytest
from certificates import issued
from network import Server, TlsServer, tls_in_front_of
from support import ACCESS_ID, ACCESS_KEY, HANG_TIMEOUT, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lmtokens.sandbox import Portal

# Far longer than any timeout used here: only a hang exceeds it.
BOUND = 30.0


def _never_respond(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


@pytest.fixture
def silent_server() -> Iterator[Server]:
    """A server that accepts connections and never responds."""
    with Server(_never_respond) as server:
        yield server


def client_for(port: int, timeout: float | tuple[float, float], scheme: str = "https") -> lmtokens.Client:
    return lmtokens.Client(
        access_id=ACCESS_ID,
        access_key=ACCESS_KEY,
        base_url=f"{scheme}://localhost:{port}/santaba/rest",
        timeout=timeout,
    )


@pytest.mark.parametrize("timeout", [0.5, (0.5, HANG_TIMEOUT), (HANG_TIMEOUT, 0.5), (0.5, 0.5)])
def test_server_without_a_handshake(silent_server: Server, timeout: float | tuple[float, float]) -> None:
    started = time.monotonic()
    with pytest.raises(lmtokens.RequestTimeoutError, match="no connection to localhost within 0") as caught:
        client_for(silent_server.port, timeout).add_token(32)
    assert time.monotonic() - started < BOUND
    assert caught.value.maybe_applied is False
    assert isinstance(caught.value, TimeoutError)
    # The server counts a connection when it accepts it.
    wait_until(lambda: caught.value.attempts == silent_server.connections)


def test_create_without_a_response(silent_server: Server) -> None:
    started = time.monotonic()
    with pytest.raises(lmtokens.OutcomeUnknownError) as caught:
        client_for(silent_server.port, (HANG_TIMEOUT, 0.3), "http").add_token(32)
    assert time.monotonic() - started < BOUND
    assert isinstance(caught.value.__cause__, lmtokens.RequestTimeoutError)
    assert "no complete response from localhost within 0.3 s" in str(caught.value)
    assert caught.value.maybe_applied is True
    assert caught.value.candidates is None


def test_tls_server_without_a_response(silent_server: Server, ca_bundle: Path) -> None:
    with TlsServer(issued("localhost"), silent_server.port) as server:
        client = lmtokens.Client(
            access_id=ACCESS_ID,
            access_key=ACCESS_KEY,
            base_url=server.base_url("localhost"),
            ca_bundle=ca_bundle,
            timeout=(HANG_TIMEOUT, 0.5),
        )
        started = time.monotonic()
        with pytest.raises(lmtokens.RequestTimeoutError, match="no complete response") as caught:
            client.find_token(7)
        assert time.monotonic() - started < BOUND
    assert caught.value.maybe_applied is False
    assert server.versions != []


def test_trickling_response(lmtokens_portal: Portal, ca_bundle: Path) -> None:
    lmtokens_portal.fail("trickle", seconds=0.2, times=None)
    with tls_in_front_of(lmtokens_portal, issued("localhost")) as server:
        client = lmtokens_portal.client(
            base_url=server.base_url("localhost"), ca_bundle=ca_bundle, timeout=(HANG_TIMEOUT, 1)
        )
        started = time.monotonic()
        # A timeout per read would never expire.
        with pytest.raises(lmtokens.RequestTimeoutError, match="no complete response"):
            client.find_token(1)
        with pytest.raises(lmtokens.OutcomeUnknownError):
            client.add_token(32)
        assert time.monotonic() - started < BOUND


def test_trickling_handshake() -> None:
    def trickle(connection: socket.socket) -> None:
        connection.recv(65536)
        # The header of a handshake record, then its content byte by byte.
        connection.sendall(b"\x16\x03\x03\x10\x00")
        with contextlib.suppress(OSError):
            while True:
                connection.sendall(b"\x02")
                time.sleep(0.05)

    with Server(trickle) as server:
        started = time.monotonic()
        with pytest.raises(lmtokens.LMTokensError) as caught:
            client_for(server.port, (0.5, HANG_TIMEOUT)).add_token(32)
        assert time.monotonic() - started < BOUND
    assert caught.value.maybe_applied is False


def test_async_client_times_out(silent_server: Server) -> None:
    async def call() -> None:
        async with lmtokens.AsyncClient(
            access_id=ACCESS_ID,
            access_key=ACCESS_KEY,
            base_url=f"https://localhost:{silent_server.port}/santaba/rest",
            timeout=(0.3, HANG_TIMEOUT),
        ) as client:
            await client.add_token(32)

    started = time.monotonic()
    with pytest.raises(lmtokens.RequestTimeoutError):
        asyncio.run(call())
    assert time.monotonic() - started < BOUND


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), (1, 0), (0, 1), (1, float("nan")), 1e300])
def test_invalid_timeout_is_rejected(timeout: float | tuple[float, float]) -> None:
    with pytest.raises((ValueError, lmtokens.ConfigurationError)):
        client_for(9, timeout)


@pytest.mark.parametrize("timeout", ["3", True, (1,), (1, 2, 3), [1, 2], (None, 1), ("1", 2)])
def test_timeout_of_the_wrong_type_is_rejected(timeout: object) -> None:
    with pytest.raises(TypeError, match="timeout"):
        client_for(9, timeout)  # type: ignore[arg-type]
