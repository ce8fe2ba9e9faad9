"""A stream that is over leaves nothing that only the garbage collector could free: it holds all that was read."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from llmcore.config import FallbackConfig
from llmcore.errors import ServerError
from llmcore.manager.manager import ProviderManager
from llmcore.manager.stream import ManagedStream
from llmcore.provider import EventStream
from llmcore.testing import Answer, Fail, Outcome, ScriptedProvider, run_simulated
from llmcore.types import GenerationRequest

BROKEN = ServerError("down", status=500)


@pytest.fixture(autouse=True)
def _no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def read(manager: ProviderManager, most: int) -> weakref.ref[ManagedStream]:
    source = ManagedStream(manager, GenerationRequest("hi"))
    kept = weakref.ref(source)
    count = 0
    async with EventStream(source) as events:
        async for _ in events:
            count += 1
            if count == most:
                break
    return kept


@pytest.mark.parametrize("most", [1, 2, 1000])
@pytest.mark.parametrize("first", [Answer("a b c"), Fail(BROKEN)], ids=["answers", "fails"])
def test_it_is_gone_when_its_reader_is(first: Outcome, most: int) -> None:
    async def main() -> None:
        providers = [ScriptedProvider("a", [first]), ScriptedProvider("b", [Answer("a b c")])]
        manager = ProviderManager(providers, FallbackConfig(max_retries=0))
        kept = await read(manager, most)
        assert kept() is None

    run_simulated(main)
