"""The input of ``lmtokens bulk``: CSV and JSON lines from common programs, and errors by line number."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from delivery_helpers import created_tokens
from support import HANG_TIMEOUT, SHELL, run_shell

if TYPE_CHECKING:
    from pathlib import Path

    from lmtokens.sandbox import Portal

CSV = {
    "plain": "admin_id,note,status,type\n32,a,2,lmv1\nviewer,b,1,bearer\n33,,,\n",
    "BOM": "\ufeffadmin_id,note,status,type\n32,a,2,lmv1\nviewer,b,1,bearer\n33,,,\n",
    "CRLF": "admin_id,note,status,type\r\n32,a,2,lmv1\r\nviewer,b,1,bearer\r\n33,,,\r\n",
    "no final line break": "admin_id,note,status,type\n32,a,2,lmv1\nviewer,b,1,bearer\n33,,,",
    "words": "admin_id,note,status,type\n32,a,enabled,lmv1\nviewer,b,Disabled,bearer\n33,,active,\n",
    "other order": "type,status,note,admin_id\nlmv1,2,a,32\nbearer,1,b,viewer\n,,,33\n",
    "header in capitals": "ADMIN_ID, Note ,Status,Type\n32,a,2,lmv1\nviewer,b,1,bearer\n33,,,\n",
    "quotes": '"admin_id","note","status","type"\n"32","a","2","lmv1"\n"viewer","b","1","bearer"\n"33","","",""\n',
    "spaces": "admin_id,note,status,type\n 32 ,a, 2 , lmv1 \n viewer,b,1,bearer\n33,,,\n",
    "blank lines": "admin_id,note,status,type\n\n32,a,2,lmv1\n\nviewer,b,1,bearer\n33,,,\n\n",
}

_B = '{"admin_id":"viewer","note":"b","status":1,"type":"bearer"}'

JSON = {
    "plain": f'{{"admin_id":32,"note":"a"}}\n{_B}\n{{"admin_id":33}}\n',
    "texts": '{"admin_id":"32","note":"a","status":"2"}\n'
    '{"admin_id":"viewer","note":"b","status":"disabled","type":"bearer"}\n'
    '{"admin_id":"33","note":null,"status":null,"type":null}',
    "BOM, CRLF and blank lines": "\ufeff"
    + f'{{"admin_id":32,"note":"a"}}\r\n\r\n{_B}\r\n{{"admin_id":33,"note":""}}\r\n',
}

EXPECTED = [(32, "a", 2, "lmv1"), (33, "", 2, "lmv1"), (33, "b", 1, "bearer")]


def stored_rows(portal: Portal) -> list[tuple[int, str, int, str]]:
    return sorted((stored.admin_id, stored.note, stored.status, stored.type) for stored in created_tokens(portal))


@pytest.mark.parametrize("text", CSV.values(), ids=CSV.keys())
def test_accepts_csv(lmtokens_portal: Portal, tmp_path: Path, text: str) -> None:
    (tmp_path / "in.csv").write_bytes(text.encode())
    completed = run_shell("bulk", str(tmp_path / "in.csv"), "--journal", str(tmp_path / "journal"))
    assert completed.returncode == 0, completed.stderr
    assert stored_rows(lmtokens_portal) == EXPECTED


@pytest.mark.parametrize("text", JSON.values(), ids=JSON.keys())
@pytest.mark.parametrize("name", ["in.jsonl", "in.NDJSON", "in"])
def test_accepts_json_lines(lmtokens_portal: Portal, tmp_path: Path, text: str, name: str) -> None:
    (tmp_path / name).write_bytes(text.encode())
    completed = run_shell("bulk", str(tmp_path / name), "--journal", str(tmp_path / "journal"))
    assert completed.returncode == 0, completed.stderr
    assert stored_rows(lmtokens_portal) == EXPECTED


@pytest.mark.parametrize("text", [CSV["plain"], CSV["BOM"], JSON["plain"]], ids=["CSV", "CSV with a BOM", "JSON"])
def test_reads_standard_input(lmtokens_portal: Portal, tmp_path: Path, text: str) -> None:
    command = [*SHELL, "bulk", "-", "--journal", str(tmp_path / "journal")]
    completed = subprocess.run(command, input=text.encode(), capture_output=True, timeout=HANG_TIMEOUT, check=False)
    assert completed.returncode == 0, completed.stderr
    assert stored_rows(lmtokens_portal) == EXPECTED


def test_csv_keeps_notes_with_special_characters(lmtokens_portal: Portal, tmp_path: Path) -> None:
    notes = ['say "hi"', "a, b", "two\nlines", "  spaces  ", "ümlaut 🔑", "=1+1"]
    quoted = ['"' + note.replace('"', '""') + '"' for note in notes]
    (tmp_path / "in.csv").write_text("admin_id,note\n" + "".join(f"32,{note}\n" for note in quoted))
    completed = run_shell("bulk", str(tmp_path / "in.csv"), "--journal", str(tmp_path / "journal"))
    assert completed.returncode == 0, completed.stderr
    assert sorted(stored.note for stored in created_tokens(lmtokens_portal)) == sorted(notes)


def rejected_input(portal: Portal, path: Path, text: str | bytes) -> list[str]:
    """Return the error lines for an invalid input, after checking that nothing was sent and no journal started."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    completed = run_shell("bulk", str(path), "--journal", str(path.parent / "journal"))
    assert (completed.returncode, completed.stdout) == (2, ""), completed.stderr
    assert portal.record == []
    assert not (path.parent / "journal").exists()
    return completed.stderr.splitlines()


def test_every_invalid_line_of_csv_is_reported(lmtokens_portal: Portal, tmp_path: Path) -> None:
    text = (
        "admin_id,note,status,type\n"  # 1
        "32,good,2,lmv1\n"
        "0,a,2,lmv1\n"  # 3
        '32,"two\nlines",,\n'  # 4 and 5
        "32,a,3,lmv1\n"  # 6
        "32,a,2,v1\n"  # 7
        "32,a\n"  # 8
        ",a,2,lmv1\n"  # 9
        f"32,lmtokens-1-{'0' * 16}-1700000000-{'0' * 32},2,lmv1\n"  # 10
        "32,a,2,lmv1,more\n"  # 11
        "-1,a,2,lmv1\n"  # 12
    )
    messages = rejected_input(lmtokens_portal, tmp_path / "in.csv", text)
    assert str(tmp_path / "in.csv") in messages[0]
    lines = [line.partition(":")[0] for line in messages if line.startswith("line ")]
    assert lines == [f"line {number}" for number in (3, 6, 7, 8, 9, 10, 11, 12)]


def test_every_invalid_line_of_json_is_reported(lmtokens_portal: Portal, tmp_path: Path) -> None:
    text = "\n".join(
        [
            '{"admin_id":32}',
            "not JSON",
            "",
            '{"note":"no user"}',
            '{"admin_id":32,"nte":"x"}',
            "[32]",
            '{"admin_id":32.5}',
            '{"admin_id":32,"status":true}',
            '{"admin_id":32,"admin_id":33}',
            '{"admin_id":32,"note":7}',
            '{"admin_id":99999999999}',
            '{"admin_id":32} x',
        ]
    )
    messages = rejected_input(lmtokens_portal, tmp_path / "in.jsonl", text)
    lines = [line.partition(":")[0] for line in messages if line.startswith("line ")]
    assert lines == [f"line {number}" for number in (2, 4, 5, 6, 7, 8, 9, 10, 11, 12)]
    # Not the line number of the JSON parser, which is always 1.
    assert not any("at line 1" in line for line in messages)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("admin_id,nte\n32,x\n", "nte"),
        ("note,status\nx,2\n", "no column admin_id"),
        ("32,x\n33,y\n", "unknown column"),
        ("", "admin_id"),
        ("admin_id,note\n", "no rows"),
        (b"admin_id,note\n32,\xff\xfe\n", "not valid UTF-8"),
        ("admin_id,note,note\n32,x,y\n", "note"),
    ],
    ids=[
        "unknown column",
        "no column",
        "no header",
        "empty",
        "header only",
        "not UTF-8",
        "duplicate column",
    ],
)
def test_invalid_csv_is_rejected(lmtokens_portal: Portal, tmp_path: Path, text: str | bytes, reason: str) -> None:
    assert reason in "\n".join(rejected_input(lmtokens_portal, tmp_path / "in.csv", text))


def test_missing_input_is_rejected(lmtokens_portal: Portal, tmp_path: Path) -> None:
    completed = run_shell("bulk", str(tmp_path / "none.csv"), "--journal", str(tmp_path / "journal"))
    assert completed.returncode == 2
    assert str(tmp_path / "none.csv") in completed.stderr
    assert not (tmp_path / "journal").exists()


def test_dry_run_only_checks_the_input(lmtokens_portal: Portal, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(CSV["plain"])
    completed = run_shell("bulk", str(tmp_path / "in.csv"), "--journal", str(tmp_path / "journal"), "--dry-run")
    assert (completed.returncode, completed.stdout) == (0, "3 tokens would be created\n")
    assert lmtokens_portal.record == []
    assert not (tmp_path / "journal").exists()
