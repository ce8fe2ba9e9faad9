"""T3: no redirect is followed, of any vendor, for any kind of call, to the same host or another."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from llmcore.config import BreakerConfig, FallbackConfig
from llmcore.providers import places
from tests.gateway.threats.ground import Seen, answer, ground, provider, upstream

pytestmark = pytest.mark.anyio

KINDS = sorted(place.kind for place in places())
MODELS = {"replicate": "owner/m"}
FALLBACK = FallbackConfig(max_retries=0, breaker=BreakerConfig(enabled=False))


def calls(kind: str, *, every: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    model, said = f"{kind}/{MODELS.get(kind, 'm')}", [{"role": "user", "content": "hi"}]
    yield "/v1/chat/completions", {"model": model, "messages": said}
    if every:
        yield "/v1/messages", {"model": model, "messages": said, "max_tokens": 5, "stream": True}
        yield "/v1/responses", {"model": model, "input": "hi"}
        yield "/v1/embeddings", {"model": model, "input": "hi"}


@pytest.mark.parametrize("status", [300, 301, 302, 303, 305, 307, 308])
async def test_t03_no_vendor_leads_a_key_elsewhere(tmp_path: Path, status: int) -> None:
    async with upstream() as other:
        where = {"url": ""}

        def play(seen: Seen) -> bytes:
            return answer({}, status, location=where["url"], refresh=f"0; url={where['url']}")

        async with upstream(play) as server:
            providers = [provider(kind, server, kind) for kind in KINDS]
            async with ground(tmp_path, *providers, fallback=FALLBACK) as on, on.http() as http:
                targets = (
                    f"{other.url}/taken",
                    f"http://localhost:{other.port}/taken",
                    "/taken",
                    "//evil.test/x",
                )
                for kind, target in zip(KINDS, cycle(targets), strict=False):
                    where["url"], before = target, len(server.seen)
                    for path, body in calls(kind, every=status == 307):
                        assert (await http.post(path, json=body)).status_code >= 400
                    assert len(server.seen) > before, kind
                assert (await http.get("/v1/models")).status_code == 200
                assert not [seen for seen in server.seen if "taken" in seen.path]
                assert not other.connections
