"""The commands for single tokens: list, show, update, enable, disable and delete."""

from __future__ import annotations

import csv
import io
import json
import signal
import time
from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
from api_variants import credentials_of, modifying_requests, stored_token
from support import (
    ACCESS_ID,
    ACCESS_KEY,
    HANG_TIMEOUT,
    SHELL,
    TOKENS_PATH,
    StubServer,
    run_at_terminal,
    run_shell,
    run_shell_to_closed_pipe,
    start_shell,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmtokens.sandbox import Portal, StoredToken

CHANGES = [["enable"], ["disable"], ["update", "--note", "new"], ["delete", "--yes"]]
DAY = 86_400


def environment_of(token: StoredToken) -> Mapping[str, str]:
    """Return the variables with which the shell calls as this token."""
    key = token.access_key.reveal()
    if token.type == "bearer":
        return {"LM_ACCESS_ID": "", "LM_ACCESS_KEY": "", "LM_BEARER_TOKEN": key}
    return {"LM_ACCESS_ID": token.access_id, "LM_ACCESS_KEY": key}


def listed(*options: str) -> list[int]:
    completed = run_shell("list", "-o", "jsonl", *options)
    assert (completed.returncode, completed.stderr) == (0, "")
    return [json.loads(line)["id"] for line in completed.stdout.splitlines()]


class TestList:
    def test_json_has_the_members_of_to_dict(self, lmtokens_portal: Portal) -> None:
        lmtokens_portal.create_token(note="ci", type="bearer")
        completed = run_shell("list", "-o", "json")
        assert (completed.returncode, completed.stderr) == (0, "")
        expected = [token.to_dict() for token in lmtokens.list_tokens()]
        assert json.loads(completed.stdout) == expected
        rows = list(csv.DictReader(io.StringIO(run_shell("list", "-o", "csv").stdout)))
        assert [list(row) for row in rows] == [list(expected[0])] * len(expected)

    def test_table_is_readable(self, lmtokens_portal: Portal) -> None:
        lmtokens_portal.create_token(note="two  words", status=1)
        lines = run_shell("list", "--type", "lmv1").stdout.splitlines()
        assert lines[0].split() == ["id", "type", "access_id", "admin_name", "status", "note", "last_used_on"]
        assert "disabled" in lines[-1]
        assert "two  words" in lines[-1]

    def test_empty_first_cell_keeps_its_column(self, lmtokens_portal: Portal) -> None:
        token = lmtokens_portal.create_token()
        header, row = run_shell("list", "--user", "32", "--fields", "note,id").stdout.splitlines()
        assert row.index(str(token.id)) == header.index("id")

    def test_condition_without_text_is_refused(self, lmtokens_portal: Portal) -> None:
        for option in ("--note", "--filter"):
            assert run_shell("list", option, "").returncode == 2
        assert lmtokens_portal.record == []

    def test_unused_for_follows_the_clock_of_the_portal(self, lmtokens_portal: Portal) -> None:
        token = lmtokens_portal.create_token()
        assert token.id not in listed("--unused-for", "90d")
        assert lmtokens_portal.record[0].query == "size=1"
        lmtokens_portal.advance(days=100)
        assert token.id in listed("--unused-for", "90d")

    def test_conditions_select_tokens(self, lmtokens_portal: Portal) -> None:
        lmtokens_portal.add_user("robot", id=40)
        ids = {
            "plain": lmtokens_portal.create_token(40, note="one").id,
            "disabled": lmtokens_portal.create_token(40, note="two", status=1).id,
            "bearer": lmtokens_portal.create_token(40, note="one more", type="bearer").id,
        }
        assert listed("--user", "40") == listed("--user", "robot") == list(ids.values())
        assert listed("--user", "40", "--type", "bearer") == [ids["bearer"]]
        assert listed("--user", "40", "--type", "lmv1", "--status", "enabled") == [ids["plain"]]
        assert listed("--user", "40", "--status", "disabled") == [ids["disabled"]]
        assert listed("--note", "one") == [ids["plain"], ids["bearer"]]
        assert listed("--note", "one", "--status", "disabled") == []
        assert listed("--filter", 'note:"two"||note:"one"') == [ids["plain"], ids["disabled"]]
        assert listed("--user", "40", "--limit", "2") == [ids["plain"], ids["disabled"]]
        assert listed("--user", "40", "--limit", "0") == []
        assert run_shell("list", "--user", "40", "--count").stdout == "3\n"

    def test_empty_list_is_valid_data(self, lmtokens_portal: Portal) -> None:
        nothing = ["list", "--note", "nothing", "-o"]
        assert run_shell(*nothing, "json").stdout == "[]\n"
        assert run_shell(*nothing, "csv", "--fields", "id,note").stdout == "id,note\n"
        assert run_shell(*nothing, "jsonl").stdout == run_shell(*nothing, "table").stdout == ""

    def test_limit_is_the_size_of_the_page(self, lmtokens_portal: Portal) -> None:
        for _ in range(7):
            lmtokens_portal.create_token(33)
        assert len(listed("--user", "33", "--type", "lmv1", "--limit", "5")) == 5
        (request,) = lmtokens_portal.record
        assert "size=5&" in request.query

    def test_limit_does_not_shrink_the_pages_of_a_condition_on_the_last_use(self, lmtokens_portal: Portal) -> None:
        now = int(time.time())
        for _ in range(50):
            lmtokens_portal.create_token(33, created_on=now - 100 * DAY, last_used_on=now - DAY)
        unused = lmtokens_portal.create_token(33, created_on=now - 100 * DAY)
        lmtokens_portal.clear_record()
        assert listed("--user", "33", "--type", "lmv1", "--unused-for", "90d", "--limit", "1") == [unused.id]
        assert len(lmtokens_portal.record) == 2

    def test_unused_for_asks_for_the_time_with_one_token(self, lmtokens_portal: Portal) -> None:
        listed("--type", "lmv1", "--unused-for", "90d")
        time, tokens = lmtokens_portal.record
        assert "size=1" in time.query.split("&")
        assert "size=1000&" in tokens.query

    def test_unused_for_needs_a_create_and_a_last_use_before(self, lmtokens_portal: Portal) -> None:
        now = int(time.time())
        old = lmtokens_portal.create_token(created_on=now - 100 * DAY)
        lmtokens_portal.create_token(created_on=now - 100 * DAY, last_used_on=now - 10 * DAY)
        idle = lmtokens_portal.create_token(created_on=now - 200 * DAY, last_used_on=now - 95 * DAY)
        lmtokens_portal.create_token(created_on=now - 10 * DAY)
        assert listed("--user", "32", "--unused-for", "90d") == [old.id, idle.id]

    def test_fields_select_and_order_members(self, lmtokens_portal: Portal) -> None:
        token = lmtokens_portal.create_token(note="ci")
        completed = run_shell("list", "--note", "ci", "--fields", "note,id", "-o", "jsonl")
        assert completed.stdout == f'{{"note":"ci","id":{token.id}}}\n'
        table = run_shell("list", "--note", "ci", "--fields", "id").stdout
        assert table.split() == ["id", str(token.id)]

    @pytest.mark.parametrize(
        "arguments",
        [
            ["--fields", "nosuch"],
            ["--fields", ""],
            ["--limit", "-1"],
            ["--unused-for", "soon"],
            ["--status", "3"],
            ["--note", "--count"],
            ["--filter", "id>1", "--status", "enabled"],
            ["--count", "--limit", "3"],
            ["--count", "-o", "json"],
            ["--user", ""],
            ["extra"],
        ],
        ids=" ".join,
    )
    def test_invalid_usage(self, lmtokens_portal: Portal, arguments: list[str]) -> None:
        completed = run_shell("list", *arguments)
        assert (completed.returncode, completed.stdout) == (2, "")
        assert completed.stderr.startswith("error: ")
        assert lmtokens_portal.record == []

    def test_unknown_user_is_not_found(self, lmtokens_portal: Portal) -> None:
        completed = run_shell("list", "--user", "nosuch")
        assert (completed.returncode, completed.stdout) == (5, "")


class TestShow:
    def test_json_is_one_object(self, lmtokens_portal: Portal) -> None:
        token = lmtokens_portal.create_token(note="ci")
        for name in (str(token.id), token.access_id):
            completed = run_shell("show", name, "-o", "json")
            assert (completed.returncode, completed.stderr) == (0, "")
            assert json.loads(completed.stdout) == lmtokens.find_token(token.id).to_dict()

    def test_table_has_one_line_per_member(self, lmtokens_portal: Portal) -> None:
        token = lmtokens_portal.create_token(note="x\x1b[2J\ny", status=1)
        lines = run_shell("show", str(token.id)).stdout.splitlines()
        assert [line.split()[0] for line in lines] == list(lmtokens.find_token(token.id).to_dict())
        assert any(r"x\u{1b}[2J\u{a}y" in line for line in lines)

    @pytest.mark.parametrize("name", ["99999", "exampleAccessId00099"])
    def test_missing_token_is_5(self, lmtokens_portal: Portal, name: str) -> None:
        completed = run_shell("show", name)
        assert (completed.returncode, completed.stdout) == (5, "")
        assert "not found" in completed.stderr


@pytest.mark.parametrize("command", [["show"], *CHANGES], ids=lambda command: command[0])
@pytest.mark.parametrize("name", ["0", "-1", "032", "2147483648", "", "secret+key(x)]{%~^_=Z"])
def test_invalid_token_is_refused_without_repeating_a_key(
    lmtokens_portal: Portal, command: list[str], name: str
) -> None:
    completed = run_shell(command[0], "--", name) if command == ["show"] else run_shell(*command, "--", name)
    assert (completed.returncode, completed.stdout) == (2, "")
    assert "secret+key" not in completed.stderr
    assert lmtokens_portal.record == []


class TestChanges:
    def test_tokens_are_changed_one_after_another(self, lmtokens_portal: Portal) -> None:
        tokens = [lmtokens_portal.create_token(note="old") for _ in range(2)]
        names = [str(tokens[0].id), tokens[1].access_id]

        def run(*arguments: str) -> list[str]:
            completed = run_shell(*arguments, *names)
            assert completed.returncode == 0, completed.stderr
            return completed.stdout.splitlines()

        def stored(member: str) -> list[Any]:
            return [getattr(stored_token(lmtokens_portal, token.id), member) for token in tokens]

        assert run("disable") == [f"{name} disabled" for name in names]
        assert stored("status") == [1, 1]
        assert run("enable") == [f"{name} enabled" for name in names]
        assert stored("status") == [2, 2]
        assert run("update", "--note", "new", "--status", "disabled") == [f"{name} updated" for name in names]
        assert (stored("note"), stored("status")) == (["new", "new"], [1, 1])
        assert run("update", "--note=") == [f"{name} updated" for name in names]
        assert (stored("note"), stored("status")) == (["", ""], [1, 1])
        assert run("delete", "--yes") == [f"{name} deleted" for name in names]
        assert [stored_token(lmtokens_portal, token.id) for token in tokens] == [None, None]

    @pytest.mark.parametrize("command", CHANGES, ids=lambda command: command[0])
    def test_token_given_by_id_and_by_access_id_is_changed_once(
        self, lmtokens_portal: Portal, command: list[str]
    ) -> None:
        one, other = (lmtokens_portal.create_token() for _ in range(2))
        completed = run_shell(*command, one.access_id, str(one.id), other.access_id)
        assert completed.returncode == 0, completed.stderr
        assert [line.split()[0] for line in completed.stdout.splitlines()] == [str(one.id), other.access_id]
        assert "2 of 2" in completed.stderr
        assert len(modifying_requests(lmtokens_portal)) == 2

    @pytest.mark.parametrize("command", CHANGES, ids=lambda command: command[0])
    def test_some_failures_are_3(self, lmtokens_portal: Portal, command: list[str]) -> None:
        token = lmtokens_portal.create_token(status=1 if command == ["enable"] else 2)
        completed = run_shell(*command, "99998", str(token.id), "99999")
        assert completed.returncode == 3
        assert completed.stdout.startswith(f"{token.id} ")
        assert completed.stdout.count("\n") == 1
        assert "error: token 99998: token with id 99998 not found" in completed.stderr
        assert "1 of 3" in completed.stderr
        assert modifying_requests(lmtokens_portal) != []

    @pytest.mark.parametrize("command", CHANGES, ids=lambda command: command[0])
    def test_missing_tokens_are_5(self, lmtokens_portal: Portal, command: list[str]) -> None:
        for names in (["99998"], ["99998", "exampleAccessId00099"]):
            completed = run_shell(*command, *names)
            assert (completed.returncode, completed.stdout) == (5, "")
            assert "exampleAccessId00099" not in completed.stderr
        assert modifying_requests(lmtokens_portal) == []

    @pytest.mark.parametrize("command", CHANGES, ids=lambda command: command[0])
    def test_rejected_credentials_stop_the_command(self, lmtokens_portal: Portal, command: list[str]) -> None:
        tokens = [lmtokens_portal.create_token() for _ in range(3)]
        method = "DELETE" if command[0] == "delete" else "PATCH"
        # The first token is changed, the second is rejected.
        lmtokens_portal.fail("status-before-acting", method=method, status=401, path=f"{TOKENS_PATH}/{tokens[1].id}")
        completed = run_shell(*command, *(str(token.id) for token in tokens))
        assert completed.returncode == 4
        assert completed.stdout.splitlines() == [f"{tokens[0].id} {completed.stdout.split()[1]}"]
        assert [seen.path.rsplit("/", 1)[1] for seen in modifying_requests(lmtokens_portal)] == [
            str(token.id) for token in tokens[:2]
        ]

    @pytest.mark.parametrize("type", ["lmv1", "bearer"])
    @pytest.mark.parametrize("command", [["disable"], ["update", "--status", "disabled"], ["delete", "--yes"]])
    def test_calling_token_is_kept_without_force(self, lmtokens_portal: Portal, command: list[str], type: Any) -> None:
        own = lmtokens_portal.create_token(type=type)
        completed = run_shell(*command, str(own.id), environment=environment_of(own))
        assert (completed.returncode, completed.stdout) == (1, "")
        assert "signs this call" in completed.stderr
        assert "--force" in completed.stderr
        assert modifying_requests(lmtokens_portal) == []
        forced = run_shell(*command, str(own.id), "--force", environment=environment_of(own))
        assert forced.returncode == 0
        with pytest.raises(lmtokens.AuthenticationError):
            lmtokens_portal.client(**credentials_of(own)).whoami()

    @pytest.mark.parametrize("type", ["lmv1", "bearer"])
    @pytest.mark.parametrize("command", [["disable"], ["update", "--status", "disabled"], ["delete", "--yes"]])
    def test_calling_token_comes_last(self, lmtokens_portal: Portal, command: list[str], type: Any) -> None:
        own = lmtokens_portal.create_token(type=type)
        others = [lmtokens_portal.create_token() for _ in range(2)]
        # The access id names the same token again.
        again = [own.access_id] if type == "lmv1" else []
        names = [str(others[0].id), str(own.id), others[1].access_id, *again]
        completed = run_shell(*command, *names, "--force", environment=environment_of(own))
        assert completed.returncode == 0, completed.stderr
        assert [line.split()[0] for line in completed.stdout.splitlines()] == [names[0], names[2], names[1]]
        changed = [int(seen.path.rsplit("/", 1)[1]) for seen in modifying_requests(lmtokens_portal)]
        assert changed == [others[0].id, others[1].id, own.id]

    @pytest.mark.parametrize("command", [["disable"], ["update", "--status", "disabled"], ["delete", "--yes"]])
    def test_calling_token_is_kept_if_others_failed(self, lmtokens_portal: Portal, command: list[str]) -> None:
        own, one, other = (lmtokens_portal.create_token() for _ in range(3))
        method = "DELETE" if command[0] == "delete" else "PATCH"
        path = f"{TOKENS_PATH}/{one.id}"
        lmtokens_portal.fail("status-before-acting", method=method, path=path, status=403, times=None)
        names = [str(token.id) for token in (own, one, other)]
        completed = run_shell(*command, *names, "--force", environment=environment_of(own))
        assert completed.returncode == 3
        assert [line.split()[0] for line in completed.stdout.splitlines()] == [str(other.id)]
        assert f"token {own.id} was not" in completed.stderr
        assert "hint: repeat the command" in completed.stderr
        assert lmtokens_portal.client(**credentials_of(own)).whoami().status == 2
        # Tokens that do not exist any more need no further call.
        lmtokens_portal.clear_faults()
        lmtokens_portal.client().delete_token(one.id)
        repeated = run_shell(*command, *names[:2], "--force", environment=environment_of(own))
        assert repeated.returncode == 3
        assert [line.split()[0] for line in repeated.stdout.splitlines()] == [str(own.id)]

    @pytest.mark.parametrize("command", [["disable"], ["delete", "--yes"]], ids=lambda command: command[0])
    def test_unknown_calling_token_is_refused_among_several(self, lmtokens_portal: Portal, command: list[str]) -> None:
        # Lists do not tell this token from others.
        tokens = [lmtokens_portal.create_token() for _ in range(2)]
        lmtokens_portal.fail("status-before-acting", method="GET", status=403, code=1403, times=9)
        completed = run_shell(*command, *(str(token.id) for token in tokens), "--force")
        assert (completed.returncode, completed.stdout) == (1, "")
        assert "one token per command" in completed.stderr
        assert modifying_requests(lmtokens_portal) == []

    @pytest.mark.parametrize("arguments", [["enable"], ["update", "5"], ["update", "--note", "x"], ["delete"]])
    def test_missing_arguments_are_2(self, lmtokens_portal: Portal, arguments: list[str]) -> None:
        completed = run_shell(*arguments)
        assert (completed.returncode, completed.stdout) == (2, "")
        assert lmtokens_portal.record == []

    def test_change_that_may_have_been_applied_is_said(self, lmtokens_portal: Portal) -> None:
        first, second = lmtokens_portal.create_token(), lmtokens_portal.create_token()
        lmtokens_portal.fail("act-then-delay", method="PATCH", seconds=HANG_TIMEOUT, times=None)
        completed = run_shell("disable", "--timeout", "0.2", str(first.id), str(second.id))
        assert completed.returncode == 7
        assert completed.stderr.count("it may be disabled") == 2

    def test_interrupted_change_is_named(self, lmtokens_portal: Portal) -> None:
        token = lmtokens_portal.create_token()
        lmtokens_portal.fail("act-then-delay", method="DELETE", seconds=HANG_TIMEOUT, times=None)
        with start_shell("delete", "--yes", str(token.id)) as process:
            wait_until(lambda: token.id not in [left.id for left in lmtokens_portal.tokens])
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=HANG_TIMEOUT)
        assert process.returncode == 130
        assert f"token {token.id} may be deleted: its call was interrupted" in err

    def test_token_that_is_given_twice_is_changed_once(self, lmtokens_portal: Portal) -> None:
        token = lmtokens_portal.create_token()
        completed = run_shell("delete", "--yes", str(token.id), str(token.id))
        assert (completed.returncode, completed.stdout) == (0, f"{token.id} deleted\n")

    def test_closed_pipe_stops_the_command(self, lmtokens_portal: Portal) -> None:
        tokens = [lmtokens_portal.create_token() for _ in range(3)]
        completed = run_shell_to_closed_pipe("disable", *(str(token.id) for token in tokens))
        assert completed.returncode == 1
        assert "cannot write to standard output" in completed.stderr
        assert len(modifying_requests(lmtokens_portal)) == 1


class TestDryRun:
    def test_requests_are_shown_and_not_sent(self, lmtokens_portal: Portal) -> None:
        token = lmtokens_portal.create_token(note="old")
        url = f"{lmtokens_portal.base_url}/setting/admins/32/apitokens/{token.id}"
        for command, method, body in [
            (["enable"], "PATCH", '{"status":2}\n'),
            (["disable"], "PATCH", '{"status":1}\n'),
            (["update", "--note", 'a "b"'], "PATCH", '{"note":"a \\"b\\""}\n'),
            (["delete"], "DELETE", ""),
        ]:
            completed = run_shell(*command, str(token.id), "--dry-run")
            assert (completed.returncode, completed.stderr) == (0, "")
            assert completed.stdout == f"{method} {url}\nAuthorization: LMv1 ********\n{body}"
        assert modifying_requests(lmtokens_portal) == []

    def test_markers_are_kept(self, lmtokens_portal: Portal) -> None:
        token = lmtokens_portal.client().add_token(32, "old", expires=3600)
        completed = run_shell("update", "--note", "new", "--dry-run", str(token.id))
        note = json.loads(completed.stdout.splitlines()[-1])["note"]
        assert note.startswith(f"[lmtokens {token.id} expires ")
        assert note.endswith("] new")

    def test_guard_of_the_calling_token_applies(self, lmtokens_portal: Portal) -> None:
        own = lmtokens_portal.create_token()
        completed = run_shell("delete", "--dry-run", str(own.id), environment=environment_of(own))
        assert completed.returncode == 1
        assert "signs this call" in completed.stderr

    def test_a_bearer_token_is_masked(self, lmtokens_portal: Portal) -> None:
        own, other = lmtokens_portal.create_token(type="bearer"), lmtokens_portal.create_token()
        completed = run_shell("disable", "--dry-run", str(other.id), environment=environment_of(own))
        assert "\nAuthorization: Bearer ********\n" in completed.stdout


class TestConfirmation:
    def test_delete_without_a_terminal_needs_yes(self, lmtokens_portal: Portal) -> None:
        token = lmtokens_portal.create_token()
        completed = run_shell("delete", str(token.id))
        assert (completed.returncode, completed.stdout) == (2, "")
        assert "--yes" in completed.stderr
        assert lmtokens_portal.record == []

    @pytest.mark.parametrize(("answer", "status"), [("y\n", 0), ("YES\n", 0), ("\n", 1), ("n\n", 1), ("\x04", 1)])
    def test_terminal_is_asked(self, lmtokens_portal: Portal, answer: str, status: int) -> None:
        token = lmtokens_portal.create_token()
        ended = run_at_terminal([*SHELL, "delete", str(token.id)], [("[y/N]", answer)], environment={"CI": ""})
        assert ended.status == status, ended.shown
        assert f"Delete permanently from {lmtokens_portal.base_url}: {token.id}? [y/N]" in ended.shown
        assert (stored_token(lmtokens_portal, token.id) is None) is (status == 0)
        assert ("deleted" in ended.shown) is (status == 0)
        assert ("nothing was changed" in ended.shown) is (status == 1)

    def test_interrupt_at_the_question_is_130(self, lmtokens_portal: Portal) -> None:
        token = lmtokens_portal.create_token()
        ended = run_at_terminal([*SHELL, "delete", str(token.id)], [("[y/N]", "\x03")], environment={"CI": ""})
        assert ended.status == 130, ended.shown
        assert stored_token(lmtokens_portal, token.id) is not None

    def test_dry_run_does_not_ask(self, lmtokens_portal: Portal) -> None:
        token = lmtokens_portal.create_token()
        assert run_shell("delete", "--dry-run", str(token.id)).returncode == 0


@pytest.mark.parametrize("kind", [403, 500])
def test_other_failures_do_not_stop_the_command(lmtokens_portal: Portal, kind: int) -> None:
    tokens = [lmtokens_portal.create_token() for _ in range(2)]
    lmtokens_portal.fail(
        "status-before-acting", method="PATCH", status=kind, path=f"{TOKENS_PATH}/{tokens[0].id}", times=9
    )
    completed = run_shell("disable", *(str(token.id) for token in tokens))
    assert completed.returncode == 3
    assert completed.stdout == f"{tokens[1].id} disabled\n"


def test_key_in_a_response_is_not_printed() -> None:
    page = {
        "total": 1,
        "items": [{"id": 5, "adminId": 32, "accessId": "otherAccessId00005", "accessKey": "leaked-key"}],
    }
    with StubServer(json.dumps(page).encode()) as server:
        environment = {"LM_ACCESS_ID": ACCESS_ID, "LM_ACCESS_KEY": ACCESS_KEY, "LM_BASE_URL": server.base_url}
        for arguments in (["list", "-o", "json"], ["show", "5"], ["list", "--type", "bearer", "-o", "csv"]):
            completed = run_shell(*arguments, environment=environment)
            assert completed.returncode == 0
            assert "leaked-key" not in completed.stdout + completed.stderr
