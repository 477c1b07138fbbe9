"""A subinterpreter that shares the GIL cannot import lmtokens either, in any version."""

from __future__ import annotations

import sys

import pytest
from test_subinterpreter import VERSIONS, interpreter, run_in_subinterpreter


@pytest.mark.parametrize("before", ["", "import lmtokens"], ids=["first", "after the main interpreter"])
@pytest.mark.parametrize("version", ["this", *VERSIONS])
def test_interpreter_that_shares_the_gil_cannot_import(version: str, before: str) -> None:
    run_in_subinterpreter(sys.executable if version == "this" else interpreter(version), "legacy", before)
