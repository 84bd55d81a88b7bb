"""What an unknown attribute of ``df.vapi`` was meant to be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from vapi_frames.display import UnknownAttributeError
from vapi_frames.errors import suggest

__all__ = ["UnknownNames"]

_SYNONYMS = {
    "groupby": "rollup", "group_by": "rollup", "resample": "rollup", "nlargest": "top", "head_by": "top",
    "fillna": "fill_gaps", "asfreq": "fill_gaps", "pct_change": "change", "diff": "change", "rename": "label",
    "pivot": "wide", "unstack": "wide", "to_html": "style", "info": "meta", "calls": "drill", "records": "drill",
    "summary": "describe", "unit": "units", "names": "label", "week": "typical_week",
}  # fmt: skip


class UnknownNames:
    """Answers for each attribute that ``df.vapi`` does not have, with what to type instead."""

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if hasattr(type(self), name):  # a property that refuses the frame with an AttributeError of ours
                return object.__getattribute__(self, name)
            raise UnknownAttributeError(f"df.vapi has no {name!r}{_suggest(name, type(self))}", name=name, obj=self)


def _suggest(name: str, kind: type) -> str:
    if name.startswith("_"):
        return ""
    from vapi_frames.query.builder import VERBS  # importing the package does not need the builder

    near = suggest(name, [word for word in dir(kind) if not word.startswith("_")], synonyms=_SYNONYMS)
    is_close = bool(near) and (name in _SYNONYMS or not hasattr(pd.DataFrame, name))
    if name in VERBS and name not in _SYNONYMS:
        return f"; it is a verb of a query, before .fetch(): vq.call().{name}(...)"
    if is_close:
        call = "" if isinstance(getattr(kind, near[0]), property) else "()"
        return f"; did you mean df.vapi.{near[0]}{call}?"
    return f"; the frame has it: df.{name}" if hasattr(pd.DataFrame, name) else ""
