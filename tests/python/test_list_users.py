"""``list_users`` and ``lmtokens users`` show the ids that the other operations take."""

from __future__ import annotations

import copy
import csv
import io
import json
import pickle
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import lmtokens
import pytest
from support import ACCESS_ID, ACCESS_KEY, ReceivedRequest, StubServer, run_shell

if TYPE_CHECKING:
    from lmtokens.sandbox import Portal

MEMBERS = ["id", "name", "email", "roles", "status", "api_only"]


class TestListUsers:
    def test_every_user_is_listed(self, lmtokens_portal: Portal, api: lmtokens.Client) -> None:
        lmtokens_portal.add_user("robot", id=40, apionly=True, roles=["one", "two"])
        users = api.list_users()
        assert [user.id for user in users] == [1, 32, 33, 40]
        robot = users[-1]
        assert (robot.name, robot.email) == ("robot", "robot@example.invalid")
        assert (robot.roles, robot.status, robot.api_only) == (["one", "two"], "active", True)
        assert users[0].api_only is False

    def test_list_goes_beyond_one_page(self, lmtokens_portal: Portal) -> None:
        for number in range(1_001):
            lmtokens_portal.add_user(f"user{number}")
        users = lmtokens_portal.client().list_users()
        assert len(users) == len({user.id for user in users}) == 1_004
        assert len(lmtokens_portal.record) == 2

    def test_no_user_is_missed_if_others_are_deleted(self) -> None:
        ids = list(range(1, 2_501))

        def respond(request: ReceivedRequest) -> bytes:
            query = parse_qs(urlsplit(request.target).query)
            size, offset = (int(query[name][0]) for name in ("size", "offset"))
            after = int(query.get("filter", ["id>0"])[0].removeprefix("id>"))
            rest = [id for id in ids if id > after]
            page = {"total": len(rest), "items": [{"id": id} for id in rest[offset : offset + size]]}
            # Users of the page before are deleted meanwhile.
            del ids[:100]
            return json.dumps(page).encode()

        with StubServer(respond) as server:
            users = client_of(server).list_users()
            assert len(server.requests) == 3
        assert [user.id for user in users] == list(range(1, 2_501))

    @pytest.mark.parametrize("order", ["ignored filter", "ignored order", "unreadable"])
    def test_portals_that_cannot_page_by_key_are_read_by_offset(self, order: str) -> None:
        items: list[dict[str, Any]] = [{"id": id} for id in range(1, 2_501)]
        if order == "ignored order":
            items.reverse()
        if order == "unreadable":
            items[1_500:1_500] = [{"username": "no id"}]

        def respond(request: ReceivedRequest) -> bytes:
            query = parse_qs(urlsplit(request.target).query)
            size, offset = (int(query[name][0]) for name in ("size", "offset"))
            after = int(query.get("filter", ["id>0"])[0].removeprefix("id>"))
            rest = [item for item in items if order == "ignored filter" or item.get("id", after + 1) > after]
            return json.dumps({"total": -1, "items": rest[offset : offset + size]}).encode()

        with StubServer(respond) as server:
            users = client_of(server).list_users()
        assert [user.id for user in users] == list(range(1, 2_501))

    def test_users_are_values(self, lmtokens_portal: Portal) -> None:
        one, other = (lmtokens_portal.client().list_users()[1] for _ in range(2))
        assert one == other
        assert hash(one) == hash(other)
        assert one != lmtokens_portal.client().list_users()[0]
        assert repr(one) == "<lmtokens.User 32 (api-user)>"
        assert list(one.to_dict()) == MEMBERS
        assert json.loads(json.dumps(one.to_dict()))["name"] == "api-user"
        assert copy.copy(one) is one
        assert copy.deepcopy(one) is one
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            assert pickle.loads(pickle.dumps(one, protocol)) == one
        with pytest.raises(AttributeError):
            one.id = 1  # type: ignore[misc]

    def test_rejected_list_is_an_error(self, lmtokens_portal: Portal, api: lmtokens.Client) -> None:
        lmtokens_portal.fail("status-before-acting", status=403, code=1403)
        with pytest.raises(lmtokens.PermissionDeniedError):
            api.list_users()


def client_of(server: StubServer) -> lmtokens.Client:
    return lmtokens.Client(base_url=server.base_url, access_id=ACCESS_ID, access_key=ACCESS_KEY)


def test_odd_users_do_not_hide_the_others(caplog: pytest.LogCaptureFixture) -> None:
    items: list[Any] = [{"id": 5}, {"username": "no id"}, None, {"id": "6", "username": 7, "apionly": "x", "email": ""}]
    with StubServer(json.dumps({"total": 4, "items": items}).encode()) as server:
        users = client_of(server).list_users()
    assert [(user.id, user.name, user.email, user.roles, user.status, user.api_only) for user in users] == [
        (5, None, None, [], None, None),
        (6, None, None, [], None, None),
    ]
    assert "users" in caplog.text


def test_portal_that_ignores_the_offset_is_an_error() -> None:
    page = {"total": -1, "items": [{"id": id, "username": f"user{id}"} for id in range(1, 1001)]}
    with StubServer(json.dumps(page).encode()) as server:
        with pytest.raises(lmtokens.ResponseError, match="does not end"):
            client_of(server).list_users()
        assert len(server.requests) == 4


def test_response_without_a_list_is_an_error() -> None:
    with StubServer(b"{}") as server, pytest.raises(lmtokens.ResponseError, match="list of users"):
        client_of(server).list_users()


@pytest.mark.usefixtures("lmtokens_portal")
def test_shell_prints_users() -> None:
    completed = run_shell("users", "-o", "json")
    assert (completed.returncode, completed.stderr) == (0, "")
    users = json.loads(completed.stdout)
    assert [(user["id"], user["name"]) for user in users] == [(1, "admin"), (32, "api-user"), (33, "viewer")]
    assert list(users[0]) == MEMBERS
    assert [json.loads(line) for line in run_shell("users", "-o", "jsonl").stdout.splitlines()] == users
    rows = list(csv.DictReader(io.StringIO(run_shell("users", "-o", "csv").stdout)))
    assert [row["name"] for row in rows] == ["admin", "api-user", "viewer"]
    table = [line.split() for line in run_shell("users").stdout.splitlines()]
    assert table[0] == MEMBERS
    assert table[2][:2] == ["32", "api-user"]


def test_empty_list_has_a_header() -> None:
    with StubServer(b'{"total": 0, "items": []}') as server:
        environment = {"LM_ACCESS_ID": ACCESS_ID, "LM_ACCESS_KEY": ACCESS_KEY, "LM_BASE_URL": server.base_url}
        assert run_shell("users", "-o", "csv", environment=environment).stdout == ",".join(MEMBERS) + "\n"
        assert run_shell("users", "-o", "json", environment=environment).stdout == "[]\n"


def test_shell_escapes_names() -> None:
    def respond(_: ReceivedRequest) -> bytes:
        return json.dumps({"total": 1, "items": [{"id": 5, "username": "x\x1b[2J\u202e"}]}).encode()

    with StubServer(respond) as server:
        environment = {"LM_ACCESS_ID": ACCESS_ID, "LM_ACCESS_KEY": ACCESS_KEY, "LM_BASE_URL": server.base_url}
        shown = run_shell("users", environment=environment).stdout
        assert r"x\u{1b}[2J\u{202e}" in shown
        assert json.loads(run_shell("users", "-o", "jsonl", environment=environment).stdout)["name"] == "x\x1b[2J\u202e"
