"""What IPython and Jupyter offer: the columns after ``.sum("``, the groups after ``.by("``, the verbs after a dot.

Editors know all of this from the types. IPython does not look into types for what is in quotes, and would offer the
names of files. For the verbs of ``df.vapi.`` it reads the sources of pandas, which takes longer than a notebook waits.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

from vapi_frames.contract.ended_reasons import REASON_LEVELS
from vapi_frames.contract.vocabulary import GROUP_COLUMNS, MEASURES, STEPS, TABLES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["complete", "register"]

_VERBS = frozenset(
    {
        "sum()", "avg()", "mean()", "count()", "min()", "max()", "history()", "agg()", "with_counts()", "by()",
        "by_variable()", "where()", "step()", "between()", "during()", "since()", "last()", "tz()", "named()",
    }
)  # fmt: skip
_ASKED = {"by": GROUP_COLUMNS, "step": STEPS}
_SHOWN = {"rollup": ("all", *STEPS), "outcome": REASON_LEVELS}
_OF_A_MEASURE = ("wide", "plot", "share", "per_minute", "per_call")
# A verb, whatever whole arguments it has by now, and a text that has begun and is not a named argument.
_OPEN = re.compile(r"""\.\s*(\w+)\s*\((?:[^()"'=]*(?:"[^"\n]*"|'[^'\n]*'))*[^()"'=]*["']([^"'\n]*)$""")
_DOT = re.compile(r"\.\s*(\w*)$")
_CHAIN = re.compile(r"(\w+)((?:\s*\.\s*\w+(?:\(\))?)*)\s*$")
_WHOLE_NAMES = 1_000  # characters back from the verb that are looked at


def complete(text: str, names: Mapping[str, Any]) -> tuple[Sequence[str], str]:
    """Return the words that may stand in the quotes, or after the dot, that *text* ends in, and what of them is there.

    Args:
        text: The code up to the cursor.
        names: The variables that there are. Nothing is called to find out what they hold.
    """
    opened = _OPEN.search(text) or _DOT.search(text)
    if opened is None:
        return (), ""
    chain = _CHAIN.search(_without_arguments(text[max(0, opened.start() - _WHOLE_NAMES) : opened.start()]))
    if chain is None:
        return (), ""
    root, before = names.get(chain[1]), [word for word in re.split(r"[.\s]+", chain[2]) if word]
    *verb, begun = opened.groups()
    fitting = _fitting(verb[0], root, before) if verb else _following(root, before)
    return [word for word in fitting if word.startswith(begun)], begun


def _without_arguments(text: str) -> str:
    """Return the end of *text* that is one expression, with nothing between its parentheses."""
    kept: list[str] = []
    depth = 0
    for character in reversed(text):
        depth += character == ")"
        if depth == 0 and not (character.isalnum() or character in "_. \t\n"):
            break
        if depth == 0 or (depth == 1 and character in "()"):
            kept.append(character)
        depth -= character == "("
    return "".join(reversed(kept))


def _fitting(verb: str, root: Any, before: list[str]) -> Sequence[str]:
    """Return the words that *verb* takes, of *root* and the verbs before it."""
    if "vapi" in before:
        if verb in _OF_A_MEASURE and before == ["vapi"]:
            return _measures_of(root)
        return _SHOWN.get(verb, ())
    table = _table(root, before)
    if table is None:
        return ()
    operation = "avg" if verb == "mean" else verb
    columns = [one.column for one in MEASURES if one.operation == operation and table in one.tables]
    return columns or _ASKED.get(verb, ())


def _following(root: Any, before: list[str]) -> Sequence[str]:
    """Return the verbs that follow the dot, where it is clear what stands before it."""
    if before[-1:] == ["vapi"]:
        import pandas as pd

        from vapi_frames.interface.accessor import VapiAccessor

        is_frame = isinstance(root, pd.DataFrame) if len(before) == 1 else "fetch()" in before or "vapi" in before[:-1]
        return _public(VapiAccessor) if is_frame else ()
    from vapi_frames.query.query import Query

    return _public(Query) if _table(root, before) else ()


def _public(kind: type) -> list[str]:
    return [name for name in dir(kind) if not name.startswith("_")]


def _table(root: Any, before: list[str]) -> str | None:
    """Return the table that a question is about, ``None`` where it is no question."""
    from vapi_frames.query.query import Query

    starts = [at for at, word in enumerate(before) if word.endswith("()") and word[:-2] in TABLES]
    verbs = before[starts[-1] + 1 :] if starts else before
    if any(word not in _VERBS for word in verbs):
        return None
    if starts:
        return before[starts[-1]][:-2]
    return root.table if isinstance(root, Query) else None


def _measures_of(frame: Any) -> Sequence[str]:
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
    """Let the IPython that runs this process, if one does, offer the words; asked again, it does so once."""
    ipython = sys.modules.get("IPython")
    shell: Any = None if ipython is None else ipython.get_ipython()
    matchers = getattr(getattr(shell, "Completer", None), "custom_matchers", None)
    if matchers is None or any(getattr(one, "matcher_identifier", None) == __name__ for one in matchers):
        return
    from IPython.core.completer import SimpleCompletion, context_matcher

    def matcher(context: Any) -> dict[str, Any]:
        lines = context.full_text.split("\n")[: context.cursor_line]
        text = "\n".join([*lines, context.text_until_cursor])
        found, begun = complete(text, shell.user_ns)
        kind = "text" if _OPEN.search(text) else "function"
        completions = [SimpleCompletion(text=word, type=kind) for word in found]
        return {"completions": completions, "matched_fragment": begun, "ordered": True, "suppress": bool(found)}

    described: Any = context_matcher(identifier=__name__)
    matchers.append(described(matcher))
