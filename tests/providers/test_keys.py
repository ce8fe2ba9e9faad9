"""A leaf with several keys: turns by weight, seats of their own, what attempts and listeners are told, nothing shown."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcore import errors
from llmcore.build import create_provider
from llmcore.config import KeyConfig, Price, ProviderConfig
from llmcore.errors import ConfigurationError, ProviderError
from llmcore.provider import Limited, LlmProvider, Priced, Seated
from llmcore.providers import find
from llmcore.providers.base import HttpProvider
from llmcore.providers.seats import Rota
from llmcore.types import EmbeddingRequest, GenerationRequest, Limit, RateLimits, Usage
from tests.providers.dialects import KEY, MODEL, READ, WRITTEN, Body, Vendor, dialect_of, made

pytestmark = pytest.mark.anyio

OPENAI = find("openai")
FIRST, SECOND, THIRD = "sk-first-0123456789", "second-key/of+mine==", "third-0123456789"
KEYS = (KeyConfig("a", FIRST, 2.0), KeyConfig("b", SECOND, 1.0), KeyConfig("c", THIRD, 0.0))
LIMITS = {"x-ratelimit-limit-requests": "9", "x-ratelimit-remaining-requests": "4"}
TOLD = RateLimits(Limit(9, 4))
PRICE = Price(Decimal(1), Decimal(2))


def vendor_of(kind: str = "openai", reply: Any = None, **more: Any) -> Vendor:
    return Vendor(dialect_of(find(kind)), reply, **more)


def several(vendor: Vendor, **more: Any) -> HttpProvider:
    return made(OPENAI, vendor, api_key=None, api_keys=KEYS, **more)


def used(vendor: Vendor) -> list[str]:
    return [request.headers.get("authorization", "").removeprefix("Bearer ") for request in vendor.requests]


def one(reply: httpx.Response) -> Callable[[httpx.Request], httpx.Response]:
    """That reply, whatever is asked."""
    return lambda request: reply


async def failure(work: Any) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await work
    return caught.value


# ------------------------------------------------------------------------------------------------ turns


async def test_alone_it_takes_its_keys_in_turns_by_weight() -> None:
    vendor = vendor_of()
    provider = several(vendor)
    for _ in range(3):
        await provider.generate("hi")
        await provider.stream("hi").collect()
        await provider.embed("hi")
        await provider.list_models()
    assert Counter(used(vendor)) == {FIRST: 8, SECOND: 4}
    assert used(vendor)[:3] in ([FIRST, SECOND, FIRST], [FIRST, FIRST, SECOND])
    stats = provider.stats()
    assert (stats.requests, stats.successes) == (12, 12)


async def test_a_key_that_fails_is_tried_once_and_skipped_no_turn() -> None:
    def reply(request: httpx.Request) -> httpx.Response | None:
        bad = request.headers["authorization"].endswith(SECOND)
        return httpx.Response(401, json={"error": {"code": "invalid_api_key"}}) if bad else None

    vendor = vendor_of(reply=reply)
    provider = several(vendor)
    failed = []
    for _ in range(9):
        try:
            await provider.generate("hi")
        except errors.AuthenticationError as refused:
            failed.append(refused)
    assert [error.key for error in failed] == ["b"] * 3
    for error in failed:
        assert [(each.key, each.outcome, each.status) for each in error.attempts] == [
            ("b", "AuthenticationError", 401)
        ]
    assert len(vendor.requests) == 9


@given(
    weights=st.lists(st.integers(0, 9), min_size=1, max_size=5).map(
        lambda ints: [float(one) for one in ints]
    ),
    turns=st.integers(1, 60),
)
def test_over_any_number_of_turns_each_has_its_share(weights: list[float], turns: int) -> None:
    rota = Rota(weights)
    shares = weights if any(weights) else [1.0] * len(weights)
    counts = Counter(rota.next() for _ in range(turns))
    for index, weight in enumerate(shares):
        assert abs(counts[index] - turns * weight / sum(shares)) < len(shares)
        assert weight > 0 or counts[index] == 0
    whole = sum(int(weight) for weight in shares)
    rota = Rota(weights)
    assert Counter(rota.next() for _ in range(whole)) == Counter(
        {index: int(weight) for index, weight in enumerate(shares) if weight}
    )


# ------------------------------------------------------------------------------------------------ seats


async def test_each_key_is_a_seat_that_shares_everything_else() -> None:
    vendor = vendor_of()
    provider = several(vendor)
    assert isinstance(provider, Seated)
    assert [(seat.name, seat.weight) for seat in provider.seats] == [("a", 2.0), ("b", 1.0), ("c", 0.0)]
    for seat in provider.seats:
        assert isinstance(seat.provider, LlmProvider)
        response = await seat.provider.generate("hi")
        assert (response.provider, response.attempts[0].key) == ("main", seat.name)
        await seat.provider.stream("hi").collect()
        await seat.provider.embed("hi")
        assert seat.provider.stats() == provider.stats()
        assert KEY not in repr(seat)
    assert used(vendor) == [key for key in (FIRST, SECOND, THIRD) for _ in range(3)]
    assert provider.stats().successes == 9


@pytest.mark.parametrize("keys", [{}, {"api_key": None, "api_keys": [KeyConfig("only", KEY)]}])
async def test_a_single_key_has_a_seat_without_a_name(keys: dict[str, Any]) -> None:
    vendor = vendor_of()
    provider = made(OPENAI, vendor, **keys)
    ((seat),) = provider.seats
    assert (seat.name, seat.provider) == (None, provider)
    response = await provider.generate("hi")
    assert response.attempts[0].key is None
    assert used(vendor) == [KEY]


async def test_the_transport_is_closed_once_whoever_closes() -> None:
    for close in (lambda whole: whole, lambda whole: whole.seats[1].provider):
        vendor = vendor_of()
        provider = several(vendor)
        await provider.generate("hi")
        closing: Callable[[HttpProvider], LlmProvider] = close
        for _ in range(2):
            await closing(provider).aclose()
            await provider.aclose()
        assert vendor.closed == 1
        assert provider.stats().state == provider.seats[0].provider.stats().state == "closed"


# ------------------------------------------------------------------------------------------- the making


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ({"api_key": "k", "api_keys": KEYS}, "api_keys: is given beside api_key"),
        (
            {"api_keys": [KeyConfig("a", "k1"), KeyConfig("a", "k2")]},
            "api_keys[1]: 'a' is the name of another",
        ),
        ({"api_keys": [KeyConfig("a", "k1"), KeyConfig("b", "")]}, "api_keys[1]: is empty"),
        ({"api_keys": [KeyConfig("a", "k 1")]}, "api_keys[0]: holds spaces"),
        ({"api_keys": [KeyConfig("a", "k1", -1.0)]}, "api_keys[0]: the weight"),
        ({"api_keys": [KeyConfig("a", "k1", float("nan"))]}, "api_keys[0]: the weight"),
    ],
)
def test_keys_are_checked_when_the_provider_is_made(more: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        create_provider(ProviderConfig("x", "openai", **more), environ={})
    assert caught.value.complaints[0].startswith(complaint)
    assert "k 1" not in str(caught.value)


async def test_configured_keys_go_to_the_configured_address_and_nowhere_else() -> None:
    vendor = vendor_of()
    provider = several(vendor, base_url="https://mine.example/v1")
    await provider.generate("hi")
    assert vendor.requests[0].url.host == "mine.example"
    assert used(vendor) == [FIRST]


# ------------------------------------------------------------------------------------------- being told


async def test_who_listens_is_told_the_limits_of_every_answer_good_or_bad() -> None:
    def reply(request: httpx.Request) -> httpx.Response | None:
        return httpx.Response(429, headers=LIMITS, json={}) if b"refuse" in request.content else None

    vendor = vendor_of(reply=reply, headers=LIMITS)
    provider = several(vendor, models={"alias": "vendors-name"})
    assert isinstance(provider, Limited)
    heard: list[tuple[str | None, RateLimits]] = []
    of_b: list[tuple[str | None, RateLimits]] = []
    provider.listen(lambda model, limits: heard.append((model, limits)))
    second = provider.seats[1].provider
    assert isinstance(second, Limited)
    second.listen(lambda model, limits: of_b.append((model, limits)))
    await provider.generate(GenerationRequest("hi", model="alias"))
    await second.embed(EmbeddingRequest("hi", model="e"))
    async with second.stream("hi"):
        assert [model for model, _ in heard] == ["vendors-name", "e", MODEL]
    assert type(await failure(provider.seats[2].provider.generate("refuse"))) is errors.RateLimitError
    await provider.list_models()
    assert heard == [(model, TOLD) for model in ("vendors-name", "e", MODEL, MODEL)]
    assert of_b == [("e", TOLD), (MODEL, TOLD)]


async def test_answers_without_limits_tell_nothing() -> None:
    provider = made(OPENAI, vendor_of())
    provider.listen(lambda model, limits: pytest.fail("nothing was said"))
    await provider.generate("hi")


# -------------------------------------------------------------------------------------- prices, attempts


async def test_it_knows_what_tokens_cost() -> None:
    prices = {"*": Price(Decimal(1), Decimal(2))}
    provider = made(OPENAI, vendor_of(), prices=prices)
    assert isinstance(provider, Priced)
    assert provider.cost("any", Usage(1_000_000, 500_000)) == Decimal(2)
    assert provider.cost("any", Usage(1_000_000)) is None
    assert made(OPENAI, vendor_of()).cost("no-such-model", Usage(1, 1)) is None
    response = await provider.generate("hi")
    (attempt,) = response.attempts
    assert (attempt.usage.input_tokens, attempt.usage.output_tokens) == (READ, WRITTEN)
    assert attempt.counted == "measured"
    assert attempt.cost_usd == response.usage.cost_usd is not None
    assert (attempt.phase, attempt.first_token_s, attempt.why) == (None, None, "first")


async def test_a_streams_attempt_says_when_the_first_token_came_and_the_real_status() -> None:
    dialect = dialect_of(OPENAI)
    headers = {"content-type": dialect.stream_type}
    vendor = vendor_of(reply=lambda request: httpx.Response(203, headers=headers, content=dialect.stream()))
    (attempt,) = (await made(OPENAI, vendor).stream("hi").collect()).attempts
    assert attempt.status == 203
    assert attempt.first_token_s is not None
    assert 0 <= attempt.first_token_s <= (attempt.duration_s or 0)
    assert attempt.counted == "measured"


async def test_an_answer_that_says_no_tokens_is_unknown() -> None:
    body = {"choices": [{"message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}]}
    response = await made(OPENAI, vendor_of(reply=lambda request: httpx.Response(200, json=body))).generate(
        "hi"
    )
    assert response.attempts[0].counted == "unknown"
    assert response.attempts[0].cost_usd is None


async def test_an_error_says_its_phase_and_the_status_that_came() -> None:
    refused = made(OPENAI, vendor_of(reply=lambda request: httpx.Response(500, json={})))
    (attempt,) = (await failure(refused.generate("hi"))).attempts
    assert (attempt.phase, attempt.status, attempt.counted, attempt.key) == ("headers", 500, "unknown", None)
    broken = made(OPENAI, vendor_of(reply=lambda request: httpx.Response(200, content=b"{")))
    (attempt,) = (await failure(broken.generate("hi"))).attempts
    assert (attempt.outcome, attempt.phase, attempt.status) == ("MalformedResponseError", "parse", 200)


@pytest.mark.parametrize("kind", ["openai", "openai_responses", "anthropic", "gemini"])
async def test_a_cut_stream_says_the_tokens_that_were_counted_and_no_others(kind: str) -> None:
    dialect = dialect_of(find(kind))
    whole = [part + b"\n\n" for part in dialect.stream().split(b"\n\n") if part]
    failed = []
    for sent in range(len(whole)):
        vendor = vendor_of(
            kind,
            one(
                httpx.Response(
                    200,
                    headers={"content-type": dialect.stream_type},
                    stream=Body(*whole[:sent], httpx.ReadError("cut")),
                )
            ),
        )
        try:
            await made(find(kind), vendor, prices={"*": PRICE}).stream("hi").collect()
        except ProviderError as broken:
            failed.append(broken)
    for error in failed:
        (attempt,) = error.attempts
        usage = attempt.usage
        both = usage.input_tokens is not None and usage.output_tokens is not None
        assert (attempt.counted == "measured") is both
        assert (attempt.cost_usd is not None) is both
        assert attempt.status == 200
        assert (attempt.first_token_s is not None) is error.visible_output
        assert error.partial is None or error.partial.usage == usage
    seen = {(error.attempts[0].usage.input_tokens, error.attempts[0].usage.output_tokens) for error in failed}
    assert (None, None) in seen or kind in {"anthropic", "gemini"}
    assert seen <= {(None, None), (READ, None), (READ, WRITTEN)}
    assert (READ, None) in seen or kind != "anthropic"


# --------------------------------------------------------------------------------------------- redaction

HEADERS = {"X-Proxy-Token": "proxy-s3cr3t-01", "Cookie": "session=c00kie-s3cr3t", "X-Team": "research"}
SECRETS = (FIRST, SECOND, THIRD, "proxy-s3cr3t-01", "c00kie-s3cr3t")


def echoes() -> list[str]:
    """Each secret in each form, as a vendor might send it back."""
    return [
        form
        for secret in SECRETS
        for form in (
            secret,
            quote(secret, safe=""),
            base64.b64encode(secret.encode()).decode(),
            base64.b64encode(f"user:{secret}".encode()).decode(),
        )
    ]


@pytest.mark.parametrize("echo", echoes())
async def test_no_error_shows_any_key_or_secret_header_of_its_provider(echo: str) -> None:
    message = f"research: you sent {echo} in /path?key={echo}&x"
    body = {"error": {"message": message, "code": echo, "type": echo}}
    for reply in (
        httpx.Response(400, json=body, headers={"x-request-id": echo}),
        httpx.Response(500, text=message),
        httpx.Response(200, json=body),
        httpx.Response(200, text=message),
    ):
        vendor = vendor_of(reply=one(reply))
        provider = several(vendor, headers=HEADERS)
        for work in (provider.generate("hi"), provider.stream("hi").collect(), provider.embed("hi")):
            error = await failure(work)
            shown = [
                repr(error),
                str(error),
                error.message,
                error.code,
                error.type,
                error.request_id,
                error.sample,
            ]
            shown += [repr(error.__cause__), repr(error.attempts), provider.stats().last_error]
            text = "\n".join(str(each) for each in shown)
            assert echo not in text
            assert not any(secret in text for secret in SECRETS)
