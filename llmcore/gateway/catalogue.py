"""The models that there are, with context, capabilities, price and tags, and what to take: cheapest, fastest. Mostly pure."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from attrs import evolve, frozen

from llmcore.errors import ConfigurationError, ProviderError
from llmcore.gateway.backend import NO_PRICE, Backend, ModelFacts, PriceTag, ProviderView
from llmcore.types import ModelInfo

CHEAP = Decimal(1)
"""US dollars per million tokens, three parts input to one part output, below which a model is a cheap one."""
DEAR = Decimal(10)
FAST_S = 1.0
"""Seconds to the first token below which a measured model is a fast one."""

_FAST_WORDS = frozenset(
    ("nano", "micro", "mini", "flash", "haiku", "lite", "instant", "fast", "small", "tiny")
)
_SLOW_WORDS = frozenset(("o1", "o3", "o4", "reasoning", "reasoner", "thinking", "research"))
_OTHER_WORDS = frozenset(
    (
        *(
            "tts",
            "whisper",
            "transcribe",
            "dall",
            "moderation",
            "image",
            "realtime",
            "audio",
            "rerank",
            "sora",
        ),
        *("imagen", "veo", "ocr", "guard", "speech"),
    )
)
"""Of names of models that are not asked for text; only where nobody says what a model can."""


@frozen
class Speed:
    """Seconds to the first token of so many answers, their mean."""

    first_token_s: float
    answers: int


@frozen
class Needs:
    """What a model is wanted for. capabilities: of `llmcore.config.CAPABILITIES`; context: tokens that it must hold."""

    capabilities: frozenset[str] = frozenset()
    context: int | None = None


NO_NEEDS = Needs()


@frozen
class Entry:
    """One model of one provider. blended: dollars per million tokens, three parts input to one part output.

    tags: "cheap" or "dear", "fast", "alias", "default", and for what is not asked for text "embedding" or "other".
    provider: a system provider's name, or a kind. can: by capability whether it has it, None where nobody says.
    speed: as our ledger has it, None before enough answers.
    """

    id: str
    provider: str
    kind: str
    display_name: str | None = None
    context_window: int | None = None
    max_output_tokens: int | None = None
    can: Mapping[str, bool | None] = {}
    price: PriceTag = NO_PRICE
    speed: Speed | None = None
    tags: tuple[str, ...] = ()
    alias_of: str | None = None
    created: int | None = None

    @property
    def name(self) -> str:
        """As a request may name it."""
        return f"{self.provider}/{self.id}"

    @property
    def chat(self) -> bool:
        return self.alias_of is None and not {"embedding", "other"} & set(self.tags)

    @property
    def blended(self) -> Decimal | None:
        if self.price.input is None or self.price.output is None:
            return self.price.input if "embedding" in self.tags else None
        return (3 * self.price.input + self.price.output) / 4

    def meets(self, needs: Needs) -> bool | None:
        """Whether it has all that; None where it is not known of something, and nothing speaks against it."""
        found = [self.can.get(capability) for capability in needs.capabilities]
        if needs.context is not None:
            found.append(None if self.context_window is None else self.context_window >= needs.context)
        return False if False in found else None if None in found else True

    def as_json(self) -> dict[str, Any]:
        """None stays null: unknown. capabilities: those that it has for sure; null where nothing is known."""
        known = {name for name, has in self.can.items() if has is not None}
        return {
            "id": self.id,
            "provider": self.provider,
            "kind": self.kind,
            "display_name": self.display_name,
            "context_window": self.context_window,
            "max_output_tokens": self.max_output_tokens,
            "capabilities": sorted(name for name in known if self.can[name]) if known else None,
            "input_usd_per_million": _number(self.price.input),
            "output_usd_per_million": _number(self.price.output),
            "first_token_s": None if self.speed is None else round(self.speed.first_token_s, 3),
            "tags": list(self.tags),
            "alias_of": self.alias_of,
        }


def entry(
    model: ModelInfo,
    provider: str,
    kind: str,
    backend: Backend,
    *,
    system: bool = False,
    speed: Speed | None = None,
    default: str | None = None,
) -> Entry:
    """What is known of one model. system: `provider` is one of the system's. default: the model that this one would ask
    where a request names none.
    """
    facts = backend.facts(model, kind, provider if system else None)
    made = Entry(
        model.id,
        provider,
        kind,
        facts.display_name,
        facts.context_window,
        facts.max_output_tokens,
        facts.can,
        facts.price,
        speed,
        _sort_of(model, facts),
        created=model.created,
    )
    tags = [*made.tags, *_tags(made)]
    return evolve(made, tags=tuple(tags if model.id != default else (*tags, "default")))


def _sort_of(model: ModelInfo, facts: ModelFacts) -> tuple[str, ...]:
    name, told = model.id.lower(), model.capabilities or frozenset()
    if "embeddings" in told or "embed" in name:
        return ("embedding",)
    if True not in facts.can.values() and _words(name) & _OTHER_WORDS:
        return ("other",)
    return ()


def _tags(made: Entry) -> list[str]:
    """A speed that was measured counts; else a vendor's own word for its fast models, unless they think first."""
    found, blended = [], made.blended
    if blended is not None and blended < CHEAP:
        found.append("cheap")
    if blended is not None and blended > DEAR:
        found.append("dear")
    words = _words(made.id.lower())
    said = made.chat and bool(words & _FAST_WORDS) and not words & _SLOW_WORDS
    if said if made.speed is None else made.speed.first_token_s < FAST_S:
        found.append("fast")
    return found


def _words(name: str) -> set[str]:
    return set(re.split(r"[^a-z0-9]+", name))


def aliases(view: ProviderView) -> list[Entry]:
    """Our own names of a provider's models."""
    return [
        Entry(name, view.name, view.kind, tags=("alias",), alias_of=target)
        for name, target in view.models.items()
    ]


def recommended(entries: Sequence[Entry], needs: Needs = NO_NEEDS) -> dict[str, Any]:
    """The cheapest and the fastest chat model that can do what is needed, and why; None where no figure is known.

    Those of which it is not known whether they can are named only where none is known that can; `sure` says so. Fastest
    is what our ledger has measured; where nothing was, the cheapest of those that their vendors call fast.
    """
    chat = [(one, one.meets(needs)) for one in entries if one.chat]
    able = [one for one, meets in chat if meets]
    perhaps = [one for one, meets in chat if meets is None]
    told: dict[str, Any] = {"cheapest": None, "fastest": None, "reasons": {}, "sure": {}}
    for word, choose in (("cheapest", _cheapest), ("fastest", _fastest)):
        sure, found = True, choose(able)
        if found is None:
            sure, found = False, choose(perhaps)
        if found is not None:
            told[word], told["reasons"][word], told["sure"][word] = found[0].name, found[1], sure
    return told


def _cheapest(entries: Sequence[Entry]) -> tuple[Entry, str] | None:
    priced = [(one.blended, one.name, one) for one in entries if one.blended]  # a price of 0 is a trial's
    if not priced:
        return None
    price, _, found = min(priced, key=lambda one: one[:2])
    return found, f"{price:.3g} US dollars per million tokens, three of four read"


def _fastest(entries: Sequence[Entry]) -> tuple[Entry, str] | None:
    timed = [(one.speed.first_token_s, one.name, one) for one in entries if one.speed is not None]
    if timed:
        seconds, _, found = min(timed, key=lambda one: one[:2])
        answers = found.speed.answers if found.speed else 0
        return found, f"{seconds:.3g} s to the first token, measured here in {answers} answers"
    found_by_tag = _cheapest([one for one in entries if "fast" in one.tags])
    if found_by_tag is None:
        return None
    return found_by_tag[0], "its vendor calls it a fast one; nothing was measured here yet"


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
