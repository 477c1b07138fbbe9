"""Every example of the README and of the manual runs against the sandbox and prints what the page shows."""

from __future__ import annotations

import inspect
import os
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

import lmtokens
import pytest
from lmtokens import errors
from manual_examples import DOCS, EXECUTABLE, PAGES, ROOT, Session, blocks
from support import ACCESS_ID, ACCESS_KEY

if TYPE_CHECKING:
    from lmtokens.sandbox import Portal

# Other programs are needed by single examples, which name them.
TOOLS = ["bash", "curl", "jq"]

pytestmark = pytest.mark.skipif(not PAGES, reason="needs the sources")


@pytest.mark.skipif(not all(map(shutil.which, TOOLS)), reason=f"needs {', '.join(TOOLS)}")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_examples_of_a_page_run(
    page: Path, tmp_path: Path, lmtokens_portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "file_keyring.Keyring")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.setenv("FILE_KEYRING", str(tmp_path / "keyring.json"))
    with patch.dict(os.environ), Session(tmp_path, os.environ) as session:
        for block in blocks(page):
            if block.reason is None:
                try:
                    session.run(block)
                except BaseException as error:
                    error.args = (f"{page.relative_to(ROOT)}:{block.line}: {error}",)
                    raise


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_is_found(page: Path) -> None:
    fences = re.findall(r"^ *```[\w-]", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(fences) == len(blocks(page))


def test_every_exception_has_a_section() -> None:
    headings = re.findall(r"^## (\w+) \{ #(\w+) \}$", (DOCS / "errors.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(headings) == [(name, name) for name in sorted(errors.__all__)]


def test_every_exception_names_its_section() -> None:
    for name in errors.__all__:
        docstring = inspect.getdoc(getattr(errors, name)) or ""
        assert docstring.endswith(f"\n\nCauses and remedies: ``docs/errors.md#{name}``"), name


def test_every_variable_is_described() -> None:
    # The names of variables in the core, as literals.
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.rs") if "tests" not in path.parts]
    used = {name for text in sources for name in re.findall(r'"(LM_[A-Z_]+)"', text)}
    described = set(re.findall(r"`(LM_[A-Z_]+)`", (DOCS / "reference" / "environment.md").read_text(encoding="utf-8")))
    assert used == described


def test_vectors_are_correct() -> None:
    text = (DOCS / "concepts" / "signature.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([A-Z]+) \| `([^`]+)` \| (none|`[^`]+`) \| `([^`]+)` \|$", text, re.MULTILINE)
    assert len(rows) == 5
    for method, path, body, signature in rows:
        data = b"" if body == "none" else body.strip("`").encode()
        credentials = {"access_id": ACCESS_ID, "access_key": ACCESS_KEY}
        header = lmtokens.sign(method, path, data, **credentials, timestamp_ms=1_700_000_000_000)
        assert header == f"LMv1 {ACCESS_ID}:{signature}:1700000000000"


def test_most_examples_run() -> None:
    examples = [block for page in PAGES for block in blocks(page) if block.is_example]
    not_run = [block for block in examples if block.reason is not None]
    assert {block.language for block in examples} == EXECUTABLE
    assert len(not_run) < len(examples) / 3
