"""The doubles for users: a scripted provider that keeps the contract, simulated time, a ban on real requests."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import httpx
import pytest

from llmcore import errors
from llmcore.build import create_provider
from llmcore.config import ProviderConfig, Routing
from llmcore.errors import ConfigurationError, RateLimitError, ServerError, TotalTimeout
from llmcore.manager import ProviderManager
from llmcore.provider import LlmProvider, is_model_available
from llmcore.testing import (
    Answer,
    Fail,
    FakeClock,
    Hang,
    ScriptedProvider,
    block_real_requests,
    run_simulated,
)
from llmcore.types import EmbeddingRequest, Finished, GenerationRequest, ProviderStats, Usage
from tests.providers.dialects import TEXT, OpenAI, Vendor

BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])


def adds_up(stats: ProviderStats) -> bool:
    return stats.requests == stats.successes + stats.failures + stats.cancelled + stats.in_flight


# ----------------------------------------------------------------------------------------- the scripted provider


@BACKENDS
def test_a_script_is_followed_and_its_last_outcome_repeats(backend: Any) -> None:
    async def main() -> None:
        down = ServerError("down")
        provider: LlmProvider = ScriptedProvider(
            "a", [Fail(down), Answer("hello there", delay=2.0), Answer()]
        )
        with pytest.raises(ServerError) as caught:
            await provider.generate("1")
        assert caught.value is not down
        began = anyio.current_time()
        response = await provider.generate(GenerationRequest("2", model="m"))
        assert anyio.current_time() - began == pytest.approx(2.0)
        assert (response.text, response.provider, response.model) == ("hello there", "a", "m")
        assert response.usage == Usage(1, 1)
        assert [one.outcome for one in response.attempts] == ["success"]
        for _ in range(3):
            assert (await provider.generate("3")).text == "ok"
        stats = provider.stats()
        assert (stats.requests, stats.successes, stats.failures) == (5, 4, 1)
        assert isinstance(provider, ScriptedProvider)
        assert [request.messages[0].text for request in provider.requests if isinstance(request, GenerationRequest)] == [
            "1", "2", "3", "3", "3",
        ]  # fmt: skip

    run_simulated(main, backend=backend)


@BACKENDS
def test_a_stream_says_words_with_gaps(backend: Any) -> None:
    async def main() -> None:
        provider = ScriptedProvider(
            "a", [Answer("one two three", delay=1.0, gap=0.5, finish_reason="length")]
        )
        began, at, texts = anyio.current_time(), [], []
        async with provider.stream("hi") as events:
            assert provider.open_streams == 1
            async for event in events:
                if isinstance(event, Finished):
                    assert event.finish_reason == "length"
                else:
                    texts.append(event.text)  # type: ignore[union-attr]  # it says nothing but text
                    at.append(anyio.current_time() - began)
        assert texts == ["one", " two", " three"]
        assert at == pytest.approx([1.0, 1.5, 2.0])
        assert provider.open_streams == 0

    run_simulated(main, backend=backend)


@BACKENDS
def test_failures_and_hangs_in_streams(backend: Any) -> None:
    async def main() -> None:
        script = [
            Fail(ServerError("early")),
            Fail(ServerError("late"), delay=1.0, words=2),
            Hang(words=1),
            Hang(),
        ]
        provider = ScriptedProvider("a", script)
        with pytest.raises(ServerError, match="early"):
            await provider.stream("hi").open()
        texts: list[str] = []

        async def read(deadline: float | None = None) -> None:
            async with provider.stream(GenerationRequest("hi", deadline=deadline)) as events:
                async for text in events.texts():
                    texts.append(text)  # noqa: PERF401 - what came before the failure is wanted

        with pytest.raises(ServerError, match="late"):
            await read()
        assert texts == ["w", " w"]
        with pytest.raises(TotalTimeout):
            await read(3.0)
        assert texts == ["w", " w", "w"]
        with anyio.move_on_after(2.0) as scope:
            await read()
        assert scope.cancelled_caught
        stats = provider.stats()
        assert (stats.failures, stats.cancelled, stats.in_flight) == (3, 1, 0)
        assert adds_up(stats)
        assert provider.open_streams == 0

    run_simulated(main, backend=backend)


@BACKENDS
def test_embeddings_models_and_routing(backend: Any) -> None:
    async def main() -> None:
        script = [Answer(vector=(1.0, 2.0)), Fail(RateLimitError("slow", retry_after=3.0)), Hang()]
        provider = ScriptedProvider("a", script, routing=Routing(priority=4), models=("m", "n"))
        response = await provider.embed(["x", "y"])
        assert [tuple(vector) for vector in response.vectors] == [(1.0, 2.0)] * 2
        with pytest.raises(RateLimitError) as caught:
            await provider.embed("x")
        assert caught.value.retry_after == 3.0
        with pytest.raises(TotalTimeout):
            await provider.embed(EmbeddingRequest("x", deadline=1.0))
        assert [model.id for model in await provider.list_models()] == ["m", "n"]
        assert await is_model_available(provider, "n")
        assert provider.routing.priority == 4
        assert not provider.closed
        await provider.aclose()
        assert provider.closed
        assert adds_up(provider.stats())

    run_simulated(main, backend=backend)


def test_a_bad_request_is_refused_by_the_double_too() -> None:
    async def main() -> None:
        provider = ScriptedProvider("a")
        with pytest.raises(errors.InvalidRequestError):
            await provider.generate("")
        with pytest.raises(errors.InvalidRequestError):
            await provider.embed([])
        assert provider.requests == []

    run_simulated(main)


def test_a_manager_takes_doubles() -> None:
    async def main() -> None:
        manager = ProviderManager([ScriptedProvider("a", [Fail(ServerError("x"))]), ScriptedProvider("b")])
        assert (await manager.generate("hi")).provider == "b"

    run_simulated(main)


# ------------------------------------------------------------------------------------------- simulated time


@BACKENDS
def test_hours_pass_at_once_in_their_right_order(backend: Any) -> None:
    async def main(word: str) -> str:
        order: list[int] = []

        async def wait(hours: int) -> None:
            await anyio.sleep(hours * 3600)
            order.append(hours)

        began = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            for hours in (5, 1, 3):
                tasks.start_soon(wait, hours)
        assert order == [1, 3, 5]
        with anyio.move_on_after(7200) as scope:
            await anyio.sleep_forever()
        assert scope.cancelled_caught
        assert anyio.current_time() - began == pytest.approx(7 * 3600)
        return word

    assert run_simulated(main, "done", backend=backend) == "done"


@BACKENDS
def test_time_waits_for_threads(backend: Any) -> None:
    async def main() -> None:
        assert await anyio.to_thread.run_sync(lambda: 3) == 3

    run_simulated(main, backend=backend)


def test_time_that_stands_still_is_said() -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="stands still"):
        run_simulated(main)


@BACKENDS
def test_a_fake_clock_does_not_wait(backend: Any) -> None:
    async def main() -> None:
        clock = FakeClock(100.0)
        await clock.sleep(3.0)
        await clock.sleep(0.5)
        clock.advance(1.0)
        assert clock.now() == 104.5
        assert clock.sleeps == [3.0, 0.5]
        manager = ProviderManager([ScriptedProvider("a", [Fail(ServerError("x")), Answer()])], clock=clock)
        await manager.generate("hi")
        assert len(clock.sleeps) == 3

    run_simulated(main, backend=backend)


# ------------------------------------------------------------------------------------- no real connections


@pytest.mark.anyio
@pytest.mark.parametrize("transport", ["auto", "httpx", "fast"])
async def test_real_requests_are_refused_while_they_are_blocked(transport: Any, anyio_backend: str) -> None:
    if (transport, anyio_backend) == ("fast", "trio"):
        return
    config = ProviderConfig(
        "a", "openai_compatible", base_url="http://127.0.0.1:9", text_model="m", transport=transport
    )
    provider = create_provider(config, environ={})
    with block_real_requests():
        for work in (provider.generate("hi"), provider.stream("hi").collect(), provider.list_models()):
            with pytest.raises(ConfigurationError, match="real requests are blocked"):
                await work
    with pytest.raises(errors.ConnectionRefused):
        await provider.generate("hi")
    assert provider.stats().in_flight == 0
    assert adds_up(provider.stats())
    await provider.aclose()


@pytest.mark.anyio
async def test_in_process_transports_work_while_real_requests_are_blocked() -> None:
    config = ProviderConfig("a", "openai", api_key="k", text_model="m")
    with block_real_requests():
        assert (
            await create_provider(config, transport=Vendor(OpenAI()), environ={}).generate("hi")
        ).text == TEXT
        real = create_provider(config, transport=httpx.AsyncHTTPTransport(), environ={})
        with pytest.raises(ConfigurationError):
            await real.generate("hi")
        await real.aclose()


@pytest.mark.anyio
async def test_the_ban_ends_with_its_block_and_may_be_nested() -> None:
    from llmcore.transport.base import refuse_if_blocked

    with block_real_requests():
        with block_real_requests():
            pass
        with pytest.raises(ConfigurationError):
            refuse_if_blocked()
    refuse_if_blocked()
