"""Every verb on frames, and shapes of frames such that each two of their properties meet."""

from __future__ import annotations

from functools import cache

import vapi_frames as vf
from vapi_frames import analysis
from vapi_frames.analysis.success import SUCCESS


def last_level(frame):
    """Return the name of the last level, also of a flat frame; `None` where there is none."""
    return (frame.vapi.meta.levels or (None,))[-1]


VERBS = {
    "rollup": lambda f: analysis.rollup(f, step="all"),
    "rollup by": lambda f: analysis.rollup(f, by=[]),
    "rollup month": lambda f: analysis.rollup(f, step="month"),
    "fill_gaps": lambda f: analysis.fill_gaps(f, mark=True, whole=True),
    "drop_partial": analysis.drop_partial,
    "top": lambda f: analysis.top(f, 1, by="countId", of=last_level(f)),
    "top only": lambda f: analysis.top(f, 1, by="countId", of=last_level(f), other=False),
    "share": lambda f: analysis.share(f, "countId"),
    "share within": lambda f: analysis.share(f, "cost", within="date"),
    "ratio": lambda f: analysis.ratio(f, "cost", "duration"),
    "per_minute": analysis.per_minute,
    "per_call": analysis.per_call,
    "change": lambda f: analysis.change(f, whole=True),
    "outcome": lambda f: analysis.outcome(f, "fault"),
    "label": lambda f: analysis.label(f, {}, of=last_level(f)),
    "outcome_rate": analysis.outcome_rate,
    "success_rate": analysis.success_rate,
    "typical_week": lambda f: analysis.typical_week(f, "weekday", whole=True),
    "wide": lambda f: analysis.wide(f, "countId"),
}
# What a shape is without.
NEEDS = {
    "step": {"rollup month", "fill_gaps", "share within", "change", "typical_week"},
    "group": {"top", "top only", "label"},
    "endedReason": {"outcome", "outcome_rate"},
    SUCCESS: {"success_rate"},
}
CALLS = [
    {
        "id": str(i), "createdAt": f"2026-11-0{i % 3 + 1}T0{i}:30Z", "cost": None if i % 4 == 1 else i / 8,
        "startedAt": "2026-11-01T00:00Z", "endedAt": f"2026-11-01T00:0{i}Z", "endedReason": [None, "voicemail", "customer-busy"][i % 3],
        "type": ["webCall", None][i % 2], "analysis.successEvaluation": [None, "true", "false", ""][i % 4],
    }
    for i in range(9)
]  # fmt: skip
GROUPS = {"no group": (), "a group": ("endedReason",), "three groups": ("type", "endedReason", SUCCESS)}
STEPS = {"no step": None, "days": "day"}
RECORDS = {"calls": CALLS, "one call": CALLS[:1], "none": [], "no costs": [{**c, "cost": None} for c in CALLS]}
TYPES = {
    "default": {}, "numpy_nullable": {"dtype_backend": "numpy_nullable"}, "pyarrow": {"dtype_backend": "pyarrow"},
    "categorical": {"categorical": True}, "pyarrow categories": {"dtype_backend": "pyarrow", "categorical": True},
}  # fmt: skip


@cache
def open_records(records):
    """Return the source of records of that name, which nothing changes."""
    return vf.local(RECORDS[records], now="2026-11-20T00:00Z")


def ask(records="calls", step="days", groups="three groups", types="default"):
    """Return the frame of a shape, in a week in which the clock was turned."""
    query = open_records(records).call().sum("cost", "duration").count()
    query = query.avg("cost").min("cost").max("duration").with_counts().by(*GROUPS[groups]).tz("America/New_York")
    query = query.during("2026-11")
    return (query.step(STEPS[step]) if STEPS[step] else query).fetch(**TYPES[types])


def pairwise():
    """Yield shapes such that each two of their properties meet."""
    lists = list(RECORDS), list(STEPS), list(GROUPS), list(TYPES)
    wanted = {(i, a, j, b) for i in range(4) for j in range(i) for a in lists[i] for b in lists[j]}
    every = [(r, s, g, t) for r in lists[0] for s in lists[1] for g in lists[2] for t in lists[3]]
    while wanted:
        pairs = {row: {(i, row[i], j, row[j]) for i in range(4) for j in range(i)} & wanted for row in every}
        row = max(every, key=lambda row: len(pairs[row]))
        wanted -= pairs[row]
        yield row


SHAPES = list(pairwise())


def is_refused(verb, step, groups):
    """Say whether the shape lacks what the verb needs."""
    lacks = {"step"} if not STEPS[step] else set()
    lacks |= {name for name in ("endedReason", SUCCESS) if name not in GROUPS[groups]}
    lacks |= set() if GROUPS[groups] else {"group"}
    return any(verb in NEEDS[name] for name in lacks)
