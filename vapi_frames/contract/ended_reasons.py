"""Why a call ended, at four levels that fit on a chart.

The contract names 595 values of ``endedReason``, and the set is open: new ones appear without notice. Most consist of
the same parts (the party at fault, a provider, what failed), so a short table of rules covers all of the contract's
values, and new ones of the same form.

``outcome``, how the call ended:

- ``conversation``: the parties talked, and the call ended normally: one of them hung up.
- ``transferred``: the call was transferred.
- ``no_answer``: the parties did not talk: no answer, busy, a wrong number, a caller who hung up while it rang.
- ``voicemail``: a voicemail answered.
- ``timeout``: a limit of the assistant's ended the call: silence, or the longest duration.
- ``failed_to_start``: something was wrong before the parties could talk.
- ``failed_mid_call``: something broke while they talked, or during a transfer.
- ``cancelled``: your side cancelled it: by hand, by deletion, or by a hook that spoke instead of the assistant.
- ``unknown``: no rule matches the reason.

``fault``, the side of the failure:

- ``none``: nothing failed, as in every outcome but the two that start with ``failed``.
- ``customer``: the customer was not heard: no microphone, no audio.
- ``assistant``: your side: the configuration, your own server or model, or the number that calls are transferred to.
- ``account``: your account with Vapi: billing, the plan's limits, the fraud check.
- ``vapi``: Vapi itself. By its documentation such calls are typically not charged.
- ``provider``: the provider of a model, a voice or a transcriber.
- ``provider_or_yours``: an older form of the reason, which does not say. By Vapi's documentation the fault is yours (a
  credential, a quota) if the key for the provider was your own; else it is Vapi's.
- ``telephony``: the carrier of the call: Twilio, Vonage, a SIP trunk.
- ``unknown``: something failed, and the reason does not say on which side; or no rule matches.

``component``, which part failed: ``llm``, ``tts`` (the voice), ``stt`` (the transcriber), ``video``, ``telephony`` (the
line, with the transport of web calls and the microphone), ``transfer``, ``assistant`` (its configuration, and the
server that returns it), ``account``, ``platform`` (Vapi's workers and database), ``none`` where nothing failed,
and ``unknown``.

``provider``, the name as in the reason, such as ``azure-openai`` or ``twilio``, even if nothing failed; ``none`` if the
reason names no provider, and ``unknown`` if it may name one that cannot be told from the rest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias, get_args

from vapi_frames.errors import require

ReasonLevel: TypeAlias = Literal["outcome", "fault", "component", "provider"]
Outcome: TypeAlias = Literal[
    "conversation",
    "transferred",
    "no_answer",
    "voicemail",
    "timeout",
    "failed_to_start",
    "failed_mid_call",
    "cancelled",
    "unknown",
]
Fault: TypeAlias = Literal[
    "none",
    "customer",
    "assistant",
    "account",
    "vapi",
    "provider",
    "provider_or_yours",
    "telephony",
    "unknown",
]
Component: TypeAlias = Literal[
    "none",
    "llm",
    "tts",
    "stt",
    "video",
    "telephony",
    "transfer",
    "assistant",
    "account",
    "platform",
    "unknown",
]

REASON_LEVELS: tuple[str, ...] = get_args(ReasonLevel)
OUTCOMES: tuple[str, ...] = get_args(Outcome)
FAULTS: tuple[str, ...] = get_args(Fault)
COMPONENTS: tuple[str, ...] = get_args(Component)

# Other words that people type, for "did you mean".
LEVEL_SYNONYMS = {
    "result": "outcome", "reason": "outcome", "blame": "fault", "party": "fault", "whose": "fault",
    "part": "component", "vendor": "provider", "company": "provider",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Classification:
    """One reason at each level; the module's docstring explains the words.

    Attributes:
        outcome: How the call ended.
        fault: The side of the failure.
        component: The part that failed.
        provider: The provider's name as in the reason.
    """

    outcome: Outcome
    fault: Fault
    component: Component
    provider: str


# The first rule that matches the whole reason applies. A pattern may end in a wildcard only if no continuation could
# reverse the meaning: after "customer-ended-call" it may, after "customer-" it may not. If the component is None, it
# and the provider are read from the group "rest".
_RULES: tuple[tuple[str, Outcome, Fault, Component | None], ...] = (
    # A normal end.
    (r"(assistant|customer)-ended-call(-.+)?", "conversation", "none", "none"),
    (r"assistant-said-.*end-call.*", "conversation", "none", "none"),
    (r"vonage-completed|call\.in-progress\.[a-z]+-completed-call", "conversation", "none", "none"),
    (r"assistant-forwarded-call(-.+)?", "transferred", "none", "none"),
    # A server that returns a number instead of an assistant wants the call forwarded.
    (r"assistant-request-returned-forwarding-phone-number", "transferred", "none", "none"),
    (r"call\.[a-z-]+\.hook-executed-transfer", "transferred", "none", "none"),
    (r"customer-(busy|did-not-answer)(-.+)?|[a-z]+-reported-customer-misdialed", "no_answer", "none", "none"),
    (r"call\.ringing\..+-caller-hungup-before-call-connect", "no_answer", "none", "none"),
    # SIP's codes for: no reply, not there, busy, busy everywhere, declined. They are no fault, whatever it says.
    (r"call\.[a-z-]+\.error-providerfault-outbound-sip-(408|480|486|600|603)-.+", "no_answer", "none", "none"),
    (r"voicemail", "voicemail", "none", "none"),
    (r"silence-timed-out|exceeded-max-duration", "timeout", "none", "none"),
    (r"manually-cancell?ed|(scheduled-)?call-deleted", "cancelled", "none", "none"),
    (r"call\.ringing\.hook-executed-say", "cancelled", "none", "none"),
    # No audio from the customer.
    (r"customer-did-not-give-microphone-permission", "failed_to_start", "customer", "telephony"),
    (r"call\.in-progress\.error-assistant-did-not-receive-customer-audio", "failed_mid_call", "customer", "telephony"),
    # Your side. A hook at call.ending can only handle reasons that start with assistant-request.
    (r"assistant-(request|not)-.+", "failed_to_start", "assistant", "assistant"),
    (r"call-start-error-neither-assistant-nor-server-set", "failed_to_start", "assistant", "assistant"),
    (r"call\.ending\.hook-executed-say", "failed_to_start", "assistant", "assistant"),
    (r"call\.start\.error-get-phone-number", "failed_to_start", "assistant", "telephony"),
    (r"call\.start\.(error-get-(assistant|customer|resources)|assistant-).*",
     "failed_to_start", "assistant", "assistant"),
    (r"(call\.in-progress\.error-)?pipeline-(no-available-(llm-)?model|ws-model-.+)",
     "failed_mid_call", "assistant", "llm"),
    (r"call\.in-progress\.error-(warm-)?transfer-.+", "failed_mid_call", "assistant", "transfer"),
    (r"call\.forwarding\.(no-answer|operator-busy|error-.+)", "failed_mid_call", "assistant", "transfer"),
    # Your account.
    (r"call\.start\.error-(subscription|enterprise-feature|fraud-check|vapi-number)-.+",
     "failed_to_start", "account", "account"),
    # The carrier.
    (r"call\.start\.error-get-transport", "failed_to_start", "telephony", "telephony"),
    (r"call\.(ringing|in-progress)\.error-(sip|telnyx|twilio|vonage)-.+-failed-to-connect(-call)?",
     "failed_to_start", "telephony", "telephony"),
    (r"call\.in-progress\.error-(sip|telnyx|twilio|vonage)-.+", "failed_mid_call", "telephony", "telephony"),
    (r"call\.[a-z-]+\.error-providerfault-outbound-sip-.+", "failed_to_start", "telephony", "telephony"),
    (r"call\.[a-z-]+\.error-providerfault-transport-never-.+", "failed_to_start", "telephony", "telephony"),
    (r"call\.[a-z-]+\.error-providerfault-transport-.+", "failed_mid_call", "telephony", "telephony"),
    (r"(twilio|vonage|telnyx|sip)-(failed-to-connect-call|rejected)", "failed_to_start", "telephony", "telephony"),
    (r"vonage-disconnected|phone-call-provider-closed-.+", "failed_mid_call", "telephony", "telephony"),
    (r"phone-call-provider-bypass-enabled-but-no-call-received", "failed_to_start", "telephony", "telephony"),
    # Vapi.
    (r"assistant-join-timed-out", "failed_to_start", "vapi", "platform"),
    (r"worker-shutdown", "failed_mid_call", "vapi", "platform"),
    (r"call\.[a-z-]+\.error-vapifault-transport-(never-connected|connected-but-call-not-active)",
     "failed_to_start", "vapi", "telephony"),
    (r"call\.[a-z-]+\.error-vapifault-(transport|call-started-but-connection-to-transport)-.+",
     "failed_mid_call", "vapi", "telephony"),
    (r"call\.[a-z-]+\.error-vapifault-(worker-not-available|chat-pipeline-failed-to-start)",
     "failed_to_start", "vapi", "platform"),
    (r"call\.[a-z-]+\.error-vapifault-(worker|chat-pipeline)-.+", "failed_mid_call", "vapi", "platform"),
    (r"call\.start\.error-vapifault-(database-error|get-.+)", "failed_to_start", "vapi", "platform"),
    # Reasons that name a provider.
    (r"call\.(start|ringing)\.error-vapifault-(?P<rest>.+)", "failed_to_start", "vapi", None),
    (r"call\.[a-z-]+\.error-vapifault-(?P<rest>.+)", "failed_mid_call", "vapi", None),
    (r"call\.(start|ringing)\.error-providerfault-(?P<rest>.+)", "failed_to_start", "provider", None),
    (r"call\.[a-z-]+\.error-providerfault-(?P<rest>.+)", "failed_mid_call", "provider", None),
    (r"pipeline-error-(?P<rest>.+)", "failed_mid_call", "provider_or_yours", None),
    # Errors of which only the phase is known.
    (r"call\.(start|ringing)\.error-.+", "failed_to_start", "unknown", "unknown"),
    (r"call\.in-progress\.error-.+", "failed_mid_call", "unknown", "unknown"),
)  # fmt: skip

# The providers, by the component of a reason that names none, such as "cartesia-522-server-error". A provider of
# several is under llm, because bare status codes are the form of a failed model.
_PROVIDERS: dict[Component, str] = {
    "llm": "anthropic anthropic-bedrock anthropic-vertex anyscale azure-openai baseten cerebras custom-llm deep-seek "
    "deepinfra google groq inflection-ai minimax mistral openai openrouter perplexity-ai runpod together-ai vapi xai",
    "tts": "azure cartesia custom-voice eleven-labs hume inworld lmnt microsoft neuphonic playht rime-ai sesame "
    "smallest-ai wellsaid",
    "stt": "assembly-ai azure-speech custom-transcriber deepgram gladia soniox speechmatics talkscriber",
    "video": "tavus",
}
_USUAL: dict[str, Component] = {name: component for component, names in _PROVIDERS.items() for name in names.split()}
_PARTS: dict[str | None, Component] = {
    "llm": "llm",
    "model": "llm",
    "transcriber": "stt",
    "video": "video",
    "voice": "tts",
}

# The fault of these is certain, whatever key was used. A "vapifault" stays one: it is Vapi's own word.
_OWNERS: dict[str, Fault] = {
    "custom-llm": "assistant",
    "custom-transcriber": "assistant",
    "custom-voice": "assistant",
    "vapi": "vapi",
}

# The longest name first, so that azure-openai is not read as azure.
_KNOWN = re.compile(
    rf"(?P<provider>{'|'.join(sorted(_USUAL, key=len, reverse=True))})(?:-(?P<part>{'|'.join(filter(None, _PARTS))}))?"
    r"(?:-.+)?"
)
# A provider that the contract does not name yet is the text before a part or a status code, if all of it can be a name:
# "pipeline-error-newco-voice-failed" has one, "pipeline-error-invalid-voice-failed" has none.
_NEW = re.compile(
    r"(?:(?P<provider>[a-z0-9]+(?:-[a-z0-9]+){0,2}?)-)??(?:returning-)?"
    rf"(?:[45]\d\d|(?P<part>{'|'.join(filter(None, _PARTS))}))-.+"
)
_NOT_NAMES = {
    "assistant", "audio", "available", "bad", "call", "chat", "connection", "custom", "customer", "database", "error",
    "failed", "first", "get", "inbound", "invalid", "llm", "message", "missing", "model", "no", "not", "outbound",
    "pipeline", "request", "returning", "server", "sip", "stream", "stt", "timeout", "transcriber", "transport", "tts",
    "unauthorized", "unavailable", "unexpected", "unknown", "video", "voice", "worker", "ws",
}  # fmt: skip
_CARRIER = re.compile(r"(?:^|[.-])(telnyx|twilio|vonage)-")

_COMPILED: list[tuple[re.Pattern[str], Outcome, Fault, Component | None]] = [
    (re.compile(pattern), outcome, fault, component) for pattern, outcome, fault, component in _RULES
]
_UNKNOWN = Classification("unknown", "unknown", "unknown", "unknown")


def _read_rest(rest: str) -> tuple[Component, str]:
    """Return the component and the provider that *rest*, the end of a reason, names."""
    known = _KNOWN.fullmatch(rest)
    if known:
        provider = known["provider"]
        return _PARTS.get(known["part"], _USUAL[provider]), provider
    new = _NEW.fullmatch(rest)
    if not new:
        return "unknown", "unknown"
    words = (new["provider"] or "").split("-")
    is_name = all(word and not word.isdigit() and word not in _NOT_NAMES for word in words)
    return _PARTS.get(new["part"], "unknown"), "-".join(words) if is_name else "unknown"


@lru_cache(maxsize=4096)
def classify_reason(reason: str) -> Classification:
    """Return *reason* at all levels.

    Examples:
        >>> classify_reason("call.in-progress.error-providerfault-openai-500-server-error")
        Classification(outcome='failed_mid_call', fault='provider', component='llm', provider='openai')
        >>> classify_reason("call.in-progress.twilio-completed-call")
        Classification(outcome='conversation', fault='none', component='none', provider='twilio')
        >>> classify_reason("customer-vanished")
        Classification(outcome='unknown', fault='unknown', component='unknown', provider='unknown')
    """
    for pattern, outcome, fault, component in _COMPILED:
        match = pattern.fullmatch(reason)
        if not match:
            continue
        if component is None:
            part, provider = _read_rest(match["rest"])
            return Classification(outcome, fault if fault == "vapi" else _OWNERS.get(provider, fault), part, provider)
        carrier = _CARRIER.search(reason)
        unnamed = "unknown" if component == "unknown" else "none"
        return Classification(outcome, fault, component, carrier[1] if carrier else unnamed)
    return _UNKNOWN


def is_known_reason(reason: str) -> bool:
    """Return whether a rule matches *reason*; if not, all its levels are ``unknown``.

    For a reason of which a rule knows only the phase, the outcome is known, and the rest may be ``unknown``.

    Examples:
        >>> is_known_reason("pipeline-error-newco-voice-failed"), is_known_reason("no-answer")
        (True, False)
    """
    return classify_reason(reason).outcome != "unknown"


def classify_at_level(reason: str | None, level: str) -> str | None:
    """Return *reason* at one *level*.

    Args:
        reason: An ``endedReason``; ``None`` stays ``None``: a call in progress has none.
        level: One of `REASON_LEVELS`.

    Raises:
        UnknownWordError: *level* is not one of them.

    Examples:
        >>> classify_at_level("customer-did-not-answer", "outcome")
        'no_answer'
        >>> classify_at_level("call.start.error-subscription-frozen", "fault")
        'account'
        >>> classify_at_level("pipeline-error-eleven-labs-quota-exceeded", "component")
        'tts'
        >>> classify_at_level("pipeline-error-azure-openai-401-unauthorized", "provider")
        'azure-openai'
    """
    require(level, REASON_LEVELS, "level", synonyms=LEVEL_SYNONYMS)
    if reason is None:
        return None
    word: str = getattr(classify_reason(reason), level)
    return word
