"""A server that does not answer costs no more time than was allowed. The bounds are generous: only a hang fails."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from typing import TYPE_CHECKING

import lmtokens
import pytest
from certificates import authority_pem, issued
from network import Server, TlsServer, tls_in_front_of
from support import ACCESS_ID, ACCESS_KEY, PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lmtokens.sandbox import Portal

# Far more than any limit that is given here, far less than for ever.
BOUND = 30.0


def _listen_and_say_nothing(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


@pytest.fixture
def silent() -> Iterator[Server]:
    """Takes connections and never says anything."""
    with Server(_listen_and_say_nothing) as server:
        yield server


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = tmp_path / "authority.pem"
    path.write_bytes(authority_pem())
    return path


def client_of(port: int, timeout: float | tuple[float, float], scheme: str = "https") -> lmtokens.Client:
    return lmtokens.Client(
        access_id=ACCESS_ID,
        access_key=ACCESS_KEY,
        base_url=f"{scheme}://localhost:{port}/santaba/rest",
        timeout=timeout,
    )


@pytest.mark.parametrize("timeout", [0.3, (0.3, PATIENCE), (PATIENCE, 0.3), (0.3, 0.3)])
def test_no_handshake(silent: Server, timeout: float | tuple[float, float]) -> None:
    started = time.monotonic()
    with pytest.raises(lmtokens.RequestTimeoutError, match="no connection to localhost within 0") as caught:
        client_of(silent.port, timeout).add_token(32)
    assert time.monotonic() - started < BOUND
    assert caught.value.maybe_applied is False
    assert isinstance(caught.value, TimeoutError)
    assert caught.value.attempts == silent.connections


def test_no_answer_to_a_create(silent: Server) -> None:
    started = time.monotonic()
    with pytest.raises(lmtokens.OutcomeUnknownError) as caught:
        client_of(silent.port, (PATIENCE, 0.3), "http").add_token(32)
    assert time.monotonic() - started < BOUND
    assert isinstance(caught.value.__cause__, lmtokens.RequestTimeoutError)
    assert "no complete response from localhost within 0.3 s" in str(caught.value)
    assert caught.value.maybe_applied is True
    assert caught.value.candidates is None


def test_no_answer_through_tls(silent: Server, bundle: Path) -> None:
    with TlsServer(issued("localhost"), silent.port) as server:
        client = lmtokens.Client(
            access_id=ACCESS_ID,
            access_key=ACCESS_KEY,
            base_url=server.base_url("localhost"),
            ca_bundle=bundle,
            timeout=(PATIENCE, 0.5),
        )
        started = time.monotonic()
        with pytest.raises(lmtokens.RequestTimeoutError, match="no complete response") as caught:
            client.find_token(7)
        assert time.monotonic() - started < BOUND
    assert caught.value.maybe_applied is False
    assert server.versions != []


def test_answer_that_trickles(lmtokens_portal: Portal, bundle: Path) -> None:
    lmtokens_portal.fail("trickle", seconds=0.2, times=None)
    with tls_in_front_of(lmtokens_portal, issued("localhost")) as server:
        client = lmtokens_portal.client(base_url=server.base_url("localhost"), ca_bundle=bundle, timeout=(PATIENCE, 1))
        started = time.monotonic()
        # A limit on each read alone would let this go on for ever.
        with pytest.raises(lmtokens.RequestTimeoutError, match="no complete response"):
            client.find_token(1)
        with pytest.raises(lmtokens.OutcomeUnknownError):
            client.add_token(32)
        assert time.monotonic() - started < BOUND


def test_handshake_that_trickles() -> None:
    def trickle(connection: socket.socket) -> None:
        connection.recv(65536)
        # The header of a record of the handshake, then its content byte by byte.
        connection.sendall(b"\x16\x03\x03\x10\x00")
        with contextlib.suppress(OSError):
            while True:
                connection.sendall(b"\x02")
                time.sleep(0.05)

    with Server(trickle) as server:
        started = time.monotonic()
        with pytest.raises(lmtokens.LMTokensError) as caught:
            client_of(server.port, (0.5, PATIENCE)).add_token(32)
        assert time.monotonic() - started < BOUND
    assert caught.value.maybe_applied is False


def test_async_limits(silent: Server) -> None:
    async def call() -> None:
        async with lmtokens.AsyncClient(
            access_id=ACCESS_ID,
            access_key=ACCESS_KEY,
            base_url=f"https://localhost:{silent.port}/santaba/rest",
            timeout=(0.3, PATIENCE),
        ) as client:
            await client.add_token(32)

    started = time.monotonic()
    with pytest.raises(lmtokens.RequestTimeoutError):
        asyncio.run(call())
    assert time.monotonic() - started < BOUND


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), (1, 0), (0, 1), (1, float("nan")), 1e300])
def test_limit_that_is_none(timeout: float | tuple[float, float]) -> None:
    with pytest.raises((ValueError, lmtokens.ConfigurationError)):
        client_of(9, timeout)


@pytest.mark.parametrize("timeout", ["3", True, (1,), (1, 2, 3), [1, 2], (None, 1), ("1", 2)])
def test_limit_of_a_wrong_type(timeout: object) -> None:
    with pytest.raises(TypeError, match="timeout"):
        client_of(9, timeout)  # type: ignore[arg-type]
