"""The harness itself: a manager that lies, hangs, leaks or crashes is found out, and an honest one is not blamed."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Sequence
from typing import Any

import anyio
import pytest
from attrs import evolve

from llmcore.chaos import runner
from llmcore.chaos.nouns import Break, Result, Scenario
from llmcore.chaos.runner import run_all
from llmcore.chaos.scenarios import SCENARIOS, chosen
from llmcore.chaos.settings import Profile, default_config
from llmcore.config import FallbackConfig, LlmConfig, ProviderConfig
from llmcore.manager import ProviderManager
from llmcore.provider import EventStream
from llmcore.types import Event, Finished, GenerationInput, GenerationResponse, ProviderStats, TextDelta

QUICK = Profile("test", 0.1, 0.0)
PATIENT = LlmConfig(default_config().providers, FallbackConfig(mid_stream="restart"))
WELL = Scenario("F00", "nothing", "All is well.", breaks=(Break(),))


def run(
    scenarios: Sequence[Scenario], config: LlmConfig = PATIENT, profile: Profile = QUICK
) -> tuple[Result, ...]:
    return asyncio.run(run_all(config, scenarios, profile))


def verdicts(results: Sequence[Result]) -> dict[str, str]:
    return {result.scenario.id: f"{result.verdict}: {result.worst.sentence}" for result in results}


# -------------------------------------------------------------------------------------- an honest manager


def test_quick_scenarios_against_the_real_manager() -> None:
    results = run(
        chosen(["S03", "S04", "S08", "S12", "S13", "S14", "S16", "F01", "F04", "F39", "F43", "F60"])
    )
    assert {result.verdict for result in results} == {"pass"}, verdicts(results)
    by_id = {result.scenario.id: result for result in results}
    assert by_id["S04"].worst.at_broken == 1
    assert [finding.way for finding in by_id["S03"].findings] == ["stream", "generate"]
    assert [finding.label for finding in by_id["F39"].findings][::2] == ["301", "302", "307", "308"]


@pytest.mark.parametrize("strategy", ["round_robin", "weighted", "latency"])
def test_the_provider_that_is_asked_first_is_the_broken_one(strategy: Any) -> None:
    entries = [ProviderConfig(name, "openai", weight=3.0, priority=1) for name in ("one", "two", "three")]
    (result,) = run(chosen(["S04"]), LlmConfig(entries, FallbackConfig(strategy=strategy)))
    assert result.verdict == "pass"
    assert all(finding.at_broken == 1 for finding in result.findings)


@pytest.mark.parametrize("kind", ["anthropic", "gemini", "ollama", "cohere", "replicate", "cerebras"])
def test_every_dialect_can_be_the_broken_one(kind: str) -> None:
    entries = [ProviderConfig("one", kind, priority=1), ProviderConfig("two", "openai", priority=2)]
    (result,) = run(chosen(["S04"]), LlmConfig(entries))
    assert (result.verdict, result.worst.at_broken) == ("pass", 1), result.worst.sentence


def test_with_one_provider_alone_there_is_no_rescue_but_no_fail_either() -> None:
    alone = LlmConfig([ProviderConfig("only", "openai")])
    results = run(chosen(["S03", "S04", "F04", "F53"]), alone)
    assert [result.verdict for result in results] == ["pass", "safe", "safe", "safe"]


def test_without_a_policy_for_cuts_a_cut_is_safe() -> None:
    (result,) = run(chosen(["S08"]), evolve(PATIENT, fallback=FallbackConfig(mid_stream="fail")))
    assert result.verdict == "safe"


def test_progress_hears_of_every_result() -> None:
    heard: list[str] = []
    asyncio.run(
        run_all(PATIENT, chosen(["S03", "F52"]), QUICK, lambda result: heard.append(result.scenario.id))
    )
    assert sorted(heard) == ["F52", "S03"]


def test_scenarios_are_data_with_ids_of_their_own() -> None:
    ids = [scenario.id for scenario in SCENARIOS]
    assert len(set(ids)) == len(ids)
    assert sum(scenario.public for scenario in SCENARIOS) == 16
    assert sum(not scenario.public for scenario in SCENARIOS) >= 24
    assert all(scenario.cases for scenario in SCENARIOS)
    assert all(1 <= fault <= 72 for scenario in SCENARIOS for fault in scenario.faults)


# -------------------------------------------------------------------------------------- managers that misbehave


class Liar(ProviderManager):
    """A manager to be spoiled; its calls go through `spoil` and `spoil_event`."""

    async def generate(self, request: GenerationInput, /) -> GenerationResponse:
        return await self.spoil(await super().generate(request))

    async def spoil(self, response: GenerationResponse) -> GenerationResponse:
        return response

    def stream(self, request: GenerationInput, /) -> EventStream:
        return EventStream(Spoiled(self, super().stream(request)))

    def spoil_event(self, event: Event) -> list[Event]:
        return [event]


class Spoiled:
    """The source of a spoiled stream."""

    def __init__(self, liar: Liar, inner: EventStream) -> None:
        self._liar = liar
        self._inner = inner
        self._held: list[Event] = []

    async def open(self) -> None:
        await self._inner.open()

    async def next(self) -> Event:
        while not self._held:
            self._held = self._liar.spoil_event(await self._inner.__anext__())
        return self._held.pop(0)

    async def aclose(self) -> None:
        await self._inner.aclose()


class Swallows(Liar):
    def spoil_event(self, event: Event) -> list[Event]:
        return [] if isinstance(event, TextDelta) and "60" in event.text else [event]


class Stutters(Liar):
    def spoil_event(self, event: Event) -> list[Event]:
        return [event, event] if isinstance(event, TextDelta) else [event]


class Crashes(Liar):
    async def spoil(self, response: GenerationResponse) -> GenerationResponse:
        raise KeyError("choices")


class Hangs(Liar):
    async def spoil(self, response: GenerationResponse) -> GenerationResponse:
        await anyio.sleep_forever()
        return response


class Leaks(Liar):
    async def spoil(self, response: GenerationResponse) -> GenerationResponse:
        self._forgotten = asyncio.get_running_loop().create_task(asyncio.sleep(60))
        return response


class KeepsConnections(Liar):
    async def aclose(self) -> None:
        self._never_closed = True


class NamesAnother(Liar):
    async def spoil(self, response: GenerationResponse) -> GenerationResponse:
        return evolve(response, provider="secondary")


class CountsTwice(Liar):
    async def spoil(self, response: GenerationResponse) -> GenerationResponse:
        return evolve(response, usage=response.usage + response.usage)


class NeverEnds(Liar):
    def spoil_event(self, event: Event) -> list[Event]:
        return [] if isinstance(event, Finished) else [event]


class Miscounts(Liar):
    def stats(self) -> ProviderStats:
        return evolve(super().stats(), requests=2, in_flight=1)


class Forgets(Liar):
    def stats(self) -> ProviderStats:
        return evolve(super().stats(), requests=7)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_manager_that_closes_nothing_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    result = spoiled_run(monkeypatch, KeepsConnections)
    gc.collect()
    assert result.verdict == "fail"
    assert "connections left" in result.worst.sentence


def spoiled_run(monkeypatch: pytest.MonkeyPatch, liar: type[Liar]) -> Result:
    real = runner._manager

    def spoiled(*arguments: Any) -> ProviderManager:
        manager = real(*arguments)
        manager.__class__ = liar
        return manager

    async def first(settings: Any) -> str:
        return "primary"

    monkeypatch.setattr(runner, "_manager", spoiled)
    monkeypatch.setattr(runner, "first_asked", first)
    (result,) = run([evolve(WELL, bounds=evolve(WELL.bounds, hang_s=5.0))])
    return result


@pytest.mark.parametrize(
    ("liar", "words"),
    [
        (Swallows, "truncated"),
        (Stutters, "more text"),
        (Crashes, "unexpected exception"),
        (Hangs, "no answer and no error"),
        (Leaks, "tasks left"),
        (NamesAnother, "which gave none"),
        (NeverEnds, "Finished"),
        (Miscounts, "in flight"),
        (Forgets, "do not add up"),
        (CountsTwice, "none that primary counted"),
    ],
)
def test_a_manager_that_misbehaves_fails(
    monkeypatch: pytest.MonkeyPatch, liar: type[Liar], words: str
) -> None:
    result = spoiled_run(monkeypatch, liar)
    assert result.verdict == "fail", result.worst.sentence
    assert words in result.worst.sentence


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    (result,) = run([WELL])
    assert result.verdict == "pass"
    assert "did not come about" in result.worst.sentence
