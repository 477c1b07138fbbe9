"""Lists are lazy, paged and complete, whatever total the portal reports."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import lmtokens
import pytest
from api_variants import VARIANTS, api_for
from listing import ALTERNATIVES, create_tokens, token_ids
from lmtokens.sandbox import Portal
from odd_portal import OddPortal

if TYPE_CHECKING:
    from collections.abc import Callable


def queries(portal: Portal) -> list[dict[str, str]]:
    return [{name: values[0] for name, values in parse_qs(seen.query).items()} for seen in portal.record]


class TestPages:
    @pytest.mark.parametrize(
        ("count", "page_size", "requests"),
        [(0, 10, 1), (1, 10, 1), (9, 10, 1), (10, 10, 1), (11, 10, 2), (30, 10, 3), (5, 1, 5), (1_001, 1_000, 2)],
    )
    def test_number_of_requests_is_minimal(self, portal: Portal, count: int, page_size: int, requests: int) -> None:
        created = create_tokens(portal, count)
        assert token_ids(portal.client().list_tokens(32, type="lmv1", page_size=page_size)) == created
        assert [query["size"] for query in queries(portal)] == [str(page_size)] * requests

    @pytest.mark.parametrize(
        ("count", "page_size", "requests"), [(0, 10, 1), (9, 10, 1), (10, 10, 2), (11, 10, 2), (30, 10, 4), (3, 1, 4)]
    )
    def test_list_continues_if_the_total_is_negative(self, count: int, page_size: int, requests: int) -> None:
        with Portal(negative_totals=True) as portal:
            created = create_tokens(portal, count)
            assert token_ids(portal.client().list_tokens(32, type="lmv1", page_size=page_size)) == created
            assert len(portal.record) == requests

    @pytest.mark.parametrize("total", [None, -1, -25, "25", 2.5, [], True])
    @pytest.mark.parametrize("settings", [{}, {"sorts": False}, {"filters": False}])
    def test_list_continues_if_the_total_is_invalid(self, total: Any, settings: dict[str, bool]) -> None:
        with OddPortal(total=total, **settings) as odd, odd.client() as client:
            created = [odd.add("x") for _ in range(25)]
            if not settings.get("sorts", True):
                odd.tokens.reverse()
            assert sorted(token_ids(client.list_tokens(page_size=10))) == created

    @pytest.mark.parametrize("page_size", [1, 2, 999, 1_000])
    @pytest.mark.parametrize("kind", VARIANTS)
    def test_page_size_up_to_the_portals_limit_is_accepted(self, portal: Portal, kind: str, page_size: int) -> None:
        created = create_tokens(portal, 3)
        assert token_ids(api_for(kind, portal).list_tokens(32, page_size=page_size)) == created

    @pytest.mark.parametrize("page_size", [0, 1_001, 2**31])
    @pytest.mark.parametrize("kind", VARIANTS)
    def test_page_size_out_of_range_is_rejected_before_any_request(
        self, portal: Portal, kind: str, page_size: int
    ) -> None:
        with pytest.raises(ValueError, match=r"1.*1000"):
            api_for(kind, portal).list_tokens(page_size=page_size)
        assert portal.record == []

    @pytest.mark.parametrize("page_size", ["10", 10.0, None])
    def test_page_size_that_is_not_an_integer_is_rejected(self, portal: Portal, page_size: Any) -> None:
        with pytest.raises(TypeError):
            portal.client().list_tokens(page_size=page_size)

    def test_pages_are_fetched_on_demand(self, portal: Portal) -> None:
        create_tokens(portal, 25)
        tokens = portal.client().list_tokens(32, type="lmv1", page_size=10)
        assert portal.record == []
        requests = []
        for _ in tokens:
            requests.append(len(portal.record))
        assert requests == [1] * 10 + [2] * 10 + [3] * 5
        assert next(tokens, None) is None
        assert len(portal.record) == 3

    def test_pages_are_fetched_on_demand_by_the_async_api(self, portal: Portal) -> None:
        create_tokens(portal, 25)

        async def main() -> list[int]:
            tokens = portal.async_client().list_tokens(32, type="lmv1", page_size=10)
            await asyncio.sleep(0)
            assert portal.record == []
            return [len(portal.record) async for _ in tokens]

        assert asyncio.run(main()) == [1] * 10 + [2] * 10 + [3] * 5

    def test_user_name_is_looked_up_once(self, portal: Portal) -> None:
        created = create_tokens(portal, 25)
        tokens = portal.client().list_tokens("api-user", page_size=10)
        assert portal.record == []
        assert token_ids(tokens) == created
        paths = [seen.path.removeprefix("/santaba/rest") for seen in portal.record]
        assert paths == ["/setting/admins"] + ["/setting/admins/32/apitokens"] * 4

    def test_listed_token_needs_only_an_id(self) -> None:
        with OddPortal() as odd, odd.client() as client:
            odd.tokens = [{"id": 7}, {"id": 8, "note": None, "status": None, "adminId": None}]
            tokens = list(client.list_tokens())
        assert [(token.id, token.note, token.status) for token in tokens] == [(7, None, None), (8, None, None)]


class TestListedTokens:
    @pytest.mark.parametrize("kind", VARIANTS)
    @pytest.mark.parametrize("type", [None, "lmv1", "bearer", lmtokens.TokenType.BEARER])
    def test_only_the_requested_types_are_listed(self, portal: Portal, kind: str, type: Any) -> None:
        bearers, lmv1s = create_tokens(portal, 3, type="bearer"), create_tokens(portal, 2)
        tokens = list(api_for(kind, portal).list_tokens(32, type=type, page_size=2))
        expected = {None: lmv1s + bearers, "lmv1": lmv1s}.get(type, bearers)
        assert token_ids(tokens) == expected
        assert [token.type == "bearer" for token in tokens] == [token.id in bearers for token in tokens]
        assert all(token.access_key is None for token in tokens)

    @pytest.mark.parametrize("kind", VARIANTS)
    def test_tokens_of_one_user_or_of_all_users(self, portal: Portal, kind: str) -> None:
        api = api_for(kind, portal)
        tokens_of_32, tokens_of_33 = create_tokens(portal, 2), create_tokens(portal, 2, admin_id=33)
        assert token_ids(api.list_tokens(33)) == tokens_of_33
        built_in = [token.id for token in portal.tokens if token.admin_id == 1]
        assert sorted(token_ids(api.list_tokens())) == sorted(built_in + tokens_of_32 + tokens_of_33)

    @pytest.mark.parametrize("kind", VARIANTS)
    def test_unknown_user_raises_not_found(self, portal: Portal, kind: str) -> None:
        with pytest.raises(lmtokens.NotFoundError):
            list(api_for(kind, portal).list_tokens(99))
        with pytest.raises(lmtokens.NotFoundError):
            list(api_for(kind, portal).list_tokens("nosuch"))

    @pytest.mark.parametrize("arguments", [{"type": "api"}, {"admin_id": 0}, {"admin_id": "32"}])
    @pytest.mark.parametrize("kind", VARIANTS)
    def test_invalid_argument_is_rejected_before_any_request(
        self, portal: Portal, kind: str, arguments: dict[str, Any]
    ) -> None:
        with pytest.raises(ValueError, match="expected"):
            api_for(kind, portal).list_tokens(**arguments)
        assert portal.record == []

    @pytest.mark.parametrize("arguments", [{"filter": 7}, {"filter": b"status:1"}, {"type": 1}, {"admin_id": 1.0}])
    def test_argument_of_the_wrong_type_is_rejected(self, portal: Portal, arguments: dict[str, Any]) -> None:
        with pytest.raises(TypeError):
            portal.client().list_tokens(**arguments)

    def test_user_without_view_permission_sees_no_tokens(self, portal: Portal) -> None:
        portal.add_user("blind", id=40, may_view=False)
        own = portal.create_token(40)
        client = portal.client(access_id=own.access_id, access_key=own.access_key)
        assert list(client.list_tokens()) == []

    def test_tokens_created_while_listing_are_listed(self, portal: Portal) -> None:
        created = create_tokens(portal, 10)
        tokens = portal.client().list_tokens(32, type="lmv1", page_size=5)
        first = next(tokens)
        created += create_tokens(portal, 10)
        assert [first.id, *token_ids(tokens)] == created


class TestRawFilters:
    @pytest.mark.parametrize("kind", VARIANTS)
    @pytest.mark.parametrize(
        ("raw", "matches"),
        [
            ("", lambda n: True),
            ('note:"odd"', lambda n: n % 2 == 1),
            ("status:1|2", lambda n: True),
            ('note:"none"', lambda n: False),
            (ALTERNATIVES, lambda n: True),
            ('note:"odd"||note:"none"', lambda n: n % 2 == 1),
            ('note!:"a||b"', lambda n: True),
        ],
    )
    def test_raw_filter_is_sent_unchanged(
        self, portal: Portal, kind: str, raw: str, matches: Callable[[int], bool]
    ) -> None:
        created = create_tokens(portal, 45)
        listed = token_ids(api_for(kind, portal).list_tokens(32, type="lmv1", filter=raw, page_size=10))
        assert listed == [id for n, id in enumerate(created) if matches(n)]
        assert queries(portal)[0].get("filter", "") == raw

    def test_filter_on_the_id_is_paged_completely(self, portal: Portal) -> None:
        created = create_tokens(portal, 45)
        listed = token_ids(portal.client().list_tokens(32, filter=f"id>{created[9]},id<{created[40]}", page_size=10))
        assert listed == created[10:40]

    @pytest.mark.parametrize("page_size", [1, 2, 3, 10])
    def test_filter_with_alternatives_uses_overlapping_pages(self, portal: Portal, page_size: int) -> None:
        created = create_tokens(portal, 25)
        assert (
            token_ids(portal.client().list_tokens(32, type="lmv1", filter=ALTERNATIVES, page_size=page_size)) == created
        )
        reached = 0
        for query in queries(portal):
            offset = int(query["offset"])
            assert offset < reached or offset == reached == 0
            reached = max(reached, offset + int(query["size"]))

    @pytest.mark.parametrize("kind", VARIANTS)
    def test_filter_that_the_portal_rejects_raises_bad_request(self, portal: Portal, kind: str) -> None:
        with pytest.raises(lmtokens.BadRequestError):
            list(api_for(kind, portal).list_tokens(filter="colour:red"))


class TestErrors:
    @pytest.mark.parametrize("raw", [None, ALTERNATIVES])
    def test_list_continues_after_an_error(self, portal: Portal, raw: str | None) -> None:
        created = create_tokens(portal, 25) + create_tokens(portal, 25, type="bearer")
        portal.fail("status-before-acting", status=500, skip=1, times=2)
        portal.fail("garbage", skip=2, times=1)
        portal.fail("status-before-acting", status=403, skip=4, times=1)
        tokens = portal.client().list_tokens(32, filter=raw, page_size=10)
        listed: list[int] = []
        failures = 0
        while True:
            try:
                for token in tokens:
                    listed.append(token.id)
                break
            except lmtokens.LMTokensError:
                failures += 1
        assert (listed, failures) == (created, 4)

    def test_list_continues_after_an_error_on_the_first_page(self, portal: Portal) -> None:
        created = create_tokens(portal, 5)
        portal.fail("status-before-acting", status=500)
        tokens = portal.client().list_tokens("api-user")
        with pytest.raises(lmtokens.ServerError):
            next(tokens)
        assert token_ids(tokens) == created
