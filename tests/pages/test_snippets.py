"""Blocks of plain Python on the pages run as they stand, one after another as they are read.

Blocks that query the API reach a real endpoint on a loopback port, which serves the sample organization at the address that the
package would otherwise take by default: only the address and the key differ. Blocks of an engine are in
test_engine_snippets.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import vapi_frames as vf
from tests.support.endpoint import KEY, running
from tests.support.make_pages import PAGES
from tests.support.snippets import DOCUMENTS, ENGINES, blocks, commands, imports
from vapi_frames.sources.http.connection import Connection

pytestmark = pytest.mark.extra("test")

CHECKED = {"python", "pycon", "console", "json"}  # by this file, by test_docs, by test_query_command, by test_tools
READ = {"sh", "text", "ts"}
LISTS = {"/assistant": [{"id": "3f0c6a52-8d1e-4b7a-9a64-1f5be07c2d10", "name": "Reception"}], "/call": []}


def with_lists(app):
    """Return *app* with what else the API has and pages ask for: assistants, and calls, of which there are none."""

    async def reply(scope, receive, send):
        if scope.get("path") in LISTS:
            headers = [(b"content-type", b"application/json")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": json.dumps(LISTS[scope["path"]]).encode()})
        else:
            await app(scope, receive, send)

    return reply


@pytest.fixture(scope="module")
def endpoint():
    with running(vf.demo().source, around=with_lists) as found:
        yield found


@pytest.fixture
def api(endpoint, monkeypatch, tmp_path):
    """Let the endpoint be the API, in a folder with files of calls and recordings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VAPI_API_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for function in (vf.connect, Connection.__init__):
        monkeypatch.setitem(function.__kwdefaults__, "base_url", endpoint.url)
    monkeypatch.setattr(vf.vq, "_source", None)
    (tmp_path / "calls").mkdir()
    calls = vf.sample_calls(2_000)
    calls[calls["createdAt"] < "2026-11-01"].to_parquet("calls/october.parquet")
    for folder in ("recordings", "tests/recordings"):
        vq = vf.record(folder, vf.demo(), now="2026-11-01T00:00Z")
        vq.call().sum("cost").by("type").during("2026-10").fetch()
    return endpoint


def python(document):
    return [text for language, text in blocks(document) if language == "python"]


# The everyday form draws each chart of the gallery in test_gallery.
ALONE = {"gallery.md": [pytest.mark.long]}


@pytest.mark.parametrize(
    "document",
    [pytest.param(one, id=one.name, marks=ALONE.get(one.name, [])) for one in DOCUMENTS if python(one)],
)
@pytest.mark.filterwarnings("ignore::vapi_frames.errors.QueryWarning", "ignore::vapi_frames.errors.RecordsWarning")
def test_plain_blocks_run(document, api):
    """What a block of Python does, it does: it finishes, and each query in it has a result."""
    names = {}
    for at, text in enumerate(python(document)):
        code = text.replace("http://127.0.0.1:8484", api.url).replace("the-key", KEY)
        where = f"{document.name}, block {at + 1}"
        if imports(code) & {*ENGINES}:
            continue
        if "\ndef test_" in code:
            run_tests(code, where)
        else:
            exec(compile(code, where, "exec"), names)
            if "client" in names:  # the vendor's own leaves its connection open, which would be a warning later
                names.pop("client")._client_wrapper.httpx_client.httpx_client.close()


def refusing_at_first(app, alone):
    """Return *app*, which refuses what begins in October until it was requested alone; *alone* notes that it was."""

    async def reply(scope, receive, send):
        if scope["type"] != "http":
            return await app(scope, receive, send)
        messages = [await receive()]
        while messages[-1].get("more_body"):
            messages.append(await receive())
        queries = json.loads(b"".join(one["body"] for one in messages))["queries"]
        if alone or not any(one["timeRange"]["start"].startswith("2026-10") for one in queries):
            return await app(scope, lambda: _first(messages, receive), send)
        alone.extend(queries if len(queries) == 1 else [])
        await send({"type": "http.response.start", "status": 400, "headers": []})
        return await send({"type": "http.response.body", "body": b""})

    return reply


async def _first(messages, receive):
    return messages.pop(0) if messages else await receive()


@pytest.mark.filterwarnings("ignore::vapi_frames.errors.QueryWarning")
def test_what_did_not_arrive_is_asked_for_as_the_page_says(monkeypatch):
    """The block of wire.md, where a month is refused at first: the part and the rest are the whole."""
    [code] = [text for text in python(PAGES / "guides/wire.md") if "PartialResultError" in text]
    alone, names = [], {}
    with running(vf.demo().source, around=lambda app: refusing_at_first(app, alone)) as endpoint:
        monkeypatch.setattr(vf.vq, "_source", vf.connect(KEY, base_url=endpoint.url).source)
        exec(compile(code, "wire.md", "exec"), names)
        assert len(alone) == 1
        pd.testing.assert_frame_equal(names["df"], names["query"].fetch())
    assert len(names["df"]) > len(names["rest"].popitem()[1]) > 100


def run_tests(code, where):
    """Run *code* as a file of tests, without a key and from recordings."""
    Path("test_snippet.py").write_text(code, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-pno:cacheprovider", "-pno:schemathesis", "test_snippet.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (where, done.stdout)
    assert re.search(r"^\d+ passed", done.stdout, re.MULTILINE), (where, done.stdout)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_block_says_what_it_is(document):
    """A block without a language, or with one that no test reads, could hold code that does not run."""
    assert {language for language, _ in blocks(document)} <= CHECKED | READ


def test_blocks_and_commands_are_found(tmp_path):
    """A fence in a list, one without a language and a command over several lines are all seen."""
    page = tmp_path / "page.md"
    page.write_text(
        "```\na\n```\n- x\n\n    ```python\n    b\n    ```\n\n```console\n$ cat <<E\n> c\n> E\nc\n$ d\n```\n"
    )
    assert [language for language, _ in blocks(page)] == ["", "python", "console"]
    assert commands(page.read_text()) == [("cat <<E\nc\nE\n", "c\n"), ("d\n", "")]
