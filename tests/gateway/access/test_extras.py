"""A key that is bound to models reaches no other one: not by its name, nor by a field that some vendor would follow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llmcore.gateway.access.extras import HARMLESS, NOT_BY_REQUEST
from llmcore.gateway.access.principal import Limits
from llmcore.gateway.config import GatewayConfig
from tests.gateway.threats.ground import ground, provider, question, upstream

pytestmark = pytest.mark.anyio

CHOOSING: list[dict[str, Any]] = [
    {"models": ["dear"]},
    {"route": "fallback"},
    {"provider": {"order": ["x"]}},
    {"fallbacks": ["dear"]},
    {"preset": "dear"},
    {"plugins": [{"id": "x", "model": "dear"}]},
    {"extra_body": {"model": "dear"}},
    {"context_window_fallbacks": [{"m": ["dear"]}]},
    {"engine": "dear"},
    {"deployment_id": "dear"},
    {"lora": "dear"},
    {"draft_model": "dear"},
    {"a_field_of_tomorrow": "dear"},
]
LENGTHENING: list[dict[str, Any]] = [
    {"max_output_tokens": 99},
    {"max_new_tokens": 99},
    {"options": {"num_predict": 99}},
    {"generationConfig": {"maxOutputTokens": 99}},
]


@pytest.mark.parametrize("extra", CHOOSING, ids=lambda extra: next(iter(extra)))
async def test_a_bound_key_hands_on_nothing_that_may_choose_a_model(
    tmp_path: Path, extra: dict[str, Any]
) -> None:
    """Over the system's key, and over a key of one's own alike."""
    async with upstream() as server:
        config = GatewayConfig(local_servers=(f"127.0.0.1:{server.port}",))
        async with ground(tmp_path, provider("a", server), config=config) as on:
            key = await on.key("alice", models=frozenset({"m"}))
            own = {"provider": "vllm", "base_url": server.url, "api_key": "sk-of-alice-herself"}
            for use_own in (False, True):
                if use_own:
                    async with on.http("admin") as http:
                        assert (await http.put("/api/settings/llm?scope=system", json=own)).status_code == 200
                async with on.http(None, key) as http:
                    reply = await http.post("/v1/chat/completions", json=question(**extra))
                    assert reply.status_code in {400, 403}, reply.text
                    assert next(iter(extra)) in reply.json()["error"]["message"]
                    embed = await http.post("/v1/embeddings", json={"model": "m", "input": "x", **extra})
                    assert embed.status_code in {400, 403}
                    assert not server.seen
                    plain = await http.post("/v1/chat/completions", json=question(top_k=3))
                    assert plain.status_code == 200, plain.text
                    seen = server.seen.pop()
                    assert seen.json["top_k"] == 3
                    assert (seen.header("authorization") or "").endswith("herself") == use_own


@pytest.mark.parametrize("model", ["dear", "a/dear", "evil/m", "m/dear", "a/evil/m", "M", "m ", ""])
async def test_a_bound_key_names_no_other_model(tmp_path: Path, model: str) -> None:
    async with upstream() as server, ground(tmp_path, provider("a", server)) as on:
        key = await on.key("alice", models=frozenset({"m"}))
        async with on.http(None, key) as http:
            reply = await http.post("/v1/chat/completions", json=question(model=model))
            assert reply.status_code in {400, 403}, reply.text
            assert not server.seen
            for good in ("m", "a/m"):
                assert (await http.post("/v1/chat/completions", json=question(model=good))).status_code == 200
                assert server.seen.pop().json["model"] == "m"


@pytest.mark.parametrize("extra", LENGTHENING, ids=lambda extra: next(iter(extra)))
async def test_a_capped_key_hands_on_nothing_that_may_be_a_length(
    tmp_path: Path, extra: dict[str, Any]
) -> None:
    async with upstream() as server, ground(tmp_path, provider("a", server)) as on:
        key = await on.key("alice", limits=Limits(max_tokens=10))
        async with on.http(None, key) as http:
            reply = await http.post("/v1/chat/completions", json=question(**extra))
            assert reply.status_code == 403
            assert reply.json()["error"]["code"] == "parameter_not_allowed"
        async with on.http("alice") as http:  # a key without bounds hands it on
            assert (await http.post("/v1/chat/completions", json=question(**extra))).status_code == 200


def test_the_two_lists_do_not_meet() -> None:
    assert not HARMLESS & NOT_BY_REQUEST
