"""The tools of an assistant, over the SDK's own client: stdio and HTTP, with no model."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import anyio
import pytest

import vapi_frames as vf
from tests.cli.assistant_queries import LATE, OCTOBER, QUESTIONS, REFUSED
from tests.support.make_transcript import read_session, run_session
from tests.support.tricks import TRICKS
from vapi_frames.cancellation import on_cancel, raise_if_cancelled
from vapi_frames.cli.mcp import make_server
from vapi_frames.errors import PartialResultError

pytestmark = [pytest.mark.extra("mcp"), pytest.mark.assistant]

COMMAND = ["-m", "vapi_frames.cli", "mcp", "--source", "demo"]
NOW = datetime(2026, 11, 16, tzinfo=UTC)
KEY = "a-key-of-the-tests-0123456789"


@asynccontextmanager
async def over_stdio():
    from mcp import ClientSession, StdioServerParameters, stdio_client

    server = StdioServerParameters(command=sys.executable, args=COMMAND, env=dict(os.environ))
    async with stdio_client(server) as (read, write), ClientSession(read, write) as session:
        await session.initialize()
        yield session


async def call(session, tool, query=None, then=None):
    """Return the text of a tool's result, and whether it is an error."""
    arguments = {"query": query, "then": then}
    found = await session.call_tool(tool, {name: value for name, value in arguments.items() if value is not None})
    (content,) = found.content
    return content.text, found.is_error


def test_the_tools_only_read_and_say_what_they_take():
    async def run():
        async with over_stdio() as session:
            tools = {tool.name: tool for tool in (await session.list_tools()).tools}
            assert set(tools) == {"vocabulary", "check", "ask"}
            assert all(tool.annotations.read_only_hint for tool in tools.values())
            assert set(tools["ask"].input_schema["properties"]) == {"query", "then"}
            words = json.loads((await call(session, "vocabulary"))[0])
            assert "customer.number" not in words["groups"]
            assert words["range"]["calls"] == 20_000
            found, is_error = await call(
                session, "ask", f'vq.call().count().by("type"){OCTOBER}', ["top(1)", "share()"]
            )
            assert not is_error
            assert json.loads(found)["query"].startswith("vq.call()")

    anyio.run(run)


def test_no_question_is_silently_wrong():
    """The right query of each has its number; each tempting one is refused or warned about, by `check` and `ask`."""

    async def run():
        silent = []
        async with over_stdio() as session:
            for question in QUESTIONS:
                text, is_error = await call(session, "ask", question.query)
                assert not is_error, (question.text, text)
                found = json.loads(text)
                rows = [list(row.values())[-1] for row in found["rows"]]
                assert rows == pytest.approx(question.numbers()), question.text
                assert set(found["units"]) <= set(found["formulas"])
                for query, part in question.tempting.items():
                    for tool in ("check", "ask", "ask"):  # a warning comes each time, not once a process
                        text, _ = await call(session, tool, query)
                        if part not in text:
                            silent.append((tool, query, part))
            for words, (query, part) in REFUSED.items():
                for tool in ("ask",) if words in LATE else ("check", "ask"):
                    text, is_error = await call(session, tool, query)
                    assert "Traceback" not in text
                    if not is_error or part not in text:
                        silent.append((tool, query, part))
        assert silent == []

    anyio.run(run)


def test_a_trick_runs_nothing():
    async def run():
        async with over_stdio() as session:
            for text in TRICKS:
                if text.isascii():  # JSON has no half of a surrogate pair
                    for tool in ("check", "ask"):
                        _, is_error = await call(session, tool, text)
                        assert is_error, (tool, text)

    anyio.run(run)


class SlowTools:
    """Tools with an `ask` that runs until it is cancelled."""

    def __init__(self):
        self.begun, self.cancelled = threading.Event(), threading.Event()

    def vocabulary(self):
        return "{}"

    def check(self, query, then=()):
        raise PartialResultError(
            "a part did not arrive", frame=None, missing=[(NOW, NOW)], rest=[vf.vq.call().count().last("7d")]
        )

    def ask(self, query, then=()):
        with on_cancel(self.cancelled.set):
            self.begun.set()
            assert self.cancelled.wait(30)
        raise_if_cancelled()


def test_a_cancelled_request_cancels_its_query_and_the_server_goes_on():
    from mcp import Client

    tools = SlowTools()

    async def run():
        async with Client(make_server(tools)) as client:
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as group:
                    group.start_soon(client.call_tool, "ask", {"query": "vq.call().count()"})
                    assert await anyio.to_thread.run_sync(tools.begun.wait, 20)
                    assert (await call(client, "vocabulary")) == ("{}", False)  # it is answered meanwhile
                    scope.cancel()
            assert await anyio.to_thread.run_sync(tools.cancelled.wait, 20)
            assert (await call(client, "vocabulary")) == ("{}", False)

    anyio.run(run)


def test_a_partial_result_says_what_is_missing():
    from mcp import Client

    async def run():
        async with Client(make_server(SlowTools())) as client:
            text, is_error = await call(client, "check", "vq.call().count()")
            assert is_error
            for part in ("a part did not arrive", "missing: [2026-11-16T00:00:00Z", 'vq.call().count().last("7d")'):
                assert part in text

    anyio.run(run)


def test_the_page_has_the_session():
    assert read_session() == anyio.run(run_session).strip("\n"), "run python -m tests.support.make_transcript"


def test_two_clients_at_once_get_the_same_rows():
    async def one(found):
        async with over_stdio() as session:
            found.append(await call(session, "ask", 'vq.call().count().by("type").during("2026-10")'))

    async def run():
        found = []
        async with anyio.create_task_group() as group:
            group.start_soon(one, found)
            group.start_soon(one, found)
        assert found[0] == found[1]
        assert not found[0][1]

    anyio.run(run)


def test_http_answers_two_clients_at_once_with_the_key_and_refuses_without():
    import httpx2
    from mcp import ClientSession
    from mcp.client.streamable_http import streamable_http_client

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "VAPI_FRAMES_KEY": KEY}
    server = subprocess.Popen([sys.executable, *COMMAND, "--http", "--port", str(port)], env=environment)
    url = f"http://127.0.0.1:{port}/mcp"

    async def one(found):
        async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {KEY}"}) as client:
            transport = streamable_http_client(url, http_client=client)
            async with transport as (read, write, *_), ClientSession(read, write) as session:
                await session.initialize()
                for question in QUESTIONS[:5]:
                    text, is_error = await call(session, "ask", question.query)
                    assert not is_error
                    rows = [list(row.values())[-1] for row in json.loads(text)["rows"]]
                    assert rows == pytest.approx(question.numbers())
                text, is_error = await call(session, "ask", 'vq.call().count().by("customer.number").last("7d")')
                assert is_error
                found.append(text)

    async def run():
        found = []
        async with anyio.create_task_group() as group:
            group.start_soon(one, found)
            group.start_soon(one, found)
        assert len(found) == 2
        assert all("is personal" in text for text in found)
        async with httpx2.AsyncClient() as client:
            for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {KEY}"}):
                assert (await client.post(url, json={}, headers=headers)).status_code == 401

    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        anyio.run(run)
    finally:
        server.terminate()
        assert server.wait(20) in (0, -15, 143)
