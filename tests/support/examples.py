"""How many examples a property test tries."""

from __future__ import annotations

from hypothesis import settings


def is_long():
    """Return whether this run is the long form, `pytest --long`."""
    return not settings().derandomize


def examples(number):
    """Return the settings of a property test: *number* examples, five times as many in the long form."""
    return settings(max_examples=number * (5 if is_long() else 1))
