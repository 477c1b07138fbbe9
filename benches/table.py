"""The table: one row per measurement, one column per peer, and the goals."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

COLUMNS = ("lmtokens", "requests", "httpx", "aiohttp", "pyreqwest", "SDK", "wrk")


@dataclass(frozen=True)
class Goal:
    """A bound for lmtokens; `None` if what it is a multiple of was not measured."""

    text: str
    met: bool | None


@dataclass(frozen=True)
class Row:
    """One measurement of every peer that takes part in it."""

    title: str
    unit: str
    values: Mapping[str, float]
    goals: Sequence[Goal] = field(default_factory=list)


def at_most(factor: float, of: str | None, values: Mapping[str, float]) -> Goal:
    """Return the goal of at most a number, or at most a multiple of another value of the row."""
    return _goal("at most", factor, of, values, -1)


def at_least(factor: float, of: str | None, values: Mapping[str, float]) -> Goal:
    """Return the goal of at least a number, or at least a multiple of another value of the row."""
    return _goal("at least", factor, of, values, 1)


def _goal(words: str, factor: float, of: str | None, values: Mapping[str, float], sign: int) -> Goal:
    if of is None:
        return Goal(f"{words} {factor:g}", sign * values["lmtokens"] >= sign * factor)
    multiple = f"{factor:g} × {of}" if factor > 0.1 else f"{of} ÷ {1 / factor:g}"
    if of not in values:
        return Goal(f"{words} {multiple}", None)
    bound = factor * values[of]
    return Goal(f"{words} {number(bound)} = {multiple}", sign * values["lmtokens"] >= sign * bound)


def number(value: float) -> str:
    """Format a number with up to four significant digits, or to the unit."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.4g}"


def markdown(rows: Sequence[Row]) -> str:
    """Format the table, with columns of equal width so that it can be read as plain text too."""
    lines = [["measurement", "unit", *COLUMNS, "goal", "met"]]
    for row in rows:
        values = [number(row.values[column]) if column in row.values else "" for column in COLUMNS]
        goals, met = "; ".join(goal.text for goal in row.goals), met_word(row.goals)
        lines.append([row.title, row.unit, *values, goals, met])
    widths = [max(map(len, column)) for column in zip(*lines)]
    aligned = [[align(cell, index, widths[index]) for index, cell in enumerate(line)] for line in lines]
    rule = ["-" * (width - 1) + (":" if is_number(index) else "-") for index, width in enumerate(widths)]
    return "\n".join(f"| {' | '.join(line)} |" for line in [aligned[0], rule, *aligned[1:]])


def met_word(goals: Sequence[Goal]) -> str:
    if not goals:
        return ""
    if any(goal.met is None for goal in goals):
        return "not measured"
    return "yes" if all(goal.met for goal in goals) else "no"


def is_number(index: int) -> bool:
    return 2 <= index < 2 + len(COLUMNS)


def align(cell: str, index: int, width: int) -> str:
    return cell.rjust(width) if is_number(index) else cell.ljust(width)
