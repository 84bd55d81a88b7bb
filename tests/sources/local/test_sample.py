"""The sample organization: the same everywhere, and like real calls where it matters."""

from __future__ import annotations

import hashlib
from uuid import UUID

import numpy as np
import pandas as pd
import pytest

from tests.support.samples import large_sample
from vapi_frames.contract.record_words import RECORD_COLUMNS, RECORD_GROUPS
from vapi_frames.contract.vocabulary import CALL_COLUMNS, GROUP_COLUMNS
from vapi_frames.errors import QueryError
from vapi_frames.sources.local.sample import ASSISTANTS, sample_calls

pytestmark = pytest.mark.xdist_group("sample")
TEXT = ["id", "type", "status", "assistantId", "endedReason", "analysis.successEvaluation"]
TIMES = ["createdAt", "startedAt", "endedAt"]
PARTS = [
    "costBreakdown.transport",
    "costBreakdown.stt",
    "costBreakdown.llm",
    "costBreakdown.tts",
    "costBreakdown.vapi",
    "costBreakdown.analysisBreakdown.summary",
]
RECORD_PARTS = [
    "costBreakdown.voicemailDetection",
    "costBreakdown.knowledgeBase",
    "costBreakdown.chat",
    "costBreakdown.analysisBreakdown.successEvaluation",
    "costBreakdown.analysisBreakdown.structuredData",
    "costBreakdown.analysisBreakdown.structuredOutput",
]
AMOUNTS = [
    "costBreakdown.ttsCharacters",
    "costBreakdown.llmPromptTokens",
    "costBreakdown.llmCompletionTokens",
    "costBreakdown.llmCachedPromptTokens",
]
CONTRACT_NUMBERS = ["cost", *PARTS, "costBreakdown.transcriber", *AMOUNTS]
NUMBERS = [*CONTRACT_NUMBERS, *RECORD_PARTS]
VARIABLES = ["variableValues.plan", "variableValues.campaign"]
GROUPS = [
    "squadId",
    "workflowId",
    "phoneNumberId",
    "phoneCallProvider",
    "phoneCallTransport",
    "campaignId",
    "name",
    "customerId",
    "customer.number",
]
TURN = ["modelLatency", "voiceLatency", "transcriberLatency", "endpointingLatency"]
LATENCIES = [*TURN, "turnLatency", "fromTransportLatency", "toTransportLatency"]
INTERRUPTIONS = ["userInterruptions", "assistantInterruptions"]
OUTPUTS = ("artifact.structuredOutputs", "artifact.skippedStructuredOutputs")

OUTAGE = {
    "call.in-progress.error-providerfault-openai-503-server-overloaded-error",
    "call.in-progress.error-providerfault-openai-500-server-error",
}
NEVER_STARTED = {
    "customer-did-not-answer",
    "customer-busy",
    "customer-did-not-give-microphone-permission",
    "twilio-failed-to-connect-call",
    "call.start.error-subscription-concurrency-limit-reached",
}
KNOWN = {
    "customer-ended-call",
    "assistant-ended-call",
    "assistant-forwarded-call",
    "silence-timed-out",
    "voicemail",
    "exceeded-max-duration",
    "call.in-progress.error-assistant-did-not-receive-customer-audio",
    "call.in-progress.error-providerfault-openai-llm-failed",
    "call.in-progress.error-providerfault-deepgram-returning-502-network-error",
    "pipeline-error-eleven-labs-500-server-error",
    *OUTAGE,
    *NEVER_STARTED,
}


@pytest.fixture(scope="module")
def calls():
    return sample_calls()


@pytest.fixture(scope="module")
def many():
    return large_sample()


def local(calls):
    return calls["createdAt"].dt.tz_convert("America/New_York")


def seconds(calls):
    return (calls["endedAt"] - calls["startedAt"]).dt.total_seconds()


def billed(calls):
    return calls["startedAt"].notna() & calls["endedAt"].notna()


def checksum(calls):
    text = calls.to_csv(index=False, date_format="%Y-%m-%dT%H:%M:%S.%fZ", lineterminator="\n")
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def test_same_arguments_same_frame(calls):
    """The same arguments give the same frame."""
    pd.testing.assert_frame_equal(calls, sample_calls(20_000, 7, start="2026-10-01", end="2026-11-16"))


def test_another_seed_another_frame(calls):
    """Another seed gives other calls, none of which shares an id."""
    other = sample_calls(seed=8)
    assert not set(calls["id"]) & set(other["id"])
    assert not calls["createdAt"].equals(other["createdAt"])


def test_bytes_are_pinned(calls):
    """The bytes are the same under every pandas and numpy, shown on the first and the last fifty rows."""
    assert checksum(calls.head(50)) == "741004fd8b52f1e2"
    assert checksum(calls.tail(50)) == "9ea116f60150be3e"


def test_other_fields_move_no_call(calls):
    """What is drawn beyond the contract changes no other column, except that its cost is taken from the model's."""
    columns = [*TEXT, *TIMES, *CONTRACT_NUMBERS, *VARIABLES]
    columns.remove("costBreakdown.llm")
    assert checksum(calls[columns].head(50)) == "d78b043e60c44988"
    assert checksum(calls[columns].tail(50)) == "48483ffea6fc9e9a"


@pytest.mark.parametrize("n", [0, 1, 2, 999, 1_000, 12_345])
def test_exactly_n_rows(n):
    """There are exactly n calls, sorted by creation, inside the range, each with its own UUID."""
    calls = sample_calls(n)
    assert len(calls) == n
    assert calls["createdAt"].is_monotonic_increasing
    assert calls["id"].is_unique
    assert all(UUID(text).version == 4 and str(UUID(text)) == text for text in calls["id"])
    assert (calls["createdAt"] >= pd.Timestamp("2026-10-01", tz="UTC")).all()
    assert (calls["createdAt"] < pd.Timestamp("2026-11-16", tz="UTC")).all()


@pytest.mark.parametrize("n", [0, 3, 20_000])
def test_columns_and_types(n):
    """Columns, their order and their types never depend on the data; text is this pandas' own strings."""
    calls = sample_calls(n)
    metrics = [*LATENCIES, *INTERRUPTIONS]
    assert list(calls.columns) == [*TEXT, *TIMES, *NUMBERS, *VARIABLES, *GROUPS, *metrics, *OUTPUTS]
    assert isinstance(calls.index, pd.RangeIndex)
    own = pd.Series(["text"]).dtype
    for column in [*TEXT, *VARIABLES, *GROUPS, *OUTPUTS]:
        assert calls[column].dtype == own, column
        assert {type(text) for text in calls[column].dropna()} <= {str}, column
    for column in TIMES:
        assert str(calls[column].dtype) == "datetime64[us, UTC]", column
    for column in [*NUMBERS, *metrics]:
        assert calls[column].dtype == np.float64, column


def test_every_word_can_be_asked(calls):
    """vf.demo() has values for each word of the contract and beyond it; the duration comes from the times."""
    words = {*CALL_COLUMNS, *GROUP_COLUMNS, *RECORD_COLUMNS, *RECORD_GROUPS} - {"duration"}
    assert words <= set(calls.columns)
    assert calls[list(words)].notna().any().all()


def test_cost_is_the_sum_of_its_parts(many):
    """Money has four decimals, and the cost is exactly the sum of the parts; transcriber is stt once more."""
    parts = [*PARTS, *RECORD_PARTS]
    units = (many[["cost", *parts]] * 10_000).round()
    assert (units / 10_000).equals(many[["cost", *parts]])
    assert units["cost"].equals(units[parts].sum(axis=1))
    assert many["costBreakdown.transcriber"].equals(many["costBreakdown.stt"])


def test_amounts_are_whole(many):
    """Characters and tokens are whole, no number has a minus sign, and the cache is a part of the prompt."""
    assert many[AMOUNTS].eq(many[AMOUNTS].round()).all(axis=None)
    assert not np.signbit(many[NUMBERS].to_numpy()).any()
    assert many["costBreakdown.llmCachedPromptTokens"].le(many["costBreakdown.llmPromptTokens"]).all()


def test_no_cost_without_a_start(calls):
    """A call costs something if and only if it started and ended; only phone calls cost a line."""
    paid, phone = billed(calls), calls["type"] != "webCall"
    assert calls.loc[~paid, NUMBERS].eq(0).all(axis=None)
    assert calls.loc[paid, ["cost", "costBreakdown.vapi", "costBreakdown.stt"]].gt(0).all(axis=None)
    assert calls.loc[~phone, "costBreakdown.transport"].eq(0).all()
    assert calls.loc[phone & (seconds(calls) > 1), "costBreakdown.transport"].gt(0).all()


def test_times_are_in_order(many):
    """A call is created, then starts, then ends, all before the range does."""
    started, ended = many["startedAt"].notna(), many["endedAt"].notna()
    assert many["startedAt"].ge(many["createdAt"])[started].all()
    assert many["endedAt"].ge(many["startedAt"])[started & ended].all()
    assert many["endedAt"].gt(many["createdAt"])[ended].all()
    for column in TIMES:
        assert many[column].max() <= pd.Timestamp("2026-11-16", tz="UTC")


def test_status_says_what_is_known(many):
    """A call has an end and a reason if and only if it ended; the few others are the last in time."""
    ended = many["status"] == "ended"
    assert (many["endedAt"].notna() == ended).all()
    assert (many["endedReason"].notna() == ended).all()
    assert set(many["status"]) == {"ended", "in-progress", "queued"}
    assert many["startedAt"].notna()[many["status"] == "in-progress"].all()
    assert many["startedAt"].isna()[many["status"] == "queued"].all()
    live = many[~ended]
    assert len(live) < 50
    assert live["createdAt"].min() > pd.Timestamp("2026-11-15T23:30", tz="UTC")


def test_the_default_sample_has_live_calls(calls):
    """The default sample ends with three calls in progress and one queued."""
    assert calls["status"].tail(4).tolist() == ["in-progress"] * 3 + ["queued"]
    assert calls["status"].eq("ended").sum() == len(calls) - 4


def test_reasons_are_known(many):
    """Every reason is one of the known names; a call has no start if and only if its reason says so."""
    ended = many[many["status"] == "ended"]
    assert set(ended["endedReason"]) == KNOWN
    assert (ended["startedAt"].isna() == ended["endedReason"].isin(NEVER_STARTED)).all()


@pytest.mark.parametrize(
    ("kind", "reason", "share"),
    [
        ("inboundPhoneCall", "customer-ended-call", 0.55),
        ("inboundPhoneCall", "assistant-ended-call", 0.22),
        ("inboundPhoneCall", "assistant-forwarded-call", 0.09),
        ("inboundPhoneCall", "silence-timed-out", 0.08),
        ("outboundPhoneCall", "customer-ended-call", 0.30),
        ("outboundPhoneCall", "customer-did-not-answer", 0.20),
        ("outboundPhoneCall", "voicemail", 0.18),
        ("outboundPhoneCall", "assistant-ended-call", 0.15),
        ("outboundPhoneCall", "silence-timed-out", 0.06),
        ("outboundPhoneCall", "customer-busy", 0.04),
        ("webCall", "customer-ended-call", 0.65),
        ("webCall", "assistant-ended-call", 0.15),
        ("webCall", "silence-timed-out", 0.10),
        ("webCall", "customer-did-not-give-microphone-permission", 0.05),
    ],
)
def test_mix_of_reasons(many, kind, reason, share):
    """Each type of call ends the way such calls do."""
    reasons = many.loc[many["type"] == kind, "endedReason"]
    assert (reasons == reason).mean() == pytest.approx(share, abs=0.02)


def test_success_is_judged_where_somebody_answered(calls):
    """A verdict is "true", "false" or empty, and missing where the call never started or still goes on."""
    verdict = calls["analysis.successEvaluation"]
    assert (verdict.notna() == billed(calls)).all()
    shares = verdict.value_counts(normalize=True)
    assert set(shares.index) == {"true", "false", ""}
    assert 0.5 < shares["true"] < 0.7
    assert 0.01 < shares[""] < 0.05


def test_prices_and_lengths(calls):
    """The median call takes 40 to 60 seconds, a few go on until cut off, a minute costs 10 to 25 cents."""
    length = seconds(calls)
    assert 40 < length.median() < 60
    assert length.quantile(0.99) > 300
    assert length.max() == 1_200
    assert calls.loc[length == 1_200, "endedReason"].eq("exceeded-max-duration").all()
    assert 0.11 < calls["cost"].sum() / (length.sum() / 60) < 0.15
    totals = calls.assign(minutes=length / 60).groupby("assistantId")[["cost", "minutes"]].sum()
    prices = totals["cost"] / totals["minutes"]
    assert prices.between(0.095, 0.25).all()
    assert prices.max() > 1.5 * prices.min()
    assert (calls["costBreakdown.vapi"] - length.fillna(0) / 60 * 0.05).abs().max() < 0.0001


def test_assistants_have_uneven_shares(calls):
    """Five assistants have uneven shares, and a few calls have none."""
    shares = calls["assistantId"].value_counts(normalize=True)
    assert set(shares.index) == set(ASSISTANTS)
    assert shares.max() > 3 * shares.min()
    assert 0.02 < calls["assistantId"].isna().mean() < 0.06


def test_one_assistant_starts_late(calls):
    """One assistant has no calls in the first half of the range, and some on the day of its launch."""
    first = calls["createdAt"].groupby(calls["assistantId"].map(ASSISTANTS)).min()
    middle = pd.Timestamp("2026-10-24", tz="UTC")
    assert first.idxmax() == "Concierge"
    assert middle <= first["Concierge"] < middle + pd.Timedelta(days=1)
    assert (first.drop("Concierge") < pd.Timestamp("2026-10-03", tz="UTC")).all()


def test_variables(calls):
    """Most calls have a plan; most outbound calls have a campaign, and hardly any other."""
    plan, campaign = calls["variableValues.plan"], calls["variableValues.campaign"]
    assert set(plan.dropna()) == {"free", "pro", "enterprise"}
    assert 0.03 < plan.isna().mean() < 0.12
    given = campaign.notna().groupby(calls["type"]).mean()
    assert given["outboundPhoneCall"] > 0.85
    assert 0 < given["inboundPhoneCall"] < 0.1
    assert given["webCall"] == 0
    assert campaign.nunique() == 3


def test_plan_changes_the_mix(many):
    """Enterprise callers talk longer, succeed more often and are forwarded more often than free ones."""
    inbound = many[many["type"] == "inboundPhoneCall"]
    plan = inbound["variableValues.plan"]
    length = seconds(inbound).groupby(plan).median()
    success = inbound["analysis.successEvaluation"].eq("true").groupby(plan).mean()
    forwarded = inbound["endedReason"].eq("assistant-forwarded-call").groupby(plan).mean()
    for measure in (length, success, forwarded):
        assert measure["enterprise"] > measure["free"]


def test_working_hours(many):
    """Inbound and outbound calls keep New York's working week; web calls peak in the evening."""
    at = local(many)
    shares = pd.crosstab(at.dt.hour, many["type"], normalize="columns")
    assert shares.loc[9:16, "inboundPhoneCall"].sum() > 0.6
    assert shares.loc[10:15, "outboundPhoneCall"].sum() > 0.8
    assert 18 <= shares["webCall"].idxmax() <= 21
    assert shares.loc[0:6, "outboundPhoneCall"].sum() == 0
    a_day = many.groupby(at.dt.day_of_week).size()
    assert a_day[:5].min() > 2 * a_day[5:].max()


def test_working_hours_follow_the_clocks(many):
    """The working day has the same local hours before and after the clocks change."""
    at = local(many)
    working = many["type"].eq("inboundPhoneCall") & (at.dt.day_of_week < 5)
    after = at >= pd.Timestamp("2026-11-01", tz="America/New_York")
    before_shares = at[working & ~after].dt.hour.value_counts(normalize=True)
    after_shares = at[working & after].dt.hour.value_counts(normalize=True)
    assert (before_shares - after_shares).abs().max() < 0.01


def test_clocks_change_inside_the_range(many):
    """The default range has the day of 25 hours, on which one hour comes twice, with calls in each."""
    at = local(many)
    day = at[at.dt.date.astype(str) == "2026-11-01"]
    assert day.dt.floor("h", ambiguous=day.map(lambda moment: moment.fold == 0)).nunique() == 25


def test_calls_grow_by_a_tenth(many):
    """Four weeks later there are a little more calls, as a growth of ten per cent in seven weeks has it."""
    days = local(many).dt.tz_localize(None)
    early, late = days.between("2026-10-05", "2026-10-19"), days.between("2026-11-02", "2026-11-16")
    assert 1.02 < late.sum() / early.sum() < 1.12


def outage_shares(calls, start):
    """Return the share of outage calls by assistant among those answered in three hours."""
    at = local(calls)
    inside = calls[(at >= start) & (at < start + pd.Timedelta(hours=3)) & calls["startedAt"].notna()]
    return inside["endedReason"].isin(OUTAGE).groupby(inside["assistantId"].map(ASSISTANTS)).mean()


def test_outage(many):
    """For three hours most calls of two assistants end in a provider's fault after seconds, and no others."""
    start = pd.Timestamp("2026-10-21T14:00", tz="America/New_York")
    shares = outage_shares(many, start)
    assert shares[["Reception", "Support"]].min() > 0.75
    assert shares[["Sales", "Reminders"]].max() == 0
    assert outage_shares(many, start - pd.Timedelta(hours=3)).max() == 0
    assert outage_shares(many, start + pd.Timedelta(hours=3)).max() == 0
    faults = many[many["endedReason"].isin(OUTAGE)]
    assert len(faults) > 300
    assert seconds(faults).median() < 6
    assert seconds(faults).max() < 60
    assert faults["analysis.successEvaluation"].ne("true").all()


@pytest.mark.parametrize(("start", "end"), [("2025-03-01", "2025-04-01"), ("2026-01-05", "2026-01-12")])
def test_outage_moves_with_the_range(start, end):
    """Another range has its own outage, on a working day near the middle."""
    calls = sample_calls(50_000, start=start, end=end)
    at = local(calls)[calls["endedReason"].isin(OUTAGE)]
    assert len(set(at.dt.date)) == 1
    assert at.dt.day_of_week.max() < 5
    assert at.dt.hour.between(14, 16).all()
    low, high = pd.Timestamp(start, tz="UTC"), pd.Timestamp(end, tz="UTC")
    assert (at - (low + (high - low) / 2)).abs().max() < pd.Timedelta(days=4)


def test_a_range_without_room_has_no_outage():
    """A weekend has no outage."""
    calls = sample_calls(5_000, start="2026-10-24", end="2026-10-26T00:00:00-04:00")
    assert not calls["endedReason"].isin(OUTAGE).any()


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-10-07T03:00:00-04:00", "2026-10-07T03:00:00.001-04:00"),
        ("2026-10-07T12:34:56", "2026-10-07T12:50"),
        ("2026-11-01T05:30Z", "2026-11-01T06:30Z"),
        ("1970-01-01", "1970-02-01"),
        ("2020-01-01", "2029-12-31"),
    ],
)
def test_any_range(start, end):
    """Every call is created in the range, however short or long, and whatever its offset."""
    calls = sample_calls(2_000, start=start, end=end)
    low, high = (pd.to_datetime(moment, utc=True) for moment in (start, end))
    assert len(calls) == 2_000
    assert calls["createdAt"].is_monotonic_increasing
    assert low <= calls["createdAt"].min() <= calls["createdAt"].max() < high


def test_parquet_round_trip(calls, tmp_path):
    """The frame goes to Parquet and comes back as it was."""
    path = tmp_path / "calls.parquet"
    calls.to_parquet(path)
    pd.testing.assert_frame_equal(pd.read_parquet(path), calls)


def test_numpy_numbers_count():
    """A whole number of numpy's is a number as good as any."""
    pd.testing.assert_frame_equal(sample_calls(np.int64(10), np.uint8(3)), sample_calls(10, 3))


@pytest.mark.parametrize(
    ("arguments", "value", "right"),
    [
        ({"n": -1}, "n is -1", "whole number"),
        ({"n": 1.0}, "n is 1.0", "whole number"),
        ({"n": "10"}, "n is '10'", "whole number"),
        ({"n": True}, "n is True", "whole number"),
        ({"n": None}, "n is None", "whole number"),
        ({"seed": -1}, "seed is -1", "whole number"),
        ({"seed": 0.5}, "seed is 0.5", "whole number"),
        ({"start": "yesterday"}, "start is 'yesterday'", "ISO 8601"),
        ({"start": "2026-13-01"}, "start is '2026-13-01'", "ISO 8601"),
        ({"start": 2026}, "start is 2026", "ISO 8601"),
        ({"end": None}, "end is None", "ISO 8601"),
        ({"start": "1969-12-31"}, "start is '1969-12-31'", "since 1970"),
        ({"start": "2026-11-16"}, "from '2026-11-16' to '2026-11-16'", "after start"),
        ({"end": "2026-09-01"}, "from '2026-10-01' to '2026-09-01'", "after start"),
        ({"end": "9999-12-31"}, "to '9999-12-31'", "ten years"),
    ],
)
def test_bad_arguments(arguments, value, right):
    """A wrong argument is a QueryError that names the value and what would be right."""
    with pytest.raises(QueryError) as caught:
        sample_calls(**arguments)
    assert value in str(caught.value)
    assert right in str(caught.value)
