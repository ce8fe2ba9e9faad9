"""Providers that behave by the time of day, and traffic for a manager over them; in simulated time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any, Literal, TypeAlias

import anyio
from attrs import frozen

from llmcore.config import FallbackConfig
from llmcore.errors import ProviderError, ServerError
from llmcore.manager import ProviderManager
from llmcore.testing import Answer, Fail, Outcome, ScriptedProvider, run_simulated
from llmcore.types import EmbeddingRequest, GenerationRequest, GenerationResponse

Backend: TypeAlias = Literal["asyncio", "trio"]
Main: TypeAlias = Callable[[], Awaitable[None]]

DOWN = ServerError("down", status=500)


class Timed(ScriptedProvider):
    """Behaves by the time of day: `plan` says how an attempt ends that begins at an instant.

    asked: when it was asked; at_once: how many attempts ran then, that one among them.
    """

    def __init__(self, name: str, plan: Callable[[float], Outcome]) -> None:
        super().__init__(name)
        self.plan = plan
        self.asked: list[float] = []
        self.at_once: list[int] = []

    def begin(self, request: GenerationRequest | EmbeddingRequest) -> Outcome:
        super().begin(request)
        self.at_once.append(self.stats().in_flight)
        self.asked.append(anyio.current_time())
        return self.plan(self.asked[-1])

    def asked_between(self, start: float, end: float) -> int:
        return sum(start <= instant < end for instant in self.asked)


Result: TypeAlias = GenerationResponse | ProviderError


async def ask(manager: ProviderManager) -> Result:
    try:
        return await manager.generate("hi")
    except ProviderError as error:
        return error


@frozen
class Told:
    """One call: when it began and ended, and how."""

    began: float
    ended: float
    result: Result


async def traffic(manager: ProviderManager, count: int, every: float) -> list[Told]:
    """`count` calls, one begun every so many seconds whatever became of the others."""
    results: list[Told] = []

    async def one() -> None:
        began = anyio.current_time()
        result = await ask(manager)
        results.append(Told(began, anyio.current_time(), result))

    async with anyio.create_task_group() as tasks:
        for _ in range(count):
            tasks.start_soon(one)
            await anyio.sleep(every)
    return results


def failed(calls: Sequence[Told]) -> int:
    return sum(isinstance(call.result, ProviderError) for call in calls)


def good(calls: Sequence[Told]) -> list[float]:
    """When the calls that succeeded ended, in order."""
    return sorted(call.ended for call in calls if isinstance(call.result, GenerationResponse))


def run(main: Main, backend: Backend = "asyncio") -> None:
    run_simulated(main, backend=backend)


def alternating() -> Callable[[float], Outcome]:
    """Every second attempt fails."""
    turn = [0]

    def plan(_: float) -> Outcome:
        turn[0] += 1
        return Answer() if turn[0] % 2 else Fail(DOWN)

    return plan


def over(*providers: ScriptedProvider, seed: int = 1, **fallback: Any) -> ProviderManager:
    return ProviderManager(providers, FallbackConfig(**fallback), random=Random(seed))
