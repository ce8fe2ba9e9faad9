"""Recorded exchanges with real providers, read where they lie; whoever has none skips those tests, loudly.

Set LLMCORE_WIRE to the folder, or keep it at ../shared/wire beside the checkout.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import attrs
import pytest

ROOT = Path(os.environ.get("LLMCORE_WIRE") or Path(__file__).resolve().parents[2] / "shared" / "wire")


@attrs.frozen
class Record:
    """One exchange."""

    id: str
    provider: str
    api: str
    operation: str
    stream: bool
    model: str | None
    framing: str
    status: int
    features: tuple[str, ...]
    quirks: tuple[str, ...]
    request: dict[str, Any] | None = attrs.field(repr=False)
    headers: dict[str, str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)
    fidelity: str = ""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@cache
def _index() -> tuple[dict[str, Any], ...]:
    path = ROOT / "index.jsonl"
    return tuple(json.loads(line) for line in path.read_text().splitlines()) if path.exists() else ()


def _load(row: dict[str, Any]) -> Record:
    data = json.loads((ROOT / row["path"]).read_text())
    response = data["response"]
    body = response.get("body") or ""
    return Record(
        id=row["id"],
        provider=row["provider"],
        api=row["api"],
        operation=row["operation"],
        stream=row["stream"],
        model=row["model"],
        framing=row["framing"],
        status=response["status"],
        features=tuple(row["features"]),
        quirks=tuple(row["quirks"]),
        request=data.get("request"),
        headers={key.lower(): value for key, value in (response.get("headers") or {}).items()},
        body=body.encode("utf-8", "surrogatepass"),
        fidelity=row["fidelity"],
    )


def records(
    *, api: str, operation: str | tuple[str, ...], ok: bool = True, providers: tuple[str, ...] = ()
) -> list[Any]:
    """Records as pytest params (id = provider-record); one param that skips with the reason where there are none."""
    operations = (operation,) if isinstance(operation, str) else operation
    if not _index():
        return [
            pytest.param(
                None,
                marks=pytest.mark.skip(reason=f"no recorded traffic at {ROOT}"),
                id="no-recorded-traffic",
            )
        ]
    return [
        pytest.param(_load(row), id=f"{row['provider']}-{row['id']}")
        for row in _index()
        if row["api"] == api
        and row["operation"] in operations
        and (row["status"] < 300) is ok
        and (not providers or row["provider"] in providers)
        and row["framing"] != "eventstream"
    ]


def chunkings(body: bytes, *, seed: int = 0, rounds: int = 3) -> Iterator[list[bytes]]:
    """The body whole, byte by byte, and in `rounds` random splits."""
    yield [body]
    yield [body[i : i + 1] for i in range(len(body))]
    rng = random.Random(seed)
    for _ in range(rounds):
        cuts = (
            sorted(rng.sample(range(1, max(2, len(body))), min(len(body) - 1, rng.randint(1, 40))))
            if len(body) > 1
            else []
        )
        yield [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
