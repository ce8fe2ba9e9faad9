"""Round robin as a state machine beside a plain model: any subset, any time, whoever is left alone."""

from __future__ import annotations

from collections import Counter
from random import Random

from anyio.abc import TaskGroup
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from llmcore.config import FallbackConfig, Routing
from llmcore.errors import ProviderError
from llmcore.manager import ProviderManager
from llmcore.testing import ScriptedProvider
from llmcore.types import GenerationRequest
from tests.manager.stage import Backend, Stage

NAMES = ("p0", "p1", "p2", "p3")


class RingMachine(RuleBasedStateMachine):
    """Invariant 28: each set of candidates has a turn that moves by one with every call, whoever is eligible."""

    stage: Stage | None = None

    @initialize(
        backend=st.sampled_from(["asyncio", "trio"]),
        tiers=st.lists(st.integers(0, 1), min_size=4, max_size=4),
    )
    def begin(self, backend: Backend, tiers: list[int]) -> None:
        self.tiers = tiers
        self.alone: set[str] = set()
        self.disturbed = False
        self.turns: Counter[frozenset[str]] = Counter()
        self.given: Counter[tuple[frozenset[str], str]] = Counter()
        self.stage = Stage(backend)

        async def made(group: TaskGroup) -> ProviderManager:
            providers = [
                ScriptedProvider(name, routing=Routing(priority=tier))
                for name, tier in zip(NAMES, tiers, strict=True)
            ]
            return ProviderManager(providers, FallbackConfig(strategy="round_robin"), random=Random(0))

        self.manager = self.stage.do(made)

    @rule(only=st.sets(st.sampled_from(NAMES)), calls=st.integers(1, 5))
    def call(self, only: set[str], calls: int) -> None:
        for _ in range(calls):
            expected = self.expected(frozenset(only or NAMES))

            async def ask(group: TaskGroup) -> str | None:
                try:
                    return (
                        await self.manager.generate(GenerationRequest("x", providers=sorted(only)))
                    ).provider
                except ProviderError:
                    return None

            assert self.stage is not None
            assert self.stage.do(ask) == expected

    @rule(name=st.sampled_from(NAMES), isolates=st.booleans())
    def by_hand(self, name: str, isolates: bool) -> None:
        async def turn(group: TaskGroup) -> None:
            (self.manager.isolate if isolates else self.manager.reset)(name)

        assert self.stage is not None
        self.stage.do(turn)
        self.disturbed = self.disturbed or isolates
        (self.alone.add if isolates else self.alone.discard)(name)

    def expected(self, only: frozenset[str]) -> str | None:
        """Tier by tier, from the tier's turn on, the first who may be asked; a tier that is looked at moves on."""
        rank = dict(zip(NAMES, self.tiers, strict=True))
        for tier in sorted(set(self.tiers)):
            ring = [name for name in NAMES if name in only and rank[name] == tier]
            if not ring:
                continue
            members = frozenset(ring)
            start = self.turns[members] % len(ring)
            self.turns[members] += 1
            for name in (*ring[start:], *ring[:start]):
                if name not in self.alone:
                    self.given[members, name] += 1
                    return name
        return None

    @invariant()
    def the_turns_are_fair(self) -> None:
        """Where nobody was ever left alone, no member of a set was chosen more often than another by more than one."""
        if self.stage is None or self.disturbed:
            return
        for members in self.turns:
            counts = [self.given[members, name] for name in members]
            assert max(counts) - min(counts) <= 1

    def teardown(self) -> None:
        if self.stage is not None:
            self.stage.close()


TestRingMachine = RingMachine.TestCase
