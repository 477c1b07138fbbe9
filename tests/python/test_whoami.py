"""whoami: everything that the credentials may see, and modesty about the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
from api_variants import api_for, credentials_of
from support import ACCESS_ID, ACCESS_KEY, TOKEN_TYPES

if TYPE_CHECKING:
    from lmtokens.sandbox import Portal


class TestWhoami:
    @pytest.fixture(params=TOKEN_TYPES)
    def type(self, request: pytest.FixtureRequest) -> str:
        chosen: str = request.param
        return chosen

    def test_knows_token_and_owner(self, variant: str, lmtokens_portal: Portal, type: str) -> None:
        lmtokens_portal.add_user("robot", id=40, roles=["one", "two"])
        lmtokens_portal.create_token(40, type=type)
        own = lmtokens_portal.create_token(40, note="own", type=type)
        who = api_for(variant, lmtokens_portal, **credentials_of(own)).whoami()
        assert (who.token_id, who.admin_id, who.admin_name) == (own.id, 40, "robot")
        assert (who.roles, who.user_permission) == (["one", "two"], "write")
        assert who.status == 2
        assert who.credentials == {"lmv1": "LMv1", "bearer": "bearer"}[type]
        assert (who.credentials_from, who.portal_from) == ("arguments", "arguments")
        assert (who.base_url, who.company) == (lmtokens_portal.base_url, lmtokens_portal.company)
        assert (who.limitation, who.ignored_sources) == (None, [])
        assert who.token is not None
        assert (who.token.note, who.token.access_key) == ("own", None)

    def test_names_the_variables_that_gave_the_credentials(self, lmtokens_portal: Portal) -> None:
        who = lmtokens.whoami()
        assert who.credentials_from == "environment (LM_ACCESS_ID, LM_ACCESS_KEY)"
        assert who.portal_from.startswith("environment (LM_")

    def test_names_the_variables_that_were_passed_over(
        self, lmtokens_portal: Portal, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("LM_BEARER_TOKEN", lmtokens_portal.bearer_token.reveal())
        who = lmtokens.whoami()
        assert (who.credentials, who.ignored_sources) == ("LMv1", ["LM_BEARER_TOKEN"])

    def test_of_a_viewer_sees_all_and_may_change_nothing(
        self, variant: str, lmtokens_portal: Portal, type: str
    ) -> None:
        own = lmtokens_portal.create_token(33, type=type)
        api = api_for(variant, lmtokens_portal, **credentials_of(own))
        who = api.whoami()
        assert (who.token_id, who.admin_id, who.admin_name) == (own.id, 33, "viewer")
        assert (who.user_permission, who.limitation) == ("read", None)
        with pytest.raises(lmtokens.PermissionDeniedError):
            api.add_token(32)
        with pytest.raises(lmtokens.PermissionDeniedError):
            api.update_token(own.id, "mine")

    def test_is_modest_where_tokens_may_not_be_viewed(self, variant: str, lmtokens_portal: Portal, type: str) -> None:
        lmtokens_portal.add_user("blind", id=40, may_view=False)
        own = lmtokens_portal.create_token(40, type=type)
        who = api_for(variant, lmtokens_portal, **credentials_of(own)).whoami()
        assert (who.token, who.token_id, who.admin_id, who.status, who.roles) == (None, None, None, None, [])
        assert who.credentials_from == "arguments"
        assert who.limitation is not None
        assert "may not view" in who.limitation

    def test_is_modest_where_the_list_is_refused(self, variant: str, lmtokens_portal: Portal, type: str) -> None:
        own = lmtokens_portal.create_token(32, type=type)
        lmtokens_portal.fail("status-before-acting", status=403, code=1403, message="keep out")
        who = api_for(variant, lmtokens_portal, **credentials_of(own)).whoami()
        assert who.token is None
        assert who.limitation is not None
        assert "keep out" in who.limitation

    @pytest.mark.parametrize(
        "wrong",
        [
            {"access_id": ACCESS_ID, "access_key": ACCESS_KEY},
            {"bearer_token": "lmb_unit-test-bearer-that-opens-nothing"},
        ],
    )
    def test_of_wrong_credentials_fails(self, variant: str, lmtokens_portal: Portal, wrong: dict[str, Any]) -> None:
        with pytest.raises(lmtokens.AuthenticationError):
            api_for(variant, lmtokens_portal, **wrong).whoami()
        # Repeated failures lock a token.
        assert len(lmtokens_portal.record) == 1

    def test_of_a_failing_portal_fails(self, lmtokens_portal: Portal, api: lmtokens.Client) -> None:
        lmtokens_portal.fail("status-before-acting", status=500)
        with pytest.raises(lmtokens.ServerError):
            api.whoami()

    def test_finds_a_bearer_token_beyond_the_first_page(self, lmtokens_portal: Portal) -> None:
        for _ in range(1_000):
            lmtokens_portal.create_token(type="bearer")
        own = lmtokens_portal.create_token(type="bearer")
        who = lmtokens_portal.client(**credentials_of(own)).whoami()
        assert who.token_id == own.id

    def test_shows_no_credential(self, lmtokens_portal: Portal, type: str) -> None:
        own = lmtokens_portal.create_token(type=type)
        who = lmtokens_portal.client(**credentials_of(own)).whoami()
        shown = repr(who) + str(who) + repr(who.token)
        assert own.access_key.reveal() not in shown
        assert own.access_key.reveal()[4:] not in shown
