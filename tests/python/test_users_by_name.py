"""A user name refers to exactly that user, whatever it means in the portal's filter grammar."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import lmtokens
import pytest
from api_variants import modifying_requests
from support import ACCESS_ID, ACCESS_KEY, StubServer

if TYPE_CHECKING:
    from lmtokens.sandbox import Portal

DIFFICULT_NAMES = [
    "o'brien",
    'say "hi"',
    "a,b",
    "a|b",
    "a||b",
    "[x]",
    "(x)",
    "back\\slash",
    "star*star",
    "*",
    "$&#",
    "a:b~c",
    "x@example.invalid",
    "ünïcode",
    "日本",
    "🙂",
    " leading",
    "trailing ",
    "tab\tbed",
    "line\nbreak",
    "%2C%22",
    "a+b",
    "32x",
]


class TestUsersByName:
    @pytest.mark.parametrize("name", DIFFICULT_NAMES)
    def test_name_refers_to_exactly_that_user(self, lmtokens_portal: Portal, name: str) -> None:
        # Names that the portal's grammar could confuse with this one.
        for decoy in (name.upper() + "-", "x" + name, name + "x", name.translate(dict.fromkeys(range(33, 48), "Z"))):
            if decoy != name:
                lmtokens_portal.add_user(decoy)
        id = lmtokens_portal.add_user(name)
        lmtokens_portal.add_user(name.swapcase() + " ")
        token = lmtokens_portal.client().add_token(name, "named")
        assert token.admin_id == id
        assert [one.id for one in lmtokens_portal.client().list_tokens(name)] == [token.id]

    def test_every_api_accepts_a_name(self, api: lmtokens.Client) -> None:
        assert api.add_token("api-user", "named").admin_id == 32
        assert [token.note for token in api.list_tokens("api-user")] == ["named"]

    @pytest.mark.parametrize("name", ["nosuch", "API-USER", "api-use", "api-user ", "api*", "*", "0x20"])
    def test_unknown_name_is_not_found(self, lmtokens_portal: Portal, api: lmtokens.Client, name: str) -> None:
        with pytest.raises(lmtokens.NotFoundError):
            api.add_token(name)
        assert modifying_requests(lmtokens_portal) == []

    @pytest.mark.parametrize("name", ["32", "0", "-32", " 32", "32.0", "٣٢", "３２", "", " ", "\t\n"])
    def test_invalid_name_is_rejected_before_any_request(
        self, lmtokens_portal: Portal, api: lmtokens.Client, name: str
    ) -> None:
        with pytest.raises(ValueError, match="admin_id"):
            api.add_token(name)
        with pytest.raises(ValueError, match="admin_id"):
            next(iter(api.list_tokens(name)), None)
        assert lmtokens_portal.record == []

    def test_user_is_looked_up_before_the_create(self, lmtokens_portal: Portal, api: lmtokens.Client) -> None:
        api.add_token("api-user")
        assert [(seen.method, seen.path) for seen in lmtokens_portal.record] == [
            ("GET", "/santaba/rest/setting/admins"),
            ("POST", "/santaba/rest/setting/admins/32/apitokens"),
        ]

    def test_failed_look_up_is_not_an_unknown_outcome(self, lmtokens_portal: Portal) -> None:
        lmtokens_portal.fail("status-before-acting", method="GET")
        with pytest.raises(lmtokens.ServerError) as raised:
            lmtokens_portal.client().add_token("api-user")
        assert not raised.value.maybe_applied


def test_list_of_users_without_an_end_is_an_error() -> None:
    """The portal ignores filter and offset: every page is the same and full."""
    page = {"total": -1, "items": [{"id": id, "username": f"user{id}"} for id in range(1, 1001)]}
    with StubServer(json.dumps(page).encode()) as server:
        client = lmtokens.Client(base_url=server.base_url, access_id=ACCESS_ID, access_key=ACCESS_KEY)
        with pytest.raises(lmtokens.ResponseError, match="list of users changes faster than it can be read"):
            client.add_token("somebody")
