"""Completion in IPython and Jupyter: columns after ``.sum("``, groups after ``.by("``, verbs after a dot.

Editors complete all of this from the types. IPython ignores the types of what is in quotes, and completes file names.
For ``df.vapi.`` it reads the sources of pandas, which takes longer than a notebook waits.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

from vapi_frames.contract.ended_reasons import REASON_LEVELS
from vapi_frames.contract.record_words import RECORD_GROUPS
from vapi_frames.contract.vocabulary import (
    GROUP_COLUMNS,
    MEASURES,
    RECORD_MEASURES,
    RECORD_OPERATIONS,
    STEPS,
    TABLES,
)
from vapi_frames.query.drill import DRILL_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["complete", "register"]

_GROUPS = (*GROUP_COLUMNS, *RECORD_GROUPS)
_MEASURES = (*MEASURES, *RECORD_MEASURES)
_RECORD_WORDS = tuple(dict.fromkeys((*DRILL_COLUMNS, *_GROUPS)))
_PERIODS = ("previous", "7d", "4w", "1mo", "1y")  # the first is a word, and the others show what a span looks like
_QUERY_WORDS = {"by": _GROUPS, "where": _GROUPS, "step": STEPS, "drill": _RECORD_WORDS, "compare": _PERIODS}
_FRAME_WORDS = {
    "rollup": ("all", *STEPS), "outcome": REASON_LEVELS, "typical_week": ("weekday", "hour", "open"),
    "drill": _RECORD_WORDS,
}  # fmt: skip
_MEASURE_VERBS = ("wide", "plot", "share", "ratio", "top", "per_minute", "per_call", "explain")
# A verb, its complete arguments, and text that has started and is no keyword argument.
_OPEN_TEXT = re.compile(r"""\.\s*(\w+)\s*\((?:[^()"'=]*(?:"[^"\n]*"|'[^'\n]*'))*[^()"'=]*["']([^"'\n]*)$""")
_OPEN_RANKING = re.compile(r"""\.\s*(top)\s*\([^()"']*\bby\s*=\s*["']([^"'\n]*)$""")
_AFTER_DOT = re.compile(r"\.\s*(\w*)$")
_CHAIN = re.compile(r"(\w+)((?:\s*\.\s*\w+(?:\(\))?)*)\s*$")
_LOOK_BACK = 1_000  # characters before the verb


def complete(text: str, names: Mapping[str, Any]) -> tuple[Sequence[str], str]:
    """Return the words that complete *text*, in quotes or after a dot, and the part of them that is typed already.

    Args:
        text: The code up to the cursor.
        names: The variables of the session; none of them is called.
    """
    opened = _OPEN_TEXT.search(text) or _OPEN_RANKING.search(text) or _AFTER_DOT.search(text)
    if opened is None:
        return (), ""
    chain = _CHAIN.search(_strip_arguments(text[max(0, opened.start() - _LOOK_BACK) : opened.start()]))
    if chain is None:
        return (), ""
    root, before = names.get(chain[1]), [word for word in re.split(r"[.\s]+", chain[2]) if word]
    *verb, typed = opened.groups()
    words = _list_arguments(verb[0], root, before) if verb else _list_attributes(root, before)
    return [word for word in words if word.startswith(typed)], typed


def _strip_arguments(text: str) -> str:
    """Return the expression at the end of *text*, with its parentheses emptied."""
    characters: list[str] = []
    depth = 0
    for character in reversed(text):
        depth += character == ")"
        if depth == 0 and not (character.isalnum() or character in "_. \t\n"):
            break
        if depth == 0 or (depth == 1 and character in "()"):
            characters.append(character)
        depth -= character == "("
    return "".join(reversed(characters))


def _list_arguments(verb: str, root: Any, before: list[str]) -> Sequence[str]:
    """Return the words that *verb* accepts after *root* and the verbs *before* it."""
    if "vapi" in before:
        if verb in _MEASURE_VERBS and before == ["vapi"]:
            return _list_measures(root)
        return _FRAME_WORDS.get(verb, ())
    table = _find_table(root, before)
    if table is None:
        return ()
    operation = "avg" if verb == "mean" else verb
    columns: list[str] = [one.column for one in _MEASURES if one.operation == operation and table in one.tables]
    if verb in RECORD_OPERATIONS:
        columns = [one.column for one in _MEASURES if one.operation == "avg" and table in one.tables]
        columns = [*_GROUPS] if verb == "nunique" else [one for one in columns if one != "concurrency"]
    return columns or _QUERY_WORDS.get(verb, ())


def _list_attributes(root: Any, before: list[str]) -> Sequence[str]:
    """Return the attributes after the dot, if the type of the expression before it is known."""
    if before[-1:] == ["vapi"]:
        import pandas as pd

        from vapi_frames.interface.accessor import VapiAccessor

        is_frame = isinstance(root, pd.DataFrame) if len(before) == 1 else "fetch()" in before or "vapi" in before[:-1]
        return _list_public(VapiAccessor) if is_frame else ()
    from vapi_frames.query.query import Query

    return _list_public(Query) if _find_table(root, before) else ()


def _list_public(kind: type) -> list[str]:
    return [name for name in dir(kind) if not name.startswith("_")]


def _find_table(root: Any, before: list[str]) -> str | None:
    """Return the table of a query, ``None`` if the expression is no query."""
    from vapi_frames.query.builder import VERBS
    from vapi_frames.query.query import Query

    starts = [at for at, word in enumerate(before) if word.endswith("()") and word[:-2] in TABLES]
    verbs = before[starts[-1] + 1 :] if starts else before
    if not {f"{verb}()" for verb in VERBS}.issuperset(verbs):
        return None
    if starts:
        return before[starts[-1]][:-2]
    return root.table if isinstance(root, Query) else None


def _list_measures(frame: Any) -> Sequence[str]:
    import pandas as pd

    from vapi_frames.errors import VapiFramesError
    from vapi_frames.frames.meta import read_meta

    if not isinstance(frame, pd.DataFrame):
        return ()
    try:
        return [name for name in read_meta(frame).all_units() if name in frame.columns]
    except VapiFramesError:
        return ()


def register() -> None:
    """Add the completions to the IPython that runs this process, if one does; only the first call adds them."""
    ipython = sys.modules.get("IPython")
    shell: Any = None if ipython is None else ipython.get_ipython()
    matchers = getattr(getattr(shell, "Completer", None), "custom_matchers", None)
    if matchers is None or any(getattr(one, "matcher_identifier", None) == __name__ for one in matchers):
        return
    from IPython.core.completer import SimpleCompletion, context_matcher

    def matcher(context: Any) -> dict[str, Any]:
        lines = context.full_text.split("\n")[: context.cursor_line]
        text = "\n".join([*lines, context.text_until_cursor])
        words, typed = complete(text, shell.user_ns)
        kind = "text" if _OPEN_TEXT.search(text) or _OPEN_RANKING.search(text) else "function"
        completions = [SimpleCompletion(text=word, type=kind) for word in words]
        return {"completions": completions, "matched_fragment": typed, "ordered": True, "suppress": bool(words)}

    described: Any = context_matcher(identifier=__name__)
    matchers.append(described(matcher))
