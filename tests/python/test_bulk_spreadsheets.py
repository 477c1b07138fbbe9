"""``lmtokens bulk`` with files as spreadsheets write them, and the columns of a spreadsheet in ``--export``."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import lmtokens
import lmtokens.sandbox
import pytest
from delivery_helpers import assert_no_key_is_lost, created_tokens, keys_in_journal, requests_with_method
from hypothesis import given, settings
from hypothesis import strategies as st
from support import SHELL, run_shell, wait_until
from test_bulk_input import rejected_input, stored_rows

if TYPE_CHECKING:
    from pathlib import Path

    from lmtokens.sandbox import Portal

ROWS = [["32", "Büro, 2. OG", "Zürich"], ["viewer", 'say "hi"; 🔑', "a|b"], ["33", "two\nlines", ""]]
HEADER = ["admin_id", "note", "Team"]
NOTES = {(32, ROWS[0][1]), (33, ROWS[1][1]), (33, ROWS[2][1])}


def written(delimiter: str, line_break: str, *, quote_all: bool = False, blank: int = 0) -> str:
    """Return the rows as a program writes them, with ``blank`` empty columns and rows after those that are used."""
    text = io.StringIO()
    quoting: Any = csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL
    writer = csv.writer(text, delimiter=delimiter, lineterminator=line_break, quoting=quoting)
    writer.writerows([*row, *[""] * blank] for row in [HEADER, *ROWS])
    writer.writerows([[""] * (len(HEADER) + blank)] * blank)
    return text.getvalue()


TYPE = "#TYPE System.Management.Automation.PSCustomObject\r\n"

FILES = {
    "Excel, en_US, CSV UTF-8": ("in.csv", written(",", "\r\n").encode("utf-8-sig")),
    "Excel, de_DE, CSV UTF-8": ("in.csv", written(";", "\r\n").encode("utf-8-sig")),
    "Excel, Unicode text": ("in.txt", written("\t", "\r\n").encode("utf-16")),
    "Excel, empty columns and rows": ("in.csv", written(";", "\r\n", blank=3).encode("utf-8-sig")),
    "Excel, with its separator": ("in.csv", ("sep=;\r\n" + written(";", "\r\n")).encode("utf-8-sig")),
    "Excel for Mac, earlier": ("in.csv", written(",", "\r", quote_all=True).encode()),
    "LibreOffice": ("in.csv", written(",", "\n").encode()),
    "LibreOffice, UTF-16": ("in.csv", written("\t", "\n").encode("utf-16-le")),
    "LibreOffice, UTF-16, big-endian": ("in.csv", written("|", "\n").encode("utf-16-be")),
    "Google Sheets": ("in.csv", written(",", "\r\n").removesuffix("\r\n").encode()),
    "Google Sheets, TSV": ("in.tsv", written("\t", "\r\n").removesuffix("\r\n").encode()),
    "PowerShell 5.1": ("in.csv", (TYPE + written(",", "\r\n", quote_all=True)).encode("utf-8-sig")),
    "PowerShell 5.1, UTF-16": ("in.csv", (TYPE + written(",", "\r\n", quote_all=True)).encode("utf-16")),
    "PowerShell 5.1, de_DE": ("in.csv", (TYPE + written(";", "\r\n", quote_all=True)).encode("utf-16")),
    "PowerShell 7": ("in.csv", written(",", "\r\n", quote_all=True).encode()),
}


def bulk(path: Path, journal: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_shell("bulk", str(path), "--journal", str(journal), *arguments)


def exported(journal: Path) -> list[dict[str, str]]:
    """Return the rows of ``--export``, after checking that CSV and JSON lines have the same values."""
    completed = run_shell("bulk", "--journal", str(journal), "--export", "-o", "jsonl")
    assert completed.returncode == 0, completed.stderr
    lines = [json.loads(line) for line in completed.stdout.splitlines()]
    path = journal.with_name("exported.csv")
    with path.open("w") as file:
        subprocess.run([*SHELL, "bulk", "--journal", str(journal), "--export"], stdout=file, check=True)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file, strict=True))
    assert [list(row) for row in rows] == [list(line) for line in lines]

    def text(value: Any) -> str:
        return "" if value is None else value if isinstance(value, str) else json.dumps(value)

    columns = [name for name in rows[0] if name not in {"roles", "was_used"}]
    assert [[row[name] for name in columns] for row in rows] == [
        [text(line[name]) for name in columns] for line in lines
    ]
    return rows


@pytest.mark.parametrize(("name", "data"), FILES.values(), ids=FILES.keys())
def test_file_of_a_spreadsheet_is_read_and_its_columns_are_exported(
    lmtokens_portal: Portal, tmp_path: Path, journal: Path, name: str, data: bytes
) -> None:
    (tmp_path / name).write_bytes(data)
    completed = bulk(tmp_path / name, journal)
    assert completed.returncode == 0, completed.stderr
    line_break = "\r\n" if b"two\r" in data.replace(b"\0", b"") else "\n"
    notes = {(id, note.replace(line_break, "\n")) for id, note, *_ in stored_rows(lmtokens_portal)}
    assert notes == NOTES
    rows = {row["row"]: row for row in exported(journal)}
    assert {number: row["Team"] for number, row in rows.items()} == {"1": "Zürich", "2": "a|b", "3": ""}
    assert not [name for name in rows["1"] if name.startswith("column")]
    stored = {token.id: token for token in created_tokens(lmtokens_portal)}
    for number, row in rows.items():
        token = stored.pop(int(row["id"]))
        assert (row["access_key"], row["note"]) == (token.access_key.reveal(), ROWS[int(number) - 1][1])
    assert stored == {}


@pytest.mark.parametrize("word", ["semicolon", ";", "Semicolon"])
def test_delimiter_that_is_given_is_used(lmtokens_portal: Portal, tmp_path: Path, journal: Path, word: str) -> None:
    # Each of the two could be the delimiter.
    text = "admin_id;note;a,admin_id\n32;n;x,y\n"
    message = "\n".join(rejected_input(lmtokens_portal, tmp_path / "in.csv", text))
    assert "line 1: the header line can be separated by comma and by semicolon" in message
    assert "--delimiter" in message
    completed = bulk(tmp_path / "in.csv", journal, "--delimiter", word)
    assert completed.returncode == 0, completed.stderr
    assert [row[:2] for row in stored_rows(lmtokens_portal)] == [(32, "n")]
    assert exported(journal)[0]["a,admin_id"] == "x,y"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sep=:\nadmin_id:note\n32:a\n", 'line 1: invalid delimiter ":"; expected comma, semicolon, tab or pipe'),
        ("sep=;\nadmin_id,note\n32,a\n", 'line 2: no column admin_id; unknown columns: "admin_id,note"'),
        ("sep=;\nadmin_id;note\n0;a\n", "line 3: invalid admin_id"),
        (TYPE + "admin_id;note\r\n0;a\r\n", "line 3: invalid admin_id"),
        ("id;name\n32;a\n", 'no column admin_id; unknown columns: "id", "name"'),
        ("id;name,x\n32;a\n", "separated by comma and by semicolon"),
        ("admin_id;Team;Expires\n32;a;b\n", "is not supported"),
    ],
    ids=ascii,
)
def test_header_that_is_not_clear_is_refused(lmtokens_portal: Portal, tmp_path: Path, text: str, message: str) -> None:
    assert message in "\n".join(rejected_input(lmtokens_portal, tmp_path / "in.csv", text))


@pytest.mark.parametrize("number", ["32.0", "32,0", "3,2E+01", "3.2E+01", "1.234", "2,0"])
@pytest.mark.parametrize("column", ["admin_id", "status"])
def test_number_in_the_form_of_a_spreadsheet_is_refused(
    lmtokens_portal: Portal, tmp_path: Path, column: str, number: str
) -> None:
    row = {"admin_id": "32", "status": "2", column: number}
    text = f"admin_id;status\n{row['admin_id']};{row['status']}\n"
    message = "\n".join(rejected_input(lmtokens_portal, tmp_path / "in.csv", text))
    assert f'line 2: invalid {column} "{number}"; expected' in message


WRONG_ENCODINGS = {
    "Windows-1252": ("admin_id;note\r\n32;a\r\n33;Müller\r\n".encode("cp1252"), "line 3: byte 0xFC", "Windows-1252"),
    "Windows-1251": ("admin_id;note\r\n32;Ѓ\r\n".encode("cp1251"), "line 2: byte 0x81", "expected UTF-8 or UTF-16"),
    "UTF-32": ("admin_id\n32\n".encode("utf-32"), "UTF-32", "expected UTF-8 or UTF-16"),
    "UTF-16 that is cut": ("admin_id\n32\n".encode("utf-16")[:-1], "line 2: half a character", "UTF-16"),
    "UTF-16 with a lone surrogate": (b"\xff\xfe3\0\n\0\0\xd8\n\0", "line 2: surrogate 0xD800", "UTF-16"),
    "workbook": (b"PK\x03\x04\x14\0\x06\0", "workbook", "CSV UTF-8"),
}


@pytest.mark.parametrize("texts", WRONG_ENCODINGS.values(), ids=WRONG_ENCODINGS.keys())
def test_other_encoding_is_named(lmtokens_portal: Portal, tmp_path: Path, texts: tuple[bytes, str, str]) -> None:
    data, *parts = texts
    message = "\n".join(rejected_input(lmtokens_portal, tmp_path / "in.csv", data))
    assert [part for part in parts if part not in message] == []


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_mapped_columns_are_those_of_the_token(
    lmtokens_portal: Portal, tmp_path: Path, journal: Path, form: str
) -> None:
    path = tmp_path / f"in.{form}"
    if form == "csv":
        path.write_text(" USER ;Zweck; Status ;id\n32;ci;disabled;A7\n")
    else:
        path.write_text(json.dumps({"User": 32, "zweck": "ci", "Status": "disabled", "id": "A7"}))
    completed = bulk(path, journal, "--map", "user=admin_id", "--map", "Zweck = NOTE")
    assert completed.returncode == 0, completed.stderr
    assert stored_rows(lmtokens_portal) == [(32, "ci", 1, "lmv1")]
    (row,) = exported(journal)
    assert (row["id"], row["id_2"]) == (str(created_tokens(lmtokens_portal)[0].id), "A7")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["User=admin_id", "label=note"], 'no column "label" for --map; the columns are "User", "Team", "admin_id"'),
        (["User=admin_id"], 'duplicate column admin_id ("User", "admin_id")'),
        (["User=note", "Team=note"], '--map has two columns for note: "User" and "Team"'),
        (["User=note", "user=type"], '--map has the column "User" twice'),
        (["User=owner"], "expected COLUMN=NAME, with the NAME admin_id, note, status or type"),
        (["User"], "expected COLUMN=NAME"),
        (["=note"], "expected COLUMN=NAME"),
    ],
    ids=ascii,
)
def test_mapping_that_does_not_fit_is_refused(
    lmtokens_portal: Portal, tmp_path: Path, journal: Path, options: list[str], message: str
) -> None:
    (tmp_path / "in.csv").write_text("User,Team,admin_id\n32,a,33\n")
    completed = bulk(tmp_path / "in.csv", journal, *(word for option in options for word in ("--map", option)))
    assert completed.returncode == 2
    assert message in completed.stderr
    assert lmtokens_portal.record == []


def test_mapped_name_that_no_json_row_has_is_refused(lmtokens_portal: Portal, tmp_path: Path, journal: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"admin_id":32}\n{"admin_id":33,"label":"a"}\n')
    completed = bulk(tmp_path / "in.jsonl", journal, "--map", "lable=note")
    assert 'no column "lable" for --map; the columns are "admin_id", "label"' in completed.stderr
    assert bulk(tmp_path / "in.jsonl", journal, "--map", "label=note").returncode == 0
    assert [row[1] for row in stored_rows(lmtokens_portal)] == ["", "a"]


def test_delimiter_is_refused_for_json(lmtokens_portal: Portal, tmp_path: Path, journal: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"admin_id":32}\n')
    completed = bulk(tmp_path / "in.jsonl", journal, "--delimiter", "tab")
    assert (completed.returncode, lmtokens_portal.record) == (2, [])
    assert "--delimiter is for CSV" in completed.stderr


def test_equal_names_and_names_of_the_export_get_numbers(
    lmtokens_portal: Portal, tmp_path: Path, journal: Path
) -> None:
    header = "admin_id,Team,Team,Team_2,row,admin_name,,"
    (tmp_path / "in.csv").write_text(f"{header}\n32,a,b,c,d,e,f,\n33,,,,,,,\n")
    assert bulk(tmp_path / "in.csv", journal).returncode == 0
    first, second = sorted(exported(journal), key=lambda row: row["row"])
    keys = {token.id: token.access_key.reveal() for token in created_tokens(lmtokens_portal)}
    assert first.pop("access_key") == keys[int(first["id"])]
    expected = {"Team": "a", "Team_3": "b", "Team_2": "c", "row_2": "d", "admin_name_2": "e", "column_7": "f"}
    assert list(first)[-6:] == list(expected)
    assert {name: first[name] for name in expected} == expected
    assert {second[name] for name in expected} == {""}
    (entry,) = [entry for entry in lmtokens.read_journal(journal) if entry.number == 1]
    assert entry.columns == {"Team": "a", "Team_3": "b", "Team_2": "c", "row": "d", "admin_name": "e", "column_7": "f"}


def test_values_of_json_are_exported_as_they_are_written(
    lmtokens_portal: Portal, tmp_path: Path, journal: Path
) -> None:
    (tmp_path / "in.jsonl").write_text(
        '{"admin_id":32,"n":123456789012345678901234567890.0,"t":"a\\u00e4","o":{"b": [1]},"z":null}\n{"admin_id":33}\n'
    )
    assert bulk(tmp_path / "in.jsonl", journal).returncode == 0
    first, second = sorted(exported(journal), key=lambda row: row["row"])
    assert [first[name] for name in "ntoz"] == ["123456789012345678901234567890.0", "aä", '{"b": [1]}', ""]
    assert {second[name] for name in "ntoz"} == {""}
    assert len(created_tokens(lmtokens_portal)) == 2


@pytest.mark.parametrize("text", ["=1+1", "+x", "-x", "@SUM(A1)"])
def test_formula_is_exported_exactly_and_reported(
    lmtokens_portal: Portal, tmp_path: Path, journal: Path, text: str
) -> None:
    (tmp_path / "in.csv").write_text(f"admin_id,note,Team,Floor\n32,{text},{text},-1\n")
    assert bulk(tmp_path / "in.csv", journal).returncode == 0
    (row,) = exported(journal)
    assert (row["note"], row["Team"], row["Floor"]) == (text, text, "-1")
    completed = run_shell("bulk", "--journal", str(journal), "--export")
    assert "2 texts begin with =, +, - or @" in completed.stderr
    assert run_shell("bulk", "--journal", str(journal), "--export", "-o", "jsonl").stderr == ""
    assert row["access_key"] == created_tokens(lmtokens_portal)[0].access_key.reveal()


def test_hostile_lengths_are_refused_with_short_messages(lmtokens_portal: Portal, tmp_path: Path) -> None:
    large = "x" * 2_000_000
    for text, message in [
        (f"admin_id,Team\n32,{large}\n", "line 2: the value of the column"),
        (f"admin_id,{large}\n32,a\n", "line 1: the header line is too long"),
        (f"admin_id,{'x' * 256}\n32,a\n", "line 1: the name of the column"),
        (f"admin_id,Team\n{'1' * 2_000_000},a\n", "line 2: the value of the column"),
        (f"admin_id,Team\n32,a\n{large}\n", "line 3: 1 field; expected 2"),
        (f'admin_id,Team\n32,"{large * 50}\n', "line 2: the quotation mark at the beginning"),
        ("admin_id" + ",Team" * 1001 + "\n32" + ",a" * 1001 + "\n", "line 1: 1001 other columns"),
    ]:
        error = "\n".join(rejected_input(lmtokens_portal, tmp_path / "in.csv", text))
        assert message in error
        assert len(error) < 1000


def test_escapes_of_json_count_as_one_character(lmtokens_portal: Portal, tmp_path: Path, journal: Path) -> None:
    team = "ü" * 32_767
    (tmp_path / "in.jsonl").write_text(json.dumps({"admin_id": 32, "team": team}) + "\n")
    assert bulk(tmp_path / "in.jsonl", journal).returncode == 0
    assert [row["team"] for row in exported(journal)] == [team]
    assert len(created_tokens(lmtokens_portal)) == 1


CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


@settings(max_examples=40, deadline=None)
@given(
    table=st.lists(st.tuples(CELL, CELL), min_size=1, max_size=5),
    delimiter=st.sampled_from(",;\t|"),
    line_break=st.sampled_from(["\r\n", "\n", "\r"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"]),
    seed=st.integers(0, 2**32),
)
def test_every_cell_survives_every_form(
    tmp_path_factory: pytest.TempPathFactory,
    table: list[tuple[str, str]],
    delimiter: str,
    line_break: str,
    encoding: str,
    seed: int,
) -> None:
    folder = tmp_path_factory.mktemp("cells")
    header = ["admin_id", "Team", "Floor"]
    random.Random(seed).shuffle(header)
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=line_break, quoting=csv.QUOTE_ALL)
    writer.writerow(header)
    for team, floor in table:
        row = {"admin_id": "32", "Team": team, "Floor": floor}
        writer.writerow([row[name] for name in header])
    (folder / "in.csv").write_bytes(text.getvalue().encode(encoding))
    with lmtokens.sandbox.Portal() as portal:
        command = [*SHELL, "bulk", str(folder / "in.csv"), "--journal", str(folder / "journal")]
        environment = {**os.environ, **portal.environment()}
        completed = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stderr
    entries = sorted(lmtokens.read_journal(folder / "journal"), key=lambda entry: entry.number or 0)
    assert [(entry.columns["Team"], entry.columns["Floor"]) for entry in entries] == table


def teams(journal: Path) -> dict[str, str]:
    """Return the team of each row of the export, by its token."""
    return {row["id"]: row["Team"] for row in exported(journal)}


def test_columns_survive_kill_and_resume(lmtokens_portal: Portal, tmp_path: Path, journal: Path) -> None:
    path = tmp_path / "in.csv"
    rows = "".join(f"32;;Büro {number}\r\n" for number in range(60))
    path.write_bytes((f"sep=;\r\nadmin_id;note;Team\r\n{rows}").encode("utf-16"))
    with subprocess.Popen([*SHELL, "bulk", str(path), "--journal", str(journal)], stderr=subprocess.DEVNULL) as process:
        wait_until(lambda: len(requests_with_method(lmtokens_portal, "PATCH")) >= 20)
        process.send_signal(signal.SIGKILL)
    before = {
        entry.token.id: entry.columns
        for entry in lmtokens.read_journal(journal)
        if entry.token and entry.state == "created"
    }
    assert before
    completed = bulk(path, journal, "--resume")
    assert completed.returncode == 0, completed.stderr
    after = exported(journal)
    assert sorted(row["Team"] for row in after) == sorted(f"Büro {number}" for number in range(60))
    assert sorted(int(row["row"]) for row in after) == list(range(1, 61))
    assert all(row["Team"] == f"Büro {int(row['row']) - 1}" for row in after)
    by_id = {int(row["id"]): row["Team"] for row in after}
    assert {id: columns["Team"] for id, columns in before.items()}.items() <= by_id.items()
    assert_no_key_is_lost(lmtokens_portal, keys_in_journal(journal))
    assert len(created_tokens(lmtokens_portal)) == 60


def test_equal_rows_keep_the_tokens_of_their_columns(lmtokens_portal: Portal, tmp_path: Path, journal: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("admin_id,Team\n32,a\n32,b\n32,c\n")
    lmtokens_portal.fail("status-before-acting", method="POST", status=403)
    assert bulk(path, journal, "--concurrency", "1").returncode == 3
    ids = {columns["Team"]: id for id, columns in _created(journal).items()}
    assert ids.keys() == {"b", "c"}
    # The row that failed is the first of them no longer, and one that is done is removed.
    path.write_text("admin_id,Team\n32,c\n32,a\n")
    completed = bulk(path, journal, "--resume")
    assert completed.returncode == 0, completed.stderr
    assert "2 rows: 1 created, 1 already created" in completed.stderr
    after = {columns["Team"]: id for id, columns in _created(journal).items()}
    assert after.keys() == {"a", "b", "c"}
    assert (after["b"], after["c"]) == (ids["b"], ids["c"])


def test_changed_columns_are_journaled_and_create_no_token(
    lmtokens_portal: Portal, tmp_path: Path, journal: Path
) -> None:
    path = tmp_path / "in.csv"
    path.write_text("admin_id,note,Team\n32,x,a\n33,y,b\n")
    assert bulk(path, journal).returncode == 0
    path.write_text("admin_id,note,Team\n33,y,b\n32,x,corrected\n")
    completed = bulk(path, journal, "--resume")
    assert "2 rows: 0 created, 2 already created" in completed.stderr
    assert {(row["row"], row["note"], row["Team"]) for row in exported(journal)} == {
        ("1", "y", "b"),
        ("2", "x", "corrected"),
    }
    # An input without other columns does not discard them.
    lmtokens.add_tokens([(32, "x"), (33, "y")], journal=journal, resume=True).finish()
    assert sorted(teams(journal).values()) == ["b", "corrected"]
    assert len(created_tokens(lmtokens_portal)) == 2


def test_journal_without_columns_is_resumed_and_exported(
    lmtokens_portal: Portal, tmp_path: Path, journal: Path
) -> None:
    lmtokens.add_tokens([(32, "x"), (33, "y")], journal=journal).finish()
    assert [(row["row"], row["note"]) for row in exported(journal)] == [("1", "x"), ("2", "y")]
    (tmp_path / "in.csv").write_text("admin_id,note,Team\n32,x,a\n33,y,b\n")
    assert bulk(tmp_path / "in.csv", journal, "--resume").returncode == 0
    assert sorted(teams(journal).values()) == ["a", "b"]
    assert len(created_tokens(lmtokens_portal)) == 2


def test_export_after_the_correction_of_a_spreadsheet_is_complete(
    lmtokens_portal: Portal, tmp_path: Path, journal: Path
) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes("admin_id;note;Team\r\n32;a;A\r\nno-such-user;b;B\r\n".encode("utf-16"))
    assert bulk(path, journal).returncode == 3
    assert run_shell("bulk", "--journal", str(journal), "--export").returncode == 3
    path.write_bytes("admin_id;note;Team\r\n32;a;A\r\n33;b;B\r\n".encode("utf-16"))
    assert bulk(path, journal, "--resume").returncode == 0
    assert {(row["row"], row["Team"]) for row in exported(journal)} == {("1", "A"), ("2", "B")}
    assert len(created_tokens(lmtokens_portal)) == 2


def _created(journal: Path) -> dict[int, dict[str, str]]:
    """Return the other columns of each created token."""
    entries = lmtokens.read_journal(journal)
    return {entry.token.id: entry.columns for entry in entries if entry.token and entry.state == "created"}


def delivered(folder: Path) -> dict[str, str]:
    """Return the key in each file of the folder, without the pending ones."""
    return {path.name: json.loads(path.read_text())["access_key"] for path in folder.glob("*.json")}


def keys(portal: Portal) -> dict[str, str]:
    """Return the key of each created token, by its note."""
    return {token.note: token.access_key.reveal() for token in created_tokens(portal)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.mkdir(mode=0o700)
    return path


def test_each_key_is_delivered_to_a_file_of_its_row(
    lmtokens_portal: Portal, tmp_path: Path, journal: Path, folder: Path
) -> None:
    path = tmp_path / "in.csv"
    path.write_text("admin_id;note;Team\n32;a;A\n\n33;b;B\n")
    completed = bulk(path, journal, "--to", f"file:{folder}/{{admin_id}}-{{row}}.json")
    assert completed.returncode == 0, completed.stderr
    stored = keys(lmtokens_portal)
    assert delivered(folder) == {"32-1.json": stored["a"], "33-2.json": stored["b"]}
    assert not any(key in journal.read_text() for key in stored.values())
    rows = exported(journal)
    assert {(row["row"], row["Team"], row.get("access_key", "")) for row in rows} == {("1", "A", ""), ("2", "B", "")}


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("file:FOLDER/key.json", "holds the key of one token, not those of the rows 1 and 2"),
        ("file:FOLDER/{admin_id}.json", "FOLDER/32.json holds the key of one token, not those of the rows 1 and 3"),
        ("keyring:ci", "holds the key of one token, not those of the rows 1 and 2"),
        ("file:FOLDER/{id}.json", "{id} in --to is not known before the token is created; use {row}"),
        ("file:FOLDER/{access_id}.json", "{access_id} in --to is not known"),
        ("file:FOLDER/{Team}.json", "invalid placeholder in --to"),
        ("file:FOLDER/{row.json", "invalid placeholder in --to"),
        ("file:FOLDER/none/{row}.json", "none"),
        ("-", "expected file:PATH, keyring:NAME or command:COMMAND"),
        ("file:FOLDER/{row}-{admin_id}-viewer.json", "needs the id of each user; row 4 has the name"),
    ],
)
@pytest.mark.parametrize("arguments", [["--dry-run"], []], ids=["dry run", "run"])
def test_template_that_does_not_fit_is_refused(
    lmtokens_portal: Portal,
    tmp_path: Path,
    journal: Path,
    folder: Path,
    template: str,
    message: str,
    arguments: list[str],
) -> None:
    last = "viewer,d\n" if "viewer" in template else ""
    (tmp_path / "in.csv").write_text(f"admin_id,note\n32,a\n33,b\n32,c\n{last}")
    completed = bulk(tmp_path / "in.csv", journal, "--to", template.replace("FOLDER", str(folder)), *arguments)
    assert completed.returncode in (1, 2), completed.stderr
    assert message.replace("FOLDER", str(folder)) in completed.stderr
    assert (lmtokens_portal.record, list(folder.iterdir()), journal.exists()) == ([], [], False)


def test_existing_file_of_a_row_is_refused_before_the_run(
    lmtokens_portal: Portal, tmp_path: Path, journal: Path, folder: Path
) -> None:
    (tmp_path / "in.csv").write_text("admin_id,note\n32,a\n33,b\n")
    (folder / "2.json").write_text("mine")
    completed = bulk(tmp_path / "in.csv", journal, "--to", f"file:{folder}/{{row}}.json")
    assert completed.returncode == 1
    assert "2.json exists already" in completed.stderr
    assert (lmtokens_portal.record, journal.exists()) == ([], False)


def test_value_in_a_command_is_one_argument(
    lmtokens_portal: Portal, tmp_path: Path, journal: Path, folder: Path
) -> None:
    (tmp_path / "in.csv").write_text("admin_id,note\n32,a\n33,b\n")
    command = f"command:sh -c 'umask 077; cat > \"$1\"' sh {folder}/{{row}}.json"
    completed = bulk(tmp_path / "in.csv", journal, "--to", command)
    assert completed.returncode == 0, completed.stderr
    stored = keys(lmtokens_portal)
    assert delivered(folder) == {"1.json": stored["a"], "2.json": stored["b"]}


@pytest.mark.parametrize("patches", [0, 7, 23])
def test_files_of_rows_survive_kill_and_resume(
    lmtokens_portal: Portal, tmp_path: Path, journal: Path, folder: Path, patches: int
) -> None:
    path = tmp_path / "in.csv"
    lines = [f"32;row {number};T{number}\r\n" for number in range(1, 41)]
    path.write_bytes(("sep=;\r\nadmin_id;note;Team\r\n" + "".join(lines)).encode("utf-16"))
    arguments = ["--to", f"file:{folder}/{{row}}.json", "--format", "json"]
    command = [*SHELL, "bulk", str(path), "--journal", str(journal), *arguments]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        wait_until(
            lambda: (
                len(requests_with_method(lmtokens_portal, "PATCH")) >= patches
                and requests_with_method(lmtokens_portal, "POST")
            )
        )
        process.send_signal(signal.SIGKILL)
    completed = bulk(path, journal, "--resume", *arguments)
    assert completed.returncode == 0, completed.stderr
    stored = keys(lmtokens_portal)
    assert delivered(folder) == {f"{number}.json": stored[f"row {number}"] for number in range(1, 41)}
    # A process that is killed between a delivery and its line in the journal leaves the key of a token that is deleted.
    left = [json.loads(path.read_text())["id"] for path in folder.glob("*.pending")]
    assert not {token.id for token in created_tokens(lmtokens_portal)}.intersection(left)
    assert {(row["row"], row["note"], row["Team"]) for row in exported(journal)} == {
        (str(number), f"row {number}", f"T{number}") for number in range(1, 41)
    }


def test_pending_files_of_renumbered_rows_are_found(
    lmtokens_portal: Portal, tmp_path: Path, journal: Path, folder: Path
) -> None:
    path = tmp_path / "in.csv"
    path.write_text("admin_id,note\nno-such-user,x\n32,a\n33,b\n")
    arguments = ["--to", f"file:{folder}/{{row}}.json"]
    # The tokens are created and delivered, and their updates are refused.
    lmtokens_portal.fail("status-before-acting", method="PATCH", status=503, times=None)
    lmtokens_portal.fail("status-before-acting", method="DELETE", status=503, times=None)
    command = [*SHELL, "bulk", str(path), "--journal", str(journal), *arguments]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        wait_until(lambda: requests_with_method(lmtokens_portal, "PATCH"))
        process.send_signal(signal.SIGKILL)
    assert [entry.number for entry in lmtokens.read_journal(journal) if entry.state == "pending"] == [2]
    assert len(list(folder.iterdir())) == 1
    lmtokens_portal.clear_faults()
    path.write_text("admin_id,note\n32,a\n33,b\n")
    completed = bulk(path, journal, "--resume", *arguments)
    assert completed.returncode == 0, completed.stderr
    stored = keys(lmtokens_portal)
    assert delivered(folder) == {"1.json": stored["a"], "2.json": stored["b"]}
    assert len(stored) == 2
