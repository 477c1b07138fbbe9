"""The progress of a bulk run, in one place that is rewritten: a bar of tqdm if it is installed, else text."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.util import find_spec
from math import ceil
from shutil import get_terminal_size
from time import monotonic
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from typing import Callable, TextIO

    from lmtokens._lmtokens import Summary

_LABEL = "add_tokens"


def start(total: int, is_async: bool, is_notebook: bool) -> ProgressBar:
    """Show that a run of ``total`` rows begins."""
    loop = None
    if is_async:
        # The event loop has imported it.
        from asyncio import get_running_loop

        loop = get_running_loop()
    progress = ProgressBar(total, loop)
    try:
        progress.display = _display(total, is_notebook)
    except Exception:
        # The run matters more than its bar.
        progress.display = None
    progress._show()
    return progress


class ProgressBar:
    """What is known about a run, and where it is shown."""

    def __init__(self, total: int, loop: asyncio.AbstractEventLoop | None) -> None:
        self.total = total
        # The number of rows that have ended.
        self.done = 0
        self.summary: Summary | None = None
        self.display: _Display | None = None
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None
        self._started = monotonic()
        self._waits_until = self._started
        self._shown_at = float("-inf")
        self._is_outdated = False

    @property
    def is_wait_visible(self) -> bool:
        """Whether the display shows a wait while it lasts."""
        return self.display is not None and self.display.is_rewritten

    def update(self, summary: Summary, done: int) -> None:
        """Show that a row has ended."""
        self.summary = summary
        self.done = done
        self._show()

    def wait(self, seconds: float) -> None:
        """Count the seconds of a wait down."""
        self._waits_until = max(self._waits_until, monotonic() + seconds)
        self._is_outdated = True
        if self._loop is not None and self._timer is None:
            self._count_down(self._loop)

    def tick(self) -> None:
        """Show what has changed although no row has ended."""
        if self._is_outdated:
            self._show()

    def clear(self) -> None:
        """Erase the bar, so that other output can be written in its place."""
        self._call(lambda display: display.clear())
        self._is_outdated = True

    def close(self) -> None:
        """Show the last state and end its line."""
        if self._timer is not None:
            self._timer.cancel()
        self._waits_until = 0
        self._shown_at = float("-inf")
        self._show()
        self._call(lambda display: display.close())
        self.display = None

    def _count_down(self, loop: asyncio.AbstractEventLoop) -> None:
        self.tick()
        must_repeat = self._is_outdated and self.display is not None
        self._timer = loop.call_later(0.5, self._count_down, loop) if must_repeat else None

    def _show(self) -> None:
        now = monotonic()
        self._is_outdated = True
        if self.display is not None and now - self._shown_at >= self.display.interval:
            self._shown_at = now
            # A wait is counted down, and what is shown about it must be withdrawn.
            self._is_outdated = now < self._waits_until
            self._call(lambda display: display.show(self))

    def _call(self, action: Any) -> None:
        """Use the display. One that fails, such as a closed standard error, must not stop the run."""
        if self.display is not None:
            try:
                action(self.display)
            except Exception:
                self.display = None

    @property
    def already_done(self) -> int:
        """The number of rows that an earlier run created. They took no time."""
        return self.summary.already_done if self.summary else 0

    @property
    def remaining_wait(self) -> int:
        """The seconds of the wait in progress; 0 if there is none."""
        return max(0, ceil(self._waits_until - monotonic()))

    def problems(self) -> list[str]:
        """Return the failures and the wait, if there are any."""
        summary = self.summary
        counts = [] if summary is None else [(summary.failed, "failed"), (summary.unknown, "unknown")]
        parts = [f"{count} {word}" for count, word in counts if count]
        if self.remaining_wait:
            parts.append(f"waiting {self.remaining_wait} s for the rate limit")
        return parts

    def text(self) -> str:
        """Return all facts."""
        done, total = self.done, self.total
        parts = [f"{_LABEL} {done}/{total} ({self.share:.0%})"]
        processed = done - self.already_done
        elapsed = monotonic() - self._started
        if processed and elapsed and not self.remaining_wait:
            rate = processed / elapsed
            parts.append(f"{rate:.1f} rows/s" if rate >= 1 else f"{60 * rate:.1f} rows/min")
            parts.append(f"ETA {_clock((total - done) / rate)}" if done < total else f"in {_clock(elapsed)}")
        return ", ".join([*parts, *self.problems()])

    @property
    def share(self) -> float:
        """The share of the rows that have ended."""
        return self.done / self.total if self.total else 1.0


class _Display:
    """Where progress is shown. Nothing is in the way of other output there, and the last state needs no end."""

    is_rewritten = True
    # The least number of seconds between two states.
    interval = 0.25

    def show(self, progress: ProgressBar) -> None:
        raise NotImplementedError

    def clear(self) -> None:
        """Make room for other output."""

    def close(self) -> None:
        """End the last state."""


def _display(total: int, is_notebook: bool) -> _Display | None:
    """Choose the display: for a notebook, a terminal or a file."""
    if is_notebook:
        # Without ipywidgets, tqdm warns.
        return (_with_tqdm(_Widget, total) if _is_installed("ipywidgets") else None) or _NotebookText()
    # There is none under pythonw.
    stream: TextIO | None = sys.stderr
    if stream is None:
        return None
    if not stream.isatty():
        return _Lines(stream)
    # Tqdm shows nothing at a terminal without a size, as in a container.
    return (_with_tqdm(_Bar, total, stream) if _width(stream) != 0 else None) or _TerminalText(stream)


def _with_tqdm(display: Callable[..., _Display], *arguments: Any) -> _Display | None:
    """Return a display that needs tqdm, unless it cannot be imported."""
    try:
        return display(*arguments)
    except Exception:
        return None


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ValueError:
        # The program has put something else in its place.
        return False


def _module(name: str) -> Any:
    """Import a module of a package that this one does not require, nor its types."""
    return import_module(name)


def _clock(seconds: float) -> str:
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


class _Lines(_Display):
    """Whole lines, for a file or a pipe."""

    is_rewritten = False
    interval = 10.0

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def show(self, progress: ProgressBar) -> None:
        self._stream.write(f"{progress.text()}\n")
        self._stream.flush()


class _TerminalText(_Display):
    """A line that is rewritten."""

    interval = 0.1

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._length = 0

    def show(self, progress: ProgressBar) -> None:
        text = progress.text()
        # A line that is wrapped cannot be rewritten.
        width = None if os.environ.get("COLUMNS") else _width(self._stream)
        # Without COLUMNS, the second is the width of standard output.
        columns = (width or get_terminal_size().columns) - 1
        length = min(columns - len(text) - 3, 30)
        bar = f" [{'#' * int(length * progress.share):{length}}]" if length >= 5 else ""
        self._write((text + bar)[:columns])

    def clear(self) -> None:
        self._write("")
        self._stream.write("\r")

    def close(self) -> None:
        self._stream.write("\n")
        self._stream.flush()

    def _write(self, text: str) -> None:
        self._stream.write(f"\r{text.ljust(self._length)}")
        self._stream.flush()
        self._length = len(text)


def _width(stream: TextIO) -> int | None:
    """Return the width of the terminal; None if the stream only resembles one, as IDLE's."""
    try:
        return os.get_terminal_size(stream.fileno()).columns
    except (AttributeError, OSError, ValueError):
        return None


class _NotebookText(_Display):
    """An output of a notebook that is rewritten."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, progress: ProgressBar) -> None:
        text = progress.text()
        bar = f'<progress value="{progress.done}" max="{progress.total}" style="vertical-align: middle"></progress>'
        data = {"text/plain": text, "text/html": f"{bar} <code>{text}</code>"}
        if self._handle is None:
            self._handle = _module("IPython.display").display(data, raw=True, display_id=True)
        else:
            self._handle.update(data, raw=True)


class _Bar(_Display):
    """A bar of tqdm at a terminal."""

    interval = 0.1

    def __init__(self, total: int, stream: TextIO) -> None:
        tqdm = _module("tqdm.std").tqdm
        self._bar = _without_thread(tqdm)(**_OPTIONS, total=total, file=stream, dynamic_ncols=True)

    def show(self, progress: ProgressBar) -> None:
        self._bar.initial = progress.already_done
        self._bar.set_postfix_str(", ".join(progress.problems()), refresh=False)
        if not self._bar.update(progress.done - self._bar.n):
            self._bar.refresh()

    def clear(self) -> None:
        self._bar.clear()

    def close(self) -> None:
        self._bar.close()


class _Widget(_Bar):
    """A bar of tqdm in a notebook."""

    interval = 0.25

    def __init__(self, total: int) -> None:
        tqdm = _module("tqdm.notebook").tqdm
        self._bar = _without_thread(tqdm)(**_OPTIONS, total=total, display=False)
        self._handle = _module("IPython.display").display(self._bar.container, display_id=True)

    def clear(self) -> None:
        pass

    def close(self) -> None:
        super().close()
        # A saved notebook has the text of the widget as it was displayed last.
        self._handle.update(self._bar.container)


# Without smoothing, the rate is that of the whole run, waits included.
_OPTIONS: dict[str, Any] = {"desc": _LABEL, "unit": "row", "miniters": 1, "mininterval": 0, "smoothing": 0}


def _without_thread(bar: Any) -> Any:
    """Return a class of bars without tqdm's monitor, a thread that a forked child would not have.

    The monitor refreshes bars that skip updates, which these do not.
    """
    return type(bar.__name__, (bar,), {"monitor_interval": 0})
