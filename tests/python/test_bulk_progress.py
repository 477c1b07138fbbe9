"""The progress of a bulk run is one bar that is rewritten: at a terminal, in a notebook, and as few lines elsewhere."""

from __future__ import annotations

import io
import json
import re
import sys
import textwrap
from typing import TYPE_CHECKING
from unittest.mock import Mock

import lmtokens
import pytest
from lmtokens import _progress
from support import run_at_terminal, run_notebook, run_python, screen

if TYPE_CHECKING:
    from pathlib import Path

    from lmtokens.sandbox import Portal

ROWS = [(32, f"row {number}") for number in range(12)]
# Long enough to be announced and counted down.
WINDOW = 3.5
WAITING = "waiting {} s for the rate limit"

RUN = """
    import asyncio, logging, sys
    import lmtokens
    {first}
    rows = [(32, f"row {{number}}") for number in range(12)]
    journal = {journal!r}
    if {is_async}:
        async def main():
            async with lmtokens.AsyncClient() as client:
                return await client.add_tokens(rows, journal=journal, progress=True)
        print(asyncio.run(main()))
    else:
        print(lmtokens.add_tokens(rows, journal=journal, progress=True).finish())
"""
WITHOUT_TQDM = "sys.modules['tqdm'] = None"


def program(journal: Path, first: str = WITHOUT_TQDM, *, is_async: bool = False) -> str:
    return textwrap.dedent(RUN).format(first=first, journal=str(journal), is_async=is_async)


def states(shown: str) -> list[str]:
    """Return what a line that is rewritten has shown."""
    return [state.strip() for state in re.split(r"[\r\n]+", shown) if state.strip()]


@pytest.fixture
def limited(lmtokens_portal: Portal) -> Portal:
    """A portal on which a run of ``ROWS`` waits once, and one row fails."""
    lmtokens_portal.set_rate_limit(8, WINDOW, method="POST")
    lmtokens_portal.fail("status-before-acting", method="POST", status=400)
    return lmtokens_portal


VARIANTS = pytest.mark.parametrize("is_async", [False, True], ids=["blocking", "async"])


class TestTerminal:
    @VARIANTS
    def test_text_is_rewritten_in_one_line(self, limited: Portal, journal: Path, is_async: bool) -> None:
        command = [sys.executable, "-c", program(journal, is_async=is_async)]
        typed = run_at_terminal(command, [], environment={"COLUMNS": "100"})
        assert typed.status == 0, typed.shown
        bar, summary, *rest = screen(typed.shown)
        assert re.fullmatch(r"add_tokens 12/12 \(100%\), [\d.]+ rows/(s|min), in 0:0\d, 1 failed \[#+\]", bar), (
            typed.shown
        )
        assert summary.startswith("Summary(total=12, created=11,")
        assert "".join(rest) == ""
        shown = states(typed.shown)
        assert shown[0].startswith("add_tokens 0/12 (0%) [")
        for seconds in (3, 2, 1):
            assert any(WAITING.format(seconds) in state for state in shown)
        assert all(len(state) < 100 for state in shown)

    def test_narrow_terminal_does_not_wrap(self, limited: Portal, journal: Path) -> None:
        command = [sys.executable, "-c", program(journal)]
        typed = run_at_terminal(command, [], environment={"COLUMNS": "30"})
        assert max(map(len, states(typed.shown.split("Summary", maxsplit=1)[0]))) == 29

    @VARIANTS
    def test_bar_of_tqdm_is_used_if_it_is_installed(self, limited: Portal, journal: Path, is_async: bool) -> None:
        pytest.importorskip("tqdm")
        # No monitor: a forked child would not have the thread.
        threads = "import atexit, threading; atexit.register(lambda: print('threads:', threading.active_count()))"
        # Tqdm shows nothing at a terminal of no size.
        size = "import fcntl, struct, termios; fcntl.ioctl(2, termios.TIOCSWINSZ, struct.pack('4H', 24, 120, 0, 0))"
        command = [sys.executable, "-c", program(journal, f"{threads}; {size}", is_async=is_async)]
        typed = run_at_terminal(command, [])
        assert typed.status == 0, typed.shown
        bar, *rest = screen(typed.shown)
        assert re.fullmatch(r"add_tokens: 100%\|█+\| 12/12 \[00:0\d<00:00, .*1 failed\]", bar), typed.shown
        assert "threads: 1" in rest
        for seconds in (3, 2, 1):
            assert any(f"1 failed, {WAITING.format(seconds)}" in state for state in states(typed.shown))

    def test_width_is_that_of_the_terminal_of_standard_error(self, lmtokens_portal: Portal, journal: Path) -> None:
        size = "import fcntl, struct, termios; fcntl.ioctl(2, termios.TIOCSWINSZ, struct.pack('4H', 24, 30, 0, 0))"
        command = [sys.executable, "-c", program(journal, f"{WITHOUT_TQDM}; {size}")]
        typed = run_at_terminal(command, [], environment={"COLUMNS": ""}, redirect_stdout=True)
        assert typed.stdout.startswith("Summary(total=12, created=12,")
        assert max(map(len, states(typed.shown))) == 29

    def test_interrupt_is_logged_below_the_bar(self, lmtokens_portal: Portal, journal: Path) -> None:
        lmtokens_portal.set_rate_limit(8, 60.0, method="POST")
        command = [sys.executable, "-c", program(journal)]
        typed = run_at_terminal(command, [("waiting", "\x03")], environment={"COLUMNS": "100"})
        assert typed.status != 0
        lines = screen(typed.shown)
        [bar] = [number for number, line in enumerate(lines) if line.startswith("add_tokens 8/12")]
        assert lines[bar + 1].startswith("add_tokens interrupted (Summary(total=12, created=8,"), typed.shown

    def test_terminal_without_a_size_shows_text(self, lmtokens_portal: Portal, journal: Path) -> None:
        typed = run_at_terminal([sys.executable, "-c", program(journal, "")], [], environment={"COLUMNS": ""})
        assert typed.status == 0, typed.shown
        assert states(typed.shown)[0].startswith("add_tokens 0/12 (0%) [")

    @pytest.mark.parametrize("level", ["DEBUG", "WARNING"])
    def test_log_records_have_their_own_lines(self, limited: Portal, journal: Path, level: str) -> None:
        first = f"{WITHOUT_TQDM}; logging.basicConfig(format='%(levelname)s %(message)s', level='{level}')"
        typed = run_at_terminal([sys.executable, "-c", program(journal, first)], [], environment={"COLUMNS": "100"})
        lines = screen(typed.shown)
        # Debug records follow the warning.
        lines = [line for line in lines if not line.startswith("DEBUG ")]
        assert [line for line in lines if "DEBUG" in line] == []
        [warning] = [line for line in lines if "WARNING" in line]
        assert warning.startswith("WARNING rate limit of POST"), typed.shown
        assert [line for line in lines if line.startswith("add_tokens")] == [lines[lines.index(warning) + 1]]

    def test_bar_ends_with_its_line_after_an_error(self, lmtokens_portal: Portal, journal: Path) -> None:
        lmtokens_portal.fail("status-before-acting", method="POST", status=401)
        typed = run_at_terminal([sys.executable, "-c", program(journal)], [], environment={"COLUMNS": "100"})
        assert typed.status == 1
        bar, traceback, *_ = screen(typed.shown)
        assert bar.startswith("add_tokens 1/12 (8%)")
        assert traceback.startswith("Traceback")


class TestPipe:
    @VARIANTS
    def test_few_lines_are_written(self, limited: Portal, journal: Path, is_async: bool) -> None:
        completed = run_python(program(journal, is_async=is_async))
        assert completed.returncode == 0, completed.stderr
        first, warning, last = completed.stderr.splitlines()
        assert first == "add_tokens 0/12 (0%)"
        assert warning.startswith("rate limit of POST /setting/admins/{adminId}/apitokens reached; waiting ")
        assert re.fullmatch(r"add_tokens 12/12 \(100%\), [\d.]+ rows/(s|min), in 0:0\d, 1 failed", last)
        assert "\r" not in completed.stderr

    def test_no_standard_error_is_no_error(self, lmtokens_portal: Portal, journal: Path) -> None:
        completed = run_python(program(journal, "sys.stderr = None"))
        assert "created=12" in completed.stdout

    def test_failing_standard_error_does_not_stop_the_run(self, lmtokens_portal: Portal, journal: Path) -> None:
        completed = run_python(program(journal, "sys.stderr = open(0, 'r')"))
        assert "created=12" in completed.stdout

    def test_closed_run_says_how_far_it_came(
        self, lmtokens_portal: Portal, journal: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        run = lmtokens.add_tokens(ROWS, journal=journal, progress=True, concurrency=2)
        assert capsys.readouterr().err == ""
        next(run)
        run.close()
        first, last = capsys.readouterr().err.splitlines()
        assert first.startswith("add_tokens 0/12 (0%)")
        created = run.summary.created
        assert 1 <= created < 12
        assert last.startswith(f"add_tokens {created}/12 ({100 * created // 12}%), ")

    def test_resumed_rows_do_not_count_for_the_rate(
        self, lmtokens_portal: Portal, journal: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        lmtokens.add_tokens(ROWS, journal=journal).finish()
        lmtokens.add_tokens(ROWS, journal=journal, resume=True, progress=True).finish()
        assert capsys.readouterr().err.splitlines()[-1] == "add_tokens 12/12 (100%)"

    def test_resumed_rows_do_not_count_for_the_rate_of_tqdm(self, lmtokens_portal: Portal, journal: Path) -> None:
        pytest.importorskip("tqdm")
        lmtokens.add_tokens(ROWS[:-1], journal=journal).finish()
        summary = lmtokens.add_tokens(ROWS[:-1], journal=journal, resume=True).finish()
        stream = io.StringIO()
        bar = _progress._Bar(len(ROWS), stream)
        progress = _progress.ProgressBar(len(ROWS), None)
        progress.display = bar
        progress.update(summary, summary.already_done)
        progress.close()
        assert "11/12 [" in stream.getvalue()
        assert "?row/s" in stream.getvalue().split("11/12 [")[-1]

    def test_timer_ends_if_nothing_is_shown(self) -> None:
        loop = Mock()
        _progress.ProgressBar(len(ROWS), loop).wait(60.0)
        loop.call_later.assert_not_called()

    def test_progress_false_is_silent(
        self, lmtokens_portal: Portal, journal: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        lmtokens.add_tokens(ROWS, journal=journal, progress=False).finish()
        assert capsys.readouterr() == ("", "")


class TestNotebook:
    @pytest.mark.parametrize(
        ("blocked", "is_async"),
        [([], False), ([], True), (["tqdm"], True), (["ipywidgets"], False)],
        ids=["widget", "widget, async", "without tqdm, async", "without ipywidgets"],
    )
    def test_saved_notebook_has_one_output_that_is_complete(
        self, limited: Portal, journal: Path, tmp_path: Path, blocked: list[str], is_async: bool
    ) -> None:
        nbformat = pytest.importorskip("nbformat")
        for name in ("tqdm", "ipywidgets"):
            pytest.importorskip(name)
        client = "lmtokens.AsyncClient()" if is_async else "lmtokens.Client()"
        run = f"{client}.add_tokens(rows, journal={str(journal)!r}, progress=True)"
        sources = [
            "import sys, lmtokens\nrows = [(32, f'row {number}') for number in range(12)]",
            "\n".join(["import sys", *(f"sys.modules[{name!r}] = None" for name in blocked)]),
            f"summary = await {run}" if is_async else f"summary = {run}.finish()",
            "print(summary.created)",
        ]
        cells = [nbformat.v4.new_code_cell(source) for source in sources]
        messages = run_notebook(nbformat.v4.new_notebook(cells=cells), tmp_path)

        assert [cell.outputs for cell in cells[:2]] == [[], []]
        [output] = cells[2].outputs
        is_widget = "application/vnd.jupyter.widget-view+json" in output.data
        assert is_widget == (not blocked)
        assert re.search(r"\b12/12\b.*, 1 failed", output.data["text/plain"])
        assert [output.text for output in cells[3].outputs] == ["11\n"]
        # Tqdm fills numbers up with spaces that are as wide as digits.
        seen = json.dumps([message["content"] for message in messages], ensure_ascii=False).replace("\u2007", " ")
        for seconds in (3, 2, 1):
            assert WAITING.format(seconds) in seen
