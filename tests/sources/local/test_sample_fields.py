"""What the calls of the sample have beyond the contract: of one organization, and as real records have it."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict

import numpy as np
import pandas as pd
import pytest

import vapi_frames as vf
from tests.support.samples import large_sample
from vapi_frames.contract.record_words import LATENCIES, RECORD_COLUMNS, RECORD_COST_PARTS, RECORD_GROUPS
from vapi_frames.contract.vocabulary import COST_PARTS
from vapi_frames.sources.local.sample import ASSISTANTS, sample_calls
from vapi_frames.sources.local.sample_fields import CAMPAIGNS, PHONE_NUMBERS, SQUADS

pytestmark = pytest.mark.xdist_group("sample")
OUTPUTS, SKIPPED = "artifact.structuredOutputs", "artifact.skippedStructuredOutputs"
TURN = ["modelLatency", "voiceLatency", "transcriberLatency", "endpointingLatency"]
SHARES = {"costBreakdown.llm": (0.08, 0.25), **dict.fromkeys(RECORD_COST_PARTS, (0.0, 0.08))}


@pytest.fixture(scope="module")
def calls():
    return sample_calls()


@pytest.fixture(scope="module")
def many():
    return large_sample()


def billed(calls):
    return calls["startedAt"].notna() & calls["endedAt"].notna()


def read_outputs(calls):
    """Return the results of each call's outputs by name; those of calls without outputs are empty."""
    return [
        {} if pd.isna(text) else {one["name"]: one["result"] for one in json.loads(text).values()}
        for text in calls[OUTPUTS]
    ]


def test_a_call_has_one_of_three(many):
    """A call has an assistant, a squad or a workflow, or none of them; never two."""
    given = many[["assistantId", "squadId", "workflowId"]].notna()
    assert given.sum(axis=1).max() == 1
    assert given.any().all()
    assert not given.any(axis=1).all()
    assert set(many["squadId"].dropna()) == set(SQUADS)


def test_only_phone_calls_have_a_line(many):
    """A phone number belongs to one carrier and one transport; calls from the web have none, and no number."""
    phone = many["type"] != "webCall"
    for column in ("phoneNumberId", "phoneCallProvider", "phoneCallTransport"):
        assert (many[column].notna() == phone).all()
        assert many.groupby("phoneNumberId")[column].nunique().eq(1).all()
    assert set(many["phoneNumberId"].dropna()) == set(PHONE_NUMBERS)
    assert set(many["phoneCallProvider"].dropna()) == {"twilio", "vonage", "vapi", "telnyx"}
    assert set(many["phoneCallTransport"].dropna()) == {"pstn", "sip"}
    assert many.loc[~phone, "customer.number"].isna().all()
    failed = many["endedReason"] == "twilio-failed-to-connect-call"
    assert many.loc[failed, "phoneCallProvider"].eq("twilio").all()


def test_campaigns_dial(many):
    """A call has a campaign's id if and only if it is outbound and was told which; its name is the campaign's."""
    variable, found = many["variableValues.campaign"], many["campaignId"]
    assert (found.notna() == (variable.notna() & (many["type"] == "outboundPhoneCall"))).all()
    assert found.map(CAMPAIGNS).equals(many["name"])
    slugs = found.map({key: name.lower().replace(" ", "-") for key, name in CAMPAIGNS.items()}).dropna()
    assert slugs.eq(variable[slugs.index]).all()


def test_customers(many):
    """A customer has one number, one plan and one id or none; numbers are those reserved for fiction."""
    numbers = many["customer.number"].dropna()
    assert numbers.map(re.compile(r"\+1[2-9]\d{2}55501\d\d").fullmatch).notna().all()
    plan = many["variableValues.plan"].fillna("none")
    for column in ("customerId", "customer.number"):
        assert plan.groupby(many[column]).nunique().eq(1).all()
    both = many[["customerId", "customer.number"]].dropna().drop_duplicates()
    assert both["customerId"].is_unique
    assert both["customer.number"].is_unique
    assert many.loc[many["type"] == "outboundPhoneCall", "customer.number"].notna().all()
    assert many["customerId"].isna()[many["customer.number"].notna()].any()
    assert numbers.value_counts().iloc[0] > 5 * numbers.value_counts().median()


def test_all_seeds_are_one_organization(calls):
    """Another seed has other calls of the same lines, squads, campaigns and customers."""
    other = sample_calls(100_000, 8)
    for column in (*RECORD_GROUPS,):
        assert set(calls[column].dropna()) <= set(other[column].dropna()), column


def test_metrics_are_of_calls_that_took_place(many):
    """Latencies and interruptions are missing if and only if the call never started or is not over."""
    metrics = [column for column in RECORD_COLUMNS if column not in RECORD_COST_PARTS]
    on = billed(many)
    assert (many[metrics].notna().all(axis=1) == on).all()
    assert (many[metrics].notna().any(axis=1) == on).all()
    assert many.loc[on, list(LATENCIES)].gt(0).all(axis=None)
    counts = many.loc[on, ["userInterruptions", "assistantInterruptions"]]
    assert counts.eq(counts.round()).all(axis=None)
    assert not np.signbit(counts).any(axis=None)


def test_a_turn_is_the_sum_of_its_steps(many):
    """The latency of a turn is that of its four steps, in tenths of a millisecond."""
    tenths = (many[TURN] * 10).round()
    assert (tenths / 10).equals(many[TURN])
    expected = tenths.sum(axis=1, skipna=False) / 10
    assert expected.equals(many["turnLatency"].rename(None))


def test_latencies_have_a_long_tail(calls):
    """The slow turns are far from the median, models differ by assistant, and an outage slows them."""
    turn = calls["turnLatency"]
    assert 1_000 < turn.median() < 2_000
    assert turn.quantile(0.95) > 1.7 * turn.median()
    by_assistant = calls.groupby(calls["assistantId"].map(ASSISTANTS))["modelLatency"].median()
    assert by_assistant.idxmax() == "Sales"
    assert by_assistant.idxmin() == "Reminders"
    slow = calls["endedReason"].str.contains("503-server-overloaded", na=False)
    assert calls.loc[slow, "modelLatency"].median() > 2 * calls["modelLatency"].median()


def test_outputs_are_of_the_shape_of_records(calls):
    """Outputs are JSON, id → name and result; one that was skipped is not there, and each is skipped at times."""
    kept = calls[OUTPUTS].notna()
    assert not (kept & ~billed(calls)).any()
    assert 0.85 < kept.sum() / billed(calls).sum() < 0.99
    ids = defaultdict(set)
    counts = Counter()
    for text in calls[OUTPUTS].dropna():
        for key, one in json.loads(text).items():
            assert one.keys() == {"name", "result"}
            ids[one["name"]].add(key)
            counts[one["name"], type(one["result"])] += 1
    assert all(len(keys) == 1 for keys in ids.values())
    assert set(counts) == {("Call Outcome", str), ("CSAT", int), ("Appointment Booked", bool), ("Request", dict)}
    for (name, _), count in counts.items():
        assert count < billed(calls).sum(), name
    assert counts["CSAT", int] < 0.7 * kept.sum()


def test_outputs_agree_with_the_call(calls):
    """What the assistant noted fits how the call ended, and the satisfied are those with success."""
    noted = pd.DataFrame(read_outputs(calls))
    reason, success = calls["endedReason"], calls["analysis.successEvaluation"]
    outcome = noted["Call Outcome"]
    assert ((outcome == "voicemail") == ((reason == "voicemail") & outcome.notna())).all()
    assert ((outcome == "transferred") == ((reason == "assistant-forwarded-call") & outcome.notna())).all()
    assert success[outcome == "resolved"].eq("true").all()
    score = noted["CSAT"].groupby(success).mean()
    assert score["true"] > score["false"] + 1
    assert noted["CSAT"].dropna().between(1, 5).all()


def test_an_output_that_is_not_there_was_skipped(calls):
    """Of each call that has outputs, each of the four is either there or skipped."""
    for there, skipped in zip(calls[OUTPUTS].dropna(), calls[SKIPPED].dropna(), strict=True):
        names = [{one["name"] for one in json.loads(text).values()} for text in (there, skipped)]
        assert names[0].isdisjoint(names[1])
        assert names[0] | names[1] == {"Call Outcome", "CSAT", "Appointment Booked", "Request"}


@pytest.mark.extra("local")
@pytest.mark.parametrize("form", ["frame", "parquet", "csv", "records"])
def test_outputs_are_read(calls, form, tmp_path):
    """Grouped by, filtered by and measured, outputs are what a loop over the calls finds, in every form of the calls."""
    some = calls.iloc[-1_500:].reset_index(drop=True)
    path = tmp_path / f"calls.{form}"
    if form == "parquet":
        some.to_parquet(path)
    elif form == "csv":
        some.to_csv(path, index=False)
    data = some if form == "frame" else path
    if form == "records":
        data = [one.dropna().to_dict() for _, one in some.iterrows()]
    query = vf.local(data, now="2026-11-16T00:00Z").call().count().during("2026-11")
    outcomes = query.by_output("Call Outcome").fetch()["countId"]
    topics = query.by_output("Request.topic").fetch()["countId"]
    scores = query.avg("output.CSAT").where({"output.Call Outcome": "resolved"}).fetch()
    noted = read_outputs(some)

    def count(values):
        return {(None if pd.isna(key) else key): value for key, value in Counter(values).items()}

    def plain(series):
        return {(None if pd.isna(key) else key): int(value) for key, value in series.items()}

    assert plain(outcomes) == count(one.get("Call Outcome") for one in noted)
    assert plain(topics) == count(one.get("Request", {}).get("topic") for one in noted)
    resolved = [one for one in noted if one.get("Call Outcome") == "resolved"]
    assert scores["countId"].tolist() == [len(resolved)]
    expected = np.mean([one["CSAT"] for one in resolved if "CSAT" in one])
    assert scores["avgOutputCSAT"].tolist() == [pytest.approx(expected, rel=1e-12)]


def test_each_part_of_the_cost_is_there(many):
    """The other parts are a tenth of the cost at most, each of the calls that have what it pays for."""
    total = many["cost"].sum()
    for part, (low, high) in SHARES.items():
        assert low < many[part].sum() / total < high, part
    rest = many[list(RECORD_COST_PARTS)].to_numpy().sum() / total
    assert 0.04 < rest < 0.14
    paid = {part: many.loc[many[part] > 0] for part in RECORD_COST_PARTS}
    assert set(paid["costBreakdown.voicemailDetection"]["type"]) == {"outboundPhoneCall"}
    assert set(paid["costBreakdown.knowledgeBase"]["assistantId"].map(ASSISTANTS)) == {"Support"}
    assert set(paid["costBreakdown.chat"]["type"]) == {"webCall"}
    assert paid["costBreakdown.analysisBreakdown.structuredOutput"][OUTPUTS].notna().all()


@pytest.mark.extra("local")
def test_the_demo_has_the_records_of_the_sample(calls):
    """Each column of `sample_calls` is one of the demo, with the same values, whichever is read first."""
    columns = [name for name in reversed(calls.columns) if name != "createdAt"]
    drilled = vf.demo().call().count().between("2026-10-01", "2026-11-16").drill(columns=columns).reset_index(drop=True)
    expected = calls.sort_values(["createdAt", "id"], ignore_index=True)
    assert len(drilled) == len(calls)
    for name in columns:
        assert drilled[name].astype(object).where(drilled[name].notna(), None).tolist() == (
            expected[name].astype(object).where(expected[name].notna(), None).tolist()
        ), name


@pytest.mark.extra("local")
def test_the_demo_reconciles():
    """Of the demo, the contract's parts leave cost open, and all parts leave nothing, in each row."""
    query = vf.demo().call().sum("cost", *COST_PARTS).by("type").step("day").during("2026-10")
    left = query.fetch().vapi.reconcile()
    assert left["sumCostResidual"].sum() > 100
    assert any("costBreakdown.chat" in note for note in left.vapi.meta.notes)
    closed = query.sum(*RECORD_COST_PARTS).fetch().vapi.reconcile()
    assert closed["sumCostResidual"].eq(0).all()
    assert closed.vapi.meta.notes == ()
