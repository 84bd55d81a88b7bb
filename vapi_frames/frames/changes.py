"""What was done to the values of a column, as far as the values show it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    Numbers = npt.NDArray[Any]

__all__ = ["describe_change", "likely_step"]

_NOISE = 1e-12  # relative: of arithmetic in binary


def describe_change(name: str, before: Numbers, after: Numbers, is_equal: npt.NDArray[np.bool_], row: str) -> str:
    """Return what is wrong with a column, and what to do.

    Args:
        name: The column.
        before: Its values as they were fetched.
        after: Its values now.
        is_equal: Where they are equal.
        row: The first row where they are not, as text.
    """
    place = int(np.argmin(is_equal))
    some = f"{int((~is_equal).sum()):,} of {len(after):,} changed, e.g. from" if len(after) > 1 else "it changed from"
    where = f" at {row}" if row else ""
    step = likely_step(before, after, is_equal)
    cause = f", as {step} does" if step else ": arithmetic, fillna or pct_change keeps df.attrs but not what they mean"
    cure = "round after the last verb" if step.startswith("round") else "put results into a new column, df.assign(...)"
    return (
        f"the values of {name!r} are not those that were fetched: {some} {_show(before[place], after[place])} to "
        f"{_show(after[place], before[place])}{where}{cause}; {cure}"
    )


def _show(value: Any, other: Any) -> str:
    """Return *value* with as many digits as tell it from the *other* one."""
    return "missing" if np.isnan(value) else next(t for n in (6, 9, 17) if (t := f"{value:.{n}g}") != f"{other:.{n}g}")


def likely_step(before: Numbers, after: Numbers, is_equal: npt.NDArray[np.bool_]) -> str:
    """Return the step of pandas that makes *after* of *before*, ``""`` where none is recognized.

    Examples:
        >>> likely_step(np.array([0.123, 0.5]), np.array([0.12, 0.5]), np.array([False, True]))
        'round(2)'
    """
    old, new = before.astype(np.float64), after.astype(np.float64)
    if np.isnan(old[~is_equal]).all():
        return "fillna"
    with np.errstate(all="ignore"):
        return next(_steps(old, new), "")


def _steps(old: Numbers, new: Numbers) -> Iterator[str]:
    if len(old) > 1 and (_is_same(old[:-1], new[1:]) or _is_same(old[1:], new[:-1])):
        yield "shift"
    is_there = ~np.isnan(old)
    if not np.array_equal(is_there, ~np.isnan(new)):
        return
    a, b = old[is_there], new[is_there]
    factors = b[a != 0] / a[a != 0]
    is_scaled = len(factors) > 1 and not b[a == 0].any() and abs(factors[0] - 1) > _NOISE
    if is_scaled and np.allclose(factors, factors[0], _NOISE, 0):
        yield f"a multiplication by {factors[0]:.6g}"
    for decimals in range(9):
        if np.array_equal(np.round(a, decimals), b):
            yield f"round({decimals})"
    if np.array_equal(a.astype(np.float32), b):
        yield 'astype("float32")'
    if len(a) > 1 and np.allclose(b - a, b[0] - a[0], 1e-9, 0):
        yield f"an addition of {b[0] - a[0]:.6g}"
    if len(a) > 1 and np.allclose(np.cumsum(a), b, _NOISE, 0):
        yield "cumsum"
    if np.array_equal(np.sort(a), np.sort(b)):
        yield "another order of the values"


def _is_same(left: Numbers, right: Numbers) -> bool:
    return bool(((left == right) | (np.isnan(left) & np.isnan(right))).all())
