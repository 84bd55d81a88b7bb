"""The progress of a fetch: when and where it is shown, and that showing it never breaks a fetch."""

from __future__ import annotations

import contextvars
import fcntl
import io
import os
import re
import select
import struct
import termios
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support.servers import SAFETY
from vapi_frames.errors import QueryError
from vapi_frames.sources import progress
from vapi_frames.sources.progress import Progress, arrived, expect, requested, say, showing, tick

ROOT = Path(__file__).parents[2]


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


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress, "_clock", clock)
    return clock


@pytest.fixture
def put(monkeypatch):
    """Return what puts a stream in the place of stderr; pytest puts its own there between a fixture and its test."""

    def put(stream, **modules):
        monkeypatch.setenv("COLUMNS", "80")
        monkeypatch.setattr(progress, "sys", SimpleNamespace(stderr=stream, modules=modules))
        return stream

    return put


@pytest.fixture
def terminal(put):
    return put(Stream())


@pytest.fixture
def pipe(put):
    return put(Stream(is_terminal=False))


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


# -- the line of a terminal


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


# -- a pipe


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


# -- where warnings go


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


def test_a_thread_that_is_left_over_tells_nobody(clock, terminal):
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


# -- a callable that fails


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


# -- notebooks

FETCH = """
import contextvars, threading
from vapi_frames.sources import progress
from vapi_frames.sources.progress import *

def fetch(wanted, last=2):
    now = [0.0]
    progress._clock = lambda: now[0]
    def work():
        requested()
        arrived(2)
    with showing(wanted):
        expect(3)
        requested()
        now[0] += 5
        tick()
        say("waiting <12> s")
        now[0] += 5
        tick()
        thread = threading.Thread(target=contextvars.copy_context().run, args=(work,))
        thread.start()
        thread.join()
        now[0] += 5
        expect(1)
        tick()
        arrived(last)
"""
LAST = "4 of 4 pieces, 2 requests, 15.0 s"


def run_notebook(*cells):
    """Run *cells* in a kernel, and return the outputs of each, and the widgets' states."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute(env={**os.environ, "PYTHONPATH": path})
    widgets = notebook.metadata.get("widgets", {}).get("application/vnd.jupyter.widget-state+json", {}).get("state", {})
    return [cell.outputs for cell in notebook.cells], {name: one["state"] for name, one in widgets.items()}


def widget_of(output, widgets):
    """Return what *output* shows."""
    return widgets[output.data["application/vnd.jupyter.widget-view+json"]["model_id"]]


def is_hidden(output, widgets):
    """Say whether the widget that *output* shows was taken away again."""
    layout = widget_of(output, widgets)["layout"].removeprefix("IPY_MODEL_")
    return widgets[layout]["visibility"] == "hidden"


def bar_of(output, widgets):
    """Return the bar of tqdm that *output* is: its words, value, maximum and color."""
    left, bar, right = (widgets[child.removeprefix("IPY_MODEL_")] for child in widget_of(output, widgets)["children"])
    words = (left["value"] + right["value"]).replace("\u2007", " ").split()
    return " ".join(words), bar["value"], bar["max"], bar["bar_style"]


def text_of(outputs):
    """Return what a cell wrote on stderr, and nothing else."""
    assert {output.get("name") for output in outputs} == {"stderr"}
    return BAR.sub("", "".join(output.text for output in outputs))


@pytest.mark.long
@pytest.mark.extra("test")
def test_a_notebook_has_a_bar():
    """In a notebook it is tqdm's bar, which stays where it was requested or broke off; without tqdm there are lines."""
    (_, wanted, quiet, broken, without), widgets = run_notebook(
        FETCH,
        "fetch(True)",
        "fetch(None)",
        "fetch(None, last=1)",
        "import sys; sys.modules['tqdm.auto'] = None\nfetch(True)",
    )
    assert bar_of(wanted[0], widgets) == (f"vapi-frames: {LAST}", 4.0, 4.0, "success")
    assert len(wanted) == 1
    assert is_hidden(quiet[0], widgets)
    assert not is_hidden(wanted[0], widgets)
    assert bar_of(broken[0], widgets)[1:] == (3.0, 4.0, "danger")
    assert text_of(without).endswith(f"\nvapi-frames: {LAST}\n")
    assert "\r" not in text_of(without)


@pytest.mark.long
@pytest.mark.extra("test")
def test_a_notebook_without_widgets_has_a_line():
    """Without ipywidgets it is the line of a terminal."""
    (*_, wanted, quiet), widgets = run_notebook(
        "import sys; sys.modules['ipywidgets'] = None", FETCH, "fetch(True)", "fetch(None)"
    )
    assert not widgets
    assert "\rvapi-frames: 0 of 3 pieces, 1 request, waiting <12> s" in text_of(wanted)
    assert text_of(wanted).endswith(f"{LAST}\n")
    assert "waiting <12> s" in text_of(quiet)
    assert text_of(quiet).rstrip(" ").endswith("\r")
