"""What people ask an assistant: each with the right query and its number by plain loops, and with tempting wrong ones."""

from __future__ import annotations

import statistics
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.cli.assistant_numbers import (
    NOW,
    change,
    costs,
    day,
    durations,
    each,
    fault,
    find,
    find_peak,
    load_calls,
    outcome,
    quantile,
    rate,
    shares,
    split,
    success_rate,
    top,
    week,
    weekday,
    weeks_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

OCTOBER = '.during("2026-10")'
NOVEMBER = '.during("2026-11")'
RECEPTION = "3f0c6a52-8d1e-4b7a-9a64-1f5be07c2d10"
NEW_YORK = "America/New_York"
OUTAGE = '.between("2026-10-21T14:00", "2026-10-21T17:00").tz("America/New_York")'
_DAY = timedelta(days=1)

# What a result says of itself, or a plan.
NO_ROW_IS_THE_WHOLE = "none is the whole"
MINUTES = "minutes, not seconds"
SPARSE = "a bucket without calls has no row"
FILTERED = "of the calls that match the filter"
NO_RANGE = "no range is named"
NO_ZONE = "no zone is named"


class Question(NamedTuple):
    """One question.

    Attributes:
        text: The words of the person.
        query: The right query.
        numbers: The calls → the last column of its rows.
        tempting: Wrong query → what refuses or warns of it, in `check` and in `ask`.
    """

    text: str
    query: str
    numbers: Callable[[], list[Any]]
    tempting: dict[str, str]


COUNT, COST, BOTH = "vq.call().count()", 'vq.call().sum("cost")', 'vq.call().sum("cost").sum("duration")'
LENGTH = 'vq.call().avg("duration")'

QUESTIONS = [
    Question(
        "How many calls did we have in October?", f"{COUNT}{OCTOBER}", lambda: [len(find())],
        {
            'vq.call().count().between("2026-10-01", "2026-10-31")': "VF202",
            "vq.call().count()": NO_RANGE,
            'vq.call().nunique("id").during("2026-10")': "unknown",
            f'{COUNT}.step("day"){OCTOBER}': NO_ROW_IS_THE_WHOLE,
        },
    ),
    Question(
        "What did October cost?", f"{COST}{OCTOBER}", lambda: [sum(costs(find()))],
        {
            f'{COST}.step("week"){OCTOBER}': "VF205",
            f'{COST}.by("type"){OCTOBER}': NO_ROW_IS_THE_WHOLE,
            'vq.call().sum("price").during("2026-10")': "price",
            f'vq.call().total("cost"){OCTOBER}': "sum",
        },
    ),
    Question(
        "What did each kind of call cost?", f'{COST}.by("type"){OCTOBER}',
        lambda: each(find(), "type", lambda calls: sum(costs(calls))),
        {f'{COST}.by("kind"){OCTOBER}': "unknown group column 'kind'", f'{COST}.by("Type"){OCTOBER}': "'type'"},
    ),
    Question(
        "How long is a call?", f"{LENGTH}{OCTOBER}", lambda: [statistics.fmean(durations(find()))],
        {
            f'{LENGTH}.by("type"){OCTOBER}': NO_ROW_IS_THE_WHOLE,
            f'{LENGTH}.by("type"){OCTOBER}.vapi.rollup(by=[])': "a mean of means is another number",
            f'{LENGTH}.step("day"){OCTOBER}.vapi.rollup("month")': "a mean of means is another number",
            f'vq.call().avg("seconds"){OCTOBER}': "unknown column 'seconds'",
            f"{LENGTH}.by('type'){OCTOBER}": MINUTES,
        },
    ),
    Question(
        "How long is a call, from the days and their counts?",
        f'{LENGTH}.with_counts().step("day"){OCTOBER}.vapi.rollup("month")',
        lambda: [len(durations(find()))],
        {f'{LENGTH}.count().step("day"){OCTOBER}.vapi.rollup("month")': "a mean of means is another number"},
    ),
    Question(
        "How many minutes did we talk?", f'vq.call().sum("duration"){OCTOBER}', lambda: [sum(durations(find()))],
        {
            f'vq.call().sum("duration"){OCTOBER}.vapi.with_units()': "leave it out",
            f'vq.call().sum("minutesUsed"){OCTOBER}': "vq.subscription()",
            f'vq.call().sum("minutes"){OCTOBER}': "unknown column 'minutes'",
            f'vq.call().sum("duration").named("seconds"){OCTOBER}': MINUTES,
        },
    ),
    Question(
        "What does a minute cost?", f"{BOTH}{OCTOBER}.vapi.per_minute()", lambda: [rate(find())],
        {
            f'{BOTH}{OCTOBER}.vapi.ratio("sumCost", "sumCost")': "compares a column with itself",
            f'vq.call().avg("cost").avg("duration"){OCTOBER}.vapi.per_minute()': "sum",
            f'{BOTH}.step("day"){OCTOBER}.vapi.per_minute()': NO_ROW_IS_THE_WHOLE,
            f'{BOTH}{OCTOBER}.vapi.ratio("sumCost", "sumDuration")': "not per second",
            f"{COST}{OCTOBER}.vapi.per_minute()": "duration",
        },
    ),
    Question(
        "What does a minute cost, for each kind of call?", f'{BOTH}.by("type"){OCTOBER}.vapi.per_minute()',
        lambda: each(find(), "type", rate), {f'{BOTH}.by("type"){OCTOBER}.vapi.per_minute()': NO_ROW_IS_THE_WHOLE},
    ),
    Question(
        "What did a minute cost in each week?",
        f'{BOTH}.step("day").between("2026-10-05", "2026-10-26").vapi.per_minute().vapi.rollup("week")',
        lambda: each(find("2026-10-05", "2026-10-26"), week, rate),
        {f'{BOTH}.step("week"){OCTOBER}.vapi.per_minute().vapi.rollup("month")': "week"},
    ),
    Question(
        "What does a call cost?", f"{COST}.count(){OCTOBER}.vapi.per_call()",
        lambda: [sum(costs(find())) / len(find())],
        {
            f'vq.call().avg("cost").step("day"){OCTOBER}.vapi.rollup("month")': "a mean of means is another number",
            f"{COST}{OCTOBER}.vapi.per_call()": "count",
        },
    ),
    Question(
        "What does a typical call cost?", f'vq.call().median("cost"){OCTOBER}',
        lambda: [statistics.median(costs(find()))],
        {
            f'vq.call().median("cost").step("day"){OCTOBER}.vapi.rollup("month")': "cannot be re-aggregated",
            f'vq.call().median("cost").by("type"){OCTOBER}.vapi.rollup(by=[])': "cannot be re-aggregated",
        },
    ),
    Question(
        "Below which cost are 95 of 100 calls?", f'vq.call().quantile("cost", 0.95){OCTOBER}',
        lambda: [quantile(costs(find()), 0.95)],
        {f'vq.call().quantile("cost", 95){OCTOBER}': "95", f'vq.call().p95("cost"){OCTOBER}': "p95"},
    ),
    Question(
        "What was the dearest call?", f'vq.call().max("cost"){OCTOBER}', lambda: [max(costs(find()))],
        {f'vq.call().max("cost").by("name"){OCTOBER}': "is personal"},
    ),
    Question(
        "What was the longest call?", f'vq.call().max("duration"){OCTOBER}', lambda: [max(durations(find()))],
        {f'vq.call().max("duration").by("customer.number"){OCTOBER}': "is personal"},
    ),
    Question(
        "What was the shortest call?", f'vq.call().min("duration"){OCTOBER}', lambda: [min(durations(find()))],
        {f'vq.call().min("endedAt"){OCTOBER}': "unknown column 'endedAt'"},
    ),
    Question(
        "Why did calls end?", f'{COUNT}.by("endedReason"){OCTOBER}', lambda: each(find(), "endedReason"),
        {f'{COUNT}.by("reason"){OCTOBER}': "endedReason"},
    ),
    Question(
        "Which side was at fault?", f'{COUNT}.by("endedReason"){OCTOBER}.vapi.outcome("fault")',
        lambda: each(find(), fault),
        {f'{COUNT}.by("type"){OCTOBER}.vapi.outcome("fault")': "endedReason"},
    ),
    Question(
        "How did calls end, in a few words?", f'{COUNT}.by("endedReason"){OCTOBER}.vapi.outcome()',
        lambda: each(find(), outcome),
        {
            f'{LENGTH}.by("endedReason"){OCTOBER}.vapi.outcome()': "a mean of means is another number",
            f'{COUNT}.by("endedReason"){OCTOBER}.vapi.outcome("blame")': "unknown",
        },
    ),
    Question(
        "What share of calls reached voicemail?",
        f'{COUNT}.by("endedReason"){OCTOBER}.vapi.outcome_rate("voicemail")',
        lambda: [len([call for call in find() if outcome(call) == "voicemail"]) / len(find())],
        {
            f'{COUNT}.by("endedReason").where(endedReason="voicemail"){OCTOBER}.vapi.share()': FILTERED,
            f'{COUNT}.by("endedReason"){OCTOBER}.vapi.outcome_rate("machine")': "unknown rate 'machine'",
        },
    ),
    Question(
        "How often were we successful?",
        f'{COUNT}.by("analysis.successEvaluation"){OCTOBER}.vapi.success_rate()',
        lambda: [success_rate(find())],
        {
            f'vq.call().avg("analysis.successEvaluation"){OCTOBER}': "unknown column",
            f'{COUNT}.where({{"analysis.successEvaluation": True}}){OCTOBER}': FILTERED,
            f'{COUNT}.by("success"){OCTOBER}.vapi.success_rate()': "analysis.successEvaluation",
        },
    ),
    Question(
        "How often was each kind of call successful?",
        f'{COUNT}.by("type", "analysis.successEvaluation"){OCTOBER}.vapi.success_rate()',
        lambda: each(find(), "type", success_rate),
        {f'{COUNT}.by("type"){OCTOBER}.vapi.success_rate()': "analysis.successEvaluation"},
    ),
    Question(
        "What share of the calls is of each kind?", f'{COUNT}.by("type"){OCTOBER}.vapi.share()',
        lambda: shares(each(find(), "type")),
        {
            f'{COUNT}.by("type").where(type="webCall"){OCTOBER}.vapi.share()': FILTERED,
            f'{LENGTH}.by("type"){OCTOBER}.vapi.share()': "avg",
        },
    ),
    Question(
        "What share of the cost has each assistant?", f'{COST}.by("assistantId"){OCTOBER}.vapi.share()',
        lambda: shares(each(find(), "assistantId", lambda calls: sum(costs(calls)))),
        {
            f'{COST}.by("assistantName"){OCTOBER}.vapi.share()': "assistantId",
            f'{COST}.by("assistantId"){OCTOBER}.vapi.label({{"{RECEPTION}": "The best one"}})': "takes names",
        },
    ),
    Question(
        "How many calls came from the web?", f'{COUNT}.where(type="webCall"){OCTOBER}',
        lambda: [len(find(type="webCall"))],
        {
            f'{COUNT}.where(type="web"){OCTOBER}': FILTERED,
            f'{COUNT}.where(type="webcall"){OCTOBER}': "one that no call has gives no calls",
            f'{COUNT}.where(kind="webCall"){OCTOBER}': "kind",
        },
    ),
    Question(
        "How many calls did the customer end?", f'{COUNT}.where(endedReason="customer-ended-call"){OCTOBER}',
        lambda: [len(find(endedReason="customer-ended-call"))],
        {f'{COUNT}.where(endedReason="customer hung up"){OCTOBER}': "one that no call has gives no calls"},
    ),
    Question(
        "How many calls were silent or reached voicemail?",
        f'{COUNT}.where(endedReason=["silence-timed-out", "voicemail"]){OCTOBER}',
        lambda: [len(find(endedReason="silence-timed-out")) + len(find(endedReason="voicemail"))],
        {f'{COUNT}.where(endedReason="silence-timed-out").where(endedReason="voicemail"){OCTOBER}': "endedReason"},
    ),
    Question(
        "What did the receptionist cost?", f'{COST}.where(assistantId="{RECEPTION}"){OCTOBER}',
        lambda: [sum(costs(find(assistantId=RECEPTION)))],
        {f'{COST}.where(assistantId="Reception"){OCTOBER}': "one that no call has gives no calls"},
    ),
    Question(
        "How many calls were there on each day?", f'{COUNT}.step("day"){OCTOBER}', lambda: each(find(), day),
        {
            f'{COUNT}.step("daily"){OCTOBER}': "unknown step 'daily'",
            f'{COUNT}.by("date"){OCTOBER}': "unknown group column 'date'",
            'vq.call().count().step("day").last("7d").tz("America/New_York")': "VF20",
        },
    ),
    Question(
        "How many calls were there on each day in New York?",
        f'{COUNT}.step("day").tz("{NEW_YORK}"){OCTOBER}',
        lambda: each(find(zone=NEW_YORK), lambda call: day(call, NEW_YORK)),
        {
            f'{COUNT}.step("day"){OCTOBER}': NO_ZONE,
            f'{COUNT}.step("day").tz("New York"){OCTOBER}': "New York",
            f'{COUNT}.step("day").tz("CET"){OCTOBER}': "VF208",
        },
    ),
    Question(
        "How many calls were there in each hour of 4 October, hours without calls too?",
        f'{COUNT}.step("hour").during("2026-10-04").vapi.fill_gaps()',
        lambda: [
            len([call for call in find("2026-10-04", "2026-10-05") if call["createdAt"].hour == hour])
            for hour in range(24)
        ],
        {f'{COUNT}.step("hour").during("2026-10-04")': SPARSE},
    ),
    Question(
        "How many calls are there on a usual Monday, Tuesday, …?",
        f'{COUNT}.step("hour").between("2026-10-05", "2026-10-19").vapi.typical_week("weekday")',
        lambda: [len(calls) / 2 for calls in split(find("2026-10-05", "2026-10-19"), weekday).values()],
        {
            f'{COUNT}.step("hour"){OCTOBER}.vapi.top(3)': "by",
            f'{COUNT}.step("day"){OCTOBER}.vapi.typical_week("hour")': "hour",
        },
    ),
    Question(
        "How did the calls of each week change?",
        f'{COUNT}.step("week").between("2026-10-05", "2026-11-02").vapi.change()',
        lambda: change(weeks_of("2026-10-05", "2026-11-02")),
        {
            f'{COUNT}.step("week").between("2026-10-05", "2026-11-02").vapi.change(0)': "at least 1",
            f"{COUNT}{OCTOBER}.vapi.change()": "step",
            f'{COUNT}.between("2026-10-05", "2026-10-12").compare("previous")': "compare",
        },
    ),
    Question(
        "Is November ahead of October?", f'{COUNT}.step("month").between("2026-10-01", "2026-11-16").vapi.change()',
        lambda: [None, None],  # November is not over: there is no number
        {
            f'{COUNT}.step("month").between("2026-10-01", "2026-11-16").vapi.change()': "VF206",
            f'{COUNT}.step("month").last("60d").vapi.change()': "VF205",
            f"{COUNT}{NOVEMBER}": "it is not over",
        },
    ),
    Question(
        "How many calls were there in the first two weeks of November?",
        f'{COUNT}.between("2026-11-01", "2026-11-15")', lambda: [len(find("2026-11-01", "2026-11-15"))],
        {f'{COUNT}.step("month").between("2026-11-01", "2026-11-15")': "VF206"},
    ),
    Question(
        "How many calls were there in the last seven days?", f'{COUNT}.last("7d")',
        lambda: [len([call for call in load_calls() if NOW - 7 * _DAY <= call["createdAt"] < NOW])],
        {f'{COUNT}.step("week").last("7d").tz("{NEW_YORK}")': "partial", f'{COUNT}.last("week")': "week"},
    ),
    Question(
        "Which are the three most frequent ends?", f'{COUNT}.by("endedReason"){OCTOBER}.vapi.top(3)',
        lambda: top(each(find(), "endedReason"), split(find(), "endedReason"), 3),
        {f'{COUNT}.by("endedReason").limit(3){OCTOBER}': "limit", f"{COUNT}{OCTOBER}.vapi.top(3)": "by"},
    ),
    Question(
        "How many assistants had calls?", f'vq.call().nunique("assistantId"){OCTOBER}',
        lambda: [len(set(split(find(), "assistantId")) - {None})],
        {
            f'vq.call().nunique("assistantId").step("day"){OCTOBER}.vapi.rollup("month")': "cannot be re-aggregated",
            f'vq.call().count("assistantId"){OCTOBER}': "assistantId",
        },
    ),
    Question(
        "How many calls were there at once, at most?", f'vq.subscription().max("concurrency"){OCTOBER}',
        lambda: [find_peak()],
        {
            f'vq.call().sum("concurrency"){OCTOBER}': "has no known meaning",
            f'vq.call().max("concurrency"){OCTOBER}': "vq.subscription()",
            f'vq.subscription().max("concurrency").by("type"){OCTOBER}': "split",
        },
    ),
    Question(
        "How many calls are on the plan pro?", f'{COUNT}.where({{"variable.plan": "pro"}}){OCTOBER}',
        lambda: [len(find(**{"variableValues.plan": "pro"}))],
        {f'{COUNT}.where(plan="pro"){OCTOBER}': "plan", f'{COUNT}.by("plan"){OCTOBER}': "by_variable"},
    ),
    Question(
        "What did each plan cost?", f'{COST}.by_variable("plan"){OCTOBER}',
        lambda: each(find(), "variableValues.plan", lambda calls: sum(costs(calls))),
        {f'{COST}.by_variable("customer.name"){OCTOBER}': "is personal"},
    ),
    Question(
        "How many calls failed in the outage of 21 October?",
        f'{COUNT}.where(endedReason="call.in-progress.error-providerfault-openai-llm-failed"){OUTAGE}',
        lambda: [
            len(
                find(
                    "2026-10-21T14:00", "2026-10-21T17:00", NEW_YORK,
                    endedReason="call.in-progress.error-providerfault-openai-llm-failed",
                )
            )
        ],
        {f'{COUNT}.between("2026-10-21T14:00", "2026-10-21T17:00")': "VF201"},
    ),
    Question(
        "How many calls are still going on?", f'{COUNT}.where(status="in-progress").last("1d")',
        lambda: [len([call for call in load_calls() if call["status"] == "in-progress"])],
        {f'{COUNT}.where(state="in-progress").last("1d")': "state"},
    ),
]  # fmt: skip


# What has no number, or none that may be shown: words → a query that a model may try, and the message that it gets.
REFUSED = {
    "How many calls were there?": ("how many calls were there?", "this is not a query"),
    "Tell me something.": ("", "the query is empty"),
    "Who called most often?": (f'{COUNT}.by("customer.number"){OCTOBER}.vapi.top(1)', "is personal"),
    "Which customer cost most?": (f'{COST}.by("customerId"){OCTOBER}', "is personal"),
    "Did +1 555 0100 call?": (f'{COUNT}.where({{"customer.number": "+15550100"}}){OCTOBER}', "is personal"),
    "What is Ada's number?": (f'{COUNT}.by_variable("customer.number"){OCTOBER}', "is personal"),
    "How did the caller's name score?": (f'{COUNT}.by_output("name"){OCTOBER}', "is personal"),
    "Show me the calls.": (f"{COUNT}{OCTOBER}.drill()", "drill"),
    "Show me the calls of the frame.": (f"{COUNT}{OCTOBER}.vapi.drill()", "drill"),
    "Save it to my disk.": (f'{COUNT}{OCTOBER}.vapi.save("/tmp/x.parquet")', "save"),
    "Draw it.": (f"{COUNT}{OCTOBER}.vapi.plot()", "plot"),
    "As a wide table, please.": (f'{COUNT}.by("type").step("day"){OCTOBER}.vapi.wide()', "leave it out"),
    "What will December cost?": (f"{COST}{OCTOBER}.vapi.forecast()", "forecast"),
    "How happy were the callers?": (f'vq.call().avg("sentiment"){OCTOBER}', "unknown column 'sentiment'"),
    "How fast did the assistant reply?": (f'vq.call().avg("latency"){OCTOBER}', "unknown column 'latency'"),
    "How many calls longer than a minute?": (f"{COUNT}.where(duration=1){OCTOBER}", "is a measured column"),
    "What was said?": (f'{COUNT}.by("transcript"){OCTOBER}', "unknown group column 'transcript'"),
    "Each minute of October by type.": (f'{COUNT}.by("type").step("minute"){OCTOBER}', "ask for fewer"),
    "Run this for me.": ('__import__("os").system("id")', "unknown table"),
    "Read this file.": (f'{COUNT}.by(open("/etc/passwd").read()){OCTOBER}', "found"),
    "Use my files.": ('vf.local("/etc").call().count()', "found"),
    "With these options.": (f'{COUNT}.where(**{{"customer.number": "+1"}}){OCTOBER}', "found **"),
    "This body.": ('{"queries": []}', "query"),
}
LATE = {"Each minute of October by type."}  # `check` cannot know the number of its rows, and says so
