"""The call records that the API still lists, paged once into a private temporary file, as a source."""

from __future__ import annotations

import json
import os
import threading
import weakref
from contextvars import copy_context
from datetime import timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vapi_frames.calendar.buckets import EPOCH
from vapi_frames.cancellation import Stop, raise_if_cancelled
from vapi_frames.errors import RecordsWarning, ResponseError, redirect_warnings, warn
from vapi_frames.files import make_temporary_folder, remove_temporary_folder
from vapi_frames.sources import progress
from vapi_frames.sources.api.listing import LIMIT, Listing
from vapi_frames.sources.archive.fields import BUILT_IN
from vapi_frames.sources.local.source import LocalSource
from vapi_frames.sources.records.days import API_RETENTION
from vapi_frames.sources.records.paths import VARIABLE_ROOTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from vapi_frames.sources.api.listing import Window
    from vapi_frames.sources.http.connection import Connection

__all__ = ["DownloadedSource", "download"]

_WORKERS = 4
_MS = timedelta(milliseconds=1)
_TICK = 0.1  # seconds between two updates of the progress
_UNUSED = ("messages", "messagesOpenAIFormatted", "transcript", "summary", "recordingUrl", "stereoRecordingUrl",
           "recording", "logUrl", "pcapUrl", "videoRecordingUrl", "monitor")  # fmt: skip
"""What no query uses, and may be large or personal; at the top of a record, and in its artifact and analysis."""
_FILE = "calls.jsonl"


class DownloadedSource(LocalSource):
    """Call records of the API in a private temporary file, which is removed with the source, and when Python ends.

    Args:
        folder: The folder of the file.
        kept: The range of which all calls are there.
        now: Its clock.
    """

    def __init__(self, folder: str, kept: tuple[datetime, datetime], now: datetime) -> None:
        self._remove = weakref.finalize(self, remove_temporary_folder, os.getpid(), folder)
        super().__init__(str(Path(folder, _FILE)), on_error="skip", now=now, kept=kept)

    def close(self) -> None:
        """Delete the records."""
        super().close()
        self._remove()

    def __repr__(self) -> str:
        return "calls downloaded from the API"


def download(
    connection: Connection,
    span: tuple[datetime, datetime],
    now: datetime,
    *,
    customers: bool = False,
    limit: int = LIMIT,
    keep: Sequence[str] = (),
    parameters: Mapping[str, str] | None = None,
) -> DownloadedSource:
    """Return the calls of [start, end) that the API lists, as a source with the clock *now*.

    Args:
        connection: The connection to the API.
        span: Start and end of the range, in UTC.
        now: The clock. Calls that are created later are not among them.
        customers: Whether the records keep what they say of customers.
        limit: How many calls a page has at most.
        keep: Paths of a record that are kept although no query uses them.
        parameters: Filters of the API's own list.

    Raises:
        SourceError: A request failed.
        ResponseError: A reply is no list of calls, or a list is not whole.
        OSError: The file cannot be written.
    """
    start, end = span
    kept = max(start, now - API_RETENTION), end
    if start < kept[0]:
        warn(
            f"the API lists calls for {API_RETENTION.days} days, unless your plan says otherwise: calls before "
            f"{kept[0]:%Y-%m-%d %H:%M} UTC may be missing; an archive, vq.archive(folder), keeps them",
            RecordsWarning,
        )
    folder = make_temporary_folder()
    try:
        with _open_private(Path(folder, _FILE)) as file:
            listing = partial(Listing, connection, "/call", limit=limit, parameters=parameters)
            _Download(listing, file, customers=customers, keep=keep).run(start, end)
        return DownloadedSource(folder, kept, now)
    except BaseException:
        remove_temporary_folder(os.getpid(), folder)
        raise


class _Download:
    """Pages parts of a range at the same time, and writes each record once."""

    def __init__(self, make_listing: Callable[[], Listing], file: Any, *, customers: bool, keep: Sequence[str]) -> None:
        self._make_listing = make_listing
        self._file = file
        self._customers = customers or any(path.split(".")[0] == "customer" for path in keep)
        self._unused = frozenset(_UNUSED).difference(*map(_list_kept, keep))
        self._ids: set[str] = set()
        self._lock = threading.Lock()
        self._stop = Stop()
        self._errors: list[BaseException] = []
        self._warnings: list[str] = []

    def run(self, start: datetime, end: datetime) -> None:
        parts = list(_split(start, end))
        progress.expect(len(parts))
        threads = [threading.Thread(target=copy_context().run, args=(self._page, *part), daemon=True) for part in parts]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                while thread.is_alive() and not self._errors:
                    thread.join(_TICK)
                    progress.tick()
                    raise_if_cancelled()
        finally:
            self._stop.set()  # what is still sent would change nothing
            with self._lock:
                self._file = None
        for message in dict.fromkeys(self._warnings):
            warn(message, RecordsWarning)
        if self._errors:
            raise self._errors[0]

    def _page(self, start: datetime, end: datetime) -> None:
        with self._stop.scope():
            try:
                with redirect_warnings(self._warnings.append):
                    for window in self._make_listing().between(start, end):
                        self._write(window)
                progress.arrived()
            except BaseException as error:  # noqa: BLE001 - the calling thread raises it
                self._errors.append(error)

    def _write(self, window: Window) -> None:
        if not window.is_whole:
            raise ResponseError(
                f"{window.request} returned a full page of calls, all of one millisecond, and there may be more"
            )
        lines = [(_find_id(record), json.dumps(self._strip(record))) for record in window.records]
        with self._lock:
            if self._file is None:
                return
            for id_, line in lines:
                if id_ is None or id_ not in self._ids:
                    self._file.write(f"{line}\n")
                if id_ is not None:
                    self._ids.add(id_)
            progress.say(f"{len(self._ids):,} calls")

    def _strip(self, record: Any) -> Any:
        """Return *record* without what no query uses, and without customers unless they were requested."""
        if not isinstance(record, dict):
            return record
        found = {name: value for name, value in record.items() if name not in self._unused}
        for name in ("artifact", "analysis"):
            if isinstance(found.get(name), dict):
                found[name] = {key: value for key, value in found[name].items() if key not in self._unused}
        if not self._customers:
            found.pop("customer", None)
            for root in VARIABLE_ROOTS:
                found = _without_built_in(found, root.split("."))
        return found


def _without_built_in(record: dict[str, Any], path: Sequence[str]) -> dict[str, Any]:
    """Return *record* without the objects that the API adds to the variables at *path*."""
    value = record.get(path[0])
    if not isinstance(value, dict):
        return record
    if len(path) > 1:
        return {**record, path[0]: _without_built_in(value, path[1:])}
    left = {key: one for key, one in value.items() if key not in BUILT_IN or not isinstance(one, dict)}
    return {**record, path[0]: left}


def _list_kept(path: str) -> Sequence[str]:
    """Return the names of `_UNUSED` that are kept for what is at *path*."""
    first, _, rest = path.partition(".")
    if first not in ("artifact", "analysis"):
        return [first]
    return [rest.partition(".")[0]] if rest else _UNUSED


def _find_id(record: Any) -> str | None:
    id_ = record.get("id") if isinstance(record, dict) else None
    return id_ if isinstance(id_, str) else None


def _split(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Yield parts of the range, which begin and end at whole milliseconds; the range has a millisecond to spare.

    The JSON shows an instant less exactly than the API compares it.
    """
    first, last = (start - EPOCH) // _MS - 1, -((EPOCH - end) // _MS) + 1
    edges = [first + (last - first) * number // _WORKERS for number in range(_WORKERS + 1)]
    for begin, until in pairwise(edges):
        if begin < until:
            yield EPOCH + begin * _MS, EPOCH + until * _MS


def _open_private(path: Path) -> Any:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8")
