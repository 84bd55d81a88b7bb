"""The functions one by one, under pytest-benchmark: ``pytest tests/benchmarks/bench_functions.py``.

pytest does not collect it by its name, because tests never depend on the time that something takes.
"""

from __future__ import annotations

import functools

import pytest

from tests.benchmarks import records, replies, verbs
from tests.benchmarks.data import files
from tests.benchmarks.timing import OURS

SEED = 7
READERS = (replies.NOTEBOOK, replies.name_sdk(), *replies.PARSERS)
CASES = {
    **{
        f"reply of {rows:,} rows": (functools.partial(replies.case, rows, SEED, dict.fromkeys(READERS, 1.0)), READERS)
        for rows in (1_000, 100_000)
    },
    "a DataFrame of calls": (functools.partial(records.in_memory, 100_000, SEED), (records.GROUPED,)),
    **{name: (functools.partial(case, 100_000, SEED), (verbs.BY_HAND,)) for name, case in verbs.CASES.items()},
}
PAIRS = [(name, tool) for name, (_, peers) in CASES.items() for tool in (OURS, *peers)]
pytestmark = pytest.mark.filterwarnings("ignore")  # a reply of 100,000 rows looks like one that was cut


@pytest.mark.parametrize(("name", "tool"), PAIRS)
def test_functions(benchmark, name, tool):
    """Time a contender; contenders of one case are in one group."""
    benchmark.group = name
    made, _ = CASES[name]
    benchmark(made().contenders[tool])


@pytest.fixture(scope="module")
def pattern(tmp_path_factory):
    """Write call records."""
    return files(tmp_path_factory.mktemp("calls"), 200_000, SEED)


@pytest.mark.parametrize("name", records.QUERIES)
@pytest.mark.parametrize("tool", [OURS, records.HAND])
def test_queries(benchmark, pattern, name, tool):
    """Time a query to Parquet."""
    benchmark.group = name
    benchmark(records.case(name, pattern, {}).contenders[tool])


def test_compiling(benchmark):
    """Time building and compiling a query of ten verbs."""
    benchmark(verbs.ten_verbs)
