"""T14: two tenants, every address, the other's ids; and calls of both in every order, of which nothing crosses over."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from llmcore.gateway.api.table import Route
from llmcore.gateway.config import GatewayConfig
from llmcore.gateway.pages.views import PAGES
from tests.gateway.threats.ground import Ground, Seen, answer, chat, ground, provider, question, upstream

pytestmark = pytest.mark.anyio

CANARY = "canary-of-alice"
BODIES: dict[str, dict[str, Any]] = {
    "/api/sessions/{id}": {"title": "taken over"},
    "/api/keys/{id}": {"name": "taken over"},
    "/api/users/{id}": {"disabled": True},
}
UNTOUCHED = (
    "/api/settings/llm",
    "/api/sessions",
    "/api/keys",
    "/api/usage",
    "/api/usage/attempts",
    "/api/me",
)


async def furnished(on: Ground, url: str) -> dict[str, str]:
    """Something of alice's behind every address: session, key, settings, a call in the books; their ids."""
    async with on.http("alice") as http:
        session = await http.post("/api/sessions", json={"provider": "a", "title": f"session {CANARY}"})
        key = await http.post("/api/keys", json={"name": f"key {CANARY}"})
        own = {"provider": "vllm", "base_url": url, "api_key": f"sk-{CANARY}", "model": f"model-{CANARY}"}
        kept = await http.put("/api/settings/llm", json=own)
        asked = await http.post("/v1/chat/completions", json=question(model=f"model-{CANARY}"))
        await http.post("/api/settings/llm/test", json={})
        assert {one.status_code for one in (session, key, kept, asked)} <= {200, 201}, (kept.text, asked.text)
        assert await on.services.recorder.flush()
        return {"session": session.json()["id"], "key": key.json()["key"]["id"], "user": on.ids["alice"]}


async def state(on: Ground) -> dict[str, Any]:
    """All that alice has, less what tells of the moment."""
    found = {}
    async with on.http("alice") as http:
        for path in UNTOUCHED:
            text = (await http.get(path)).text
            found[path] = re.sub(r'"(last_used_at|last_used|seen_at|used_at)":[^,}]*', "", text)
    return found


async def asked(http: httpx.AsyncClient, route: Route, path: str, ids: dict[str, str]) -> httpx.Response:
    body = BODIES.get(route.path, {}) if route.request is not None else None
    headers = {"content-type": "application/json"}
    return await http.request(
        route.method, path, content=None if body is None else json.dumps(body).encode(), headers=headers
    )


async def test_t14_no_address_gives_or_takes_anothers_things(tmp_path: Path) -> None:
    async with upstream() as server:
        config = GatewayConfig(local_servers=(f"127.0.0.1:{server.port}",), users_set_base_url=True)
        async with ground(tmp_path, provider("a", server), config=config) as on:
            ids = await furnished(on, server.url)
            before, crossed, tried = await state(on), [], 0
            assert all(CANARY in before[path] for path in UNTOUCHED[:3])
            async with on.http("bob") as http:
                for route in on.ready.app.table:
                    if route.path.endswith("/events") or "{" not in route.path:
                        continue
                    for value in ids.values():
                        path = re.sub(r"\{[^}]+\}", value, route.path)
                        reply = await asked(http, route, path, ids)
                        expected = {403} if route.access == "admin" else {404}
                        where = f"{route.method} {path}: {reply.status_code} {reply.text[:200]}"
                        assert reply.status_code in expected, where
                        crossed += [where] if CANARY in reply.text else []
                        tried += 1
                for route in on.ready.app.table:
                    if route.path.endswith("/events") or "{" in route.path or route.name == "sign_out":
                        continue
                    for query in (
                        {"user_id": ids["user"], "scope": "all"},
                        {"user_id": "all", "key_id": ids["key"], "actor": ids["user"]},
                        {"scope": "system", "key_id": ids["key"], "by": "user,key,model"},
                    ):
                        path = f"{route.path}?{httpx.QueryParams(query)}"
                        reply = await asked(http, route, path, ids)
                        where = f"{route.method} {path}: {reply.status_code}"
                        assert reply.status_code < 500, where
                        crossed += [where] if CANARY in reply.text or ids["session"] in reply.text else []
                        tried += 1
                for header in ("x-llmcore-session", "x-llmcore-agent", "idempotency-key"):
                    reply = await http.post(
                        "/v1/chat/completions",
                        json={**question(), "metadata": {"session": ids["session"]}},
                        headers={header: ids["session"]},
                    )
                    crossed += [header] if CANARY in reply.text else []
            assert crossed == []
            assert tried > 100
            assert await state(on) == before


async def test_t14_no_page_shows_anothers_things(tmp_path: Path) -> None:
    async with upstream() as server:
        config = GatewayConfig(local_servers=(f"127.0.0.1:{server.port}",), users_set_base_url=True)
        async with ground(tmp_path, provider("a", server), config=config) as on:
            ids = await furnished(on, server.url)
            async with on.browser("bob") as bob, on.browser("alice") as alice:
                hers = ""
                for page in PAGES:
                    for query in ("", f"?user_id={ids['user']}", "?scope=all", f"?session={ids['session']}"):
                        reply = await bob.get(f"{page.path}{query}")
                        assert CANARY not in reply.text, page.path
                        assert ids["session"] not in reply.text.replace(f"session={ids['session']}", "")
                    hers += (await alice.get(page.path)).text
                assert CANARY in hers  # the look-out is one


async def test_t14_what_is_remembered_is_remembered_for_its_tenant(tmp_path: Path) -> None:
    """Session, settings and key of alice are in memory, as they are while she is at work; bob asks with the same names."""
    async with upstream() as server:
        config = GatewayConfig(local_servers=(f"127.0.0.1:{server.port}",), users_set_base_url=True)
        async with ground(tmp_path, provider("a", server), config=config, key_cache=60.0) as on:
            ids = await furnished(on, server.url)
            headers = {"x-llmcore-session": ids["session"]}
            async with on.http("alice") as alice, on.http("bob") as bob:
                for http, status in ((alice, 200), (bob, 404), (alice, 200), (bob, 404)):
                    reply = await http.post("/v1/chat/completions", json=question(), headers=headers)
                    assert reply.status_code == status
                server.seen.clear()
                assert (await alice.post("/v1/chat/completions", json=question())).status_code == 200
                assert (await bob.post("/v1/chat/completions", json=question())).status_code == 200
                keys = [seen.header("authorization") for seen in server.seen]
                assert keys == [f"Bearer sk-{CANARY}", "Bearer sk-of-the-operator-42"]
                for path in (
                    "/v1/models",
                    "/api/settings/llm/models",
                    "/api/models",
                    "/api/settings/llm/status",
                ):
                    assert CANARY not in (await bob.get(path)).text, path


def echo(seen: Seen) -> bytes:
    """What was asked, and a cookie by which the asker would be known again."""
    text = seen.json["messages"][-1]["content"]
    if not seen.json.get("stream"):
        return answer(chat(text), set_cookie=f"who={text[:20]}; path=/")
    first = {**chat(), "choices": [{"index": 0, "delta": {"role": "assistant", "content": text}}]}
    last = {**chat(), "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    events = "".join(f"data: {json.dumps(one)}\n\n" for one in (first, last)) + "data: [DONE]\n\n"
    return answer(events.encode(), content_type="text/event-stream", set_cookie=f"who={text[:20]}")


@pytest.mark.parametrize("seed", range(4))
async def test_t14_in_no_order_of_calls_does_anything_cross_over(tmp_path: Path, seed: int) -> None:
    """The same idempotency keys and session names by both, whole answers and streams, over the same connections."""
    chance = random.Random(seed)
    crossed: list[str] = []
    done = 0

    async with upstream(echo) as server, ground(tmp_path, provider("a", server)) as on:

        async def call(http: httpx.AsyncClient, who: str, number: int) -> None:
            nonlocal done
            body = question(f"canary-{who}-{number}", stream=chance.random() < 0.5)
            body["metadata"] = {"session": f"s{number % 3}"}
            headers = {} if body["stream"] else {"idempotency-key": f"k{number}"}
            await anyio.sleep(chance.random() / 100)
            reply = await http.post("/v1/chat/completions", json=body, headers=headers)
            assert reply.status_code == 200, reply.text
            assert f"canary-{who}-{number}" in reply.text
            found = set(re.findall(r"canary-\w+-\d+", reply.text + repr(reply.headers)))
            crossed.extend(found - {f"canary-{who}-{number}"})
            assert "set-cookie" not in reply.headers
            done += 1

        async with on.http("alice") as alice, on.http("bob") as bob, anyio.create_task_group() as group:
            for number in range(40):
                group.start_soon(call, alice, "alice", number)
                group.start_soon(call, bob, "bob", number)
        assert crossed == []
        assert done == 80
        assert all(seen.header("cookie") is None for seen in server.seen)
        assert b"who=" not in server.raw
