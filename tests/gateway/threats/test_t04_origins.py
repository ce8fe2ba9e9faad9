"""T4: through any changes of kind, address and key, over every door, no key is seen where it was not entered for."""

from __future__ import annotations

import random
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from llmcore.gateway.config import GatewayConfig
from tests.gateway.threats.ground import Upstream, ground, provider, question, upstream

pytestmark = pytest.mark.anyio

KINDS = ("vllm", "llamacpp", "lm_studio")
STEPS = 40


@pytest.mark.parametrize("seed", range(3))
async def test_t04_no_key_is_seen_at_an_address_it_was_not_entered_for(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    entered: dict[str, int] = {}
    sent = 0
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(upstream()) for _ in range(3)]
        ports = tuple(f"127.0.0.1:{server.port}" for server in servers)
        config = GatewayConfig(local_servers=ports, users_set_base_url=True)
        on = await stack.enter_async_context(ground(tmp_path, provider("file", servers[0]), config=config))
        entered["sk-of-the-operator-42"] = servers[0].port
        http = await stack.enter_async_context(on.http("admin"))
        where: dict[str, Upstream] = {}
        for step in range(STEPS):
            door = chance.choice(("own", "everybody", "system"))
            server = chance.choice(servers)
            body: dict[str, Any] = {"provider": chance.choice(KINDS)}
            moves = chance.random() < 0.7 or door not in where
            if moves:
                body["base_url"] = server.url
                where[door] = server
            if chance.random() < 0.5:
                body["api_key"] = f"sk-key-{step:04}-{chance.getrandbits(64):016x}"
            path = "/api/settings/llm" if door == "own" else "/api/settings/llm?scope=system"
            if door == "system":
                path = "/api/providers/file"
            method = chance.choice(("PATCH", "PUT")) if door != "system" else "PATCH"
            if method == "PUT":
                body["base_url"] = where[door].url
            if "api_key" in body:
                entered[body["api_key"]] = where[door].port
            reply = await http.request(method, path, json=body)
            assert reply.status_code in {200, 400}, reply.text
            for asked, said in (
                ("/v1/chat/completions", question()),
                ("/v1/chat/completions", question(model="file/m")),
                ("/api/settings/llm/test", {}),
                ("/api/settings/llm/test", {"provider": "vllm", "base_url": chance.choice(servers).url}),
                ("/api/settings/llm/test?scope=system", {"base_url": chance.choice(servers).url}),
            ):
                await http.post(asked, json=said)
        for server in servers:
            for seen in server.seen:
                key = (seen.header("authorization") or "").removeprefix("Bearer ")
                if key:
                    sent += 1
                    assert entered[key] == server.port, f"{key} went to {server.port}"
        assert sent > 20
