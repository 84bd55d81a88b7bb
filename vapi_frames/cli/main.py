"""``vapi-frames``: the package from a shell."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vapi_frames.cli.commands import INTERRUPTED, Parser, add_archive, add_query, archive, print_error, query
from vapi_frames.errors import MissingExtraError, QueryError, VapiFramesError, warning_handler

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code: 0, or another with the reason on stderr."""
    package = sys.modules["vapi_frames"]
    parser = Parser(prog="vapi-frames", description=package.__doc__)
    parser.add_argument("--version", action="version", version=f"vapi-frames {package.__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="ask a sample organization a question, and draw the answer")
    demo.add_argument("--png", default="vapi-frames-demo.png", help="the chart's file (default: %(default)s)")
    add_query(commands)
    add_archive(commands)
    serve = commands.add_parser("serve", help="answer POST /analytics from call records")
    serve.add_argument("calls", nargs="*", help="files, folders or globs of call records")
    serve.add_argument("--demo", action="store_true", help="answer from the sample organization instead")
    serve.add_argument("--host", default="127.0.0.1", help="where to listen (default: %(default)s)")
    serve.add_argument("--port", default=8484, type=int, help="0 takes a free one (default: %(default)s)")
    serve.add_argument(
        "--duplicates", default="keep", choices=("keep", "first", "raise"),
        help="what becomes of an id that stands twice (default: %(default)s)",
    )  # fmt: skip
    serve.add_argument(
        "--on-error", default="raise", choices=("raise", "skip"),
        help="what becomes of a record that cannot be read (default: %(default)s)",
    )  # fmt: skip
    keys = serve.add_mutually_exclusive_group()
    keys.add_argument("--key-file", help="the file with the key that clients send (default: $VAPI_FRAMES_KEY)")
    keys.add_argument("--no-auth", action="store_true", help="ask for no key; on this machine only")
    serve.add_argument("--timeout", default=30.0, type=float, help="seconds for one request (default: %(default)s)")
    serve.add_argument("--workers", default=8, type=int, help="requests answered at once (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        if options.command == "query":
            return query(options)
        if options.command == "archive":
            return archive(options)
        return _demo(Path(options.png)) if options.command == "demo" else _serve(options)
    except (VapiFramesError, OSError) as error:
        print_error(error)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


def _demo(png: Path) -> int:
    from vapi_frames.interface.accessor import frame as accessor_of
    from vapi_frames.interface.connect import demo

    try:
        import matplotlib as mpl
    except ImportError:
        raise MissingExtraError("plot", "matplotlib", "the demo's chart") from None
    mpl.use("Agg")
    query = (
        demo().call().sum("cost").avg("duration").count().by("type")
        .step("day").last("14d", complete=True).tz("America/New_York").named("spend")
    )  # fmt: skip
    frame = query.fetch()
    axes = accessor_of(frame).plot("sumCost")
    axes.figure.savefig(png, dpi=120, bbox_inches="tight")
    parts = {
        "The question": repr(query),
        "The body it compiles to (POST /analytics)": json.dumps(query.body(), indent=2),
        "The answer, a DataFrame": frame.round(4).to_string(max_rows=12),
        "Units": ", ".join(f"{name}: {unit}" for name, unit in accessor_of(frame).units.items()),
        "The chart": str(png.resolve()),
    }
    print("\n\n".join(f"{title}\n{'-' * len(title)}\n{text}" for title, text in parts.items()))  # noqa: T201
    return 0


def _serve(options: argparse.Namespace) -> int:
    import logging

    from vapi_frames.interface.connect import demo, local
    from vapi_frames.server.listen import read_key, serve
    from vapi_frames.sources.local.source import LocalSource

    if options.demo == bool(options.calls):
        raise QueryError("serve answers from call records, serve calls/*.parquet, or from a sample: --demo")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    key = None if options.no_auth else read_key(options.key_file)
    vq = demo() if options.demo else local(options.calls, duplicates=options.duplicates, on_error=options.on_error)
    source = vq.source
    if isinstance(source, LocalSource):
        hearing = warning_handler.set(logging.getLogger("vapi_frames.server").warning)
        try:
            source.prepare()  # what takes longer than a request may, and what cannot be read, shows before anyone asks
        finally:
            warning_handler.reset(hearing)
    serve(source, host=options.host, port=options.port, key=key, timeout=options.timeout, workers=options.workers)
    return 0
