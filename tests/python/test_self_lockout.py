"""A client does not disable or delete the token that signs its calls, unless forced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
from api_variants import api_for, credentials_of, modifying_requests, stored_token, token_reference
from odd_portal import OddPortal
from support import ACCESS_ID, TOKEN_TYPES

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmtokens.sandbox import Portal, StoredToken


OWN_CHANGES: dict[str, Callable[..., object]] = {
    "delete": lambda api, target, **force: api.delete_token(target, **force),
    "disable": lambda api, target, **force: api.disable_token(target, **force),
    "update": lambda api, target, **force: api.update_token(target, "n", 1, **force),
}

OWN_BEARER = "lmb_" + "OwnToken" * 14
OTHER_BEARER = "lmb_" + "Stranger" * 14


def masked(bearer: str, *, clear: int = 20, mask: str = "*") -> str:
    return bearer[:clear] + mask * (len(bearer) - clear)


def client_of(portal: OddPortal, type: str) -> lmtokens.Client:
    if type == "lmv1":
        return portal.client()
    return lmtokens.Client(base_url=portal.base_url, bearer_token=OWN_BEARER)


def changes(portal: OddPortal) -> list[str]:
    return [path for method, path, _ in portal.requests if method != "GET"]


@pytest.mark.parametrize("change", OWN_CHANGES)
class TestSelfLockout:
    def own(self, portal: Portal, variant: str, type: Any) -> tuple[lmtokens.Client, StoredToken]:
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
        self, lmtokens_portal: Portal, variant: str, change: str, type: Any
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
        self, lmtokens_portal: Portal, variant: str, change: str, type: Any
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
        self, lmtokens_portal: Portal, variant: str, change: Any, type: str, other_type: Any
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


@pytest.mark.parametrize("change", OWN_CHANGES)
class TestOddPortals:
    """Portals that do not show what tells the calling token from another."""

    @pytest.mark.parametrize("shown", [None, "", ACCESS_ID, ACCESS_ID.upper(), ACCESS_ID.lower()])
    def test_hidden_or_equal_access_id_is_refused(self, change: str, shown: str | None) -> None:
        with OddPortal() as portal:
            id = portal.add("own")
            portal.tokens[0]["accessId"] = shown
            api = portal.client()
            with pytest.raises(lmtokens.SelfLockoutError) as raised:
                OWN_CHANGES[change](api, id)
            assert changes(portal) == []
            message = "does not show its access id" if not shown else "signs this call"
            assert message in str(raised.value)
            assert "force=True" in str(raised.value.suggestion)
            OWN_CHANGES[change](api, id, force=True)
            assert len(changes(portal)) == 1

    @pytest.mark.parametrize(
        "shown",
        [
            None,
            "",
            "*" * 40,
            "lmb_" + "*" * 40,
            "lmb_" + "x" * 40,
            masked(OWN_BEARER, clear=19),
            masked(OTHER_BEARER, clear=19),
            masked(OTHER_BEARER, clear=10, mask="."),
            OTHER_BEARER[:10] + "…" + OTHER_BEARER[-30:],
            "lmb_aaab..." + OTHER_BEARER[-30:],
            OTHER_BEARER[:10] + "xxxxxx" + OTHER_BEARER[-30:],
            "*" * 20 + OTHER_BEARER[-30:],
            "\N{BULLET}" * 40,
            "0123456789abcdef" * 4,
        ],
    )
    def test_hidden_bearer_token_is_refused(self, change: str, shown: str | None) -> None:
        with OddPortal() as portal:
            id = portal.add("own", type="bearer")
            portal.bearers[0]["accessKey"] = shown
            api = client_of(portal, "bearer")
            with pytest.raises(lmtokens.SelfLockoutError, match="does not show the beginning") as raised:
                OWN_CHANGES[change](api, id)
            assert changes(portal) == []
            assert "force=True" in str(raised.value.suggestion)
            OWN_CHANGES[change](api, id, force=True)
            assert len(changes(portal)) == 1

    @pytest.mark.parametrize("mask", ["*", "x", "\N{BULLET}", "."])
    @pytest.mark.parametrize("clear", [20, 30, 116])
    def test_shown_bearer_token_is_compared(self, change: str, clear: int, mask: str) -> None:
        with OddPortal() as portal:
            own, other = portal.add("own", type="bearer"), portal.add("other", type="bearer")
            for token, bearer in zip(portal.bearers, (OWN_BEARER, OTHER_BEARER)):
                token["accessKey"] = masked(bearer, clear=clear, mask=mask)
            api = client_of(portal, "bearer")
            with pytest.raises(lmtokens.SelfLockoutError, match="signs this call"):
                OWN_CHANGES[change](api, own)
            assert changes(portal) == []
            OWN_CHANGES[change](api, other)
            assert len(changes(portal)) == 1

    def test_repeated_letter_is_no_mask(self, change: str) -> None:
        with OddPortal() as portal:
            other = portal.add("other", type="bearer")
            portal.bearers[0]["accessKey"] = masked("lmb_sandbox-aaab000c" + OTHER_BEARER)
            OWN_CHANGES[change](client_of(portal, "bearer"), other)
            assert len(changes(portal)) == 1

    @pytest.mark.parametrize(("own_type", "other_type"), [("lmv1", "bearer"), ("bearer", "lmv1")])
    def test_token_of_the_other_type_is_never_the_calling_one(
        self, change: str, own_type: str, other_type: str
    ) -> None:
        with OddPortal() as portal:
            id = portal.add("other", type=other_type)
            (token,) = portal.tokens + portal.bearers
            del token["accessId"]
            OWN_CHANGES[change](client_of(portal, own_type), id)
            assert len(changes(portal)) == 1

    def test_own_bearer_token_is_found_in_a_list_that_ignores_the_type(self, change: str) -> None:
        with OddPortal() as portal:
            id = portal.add("own", type="bearer")
            portal.bearers[0]["accessKey"] = masked(OWN_BEARER)
            portal.tokens = portal.bearers
            with pytest.raises(lmtokens.SelfLockoutError):
                OWN_CHANGES[change](client_of(portal, "bearer"), id)
            assert changes(portal) == []

    @pytest.mark.parametrize("type", TOKEN_TYPES)
    def test_copy_of_another_portals_token_does_not_hide_the_calling_one(self, change: str, type: str) -> None:
        with OddPortal() as portal, OddPortal() as other:
            own = portal.add("own", type=type)
            assert other.add("same id", type=type) == own
            own_list, other_list = (each.bearers if type == "bearer" else each.tokens for each in (portal, other))
            other_list[0]["accessKey"] = masked(OTHER_BEARER)
            # Both portals may show no access id for a bearer token.
            own_list[0] |= {"accessId": ACCESS_ID} if type == "lmv1" else {"accessKey": masked(OWN_BEARER)}
            copy = client_of(other, type).find_token(own)
            with pytest.raises((lmtokens.SelfLockoutError, ValueError)):
                OWN_CHANGES[change](client_of(portal, type), copy)
            assert changes(portal) == []

    def test_copy_with_another_access_id_is_rejected(self, change: str) -> None:
        with OddPortal() as portal:
            portal.add("the token to change")
            copy = portal.client().find_token(100)
            portal.tokens[0]["accessId"] = "anotherAccessId00001"
            with pytest.raises(ValueError, match="another access id than the given one"):
                OWN_CHANGES[change](portal.client(), copy)
            assert changes(portal) == []

    def test_copy_of_a_token_that_is_not_visible_needs_force(self, change: str) -> None:
        with OddPortal() as portal:
            portal.add("hidden")
            api = portal.client()
            copy = api.find_token(100)
            hidden, portal.tokens = portal.tokens, []
            with pytest.raises(lmtokens.NotFoundError) as raised:
                OWN_CHANGES[change](api, copy)
            assert "force=True" in str(raised.value.suggestion)
            assert changes(portal) == []
            portal.tokens = hidden
            OWN_CHANGES[change](api, copy, force=True)
            assert len(changes(portal)) == 1


def test_whoami_says_if_the_portal_hides_what_identifies_tokens() -> None:
    with OddPortal() as portal:
        portal.add("own", type="bearer")
        portal.bearers[0]["accessKey"] = "*" * 40
        identity = client_of(portal, "bearer").whoami()
    assert identity.token is None
    assert "does not show what tells their own token from others" in str(identity.limitation)
