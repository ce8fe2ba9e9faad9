"""What a scenario is, what a caller saw, what the upstream saw, and what was found: values without behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from attrs import field, frozen

from llmcore.types import Attempt, Usage

Verdict: TypeAlias = Literal["pass", "partial", "safe", "fail"]
NOTHING: Usage = Usage()
VERDICTS: tuple[Verdict, ...] = ("pass", "partial", "safe", "fail")
"""From the best to the worst."""

Way: TypeAlias = Literal["stream", "generate"]
Address: TypeAlias = Literal["sim", "closed", "unknown_name", "blackhole", "self_signed", "no_tls"]
Ended: TypeAlias = Literal["answered", "error", "hung", "crashed", "left", "cancelled"]
JudgeName: TypeAlias = Literal[
    "answer",
    "errors",
    "context",
    "refusal",
    "accounting",
    "usage",
    "tool",
    "outage",
    "blackout",
    "left",
    "paced",
]

COUNT = "count: 60"
COUNTED: str = " ".join(f"word{n}" for n in range(1, 61))
"""What every healthy simulated provider answers to COUNT."""


@frozen
class Break:
    """How the upstream is broken; every time in seconds as published, scaled when it is run.

    model: a name by which the simulator knows a fault. rules: a script for the broken provider's simulator. address:
    what the broken provider's address leads to instead. everyone: all providers are broken so. no_prefill: the others
    refuse a request that ends with a beginning of the answer. same_window: all context windows are known and equal.
    trap: the broken answer redirects to an address that must stay unvisited. reset_after_s: its connections are cut so
    long after its first request. way: for calls of this way alone.
    """

    label: str = ""
    model: str = "sim-model"
    rules: tuple[Mapping[str, Any], ...] = ()
    address: Address = "sim"
    everyone: bool = False
    no_prefill: bool = False
    same_window: bool = False
    trap: bool = False
    reset_after_s: float | None = None
    way: Way | None = None


@frozen
class Traffic:
    """What a user does. `calls` of them, one begun every `every_s` seconds; `expected` is what a healthy answer says.

    tool: a tool is offered and must be called with the arguments in `expected` (JSON). leave_after: the reader stops
    after so many visible pieces. cancel_s: the caller gives up after so long. deadline_s: the request's own limit.
    """

    prompt: str = COUNT
    expected: str = COUNTED
    calls: int = 1
    every_s: float = 0.0
    tool: bool = False
    leave_after: int | None = None
    cancel_s: float | None = None
    deadline_s: float | None = None


@frozen
class Bounds:
    """What a pass may take. seconds: a call to its end; first_s: to the first word of a stream.

    broken: attempts at the broken provider in all; None for one more than the configured retries (for each call).
    hang_s: a call that goes on for longer hangs.
    """

    seconds: float = 15.0
    first_s: float | None = None
    broken: int | None = None
    hang_s: float = 75.0


@frozen
class Scenario:
    """One thing that goes wrong. faults: numbers of the list of 72 faults. sees: what a user would notice.

    allowed: error classes that are the right answer here. alone: it takes the processor for itself, so that it runs
    when nothing else does. down_s: how long the provider is away, where it comes back.
    """

    id: str
    title: str
    sees: str
    faults: tuple[int, ...] = ()
    breaks: tuple[Break, ...] = field(default=(Break(),), converter=tuple[Break, ...])
    ways: tuple[Way, ...] = ("stream", "generate")
    traffic: Traffic = Traffic()
    bounds: Bounds = Bounds()
    judge: JudgeName = "answer"
    allowed: tuple[str, ...] = ()
    down_s: float = 0.0
    alone: bool = False

    @property
    def public(self) -> bool:
        return self.id.startswith("S")

    @property
    def cases(self) -> tuple[tuple[Break, Way], ...]:
        """Every way of every break."""
        return tuple((broke, way) for broke in self.breaks for way in self.ways if broke.way in {None, way})


# ------------------------------------------------------------------------------------------------ what was seen


@frozen
class Seen:
    """One call, as a caller saw it who obeys Restarted and Continued. Times in seconds from its begin.

    text: what the reader has in the end. error: the class of the typed error; chain: the classes beneath it. detail:
    its words. strange: the events that must not be ("nothing finished it", ...). billed_failures: attempts that failed
    and still carry measured tokens.
    """

    ended: Ended
    seconds: float
    began_s: float = 0.0
    text: str = ""
    arguments: str | None = None
    first_s: float | None = None
    finish_reason: str | None = None
    error: str | None = None
    chain: tuple[str, ...] = ()
    detail: str = ""
    provider: str | None = None
    model: str | None = None
    usage: Usage = NOTHING
    attempts: tuple[Attempt, ...] = ()
    restarts: int = 0
    continued: int = 0
    warnings: tuple[str, ...] = ()
    strange: tuple[str, ...] = ()
    leaked_key: bool = False

    @property
    def billed_failures(self) -> tuple[Attempt, ...]:
        """Attempts that failed before they gave anything, and still carry tokens that the vendor counted."""
        return tuple(
            attempt
            for attempt in self.attempts
            if attempt.outcome not in {"success", "cancelled"}
            and attempt.counted == "measured"
            and (attempt.usage.output_tokens or 0) > 0
        )


@frozen
class Hit:
    """One request as the upstream noted it; at_s from the begin of the case."""

    provider: str
    at_s: float
    status: int
    outcome: str
    input_tokens: int = 0
    output_tokens: int = 0
    ended_s: float | None = None
    model: str | None = None


@frozen
class Facts:
    """What the settings under test promise, for the judges. factor: by which all times were scaled.

    remote: a gateway was asked over HTTP, which need not tell who answered or who was tried.
    """

    names: tuple[str, ...]
    broken: str
    retries: int = 1
    allow_policy_fallback: bool = False
    windows: tuple[tuple[str, int | None], ...] = ()
    factor: float = 1.0
    remote: bool = False

    @property
    def others(self) -> tuple[str, ...]:
        return tuple(name for name in self.names if name != self.broken)


@frozen
class Case:
    """One way of one break of a scenario, run once: everything that was seen from both sides.

    met: whether the fault came about. late_s: how late the machine itself was. leaks: what was still there after everything was closed. trapped: requests
    at the address that must stay unvisited.
    """

    scenario: Scenario
    broke: Break
    way: Way
    facts: Facts
    calls: tuple[Seen, ...]
    hits: tuple[Hit, ...]
    met: bool = True
    late_s: float = 0.0
    leaks: tuple[str, ...] = ()
    trapped: int = 0


@frozen
class Finding:
    """What a judge says of one case: the verdict, and one sentence why."""

    verdict: Verdict
    sentence: str
    attempts: int = 0
    at_broken: int = 0
    seconds: float = 0.0
    way: Way = "stream"
    label: str = ""
    figures: Mapping[str, Any] = field(factory=dict)


@frozen
class Result:
    """A scenario's findings; the worst of them counts."""

    scenario: Scenario
    findings: tuple[Finding, ...]

    @property
    def worst(self) -> Finding:
        return max(self.findings, key=lambda finding: VERDICTS.index(finding.verdict))

    @property
    def verdict(self) -> Verdict:
        return self.worst.verdict
