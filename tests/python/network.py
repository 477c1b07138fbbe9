"""TLS servers and proxies between a client and a portal, on loopback."""

from __future__ import annotations

import base64
import contextlib
import select
import socket
import ssl
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Callable
from urllib.parse import urlsplit

import pytest
from support import HANG_TIMEOUT

if TYPE_CHECKING:
    from types import TracebackType

    from certificates import Credential
    from lmtokens.sandbox import Portal


class Server:
    """Calls ``handle`` with each connection in a new thread, and closes the connection afterwards."""

    def __init__(self, handle: Callable[[socket.socket], None], host: str = "127.0.0.1") -> None:
        self.connections = 0
        self._handle = handle
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listening = socket.create_server((host, 0), family=family)
        self.port: int = self._listening.getsockname()[1]
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            self._open.add(connection)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection.settimeout(HANG_TIMEOUT)
            self._handle(connection)
        self._open.discard(connection)
        connection.close()

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Without shutdown(), accept() and recv() keep blocking on Linux.
        for waiting in (self._listening, *self._open):
            with contextlib.suppress(OSError):
                # SSLSocket.shutdown() would end the TLS session under the thread that reads from it.
                socket.socket.shutdown(waiting, socket.SHUT_RDWR)
        self._listening.close()
        for thread in [self._accepting, *self._threads]:
            thread.join(HANG_TIMEOUT)


def splice(one: socket.socket, other: socket.socket, record: list[bytes]) -> None:
    """Forward bytes both ways until either side closes, and record what ``one`` sends."""
    across: dict[socket.socket, socket.socket] = {one: other, other: one}
    while True:
        # select() does not see bytes that OpenSSL has already decrypted.
        ready: list[socket.socket] = [end for end in across if isinstance(end, ssl.SSLSocket) and end.pending()]
        if not ready:
            ready, _, _ = select.select(list(across), [], [], HANG_TIMEOUT)
        if not ready:
            return
        for end in ready:
            piece = end.recv(65536)
            if not piece:
                return
            if end is one:
                record.append(piece)
            across[end].sendall(piece)


def _has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


NEEDS_IPV6 = pytest.mark.skipif(not _has_ipv6(), reason="this machine has no ::1")


def read_head(connection: socket.socket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head:
        piece = connection.recv(65536)
        if not piece:
            break
        head += piece
    return head


class Relay(Server):
    """Forwards connections to a port on 127.0.0.1 from another address."""

    def __init__(self, target_port: int, host: str) -> None:
        self._target_port = target_port
        super().__init__(self._relay, host)

    def _relay(self, connection: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", self._target_port), HANG_TIMEOUT) as target:
            splice(connection, target, [])


class TlsServer(Server):
    """Terminates TLS and forwards the plain bytes to a port on 127.0.0.1."""

    def __init__(
        self,
        credential: Credential,
        target_port: int,
        *,
        host: str = "127.0.0.1",
        newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
        client_authority: bytes | None = None,
    ) -> None:
        # Decrypted bytes; a handshake alone leaves it empty.
        self.received: list[bytes] = []
        self.versions: list[str | None] = []
        self._target_port = target_port
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.maximum_version = newest
        credential.configure(self._context)
        if client_authority is not None:
            self._context.verify_mode = ssl.CERT_REQUIRED
            self._context.load_verify_locations(cadata=client_authority.decode())
        super().__init__(self._relay, host)

    def base_url(self, host: str = "127.0.0.1") -> str:
        return f"https://{host}:{self.port}/santaba/rest"

    def _relay(self, connection: socket.socket) -> None:
        with self._context.wrap_socket(connection, server_side=True) as secure:
            # wrap_socket() detached the original socket, so this one has to be shut down.
            self._open.add(secure)
            self.versions.append(secure.version())
            with socket.create_connection(("127.0.0.1", self._target_port), HANG_TIMEOUT) as target:
                splice(secure, target, self.received)

    def __enter__(self) -> TlsServer:
        return self


def port_of(portal: Portal) -> int:
    port = urlsplit(portal.base_url).port
    assert port is not None
    return port


def tls_in_front_of(
    portal: Portal,
    credential: Credential,
    *,
    host: str = "127.0.0.1",
    newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    client_authority: bytes | None = None,
) -> TlsServer:
    return TlsServer(credential, port_of(portal), host=host, newest=newest, client_authority=client_authority)


@dataclass(frozen=True)
class Connect:
    """One CONNECT request and the bytes that the client sent through the tunnel."""

    target: str
    head: str
    tunnelled: list[bytes]


class ConnectProxy(Server):
    """A proxy that maps host names to local ports without DNS, and can require a password."""

    def __init__(
        self, routes: dict[str, int], *, credentials: str | None = None, response: bytes | None = None
    ) -> None:
        self.seen: list[Connect] = []
        self._routes = routes
        self._expected = credentials and "Basic " + base64.b64encode(credentials.encode()).decode()
        self._response = response
        super().__init__(self._connect)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def url_for(self, user: str, password: str) -> str:
        return f"http://{user}:{password}@127.0.0.1:{self.port}"

    def _connect(self, connection: socket.socket) -> None:
        head = read_head(connection).decode("latin-1")
        lines = head.split("\r\n")
        target = lines[0].split(" ")[1] if lines[0].startswith("CONNECT ") else lines[0]
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        connect = Connect(target, head, [])
        self.seen.append(connect)
        if self._response is not None:
            connection.sendall(self._response)
        elif self._expected is not None and headers.get("proxy-authorization") != self._expected:
            connection.sendall(
                b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=test\r\n"
                b"Content-Length: 0\r\nConnection: close\r\n\r\n"
            )
        elif target not in self._routes:
            connection.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        else:
            with socket.create_connection(("127.0.0.1", self._routes[target]), HANG_TIMEOUT) as onward:
                connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                splice(connection, onward, connect.tunnelled)

    def __enter__(self) -> ConnectProxy:
        return self
