"""Fault 61: cancelled in each phase of a call, nothing is left behind: no socket, no slot, no count."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Literal, TypeAlias

import anyio
import httpx
import pytest
from attrs import evolve

from llmcore import create_manager, create_provider
from llmcore.config import FallbackConfig, LlmConfig, ProviderConfig, TransportChoice
from llmcore.provider import LlmProvider
from llmcore.providers import find
from llmcore.testing import run_simulated
from llmcore.transport.fast import FastTransport
from llmcore.transport.httpx_transport import HttpxTransport
from llmcore.transport.limits import Limits
from llmcore.types import ProviderStats
from tests.faults.conftest import QUICK, Manage, entry
from tests.faults.raw import GOOD, STREAM, Server, either, event, failed, holding
from tests.providers.dialects import OF_DIALECT, Replicate, Vendor, config_of
from tests.transport.faults import GUARD, Blackhole, Peer, chunk

COVERED = (61,)

pytestmark = pytest.mark.anyio

Build: TypeAlias = Callable[..., LlmProvider]
Call: TypeAlias = Callable[[LlmProvider], Awaitable[Any]]

LARGE = "x" * (32 << 20)
BEGUN = STREAM + chunk(event()) + chunk(event("hel"))


def whole(text: str = "hi") -> Call:
    return lambda provider: provider.generate(text)


def streamed(text: str = "hi") -> Call:
    return lambda provider: provider.stream(text).collect()


CALLS: dict[str, Callable[..., Call]] = {"generate": whole, "stream": streamed}


@pytest.fixture(params=["provider", "manager"])
async def build(
    request: pytest.FixtureRequest, choice: TransportChoice, anyio_backend: str
) -> AsyncIterator[Build]:
    """Makes a provider, or a manager over one, with room for a single call at a time."""
    made: list[LlmProvider] = []

    def one(at: Server | str, **fallback: Any) -> LlmProvider:
        settings = ProviderConfig(**entry(at, "openai_compatible", choice), max_in_flight=1)
        limits = Limits(max_open=1)
        transport = FastTransport(limits=limits) if choice == "fast" else HttpxTransport(limits=limits)
        timeouts = evolve(QUICK, connect=GUARD, write=GUARD, pool=GUARD)
        if request.param == "provider":
            made.append(create_provider(settings, transport=transport, timeouts=timeouts, environ={}))
        else:
            config = LlmConfig([settings], FallbackConfig(**fallback), timeouts)
            made.append(create_manager(config, transport=transport, environ={}))
        return made[-1]

    yield one
    for provider in made:
        await provider.aclose()


async def until(true: Callable[[], bool]) -> None:
    """Wait for what another thread will do."""
    while not true():  # noqa: ASYNC110 - it happens in another thread
        await anyio.sleep(0.005)


async def cancelled(provider: LlmProvider, call: Call, reached: Callable[[], bool]) -> None:
    """`call` is begun, cancelled once `reached`, and is over then; only the cancelled one is counted."""
    returned: list[Any] = []

    async def begin() -> None:
        returned.append(await call(provider))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(begin)
        await until(reached)
        await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()
    assert returned == []
    check(provider.stats(), cancelled=1)


def check(stats: ProviderStats, **expected: int) -> None:
    """Whose counters add up; those of a manager's providers are held to the same."""
    assert stats.requests == stats.successes + stats.failures + stats.cancelled + stats.in_flight
    assert {name: getattr(stats, name) for name in expected} == expected
    assert stats.in_flight == 0
    for child in stats.children:
        check(child)


class Stuck:
    """Reads the first request as told and answers with `start`; then it waits for the client to go. Later ones go well."""

    def __init__(self, start: bytes = b"", *, takes: bool = True) -> None:
        self.start = start
        self.takes = takes
        self.here = 0

    async def __call__(self, peer: Peer) -> None:
        if self.here == 0:
            self.here = 1
            await self._hold(peer)
            return
        while True:
            await peer.send(either()(await peer.request()))

    async def _hold(self, peer: Peer) -> None:
        if not self.takes:
            peer.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a read transport has it
            self.here = 2
            await peer.told()
            peer.writer.transport.resume_reading()  # type: ignore[attr-defined]  # as above
        else:
            await peer.request()
            await peer.send(self.start)
            self.here = 2
        await peer.gone()


PHASES = {
    "headers": (b"", "generate"),
    "headers of a stream": (b"", "stream"),
    "inside the head": (b"HTTP/1.1 200 OK\r\ncontent-ty", "generate"),
    "body": (GOOD[:-8], "generate"),
    "error body": (failed(500)[:-8], "generate"),
    "before the first token": (STREAM + chunk(event()), "stream"),
    "inside the stream": (BEGUN, "stream"),
    "inside an event": (BEGUN + chunk(event("lo")[:20]), "stream"),
}


@pytest.mark.parametrize("phase", PHASES)
async def test_61_while_the_answer_is_awaited(build: Build, phase: str) -> None:
    start, call = PHASES[phase]
    stuck = Stuck(start)
    with Server(stuck) as server, anyio.fail_after(GUARD):
        provider = build(server)
        await cancelled(provider, CALLS[call](), lambda: stuck.here == 2)
        assert await server.closed()
        assert (await provider.generate("hi")).text == "hello"
        assert (await provider.stream("hi").collect()).text == "hello"
        assert len(server.requests) == 3
        check(provider.stats(), requests=3, cancelled=1, successes=2)


async def test_61_while_connecting(build: Build) -> None:
    with Blackhole() as hole:
        if not hole.works:
            pytest.skip("this kernel accepts connections beyond a full queue")
        provider = build(hole.url)
        with anyio.fail_after(GUARD):
            await cancelled(provider, whole(), lambda: True)
            await cancelled_twice(provider)


async def cancelled_twice(provider: LlmProvider) -> None:
    """The slot is free again: a second call comes as far as the first."""
    with anyio.move_on_after(0.05) as scope:
        await provider.generate("hi")
    assert scope.cancelled_caught
    check(provider.stats(), requests=2, cancelled=2)


async def test_61_while_sending(build: Build) -> None:
    stuck = Stuck(takes=False)
    with Server(stuck) as server, anyio.fail_after(GUARD):
        provider = build(server)
        await cancelled(provider, whole(LARGE), lambda: stuck.here == 2)
        server.tell()
        assert await server.closed()
        assert server.requests == []
        assert (await provider.generate("hi")).text == "hello"


async def test_61_while_waiting_for_a_slot(build: Build) -> None:
    stuck = Stuck(BEGUN)
    with Server(stuck) as server, anyio.fail_after(GUARD):
        provider = build(server)
        async with provider.stream("hi") as events:
            await until(lambda: stuck.here == 2)
            with anyio.move_on_after(0.05) as scope:
                await provider.generate("hi")
            assert scope.cancelled_caught
            await anext(events)
        check(provider.stats(), requests=2, cancelled=2)
        assert (await provider.generate("hi")).text == "hello"


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_61_while_a_manager_sleeps(call: str, backend: Literal["asyncio", "trio"]) -> None:
    """Before a retry; the retry that was to come never goes out."""
    answers = [failed(500), GOOD]

    def handler(_: httpx.Request) -> httpx.Response:
        raw = answers.pop(0)
        return httpx.Response(int(raw[9:12]), content=raw.partition(b"\r\n\r\n")[2])

    async def main() -> None:
        settings = ProviderConfig(**entry("http://p.test/v1", "openai_compatible", "httpx"), max_in_flight=1)
        fallback = FallbackConfig(retry_delay_ms=19_000)
        manager = create_manager(
            LlmConfig([settings], fallback), transport=httpx.MockTransport(handler), environ={}
        )
        with anyio.move_on_after(1e-6) as scope:
            await CALLS[call]()(manager)
        assert scope.cancelled_caught
        assert len(answers) == 1
        check(manager.stats(), requests=1, cancelled=1)
        check(manager.stats().children[0], requests=1, failures=1)
        assert (await manager.generate("hi")).text == "hello"

    run_simulated(main, backend=backend)


@pytest.mark.parametrize("call", CALLS)
async def test_61_while_two_are_asked_side_by_side(manage: Manage, call: str) -> None:
    """The first shows nothing, so the second was begun beside it; both are given up."""
    with Server(holding()) as first, Server(holding()) as second, anyio.fail_after(GUARD):
        manager = manage(first, second, fallback=FallbackConfig(patience=0.05))
        await cancelled(manager, CALLS[call](), lambda: len(second.requests) == 1)
        assert await first.closed()
        assert await second.closed()
        assert len(first.requests) == len(second.requests) == 1
        for child in manager.stats().children:
            check(child, requests=1, cancelled=1)


class SlowToStop(Vendor):
    """A prediction that never ends; the order to cancel it takes `stops_after` seconds to be taken."""

    def __init__(self, stops_after: float) -> None:
        super().__init__(OF_DIALECT["replicate"])
        self.stops_after = stops_after
        self.stopped = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        dialect = self.dialect
        assert isinstance(dialect, Replicate)
        self.requests.append(request)
        if request.url.path.endswith("/cancel"):
            await anyio.sleep(self.stops_after)
            self.stopped += 1
        return httpx.Response(201, content=dialect.prediction("processing"))


@pytest.mark.parametrize("stops_after", [1.0, 1000.0])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_61_while_cleaning_up(backend: Literal["asyncio", "trio"], stops_after: float) -> None:
    """Cancelled again while it tells the vendor to stop: that is still done, but for two seconds at most."""
    vendor = SlowToStop(stops_after)
    provider = create_provider(config_of(find("replicate")), transport=vendor, environ={})

    async def main() -> None:
        began = anyio.current_time()
        with anyio.CancelScope() as outer:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(provider.generate, "hi")
                await anyio.sleep(3.25)
                tasks.cancel_scope.cancel()
                outer.cancel()
        assert outer.cancel_called
        assert anyio.current_time() - began == pytest.approx(3.25 + min(stops_after, 2.0), abs=0.01)

    run_simulated(main, backend=backend)
    assert [request.url.path for request in vendor.requests].count("/v1/predictions/p1/cancel") == 1
    assert vendor.stopped == (1 if stops_after < 2 else 0)
    check(provider.stats(), requests=1, cancelled=1)


@pytest.mark.parametrize("call", CALLS)
async def test_61_many_at_odd_times(build: Build, call: str) -> None:
    """Cancelled after 0 to 12 ms of an answer that takes about ten; whenever that is, nothing is left behind."""

    async def script(peer: Peer) -> None:
        while True:
            answer = either()(await peer.request())
            for place in range(0, len(answer), 1 + len(answer) // 5):
                await peer.send(answer[place : place + 1 + len(answer) // 5])
                await asyncio.sleep(0.002)

    with Server(script) as server, anyio.fail_after(GUARD):
        provider = build(server)
        for turn in range(12):
            with anyio.move_on_after(turn * 0.001):
                await CALLS[call]()(provider)
        await provider.generate("hi")
        check(provider.stats(), requests=13, failures=0)
