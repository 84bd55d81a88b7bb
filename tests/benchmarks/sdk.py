"""The same reply with the newest official SDK, in an environment of its own: it refuses the newest pydantic."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.benchmarks.timing import Row

NEWEST = "3.0.0"
_ROOT = Path(__file__).resolve().parents[2]
_CODE = """
import json, sys
from dataclasses import asdict
from tests.benchmarks import replies
seed, rounds = map(int, sys.argv[1:])
for row in replies.case(100_000, seed, {replies.name_sdk(): 0.075}).rows(rounds):
    print(json.dumps(asdict(row)))
"""


def make_environment(folder):
    """Return the interpreter of an environment in *folder* that has this package and the newest SDK."""
    python = Path(folder, "bin", "python")
    if not python.exists():
        _run(sys.executable, "-m", "venv", str(folder))
        _run(str(python), "-m", "pip", "install", "-q", str(_ROOT), f"vapi_server_sdk=={NEWEST}")
    return str(python)


def rows(seed, folder, rounds):
    """Yield the row of the table: both readers take turns in a process of that environment."""
    python = make_environment(Path(folder, f"sdk-{NEWEST}"))
    yield Row(**json.loads(_run(python, "-W", "ignore", "-c", _CODE, str(seed), str(rounds))))


def _run(*command):
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    child = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=_ROOT)
    assert not child.returncode, child.stderr
    return child.stdout
