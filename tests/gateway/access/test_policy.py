"""T6: route x role, generated from the table that drives the router; and how keys are taken."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from llmcore.gateway.access.policy import ACCESS
from llmcore.gateway.access.principal import ACCOUNT, ADMIN, INFERENCE, Limits
from llmcore.gateway.api.table import Route
from tests.gateway.standin import question
from tests.gateway.whole import Whole, whole

pytestmark = pytest.mark.anyio

MAY = {
    "open": {
        "nobody",
        "inference",
        "account",
        "user",
        "admin",
        "admin-scope-of-user",
        "browser",
        "admin-browser",
    },
    "inference": {"inference", "user", "admin", "admin-scope-of-user"},
    "account": {"account", "user", "admin", "browser", "admin-browser", "admin-scope-of-user"},
    "admin": {"admin", "admin-browser"},
}
NO_COOKIES = {"/v1/models", "/v1/models/{id:path}", "/metrics"}


async def ask(route: Route, http: httpx.AsyncClient) -> int:
    path = "/".join("x" if part.startswith("{") else part for part in route.path.split("/"))
    body = b"{}" if route.request is not None else b""
    headers = {"content-type": "application/json"}
    return (await http.request(route.method, path, content=body, headers=headers)).status_code


async def test_t06_every_route_for_every_role(tmp_path: Path) -> None:
    async with whole(tmp_path) as on:
        alice, admin = on.people["alice"], on.people["admin"]
        keys = {
            "inference": (await on.key(alice.user.id, frozenset({INFERENCE})))[0],
            "account": (await on.key(alice.user.id, frozenset({ACCOUNT})))[0],
            "admin-scope-of-user": (await on.key(alice.user.id, frozenset({INFERENCE, ACCOUNT, ADMIN})))[0],
            "user": alice.key,
            "admin": admin.key,
            "unknown": admin.key[:-1] + ("0" if admin.key[-1] != "0" else "1"),
        }
        async with AsyncExitStack() as stack:
            open_one = stack.enter_async_context
            clients = {who: await open_one(on.http(None, keys.get(who))) for who in (*keys, "nobody")}
            clients["browser"] = await open_one(on.browser("alice"))
            clients["admin-browser"] = await open_one(on.browser("admin"))
            await check_all(on, clients)


async def check_all(on: Whole, clients: dict[str, httpx.AsyncClient]) -> None:
    for route in on.app.table:
        if route.media_type == "text/event-stream" or route.name == "sign_out":
            continue
        assert route.access in ACCESS
        for who, http in clients.items():
            status = await ask(route, http)
            where = f"{route.method} {route.path} as {who}: {status}"
            may = who in MAY[route.access] and not ("browser" in who and route.path in NO_COOKIES)
            if route.access == "open":
                assert status != 403, where
            elif may:
                assert status not in {401, 403}, where
            elif who in {"nobody", "unknown"} or ("browser" in who and route.access == "inference"):
                assert status == 401, where
            else:
                assert status in {401, 403}, where
            assert status < 500, where


async def test_t06_a_route_without_a_word_cannot_be_made() -> None:
    with pytest.raises(TypeError):
        Route("GET", "/x", name="x", summary="x", endpoint=None)  # type: ignore[call-arg, arg-type]


async def test_t06_one_answer_for_unknown_revoked_expired_and_disabled(tmp_path: Path) -> None:
    async with whole(tmp_path) as on:
        alice = on.people["alice"].user.id
        revoked, revoked_id = await on.key(alice)
        await on.store.keys.revoke(alice, revoked_id, now=time.time())
        expired, _ = await on.key(alice, expires_at=time.time() - 1)
        carol = await on.person("carol", "user")
        await on.store.users.update(carol.user.id, disabled=True)
        answers = set()
        for token in (revoked, expired, carol.key, on.people["bob"].key[:-1] + "x", "llmc-nothing", "sk-1"):
            async with on.http(None, token) as http:
                reply = await http.post("/v1/chat/completions", json=question())
                answers.add((reply.status_code, reply.text, reply.headers.get("www-authenticate")))
        assert len(answers) == 1
        assert answers.pop()[0] == 401


async def test_t06_a_revoked_key_ends_at_once(tmp_path: Path) -> None:
    async with whole(tmp_path) as on:
        desk = on.services.desk
        desk.authenticator = type(desk.authenticator)(desk.authenticator._keys, ttl=3600.0, now=desk.now)
        token, key_id = await on.key(on.people["alice"].user.id)
        async with on.http(None, token) as http, on.http("alice") as alice:
            assert (await http.post("/v1/chat/completions", json=question())).status_code == 200
            assert (await alice.delete(f"/api/keys/{key_id}")).status_code == 200
            assert (await http.post("/v1/chat/completions", json=question())).status_code == 401


HOSTILE = [
    "Bearer ' OR 1=1 --",
    "Bearer \x00",
    "Bearer " + "a" * 1_000_000,
    "Bearer",
    "Bearer ",
    "Basic YTpi",
    "Token llmc",
    "bearer  llmc-x",
    "\u00e9",
    'Bearer {"$ne": null}',
    "Bearer ../../etc/passwd",
    "Bearer %00",
]


@pytest.mark.parametrize("value", HOSTILE)
async def test_t06_hostile_credentials_are_401(tmp_path: Path, value: str) -> None:
    async with whole(tmp_path) as on, on.http(None) as http:
        reply = await http.post(
            "/v1/chat/completions", json=question(), headers=[(b"authorization", value.encode("latin-1"))]
        )
        assert reply.status_code == 401
        assert "OR 1=1" not in reply.text


async def test_t06_exactly_one_credential(tmp_path: Path) -> None:
    async with whole(tmp_path) as on, on.http(None) as http:
        key = on.people["alice"].key
        for name in ("x-api-key", "x-goog-api-key"):
            good = await http.post("/v1/chat/completions", json=question(), headers={name: key})
            assert good.status_code == 200
        two = {"authorization": f"Bearer {key}", "x-api-key": key}
        assert (await http.post("/v1/chat/completions", json=question(), headers=two)).status_code == 400
        twice = [(b"x-api-key", key.encode()), (b"x-api-key", key.encode())]
        assert (await http.post("/v1/chat/completions", json=question(), headers=twice)).status_code == 400


async def test_t06_no_key_in_the_address(tmp_path: Path) -> None:
    async with whole(tmp_path) as on, on.http(None) as http:
        key = on.people["alice"].key
        assert (await http.get(f"/v1/models?api_key={key}&key={key}")).status_code == 401


async def test_t06_nobody_gives_a_key_more_than_they_have(tmp_path: Path) -> None:
    async with whole(tmp_path) as on:
        async with on.http("alice") as http:
            assert (await http.post("/api/keys", json={"name": "x", "scopes": ["admin"]})).status_code == 403
        small = await on.key(on.people["alice"].user.id, limits=Limits(rpm=5), models=frozenset({"m"}))
        async with on.http(None, small[0]) as http:
            free = await http.post("/api/keys", json={"name": "x", "models": ["m"]})
            wide = await http.post("/api/keys", json={"name": "x", "rpm": 5})
            same = await http.post("/api/keys", json={"name": "x", "rpm": 5, "models": ["m"]})
        assert (free.status_code, wide.status_code, same.status_code) == (403, 403, 201)
