"""The endpoint under many clients and under random requests, in short; tests.support.load and tests.support.fuzz do it at length."""

from __future__ import annotations

import pytest

from tests.support import load

pytestmark = pytest.mark.extra("server")


@pytest.mark.long
def test_many_clients_get_their_own_right_answers():
    """Of 32 parallel clients none gets a wrong, lost or mixed-up reply, and the server's memory does not grow."""
    found = load.run(clients=32, seconds=2)
    assert found.wrong == []
    assert found.replies > 32
    assert found.end < found.warm + 100


@pytest.mark.long
def test_random_requests_get_what_the_document_promises():
    """Schemathesis finds no 5xx and no reply that the document does not have, whether requests are as it says or not."""
    from tests.support import fuzz  # imports Schemathesis, which takes half a second of each worker

    for mode, usual in [("all", ("201", "400")), ("positive", ("201",)), ("negative", ("400",))]:
        status, output, statuses = fuzz.fuzz(mode, examples=16, seed=1, phases="fuzzing")
        assert status == 0, output
        assert all(statuses[one] >= 5 for one in usual)
        assert set(statuses) <= {"201", "400"}
