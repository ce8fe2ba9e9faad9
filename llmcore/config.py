"""The configuration as frozen values: what people may say, and its defaults. `loader.py` reads it from TOML.

Durations are seconds unless the name ends in `_ms`. None means "not said": the default that is right for most holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from attrs import field, frozen

from llmcore.prices import Price as Price  # noqa: PLC0414 - part of what is configured, named from here too
from llmcore.prices import PriceSource
from llmcore.secret import Secret

Strategy: TypeAlias = Literal["priority", "round_robin", "retry"]
STRATEGIES: tuple[Strategy, ...] = ("priority", "round_robin", "retry")
TransportChoice: TypeAlias = Literal["auto", "httpx", "fast"]


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

    models: our name = the vendor's name. max_in_flight: calls at the same time, None for no limit.
    """

    priority: int = 100
    weight: float = 1.0
    max_in_flight: int | None = None
    models: Mapping[str, str] = field(factory=dict)
    text_model: str | None = None
    embedding_model: str | None = None


@frozen
class Written:
    """How the configuration wrote a value that came from variables: the text with "${VAR}" in it, and what it became."""

    text: str
    value: Secret


@frozen
class ProviderConfig:
    """One `[[llm.providers]]` entry.

    api_key: the key itself; in TOML write "${VAR}". Left out, the vendor's standard variable is used, but only for
    the vendor's own address. extra: fields laid into every request body. headers: sent with every request.
    prices: by the vendor's model name, "*" for every other. written: where variables were used, by path, so that
    `dump` can write them again.
    """

    name: str
    provider: str
    api_key: Secret | None = field(default=None, converter=_as_secret)
    base_url: str | None = None
    text_model: str | None = None
    embedding_model: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    priority: int = 100
    weight: float = 1.0
    max_in_flight: int | None = None
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
            self.priority, self.weight, self.max_in_flight, self.models, self.text_model, self.embedding_model
        )


@frozen
class FallbackConfig:
    """`[llm.fallback]`: who is asked, how often, and after what wait.

    max_retries: retries of one provider after its first attempt (None: 1). max_attempts: all attempts of a call
    (None: candidates x (1 + max_retries), at most 12). retry_delay_ms: first backoff step, full jitter, doubled,
    capped at max_delay_ms (None: 500, and 1000 where the vendor is overloaded or limits the rate). max_retry_after: a
    longer wait than this is not waited for. prefer_failover_after: a rate limit that asks for a longer wait goes to
    another candidate first. fallbacks: for strategy "retry", the providers to go to when the first one is spent.
    """

    enabled: bool = True
    strategy: Strategy = "priority"
    max_retries: int | None = None
    retry_delay_ms: int | None = None
    max_delay_ms: int = 20_000
    max_attempts: int | None = None
    max_retry_after: float = 60.0
    prefer_failover_after: float = 1.0
    retry_after_send: bool = True
    fallbacks: tuple[str, ...] = field(default=(), converter=tuple[str, ...])

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
