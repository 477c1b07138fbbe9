"""The installed size of a package with the packages that it requires."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path


def installed_size(name: str) -> float:
    """Return the size in MB, without the bytecode that the installer compiles."""
    files = [file.locate() for distribution in with_requirements(name) for file in distribution.files or []]
    paths = {Path(str(file)) for file in files}
    return sum(path.stat().st_size for path in paths if path.exists() and path.suffix != ".pyc") / 1e6


def with_requirements(name: str) -> list[importlib.metadata.Distribution]:
    found: dict[str, importlib.metadata.Distribution] = {}
    remaining = [name]
    while remaining:
        # Names are compared without the difference of "-" and "_".
        name = remaining.pop().lower().replace("_", "-")
        if name in found:
            continue
        try:
            found[name] = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # required on other systems or versions of Python
        needed = [requirement for requirement in found[name].requires or [] if "extra ==" not in requirement]
        remaining += [re.split(r"[^\w.-]", requirement, maxsplit=1)[0] for requirement in needed]
    return list(found.values())
