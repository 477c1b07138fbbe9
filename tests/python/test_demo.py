"""The demo shows what it claims, and its picture is up to date."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from support import HANG_TIMEOUT

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "scripts" / "demo.py"
PICTURE = ROOT / "docs" / "assets" / "demo.svg"

pytestmark = pytest.mark.skipif(not DEMO.exists(), reason="needs the sources")


def run_demo(**variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(DEMO)],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=HANG_TIMEOUT,
        check=False,
    )


def commands(lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith(("# ", "$ ", ">>> ", "... "))]


def test_demo_tells_the_whole_story_and_its_picture_too() -> None:
    # The variables of a real portal must not be used.
    completed = run_demo(LM_COMPANY="acme", LM_BEARER_TOKEN="lmb_invented", LM_PROFILE="acme")
    assert (completed.returncode, completed.stderr) == (0, "")
    story = [
        "No account is used",
        "Secret('********')",
        "'sandbox-key-",
        "POST /santaba/rest/setting/admins/32/apitokens, signature valid",
        "a token for user 32 may have been created: lost the connection",
        "Killed",
        "40 rows: ",
        "'40 tokens, 40 different notes'",
        "1 of 1 deleted",
        f"# The command is {os.path.relpath(Path(sys.executable).with_name('lmtokens'), ROOT)}. Type next:",
    ]
    assert re.search(".*".join(map(re.escape, story)), completed.stdout, re.DOTALL), completed.stdout

    texts = [text.text or "" for text in ElementTree.parse(PICTURE).iter("{http://www.w3.org/2000/svg}text")]
    # The path of the command depends on where the demo runs.
    shown = [line for line in commands(completed.stdout.splitlines()) if not line.startswith("# The command is")]
    drawn = [line for line in commands(texts) if not line.startswith("# The command is")]
    assert drawn == ["$ make demo", *shown], "run make demo-picture"


def test_demo_fails_if_a_step_has_another_effect() -> None:
    session = runpy.run_path(str(DEMO))["Session"]()
    with pytest.raises(SystemExit, match="unexpected output"):
        session.python("1 + 1", "3")
    with pytest.raises(SystemExit, match="unexpected output"):
        session.shell("lmtokens --version", "another program")
    with pytest.raises(SystemExit, match="exit code 2"):
        session.shell("lmtokens nosuch", "")
