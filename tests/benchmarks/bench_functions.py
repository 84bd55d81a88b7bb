"""The functions one by one, under pytest-benchmark: ``pytest tests/benchmarks/bench_functions.py``.

The name keeps it out of the tests, which never look at the time that something takes.
"""

from __future__ import annotations

import functools

import pytest

from tests.benchmarks import records, replies, verbs
from tests.benchmarks.data import files
from tests.benchmarks.timing import OURS

SEED = 7
READERS = (replies.NOTEBOOK, replies.SDK, *replies.PARSERS)
CASES = {
    **{
        f"reply of {rows:,} rows": (functools.partial(replies.case, rows, SEED, dict.fromkeys(READERS, 1.0)), READERS)
        for rows in (1_000, 100_000)
    },
    "a DataFrame of calls": (functools.partial(records.in_memory, 100_000, SEED), (records.GROUPED,)),
    **{name: (functools.partial(case, 100_000, SEED), (verbs.BY_HAND,)) for name, case in verbs.CASES.items()},
}
PAIRS = [(name, who) for name, (_, peers) in CASES.items() for who in (OURS, *peers)]
pytestmark = pytest.mark.filterwarnings("ignore")  # a reply of 100,000 rows looks like one that was cut


@pytest.mark.parametrize(("name", "who"), PAIRS)
def test_functions(benchmark, name, who):
    """Time a contender; those that do the same stand together."""
    benchmark.group = name
    made, _ = CASES[name]
    benchmark(made().contenders[who])


@pytest.fixture(scope="module")
def pattern(tmp_path_factory):
    """Write call records."""
    return files(tmp_path_factory.mktemp("calls"), 200_000, SEED)


@pytest.mark.parametrize("name", records.QUERIES)
@pytest.mark.parametrize("who", [OURS, records.HAND])
def test_queries(benchmark, pattern, name, who):
    """Time a query to Parquet."""
    benchmark.group = name
    benchmark(records.case(name, pattern, {}).contenders[who])


def test_compiling(benchmark):
    """Time a query of ten verbs until it is a body."""
    benchmark(verbs.ten_verbs)
