"""Providers and managers over real sockets, on each transport; raw.py has the server that breaks."""

from __future__ import annotations

import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, TypeAlias, TypeVar

import anyio
import pytest
import trustme
from attrs import evolve

from llmcore import create_manager, create_provider
from llmcore.config import FallbackConfig, LlmConfig, ProviderConfig, Timeouts, TransportChoice
from llmcore.errors import ProviderError
from llmcore.manager import ProviderManager
from llmcore.provider import LlmProvider
from llmcore.providers.base import HttpProvider
from llmcore.types import Event, GenerationResponse, TextDelta
from tests.faults.raw import KEY, MODEL, Server
from tests.transport.faults import GUARD, Blackhole

SETUPS: dict[str, tuple[str, TransportChoice]] = {
    "httpx-asyncio": ("asyncio", "httpx"),
    "httpx-trio": ("trio", "httpx"),
    "fast-asyncio": ("asyncio", "fast"),
}

PAIR = ("httpx-trio", "fast-asyncio")
"""Both transports and both loops once, where a fault lies above the transport."""

QUICK = Timeouts(connect=2.0, pool=2.0, write=2.0, first_token=GUARD, inter_chunk=GUARD, total=GUARD)
"""Patient enough that nothing ends by time; a test that wants a limit lowers that one."""

Make: TypeAlias = Callable[..., HttpProvider]
Manage: TypeAlias = Callable[..., ProviderManager]
Ask: TypeAlias = Callable[..., Awaitable[GenerationResponse]]
T = TypeVar("T")


@pytest.fixture(params=SETUPS)
def setup(request: pytest.FixtureRequest) -> tuple[str, TransportChoice]:
    return SETUPS[request.param]


@pytest.fixture
def anyio_backend(setup: tuple[str, TransportChoice]) -> str:
    return setup[0]


@pytest.fixture
def choice(setup: tuple[str, TransportChoice]) -> TransportChoice:
    return setup[1]


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def hole() -> Iterator[Blackhole]:
    """An address whose SYNs are dropped."""
    with Blackhole() as dug:
        if not dug.works:
            pytest.skip("this kernel accepts connections beyond a full queue")
        yield dug


@pytest.fixture
async def make(choice: TransportChoice, anyio_backend: str) -> AsyncIterator[Make]:
    """`make(server)` or `make(url)` gives a provider there; limits are names of Timeouts. All are closed at the end."""
    made: list[HttpProvider] = []

    def build(
        at: Server | str,
        *,
        kind: str = "openai_compatible",
        transport: Any = None,
        config: Any = None,
        **limits: float,
    ) -> HttpProvider:
        settings = ProviderConfig(**{**entry(at, kind, choice), **(config or {})})
        made.append(
            create_provider(settings, transport=transport, timeouts=evolve(QUICK, **limits), environ={})
        )
        return made[-1]

    yield build
    for provider in made:
        await provider.aclose()


@pytest.fixture
async def manage(choice: TransportChoice, anyio_backend: str) -> AsyncIterator[Manage]:
    """`manage(first, second)` gives a manager over providers "p1" and "p2"; closed at the end.

    first: limits of the first provider alone; the others hold for all of them and for the manager.
    """
    made: list[ProviderManager] = []

    def build(
        *places: Server | str,
        kind: str = "openai_compatible",
        fallback: FallbackConfig | None = None,
        first: Timeouts | None = None,
        **limits: float,
    ) -> ProviderManager:
        own = [first] + [None] * len(places)
        providers = [
            ProviderConfig(
                **{
                    **entry(at, kind, choice),
                    "name": f"p{number}",
                    "priority": number,
                    "timeouts": own[number - 1],
                }
            )
            for number, at in enumerate(places, 1)
        ]
        config = LlmConfig(
            providers,
            fallback=fallback or FallbackConfig(retry_delay_ms=1),
            timeouts=evolve(QUICK, **limits),
            transport=choice,
        )
        made.append(create_manager(config, environ={}))
        return made[-1]

    yield build
    for manager in made:
        await manager.aclose()


def entry(at: Server | str, kind: str, choice: TransportChoice) -> dict[str, Any]:
    url = at if isinstance(at, str) else at.base_url
    return {
        "name": "p1",
        "provider": kind,
        "api_key": KEY,
        "base_url": url,
        "text_model": MODEL,
        "embedding_model": MODEL,
        "transport": choice,
    }


async def generate(provider: LlmProvider) -> GenerationResponse:
    return await provider.generate("hi")


async def stream(provider: LlmProvider) -> GenerationResponse:
    return await provider.stream("hi").collect()


@pytest.fixture(params=[generate, stream], ids=lambda ask: str(ask.__name__))
def ask(request: pytest.FixtureRequest) -> Ask:
    """`await ask(provider)`: one call, whole and streamed."""
    return request.param  # type: ignore[no-any-return]  # one of the two above


async def failure(work: Awaitable[object]) -> ProviderError:
    """The error that `work` must end in; it shows no key, and nobody waits for ever."""
    with anyio.fail_after(GUARD), pytest.raises(ProviderError) as caught:
        await work
    error = caught.value
    assert not any(KEY in text for text in shown(error))
    return error


def shown(error: BaseException) -> Iterator[str]:
    """Every text in which an error and what it came from could be seen, as logs and error trackers show them."""
    yield "".join(traceback.format_exception(error))
    left: list[BaseException | None] = [error]
    seen: set[int] = set()
    while left:
        cause = left.pop()
        if cause is None or id(cause) in seen:
            continue
        seen.add(id(cause))
        yield from (str(cause), repr(cause), repr(cause.args))
        if isinstance(cause, ProviderError):
            yield from (cause.message, cause.sample or "")
        if isinstance(cause, BaseExceptionGroup):
            left += cause.exceptions
        left.append(cause.__cause__ if cause.__suppress_context__ else cause.__context__)


def rfh(error: ProviderError) -> str:
    """The facts of the table: "R" same provider again, "F" another one, "H" counts for health; "" for none."""
    facts = (("R", error.retryable), ("F", error.failover), ("H", error.health))
    return "".join(letter for letter, fact in facts if fact)


async def read(
    provider: LlmProvider, into: list[str], seen: Callable[[Event], object] | None = None
) -> list[Event]:
    """Stream to the end, noting every text shown in `into` and calling `seen` at each event."""
    events: list[Event] = []
    async with provider.stream("hi") as answer:
        async for event in answer:
            events.append(event)
            if isinstance(event, TextDelta):
                into.append(event.text)
            if seen is not None:
                seen(event)
    return events


def outcomes(error_or_response: ProviderError | GenerationResponse) -> list[tuple[str, str]]:
    """The attempts of a call: (provider, outcome) in order."""
    return [(one.provider, one.outcome) for one in error_or_response.attempts]
