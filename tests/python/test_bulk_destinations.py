"""Destinations with placeholders in ``lmtokens bulk --to``: no key takes the place of another's."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import TYPE_CHECKING

import lmtokens
import pytest
from delivery_helpers import created_tokens, requests_with_method
from support import SHELL, run_shell, wait_until
from test_bulk_spreadsheets import bulk, delivered, exported, folder, keys

if TYPE_CHECKING:
    from pathlib import Path

    from lmtokens.sandbox import Portal

__all__ = ["folder"]

FOREVER = 3600


def shell_command(folder: Path, name: str) -> str:
    """Return a destination whose command writes to a file and replaces what is there."""
    return f"command:sh -c 'umask 077; cat > \"$1\"' sh {folder}/{name}.json"


def kill_at_patch(portal: Portal, path: Path, journal: Path, *arguments: str) -> None:
    """Kill a run that has enabled the token of its first row, before it can write that."""
    portal.fail("act-then-delay", method="PATCH", seconds=FOREVER)
    command = [*SHELL, "bulk", str(path), "--journal", str(journal), *arguments]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        wait_until(lambda: requests_with_method(portal, "PATCH"))
        wait_until(lambda: created_tokens(portal)[0].status == 2)
        process.send_signal(signal.SIGKILL)
    portal.clear_faults()
    portal.clear_record()


@pytest.mark.parametrize("mode", [["--dry-run"], []], ids=["dry run", "run"])
def test_rows_with_the_same_filled_command_are_refused(
    lmtokens_portal: Portal, tmp_path: Path, journal: Path, folder: Path, mode: list[str]
) -> None:
    (tmp_path / "in.csv").write_text("admin_id,note\n32,a\n33,b\n32,c\n")
    completed = bulk(tmp_path / "in.csv", journal, "--to", shell_command(folder, "{admin_id}"), *mode)
    assert completed.returncode == 2
    assert "holds the key of one token, not those of the rows 1 and 3" in completed.stderr
    assert (lmtokens_portal.record, journal.exists()) == ([], False)


def test_command_without_placeholders_receives_all_keys(lmtokens_portal: Portal, tmp_path: Path, journal: Path) -> None:
    (tmp_path / "in.csv").write_text("admin_id,note\n32,a\n32,c\n")
    command = f"command:sh -c 'umask 077; cat >> \"$1\"' sh {tmp_path}/all.jsonl"
    assert bulk(tmp_path / "in.csv", journal, "--to", command, "--concurrency", "1").returncode == 0
    lines = (tmp_path / "all.jsonl").read_text().splitlines()
    assert {json.loads(line)["access_key"] for line in lines} == set(keys(lmtokens_portal).values())


@pytest.mark.parametrize("kind", ["command", "file"])
def test_renumbered_row_does_not_replace_the_key_of_another(
    lmtokens_portal: Portal, tmp_path: Path, journal: Path, folder: Path, kind: str
) -> None:
    path = tmp_path / "in.csv"
    to = shell_command(folder, "{row}") if kind == "command" else f"file:{folder}/{{row}}.json"
    path.write_text("admin_id,note\n32,a\n33,b\n")
    assert bulk(path, journal, "--to", to).returncode == 0
    before = delivered(folder)
    lmtokens_portal.clear_record()
    path.write_text("admin_id,note\n33,b\n32,c\n")
    for mode in ([], ["--dry-run"]):
        completed = bulk(path, journal, "--to", to, "--resume", *mode)
        assert completed.returncode == 1
        assert "row 2 would replace the key of token" in completed.stderr
        assert "add rows at the end" in completed.stderr
    assert (lmtokens_portal.record, delivered(folder)) == ([], before)
    path.write_text("admin_id,note\n32,a\n33,b\n32,c\n")
    assert bulk(path, journal, "--to", to, "--resume").returncode == 0
    stored = keys(lmtokens_portal)
    assert delivered(folder) == {"1.json": stored["a"], "2.json": stored["b"], "3.json": stored["c"]}


def test_command_does_not_replace_the_key_of_a_token_that_may_be_enabled(
    lmtokens_portal: Portal, tmp_path: Path, journal: Path, folder: Path
) -> None:
    path = tmp_path / "in.csv"
    path.write_text("admin_id,note\n32,a\n")
    to = shell_command(folder, "{row}")
    kill_at_patch(lmtokens_portal, path, journal, "--to", to)
    before = delivered(folder)
    path.write_text("admin_id,note\n33,b\n32,a\n")
    completed = bulk(path, journal, "--to", to, "--resume")
    assert completed.returncode == 1
    assert "row 1 would replace the key of token" in completed.stderr
    assert (delivered(folder), lmtokens_portal.record) == (before, [])


def test_equal_rows_keep_their_files(lmtokens_portal: Portal, tmp_path: Path, journal: Path, folder: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("admin_id\n32\n32\n32\n")
    arguments = ["--to", f"file:{folder}/{{row}}.json", "--concurrency", "1"]
    lmtokens_portal.fail("status-before-acting", method="POST", status=400)
    assert bulk(path, journal, *arguments).returncode == 3
    assert sorted(delivered(folder)) == ["2.json", "3.json"]
    completed = bulk(path, journal, *arguments, "--resume")
    assert completed.returncode == 0, completed.stderr
    by_id = {token.id: token.access_key.reveal() for token in created_tokens(lmtokens_portal)}
    assert delivered(folder) == {f"{row['row']}.json": by_id[int(row["id"])] for row in exported(journal)}
    assert len(by_id) == 3


def test_export_names_the_row_that_the_file_is_named_after(
    lmtokens_portal: Portal, tmp_path: Path, journal: Path, folder: Path
) -> None:
    path = tmp_path / "in.csv"
    path.write_text("admin_id,note\n32,a\n33,b\n")
    arguments = ["--to", f"file:{folder}/{{row}}.json"]
    assert bulk(path, journal, *arguments).returncode == 0
    path.write_text("admin_id,note\n33,b\n32,a\n")
    assert bulk(path, journal, *arguments, "--resume").returncode == 0
    assert {(row["row"], row["note"]) for row in exported(journal)} == {("1", "a"), ("2", "b")}


def test_run_is_resumed_with_its_own_destination_only(
    lmtokens_portal: Portal, tmp_path: Path, journal: Path, folder: Path
) -> None:
    path = tmp_path / "in.csv"
    path.write_text("admin_id,note\n32,a\n")
    to = f"file:{folder}/{{row}}.json"
    kill_at_patch(lmtokens_portal, path, journal, "--to", to)
    for other in ("command:cat", "keyring:ci-{row}", f"file:{folder}/x-{{row}}.json"):
        completed = bulk(path, journal, "--to", other, "--resume")
        assert completed.returncode == 1
        assert "was started with another destination for the keys" in completed.stderr
    assert lmtokens_portal.record == []
    assert bulk(path, journal, "--to", to, "--resume").returncode == 0
    assert delivered(folder) == {"1.json": keys(lmtokens_portal)["a"]}


def test_journal_does_not_hold_the_words_of_a_command(lmtokens_portal: Portal, tmp_path: Path, journal: Path) -> None:
    (tmp_path / "in.csv").write_text("admin_id\n32\n")
    assert bulk(tmp_path / "in.csv", journal, "--to", "command:sh -c 'cat > /dev/null' pass-word").returncode == 0
    assert "pass-word" not in journal.read_text()
    assert len(lmtokens.read_journal(journal)) == 1


def test_hint_of_failed_rows_is_printed_once(lmtokens_portal: Portal, tmp_path: Path, journal: Path) -> None:
    (tmp_path / "in.csv").write_text("admin_id,note\n32,a\n32,b\n32,c\n")
    completed = bulk(tmp_path / "in.csv", journal, "--to", "command:false")
    assert completed.returncode == 1
    assert completed.stderr.count("hint: run it by hand to see its output") == 1


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("access_key", "holds keys, which are not kept; remove it"),
        ("LM_BEARER_TOKEN", "holds keys, which are not kept; remove it"),
        ("expires_on", 'column "expires_on" is not supported'),
        ("Expiration date", 'column "Expiration date" is not supported'),
        ("Enabled", 'column "Enabled" is not supported'),
    ],
)
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_column_that_would_be_misunderstood_is_refused(
    lmtokens_portal: Portal, tmp_path: Path, journal: Path, column: str, message: str, form: str
) -> None:
    path = tmp_path / f"in.{form}"
    path.write_text(f"admin_id,{column}\n32,x\n" if form == "csv" else json.dumps({"admin_id": 32, column: "x"}))
    completed = bulk(path, journal)
    assert completed.returncode == 2
    assert message in completed.stderr
    assert (lmtokens_portal.record, journal.exists()) == ([], False)


@pytest.mark.parametrize(
    "rows",
    [
        [{"admin_id": 32, **{f"c{number}": "x" for number in range(1001)}}],
        [{"admin_id": 32, f"c{number}": "x"} for number in range(1001)],
    ],
    ids=["one row", "all rows"],
)
def test_columns_of_json_lines_are_limited(
    lmtokens_portal: Portal, tmp_path: Path, journal: Path, rows: list[dict[str, object]]
) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    completed = bulk(path, journal)
    assert completed.returncode == 2
    assert "more than 1000 other columns" in completed.stderr
    assert lmtokens_portal.record == []


def test_rotations_with_the_same_filled_command_are_refused(lmtokens_portal: Portal, folder: Path) -> None:
    ids = [lmtokens.add_token(32, note=note).id for note in ("a", "b")]
    lmtokens_portal.clear_record()
    for mode in ([], ["--dry-run"]):
        completed = run_shell(
            "rotate", "--user", "32", "--to", shell_command(folder, "{admin_id}"), "--overlap", "0", *mode
        )
        assert completed.returncode == 2
        assert f"not those that replace the tokens {ids[0]} and {ids[1]}" in completed.stderr
    assert {request.method for request in lmtokens_portal.record} == {"GET"}
    assert list(folder.iterdir()) == []
