"""A scenario as frozen values: simulated providers, the traffic, and the settings to compare. All times are seconds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random
from typing import Literal, Protocol, TypeAlias

from attrs import field, frozen

from llmcore.config import FallbackConfig, Routing, Timeouts
from llmcore.prices import Price
from llmcore.simulate.shapes import Constant, Shape
from llmcore.simulate.ways import Way

WhenFull: TypeAlias = Literal["queue", "503", "429"]
LimitKind: TypeAlias = Literal["bucket", "window"]
AsOf: TypeAlias = Literal["answer", "request"]
Arrivals: TypeAlias = Literal["poisson", "even"]

FOREVER: float = float("inf")


@frozen
class Outage:
    """From `start` until `end` a `share` of the requests fails. cuts: answers under way at the start are cut too."""

    start: float
    end: float
    way: Way
    share: float = 1.0
    cuts: bool = False


@frozen
class Slowdown:
    """From `start` until `end` everything takes `times` as long."""

    start: float
    end: float
    times: float


@frozen
class UpstreamLimits:
    """What a vendor lets through, per minute.

    bucket: fills evenly and holds `burst` seconds' worth. window: the whole amount at the start of every minute.
    announce: tell the state with every answer; as_of: as it is when the answer begins, or as it was when the request came,
    as vendors do that write their headers before they think. tell_wait: a 429 says when there will be room.
    """

    rpm: float | None = None
    tpm: float | None = None
    kind: LimitKind = "bucket"
    burst: float = 60.0
    announce: bool = True
    as_of: AsOf = "answer"
    tell_wait: bool = True


@frozen
class Profile:
    """One simulated provider.

    first_token: seconds to the first visible word. speed: tokens per second after it. errors: the share of requests that
    fails in each way. capacity: requests at the same time; when_full: what happens to those above it.
    """

    name: str
    first_token: Shape = field(default=Constant(0.5))
    speed: Shape = field(default=Constant(50.0))
    errors: tuple[tuple[float, Way], ...] = ()
    outages: tuple[Outage, ...] = ()
    slowdowns: tuple[Slowdown, ...] = ()
    limits: UpstreamLimits | None = None
    capacity: int | None = None
    when_full: WhenFull = "queue"
    price: Price | None = None


@frozen
class Call:
    """One call of the traffic. at: seconds from the start; deadline: seconds that it may take, None for no limit."""

    number: int
    at: float
    prompt_tokens: int
    answer_tokens: int
    stream: bool = True
    deadline: float | None = None
    session: str | None = None


class Source(Protocol):
    """Where calls come from."""

    def calls(self, duration: float, random: Random, /) -> Iterator[Call]:
        """Every call that begins before `duration`, in the order of time."""
        ...


@frozen
class Setup:
    """One configuration to try. routings: of the providers that take part, in configured order. limits: the manager's own;
    timeouts, prices: of single providers.
    """

    name: str
    fallback: FallbackConfig = field(default=FallbackConfig())
    limits: Timeouts = field(default=Timeouts())
    routings: Mapping[str, Routing] = field(factory=dict)
    timeouts: Mapping[str, Timeouts] = field(factory=dict)
    prices: Mapping[str, Price] = field(factory=dict)


@frozen
class Scenario:
    """Everything that a simulation depends on. step: the width of one figure over time."""

    name: str
    duration: float
    step: float
    seed: int
    traffic: Source
    profiles: tuple[Profile, ...]
    setups: tuple[Setup, ...]
