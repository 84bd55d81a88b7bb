"""What is known of a column that a verb added."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["DerivedColumn"]


@dataclass(frozen=True, slots=True)
class DerivedColumn:
    """What is known of a column that a verb added.

    Attributes:
        unit: Its unit, ``""`` where it has none.
        rule: How it re-aggregates: ``sum``; ``ratio``, from its parts again; ``none``. A ``flag`` describes its row and
            is no measure.
        parts: The columns that it was made of; for a ratio, those above and below the line.
        scale: For a ratio, what it is multiplied by.
        made: How, as a word and what goes with it, e.g. ``("delta", 7)``, which `explain` puts into words; empty for a
            ratio.
    """

    unit: str
    rule: Literal["sum", "ratio", "none", "flag"]
    parts: tuple[str, ...] = ()
    scale: float = 1.0
    made: tuple[str | int, ...] = ()

    def to_list(self) -> list[Any]:
        """Return it as JSON has it, without what is as by default at the end."""
        if not self.made:
            return [self.unit, self.rule, *([self.parts, self.scale] if self.parts else [])]
        return [self.unit, self.rule, self.parts, self.scale, self.made]

    @classmethod
    def from_list(cls, values: list[Any]) -> DerivedColumn:
        """Read it back."""
        unit, rule, *more = values
        defaults: tuple[Any, ...] = ((), 1.0, ())
        parts, scale, made = [*more, *defaults[len(more) :]]
        return cls(unit, rule, tuple(parts), scale, tuple(made))
