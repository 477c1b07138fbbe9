"""``whoami`` reports everything that the credentials may see, and why the rest is missing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
from api_variants import api_for, credentials_of
from support import ACCESS_ID, ACCESS_KEY, TOKEN_TYPES, run_shell

if TYPE_CHECKING:
    from lmtokens.sandbox import Portal


class TestWhoami:
    @pytest.fixture(params=TOKEN_TYPES)
    def type(self, request: pytest.FixtureRequest) -> str:
        chosen: str = request.param
        return chosen

    def test_token_and_owner_are_known(self, variant: str, lmtokens_portal: Portal, type: Any) -> None:
        lmtokens_portal.add_user("robot", id=40, roles=["one", "two"])
        lmtokens_portal.create_token(40, type=type)
        own = lmtokens_portal.create_token(40, note="own", type=type)
        identity = api_for(variant, lmtokens_portal, **credentials_of(own)).whoami()
        assert (identity.token_id, identity.admin_id, identity.admin_name) == (own.id, 40, "robot")
        assert (identity.roles, identity.user_permission) == (["one", "two"], "write")
        assert identity.status == 2
        assert identity.credentials == {"lmv1": "LMv1", "bearer": "bearer"}[type]
        assert (identity.credentials_from, identity.portal_from) == ("arguments", "arguments")
        assert (identity.base_url, identity.company) == (lmtokens_portal.base_url, lmtokens_portal.company)
        assert (identity.limitation, identity.ignored_sources) == (None, [])
        assert identity.token is not None
        assert (identity.token.note, identity.token.access_key) == ("own", None)

    def test_dict_is_what_the_shell_prints(self, lmtokens_portal: Portal, type: Any) -> None:
        own = lmtokens_portal.create_token(note="own", type=type)
        variables = {"LM_ACCESS_ID": own.access_id, "LM_ACCESS_KEY": own.access_key.reveal()}
        if type == "bearer":
            variables = {"LM_ACCESS_ID": "", "LM_ACCESS_KEY": "", "LM_BEARER_TOKEN": own.access_key.reveal()}
        printed = json.loads(run_shell("whoami", "-o", "json", environment=variables).stdout)
        members = lmtokens_portal.client(**credentials_of(own)).whoami().to_dict()
        assert list(members) == list(printed)
        assert {"portal_from", "credentials_from"} == {name for name in members if members[name] != printed[name]}
        assert (members["note"], members["status"], members["expires"]) == ("own", 2, None)
        assert own.access_key.reveal() not in json.dumps(members)

    def test_source_of_the_credentials_is_named(self, lmtokens_portal: Portal) -> None:
        identity = lmtokens.whoami()
        assert identity.credentials_from == "environment (LM_ACCESS_ID, LM_ACCESS_KEY)"
        assert identity.portal_from.startswith("environment (LM_")

    def test_ignored_variables_are_named(self, lmtokens_portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LM_BEARER_TOKEN", lmtokens_portal.bearer_token.reveal())
        identity = lmtokens.whoami()
        assert (identity.credentials, identity.ignored_sources) == ("LMv1", ["LM_BEARER_TOKEN"])

    def test_viewer_sees_the_token_but_cannot_change_it(self, variant: str, lmtokens_portal: Portal, type: Any) -> None:
        own = lmtokens_portal.create_token(33, type=type)
        api = api_for(variant, lmtokens_portal, **credentials_of(own))
        identity = api.whoami()
        assert (identity.token_id, identity.admin_id, identity.admin_name) == (own.id, 33, "viewer")
        assert (identity.user_permission, identity.limitation) == ("read", None)
        with pytest.raises(lmtokens.PermissionDeniedError):
            api.add_token(32)
        with pytest.raises(lmtokens.PermissionDeniedError):
            api.update_token(own.id, "mine")

    def test_limitation_if_tokens_may_not_be_viewed(self, variant: str, lmtokens_portal: Portal, type: Any) -> None:
        lmtokens_portal.add_user("blind", id=40, may_view=False)
        own = lmtokens_portal.create_token(40, type=type)
        identity = api_for(variant, lmtokens_portal, **credentials_of(own)).whoami()
        assert (identity.token, identity.token_id, identity.admin_id, identity.status, identity.roles) == (
            None,
            None,
            None,
            None,
            [],
        )
        assert identity.credentials_from == "arguments"
        assert identity.limitation is not None
        assert "permission to view" in identity.limitation

    def test_limitation_if_the_list_is_rejected(self, variant: str, lmtokens_portal: Portal, type: Any) -> None:
        own = lmtokens_portal.create_token(32, type=type)
        lmtokens_portal.fail("status-before-acting", status=403, code=1403, message="keep out")
        identity = api_for(variant, lmtokens_portal, **credentials_of(own)).whoami()
        assert identity.token is None
        assert identity.limitation is not None
        assert "keep out" in identity.limitation

    @pytest.mark.parametrize(
        "credentials",
        [
            {"access_id": ACCESS_ID, "access_key": ACCESS_KEY},
            {"bearer_token": "lmb_unit-test-bearer-that-opens-nothing"},
        ],
    )
    def test_wrong_credentials_are_rejected(
        self, variant: str, lmtokens_portal: Portal, credentials: dict[str, Any]
    ) -> None:
        with pytest.raises(lmtokens.AuthenticationError):
            api_for(variant, lmtokens_portal, **credentials).whoami()
        # Not retried: repeated failures lock a token.
        assert len(lmtokens_portal.record) == 1

    def test_server_error_is_raised(self, lmtokens_portal: Portal, api: lmtokens.Client) -> None:
        lmtokens_portal.fail("status-before-acting", status=500)
        with pytest.raises(lmtokens.ServerError):
            api.whoami()

    def test_bearer_token_beyond_the_first_page_is_found(self, lmtokens_portal: Portal) -> None:
        for _ in range(1_000):
            lmtokens_portal.create_token(type="bearer")
        own = lmtokens_portal.create_token(type="bearer")
        identity = lmtokens_portal.client(**credentials_of(own)).whoami()
        assert identity.token_id == own.id

    def test_repr_shows_no_credential(self, lmtokens_portal: Portal, type: Any) -> None:
        own = lmtokens_portal.create_token(type=type)
        identity = lmtokens_portal.client(**credentials_of(own)).whoami()
        shown = repr(identity) + str(identity) + repr(identity.token)
        assert own.access_key.reveal() not in shown
        assert own.access_key.reveal()[4:] not in shown
