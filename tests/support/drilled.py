"""The calls behind a result, by plain loops, and what they add up to."""

from __future__ import annotations

import math
from datetime import UTC, timedelta

import pytest

from tests.support.reference import fold, place, trunc, value

SHOWN = ("id", "createdAt", "startedAt", "endedAt", "duration", "cost", "endedReason", "status", "type", "assistantId")


def plain(one):
    """Return a cell as plain Python."""
    if one is None or one != one:
        return None
    return one.to_pydatetime().astimezone(UTC) if hasattr(one, "to_pydatetime") else one


def keys_of(frame, query):
    """Return the key of each row of a frame."""
    if not query.levels:
        return [()] * len(frame)
    return [tuple(map(plain, key if isinstance(key, tuple) else (key,))) for key in frame.index]


def find_calls(calls, query, now):
    """Return (key, call) of each call that *query* counts, in the order of a drill."""
    start, end = query.instants(now)
    start, end = start or now - timedelta(days=7), end or now
    found = []
    for call in calls:
        if start <= call["createdAt"] < end and all(call.get(place(word)) in some for word, some in query.filters):
            key = [trunc(call["createdAt"], query.time_step, query.zone)] if query.time_step else []
            key += [call.get(name) for name in query.groups]
            key += [call.get(f"variableValues.{name}") for name in query.variables]
            found.append((tuple(key), call))
    return sorted(found, key=_order)


def _order(pair):
    key, call = pair
    terms = [*key, call["createdAt"], call.get("id")]
    return [(one is None, "" if one is None else one) for one in terms]


def check_calls(frame, query, calls, now):
    """Compare a drill with plain loops: which calls, their order, their index, and each column."""
    expected = find_calls(calls, query, now)
    assert keys_of(frame, query) == [key for key, _ in expected]
    assert list(frame.index.names) == list(query.levels or [None])
    assert not set(frame.columns) & {*query.levels}
    for name in frame.columns:
        wanted = [value(call, name) for _, call in expected]
        got = [plain(one) for one in frame[name]]
        if frame[name].dtype == "float64":
            for one, other in zip(got, wanted, strict=True):
                assert one == (None if other is None else pytest.approx(other, rel=1e-12)), name
        else:
            assert got == wanted, name


def check_cells(drilled, query, expected):
    """Check that the calls of each cell add up to it."""
    cells: dict = {key: [] for key in ([()] if not query.levels else [])}
    for at, key in enumerate(keys_of(drilled, query)):
        cells.setdefault(key, []).append(at)
    assert cells.keys() == expected.keys()
    for key, places in cells.items():
        for one in query.measures:
            if one.column == "id":
                assert len(places) == expected[key][one.name]
                continue
            values = [v for v in map(plain, drilled[one.column].iloc[places]) if v is not None]
            got, wanted = fold(one.operation, values, one.q), expected[key][one.name]
            assert got == wanted or math.isclose(got, wanted, rel_tol=1e-9, abs_tol=1e-12), (key, one.name)
