"""What several subjects need: programs of their own, servers that remember, and a terminal."""

from __future__ import annotations

import os
import pty
import select
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Callable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from types import TracebackType

ACCESS_ID = "exampleAccessId00001"
ACCESS_KEY = "unit+test(key)]{%~^_=Z"

# Long enough for a loaded machine; only a hang reaches it.
PATIENCE = 60.0

SHELL = [str(Path(sys.executable).with_name("lmtokens"))]


def run_python(
    code: str, *arguments: str, environment: Mapping[str, str] | None = None, stdin: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs code in an interpreter of its own."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, **(environment or {})},
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def run_shell(*arguments: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Runs the command ``lmtokens`` of this environment."""
    return subprocess.run(
        [*SHELL, *arguments],
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def wait_until(condition: Callable[[], object]) -> None:
    """Returns when the condition holds; gives up only where something hangs."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the condition never came true")
        time.sleep(0.005)


class Listener:
    """Takes connections on loopback, answers nothing, and keeps the first bytes of each."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def proxies(self) -> dict[str, str]:
        """Every variable by which programs are told to use a proxy."""
        names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
        return {spelling: self.url for name in names for spelling in (name, name.lower())}

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(PATIENCE)
                self.received.append(connection.recv(65536))

    def __enter__(self) -> Listener:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Without it, Linux leaves the thread in accept() for ever.
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(PATIENCE)


@dataclass(frozen=True)
class Heard:
    """One request as it came over the wire."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class Answering:
    """A server that answers whatever a test wants, also what no portal should."""

    def __init__(self, answer: bytes | Callable[[Heard], bytes], status: int = 200) -> None:
        self.heard: list[Heard] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _reply(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                request = Heard(self.command, self.path, dict(self.headers.items()), self.rfile.read(length))
                outer.heard.append(request)
                body = answer if isinstance(answer, bytes) else answer(request)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_DELETE = _reply

            def log_message(self, format: str, *args: object) -> None:
                """Standard error is for what is tested."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/santaba/rest"

    def __enter__(self) -> Answering:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(PATIENCE)


@dataclass(frozen=True)
class Typed:
    """What came of a program at a terminal."""

    shown: str
    stdout: str
    status: int


# A terminal controls a program only if the program takes it, after it has begun a session.
_TAKE_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)


def run_at_terminal(
    command: Sequence[str],
    dialogue: Iterable[tuple[str, str]],
    *,
    environment: Mapping[str, str] | None = None,
    redirect_stdout: bool = False,
    patience: float = PATIENCE,
) -> Typed:
    """Runs a program at a terminal and types each reply once its question is shown."""
    master, slave = pty.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", _TAKE_TERMINAL, *command],
            env={**os.environ, **(environment or {})},
            stdin=slave,
            stdout=subprocess.PIPE if redirect_stdout else slave,
            stderr=slave,
            start_new_session=True,
        )
    finally:
        os.close(slave)
    shown = b""
    remaining = list(dialogue)
    asked_from = 0
    deadline = time.monotonic() + patience
    try:
        while time.monotonic() < deadline:
            ready, _, _ = select.select([master], [], [], 0.05)
            if not ready:
                if process.poll() is not None:
                    break
                continue
            try:
                piece = os.read(master, 4096)
            except OSError:
                # Linux's way to say that the last program let go of the terminal.
                break
            if not piece:
                break
            shown += piece
            if remaining and remaining[0][0].encode() in shown[asked_from:]:
                asked_from = len(shown)
                # A question is shown a moment before it is listened to, and a Ctrl-C in between is lost to CPython.
                time.sleep(0.3)
                os.write(master, remaining.pop(0)[1].encode())
        if time.monotonic() > deadline:
            process.kill()
        stdout = process.stdout.read().decode() if process.stdout else ""
        status = process.wait(patience)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.stdout:
            process.stdout.close()
        os.close(master)
    return Typed(shown.decode(errors="replace"), stdout, status)
