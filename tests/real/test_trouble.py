"""What goes wrong with a real server: bad keys, prompts and grammars, leaving early, many at once, and its death."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from attrs import evolve

from llmcore.build import create_provider
from llmcore.config import FallbackConfig, ProviderConfig, TransportChoice
from llmcore.errors import (
    AllProvidersFailed,
    AuthenticationError,
    ConnectionRefused,
    ContextLengthError,
    InvalidRequestError,
    ProviderError,
    StreamInterruptedError,
    TotalTimeout,
)
from llmcore.manager.manager import ProviderManager
from llmcore.providers.base import HttpProvider
from llmcore.types import Attempt, Finished, GenerationRequest, TextDelta
from tests.real.engine import CONTEXT, KEY, MODEL, SLOTS, UNSET, Engine, real_python, running

if real_python() is None:
    pytest.skip(UNSET, allow_module_level=True)

pytestmark = [pytest.mark.real, pytest.mark.anyio]

SHORT = GenerationRequest("why is the sky blue", max_tokens=8)
# The server goes on with a full context, so that only leaving ends this answer.
ENDLESS = GenerationRequest("go on", max_tokens=100_000_000, extra={"ignore_eos": True})
TOO_LONG = "the quiet river " * CONTEXT


async def failure_of(provider: HttpProvider | ProviderManager, request: GenerationRequest) -> ProviderError:
    """The error of a request, the same whole and streamed."""
    with pytest.raises(ProviderError) as whole:
        await provider.generate(request)
    with pytest.raises(ProviderError) as streamed:
        await provider.stream(request).collect()
    assert type(whole.value) is type(streamed.value)
    assert whole.value.status == streamed.value.status
    return whole.value


def to(address: str, kind: str, name: str, key: str = KEY) -> HttpProvider:
    return create_provider(
        ProviderConfig(name, kind, api_key=key, base_url=address, text_model=MODEL, embedding_model=MODEL)
    )


async def test_a_wrong_key(engine: Engine, kind: str) -> None:
    async with aclosing(to(engine.base_url, kind, "stranger", key="not-the-key")) as provider:
        error = await failure_of(provider, SHORT)
        with pytest.raises(AuthenticationError):
            await provider.embed("the sky")
    assert isinstance(error, AuthenticationError)
    assert error.status == 401
    assert "not-the-key" not in f"{error} {error!r}"


async def test_a_prompt_longer_than_the_context(provider: HttpProvider) -> None:
    error = await failure_of(provider, evolve(SHORT, messages=TOO_LONG))
    assert isinstance(error, ContextLengthError)
    assert error.status == 400
    assert str(CONTEXT) in error.message


async def test_a_text_longer_than_the_context(provider: HttpProvider) -> None:
    with pytest.raises(ContextLengthError) as caught:
        await provider.embed(TOO_LONG)
    assert caught.value.status == 400


async def test_a_grammar_that_is_none(provider: HttpProvider) -> None:
    error = await failure_of(provider, evolve(SHORT, extra={"grammar": "root ::= ((("}))
    assert type(error) is InvalidRequestError
    assert error.status == 400


async def test_leaving_a_stream_stops_the_server(provider: HttpProvider, engine: Engine) -> None:
    async with provider.stream(ENDLESS) as stream:
        heard = 0
        async for event in stream:
            heard += isinstance(event, TextDelta)
            if heard == 5:
                break
        assert await engine.busy()
    await engine.until_idle()
    assert (await provider.generate(SHORT)).usage.output_tokens == 8
    assert provider.stats().cancelled + provider.stats().successes == 2


async def test_cancelling_a_stream_stops_the_server(provider: HttpProvider, engine: Engine) -> None:
    async def listen() -> None:
        async for _ in provider.stream(ENDLESS).texts():
            pass

    await cancelled_when_busy(engine, listen)
    assert (await provider.generate(SHORT)).usage.output_tokens == 8


@pytest.mark.parametrize("kind", ["llamacpp"], indirect=True)
async def test_cancelling_a_whole_answer_stops_the_server(provider: HttpProvider, engine: Engine) -> None:
    async def ask() -> None:
        await provider.generate(ENDLESS)

    await cancelled_when_busy(engine, ask)
    assert provider.stats().cancelled == 1
    assert (await provider.generate(SHORT)).usage.output_tokens == 8


async def cancelled_when_busy(engine: Engine, work: Callable[[], Awaitable[None]]) -> None:
    await engine.until_idle()
    async with anyio.create_task_group() as group:
        group.start_soon(work)
        await engine.until_busy()
        group.cancel_scope.cancel()
    await engine.until_idle()


@pytest.mark.parametrize("kind", ["llamacpp"], indirect=True)
async def test_a_deadline_ends_an_endless_answer(provider: HttpProvider, engine: Engine) -> None:
    for asked in (provider.generate, lambda request: provider.stream(request).collect()):
        with pytest.raises(TotalTimeout):
            await asked(evolve(ENDLESS, deadline=0.4))
        await engine.until_idle()


async def test_many_at_once_are_not_mixed_up(provider: HttpProvider) -> None:
    said: dict[int, str] = {}

    async def ask(number: int) -> None:
        request = evolve(
            SHORT, max_tokens=200, extra={"grammar": f'root ::= "this is number {number}, and no other"'}
        )
        if number % 2:
            said[number] = (await provider.generate(request)).text
        else:
            said[number] = (await provider.stream(request).collect()).text

    async with anyio.create_task_group() as group:
        for number in range(SLOTS * 4):
            group.start_soon(ask, number)
    assert said == {number: f"this is number {number}, and no other" for number in range(SLOTS * 4)}


async def test_leaving_one_stream_leaves_the_others_alone(provider: HttpProvider, engine: Engine) -> None:
    async with provider.stream(ENDLESS) as first, provider.stream(evolve(SHORT, max_tokens=60)) as second:
        await first.__anext__()
        await second.__anext__()
        await first.aclose()
        rest = [event async for event in second]
    assert isinstance(rest[-1], Finished)
    assert rest[-1].usage.output_tokens == 60
    await engine.until_idle()


async def test_a_manager_goes_past_a_port_that_refuses(engine: Engine, kind: str, refused: str) -> None:
    leaves = [to(refused, kind, "down"), to(engine.base_url, kind, "up")]
    async with aclosing(ProviderManager(leaves, FallbackConfig(max_retries=0))) as manager:
        whole = await manager.generate(SHORT)
        streamed = await manager.stream(SHORT).collect()
        embedded = await manager.embed(["the sky", "a road"])
        models = await manager.list_models()
        stats = manager.stats()
    for answer in (whole, streamed, embedded):
        assert tried(answer.attempts) == [("down", "ConnectionRefused"), ("up", "success")]
        assert answer.provider == "up"
    assert whole.usage.output_tokens == streamed.usage.output_tokens == 8
    assert len(embedded.vectors) == 2
    assert [(model.id, model.provider) for model in models] == [(MODEL, "up")]
    assert (stats.requests, stats.successes, stats.in_flight) == (3, 3, 0)


def tried(attempts: Sequence[Attempt]) -> list[tuple[str, str]]:
    return [(attempt.provider, attempt.outcome) for attempt in attempts]


async def test_a_manager_as_it_comes_goes_past_it_too(engine: Engine, kind: str, refused: str) -> None:
    leaves = [to(refused, kind, "down"), to(engine.base_url, kind, "up")]
    async with aclosing(ProviderManager(leaves)) as manager:
        answer = await manager.generate(SHORT)
    assert set(tried(answer.attempts[:-1])) == {("down", "ConnectionRefused")}
    assert tried(answer.attempts[-1:]) == [("up", "success")]


async def test_a_manager_goes_past_a_wrong_key_and_a_window_too_small(engine: Engine, kind: str) -> None:
    leaves = [to(engine.base_url, kind, "stranger", key="not-the-key"), to(engine.base_url, kind, "known")]
    async with aclosing(ProviderManager(leaves)) as manager:
        answer = await manager.generate(SHORT)
        with pytest.raises(AllProvidersFailed) as caught:
            await manager.generate(evolve(SHORT, messages=TOO_LONG))
    assert tried(answer.attempts) == [("stranger", "AuthenticationError"), ("known", "success")]
    assert tried(caught.value.attempts) == [
        ("stranger", "AuthenticationError"),
        ("known", "ContextLengthError"),
    ]


async def test_a_manager_stops_the_server_too(engine: Engine, kind: str, refused: str) -> None:
    leaves = [to(refused, kind, "down"), to(engine.base_url, kind, "up")]
    async with aclosing(ProviderManager(leaves)) as manager:
        async with manager.stream(ENDLESS) as stream:
            async for _ in stream:
                break
        await engine.until_idle()


async def test_a_server_that_dies_in_mid_answer(
    python: Path, weights: Path, tmp_path: Path, kind: str
) -> None:
    with running(python, weights, tmp_path) as doomed:
        async with aclosing(to(doomed.base_url, kind, "doomed")) as provider:
            with pytest.raises(StreamInterruptedError) as caught:  # noqa: PT012 - it breaks while it is read
                async with provider.stream(ENDLESS) as stream:
                    async for _ in stream:
                        doomed.process.kill()
            await anyio.to_thread.run_sync(doomed.process.wait)
            with pytest.raises(ConnectionRefused):
                await provider.generate(SHORT)
    assert caught.value.visible_output
    assert caught.value.partial is not None
    assert caught.value.partial.text.strip()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("transport", ["httpx", "fast"])
async def test_both_transports(config: ProviderConfig, transport: TransportChoice) -> None:
    async with aclosing(create_provider(evolve(config, transport=transport))) as provider:
        assert (await provider.stream(SHORT).collect()).usage.output_tokens == 8
        assert len((await provider.embed(["the sky", "a road"])).vectors) == 2
