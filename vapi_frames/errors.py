"""What can go wrong, as a tree; the only "did you mean" of the package.

Each class is also the builtin that a caller would guess, and every message says what was wrong, the value, and what
would be right::

    VapiFramesError
    ├─ QueryError (ValueError)              └─ UnknownWordError
    ├─ RecordsError (ValueError)
    ├─ ResponseError (ValueError)           └─ BucketAlignmentError
    ├─ NonAdditiveError (ValueError)
    ├─ ProvenanceError (AttributeError)
    ├─ PartialResultError (RuntimeError)
    ├─ MissingExtraError (ImportError)
    ├─ ReplayMissError (LookupError)
    └─ SourceError (RuntimeError)
       ├─ ConnectionFailedError
       └─ StatusError                       ├─ AuthenticationError   └─ RateLimitError
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

__all__ = [
    "AuthenticationError",
    "BucketAlignmentError",
    "ConnectionFailedError",
    "FrameWarning",
    "MissingExtraError",
    "NonAdditiveError",
    "PartialResultError",
    "ProvenanceError",
    "QueryError",
    "QueryWarning",
    "RateLimitError",
    "RecordsError",
    "RecordsWarning",
    "ReplayMissError",
    "ResponseError",
    "ResponseWarning",
    "SourceError",
    "StatusError",
    "UnknownWordError",
    "VapiFramesError",
]


class VapiFramesError(Exception):
    """Every error that this package raises on purpose.

    Examples:
        >>> import vapi_frames as vf
        >>> try:
        ...     vf.vq.call().sum("costs")
        ... except vf.VapiFramesError as error:
        ...     isinstance(error, ValueError), error.suggestions
        (True, ['cost'])
    """

    def __reduce__(self) -> tuple[Any, ...]:
        # The constructors take more than the message, which is all that an exception keeps for pickling.
        return _rebuild, (type(self), str(self), self.__dict__)


class QueryError(VapiFramesError, ValueError):
    """The question itself is wrong; raised before any I/O.

    Attributes:
        findings: What ``Query.lint()`` says about it, where lint found it.
    """

    def __init__(self, message: str, *, findings: Sequence[Any] = ()) -> None:
        super().__init__(message)
        self.findings = tuple(findings)


class UnknownWordError(QueryError):
    """A word that the contract does not know.

    Attributes:
        word: The word as given.
        kind: What it was taken for, e.g. ``"column"``.
        suggestions: The nearest valid words, best first.
    """

    def __init__(
        self,
        word: object,
        kind: str,
        allowed: Iterable[str],
        *,
        synonyms: Mapping[str, str] | None = None,
        where: str = "",
        hint: str = "",
    ) -> None:
        words = tuple(allowed)
        self.word = word
        self.kind = kind
        self.suggestions = suggest(word, words, synonyms=synonyms)
        place = f" at {where}" if where else ""
        message = f"unknown {kind} {word!r}{place}"
        if self.suggestions:
            message += f"; did you mean {' or '.join(repr(s) for s in self.suggestions)}?"
        elif hint or len(words) <= _LISTED:
            message += "."
        if len(words) <= _LISTED:
            message += f" Valid: {', '.join(words) or 'none'}."
        if hint:
            message += f" {hint}"
        super().__init__(message)


class RecordsError(VapiFramesError, ValueError):
    """Call records lack a column that the question uses, or cannot be read.

    Attributes:
        file: The file, where one is to blame.
        line: The line or the record's position, counted from 1.
        column: The column, where one is to blame.
    """

    def __init__(
        self, message: str, *, file: str | None = None, line: int | None = None, column: str | None = None
    ) -> None:
        super().__init__(message)
        self.file = file
        self.line = line
        self.column = column


class ResponseError(VapiFramesError, ValueError):
    """A reply breaks the contract.

    Attributes:
        path: Where in the reply, as JSON path: ``$[0].result[3].date``.
    """

    def __init__(self, message: str, *, path: str = "$") -> None:
        super().__init__(f"{path}: {message}")
        self.path = path


class BucketAlignmentError(ResponseError):
    """The dates of a reply fit no reading of the asked step and zone."""


class NonAdditiveError(VapiFramesError, ValueError):
    """This number cannot be re-aggregated from what the frame holds."""


class ProvenanceError(VapiFramesError, AttributeError):
    """The frame lost, or no longer matches, what the verb needs to know about it."""


class PartialResultError(VapiFramesError, RuntimeError):
    """Only a part of the answer arrived.

    Attributes:
        frame: The part that did, of the first question that is not whole; ``None`` where nothing of it did.
        frames: Name → frame, of all that did, where several questions were asked.
        missing: The ranges that did not arrive, as (start, end) pairs in UTC.
        rest: For each of them, the question for it: ``vq.fetch(*error.rest)``.
    """

    def __init__(
        self,
        message: str,
        *,
        frame: Any,
        missing: Sequence[Any],
        rest: Sequence[Any],
        frames: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.frame = frame
        self.frames = dict(frames or {})
        self.missing = tuple(missing)
        self.rest = tuple(rest)


class MissingExtraError(VapiFramesError, ImportError):
    """An optional dependency is not installed.

    Attributes:
        extra: The extra that brings it.
    """

    def __init__(self, extra: str, package: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs {package}: run  pip install 'vapi-frames[{extra}]'")
        self.extra = extra


class ReplayMissError(VapiFramesError, LookupError):
    """No recording answers this question.

    Attributes:
        nearest: The file of the nearest recording; ``None`` where there is none.
        differences: What differs from it: word of the question → as asked and as recorded, ``None`` for a word that
            is not said.
    """

    def __init__(
        self, message: str, *, nearest: str | None = None, differences: Mapping[str, tuple[Any, Any]] | None = None
    ) -> None:
        super().__init__(message)
        self.nearest = nearest
        self.differences = dict(differences or {})


class SourceError(VapiFramesError, RuntimeError):
    """Whoever was asked could not answer."""


class ConnectionFailedError(SourceError):
    """There was no HTTP reply at all.

    Attributes:
        attempts: How often it was tried.
        timed_out: Whether there was a connection, and the reply did not come in time.
    """

    def __init__(self, message: str, *, attempts: int, timed_out: bool = False) -> None:
        super().__init__(message)
        self.attempts = attempts
        self.timed_out = timed_out


class StatusError(SourceError):
    """The server replied with a status other than 2xx.

    Attributes:
        status: The HTTP status.
        request_id: The server's own id of the request, where it gave one.
        body: The beginning of the reply's body as text.
    """

    def __init__(self, message: str, *, status: int, request_id: str | None = None, body: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.request_id = request_id
        self.body = body


class AuthenticationError(StatusError):
    """The key was refused, or there is none."""


class RateLimitError(StatusError):
    """Too many requests, also after the retries.

    Attributes:
        retry_after: Seconds the server asked to wait, where it said so.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        request_id: str | None = None,
        body: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, status=status, request_id=request_id, body=body)
        self.retry_after = retry_after


class QueryWarning(UserWarning):
    """A question that is allowed but probably not what was meant."""


class FrameWarning(UserWarning):
    """Something about a frame that changes how the result of a verb reads."""


class RecordsWarning(UserWarning):
    """Something about call records that changes how an answer reads."""


class ResponseWarning(UserWarning):
    """A reply that holds more than the contract names, or leaves something open; an answer that cannot be kept."""


_SHOWN = 80  # characters of a value that a message repeats
_LISTED = 20  # a longer list of valid words hides the suggestion


def _rebuild(kind: type[Exception], message: str, state: dict[str, Any]) -> Exception:
    """Unpickle an error whose constructor does not take its message."""
    error = kind.__new__(kind, message)
    error.__dict__.update(state)
    return error


warning_handler: ContextVar[Callable[[str], object] | None] = ContextVar("warning_handler", default=None)
"""Who hears a warning where there is no line of a caller's to show it at: a server, whose clients ask from afar."""


def warn(message: str, category: type[Warning]) -> None:
    """Warn at the line of the caller's own code, however deep in the package the reason was found."""
    import sys
    import warnings

    hearer = warning_handler.get()
    if hearer is not None:
        hearer(message)
        return

    depth, frame = 2, sys._getframe(1)  # noqa: SLF001 - inspect.currentframe, without importing inspect
    passed = (__package__, "contextlib")  # through which the package's own context managers run
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).split(".")[0] in passed:
        depth, frame = depth + 1, frame.f_back
    warnings.warn(message, category, stacklevel=depth)


def format_value(value: object) -> str:
    """Return the repr of *value* for a message, cut where it is long."""
    try:
        text = repr(value if not isinstance(value, str | bytes) else value[:_SHOWN])
    except RecursionError:
        return f"a deeply nested {type(value).__name__}"
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def suggest(word: object, allowed: Iterable[str], *, synonyms: Mapping[str, str] | None = None) -> list[str]:
    """Return up to three *allowed* words near *word*, best first.

    Args:
        word: What was given; anything but text has no neighbors.
        allowed: The valid words.
        synonyms: Words people use instead → the valid word, e.g. ``{"daily": "day"}``.

    Examples:
        >>> suggest("assistantid", ["assistantId", "status"])
        ['assistantId']
        >>> suggest("daily", ["day", "week"], synonyms={"daily": "day"})
        ['day']
    """
    from difflib import get_close_matches

    if not isinstance(word, str):
        return []
    known = {name.casefold(): name for name in reversed(tuple(allowed))}
    spoken = {name.casefold(): target for name, target in (synonyms or {}).items()}
    folded = word.casefold()
    squeezed = folded.replace("_", "").replace("-", "").replace(" ", "")
    exact = spoken.get(folded) or known.get(folded) or spoken.get(squeezed) or known.get(squeezed)
    if exact:
        return [exact]
    near = get_close_matches(folded, known, n=3, cutoff=0.6)
    tails = [name for name in known if folded and name.rsplit(".", 1)[-1] == folded]
    return [known[name] for name in dict.fromkeys([*tails, *near])][:3]


def require(
    word: Any,
    allowed: Iterable[str],
    kind: str,
    *,
    synonyms: Mapping[str, str] | None = None,
    where: str = "",
    hint: str = "",
) -> None:
    """Raise `UnknownWordError` unless *word* is one of *allowed*."""
    words = tuple(allowed)
    if not isinstance(word, str) or word not in words:
        raise UnknownWordError(word, kind, words, synonyms=synonyms, where=where, hint=hint)
