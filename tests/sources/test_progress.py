"""The progress of a fetch in a terminal or a pipe: when it is shown, and that showing it never breaks a fetch."""

from __future__ import annotations

import fcntl
import io
import os
import select
import struct
import termios
import threading
from types import SimpleNamespace

import pytest

from tests.support.servers import SAFETY
from tests.support.terminals import Stream, breaks, fetch, wait
from vapi_frames.sources import progress
from vapi_frames.sources.progress import arrived, expect, requested, say, showing


def test_what_is_short_shows_nothing(clock, terminal):
    """Under two seconds there is no line."""
    with showing(None):
        fetch(clock, seconds=0.6)
    assert terminal.text == ""


def test_one_request_shows_nothing(clock, terminal):
    """One request is a query with one result, however long it takes."""
    with showing(None):
        fetch(clock, pieces=1, seconds=30)
    assert terminal.text == ""


@pytest.mark.extra("progress")
def test_what_takes_longer_has_a_line_that_goes_away(clock, terminal):
    """After two seconds one line is rewritten, and nothing of it is left at the end."""
    with showing(None):
        fetch(clock)
        assert terminal.states()[0] == "vapi-frames: 1 of 3 pieces, 2 requests, 2 s"
        assert terminal.states()[-1] == "vapi-frames: 2 of 3 pieces, 3 requests, 3 s"
    assert terminal.screen() == ([""], 0)


@pytest.mark.extra("progress")
def test_true_shows_from_the_beginning_and_leaves_the_last(clock, terminal):
    """With progress=True one short request is shown, too."""
    with showing(True):
        fetch(clock, pieces=1, seconds=0.3)
    assert terminal.states()[0] == "vapi-frames: 0 of 1 piece, 0 requests, 0 s"
    assert terminal.screen() == (["vapi-frames: 1 of 1 piece, 1 request, 0.3 s", ""], 0)


def test_false_shows_nothing(clock, terminal):
    """False is silent whatever happens, also for what is within it and leaves it open."""
    with showing(False), showing(None):
        say("waiting 60 s, rate limit")
        fetch(clock, seconds=60)
    assert terminal.text == ""


def test_nothing_done_shows_nothing(clock, terminal):
    """A fetch that fails before its first request has no line."""
    breaks(RuntimeError, True, lambda: wait(clock, 3))
    assert terminal.text == ""


@pytest.mark.extra("progress")
@pytest.mark.parametrize("wanted", [None, True])
def test_a_wait_is_seen_while_it_lasts(clock, terminal, wanted):
    """A wait that began in the first two seconds of one request is shown by the ticks, until something happens."""
    with showing(wanted):
        expect(24)
        requested()
        wait(clock, 0.5)
        say("waiting 12 s, rate limit")
        wait(clock, 2)
        assert terminal.screen()[0] == ["vapi-frames: 0 of 24 pieces, 1 request, waiting 12 s, rate limit"]
        wait(clock, 10)
        requested()
        wait(clock, 0.2)
        assert terminal.screen()[0] == ["vapi-frames: 0 of 24 pieces, 2 requests, 12 s"]


def test_a_message_goes_away(clock):
    """The next request or piece ends a message, an empty one, too; new pieces do not. It is one line of text."""
    seen = []
    with showing(lambda at: seen.append(at.message)):
        for event in (requested, arrived, lambda: say(""), lambda: expect(1)):
            say("waiting\n\x1b[31m 1 s")
            event()
    assert seen[::2] == ["waiting [31m 1 s"] * 4
    assert seen[1::2] == ["", "", "", "waiting [31m 1 s"]


@pytest.mark.extra("progress")
def test_a_line_is_drawn_at_most_ten_times_a_second(clock, terminal):
    """However fast pieces arrive, the terminal gets ten lines a second."""
    with showing(True):
        expect(10_000)
        for _ in range(10_000):
            clock.now += 0.0003
            arrived()
    assert 25 <= len(terminal.states()) <= 33
    assert terminal.screen()[0][0] == "vapi-frames: 10,000 of 10,000 pieces, 0 requests, 3.0 s"


@pytest.mark.extra("progress")
@pytest.mark.parametrize("columns", [10, 20, 40, 80, 200])
def test_a_line_is_no_wider_than_the_terminal(clock, put, columns):
    """A long line is cut at the width that the terminal itself reports."""
    leader, follower = os.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 9, columns, 0, 0))
    with os.fdopen(follower, "w", encoding="utf-8") as stream, os.fdopen(leader, "rb", buffering=0) as reader:
        put(stream)
        with showing(True):
            expect(1)
            say("waiting 12 s, rate limit " * 5)
            wait(clock, 0.2)
            shown = reader.read(10_000).decode()
            # The terminal hands over what has arrived so far, which may end before the message.
            while columns >= 80 and "waiting 12 s" not in shown and select.select([reader], [], [], SAFETY)[0]:
                shown += reader.read(10_000).decode()
    states = shown.split("\r")
    assert len(states) > 1
    assert max(map(len, states)) <= columns
    assert ("waiting 12 s" in shown) == (columns >= 80)


@pytest.mark.extra("progress")
def test_shorter_goes_over_longer(clock, terminal):
    """Nothing of a longer line stays beside a shorter one."""

    def work():
        expect(2)
        say("waiting 12 s, rate limit")
        wait(clock, 1)

    breaks(KeyboardInterrupt, True, work)
    assert terminal.screen() == (["vapi-frames: 0 of 2 pieces, 0 requests, 1.0 s", ""], 0)


@pytest.mark.extra("progress")
@pytest.mark.parametrize("wanted", [None, True])
@pytest.mark.parametrize("failure", [KeyboardInterrupt, RuntimeError])
def test_a_broken_fetch_leaves_a_finished_line(clock, terminal, wanted, failure):
    """Ctrl-C and errors end the line, which says how far it came; what comes after begins at the first column."""

    def work():
        expect(24)
        fetch(clock)

    breaks(failure, wanted, work)
    assert terminal.screen() == (["vapi-frames: 3 of 27 pieces, 3 requests, 3.0 s", ""], 0)
    arrived()  # has no listener
    assert terminal.screen()[1] == 0


@pytest.mark.parametrize(
    "failure", [BrokenPipeError, ValueError("closed"), UnicodeEncodeError("ascii", "…", 0, 1, "no")]
)
def test_a_stream_that_fails_costs_no_answer(clock, terminal, failure, monkeypatch):
    """A terminal that went away is not written to again, and the fetch goes on."""
    written = []

    def write(text):
        written.append(text)
        raise failure

    monkeypatch.setattr(terminal, "write", write)
    with showing(True):
        fetch(clock)
    assert len(written) == 1


@pytest.mark.parametrize("wanted", [None, True])
def test_no_stream_is_no_error(clock, wanted, put):
    """Where there is no stderr, or it is closed, nothing is shown."""
    closed = io.StringIO()
    closed.close()
    for stream in (None, closed):
        put(stream)
        with showing(wanted):
            fetch(clock)


def test_without_tqdm_a_terminal_has_lines(clock, terminal, monkeypatch):
    """One after two seconds, then one each ten seconds; the last is left where it was requested."""
    monkeypatch.setattr(progress, "_find_tqdm", lambda: None)
    with showing(None):
        fetch(clock, pieces=2, seconds=12)
    assert terminal.text.splitlines() == [
        "vapi-frames: 1 of 2 pieces, 2 requests, 12 s",
        "vapi-frames: 1 of 2 pieces, 2 requests, 22 s",
    ]
    terminal.text = ""
    with showing(True):
        fetch(clock, pieces=1)
    assert terminal.text == "vapi-frames: 1 of 1 piece, 1 request, 1.0 s\n"


def test_tqdm_starts_no_thread(clock, terminal):
    """Only the thread of the block draws."""
    before = threading.enumerate()
    with showing(True):
        fetch(clock)
        assert threading.enumerate() == before


def test_ipython_in_a_terminal_has_the_line(clock, put):
    """Only a kernel is a notebook."""
    terminal = put(Stream(), IPython=SimpleNamespace(get_ipython=lambda: SimpleNamespace()))
    with showing(True):
        fetch(clock)
    assert terminal.screen()[0][0] == "vapi-frames: 3 of 3 pieces, 3 requests, 3.0 s"


def test_a_pipe_is_left_alone(clock, pipe):
    """A log has nothing that was not requested."""
    with showing(None):
        say("waiting 12 s, rate limit")
        fetch(clock, seconds=100)
    assert pipe.text == ""


def test_a_log_has_few_lines(clock, pipe):
    """Where lines stay, there is one as a wait begins, else one each ten seconds, and a last one."""
    with showing(True):
        expect(3)
        requested()
        wait(clock, 5)
        say("waiting 12 s, rate limit")
        say("waiting 11 s, rate limit")
        wait(clock, 12)
        fetch(clock, pieces=3)
        arrived(3)
    assert pipe.text.splitlines() == [
        "vapi-frames: 0 of 3 pieces, 1 request, waiting 12 s, rate limit",
        "vapi-frames: 0 of 3 pieces, 1 request, waiting 11 s, rate limit",
        "vapi-frames: 6 of 6 pieces, 4 requests, 20.0 s",
    ]
    assert "\r" not in pipe.text
