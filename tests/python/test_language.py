"""Sources use the project's terms (docs/STYLE.md): expressions that were replaced do not return."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SUFFIXES = {".rs", ".py", ".pyi", ".md", ".toml", ""}
FOLDERS = ["src", "python", "tests", "benches", "examples", "docs", ".ci"]
FILES = ["README.md", "SECURITY.md", "CHANGELOG.md", "CONTRIBUTING.md", "Makefile", "Cargo.toml", "pyproject.toml"]

# What is written instead is in docs/STYLE.md.
REPLACED = {
    "actor": r"\b(whoever|whomever|nobody|somebody's business)\b",
    "accepted": r"\b(is|are) not accepted:|\baccepted (is|are)\b",
    "negated noun": r"\b(is|are|was|were|holds?|tells?|has) no (text|file|JSON|UTF-8|proof|evidence|folder|token)\b",
    "metaphor": r"\b(house|one door|lets? go of|(goes|gone) on with|born|dead run|in the clear|portal in the box)\b",
    "budget": r"\bbudgets?\b",
    "verb": r"\b(each|the|a|every|one|these|which) verbs?\b",
    "face": r"\b(blocking|async|Python|shell) face\b|\b(both|all|three|two) faces\b",
    "condition": r"\bwhere (wanted|none|there (is|are))\b|\bwhat is (new|left|wrong) (after|over|with any)\b",
}


def sources() -> list[Path]:
    found = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.suffix in SUFFIXES]
    skipped = {Path(__file__), ROOT / "docs" / "STYLE.md"}
    return [path for path in [*found, *(ROOT / name for name in FILES)] if path.is_file() and path not in skipped]


@pytest.mark.skipif(not (ROOT / "src").is_dir(), reason="needs the sources")
@pytest.mark.parametrize("pattern", REPLACED.values(), ids=REPLACED.keys())
def test_replaced_expressions_do_not_return(pattern: str) -> None:
    expression = re.compile(pattern, re.IGNORECASE)
    found = []
    for path in sources():
        lines = path.read_text(encoding="utf-8").splitlines()
        hits = [number for number, line in enumerate(lines, 1) if expression.search(line)]
        found += [f"{path.relative_to(ROOT)}:{number}: {lines[number - 1].strip()}" for number in hits]
    assert found == []
