"""What tests of creates with a destination share: one that remembers, and what a portal may be left with."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    import lmtokens
    from lmtokens.sandbox import Portal, Seen, StoredToken

TAG = re.compile(r"lmtokens-1-[0-9a-f]{16}-[0-9]+-[0-9a-f]{32}( .+)?")


class Keeper:
    """A destination that keeps keys as a vault would: only while they may be of use."""

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
        """Which methods were called, in order."""
        return [name for name, _ in self.calls]


def made(portal: Portal, beside: int = 2) -> list[StoredToken]:
    """The tokens that the portal keeps beside its own."""
    return portal.tokens[beside:]


def is_left_over(token: StoredToken) -> bool:
    """Disabled, and under a tag: what may be left behind, and is swept."""
    return token.status == 1 and TAG.fullmatch(token.note) is not None


def assert_nobody_lacks_a_key(portal: Portal, keys: dict[int, str], beside: int = 2) -> None:
    """Each token works and its key is held, or it is disabled and tagged."""
    for token in made(portal, beside):
        if not is_left_over(token):
            assert keys.get(token.id) == token.access_key.reveal(), token


def requests(portal: Portal) -> list[str]:
    """The methods of the requests that the portal saw."""
    return [seen.method for seen in portal.record]


def of_method(portal: Portal, method: str) -> list[Seen]:
    """The requests of one method that the portal saw."""
    return [seen for seen in portal.record if seen.method == method]


def body(seen: Seen) -> dict[str, Any]:
    """What a request said."""
    said: dict[str, Any] = json.loads(seen.body)
    return said


def keys_of(journal: Path) -> dict[int, str]:
    """The keys of a journal's tokens, by id."""
    import lmtokens

    tokens = [entry.token for entry in lmtokens.read_journal(journal) if entry.token is not None]
    return {token.id: token.access_key.reveal() for token in tokens if token.access_key is not None}


def lines_of(journal: Path) -> list[dict[str, Any]]:
    """A journal's lines, its header first."""
    return [json.loads(line) for line in journal.read_text().splitlines()]
