"""Helpers for tests of creates with a destination and of bulk runs."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

from support import HANG_TIMEOUT

if TYPE_CHECKING:
    from pathlib import Path

    import lmtokens
    from lmtokens.sandbox import Portal, Seen, StoredToken

TAG = re.compile(r"lmtokens-2-[0-9a-f]{16}-[0-9]+-[0-9a-f]{32}(?:-e[0-9]+)?-[0-9a-f]{16}( .+)?")


def tag_for(note: str = "", *, seconds: float, run: str = "0123456789abcdef", random: str = "0" * 31 + "1") -> str:
    """Return the tag of a token whose final note is ``note``. ``random`` may be followed by the tag's expiry."""
    unchecked = f"lmtokens-2-{run}-{int(seconds)}-{random}"
    check = hashlib.sha256(f"{unchecked} {' '.join(note.split())}".encode()).hexdigest()[:16]
    return f"{unchecked}-{check}"


def marked_token(portal: Portal, parts: str, note: str = "ci", **members: Any) -> StoredToken:
    """Store a token whose note has a marker with these parts."""
    token = portal.create_token(members.pop("admin_id", 32), **members)
    edit_token(portal, token, note=f"[lmtokens {token.id} {parts}] {note}".rstrip(" "))
    return next(stored for stored in portal.tokens if stored.id == token.id)


def edit_token(portal: Portal, token: StoredToken, **changes: Any) -> None:
    """Change a token as an administrator does in the portal. The public API does not accept a tag in a note."""
    url = f"{portal.base_url}/setting/admins/{token.admin_id}/apitokens/{token.id}"
    headers = {"Authorization": f"Bearer {portal.bearer_token.reveal()}", "X-Version": "3"}
    body = json.dumps(changes).encode()
    request = Request(url, body, {**headers, "Content-Type": "application/json"}, method="PATCH")
    with urlopen(request, timeout=HANG_TIMEOUT) as response:
        assert response.status == 200


class RecordingDestination:
    """A destination that records its calls and keeps each key until it is discarded."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int]] = []
        self.keys: dict[int, str] = {}

    def deliver(self, token: lmtokens.Token) -> None:
        assert token.access_key is not None
        self.calls.append(("deliver", token.id))
        self.keys[token.id] = token.access_key.reveal()

    def commit(self, token: lmtokens.Token) -> None:
        self.calls.append(("commit", token.id))

    def discard(self, token: lmtokens.Token) -> None:
        self.calls.append(("discard", token.id))
        del self.keys[token.id]

    @property
    def names(self) -> list[str]:
        """The methods that were called, in order."""
        return [name for name, _ in self.calls]


def created_tokens(portal: Portal, skip: int = 2) -> list[StoredToken]:
    """Return the portal's tokens without its built-in ones."""
    return portal.tokens[skip:]


def is_pending(token: StoredToken) -> bool:
    """Return whether a token is disabled and tagged, so that a sweep deletes it if it was left behind."""
    return token.status == 1 and TAG.fullmatch(token.note) is not None


def assert_no_key_is_lost(portal: Portal, keys: dict[int, str], skip: int = 2) -> None:
    """Assert that ``keys`` has the key of every created token that is not pending."""
    for token in created_tokens(portal, skip):
        if not is_pending(token):
            assert keys.get(token.id) == token.access_key.reveal(), token


def request_methods(portal: Portal) -> list[str]:
    """Return the methods of the requests that the portal saw, in order."""
    return [seen.method for seen in portal.record]


def requests_with_method(portal: Portal, method: str) -> list[Seen]:
    """Return the requests with this method that the portal saw, in order."""
    return [seen for seen in portal.record if seen.method == method]


def json_body(seen: Seen) -> dict[str, Any]:
    """Return the decoded body of a request."""
    body: dict[str, Any] = json.loads(seen.body)
    return body


def keys_in_journal(journal: Path) -> dict[int, str]:
    """Return the keys in a journal by token id."""
    import lmtokens

    tokens = [entry.token for entry in lmtokens.read_journal(journal) if entry.token is not None]
    return {token.id: token.access_key.reveal() for token in tokens if token.access_key is not None}


def sealed(lines: list[dict[str, Any]]) -> str:
    """Return a journal of these lines, the header first, with the seals that anyone who can write it can compute."""
    text = ""
    for number, line in enumerate(lines, 1):
        members = {name: value for name, value in line.items() if name not in ("line", "check")}
        body = json.dumps({**members, "line": number}, separators=(",", ":"))[:-1]
        check = hashlib.sha256((lines[0]["run"] + body).encode()).hexdigest()[:16]
        text += f'{body},"check":"{check}"}}\n'
    return text


def journal_lines(journal: Path) -> list[dict[str, Any]]:
    """Return the decoded lines of a journal, the header first."""
    return [json.loads(line) for line in journal.read_text().splitlines()]
