"""What a run found: every sample, by case, client and round; kept as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.figures import Rounds, percentile, spread
from benchmarks.roster import ROSTER

Sample = dict[str, Any]


@dataclass
class Results:
    """samples: case -> client -> samples, each with its "round". failures: case or environment -> client -> reason.

    versions: environment -> package -> version. upstreams: case -> the server that answered.
    """

    machine: dict[str, str]
    taken: str
    upstreams: dict[str, str] = field(default_factory=dict)
    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    failures: dict[str, dict[str, str]] = field(default_factory=dict)
    samples: dict[str, dict[str, list[Sample]]] = field(default_factory=dict)

    def add(self, case: str, client: str, turn: int, sample: Sample) -> None:
        self.samples.setdefault(case, {}).setdefault(client, []).append({"round": turn, **sample})

    def by_round(self, case: str, client: str, figure: str) -> Rounds:
        """One figure of each round; empty where nothing was measured."""
        found = self.samples.get(case, {}).get(client, [])
        return {sample["round"]: sample[figure] for sample in found}

    def spread(self, case: str, client: str, figure: str) -> tuple[float, float, float] | None:
        found = self.by_round(case, client, figure)
        return spread([*found.values()]) if found else None

    def median(self, case: str, client: str, figure: str) -> float | None:
        found = self.spread(case, client, figure)
        return None if found is None else found[0]

    def first_events(self, client: str, share: float) -> Rounds:
        """How long the first event takes, µs: a percentile of each round."""
        found = self.samples.get("first-event", {}).get(client, [])
        return {sample["round"]: percentile(sample["first_us"], share) for sample in found}

    def clients(self, cases: Sequence[str]) -> list[str]:
        """Those with a sample in any of the cases, in the order of the roster."""
        found = {client for case in cases for client in self.samples.get(case, {})}
        return [entry.name for entry in ROSTER if entry.name in found]

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> Results:
        return cls(**json.loads(path.read_text()))
