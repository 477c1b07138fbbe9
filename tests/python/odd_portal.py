"""A portal that ignores sort orders and filters or reports wrong totals, which the sandbox never does."""

from __future__ import annotations

import json
import re
import threading
from typing import Any
from urllib.parse import parse_qs, urlsplit

import lmtokens
from support import ACCESS_ID, ACCESS_KEY, LoopbackServer, RequestHandler


class OddPortal(LoopbackServer):
    """Lists, changes and deletes tokens of user 32, without checking signatures.

    Args:
        sorts: whether it applies ``sort``; if not, it lists in the order of ``tokens``.
        filters: whether it applies ``filter``; it supports ``id:N``, ``id>N`` and ``accessId:"X"``.
        total: the total that every list reports instead of the real one.
    """

    def __init__(self, *, sorts: bool = True, filters: bool = True, total: Any = ...) -> None:
        self.tokens: list[dict[str, Any]] = []
        self.bearers: list[dict[str, Any]] = []
        self.requests: list[tuple[str, str, str | None]] = []
        self.lock = threading.Lock()
        self._sorts, self._filters, self._total = sorts, filters, total
        outer = self

        class Handler(RequestHandler):
            def _reply(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                with outer.lock:
                    outer.requests.append((self.command, self.path, self.headers.get("Authorization")))
                    status, response = outer._respond(self.command, self.path, body)
                reply = json.dumps(response).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            do_GET = do_PATCH = do_DELETE = _reply

        super().__init__(Handler)

    def add(self, note: str, *, type: str = "lmv1") -> int:
        """Add a token with an id above all others, and return the id."""
        id = 100 + len(self.tokens) + len(self.bearers)
        token = {"id": id, "adminId": 32, "note": note, "status": 2, "accessId": f"oddAccessId{id:09}"}
        (self.bearers if type == "bearer" else self.tokens).append(token)
        return id

    def client(self, **settings: Any) -> lmtokens.Client:
        return lmtokens.Client(base_url=self.base_url, access_id=ACCESS_ID, access_key=ACCESS_KEY, **settings)

    def _respond(self, method: str, target: str, body: bytes) -> tuple[int, dict[str, Any]]:
        address = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        if method == "GET":
            return 200, self._page(self.bearers if query.get("type") == "bearer" else self.tokens, query)
        id = int(address.path.rpartition("/")[2])
        for tokens in (self.tokens, self.bearers):
            for token in tokens:
                if token["id"] == id:
                    if method == "PATCH":
                        token.update(json.loads(body))
                        return 200, token
                    tokens.remove(token)
                    return 200, {}
        return 404, {"errorCode": 1404, "errorMessage": "No such API token"}

    def _page(self, tokens: list[dict[str, Any]], query: dict[str, str]) -> dict[str, Any]:
        if self._filters and "filter" in query:
            tokens = [token for token in tokens if _matches(token, query["filter"])]
        if self._sorts and query.get("sort") == "+id":
            tokens = sorted(tokens, key=lambda token: int(token["id"]))
        offset = int(query.get("offset", 0))
        items = tokens[offset : offset + int(query["size"])]
        return {"total": len(tokens) if self._total is ... else self._total, "items": items, "searchId": None}


def _matches(token: dict[str, Any], condition: str) -> bool:
    """Return whether a token matches a filter of one condition."""
    match = re.fullmatch(r'(id|accessId)([:>])"?(\w+)"?', condition)
    assert match, condition
    field, operator, value = match.groups()
    if operator == ">":
        return bool(token[field] > int(value))
    return str(token[field]) == value
