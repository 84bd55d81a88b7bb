"""What the API lists by creation time, whole, in whatever order it sorts.

A list has no next page: there is a limit, and there are bounds on ``createdAt``. The order is not documented, many
records may share an instant, and an instant may be finer than the JSON shows. So nothing is concluded from a full page
but that there may be more. A server may also have a lower limit of its own, which is at least the largest page so far.
A window of time with fewer records than that page is complete; of another, narrower windows are requested.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from vapi_frames.calendar.buckets import EPOCH
from vapi_frames.errors import RecordsError, ResponseError, VapiFramesError, format_value
from vapi_frames.sources import progress
from vapi_frames.sources.http.connection import is_oversized
from vapi_frames.sources.records.values import read_times

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vapi_frames.sources.http.connection import Connection

__all__ = ["LIMIT", "Listing", "Window"]

LIMIT = 1_000  # records of a page; the API gives no more
DEFAULT_PAGE_SIZE = 100  # records of a page of an API that ignores the limit
_LEAST_LIMIT = 10  # records of a page that a server may have as its own limit; none has a lower one
_MS = timedelta(milliseconds=1)
_GROWTH = 4  # times the width of the window before
_HALVINGS = 5  # times that a page is made smaller until the reply is not too large, or too slow
_PAGES_UNTIL_GROWTH = 8  # that succeed before a page is made larger again
_TOO_LARGE = 413


class Window(NamedTuple):
    """What was created in a window of time.

    Attributes:
        start: Where the window begins.
        end: Where it ends, exclusive.
        records: What the API listed, in its order.
        request: The request, for messages.
        is_whole: Whether that is all; not where more than a page was created within a millisecond.
    """

    start: datetime
    end: datetime
    records: list[Any]
    request: str
    is_whole: bool = True


class _PageSize:
    """How many records a page has: fewer after replies that are too large or too slow, later more again."""

    def __init__(self, limit: int) -> None:
        self.limit = self._full = limit
        self._has_failed = False
        self._halvings = self._successes = 0

    def note_success(self) -> None:
        """Make the page larger again after some pages that arrived."""
        self._has_failed, self._halvings, self._successes = False, 0, self._successes + 1
        if self.limit < self._full and self._successes >= _PAGES_UNTIL_GROWTH:
            self.limit, self._successes = min(2 * self.limit, self._full), 0

    def note_failure(self, error: VapiFramesError) -> bool:
        """Return whether to send another request, after a time-out the same one, then one for a smaller page."""
        is_temporary = not isinstance(error, ResponseError) and getattr(error, "status", None) != _TOO_LARGE
        is_repeatable = is_temporary and not self._has_failed
        self._has_failed, self._successes = True, 0
        if is_repeatable:
            return True
        if self._halvings == _HALVINGS or self.limit == 1:
            return False
        self.limit, self._halvings = self.limit // 2, self._halvings + 1
        return True


class Listing:
    """A list of the API's.

    Args:
        connection: The API.
        path: Where the list is.
        limit: How many records a page has at most.
        parameters: Filters of the list's own, by name.

    Attributes:
        requests: How many pages were requested.
    """

    def __init__(
        self, connection: Connection, path: str, *, limit: int = LIMIT, parameters: Mapping[str, str] | None = None
    ) -> None:
        self._connection = connection
        self._path = path
        self._parameters = dict(parameters or {})
        self._size = _PageSize(limit)
        self._largest_page = 0
        self.requests = 0

    def all(self, now: datetime) -> list[Any]:
        """Return all there is: by one request where that is less than a page.

        Raises:
            SourceError: There was no reply.
            ResponseError: A reply is no list of records.
        """
        found = self._page({})
        if not self._may_be_more(found):
            return found
        first = datetime(2000, 1, 1, tzinfo=UTC)  # long before there was an API
        found = []
        for window in self.between(first, now + timedelta(days=1)):
            if not window.is_whole:
                raise ResponseError(f"{window.request} returned a full page of records, and there may be more")
            found += window.records
        return found

    def between(self, start: datetime, end: datetime, changed: datetime | None = None) -> Iterator[Window]:
        """Yield windows that make up [start, end), oldest first; a record may be met in two that touch.

        Args:
            start: A whole millisecond.
            end: The same.
            changed: List only what changed after it; by default all.

        Raises:
            SourceError: There was no reply.
            ResponseError: A reply is no list of records, or has some that were created at another time.
        """
        at, last = (start - EPOCH) // _MS, (end - EPOCH) // _MS
        width = last - at
        while at < last:
            until = min(at + width, last)
            width = until - at
            bounds = {"createdAtGe": _text(at), "createdAtLt": _text(until)}
            if changed is not None:
                bounds["updatedAtGt"] = _text((changed - EPOCH) // _MS)
            progress.tick()
            try:
                page = self._page(bounds)
            except VapiFramesError as error:
                if not is_oversized(error) or not self._size.note_failure(error):
                    raise
                continue
            limit = self._size.limit
            instants = self._instants(page, bounds, at, until)
            is_full = self._may_be_more(page)
            self._largest_page = max(self._largest_page, len(page))
            aim = max(min(limit, max(self._largest_page, _LEAST_LIMIT)) * 2 // 3, 1)
            # More than a page of one millisecond cannot be listed; a hundred may be a page, unless larger ones came.
            is_whole = len(page) < limit and (len(page) != DEFAULT_PAGE_SIZE or self._largest_page > DEFAULT_PAGE_SIZE)
            self._size.note_success()
            if is_full and width > 1:
                # In an order of time the page lies in a part of the window, and tells how dense the records are there.
                # Many of one instant tell nothing of the others.
                spread = (max(instants) - min(instants)) * aim // limit if instants else 0
                if len(page) < limit:  # perhaps all there is: then each half has less
                    middle = sorted(instants)[len(instants) // 2] - at if instants else 0
                    width = max(1, min(middle, width // 2))
                else:
                    width = max(1, min(max(spread, width // 8), width // 2))
                continue
            yield Window(_instant(at), _instant(until), page, self._describe(bounds), is_whole)
            at = until
            width = width * _GROWTH if len(page) * _GROWTH <= aim else max(1, width * aim // len(page))

    def _may_be_more(self, page: list[Any]) -> bool:
        return len(page) >= self._size.limit or len(page) >= max(self._largest_page, _LEAST_LIMIT)

    def _page(self, bounds: dict[str, str]) -> list[Any]:
        self.requests += 1
        content = self._connection.get(
            self._path, {"limit": str(self._size.limit), **self._parameters, **bounds}, divisible=bool(bounds)
        )
        try:
            # Not pydantic's parser: it refuses the whole page for half a character in one transcript.
            found = json.loads(content)
        except (ValueError, RecursionError) as error:
            problem = error.msg if isinstance(error, json.JSONDecodeError) else type(error).__name__
        else:
            if isinstance(found, list):
                return found
            problem = f"it is {type(found).__name__}"
            if isinstance(found, dict):
                message = found.get("message", found.get("error"))
                problem = f"it is an object with {', '.join(map(format_value, list(found)[:8])) or 'nothing'}"
                problem = f"it is an error: {format_value(message)}" if message is not None else problem
        # Raised outside of the block, since the error would otherwise refer to the whole reply.
        raise ResponseError(f"the reply to {self._describe(bounds)} is not an array of records: {problem}")

    def _instants(self, page: list[Any], bounds: dict[str, str], at: int, until: int) -> list[int]:
        """Return when the records were created, in milliseconds, as far as they have a time.

        Raises:
            ResponseError: One was created at another time; a millisecond may be due to how the API rounds.
        """
        found = []
        for place, record in enumerate(page):
            created = _created(record)
            if created is None:
                continue
            millis = (created - EPOCH) // _MS
            if not at - 1 <= millis <= until + 1:
                raise ResponseError(
                    f"it is {created.isoformat()}, outside of {self._describe(bounds)}: a server "
                    "that ignores createdAtGe and createdAtLt cannot list all records",
                    path=f"$[{place}].createdAt",
                )
            found.append(millis)
        return found

    def _describe(self, bounds: dict[str, str]) -> str:
        within = f" from {bounds['createdAtGe']} until {bounds['createdAtLt']}" if bounds else ""
        return f"GET {self._path}{within}"


def _created(record: Any) -> datetime | None:
    try:
        [created] = read_times("createdAt", [record.get("createdAt") if isinstance(record, dict) else None])
    except RecordsError:
        return None
    return created


def _instant(millis: int) -> datetime:
    return EPOCH + millis * _MS


def _text(millis: int) -> str:
    return f"{_instant(millis).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"
