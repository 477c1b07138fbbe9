"""``to_dataframe``: results as data frames of pandas and polars, with typed columns and without keys."""

from __future__ import annotations

import asyncio
from datetime import datetime, timezone
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
from listing import create_tokens
from support import run_python, run_shell

if TYPE_CHECKING:
    from pathlib import Path

    from lmtokens.sandbox import Portal

LIBRARIES = ["pandas", "polars"]
TIME = {"pandas": "datetime64[us, UTC]", "polars": "Datetime(time_unit='us', time_zone='UTC')"}
INTEGER = {"pandas": "Int64", "polars": "Int64"}
TEXT = {"pandas": "string", "polars": "String"}
BOOLEAN = {"pandas": "boolean", "polars": "Boolean"}
LIST = {"pandas": "object", "polars": "List(String)"}


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> Any:
    pytest.importorskip(request.param)
    return request.param


def types(frame: Any) -> dict[str, str]:
    """Return the types of the columns by name."""
    schema = frame.schema if hasattr(frame, "schema") else frame.dtypes
    return {name: str(type) for name, type in schema.items()}


def rows(frame: Any) -> list[dict[str, Any]]:
    if hasattr(frame, "to_dicts"):
        return list(frame.to_dicts())
    return list(frame.astype("object").where(frame.notna(), None).to_dict("records"))


def test_tokens_have_typed_columns(lmtokens_portal: Portal, library: Any) -> None:
    lmtokens_portal.create_token(32, note="a", created_on=1_700_000_000, last_used_on=1_700_000_060)
    lmtokens_portal.create_token(33, note="b", type="bearer")
    tokens = list(lmtokens.list_tokens())
    frame = lmtokens.to_dataframe(tokens, library=library)
    assert type(frame).__module__.startswith(library)
    assert list(frame.columns) == [*tokens[0].to_dict(), "portal"]
    found = types(frame)
    assert {name for name, kind in found.items() if kind == TIME[library]} == {
        "expires_on",
        "created_on",
        "last_used_on",
    }
    integers = {"id", "admin_id", "replaces", "replaced_by"}
    assert {name for name, kind in found.items() if kind == INTEGER[library]} == integers
    assert {name for name, kind in found.items() if kind == LIST[library]} == {"roles"}
    assert set(found.values()) == {TIME[library], INTEGER[library], LIST[library], TEXT[library]}
    (row,) = (row for row in rows(frame) if row["note"] == "a")
    assert row["created_on"] == datetime(2023, 11, 14, 22, 13, 20, tzinfo=timezone.utc)
    assert (row["status"], row["replaces"], row["expires_on"]) == ("enabled", None, None)
    assert row["portal"] == lmtokens_portal.base_url
    assert list(row["roles"]) == ["token-manager"]
    assert len(frame) == 4


def test_status_is_a_word_or_an_unknown_number(lmtokens_portal: Portal, library: Any) -> None:
    for status in (1, 2, 3):
        lmtokens_portal.create_token(32, status=status)
    frame = lmtokens.to_dataframe(lmtokens.list_tokens(32), library=library)
    assert types(frame)["status"] == TEXT[library]
    assert [row["status"] for row in rows(frame)] == ["disabled", "enabled", "3"]


def test_times_up_to_the_year_9999_fit(lmtokens_portal: Portal, library: Any) -> None:
    token = lmtokens.add_token(32, expires=datetime(9999, 12, 31, tzinfo=timezone.utc))
    (row,) = rows(lmtokens.to_dataframe(token, library=library))
    assert row["expires_on"] == datetime(9999, 12, 31, tzinfo=timezone.utc)


def test_every_kind_of_result_becomes_a_frame(lmtokens_portal: Portal, tmp_path: Path, library: Any) -> None:
    journal = tmp_path / "run.journal"
    with lmtokens_portal.client() as client:
        token = client.add_token(32, "ci", expires=1)
        rotated = client.add_token(32, "old")
        to_file = lmtokens.deliver.to_file(tmp_path / "token.json")
        rotation = client.rotate_token(rotated, deliver=to_file, overlap=3600)
        run = client.add_tokens([(32, "a"), ("no-such-user", "b")], journal=journal)
        # The frame iterates over the run.
        frames = {"run": lmtokens.to_dataframe(run, library=library)}
        lmtokens_portal.advance(60)
        audit = client.audit_tokens()
        results: dict[str, Any] = {
            "token": token,
            "tokens": client.list_tokens(32),
            "summary": run.summary,
            "journal": lmtokens.read_journal(journal),
            "new": [lmtokens.NewToken(32, "ci")],
            "rotation": rotation,
            "audit": audit,
            "finding": audit.findings[0],
            "swept": client.sweep_tokens(),
            "users": client.list_users(),
            "whoami": client.whoami(),
        }
        frames.update({name: lmtokens.to_dataframe(one, library=library) for name, one in results.items()})
    keys = [stored.access_key.reveal() for stored in lmtokens_portal.tokens]
    for name, frame in frames.items():
        assert len(frame) > 0, name
        assert "access_key" not in frame.columns
        assert not [key for key in keys if key in str(rows(frame))], name
    assert len(frames["audit"]) == len(audit)
    assert len(frames["users"]) == 3
    assert types(frames["users"])["api_only"] == BOOLEAN[library]
    assert types(frames["users"])["status"] == TEXT[library]
    assert types(frames["rotation"])["due"] == TIME[library]
    assert types(frames["run"])["admin_id"] == TEXT[library]
    assert sorted(row["admin_id"] for row in rows(frames["run"])) == ["32", "no-such-user"]
    assert types(frames["swept"])["deleted"] == BOOLEAN[library]
    assert types(frames["audit"])["reasons"] == LIST[library]
    assert {row["state"] for row in rows(frames["journal"])} == {"created", "failed"}


def test_columns_of_a_journal_are_flat(lmtokens_portal: Portal, journal: Path, library: Any) -> None:
    rows_csv = journal.with_name("rows.csv")
    rows_csv.write_text("admin_id,note,team\n32,a,red\n32,b,blue\n")
    completed = run_shell("bulk", str(rows_csv), "--journal", str(journal))
    assert completed.returncode == 0, completed.stderr
    frame = lmtokens.to_dataframe(lmtokens.read_journal(journal), library=library)
    assert {row["note"]: row["columns.team"] for row in rows(frame)} == {"a": "red", "b": "blue"}
    assert types(frame)["columns.team"] == TEXT[library]


def test_columns_of_a_journal_are_texts_whatever_their_names(
    lmtokens_portal: Portal, journal: Path, library: Any
) -> None:
    rows_csv = journal.with_name("rows.csv")
    rows_csv.write_text("admin_id,note,ordered_on,api_only.due\n32,a,next week,yes\n32,b,2026-01-01,\n")
    completed = run_shell("bulk", str(rows_csv), "--journal", str(journal))
    assert completed.returncode == 0, completed.stderr
    frame = lmtokens.to_dataframe(lmtokens.read_journal(journal), library=library)
    found = {row["note"]: (row["columns.ordered_on"], row["columns.api_only.due"]) for row in rows(frame)}
    assert found == {"a": ("next week", "yes"), "b": ("2026-01-01", "")}
    assert {types(frame)[f"columns.{name}"] for name in ("ordered_on", "api_only.due")} == {TEXT[library]}


def test_empty_input_gives_an_empty_frame(lmtokens_portal: Portal, library: Any) -> None:
    for empty in ([], lmtokens.sweep_tokens(), iter(())):
        frame = lmtokens.to_dataframe(empty, library=library)
        assert (type(frame).__name__, len(frame), list(frame.columns)) == ("DataFrame", 0, [])


@pytest.mark.parametrize("wrong", ["text", b"bytes", {"id": 1}, 7, None, [{"id": 1}], [1], [None], ["ab"]], ids=repr)
def test_other_values_are_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="results must be results of lmtokens, not"):
        lmtokens.to_dataframe(wrong)


def test_async_iterators_are_refused(lmtokens_portal: Portal, journal: Path) -> None:
    async def main() -> None:
        client = lmtokens_portal.async_client()
        run = client.add_tokens([(32, "a")], journal=journal)
        lists: list[Any] = [client.list_tokens(), run]
        for one in lists:
            with pytest.raises(TypeError, match=r"async iterator; collect its results first, as in \[token async for"):
                lmtokens.to_dataframe(one)
        await run.finish()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("", "pandas"),
        ("import polars", "polars"),
        ("import polars, pandas", "pandas"),
        ("import sys; sys.modules['pandas'] = None", "polars"),
    ],
)
def test_default_library_is_the_imported_or_installed_one(before: str, expected: str) -> None:
    if not all(find_spec(library) for library in LIBRARIES):
        pytest.skip("needs pandas and polars")
    code = f"{before}\nimport lmtokens\nprint(type(lmtokens.to_dataframe([])).__module__.split('.')[0])"
    completed = run_python(code)
    assert completed.stdout.split() == [expected], completed.stderr


def test_neither_library_is_required(lmtokens_portal: Portal) -> None:
    code = """
import sys
sys.modules["pandas"] = sys.modules["polars"] = None
import lmtokens
for library in (None, "polars"):
    try:
        lmtokens.to_dataframe([], library=library)
    except ImportError as error:
        print(type(error).__name__, error, error.name)
"""
    completed = run_python(code)
    assert completed.stdout.splitlines() == [
        "ImportError pandas or polars is not installed; install it: pip install pandas pandas",
        "ImportError polars is not installed; install it: pip install polars polars",
    ], completed.stderr


def test_other_library_is_refused() -> None:
    with pytest.raises(ValueError, match=r'^invalid library \'dask\'; expected "pandas" or "polars"$'):
        lmtokens.to_dataframe([], library="dask")  # type: ignore[call-overload]


def test_list_of_many_tokens_is_read_by_its_pages(lmtokens_portal: Portal, library: Any) -> None:
    ids = create_tokens(lmtokens_portal, 45)
    tokens = lmtokens.list_tokens(32, type="lmv1", page_size=20)
    assert list(lmtokens.to_dataframe(tokens, library=library)["id"]) == ids
