"""Seconds, memory and ratios: of functions that take turns, and of whole processes."""

from __future__ import annotations

import gc
import math
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

OURS = "vapi_frames"


@dataclass(frozen=True)
class Row:
    """A row of the table: what was measured against what, the ratio, and the mark that it should not pass."""

    what: str
    against: str
    ratio: float
    mark: float | None
    said: str
    unit: str = "x"

    @property
    def is_met(self):
        """Whether the mark is reached; ``None`` where there is none."""
        return None if self.mark is None else self.ratio <= self.mark


@dataclass(frozen=True)
class Case:
    """Functions that do the same, ours under ``vapi_frames``.

    Attributes:
        name: What they do.
        contenders: Name → a function without arguments.
        marks: Peer → the ratio that ours should not pass.
        total: Reduces a result to the number that all contenders must share; ``None`` where results have different shapes.
    """

    name: str
    contenders: Mapping[str, Callable[[], Any]]
    marks: Mapping[str, float] = field(default_factory=dict)
    total: Callable[[Any], float] | None = None

    def check(self):
        """Run each contender once, and raise unless all give the same."""
        found = {name: run() for name, run in self.contenders.items()}
        if self.total is not None:
            totals = {name: self.total(result) for name, result in found.items()}
            if not all(math.isclose(one, totals[OURS], rel_tol=1e-9) for one in totals.values()):
                raise AssertionError(f"{self.name}: {totals}")

    def rows(self, rounds):
        """Yield a row for each mark."""
        self.check()
        seconds = interleaved(self.contenders, rounds)
        for peer, mark in self.marks.items():
            ratio = paired(seconds[OURS], seconds[peer])
            yield Row(
                self.name, peer, ratio, mark, f"{format_seconds(seconds[OURS])} / {format_seconds(seconds[peer])}"
            )


def interleaved(contenders: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each run of each contender; they take turns, so that a slow minute of the machine slows all of them."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            gc.collect()
            began = time.perf_counter()
            result = run()
            seconds[name].append(time.perf_counter() - began)
            del result
    return seconds


def paired(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the median of the ratios of runs that were timed next to each other."""
    return median(one / other for one, other in zip(ours, theirs, strict=True))


def format_seconds(seconds: Sequence[float]) -> str:
    """Return the best of *seconds* as text, with a unit."""
    best = min(seconds)
    if best < 1e-3:
        return f"{best * 1e6:.0f} µs"
    return f"{best * 1e3:.1f} ms" if best < 1 else f"{best:.2f} s"


def process(code: str) -> float:
    """Run *code* in a fresh interpreter; return its seconds.

    Raises:
        AssertionError: It failed.
    """
    # Installed packages are compiled to bytecode already. A checkout is compiled at its first import, unless this variable forbids it.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    child = os.posix_spawn(sys.executable, [sys.executable, "-W", "ignore", "-c", code], environment)
    _, status = os.waitpid(child, 0)
    assert status == 0, code
    return time.perf_counter() - began


def peak(prepare: str, run: str, *, before: str = "") -> float:
    """Return by how many MB the memory of a fresh process peaks in *run*, above what it was after *prepare*.

    All are Python code. Memory that *prepare* took, such as for imports, does not count; what is left of that of
    *before*, which runs in between, does.
    """
    code = (
        f"{prepare}\n"
        "def held(word):\n"
        "    with open('/proc/self/status') as file:\n"
        "        return int(next(line for line in file if line.startswith(word)).split()[1]) / 1024\n"
        "idle = held('VmRSS')\n"
        f"{before}\n"
        "with open('/proc/self/clear_refs', 'w') as file:\n"
        "    file.write('5')  # the peak begins anew\n"
        f"{run}\n"
        "print(held('VmHWM') - idle)\n"
    )
    child = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert not child.returncode, child.stderr
    return float(child.stdout.splitlines()[-1])
