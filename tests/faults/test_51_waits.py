"""Faults 51 to 54 and 58: limits, quotas, keys that change, short outages, and streams that fall silent."""

from __future__ import annotations

import asyncio
import json
from email.utils import formatdate
from typing import Any, Literal

import anyio
import httpx
import pytest
from attrs import evolve

from llmcore import create_manager
from llmcore.config import BreakerConfig, FallbackConfig, LlmConfig, ProviderConfig, TransportChoice
from llmcore.errors import (
    AuthenticationError,
    InterChunkTimeout,
    OverloadedError,
    ProviderError,
    QuotaExhaustedError,
    RateLimitError,
    StreamInterruptedError,
)
from llmcore.testing import run_simulated
from llmcore.types import GenerationResponse
from tests.faults.conftest import Ask, Make, Manage, entry, failure, outcomes, read, rfh
from tests.faults.raw import (
    GOOD,
    STREAM,
    Server,
    completion,
    either,
    event,
    failed,
    healthy,
    holding,
    http,
    serving,
)
from tests.transport.faults import Peer, chunk

COVERED = (51, 52, 53, 54, 58)

NO_BREAKER = BreakerConfig(enabled=False)
NOW = 1_790_000_000
DAY = 86_400.0

WAITS: dict[str, tuple[list[tuple[str, str]], float | None]] = {
    "none": ([], None),
    "nothing": ([("retry-after", "0")], 0.0),
    "negative": ([("retry-after", "-5")], None),
    "fraction": ([("retry-after", "1.5")], 1.5),
    "words": ([("retry-after", "abc")], None),
    "empty": ([("retry-after", "")], None),
    "not a number": ([("retry-after", "NaN")], None),
    "infinite": ([("retry-after", "inf")], None),
    "400 digits": ([("retry-after", "9" * 400)], None),
    "past date": ([("retry-after", formatdate(NOW - 60, usegmt=True))], 0.0),
    "future date": ([("retry-after", formatdate(NOW + 30, usegmt=True))], 30.0),
    "no date": ([("retry-after", "Fri, 99 Foo 2026 25:61:61 GMT")], None),
    "milliseconds": ([("retry-after-ms", "250")], 0.25),
    "milliseconds first": ([("retry-after", "9"), ("retry-after-ms", "250")], 0.25),
    "bad milliseconds": ([("retry-after", "9"), ("retry-after-ms", "soon")], 9.0),
    "negative milliseconds": ([("retry-after", "9"), ("retry-after-ms", "-1")], 9.0),
}
"""Headers of a 429, and the seconds that they ask for."""


def limited(headers: list[tuple[str, str]]) -> bytes:
    """A 429 with these headers and the time of the server."""
    lines = "".join(
        f"{name}: {value}\r\n" for name, value in [("date", formatdate(NOW, usegmt=True)), *headers]
    )
    return failed(429, kind="rate_limit_error").replace(b"\r\n", b"\r\n" + lines.encode(), 1)


@pytest.mark.anyio
async def test_51_the_wait_that_a_limit_asks_for(make: Make, ask: Ask) -> None:
    with Server(serving(*(limited(headers) for headers, _ in WAITS.values()))) as server:
        provider = make(server)
        for case, (_, expected) in WAITS.items():
            error = await failure(ask(provider))
            assert type(error) is RateLimitError
            assert rfh(error) == "RF"
            assert error.retry_after == (None if expected is None else pytest.approx(expected)), case


@pytest.mark.anyio
async def test_51_two_headers_are_one_of_them_or_none(make: Make, ask: Ask) -> None:
    with Server(serving(limited([("retry-after", "5"), ("retry-after", "7")]))) as server:
        error = await failure(ask(make(server)))
    assert error.retry_after in (None, 5.0, 7.0)


@pytest.mark.anyio
@pytest.mark.parametrize("value", ["1e9", "99999999999999999999", formatdate(NOW + 400 * DAY, usegmt=True)])
async def test_51_a_wait_of_ages_is_none_that_anybody_waits_for(make: Make, ask: Ask, value: str) -> None:
    with Server(serving(limited([("retry-after", value)]))) as server:
        error = await failure(ask(make(server)))
    assert error.retry_after is None or error.retry_after >= DAY


def over(handler: Any, count: int = 1, **fallback: Any) -> Any:
    """A manager over `count` providers whose requests `handler` answers, in process."""
    providers = [
        ProviderConfig(
            **{**entry(f"http://p{number}.test/v1", "openai_compatible", "httpx"), "name": f"p{number}"}
        )
        for number in range(1, count + 1)
    ]
    config = LlmConfig(providers, fallback=FallbackConfig(**fallback))
    return create_manager(config, transport=httpx.MockTransport(handler), environ={})


class Desk:
    """Answers in process with what it is given, the last for ever, and notes when it was asked."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[float, str]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append((anyio.current_time(), request.url.host))
        raw = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        head, _, body = raw.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = [(name, value) for line in lines for name, _, value in [line.partition(": ")]]
        return httpx.Response(int(first.split()[1]), headers=headers, content=body)


async def outcome(manager: Any) -> GenerationResponse | ProviderError:
    try:
        response: GenerationResponse = await manager.generate("hi")
    except ProviderError as error:
        return error
    return response


@pytest.mark.parametrize("case", WAITS)
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_51_a_sole_provider_is_asked_again_after_that_wait(
    case: str, backend: Literal["asyncio", "trio"]
) -> None:
    headers, wait = WAITS[case]
    desk = Desk(limited(headers), GOOD)

    async def main() -> None:
        response = await outcome(over(desk))
        assert isinstance(response, GenerationResponse)
        (first, _), (second, _) = desk.asked
        low, high = (0.0, 1.0) if wait is None else (wait, wait + min(1.0, wait / 4))
        assert low <= second - first <= high + 1e-6
        assert response.attempts[1].wait_s == pytest.approx(second - first)

    run_simulated(main, backend=backend)


@pytest.mark.parametrize("value", ["61", "1e9", "99999999999999999999", formatdate(NOW + 61, usegmt=True)])
def test_51_nobody_waits_longer_than_the_cap(value: str) -> None:
    desk = Desk(limited([("retry-after", value)]), GOOD)

    async def main() -> None:
        error = await outcome(over(desk))
        assert isinstance(error, RateLimitError)
        assert anyio.current_time() == desk.asked[0][0]
        assert len(desk.asked) == 1

    run_simulated(main)


@pytest.mark.parametrize("case", WAITS)
def test_51_beside_another_provider_nobody_waits_long(case: str) -> None:
    headers, wait = WAITS[case]
    desk = Desk(limited(headers), GOOD)

    async def main() -> None:
        response = await outcome(over(desk, 2))
        assert isinstance(response, GenerationResponse)
        assert len(desk.asked) == 2
        if wait is not None and wait > FallbackConfig().prefer_failover_after:
            assert desk.asked[1] == (desk.asked[0][0], "p2.test")

    run_simulated(main)


# ----------------------------------------------------------------------------------------------------- quota

QUOTA_CODES = (
    "insufficient_quota",
    "credit_balance_exhausted",
    "billing_hard_limit_reached",
    "billing_not_active",
)


def out_of_money(code: str) -> bytes:
    body = json.dumps({"error": {"message": "no money", "type": "t", "code": code}}).encode()
    return http(body, 429, retry_after="0")


@pytest.mark.anyio
@pytest.mark.parametrize("code", QUOTA_CODES)
async def test_52_money_that_is_gone_is_asked_for_once(manage: Manage, ask: Ask, code: str) -> None:
    with Server(serving(out_of_money(code))) as poor, Server(healthy()) as rich:
        error = await failure(ask(manage(poor)))
        assert type(error) is QuotaExhaustedError
        assert (rfh(error), error.code, len(poor.requests)) == ("F", code, 1)
        response = await ask(manage(poor, rich, fallback=FallbackConfig(max_retries=3, retry_delay_ms=1)))
    assert outcomes(response) == [("p1", "QuotaExhaustedError"), ("p2", "success")]
    assert (len(poor.requests), len(rich.requests)) == (2, 1)


# ------------------------------------------------------------------------------------------ a key that changes


def keeper(key: str) -> Any:
    """Answers only who brings `key`."""

    def answer(request: bytes) -> bytes:
        if f"bearer {key}\r\n".encode() in request.lower():
            return either()(request)
        body = json.dumps({"error": {"message": "no such key", "code": "invalid_api_key"}}).encode()
        return http(body, 401)

    return serving(answer)


@pytest.mark.anyio
async def test_53_a_new_key_is_used_from_the_next_call_on(manage: Manage, make: Make, ask: Ask) -> None:
    with Server(keeper("the-new-key")) as server:
        error = await failure(ask(manage(server)))
        assert type(error) is AuthenticationError
        assert (rfh(error), len(server.requests)) == ("F", 1)
        response = await ask(make(server, config={"api_key": "the-new-key"}))
    assert response.text == "hello"
    assert len(server.requests) == 2
    assert b"the-new-key" in server.requests[1]


@pytest.mark.anyio
async def test_53_out_of_a_configuration_that_is_read_again(ask: Ask, choice: TransportChoice) -> None:
    """The refused key is asked once and then left alone; after `reload` the very next call goes with the new one."""
    with Server(keeper("the-new-key")) as server:
        config = ProviderConfig(**entry(server, "openai_compatible", choice))
        manager = create_manager(LlmConfig([config], transport=choice), environ={})
        try:
            assert type(await failure(ask(manager))) is AuthenticationError
            await manager.reload(LlmConfig([evolve(config, api_key="the-new-key")], transport=choice))
            response = await ask(manager)
        finally:
            await manager.aclose()
    assert outcomes(response) == [("p1", "success")]
    assert [b"the-new-key" in request for request in server.requests] == [False, True]


# --------------------------------------------------------------------------------------------- short outages


@pytest.mark.anyio
@pytest.mark.parametrize("down", [1, 2, 3])
async def test_54_a_short_outage_is_outlasted(manage: Manage, ask: Ask, down: int) -> None:
    patient = FallbackConfig(max_retries=3, retry_delay_ms=1)
    with Server(serving(*[failed(500)] * down, either())) as server:
        response = await ask(manage(server, fallback=patient))
    assert response.text == "hello"
    assert outcomes(response) == [("p1", "ServerError")] * down + [("p1", "success")]


@pytest.mark.anyio
@pytest.mark.parametrize("down", [1, 2])
async def test_54_an_overloaded_provider_is_asked_again_once(manage: Manage, ask: Ask, down: int) -> None:
    patient = FallbackConfig(max_retries=3, retry_delay_ms=1)
    with Server(serving(*[failed(503)] * down, either())) as server:
        if down == 1:
            assert (await ask(manage(server, fallback=patient))).text == "hello"
        else:
            error = await failure(ask(manage(server, fallback=patient)))
            assert [type(one) for one in getattr(error, "exceptions", ())] == [OverloadedError] * 2
    assert len(server.requests) == 2


@pytest.mark.parametrize("status", [500, 503])
def test_54_the_waits_are_within_their_bounds(status: int) -> None:
    waits: list[list[float]] = []

    async def main() -> None:
        for _ in range(40):
            desk = Desk(*[failed(status)] * 6, http(completion()))
            result = await outcome(over(desk, max_retries=5, breaker=NO_BREAKER))
            waits.append([attempt.wait_s for attempt in result.attempts])

    run_simulated(main)
    base = 0.5 if status == 500 else 1.0
    for row in waits:
        assert row[0] == 0.0
        assert len(row) == (6 if status == 500 else 2)
        assert all(0.0 <= wait <= min(20.0, base * 2**turn) for turn, wait in enumerate(row[1:]))
    assert len({wait for row in waits for wait in row[1:]}) > len(waits) / 2, "jitter"


# ------------------------------------------------------------------------------------------ one token, silence

BEGUN = STREAM + chunk(event()) + chunk(event("hel"))


@pytest.mark.anyio
async def test_58_silence_after_the_first_token_is_an_interruption(make: Make) -> None:
    texts: list[str] = []
    with Server(holding(BEGUN)) as server:
        provider = make(server, inter_chunk=0.15)
        error = await failure(read(provider, texts))
        assert await server.closed()
    assert type(error) is StreamInterruptedError
    assert type(error.__cause__) is InterChunkTimeout
    assert (rfh(error), error.visible_output) == ("H", True)
    assert error.partial is not None
    assert error.partial.text == "".join(texts) == "hel"
    assert (provider.stats().failures, provider.stats().in_flight) == (1, 0)


@pytest.mark.anyio
async def test_58_and_nobody_else_is_asked(manage: Manage) -> None:
    texts: list[str] = []
    with Server(holding(BEGUN)) as server, Server(healthy()) as other:
        manager = manage(server, other, inter_chunk=0.15)
        error = await failure(read(manager, texts))
        assert await server.closed()
    assert type(error) is StreamInterruptedError
    assert type(error.__cause__) is InterChunkTimeout
    assert error.partial is not None
    assert error.partial.text == "".join(texts) == "hel"
    assert (len(server.requests), other.connections) == (1, 0)


@pytest.mark.anyio
async def test_58_before_the_first_token_somebody_else_is_asked(manage: Manage) -> None:
    with Server(holding(STREAM + chunk(event()))) as server, Server(healthy()) as other:
        response = await manage(server, other, first_token=0.15).stream("hi").collect()
    assert outcomes(response) == [("p1", "FirstTokenTimeout"), ("p2", "success")]


@pytest.mark.anyio
async def test_58_a_ping_is_no_silence(make: Make) -> None:
    async def script(peer: Peer) -> None:
        await peer.answer(BEGUN)
        for _ in range(8):
            await asyncio.sleep(0.06)
            await peer.send(chunk(event("")))
        await peer.send(chunk(event("lo", "stop")) + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")

    with Server(script) as server:
        response = await make(server, inter_chunk=0.4).stream("hi").collect()
    assert response.text == "hello"
