"""The man pages that ``make man`` generates have every command and option, and ``man`` reads them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from support import HANG_TIMEOUT, run_shell

FOLDER = Path(__file__).parents[2] / "target" / "man"

pytestmark = pytest.mark.skipif(not (FOLDER / ".built").exists(), reason="needs make man")


def names_in_help(text: str, heading: str) -> list[str]:
    """Return the first words of the entries below a heading of a help text."""
    section = text.split(f"\n{heading}:\n", 1)
    return re.findall(r"^  (\S+)", section[1].split("\n\n", 1)[0], re.MULTILINE) if len(section) == 2 else []


def commands() -> list[tuple[str, ...]]:
    """Return the words of every command, found through the help."""
    found: list[tuple[str, ...]] = [()]
    for words in found:
        names = names_in_help(run_shell(*words, "-h").stdout, "Commands")
        found.extend((*words, name) for name in names if name != "help")
    return found


def plain(page: Path) -> str:
    return page.read_text().replace("\\-", "-").replace("\\fB", "").replace("\\fI", "").replace("\\fR", "")


def test_every_command_has_a_page_with_its_options() -> None:
    found = commands()
    assert {("list",), ("profile", "add"), ("sandbox", "advance")} <= set(found)
    assert {page.name for page in FOLDER.glob("*.1")} == {"-".join(("lmtokens", *words)) + ".1" for words in found}
    for words in found:
        help = run_shell(*words, "--help").stdout
        options = set(re.findall(r"^ +(?:-\w, )?(--[a-z-]+)", help, re.MULTILINE))
        assert "--help" in options
        shown = plain(FOLDER / ("-".join(("lmtokens", *words)) + ".1"))
        assert [option for option in options if option not in shown] == [], words
        assert "Exit codes:" in shown


@pytest.mark.skipif(shutil.which("man") is None, reason="needs man")
def test_man_reads_the_pages_without_warnings() -> None:
    for page in sorted(FOLDER.glob("*.1")):
        read = subprocess.run(
            ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", str(page)],
            env={"PATH": "/usr/bin:/bin", "MANWIDTH": "100", "LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
            timeout=HANG_TIMEOUT,
            check=False,
        )
        assert (read.returncode, read.stderr) == (0, ""), page
        assert "Exit codes:" in re.sub(".\b", "", read.stdout)
