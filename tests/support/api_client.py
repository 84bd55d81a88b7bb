"""A client of a server on loopback, which waits for nothing."""

from __future__ import annotations

import pytest

from vapi_frames.errors import (
    VapiFramesError,
)
from vapi_frames.interface.connect import Vq
from vapi_frames.sources.api.client import ApiClient
from vapi_frames.sources.api.source import ApiSource
from vapi_frames.sources.http.connection import Connection

KEY = "sk-test-0001"


SOON = 5.0  # seconds; far more than any test needs, far less than a forgotten timeout takes


class Waits(list):
    """A clock to sleep by that only notes for how long."""

    def __call__(self, seconds):
        self.append(seconds)


def ask(server, *, key=KEY, **options):
    """Return a vq that asks *server*, a `Server` or an address, and waits for nothing."""
    options.setdefault("sleep", Waits())
    connection = Connection(key, base_url=server if isinstance(server, str) else server.url, **options)
    source = ApiSource(ApiClient(connection))
    return Vq(lambda: source)


def fail(server, kind, **options):
    """Ask *server*, and return the error, which must be exactly of *kind*."""
    with pytest.raises(VapiFramesError) as caught:
        ask(server, **options).call().count().fetch()
    assert type(caught.value) is kind, repr(caught.value)
    return caught.value
