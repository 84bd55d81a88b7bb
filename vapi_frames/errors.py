"""The tree of errors, the warnings, and the package's only "did you mean".

Each error is also the builtin that fits it. Its message says what was wrong, the value, and what would be right:

    VapiFramesError
    ├─ QueryError (ValueError)              ├─ NotInContractError   └─ UnknownWordError
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

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

__all__ = [
    "AuthenticationError",
    "BucketAlignmentError",
    "ConnectionFailedError",
    "FrameWarning",
    "MissingExtraError",
    "NonAdditiveError",
    "NotInContractError",
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
        # An exception pickles its message alone, and these constructors take more.
        return _rebuild, (type(self), str(self), self.__dict__)

    def _render_traceback_(self) -> list[str]:  # what IPython shows of an error
        from vapi_frames import display

        return display.list_user_lines(self)


class QueryError(VapiFramesError, ValueError):
    """The query itself is wrong; raised before any I/O.

    Attributes:
        findings: The findings of ``Query.lint()``, if lint found the problem.
    """

    def __init__(self, message: str, *, findings: Sequence[Any] = ()) -> None:
        super().__init__(message)
        self.findings = tuple(findings)


class NotInContractError(QueryError):
    """The API cannot run the query, because its contract lacks a part of it; call records can."""


class UnknownWordError(QueryError):
    """A word that the contract does not know.

    Attributes:
        word: The unknown word.
        kind: What it should have been, e.g. ``"column"``.
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
        needed_by: str = "",
        is_left_out: bool = False,
    ) -> None:
        words = tuple(allowed)
        self.word = word
        self.kind = kind
        if needed_by:  # the caller typed another word, or none, so there is none to correct
            self.suggestions: list[str] = []
            super().__init__(f"{needed_by} needs the {kind} {format_value(word)}, which is not there. {hint}".rstrip())
            return
        self.suggestions = suggest(word, words, synonyms=synonyms)
        place = f" at {where}" if where else ""
        message = f"no {kind} is named{place}" if is_left_out else f"unknown {kind} {format_value(word)}{place}"
        if self.suggestions:
            message += f"; did you mean {' or '.join(repr(s) for s in self.suggestions)}?"
        elif hint or len(words) <= _LIST_LIMIT:
            message += "."
        if len(words) <= _LIST_LIMIT and (isinstance(word, str) or not hint):  # of a list, the hint says it all
            message += f" Valid: {', '.join(words) or 'none'}."
        if hint:
            message += f" {hint}"
        super().__init__(message)


class RecordsError(VapiFramesError, ValueError):
    """Call records lack a column that the query uses, or cannot be read.

    Attributes:
        file: The file with the problem, if there is one.
        line: The line or the record's position, counted from 1.
        column: The column with the problem, if there is one.
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
        path: The place in the reply, as a JSON path: ``$[0].result[3].date``.
    """

    def __init__(self, message: str, *, path: str = "$") -> None:
        super().__init__(f"{path}: {message}")
        self.path = path


class BucketAlignmentError(ResponseError):
    """The dates of a reply are not bucket starts of the query's step and zone."""


class NonAdditiveError(VapiFramesError, ValueError):
    """A number cannot be re-aggregated from the numbers at hand."""


class ProvenanceError(VapiFramesError, AttributeError):
    """The frame lost its metadata, or its values no longer match it."""


class PartialResultError(VapiFramesError, RuntimeError):
    """Only a part of the result arrived.

    Attributes:
        frame: What arrived of the first incomplete query; ``None`` if nothing did.
        frames: Name → frame, for everything that arrived.
        missing: The ranges that did not arrive, as (start, end) pairs in UTC.
        rest: One query for each of them: ``vq.fetch(*error.rest)``.
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
        extra: The extra that installs it.
    """

    def __init__(self, extra: str, package: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs {package}: run  pip install 'vapi-frames[{extra}]'")
        self.extra = extra


class ReplayMissError(VapiFramesError, LookupError):
    """No recording matches the query.

    Attributes:
        nearest: The file of the nearest recording; ``None`` if there is none.
        differences: Part of the query → its value in the query and in that recording, ``None`` where it is absent.
    """

    def __init__(
        self, message: str, *, nearest: str | None = None, differences: Mapping[str, tuple[Any, Any]] | None = None
    ) -> None:
        super().__init__(message)
        self.nearest = nearest
        self.differences = dict(differences or {})


class SourceError(VapiFramesError, RuntimeError):
    """The source could not return a result."""


class ConnectionFailedError(SourceError):
    """There was no HTTP reply at all.

    Attributes:
        attempts: How many times the request was sent.
        timed_out: Whether the server accepted the connection and did not reply in time.
    """

    def __init__(self, message: str, *, attempts: int, timed_out: bool = False) -> None:
        super().__init__(message)
        self.attempts = attempts
        self.timed_out = timed_out


class StatusError(SourceError):
    """The server replied with a status other than 2xx.

    Attributes:
        status: The HTTP status.
        request_id: The server's own id of the request, if it sent one.
        body: The beginning of the reply's body as text.
    """

    def __init__(self, message: str, *, status: int, request_id: str | None = None, body: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.request_id = request_id
        self.body = body


class AuthenticationError(StatusError):
    """The server refused the key, or there is none."""


class RateLimitError(StatusError):
    """Too many requests, even after the retries.

    Attributes:
        retry_after: The seconds that the server requests to wait, if it does.
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
    """A query that is allowed but probably not what was meant."""


class FrameWarning(UserWarning):
    """A property of a frame that changes the meaning of a verb's result."""


class RecordsWarning(UserWarning):
    """A property of call records that changes the meaning of a result."""


class ResponseWarning(UserWarning):
    """A reply with more than the contract names, or with an ambiguity; a result that cannot be cached."""


_VALUE_LIMIT = 80  # characters of a value that a message repeats
_LIST_LIMIT = 20  # a longer list of valid words hides the suggestion


def _rebuild(kind: type[Exception], message: str, state: dict[str, Any]) -> Exception:
    """Unpickle an error; its constructor takes more than the message."""
    error = kind.__new__(kind, message)
    error.__dict__.update(state)
    return error


_WARNING_HANDLER: ContextVar[Callable[[str], object] | None] = ContextVar("_WARNING_HANDLER", default=None)


@contextmanager
def redirect_warnings(handler: Callable[[str], object] | None) -> Iterator[None]:
    """Call *handler* with each message of `warn` in the block, instead of showing it at a line of the caller's code.

    A server and worker threads need it: no line of the caller's code is on their stack.

    Args:
        handler: ``None`` shows warnings as usual, within another redirection, too.
    """
    token = _WARNING_HANDLER.set(handler)
    try:
        yield
    finally:
        _WARNING_HANDLER.reset(token)


def warn(message: str, category: type[Warning]) -> None:
    """Warn at the line of the caller's own code, not at a line of this package."""
    import sys
    import warnings

    handler = _WARNING_HANDLER.get()
    if handler is not None:
        handler(message)
        return

    depth, frame = 2, sys._getframe(1)  # noqa: SLF001 - inspect.currentframe, without importing inspect
    skipped = (__package__, "contextlib")  # the package's own context managers run inside contextlib
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).split(".")[0] in skipped:
        depth, frame = depth + 1, frame.f_back
    warnings.warn(message, category, stacklevel=depth)


def format_value(value: object) -> str:
    """Return the repr of *value* for a message, shortened if it is long."""
    try:
        text = repr(value if not isinstance(value, str | bytes) else value[:_VALUE_LIMIT])
    except RecursionError:
        return f"a deeply nested {type(value).__name__}"
    except Exception:  # noqa: BLE001 - the repr of an object of the user's may raise anything
        return f"an object of {type(value).__name__}"
    return text if len(text) <= _VALUE_LIMIT else f"{text[: _VALUE_LIMIT - 3]}..."


CUTOFF = 0.6
"""How alike a word must be to the one that is meant, as `difflib` has it."""
ID_CUTOFF = 0.85
"""The same for ids: random ones share many characters."""


def suggest(
    word: object, allowed: Iterable[str], *, synonyms: Mapping[str, str] | None = None, cutoff: float = CUTOFF
) -> list[str]:
    """Return up to three *allowed* words near *word*, best first.

    Args:
        word: The unknown word; only text has suggestions.
        allowed: The valid words; ``output.<name>`` is any word that begins with ``output.``.
        synonyms: Other words people type → the valid word, e.g. ``{"daily": "day"}``.
        cutoff: How alike a word must be: `CUTOFF`, or `ID_CUTOFF` for ids.

    Examples:
        >>> suggest("outputs.CSAT", ["cost", "output.<name>"])
        ['output.CSAT']
        >>> suggest("assistantid", ["assistantId", "status"])
        ['assistantId']
        >>> suggest("daily", ["day", "week"], synonyms={"daily": "day"})
        ['day']
    """
    from difflib import get_close_matches

    if not isinstance(word, str):
        return []
    allowed = tuple(allowed)
    known = {name.casefold(): name for name in reversed(allowed)}
    aliases = {name.casefold(): target for name, target in (synonyms or {}).items() if target in allowed}
    folded = word.casefold()
    squeezed = folded.replace("_", "").replace("-", "").replace(" ", "")
    exact = aliases.get(folded) or known.get(folded) or aliases.get(squeezed) or known.get(squeezed)
    if exact:
        return [exact]
    head, dot, rest = word.partition(".")
    for prefix in (name.partition(".")[0] for name in allowed if name.endswith(">")):
        if rest and (prefix in head.casefold() or get_close_matches(head.casefold(), [prefix], cutoff=0.8)):
            return [f"{prefix}{dot}{rest}"]
    near = get_close_matches(folded, known, n=3, cutoff=cutoff)
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
