"""How many examples a property test tries."""

from __future__ import annotations

from hypothesis import settings

FORMS = {"short": 10, "long": 30, "brief": 5}  # form of a run -> examples of a test that does not say how many


def is_long():
    """Return whether this run is the long form, `pytest --long`."""
    return settings().max_examples >= FORMS["long"]


def examples(number):
    """Return the settings of a property test: *number* examples in the long form, and fewer in the others."""
    return settings(max_examples=max(1, number * settings().max_examples // FORMS["long"]))
