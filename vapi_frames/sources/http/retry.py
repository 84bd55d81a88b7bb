"""How long to wait before a retry: as long as the server requests, else longer each time."""

from __future__ import annotations

import random
import re
import threading
import time
from datetime import UTC
from email.utils import parsedate_to_datetime
from math import isfinite, nan
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from vapi_frames.cancellation import on_cancel, raise_if_cancelled
from vapi_frames.sources import progress

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

__all__ = ["Limiter", "backoff", "limiter", "pause", "retry_after"]

_TICK = 0.1  # seconds between two updates of the progress
_NUMBER = re.compile(r"[0-9]{1,300}(?:\.[0-9]*)?")  # Python would also read "1_0", "1e1" and digits of other scripts
_SPREAD = 0.5  # seconds over which requests that waited for the same limit resume


def backoff(attempt: int) -> float:
    """Return how long to wait after *attempt*: doubling from half a second to eight, with jitter."""
    return min(8.0, 0.5 * 2.0 ** (attempt - 1)) * random.uniform(0.75, 1.25)  # noqa: S311 - jitter, no secret


def pause(seconds: float) -> None:
    """Sleep for *seconds*, or until the query is cancelled.

    Raises:
        SourceError: The query was cancelled.
    """
    cancelled, until = threading.Event(), time.monotonic() + seconds
    with on_cancel(cancelled.set):
        while (left := until - time.monotonic()) > 0 and not cancelled.wait(min(left, _TICK)):
            progress.tick()
    raise_if_cancelled()


def retry_after(headers: Mapping[str, str], now: datetime, *, limited: bool = True) -> float | None:
    """Return the seconds that a reply requests to wait, from the first of three headers that has them.

    ``x-ratelimit-reset`` may be in any reply; it counts only if the reply was *limited* by the rate.

    Examples:
        >>> from datetime import datetime
        >>> retry_after({"retry-after-ms": "1500"}, datetime(2026, 1, 1, tzinfo=UTC))
        1.5
        >>> retry_after({"retry-after": "Thu, 01 Jan 2026 00:00:07 GMT"}, datetime(2026, 1, 1, tzinfo=UTC))
        7.0
    """
    for name in ("retry-after-ms", "retry-after", *(("x-ratelimit-reset",) if limited else ())):
        text = (headers.get(name) or "").strip(" \t")
        number = float(text) if _NUMBER.fullmatch(text) else _until(text, now)
        if name == "retry-after-ms":
            number /= 1000
        elif name == "x-ratelimit-reset" and number > 1e9:  # noqa: PLR2004 - an instant, not a span
            number = (number / 1000 if number > 1e11 else number) - now.timestamp()  # noqa: PLR2004 - milliseconds
        if isfinite(number):
            return max(0.0, number)
    return None


def _until(date: str, now: datetime) -> float:
    """Return the seconds until an HTTP date, NaN if it is none."""
    if "_" in date or not date.isascii():
        return nan
    try:
        at = parsedate_to_datetime(date)
    except (ValueError, OverflowError, IndexError, TypeError):
        return nan
    return (at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds()


class Limiter:
    """Delays all requests to one server with one key after the server has limited one of them."""

    def __init__(self) -> None:
        self._until = 0.0
        self._lock = threading.Lock()

    def hold(self, seconds: float) -> float:
        """Let no request start for so long; return until when, by `time.monotonic`."""
        with self._lock:
            self._until = max(self._until, time.monotonic() + seconds)
            return self._until

    def remaining(self, waited: float) -> float:
        """Return the remaining wait of a request that has waited until *waited*, with jitter."""
        left = self._until - time.monotonic()
        if self._until <= waited or left <= 0:
            return 0.0
        return left + random.uniform(0, _SPREAD)  # noqa: S311 - jitter, no secret


_LIMITERS: WeakValueDictionary[str, Limiter] = WeakValueDictionary()
_LOCK = threading.Lock()


def limiter(scope: str) -> Limiter:
    """Return the limiter of *scope*, a server and a key: the same one as long as it is in use."""
    with _LOCK:
        return _LIMITERS.setdefault(scope, Limiter())
