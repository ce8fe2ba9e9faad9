"""Hints between managers: what one has found failing, another asks later; never a wall, never an echo."""

from __future__ import annotations

import pytest

from llmcore.config import BreakerConfig, FallbackConfig
from llmcore.errors import ServerError
from llmcore.gateway.hints import Hint
from llmcore.manager.manager import ProviderManager
from llmcore.serving.hints import WHY, found, heard
from llmcore.testing import Answer, Fail, FakeClock, ScriptedProvider

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def manager(*providers: ScriptedProvider) -> ProviderManager:
    fallback = FallbackConfig(max_retries=0, breaker=BreakerConfig(failures=1))
    return ProviderManager(providers, fallback, clock=FakeClock())


def good(name: str) -> ScriptedProvider:
    return ScriptedProvider(name, [Answer(name)] * 5)


async def test_an_open_breaker_is_told_and_heard_elsewhere() -> None:
    one = manager(ScriptedProvider("a", [Fail(ServerError("down", status=500))]), good("b"))
    other = manager(good("a"), good("b"))
    assert found(one) == []
    assert (await one.generate("hi")).text == "b"
    (hint,) = found(one)
    assert (hint.provider, hint.seconds > 0) == ("a", True)
    heard(other, hint)
    assert (await other.generate("hi")).text == "b"
    assert found(other) == [], "what was heard is not told on"


async def test_a_hint_is_no_wall() -> None:
    alone = manager(good("a"))
    heard(alone, Hint("a", "", 30.0))
    assert (await alone.generate("hi")).text == "a"


async def test_an_answer_here_is_worth_more_than_what_is_heard() -> None:
    here = manager(good("a"), good("b"))
    heard(here, Hint("a", "", 30.0))
    heard(here, Hint("b", "", 30.0))
    assert (await here.generate("hi")).text == "a"
    line = here.fleet.guards[0].line(None)
    assert line.aside_until == 0.0
    assert here.fleet.guards[1].line(None).aside_why == WHY


async def test_a_hint_ends() -> None:
    clock = FakeClock()
    here = ProviderManager([good("a"), good("b")], FallbackConfig(), clock=clock)
    heard(here, Hint("a", "", 5.0))
    clock.advance(6.0)
    assert (await here.generate("hi")).text == "a"


async def test_names_that_nobody_knows_and_what_is_isolated_by_hand() -> None:
    here = manager(good("a"), good("b"))
    heard(here, Hint("nobody", "x", 5.0))
    here.isolate("a")
    assert found(here) == []
