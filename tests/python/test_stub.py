"""Type checkers infer the class that was called, also for subclasses of our classes."""

from __future__ import annotations

import ast
from pathlib import Path

import lmtokens
import pytest

STUB = ast.parse(Path(lmtokens.__file__).with_name("_lmtokens.pyi").read_text(encoding="utf-8"))


@pytest.mark.parametrize("derived", [lmtokens.AsyncClient, lmtokens.LMv1Auth])
def test_constructor_of_a_base_class_returns_self(derived: type) -> None:
    # If it returned the base class, Pyright and Pylance would not see the methods of the derived class.
    bases = {base.__name__ for base in derived.__mro__[1:]}
    (base,) = [node for node in STUB.body if isinstance(node, ast.ClassDef) and node.name in bases]
    (new,) = [node for node in base.body if isinstance(node, ast.FunctionDef) and node.name == "__new__"]
    assert new.returns is not None
    assert ast.unparse(new.returns).strip("'").rpartition(".")[2] == "Self"
