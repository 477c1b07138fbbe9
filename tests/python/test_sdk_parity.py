"""The official SDK's six token operations compared with ours, on two identical sandboxes.

Both sandboxes derive the same credentials from the same seed, so that even secrets can be compared.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
from api_variants import VARIANTS, api_for
from lmtokens.sandbox import Portal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

with warnings.catch_warnings():
    # The docstrings of this generated code contain invalid escapes.
    warnings.simplefilter("ignore")
    import logicmonitor_sdk  # type: ignore[import-untyped]
    from logicmonitor_sdk.models.api_token import APIToken  # type: ignore[import-untyped]
    from logicmonitor_sdk.rest import ApiException  # type: ignore[import-untyped]

SEED = 7

# Seconds by which the two may differ on a busy machine.
MAX_SECONDS_APART = 30

TIMES = {"created_on", "last_used_on"}


def fields_of(token: Any) -> dict[str, Any]:
    """Return every member of an SDK token as a plain value, from an SDK token or one of ours."""
    fields = {name: getattr(token, name) for name in APIToken.swagger_types}
    if isinstance(token, lmtokens.Token):
        fields["access_key"] = token.access_key.reveal() if token.access_key else None
        fields["status"] = int(token.status) if token.status is not None else None
        # For a missing value the portal sends an empty string or zero, and we return None.
        for name in ("access_id", "last_auth_ip"):
            fields[name] = fields[name] or ""
        for name in TIMES:
            fields[name] = int(fields[name].timestamp()) if fields[name] else 0
    elif "*" in (fields["access_key"] or ""):
        # In lists the portal shows part of a bearer token, which we never return.
        fields["access_key"] = None
    return fields


def assert_same(theirs: Any, ours: lmtokens.Token) -> None:
    their_fields, our_fields = fields_of(theirs), fields_of(ours)
    for name in TIMES:
        assert abs(their_fields.pop(name) - our_fields.pop(name)) <= MAX_SECONDS_APART, name
    assert our_fields == their_fields


def stored(portal: Portal) -> list[tuple[Any, ...]]:
    return [
        (token.id, token.type, token.access_id, token.access_key.reveal(), token.admin_id, token.status, token.note)
        for token in portal.tokens
    ]


class SandboxPair:
    """A sandbox for the SDK and an identical one for our client."""

    def __init__(self, theirs: Portal, ours: Portal, sdk: Any, api: lmtokens.Client) -> None:
        self._portals = theirs, ours
        self.sdk, self.client = sdk, api

    def fill(self) -> None:
        for portal in self._portals:
            for number in range(12):
                portal.create_token(
                    (32, 33)[number % 2],
                    note=("", "ci", "Zoë’s 🔑")[number % 3],
                    status=1 + number % 2,
                    type=("lmv1", "bearer")[number // 6],
                    created_on=1_700_000_000 + number,
                    last_used_on=(0, 1_700_000_100)[number % 2],
                )

    def assert_same_tokens(self) -> None:
        theirs, ours = map(stored, self._portals)
        assert ours == theirs

    def first_id(self, type: str) -> int:
        return next(token.id for token in self._portals[0].tokens if token.type == type and token.admin_id == 32)


@pytest.fixture(params=VARIANTS)
def pair(
    request: pytest.FixtureRequest, lmtokens_portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SandboxPair]:
    with Portal(seed=SEED) as theirs, Portal(seed=SEED) as ours:
        for name, value in ours.environment().items():
            monkeypatch.setenv(name, value)
        configuration = logicmonitor_sdk.Configuration()
        configuration.company = theirs.company
        configuration.access_id = theirs.access_id
        configuration.access_key = theirs.access_key.reveal()
        # The configuration accepts only the vendor's host.
        configuration._host = theirs.base_url
        client = logicmonitor_sdk.ApiClient(configuration)
        yield SandboxPair(theirs, ours, logicmonitor_sdk.LMApi(client), api_for(request.param, ours))
        client.pool.close()
        client.pool.join()


TYPES = {"lmv1": {}, "bearer": {"type": "bearer"}}


@pytest.mark.parametrize("type", TYPES)
class TestOperation:
    def test_1_list(self, pair: SandboxPair, type: Any) -> None:
        pair.fill()
        theirs = pair.sdk.get_api_token_list(size=1000, **TYPES[type])
        ours = list(pair.client.list_tokens(type=type))
        assert theirs.total == len(ours) == 7
        for their, our in zip(theirs.items, ours):
            assert_same(their, our)

    def test_1_list_with_a_filter(self, pair: SandboxPair, type: Any) -> None:
        pair.fill()
        for raw in ("status:2", 'note:"ci"', 'adminId:32,status:1||note~"Zoë"', "createdOn>1700000003"):
            theirs = pair.sdk.get_api_token_list(filter=raw, size=1000, **TYPES[type]).items
            ours = list(pair.client.list_tokens(type=type, filter=raw))
            assert len(theirs) == len(ours) > 0
            for their, our in zip(theirs, ours):
                assert_same(their, our)

    def test_2_list_of_a_user(self, pair: SandboxPair, type: Any) -> None:
        pair.fill()
        theirs = pair.sdk.get_api_token_list_by_admin_id(33, size=1000, **TYPES[type]).items
        ours = list(pair.client.list_tokens(33, type=type))
        assert len(theirs) == len(ours) == 3
        for their, our in zip(theirs, ours):
            assert_same(their, our)

    @pytest.mark.parametrize("body", [{}, {"note": "ci"}, {"status": 1}, {"note": "Zoë’s 🔑", "status": 2}])
    def test_3_add(self, pair: SandboxPair, type: Any, body: dict[str, Any]) -> None:
        theirs = pair.sdk.add_api_token_by_admin_id(32, body, **TYPES[type])
        ours = pair.client.add_token(32, type=type, **body)
        assert fields_of(ours)["access_key"]
        assert_same(theirs, ours)
        pair.assert_same_tokens()

    def test_4_put(self, pair: SandboxPair, type: str) -> None:
        # Ours is a PATCH of the same members: a PUT without a status would enable the token.
        pair.fill()
        id = pair.first_id(type)
        theirs = pair.sdk.update_api_token_by_admin_id(32, id, {"note": "after", "status": 1})
        assert_same(theirs, pair.client.update_token(id, "after", 1))
        pair.assert_same_tokens()

    @pytest.mark.parametrize("body", [{"note": "after"}, {"status": 1}, {"status": 2}, {"note": "", "status": 1}])
    def test_5_patch(self, pair: SandboxPair, type: str, body: dict[str, Any]) -> None:
        pair.fill()
        id = pair.first_id(type)
        theirs = pair.sdk.patch_api_token_by_admin_id(32, id, body)
        assert_same(theirs, pair.client.update_token(id, **body))
        pair.assert_same_tokens()

    def test_6_delete(self, pair: SandboxPair, type: str) -> None:
        pair.fill()
        id = pair.first_id(type)
        pair.sdk.delete_api_token_by_id(32, id)
        pair.client.delete_token(id)
        pair.assert_same_tokens()

    def test_sdk_and_client_find_each_others_tokens(self, pair: SandboxPair, type: Any) -> None:
        created = pair.client.add_token(32, "ours", type=type)
        theirs = pair.sdk.add_api_token_by_admin_id(32, {"note": "ours"}, **TYPES[type])
        (listed,) = pair.sdk.get_api_token_list_by_admin_id(32, **TYPES[type]).items
        found = pair.client.find_token(created)
        assert found.id == theirs.id
        assert_same(listed, found)


ERRORS: dict[str, tuple[Callable[[Any], Any], Callable[[lmtokens.Client], Any]]] = {
    "unknown user": (
        lambda sdk: sdk.add_api_token_by_admin_id(4711, {}),
        lambda api: api.add_token(4711),
    ),
    "invalid filter": (
        lambda sdk: sdk.get_api_token_list(filter="colour:red"),
        lambda api: list(api.list_tokens(filter="colour:red")),
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_rejection_has_the_same_status(pair: SandboxPair, name: str) -> None:
    theirs, ours = ERRORS[name]
    with pytest.raises(ApiException) as their_error:
        theirs(pair.sdk)
    with pytest.raises(lmtokens.APIError) as our_error:
        ours(pair.client)
    assert our_error.value.status == their_error.value.status
