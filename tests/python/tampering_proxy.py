"""A reverse proxy in front of the sandbox that can change requests and responses."""

from __future__ import annotations

import http.client
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Callable
from urllib.parse import urlsplit

import lmtokens
from support import HANG_TIMEOUT, LoopbackServer, RequestHandler

if TYPE_CHECKING:
    from lmtokens.sandbox import Portal


@dataclass
class Exchange:
    """A request and, once there is one, its response."""

    method: str
    path: str
    body: bytes
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    response_body: bytes = b""


def _leave_unchanged(exchange: Exchange) -> None:
    del exchange


class TamperingProxy(LoopbackServer):
    """Forwards requests, and calls ``before`` and ``after``, which may change the exchange or wait.

    Its clients use a bearer token, because a changed request would not match its signature.
    """

    def __init__(
        self,
        portal: Portal,
        *,
        before: Callable[[Exchange], None] = _leave_unchanged,
        after: Callable[[Exchange], None] = _leave_unchanged,
    ) -> None:
        self._portal = portal
        inner = urlsplit(portal.base_url).netloc

        class Handler(RequestHandler):
            def _forward(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                exchange = Exchange(self.command, self.path, body)
                before(exchange)
                passed = {name: value for name, value in self.headers.items() if name.lower() != "content-length"}
                connection = http.client.HTTPConnection(inner, timeout=HANG_TIMEOUT)
                connection.request(exchange.method, exchange.path, exchange.body or None, passed)
                response = connection.getresponse()
                exchange.status, exchange.response_body = response.status, response.read()
                exchange.headers = dict(response.getheaders())
                connection.close()
                after(exchange)
                # Not send_response(), which would add headers such as Date to those of the portal.
                self.send_response_only(exchange.status)
                for name, value in exchange.headers.items():
                    if name.lower() not in {"content-length", "connection", "transfer-encoding"}:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(exchange.response_body)))
                self.end_headers()
                # The client may have closed the connection.
                with suppress(ConnectionError):
                    self.wfile.write(exchange.response_body)

            do_GET = do_POST = do_PATCH = do_DELETE = _forward

        super().__init__(Handler)

    def client(self, **settings: Any) -> lmtokens.Client:
        """Return a client that calls through the proxy as the portal's administrator."""
        return lmtokens.Client(base_url=self.base_url, bearer_token=self._portal.bearer_token, **settings)
