"""The memory that code takes at its peak, measured in a process of its own."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
from pathlib import Path

_MEGABYTE = 1 << 20
_REPORT = "from tests.support.peak import read_peak; print(read_peak())"


def read_peak():
    """Return the most memory that this process has had, in MB.

    Linux counts it anew for each program; elsewhere a child may begin with the peak of its parent.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.search(r"VmHWM:\s*(\d+) kB", status.read_text())[1]) // 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most // (_MEGABYTE if sys.platform == "darwin" else 1024)


def run_measured(code, *arguments):
    """Run *code* in another Python; return what it printed, and its peak in MB."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{_REPORT}", *map(str, arguments)],
        capture_output=True, text=True, timeout=120, check=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    *printed, peak = done.stdout.splitlines()
    return printed, int(peak)
