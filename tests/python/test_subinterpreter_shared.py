"""Interpreters that share one lock with the outer one: the import is refused there too, in every version."""

from __future__ import annotations

import sys

import pytest
from test_subinterpreter import VERSIONS, interpreter, run_in


@pytest.mark.parametrize("before", ["", "import lmtokens"], ids=["first", "after the outer one"])
@pytest.mark.parametrize("version", ["this", *VERSIONS])
def test_interpreter_that_shares_the_lock_refuses(version: str, before: str) -> None:
    run_in(sys.executable if version == "this" else interpreter(version), "legacy", before)
