"""The configuration as frozen values: what people may say, and its defaults. `loader.py` reads it from TOML.

Durations are seconds unless the name ends in `_ms`. None means "not said": the default that is right for most holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeAlias

from attrs import field, frozen

from llmcore.prices import Price as Price  # noqa: PLC0414 - part of what is configured, named from here too
from llmcore.prices import PriceSource
from llmcore.secret import Secret

Strategy: TypeAlias = Literal["priority", "round_robin", "retry", "weighted", "least_busy", "latency", "cost"]
STRATEGIES: tuple[Strategy, ...] = (
    "priority",
    "round_robin",
    "retry",
    "weighted",
    "least_busy",
    "latency",
    "cost",
)
MidStream: TypeAlias = Literal["fail", "restart", "continue", "splice"]
MID_STREAM: tuple[MidStream, ...] = ("fail", "restart", "continue", "splice")
CAPABILITIES: tuple[str, ...] = ("tools", "images", "audio", "files", "schema", "reasoning", "prefill")
TransportChoice: TypeAlias = Literal["auto", "httpx", "fast"]


def _secret(value: str | Secret) -> Secret:
    return Secret(value) if isinstance(value, str) else value


def _frozen(value: Iterable[str] | None) -> frozenset[str] | None:
    return None if value is None else frozenset(value)


def _as_secret(value: str | Secret | None) -> Secret | None:
    if isinstance(value, str):
        return Secret(value) if value else None
    return value


@frozen
class Timeouts:
    """Limits of one attempt, in seconds; all of them also end at the call's deadline.

    connect: to a connection. pool: to a free slot or connection here. write: to send the request. first_token: from
    dispatch to the first visible delta (None: 60, and 300 for local servers, which load models). inter_chunk: between
    complete events. total: the whole call where the request sets no deadline.
    """

    connect: float = 5.0
    pool: float = 10.0
    write: float = 30.0
    first_token: float | None = None
    inter_chunk: float = 60.0
    total: float = 600.0


@frozen
class Routing:
    """What the manager needs to know of one provider; a leaf shows its own as `.routing`.

    models: our name = the vendor's name. max_in_flight: calls at the same time, None for no limit. rpm, tpm: requests
    and tokens per minute and key. context_window, max_output_tokens: of its models, in tokens. capabilities: what its
    models can do (of CAPABILITIES); None where nobody said, and then everything is tried.
    """

    priority: int = 100
    weight: float = 1.0
    max_in_flight: int | None = None
    models: Mapping[str, str] = field(factory=dict)
    text_model: str | None = None
    embedding_model: str | None = None
    rpm: int | None = None
    tpm: int | None = None
    context_window: int | None = None
    max_output_tokens: int | None = None
    capabilities: frozenset[str] | None = None


@frozen
class KeyConfig:
    """One key of a provider that has several. name: shown in attempts and logs, instead of the key itself."""

    name: str
    value: Secret = field(converter=_secret)
    weight: float = 1.0


@frozen
class Written:
    """How the configuration wrote a value that came from variables: the text with "${VAR}" in it, and what it became."""

    text: str
    value: Secret


@frozen
class ProviderConfig:
    """One `[[llm.providers]]` entry.

    api_key: the key itself; in TOML write "${VAR}". Left out, the vendor's standard variable is used, but only for
    the vendor's own address. api_keys: several keys instead of one, used by weight, room and health. extra: fields laid into every request body. headers: sent with every request.
    prices: by the vendor's model name, "*" for every other. written: where variables were used, by path, so that
    `dump` can write them again.
    """

    name: str
    provider: str
    api_key: Secret | None = field(default=None, converter=_as_secret)
    api_keys: tuple[KeyConfig, ...] = field(default=(), converter=tuple[KeyConfig, ...])
    base_url: str | None = None
    text_model: str | None = None
    embedding_model: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    priority: int = 100
    weight: float = 1.0
    max_in_flight: int | None = None
    rpm: int | None = None
    tpm: int | None = None
    context_window: int | None = None
    max_output_tokens: int | None = None
    capabilities: frozenset[str] | None = field(default=None, converter=_frozen)
    enabled: bool = True
    models: Mapping[str, str] = field(factory=dict)
    api_version: str | None = None
    organization: str | None = None
    project: str | None = None
    headers: Mapping[str, str] = field(factory=dict, repr=False)
    extra: Mapping[str, Any] = field(factory=dict, repr=False)
    timeouts: Timeouts | None = None
    transport: TransportChoice | None = None
    prices: Mapping[str, Price] = field(factory=dict)
    written: Mapping[tuple[str, ...], Written] = field(factory=dict, eq=False, repr=False)

    @property
    def routing(self) -> Routing:
        return Routing(
            self.priority,
            self.weight,
            self.max_in_flight,
            self.models,
            self.text_model,
            self.embedding_model,
            self.rpm,
            self.tpm,
            self.context_window,
            self.max_output_tokens,
            self.capabilities,
        )


@frozen
class BreakerConfig:
    """`[llm.fallback.breaker]`: when a provider's model family is left alone, and for how long. Times in seconds.

    It opens after `failures` in a row, or where of at least `min_calls` within `window` the share `failure_rate` has
    failed. The first opening lasts `open_time`, each further one twice as long, at most `max_open_time`. Then `probes`
    calls at a time are let through, and `successes` of them in a row close it. block_sole: also where nobody else
    could answer. A failure here is one that says something of the provider's health.
    """

    enabled: bool = True
    failures: int = 3
    window: float = 30.0
    min_calls: int = 10
    failure_rate: float = 0.5
    open_time: float = 20.0
    max_open_time: float = 120.0
    probes: int = 1
    successes: int = 2
    block_sole: bool = False


@frozen
class BudgetConfig:
    """`[llm.fallback.budget]`: what retries, failovers and hedges together may cost beside first attempts.

    A bucket of `capacity` tokens; each paid attempt takes `cost` and gets it back where it succeeds; each first attempt
    that succeeds adds `per_success`, each second `per_second`. With the defaults, 10 % of the traffic.
    """

    enabled: bool = True
    capacity: float = 100.0
    cost: float = 10.0
    per_success: float = 1.0
    per_second: float = 2.0


@frozen
class FallbackConfig:
    """`[llm.fallback]`: who is asked, how often, and after what wait.

    max_retries: retries of one provider after its first attempt (None: 1). max_attempts: all attempts of a call
    (None: candidates x (1 + max_retries), at most 12). retry_delay_ms: first backoff step, full jitter, doubled,
    capped at max_delay_ms (None: 500, and 1000 where the vendor is overloaded or limits the rate). max_retry_after: a
    longer wait than this is not waited for. prefer_failover_after: a rate limit that asks for a longer wait goes to
    another candidate first. fallbacks: for strategy "retry", the providers to go to when the first one is spent.

    mid_stream: what follows where a stream breaks after it has shown something: "fail" raises; "restart" answers anew
    from the next candidate after a `Restarted` event; "continue" has the next one go on from the text so far where it
    can (else as "restart"); "splice" goes on silently where the new answer begins with the text so far (else "fail").
    patience: seconds without anything visible after which the next candidate is asked beside the first (or three times
    the usual p95, if longer); reasoning_patience: the same for requests that ask for reasoning (embeddings have three times `patience`); 0 turns either off.
    hedge_after: the same, earlier and paid: seconds or "p95"; None for never. generate_by_stream: `generate` reads a
    stream, so that patience and first-token limits see its progress. allow_policy_fallback: another provider is asked
    after a refusal by policy; the answer carries a warning. pace: keep to the limits that vendors announce. max_queue:
    calls that may wait for a slot or for room under a rate limit, per provider. sticky: calls with the same
    `metadata["session"]` go to the same provider while it can take them.
    """

    enabled: bool = True
    strategy: Strategy = "priority"
    max_retries: int | None = None
    retry_delay_ms: int | None = None
    max_delay_ms: int = 20_000
    max_attempts: int | None = None
    max_retry_after: float = 60.0
    prefer_failover_after: float = 3.0
    retry_after_send: bool = True
    fallbacks: tuple[str, ...] = field(default=(), converter=tuple[str, ...])
    mid_stream: MidStream = "fail"
    patience: float = 10.0
    reasoning_patience: float = 60.0
    hedge_after: float | Literal["p95"] | None = None
    generate_by_stream: bool = False
    allow_policy_fallback: bool = False
    pace: bool = True
    max_queue: int = 1000
    sticky: bool = True
    breaker: BreakerConfig = BreakerConfig()
    budget: BudgetConfig = BudgetConfig()

    @property
    def retries(self) -> int:
        if not self.enabled:
            return 0
        return 1 if self.max_retries is None else self.max_retries


@frozen
class LlmConfig:
    """A whole configuration. prices: "auto" uses our own and those of the `prices` extra, "own" only our own."""

    providers: tuple[ProviderConfig, ...] = field(converter=tuple[ProviderConfig, ...])
    fallback: FallbackConfig = FallbackConfig()
    timeouts: Timeouts = Timeouts()
    transport: TransportChoice = "auto"
    prices: PriceSource = "auto"
