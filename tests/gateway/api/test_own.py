"""Who answers: one's own settings, sessions and their agents, the system; and what becomes of keys when settings move."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llmcore.gateway.backend import KindInfo
from llmcore.gateway.config import GatewayConfig
from llmcore.testing import ScriptedProvider
from tests.gateway.standin import question
from tests.gateway.whole import Whole, whole

pytestmark = pytest.mark.anyio

KEY = "sk-own-0123456789abcdef"
ME = "/api/settings/llm"


async def asked(http: Any, **more: Any) -> str:
    headers = more.pop("headers", {})
    reply = await http.post("/v1/chat/completions", json={**question(), **more}, headers=headers)
    assert reply.status_code == 200, reply.text
    return str(reply.headers["x-llmcore-provider"])


async def test_ones_own_provider_answers_with_ones_own_key(tmp_path: Path) -> None:
    async with whole(tmp_path) as on, on.http("alice") as alice, on.http("bob") as bob:
        saved = (await alice.put(ME, json={"provider": "openai", "api_key": KEY, "model": "gpt-x"})).json()
        assert saved["api_key_set"]
        assert saved["api_key_last4"] == "cdef"
        assert saved["uses"] == "own"
        assert KEY not in str(saved)
        assert await asked(alice) == "own-openai"
        assert await asked(bob) == "a"
        (config,) = on.backend.made
        assert config.api_key is not None
        assert config.api_key.reveal() == KEY
        assert config.text_model == "gpt-x"
        await asked(alice)
        assert len(on.backend.made) == 1  # made once, kept


async def test_a_change_of_settings_counts_at_once_and_closes_what_was(tmp_path: Path) -> None:
    async with whole(tmp_path) as on, on.http("alice") as alice:
        await alice.put(ME, json={"provider": "openai", "api_key": KEY})
        await asked(alice)
        await alice.patch(ME, json={"model": "other"})
        await asked(alice)
        assert [config.text_model for config in on.backend.made] == [None, "other"]
        await alice.delete(ME)
        assert await asked(alice) == "a"


@pytest.mark.parametrize(
    "change", [{"base_url": "https://other.example.org/v1"}, {"provider": "a"}, {"api_key": None}]
)
async def test_t04_the_key_goes_with_its_address(tmp_path: Path, change: dict[str, Any]) -> None:
    async with whole(tmp_path) as on, on.http("admin") as http:
        await http.put(ME, json={"provider": "openai", "api_key": KEY})
        after = (await http.patch(ME, json=change)).json()
        assert not after["api_key_set"]
        before = await on.store.settings.get(on.people["admin"].user.id)
        assert before is not None
        assert before.key is None


async def test_another_provider_leaves_nothing_of_the_one_before(tmp_path: Path) -> None:
    own = {"provider": "openai", "api_key": KEY, "model": "x", "base_url": "https://llm.example.org/v1"}
    async with whole(tmp_path) as on, on.http("admin") as http:
        await http.put(ME, json={**own, "temperature": 0.3})
        after = (await http.patch(ME, json={"provider": "a"})).json()
        assert (after["provider"], after["model"], after["base_url"]) == ("a", None, None)
        assert after["temperature"] == 0.3
        after = (await http.patch(ME, json={"provider": "a", "model": "y"})).json()
        assert after["model"] == "y"
        assert (await http.patch(ME, json={"provider": "a"})).json()["model"] == "y"
        made = (await http.post("/api/sessions", json={"provider": "openai", "model": "x"})).json()
        at = f"/api/sessions/{made['id']}"
        assert (await http.patch(at, json={"provider": "openai"})).json()["model"] == "x"
        assert (await http.patch(at, json={"provider": "a"})).json()["model"] is None
        assert (await http.patch(at, json={"provider": "openai", "model": "z"})).json()["model"] == "z"


async def test_settings_are_replaced_with_a_provider_only(tmp_path: Path) -> None:
    async with whole(tmp_path) as on, on.http("alice") as http:
        await http.put(ME, json={"provider": "a", "model": "x"})
        assert (await http.put(ME, json={"temperature": 0.3})).status_code == 400
        assert (await http.get(ME)).json()["model"] == "x"
        assert on.people


async def test_what_can_never_answer_is_not_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = (
        KindInfo("ollama", "Ollama", local=True, base_url="http://localhost:9", key_required=False),
        KindInfo("azure", "Azure", needs_base_url=True),
    )
    async with whole(tmp_path) as on, on.http("admin") as http:
        monkeypatch.setattr(on.backend, "kinds", lambda: kinds)
        for body in ({"provider": "ollama"}, {"provider": "azure", "api_key": KEY}):
            reply = await http.put(ME, json=body)
            assert (reply.status_code, reply.json()["error"]["param"]) == (400, "base_url")
        assert (await http.put(ME, json={"provider": "azure"})).status_code == 200


async def test_t04_a_test_sends_the_stored_key_to_its_own_address_alone(tmp_path: Path) -> None:
    async with whole(tmp_path) as on, on.http("admin") as http:
        await http.put(ME, json={"provider": "openai", "api_key": KEY})
        on.backend.made.clear()
        same = (await http.post(f"{ME}/test", json={})).json()
        assert same["ok"]
        assert same["models"] == ["scripted"]
        moved = await http.post(f"{ME}/test", json={"base_url": "https://evil.example.org/v1"})
        keys = [config.api_key.reveal() if config.api_key else None for config in on.backend.made]
        assert keys[0] == KEY
        assert KEY not in keys[1:]
        assert not moved.is_success or not moved.json()["ok"]
        shown = (await http.get(f"{ME}/status")).json()["tests"][0]
        assert shown["provider"] == "openai"


async def test_t01_users_enter_no_addresses_unless_they_may(tmp_path: Path) -> None:
    body = {"provider": "openai", "api_key": KEY, "base_url": "https://llm.example.org/v1"}
    async with whole(tmp_path / "a") as on, on.http("alice") as http:
        assert (await http.put(ME, json=body)).status_code == 403
    config = GatewayConfig(key_cache=0.0, users_set_base_url=True)
    async with whole(tmp_path / "b", config=config) as on, on.http("alice") as http:
        assert (await http.put(ME, json=body)).status_code == 200
        inside = await http.put(ME, json={**body, "base_url": "https://169.254.169.254"})
        assert inside.status_code == 400
        assert inside.json()["error"]["param"] == "base_url"


async def test_settings_for_everybody(tmp_path: Path) -> None:
    providers = ScriptedProvider("a"), ScriptedProvider("b")
    async with whole(tmp_path, *providers) as on, on.http("admin") as admin, on.http("alice") as alice:
        assert (await alice.put(f"{ME}?scope=system", json={"provider": "b"})).status_code == 403
        await admin.put(f"{ME}?scope=system", json={"provider": "b", "model": "x", "temperature": 0.3})
        assert await asked(alice) == "b"
        request = on.provider("b").requests[-1]
        assert (request.model, request.temperature) == ("m", 0.3)  # type: ignore[union-attr]
        await alice.put(ME, json={"provider": "a"})
        assert await asked(alice) == "a"
        assert await asked(alice, model="b/m") == "b"


async def test_settings_that_others_changed_meanwhile(tmp_path: Path) -> None:
    async with whole(tmp_path) as on, on.http("alice") as http:
        first = (await http.put(ME, json={"provider": "a"})).json()
        await http.patch(ME, json={"model": "x"})
        late = await http.patch(ME, json={"model": "y", "version": first["version"]})
        assert late.status_code == 409
        assert (await http.get(ME)).json()["model"] == "x"
        assert on.people


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"provder": "a"}, "provder"),
        ({"provider": "nobody"}, "provider"),
        ({"provider": 7}, "provider"),
        ({}, "provider"),
        ({"provider": "a", "temperature": 3}, "temperature"),
        ({"provider": "a", "max_tokens": 0}, "max_tokens"),
        ({"provider": "a", "model": "two\nlines"}, "model"),
        ({"provider": "openai", "api_key": ""}, "api_key"),
        ({"provider": "a", "base_url": "https://example.org"}, "base_url"),
        ({"provider": "a", "api_key": "sk-of-ones-own"}, "api_key"),
    ],
)
async def test_bad_settings_are_refused_with_their_place(
    tmp_path: Path, body: dict[str, Any], param: str
) -> None:
    async with whole(tmp_path) as on, on.http("admin") as http:
        reply = await http.put(ME, json=body)
        assert reply.status_code == 400
        assert reply.json()["error"]["param"] == param
        assert await on.store.settings.get(on.people["admin"].user.id) is None


async def session_of(on: Whole, http: Any, **body: Any) -> str:
    reply = await http.post("/api/sessions", json=body)
    assert reply.status_code == 201, reply.text
    return str(reply.json()["id"])


async def test_a_session_keeps_its_provider_and_can_be_switched(tmp_path: Path) -> None:
    async with whole(tmp_path, ScriptedProvider("a"), ScriptedProvider("b")) as on, on.http("alice") as http:
        session = await session_of(on, http, provider="b", model="big")
        with_header = {"headers": {"x-llmcore-session": session}}
        assert await asked(http, **with_header) == "b"
        assert on.provider("b").requests[-1].model == "big"
        assert await asked(http, metadata={"session": session}) == "b"
        await http.patch(f"/api/sessions/{session}", json={"provider": "a", "model": None})
        assert await asked(http, **with_header) == "a"
        assert on.provider("a").requests[-1].model == "m"
        await http.delete(f"/api/sessions/{session}")
        gone = await http.post(
            "/v1/chat/completions", json=question(), headers={"x-llmcore-session": session}
        )
        assert gone.status_code == 404


async def test_agents_of_one_session_have_providers_of_their_own(tmp_path: Path) -> None:
    async with whole(tmp_path, ScriptedProvider("a"), ScriptedProvider("b")) as on, on.http("alice") as http:
        session = await session_of(
            on, http, provider="a", agents={"critic": {"provider": "b", "model": "m2"}}
        )
        for agent, provider in (("critic", "b"), ("writer", "a")):
            headers = {"x-llmcore-session": session, "x-llmcore-agent": agent}
            assert await asked(http, headers=headers) == provider


async def test_a_session_over_ones_own_settings(tmp_path: Path) -> None:
    async with whole(tmp_path) as on, on.http("alice") as http:
        await http.put(ME, json={"provider": "openai", "api_key": KEY})
        system = await session_of(on, http, provider="a")
        own = await session_of(on, http, provider="own", model="mine")
        assert await asked(http, headers={"x-llmcore-session": system}) == "a"
        assert await asked(http, headers={"x-llmcore-session": own}) == "own-openai"


async def test_keys_users_and_usage(tmp_path: Path) -> None:
    async with whole(tmp_path) as on, on.http("admin") as http:
        made = (await http.post("/api/keys", json={"name": "k", "rpm": 1, "budget_usd": 1.5})).json()
        assert made["key"]["budget_usd"] == 1.5
        assert made["token"].startswith("llmc-")
        async with on.http(None, made["token"]) as limited:
            assert (await limited.post("/v1/chat/completions", json=question())).status_code == 200
            assert (await limited.post("/v1/chat/completions", json=question())).status_code == 429
            assert (await limited.get("/api/me")).status_code == 403  # inference alone, unless said otherwise
        listed = (await http.get("/api/keys")).json()["data"]
        assert made["token"] not in str(listed)
        assert await on.services.recorder.flush()
        rows = (await http.get("/api/usage?scope=all&by=provider,model,key")).json()["groups"]
        assert rows[0]["calls"] == 1
        table = await http.get("/api/usage.csv?scope=all&by=provider")
        assert table.headers["content-type"].startswith("text/csv")
        assert table.text.splitlines()[1].startswith("a,1,")
        user = (await http.post("/api/users", json={"name": "dora", "password": "a long enough one"})).json()
        assert (await http.post("/api/users", json={"name": "Dora"})).status_code == 409
        link = (await http.post(f"/api/users/{user['id']}/link")).json()["token"]
        async with on.http(None) as nobody:
            assert (await nobody.post("/api/sign-in", json={"token": link})).status_code == 200


async def test_the_document_tells_every_route(tmp_path: Path) -> None:
    async with whole(tmp_path) as on, on.http(None) as http:
        found = (await http.get("/openapi.json")).json()
        told = {(method.upper(), path) for path, item in found["paths"].items() for method in item}
        assert told == {(route.method, route.path.replace(":path}", "}")) for route in on.app.table}
        ids = [operation["operationId"] for item in found["paths"].values() for operation in item.values()]
        assert len(set(ids)) == len(ids)


async def test_a_database_that_is_away_stops_no_call_with_a_known_key(tmp_path: Path) -> None:
    config = GatewayConfig(key_cache=0.0)
    async with whole(tmp_path, config=config) as on, on.http("alice") as http:
        assert await asked(http) == "a"
        (tmp_path / "gateway.db").rename(tmp_path / "gone.db")
        await on.store.database.close()
        (tmp_path / "gateway.db").mkdir()
        assert await asked(http) == "a"
        health = (await http.get("/api/v1/health")).json()
        assert (health["status"], health["database"]) == ("degraded", "away")
        assert (await http.get("/api/sessions")).status_code == 503
        assert not await on.services.recorder.flush()
        (tmp_path / "gateway.db").rmdir()
        (tmp_path / "gone.db").rename(tmp_path / "gateway.db")
        assert await on.services.recorder.flush()
        assert len((await http.get("/api/usage/attempts")).json()["data"]) == 2
