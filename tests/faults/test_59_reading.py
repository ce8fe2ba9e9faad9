"""Faults 59 and 60: whoever reads an answer stops reading it, for a while or for good."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeAlias

import anyio
import pytest

from llmcore import create_provider
from llmcore.config import Timeouts
from llmcore.errors import TotalTimeout
from llmcore.provider import LlmProvider
from llmcore.providers import find
from llmcore.testing import run_simulated
from llmcore.types import Finished, GenerationRequest, TextDelta
from tests.faults.conftest import Make, Manage, failure, read
from tests.faults.raw import DONE, STREAM, Server, either, event, finish, wants_stream
from tests.providers.dialects import OF_DIALECT, Body, Vendor, config_of
from tests.transport.faults import GUARD, Peer, chunk

COVERED = (59, 60)

PIECE = event("x" * 4000)
MOST = 16 * 1024 * 1024
"""More than the kernel's and the libraries' buffers hold on the way."""

Build: TypeAlias = Callable[..., LlmProvider]


@pytest.fixture(params=["provider", "manager"])
def build(request: pytest.FixtureRequest, make: Make, manage: Manage) -> Build:
    return make if request.param == "provider" else manage


class Flood:
    """A server that sends events as fast as they are taken, and counts their bytes. Afterwards it answers well."""

    def __init__(self, limit: int = 1 << 30) -> None:
        self.sent = 0
        self.limit = limit

    async def __call__(self, peer: Peer) -> None:
        request = await peer.request()
        while self.limit == 0:
            await peer.send(either()(request))
            request = await peer.request()
        await peer.send(STREAM + chunk(event()))
        while self.sent < self.limit:
            await peer.send(chunk(PIECE))
            self.sent += len(PIECE)
        await peer.send(chunk(finish() + DONE) + b"0\r\n\r\n")

    async def stands_still(self) -> int:
        """How much was sent once nothing more is."""
        with anyio.fail_after(GUARD):
            while True:
                before = self.sent
                await anyio.sleep(0.05)
                if before and before == self.sent:
                    return before


@pytest.mark.anyio
async def test_59_who_does_not_read_is_not_sent_more_and_times_nothing_out(build: Build) -> None:
    flood = Flood()
    with Server(flood) as server:
        provider = build(server, inter_chunk=0.05)
        async with provider.stream("hi") as events:
            assert isinstance(await anext(events), TextDelta)
            sent = await flood.stands_still()
            assert sent < MOST
            flood.limit = sent + len(PIECE) * 8
            with anyio.fail_after(GUARD):
                rest = [one async for one in events]
        assert isinstance(rest[-1], Finished)
        assert len(rest) == flood.sent // len(PIECE)
    assert provider.stats().successes == 1


@pytest.mark.anyio
async def test_59_the_total_limit_holds_all_the_same(manage: Manage) -> None:
    flood = Flood()
    with Server(flood) as server:
        provider = manage(server, total=0.3)

        async def slowly() -> None:
            async with provider.stream("hi") as events:
                await anext(events)
                await anyio.sleep(0.35)
                async for _ in events:
                    pass

        error = await failure(slowly())
    assert type(error) is TotalTimeout
    assert error.partial is not None
    assert flood.sent < MOST


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("pause", [300.0, 700.0])
def test_59_five_minutes_without_reading(backend: Literal["asyncio", "trio"], pause: float) -> None:
    """Half of the default total limit passes unnoticed; more than all of it does not."""
    body = Body(event("a"), 0.0, event("b"), 0.0, event("c"), 0.0, finish(), DONE)
    vendor = Vendor(OF_DIALECT["openai"], lambda _: _streaming(body))
    provider = create_provider(config_of(find("openai")), transport=vendor, timeouts=Timeouts(), environ={})

    async def main() -> None:
        texts: list[str] = []
        async with provider.stream("hi") as events:
            texts.append(getattr(await anext(events), "text", ""))
            assert body.sent == 1
            await anyio.sleep(pause)
            texts += [getattr(one, "text", "") async for one in events]
        assert "".join(texts) == "abc"

    if pause < 600:
        run_simulated(main, backend=backend)
    else:
        with pytest.raises(TotalTimeout) as caught:
            run_simulated(main, backend=backend)
        assert caught.value.partial is not None
        assert caught.value.partial.text == "a"
    assert body.closed == 1
    assert provider.stats().in_flight == 0


def _streaming(body: Body) -> Any:
    import httpx

    return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=body)


# --------------------------------------------------------------------------------------------------- leaving


class Boom(Exception):
    """The reader's own trouble."""


async def raises(provider: LlmProvider) -> None:
    async def reader() -> None:
        async with provider.stream("hi") as events:
            async for _ in events:
                raise Boom

    with pytest.raises(Boom):
        await reader()


async def breaks(provider: LlmProvider) -> None:
    async with provider.stream("hi") as events:
        async for _ in events:
            break


async def closes(provider: LlmProvider) -> None:
    events = provider.stream("hi")
    async for _ in events:
        break
    await events.aclose()
    await events.aclose()


async def never_reads(provider: LlmProvider) -> None:
    async with provider.stream("hi"):
        pass


async def reads_only_texts(provider: LlmProvider) -> None:
    async with provider.stream("hi") as events:
        async for text in events.texts():
            assert text
            break


async def drops(provider: LlmProvider) -> None:
    """Forgets the stream; that it warns of this is tested elsewhere, and a recorded warning would keep it alive."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        await _left_open(provider)
        gc.collect()
        await anyio.sleep(0.1)


async def _left_open(provider: LlmProvider) -> None:
    events = provider.stream("hi")
    async for _ in events:
        break


@pytest.mark.anyio
@pytest.mark.parametrize("leave", [raises, breaks, closes, never_reads])
async def test_60_who_leaves_gives_the_connection_back(
    build: Build, leave: Callable[[LlmProvider], Awaitable[None]]
) -> None:
    await left(build, leave)


@pytest.mark.anyio
async def test_60_who_reads_only_the_texts_may_leave_too(build: Build) -> None:
    await left(build, reads_only_texts)
    gc.collect()


@pytest.mark.anyio
async def test_60_even_who_forgets_the_stream(build: Build) -> None:
    await left(build, drops)


async def left(build: Build, leave: Callable[[LlmProvider], Awaitable[None]]) -> None:
    """One connection is left by `leave`; the server sees it closed, the counters are as before, the next call works."""

    async def script(peer: Peer) -> None:
        while True:
            request = await peer.request()
            if len(peer.server.requests) > 1:
                await peer.send(either()(request))
                continue
            assert wants_stream(request)
            await peer.send(STREAM + chunk(event()) + chunk(event("hel")))
            await peer.gone()
            return

    with Server(script) as server, anyio.fail_after(GUARD):
        provider = build(server)
        await leave(provider)
        assert server.gone.is_set() if leave is drops else await server.closed()
        stats = provider.stats()
        assert (stats.requests, stats.cancelled, stats.failures, stats.in_flight) == (1, 1, 0, 0)
        assert all((one.cancelled, one.in_flight) == (1, 0) for one in stats.children)
        texts: list[str] = []
        await read(provider, texts)
        assert "".join(texts) == "hello"
        assert (await provider.generate(GenerationRequest("hi"))).text == "hello"
