"""The endpoint under many clients and under random requests, in short; tests.support.load and tests.support.fuzz do it at length."""

from __future__ import annotations

import pytest

from tests.support import load

pytestmark = pytest.mark.extra("server")


def test_many_clients_get_their_own_right_answers(capsys, choose):
    """Of 32 parallel clients none gets a wrong, lost or mixed-up reply, and the server's memory does not grow."""
    seconds = choose(1, 2)
    found = load.run(clients=32, seconds=seconds)
    with capsys.disabled():
        print(f"\n32 clients, {seconds} s: {found}")  # noqa: T201 - how fast it was, in every log
    assert found.wrong == []
    assert found.replies > 32
    assert found.end < found.warm + 100


def test_random_requests_get_what_the_document_promises(choose):
    """Schemathesis finds no 5xx and no reply that the document does not have, whether requests are as it says or not."""
    from tests.support import fuzz  # imports Schemathesis, which takes half a second of each worker

    mixed = [("all", ("201", "400"))]  # one run, because each takes seconds to start
    for mode, usual in choose(mixed, [*mixed, ("positive", ("201",)), ("negative", ("400",))]):
        status, output, statuses = fuzz.fuzz(mode, examples=16, seed=1, phases="fuzzing")
        assert status == 0, output
        assert all(statuses[one] >= 5 for one in usual)
        assert set(statuses) <= {"201", "400"}
