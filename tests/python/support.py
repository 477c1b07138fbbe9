"""Helpers for several subjects: subprocesses, servers that record requests, and a terminal."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import socket
import subprocess
import sys
import threading
import time
import types
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable
from unittest.mock import patch

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from types import TracebackType

    from typing_extensions import Self

ACCESS_ID = "exampleAccessId00001"
ACCESS_KEY = "unit+test(key)]{%~^_=Z"

# Seconds. Long enough for a loaded machine: only a test that hangs reaches it.
HANG_TIMEOUT = 60.0

# A rate limit that no test reaches.
UNLIMITED = 1_000_000

# The path after the base URL of the tokens of user 32.
TOKENS_PATH = "/setting/admins/32/apitokens"

TOKEN_TYPES = ["lmv1", "bearer"]

# The variables that can name trusted certificates.
CA_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")

EXAMPLES = Path(__file__).parents[2] / "examples"

SHELL = [str(Path(sys.executable).with_name("lmtokens"))]


def run_python(
    code: str, *arguments: str, environment: Mapping[str, str] | None = None, stdin: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run code in a new interpreter."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, **(environment or {})},
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        timeout=HANG_TIMEOUT,
        check=False,
    )


def run_shell_to_closed_pipe(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the ``lmtokens`` command whose standard output is a pipe that is closed."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        return subprocess.run(
            [*SHELL, *arguments],
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            timeout=HANG_TIMEOUT,
            check=False,
        )
    finally:
        os.close(writing)


def run_shell(*arguments: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the ``lmtokens`` command of this environment."""
    return subprocess.run(
        [*SHELL, *arguments],
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=HANG_TIMEOUT,
        check=False,
    )


def start_shell(*arguments: str, environment: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Start the ``lmtokens`` command of this environment, with pipes for its output."""
    return subprocess.Popen(
        [*SHELL, *arguments],
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_until(condition: Callable[[], object]) -> None:
    """Wait until the condition holds; raise ``TimeoutError`` if that never happens."""
    deadline = time.monotonic() + HANG_TIMEOUT
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the condition never came true")
        time.sleep(0.005)


class Listener:
    """Accepts connections on loopback, never responds, and records the first bytes of each."""

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
        """Return all proxy environment variables, set to this listener."""
        names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
        return {spelling: self.url for name in names for spelling in (name, name.lower())}

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(HANG_TIMEOUT)
                self.received.append(connection.recv(65536))

    def __enter__(self) -> Listener:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Without shutdown(), accept() keeps blocking on Linux.
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(HANG_TIMEOUT)


class RequestHandler(BaseHTTPRequestHandler):
    """A handler that keeps connections open and standard error free for the output under test."""

    protocol_version = "HTTP/1.1"
    # Headers and body are two writes; with Nagle's algorithm the second waits for an acknowledgement.
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:
        """Write no log."""


class LoopbackServer:
    """Serves requests with a handler, in threads of its own, until the end of a ``with`` block."""

    def __init__(self, handler: type[RequestHandler]) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/santaba/rest"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(HANG_TIMEOUT)


def run_with_other_files(
    prepare: str, command: Sequence[str], environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command as root in a mount namespace, whose files a script changes before. Its status 77 skips the test."""
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("needs unshare to replace files of the system")
    completed = subprocess.run(
        [unshare, "--map-root-user", "--mount", "sh", "-c", prepare + '\nexec "$@"', "sh", *command],
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=HANG_TIMEOUT,
        check=False,
    )
    if completed.returncode == 77 or "unshare" in completed.stderr:
        pytest.skip("needs permission to replace files of the system")
    return completed


@dataclass(frozen=True)
class ReceivedRequest:
    """One request as it came over the wire."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class StubServer(LoopbackServer):
    """A server that records requests and sends a given response, valid or not."""

    def __init__(self, response: bytes | Callable[[ReceivedRequest], bytes], status: int = 200) -> None:
        self.requests: list[ReceivedRequest] = []
        outer = self

        class Handler(RequestHandler):
            def _reply(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                request = ReceivedRequest(self.command, self.path, dict(self.headers.items()), self.rfile.read(length))
                outer.requests.append(request)
                body = response if isinstance(response, bytes) else response(request)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PATCH = do_DELETE = _reply

        super().__init__(Handler)


@dataclass(frozen=True)
class TerminalResult:
    """The output and exit status of a program that ran at a terminal."""

    shown: str
    stdout: str
    status: int


# Ctrl-C reaches a program only if the terminal is its controlling terminal, which has to be set after setsid().
_TAKE_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)


def run_at_terminal(
    command: Sequence[str],
    dialogue: Iterable[tuple[str, str]],
    *,
    environment: Mapping[str, str] | None = None,
    redirect_stdout: bool = False,
    timeout: float = HANG_TIMEOUT,
) -> TerminalResult:
    """Run a program at a terminal and type each reply once its prompt is shown.

    The test is skipped if the machine has no pseudo-terminals, as a container without ``/dev/pts``.
    """
    try:
        master, slave = pty.openpty()
    except OSError as error:
        pytest.skip(f"this machine has no pseudo-terminals: {error}")
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
    deadline = time.monotonic() + timeout
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
                # On Linux, read() fails when no program has the terminal open any more.
                break
            if not piece:
                break
            shown += piece
            if remaining and remaining[0][0].encode() in shown[asked_from:]:
                asked_from = len(shown)
                # A prompt is shown shortly before the program reads; CPython would lose a Ctrl-C in between.
                time.sleep(0.3)
                os.write(master, remaining.pop(0)[1].encode())
        if time.monotonic() > deadline:
            process.kill()
        stdout = process.stdout.read().decode() if process.stdout else ""
        status = process.wait(timeout)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.stdout:
            process.stdout.close()
        os.close(master)
    return TerminalResult(shown.decode(errors="replace"), stdout, status)


def screen(shown: str) -> list[str]:
    """Return the lines of an endless terminal after a program has written to it."""
    lines, row, column = [""], 0, 0
    for match in re.finditer(r"\x1b\[(\d*)([A-Za-z])|\r|\n|.", shown):
        text, count, action = match[0], int(match[1] or 1), match[2]
        if action == "A":
            row = max(row - count, 0)
        elif action == "B":
            row += count
        elif action == "K":
            lines[row] = "" if match[1] == "2" else lines[row][:column]
        elif text == "\r":
            column = 0
        elif text == "\n":
            row += 1
        elif not action:
            lines[row] = lines[row].ljust(column)[:column] + text + lines[row][column + 1 :]
            column += 1
        lines.extend([""] * (row + 1 - len(lines)))
    return [line.rstrip() for line in lines]


def run_notebook(notebook: Any, folder: Path, **settings: Any) -> list[dict[str, Any]]:
    """Execute a notebook in a kernel without the user's files of Jupyter, and return the kernel's messages.

    The test is skipped without Jupyter.
    """
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    messages: list[dict[str, Any]] = []

    class RecordingClient(nbclient.NotebookClient):  # type: ignore[name-defined, misc]
        def process_message(self, message: dict[str, Any], *arguments: Any) -> Any:
            messages.append(message)
            return super().process_message(message, *arguments)

    names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    with patch.dict(os.environ, {name: str(folder / name.lower()) for name in names}):
        RecordingClient(notebook, timeout=HANG_TIMEOUT, **settings).execute()
    return messages


def fake_kernel(monkeypatch: pytest.MonkeyPatch, *, may_prompt: bool = True) -> None:
    """Let this process look like a notebook's kernel."""
    ipython = types.ModuleType("IPython")
    shell = types.SimpleNamespace(kernel=types.SimpleNamespace(_allow_stdin=may_prompt))
    ipython.get_ipython = lambda: shell  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ipython)
