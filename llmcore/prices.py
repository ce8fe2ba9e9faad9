"""What a call costs: our own prices first, then those of the `prices` extra (genai-prices); unknown is None, never 0.

Prices are US dollars per million tokens. The extra's list is read by `warm()` and nowhere else, because that takes a third
of a second; before it, only our own prices are known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from importlib import import_module
from importlib.util import find_spec
from typing import Literal, TypeAlias

from attrs import field, frozen

from llmcore.pricelist import Listed, PriceList, Tariff, known, price_list
from llmcore.types import Usage

PriceSource: TypeAlias = Literal["auto", "own", "off"]
ANY_MODEL = "*"
MAX_FOUND = 1024
"""Models remembered; their names come from servers, so the memory for them is bounded."""

_MILLION = Decimal(1_000_000)
_ZERO = Decimal(0)


def _as_decimal(value: Decimal | float | str | None) -> Decimal | None:
    return (
        Decimal(str(value)) if isinstance(value, (float, str)) else None if value is None else Decimal(value)
    )


def _required(value: Decimal | float | str) -> Decimal:
    return Decimal(str(value))


@frozen
class Price:
    """US dollars per million tokens.

    output: None for models that only read (embeddings). cached_input, cache_write: None where they cost as `input`.
    """

    input: Decimal = field(converter=_required)
    output: Decimal | None = field(default=None, converter=_as_decimal)
    cached_input: Decimal | None = field(default=None, converter=_as_decimal)
    cache_write: Decimal | None = field(default=None, converter=_as_decimal)

    def cost(self, usage: Usage) -> Decimal | None:
        """Dollars for `usage`; None where the vendor did not count what this price asks for."""
        if usage.input_tokens is None or (usage.output_tokens is None and self.output is not None):
            return None
        if usage.output_tokens and self.output is None:
            return None
        total = self.input * usage.input_tokens + (self.output or 0) * (usage.output_tokens or 0)
        if usage.cached_tokens or usage.cache_write_tokens:
            total += self._of_cache(usage.input_tokens, usage)
        return total / _MILLION

    def _of_cache(self, tokens: int, usage: Usage) -> Decimal:
        """What those of the input `tokens` that the cache gave or took cost more than others (less than nothing, mostly)."""
        cached = min(usage.cached_tokens or 0, tokens)
        fresh = min(usage.cache_write_tokens or 0, tokens - cached)
        more = _ZERO if self.cached_input is None else (self.cached_input - self.input) * cached
        return more if self.cache_write is None else more + (self.cache_write - self.input) * fresh


_SAME_NAME = (
    "openai",
    "anthropic",
    "groq",
    "together",
    "deepseek",
    "openrouter",
    "cohere",
    "mistral",
    "fireworks",
)
_VENDORS: Mapping[str, str] = {
    **{name: name for name in (*_SAME_NAME, "perplexity", "cerebras")},
    "openai_responses": "openai",
    "azure_openai": "azure",
    "gemini": "google",
    "xai": "x-ai",
}
"""Our kinds, and how genai-prices calls the same vendor; other kinds have no public prices."""


def warm(*, apart: bool = False) -> bool:
    """Read the prices of the `prices` extra; False where it is not installed.

    Takes about 0.3 s of CPU the first time: call it before the first request, off the event loop. apart: by a process of its
    own (`sys.executable` must be Python), which takes the 14 MB of the library with it when it ends.
    """
    if find_spec("genai_prices") is None:
        return False
    if not apart:
        import_module("genai_prices")
    price_list()
    return True


class PriceBook:
    """Answers what a call to one provider cost.

    own: by the vendor's model name, "*" for every other. mode: "auto" (own prices, then those of the extra once
    `warm()` has run), "own", or "off".
    """

    def __init__(self, own: Mapping[str, Price] | None = None, *, mode: PriceSource = "auto") -> None:
        self.own: Mapping[str, Price] = own or {}
        self.mode: PriceSource = mode
        self._public: PublicPrices | None = None
        self._own_found: dict[str | None, Price | None] = {}

    def cost(self, kind: str, model: str | None, usage: Usage) -> Decimal | None:
        """Dollars for one answer of a provider of that kind: the vendor's own figure, else by our price, else by the
        extra's; None where nobody knows.
        """
        if usage.cost_usd is not None:
            return usage.cost_usd
        if self.mode == "off":
            return None
        if self.own and (price := self._own(model)) is not None:
            return price.cost(usage)
        vendor = _VENDORS.get(kind)
        if vendor is None or model is None or (public := self._loaded()) is None:
            return None
        return public.cost(usage, vendor, model)

    def _own(self, model: str | None) -> Price | None:
        if model not in self._own_found:
            if len(self._own_found) >= MAX_FOUND:
                self._own_found.clear()
            self._own_found[model] = own_price(self.own, model)
        return self._own_found[model]

    def _loaded(self) -> PublicPrices | None:
        if self._public is None and self.mode == "auto" and (listed := known()) is not None:
            self._public = PublicPrices(listed)
        return self._public


def own_price(own: Mapping[str, Price], model: str | None) -> Price | None:
    """The configured price: of that name, of the longest name that it is a dated version of, or of "*"."""
    if model is not None and own:
        if (price := own.get(model)) is not None:
            return price
        versions = [name for name in own if _is_version(model, name)]
        if versions:
            return own[max(versions, key=len)]
    return own.get(ANY_MODEL)


def _is_version(model: str, name: str) -> bool:
    """Whether `model` is `name` with a date behind it ("gpt-4o-mini-2024-07-18"), as vendors answer."""
    tail = model.removeprefix(name)
    return tail != model and tail[:1] in {"-", "@"} and tail[1:].replace("-", "").isdigit()


@frozen
class Ladder:
    """What one model costs: the price of the last step whose `above` the input tokens exceed holds for all tokens."""

    steps: tuple[tuple[int, Price], ...]

    def cost(self, usage: Usage) -> Decimal | None:
        size = usage.input_tokens or 0
        price = next(price for above, price in reversed(self.steps) if size > above)
        return price.cost(usage)


class PublicPrices:
    """The prices of the list, each model looked up once; those that change by date are looked at every time.

    now: an aware datetime in UTC.
    """

    def __init__(self, listed: PriceList, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._list = listed
        self._now = now
        self._found: dict[tuple[str, str], Listed | None] = {}
        self._fixed: dict[tuple[str, str], Ladder | None] = {}

    def cost(self, usage: Usage, vendor: str, model: str) -> Decimal | None:
        key = (vendor, model)
        ladder = self._fixed[key] if key in self._fixed else self._ladder(key)
        return None if ladder is None else ladder.cost(usage)

    def _ladder(self, key: tuple[str, str]) -> Ladder | None:
        if key not in self._found:
            if len(self._found) >= MAX_FOUND:
                self._found.clear()
                self._fixed.clear()
            self._found[key] = self._list.find(*key)
        listed = self._found[key]
        ladder = None if listed is None else _ladder(listed.tariff(self._now()))
        if listed is None or len(listed.tariffs) < 2:
            self._fixed[key] = ladder
        return ladder


def _ladder(tariff: Tariff | None) -> Ladder | None:
    if tariff is None or tariff.steps is None:
        return None
    return Ladder(tuple((above, Price(rates[0] or 0, *rates[1:])) for above, rates in tariff.steps))
