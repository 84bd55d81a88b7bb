"""How far a long fetch has come: one line on stderr, a notebook's bar, or calls of a function of the caller's own.

Whoever fetches does so inside `showing`, and says what happens with `expect`, `requested`, `arrived` and `say`; without
`showing` these do nothing. Threads say it, too, when they run in a copy of the context
(``contextvars.copy_context().run``). There is no thread for the display: only the thread of the block draws it, at what
it says itself and at each `tick`, which it calls about ten times a second wherever it waits.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from vapi_frames.errors import QueryError, format_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Progress", "arrived", "expect", "requested", "say", "showing", "tick"]

_clock = time.monotonic
_QUIET = 2.0  # seconds that nobody minds
_PERIOD = 0.1  # seconds between two states of a line that is rewritten
_PERIOD_OF_LINES = 10.0  # seconds between two lines that stay


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a fetch has come.

    Attributes:
        done: The pieces that have arrived.
        total: The pieces known of so far; it may grow.
        requests: The HTTP requests so far, retries among them.
        seconds: The time since the beginning.
        message: What is waited for, e.g. ``"waiting 12 s, rate limit"``; else empty.

    Examples:
        >>> import vapi_frames as vf
        >>> at = vf.Progress(done=3, total=12, requests=4, seconds=2.5, message="waiting 12 s, rate limit")
        >>> f"{at.done / at.total:.0%}: {at.message}"
        '25%: waiting 12 s, rate limit'
    """

    done: int
    total: int
    requests: int
    seconds: float
    message: str


def _sentence(at: Progress, *, is_last: bool = False) -> str:
    pieces = f"{at.done:,} of {at.total:,} piece{'s' * (at.total != 1)}, " if at.total else ""
    requests = f"{at.requests:,} request{'s' * (at.requests != 1)}, "
    return pieces + requests + (f"{at.seconds:,.1f} s" if is_last else at.message or f"{int(at.seconds):,} s")


class _Line:
    """A line on stderr, rewritten in place where that can be, else one after the other."""

    def __init__(self, *, is_rewritten: bool) -> None:
        self._stream: Any = sys.stderr
        self._is_rewritten = is_rewritten
        self._length = 0

    def draw(self, at: Progress, sentence: str) -> None:  # noqa: ARG002 - the bar needs the numbers, too
        text = f"vapi-frames: {sentence}"
        self._write(f"\r{self._padded(text)}" if self._is_rewritten else f"{text}\n")

    def close(self, *, leave: bool) -> None:
        if self._is_rewritten:
            self._write("\n" if leave else f"\r{self._padded('')}\r")

    def _padded(self, text: str) -> str:
        try:
            columns = os.get_terminal_size(self._stream.fileno()).columns
        except (AttributeError, OSError, ValueError):  # no terminal, or none that knows its width
            columns = 0
        room = (columns or shutil.get_terminal_size().columns) - 1  # the last column would begin another line
        text = text if len(text) <= room else f"{text[: max(room - 3, 0)]}..."[:room]
        before, self._length = self._length, len(text)
        return text.ljust(min(before + 2, room))  # over what was longer, and over a ^C

    def _write(self, text: str) -> None:
        try:
            if self._stream is not None:
                self._stream.write(text)
                self._stream.flush()
        except (OSError, ValueError):  # gone, closed, or without such letters: no reason to lose an answer
            self._stream = None


class _Bar:
    """The bar of tqdm in a notebook, with the same words."""

    def __init__(self, at: Progress) -> None:
        import ipywidgets  # noqa: F401 - without it, tqdm fails only when half of its bar is made
        from tqdm.notebook import tqdm

        # No miniters of its own: tqdm's monitor would draw from another thread.
        self._bar = tqdm(total=at.total, bar_format="vapi-frames: {bar} {desc}", miniters=1)

    def draw(self, at: Progress, sentence: str) -> None:
        if self._bar.total != at.total:
            self._bar.reset(at.total)
        self._bar.n = at.done
        self._bar.set_description_str(sentence)

    def close(self, *, leave: bool) -> None:
        self._bar.leave = leave
        self._bar.close()


class _Display:
    """When a line or bar is drawn. It belongs to one thread."""

    def __init__(self, *, is_wanted: bool) -> None:
        self._is_wanted = is_wanted  # else it shows what takes long, and only that
        # Who is in a notebook has imported IPython.
        shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
        self._is_notebook = getattr(shell, "kernel", None) is not None
        self._is_live = self._is_notebook or _is_terminal(sys.stderr)
        self._period = _PERIOD if self._is_live else _PERIOD_OF_LINES
        self._face: _Line | _Bar | None = None
        self._drawn = -_PERIOD if self._is_live else 0.0
        self._sentence = self._message = ""

    def show(self, at: Progress) -> None:
        """Draw *at* if it is time to."""
        if not (at.total or at.requests or at.message):
            return
        begins_to_wait, self._message = bool(at.message) and not self._message, at.message
        if self._face is None and not self._is_wanted:
            is_due = self._is_live and at.seconds >= _QUIET and (at.requests > 1 or bool(at.message))
        else:
            is_due = at.seconds - self._drawn >= self._period or (begins_to_wait and not self._is_live)
        if is_due:
            self._draw(at, _sentence(at))

    def close(self, at: Progress) -> None:
        """Leave *at* where it was asked for, or where it says how far a broken fetch came; else leave nothing."""
        if self._face is not None or (self._is_wanted and (at.total or at.requests)):
            self._draw(at, _sentence(at, is_last=True)).close(leave=self._is_wanted or at.done < at.total)

    def _draw(self, at: Progress, sentence: str) -> _Line | _Bar:
        if self._face is None:
            with suppress(ImportError):
                self._face = _Bar(at) if self._is_notebook else None
            self._face = self._face or _Line(is_rewritten=self._is_live)
        if not self._is_live or sentence != self._sentence:
            self._face.draw(at, sentence)
        self._drawn, self._sentence = at.seconds, sentence
        return self._face


def _is_terminal(stream: Any) -> bool:
    try:
        return bool(stream.isatty())
    except (AttributeError, OSError, ValueError):  # none, or closed
        return False


class _Reporter:
    """What the threads of one fetch share: the counts, and who is told."""

    def __init__(self, progress: bool | Callable[[Progress], object] | None) -> None:
        self._lock = threading.RLock()
        self._thread = threading.get_ident()
        self._began = _clock()
        self._tell = progress if callable(progress) else None
        is_drawn = progress is None or progress is True
        self._display = _Display(is_wanted=progress is True) if is_drawn else None
        self._at = Progress(0, 0, 0, 0.0, "")
        self.failure: BaseException | None = None

    def change(self, *, done: int = 0, total: int = 0, requests: int = 0, message: str | None = "") -> None:
        """Add to the counts, tell the callable, and draw where this thread may."""
        with self._lock:
            old = self._at
            done, total, requests = old.done + done, old.total + total, old.requests + requests
            message = old.message if message is None else message
            self._at = Progress(done, max(total, done), requests, _clock() - self._began, message)
            try:
                if self._tell is not None:
                    self._tell(self._at)
            except BaseException as failure:  # noqa: BLE001 - also Ctrl-C: raised where the caller waits, not in a worker
                self._tell, self.failure = None, failure
        self._draw()

    def tick(self) -> None:
        """Draw what is due, and raise what the callable raised."""
        if threading.get_ident() == self._thread:
            self._draw()
            self.check()

    def check(self) -> None:
        failure, self.failure = self.failure, None
        if failure is not None:
            raise failure

    def close(self) -> None:
        """Tell and draw nothing more, whatever threads are left."""
        with self._lock:
            self._tell, display, self._display = None, self._display, None
        if display is not None:
            display.close(self._now())

    def _draw(self) -> None:
        if self._display is not None and threading.get_ident() == self._thread:
            self._display.show(self._now())

    def _now(self) -> Progress:
        return replace(self._at, seconds=_clock() - self._began)


_REPORTER: ContextVar[_Reporter | None] = ContextVar("_REPORTER", default=None)


@contextmanager
def showing(progress: bool | Callable[[Progress], object] | None) -> Iterator[None]:
    """Show how far the fetch of the block has come.

    What *progress* raises does not end the thread that it was told in: it is raised by `tick`, else at the end.

    Args:
        progress: ``None`` shows more than one request, and any wait, that takes longer than two seconds, on a terminal
            or in a notebook, and leaves nothing when all has arrived; within another `showing`, that one stays.
            ``True`` shows all from the beginning, into a log a line now and then, and leaves the last. ``False`` shows
            nothing. A callable gets a `Progress` at each change, one at a time, from the thread that says it.

    Raises:
        QueryError: *progress* is anything else.
    """
    if not (progress is None or isinstance(progress, bool) or callable(progress)):
        raise QueryError(f"progress must be True, False, None or a callable, not {format_value(progress)}")
    if progress is None and _REPORTER.get() is not None:
        yield
        return
    reporter = _Reporter(progress)
    token = _REPORTER.set(reporter)
    try:
        yield
    except BaseException as failure:
        if reporter.failure is not None:
            failure.add_note(f"progress had failed, too: {format_value(reporter.failure)}")
        raise
    finally:
        _REPORTER.reset(token)
        reporter.close()
    reporter.check()


def expect(pieces: int) -> None:
    """Add *pieces* to those that are to arrive."""
    if reporter := _REPORTER.get():
        reporter.change(total=pieces, message=None)


def arrived(pieces: int = 1) -> None:
    """Count *pieces* that have arrived; nothing is waited for any more."""
    if reporter := _REPORTER.get():
        reporter.change(done=pieces)


def requested() -> None:
    """Count an HTTP request; nothing is waited for any more."""
    if reporter := _REPORTER.get():
        reporter.change(requests=1)


def say(message: str) -> None:
    """Show what is waited for, until the next request or piece, or an empty *message*."""
    if reporter := _REPORTER.get():
        # One line, whoever wrote it.
        reporter.change(message=" ".join("".join(c if c.isprintable() else " " for c in message).split()))


def tick() -> None:
    """Draw what is due, and raise what the callable raised; for the loop in which the thread of the block waits.

    In other threads it does nothing.
    """
    if reporter := _REPORTER.get():
        reporter.tick()
