"""Helpers for tests of lists: creating many tokens, and deleting some while they are listed."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import lmtokens
    from lmtokens.sandbox import Portal

# A raw filter that cannot be combined with another condition, so that pages overlap. It matches every token of
# `create_tokens`.
ALTERNATIVES = 'note~"even"||note~"odd"'


def create_tokens(portal: Portal, count: int, *, type: Any = "lmv1", admin_id: int = 32) -> list[int]:
    """Create tokens directly in the portal and return their ids."""
    notes = ("even", "odd")
    return [portal.create_token(admin_id, note=notes[n % 2], type=type).id for n in range(count)]


def token_ids(tokens: Iterable[lmtokens.Token]) -> list[int]:
    return [token.id for token in tokens]


class ConcurrentDeletions:
    """Deletes random tokens during a list, and knows which tokens existed throughout."""

    def __init__(self, seed: int, all_ids: Iterable[int], delete: Callable[[int], None], share: float) -> None:
        self.surviving = set(all_ids)
        self.listed: list[int] = []
        self._random = random.Random(seed)
        self._delete = delete
        self._share = share

    def record(self, id: int) -> None:
        self.listed.append(id)
        if self._random.random() < self._share:
            self._delete_one_of([one for one in self.listed[-200:] if one in self.surviving])
        if self._random.random() < self._share:
            self._delete_one_of(sorted(self.surviving.difference(self.listed)))

    def _delete_one_of(self, candidates: list[int]) -> None:
        if candidates:
            id = self._random.choice(candidates)
            self._delete(id)
            self.surviving.discard(id)

    def check(self) -> None:
        assert len(set(self.listed)) == len(self.listed), "some tokens were listed twice"
        assert self.surviving <= set(self.listed), "some tokens that existed throughout are missing"
