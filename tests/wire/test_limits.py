"""Rate limits in every spelling, and the forms of a wait."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcore.types import Limit, RateLimits
from llmcore.wire.limits import (
    LimitReader,
    duration,
    exhausted_for,
    http_date,
    number,
    read_limits,
    seconds_until,
)

DATE = "Sat, 21 Nov 2026 10:00:00 GMT"
NOW = 1795255200.0
PLAIN = {
    "date": DATE, "content-type": "application/json", "server": "x", "content-length": "812", "x-request-id": "r",
    "cache-control": "no-cache", "vary": "origin", "via": "1.1 x", "cf-ray": "8d", "openai-version": "2020-10-01",
    "strict-transport-security": "max-age=3", "alt-svc": "h3", "set-cookie": "a=b", "connection": "keep-alive",
}  # fmt: skip


def x(**figures: str) -> dict[str, str]:
    return {f"x-ratelimit-{name.replace('_', '-')}": value for name, value in figures.items()}


def anthropic(**figures: str) -> dict[str, str]:
    return {f"anthropic-ratelimit-{name.replace('_', '-')}": value for name, value in figures.items()}


VENDORS: list[tuple[str, dict[str, str], RateLimits | None]] = [
    ("nobody", PLAIN, None),
    ("a retry-after alone", {"retry-after": "3"}, None),
    (
        "OpenAI",
        x(
            limit_requests="500", remaining_requests="499", reset_requests="120ms",
            limit_tokens="30000", remaining_tokens="29000", reset_tokens="6m0s",
        ),
        RateLimits(Limit(500, 499, 0.12), Limit(30000, 29000, 360)),
    ),
    (
        "Azure, without resets",
        x(limit_requests="10", remaining_requests="9", limit_tokens="1000", remaining_tokens="0"),
        RateLimits(Limit(10, 9), Limit(1000, 0)),
    ),
    (
        "Groq",
        x(
            limit_requests="14400", remaining_requests="14370", reset_requests="2m59.56s",
            limit_tokens="18000", remaining_tokens="17997", reset_tokens="7.66s",
        ),
        RateLimits(Limit(14400, 14370, 179.56), Limit(18000, 17997, 7.66)),
    ),
    (
        "Anthropic",
        anthropic(
            requests_limit="50", requests_remaining="49", requests_reset="2026-11-21T10:00:01Z",
            tokens_limit="9000", tokens_remaining="8000", tokens_reset="2026-11-21T10:01:00Z",
            input_tokens_limit="7000", input_tokens_remaining="6000", input_tokens_reset="2026-11-21T09:59:00Z",
            output_tokens_limit="2000", output_tokens_remaining="2000", output_tokens_reset="2026-11-21T11:00:00+01:00",
            unified_status="allowed", unified_5h_reset="1795255300",
        ),
        RateLimits(Limit(50, 49, 1), Limit(9000, 8000, 60), Limit(7000, 6000, 0), Limit(2000, 2000, 0)),
    ),
    (
        "Cerebras, two windows of requests",
        x(
            limit_requests_day="100", remaining_requests_day="99", reset_requests_day="33011.4",
            limit_requests_minute="30", remaining_requests_minute="29", reset_requests_minute="59.5",
            limit_tokens_minute="60000", remaining_tokens_minute="1234", reset_tokens_minute="11.38",
        ),
        RateLimits(Limit(30, 29, 59.5), Limit(60000, 1234, 11.38)),
    ),
    (
        "the day's window is the tighter one",
        x(
            limit_requests_day="100", remaining_requests_day="0", reset_requests_day="500",
            limit_requests_minute="30", remaining_requests_minute="0", reset_requests_minute="5",
        ),
        RateLimits(Limit(100, 0, 500)),
    ),
    (
        "Mistral",
        x(
            limit_req_minute="60", remaining_req_minute="59", limit_tokens_minute="50000",
            remaining_tokens_minute="47196", limit_tokens_month="4000000", remaining_tokens_month="3950246",
            tokens_query_cost="2804",
        ),
        RateLimits(Limit(60, 59), Limit(50000, 47196)),
    ),
    (
        "Together",
        {
            **x(limit="60", remaining="59", reset="0.5"),
            "x-tokenlimit-limit": "1000", "x-tokenlimit-remaining": "998", "x-tokenlimit-reset": "2",
        },
        RateLimits(Limit(60, 59, 0.5), Limit(1000, 998, 2)),
    ),
    (
        "Fireworks",
        x(
            limit_requests="6000", remaining_requests="5999", limit_tokens_prompt="7200000",
            remaining_tokens_prompt="7193993", limit_tokens_generated="72000", remaining_tokens_generated="69338",
            limit_tokens_cache_adjusted_prompt="900000", remaining_tokens_cache_adjusted_prompt="900000",
            over_limit="no",
        ),
        RateLimits(Limit(6000, 5999), None, Limit(7200000, 7193993), Limit(72000, 69338)),
    ),
    (
        "OpenRouter, epoch in milliseconds",
        x(limit="20", remaining="0", reset="1795255230500"),
        RateLimits(Limit(20, 0, 30.5)),
    ),
    ("a gateway, epoch in seconds", x(limit="4", remaining="3", reset="1795255210"), RateLimits(Limit(4, 3, 10))),
    ("with another hyphen", {"x-rate-limit-limit": "4", "x-rate-limit-remaining": "3"}, RateLimits(Limit(4, 3))),
    (
        "the IETF's first drafts",
        {"ratelimit-limit": "100, 100;w=60", "ratelimit-remaining": "50", "ratelimit-reset": "30"},
        RateLimits(Limit(100, 50, 30)),
    ),
    (
        "its seventh",
        {"ratelimit": "limit=100, remaining=50, reset=5", "ratelimit-policy": "100;w=60"},
        RateLimits(Limit(100, 50, 5)),
    ),
    (
        "its later ones",
        {
            "ratelimit": '"day";r=95;t=3000, "min"; r=5; t=25',
            "ratelimit-policy": '"day";q=1000;w=86400, "min";q=100;w=60',
        },
        RateLimits(Limit(100, 5, 25)),
    ),
    (
        "its later ones, counting bytes",
        {"ratelimit": '"a";r=95;t=3', "ratelimit-policy": '"a";q=1000;qu="content-bytes"'},
        None,
    ),
    ("unreadable figures", x(limit="many", remaining="-1", reset="soon"), None),
    ("a figure of another kind", x(limit_images="5", remaining_images="1"), None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("headers", "expected"), [row[1:] for row in VENDORS], ids=[row[0] for row in VENDORS]
)
def test_limits_in_every_spelling(headers: dict[str, str], expected: RateLimits | None) -> None:
    assert read_limits({**headers, "date": DATE}) == approximately(expected)
    assert read_limits({**PLAIN, **headers, "date": "long ago"}, NOW) == approximately(expected)


def approximately(limits: RateLimits | None) -> Any:
    return limits if limits is None else _Near(limits)


class _Near:
    """Equal to limits whose figures are the same to a microsecond."""

    def __init__(self, limits: RateLimits) -> None:
        self.limits = limits

    def __repr__(self) -> str:
        return repr(self.limits)

    def __eq__(self, other: object) -> bool:
        names = ("requests", "tokens", "input_tokens", "output_tokens")
        return isinstance(other, RateLimits) and all(
            self._figures(getattr(self.limits, name)) == pytest.approx(self._figures(getattr(other, name)))
            for name in names
        )

    def __hash__(self) -> int:
        return hash(self.limits)

    @staticmethod
    def _figures(limit: Limit | None) -> list[float]:
        said = () if limit is None else (limit.limit, limit.remaining, limit.resets_s)
        return [-1.0 if figure is None else figure for figure in said]


def test_a_reader_for_many_answers_tells_the_same() -> None:
    reader = LimitReader()
    for _ in range(2):
        for _, headers, expected in VENDORS:
            assert reader.read({**headers, "date": DATE}) == approximately(expected)
            assert reader.read(headers, NOW) == approximately(read_limits(headers, NOW))
    for index in range(1000):
        reader.read({f"x-ratelimit-limit-{index}": "1"})
    assert len(reader._names) <= 256


def test_an_instant_without_a_clock_is_unknown() -> None:
    headers = anthropic(requests_remaining="0", requests_reset="2026-11-21T10:00:01Z")
    assert read_limits(headers) == RateLimits(Limit(None, 0, None))
    assert read_limits(headers, NOW) == RateLimits(Limit(None, 0, 1.0))


def test_the_vendors_own_date_counts_so_that_our_clock_may_be_wrong() -> None:
    headers = {**anthropic(requests_reset="2026-11-21T10:00:09Z"), "date": DATE}
    assert read_limits(headers, NOW + 5000) == RateLimits(Limit(None, None, 9.0))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        (x(remaining="0", reset="7"), 7.0),
        (x(remaining="1", reset="7"), None),
        (x(reset="7"), None),
        (x(remaining="0"), None),
        (x(remaining_requests="0", reset_requests="9", remaining_tokens="0", reset_tokens="4"), 4.0),
        ({"ratelimit": '"a";r=0;t=25'}, 25.0),
        (PLAIN, None),
    ],
)
def test_the_first_limit_to_be_whole_again(headers: dict[str, str], seconds: float | None) -> None:
    assert exhausted_for(headers) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("6m0s", 360.0),
        ("17ms", 0.017),
        ("12.5us", 1.25e-5),
        ("3", 3.0),
        ("0.5", 0.5),
        ("99999999", 99999999.0),
        ("1795255260", 60.0),
        ("1795255200500", 0.5),
        ("1795255100", 0.0),
        ("2026-11-21T10:00:01.5Z", 1.5),
        ("2026-11-21T10:00:01", 1.0),
        ("Sat, 21 Nov 2026 10:00:30 GMT", 30.0),
        ("-1", None),
        ("nan", None),
        ("9" * 400, None),
        ("9" * 400 + "s", None),
        ("soon", None),
        ("", None),
    ],
)
def test_the_forms_of_a_wait(text: str, seconds: float | None) -> None:
    found = seconds_until(text, DATE)
    assert found == (None if seconds is None else pytest.approx(seconds))


@given(
    headers=st.dictionaries(
        st.sampled_from(
            [
                "ratelimit", "ratelimit-policy", "ratelimit-limit", "x-ratelimit-reset", "x-ratelimit-remaining", "date",
                "anthropic-ratelimit-tokens-reset", "x-ratelimit-reset-tokens-minute", "x-tokenlimit-reset",
            ]
        )
        | st.from_regex(r"[a-z]{0,5}-?rate-?limit-[a-z-]{0,20}", fullmatch=True),
        st.text(max_size=30) | st.from_regex(r'"a";r=\d{1,400};t=-?\d{1,40}') | st.floats().map(str),
    ),
    now=st.none() | st.floats(0, 1e11),
)  # fmt: skip
def test_no_header_breaks_the_reading(headers: dict[str, str], now: float | None) -> None:
    limits = read_limits(headers, now)
    for name in ("requests", "tokens", "input_tokens", "output_tokens"):
        limit = getattr(limits, name, None) or Limit()
        for figure in (limit.limit, limit.remaining, limit.resets_s):
            assert figure is None or 0 <= figure < float("inf")
    assert limits != RateLimits()


@given(st.text(max_size=40))
def test_no_text_breaks_the_forms(text: str) -> None:
    for found in (number(text), duration(text), seconds_until(text, DATE, NOW), seconds_until(text, text)):
        assert found is None or 0 <= found < float("inf")
    assert http_date(text) is None or isinstance(http_date(text), float)


def test_headers_without_limits_are_looked_at_by_name_only() -> None:
    class Names(Mapping[str, str]):
        def __iter__(self) -> Iterator[str]:
            return iter(PLAIN)

        def __len__(self) -> int:
            return len(PLAIN)

        def __getitem__(self, name: str) -> str:
            raise AssertionError(name)

    assert read_limits(Names(), NOW) is None
