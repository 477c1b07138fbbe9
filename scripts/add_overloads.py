"""Add to a generated stub what PyO3 cannot express: ``python scripts/add_overloads.py _lmtokens.pyi``.

The type of the token that ``add_token`` returns depends on ``deliver=``: without it, the token has its access key. The
operators of ``Field`` and ``Filter`` accept less than ``object``; only ``==`` and ``!=`` must accept it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

# A function, as the generator writes it: one line, followed by an indented docstring.
ADD_TOKEN = re.compile(
    r"""
    ^(?P<indent>\ *)(?P<start>def\ add_token\(.*,\ deliver:\ )Destination\ \|\ None\ =\ None
    (?P<end>,\ expires:\ [^)]*)\)
    \ ->\ (?P<result>.*\bToken\b.*):\n
    (?P<docstring>(?:(?P=indent)\ {4}.*\n|\n)+)
    """,
    re.MULTILINE | re.VERBOSE,
)
OPERATOR = re.compile(r"\bdef __(and|or|lt|le|gt|ge)__\(self, other: object, /\)( -> Filter:)")
OVERLOADS = r"""
{indent}@overload
{indent}{start}None = None{end}) -> {created}:
{docstring}
{indent}@overload
{indent}{start}Destination | None{end}) -> {result}: ...
"""


def overloads(function: re.Match[str]) -> str:
    parts = {name: part.rstrip("\n") for name, part in function.groupdict().items()}
    created = re.sub(r"\bToken\b", "CreatedToken", parts["result"])
    after = re.search(r"\n*$", function["docstring"])
    return OVERLOADS.lstrip("\n").format(**parts, created=created) + (after[0] if after else "")[1:]


def operator(function: re.Match[str]) -> str:
    name, result = function.groups()
    other = "Filter" if name in ("and", "or") else "Ordered"
    return f"def __{name}__(self, other: {other}, /){result}"


def add_overloads(stub: str) -> str:
    stub, functions = ADD_TOKEN.subn(overloads, stub)
    stub, imports = re.subn(r"^from typing import (.*)$", r"from typing import \1, overload", stub, flags=re.MULTILINE)
    stub, names = re.subn(
        r"^from lmtokens._types import (.*?)OnWait",
        r"from lmtokens._types import Age, \1OnWait, Ordered",
        stub,
        flags=re.MULTILINE,
    )
    stub, operators = OPERATOR.subn(operator, stub)
    if (functions, imports, names, operators) != (3, 1, 1, 6):
        raise SystemExit(f"the stub has other functions, imports or operators: {functions, imports, names, operators}")
    return stub


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(add_overloads(path.read_text(encoding="utf-8")), encoding="utf-8")
