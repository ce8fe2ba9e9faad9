"""The models that there are, with context, capabilities, price and tags, and what to take: cheapest, fastest. Mostly pure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from attrs import evolve, frozen

from llmcore.errors import ConfigurationError, ProviderError
from llmcore.gateway.backend import NO_PRICE, Backend, PriceTag, ProviderView
from llmcore.types import ModelInfo

CHEAP = Decimal(1)
"""US dollars per million tokens, three parts input to one part output, from which on a model is no cheap one."""
DEAR = Decimal(10)
FAST_S = 1.0
"""Seconds to the first token below which a provider is a fast one."""


@frozen
class Entry:
    """One model of one provider. blended: dollars per million tokens, three parts input to one part output.

    tags: "cheap" or "dear", "fast", "alias", "embedding". provider: a system provider's name, or a kind.
    """

    id: str
    provider: str
    kind: str
    display_name: str | None = None
    context_window: int | None = None
    max_output_tokens: int | None = None
    capabilities: frozenset[str] | None = None
    price: PriceTag = NO_PRICE
    tags: tuple[str, ...] = ()
    alias_of: str | None = None
    created: int | None = None

    @property
    def blended(self) -> Decimal | None:
        if self.price.input is None or self.price.output is None:
            return self.price.input if "embedding" in self.tags else None
        return (3 * self.price.input + self.price.output) / 4

    def as_json(self) -> dict[str, Any]:
        """None stays null: unknown."""
        return {
            "id": self.id,
            "provider": self.provider,
            "kind": self.kind,
            "display_name": self.display_name,
            "context_window": self.context_window,
            "max_output_tokens": self.max_output_tokens,
            "capabilities": None if self.capabilities is None else sorted(self.capabilities),
            "input_usd_per_million": _number(self.price.input),
            "output_usd_per_million": _number(self.price.output),
            "tags": list(self.tags),
            "alias_of": self.alias_of,
        }


def entry(
    model: ModelInfo, provider: str, kind: str, backend: Backend, first_token_s: float | None = None
) -> Entry:
    """What is known of one model."""
    price = backend.price(kind, model.id)
    embedding = "embeddings" in (model.capabilities or ()) or "embed" in model.id.lower()
    made = Entry(
        model.id,
        provider,
        kind,
        model.display_name,
        model.context_window,
        model.max_output_tokens,
        model.capabilities,
        price,
        ("embedding",) if embedding else (),
        created=model.created,
    )
    return evolve(made, tags=(*made.tags, *_tags(made.blended, first_token_s)))


def _tags(blended: Decimal | None, first_token_s: float | None) -> list[str]:
    found = []
    if blended is not None and blended < CHEAP:
        found.append("cheap")
    if blended is not None and blended > DEAR:
        found.append("dear")
    if first_token_s is not None and first_token_s < FAST_S:
        found.append("fast")
    return found


def aliases(view: ProviderView) -> list[Entry]:
    """Our own names of a provider's models."""
    return [
        Entry(name, view.name, view.kind, tags=("alias",), alias_of=target)
        for name, target in view.models.items()
    ]


def recommended(entries: Sequence[Entry], views: Mapping[str, ProviderView]) -> dict[str, str | None]:
    """Names of the cheapest and of the fastest chat model whose figure is known; None where none is."""
    chat = [one for one in entries if "embedding" not in one.tags and one.alias_of is None]
    priced = [
        (one.blended, one.id, one.provider) for one in chat if one.blended is not None and one.blended > 0
    ]
    timed = [
        (view.first_token_mean_s, view.text_model, view.name)
        for view in views.values()
        if view.first_token_mean_s is not None and view.text_model is not None
    ]
    return {
        "cheapest": _named(min(priced, default=None)),
        "fastest": _named(min(timed, default=None)),
    }


def _named(found: tuple[Any, str | None, str] | None) -> str | None:
    return None if found is None else f"{found[2]}/{found[1]}"


def _number(price: Decimal | None) -> float | None:
    return None if price is None else float(price)


@frozen
class Listed:
    """The outcome of asking for models. error: why there is none, in one sentence; asked: epoch seconds."""

    models: tuple[ModelInfo, ...] = ()
    error: str | None = None
    asked: float = 0.0


class Lists:
    """Live lists of models, kept for a time; a list that could not be had is asked for again a little later.

    now: monotonic seconds; wall: epoch seconds.
    """

    def __init__(
        self,
        *,
        ttl: float,
        retry: float,
        now: Callable[[], float],
        wall: Callable[[], float],
        size: int = 1000,
    ) -> None:
        self._ttl = ttl
        self._retry = retry
        self._now = now
        self._wall = wall
        self._size = size
        self._kept: dict[str, tuple[float, Listed]] = {}

    async def get(
        self, name: str, ask: Callable[[], Awaitable[Iterable[ModelInfo]]], *, refresh: bool = False
    ) -> Listed:
        """The kept list, or a new one. Never raises for a provider that fails; `error` says why then."""
        known = self._kept.get(name)
        if known is not None and known[0] > self._now() and not refresh:
            return known[1]
        try:
            listed = Listed(tuple(await ask()), None, self._wall())
        except (ProviderError, ConfigurationError) as error:
            outcome = error.outcome if isinstance(error, ProviderError) else "ConfigurationError"
            before = known[1].models if known is not None else ()
            listed = Listed(before, f"the models could not be listed ({outcome})", self._wall())
        ttl = self._retry if listed.error else self._ttl
        if name not in self._kept and len(self._kept) >= self._size:
            del self._kept[next(iter(self._kept))]
        self._kept[name] = (self._now() + ttl, listed)
        return listed

    def forget(self, name: str) -> None:
        self._kept.pop(name, None)
