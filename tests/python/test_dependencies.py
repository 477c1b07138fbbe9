"""Each direct dependency has its reason above it in Cargo.toml."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

MANIFEST = Path(__file__).parents[2] / "Cargo.toml"


@pytest.mark.skipif(not MANIFEST.is_file(), reason="needs the sources")
def test_each_dependency_has_a_reason() -> None:
    reasons: dict[str, str] = {}
    previous = ""
    in_dependencies = False
    for line in MANIFEST.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            in_dependencies = line.rstrip("]").endswith("dependencies")
        elif in_dependencies and (match := re.match(r"([\w-]+) = ", line)):
            reasons[match[1]] = previous if previous.startswith("# ") else ""
        previous = line
    assert len(reasons) > 40
    assert [name for name, reason in reasons.items() if not reason] == []
