"""The rows of a bulk run may be a data frame of pandas or Polars."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

import lmtokens
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lmtokens.sandbox import Portal

pandas = pytest.importorskip("pandas")
polars = pytest.importorskip("polars")

LIBRARIES: dict[str, Callable[..., Any]] = {"pandas": pandas.DataFrame, "polars": polars.DataFrame}


@pytest.fixture(params=LIBRARIES.values(), ids=list(LIBRARIES))
def frame(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Make a data frame of each library."""
    make: Callable[..., Any] = request.param
    return make


def created(portal: Portal, journal: Path, rows: Any) -> list[tuple[int, str, int, str]]:
    """Create the tokens of a frame, and return the facts of each."""
    before = len(portal.tokens)
    summary = portal.client().add_tokens(rows, journal=journal, concurrency=1).finish()
    assert summary.created == summary.total == len(portal.tokens) - before
    return [(token.admin_id, token.note, token.status, token.type) for token in portal.tokens[before:]]


def refused(portal: Portal, journal: Path, rows: Any) -> str:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # the caller looks at the text
        portal.client().add_tokens(rows, journal=journal)
    assert not journal.exists()
    return str(caught.value)


def test_columns_are_found_by_name(lmtokens_portal: Portal, journal: Path, frame: Callable[..., Any]) -> None:
    rows = frame({"Note": ["a", "b"], "type": ["lmv1", "bearer"], "STATUS": [1, 2], "admin_id": [32, 33]})
    assert created(lmtokens_portal, journal, rows) == [(32, "a", 1, "lmv1"), (33, "b", 2, "bearer")]


def test_missing_values_are_not_given(lmtokens_portal: Portal, journal: Path, frame: Callable[..., Any]) -> None:
    rows = frame({"admin_id": [32, 32], "note": ["a", None], "status": [None, 1], "type": [None, None]})
    assert created(lmtokens_portal, journal, rows) == [(32, "a", 2, "lmv1"), (32, "", 1, "lmv1")]


MISSING = {
    "NaN": float("nan"),
    "NA": pandas.NA,
    "NaT": pandas.NaT,
    "None": None,
}


@pytest.mark.parametrize("missing", MISSING.values(), ids=MISSING.keys())
@pytest.mark.parametrize("column", ["note", "status", "type"])
def test_every_missing_value_of_pandas_is_not_given(
    lmtokens_portal: Portal, journal: Path, column: str, missing: Any
) -> None:
    rows = pandas.DataFrame({"admin_id": [32], column: pandas.Series([missing], dtype=object)})
    assert created(lmtokens_portal, journal, rows) == [(32, "", 2, "lmv1")]


def test_missing_user_is_reported_with_its_row(
    lmtokens_portal: Portal, journal: Path, frame: Callable[..., Any]
) -> None:
    text = refused(lmtokens_portal, journal, frame({"admin_id": [32.0, None, 33.0]}))
    assert text.startswith("row 2: admin_id is missing")
    assert "\n" not in text


def test_whole_floats_are_integers(lmtokens_portal: Portal, journal: Path, frame: Callable[..., Any]) -> None:
    rows = frame({"admin_id": [32.0, 33.0], "status": [1.0, float("nan")]})
    assert [token[0::2] for token in created(lmtokens_portal, journal, rows)] == [(32, 1), (33, 2)]


@pytest.mark.parametrize("value", [32.5, float("inf"), 2.0**24])
def test_other_floats_are_refused(
    lmtokens_portal: Portal, journal: Path, frame: Callable[..., Any], value: float
) -> None:
    text = refused(lmtokens_portal, journal, frame({"admin_id": [32.0, value]}))
    assert re.match(r"row 2: admin_id must be .*, not float", text)
    assert "\n" not in text


@pytest.mark.parametrize("dtype", ["int64", "Int64", "int8", "uint32", "float32", "object", "category", "string"])
def test_every_kind_of_column_of_pandas_has_ids(lmtokens_portal: Portal, journal: Path, dtype: str) -> None:
    rows = pandas.DataFrame({"admin_id": pandas.Series([32, 33]).astype(dtype), "note": "n"})
    assert [token[0] for token in created(lmtokens_portal, journal, rows)] == [32, 33]


def test_index_is_ignored(lmtokens_portal: Portal, journal: Path) -> None:
    rows = pandas.DataFrame({"admin_id": [32, 33]}, index=pandas.Index([8, 9], name="team"))
    assert [token[0] for token in created(lmtokens_portal, journal, rows)] == [32, 33]


def test_index_with_the_users_is_refused(lmtokens_portal: Portal, journal: Path) -> None:
    rows = pandas.DataFrame({"admin_id": [32, 33], "note": ["a", "b"]}).set_index("admin_id")
    assert "reset_index()" in refused(lmtokens_portal, journal, rows)


def test_other_columns_are_reported_once(lmtokens_portal: Portal, journal: Path, frame: Callable[..., Any]) -> None:
    text = refused(lmtokens_portal, journal, frame({"admin_id": [32, 33], "team": ["a", "b"]}))
    assert text.startswith('unknown column "team"; expected admin_id')
    assert 'frame[["admin_id", "note"]]' in text
    assert text.count("team") == 1


def test_frame_without_names_of_columns_is_refused(lmtokens_portal: Portal, journal: Path) -> None:
    assert "unknown column 0" in refused(lmtokens_portal, journal, pandas.DataFrame([[32, "n"]]))


def test_column_that_is_given_twice_is_refused(lmtokens_portal: Portal, journal: Path) -> None:
    rows = pandas.DataFrame([[32, "a", "b"]], columns=["admin_id", "note", "note"])
    assert refused(lmtokens_portal, journal, rows) == "row 1: note is given twice"


def test_errors_name_the_row_and_the_column(lmtokens_portal: Portal, journal: Path, frame: Callable[..., Any]) -> None:
    text = refused(lmtokens_portal, journal, frame({"admin_id": [32, -1, 33], "status": [2, 2, 7]}))
    assert [line.split(";")[0] for line in text.splitlines()] == [
        "row 2: invalid admin_id -1",
        "row 3: invalid status 7",
    ]


def test_frame_of_no_rows_creates_nothing(lmtokens_portal: Portal, journal: Path, frame: Callable[..., Any]) -> None:
    assert created(lmtokens_portal, journal, frame({"admin_id": []})) == []


def test_resumed_frame_is_the_same_input(lmtokens_portal: Portal, journal: Path) -> None:
    assert len(created(lmtokens_portal, journal, [(32, "a"), (33, "b")])) == 2
    rows = pandas.DataFrame({"note": ["a", "b"], "admin_id": [32.0, 33.0]})
    summary = lmtokens_portal.client().add_tokens(rows, journal=journal, resume=True).finish()
    assert (summary.created, summary.already_done) == (0, 2)


def test_what_is_not_a_frame_is_refused(lmtokens_portal: Portal, journal: Path) -> None:
    client: Any = lmtokens_portal.client()
    with pytest.raises((TypeError, ValueError)):
        client.add_tokens(pandas.Series([32]), journal=journal)
    with pytest.raises(TypeError, match=r"call its method collect\(\), not LazyFrame"):
        client.add_tokens(polars.LazyFrame({"admin_id": [32]}), journal=journal)


def test_async_client_takes_a_frame(lmtokens_portal: Portal, journal: Path, frame: Callable[..., Any]) -> None:
    async def create() -> lmtokens.Summary:
        async with lmtokens_portal.async_client() as client:
            return await client.add_tokens(frame({"admin_id": [32]}), journal=journal)

    assert asyncio.run(create()).created == 1
