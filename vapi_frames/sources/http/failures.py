"""The exceptions of the HTTP libraries, which wrap each other and hold the request: their texts and their reason."""

from __future__ import annotations

__all__ = ["innermost", "texts", "without_frames"]


def _inner(failure: BaseException) -> list[BaseException]:
    """Return the exceptions that *failure* wraps: requests wraps those of urllib3, which wrap those of sockets."""
    return [part for part in (*failure.args, getattr(failure, "reason", None)) if isinstance(part, BaseException)]


def texts(failure: BaseException) -> str:
    """Return all text of *failure*, and of the exceptions around it and within it."""
    found = [failure]
    for one in found:
        found += [other for other in (one.__cause__, one.__context__, *_inner(one)) if other and other not in found]
    return "\n".join(f"{one!r} {one} {vars(one)}" for one in found)


def innermost(failure: BaseException) -> BaseException:
    """Return the exception that all others around it wrap."""
    while inner := _inner(failure):
        failure = inner[0]
    return failure


def without_frames(failure: BaseException) -> BaseException:
    """Remove what may contain the key from *failure*: the request, and the frames of the HTTP libraries."""
    found: list[BaseException] = [failure]
    for one in found:
        one.__traceback__ = None
        for name in {"request", "response", "pool", "conn"} & vars(one).keys():
            vars(one)[name] = None
        around = (one.__cause__, one.__context__, *_inner(one))
        found += [other for other in around if other is not None and other not in found]
    return failure
