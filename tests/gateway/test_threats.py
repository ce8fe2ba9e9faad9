"""The threats that are met on the way through the app: CSRF, sizes, bombs, tenants, files, errors, audit, hosts, reload."""

from __future__ import annotations

import gzip
import json
import time
import zlib
from pathlib import Path

import anyio
import httpx
import pytest

from llmcore.errors import AuthenticationError, ConfigurationError, ServerError
from llmcore.gateway.access.principal import Limits
from llmcore.gateway.config import GatewayConfig, LimitsConfig
from llmcore.secret import redact
from llmcore.testing import Answer, Fail, Hang, ScriptedProvider
from llmcore.types import Usage
from tests.gateway.standin import client, question, stage
from tests.gateway.whole import whole

pytestmark = pytest.mark.anyio

CANARY = "sk-canary-3f9c1d7e5b"
PNG = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


# ------------------------------------------------------------------------------------------------------ CSRF


@pytest.mark.parametrize(
    "change",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": None},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"x-csrf-token": None},
        {"x-csrf-token": "0" * 64},
    ],
)
async def test_t07_a_foreign_page_changes_nothing(tmp_path: Path, change: dict[str, str | None]) -> None:
    async with whole(tmp_path) as on, on.browser() as http:
        for name, value in change.items():
            if value is None:
                del http.headers[name]
            else:
                http.headers[name] = value
        reply = await http.put("/api/settings/llm", json={"provider": "a"})
        assert reply.status_code == 403
        assert reply.json()["error"]["code"] == "csrf"
        assert await on.store.settings.get(on.people["alice"].user.id) is None


async def test_t07_our_own_page_does(tmp_path: Path) -> None:
    async with whole(tmp_path) as on, on.browser() as http:
        assert (await http.put("/api/settings/llm", json={"provider": "a"})).status_code == 200


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
async def test_t07_only_json_is_taken(tmp_path: Path, kind: str) -> None:
    async with whole(tmp_path) as on, on.browser() as http:
        reply = await http.put(
            "/api/settings/llm", content=b'{"provider": "a"}', headers={"content-type": kind}
        )
        assert reply.status_code == 415
        assert await on.store.settings.get(on.people["alice"].user.id) is None


async def test_t07_another_method_is_not_taken_from_a_header(tmp_path: Path) -> None:
    async with whole(tmp_path) as on, on.browser() as http:
        await http.put("/api/settings/llm", json={"provider": "a"})
        await http.get("/api/settings/llm", headers={"x-http-method-override": "DELETE"})
        assert await on.store.settings.get(on.people["alice"].user.id) is not None


async def test_t07_the_cookie_is_for_this_site_and_no_script(tmp_path: Path) -> None:
    for public, name in ((None, "llmcore="), ("https://llm.example.org", "__Host-llmcore=")):
        config = GatewayConfig(public_url=public, key_cache=0.0)
        async with whole(tmp_path / str(public is None), config=config) as on:
            made, now = on.vault.tokens.new_one_time_token(), time.time()
            await on.store.one_time_tokens.add(
                on.people["alice"].user.id, made.digest, now=now, expires_at=now + 60
            )
            async with on.http(None) as http:
                reply = await http.post("/api/sign-in", json={"token": made.token.reveal()})
                again = await http.post("/api/sign-in", json={"token": made.token.reveal()})
            cookie = reply.headers["set-cookie"]
            assert cookie.startswith(name)
            assert "HttpOnly" in cookie
            assert "SameSite=Strict" in cookie
            assert ("Secure" in cookie) == (public is not None)
            assert again.status_code == 401


async def test_t07_cookies_open_no_model_calls(tmp_path: Path) -> None:
    async with whole(tmp_path) as on, on.browser() as http:
        assert (await http.post("/v1/chat/completions", json=question())).status_code == 401


async def test_sign_in_by_password_and_out(tmp_path: Path) -> None:
    async with whole(tmp_path) as on, on.http(None) as http:
        wrong = await http.post("/api/sign-in", json={"name": "alice", "password": "wrong horse"})
        unknown = await http.post("/api/sign-in", json={"name": "mallory", "password": "wrong horse"})
        assert wrong.status_code == unknown.status_code == 401
        assert wrong.json()["error"] == unknown.json()["error"]
        good = await http.post("/api/sign-in", json={"name": "alice", "password": "battery staple"})
        assert good.status_code == 200
        http.headers.update({"x-csrf-token": good.json()["csrf"], "origin": "http://127.0.0.1"})
        assert (await http.get("/api/me")).json()["user"]["name"] == "alice"
        assert (await http.post("/api/sign-out")).status_code == 200
        http.cookies = httpx.Cookies(dict(good.cookies))
        assert (await http.get("/api/me")).status_code == 401


async def test_sign_in_may_be_tried_so_often_only(tmp_path: Path) -> None:
    async with whole(tmp_path) as on, on.http(None) as http:
        codes = [
            (await http.post("/api/sign-in", json={"name": "alice", "password": "guess"})).status_code
            for _ in range(12)
        ]
        assert codes[:10] == [401] * 10
        assert codes[10:] == [429] * 2


# ----------------------------------------------------------------------------------------------------- sizes


async def test_t11_a_body_at_and_above_the_limit() -> None:
    on = stage(config=GatewayConfig(limits=LimitsConfig(body=1000, media_body=1000)))
    spare = 1000 - len(json.dumps(question("")).encode())
    async with client(on) as http:
        for extra, status in ((-1, 200), (0, 200), (1, 413)):
            content = json.dumps(question("x" * (spare + extra))).encode()
            reply = await http.post("/v1/chat/completions", content=content)
            assert reply.status_code == status, extra


async def test_t11_only_pictures_may_be_large() -> None:
    on = stage(config=GatewayConfig(limits=LimitsConfig(body=2000, media_body=8000)))
    picture = {"type": "image_url", "image_url": {"url": PNG + "A" * 3000}}
    async with client(on) as http:
        text = await http.post("/v1/chat/completions", json=question("x" * 3000))
        image = await http.post(
            "/v1/chat/completions",
            json={"messages": [{"role": "user", "content": [{"type": "text", "text": "?"}, picture]}]},
        )
    assert (text.status_code, image.status_code) == (413, 200)


async def test_t11_json_is_nested_so_deep_only() -> None:
    on = stage()
    async with client(on) as http:
        for depth, status in ((97, 200), (98, 200), (99, 400), (100_000, 400)):
            nested = "[" * depth + "]" * depth
            content = f'{{"messages": [{{"role": "user", "content": "x"}}], "metadata": {{"a": {nested}}}}}'
            reply = await http.post("/v1/chat/completions", content=content.encode())
            assert reply.status_code == status, depth


async def test_t11_messages_tools_and_inputs_are_counted() -> None:
    on = stage(config=GatewayConfig(limits=LimitsConfig(messages=3, tools=2, inputs=2)))
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    async with client(on) as http:
        for count, status in ((3, 200), (4, 400)):
            messages = [{"role": "user", "content": "x"}] * count
            assert (
                await http.post("/v1/chat/completions", json={"messages": messages})
            ).status_code == status
        for count, status in ((2, 200), (3, 400)):
            tools = [{**tool, "function": {**tool["function"], "name": f"f{i}"}} for i in range(count)]  # type: ignore[dict-item]
            reply = await http.post("/v1/chat/completions", json=question(tools=tools))
            assert reply.status_code == status


async def test_t11_calls_at_the_same_time_are_counted() -> None:
    on = stage(Hang(), limits=Limits(concurrent=2))
    async with client(on) as http, anyio.create_task_group() as group:
        for _ in range(2):
            group.start_soon(lambda: http.post("/v1/chat/completions", json=question()))
        while on.desk.seats.running < 2:  # noqa: ASYNC110 - what is waited for has no event
            await anyio.sleep(0.01)
        third = await http.post("/v1/chat/completions", json=question())
        assert third.status_code == 429
        assert third.headers["retry-after"] == "1"
        group.cancel_scope.cancel()
    assert on.desk.seats.running == 0


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, gzip"])
async def test_t12_compressed_requests_are_refused(encoding: str) -> None:
    bomb = gzip.compress(b"a" * 10_000_000) if "gzip" in encoding else zlib.compress(b"a" * 10_000_000)
    on = stage()
    async with client(on) as http:
        reply = await http.post("/v1/chat/completions", content=bomb, headers={"content-encoding": encoding})
    assert reply.status_code == 415
    assert not on.provider().requests


# --------------------------------------------------------------------------------------------------- tenants


async def test_t14_anothers_things_do_not_exist(tmp_path: Path) -> None:
    async with whole(tmp_path) as on, on.http("alice") as alice, on.http("bob") as bob:
        session = (await alice.post("/api/sessions", json={"provider": "a", "title": "secret plan"})).json()
        key = (await alice.post("/api/keys", json={"name": "mine"})).json()["key"]
        asked = {**question(), "metadata": {"session": session["id"]}}
        for reply in (
            await bob.get(f"/api/sessions/{session['id']}"),
            await bob.patch(f"/api/sessions/{session['id']}", json={"title": "x"}),
            await bob.delete(f"/api/sessions/{session['id']}"),
            await bob.patch(f"/api/keys/{key['id']}", json={"name": "x"}),
            await bob.delete(f"/api/keys/{key['id']}"),
            await bob.post("/v1/chat/completions", json=asked, headers={"x-llmcore-session": session["id"]}),
        ):
            assert reply.status_code == 404, reply.url
            assert "secret plan" not in reply.text
        for path in ("/api/keys?user_id=" + on.people["alice"].user.id, "/api/keys?user_id=all"):
            assert (await bob.get(path)).status_code == 403
        for path in ("/api/usage?scope=all", "/api/usage?user_id=" + on.people["alice"].user.id):
            assert (await bob.get(path)).status_code == 403
        listed = (await bob.get("/api/sessions")).text + (await bob.get("/api/keys")).text
        assert session["id"] not in listed
        assert key["id"] not in listed
        assert (await alice.get(f"/api/sessions/{session['id']}")).json()["title"] == "secret plan"


async def test_t14_conversations_of_two_users_cannot_meet(tmp_path: Path) -> None:
    async with whole(tmp_path) as on, on.http("alice") as alice, on.http("bob") as bob:
        body = {**question(), "metadata": {"session": "same-name"}}
        await alice.post("/v1/chat/completions", json=body)
        await bob.post("/v1/chat/completions", json=body)
        sessions = {request.metadata["session"] for request in on.provider().requests}
        assert len(sessions) == 2


async def test_t14_usage_is_ones_own(tmp_path: Path) -> None:
    script = Answer("x", usage=Usage(1234, 5))
    async with whole(tmp_path, script) as on, on.http("alice") as alice, on.http("bob") as bob:
        await alice.post("/v1/chat/completions", json=question())
        assert await on.services.recorder.flush()
        mine = (await alice.get("/api/usage?by=provider,model")).json()["groups"]
        assert mine[0]["input_tokens"] == 1234
        assert (await bob.get("/api/usage")).json()["groups"] == []
        assert "1234" not in (await bob.get("/api/usage/attempts.csv")).text
        async with on.http("admin") as admin:
            everybody = (await admin.get("/api/usage?scope=all&by=user")).json()["groups"]
        assert everybody[0]["user"] == on.people["alice"].user.id


# ------------------------------------------------------------------------------------------- files and errors


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "http://169.254.169.254/latest/meta-data",
        "https://169.254.169.254/x.png",
        "https://127.0.0.1/x.png",
        "https://localhost/x.png",
        "https://[::1]/x.png",
        "https://2130706433/x.png",
        "https://host.internal/x.png",
        "https://user@example.org/x.png",
        "https://example.org\\@127.0.0.1/x.png",
        "/etc/passwd",
        "data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9ImFsZXJ0KDEpIi8+",
        "data:image/png;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==",
        "data:text/html;base64,PHNjcmlwdD4=",
        "data:image/png,notbase64",
    ],
)
async def test_t18_what_is_no_picture_is_not_handed_on(url: str) -> None:
    on = stage()
    content = [{"type": "text", "text": "?"}, {"type": "image_url", "image_url": {"url": url}}]
    async with client(on) as http:
        reply = await http.post(
            "/v1/chat/completions", json={"messages": [{"role": "user", "content": content}]}
        )
    assert reply.status_code == 400, reply.text
    assert not on.provider().requests


async def test_t18_local_servers_are_given_no_addresses_to_fetch() -> None:
    on = stage(ScriptedProvider("inside"), ScriptedProvider("outside"), local=("inside",))
    content = [
        {"type": "text", "text": "?"},
        {"type": "image_url", "image_url": {"url": "https://example.org/x.png"}},
    ]
    body = {"messages": [{"role": "user", "content": content}]}
    async with client(on) as http:
        assert (await http.post("/v1/chat/completions", json=body)).headers["x-llmcore-provider"] == "outside"
        assert (
            await http.post("/v1/chat/completions", json={**body, "model": "inside/m"})
        ).status_code == 400
    assert not on.provider("inside").requests
    alone = stage(ScriptedProvider("inside"), local=("inside",))
    async with client(alone) as http:
        assert (await http.post("/v1/chat/completions", json=body)).status_code == 400


async def test_t19_errors_tell_nothing_of_the_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"Incorrect API key provided: {CANARY} at https://internal.example.lan/v1"
    on = stage(Fail(AuthenticationError(redact(text, CANARY), status=401)))
    async with client(on) as http:
        reply = await http.post("/v1/chat/completions", json=question())
        assert reply.status_code >= 400
        assert CANARY not in reply.text
        assert "internal.example" not in reply.text
        assert reply.headers["x-request-id"]

        def broken(*_: object, **__: object) -> None:
            msg = f"bug with {CANARY}"
            raise RuntimeError(msg)

        monkeypatch.setattr(on.desk.resolver, "generation", broken)
        fault = await http.post("/v1/chat/completions", json=question())
    assert fault.status_code == 500
    assert "bug" not in fault.text
    assert "Traceback" not in fault.text
    logged = on.log.getvalue()
    assert "gateway.fault" in logged
    assert fault.headers["x-request-id"] in logged
    assert CANARY not in logged


async def test_t05_no_key_in_log_metrics_or_books(tmp_path: Path) -> None:
    script = Fail(ServerError(redact(f"echo {CANARY}", CANARY)))
    async with whole(tmp_path, script) as on, on.http("alice") as http:
        await http.put("/api/settings/llm", json={"provider": "openai", "api_key": CANARY})
        await http.post("/v1/chat/completions", json=question(), headers={"x-request-id": "r1"})
        await http.post("/api/settings/llm/test", json={})
        await on.services.recorder.flush()
        async with on.http("admin") as admin:
            pages = [
                (await admin.get(path)).text for path in ("/metrics", "/api/audit", "/api/v1/llm/status")
            ]
        pages.append((await http.get("/api/settings/llm")).text)
        assert CANARY not in "".join(pages) + on.log.getvalue()
        key = on.people["alice"].key
        assert key not in "".join(pages) + on.log.getvalue()
    assert_nowhere(tmp_path, CANARY, key)


def assert_nowhere(path: Path, *secrets: str) -> None:
    for file in path.rglob("*"):
        raw = file.read_bytes() if file.is_file() else b""
        assert not any(secret.encode() in raw for secret in secrets), file


async def test_t05_labels_come_from_closed_lists() -> None:
    on = stage(Fail(ServerError("x")))
    async with client(on) as http:
        for number in range(20):
            await http.post("/v1/chat/completions", json={**question(), "model": f"evil-{number}"})
    assert b"evil" not in on.desk.metrics.text()


# --------------------------------------------------------------------------------------------------- the rest


async def test_t20_a_line_break_in_a_name_gives_one_line(tmp_path: Path) -> None:
    async with whole(tmp_path) as on, on.http("admin") as http:
        made = await http.post("/api/users", json={"name": "carol\nFAKE {}"})
        assert made.status_code == 400
        await http.post("/api/sign-in", json={"name": 'eve\n{"action":"forged"}', "password": "guess"})
        entries = (await http.get("/api/audit")).json()["data"]
        assert entries[0]["action"] == "sign_in.refused"
        assert "\n" not in entries[0]["target"]
        lines = on.log.getvalue().strip().split("\n")
        assert all(json.loads(line)["event"] for line in lines)


async def test_t20_what_administrators_and_users_change_is_written_down(tmp_path: Path) -> None:
    async with whole(tmp_path) as on, on.http("admin") as http:
        user = (await http.post("/api/users", json={"name": "carol"})).json()
        await http.patch(f"/api/users/{user['id']}", json={"disabled": True})
        key = (await http.post("/api/keys", json={"name": "k"})).json()["key"]
        await http.delete(f"/api/keys/{key['id']}")
        await http.put("/api/settings/llm", json={"provider": "openai", "api_key": CANARY})
        entries = (await http.get("/api/audit")).json()["data"]
        actions = {entry["action"] for entry in entries}
        assert actions >= {"user.create", "user.change", "key.create", "key.revoke", "settings.change"}
        assert all(entry["actor"] == on.people["admin"].user.id and entry["source"] for entry in entries)


@pytest.mark.parametrize(
    "host", ["evil.test", "127.0.0.1.evil.test", "evil.test:8400", "", "[::1", "localhost@evil"]
)
async def test_t23_another_host_is_not_answered(tmp_path: Path, host: str) -> None:
    async with whole(tmp_path) as on, on.http("admin") as http:
        for path in ("/api/me", "/healthz", "/v1/models", "/nothing"):
            reply = await http.get(path, headers={"host": host})
            assert reply.status_code in {400, 421}, path


async def test_t23_loopback_is_no_way_in_without_a_key(tmp_path: Path) -> None:
    async with whole(tmp_path) as on, on.http(None) as http:
        headers = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
        for method, path in (
            ("POST", "/v1/chat/completions"),
            ("GET", "/api/me"),
            ("PUT", "/api/settings/llm"),
        ):
            reply = await http.request(method, path, json={}, headers=headers)
            assert reply.status_code in {401, 403}
        signed = await http.post("/api/sign-in", json={"token": "x"}, headers=headers)
        assert signed.status_code == 403
        options = await http.options("/v1/chat/completions", headers=headers)
        assert "access-control-allow-origin" not in options.headers


async def test_t24_a_broken_file_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with whole(tmp_path) as on, on.http("admin") as http:
        on.services.source = str(tmp_path / "config.toml")

        async def refuse(source: object) -> None:
            raise ConfigurationError("llm.providers: there are no providers")

        monkeypatch.setattr(on.backend, "reload", refuse)
        async with anyio.create_task_group() as group:
            codes: list[int] = []

            async def ask() -> None:
                codes.append((await http.post("/v1/chat/completions", json=question())).status_code)

            for _ in range(20):
                group.start_soon(ask)
            reply = await http.post("/api/providers/reload", json={})
        assert reply.status_code == 400
        assert "there are no providers" in reply.json()["error"]["message"]
        assert codes == [200] * 20
