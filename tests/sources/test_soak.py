"""A soak in short: hundreds of pieces, a tenth of the requests fail, and the result is whole."""

from __future__ import annotations

import pytest

from tests.support.soak import soak


@pytest.mark.long
@pytest.mark.parametrize(("pieces", "queries"), [(400, 1), (900, 7)])
def test_a_short_soak(pieces, queries):
    """No piece is lost, wrong, or requested again after it succeeded; memory does not grow with the number of pieces."""
    seen = soak(pieces, 0.1, max_queries=queries)
    assert sum(seen["faults"].values()) > 5
    assert (seen["wrong"], seen["twice"], seen["answered"]) == (0, 0, pieces)
    early, late = seen["megabytes"][2], seen["megabytes"][-1]
    assert late - early < 25
