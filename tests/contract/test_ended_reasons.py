"""What the reasons mean: every one of the contract's, and new ones.

data/ended_reasons.txt has the contract's values, and data/outcomes.csv each of them at every level.
`python -m tests.contract.test_ended_reasons` writes the latter anew; read what changed before committing it.
"""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vapi_frames.contract.ended_reasons import (
    COMPONENTS,
    FAULTS,
    OUTCOMES,
    REASON_LEVELS,
    Classification,
    classify_at_level,
    classify_reason,
    is_known_reason,
)
from vapi_frames.errors import UnknownWordError

DATA = Path(__file__).parents[1] / "data"
SNAPSHOT = DATA / "outcomes.csv"
REASONS = (DATA / "ended_reasons.txt").read_text().split()
FAILED = ("failed_to_start", "failed_mid_call")
PREFIXES = ("", "call.start.error-", "call.in-progress.error-", "call.in-progress.error-vapifault-",
            "call.in-progress.error-providerfault-", "call.ringing.", "pipeline-error-", "customer-", "assistant-")  # fmt: skip
NOT_PROVIDERS = (
    "llm",
    "voice",
    "transcriber",
    "model",
    "error",
    "failed",
    "server",
    "custom",
    "sip",
    "transport",
    "worker",
)


def snapshot():
    """Return the text of outcomes.csv."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("reason", *REASON_LEVELS))
    writer.writerows((reason, *(classify_at_level(reason, level) for level in REASON_LEVELS)) for reason in REASONS)
    return out.getvalue()


def test_each_reason_means_what_was_read_and_agreed():
    """A change of the rules shows as a change of the file that a person has read."""
    assert snapshot().splitlines() == SNAPSHOT.read_text().splitlines()


def test_the_contract_is_explained():
    """Each of the contract's 595 values has a known word at every level."""
    assert len(REASONS) == len(set(REASONS)) == 595
    for reason in REASONS:
        assert is_known_reason(reason), reason
        assert "unknown" not in [classify_at_level(reason, level) for level in REASON_LEVELS], reason


def test_each_word_is_used():
    """There is no word in a level's vocabulary that no value of the contract has."""
    means = [classify_reason(reason) for reason in REASONS]
    assert {one.outcome for one in means} | {"unknown"} == set(OUTCOMES)
    assert {one.fault for one in means} | {"unknown"} == set(FAULTS)
    assert {one.component for one in means} | {"unknown"} == set(COMPONENTS)


def test_a_call_has_a_fault_and_a_component_exactly_where_it_failed():
    """A share of failed calls is the same share at three levels."""
    for reason in REASONS:
        one = classify_reason(reason)
        assert (one.outcome in FAILED) == (one.fault != "none") == (one.component != "none"), reason


def test_prefixes_keep_their_word():
    """The prefix decides the fault; the exceptions are providers that are certain in any case."""
    for reason in REASONS:
        one = classify_reason(reason)
        if "error-vapifault-" in reason:
            assert one.fault == "vapi", reason
        elif "error-providerfault-" in reason and one.provider not in ("none", "vapi", "custom-llm"):
            assert one.fault == "provider", reason
        elif reason.startswith("pipeline-error-") and one.provider.split("-")[0] not in ("vapi", "custom"):
            assert one.fault == "provider_or_yours", reason


def test_the_old_and_the_new_form_of_a_reason_agree():
    """``pipeline-error`` and ``vapifault`` differ in the fault only, for the same failure."""
    for reason in REASONS:
        rest = reason.removeprefix("pipeline-error-")
        for prefix in ("vapifault", "providerfault"):
            newer = f"call.in-progress.error-{prefix}-{rest}"
            if rest != reason and newer in REASONS:
                one, other = classify_reason(reason), classify_reason(newer)
                assert (one.outcome, one.component, one.provider) == (other.outcome, other.component, other.provider)


def test_a_provider_is_a_whole_name():
    """The name is in the reason, is never a code or a part, and agrees with the reason's own word for the part."""
    parts = {"-llm-failed": "llm", "-voice-failed": "tts", "-transcriber-failed": "stt", "-video-failed": "video"}
    for reason in REASONS:
        one = classify_reason(reason)
        if one.provider != "none":
            assert re.search(rf"(^|[.-]){one.provider}-", reason), reason
            assert not one.provider[0].isdigit()
            assert one.provider not in NOT_PROVIDERS
        for ending, component in parts.items():
            assert not reason.endswith(ending) or one.component == component, reason


@pytest.mark.parametrize(
    ("reason", "outcome", "fault", "component", "provider"),
    [
        # A provider that is not in the contract.
        ("call.in-progress.error-providerfault-newco-llm-failed", "failed_mid_call", "provider", "llm", "newco"),
        ("call.in-progress.error-vapifault-new-co-ai-voice-failed", "failed_mid_call", "vapi", "tts", "new-co-ai"),
        (
            "call.in-progress.error-providerfault-newco-returning-500-x",
            "failed_mid_call",
            "provider",
            "unknown",
            "newco",
        ),
        ("pipeline-error-newco-503-server-overloaded", "failed_mid_call", "provider_or_yours", "unknown", "newco"),
        ("pipeline-error-newco-transcriber-rate-limited", "failed_mid_call", "provider_or_yours", "stt", "newco"),
        ("pipeline-error-11labs-transcriber-failed", "failed_mid_call", "provider_or_yours", "stt", "11labs"),
        ("pipeline-error-openaix-llm-failed", "failed_mid_call", "provider_or_yours", "llm", "openaix"),
        # A mishap that is not.
        ("pipeline-error-openai-500-something-new", "failed_mid_call", "provider_or_yours", "llm", "openai"),
        ("pipeline-error-azure-openai-voice-lost", "failed_mid_call", "provider_or_yours", "tts", "azure-openai"),
        ("pipeline-error-eleven-labs-flew-away", "failed_mid_call", "provider_or_yours", "tts", "eleven-labs"),
        ("pipeline-error-custom-llm-flew-away", "failed_mid_call", "assistant", "llm", "custom-llm"),
        ("call.in-progress.error-providerfault-vapi-flew-away", "failed_mid_call", "vapi", "llm", "vapi"),
        ("call.ringing.error-providerfault-outbound-sip-486-busy-here", "no_answer", "none", "none", "none"),
        (
            "call.in-progress.error-providerfault-outbound-sip-502-x",
            "failed_to_start",
            "telephony",
            "telephony",
            "none",
        ),
        ("call.in-progress.error-twilio-went-away", "failed_mid_call", "telephony", "telephony", "twilio"),
        ("call.start.error-subscription-cursed", "failed_to_start", "account", "account", "none"),
        ("call.start.error-vapifault-get-moon", "failed_to_start", "vapi", "platform", "none"),
        ("call.in-progress.telnyx-completed-call", "conversation", "none", "none", "telnyx"),
        ("assistant-request-returned-a-poem", "failed_to_start", "assistant", "assistant", "none"),
        ("customer-ended-call-in-anger", "conversation", "none", "none", "none"),
        # Neither is named in a way that can be told from the rest.
        ("pipeline-error-500-server-error", "failed_mid_call", "provider_or_yours", "unknown", "unknown"),
        ("pipeline-error-llm-failed", "failed_mid_call", "provider_or_yours", "llm", "unknown"),
        ("pipeline-error-first-message-failed", "failed_mid_call", "provider_or_yours", "unknown", "unknown"),
        ("pipeline-error-unexpected-error-500-x", "failed_mid_call", "provider_or_yours", "unknown", "unknown"),
        ("call.in-progress.error-new-thing", "failed_mid_call", "unknown", "unknown", "unknown"),
        ("call.start.error-new-thing", "failed_to_start", "unknown", "unknown", "unknown"),
    ],
)
def test_new_reasons_are_read_like_the_old(reason, outcome, fault, component, provider):
    """A value that the contract does not have yet is classified by its parts, and no further."""
    assert reason not in REASONS
    assert classify_reason(reason) == Classification(outcome, fault, component, provider)
    assert is_known_reason(reason)


@pytest.mark.parametrize(
    "reason",
    ["", " ", "no-answer", "busy", "failed", "max-duration-reached", "customer-vanished", "assistant-error", "voicemail-left",
     "customer", "unknown-error", "pipeline-error", "pipeline-error-", "call.in-progress.", "call.forwarding.completed",
     "assistant-said-nothing", "Customer-Ended-Call", "customer-ended-call\n", "worker-shutdown-cancelled"],
)  # fmt: skip
def test_what_no_rule_explains_is_unknown_at_all_levels(reason):
    """Names that people guess, and prefixes that are too short, are unknown; nothing is guessed."""
    assert {classify_at_level(reason, level) for level in REASON_LEVELS} == {"unknown"}
    assert not is_known_reason(reason)


def test_missing_stays_missing():
    """A call in progress has no reason, which differs from an unknown one."""
    assert [classify_at_level(None, level) for level in REASON_LEVELS] == [None] * 4


@pytest.mark.parametrize("reason", [None, "", "voicemail"])
def test_an_unknown_level_is_refused(reason):
    """A level is one of four words, and the message lists them."""
    with pytest.raises(UnknownWordError, match="unknown level 'providers'; did you mean 'provider'"):
        classify_at_level(reason, "providers")
    with pytest.raises(UnknownWordError, match="Valid: outcome, fault, component, provider"):
        classify_at_level(reason, "reason")


@given(st.sampled_from(PREFIXES), st.text() | st.from_regex(r"[a-z0-9]{1,6}([.-][a-z0-9]{1,6}){0,6}", fullmatch=True))
@example("call.in-progress.error-providerfault-", "404-llm-failed")
def test_any_text_has_a_meaning_in_the_vocabulary(prefix, text):
    """No text makes an exception or a word that is not documented."""
    reason = prefix + text
    words = [classify_at_level(reason, level) for level in REASON_LEVELS]
    assert words[0] in OUTCOMES
    assert words[1] in FAULTS
    assert words[2] in COMPONENTS
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", words[3])
    assert not words[3].isdigit()
    assert words[3] not in NOT_PROVIDERS
    assert (words[0] == "unknown") == (not is_known_reason(reason))


if __name__ == "__main__":
    SNAPSHOT.write_text(snapshot(), encoding="utf-8", newline="\n")
