"""``vapi-frames query``: fetch a query, and write its result as Parquet, CSV or JSON.

Stdout carries data and nothing else. The exit code says what to do: 1, the source failed, and may work later; 2, the
query or an argument has to change; 3, the rest is still to be fetched; 130, Ctrl-C.
"""

from __future__ import annotations

import os
import sys
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vapi_frames.cli.console import PARTIAL, add_command, is_watched, print_data, print_error, run_command
from vapi_frames.cli.source import add_source_options, open_source
from vapi_frames.errors import PartialResultError, QueryError, VapiFramesError
from vapi_frames.files import expand_home
from vapi_frames.query.code import format_code

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from vapi_frames.query.query import Query

__all__ = ["add_parser", "run"]

FORMATS = ("csv", "table", "markdown", "json")

_EPILOG = """\
examples:
  vapi-frames query 'vq.call().sum("cost").by("type").last("30d")' --source demo
  vapi-frames query 'vq.call().count().step("day").last("7d", complete=True)' --source calls/*.parquet --out calls.csv
  vapi-frames query 'vq.call().avg("duration").by("endedReason").last("30d")' --source demo --format table
  vapi-frames query 'vq.call().sum("cost").sum("duration").step("day").last("30d").vapi.per_minute()' --source demo
  vapi-frames query @query.txt --out spend.parquet
  vapi-frames query - --out '{name}.json' < body.json

exit codes:
  0    the whole result was written
  1    the source failed, or the file could not be written; an earlier file is unchanged
  2    the query or an argument is wrong; running it again does not help
  3    only a part arrived: it is in a file next to --out, e.g. spend.partial.csv
  130  Ctrl-C; a part that had arrived is written as for 3

The key of the API is read from VAPI_API_KEY (or VAPI_TOKEN) only. There is no option for it: arguments show in ps and
in the history of the shell.
"""


def add_parser(commands: Any) -> None:
    """Add the command to the *commands* of a parser."""
    parser = add_command(commands, "query", "fetch a query, and write its result as a table or a file", _EPILOG)
    parser.add_argument(
        "query", nargs="?", metavar="QUERY",
        help="code, as a query's repr shows it, or the JSON body of a request; @FILE, or - for stdin",
    )  # fmt: skip
    parser.add_argument(
        "--out", metavar="PATH", help="a file .parquet (for vapi_frames.load), .csv or .json, which is replaced when "
        "the result is whole; {name} is the query's name (default: stdout)",
    )  # fmt: skip
    parser.add_argument(
        "--format", choices=FORMATS, help="the form on stdout (default: csv); numbers have up to 12 digits there, and "
        "all of them in files",
    )  # fmt: skip
    add_source_options(parser)
    parser.add_argument(
        "--raw-text", action="store_true",
        help="leave text in a CSV file as it is, also where a spreadsheet would run it as a formula",
    )  # fmt: skip
    parser.add_argument("--verbose", action="store_true", help="report on stderr what is fetched and written")


def run(options: argparse.Namespace) -> int:
    """Fetch the query, and write its result; return the exit code."""
    return run_command(_run, options)


def _run(options: argparse.Namespace) -> int:
    from vapi_frames.cli.export import write_files
    from vapi_frames.cli.printing import to_text
    from vapi_frames.interface.chain import parse_chains

    if options.query is None:
        raise QueryError(_describe_missing(options.source))
    if options.format and options.out:
        raise QueryError(f"--format is for stdout; the suffix of --out {options.out} decides the form of the file")
    chains = parse_chains(_read(options.query))
    queries = [query for query, _ in chains]
    out = options.out if options.out is None else expand_home(options.out)  # shells leave --out=~/f alone
    paths = _paths(out, queries)
    vq = open_source(options)
    if options.verbose:
        for query in queries:
            print_error(f"fetching from {vq.source!r}: {format_code(query)}")
    try:
        frames = [
            reduce(lambda frame, verb: verb.apply(frame), verbs, frame)
            for frame, (_, verbs) in zip(vq.fetch(*queries).values(), chains, strict=True)
        ]
    except PartialResultError as error:
        _write_part(error, paths, out, is_guarded=not options.raw_text)
        return PARTIAL
    if paths:
        write_files(list(zip(frames, paths, strict=True)), is_guarded=not options.raw_text)
    else:
        print_data(to_text(frames[0], options.format or "csv"))
    if options.verbose or (paths and is_watched()):
        for frame, path in zip(frames, paths or [Path("stdout")], strict=True):
            print_error(f"wrote {len(frame):,} row{'s' * (len(frame) != 1)} to {path}")
    return 0


def _describe_missing(sources: Sequence[str] | None) -> str:
    """Return what to type where the query is missing: --source takes all words that follow it."""
    words = [one for one in sources or () if one == "-" or one.startswith("@") or "(" in one or "{" in one]
    if words:
        rest = " ".join(one for one in sources or () if one not in words) or "demo"
        return f"the query comes before --source: vapi-frames query '{words[0]}' --source {rest}"
    return """there is no query: vapi-frames query 'vq.call().sum("cost").by("type").last("30d")'"""


def _read(argument: str) -> str:
    """Return the text of the query: from stdin, from a file, or the *argument* itself."""
    place = "the arguments"
    try:
        if argument == "-":
            place = "stdin"
            return sys.stdin.buffer.read().decode("utf-8-sig")
        if argument.startswith("@"):
            place = argument[1:]
            return Path(expand_home(place)).read_text(encoding="utf-8-sig")
        if any("\ud800" <= letter <= "\udfff" for letter in argument):  # bytes that the locale could not decode
            return os.fsencode(argument).decode()
    except (OSError, ValueError) as error:
        raise QueryError(f"cannot read the query from {place}: {error}") from None
    return argument


def _paths(out: str | None, queries: Sequence[Query[Any]]) -> list[Path]:
    """Return the file of each result; none where the result is printed."""
    from vapi_frames.cli.export import NAME, check_path, fill_name

    if len(queries) > 1 and NAME not in (out or ""):
        raise QueryError(f"{len(queries)} queries need a file each: pass --out with {NAME}, e.g. --out '{NAME}.csv'")
    if out is None:
        return []
    return [check_path(fill_name(out, _name(query)) if NAME in out else out) for query in queries]


def _name(query: Query[Any]) -> str:
    """Return the name of *query*."""
    from vapi_frames.calendar.ranges import RelativeRange
    from vapi_frames.query.compile import compile_query

    if query.title is not None:
        return query.title
    if isinstance(query.time_range, RelativeRange):  # the automatic name has the dates, and changes every day
        raise QueryError('--out has {name}, and this query has no name: add .named("...")')
    name: str = compile_query(query, None)["name"]
    return name


def _write_part(error: PartialResultError, paths: Sequence[Path], out: str | None, *, is_guarded: bool) -> None:
    """Write the part that arrived next to the file of the whole result, and report what is missing."""
    from vapi_frames.calendar.ranges import format_iso
    from vapi_frames.cli.export import check_path, fill_name, write_files
    from vapi_frames.frames.meta import read_meta

    print_error(error)
    for start, end in error.missing:
        print_error(f"[{format_iso(start)}, {format_iso(end)})", label="missing: ")
    for query in error.rest:
        print_error(format_code(query), label="still to fetch: ")
    if out is None:
        print_error("the part that arrived is not printed; pass --out to write it to a file")
        return
    try:
        parts = []
        for frame in error.frames.values():
            path, meta = paths[0], read_meta(frame)
            if len(paths) > 1:
                path = check_path(fill_name(out, meta.title or meta.body["name"]))
            if meta.has_missing_rows:
                path = path.with_name(f"{path.stem}.partial{path.suffix}")
            parts.append((frame, path))
        write_files(parts, is_guarded=is_guarded)
        print_error(f"the part that arrived is in {', '.join(str(path) for _, path in parts)}")
    except (VapiFramesError, OSError) as failure:
        print_error(failure, label="the part that arrived could not be written: ")
