"""How many examples a property test tries."""

from __future__ import annotations

from hypothesis import settings

_SHORT = 50  # examples of a test in the short form, where it does not say how many


def is_long():
    """Return whether this run is the long form, `pytest --long`."""
    return not settings().derandomize


def examples(number):
    """Return the settings of a property test: *number* examples, more in the long form and fewer in the brief one."""
    return settings(max_examples=max(1, number * settings().max_examples // _SHORT))
