"""How fast, compared with what: every row of the page of benchmarks, from one run on one machine.

``python -m tests.benchmarks`` measures all of it, ``--page`` writes ``notebooks/project/benchmarks.md`` too; ``pytest
tests/benchmarks/bench_functions.py`` shows the functions one by one, under pytest-benchmark. Peers come with the extra
``bench``. A row is a ratio of runs that took turns; before it is timed, both sides must have given the same numbers.
"""
