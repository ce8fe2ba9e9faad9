"""The cases: what is measured, how, against which answer, and in which figure the result is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Measure = Literal["throughput", "first_event", "soak", "failover", "first_call", "import"]


@dataclass(frozen=True)
class Case:
    """answer: which of the upstream's answers. figure: of those that a sample gives, the one that is compared.

    call: the method of a client. settings: of the client (`Setting`). seconds: how long is measured; calls: how often.
    providers: how many addresses a manager gets; fault: what the first of them does.
    rounds: at most so many, where one sample takes long. group: the table that it stands in.
    """

    name: str
    title: str
    group: str
    figure: str
    unit: str
    measure: Measure = "throughput"
    answer: str = "chat"
    call: Literal["generate", "stream", "embed"] = "generate"
    settings: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.6
    calls: int = 0
    providers: int = 2
    fault: str | None = None
    rounds: int = 99

    @property
    def concurrency(self) -> int:
        return int(self.settings.get("concurrency", 1))


def _generate(concurrency: int, group: str = "generate") -> Case:
    name = f"{'generate' if group == 'generate' else 'in-flight'}-{concurrency}"
    title = f"generate, {concurrency:,} in flight"
    settings = {"concurrency": concurrency}
    return Case(
        name, title, group, "cpu_us", "µs", settings=settings, seconds=0.6 if concurrency < 500 else 0.9
    )


GENERATE = [_generate(width) for width in (1, 64, 512)]
STREAMS = [
    Case("burst", "stream in a burst, per event", "stream", "cpu_us", "µs", answer="burst", call="stream"),
    Case(
        "tools", "tool call in a burst, per event", "stream", "cpu_us", "µs",
        answer="tools", call="stream", settings={"tools": True},
    ),
    Case(
        "paced", "stream at 2 ms, per event", "stream", "cpu_us", "µs",
        answer="paced", call="stream", settings={"concurrency": 4}, seconds=1.2,
    ),
    Case("first-event", "call to first event", "first", "first_us", "µs", "first_event", "first", "stream", calls=150),
]  # fmt: skip
EMBEDDINGS = [
    Case(
        f"embed-{encoding}", f"64 vectors of 1536 as {title}", "embeddings", "cpu_us", "µs",
        answer=encoding, call="embed", settings={"encoding": encoding},
    )
    for encoding, title in (("float", "floats"), ("base64", "base64"))
]  # fmt: skip
STARTING = [
    Case("import", "import", "start", "wall_ms", "ms", "import"),
    Case("first-call", "first answer", "start", "wall_ms", "ms", "first_call"),
]
SOAK = [
    Case(
        "soak", "memory that 10,000 calls leave", "soak", "growth_mib", "MiB", "soak",
        settings={"concurrency": 50}, calls=10_000, rounds=3,
    ),
]  # fmt: skip
FAILOVER = [
    Case(f"failover-{fault}", f"first provider: {fault}", "failover", "first_ms", "ms", "failover", calls=200, seconds=1.5, fault=fault)
    for fault in ("500", "429", "refused")
]  # fmt: skip
PROVIDERS = [
    Case(
        f"providers-{count}-c{width}", f"{count} providers, {width} in flight", "providers", "cpu_us", "µs",
        settings={"concurrency": width}, providers=count, seconds=0.9,
    )
    for width in (1, 64)
    for count in (2, 10, 50, 200)
]  # fmt: skip
IN_FLIGHT = [_generate(width, "in-flight") for width in (1, 64, 256, 1000, 2000)]

CASES: dict[str, Case] = {
    case.name: case
    for case in (*STARTING, *GENERATE, *STREAMS, *EMBEDDINGS, *SOAK, *FAILOVER, *PROVIDERS, *IN_FLIGHT)
}

QUICK = (
    "import",
    "first-call",
    "generate-1",
    "generate-64",
    "burst",
    "first-event",
    "embed-float",
    "embed-base64",
    "failover-500",
)
"""The cases of `make bench`."""
