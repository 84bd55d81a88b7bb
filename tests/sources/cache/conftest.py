"""What the tests of the cache share."""

from __future__ import annotations

import pytest

from tests.support.cached import open_store
from vapi_frames.sources.cache.store import USED_FOLDERS


@pytest.fixture
def store(tmp_path):
    """Return a store in an empty folder, the only one that this process has used."""
    before = dict(USED_FOLDERS)
    USED_FOLDERS.clear()
    yield open_store(tmp_path)
    USED_FOLDERS.clear()
    USED_FOLDERS.update(before)
