"""Hot reload on real sockets: nothing fails, what did not change keeps its state, a broken configuration changes nothing."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
from attrs import evolve

import llmcore
from llmcore.config import FallbackConfig
from llmcore.errors import ConfigurationError, ProviderError
from llmcore.provider import Fold
from llmcore.sim import Simulator, SimulatorThread
from llmcore.testing import ScriptedProvider

pytestmark = pytest.mark.anyio


def config(sim: SimulatorThread, *names: str, model: str = "m", **more: object) -> llmcore.LlmConfig:
    providers = [
        llmcore.ProviderConfig(
            name,
            "openai_compatible",
            api_key=f"sk-{name}",
            base_url=sim.base_url("openai_compatible"),
            text_model=model,
        )
        for name in names
    ]
    return evolve(llmcore.LlmConfig(providers, prices="off"), **more)


async def test_no_call_fails_while_the_configuration_changes() -> None:
    with SimulatorThread(Simulator(first_token_delay=0.02)) as sim:
        async with llmcore.open(config(sim, "a", "b")) as llm:
            failures: list[ProviderError] = []
            done = 0

            async def client(number: int) -> None:
                nonlocal done
                for turn in range(10):
                    try:
                        if (number + turn) % 2:
                            answer = await llm.generate("say: hi")
                        else:
                            answer = await llm.stream("say: hi").collect()
                        assert answer.text == "hi"
                        done += 1
                    except ProviderError as error:
                        failures.append(error)

            async with anyio.create_task_group() as group:
                for number in range(20):
                    group.start_soon(client, number)
                for turn in range(15):
                    names = ("a", "b", "c")[: 1 + turn % 3]
                    await llm.reload(config(sim, *names, model=f"m{turn % 4}"))
            assert failures == []
            assert done == 200
            assert llm.stats().in_flight == 0
            assert len(llm.providers) == 3


async def test_what_did_not_change_keeps_its_connections_and_its_breaker() -> None:
    with SimulatorThread() as sim:
        before = config(sim, "a", "b")
        async with llmcore.open(before) as llm:
            a, b = llm.providers
            llm.isolate("a")
            changed = evolve(
                before, providers=(before.providers[0], evolve(before.providers[1], temperature=0.5))
            )
            await llm.reload(changed)
            assert llm.providers[0] is a
            assert llm.providers[1] is not b
            assert (await llm.generate("say: hi")).provider == "b"
            await llm.reload(evolve(changed, fallback=FallbackConfig(strategy="round_robin")))
            assert llm.providers[0] is a
            assert (await llm.generate("say: hi")).provider == "b"


async def test_a_broken_configuration_changes_nothing(tmp_path: Path) -> None:
    with SimulatorThread() as sim:
        async with llmcore.open(config(sim, "a")) as llm:
            provider = llm.providers[0]
            for broken in ("nonsense = 1", tmp_path / "missing.toml", {"llm": {"providers": []}}):
                with pytest.raises(ConfigurationError):
                    await llm.reload(broken)
            with pytest.raises(ConfigurationError, match="api_key"):
                await llm.reload(
                    llmcore.LlmConfig(
                        [
                            llmcore.ProviderConfig(
                                "x", "openai", base_url="http://127.0.0.1:9/v1", api_key="a b"
                            )
                        ]
                    )
                )
            assert llm.providers == (provider,)
            assert (await llm.generate("say: hi")).text == "hi"


async def test_a_call_that_runs_ends_as_it_began() -> None:
    with SimulatorThread(Simulator(tokens_per_second=100)) as sim:
        async with llmcore.open(config(sim, "a")) as llm:
            async with llm.stream("count: 40") as events:
                await anext(events)
                async with anyio.create_task_group() as group:
                    group.start_soon(llm.reload, config(sim, "b"))
                    await anyio.sleep(0.05)
                    assert [provider.name for provider in llm.providers] == ["b"]
                    assert (await llm.generate("say: hi")).provider == "b"
                    fold = Fold()
                    async for event in events:
                        fold.add(event)
            assert fold.response().provider == "a"


async def test_a_new_key_is_used_at_once() -> None:
    with SimulatorThread(Simulator(api_key="sk-new")) as sim:
        old = config(sim, "a")
        async with llmcore.open(old) as llm:
            with pytest.raises(llmcore.AuthenticationError):
                await llm.generate("say: hi")
            await llm.reload(
                evolve(old, providers=(evolve(old.providers[0], api_key=llmcore.Secret("sk-new")),))
            )
            assert (await llm.generate("say: hi")).text == "hi"


async def test_only_a_manager_made_from_a_configuration_reloads() -> None:
    with pytest.raises(ConfigurationError, match="made by hand"):
        await llmcore.ProviderManager([ScriptedProvider("a")]).reload("x = 1")


async def test_a_configuration_that_fails_late_leaves_the_providers_and_their_state() -> None:
    with SimulatorThread() as sim:
        before = config(sim, "a", "b")
        async with llmcore.open(before) as llm:
            a, b = llm.providers
            llm.isolate("a")
            broken: tuple[llmcore.LlmConfig, ...] = (
                evolve(config(sim, "a", "c"), fallback=FallbackConfig(fallbacks=("nobody",))),
                evolve(before, providers=[evolve(one, enabled=False) for one in before.providers]),
            )
            for late in broken:
                with pytest.raises(ConfigurationError):
                    await llm.reload(late)
            await llm.reload(before)
            assert llm.providers == (a, b)
            assert (await llm.generate("say: hi")).provider == "b"


async def test_a_name_that_is_given_twice_is_a_mistake_and_not_dropped() -> None:
    with SimulatorThread() as sim, pytest.raises(ConfigurationError, match="twice"):
        llmcore.create_manager(config(sim, "a", "a"))


async def test_an_address_from_a_variable_is_read_again() -> None:
    with SimulatorThread() as sim:
        environ = {"OLLAMA_HOST": "http://127.0.0.1:9"}
        local = llmcore.LlmConfig([llmcore.ProviderConfig("o", "ollama", text_model="m")], prices="off")
        async with llmcore.open(local, environ=environ) as llm:
            (before,) = llm.providers
            await llm.reload(local)
            assert llm.providers == (before,)
            environ["OLLAMA_HOST"] = sim.base_url("ollama")
            await llm.reload(local)
            assert llm.providers != (before,)
            assert (await llm.generate("say: hi")).text == "hi"
