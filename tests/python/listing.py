"""What tests of lists share: many tokens, and lists during which some vanish."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import lmtokens
    from lmtokens.sandbox import Portal

# A raw filter that no other condition can be put before, so that pages overlap. Every token of `fill` meets it.
ALTERNATIVES = 'note~"even"||note~"odd"'

UNLIMITED = 1_000_000


def fill(portal: Portal, count: int, *, type: str = "lmv1", admin_id: int = 32) -> list[int]:
    notes = ("even", "odd")
    return [portal.create_token(admin_id, note=notes[n % 2], type=type).id for n in range(count)]


def ids(tokens: Iterable[lmtokens.Token]) -> list[int]:
    return [token.id for token in tokens]


class Chaos:
    """Lists while tokens vanish, and knows which lived throughout."""

    def __init__(self, seed: int, all_ids: Iterable[int], delete: Callable[[int], None], share: float) -> None:
        self.living = set(all_ids)
        self.listed: list[int] = []
        self._random = random.Random(seed)
        self._delete = delete
        self._share = share

    def see(self, id: int) -> None:
        self.listed.append(id)
        if self._random.random() < self._share:
            self._vanish([one for one in self.listed[-200:] if one in self.living])
        if self._random.random() < self._share:
            self._vanish(sorted(self.living.difference(self.listed)))

    def _vanish(self, candidates: list[int]) -> None:
        if candidates:
            id = self._random.choice(candidates)
            self._delete(id)
            self.living.discard(id)

    def check(self) -> None:
        assert len(set(self.listed)) == len(self.listed), "some came twice"
        assert self.living <= set(self.listed), "some that lived throughout are missing"
