"""Pure: what programs call by a name, in words for people who never saw it: states, outcomes, reasons, own providers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from attrs import frozen

Mood: TypeAlias = str
"""A class of the style sheet: "good", "warn", "bad" or ""."""

OWN: Final = "own-"

OUTCOMES: Final[Mapping[str, str]] = {
    "success": "answered",
    "cancelled": "stopped by the reader",
    "AuthenticationError": "the key was refused",
    "NoUsableKeyError": "no key is usable",
    "PermissionDeniedError": "not allowed with this key",
    "QuotaExhaustedError": "the account has no credit left",
    "ModelNotFoundError": "there is no such model",
    "InvalidRequestError": "the request was not accepted",
    "EndpointError": "the address may not be asked",
    "UnsupportedFeatureError": "it cannot do what was asked",
    "ContextLengthError": "the text is too long for the model",
    "ContentFilterError": "refused by a content filter",
    "RateLimitError": "too many requests at that time",
    "OverloadedError": "overloaded",
    "ServerError": "the provider had a fault",
    "TimeoutError": "took too long",
    "ConnectTimeout": "could not be reached in time",
    "PoolTimeout": "no free connection in time",
    "ReadTimeout": "took too long to answer",
    "FirstTokenTimeout": "took too long to begin",
    "InterChunkTimeout": "stopped in the middle for too long",
    "TotalTimeout": "took too long in all",
    "ConnectionError": "the connection failed",
    "ConnectionRefused": "nobody listens at its address",
    "ConnectionReset": "the connection broke",
    "DNSError": "its name cannot be found",
    "TLSError": "no secure connection",
    "MalformedResponseError": "the answer could not be read",
    "GenerationFailedError": "the answer failed",
    "StreamInterruptedError": "the answer broke off",
    "AllProvidersFailed": "every provider failed",
}

REASONS: Final[Mapping[str, str]] = {
    "first": "asked first",
    "retry": "same provider again",
    "failover": "next provider",
    "key": "next key",
    "patience": "asked beside one that was slow",
    "hedge": "asked beside one that was slow",
    "restart": "began anew",
    "continue": "went on from there",
    "splice": "went on from there",
}

_HUMPS = re.compile(r"(?<=[a-z])(?=[A-Z])")


def outcome(name: str | None) -> str:
    """What became of one attempt, with the status where "(status 503)" follows. An unknown class in small words."""
    if not name:
        return "unknown"
    bare, bracket, more = name.partition(" (")
    said = OUTCOMES.get(bare) or _HUMPS.sub(" ", bare.removesuffix("Error")).lower() or bare
    return f"{said}{bracket}{more}"


def reason(name: str | None) -> str:
    """Why an attempt was made."""
    return REASONS.get(name or "", name or "")


def provider(name: str | None) -> str:
    """A provider as people know it: the gateway's by its name, a user's own by its kind."""
    if name and name.startswith(OWN):
        return f"{name.removeprefix(OWN)} (own)"
    return name or "(none)"


@frozen
class Told:
    """word: on a badge; mood: its colour; said: the sentence that explains it."""

    word: str
    mood: Mood
    said: str


ISOLATED = Told("switched off", "warn", "An administrator took it out; it is not asked until it is put back.")
PAUSED = Told(
    "paused", "bad", "It failed too often and is left alone for a while; meanwhile the others answer."
)
TRYING = Told(
    "being tried again", "warn", "It was paused. A few requests go through to see whether it is back."
)
UNASKED = Told("ready", "", "Nobody has asked it since the gateway was started.")
WORKING = Told("working", "good", "Requests are answered.")
WAVERING = Told("fails at times", "warn", "Some requests fail; another provider is asked then.")
FAILING = Told("failing", "bad", "Most requests fail; another provider is asked then.")


def state(view: Mapping[str, Any]) -> Told:
    """A provider's state. view: of the status, with `breaker`, `state` and `success_rate`."""
    breaker, rate = view["breaker"] or "closed", view["success_rate"]
    for name, told in (("isolated", ISOLATED), ("half_open", TRYING), ("open", PAUSED)):
        if name in breaker.split(", "):
            return told
    if view["state"] not in {"ok", "closed"}:
        return Told(str(view["state"]).replace("_", " "), "warn", "")
    if rate is None:
        return UNASKED
    if rate < 0.5:
        return FAILING
    return WAVERING if rate < 0.95 else WORKING
