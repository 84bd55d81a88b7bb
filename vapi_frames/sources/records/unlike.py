"""Names that differ by case only: DuckDB takes them for one, so where they meet, each gets a mark of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["find_field", "mark_names", "original_name"]

_MARK = "\u241f"


def mark_names(names: Sequence[str]) -> list[str]:
    """Return *names*, of which those that differ by case only have a number, so that no two do.

    Examples:
        >>> mark_names(["plan", "id", "Plan"])
        ['plan\u241f0', 'id', 'Plan\u241f2']
    """
    spellings: dict[str, set[str]] = {}
    for name in names:
        spellings.setdefault(name.casefold(), set()).add(name)
    return [
        f"{name}{_MARK}{number}" if len(spellings[name.casefold()]) > 1 else name for number, name in enumerate(names)
    ]


def original_name(name: str) -> str:
    """Return *name* without the mark that it may have."""
    return name.partition(_MARK)[0]


def find_field(fields: Sequence[tuple[str, Any]], name: str) -> tuple[str, Any] | None:
    """Return, of the *fields* of a struct, how *name* is called there, and its type; ``None`` where it is none."""
    return next(((field, type_) for field, type_ in fields if original_name(field) == name), None)
