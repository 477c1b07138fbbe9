"""The tour in ``examples`` runs in a real kernel, and its outputs show what its text says.

The file is committed without outputs, so that it holds no credentials and does not change with each run.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from manual_examples import ROOT
from support import EXAMPLES, run_notebook

if TYPE_CHECKING:
    from collections.abc import Mapping

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("pandas")

TOUR = EXAMPLES / "tour.ipynb"

Output = dict[str, Any]


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, list[Output]]:
    """The outputs of each cell of the tour, by the cell's id."""
    folder = tmp_path_factory.mktemp("jupyter")
    notebook = nbformat.read(TOUR, as_version=4)
    run_notebook(notebook, folder, resources={"metadata": {"path": str(folder)}})
    return {cell.id: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}


def text_of(output: Output) -> str:
    """Return everything that an output shows."""
    return json.dumps(output)


def html_of(cell: list[Output]) -> str:
    """Return the HTML of a cell's last output."""
    return str(cell[-1]["data"]["text/html"])


def test_committed_notebook_has_no_outputs() -> None:
    cells = json.loads(TOUR.read_text(encoding="utf-8"))["cells"]
    assert len(cells) <= 25
    for cell in cells:
        assert not cell.get("outputs"), cell["id"]
        assert cell.get("execution_count") is None, cell["id"]


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("start", ["admin"]),
        ("users", ["api-user", "viewer"]),
        ("token", ["103", "nightly job", "********"]),
        ("dataframe", ["nightly backup", "dashboard"]),
        ("rotation", ["nightly job", "overlap"]),
        ("finish", ["quarantine"]),
        ("audit", ["never_used"]),
        ("sweep", ["expired"]),
        ("bulk", ["100"]),
        ("journal", ["sensor "]),
    ],
)
def test_results_are_tables(outputs: Mapping[str, list[Output]], cell: str, shown: list[str]) -> None:
    html = html_of(outputs[cell])
    assert "<table" in html
    assert [text for text in shown if text not in html] == []


def test_list_shows_the_tokens_that_were_received(outputs: Mapping[str, list[Output]]) -> None:
    printed, iterator = outputs["list"]
    assert printed["text"] == "first: built-in\n"
    assert "nightly backup" in html_of([iterator])


def test_key_is_shown_only_where_it_is_revealed(outputs: Mapping[str, list[Output]]) -> None:
    revealed = re.fullmatch(r"\*{8} is (sandbox-key-\S+)\n", outputs["key"][0]["text"])
    assert revealed
    others = [output for cell, found in outputs.items() if cell != "key" for output in found]
    assert [output for output in others if revealed[1] in text_of(output)] == []
    assert [output for output in others if "sandbox-key-" in text_of(output)] == []


def test_filter_finds_what_it_says(outputs: Mapping[str, list[Output]]) -> None:
    assert outputs["filter"][0]["data"]["text/plain"] == "['nightly job', 'nightly backup']"


def test_error_ends_with_the_hint(outputs: Mapping[str, list[Output]]) -> None:
    (error,) = outputs["error"]
    assert error["output_type"] == "error"
    assert error["ename"] == "NotFoundError"
    assert error["evalue"].splitlines()[-1].startswith("hint: ")


def test_lost_response_names_its_candidate(outputs: Mapping[str, list[Output]]) -> None:
    assert re.fullmatch(r"maybe applied: True, candidates: \[\d+\]\n", outputs["lost"][0]["text"])


def test_bulk_run_has_one_bar_and_its_summary(outputs: Mapping[str, list[Output]]) -> None:
    bar, summary = outputs["bulk"]
    assert "100/100" in bar["data"]["text/plain"]
    assert "created=100," in summary["data"]["text/plain"]


def test_manual_has_small_pictures_in_both_themes() -> None:
    pictures = {path.name: path.stat().st_size for path in (ROOT / "docs" / "pictures").glob("*.png")}
    names = {name.rpartition("-")[0] for name in pictures}
    assert set(pictures) == {f"{name}-{theme}.png" for name in names for theme in ("light", "dark")}
    assert max(pictures.values()) < 60_000
    page = (ROOT / "docs" / "notebooks.md").read_text(encoding="utf-8")
    shown = re.findall(r"\]\(pictures/(\S+)-(light|dark)\.png#only-(light|dark)\)", page)
    assert sorted(shown) == sorted((name, theme, theme) for name in names for theme in ("light", "dark"))
