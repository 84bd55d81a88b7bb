"""Verbs on a result frame of a million rows, and the cost of a frame's provenance in pandas' own steps."""

from __future__ import annotations

import functools
import json
import timeit
from datetime import timedelta

import numpy as np
import pandas as pd

import vapi_frames as vf
from tests.benchmarks.replies import build_query, reply
from tests.benchmarks.timing import OURS, Case, Row
from vapi_frames.contract.ended_reasons import classify_at_level

BY_HAND = "plain pandas by hand"
MARK = 1.2
_DAY = timedelta(days=1)
_WIRE = "%Y-%m-%dT%H:%M:%S.000Z"


@functools.lru_cache(2)
def result_frame(rows, seed, kept=1.0):
    """Return a frame by hour, assistant and ended reason; *kept* is the share of its rows that have calls."""
    [whole] = json.loads(reply(rows, seed))
    found = whole["result"]
    if kept < 1:
        chosen = np.random.default_rng(seed).random(len(found)) < kept
        found = [row for row, is_there in zip(found, chosen, strict=True) if is_there]
    query = vf.vq.call().sum("cost").count().by("assistantId", "endedReason").step("hour")
    span = build_query(rows).time_range
    result = [{key: value for key, value in row.items() if key != "avgDuration"} for row in found]
    # Objects, because text of a million rows is more than a reply may be.
    return vf.to_frame([{**whole, "result": result}], query.between(span.start, span.end).named("q"))


def bare(frame):
    """Return a copy of *frame* without provenance."""
    plain = frame.copy()
    plain.attrs = {}
    return plain


def rollup(rows, seed):
    """Return the case of adding up hours and reasons to days by assistant."""
    frame = result_frame(rows, seed)
    plain = bare(frame)

    def by_hand():
        flat = plain.reset_index()
        flat["date"] = flat["date"].dt.normalize()
        return flat.groupby(["date", "assistantId"])[["sumCost", "countId"]].sum()

    return Case(
        f"rollup of {rows:,} rows",
        {OURS: lambda: frame.vapi.rollup("day", "assistantId"), BY_HAND: by_hand},
        {BY_HAND: MARK},
        _total,
    )


def fill(rows, seed):
    """Return the case of filling a frame that lacks a tenth of its rows."""
    frame = result_frame(rows, seed, 0.9)
    plain = bare(frame)
    meta = frame.vapi.meta

    def by_hand():
        hours = pd.date_range(meta.start, meta.end, freq="h", inclusive="left", name="date")
        groups = plain.index.droplevel("date").unique()
        codes = [np.repeat(np.arange(len(hours)), len(groups)), *(np.tile(code, len(hours)) for code in groups.codes)]
        whole = pd.MultiIndex([hours, *groups.levels], codes, names=plain.index.names)
        return plain.reindex(whole, fill_value=0).sort_index()

    return Case(
        f"fill_gaps of {rows:,} rows", {OURS: lambda: frame.vapi.fill_gaps(), BY_HAND: by_hand}, {BY_HAND: MARK}, _total
    )


def share(rows, seed):
    """Return the case of computing each row's share of its hour."""
    frame = result_frame(rows, seed)
    plain = bare(frame)

    def by_hand():
        total = plain.groupby(level="date")["sumCost"].transform("sum")
        return plain.assign(sumCostShare=plain["sumCost"] / total.where(total != 0))

    return Case(
        f"share of {rows:,} rows", {OURS: lambda: frame.vapi.share("cost", within="date"), BY_HAND: by_hand},
        {BY_HAND: MARK}, lambda found: found["sumCostShare"].sum(),
    )  # fmt: skip


def outcome(rows, seed):
    """Return the case of adding up ended reasons to outcomes."""
    frame = result_frame(rows, seed)
    plain = bare(frame)
    families = {reason: classify_at_level(reason, "outcome") for reason in frame.index.levels[2]}

    def by_hand():
        flat = plain.reset_index()
        flat["outcome"] = flat["endedReason"].map(families)
        return flat.groupby(["date", "assistantId", "outcome"])[["sumCost", "countId"]].sum()

    return Case(
        f"outcome of {rows:,} rows", {OURS: lambda: frame.vapi.outcome(), BY_HAND: by_hand}, {BY_HAND: MARK}, _total
    )


def compare(rows, seed):
    """Return the case of comparing the last half of the range with the half before; both are fetched already."""
    frame = result_frame(rows, seed, 0.9)
    meta = frame.vapi.meta
    length = (meta.end - meta.start) // (2 * _DAY) * _DAY
    middle = meta.start + length
    query = meta.query.between(middle, middle + length)
    comparison = query.compare("previous")
    periods = comparison.periods(meta.end)
    present, before = (_only(frame, query.between(start, start + length)) for start in (middle, meta.start))
    now, then = bare(present), bare(before)

    def ours():
        from vapi_frames.frames.side_by_side import compare_frames

        return compare_frames(present, before, comparison, periods)

    def by_hand():
        moved = then.reset_index()
        moved["date"] += length
        both = now.join(moved.set_index(now.index.names), how="outer", rsuffix="Before").fillna(0)
        for name in ("sumCost", "countId"):
            both[f"{name}Delta"] = both[name] - both[f"{name}Before"]
            both[f"{name}Percent"] = (
                100 * both[f"{name}Delta"] / both[f"{name}Before"].where(both[f"{name}Before"] != 0)
            )
        return both

    return Case(
        f"compare of {len(now):,} rows with {len(then):,}", {OURS: ours, BY_HAND: by_hand}, {BY_HAND: MARK},
        lambda found: found["sumCostDelta"].sum() + found["countIdBefore"].sum(),
    )  # fmt: skip


def _only(frame, query):
    """Return the part of a result that lies in the range of *query*, as the result of that query."""
    low, high = (side.strftime(_WIRE) for side in (query.time_range.start, query.time_range.end))
    flat = frame.reset_index()
    flat["date"] = flat["date"].dt.strftime(_WIRE)
    rows = flat[(flat["date"] >= low) & (flat["date"] < high)].to_dict("records")
    span = {"step": "hour", "start": low, "end": high, "timezone": "UTC"}
    return vf.to_frame([{"name": "q", "timeRange": span, "result": rows}], query.named("q"))


def _total(found):
    return found["sumCost"].sum() + found["countId"].sum()


CASES = {"rollup": rollup, "fill_gaps": fill, "share": share, "compare": compare, "outcome": outcome}


def attributes(seed):
    """Yield the time of taking a column or the first rows, on a frame with provenance against one without."""
    frame = result_frame(10_000, seed)
    plain = bare(frame)
    for said, look in (('df["x"]', lambda one: one["sumCost"]), ("df.head()", lambda one: one.head())):
        seconds = {True: [], False: []}
        for _ in range(15):
            for knows, one in ((True, frame), (False, plain)):
                seconds[knows].append(timeit.timeit(functools.partial(look, one), number=500) / 500)
        ours, theirs = (min(seconds[knows]) for knows in (True, False))
        yield Row(
            f"{said} on a result frame",
            "without attrs",
            ours / theirs,
            1.5,
            f"{ours * 1e6:.0f} µs / {theirs * 1e6:.0f} µs",
        )


def ten_verbs():
    """Build a query of ten verbs, and return its body."""
    query = vf.vq.call().sum("cost").avg("duration").count().max("cost").by("assistantId", "endedReason")
    return query.by_variable("plan").step("day").last("30d").tz("America/New_York").named("spend").body()


def compiling():
    """Yield the microseconds that it takes to build and compile a query of ten verbs."""
    ten_verbs()
    best = min(timeit.repeat(ten_verbs, number=200, repeat=25)) / 200 * 1e6
    yield Row("building and compiling a query of ten verbs", "", best, 100, "best of 25", "µs")


def rows(seed, count, rounds):
    """Yield the rows of the table."""
    yield from compiling()
    for case in CASES.values():
        yield from case(count, seed).rows(rounds)
    yield from attributes(seed)
