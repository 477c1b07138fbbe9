"""At portals that answer as the embedded one never does, nothing is lost and nothing is mistaken."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from listing import token_ids
from odd_portal import OddPortal

if TYPE_CHECKING:
    from lmtokens.sandbox import Portal


@pytest.mark.parametrize("settings", [{}, {"sorts": False}, {"filters": False}])
def test_list_ends_where_the_total_counts_what_is_not_shown(settings: dict[str, bool]) -> None:
    with OddPortal(total=10**9, **settings) as odd, odd.client() as client:
        made = [odd.add("x") for _ in range(25)]
        if settings:
            odd.tokens.reverse()
        assert sorted(token_ids(client.list_tokens(page_size=10))) == made


@pytest.mark.parametrize("filters", [True, False])
def test_pages_of_one(filters: bool) -> None:
    with OddPortal(filters=filters) as odd, odd.client() as client:
        made = [odd.add("x") for _ in range(5)]
        assert token_ids(client.list_tokens(page_size=1)) == made


@pytest.mark.parametrize("total", [..., -300, None], ids=["true total", "negative total", "no total"])
@pytest.mark.parametrize("page_size", [1, 10, 100])
def test_list_of_a_portal_that_sorts_by_user_first(page_size: int, total: object) -> None:
    # The first pages are sorted by id too, by accident; what comes after them has lower ids.
    with OddPortal(sorts=False, total=total) as odd, odd.client() as client:
        made = [odd.add("x") for _ in range(300)]
        odd.tokens = odd.tokens[200:] + odd.tokens[:200]
        assert sorted(token_ids(client.list_tokens(type="lmv1", page_size=page_size))) == made


def test_change_by_id_keeps_the_type_where_the_portal_does_not_repeat_it() -> None:
    with OddPortal() as odd, odd.client() as client:
        id = odd.add("before", type="bearer")
        assert client.update_token(id, "after").type == "bearer"


def test_user_whom_no_filter_can_name_is_found_among_many(lmtokens_portal: Portal) -> None:
    # Nothing of this name can be asked for safely, and a page holds no more than 1,000 users.
    for _ in range(1_000):
        lmtokens_portal.add_user()
    id = lmtokens_portal.add_user("(+)")
    assert lmtokens_portal.client().add_token("(+)").admin_id == id
