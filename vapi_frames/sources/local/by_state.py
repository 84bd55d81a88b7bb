"""What a look at call records found, for as long as they do not change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ByState"]

T = TypeVar("T")

_MOST = 100  # days of an archive that queries look at together


class ByState(Generic[T]):
    """State of the records → what was found in them."""

    def __init__(self) -> None:
        self._found: dict[object, T] = {}

    def find(self, state: object, look: Callable[[], T]) -> T:
        """Return what *look* finds in records of this *state*, or found before; an unknown state is ``None``."""
        if state is None:
            return look()
        if state not in self._found:
            found = look()
            if len(self._found) >= _MOST:
                self._found = {}
            self._found[state] = found
        return self._found[state]
