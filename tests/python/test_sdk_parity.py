"""The official SDK's six token operations beside ours, each at a portal of its own that is like the other's twin.

Both portals make up the same credentials from the same seed, so that even what is told once can be compared.
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
    # Generated years ago: its docstrings hold invalid escapes.
    warnings.simplefilter("ignore")
    import logicmonitor_sdk  # type: ignore[import-untyped]
    from logicmonitor_sdk.models.api_token import APIToken  # type: ignore[import-untyped]
    from logicmonitor_sdk.rest import ApiException  # type: ignore[import-untyped]

SEED = 7

# Seconds by which the two may be apart, on a machine that is busy with other things.
APART = 30

TIMES = {"created_on", "last_used_on"}


def fields_of(token: Any) -> dict[str, Any]:
    """Every member that the SDK's token has, in plain values, from its token or ours."""
    fields = {name: getattr(token, name) for name in APIToken.swagger_types}
    if isinstance(token, lmtokens.Token):
        fields["access_key"] = token.access_key.reveal() if token.access_key else None
        fields["status"] = int(token.status) if token.status is not None else None
        # Where the portal says nothing with an empty text or a zero, we say None.
        for name in ("access_id", "last_auth_ip"):
            fields[name] = fields[name] or ""
        for name in TIMES:
            fields[name] = int(fields[name].timestamp()) if fields[name] else 0
    elif "*" in (fields["access_key"] or ""):
        # Lists show a bearer token in part; a part of a secret is nothing that we hand out.
        fields["access_key"] = None
    return fields


def same(theirs: Any, ours: lmtokens.Token) -> None:
    their_fields, our_fields = fields_of(theirs), fields_of(ours)
    for name in TIMES:
        assert abs(their_fields.pop(name) - our_fields.pop(name)) <= APART, name
    assert our_fields == their_fields


def stored(portal: Portal) -> list[tuple[Any, ...]]:
    return [
        (one.id, one.type, one.access_id, one.access_key.reveal(), one.admin_id, one.status, one.note)
        for one in portal.tokens
    ]


class Twins:
    """A portal for the SDK and a portal for us."""

    def __init__(self, theirs: Portal, ours: Portal, sdk: Any, api: lmtokens.Client) -> None:
        self._portals = theirs, ours
        self.sdk, self.verbs = sdk, api

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

    def same_tokens(self) -> None:
        theirs, ours = map(stored, self._portals)
        assert ours == theirs

    def first_id(self, type: str) -> int:
        return next(token.id for token in self._portals[0].tokens if token.type == type and token.admin_id == 32)


@pytest.fixture(params=VARIANTS)
def twins(request: pytest.FixtureRequest, lmtokens_portal: Portal, monkeypatch: pytest.MonkeyPatch) -> Iterator[Twins]:
    with Portal(seed=SEED) as theirs, Portal(seed=SEED) as ours:
        for name, value in ours.environment().items():
            monkeypatch.setenv(name, value)
        configuration = logicmonitor_sdk.Configuration()
        configuration.company = theirs.company
        configuration.access_id = theirs.access_id
        configuration.access_key = theirs.access_key.reveal()
        # It knows no other host than the vendor's.
        configuration._host = theirs.base_url
        client = logicmonitor_sdk.ApiClient(configuration)
        yield Twins(theirs, ours, logicmonitor_sdk.LMApi(client), api_for(request.param, ours))
        client.pool.close()
        client.pool.join()


TYPES = {"lmv1": {}, "bearer": {"type": "bearer"}}


@pytest.mark.parametrize("type", TYPES)
class TestOperation:
    def test_1_list(self, twins: Twins, type: str) -> None:
        twins.fill()
        theirs = twins.sdk.get_api_token_list(size=1000, **TYPES[type])
        ours = list(twins.verbs.list_tokens(type=type))
        assert theirs.total == len(ours) == 7
        for their, our in zip(theirs.items, ours):
            same(their, our)

    def test_1_list_with_a_filter(self, twins: Twins, type: str) -> None:
        twins.fill()
        for raw in ("status:2", 'note:"ci"', 'adminId:32,status:1||note~"Zoë"', "createdOn>1700000003"):
            theirs = twins.sdk.get_api_token_list(filter=raw, size=1000, **TYPES[type]).items
            ours = list(twins.verbs.list_tokens(type=type, filter=raw))
            assert len(theirs) == len(ours) > 0
            for their, our in zip(theirs, ours):
                same(their, our)

    def test_2_list_of_a_user(self, twins: Twins, type: str) -> None:
        twins.fill()
        theirs = twins.sdk.get_api_token_list_by_admin_id(33, size=1000, **TYPES[type]).items
        ours = list(twins.verbs.list_tokens(33, type=type))
        assert len(theirs) == len(ours) == 3
        for their, our in zip(theirs, ours):
            same(their, our)

    @pytest.mark.parametrize("body", [{}, {"note": "ci"}, {"status": 1}, {"note": "Zoë’s 🔑", "status": 2}])
    def test_3_add(self, twins: Twins, type: str, body: dict[str, Any]) -> None:
        theirs = twins.sdk.add_api_token_by_admin_id(32, body, **TYPES[type])
        ours = twins.verbs.add_token(32, type=type, **body)
        assert fields_of(ours)["access_key"]
        same(theirs, ours)
        twins.same_tokens()

    def test_4_put(self, twins: Twins, type: str) -> None:
        # Ours is a PATCH of the same members: a PUT would enable where no status is named.
        twins.fill()
        id = twins.first_id(type)
        theirs = twins.sdk.update_api_token_by_admin_id(32, id, {"note": "after", "status": 1})
        same(theirs, twins.verbs.update_token(id, "after", 1))
        twins.same_tokens()

    @pytest.mark.parametrize("body", [{"note": "after"}, {"status": 1}, {"status": 2}, {"note": "", "status": 1}])
    def test_5_patch(self, twins: Twins, type: str, body: dict[str, Any]) -> None:
        twins.fill()
        id = twins.first_id(type)
        theirs = twins.sdk.patch_api_token_by_admin_id(32, id, body)
        same(theirs, twins.verbs.update_token(id, **body))
        twins.same_tokens()

    def test_6_delete(self, twins: Twins, type: str) -> None:
        twins.fill()
        id = twins.first_id(type)
        twins.sdk.delete_api_token_by_id(32, id)
        twins.verbs.delete_token(id)
        twins.same_tokens()

    def test_what_one_made_the_other_finds(self, twins: Twins, type: str) -> None:
        made = twins.verbs.add_token(32, "ours", type=type)
        theirs = twins.sdk.add_api_token_by_admin_id(32, {"note": "ours"}, **TYPES[type])
        (listed,) = twins.sdk.get_api_token_list_by_admin_id(32, **TYPES[type]).items
        found = twins.verbs.find_token(made)
        assert found.id == theirs.id
        same(listed, found)


ERRORS: dict[str, tuple[Callable[[Any], Any], Callable[[lmtokens.Client], Any]]] = {
    "no such user": (
        lambda sdk: sdk.add_api_token_by_admin_id(4711, {}),
        lambda api: api.add_token(4711),
    ),
    "no filter": (
        lambda sdk: sdk.get_api_token_list(filter="colour:red"),
        lambda api: list(api.list_tokens(filter="colour:red")),
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_refusal_has_the_same_status(twins: Twins, name: str) -> None:
    theirs, ours = ERRORS[name]
    with pytest.raises(ApiException) as their_error:
        theirs(twins.sdk)
    with pytest.raises(lmtokens.APIError) as our_error:
        ours(twins.verbs)
    assert our_error.value.status == their_error.value.status
