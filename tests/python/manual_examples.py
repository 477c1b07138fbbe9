"""The fenced blocks of the README and of the manual, and a session that runs those of one page.

A page is a session against a sandbox of its own, in an empty folder:

- ``python`` runs in one namespace per page. A block titled "Output" after it has what it prints.
- ``console`` has commands after ``$``, each with its output. ``sh`` is a script that must succeed. All run in
  one bash.
- A block with a file name as its title is written to that file.
- A comment before a block says why it is not run (``<!-- not run: reason -->``), or which program it needs.

In expected output, ``...`` stands for any text. ``python tests/python/manual_examples.py`` counts the blocks.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import io
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from typing_extensions import Self

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
PAGES = [path for path in [README, *sorted(DOCS.rglob("*.md"))] if path.exists() and path.name != "STYLE.md"]
EXECUTABLE = {"python", "console", "sh"}

_BLOCK = re.compile(
    r"^(?:<!-- (?P<note>not run|needs): (?P<reason>[^\n]+) -->\n)?"
    r"```(?P<language>[\w-]+)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
_END = "__end_of_command__"


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    language: str
    title: str | None
    text: str
    line: int
    reason: str | None

    @property
    def is_file(self) -> bool:
        return self.title is not None and self.title != "Output"

    @property
    def is_example(self) -> bool:
        return self.language in EXECUTABLE and not self.is_file


def blocks(path: Path) -> list[Block]:
    """Return the fenced blocks of a page."""
    text = path.read_text(encoding="utf-8")
    found = []
    for match in _BLOCK.finditer(text):
        reason = match["reason"]
        if match["note"] == "needs":
            reason = None if shutil.which(reason) else f"{reason} is not installed"
        line = text.count("\n", 0, match.start("language")) + 1
        found.append(Block(match["language"], match["title"], match["text"], line, reason))
    return found


class Session:
    """Runs the blocks of one page in an empty folder, which is the current one."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._namespace: dict[str, object] = {"__name__": "__main__"}
        self._printed: str | None = None
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, block: Block) -> None:
        """Run one block; raise ``AssertionError`` if it fails or prints something else."""
        if block.is_file:
            # Names without folders stay inside the folder of the session.
            assert re.fullmatch(r"[\w-]+(\.[\w-]+)*", str(block.title)), block.title
            path = self._folder / str(block.title)
            path.write_text(block.text, encoding="utf-8")
            path.chmod(0o700 if block.text.startswith("#!") else 0o600)
        elif block.title == "Output":
            assert self._printed is not None, "no Python block before this output"
            check(block.text, self._printed)
            self._printed = None
        elif block.language == "python":
            self._printed = self._run_python(block)
        elif block.language == "sh":
            output, status = self._run_command(f"set -eo pipefail\n{block.text}set +e")
            assert status == 0, output
        elif block.language == "console":
            for command, expected in commands(block.text):
                output, status = self._run_command(command)
                assert status == 0, f"$ {command}\n{output}(exit code {status})"
                check(expected, output, command)

    def _run_python(self, block: Block) -> str:
        # The line numbers of a traceback are those of the page.
        source = "\n" * block.line + block.text
        code = compile(source, "manual", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        with contextlib.redirect_stdout(io.StringIO()) as output:
            result = eval(code, self._namespace)
            if inspect.iscoroutine(result):
                asyncio.run(result)
        return output.getvalue()

    def _run_command(self, command: str) -> tuple[str, int]:
        stdin, stdout = self._bash.stdin, self._bash.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(f"{{ {command}\n}} </dev/null\nprintf '{_END} %s\\n' $?\n")
        stdin.flush()
        output = ""
        for line in stdout:
            before, end, status = line.partition(_END)
            output += before
            if end:
                return output, int(status)
        return output, self._bash.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bash.kill()
        self._bash.communicate()


def commands(text: str) -> list[tuple[str, str]]:
    """Return the commands of a console block, each with its output. A line that begins with > continues a command."""
    found = []
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        match = re.match(r".*\n(?:> .*\n)*", part)
        assert match is not None
        found.append((re.sub(r"^> ", "", match[0], flags=re.MULTILINE).rstrip("\n"), part[match.end() :]))
    return found


def check(expected: str, output: str, command: str = "") -> None:
    """Compare an output, white space apart."""
    parts = [re.escape(" ".join(part.split())) for part in expected.split("...")]
    matches = re.fullmatch(" ?.* ?".join(parts), " ".join(output.split()))
    assert matches, f"$ {command}\nexpected:\n{expected}\nreceived:\n{output}"


def main() -> None:
    """Print the number of blocks of each page, and the reasons of those that are not run."""
    total = skipped = 0
    for path in PAGES:
        examples = [block for block in blocks(path) if block.is_example]
        not_run = [block for block in examples if block.reason is not None]
        total, skipped = total + len(examples), skipped + len(not_run)
        print(f"{path.relative_to(ROOT)}: {len(examples) - len(not_run)} of {len(examples)} are run")
        for block in not_run:
            print(f"  line {block.line}: {block.reason}")
    print(f"{total - skipped} examples are run, {skipped} are not")


if __name__ == "__main__":
    main()
