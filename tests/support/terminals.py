"""Streams that are a terminal or a pipe, and a clock that the test moves."""

from __future__ import annotations

import re

import pytest

from vapi_frames.sources.progress import arrived, expect, requested, showing, tick

BAR = re.compile(r"(?<=vapi-frames: )[\u2588-\u258f ]*")
"""What tqdm draws before the words, which are the subject here."""


class Stream:
    """A stream that is a terminal or a pipe."""

    encoding = "utf-8"

    def __init__(self, *, is_terminal=True):
        self.is_terminal = is_terminal
        self.text = ""

    def isatty(self):
        return self.is_terminal

    def write(self, text):
        self.text += text

    def flush(self):
        pass

    def states(self):
        """Return each state of the line that was rewritten, without the bar and the blanks after it."""
        return [BAR.sub("", state.rstrip(" ")) for state in self.text.split("\r")[1:]]

    def screen(self):
        """Return what a terminal shows, without the bar, and the column of its cursor."""
        lines, column = [""], 0
        for letter in self.text:
            if letter == "\n":
                lines, column = [*lines, ""], 0
            elif letter == "\r":
                column = 0
            else:
                lines[-1] = lines[-1][:column] + letter + lines[-1][column + 1 :]
                column += 1
        return [BAR.sub("", line.rstrip()) for line in lines], column


class Clock:
    """A clock that is set."""

    now = 1000.0

    def __call__(self):
        return self.now


def wait(clock, seconds):
    """Wait as a fetch does, with ticks."""
    for _ in range(round(seconds * 10)):
        clock.now += 0.1
        tick()


def fetch(clock, *, pieces=3, seconds=1.0):
    """Fetch *pieces* one after the other, each by a request."""
    expect(pieces)
    for _ in range(pieces):
        requested()
        wait(clock, seconds)
        arrived()


def breaks(failure, wanted, work):
    """Do *work* shown as *wanted*, in a block that then fails; return what came out of it."""

    def block():
        with showing(wanted):
            work()
            raise failure

    with pytest.raises(failure) as caught:
        block()
    return caught.value
