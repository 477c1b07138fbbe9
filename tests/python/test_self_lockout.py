"""A client does not disable or delete the token that signs its calls, unless forced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
from api_variants import api_for, credentials_of, modifying_requests, stored_token, token_reference
from support import TOKEN_TYPES

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmtokens.sandbox import Portal, StoredToken


OWN_CHANGES: dict[str, Callable[..., object]] = {
    "delete": lambda api, target, **force: api.delete_token(target, **force),
    "disable": lambda api, target, **force: api.disable_token(target, **force),
    "update": lambda api, target, **force: api.update_token(target, "n", 1, **force),
}


@pytest.mark.parametrize("change", OWN_CHANGES)
class TestSelfLockout:
    def own(self, portal: Portal, variant: str, type: str) -> tuple[lmtokens.Client, StoredToken]:
        token = portal.create_token(1, note="own", type=type)
        return api_for(variant, portal, **credentials_of(token)), token

    @pytest.mark.parametrize(
        ("type", "how"),
        [("lmv1", "id"), ("lmv1", "access id"), ("lmv1", "Token"), ("bearer", "id"), ("bearer", "Token")],
    )
    def test_own_token_is_refused_however_it_is_named(
        self, lmtokens_portal: Portal, variant: str, change: str, type: str, how: str
    ) -> None:
        api, token = self.own(lmtokens_portal, variant, type)
        with pytest.raises(lmtokens.SelfLockoutError) as raised:
            OWN_CHANGES[change](api, token_reference(how, api, token))
        assert "force=True" in str(raised.value.suggestion)
        assert not raised.value.maybe_applied
        assert modifying_requests(lmtokens_portal) == []
        assert api.whoami().status == 2

    @pytest.mark.parametrize("type", TOKEN_TYPES)
    def test_force_applies_the_change(self, lmtokens_portal: Portal, variant: str, change: str, type: str) -> None:
        api, token = self.own(lmtokens_portal, variant, type)
        OWN_CHANGES[change](api, token.id, force=True)
        after = stored_token(lmtokens_portal, token.id)
        assert after is None if change == "delete" else after is not None and after.status == 1
        with pytest.raises(lmtokens.AuthenticationError):
            api.whoami()

    @pytest.mark.parametrize("type", TOKEN_TYPES)
    def test_own_token_returned_by_its_create_is_refused(
        self, lmtokens_portal: Portal, variant: str, change: str, type: str
    ) -> None:
        token = lmtokens_portal.client().add_token(1, type=type)
        own: dict[str, Any] = {"bearer_token": token.access_key}
        if type == "lmv1":
            own = {"access_id": token.access_id, "access_key": token.access_key}
        api = api_for(variant, lmtokens_portal, **own)
        with pytest.raises(lmtokens.SelfLockoutError):
            OWN_CHANGES[change](api, token)

    @pytest.mark.parametrize("type", TOKEN_TYPES)
    def test_own_token_returned_by_an_update_or_a_list_is_refused(
        self, lmtokens_portal: Portal, variant: str, change: str, type: str
    ) -> None:
        api, token = self.own(lmtokens_portal, variant, type)
        changed = api.update_token(token.id, "renamed")
        (listed,) = [one for one in api.list_tokens(1, type=type) if one.id == token.id]
        for target in (changed, listed):
            with pytest.raises(lmtokens.SelfLockoutError):
                OWN_CHANGES[change](api, target)

    @pytest.mark.parametrize("type", TOKEN_TYPES)
    @pytest.mark.parametrize("other_type", TOKEN_TYPES)
    def test_other_tokens_of_the_same_user_may_be_changed(
        self, lmtokens_portal: Portal, variant: str, change: str, type: str, other_type: str
    ) -> None:
        api, _ = self.own(lmtokens_portal, variant, type)
        other = lmtokens_portal.create_token(1, type=other_type)
        OWN_CHANGES[change](api, other.id)
        OWN_CHANGES[change](api, api.add_token(1, type=other_type))
        assert api.whoami().status == 2


def test_own_token_may_be_renamed_and_enabled(lmtokens_portal: Portal, api: lmtokens.Client) -> None:
    own = api.whoami().token
    assert own is not None
    assert api.update_token(own, "renamed").note == "renamed"
    assert api.update_token(own, "again", 2).status == 2
    assert api.enable_token(own).status == 2
