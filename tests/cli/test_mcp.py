"""The tools of an assistant, over the SDK's own client: stdio and HTTP, with no model."""

import json
import os
import socket
import subprocess
import sys
import time
from contextlib import asynccontextmanager

import anyio
import pytest

import vapi_frames as vf
from tests.cli.assistant_queries import REFUSED, RIGHT, WARNED

pytestmark = [pytest.mark.extra("mcp"), pytest.mark.assistant]

COMMAND = ["-m", "vapi_frames.cli", "mcp", "--source", "demo"]
KEY = "a-key-of-the-tests-0123456789"


@asynccontextmanager
async def over_stdio():
    from mcp import ClientSession, StdioServerParameters, stdio_client

    server = StdioServerParameters(command=sys.executable, args=COMMAND, env=dict(os.environ))
    async with stdio_client(server) as (read, write), ClientSession(read, write) as session:
        await session.initialize()
        yield session


async def call(session, tool, query=None):
    """Return the text of a tool's result, and whether it is an error."""
    found = await session.call_tool(tool, {"query": query} if query is not None else {})
    (content,) = found.content
    return content.text, found.is_error


def test_each_query_over_stdio_answers_its_number_is_refused_or_warned_about():
    async def run():
        async with over_stdio() as session:
            assert {tool.name for tool in (await session.list_tools()).tools} == {"vocabulary", "check", "ask"}
            assert all(tool.annotations.read_only_hint for tool in (await session.list_tools()).tools)
            words = json.loads((await call(session, "vocabulary"))[0])
            assert "customer.number" not in words["groups"]
            for query, expect in RIGHT.items():
                text, is_error = await call(session, "ask", query)
                assert not is_error, (query, text)
                found = json.loads(text)
                assert found["units"]
                rows = expect(vf.demo())
                assert [pytest.approx(list(row.values())[-1]) for row in found["rows"]] == list(rows), query
            for query, part in REFUSED.items():
                text, is_error = await call(session, "ask", query)
                assert is_error, query
                assert part in text, (query, text)
                assert "Traceback" not in text
            for query, finding in WARNED.items():
                for _ in range(2):  # each time, not once a process
                    text, is_error = await call(session, "ask", query)
                    assert not is_error, (query, text)
                    assert finding in text, (query, text)

    anyio.run(run)


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


def test_http_answers_with_the_key_and_refuses_without():
    import httpx2
    from mcp import ClientSession
    from mcp.client.streamable_http import streamable_http_client

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "VAPI_FRAMES_KEY": KEY}
    server = subprocess.Popen([sys.executable, *COMMAND, "--http", "--port", str(port)], env=environment)
    url = f"http://127.0.0.1:{port}/mcp"

    async def run():
        async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {KEY}"}) as client:
            transport = streamable_http_client(url, http_client=client)
            async with transport as (read, write, *_), ClientSession(read, write) as session:
                await session.initialize()
                text, is_error = await call(session, "ask", 'vq.call().count().during("2026-10")')
                assert not is_error
                assert json.loads(text)["rows"] == [{"countId": 13495}]
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
