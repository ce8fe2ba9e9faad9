"""The upstream of one case: a simulator for each provider, the first one broken as the scenario says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from attrs import define, field

from llmcore.chaos.nouns import Break, Hit
from llmcore.chaos.raw import UNKNOWN_NAME, black_hole, closed_port, no_prefill, no_tls, self_signed
from llmcore.chaos.settings import Tested
from llmcore.sim import Record, Simulator

TOKENS_PER_SECOND = 100.0
HEALTHY = "sim-model"
OWNED = frozenset({"replicate", "huggingface"})
"""Kinds whose models have an owner before the name."""

_TIMES = frozenset(
    {
        "retry_after",
        "delay_s",
        "first_token_delay_s",
        "byte_delay_s",
        "header_byte_delay_s",
        "refuse_s",
        "stall_s",
        "comment_every_s",
        "from_s",
        "until_s",
    }
)


def scaled_rule(rule: Mapping[str, Any], factor: float) -> dict[str, Any]:
    """A rule of a script with its times scaled."""
    scaled = {name: value * factor if name in _TIMES else value for name, value in rule.items()}
    if "tokens_per_second" in scaled:
        scaled["tokens_per_second"] /= factor
    return scaled


def named(kind: str, model: str) -> str:
    """A model's name as that kind of provider writes it."""
    return f"sim/{model}" if kind in OWNED else model


@define
class Ground:
    """Where the providers of one case lead to: urls and models by provider's name, and what arrived there."""

    urls: dict[str, str] = field(factory=dict)
    models: dict[str, str] = field(factory=dict)
    sims: dict[str, Simulator] = field(factory=dict)
    scripts: dict[str, tuple[dict[str, Any], ...]] = field(factory=dict)
    trap: Simulator | None = None
    cut: tuple[str, float] | None = None
    began: float = 0.0

    def begin(self) -> None:
        """The clock of the faults starts now."""
        for name, rules in self.scripts.items():
            self.sims[name].set_script({"rules": list(rules)})
        self.began = asyncio.get_running_loop().time()

    def hits(self) -> tuple[Hit, ...]:
        """Every request that asked for an answer, by provider, in the order of arrival."""
        found = [
            self._hit(name, record)
            for name, sim in self.sims.items()
            for record in sim.requests
            if record.understood is None or record.understood.operation == "generate"
        ]
        return tuple(sorted(found, key=lambda hit: hit.at_s))

    def _hit(self, name: str, record: Record) -> Hit:
        return Hit(
            name,
            record.at - self.began,
            record.status,
            record.outcome,
            record.counts.input,
            record.counts.output,
            None if record.ended_at is None else record.ended_at - self.began,
            None if record.understood is None else record.understood.model,
        )

    @property
    def met(self) -> bool:
        """Whether some simulator was asked for a fault."""
        return any(record.fault is not None for sim in self.sims.values() for record in sim.requests)

    @property
    def connections(self) -> dict[str, int]:
        """Connections that are open now, by provider."""
        return {name: sim.counters.connections_open for name, sim in self.sims.items()}

    @property
    def trapped(self) -> int:
        return 0 if self.trap is None else self.trap.counters.requests

    async def cut_in_time(self) -> None:
        """Cut the broken provider's connections so long after its first request; for ever where nothing shall be cut."""
        if self.cut is not None:
            name, seconds = self.cut
            while not self.sims[name].requests:  # noqa: ASYNC110 - the simulator tells nobody of a request
                await asyncio.sleep(0.01)
            await asyncio.sleep(seconds)
            await self.sims[name].refuse()
            await self.sims[name].accept()


@asynccontextmanager
async def prepared(
    tested: Tested, broke: Break | None, ports: Mapping[str, int] | None = None
) -> AsyncIterator[Ground]:
    """The upstream for one case, listening; `broke` None: all are well.

    ports: where which provider is found, by name; any free port where that is not said. Raises OSError where one is taken.
    """
    ground = Ground()
    factor, ports = tested.profile.factor, ports or {}
    hidden = tested.others if broke is not None and broke.no_prefill else ()
    async with AsyncExitStack() as stack:
        for entry in tested.config.providers:
            port = 0 if entry.name in hidden else ports.get(entry.name, 0)
            sim = Simulator(tokens_per_second=TOKENS_PER_SECOND / factor, port=port)
            ground.sims[entry.name] = await stack.enter_async_context(sim)
            ground.urls[entry.name] = sim.base_url(entry.provider)
        ground.models = models_of(tested, broke)
        if broke is not None:
            await _break(ground, tested, broke, stack, ports)
        yield ground


def models_of(tested: Tested, broke: Break | None) -> dict[str, str]:
    """What each provider is asked for: the broken ones for a fault, by its name."""
    broken = () if broke is None else tested.names if broke.everyone else (tested.first,)
    return {
        entry.name: named(
            entry.provider, broke.model if broke is not None and entry.name in broken else HEALTHY
        )
        for entry in tested.config.providers
    }


async def _break(
    ground: Ground, tested: Tested, broke: Break, stack: AsyncExitStack, ports: Mapping[str, int]
) -> None:
    factor = tested.profile.factor
    rules = tuple(scaled_rule(rule, factor) for rule in broke.rules)
    if broke.trap:
        ground.trap = await stack.enter_async_context(Simulator())
        rules = tuple({**rule, "headers": {"location": ground.trap.base_url("openai")}} for rule in rules)
    if rules:
        ground.scripts = dict.fromkeys(tested.names if broke.everyone else (tested.first,), rules)
    if broke.reset_after_s is not None:
        ground.cut = (tested.first, broke.reset_after_s * factor)
    if broke.address != "sim":
        await _move(ground, tested.first, broke, stack)
    if broke.no_prefill:
        for name in tested.others:
            await _behind_a_door(ground, name, stack, ports.get(name, 0))


async def _move(ground: Ground, name: str, broke: Break, stack: AsyncExitStack) -> None:
    """Let a provider's address lead to somewhere else."""
    match broke.address:
        case "closed":
            origin = closed_port()
        case "unknown_name":
            origin = UNKNOWN_NAME
        case "blackhole":
            origin = await stack.enter_async_context(black_hole())
        case "self_signed":
            origin = await stack.enter_async_context(self_signed())
        case _:
            origin = await stack.enter_async_context(no_tls())
    ground.urls[name] = ground.urls[name].replace(ground.sims[name].url, origin)


async def _behind_a_door(ground: Ground, name: str, stack: AsyncExitStack, port: int) -> None:
    sim = ground.sims[name]
    inner = urlsplit(sim.url).port
    assert inner is not None
    origin, _ = await stack.enter_async_context(no_prefill(inner, port))
    ground.urls[name] = ground.urls[name].replace(sim.url, origin)
