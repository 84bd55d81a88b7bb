"""``vapi-frames serve``: answer ``POST /analytics`` from call records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vapi_frames.cli.console import add_column_option, add_command, read_columns, refuse_key
from vapi_frames.errors import QueryError, RecordsError, redirect_warnings

if TYPE_CHECKING:
    import argparse

    from vapi_frames.interface.vq import Vq

__all__ = ["add_parser", "run"]

_EPILOG = """\
examples:
  vapi-frames serve --demo --no-auth
  VAPI_FRAMES_KEY=... vapi-frames serve calls/*.parquet
  vapi-frames serve calls/ --host 0.0.0.0 --port 8484 --key-file key.txt
  curl -H "Authorization: Bearer $VAPI_FRAMES_KEY" -d @body.json http://127.0.0.1:8484/analytics

exit codes:
  0    a signal ended it, after the open requests
  1    the records cannot be read, or the address is taken
  2    an argument is wrong; running it again does not help
"""


def add_parser(commands: Any) -> None:
    """Add the command to the *commands* of a parser."""
    parser = add_command(commands, "serve", "answer POST /analytics from call records", _EPILOG)
    parser.add_argument("calls", nargs="*", help="files, folders or globs of call records")
    parser.add_argument("--demo", action="store_true", help="serve the sample organization instead")
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (default: %(default)s)")
    parser.add_argument("--port", default=8484, type=int, help="0 takes a free one (default: %(default)s)")
    parser.add_argument(
        "--duplicates", default="keep", choices=("keep", "first", "raise"),
        help="what to do with a repeated id (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--on-error", default="raise", choices=("raise", "skip"),
        help="what to do with a record that cannot be read (default: %(default)s)",
    )  # fmt: skip
    add_column_option(parser)
    keys = parser.add_mutually_exclusive_group()
    keys.add_argument("--key-file", help="the file with the key that clients send (default: $VAPI_FRAMES_KEY)")
    keys.add_argument("--no-auth", action="store_true", help="require no key; on this machine only")
    refuse_key(parser, "VAPI_FRAMES_KEY")
    parser.add_argument("--timeout", default=30.0, type=float, help="seconds for one request (default: %(default)s)")
    parser.add_argument("--workers", default=8, type=int, help="requests answered in parallel (default: %(default)s)")
    parser.add_argument("--uds", metavar="PATH", help="listen at this UNIX socket, in place of a host and a port")
    parser.add_argument(
        "--max-connections", default=512, type=int, metavar="N",
        help="open connections; fewer if the process may not open that many files (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--max-peer-connections", type=int, metavar="N", help="open connections from one address (default: half of all)"
    )
    parser.add_argument(
        "--max-rows", default=1_000_000, type=int, metavar="N", help="rows of one reply (default: %(default)s)"
    )
    parser.add_argument(
        "--max-bytes", default=67_108_864, type=int, metavar="N", help="bytes of one reply (default: %(default)s)"
    )
    parser.add_argument("--log-format", default="text", choices=("text", "json"), help="default: %(default)s")


def run(options: argparse.Namespace) -> int:
    """Serve until a signal ends it; return the exit code."""
    import logging

    from vapi_frames.interface.connect import demo, local
    from vapi_frames.server.listen import read_key, serve
    from vapi_frames.server.log import configure_log
    from vapi_frames.sources.local.source import LocalSource

    if options.demo == bool(options.calls):
        raise QueryError("pass the call records to serve, as in serve calls/*.parquet, or --demo for a sample")
    configure_log(options.log_format)
    key = None if options.no_auth else read_key(options.key_file)
    columns = read_columns(options.column)
    try:
        vq = (
            demo()
            if options.demo
            else local(options.calls, duplicates=options.duplicates, on_error=options.on_error, columns=columns)
        )
    except RecordsError as error:  # no such file: the records themselves are read later
        raise QueryError(str(error)) from None
    source = vq.source
    if isinstance(source, LocalSource):
        with redirect_warnings(logging.getLogger("vapi_frames.server").warning):
            source.prepare()  # converts JSON and reports unreadable records before the first request
    if options.demo:
        logging.getLogger("vapi_frames.server").info(_describe_sample(vq))
    serve(
        source, host=options.host, port=options.port, key=key, timeout=options.timeout, workers=options.workers,
        uds=options.uds, connections=options.max_connections, peer_connections=options.max_peer_connections,
        row_limit=options.max_rows, reply_limit=options.max_bytes,
    )  # fmt: skip
    return 0


def _describe_sample(vq: Vq) -> str:
    """Return which range the sample holds: its clock is fixed, so a range that ends today may have no calls."""
    days = vq.call().count().step("day").between("2000-01-01", vq.now()).fetch()
    dates = days.index.get_level_values("date")
    return (
        f"the sample holds {days['countId'].sum():,} calls, from {dates.min():%Y-%m-%d} to {dates.max():%Y-%m-%d}; its "
        f"clock stands at {vq.now():%Y-%m-%d %H:%M} UTC"
    )
