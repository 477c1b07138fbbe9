"""Each direct dependency has its reason above it in Cargo.toml, and none needs a newer Rust than this package."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
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


# Clippy checks what this package itself uses of the standard library (`incompatible_msrv`).
@pytest.mark.skipif(not MANIFEST.is_file() or shutil.which("cargo") is None, reason="needs the sources and cargo")
def test_no_dependency_needs_a_newer_rust() -> None:
    command = ["cargo", "metadata", "--locked", "--format-version", "1"]
    metadata = subprocess.run(command, cwd=MANIFEST.parent, capture_output=True, text=True, check=True).stdout
    needed = {
        package["name"]: [int(number) for number in package["rust_version"].split(".")]
        for package in json.loads(metadata)["packages"]
        if package["rust_version"] is not None
    }
    oldest = needed.pop("lmtokens")
    assert len(needed) > 100
    assert {name: version for name, version in needed.items() if version[:2] > oldest[:2]} == {}
