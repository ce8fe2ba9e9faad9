"""The leaf over real sockets, on each loop and transport: what is left or cancelled gives its connection back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio
import pytest

from llmcore import errors
from llmcore.build import create_provider
from llmcore.config import ProviderConfig, Timeouts
from llmcore.providers.base import HttpProvider
from llmcore.sim import Simulator, SimulatorThread
from llmcore.transport.base import Transport
from llmcore.transport.fast import FastTransport
from llmcore.transport.httpx_transport import HttpxTransport
from llmcore.transport.limits import Limits
from llmcore.types import GenerationRequest, TextDelta

pytestmark = pytest.mark.anyio

SETUPS: dict[str, tuple[str, type[HttpxTransport | FastTransport]]] = {
    "httpx-asyncio": ("asyncio", HttpxTransport),
    "httpx-trio": ("trio", HttpxTransport),
    "fast-asyncio": ("asyncio", FastTransport),
}
KINDS = ["openai", "openai_responses", "anthropic", "gemini", "ollama", "cohere", "replicate"]
GUARD = 10.0
ONE = Limits(max_open=1)

Make = Callable[..., HttpProvider]


@pytest.fixture(params=SETUPS)
def setup(request: pytest.FixtureRequest) -> tuple[str, type[HttpxTransport | FastTransport]]:
    return SETUPS[request.param]


@pytest.fixture
def anyio_backend(setup: tuple[str, Any]) -> str:
    return setup[0]


@pytest.fixture(scope="module")
def running() -> Iterator[SimulatorThread]:
    with SimulatorThread(Simulator()) as sim:
        yield sim


@pytest.fixture
def sim(running: SimulatorThread) -> Iterator[SimulatorThread]:
    running.set_script(None)
    running.reset()
    yield running
    running.set_script(None)


@pytest.fixture
async def make(setup: Any, sim: SimulatorThread, anyio_backend: str) -> AsyncIterator[Make]:
    """Makes providers with room for one connection at a time; closes them at the end."""
    made: list[HttpProvider] = []

    def build(kind: str = "openai", *, limits: Limits = ONE, **more: Any) -> HttpProvider:
        model = "sim/small" if kind == "replicate" else "sim-small"
        config = ProviderConfig(
            **{"name": kind, "provider": kind, "api_key": "k", "base_url": sim.base_url(kind), "text_model": model, **more}
        )  # fmt: skip
        transport: Transport = setup[1](limits=limits)
        made.append(create_provider(config, transport=transport, environ={}, timeouts=Timeouts(pool=GUARD)))
        return made[-1]

    yield build
    for provider in made:
        await provider.aclose()


async def until(true: Callable[[], bool]) -> None:
    """Wait for what another thread will do."""
    with anyio.fail_after(GUARD):
        while not true():  # noqa: ASYNC110 - it happens in another thread
            await anyio.sleep(0.005)


@pytest.mark.parametrize("kind", KINDS)
async def test_40_left_at_any_event_the_next_call_succeeds(
    make: Make, sim: SimulatorThread, kind: str
) -> None:
    """There is room for one connection: one that is not given back would let the next call wait for ever."""
    provider = make(kind)
    with anyio.fail_after(GUARD):
        whole = await provider.stream("Say a few words.").collect()
        async with provider.stream("Say a few words.") as stream:
            length = len([event async for event in stream])
        for index in range(min(length, 30)):
            async with provider.stream("Say a few words.") as stream:
                for _ in range(index):
                    await anext(stream)
            assert provider.stats().in_flight == 0
            assert (await provider.generate("Say a few words.")).text == whole.text
    stats = provider.stats()
    assert (stats.failures, stats.cancelled) == (0, min(length, 30))
    assert stats.requests == stats.successes + stats.cancelled
    await until(lambda: sim.counters.in_flight == 0)


@pytest.mark.parametrize("kind", KINDS)
async def test_events_arrive_before_the_answer_is_complete_and_leaving_ends_it(
    make: Make, sim: SimulatorThread, kind: str
) -> None:
    """The server goes silent after three words: they are read all the same, and it sees the reader go."""
    sim.set_script({"rules": [{"stall_after_events": 3, "stream": True}]})
    provider = make(kind)
    with anyio.fail_after(GUARD):
        async with provider.stream("Say a few words.") as stream:
            shown = 0
            while shown < 3:
                shown += isinstance(await anext(stream), TextDelta)
            record = sim.requests[-1]
            assert record.outcome == "open"
        sim.set_script(None)
        assert (await provider.generate("Say a few words.")).text
    await until(lambda: all(one.outcome != "open" for one in sim.requests))
    assert [one.outcome for one in sim.requests].count("left") == 1


@pytest.mark.parametrize("where", ["silent", "headers", "body", "stream"])
async def test_cancelling_closes_the_socket_wherever_it_waits(
    make: Make, sim: SimulatorThread, where: str
) -> None:
    rule = {
        "silent": {"silent": True},
        "headers": {"header_byte_delay_s": 5.0},
        "body": {"stall_after_bytes": 20},
        "stream": {"stall_after_events": 2},
    }[where]
    sim.set_script({"rules": [rule]})
    provider = make()
    work = provider.stream("hi").collect if where == "stream" else lambda: provider.generate("hi")
    with anyio.fail_after(GUARD):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work)
            await until(lambda: len(sim.requests) == 1)
            tasks.cancel_scope.cancel()
        await until(lambda: sim.requests[0].outcome == "left")
        assert (provider.stats().cancelled, provider.stats().in_flight) == (1, 0)
        sim.set_script(None)
        await provider.generate("hi")


@pytest.mark.parametrize("call", ["generate", "stream"])
async def test_a_deadline_closes_the_socket(make: Make, sim: SimulatorThread, call: str) -> None:
    sim.set_script({"rules": [{"silent": True}]})
    provider = make()
    asked = GenerationRequest("hi", deadline=0.1)
    with pytest.raises(errors.TotalTimeout):
        await (provider.generate(asked) if call == "generate" else provider.stream(asked).collect())
    await until(lambda: sim.requests[0].outcome == "left")
    sim.set_script(None)
    await provider.generate("hi")


async def test_43_cancelling_one_call_leaves_the_others_alone(make: Make, sim: SimulatorThread) -> None:
    sim.set_script({"rules": [{"model": "slow", "stall_after_events": 1}]})
    provider = make(limits=Limits())
    texts: list[str] = []

    async def one() -> None:
        texts.append((await provider.stream("Say a few words.").collect()).text)

    with anyio.fail_after(GUARD):
        async with anyio.create_task_group() as quick, anyio.create_task_group() as slow:
            for _ in range(5):
                slow.start_soon(provider.stream(GenerationRequest("hi", model="slow")).collect)
            await until(lambda: len(sim.requests) == 5)
            for _ in range(10):
                quick.start_soon(one)
            slow.cancel_scope.cancel()
    assert len(texts) == 10
    assert len(set(texts)) == 1
    stats = provider.stats()
    assert (stats.successes, stats.cancelled, stats.failures, stats.in_flight) == (10, 5, 0, 0)


async def test_a_cut_keeps_what_came_and_the_next_call_succeeds(make: Make, sim: SimulatorThread) -> None:
    provider = make()
    for how in ("close", "reset", "end"):
        sim.set_script({"rules": [{"cut_after_events": 3, "cut_how": how, "first": 1}]})
        shown: list[str] = []

        async def read(shown: list[str] = shown) -> None:
            async with provider.stream("Say a few words.") as stream:
                async for text in stream.texts():
                    shown.append(text)  # noqa: PERF401 - what came before the cut is wanted

        with anyio.fail_after(GUARD):
            with pytest.raises(errors.StreamInterruptedError) as caught:
                await read()
            assert caught.value.partial is not None
            assert caught.value.partial.text == "".join(shown) != ""
            assert (await provider.generate("hi")).finish_reason == "stop"


async def test_nobody_listens(make: Make, sim: SimulatorThread) -> None:
    provider = make()
    sim.refuse()
    try:
        for work in (provider.generate("hi"), provider.stream("hi").collect(), provider.list_models()):
            with pytest.raises(errors.ConnectionRefused) as caught:
                await work
            assert "127.0.0.1" in caught.value.message
            assert (caught.value.retryable, caught.value.failover) == (True, True)
    finally:
        sim.accept()
    assert (await provider.generate("hi")).text


async def test_closing_the_provider_closes_its_connections(make: Make, sim: SimulatorThread) -> None:
    provider = make()
    await until(lambda: sim.counters.connections_open == 0)
    await provider.generate("hi")
    assert sim.counters.connections_open == 1
    await provider.aclose()
    await provider.aclose()
    await until(lambda: sim.counters.connections_open == 0)


async def test_many_calls_side_by_side(make: Make, sim: SimulatorThread) -> None:
    provider = make(limits=Limits(max_open=8))
    results: dict[int, str] = {}

    async def one(number: int) -> None:
        if number % 2:
            results[number] = (await provider.generate(f"Number {number}?")).text
        else:
            results[number] = (await provider.stream(f"Number {number}?").collect()).text

    with anyio.fail_after(GUARD):
        async with anyio.create_task_group() as tasks:
            for number in range(40):
                tasks.start_soon(one, number)
        for number in (3, 8):
            assert results[number] == (await provider.generate(f"Number {number}?")).text
    assert sorted(results) == list(range(40))
    assert provider.stats().successes == 42
