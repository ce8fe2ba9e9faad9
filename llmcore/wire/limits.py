"""Rate limits out of the headers of an answer, in every spelling that vendors use, and the forms of a wait in them.

OpenAI, Azure, Groq, Cerebras, Mistral, Fireworks: `x-ratelimit-{limit,remaining,reset}-{what}[-{window}]`; Anthropic:
`anthropic-ratelimit-{what}-{limit,remaining,reset}`; OpenRouter, Together, xAI and many gateways:
`x-ratelimit-{limit,remaining,reset}` (requests) and `x-tokenlimit-...`; the IETF drafts: `ratelimit-...` and `ratelimit`
with `ratelimit-policy`. A reset is a Go duration, seconds, an epoch in seconds or milliseconds, or an RFC 3339 instant.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from llmcore.types import Limit, RateLimits

_UNIT = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_PART = r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h|d)"
_DURATION_PART = re.compile(_PART)
_DURATION = re.compile(f"(?:{_PART})+")

_FIGURE_FIRST = re.compile(r"(?:.*-)?(rate|token)-?limit-(limit|remaining|reset)(?:-(.+))?")
_FIGURE_LAST = re.compile(r"(?:.*-)?(rate)-?limit-(.+)-(limit|remaining|reset)")
_WINDOW = re.compile(r"-(?:second|minute|hour|day|month)$")
_KINDS = {
    **dict.fromkeys(("", "requests", "req"), "requests"),
    "tokens": "tokens",
    **dict.fromkeys(("input-tokens", "tokens-prompt"), "input_tokens"),
    **dict.fromkeys(("output-tokens", "tokens-generated"), "output_tokens"),
}
_LEADING = re.compile(r"\s*(\d+(?:\.\d+)?)")
_PARAMETER = re.compile(r"\b([a-z]+)=\"?([^\s;,\"]+)")
_MOST_NAMES = 256
_SECONDS_BELOW = 1e8
_MILLISECONDS_FROM = 1e11


def read_limits(headers: Mapping[str, str], now: float | None = None) -> RateLimits | None:
    """The limits that an answer's headers (names in lower case) tell; None where they tell none.

    now: the moment of the answer in seconds since the epoch, where it has no Date header of its own. Where several
    windows limit the same thing, the one with the least left is told.
    """
    return LimitReader().read(headers, now)


class LimitReader:
    """`read_limits` for many answers of one vendor, at a third of the cost: it knows the names and the last date again."""

    __slots__ = ("_date", "_names")

    def __init__(self) -> None:
        self._names: dict[str, tuple[str, str, str] | None] = {}
        self._date: tuple[str | None, float | None] = (None, None)

    def read(self, headers: Mapping[str, str], now: float | None = None) -> RateLimits | None:
        """As `read_limits`."""
        if "limit" not in "\n".join(headers):
            return None
        figures: dict[tuple[str, str], dict[str, str]] = {}
        for name, value in headers.items():
            if "limit" in name and (found := self._figure(name)) is not None:
                figures.setdefault(found[:2], {})[found[2]] = value
        told = [(kind, self._limit(texts, headers, now)) for (kind, _), texts in figures.items()]
        if "ratelimit" in headers:
            told += [("requests", limit) for limit in _draft(headers)]
        best: dict[str, Limit] = {}
        for kind, limit in told:
            if limit != _NOTHING and (kind not in best or _tightness(limit) < _tightness(best[kind])):
                best[kind] = limit
        return RateLimits(**best) if best else None

    def _figure(self, name: str) -> tuple[str, str, str] | None:
        if name not in self._names:
            if len(self._names) >= _MOST_NAMES:
                self._names.clear()
            self._names[name] = _figure(name)
        return self._names[name]

    def _limit(self, texts: Mapping[str, str], headers: Mapping[str, str], now: float | None) -> Limit:
        reset, resets_s = texts.get("reset"), None
        if reset is not None:
            resets_s, then = _moment(reset)
            if then is not None and (at := self._sent(headers.get("date"), now)) is not None:
                resets_s = max(0.0, then - at)
        return Limit(_leading(texts.get("limit")), _leading(texts.get("remaining")), resets_s)

    def _sent(self, date: str | None, now: float | None) -> float | None:
        """When the answer was sent."""
        if date != self._date[0]:
            self._date = date, http_date(date)
        return now if self._date[1] is None else self._date[1]


def exhausted_for(headers: Mapping[str, str]) -> float | None:
    """Seconds until the first of the limits that are used up is whole again, where the vendor says when."""
    limits = read_limits(headers)
    if limits is None:
        return None
    each = (limits.requests, limits.tokens, limits.input_tokens, limits.output_tokens)
    return min(
        (
            limit.resets_s
            for limit in each
            if limit is not None and limit.remaining == 0 and limit.resets_s is not None
        ),
        default=None,
    )


_NOTHING = Limit()


def _figure(name: str) -> tuple[str, str, str] | None:
    """What is limited, the name's rest (which tells windows apart), and which figure of the limit this is."""
    if match := _FIGURE_FIRST.fullmatch(name):
        rest, what = match[3] or "", match[2]
    elif match := _FIGURE_LAST.fullmatch(name):
        rest, what = match[2], match[3]
    else:
        return None
    kind = _KINDS.get(_WINDOW.sub("", f"-{rest}").lstrip("-"))
    if match[1] == "token":
        kind = "tokens" if not rest else None
    return None if kind is None else (kind, rest, what)


def _draft(headers: Mapping[str, str]) -> list[Limit]:
    """The `ratelimit` field of the IETF drafts: `"name";r=50;t=30` with its policy, or `limit=9, remaining=5, reset=30`."""
    text = headers.get("ratelimit")
    if text is None:
        return []
    if "remaining=" in text:
        said = dict(_PARAMETER.findall(text))
        return [Limit(number(said.get("limit")), number(said.get("remaining")), number(said.get("reset")))]
    quotas = {
        _item(item): dict(_PARAMETER.findall(item)) for item in headers.get("ratelimit-policy", "").split(",")
    }
    limits = []
    for item in text.split(","):
        said, policy = dict(_PARAMETER.findall(item)), quotas.get(_item(item), {})
        if policy.get("qu", "requests") == "requests":
            limits.append(Limit(number(policy.get("q")), number(said.get("r")), number(said.get("t"))))
    return limits


def _item(text: str) -> str:
    return text.partition(";")[0].strip().strip('"')


def _tightness(limit: Limit) -> tuple[float, float]:
    left = math.inf if limit.remaining is None else limit.remaining
    return left, -(limit.resets_s or 0.0)


def _leading(text: str | None) -> float | None:
    """The number that `text` begins with ("100, 100;w=60" is 100)."""
    if text is None:
        return None
    if (value := number(text)) is not None:
        return value
    match = _LEADING.match(text)
    return None if match is None else number(match[1])


# ------------------------------------------------------------------------------------- the forms of a wait


def number(text: str | None) -> float | None:
    """A finite number from 0 on, or None."""
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def duration(text: str) -> float | None:
    """A Go-style duration ("6m0s", "34.07s", "120ms") in seconds, or None."""
    text = text.strip().replace(" ", "")
    if not _DURATION.fullmatch(text):
        return None
    return number(str(sum(float(figure) * _UNIT[unit] for figure, unit in _DURATION_PART.findall(text))))


def http_date(text: str | None) -> float | None:
    """An HTTP date in seconds since the epoch, or None."""
    return None if text is None else _epoch(text, parsedate_to_datetime)


def seconds_until(text: str, date: str | None, now: float | None = None) -> float | None:
    """A wait or an instant in any of its forms, as seconds from the moment of the answer; an instant that is past is 0.

    date: the answer's own Date header. now: that moment where there is none. Without either an instant is unknown.
    """
    wait, then = _moment(text)
    if then is None:
        return wait
    at = http_date(date)
    at = now if at is None else at
    return None if at is None else max(0.0, then - at)


def _moment(text: str) -> tuple[float | None, float | None]:
    """A wait in seconds, or else an instant in seconds since the epoch."""
    value = number(text)
    if value is not None:
        if value < _SECONDS_BELOW:
            return value, None
        return None, value / 1000 if value > _MILLISECONDS_FROM else value
    if (wait := duration(text)) is not None:
        return wait, None
    then = _epoch(text, datetime.fromisoformat)
    return None, http_date(text) if then is None else then


def _epoch(text: str, parse: Callable[[str], datetime]) -> float | None:
    try:
        value = parse(text)
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
