"""Draw the output of ``scripts/demo.py`` as a terminal, in ``docs/assets/demo.svg``. ``make demo-picture`` runs it."""

from __future__ import annotations

import subprocess
import sys
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "assets" / "demo.svg"

COLUMNS = 120
CHARACTER = 7.8
LINE = 19
MARGIN = 20
BAR = 36

# The colors are readable on the background of the picture, which is the same in a light and in a dark page.
STYLE = """
text { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace; fill: #c9d1d9;
  white-space: pre }
.story { fill: #e3b341 }
.command { fill: #79c0ff; font-weight: bold }
"""


def svg(output: str) -> str:
    """Draw the lines of a terminal; longer ones end with an ellipsis."""
    lines = output.splitlines()
    width = COLUMNS * CHARACTER + 2 * MARGIN
    height = BAR + len(lines) * LINE + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height}" role="img" '
        f'aria-label="Output of make demo"><style>{STYLE}</style>',
        f'<rect x="0.5" y="0.5" width="{width - 1:g}" height="{height - 1}" rx="8" fill="#161b22" stroke="#6e7681"/>',
        *(f'<circle cx="{MARGIN + 18 * number}" cy="18" r="5" fill="#6e7681"/>' for number in range(3)),
    ]
    for number, line in enumerate(lines, 1):
        shown = line if len(line) <= COLUMNS else line[: COLUMNS - 1] + "…"
        # Whatever font the reader has, the columns of a table stay aligned.
        length = f'textLength="{len(shown) * CHARACTER:g}" lengthAdjust="spacingAndGlyphs"'
        if shown:
            parts.append(
                f'<text class="{kind(line)}" x="{MARGIN}" y="{BAR + number * LINE - 6}" {length}>{escape(shown)}</text>'
            )
    return "\n".join([*parts, "</svg>", ""])


def kind(line: str) -> str:
    if line.startswith("# "):
        return "story"
    return "command" if line.startswith(("$ ", ">>> ", "... ")) else "output"


def main() -> None:
    demo = [sys.executable, str(ROOT / "scripts" / "demo.py")]
    completed = subprocess.run(demo, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True)  # noqa: S603
    PICTURE.write_text(svg(f"$ make demo\n{completed.stdout}"), encoding="utf-8")


if __name__ == "__main__":
    main()
