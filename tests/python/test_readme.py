"""The links of the README work in the repository, and on a package index after a release has made them absolute."""

from __future__ import annotations

import re
import runpy
import shutil
import sys
from pathlib import Path

import pytest
from manual_examples import README, ROOT

SCRIPT = ROOT / "scripts" / "set_repository.py"
REPOSITORY = "https://github.com/OWNER/NAME"

pytestmark = pytest.mark.skipif(not SCRIPT.exists(), reason="needs the sources")


def links(text: str) -> list[str]:
    return re.findall(r"\]\(([^)]+)\)", text)


def anchors(page: Path) -> set[str]:
    found = set()
    for heading in re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE):
        explicit = re.search(r"\{ #(\S+) \}$", heading)
        words = re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-")
        found.add(explicit[1] if explicit else words)
    return found


def test_every_link_leads_to_a_file_and_a_section() -> None:
    found = [link for link in links(README.read_text(encoding="utf-8")) if not link.startswith("https://")]
    assert len(found) > 20
    for link in found:
        path, _, section = link.partition("#")
        target = ROOT / path
        assert target.exists(), link
        assert not section or section in anchors(target), link


def test_release_has_absolute_links_and_addresses(tmp_path: Path) -> None:
    for name in ("README.md", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    runpy.run_path(str(SCRIPT))["main"](REPOSITORY, "v1.0.0", tmp_path)
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert [link for link in links(text) if not link.startswith(("https://", "#"))] == []
    assert f"![A terminal with the output of make demo]({REPOSITORY}/raw/v1.0.0/docs/assets/demo.svg)" in text
    assert f"[On your portal]({REPOSITORY}/blob/v1.0.0/docs/portal.md)" in text
    assert "](https://rustup.rs)" in text
    if sys.version_info >= (3, 11):
        import tomllib

        project = tomllib.loads((tmp_path / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        assert {"Homepage", "Documentation", "Changelog", "Issues"} < set(project["urls"])
        assert all(url.startswith("https://") for url in project["urls"].values())
        # A package index refuses longer names.
        assert max(map(len, project["urls"])) <= 32


@pytest.mark.parametrize("metadata", ["[project]\n", f'[project.urls]\nHomepage = "{REPOSITORY}"\n'])
def test_release_without_the_table_or_with_addresses_is_refused(metadata: str, tmp_path: Path) -> None:
    readme, project = tmp_path / "README.md", tmp_path / "pyproject.toml"
    readme.write_text("[changes](CHANGELOG.md)", encoding="utf-8")
    project.write_text(metadata, encoding="utf-8")
    with pytest.raises(SystemExit, match="has no table project"):
        runpy.run_path(str(SCRIPT))["main"](REPOSITORY, "v1.0.0", tmp_path)
    assert readme.read_text(encoding="utf-8") == "[changes](CHANGELOG.md)"
    assert project.read_text(encoding="utf-8") == metadata
