"""Write the session of an assistant into notebooks/guides/assistants.md: a client of the SDK, and no model.

Run it from the root of the repository after a change of what the tools say; it needs the extra `mcp`:

    python -m tests.support.make_transcript
"""

from __future__ import annotations

import json
import os
import re
import sys
import textwrap
from typing import Any

from tests.support.make_pages import PAGES

PAGE = PAGES / "guides" / "assistants.md"
BEGIN, END = "<!-- the session: python -m tests.support.make_transcript -->\n", "<!-- the end of the session -->\n"
COMMAND = ["-m", "vapi_frames.cli", "mcp", "--source", "demo"]
WIDTH = 118

# The question of a person → the calls of the assistant: a tool and its arguments.
SESSION: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "What does a minute cost us, for each kind of call, in October?": [
        ("vocabulary", {}),
        ("check", {"query": 'vq.call().sum("cost").sum("minutes").by("kind").during("2026-10")'}),
        ("check", {"query": 'vq.call().sum("cost").sum("duration").by("kind").during("2026-10")'}),
        ("ask", {"query": 'vq.call().sum("cost").sum("duration").by("type").during("2026-10")', "then": ["per_minute()"]}),
    ],
    "And how long is a call, over the month?": [
        ("check", {"query": 'vq.call().avg("duration").step("day").during("2026-10").vapi.rollup("month")'}),
        ("ask", {"query": 'vq.call().avg("duration").during("2026-10").tz("UTC")'}),
    ],
    "Who called most often?": [
        ("ask", {"query": 'vq.call().count().by("customer.number").during("2026-10").vapi.top(1)'}),
        ("ask", {"query": 'vq.call().nunique("assistantId").during("2026-10").tz("UTC")'}),
    ],
}  # fmt: skip
VOCABULARY_KEYS = ("form", "source", "now", "range")


async def run_session() -> str:
    """Return the text of the session over a server of its own."""
    from mcp import ClientSession, StdioServerParameters, stdio_client

    server = StdioServerParameters(command=sys.executable, args=COMMAND, env=dict(os.environ))
    parts = []
    async with stdio_client(server) as (read, write), ClientSession(read, write) as session:
        await session.initialize()
        for question, calls in SESSION.items():
            parts.append(f"**{question}**\n")
            for tool, arguments in calls:
                found = await session.call_tool(tool, arguments)
                (content,) = found.content
                words = f"{tool} {json.dumps(arguments, ensure_ascii=False)}" if arguments else tool
                parts.append("\n".join(["```text", *_wrap(f"> {words}"), *_show(tool, content.text), "```", ""]))
    return "\n".join(parts)


def _show(tool: str, text: str) -> list[str]:
    """Return the lines of what a tool said; of the vocabulary a part, of each number six digits."""
    if not text.startswith("{"):
        return [line for one in text.splitlines() for line in _wrap(one)]
    found = json.loads(text, parse_float=lambda number: round(float(number), 6))
    if tool == "vocabulary":
        found = {key: found[key] for key in VOCABULARY_KEYS}
    lines = []
    for key, value in found.items():
        if isinstance(value, list | dict) and len(json.dumps(value)) > WIDTH - len(key):
            items = value.items() if isinstance(value, dict) else ((None, item) for item in value)
            lines.append(f"{key}:")
            for name, item in items:
                first, *rest = _plain(item).splitlines()
                lines += [f"  {first}" if name is None else f"  {name}: {first}", *(f"    {one}" for one in rest)]
        else:
            lines.append(f"{key}: {_plain(value)}")
    lines += ["…"] * (tool == "vocabulary")
    return [line for one in lines for line in _wrap(one)]


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _wrap(line: str) -> list[str]:
    indent = " " * (len(line) - len(line.lstrip()) + 4)
    return textwrap.wrap(line, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def read_session() -> str:
    """Return the text of the session in the page."""
    return _split()[1]


def _split() -> tuple[str, str, str]:
    text = PAGE.read_text(encoding="utf-8")
    before, after = text.index(BEGIN) + len(BEGIN), text.index(END)
    return text[:before], text[before:after].strip("\n"), text[after:]


def write_session(session: str) -> None:
    """Replace the session in the page."""
    before, _, after = _split()
    session = re.sub(r"[ \t]+$", "", session, flags=re.MULTILINE).strip("\n")
    PAGE.write_text(f"{before}\n{session}\n\n{after}", encoding="utf-8")


if __name__ == "__main__":
    import anyio

    write_session(anyio.run(run_session))
