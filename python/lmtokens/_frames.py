"""``to_dataframe``: results as a data frame of pandas or polars, of which neither is required."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any, overload

from lmtokens._display import STATUS, members
from lmtokens._lmtokens import Token

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Literal, Protocol

    import pandas as _pandas  # pyright: ignore[reportMissingImports, reportMissingModuleSource]
    import polars as _polars  # pyright: ignore[reportMissingImports]

    class _Result(Protocol):
        def to_dict(self) -> dict[str, Any]: ...


__all__ = ["to_dataframe"]

# By name and not by value, so that a column without a value has its type too.
_TIMES = {"due", "expires"}
_INTEGERS = {
    *("id", "admin_id", "token_id", "old_id", "new_id", "replaces", "replaced_by", "number", "changes"),
    *("total", "created", "already_done", "failed", "unknown", "skipped"),
}
_BOOLEANS = {"api_only", "correct", "deleted"}
_LISTS = {"ignored_sources", "overridden_arguments", "reasons", "roles"}


@overload
def to_dataframe(results: Iterable[_Result] | _Result, *, library: Literal["pandas"]) -> _pandas.DataFrame: ...
@overload
def to_dataframe(results: Iterable[_Result] | _Result, *, library: Literal["polars"]) -> _polars.DataFrame: ...
@overload
def to_dataframe(results: Iterable[_Result] | _Result, *, library: None = None) -> Any: ...
def to_dataframe(results: Any, *, library: Literal["pandas", "polars"] | None = None) -> Any:
    """Return results as a data frame of pandas or polars, without their keys.

    The columns are the members that ``to_dict()`` returns, in the same order; for tokens, also ``portal``; for
    rotations and swept tokens, also the text of ``error``. Times are aware datetimes in UTC, in microseconds. Ids and
    numbers are ``Int64``, which can be missing. ``roles`` and ``reasons`` are lists. Other members are texts. The
    status of a token is ``"enabled"``, ``"disabled"`` or the number of another one; ``admin_id`` is a text if a user is
    named. The columns of a journal's rows are called ``columns.NAME``. A frame of no results has no columns.

    Args:
        results (Iterable): results of one class, such as what ``list_tokens`` or ``list_users`` returned, rows of
            ``add_tokens``, or an ``Audit``, whose findings become rows; or one result. A list or a run that sends
            requests when it is iterated over sends them now.
        library (str | None): ``"pandas"`` (version 2 or newer) or ``"polars"``. Default ``None``: the one that the
            program has imported, else the one that is installed; pandas if both are.

    Returns:
        pandas.DataFrame | polars.DataFrame: a row for each result.

    Raises:
        TypeError: the argument is not a result or an iterable of results. Collect the tokens of an ``AsyncClient``
            first: ``[token async for token in client.list_tokens()]``.
        ValueError: another library.
        ImportError: the library is not installed.

    Example:
        >>> import lmtokens.sandbox
        >>> with lmtokens.sandbox.Portal() as portal:
        ...     users = portal.client().list_users()
        >>> lmtokens.to_dataframe(users)[["id", "name", "status"]]
           id      name  status
        0   1     admin  active
        1  32  api-user  active
        2  33    viewer  active
    """
    rows = [_members(result) for result in _iterable(results)]
    columns = {name: [row.get(name) for row in rows] for name in dict.fromkeys(name for row in rows for name in row)}
    frame = _polars_frame if _library(library) == "polars" else _pandas_frame
    return frame({name: _typed(name, values) for name, values in columns.items()})


def _iterable(results: Any) -> Iterable[Any]:
    if hasattr(results, "__aiter__"):
        hint = "collect its results first, as in [token async for token in tokens]"
        raise TypeError(f"results is an async iterator; {hint}")
    # An Audit is a result too, but its findings are the rows.
    if hasattr(results, "to_dict") and not hasattr(results, "__iter__"):
        return [results]
    if isinstance(results, (str, bytes, dict)) or not hasattr(results, "__iter__"):
        raise TypeError(f"results must be results of lmtokens, not {type(results).__name__}")
    return results  # type: ignore[no-any-return]


def _members(result: Any) -> dict[str, Any]:
    """Return the members of a result, with the entries of a member that is a ``dict`` as members."""
    if type(result).__module__ != "lmtokens" or not hasattr(result, "to_dict"):
        raise TypeError(f"results must be results of lmtokens, not {type(result).__name__}")
    flat: dict[str, Any] = {}
    values = members(result)
    if isinstance(result, Token):
        values["portal"] = result.portal
    for name, value in values.items():
        if isinstance(value, dict):
            flat.update((f"{name}.{key}", one) for key, one in value.items())
        else:
            flat[name] = value
    return flat


def _library(name: str | None) -> str:
    """Return the name of the library to use. The import of one that is not installed fails."""
    if name is not None and name not in ("pandas", "polars"):
        raise ValueError(f'invalid library {name!r}; expected "pandas" or "polars"')
    from importlib.util import find_spec

    names = ("pandas", "polars") if name is None else (name,)
    for is_there in (sys.modules.get, find_spec):
        for one in names:
            if is_there(one):
                return one
    raise ImportError(f"{' or '.join(names)} is not installed; install it: pip install {names[0]}", name=names[0])


def _typed(name: str, values: list[Any]) -> tuple[str, list[Any]]:
    """Return the type of a column and its values in this type."""
    # The columns of a journal's rows have the user's names, which say nothing about their values.
    if "." in name:
        return "text", values
    if name.endswith("_on") or name in _TIMES:
        return "time", [None if value is None else datetime.fromisoformat(value) for value in values]
    if name in _BOOLEANS:
        return "boolean", values
    if name in _LISTS:
        return "list", values
    if name == "status":
        values = [STATUS.get(value, value) for value in values]
    # A user can be given by name.
    if name in _INTEGERS and not any(isinstance(value, str) for value in values):
        return "integer", values
    return "text", [None if value is None else str(value) for value in values]


def _pandas_frame(columns: dict[str, tuple[str, list[Any]]]) -> Any:
    import pandas  # pyright: ignore[reportMissingImports, reportMissingModuleSource]

    types = {
        "time": "datetime64[us, UTC]",
        "boolean": "boolean",
        "list": "object",
        "integer": "Int64",
        "text": "string",
    }
    series = {name: pandas.Series(values, dtype=types[kind]) for name, (kind, values) in columns.items()}
    return pandas.DataFrame(series)


def _polars_frame(columns: dict[str, tuple[str, list[Any]]]) -> Any:
    import polars  # pyright: ignore[reportMissingImports]

    types: dict[str, Any] = {
        "time": polars.Datetime("us", "UTC"),
        "boolean": polars.Boolean,
        "list": polars.List(polars.String),
        "integer": polars.Int64,
        "text": polars.String,
    }
    return polars.DataFrame([polars.Series(name, values, types[kind]) for name, (kind, values) in columns.items()])
