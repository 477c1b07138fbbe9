"""Find, update, enable, disable and delete: the requests that each operation sends, and its result."""

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


def assert_one_change(portal: Portal, method: str, path: str) -> Seen:
    (change,) = modifying_requests(portal)
    assert (change.method, change.path, change.query, change.status) == (method, f"/santaba/rest{path}", "", 200)
    return change


class TestFind:
    @pytest.mark.parametrize("type", TOKEN_TYPES)
    def test_by_id(self, lmtokens_portal: Portal, api: lmtokens.Client, type: Any) -> None:
        lmtokens_portal.create_token(33, note="other", type=type)
        stored = lmtokens_portal.create_token(32, note="ci", type=type)
        found = api.find_token(stored.id)
        assert (found.id, str(found.type), found.note, found.admin_id) == (stored.id, type, "ci", 32)
        assert found.access_key is None

    def test_by_access_id(self, lmtokens_portal: Portal, api: lmtokens.Client) -> None:
        stored = lmtokens_portal.create_token(32, note="ci")
        found = api.find_token(stored.access_id)
        assert (found.id, found.access_id, found.access_key) == (stored.id, stored.access_id, None)

    def test_token_is_read_again(self, lmtokens_portal: Portal, api: lmtokens.Client) -> None:
        before = api.add_token(32, "before")
        lmtokens_portal.client().update_token(before.id, "after", 1)
        again = api.find_token(before)
        assert (again.id, again.note, again.status) == (before.id, "after", lmtokens.TokenStatus.DISABLED)
        assert again.access_key is None

    def test_each_type_is_one_request(self, lmtokens_portal: Portal, api: lmtokens.Client) -> None:
        stored = lmtokens_portal.create_token(type="bearer")
        api.find_token(stored.id)
        queries = [seen.query for seen in lmtokens_portal.record]
        assert [seen.path for seen in lmtokens_portal.record] == [ALL_TOKENS] * 2
        assert ["type=bearer" in query for query in queries] == [False, True]
        assert all(f"id%3A{stored.id}" in query or f"id:{stored.id}" in query for query in queries)

    @pytest.mark.parametrize("missing", [999_999, "noSuchAccessId000001"])
    def test_unknown_token_is_not_found(self, api: lmtokens.Client, missing: int | str) -> None:
        with pytest.raises(lmtokens.NotFoundError) as raised:
            api.find_token(missing)
        # A caller may have passed a key by mistake.
        assert "noSuch" not in str(raised.value)

    def test_result_is_exact_if_the_portal_ignores_filters(self) -> None:
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
    def test_token_by_any_reference(self, lmtokens_portal: Portal, api: lmtokens.Client, how: str) -> None:
        token = lmtokens_portal.create_token(33, note="before")
        changed = api.update_token(token_reference(how, api, token), "after")
        assert (changed.id, changed.note, changed.admin_id) == (token.id, "after", 33)
        assert changed.status == 2
        assert_one_change(lmtokens_portal, "PATCH", f"/setting/admins/33/apitokens/{token.id}")

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
    def test_only_given_members_are_sent(
        self, lmtokens_portal: Portal, api: lmtokens.Client, arguments: dict[str, Any], body: dict[str, Any]
    ) -> None:
        token = lmtokens_portal.create_token(32, note="before", status=1)
        api.update_token(token.id, **arguments)
        change = assert_one_change(lmtokens_portal, "PATCH", f"/setting/admins/32/apitokens/{token.id}")
        assert json.loads(change.body) == body
        after = stored_token(lmtokens_portal, token.id)
        assert after is not None
        assert (after.note, after.status) == (body.get("note", "before"), body.get("status", 1))

    @pytest.mark.parametrize("type", TOKEN_TYPES)
    def test_new_note_leaves_a_disabled_token_disabled(
        self, lmtokens_portal: Portal, api: lmtokens.Client, type: Any
    ) -> None:
        token = lmtokens_portal.create_token(32, status=1, type=type)
        changed = api.update_token(token.id, "still off")
        assert changed.status == 1
        assert changed.type == type
        assert changed.access_key is None

    def test_update_without_changes_is_rejected_before_any_request(
        self, lmtokens_portal: Portal, api: lmtokens.Client
    ) -> None:
        with pytest.raises(ValueError, match="nothing to change"):
            api.update_token(101)
        with pytest.raises(ValueError, match="nothing to change"):
            api.update_token(101, None, None, force=True)
        assert lmtokens_portal.record == []

    @pytest.mark.parametrize("status", [0, 3, "on", ""])
    def test_invalid_status_is_rejected_before_any_request(
        self, lmtokens_portal: Portal, api: lmtokens.Client, status: Any
    ) -> None:
        with pytest.raises(ValueError, match="status"):
            api.update_token(101, "n", status)
        assert lmtokens_portal.record == []

    def test_unknown_token_is_not_found(self, lmtokens_portal: Portal, api: lmtokens.Client) -> None:
        with pytest.raises(lmtokens.NotFoundError):
            api.update_token(999_999, "n")
        assert modifying_requests(lmtokens_portal) == []

    def test_deleted_token_is_not_found(self, lmtokens_portal: Portal, api: lmtokens.Client) -> None:
        token = api.add_token(32)
        lmtokens_portal.client().delete_token(token)
        lmtokens_portal.clear_record()
        with pytest.raises(lmtokens.NotFoundError):
            api.update_token(token, "n")
        one = modifying_requests(lmtokens_portal)
        assert [(seen.method, seen.status) for seen in one] == [("PATCH", 404)]

    def test_type_is_kept_if_the_response_omits_it(self) -> None:
        with OddPortal() as portal:
            id = portal.add("before", type="bearer")
            with portal.client() as client:
                token = client.find_token(id)
                assert token.type == "bearer"
                changed = client.update_token(token, "after")
        assert changed.note == "after"
        assert changed.type == "bearer"

    def test_response_without_a_token_is_maybe_applied(self, lmtokens_portal: Portal) -> None:
        token = lmtokens_portal.create_token(32, note="before")
        lmtokens_portal.fail("wrong-shape", method="PATCH")
        with pytest.raises(lmtokens.ResponseError) as raised:
            lmtokens_portal.client().update_token(token.id, "after")
        assert raised.value.maybe_applied


class TestEnableAndDisable:
    @pytest.mark.parametrize("how", ["id", "access id", "Token"])
    def test_only_the_status_changes(self, lmtokens_portal: Portal, api: lmtokens.Client, how: str) -> None:
        token = lmtokens_portal.create_token(32, note="kept")
        target = token_reference(how, api, token)
        for change, status in ((api.disable_token, 1), (api.enable_token, 2)):
            lmtokens_portal.clear_record()
            changed = change(target)
            assert (changed.id, changed.note) == (token.id, "kept")
            assert changed.status == status
            seen = assert_one_change(lmtokens_portal, "PATCH", f"/setting/admins/32/apitokens/{token.id}")
            assert json.loads(seen.body) == {"status": status}

    @pytest.mark.parametrize("type", TOKEN_TYPES)
    def test_disabled_token_is_rejected_until_it_is_enabled(
        self, variant: str, lmtokens_portal: Portal, type: Any
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
    def test_token_by_any_reference(self, lmtokens_portal: Portal, api: lmtokens.Client, how: str) -> None:
        token, other = lmtokens_portal.create_token(33), lmtokens_portal.create_token(33)
        target = token_reference(how, api, token)
        assert api.delete_token(target) is None  # type: ignore[func-returns-value]
        seen = assert_one_change(lmtokens_portal, "DELETE", f"/setting/admins/33/apitokens/{token.id}")
        assert seen.body == ""
        assert (stored_token(lmtokens_portal, token.id), stored_token(lmtokens_portal, other.id)) == (None, other)

    def test_bearer_token(self, lmtokens_portal: Portal, api: lmtokens.Client) -> None:
        token = api.add_token(32, type="bearer")
        api.delete_token(token)
        assert stored_token(lmtokens_portal, token.id) is None

    def test_unknown_token_is_not_found(self, lmtokens_portal: Portal, api: lmtokens.Client) -> None:
        with pytest.raises(lmtokens.NotFoundError) as raised:
            api.delete_token(999_999)
        assert not raised.value.maybe_applied
        assert modifying_requests(lmtokens_portal) == []

    def test_deleted_token_is_not_found(self, lmtokens_portal: Portal, api: lmtokens.Client) -> None:
        token = api.add_token(32)
        api.delete_token(token)
        lmtokens_portal.clear_record()
        with pytest.raises(lmtokens.NotFoundError):
            api.delete_token(token)
        assert modifying_requests(lmtokens_portal) == []
        with pytest.raises(lmtokens.NotFoundError) as raised:
            api.delete_token(token, force=True)
        assert (raised.value.status, raised.value.attempts, raised.value.maybe_applied) == (404, 1, False)
        assert [seen.status for seen in modifying_requests(lmtokens_portal)] == [404]

    @pytest.mark.parametrize(
        "lost", [{"kind": "act-then-close"}, {"kind": "act-then-status", "status": 503}, {"kind": "act-then-html"}]
    )
    def test_retry_that_finds_no_token_succeeds_after_a_lost_response(
        self, lmtokens_portal: Portal, api: lmtokens.Client, lost: dict[str, Any]
    ) -> None:
        token = api.add_token(32)
        lmtokens_portal.fail(**lost, method="DELETE")
        lmtokens_portal.clear_record()
        api.delete_token(token)
        assert stored_token(lmtokens_portal, token.id) is None
        assert [(seen.applied, seen.status) for seen in modifying_requests(lmtokens_portal)][-1] == (False, 404)
        assert len(modifying_requests(lmtokens_portal)) == 2

    def test_first_404_is_not_retried(self, lmtokens_portal: Portal) -> None:
        # Another client may have deleted the token, but this call has not.
        token = lmtokens_portal.client().add_token(32)
        lmtokens_portal.fail("status-before-acting", status=404, method="DELETE")
        with pytest.raises(lmtokens.NotFoundError):
            lmtokens_portal.client().delete_token(token)
        assert stored_token(lmtokens_portal, token.id) is not None
