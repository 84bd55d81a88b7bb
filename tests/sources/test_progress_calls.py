"""Progress that a function of the user is told, and blocks of several threads."""

from __future__ import annotations

import contextvars
import re
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.terminals import Clock, breaks, fetch
from vapi_frames.errors import QueryError
from vapi_frames.sources.progress import Progress, arrived, expect, requested, say, showing, tick


def test_a_callable_is_told_each_change(clock, pipe):
    """A function of the caller's own gets every change from the beginning, and nothing is printed."""
    seen = []
    with showing(seen.append):
        expect(2)
        requested()
        clock.now += 0.5
        tick()
        say("waiting 1 s, server error")
        arrived(2)
        arrived()
    assert seen == [
        Progress(0, 2, 0, 0.0, ""),
        Progress(0, 2, 1, 0.0, ""),
        Progress(0, 2, 1, 0.5, "waiting 1 s, server error"),
        Progress(2, 2, 1, 0.5, ""),
        Progress(3, 3, 1, 0.5, ""),
    ]
    assert pipe.text == ""


def test_threads_tell_one_after_the_other():
    """Threads in copies of the context count into the same fetch, and a callable is never in two of them."""
    seen, inside = [], threading.Lock()

    def tell(at):
        assert inside.acquire(blocking=False)
        seen.append((at.done, threading.get_ident()))
        inside.release()

    def work():
        for _ in range(200):
            arrived()

    with showing(tell), ThreadPoolExecutor(4) as pool:
        expect(800)
        for future in [pool.submit(contextvars.copy_context().run, work) for _ in range(4)]:
            future.result()
    assert [done for done, _ in seen] == list(range(801))
    assert {thread for done, thread in seen if done} - {threading.get_ident()}


@pytest.mark.extra("progress")
def test_only_the_thread_of_the_block_draws(clock, terminal):
    """What other threads say is drawn at the next tick, and a tick of theirs does nothing."""

    def work():
        expect(2)
        requested()
        arrived()
        tick()

    with showing(True):
        thread = threading.Thread(target=contextvars.copy_context().run, args=(work,))
        thread.start()
        thread.join()
        assert terminal.text == ""
        tick()
        assert terminal.screen()[0] == ["vapi-frames: 1 of 2 pieces, 1 request, 0 s"]


def test_a_thread_that_is_left_over_tells_nothing(clock, terminal):
    """After the block nothing is drawn or told, whatever still runs in a copy of its context."""
    seen = []
    for wanted in (True, seen.append):
        with showing(wanted):
            expect(1)
            context = contextvars.copy_context()
        before = terminal.text, len(seen)
        for function in (arrived, requested, tick):
            context.run(function)
        assert (terminal.text, len(seen)) == before


def test_within_another_the_outer_stays():
    """None keeps what is shown already; anything else is for its own block."""
    outer, inner = [], []
    with showing(outer.append):
        with showing(None):
            expect(1)
        with showing(inner.append):
            expect(2)
        with showing(False):
            expect(3)
        expect(4)
    assert [at.total for at in outer] == [1, 5]
    assert [at.total for at in inner] == [2]


def test_without_a_display_nothing_happens(terminal):
    """A source may report progress where none is shown."""
    fetch(Clock())
    say("waiting 12 s, rate limit")
    assert terminal.text == ""


@pytest.mark.parametrize("wrong", ["yes", 1, 0, 0.5, []])
def test_anything_else_is_refused(wrong):
    """Only True, False, None and a callable say what to show."""
    with (
        pytest.raises(
            QueryError, match=rf"progress must be True, False, None or a callable, not {re.escape(repr(wrong))}$"
        ),
        showing(wrong),
    ):
        pytest.fail("the block must not begin")


def failing(failure):
    """Return a callable that raises at the second piece, and what it was told."""
    seen = []

    def tell(at):
        seen.append(at)
        if at.done == 2:
            raise failure

    return tell, seen


@pytest.mark.parametrize("failure", [ZeroDivisionError("mine"), KeyboardInterrupt()])
def test_what_a_callable_raises_comes_out_of_the_tick(failure):
    """It does not end the worker that told it, is raised once where the caller waits, and is not told again."""
    tell, seen = failing(failure)
    worked = []

    def work():
        for _ in range(5):
            arrived()
        worked.append(True)

    def block():
        with showing(tell):
            thread = threading.Thread(target=contextvars.copy_context().run, args=(work,))
            thread.start()
            thread.join()
            tick()
            pytest.fail("the tick raises")

    with pytest.raises(type(failure)) as caught:
        block()
    assert caught.value is failure
    assert worked == [True]
    assert len(seen) == 2
    assert "tell" in [frame.name for frame in traceback.extract_tb(failure.__traceback__)]
    assert not getattr(failure, "__notes__", [])


@pytest.mark.parametrize("failure", [ZeroDivisionError("mine"), KeyboardInterrupt()])
def test_what_a_callable_raises_comes_out_at_the_end(failure):
    """Without a tick it is raised when the block is done."""
    tell, _ = failing(failure)
    done = []

    def block():
        with showing(tell):
            arrived()
            arrived()
            done.append(True)

    with pytest.raises(type(failure)):
        block()
    assert done == [True]


def test_a_fetch_that_fails_says_that_progress_failed_too():
    """The error of the fetch is the one that is raised; that of the callable is noted on it."""
    tell, _ = failing(ZeroDivisionError("mine"))

    def work():
        arrived()
        arrived()

    assert breaks(KeyboardInterrupt, tell, work).__notes__ == [
        "the progress function failed, too: ZeroDivisionError('mine')"
    ]
