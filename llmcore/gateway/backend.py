"""What the gateway needs of the rest of llmcore, as Protocols: `llmcore.serving` makes the one that is used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol

from attrs import frozen

from llmcore.config import ProviderConfig
from llmcore.provider import LlmProvider
from llmcore.types import Attempt, GenerationRequest, ModelInfo, Usage


@frozen
class KindInfo:
    """A kind of provider that people may choose.

    local: a server on one's own machine. base_url: its usual address, None where one must be entered (needs_base_url).
    key_variable: the vendor's standard variable, None where it takes no key. default_model: the `text_model` of the
    operator's own provider of that kind (the one asked first, where there are several); None where there is none, as which
    model is a good one changes faster than any list of ours could.
    """

    kind: str
    label: str
    local: bool = False
    base_url: str | None = None
    needs_base_url: bool = False
    key_variable: str | None = None
    key_required: bool = True
    default_model: str | None = None
    features: frozenset[str] = frozenset()


@frozen
class ProviderView:
    """One system provider as it is now. Latencies in seconds, None before the first success.

    state: "ok" or why it is not asked. breaker: per model family its state, where it is not closed. success_rate: 0 to
    1 of what ended, None before anything did. last_error: its class and status, never the vendor's words. models: our
    names for its models. retry_in_s: seconds until one that is left alone is tried again, None where it is asked or does
    not come back by itself.
    """

    name: str
    kind: str
    state: str = "ok"
    breaker: str = "closed"
    retry_in_s: float | None = None
    in_flight: int = 0
    requests: int = 0
    failures: int = 0
    success_rate: float | None = None
    first_token_mean_s: float | None = None
    first_token_p95_s: float | None = None
    latency_p50_s: float | None = None
    latency_p95_s: float | None = None
    cost_usd: Decimal | None = None
    last_error: str | None = None
    text_model: str | None = None
    embedding_model: str | None = None
    models: Mapping[str, str] = {}
    local: bool = False
    base_url: str | None = None
    priority: int = 100


@frozen
class SystemProvider:
    """What is fixed about one provider of the configuration. local: a server on one's own machine."""

    name: str
    kind: str
    local: bool = False


@frozen
class PriceTag:
    """US dollars per million tokens; None where nobody knows."""

    input: Decimal | None = None
    output: Decimal | None = None


NO_PRICE = PriceTag()


@frozen
class ModelFacts:
    """What is known of one model, from all sources. Sizes in tokens, None where nobody says.

    can: by capability (of `llmcore.config.CAPABILITIES`) whether it has it; None where nobody says. price: what the
    provider's calls are booked with.
    """

    display_name: str | None = None
    context_window: int | None = None
    max_output_tokens: int | None = None
    can: Mapping[str, bool | None] = {}
    price: PriceTag = NO_PRICE


class Backend(Protocol):
    """The system's providers, and the means to make a user's own."""

    @property
    def system(self) -> LlmProvider:
        """Every provider of the configuration as one; aliases and "provider/model" work in it."""
        ...

    def tenant(self, user_id: str, /) -> LlmProvider:
        """The same for one user: with a retry budget of its own, so that nobody can use up that of the others."""
        ...

    def kinds(self) -> Sequence[KindInfo]: ...

    def make(self, config: ProviderConfig, /) -> LlmProvider:
        """A user's own provider, whose transport refuses what T1 and T2 refuse. Raises ConfigurationError."""
        ...

    def providers(self) -> Sequence[SystemProvider]:
        """The enabled providers of the configuration, in its order. Cheap."""
        ...

    def views(self) -> Sequence[ProviderView]:
        """The same as they are now; sorts their latencies, so not for every call."""
        ...

    async def models_of(self, name: str, /) -> Sequence[ModelInfo]:
        """Ask that provider of the configuration for its models now. Raises KeyError, ProviderError."""
        ...

    def last_attempts(self) -> tuple[Attempt, ...]:
        """The attempts of the call that this task ended last, also where it was cancelled."""
        ...

    def price(self, kind: str, model: str | None, /) -> PriceTag: ...

    def facts(self, model: ModelInfo, kind: str, provider: str | None = None, /) -> ModelFacts:
        """Of a model as a provider of that kind lists it. provider: the system's, whose configuration says most."""
        ...

    def cost(self, model: str | None, usage: Usage, /) -> Decimal | None:
        """The most that the system's providers would take for it; None where no price is known."""
        ...

    def priced(self, model: str | None, /) -> bool:
        """Whether the price of each of the system's providers that may answer is known by now."""
        ...

    def known(self, kind: str, /) -> Sequence[ModelInfo]:
        """What is known of a kind's models without asking anybody."""
        ...

    def explain(self, request: GenerationRequest, /) -> Mapping[str, Any]: ...

    async def reload(self, source: object, /) -> None:
        """Swap to another configuration at once. Raises ConfigurationError; nothing has changed then."""
        ...

    async def aclose(self) -> None: ...
