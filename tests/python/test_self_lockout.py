"""The token that signs the calls is not disabled or deleted by mistake."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
from api_variants import KINDS, changes, credentials, face, kept, named

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmtokens.sandbox import Portal, StoredToken

TYPES = ["lmv1", "bearer"]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture
def verbs(kind: str, lmtokens_portal: Portal) -> lmtokens.Client:
    return face(kind, lmtokens_portal)


OWN_CHANGES: dict[str, Callable[..., object]] = {
    "delete": lambda verbs, target, **force: verbs.delete_token(target, **force),
    "disable": lambda verbs, target, **force: verbs.disable_token(target, **force),
    "update": lambda verbs, target, **force: verbs.update_token(target, "n", 1, **force),
}


@pytest.mark.parametrize("change", OWN_CHANGES)
class TestSelfLockout:
    def own(self, portal: Portal, kind: str, type: str) -> tuple[lmtokens.Client, StoredToken]:
        token = portal.create_token(1, note="own", type=type)
        return face(kind, portal, **credentials(token)), token

    @pytest.mark.parametrize(
        ("type", "how"),
        [("lmv1", "id"), ("lmv1", "access id"), ("lmv1", "Token"), ("bearer", "id"), ("bearer", "Token")],
    )
    def test_by_any_name_is_refused(self, lmtokens_portal: Portal, kind: str, change: str, type: str, how: str) -> None:
        verbs, token = self.own(lmtokens_portal, kind, type)
        with pytest.raises(lmtokens.SelfLockoutError) as raised:
            OWN_CHANGES[change](verbs, named(how, verbs, token))
        assert "force=True" in str(raised.value.suggestion)
        assert not raised.value.maybe_applied
        assert changes(lmtokens_portal) == []
        assert verbs.whoami().status == 2

    @pytest.mark.parametrize("type", TYPES)
    def test_is_done_by_force(self, lmtokens_portal: Portal, kind: str, change: str, type: str) -> None:
        verbs, token = self.own(lmtokens_portal, kind, type)
        OWN_CHANGES[change](verbs, token.id, force=True)
        after = kept(lmtokens_portal, token.id)
        assert after is None if change == "delete" else after is not None and after.status == 1
        with pytest.raises(lmtokens.AuthenticationError):
            verbs.whoami()

    @pytest.mark.parametrize("type", TYPES)
    def test_by_the_token_as_its_create_told_it(
        self, lmtokens_portal: Portal, kind: str, change: str, type: str
    ) -> None:
        token = lmtokens_portal.client().add_token(1, type=type)
        own: dict[str, Any] = {"bearer_token": token.access_key}
        if type == "lmv1":
            own = {"access_id": token.access_id, "access_key": token.access_key}
        verbs = face(kind, lmtokens_portal, **own)
        with pytest.raises(lmtokens.SelfLockoutError):
            OWN_CHANGES[change](verbs, token)

    @pytest.mark.parametrize("type", TYPES)
    def test_by_the_token_as_a_change_or_a_list_told_it(
        self, lmtokens_portal: Portal, kind: str, change: str, type: str
    ) -> None:
        verbs, token = self.own(lmtokens_portal, kind, type)
        changed = verbs.update_token(token.id, "renamed")
        (listed,) = [one for one in verbs.list_tokens(1, type=type) if one.id == token.id]
        for target in (changed, listed):
            with pytest.raises(lmtokens.SelfLockoutError):
                OWN_CHANGES[change](verbs, target)

    @pytest.mark.parametrize("type", TYPES)
    @pytest.mark.parametrize("other_type", TYPES)
    def test_another_token_of_the_same_user_is_none_of_it(
        self, lmtokens_portal: Portal, kind: str, change: str, type: str, other_type: str
    ) -> None:
        verbs, _ = self.own(lmtokens_portal, kind, type)
        other = lmtokens_portal.create_token(1, type=other_type)
        OWN_CHANGES[change](verbs, other.id)
        OWN_CHANGES[change](verbs, verbs.add_token(1, type=other_type))
        assert verbs.whoami().status == 2


def test_own_token_may_be_renamed_and_enabled(lmtokens_portal: Portal, verbs: lmtokens.Client) -> None:
    own = verbs.whoami().token
    assert own is not None
    assert verbs.update_token(own, "renamed").note == "renamed"
    assert verbs.update_token(own, "again", 2).status == 2
    assert verbs.enable_token(own).status == 2
