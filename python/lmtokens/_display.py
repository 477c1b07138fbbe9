"""The rich display of results in notebooks. The extension imports it for the first list or display."""

from __future__ import annotations

from lmtokens._lmtokens import _printable

TYPE_CHECKING = False  # as in typing, whose import takes longer than this
if TYPE_CHECKING:
    from typing import Any

__all__ = ["STATUS", "Results", "html", "members"]

_MASK = "********"
_MAX_ROWS = 50
_MAX_CHARACTERS = 300

_TOKEN = (
    "id",
    "type",
    "access_id",
    "access_key",
    "admin_name",
    "status",
    "note",
    "expires_on",
    "created_on",
    "last_used_on",
)
# The columns of results that have more members than fit beside each other.
_COLUMNS = {
    "Token": _TOKEN,
    "CreatedToken": _TOKEN,
    "Finding": ("severity", "reasons", "id", "admin_name", "note", "remedy"),
}
# A note with dollar signs is not a formula. The second class is that of older versions of MathJax.
_NO_FORMULAS = "mathjax_ignore tex2jax_ignore"
STATUS = {1: "disabled", 2: "enabled"}

# Colors are inherited, and half-transparent gray is visible on any background, so that this suits every theme. The
# doubled class overrides the rules of JupyterLab, which align cells to the right.
_STYLE = (
    "<style>"
    "table.lmtokens{border-collapse:collapse;margin:.3em 0}"
    "table.lmtokens.lmtokens th,table.lmtokens.lmtokens td{"
    "text-align:left;vertical-align:top;padding:.2em .7em;max-width:24em;"
    "white-space:pre-wrap;overflow-wrap:break-word;border:0 solid rgba(128,128,128,.4);border-bottom-width:1px}"
    "table.lmtokens.lmtokens th,table.lmtokens.lmtokens td.time{white-space:nowrap}"
    "</style>"
)


class Results(list):  # type: ignore[type-arg]  # a subscript would need typing.Any when this is imported
    """A list of results that a notebook shows as a table."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        caption = f"{len(self)} result{'' if len(self) == 1 else 's'}"
        return _table(caption, self[:_MAX_ROWS], len(self))


def html(result: Any) -> str:
    """Return the HTML that shows a result."""
    kind = type(result).__name__
    if hasattr(result, "_received"):
        # An iterator of tokens. A display sends no request.
        count, tokens = result._received()
        return _table(repr(result)[1:-1], tokens, count)
    if hasattr(result, "findings"):
        findings = result.findings
        lines = [repr(result)[1:-1], *(f"Not checked: {limitation}" for limitation in result.limitations)]
        return _table("\n".join(lines), findings[:_MAX_ROWS], len(findings))
    if hasattr(result, "summary"):
        summary = result.summary
        ended = summary._ended()
        hint = "" if ended else "; iterate over the run, or call finish()"
        return _pairs(f"lmtokens.{kind}: {ended} of {summary.total} rows have ended{hint}", summary.to_dict())
    return _pairs(f"lmtokens.{kind}", _shown(result))


def members(result: Any) -> dict[str, Any]:
    """Return the members of a result, with the error of a rotation or of a swept token as text."""
    members: dict[str, Any] = result.to_dict()
    if type(result).__name__ in ("Rotation", "SweptToken"):
        members["error"] = None if result.error is None else str(result.error)
    return members


def _shown(result: Any) -> dict[str, Any]:
    """Return the members of a result, with the mask of the access key if there is one."""
    shown: dict[str, Any] = {}
    has_key = getattr(getattr(result, "token", result), "access_key", None) is not None
    for name, value in members(result).items():
        shown[name] = value
        if name == "access_id" and has_key:
            shown["access_key"] = _MASK
    return shown


def _table(caption: str, results: list[Any], count: int) -> str:
    """Return a table with a row for each result, without columns that are empty."""
    rows = [_shown(result) for result in results]
    columns = _COLUMNS.get(type(results[0]).__name__) if results else None
    names = columns or tuple(dict.fromkeys(name for row in rows for name in row))
    names = tuple(name for name in names if any(_has_value(row.get(name)) for row in rows))
    parts = [f"<tr>{''.join(f'<th>{name}</th>' for name in names)}</tr>"] if rows else []
    parts += [f"<tr>{''.join(_cell(name, row.get(name)) for name in names)}</tr>" for row in rows]
    if count > len(rows):
        parts.append(f'<tr><td colspan="{max(len(names), 1)}">… and {count - len(rows)} more</td></tr>')
    return _html(caption, parts)


def _pairs(caption: str, members: dict[str, Any]) -> str:
    """Return a table with a row for each member that has a value."""
    pairs = [(name, value) for name, value in members.items() if _has_value(value)]
    return _html(caption, [f"<tr><th>{name}</th>{_cell(name, value)}</tr>" for name, value in pairs])


def _html(text: str, rows: list[str]) -> str:
    lines = "<br>".join(_escaped(line) for line in text.split("\n"))
    caption = f'<div class="{_NO_FORMULAS}" dir="auto">{lines}</div>'
    return f'{_STYLE}{caption}<table class="lmtokens {_NO_FORMULAS}">{"".join(rows)}</table>'


def _has_value(value: object) -> bool:
    return value is not None and value != "" and value != [] and value != {}


def _cell(name: str, value: Any) -> str:
    if value is None:
        text = ""
    elif name.endswith("_on") or name in ("due", "expires"):
        return f'<td class="time">{_escaped(value[:19].replace("T", " "))} UTC</td>'
    elif name == "status":
        text = STATUS.get(value, str(value))
    elif name in ("causes", "error"):
        # An error can have a hint on a line of its own.
        lines = value.split("\n") if name == "error" else [f"{one['name']}: {one['explanation']}" for one in value]
        return f'<td dir="auto">{"<br>".join(_escaped(line) for line in lines)}</td>'
    elif isinstance(value, list):
        text = ", ".join(value)
    elif isinstance(value, dict):
        text = ", ".join(f"{key}={one}" for key, one in value.items())
    else:
        text = str(value)
    return f'<td dir="auto">{_escaped(text)}</td>'


def _escaped(text: str) -> str:
    if len(text) > _MAX_CHARACTERS:
        text = f"{text[:_MAX_CHARACTERS]}…"
    return _printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
