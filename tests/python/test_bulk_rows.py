"""The rows of ``add_tokens``: read by field name, or by position in a plain tuple; one rule for their values."""

from __future__ import annotations

import collections
import csv
import dataclasses
import enum
import io
import re
import sqlite3
import types
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import lmtokens
import pytest
from api_variants import VARIANTS
from delivery_helpers import created_tokens
from test_bulk import RUNNERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from lmtokens.sandbox import Portal


class NAType:
    """As ``pandas.NA``: comparisons return itself, and it has no truth value."""

    def __eq__(self, other: object) -> Any:
        return self

    def __ne__(self, other: object) -> Any:
        return self

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        raise TypeError("boolean value of NA is ambiguous")


class Float32:
    """As ``numpy.float32``, which is not a ``float``."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __float__(self) -> float:
        return self.value


class Int64:
    """As ``numpy.int64``, which is not an ``int``."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value

    def __float__(self) -> float:
        return float(self.value)


class Bool:
    """As ``numpy.bool``."""

    def __index__(self) -> int:
        return 1


Bool.__name__ = "bool"


class Number(enum.IntEnum):
    VIEWER = 33


class Word(str, enum.Enum):
    NAME = "viewer"


@dataclasses.dataclass
class Row:
    admin_id: Any = None
    note: Any = None
    status: Any = None
    source: ClassVar[str] = "of the class"


@dataclasses.dataclass(frozen=True)
class RowWithTicket:
    admin_id: int
    ticket: str


class Typed(NamedTuple):
    note: str
    admin_id: int


class Record(collections.abc.Mapping):  # type: ignore[type-arg]
    """A mapping that is not a ``dict`` and can be read once."""

    def __init__(self, **members: Any) -> None:
        self.members = members

    def __getitem__(self, name: str) -> Any:
        return self.members.pop(name)

    def __iter__(self) -> Iterator[str]:
        return iter(list(self.members))

    def __len__(self) -> int:
        return len(self.members)


class ReadOnce:
    """A row of a database library: ``_fields``, each of which is read with a side effect."""

    _fields = ("note", "admin_id")

    def __init__(self) -> None:
        self.values = {"note": "n", "admin_id": 32}

    def __getattr__(self, name: str) -> Any:
        return self.values.pop(name)


def named_tuple(names: str, *values: Any) -> Any:
    row_type: Any = collections.namedtuple("Row", names)  # type: ignore[misc]
    return row_type(*values)


def frame_rows(columns: str, *rows: tuple[Any, ...], index: bool = True) -> list[Any]:
    """Return what ``DataFrame.itertuples`` yields: names that are not valid become their positions."""
    names = ["Index"] * index + columns.split()
    row_type = collections.namedtuple("Pandas", names, rename=True)  # type: ignore[misc]
    return [row_type(*([number] * index), *row) for number, row in enumerate(rows, 1)]


def database_rows(query: str) -> Iterable[Any]:
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    return connection.execute(query)


def csv_rows(text: str) -> Iterable[Any]:
    return csv.DictReader(io.StringIO(text))


def stored(portal: Portal) -> list[tuple[int, str, int, str]]:
    return [(token.admin_id, token.note, token.status, token.type) for token in created_tokens(portal)]


@pytest.fixture(params=RUNNERS, ids=VARIANTS)
def add_tokens(request: pytest.FixtureRequest) -> Callable[..., Any]:
    run: Callable[..., Any] = request.param
    return run


def test_named_tuples_of_pandas_are_read_by_name(
    lmtokens_portal: Portal, journal: Path, add_tokens: Callable[..., Any]
) -> None:
    rows = frame_rows("admin_id note", (32, "ci"), (33, "cd"))
    add_tokens(lmtokens_portal, rows, journal=journal, concurrency=1)
    assert stored(lmtokens_portal) == [(32, "ci", 2, "lmv1"), (33, "cd", 2, "lmv1")]


NAMED = {
    "named tuple in another order": Typed("n", 32),
    "named tuple of pandas without an index": frame_rows("status admin_id note", (2, 32, "n"), index=False)[0],
    "dataclass": Row(32, "n"),
    "mapping": Record(admin_id=32, note="n"),
    "read-only mapping": types.MappingProxyType({"note": "n", "admin_id": 32}),
    "ordered dict": collections.OrderedDict(note="n", admin_id=32),
    "default dict": collections.defaultdict(lambda: 1, note="n", admin_id=32),
    "fields of another class": ReadOnce(),
    "row of sqlite3": next(iter(database_rows("SELECT 'n' AS note, 32 AS admin_id"))),
    "row of csv.DictReader": next(iter(csv_rows("note,admin_id\nn,32\n"))),
    "names in other spellings": {" Admin_ID ": 32, "NOTE": "n", "\ufeffstatus": 2},
}


@pytest.mark.parametrize("row", NAMED.values(), ids=NAMED.keys())
def test_row_is_read_by_field_name(lmtokens_portal: Portal, journal: Path, row: Any) -> None:
    lmtokens.add_tokens([row], journal=journal).finish()
    assert stored(lmtokens_portal) == [(32, "n", 2, "lmv1")]


def refused(portal: Portal, journal: Path, rows: Any) -> str:
    with pytest.raises((TypeError, ValueError)) as caught:
        lmtokens.add_tokens(rows, journal=journal)
    assert type(caught.value) in (TypeError, ValueError)
    assert portal.record == []
    assert not journal.exists()
    return str(caught.value)


UNKNOWN_FIELDS: dict[str, tuple[Any, str]] = {
    "named tuple": (frame_rows("admin_id notes", (32, "n"))[0], r'"notes" \(did you mean note\?\)'),
    "named tuple, renamed by pandas": (frame_rows("admin_id 2nd", (32, "n"))[0], r'"_2".*itertuples'),
    "named tuple with the user as its index": (frame_rows("note", ("n",))[0], "admin_id is missing.*Index"),
    "named tuple with two users": (frame_rows("admin admin_id", (32, 33))[0], "unknown column .admin"),
    "dict with another name of the user": ({"admin": 32}, r"did you mean admin_id\?"),
    "index in capitals": (named_tuple("INDEX admin_id", 1, 32), "INDEX"),
    "dataclass": (RowWithTicket(32, "T-1"), '"ticket"'),
    "dict": ({"admin_id": 32, "Index": 1}, '"Index"'),
    "dict with a misspelt user": ({"adminid": 32, "note": "n"}, r"did you mean admin_id\?"),
    "dict with a misspelt status": ({"admin_id": 32, "stauts": 1}, r"did you mean status\?"),
    "dict with two spellings": ({"admin_id": 32, "note": "a", "Note": "b"}, "note is given twice"),
    "dict with a name that is not a text": ({"admin_id": 32, 7: "n"}, "7"),
    "dict with a name that is not valid Unicode": ({"admin_id": 32, "\ud800": "n"}, r"\\ud800"),
    "mapping": (Record(admin_id=32, team="x"), '"team"'),
    "row of sqlite3": (next(iter(database_rows("SELECT 32 AS admin_id, 1 AS id"))), '"id"'),
    "row of sqlite3 with two notes": (next(iter(database_rows("SELECT 32 AS admin_id, 'a' note, 'b' note"))), "twice"),
    "csv row that is too long": (next(iter(csv_rows("admin_id,note\n32,a,b\n"))), "more values than"),
    "csv row without the user": (next(iter(csv_rows("note,admin_id\na\n"))), "admin_id is missing"),
    "empty dict": ({}, "admin_id is missing"),
    "empty tuple": ((), "admin_id is missing"),
}


@pytest.mark.parametrize(("row", "message"), UNKNOWN_FIELDS.values(), ids=UNKNOWN_FIELDS.keys())
def test_unknown_field_is_refused(lmtokens_portal: Portal, journal: Path, row: Any, message: str) -> None:
    text = refused(lmtokens_portal, journal, [row])
    assert re.search(r"^row 1: .*" + message, text), text


OTHER_ROWS: dict[str, Any] = {
    "int": 32,
    "str": "viewer",
    "bytes": b"32",
    "set": {32},
    "generator": (value for value in (32, "n")),
    "class of a named tuple": Typed,
    "class of a dataclass": Row,
    "object": object(),
    "row of a file": "32,n\n",
    "position before a row": (0, (32, "n")),
    "position before a mapping": (1, Record(admin_id=32)),
    "position before the values": (1, 32, "n"),
    "header of csv.reader": ["admin_id", "note"],
    "blank line of csv.reader": [],
}


@pytest.mark.parametrize("row", OTHER_ROWS.values(), ids=OTHER_ROWS.keys())
def test_other_row_is_refused(lmtokens_portal: Portal, journal: Path, row: Any) -> None:
    assert refused(lmtokens_portal, journal, [row]).startswith("row 1: ")


WHOLE: dict[str, Any] = {
    "dict": {"admin_id": 32},
    "dict of columns": {"admin_id": [32, 33], "note": ["a", "b"]},
    "mapping": Record(admin_id=32),
    "str": "viewer",
    "bytes": b"\x20",
    "bytearray": bytearray(b"\x20"),
    "memoryview": memoryview(b"\x20"),
    "open file": io.StringIO("admin_id,note\n32,n\n"),
    "NewToken": lmtokens.NewToken(32),
    "named tuple": Typed("n", 32),
    "dataclass": Row(32),
    "row of sqlite3": next(iter(database_rows("SELECT 32 AS admin_id"))),
    "tuple": (32, "n"),
    "int": 32,
    "None": None,
}


@pytest.mark.parametrize("rows", WHOLE.values(), ids=WHOLE.keys())
def test_one_row_or_a_table_is_not_an_iterable_of_rows(lmtokens_portal: Portal, journal: Path, rows: Any) -> None:
    text = refused(lmtokens_portal, journal, rows)
    assert text.startswith(("tokens must be an iterable of rows, ", "row 1: it must be "))


NOT_GIVEN = {
    "None": None,
    "NaN": float("nan"),
    "NaN of numpy": Float32(float("nan")),
    "NA": NAType(),
    "empty text": "",
}


@pytest.mark.parametrize("value", NOT_GIVEN.values(), ids=NOT_GIVEN.keys())
@pytest.mark.parametrize("form", ["dict", "named tuple", "tuple", "dataclass"])
def test_missing_value_is_the_default(lmtokens_portal: Portal, journal: Path, value: Any, form: str) -> None:
    row: Any = {
        "dict": {"admin_id": 32, "note": value, "status": value, "type": value},
        "named tuple": named_tuple("admin_id note status type", 32, value, value, value),
        "tuple": (32, value, value, value),
        "dataclass": Row(32, value, value),
    }[form]
    lmtokens.add_tokens([row], journal=journal).finish()
    assert stored(lmtokens_portal) == [(32, "", 2, "lmv1")]


@pytest.mark.parametrize("value", NOT_GIVEN.values(), ids=NOT_GIVEN.keys())
def test_missing_user_is_refused(lmtokens_portal: Portal, journal: Path, value: Any) -> None:
    assert "admin_id" in refused(lmtokens_portal, journal, [(value, "n")])


TAKEN = {
    "digits": (("32", "n"), (32, "n", 2, "lmv1")),
    "digits in white space": ((" 32\t", "n"), (32, "n", 2, "lmv1")),
    "name in white space": ((" viewer ", "n"), (33, "n", 2, "lmv1")),
    "name": (("viewer", "n"), (33, "n", 2, "lmv1")),
    "integer of numpy": ((Int64(32), "n", Int64(1)), (32, "n", 1, "lmv1")),
    "status in digits": ((32, "n", "1"), (32, "n", 1, "lmv1")),
    "status in white space": ((32, "n", " Disabled "), (32, "n", 1, "lmv1")),
    "TokenStatus": ((32, "n", lmtokens.TokenStatus.DISABLED), (32, "n", 1, "lmv1")),
    "type in capitals": ((32, "n", 2, " Bearer"), (32, "n", 2, "bearer")),
    "TokenType": ((32, "n", 2, lmtokens.TokenType.BEARER), (32, "n", 2, "bearer")),
    "note in white space": ((32, " n "), (32, " n ", 2, "lmv1")),
    "note in digits": ((32, "007"), (32, "007", 2, "lmv1")),
    "name with digits": (("viewer", "32"), (33, "32", 2, "lmv1")),
}


@pytest.mark.parametrize(("row", "expected"), TAKEN.values(), ids=TAKEN.keys())
@pytest.mark.parametrize("form", ["tuple", "dict"])
def test_value_is_taken(lmtokens_portal: Portal, journal: Path, row: Any, expected: Any, form: str) -> None:
    names = ("admin_id", "note", "status", "type")
    lmtokens.add_tokens([row if form == "tuple" else dict(zip(names, row))], journal=journal).finish()
    assert stored(lmtokens_portal) == [expected]


NUMBERS = ["032", "00", "+32", "-32", "32.0", "32.", "1e3", "3_2", "1,000", "1'000", "3 2", "３２", "٣٢", "32\u200b"]


@pytest.mark.parametrize("text", [*NUMBERS, "0", "2147483648", "9" * 40], ids=ascii)
def test_other_number_is_neither_an_id_nor_a_name(lmtokens_portal: Portal, journal: Path, text: str) -> None:
    message = refused(lmtokens_portal, journal, [{"admin_id": text}])
    assert "invalid admin_id" in message
    assert "integer from 1 to 2147483647" in message


@pytest.mark.parametrize("text", [*NUMBERS, "32", " 32", "32.0", "", " "], ids=ascii)
def test_number_as_text_is_refused_outside_rows(lmtokens_portal: Portal, text: str) -> None:
    client = lmtokens_portal.client()
    for call in (client.add_token, client.list_tokens, lmtokens.add_token, lmtokens.NewToken):
        with pytest.raises(ValueError, match=r"^invalid admin_id .*; expected the user's id \(an integer from 1"):
            call(text)
    assert lmtokens_portal.record == []


def test_digits_are_refused_outside_rows(lmtokens_portal: Portal) -> None:
    digits: Any = "2"
    for call in (lmtokens.add_token, lmtokens.NewToken):
        with pytest.raises(ValueError, match=r"^invalid admin_id .32.; expected the user's id .an integer") as caught:
            call("32")
        assert "pass the int 32" in str(caught.value)
    with pytest.raises(ValueError, match=r"^invalid status "):
        lmtokens.NewToken(32, status=digits)
    assert lmtokens_portal.record == []


WRONG: dict[str, Any] = {
    "float": (32.0, "n"),
    "float of numpy": (Float32(32.0), "n"),
    "bool": (True, "n"),
    "bool of numpy": (Bool(), "n"),
    "enumeration": (Number.VIEWER, "n"),
    "TokenType as a user": (lmtokens.TokenType.LMV1,),
    "TokenType as a note": (32, lmtokens.TokenType.BEARER),
    "TokenType as a status": (32, "n", lmtokens.TokenType.BEARER),
    "bool of numpy as a status": (32, "n", Bool()),
    "TokenStatus as a user": (lmtokens.TokenStatus.ENABLED, "n"),
    "large integer": (2**70, "n"),
    "bytes": (b"32", "n"),
    "text that is not valid Unicode": ("\ud800", "n"),
    "integer note": (32, 7),
    "float note": (32, 7.5),
    "status 3": (32, "n", 3),
    "status in other digits": (32, "n", "２"),
    "status with a leading zero": (32, "n", "02"),
    "status with a sign": (32, "n", "+2"),
    "float status": (32, "n", 2.0),
    "float status as text": (32, "n", "2.0"),
    "bool status": (32, "n", True),
    "enumeration as a status": (32, "n", enum.IntEnum("Other", "A B").B),  # type: ignore[attr-defined]
    "integer type": (32, "n", 2, 2),
    "unknown type": (32, "n", 2, "v1"),
    "too long": (32, "n", 2, "lmv1", "more"),
}


@pytest.mark.parametrize("row", WRONG.values(), ids=WRONG.keys())
def test_wrong_value_is_refused(lmtokens_portal: Portal, journal: Path, row: Any) -> None:
    assert refused(lmtokens_portal, journal, [row]).startswith("row 1: ")


def test_float_is_refused_with_the_way_to_make_it_an_integer(lmtokens_portal: Portal, journal: Path) -> None:
    assert "Int64" in refused(lmtokens_portal, journal, frame_rows("admin_id", (32.0,), (float("nan"),)))


def test_text_enumeration_is_its_value(lmtokens_portal: Portal, journal: Path) -> None:
    lmtokens.add_tokens([(Word.NAME, "n")], journal=journal).finish()
    assert stored(lmtokens_portal) == [(33, "n", 2, "lmv1")]


def test_csv_readers_need_no_conversion(lmtokens_portal: Portal, tmp_path: Path) -> None:
    text = "admin_id,note,status,type\n32,a,2,lmv1\nviewer,b,1,bearer\n33,,,\n"
    expected = [(32, "a", 2, "lmv1"), (33, "b", 1, "bearer"), (33, "", 2, "lmv1")]
    lmtokens.add_tokens(csv_rows(text), journal=tmp_path / "a", concurrency=1).finish()
    plain = csv.reader(io.StringIO(text))
    next(plain)
    lmtokens.add_tokens(plain, journal=tmp_path / "b", concurrency=1).finish()
    assert stored(lmtokens_portal) == expected * 2


def test_row_resumes_in_any_form(lmtokens_portal: Portal, journal: Path) -> None:
    lmtokens.add_tokens([(32, "n")], journal=journal).finish()
    resumed = lmtokens.add_tokens(csv_rows("note,admin_id\nn,32\n"), journal=journal, resume=True).finish()
    assert (resumed.already_done, len(created_tokens(lmtokens_portal))) == (1, 1)


def test_error_of_a_row_is_raised_unchanged(lmtokens_portal: Portal, journal: Path) -> None:
    class Broken(Record):
        def __getitem__(self, name: str) -> Any:
            raise LookupError("of the row")

    with pytest.raises(LookupError, match="of the row"):
        lmtokens.add_tokens([Broken(admin_id=32)], journal=journal)
    assert lmtokens_portal.record == []


HEADERS = {
    "one column": "admin_id\n32\n",
    "another first column": "id,admin_id\n1,32\n",
    "index": "Index,admin_id\n1,32\n",
    "index of pandas": ",admin_id,note\n1,32,a\n",
    "another order": "note,admin_id\nviewer,32\n",
    "another name of the user": "admin,comment\n32,ci\n",
    "another name of the user alone": "admin\n32\n",
    "other spellings": "Admin ID,Note\n32,ci\n",
    "capitals": "ADMIN,Notes\n32,ci\n",
    "user": "user,note\n32,ci\n",
    "id": "id,note\n32,ci\n",
    "plural": "user,Notes\n32,ci\n",
    "status": "user,status\n32,1\n",
    "no user": "note,type\n32,1\n",
    "byte order mark": "\ufeffadmin_id,note\n32,ci\n",
}


@pytest.mark.parametrize("text", HEADERS.values(), ids=HEADERS.keys())
@pytest.mark.parametrize("form", [list, tuple])
def test_header_of_rows_without_names_is_refused(
    lmtokens_portal: Portal, journal: Path, text: str, form: type[Any]
) -> None:
    rows = map(form, csv.reader(io.StringIO(text), strict=True))
    assert "row 1: " in refused(lmtokens_portal, journal, rows)


@pytest.mark.parametrize("header", ["admin_id", "admin_id,note", "Admin_ID,Note", "team,admin_id"])
def test_header_of_a_joined_file_is_refused(lmtokens_portal: Portal, journal: Path, header: str) -> None:
    rows = [["32", "ci"], header.split(","), ["33", "cd"]]
    assert refused(lmtokens_portal, journal, rows) == "row 2: a header line, not a row"


@pytest.mark.parametrize(
    "text", ["admin_id\n32\nadmin_id\n33\n", "admin_id,note\n32,a\nadmin,note\n33,b\n", "admin\n32\nadmin\n33\n"]
)
def test_header_among_named_rows_is_refused(lmtokens_portal: Portal, journal: Path, text: str) -> None:
    refused(lmtokens_portal, journal, csv_rows(text))


NOT_HEADERS: dict[str, list[Any]] = {
    "note of a user's id": [(32, "note")],
    "note of an id in digits": [["32", "note"]],
    "note of a user's name": [("viewer", "admin")],
    "user called admin, after another row": [(32, "admin"), ("admin", "ci")],
    "user called admin, with names": [{"admin_id": "admin", "note": "ci"}],
    "user called admin, in a NewToken": [lmtokens.NewToken("admin", "note")],
}


@pytest.mark.parametrize("rows", NOT_HEADERS.values(), ids=NOT_HEADERS.keys())
def test_row_that_has_a_word_of_a_header_is_accepted(lmtokens_portal: Portal, journal: Path, rows: list[Any]) -> None:
    run = lmtokens.add_tokens(rows, journal=journal)
    run.finish()
    assert run.summary.created == len(rows)


@pytest.mark.parametrize(
    "value", [32.0, Decimal(32), Fraction(32), Float32(32)], ids=lambda value: type(value).__name__
)
def test_number_with_a_fraction_is_refused_with_the_way_to_pass_it(
    lmtokens_portal: Portal, journal: Path, value: Any
) -> None:
    message = refused(lmtokens_portal, journal, [(value,)])
    assert f'not {type(value).__name__}; pass an int (in pandas: astype("Int64"))' in message
