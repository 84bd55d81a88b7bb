"""Schemathesis against the endpoint's own document, by ``python -m tests.support.fuzz``.

It starts the server over the sample, and checks every reply: no 5xx, and nothing that the document does not promise.
Schemathesis also imports this module, for its hook.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import schemathesis

from tests.support.endpoint import command
from vapi_frames.contract.models import parse_request
from vapi_frames.errors import QueryError

# Not checked: that every valid request gets a 201, since it may have an unknown zone, an empty range, the sum of ids;
# nor that an invalid one is refused, since the hook repairs it.
CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "unsupported_method", "allow_header_conformance", "ignored_auth",
    "missing_required_header",
)  # fmt: skip
ROOT = Path(__file__).parents[2]
ZONES = ("UTC", "America/New_York", "Africa/Cairo", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia")


@schemathesis.hook
def map_body(context, body):
    """Give most bodies that are valid a meaning, since hardly any random one has: known zones, variables, measures."""
    try:
        request = parse_request(body)
    except QueryError:
        return body
    repaired = request.to_body()
    for query in repaired["queries"] if len(repr(body)) % 4 else ():
        query["table"] = "call"
        query["groupBy"] = list(dict.fromkeys(query.get("groupBy", ())))
        query["groupByVariableValue"] = [{"key": key} for key in ("plan", "campaign")[: len(query["groupBy"])]]
        columns = ("cost", "duration", "costBreakdown.llm")
        for place, one in enumerate(query["operations"]):
            one["column"] = columns[place % 3] if one["operation"] != "count" else "id"
            one["operation"] = "avg" if one["operation"] == "history" else one["operation"]
            one["alias"] = f"{one.get('alias', '')[:30]}{place}"
        span = query.get("timeRange", {})
        if "timezone" in span:
            span["timezone"] = ZONES[len(repr(span)) % len(ZONES)]
        if "end" in span and span.get("start", "") >= span["end"]:
            del span["end"]
    return repaired


def fuzz(mode, examples, seed, phases):
    """Run it with requests that are as the document says (*mode* ``positive``), that are not (``negative``), or both (``all``).

    Returns:
        Schemathesis' exit code, what it says, and how often the server replied with which status.
    """
    # Schemathesis writes its findings to the working folder, so that is a temporary one.
    with command("--demo") as (endpoint, _, log), tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [
                Path(sys.executable).with_name("schemathesis"), "run", f"{endpoint.url}/openapi.json", "--phases", phases,
                "--header", f"Authorization: Bearer {endpoint.key}", "--max-examples", str(examples), "--seed", str(seed),
                "--checks", ",".join(CHECKS), "--continue-on-failure", "--mode", mode,
            ],
            capture_output=True, text=True, check=False, encoding="utf-8", cwd=folder,
            env={**os.environ, "SCHEMATHESIS_HOOKS": "tests.support.fuzz", "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
        )  # fmt: skip
        statuses = re.findall(r"POST /analytics (\d+)", log())
    return done.returncode, done.stdout + done.stderr, {status: statuses.count(status) for status in set(statuses)}


def main():
    """Run it at length."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    failed = 0
    for mode in ("positive", "negative"):
        status, output, statuses = fuzz(mode, options.examples, options.seed, "coverage,fuzzing")
        print(output, statuses, sep="\n")  # noqa: T201 - this is a command
        failed = failed or status
    return failed


if __name__ == "__main__":
    sys.exit(main())
