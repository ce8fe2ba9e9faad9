"""What other processes may say to a manager: whom to ask later, where a session stays; and what it tells them."""

from __future__ import annotations

from collections.abc import Hashable

import pytest

from llmcore.config import BreakerConfig, FallbackConfig
from llmcore.errors import ConfigurationError, ServerError
from llmcore.manager.manager import ADVISED, ProviderManager
from llmcore.testing import Answer, Fail, FakeClock, ScriptedProvider
from llmcore.types import GenerationRequest

pytestmark = pytest.mark.anyio

TALK = GenerationRequest("x", metadata={"session": "s1"})


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def good(name: str) -> ScriptedProvider:
    return ScriptedProvider(name, [Answer(name)] * 9)


def manager(*providers: ScriptedProvider, clock: FakeClock | None = None) -> ProviderManager:
    fallback = FallbackConfig(max_retries=0, breaker=BreakerConfig(failures=1))
    return ProviderManager(providers, fallback, clock=clock or FakeClock())


async def test_who_is_advised_against_is_asked_after_the_others_until_then() -> None:
    clock = FakeClock()
    llm = manager(good("a"), good("b"), clock=clock)
    llm.advise("a", clock.now() + 5.0)
    assert llm.explain("x").order == ("b", "a")
    answer = await llm.generate("x")
    assert answer.text == "b"
    assert [(one.provider, one.reason) for one in answer.skipped] == [("a", ADVISED)]
    clock.advance(5.0)
    assert (await llm.generate("x")).text == "a"


async def test_advice_is_no_wall_and_an_answer_ends_it() -> None:
    llm = manager(good("a"), ScriptedProvider("b", [Fail(ServerError("down", status=500))]))
    llm.advise("a", llm.clock.now() + 50.0, reason="maintenance")
    assert (await llm.generate("x")).text == "a"
    assert llm.explain("x").order[0] == "a"


async def test_advice_of_one_model_leaves_the_others_alone() -> None:
    llm = manager(good("a"), good("b"))
    llm.advise("a", llm.clock.now() + 50.0, model="gpt-4o")
    assert (await llm.generate(GenerationRequest("x", model="gpt-4o"))).text == "b"
    assert (await llm.generate(GenerationRequest("x", model="claude-3-opus"))).text == "a"


async def test_a_shorter_advice_and_one_about_what_our_breaker_knows_change_nothing() -> None:
    clock = FakeClock()
    llm = manager(ScriptedProvider("a", [Fail(ServerError("down", status=500))]), good("b"), clock=clock)
    llm.advise("b", clock.now() + 50.0)
    llm.advise("b", clock.now() + 5.0, reason="shorter")
    clock.advance(6.0)
    (aside,) = [one for one in llm.explain("x").candidates if one.provider == "b"]
    assert aside.reason == ADVISED
    assert (await llm.generate("x")).text == "b"  # and a's breaker has opened
    llm.advise("a", clock.now() + 5.0)
    (ours,) = [one for one in llm.explain("x").candidates if one.provider == "a"]
    assert ours.reason == "breaker_open"


async def test_advice_about_nobody_is_an_error_that_names_everybody() -> None:
    with pytest.raises(ConfigurationError, match="there is no provider 'c'; there are a, b"):
        manager(good("a"), good("b")).advise("c", 1.0)


async def test_a_session_stays_where_somebody_else_has_found_it() -> None:
    llm = manager(good("a"), good("b"))
    assert llm.stays("s1") is None
    llm.stay("s1", "b")
    assert llm.stays("s1") == "b"
    assert (await llm.generate(TALK)).text == "b"
    assert (await llm.generate("x")).text == "a"
    llm.stay("s1", "a provider that this one has not")
    assert (await llm.generate(TALK)).text == "a"
    assert llm.stays("s1") == "a"


@pytest.mark.parametrize("streamed", [False, True])
async def test_each_answer_of_a_session_is_told_and_what_was_heard_is_not(streamed: bool) -> None:
    told: list[tuple[Hashable, str]] = []
    llm = manager(good("a"), good("b"))
    llm.on_stay(lambda session, name: told.append((session, name)))
    await llm.generate("x")
    llm.stay("s1", "b")
    assert told == []
    for _ in range(2):
        if streamed:
            async with llm.stream(TALK) as events:
                await events.collect()
        else:
            await llm.generate(TALK)
    assert told == [("s1", "b")] * 2
    llm.on_stay(None)
    await llm.generate(TALK)
    assert len(told) == 2
