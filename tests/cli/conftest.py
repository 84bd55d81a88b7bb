"""What several test modules here start from."""

from __future__ import annotations

import pytest

import vapi_frames as vf
from tests.support.query_command import COUNT, MISSING
from vapi_frames.cli.main import main
from vapi_frames.errors import PartialResultError
from vapi_frames.frames.origin import add_note
from vapi_frames.interface.connect import Vq
from vapi_frames.query.parse import parse_query


@pytest.fixture
def invoke(capsys):
    """Run the command in the test's own process; return exit code, stdout and the lines of stderr."""

    def invoke(*arguments):
        try:
            code = main(["query", *map(str, arguments)])
        except SystemExit as ending:
            code = ending.code
        printed = capsys.readouterr()
        assert all(line.startswith("vapi-frames: ") for line in printed.err.splitlines())
        return code, printed.out, printed.err.splitlines()

    return invoke


@pytest.fixture
def broken(monkeypatch):
    """Let only a part of every result arrive; return it."""
    part = add_note(
        next(iter(vf.demo().fetch(parse_query(COUNT).named("two")).values())),
        "did not arrive: a day",
        is_incomplete=True,
    )

    def fetch(*_, **__):
        message = "1 of 2 pieces\n arrived"
        raise PartialResultError(message, frame=part, frames={"two": part}, missing=MISSING, rest=(parse_query(COUNT),))

    monkeypatch.setattr(Vq, "fetch", fetch)
    return part
