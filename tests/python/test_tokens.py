"""Find, change, enable, disable and delete: what each verb asks of the portal, and what it gives back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
from api_variants import api_for, credentials_of, modifying_requests, stored_token, token_reference
from odd_portal import OddPortal
from support import TOKEN_TYPES

if TYPE_CHECKING:
    from lmtokens.sandbox import Portal, Seen

ALL_TOKENS = "/santaba/rest/setting/admins/apitokens"


def one_change(portal: Portal, method: str, path: str) -> Seen:
    (change,) = modifying_requests(portal)
    assert (change.method, change.path, change.query, change.status) == (method, f"/santaba/rest{path}", "", 200)
    return change


class TestFind:
    @pytest.mark.parametrize("type", TOKEN_TYPES)
    def test_by_id(self, lmtokens_portal: Portal, api: lmtokens.Client, type: str) -> None:
        lmtokens_portal.create_token(33, note="other", type=type)
        wanted = lmtokens_portal.create_token(32, note="wanted", type=type)
        found = api.find_token(wanted.id)
        assert (found.id, str(found.type), found.note, found.admin_id) == (wanted.id, type, "wanted", 32)
        assert found.access_key is None

    def test_by_access_id(self, lmtokens_portal: Portal, api: lmtokens.Client) -> None:
        wanted = lmtokens_portal.create_token(32, note="wanted")
        found = api.find_token(wanted.access_id)
        assert (found.id, found.access_id, found.access_key) == (wanted.id, wanted.access_id, None)

    def test_a_token_is_read_again(self, lmtokens_portal: Portal, api: lmtokens.Client) -> None:
        before = api.add_token(32, "before")
        lmtokens_portal.client().update_token(before.id, "after", 1)
        again = api.find_token(before)
        assert (again.id, again.note, again.status) == (before.id, "after", lmtokens.TokenStatus.DISABLED)
        assert again.access_key is None

    def test_of_two_types_is_one_request_each(self, lmtokens_portal: Portal, api: lmtokens.Client) -> None:
        wanted = lmtokens_portal.create_token(type="bearer")
        api.find_token(wanted.id)
        queries = [seen.query for seen in lmtokens_portal.record]
        assert [seen.path for seen in lmtokens_portal.record] == [ALL_TOKENS] * 2
        assert ["type=bearer" in query for query in queries] == [False, True]
        assert all(f"id%3A{wanted.id}" in query or f"id:{wanted.id}" in query for query in queries)

    @pytest.mark.parametrize("missing", [999_999, "noSuchAccessId000001"])
    def test_of_none_is_not_found(self, api: lmtokens.Client, missing: int | str) -> None:
        with pytest.raises(lmtokens.NotFoundError) as raised:
            api.find_token(missing)
        # What stands in the place of an access id may be a key.
        assert "noSuch" not in str(raised.value)

    def test_is_exact_where_the_portal_is_not(self) -> None:
        with OddPortal(filters=False) as portal:
            for note in ("first", "second"):
                portal.add(note)
            second = portal.tokens[-1]
            with portal.client() as client:
                assert client.find_token(second["id"]).note == "second"
                assert client.find_token(second["accessId"]).note == "second"
                with pytest.raises(lmtokens.NotFoundError):
                    client.find_token(999_999)


class TestUpdate:
    @pytest.mark.parametrize("how", ["id", "access id", "Token"])
    def test_by_any_name(self, lmtokens_portal: Portal, api: lmtokens.Client, how: str) -> None:
        token = lmtokens_portal.create_token(33, note="before")
        changed = api.update_token(token_reference(how, api, token), "after")
        assert (changed.id, changed.note, changed.admin_id) == (token.id, "after", 33)
        assert changed.status == 2
        one_change(lmtokens_portal, "PATCH", f"/setting/admins/33/apitokens/{token.id}")

    @pytest.mark.parametrize(
        ("arguments", "body"),
        [
            ({"note": "n"}, {"note": "n"}),
            ({"status": 1}, {"status": 1}),
            ({"status": "enabled"}, {"status": 2}),
            ({"status": lmtokens.TokenStatus.DISABLED}, {"status": 1}),
            ({"note": "ü\u2028\x00🙂", "status": 2}, {"note": "ü\u2028\x00🙂", "status": 2}),
            ({"note": ""}, {"note": ""}),
        ],
    )
    def test_sends_what_is_named_and_no_more(
        self, lmtokens_portal: Portal, api: lmtokens.Client, arguments: dict[str, Any], body: dict[str, Any]
    ) -> None:
        token = lmtokens_portal.create_token(32, note="before", status=1)
        api.update_token(token.id, **arguments)
        change = one_change(lmtokens_portal, "PATCH", f"/setting/admins/32/apitokens/{token.id}")
        assert json.loads(change.body) == body
        after = stored_token(lmtokens_portal, token.id)
        assert after is not None
        assert (after.note, after.status) == (body.get("note", "before"), body.get("status", 1))

    @pytest.mark.parametrize("type", TOKEN_TYPES)
    def test_of_a_note_leaves_a_disabled_token_disabled(
        self, lmtokens_portal: Portal, api: lmtokens.Client, type: str
    ) -> None:
        token = lmtokens_portal.create_token(32, status=1, type=type)
        changed = api.update_token(token.id, "still off")
        assert changed.status == 1
        assert changed.type == type
        assert changed.access_key is None

    def test_of_nothing_is_refused_before_anything_is_sent(self, lmtokens_portal: Portal, api: lmtokens.Client) -> None:
        with pytest.raises(ValueError, match="nothing to change"):
            api.update_token(101)
        with pytest.raises(ValueError, match="nothing to change"):
            api.update_token(101, None, None, force=True)
        assert lmtokens_portal.record == []

    @pytest.mark.parametrize("status", [0, 3, "on", ""])
    def test_to_an_impossible_status_is_refused_before_anything_is_sent(
        self, lmtokens_portal: Portal, api: lmtokens.Client, status: int | str
    ) -> None:
        with pytest.raises(ValueError, match="status"):
            api.update_token(101, "n", status)
        assert lmtokens_portal.record == []

    def test_of_none_is_not_found(self, lmtokens_portal: Portal, api: lmtokens.Client) -> None:
        with pytest.raises(lmtokens.NotFoundError):
            api.update_token(999_999, "n")
        assert modifying_requests(lmtokens_portal) == []

    def test_of_a_token_that_is_gone_is_not_found(self, lmtokens_portal: Portal, api: lmtokens.Client) -> None:
        token = api.add_token(32)
        lmtokens_portal.client().delete_token(token)
        lmtokens_portal.clear_record()
        with pytest.raises(lmtokens.NotFoundError):
            api.update_token(token, "n")
        one = modifying_requests(lmtokens_portal)
        assert [(seen.method, seen.status) for seen in one] == [("PATCH", 404)]

    def test_keeps_the_type_where_the_portal_does_not_repeat_it(self) -> None:
        with OddPortal() as portal:
            id = portal.add("before", type="bearer")
            with portal.client() as client:
                token = client.find_token(id)
                assert token.type == "bearer"
                changed = client.update_token(token, "after")
        assert changed.note == "after"
        assert changed.type == "bearer"

    def test_says_that_it_may_have_been_done_where_no_token_comes_back(self, lmtokens_portal: Portal) -> None:
        token = lmtokens_portal.create_token(32, note="before")
        lmtokens_portal.fail("wrong-shape", method="PATCH")
        with pytest.raises(lmtokens.ResponseError) as raised:
            lmtokens_portal.client().update_token(token.id, "after")
        assert raised.value.maybe_applied


class TestEnableAndDisable:
    @pytest.mark.parametrize("how", ["id", "access id", "Token"])
    def test_change_the_status_only(self, lmtokens_portal: Portal, api: lmtokens.Client, how: str) -> None:
        token = lmtokens_portal.create_token(32, note="kept")
        target = token_reference(how, api, token)
        for change, status in ((api.disable_token, 1), (api.enable_token, 2)):
            lmtokens_portal.clear_record()
            changed = change(target)
            assert (changed.id, changed.note) == (token.id, "kept")
            assert changed.status == status
            seen = one_change(lmtokens_portal, "PATCH", f"/setting/admins/32/apitokens/{token.id}")
            assert json.loads(seen.body) == {"status": status}

    @pytest.mark.parametrize("type", TOKEN_TYPES)
    def test_a_disabled_token_is_refused_until_it_is_enabled(
        self, variant: str, lmtokens_portal: Portal, type: str
    ) -> None:
        token = lmtokens_portal.create_token(32, type=type)
        own = lmtokens_portal.client(**credentials_of(token))
        admin = api_for(variant, lmtokens_portal)
        admin.disable_token(token.id)
        with pytest.raises(lmtokens.AuthenticationError):
            own.whoami()
        admin.enable_token(token.id)
        assert own.whoami().token_id == token.id


class TestDelete:
    @pytest.mark.parametrize("how", ["id", "access id", "Token"])
    def test_by_any_name(self, lmtokens_portal: Portal, api: lmtokens.Client, how: str) -> None:
        token, other = lmtokens_portal.create_token(33), lmtokens_portal.create_token(33)
        target = token_reference(how, api, token)
        assert api.delete_token(target) is None  # type: ignore[func-returns-value]
        seen = one_change(lmtokens_portal, "DELETE", f"/setting/admins/33/apitokens/{token.id}")
        assert seen.body == ""
        assert (stored_token(lmtokens_portal, token.id), stored_token(lmtokens_portal, other.id)) == (None, other)

    def test_a_bearer_token(self, lmtokens_portal: Portal, api: lmtokens.Client) -> None:
        token = api.add_token(32, type="bearer")
        api.delete_token(token)
        assert stored_token(lmtokens_portal, token.id) is None

    def test_of_none_is_not_found(self, lmtokens_portal: Portal, api: lmtokens.Client) -> None:
        with pytest.raises(lmtokens.NotFoundError) as raised:
            api.delete_token(999_999)
        assert not raised.value.maybe_applied
        assert modifying_requests(lmtokens_portal) == []

    def test_of_a_token_that_is_gone_is_not_found(self, lmtokens_portal: Portal, api: lmtokens.Client) -> None:
        token = api.add_token(32)
        api.delete_token(token)
        lmtokens_portal.clear_record()
        with pytest.raises(lmtokens.NotFoundError) as raised:
            api.delete_token(token)
        assert (raised.value.status, raised.value.attempts, raised.value.maybe_applied) == (404, 1, False)
        assert [seen.status for seen in modifying_requests(lmtokens_portal)] == [404]

    @pytest.mark.parametrize(
        "lost", [{"kind": "act-then-close"}, {"kind": "act-then-status", "status": 503}, {"kind": "act-then-html"}]
    )
    def test_whose_answer_was_lost_is_done_when_the_repeat_finds_nothing(
        self, lmtokens_portal: Portal, api: lmtokens.Client, lost: dict[str, Any]
    ) -> None:
        token = api.add_token(32)
        lmtokens_portal.fail(**lost, method="DELETE")
        lmtokens_portal.clear_record()
        api.delete_token(token)
        assert stored_token(lmtokens_portal, token.id) is None
        assert [(seen.applied, seen.status) for seen in modifying_requests(lmtokens_portal)][-1] == (False, 404)
        assert len(modifying_requests(lmtokens_portal)) == 2

    def test_that_was_refused_at_once_is_not_done_when_the_repeat_finds_nothing(self, lmtokens_portal: Portal) -> None:
        # Another may have deleted it, but this call cannot have: a 404 first, so there is no repeat.
        token = lmtokens_portal.client().add_token(32)
        lmtokens_portal.fail("status-before-acting", status=404, method="DELETE")
        with pytest.raises(lmtokens.NotFoundError):
            lmtokens_portal.client().delete_token(token)
        assert stored_token(lmtokens_portal, token.id) is not None
