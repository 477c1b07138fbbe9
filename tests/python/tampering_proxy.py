"""A portal that changes what passes: it stands before the embedded one, and a test says what it does on the way."""

from __future__ import annotations

import http.client
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Callable
from urllib.parse import urlsplit

import lmtokens
from support import PATIENCE

if TYPE_CHECKING:
    from types import TracebackType

    from lmtokens.sandbox import Portal


@dataclass
class Exchange:
    """A request, and its answer as soon as there is one."""

    method: str
    path: str
    body: bytes
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    answer: bytes = b""


def _nothing(exchange: Exchange) -> None:
    del exchange


class Meddler:
    """Passes requests on, and calls ``before`` and ``after``, which may change them. They may wait, too.

    Its clients are bearers: a signature would tell that a request was changed.
    """

    def __init__(
        self,
        portal: Portal,
        *,
        before: Callable[[Exchange], None] = _nothing,
        after: Callable[[Exchange], None] = _nothing,
    ) -> None:
        self._portal = portal
        inner = urlsplit(portal.base_url).netloc

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def _pass_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                exchange = Exchange(self.command, self.path, body)
                before(exchange)
                passed = {name: value for name, value in self.headers.items() if name.lower() != "content-length"}
                connection = http.client.HTTPConnection(inner, timeout=PATIENCE)
                connection.request(exchange.method, exchange.path, exchange.body or None, passed)
                answer = connection.getresponse()
                exchange.status, exchange.answer = answer.status, answer.read()
                exchange.headers = dict(answer.getheaders())
                connection.close()
                after(exchange)
                # The names that the base class would send of its own accord, such as Date, are the portal's business.
                self.send_response_only(exchange.status)
                for name, value in exchange.headers.items():
                    if name.lower() not in {"content-length", "connection", "transfer-encoding"}:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(exchange.answer)))
                self.end_headers()
                # Whoever gave the request up has hung up.
                with suppress(ConnectionError):
                    self.wfile.write(exchange.answer)

            do_GET = do_POST = do_PATCH = do_DELETE = _pass_on

            def log_message(self, format: str, *args: object) -> None:
                """Standard error is for what is tested."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/santaba/rest"

    def client(self, **settings: Any) -> lmtokens.Client:
        """A client of the portal behind it, as its administrator."""
        return lmtokens.Client(base_url=self.base_url, bearer_token=self._portal.bearer_token, **settings)

    def __enter__(self) -> Meddler:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(PATIENCE)
