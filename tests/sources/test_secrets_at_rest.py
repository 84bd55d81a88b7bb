"""The key in what lasts and what is said on the way: caches, threads, progress, parts, notebooks."""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime

import pytest

import vapi_frames as vf
from tests.support.secret_checks import (
    KEY,
    assert_clean,
    assert_error_clean,
    caught,
)
from tests.support.servers import SAFETY, Server, echoing, failing, hang_up, reset
from tests.support.wires import Calls, counting
from vapi_frames.errors import PartialResultError, RateLimitError

NOW = datetime(2026, 11, 16, 10, 30, tzinfo=UTC)
pytestmark = [
    pytest.mark.usefixtures("clean_environment", "nothing_printed"),
    pytest.mark.filterwarnings("ignore::vapi_frames.errors.QueryWarning"),
]


def build_query(vq):
    """Return a query of several pieces."""
    return vq.call().sum("cost").by("assistantId").step("hour").between("2026-07-01", "2026-10-01")


def assert_folder_clean(folder):
    """Check that no file, and no name of one, holds the key."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert KEY.encode() not in path.read_bytes(), path
        assert_clean(str(path))


@pytest.mark.parametrize("fault", [failing(401, f"no {KEY}"), failing(413), hang_up, reset, echoing(500), echoing(200)])
def test_a_part_of_an_answer_is_free_of_the_key(monkeypatch, tmp_path, fault):
    """Of several requests in threads some fail: the error, its parts, its rest, the cache and the progress are clean."""
    monkeypatch.setenv("VAPI_API_KEY", KEY)
    monkeypatch.setattr("vapi_frames.sources.http.connection.backoff", lambda _: 0.01)
    said, has_part = [], threading.Event()

    def faults(request):
        if request.json()["queries"][0]["timeRange"]["start"] <= "2026-08-15":
            return None
        assert has_part.wait(SAFETY)  # a fault before any part has come is no partial result
        return fault

    def progress(at):
        said.append(repr(at))
        if at.done:
            has_part.set()

    with Server(counting(Calls(every=997), NOW, faults=faults)) as server:
        vq = vf.connect(base_url=server.url, cache=tmp_path, workers=3)
        vq.source._max_queries = 1
        error = caught(lambda: build_query(vq).fetch(progress=progress), PartialResultError)
    assert_error_clean(error)
    assert_error_clean(error.__cause__)
    assert_clean(*said, repr(error.rest), repr(error.frames), str(error.frame.attrs), repr(vf.frame(error.frame)))
    assert_folder_clean(tmp_path)
    assert_clean(vf.cache.info(tmp_path).to_string(), repr(vq), f"{vars(vq.source)}")


def test_a_wait_is_free_of_the_key(monkeypatch):
    """What is said while a limit lasts, and the limiter itself, know a keyed hash only."""
    from vapi_frames.sources.http import retry as waits

    monkeypatch.setenv("VAPI_API_KEY", KEY)
    said = []
    with Server(failing(429, retry_after_ms="1")) as server:
        error = caught(
            lambda: vf.connect(base_url=server.url).call().count().fetch(progress=said.append), RateLimitError
        )
        assert any("rate limit" in one.message for one in said)
        scopes = list(waits._LIMITERS)
    assert_error_clean(error)
    assert_clean(*map(repr, said), *scopes)


def test_the_hash_of_a_key_says_nothing_of_it():
    """What tells organizations apart is the same for the same key, another for another, and no plain hash of it."""
    import hashlib

    from vapi_frames.sources.http.connection import Connection

    one, same, other = (Connection(f"{KEY}{end}").scope() for end in ("", "", "x"))
    assert one == same != other
    assert_clean(one)
    for kind in ("md5", "sha1", "sha256", "sha512", "blake2b"):
        assert hashlib.new(kind, KEY.encode()).hexdigest()[:16] not in one


def test_the_secret_of_a_cache_is_not_in_it(monkeypatch, tmp_path):
    """What signs its parts depends on the key and the purpose, hides itself, and is written nowhere."""
    from vapi_frames.sources.http.connection import Connection

    monkeypatch.setenv("VAPI_API_KEY", KEY)
    secrets = [Connection(key).derive_secret(use) for key, use in ((KEY, "cache"), (KEY, "x"), (f"{KEY}x", "cache"))]
    assert len(set(secrets)) == 3
    assert Connection().derive_secret("cache") == secrets[0]
    assert {repr(one) for one in secrets} == {"'***'"}
    with Server(counting(Calls(every=997), NOW)) as server:
        build_query(vf.connect(base_url=server.url, cache=tmp_path)).fetch()
    assert_clean(*secrets)
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for text in (secrets[0], Connection().scope().split()[-1]):
        assert text.encode() not in written
        assert bytes.fromhex(text) not in written


def test_threads_that_are_left_hold_no_key(monkeypatch):
    """After Ctrl-C, a thread may still wait for its reply; what it is called does not say with what."""
    monkeypatch.setenv("VAPI_API_KEY", KEY)
    monkeypatch.setattr("vapi_frames.sources.http.connection.backoff", lambda _: 0.01)
    with Server(failing(503)) as server:
        caught(lambda: build_query(vf.connect(base_url=server.url)).fetch())
    assert_clean(*(repr(vars(thread)) for thread in threading.enumerate()))


CELLS = """
%xmode Verbose
import vapi_frames as vf
vq = vf.connect(base_url={url!r}, timeout=5)
df = vq.call().count().by("assistantId").step("day").between("2026-10-01", "2026-10-05").fetch(progress=True)
df
---
vq
---
vq.source, vars(vq.source), vars(vq)
---
vq.call().sum("cost").during("2026-11").fetch()
---
%tb Context
---
print(vq.call().sum("cost").during("2026-11").curl())
"""


@pytest.mark.long
@pytest.mark.extra("test")
def test_a_notebook_shows_no_key(monkeypatch):
    """Run for real, with the tracebacks that show locals: no output holds the key."""
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("VAPI_API_KEY", KEY)

    def faults(request):
        return failing(401, f"Invalid key {KEY}") if b"2026-11" in request.body else None

    with Server(counting(Calls(every=997), NOW, faults=faults)) as server:
        cells = [nbformat.v4.new_code_cell(cell.strip()) for cell in CELLS.format(url=server.url).split("---")]
        notebook = nbformat.v4.new_notebook(cells=cells)
        environment = {**os.environ, "VAPI_API_KEY": KEY}
        NotebookClient(notebook, timeout=60, kernel_name="python3", allow_errors=True).execute(env=environment)
        assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    text = nbformat.writes(notebook)
    assert "AuthenticationError" in text
    assert "$VAPI_API_KEY" in text
    assert_clean(text)
