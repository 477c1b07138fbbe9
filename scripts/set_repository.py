"""Write the address of the repository into README.md and pyproject.toml, before a release is built from them.

The links of README.md are relative: they work in every clone, but not on a package index. For a repository on GitHub:

    python scripts/set_repository.py https://github.com/OWNER/NAME v1.0.0
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def absolute_links(text: str, repository: str, ref: str) -> str:
    """Make the links to files absolute, and leave those to sections and to other sites."""
    text = re.sub(r"(!\[[^]]*\]\()(?![a-z]+:|#)", rf"\1{repository}/raw/{ref}/", text)
    return re.sub(r"((?<!!)\[[^]]*\]\()(?![a-z]+:|#)", rf"\1{repository}/blob/{ref}/", text)


def urls(repository: str, ref: str) -> str:
    pages = {
        "Homepage": repository,
        "Documentation": f"{repository}/blob/{ref}/docs/index.md",
        "Changelog": f"{repository}/blob/{ref}/CHANGELOG.md",
        "Issues": f"{repository}/issues",
    }
    return "".join(f'{name} = "{url}"\n' for name, url in pages.items())


def main(repository: str, ref: str, root: Path = ROOT) -> None:
    readme, project = root / "README.md", root / "pyproject.toml"
    before, header, after = project.read_text(encoding="utf-8").partition("[project.urls]\n")
    if not header or "Homepage" in after:
        raise SystemExit("pyproject.toml has no table project.urls, or already has the addresses")
    readme.write_text(absolute_links(readme.read_text(encoding="utf-8"), repository, ref), encoding="utf-8")
    project.write_text(before + header + urls(repository, ref) + after, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1].rstrip("/"), sys.argv[2])
