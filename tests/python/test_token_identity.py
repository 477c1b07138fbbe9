"""Tokens are equal if they are the same token of the same portal, whatever else has changed."""

from __future__ import annotations

import json
import pickle
from typing import TYPE_CHECKING, Any

import lmtokens
import lmtokens.sandbox
import pytest
from support import ACCESS_ID, ACCESS_KEY, StubServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lmtokens.sandbox import Portal


def test_token_equals_itself_after_its_members_changed(lmtokens_portal: Portal, api: lmtokens.Client) -> None:
    created = api.add_token(32, "before")
    known: set[lmtokens.Token] = {created}
    changed = api.update_token(created, note="after", status=1)
    assert (changed.note, changed.status, changed.access_key) == ("after", 1, None)
    assert changed == created
    assert (changed != created) is False
    assert hash(changed) == hash(created)
    assert changed in known
    assert changed in [created]
    assert api.find_token(created.id) in known
    listed = list(api.list_tokens(32))
    assert created in listed
    assert known & set(listed) == {created}
    assert [token for token in api.list_tokens() if token not in known] == [
        token for token in api.list_tokens() if token.id != created.id
    ]


WITH_A_TOKEN: dict[str, Callable[[lmtokens.Client, lmtokens.Token], object]] = {
    "find": lambda client, token: client.find_token(token),
    "update": lambda client, token: client.update_token(token, note="changed"),
    "enable": lambda client, token: client.enable_token(token),
    "disable": lambda client, token: client.disable_token(token),
    "disable with force": lambda client, token: client.disable_token(token, force=True),
    "delete": lambda client, token: client.delete_token(token),
    "delete with force": lambda client, token: client.delete_token(token, force=True),
    "rotate": lambda client, token: client.rotate_token(token, deliver=print, overlap=3600),
    "finish": lambda client, token: client.finish_rotations(token),
    "cancel": lambda client, token: client.cancel_rotation(token),
}


@pytest.mark.parametrize("call", WITH_A_TOKEN)
def test_token_of_another_portal_is_refused_before_any_request(call: str) -> None:
    with lmtokens.sandbox.Portal() as portal, lmtokens.sandbox.Portal() as other:
        token = other.client().add_token(32, "the token to change")
        assert portal.client().add_token(32, "a bystander with the same id").id == token.id
        before = len(portal.record)
        with pytest.raises(ValueError, match=f"token {token.id} is of another portal than the client"):
            WITH_A_TOKEN[call](portal.client(), token)
        assert len(portal.record) == before


def test_tokens_of_all_sources_know_their_portal(lmtokens_portal: Portal, api: lmtokens.Client, journal: Path) -> None:
    created = api.add_token(32, "ci", expires=3600)
    found = [
        created,
        api.find_token(created.id),
        api.update_token(created.id, note="new"),
        *(token for token in api.list_tokens(32) if token.id == created.id),
        *(finding.token for finding in api.audit_tokens() if finding.token.id == created.id),
        pickle.loads(pickle.dumps(api.find_token(created.id))),
    ]
    assert len(found) >= 5
    assert {token.portal for token in found} == {lmtokens_portal.base_url}
    assert len(set(found)) == 1
    own = api.whoami().token
    assert own is not None
    assert own in set(api.list_tokens())


def test_tokens_of_a_run_and_its_journal_are_those_of_the_portal(lmtokens_portal: Portal, journal: Path) -> None:
    with lmtokens_portal.client() as client:
        created = {result.token for result in client.add_tokens([(32, "a"), (33, "b")], journal=journal)}
        again = {result.token for result in client.add_tokens([(32, "a"), (33, "b")], journal=journal, resume=True)}
        listed = {token for token in client.list_tokens() if token.note in ("a", "b")}
    read = {entry.token for entry in lmtokens.read_journal(journal)}
    assert len(created) == 2
    assert created == again == listed == read


def test_callbacks_and_rotations_receive_the_same_token(lmtokens_portal: Portal, tmp_path: Path) -> None:
    received: list[lmtokens.Token] = []
    with lmtokens_portal.client() as client:
        old = client.add_token(32, "ci", deliver=received.append)
        destination = lmtokens.deliver.to_file(tmp_path / "token.json")
        rotation = client.rotate_token(old, deliver=destination, overlap=3600)
        listed = set(client.list_tokens(32))
    assert received == [old]
    assert rotation.old == old
    assert rotation.new in listed
    assert rotation.new != old


def test_tokens_with_the_same_id_in_two_portals_differ() -> None:
    with lmtokens.sandbox.Portal() as one, lmtokens.sandbox.Portal() as other:
        first, second = one.client().add_token(32, "ci"), other.client().add_token(32, "ci")
    assert (first.id, first.type) == (second.id, second.type)
    assert first != second
    assert len({first, second}) == 2


def test_lmv1_and_bearer_token_with_the_same_id_differ() -> None:
    with StubServer(json.dumps({"total": 1, "items": [{"id": 7}]}).encode()) as server:
        client = lmtokens.Client(base_url=server.base_url, access_id=ACCESS_ID, access_key=ACCESS_KEY)
        tokens = [token for kind in ("lmv1", "bearer") for token in client.list_tokens(type=kind)]
    assert [token.id for token in tokens] == [7, 7]
    assert tokens[0] != tokens[1]
    assert len(set(tokens)) == 2


@pytest.mark.parametrize("call", ["disable with force", "delete with force"])
def test_force_reads_a_token_that_does_not_know_its_portal(call: str) -> None:
    with lmtokens.sandbox.Portal() as portal, lmtokens.sandbox.Portal() as other:
        created = other.client().add_token(32, "the token to change")
        reduced: Any = other.client().find_token(created.id).__reduce__()
        restore, (members,) = reduced
        token = restore({name: value for name, value in members.items() if name != "portal"})
        assert token.portal is None
        bystander = portal.client().add_token(32, "a bystander with the same id")
        with pytest.raises(ValueError, match="another access id"):
            WITH_A_TOKEN[call](portal.client(), token)
        assert portal.client().find_token(bystander.id).status == 2
        WITH_A_TOKEN[call](other.client(), token)
        assert all(listed.status == 1 for listed in other.client().list_tokens(32) if listed.id == created.id)
