"""A subinterpreter cannot import lmtokens, and the main interpreter is not affected by the attempt."""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
from pathlib import Path

import lmtokens
import pytest
from support import HANG_TIMEOUT

# The extension is the same file for every version; isolated interpreters exist since 3.12.
VERSIONS = ["3.12", "3.13", "3.14"]

CODE = """
import sys
BEFORE
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
if sys.version_info >= (3, 13):
    inside = interpreters.create("KIND")
else:
    inside = interpreters.create(isolated="KIND" == "isolated")
try:
    outcome = interpreters.run_string(inside, "import lmtokens")
except interpreters.RunFailedError as error:
    outcome = error
assert "ImportError" in repr(outcome) and "subinterpreter" in repr(outcome), repr(outcome)
import lmtokens, lmtokens.sandbox
with lmtokens.sandbox.Portal() as portal:
    try:
        portal.client().find_token(999_999)
    except lmtokens.NotFoundError:
        print("works")
"""


def interpreter(version: str) -> str:
    """Return the path of an interpreter of this version; skip the test if none is installed."""
    root = os.environ.get("PYENV_ROOT", str(Path.home() / ".pyenv"))
    # A shim of pyenv on PATH may refuse to run.
    for path in [*glob.glob(f"{root}/versions/{version}.*/bin/python3"), shutil.which(f"python{version}")]:
        if path is not None and subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0:
            return path
    pytest.skip(f"CPython {version} is not installed")


def run_in_subinterpreter(python: str, kind: str, before: str) -> None:
    completed = subprocess.run(
        [python, "-c", CODE.replace("KIND", kind).replace("BEFORE", before)],
        env={**os.environ, "PYTHONPATH": str(Path(lmtokens.__file__).parent.parent)},
        capture_output=True,
        text=True,
        timeout=HANG_TIMEOUT,
        check=False,
    )
    # A crash would give a negative exit code.
    assert (completed.returncode, completed.stdout) == (0, "works\n"), completed.stderr


@pytest.mark.parametrize("before", ["", "import lmtokens"], ids=["first", "after the main interpreter"])
@pytest.mark.parametrize("version", VERSIONS)
def test_isolated_interpreter_cannot_import(version: str, before: str) -> None:
    run_in_subinterpreter(interpreter(version), "isolated", before)
