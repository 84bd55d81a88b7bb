"""Read a query and the verbs of its frame from text."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from vapi_frames.errors import QueryError
from vapi_frames.interface.verbs import Verbs
from vapi_frames.query import parse

if TYPE_CHECKING:
    from vapi_frames.query.parse import FrameVerb
    from vapi_frames.query.query import Query

__all__ = ["FRAME_VERBS", "parse_chain", "parse_chains"]

# The verbs that make a frame of a frame, and read nothing else.
FRAME_VERBS = (
    "rollup", "fill_gaps", "drop_partial", "top", "share", "ratio", "per_minute", "per_call", "success_rate", "change",
    "outcome", "outcome_rate", "label", "reconcile", "typical_week", "wide", "with_units",
)  # fmt: skip


def parse_chain(text: str) -> tuple[Query[Any], tuple[FrameVerb, ...]]:
    """Read a query and the verbs of its frame from *text*; nothing is evaluated.

    Args:
        text: Code as `parse` reads it, and the verbs of ``.vapi`` after it, if any, each with literals as arguments.

    Returns:
        The query, without a source, and the verbs in their order.

    Raises:
        QueryError: It is anything else; the message has the position.
        UnknownWordError: There is no such verb, or a verb does not know a word.

    Examples:
        >>> query, verbs = parse_chain('vq.call().sum("cost").step("day").last("30d").vapi.rollup("week")')
        >>> query
        vq.call().sum("cost").step("day").last("30d")
        >>> [str(verb) for verb in verbs]
        [".vapi.rollup('week')"]
    """
    found = parse_chains(text)
    if len(found) > 1:
        raise QueryError(f"the text has {len(found)} queries; one is read at a time")
    return found[0]


def parse_chains(text: str) -> list[tuple[Query[Any], tuple[FrameVerb, ...]]]:
    """Read the queries of *text*, each with the verbs of its frame: code, or the JSON body of a request."""
    return parse.parse_chains(text, {name: _signature(name) for name in FRAME_VERBS})


def _signature(verb: str) -> inspect.Signature:
    """Return the signature of a *verb* as it is called on a frame."""
    signature = inspect.signature(getattr(Verbs, verb))
    return signature.replace(parameters=list(signature.parameters.values())[1:])
