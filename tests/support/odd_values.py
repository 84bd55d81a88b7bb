"""Odd values that records have, and what each means: what every road from records to a result agrees on."""

from __future__ import annotations

import math

NOON = "2026-07-01 12"
ERROR = "error"
TIMES = {
    "2026-07-01T12:00:00.000Z": NOON, "2026-07-01 12:00:00": NOON, "2026-07-01T12:00": NOON, "2026-07-01T12": NOON,
    "2026-07-01 12:00:00 UTC": NOON, "2026-07-01 12:00:00 GMT": NOON, "2026-07-01 14:00:00 GMT+2": NOON,
    "2026-07-01 17:30:00 GMT+5:30": NOON, "2026-07-01 12:00:00 GMT+0": NOON, "2026-07-01T12:00:00 +0000": NOON,
    "2026-07-01T07:00:00-05:00": NOON, "2026-07-01T07:00:00-0500": NOON, "2026-07-01T12:00:00,5Z": NOON,
    " 2026-07-01T12:00:00Z ": NOON, "2026-W27-3T12:00:00Z": NOON, "2026-07-01T12:00:00.123456789Z": NOON,
    "2026-06-30T24:00:00Z": "2026-07-01 00", "2026-07-01": "2026-07-01 00", "2026-W27-3": "2026-07-01 00",
    "2026-07-01t12:00:00z": NOON, "2026-07-01 12:00:00 UTC+1": "2026-07-01 11", 1782907200: NOON,
    1782907200000: NOON, 1782907200.5: NOON,
    "2026-07-01 12:00:00 BST": ERROR, "2026-07-01 12:00:00 PST": ERROR, "2026-07-01 12:00:00 CET": ERROR,
    "2026-07-01 12:00:00 IST": ERROR, "2026-07-01 12:00:00 AST": ERROR, "2026-02-30T12:00:00Z": ERROR,
    "2026-07-01T25:00:00Z": ERROR, "2026-07-01T12:60:00Z": ERROR, "2026-07-01T12:00:60Z": ERROR, "July 1": ERROR,
    "": ERROR, "2026-06-30T24:30:00Z": ERROR, "1782907200": ERROR, 1782: ERROR, 1e300: ERROR, True: ERROR,
    "2026-07-01T12:00:00Z extra": ERROR, "2026-07-01T12:00:00+99:00": ERROR, "12:00": ERROR, "infinity": ERROR,
    "2026-07-01 12:00:00 America/New_York": ERROR, "now": ERROR, "2026-07-01T12:00:00+5:3": ERROR,
}  # fmt: skip
COSTS = [
    (0.25, 0.25), (2, 2.0), (None, None), (math.nan, None), (math.inf, ERROR), (-math.inf, ERROR), (True, ERROR),
    (False, ERROR), ("0.25", ERROR), ("", ERROR), ("free", ERROR), (0, 0.0), (-1.5, -1.5), (1e20, 1e20), ([1], ERROR),
]  # fmt: skip
VARIABLES = [
    ("pro", "pro"), ("", ""), (7, "7"), (7.0, "7"), (7.5, "7.5"), (1e20, "1e+20"), (1e15, "1000000000000000"),
    (True, "true"), (False, "false"), (None, None), (math.nan, None), ({"a": 1}, '{"a":1}'), ([1, 2], "[1,2]"),
    ({"a": {"b": "ü /"}}, '{"a":{"b":"ü /"}}'), (123456789012345678, "123456789012345678"), (-0.0, "0"),
    (0.0001, "0.0001"), (1e-7, "1e-07"), ("7.0", "7.0"), (" x ", " x "), (["a"], '["a"]'), (1 << 53, str(1 << 53)),
]  # fmt: skip
