"""Sequence diagrams as SVG, from the subset of Mermaid that the manual uses.

GitHub draws the same source. The site uses these pictures, because Mermaid's script would come from the network.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape

NARROWEST_COLUMN = 200.0
CHARACTER = 7.2
HEAD = 36
ROW = 44
NOTE_LINE = 17
MARGIN = 16

_PARTICIPANT = re.compile(r"participant (\w+)(?: as (.+))?")
_MESSAGE = re.compile(r"(\w+)(-->>|->>|-x)(\w+): (.+)")
_NOTE = re.compile(r"Note over (\w+)(?:,(\w+))?: (.+)")
_FRAME = re.compile(r"(alt|opt|loop|else) (.+)|end")


def svg(source: str, title: str) -> str:
    """Draw one diagram; raise ``ValueError`` for a line outside of the subset."""
    lines = [line.strip() for line in source.strip().splitlines()]
    if lines[0] != "sequenceDiagram":
        raise ValueError(f"not a sequence diagram: {lines[0]}")
    return _Diagram(lines[1:]).svg(title)


class _Diagram:
    def __init__(self, lines: list[str]) -> None:
        declared = [match for line in lines if (match := _PARTICIPANT.fullmatch(line))]
        self._names = {match[1]: match[2] or match[1] for match in declared}
        self._lines = [line for line in lines if not _PARTICIPANT.fullmatch(line)]
        self._column = max([NARROWEST_COLUMN, *self._label_widths()])
        self._width = 2 * MARGIN + self._column * len(self._names)
        self._y = float(MARGIN + HEAD + 12)
        self._parts: list[str] = []
        self._frames: list[float] = []

    def _label_widths(self) -> Iterator[float]:
        """Yield the width that each message and each note needs for one column."""
        for line in self._lines:
            if match := _MESSAGE.fullmatch(line):
                # A message to oneself may reach into the next columns.
                columns = abs(self._index(match[1]) - self._index(match[3]))
                yield (len(match[4]) * CHARACTER + 24) / columns if columns else 0
            elif match := _NOTE.fullmatch(line):
                columns = abs(self._index(match[1]) - self._index(match[2] or match[1])) + 1
                yield max(len(text) * CHARACTER + 36 for text in match[3].split("<br/>")) / columns

    def _index(self, name: str) -> int:
        if name not in self._names:
            raise ValueError(f"participant {name} is not declared")
        return list(self._names).index(name)

    def _center(self, name: str) -> float:
        return MARGIN + self._column * (self._index(name) + 0.5)

    def svg(self, title: str) -> str:
        for line in self._lines:
            if match := _MESSAGE.fullmatch(line):
                self._y += ROW
                ends = self._center(match[1]), self._center(match[3])
                self._parts.append(_message(*ends, self._y, match[2], match[4], self._column))
            elif match := _NOTE.fullmatch(line):
                self._note(self._center(match[1]), self._center(match[2] or match[1]), match[3].split("<br/>"))
            elif match := _FRAME.fullmatch(line):
                self._frame(match[1], match[2])
            else:
                raise ValueError(f"unknown line of a diagram: {line}")
        if self._frames:
            raise ValueError("a frame of the diagram has no end")
        height = self._y + 24
        heads = []
        for name, label in self._names.items():
            x = self._center(name)
            heads.append(f'<line class="life" x1="{x:g}" y1="{MARGIN + HEAD}" x2="{x:g}" y2="{height - 8:g}"/>')
            heads.append(_box(x - self._column * 0.4, MARGIN, self._column * 0.8, HEAD, "head"))
            heads.append(_text(x, MARGIN + 23, label, "name"))
        return (
            f'<svg class="sequence" role="img" aria-label="{escape(title)}" viewBox="0 0 {self._width:g} {height:g}" '
            f'style="max-width: {self._width:g}px">{"".join([*heads, *self._parts])}</svg>'
        )

    def _note(self, first: float, last: float, texts: list[str]) -> None:
        height = NOTE_LINE * len(texts) + 10
        self._y += 14
        left, right = min(first, last) - self._column * 0.44, max(first, last) + self._column * 0.44
        self._parts.append(_box(left, self._y, right - left, height, "note"))
        for index, text in enumerate(texts, 1):
            self._parts.append(_text((left + right) / 2, self._y + NOTE_LINE * index, text, "note-label"))
        self._y += height - ROW * 0.3

    def _frame(self, kind: str | None, text: str) -> None:
        if kind is None:
            if not self._frames:
                raise ValueError("an end without a frame")
            self._y += 16
            top = self._frames.pop()
            self._parts.append(_box(4, top, self._width - 8, self._y - top, "frame"))
            return
        self._y += 22
        if kind == "else":
            y, right = self._y, self._width - 4
            self._parts.append(f'<line class="divider" x1="4" y1="{y:g}" x2="{right:g}" y2="{y:g}"/>')
            label = text
        else:
            self._frames.append(self._y)
            label = f"{kind}: {text}"
        self._parts.append(_text(14, self._y + 16, label, "frame-label"))
        self._y += 10


def _message(start: float, end: float, y: float, arrow: str, text: str, column: float) -> str:
    kind = {"->>": "request", "-->>": "response", "-x": "lost"}[arrow]
    if start == end:
        path = f"M{start:g} {y - 12:g}h28v14h-22"
        return f'<path class="{kind}" d="{path}"/>{_head(start + 4, y + 2, -1)}{_text(start + 36, y, text, "self")}'
    direction = 1 if end > start else -1
    if arrow == "-x":
        end -= direction * column * 0.3
        tip = f'<path class="cross" d="M{end - 5:g} {y - 5:g}l10 10m0 -10l-10 10"/>'
    else:
        tip = _head(end, y, direction)
    line = f'<line class="{kind}" x1="{start:g}" y1="{y:g}" x2="{end:g}" y2="{y:g}"/>'
    return line + tip + _text((start + end) / 2, y - 7, text)


def _head(x: float, y: float, direction: int) -> str:
    return f'<path class="tip" d="M{x:g} {y:g}l{-9 * direction} -4v8z"/>'


def _box(x: float, y: float, width: float, height: float, kind: str) -> str:
    return f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="4"/>'


def _text(x: float, y: float, text: str, kind: str = "label") -> str:
    return f'<text class="{kind}" x="{x:g}" y="{y:g}">{escape(text)}</text>'
