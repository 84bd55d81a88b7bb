"""The options that say where results come from, and the ``vq`` that they open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vapi_frames.cli.console import add_api_options, add_column_option, api_options, check_key, read_columns
from vapi_frames.errors import QueryError, RecordsError

if TYPE_CHECKING:
    import argparse

    from vapi_frames.interface.vq import Vq

__all__ = ["add_source_options", "open_source"]


def add_source_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a command that fetches from the API, call records or the sample."""
    parser.add_argument(
        "--source", action="extend", nargs="+", metavar="SOURCE",
        help="api, demo, or files, folders or globs of call records (default: api)",
    )  # fmt: skip
    add_api_options(parser)
    parser.add_argument("--cache", metavar="DIR", help="keep results of the API for buckets that are over in DIR")
    parser.add_argument(
        "--duplicates", choices=("keep", "first", "raise"), help="what to do with a repeated id (default: keep)"
    )
    parser.add_argument(
        "--on-error", choices=("raise", "skip"), help="what to do with a record that cannot be read (default: raise)"
    )
    add_column_option(parser)
    parser.add_argument("--now", metavar="TIME", help="the time that relative ranges of call records end at")


def open_source(options: argparse.Namespace) -> Vq:
    """Return the ``vq`` to fetch from; refuse an option that only another source takes.

    Raises:
        QueryError: An option is wrong, or there is no such file.
        AuthenticationError: The source is the API, and there is no key.
    """
    from vapi_frames.interface.connect import connect, demo, local

    sources: list[str] = options.source or ["api"]
    kind = sources[0] if sources[0] in ("api", "demo") else "records"
    if len(sources) > 1 and {"api", "demo"} & set(sources):
        raise QueryError(f"--source takes api, demo, or files of call records, not {' and '.join(sources)} together")
    accepted = {
        "api": {**api_options(options), "cache": options.cache},
        "records": {
            "duplicates": options.duplicates,
            "on_error": options.on_error,
            "columns": read_columns(options.column),
            "now": options.now,
        },
    }
    for other, values in accepted.items():
        for name, value in values.items():
            if value is not None and other != kind:
                source = "the API" if other == "api" else "call records"
                word = "column" if name == "columns" else name.replace("_", "-")
                raise QueryError(f"--{word} is for {source}, and --source is {' '.join(sources)}")
    arguments: dict[str, Any] = {name: value for name, value in accepted.get(kind, {}).items() if value is not None}
    if kind == "demo":
        return demo()
    if kind == "api":
        vq = connect(**arguments)
        check_key("or add --source demo for a sample")
        return vq
    if options.now is not None:
        _check_now(options.now)
    try:
        return local(sources, **arguments)
    except RecordsError as error:  # no such file: the records themselves are read later
        raise QueryError(str(error)) from None


def _check_now(now: str) -> None:
    """Raise `QueryError` in the shell's words where *now* is no instant."""
    from vapi_frames.calendar.ranges import parse_now

    try:
        parse_now(now)
    except QueryError as error:
        what, _, _ = str(error).partition(";")
        raise QueryError(f"--{what.rstrip('.')}; write it with its zone, e.g. --now 2026-10-01T09:00:00Z") from None
