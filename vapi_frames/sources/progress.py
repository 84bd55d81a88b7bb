"""The progress of a fetch: tqdm's bar, lines on stderr where there is no tqdm or no terminal, or a user's function.

A fetch runs inside `showing` and reports with `expect`, `requested`, `arrived` and `say`; outside of `showing` these do
nothing. Threads may report, too, if they run in a copy of the context (``contextvars.copy_context().run``). Only the
thread of the block draws, when it reports and at each `tick`, which it calls about ten times a second while it waits.
"""

from __future__ import annotations

import sys
import threading
import time
import warnings
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from vapi_frames.errors import QueryError, format_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Progress", "arrived", "expect", "requested", "say", "showing", "tick"]

_clock = time.monotonic
_DELAY = 2.0  # seconds before the progress is shown by default
_BAR_INTERVAL = 0.1  # seconds between two states of a bar
_LINE_INTERVAL = 10.0  # seconds between two lines


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a fetch.

    Attributes:
        done: The pieces that have arrived.
        total: The pieces known of so far; it may grow.
        requests: The HTTP requests so far, retries among them.
        seconds: The time since the beginning.
        message: The reason for a wait, e.g. ``"waiting 12 s, rate limit"``; else empty.

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


class _Stream:
    """A stream to write to, which is not written to again after an error: no result is lost for the progress of it."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._is_broken = stream is None

    def write(self, text: str) -> None:
        self._call("write", text)

    def flush(self) -> None:
        self._call("flush")

    def isatty(self) -> bool:
        try:
            return bool(self._stream.isatty())
        except (AttributeError, OSError, ValueError):  # none, or closed
            return False

    def _call(self, name: str, *arguments: str) -> None:
        try:
            if not self._is_broken:
                getattr(self._stream, name)(*arguments)
        except (OSError, ValueError):  # gone, closed, or without such letters
            self._is_broken = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _find_tqdm() -> Any:
    """Return the class of tqdm's bar for this terminal or notebook, ``None`` if tqdm is not installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # in a notebook without ipywidgets tqdm advises to install it
            from tqdm.auto import tqdm
    except ImportError:
        return None
    return type("tqdm", (tqdm,), {"monitor_interval": 0})  # else tqdm starts a thread


class _Display:
    """Draws a bar of tqdm, or lines where there is none. It belongs to one thread."""

    def __init__(self, *, is_wanted: bool) -> None:
        self._is_wanted = is_wanted  # else it shows only what takes long
        self._stream = _Stream(sys.stderr)
        # In a notebook IPython is imported already.
        shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
        self._is_interactive = getattr(shell, "kernel", None) is not None or self._stream.isatty()
        self._make_bar = _find_tqdm() if self._is_interactive else None
        self._bar: Any = None
        self._is_shown = False
        self._interval = _BAR_INTERVAL if self._make_bar else _LINE_INTERVAL
        self._drawn = -_BAR_INTERVAL if self._make_bar else 0.0
        self._message = ""

    def show(self, at: Progress) -> None:
        """Draw *at* if it is due."""
        if not (at.total or at.requests or at.message):
            return
        begins_to_wait, self._message = bool(at.message) and not self._message, at.message
        if self._is_shown or self._is_wanted:
            is_due = at.seconds - self._drawn >= self._interval or (begins_to_wait and not self._make_bar)
        else:
            is_due = self._is_interactive and at.seconds >= _DELAY and (at.requests > 1 or bool(at.message))
        if is_due:
            self._draw(at, _sentence(at))

    def close(self, at: Progress) -> None:
        """Leave the last state if it was requested, or if the fetch failed; else remove the bar."""
        is_left = self._is_wanted or at.done < at.total
        if self._is_shown or (self._is_wanted and (at.total or at.requests)):
            if self._make_bar or is_left:
                self._draw(at, _sentence(at, is_last=True))
            if self._bar is not None:
                self._bar.leave = is_left
                self._bar.close()

    def _draw(self, at: Progress, sentence: str) -> None:
        self._is_shown, self._drawn = True, at.seconds
        if self._make_bar is None:
            self._stream.write(f"vapi-frames: {sentence}\n")
            self._stream.flush()
        elif self._bar is None:
            self._bar = self._make_bar(
                total=at.total, initial=at.done, desc=sentence, bar_format="vapi-frames: {bar} {desc}",
                file=self._stream, dynamic_ncols=True, mininterval=0, miniters=1,
            )  # fmt: skip
        else:
            if self._bar.total != at.total:
                self._bar.reset(at.total)  # a notebook's widget does not follow the attribute
            self._bar.n = at.done
            self._bar.set_description_str(sentence)


class _Reporter:
    """The counts of one fetch, which its threads share."""

    def __init__(self, progress: bool | Callable[[Progress], object] | None) -> None:
        self._lock = threading.RLock()
        self._thread = threading.get_ident()
        self._began = _clock()
        self._callback = progress if callable(progress) else None
        is_drawn = progress is None or progress is True
        self._display = _Display(is_wanted=progress is True) if is_drawn else None
        self._at = Progress(0, 0, 0, 0.0, "")
        self.failure: BaseException | None = None

    def change(self, *, done: int = 0, total: int = 0, requests: int = 0, message: str | None = "") -> None:
        """Add to the counts, call the callback, and draw if this is the thread of the block."""
        with self._lock:
            old = self._at
            done, total, requests = old.done + done, old.total + total, old.requests + requests
            message = old.message if message is None else message
            self._at = Progress(done, max(total, done), requests, _clock() - self._began, message)
            try:
                if self._callback is not None:
                    self._callback(self._at)
            except BaseException as failure:  # noqa: BLE001 - also Ctrl-C: raised where the caller waits, not in a worker
                self._callback, self.failure = None, failure
        self._draw()

    def tick(self) -> None:
        """Draw if it is due, and raise the error of the callback, if there was one."""
        if threading.get_ident() == self._thread:
            self._draw()
            self.check()

    def check(self) -> None:
        failure, self.failure = self.failure, None
        if failure is not None:
            raise failure

    def close(self) -> None:
        """Ignore what is reported from now on by threads that still run."""
        with self._lock:
            self._callback, display, self._display = None, self._display, None
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
    """Show the progress of the fetch in the block.

    An error of the function *progress* does not end the thread that called it: `tick` raises it, or the block's end.

    Args:
        progress: ``None`` shows several requests, and any wait, after two seconds, in a terminal or a notebook, and
            removes the bar when all has arrived; within another `showing`, that one stays. ``True`` shows everything,
            in a log as a line every ten seconds, and leaves the last state. ``False`` shows nothing. A callable gets
            a `Progress` at each change, one at a time, in the thread that reports it.

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
            failure.add_note(f"the progress function failed, too: {format_value(reporter.failure)}")
        raise
    finally:
        _REPORTER.reset(token)
        reporter.close()
    reporter.check()


def expect(pieces: int) -> None:
    """Add *pieces* to those that are expected."""
    if reporter := _REPORTER.get():
        reporter.change(total=pieces, message=None)


def arrived(pieces: int = 1) -> None:
    """Count *pieces* that have arrived, and remove the message."""
    if reporter := _REPORTER.get():
        reporter.change(done=pieces)


def requested() -> None:
    """Count an HTTP request, and remove the message."""
    if reporter := _REPORTER.get():
        reporter.change(requests=1)


def say(message: str) -> None:
    """Show *message*, the reason for a wait, until the next request, piece or empty message."""
    if reporter := _REPORTER.get():
        # One line, also if a server wrote it.
        reporter.change(message=" ".join("".join(c if c.isprintable() else " " for c in message).split()))


def tick() -> None:
    """Draw if it is due, and raise the error of the callback; for the loop in which the thread of the block waits.

    In other threads it does nothing.
    """
    if reporter := _REPORTER.get():
        reporter.tick()
