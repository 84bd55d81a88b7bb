"""The errors for a column that records lack, or have in a spelling that cannot be told apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vapi_frames.contract.record_words import RECORD_GROUPS
from vapi_frames.contract.vocabulary import GROUP_COLUMNS
from vapi_frames.errors import RecordsError, suggest
from vapi_frames.sources.records.paths import VARIABLE_ROOTS, VARIABLES_MAP

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["check_case", "missing_column"]

_LISTED = 30  # names that a message lists


def missing_column(name: str, names: Sequence[str], *, kind: str = "column") -> RecordsError:
    """Return the error for the column or variable *name*, which a query uses and records with columns *names* lack."""
    root = VARIABLE_ROOTS[0]
    names = list(dict.fromkeys(one.replace(f"{VARIABLES_MAP}.", f"{root}.") for one in names))
    if kind == "variable" and name in names:
        line = f"columns={{'{root}.{name}': '{name}'}}"
        cure = (
            f'group by it with by("{name}")'
            if name in (*GROUP_COLUMNS, *RECORD_GROUPS)
            else f"to use it as a variable: {line}"
        )
        return RecordsError(f"{name!r} is a column of the call records and no variable; {cure}", column=name)
    near = suggest(name, [one.removeprefix(f"{root}.") for one in names])
    hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else "."
    if name == "id" and kind == "column":
        hint = (
            '; say which column has it with columns={"id": "<theirs>"}, or count a column that is never missing, as '
            '.count("cost") does.'
        )
    listed = ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")
    return RecordsError(
        f"the call records have no {kind} {name!r}, which the query uses{hint} They have: {listed}", column=name
    )


def check_case(used: str, names: Iterable[str]) -> None:
    """Raise `RecordsError` where one of *names* differs from the *used* one by case only."""
    others = sorted({name for name in names if name.casefold() == used.casefold()} - {used})
    if others:
        raise RecordsError(
            f"the call records have {others[0]!r} where the query uses {used!r}; files and structs cannot tell names "
            "apart that differ by case only: rename one",
            column=used,
        )
