"""Operations are correct at portals that sort, filter or count differently from the sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from listing import token_ids
from odd_portal import OddPortal

if TYPE_CHECKING:
    from lmtokens.sandbox import Portal


@pytest.mark.parametrize("settings", [{}, {"sorts": False}, {"filters": False}])
def test_list_ends_if_the_total_is_too_high(settings: dict[str, bool]) -> None:
    with OddPortal(total=10**9, **settings) as odd, odd.client() as client:
        created = [odd.add("x") for _ in range(25)]
        if settings:
            odd.tokens.reverse()
        assert sorted(token_ids(client.list_tokens(page_size=10))) == created


@pytest.mark.parametrize("filters", [True, False])
def test_pages_of_one_token(filters: bool) -> None:
    with OddPortal(filters=filters) as odd, odd.client() as client:
        created = [odd.add("x") for _ in range(5)]
        assert token_ids(client.list_tokens(page_size=1)) == created


@pytest.mark.parametrize("total", [..., -300, None], ids=["true total", "negative total", "no total"])
@pytest.mark.parametrize("page_size", [1, 10, 100])
def test_list_is_complete_if_the_portal_sorts_by_user_first(page_size: int, total: object) -> None:
    # The first pages happen to be sorted by id; later pages have lower ids.
    with OddPortal(sorts=False, total=total) as odd, odd.client() as client:
        created = [odd.add("x") for _ in range(300)]
        odd.tokens = odd.tokens[200:] + odd.tokens[:200]
        assert sorted(token_ids(client.list_tokens(type="lmv1", page_size=page_size))) == created


def test_update_by_id_keeps_the_type_if_the_response_omits_it() -> None:
    with OddPortal() as odd, odd.client() as client:
        id = odd.add("before", type="bearer")
        assert client.update_token(id, "after").type == "bearer"


def test_user_name_that_a_filter_cannot_express_is_found(lmtokens_portal: Portal) -> None:
    # No part of this name is safe in a filter, and a page holds at most 1,000 users.
    for _ in range(1_000):
        lmtokens_portal.add_user()
    id = lmtokens_portal.add_user("(+)")
    assert lmtokens_portal.client().add_token("(+)").admin_id == id
