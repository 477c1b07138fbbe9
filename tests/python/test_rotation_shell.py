"""``lmtokens rotate``: commands, templates of destinations, options and exit codes."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import lmtokens
import pytest
from api_variants import modifying_requests, stored_token
from lmtokens.deliver import to_file
from support import run_shell
from test_rotate_token import delivered, passing_time, stored, works

if TYPE_CHECKING:
    from pathlib import Path

    from lmtokens.sandbox import Portal


def test_missing_command_is_found_before_anything_is_sent(lmtokens_portal: Portal, tmp_path: Path) -> None:
    for which, name in ((["5"], "ci"), (["--user", "32"], "{old_id}")):
        to = f"file:{tmp_path / name}"
        completed = run_shell("rotate", *which, "--to", to, "--overlap", "0", "--then", "no-such-command")
        assert completed.returncode == 1
        assert "cannot find the command no-such-command" in completed.stderr
    assert lmtokens_portal.record == []


def test_command_gets_no_secret(lmtokens_portal: Portal, tmp_path: Path) -> None:
    path, seen = tmp_path / "ci.json", tmp_path / "seen"
    old = lmtokens_portal.create_token(32)
    script = f"env > {seen}; cat >> {seen}; cat /proc/$$/cmdline >> {seen}"
    completed = run_shell(
        "rotate", str(old.id), "--to", f"file:{path}", "--overlap", "0", "--then", f"sh -c '{script}'"
    )
    assert completed.returncode == 0, completed.stderr
    key = delivered(path)["access_key"]
    assert key not in seen.read_text() + completed.stdout + completed.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--user", "32", "--to", "file:x.json"), "{old_id} or {access_id}"),
        (("--user", "32", "--to", "file:keys/{row}.json"), "{old_id} or {access_id}"),
        (("--user", "32", "--to", "file:{admin_id}/{row}.json", "--dry-run"), "{old_id} or {access_id}"),
        (("17", "--to", "file:{old_id}.json"), "{old_id} in --to needs --user, --filter or --older-than"),
        (("17", "--to", "command:store {access_id}"), "{access_id} in --to needs"),
    ],
)
def test_template_that_names_no_file_of_each_token_is_refused(
    lmtokens_portal: Portal, arguments: tuple[str, ...], message: str
) -> None:
    completed = run_shell("rotate", "--overlap", "0", *arguments)
    assert completed.returncode == 2, completed.stderr
    assert message in completed.stderr
    assert lmtokens_portal.record == []


def test_command_for_several_tokens_needs_no_placeholder(lmtokens_portal: Portal, tmp_path: Path) -> None:
    old = [lmtokens_portal.create_token(32) for _ in range(2)]
    to = f"command:sh -c 'cat >> {tmp_path / 'keys'}'"
    completed = run_shell("rotate", "--user", "32", "--to", to, "--overlap", "0")
    assert completed.returncode == 0, completed.stderr
    rows = [json.loads(line) for line in (tmp_path / "keys").read_text().splitlines()]
    assert len(rows) == len(old)
    assert all(works(lmtokens_portal, row) for row in rows)


def test_failed_row_names_the_new_token(lmtokens_portal: Portal, tmp_path: Path) -> None:
    old = [lmtokens_portal.create_token(32) for _ in range(2)]
    rotate = ("rotate", "--user", "32", "--to", f"file:{tmp_path}/{{old_id}}", "--overlap", "1h", "-o", "json")
    completed = run_shell(*rotate, "--then", "false")
    assert completed.returncode == 1
    (row,) = json.loads(completed.stdout)
    new = delivered(tmp_path / str(old[0].id))
    assert (row["old_id"], row["new_id"], row["state"], row["changes"]) == (old[0].id, new["id"], "failed", 3)
    lmtokens_portal.fail("status-before-acting", method="POST", status=403)
    completed = run_shell(*rotate, "--then", "true")
    rows = json.loads(completed.stdout)
    assert [(row["new_id"], row["state"]) for row in rows] == [(new["id"], "overlap"), (None, "failed")]


def test_rejected_credentials_keep_what_was_finished(lmtokens_portal: Portal, tmp_path: Path) -> None:
    old = [lmtokens_portal.create_token(32) for _ in range(4)]
    for token in old:
        lmtokens.rotate_token(token.id, deliver=to_file(tmp_path / str(token.id)), overlap=3600)
    lmtokens_portal.advance(hours=2)
    lmtokens_portal.fail("status-before-acting", method="PATCH", status=401, times=None, skip=1)
    completed = run_shell("rotate", "--finish", "-o", "json")
    assert completed.returncode == 3
    assert [row["state"] for row in json.loads(completed.stdout)] == ["quarantine", "failed"]
    assert f"the rotations of tokens {old[2].id}, {old[3].id} were not tried" in completed.stderr
    assert run_shell("rotate", "--finish", "-o", "json").returncode == 3


def test_token_without_an_access_id_is_refused_by_its_template(lmtokens_portal: Portal, tmp_path: Path) -> None:
    bearer = lmtokens_portal.create_token(32, type="bearer")
    lmtokens_portal.create_token(32)
    rotate = ("rotate", "--user", "32", "--allow-bearer", "--overlap", "0", "-o", "json")
    completed = run_shell(*rotate, "--to", f"file:{tmp_path}/{{access_id}}.json")
    assert completed.returncode == 2, completed.stdout
    assert f"token {bearer.id} has no access id" in completed.stderr
    assert modifying_requests(lmtokens_portal) == []
    completed = run_shell(*rotate, "--to", f"file:{tmp_path}/{{old_id}}.json")
    assert completed.returncode == 0, completed.stderr
    assert {row["state"] for row in json.loads(completed.stdout)} == {"quarantine"}


@pytest.mark.parametrize(
    "option", [["--allow-bearer"], ["--take-over"], ["--overwrite"], ["--trust-folder"], ["--format", "env"]]
)
@pytest.mark.parametrize("mode", ["--finish", "--cancel"])
def test_options_without_effect_are_refused(lmtokens_portal: Portal, mode: str, option: list[str]) -> None:
    completed = run_shell("rotate", mode, "17", *option)
    assert completed.returncode == 2, completed.stdout
    assert "cannot be used with" in completed.stderr
    assert lmtokens_portal.record == []


def test_bearer_token_is_rotated_on_demand(lmtokens_portal: Portal, tmp_path: Path) -> None:
    path = tmp_path / "ci.json"
    bearer = lmtokens_portal.create_token(32, type="bearer")
    rotate = ("rotate", str(bearer.id), "--to", f"file:{path}", "--overlap", "0")
    completed = run_shell(*rotate)
    assert completed.returncode == 1
    assert "pass --allow-bearer to rotate it" in completed.stderr
    completed = run_shell(*rotate, "--allow-bearer")
    assert completed.returncode == 0, completed.stderr
    lmtokens_portal.client(bearer_token=delivered(path)["access_key"]).whoami()


def test_rotation_of_another_machine_is_taken_over_on_demand(lmtokens_portal: Portal, tmp_path: Path) -> None:
    old = lmtokens_portal.create_token(32)
    kept: list[lmtokens.CreatedToken] = []

    class Killed:
        def deliver(self, token: lmtokens.CreatedToken) -> None:
            kept.append(token)

        def commit(self, _: lmtokens.CreatedToken) -> None:
            raise OSError("killed")

    with pytest.raises(lmtokens.DeliveryError):
        lmtokens.rotate_token(old.id, deliver=Killed(), overlap=0)
    lmtokens_portal.advance(minutes=13)
    path = tmp_path / "ci.json"
    rotate = ("rotate", str(old.id), "--to", f"file:{path}", "--overlap", "0", "-o", "json")
    completed = run_shell(*rotate)
    assert completed.returncode == 1
    assert "--take-over" in completed.stderr
    with passing_time(lmtokens_portal):
        completed = run_shell(*rotate, "--take-over")
    assert completed.returncode == 0, completed.stderr
    (row,) = json.loads(completed.stdout)
    assert (row["state"], row["new_id"]) == ("quarantine", delivered(path)["id"])
    assert works(lmtokens_portal, delivered(path))
    assert stored(lmtokens_portal, kept[0].id).status == 1


def test_cancel_that_is_too_late_fails(lmtokens_portal: Portal, tmp_path: Path) -> None:
    path = tmp_path / "ci.json"
    old = lmtokens_portal.create_token(32)
    lmtokens.rotate_token(old.id, deliver=to_file(path), overlap="1h")
    lmtokens.delete_token(old.id)
    with passing_time(lmtokens_portal):
        completed = run_shell("rotate", "--cancel", str(delivered(path)["id"]), "-o", "json")
    assert (completed.returncode, json.loads(completed.stdout)[0]["state"]) == (1, "too_late"), completed.stderr
    assert stored_token(lmtokens_portal, old.id) is None
    assert works(lmtokens_portal, delivered(path))


def test_sweep_counts_rotations_in_use_as_neither_deleted_nor_advanced(lmtokens_portal: Portal, tmp_path: Path) -> None:
    old = lmtokens_portal.create_token(32)
    lmtokens.rotate_token(old.id, deliver=to_file(tmp_path / "ci.json"), overlap="1h")
    lmtokens_portal.advance(hours=1)
    assert works(lmtokens_portal, old)
    assert "0 of 0 deleted\n" in run_shell("sweep", "--yes").stderr
    lmtokens_portal.advance(hours=1)
    assert "0 of 1 deleted, 1 rotations advanced\n" in run_shell("sweep", "--yes").stderr
    lmtokens_portal.advance(days=8)
    assert "1 of 1 deleted\n" in run_shell("sweep", "--yes").stderr


def test_csv_without_rotations_has_its_header(lmtokens_portal: Portal) -> None:
    completed = run_shell("rotate", "--finish", "-o", "csv")
    assert completed.returncode == 0
    header = "old_id,new_id,admin_id,admin_name,note,state,due,last_used_on,last_used_from,changes\n"
    assert completed.stdout == header


def test_formats_of_a_file_are_those_that_the_help_lists(lmtokens_portal: Portal) -> None:
    for command in (["rotate", "17", "--to", "file:x", "--overlap", "0"], ["bulk", "x", "--journal", "j"]):
        completed = run_shell(*command, "--format", "table")
        assert completed.returncode == 2
        assert "[possible values: json, env, env-file, key]" in completed.stderr


def test_existing_file_in_another_format_names_it(lmtokens_portal: Portal, tmp_path: Path) -> None:
    path = tmp_path / "app.env"
    to = ("--to", f"file:{path}")
    added = run_shell("add", "32", *to, "--format", "env-file")
    rotate = ("rotate", added.stdout.strip(), *to, "--overlap", "0")
    refused = run_shell(*rotate)
    assert refused.returncode == 1
    assert "in the format env-file" in refused.stderr
    assert "hint: pass --format env-file" in refused.stderr
    completed = run_shell(*rotate, "--format", "env-file")
    assert completed.returncode == 0, completed.stderr
    assert path.read_text().count("LM_ACCESS_KEY=") == 1


def test_next_rotation_says_when_and_how_it_can_begin(lmtokens_portal: Portal, tmp_path: Path) -> None:
    path = tmp_path / "ci.json"
    old = lmtokens_portal.create_token(32)

    def rotate(token: int) -> subprocess.CompletedProcess[str]:
        return run_shell("rotate", str(token), "--to", f"file:{path}", "--overlap", "0")

    first = rotate(old.id)
    assert (first.returncode, "nothing was rotated" in first.stderr) == (0, False)
    new = delivered(path)["id"]
    again = rotate(old.id)
    assert again.returncode == 0
    assert f"nothing was rotated: token {old.id} was replaced before; to replace token {new}" in again.stderr
    refused = rotate(new)
    assert refused.returncode == 1
    assert f"the rotation of token {old.id}, which is disabled and is deleted after 20" in refused.stderr
    (hint,) = [line for line in refused.stderr.splitlines() if line.startswith("hint:")]
    commands = [command.split(",")[0].split() for command in hint.split("lmtokens ")[1:]]
    assert [command[0] for command in commands] == ["delete", "rotate"]
    for command in commands:
        assert run_shell(*command).returncode == 0
    assert rotate(new).returncode == 0
    assert delivered(path)["id"] > new
