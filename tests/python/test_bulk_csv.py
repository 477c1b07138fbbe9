"""The input of ``lmtokens bulk`` is read strictly: what is damaged is an error with its line, and nothing is sent."""

from __future__ import annotations

import csv
import itertools
import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from delivery_helpers import created_tokens
from support import HANG_TIMEOUT, SHELL, run_shell
from test_bulk_input import rejected_input, stored_rows

if TYPE_CHECKING:
    from pathlib import Path

    from lmtokens.sandbox import Portal

HEADER = "admin_id,note\n"

# The input after the header, the number of the line that is reported, and a part of the message.
DAMAGED = {
    "quote that is never closed": ('32,"ci\n33,cd\n34,ef', 2, "not closed"),
    "quote that is never closed, in a later row": ('32,a\n33,b\n32,"ci\n33,cd\n', 4, "not closed"),
    "quote that is never closed, in a later field": ('32,"a\nb\nc"\n"33","ci\n33,cd', 5, "not closed"),
    "quote that is never closed, after a field of two lines": ('"32","a\n', 2, "not closed"),
    "quote at the end": ('32,a\n33,"', 3, "not closed"),
    "quote that is doubled at the end": ('32,"a""\n33,b\n', 2, "not closed"),
    "field of two lines, then one that is not closed": ('"3\n2","ci\n33,cd\n', 3, "not closed"),
    "text after a quote": ('32,"a"b\n33,c\n', 2, "after the closing quotation mark"),
    "text after a quote in another line": ('32,"ci\n33,"cd\n34,ef\n', 2, "after the closing quotation mark"),
    "white space after a quote": ('32,a\n33,"b" \n', 3, "after the closing quotation mark"),
    "a later quote after white space": ('32,"a" "b"\n', 2, "after the closing quotation mark"),
    "quote inside a field": ('32,5" disk\n33,c\n', 2, "quotation mark inside"),
    "quote after white space": ('32, "a"\n33,c\n', 2, "quotation mark inside"),
    "quote at the end of a field": ('32,a"\n33,c\n', 2, "quotation mark inside"),
    "backslash before a quote": ('32,"say \\"hi\\""\n', 2, "after the closing quotation mark"),
    "fewer fields": ("32,a\n33\n", 3, "1 field; expected 2"),
    "more fields": ("32,a\n33,b,c\n", 3, "3 fields; expected 2"),
    "comma at the end": ("32,a,\n", 2, "3 fields; expected 2"),
    "header again": ("32,a\nadmin_id,note\n33,b\n", 3, "header"),
    "header again, after a byte order mark": ("32,a\n\ufeffadmin_id,note\n33,b\n", 3, "header"),
    "header again, quoted after a byte order mark": ('32,a\n\ufeff"admin_id","note"\n33,b\n', 3, "header"),
    "header in capitals": ("32,a\nADMIN_ID,NOTE\n33,b\n", 3, "header"),
    "header of another order": ("32,a\nnote,admin_id\n33,b\n", 3, "header"),
    "header with another name of the user": ("32,a\nadmin,note\n33,b\n", 3, "header"),
    "null character": ("32,a\n33,b\0\n", 3, "NUL"),
}


@pytest.mark.parametrize(("text", "line", "message"), DAMAGED.values(), ids=DAMAGED.keys())
@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r"], ids=ascii)
def test_damaged_csv_names_the_line(
    lmtokens_portal: Portal, tmp_path: Path, text: str, line: int, message: str, line_break: str
) -> None:
    data = (HEADER + text).replace("\n", line_break).encode()
    first, *problems = rejected_input(lmtokens_portal, tmp_path / "in.csv", data)
    assert str(tmp_path / "in.csv") in first
    assert len(problems) == 1, problems
    assert problems[0].startswith(f"line {line}: ")
    assert message in problems[0]


@pytest.mark.parametrize(
    "text",
    ['"admin_id,note\n32,a\n', 'admin_id,"note\n32,a\n', 'admin_id,"note"s\n32,a\n', 'admin_id,no"te\n32,a\n'],
    ids=ascii,
)
def test_damaged_header_names_line_1(lmtokens_portal: Portal, tmp_path: Path, text: str) -> None:
    assert "line 1: " in "\n".join(rejected_input(lmtokens_portal, tmp_path / "in.csv", text))


def test_problems_before_a_damaged_line_are_reported_too(lmtokens_portal: Portal, tmp_path: Path) -> None:
    text = HEADER + '0,a\n32,b\n33,"c\n0,d\n'
    problems = rejected_input(lmtokens_portal, tmp_path / "in.csv", text)[1:]
    assert [problem.partition(":")[0] for problem in problems] == ["line 2", "line 4"]


@pytest.mark.parametrize("arguments", [["--dry-run"], []], ids=["dry run", "run"])
def test_damaged_csv_is_refused_from_standard_input(
    lmtokens_portal: Portal, tmp_path: Path, arguments: list[str]
) -> None:
    command = [*SHELL, "bulk", "-", "--journal", str(tmp_path / "journal"), *arguments]
    data = (HEADER + '32,"ci\n33,cd\n').encode()
    completed = subprocess.run(command, input=data, capture_output=True, timeout=HANG_TIMEOUT, check=False)
    assert completed.returncode == 2
    assert b"line 2: " in completed.stderr
    assert lmtokens_portal.record == []


# Inputs with an invalid row in the line that is given.
LINES = {
    "LF": ("admin_id,note\n32,a\n0,b\n", 3),
    "CR LF": ("admin_id,note\r\n32,a\r\n0,b\r\n", 3),
    "CR": ("admin_id,note\r32,a\r0,b\r", 3),
    "mixed": ("admin_id,note\r32,a\n33,b\r\n0,c", 4),
    "blank lines": ("\n\nadmin_id,note\n\n\n32,a\n\n0,b\n", 8),
    "blank lines of CR LF": ("\r\nadmin_id,note\r\n\r\n0,a\r\n", 4),
    "blank lines of CR": ("\radmin_id,note\r\r0,a\r", 4),
    "note with LF": ('admin_id,note\n32,"a\nb\n\nc"\n0,d\n', 6),
    "note with CR LF": ('admin_id,note\r\n32,"a\r\nb"\r\n0,d\r\n', 4),
    "note with CR": ('admin_id,note\r32,"a\rb"\r0,d\r', 4),
    "header with a line break": ('admin_id,"note\n"\n0,d\n', 3),
    "byte order mark": ("\ufeffadmin_id,note\n0,b\n", 2),
    "line separators are not line breaks": ("admin_id,note\n32,a\u2028b\x0b\x0c\x85\n0,b\n", 3),
}


@pytest.mark.parametrize(("text", "line"), LINES.values(), ids=LINES.keys())
def test_line_numbers_are_those_of_an_editor(lmtokens_portal: Portal, tmp_path: Path, text: str, line: int) -> None:
    (problem,) = rejected_input(lmtokens_portal, tmp_path / "in.csv", text.encode())[1:]
    assert problem.startswith(f"line {line}: ")


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r"], ids=ascii)
def test_failed_row_is_reported_with_its_line(lmtokens_portal: Portal, tmp_path: Path, line_break: str) -> None:
    text = 'admin_id,note\n\n32,"two\nlines"\n2147483647,b\n33,c\n'.replace("\n", line_break)
    (tmp_path / "in.csv").write_bytes(text.encode())
    completed = run_shell("bulk", str(tmp_path / "in.csv"), "--journal", str(tmp_path / "journal"))
    assert completed.returncode == 3
    assert "line 5: failed: " in completed.stderr
    assert sorted(token.note for token in created_tokens(lmtokens_portal)) == ["c", f"two{line_break}lines"]


ACCEPTED = {
    "note in two lines": ('32,"a\nb"\n33,c\n', [(32, "a\nb"), (33, "c")]),
    "doubled quotes": ('32,"a ""b"""\n33,""""\n', [(32, 'a "b"'), (33, '"')]),
    "quoted rows in a note": ('32,"33,""cd""\n34,ef"\n', [(32, '33,"cd"\n34,ef')]),
    "apostrophe": ("32,it's\n", [(32, "it's")]),
    "quoted id": ('"32",a\n', [(32, "a")]),
    "empty quotes": ('32,""\n', [(32, "")]),
    "no line break at the end": ("32,a", [(32, "a")]),
    "no line break after a quote": ('32,"a"', [(32, "a")]),
    "blank lines": ("\n\n32,a\n\n\n33,b\n\n", [(32, "a"), (33, "b")]),
    "blank rows": ('32,a\n,\n"", \n33,b\n,\n,,,\n', [(32, "a"), (33, "b")]),
}


@pytest.mark.parametrize(("text", "expected"), ACCEPTED.values(), ids=ACCEPTED.keys())
def test_valid_csv_is_accepted(
    lmtokens_portal: Portal, tmp_path: Path, text: str, expected: list[tuple[int, str]]
) -> None:
    (tmp_path / "in.csv").write_bytes((HEADER + text).encode())
    completed = run_shell("bulk", str(tmp_path / "in.csv"), "--journal", str(tmp_path / "journal"))
    assert completed.returncode == 0, completed.stderr
    assert [row[:2] for row in stored_rows(lmtokens_portal)] == expected


# With QUOTE_MINIMAL, older versions of Python quote only the line break that they write.
@pytest.mark.parametrize(
    ("quoting", "line_break"),
    [(csv.QUOTE_MINIMAL, "\r\n"), (csv.QUOTE_ALL, "\n"), (csv.QUOTE_ALL, "\r"), (csv.QUOTE_NONNUMERIC, "\n")],
    ids=ascii,
)
def test_csv_of_python_is_read_as_it_was_written(
    lmtokens_portal: Portal, tmp_path: Path, quoting: Any, line_break: str
) -> None:
    parts = ['"', '""', ",", "\n", "\r\n", "\r", "a", " ", "\u2028", "\ufeff", "\\", "'"]
    notes = ["x".join(pair) for pair in itertools.product(parts, repeat=2)]
    rows = [{"note": note, "admin_id": 32} for note in notes]
    path = tmp_path / "in.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["note", "admin_id"], quoting=quoting, lineterminator=line_break)
        writer.writeheader()
        writer.writerows(rows)
    completed = run_shell("bulk", str(path), "--journal", str(tmp_path / "journal"))
    assert completed.returncode == 0, completed.stderr
    assert sorted(token.note for token in created_tokens(lmtokens_portal)) == sorted(notes)


NOT_CSV = {
    "Latin-1": ("admin_id,note\r\n32,a\r\n33,caf\xe9\r\n".encode("latin-1"), "line 3"),
    "blank lines only": ("\n\n\r\n", "admin_id"),
    "byte order mark only": ("\ufeff", "admin_id"),
    "header only": ("admin_id,note", "no rows"),
    "header and blank lines": ("admin_id,note\n\n\n", "no rows"),
}


@pytest.mark.parametrize(("text", "message"), NOT_CSV.values(), ids=NOT_CSV.keys())
def test_other_input_is_refused(lmtokens_portal: Portal, tmp_path: Path, text: str | bytes, message: str) -> None:
    assert message in "\n".join(rejected_input(lmtokens_portal, tmp_path / "in.csv", text))


DAMAGED_JSON = {
    "cut in a value": ('{"admin_id":32}\n{"admin_id":3', 2, "incomplete"),
    "cut in a string": ('{"admin_id":32}\n{"admin_id":33,"note":"a', 2, "incomplete"),
    "cut before the end": ('{"admin_id":32}\n{"admin_id":33', 2, "incomplete"),
    "text after an object": ('{"admin_id":32}\n{"admin_id":33}]\n', 2, "trailing"),
    "two objects in a line": ('{"admin_id":32}{"admin_id":33}\n', 1, "trailing"),
    "comma between objects": ('{"admin_id":32},\n{"admin_id":33}\n', 1, "trailing"),
    "duplicate user": ('{"admin_id":32,"admin_id":33}\n', 1, "admin_id is given twice"),
    "another name of the user": ('{"admin":32}\n', 1, "did you mean admin_id?"),
    "two spellings of the note": ('{"admin_id":32,"note":"a","Note":"b"}\n', 1, "note is given twice"),
    "duplicate note of null": ('{"admin_id":32,"note":null,"note":"a"}\n', 1, "note is given twice"),
    "misspelt note": ('{"admin_id":32}\n{"admin_id":32,"notes":"a"}\n', 2, "did you mean note?"),
    "misspelt user": ('{"admin id":32}\n', 1, "did you mean admin_id?"),
    "array": ('[{"admin_id":32},{"admin_id":33}]\n', 1, "array"),
    "number for a note": ('{"admin_id":32,"note":7}\n', 1, "note"),
    "float": ('{"admin_id":32.0}\n', 1, "invalid admin_id 32.0; expected the user's id (an integer"),
    "bool": ('{"admin_id":true}\n', 1, "invalid admin_id true; expected"),
    "object for a note": ('{"admin_id":32,"note":{"a":["b"]}}\n', 1, "invalid note {…}; expected a string"),
    "array for a status": ('{"admin_id":32,"status":[2]}\n', 1, "invalid status […]; expected 1 (disabled)"),
    "float for a type": ('{"admin_id":32,"type":1e3}\n', 1, "invalid type 1000.0; expected"),
    "null for the user": ('{"admin_id":null}\n', 1, "admin_id is missing"),
    "text that is not an id": ('{"admin_id":"32.0"}\n', 1, "invalid admin_id"),
    "lone surrogate": ('{"admin_id":32,"note":"\\ud83d"}\n', 1, "escape"),
    "null character": ('{"admin_id":32}\n{"admin_id":32}\0\n', 2, "NUL"),
}


@pytest.mark.parametrize(("text", "line", "message"), DAMAGED_JSON.values(), ids=DAMAGED_JSON.keys())
@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r"], ids=ascii)
def test_damaged_json_names_the_line(
    lmtokens_portal: Portal, tmp_path: Path, text: str, line: int, message: str, line_break: str
) -> None:
    data = text.replace("\n", line_break).encode()
    (problem,) = rejected_input(lmtokens_portal, tmp_path / "in.jsonl", data)[1:]
    assert problem.startswith(f"line {line}: ")
    assert message in problem


@pytest.mark.parametrize("name", ["in", "in.json", "in.JSON", "in.txt"])
def test_array_is_refused_with_the_expected_form(lmtokens_portal: Portal, tmp_path: Path, name: str) -> None:
    text = json.dumps([{"admin_id": 32}, {"admin_id": 33}], indent=2)
    assert "one object per line" in "\n".join(rejected_input(lmtokens_portal, tmp_path / name, text))


def extra_columns(columns: list[str], form: str) -> str:
    values = dict.fromkeys(columns, "x")
    if form == "csv":
        return "admin_id,note," + ",".join(columns) + "\n" + ("32,n" + ",x" * len(columns) + "\n") * 2
    return (json.dumps({"admin_id": 32, "note": "n", **values}) + "\n") * 2


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize("arguments", [["--dry-run"], []], ids=["dry run", "run"])
def test_other_columns_are_named_once(lmtokens_portal: Portal, tmp_path: Path, form: str, arguments: list[str]) -> None:
    path = tmp_path / f"in.{form}"
    path.write_text(extra_columns(["team", "Ticket No"], form))
    completed = run_shell("bulk", str(path), "--journal", str(tmp_path / "journal"), *arguments)
    assert completed.returncode == 0, completed.stderr
    assert [line for line in completed.stderr.splitlines() if "team" in line or "Ticket" in line] == [
        'other columns, kept for --export: "team", "Ticket No"'
    ]
    assert len(created_tokens(lmtokens_portal)) == (0 if arguments else 2)


def test_other_columns_of_some_rows_are_named_once(lmtokens_portal: Portal, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text(
        '{"admin_id":32,"team":{"id":[1]}}\n{"admin_id":33,"team":null,"team":1}\n{"b":1,"admin_id":32}\n'
    )
    completed = run_shell("bulk", str(tmp_path / "in.jsonl"), "--journal", str(tmp_path / "journal"))
    assert completed.returncode == 0, completed.stderr
    assert 'other columns, kept for --export: "team", "b"\n' in completed.stderr
    assert completed.stderr.count("team") == 1


def test_other_columns_are_shown_safely_and_not_all(lmtokens_portal: Portal, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(extra_columns(["\x1b[2J", *(f"column {number}" for number in range(50))], "csv"))
    completed = run_shell("bulk", str(tmp_path / "in.csv"), "--journal", str(tmp_path / "journal"), "--dry-run")
    assert completed.returncode == 0, completed.stderr
    assert "\x1b" not in completed.stderr
    (line,) = [line for line in completed.stderr.splitlines() if "kept for --export" in line]
    assert line.endswith("and 31 more")


@pytest.mark.parametrize(
    "column", ["notes", "Notes", "nte", "noet", "note:", "note\u200b", "stauts", "state", "types", "Typ"], ids=ascii
)
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_misspelt_column_is_refused(lmtokens_portal: Portal, tmp_path: Path, column: str, form: str) -> None:
    text = f"admin_id,{column}\n32,x\n" if form == "csv" else json.dumps({"admin_id": 32, column: "x"})
    message = "\n".join(rejected_input(lmtokens_portal, tmp_path / f"in.{form}", text))
    assert "unknown column" in message
    assert "did you mean" in message


@pytest.mark.parametrize(
    "column", ["admin", "ADMIN", "admin id", "adminid", "admin-id", "adminId", "Admin ID", "user_id", "id"]
)
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_user_in_another_column_is_refused(lmtokens_portal: Portal, tmp_path: Path, column: str, form: str) -> None:
    text = f"{column},note\n32,x\n" if form == "csv" else json.dumps({column: 32, "note": "x"}) + "\n"
    message = "\n".join(rejected_input(lmtokens_portal, tmp_path / f"in.{form}", text))
    assert "admin_id" in message
    assert column in message


def test_misspelling_beside_the_column_is_another_column(lmtokens_portal: Portal, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("admin_id,note,notes\n32,a,b\n")
    completed = run_shell("bulk", str(tmp_path / "in.csv"), "--journal", str(tmp_path / "journal"))
    assert completed.returncode == 0, completed.stderr
    assert 'other columns, kept for --export: "notes"\n' in completed.stderr
    assert stored_rows(lmtokens_portal) == [(32, "a", 2, "lmv1")]


NUMBERS = ["032", "+32", "-32", "32.0", "1e3", "3_2", "1'000", "３２", "2147483648", "32\u200b"]


@pytest.mark.parametrize("text", NUMBERS, ids=ascii)
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_other_number_is_neither_an_id_nor_a_name(
    lmtokens_portal: Portal, tmp_path: Path, text: str, form: str
) -> None:
    data = f"admin_id\n{text}\n" if form == "csv" else json.dumps({"admin_id": text}, ensure_ascii=False) + "\n"
    message = "\n".join(rejected_input(lmtokens_portal, tmp_path / f"in.{form}", data))
    assert "invalid admin_id" in message
    assert "integer from 1 to 2147483647" in message


@pytest.mark.parametrize("text", NUMBERS, ids=ascii)
def test_add_reads_a_user_by_the_same_rule(lmtokens_portal: Portal, text: str) -> None:
    completed = run_shell("add", text)
    assert completed.returncode == 2
    assert "integer from 1 to 2147483647" in completed.stderr
    assert lmtokens_portal.record == []


@pytest.mark.parametrize("status", ["02", "+2", "2.0", "２", "3", "on"], ids=ascii)
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_other_status_is_refused(lmtokens_portal: Portal, tmp_path: Path, status: str, form: str) -> None:
    row = json.dumps({"admin_id": 32, "status": status})
    data = f"admin_id,status\n32,{status}\n" if form == "csv" else row
    assert "invalid status" in "\n".join(rejected_input(lmtokens_portal, tmp_path / f"in.{form}", data))


def test_values_in_json_follow_the_rule_of_csv(lmtokens_portal: Portal, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text(
        '{" Admin_ID ":" 32 ","note":" n ","status":"","type":" Bearer "}\n'
        '{"admin_id":" viewer ","status":" 1 ","type":""}'
    )
    completed = run_shell("bulk", str(tmp_path / "in.jsonl"), "--journal", str(tmp_path / "journal"))
    assert completed.returncode == 0, completed.stderr
    assert stored_rows(lmtokens_portal) == [(32, " n ", 2, "bearer"), (33, "", 1, "lmv1")]


def test_input_from_a_pipe_that_ends_early_is_refused(lmtokens_portal: Portal, tmp_path: Path) -> None:
    pipe = tmp_path / "in.csv"
    os.mkfifo(pipe)
    command = [*SHELL, "bulk", str(pipe), "--journal", str(tmp_path / "journal")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        pipe.write_text(HEADER + '32,a\n33,"b')
        _, stderr = process.communicate(timeout=HANG_TIMEOUT)
    assert process.returncode == 2
    assert "line 3: " in stderr
    assert lmtokens_portal.record == []


@pytest.mark.parametrize("record", ["admin,team", "user,TEAM", "team,admin_id", "Admin ID, team "])
def test_header_of_a_joined_file_is_refused_by_its_other_columns(
    lmtokens_portal: Portal, tmp_path: Path, record: str
) -> None:
    text = f"admin_id,team\n32,a\n{record}\n33,b\n"
    (problem,) = rejected_input(lmtokens_portal, tmp_path / "in.csv", text)[1:]
    assert problem == "line 3: a header line, not a row"


@pytest.mark.parametrize("text", ["admin_id,,team\nviewer,,b\n32,,team\n", "admin_id,note\n32,note\nadmin,ci\n"])
def test_record_with_a_word_of_the_header_is_accepted(lmtokens_portal: Portal, tmp_path: Path, text: str) -> None:
    (tmp_path / "in.csv").write_text(text)
    completed = run_shell("bulk", str(tmp_path / "in.csv"), "--journal", str(tmp_path / "journal"))
    assert completed.returncode == 0, completed.stderr
    assert len(stored_rows(lmtokens_portal)) == 2


def test_byte_order_mark_before_a_quoted_value_is_not_a_part_of_it(lmtokens_portal: Portal, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text('note,admin_id\n\ufeff"a, b",32\n\ufeffc,33\n', encoding="utf-8")
    completed = run_shell("bulk", str(tmp_path / "in.csv"), "--journal", str(tmp_path / "journal"))
    assert completed.returncode == 0, completed.stderr
    assert sorted(row[1] for row in stored_rows(lmtokens_portal)) == ["a, b", "\ufeffc"]


@pytest.mark.parametrize("name", ["in.csv", "in.jsonl", "/dev/zero"])
def test_input_without_end_is_refused(lmtokens_portal: Portal, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if path.parent == tmp_path:
        with path.open("wb") as file:
            file.truncate(256 * 1024 * 1024 + 1)
    completed = run_shell("bulk", str(path), "--journal", str(tmp_path / "journal"))
    assert completed.returncode == 2
    assert f"{path} is larger than 256 MiB" in completed.stderr
    assert lmtokens_portal.record == []


def test_standard_input_without_end_is_refused(tmp_path: Path) -> None:
    command = [*SHELL, "bulk", "-", "--journal", str(tmp_path / "journal"), "--dry-run"]
    with open("/dev/zero", "rb") as zero:
        completed = subprocess.run(command, stdin=zero, capture_output=True, timeout=HANG_TIMEOUT, check=False)
    assert completed.returncode == 2
    assert b"standard input is larger than 256 MiB" in completed.stderr
