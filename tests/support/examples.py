"""How many examples a property test tries."""

from __future__ import annotations

from hypothesis import settings

_USUAL = 50  # examples of a test that does not say how many; the short form tries a fifth, to be quick


def is_long():
    """Return whether this run is the long form, `pytest --long`."""
    return settings().max_examples > _USUAL


def examples(number):
    """Return the settings of a property test: *number* examples, twice as many in the long form, else fewer."""
    return settings(max_examples=max(1, number * settings().max_examples // _USUAL))
