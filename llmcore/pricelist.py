"""The public list of models and prices (genai-prices), in a compact form that is read without its library.

The library and its data take 14 MB and a third of a second, what is asked of them next to nothing. So a server has it read by
a process of its own (`python -m llmcore.pricelist` writes it to stdout), which takes all that with it when it ends.
Prices are US dollars per million tokens; times are UTC.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import cache
from typing import Any, TypeAlias

import msgspec
from attrs import field, frozen

Rates: TypeAlias = tuple[Decimal | None, Decimal | None, Decimal | None, Decimal | None]
"""Of input, output, cached input and cache write; None where the list has none."""

PATIENCE_S = 60.0
_COMPACT_DATE = re.compile(r"-(20\d{2})(\d{2})(\d{2})(?=-|:|$)")


@frozen
class Tariff:
    """Prices at some time. steps: from above so many input tokens on, ascending from -1; None where it is not by tokens alone.

    since: the first day; until: with `start`, the time of day, perhaps of the next one, at which it ends.
    """

    steps: tuple[tuple[int, Rates], ...] | None
    since: date | None = None
    start: time | None = None
    until: time | None = None

    def holds(self, now: datetime) -> bool:
        if self.since is not None and now.date() < self.since:
            return False
        if self.start is None or self.until is None:
            return True
        if self.until < self.start:
            return now.time() >= self.start or now.time() < self.until
        return self.start <= now.time() < self.until


@frozen
class Listed:
    """One model of the list. match: ["equals", "x"], ["or", [...]] and the like, of names in lower case."""

    id: str
    match: list[Any]
    tariffs: tuple[Tariff, ...] = ()
    name: str | None = None
    context_window: int | None = None
    deprecated: bool = False

    def tariff(self, now: datetime) -> Tariff | None:
        """The last that holds, else the first."""
        holding = (one for one in reversed(self.tariffs) if one.holds(now))
        return next(holding, self.tariffs[0] if self.tariffs else None)


@frozen
class Vendor:
    """models: the first that matches is meant. others: vendors whose models it offers, too."""

    models: tuple[Listed, ...] = ()
    others: tuple[str, ...] = ()


@frozen
class PriceList:
    """Vendors by their id, each taken apart when it is first asked for."""

    written: Mapping[str, msgspec.Raw]
    _read: dict[str, Vendor] = field(factory=dict, init=False, repr=False, eq=False)

    def vendor(self, vendor_id: str) -> Vendor:
        """One without models where the list does not have it."""
        found = self._read.get(vendor_id)
        if found is None:
            raw = self.written.get(vendor_id)
            found = Vendor() if raw is None else msgspec.json.decode(raw, type=Vendor)
            if raw is not None:
                self._read[vendor_id] = found
        return found

    def find(self, vendor_id: str, model: str) -> Listed | None:
        """The model of that name, dated names included: "…-20251211" is asked for as "…-2025-12-11" as well."""
        vendor, name = self.vendor(vendor_id), model.lower()
        for tried in dict.fromkeys((name, _COMPACT_DATE.sub(r"-\1-\2-\3", name))):
            for one in (vendor, *(self.vendor(other) for other in vendor.others)):
                if (
                    found := next((item for item in one.models if matches(item.match, tried)), None)
                ) is not None:
                    return found
        return None


def matches(clause: Sequence[Any], name: str) -> bool:
    """Whether the clause means that name, in lower case."""
    kind, value = clause
    if kind == "or":
        return any(matches(one, name) for one in value)
    if kind == "and":
        return all(matches(one, name) for one in value)
    if kind == "regex":
        return re.search(value, name) is not None
    if kind == "equals":
        return bool(name == value)
    if kind == "contains":
        return value in name
    return name.startswith(value) if kind == "starts_with" else name.endswith(value)


@cache
def price_list() -> PriceList:
    """The installed library's list: by its own means where it is imported already, else by a process of its own.

    Raises ImportError without the library. Takes half a second the first time; call it off the event loop.
    """
    text = None if "genai_prices" in sys.modules else _written_apart()
    return PriceList(msgspec.json.decode(text or written(), type=dict[str, msgspec.Raw]))


def known() -> PriceList | None:
    """The list, where it was read before."""
    return price_list() if price_list.cache_info().currsize else None


def _written_apart() -> bytes | None:
    import subprocess

    if not sys.executable:
        return None
    command = [sys.executable, "-m", "llmcore.pricelist"]
    try:
        done = subprocess.run(  # noqa: S603 - our own module, by our own interpreter
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            timeout=PATIENCE_S,
            start_new_session=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


# ------------------------------------------------------------------------------------------ what that process does


def written() -> bytes:
    """The list as JSON, by the library. Raises ImportError without it."""
    from genai_prices.data import providers

    found = {
        one.id: Vendor(tuple(map(_listed, one.models)), tuple(one.fallback_model_providers or ()))
        for one in providers
    }
    return msgspec.json.encode(found)


def _listed(model: Any) -> Listed:
    tariffs = model.prices if isinstance(model.prices, list) else [None]
    made = [_tariff(one.prices, one.constraint) if one else _tariff(model.prices, None) for one in tariffs]
    return Listed(
        model.id, _clause(model.match), tuple(made), model.name, model.context_window, bool(model.deprecated)
    )


def _clause(clause: Any) -> list[Any]:
    """Its one field, the name of which says what it does."""
    ((name, value),) = vars(clause).items()
    if isinstance(value, list):
        return [name.rstrip("_"), [_clause(one) for one in value]]
    return [name, value if name == "regex" else value.lower()]


def _tariff(listed: Any, constraint: Any) -> Tariff:
    start, until = (_utc(getattr(constraint, name, None)) for name in ("start_time", "end_time"))
    return Tariff(_steps(listed), getattr(constraint, "start_date", None), start, until)


def _utc(at: time | None) -> time | None:
    if at is None or at.tzinfo is None:
        return at
    return datetime.combine(date(1970, 1, 1), at).astimezone(UTC).time()


def _steps(listed: Any) -> tuple[tuple[int, Rates], ...] | None:
    """A price of genai-prices in our words: every rate is one figure, or a base and tiers that start above a size."""
    from genai_prices import Usage

    try:
        listed.calc_price(Usage(input_tokens=0, output_tokens=0))
    except (LookupError, ValueError):  # in units that are not tokens
        return None
    rates = [
        getattr(listed, f"{name}_mtok", None) for name in ("input", "output", "cache_read", "cache_write")
    ]
    if rates[0] is None or getattr(listed, "requests_kcount", None) is not None:
        return None
    return tuple((above, _rates_at(rates, above)) for above in (-1, *_starts(rates)))


def _starts(rates: Iterable[Any]) -> list[int]:
    return sorted({tier.start for rate in rates for tier in getattr(rate, "tiers", ())})


def _rates_at(rates: Sequence[Any], above: int) -> Rates:
    read, wrote, cached, kept = (_rate_at(rate, above) for rate in rates)
    return read, wrote, cached, kept


def _rate_at(rate: Any, above: int) -> Decimal | None:
    if not hasattr(rate, "tiers"):
        return rate  # type: ignore[no-any-return]  # Decimal or None: the library declares it behind __getattr__
    return next((tier.price for tier in reversed(rate.tiers) if tier.start <= above), rate.base)  # type: ignore[no-any-return]  # as above


if __name__ == "__main__":
    sys.stdout.buffer.write(written())
