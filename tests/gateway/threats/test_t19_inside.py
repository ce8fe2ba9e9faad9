"""T19: a fault at any layer gives one shape of error with a number, and nothing of the inside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from llmcore.gateway.mirror.openai_chat import OpenAIChatMirror
from llmcore.gateway.store import StoreUnavailable
from llmcore.serving.backend import ManagerBackend
from tests.gateway.threats.ground import Ground, Seen, answer, ground, provider, question, upstream

pytestmark = pytest.mark.anyio

CANARY = "sk-canary-inside-00112233"
INSIDE = f"bug at http://internal.lan:5432/secret with {CANARY} in /srv/llmcore/thing.py"


def bug(*_: Any, **__: Any) -> NoReturn:
    raise RuntimeError(INSIDE)


def away(*_: Any, **__: Any) -> NoReturn:
    raise StoreUnavailable(INSIDE)


async def late_bug(*_: Any, **__: Any) -> NoReturn:
    bug()


async def late_away(*_: Any, **__: Any) -> NoReturn:
    away()


LAYERS: dict[str, tuple[Callable[[Ground], Any], str, Any]] = {
    "key check": (lambda on: on.services.desk.authenticator, "principal", late_bug),
    "key look-up": (lambda on: on.services.store.keys, "find", late_bug),
    "key look-up, database away": (lambda on: on.services.store.keys, "find", late_away),
    "settings": (lambda on: on.services.store.settings, "get", late_bug),
    "settings, database away": (lambda on: on.services.store.settings, "get", late_away),
    "resolver": (lambda on: on.services.desk.resolver, "generation", late_bug),
    "limits": (lambda on: on.services.desk.shares, "reserve", late_bug),
    "seats": (lambda on: on.services.desk.seats, "take", bug),
    "backend": (lambda on: ManagerBackend, "tenant", bug),
    "decoding": (lambda on: OpenAIChatMirror, "decode_request", bug),
    "encoding": (lambda on: OpenAIChatMirror, "encode_response", bug),
}


@pytest.mark.parametrize("layer", LAYERS)
async def test_t19_a_fault_at_any_layer_tells_nothing(
    tmp_path: Path, layer: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    async with upstream() as server, ground(tmp_path, provider("a", server)) as on:
        where, name, broken = LAYERS[layer]
        from llmcore.gateway.access.principal import Limits

        key = await on.key("alice", limits=Limits(rpm=1000))
        monkeypatch.setattr(where(on), name, broken)
        async with on.http(None, key) as http:
            reply = await http.post("/v1/chat/completions", json=question())
        assert reply.status_code == (503 if "away" in layer else 500), reply.text
        told = reply.json()
        assert set(told) == {"error"}
        assert set(told["error"]) >= {"message", "type", "code", "param"}
        assert reply.headers["x-request-id"]
        for text in (reply.text, repr(reply.headers)):
            for secret in (CANARY, "internal.lan", "Traceback", "RuntimeError", ".py", "sqlite"):
                assert secret not in text
        monkeypatch.undo()
        logged = capfd.readouterr().err
        assert CANARY not in logged
        if "away" not in layer:
            assert "gateway.fault" in logged
            assert reply.headers["x-request-id"] in logged


@pytest.mark.parametrize("path", ["/api/settings/llm", "/api/sessions", "/api/keys", "/api/me", "/api/usage"])
async def test_t19_a_fault_of_the_database_at_any_address(
    tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    async with upstream() as server, ground(tmp_path, provider("a", server)) as on, on.http() as http:
        for broken, status in ((bug, 500), (away, 503)):
            monkeypatch.setattr(on.services.store.database, "read", broken)
            reply = await http.get(path)
            monkeypatch.undo()
            assert reply.status_code == status, reply.text
            assert CANARY not in reply.text + capfd.readouterr().err
            assert "internal.lan" not in reply.text


@pytest.mark.parametrize("length", [0, 20_000])
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 429, 500, 502, 503, 529, 302, 418])
async def test_t19_what_an_upstream_says_is_short_and_without_addresses_and_keys(
    tmp_path: Path, status: int, length: int
) -> None:
    key = "sk-of-the-operator-42"
    words = f"Incorrect key {key} at https://internal.lan:9000/v1?key={key} " + "blah " * length

    def play(seen: Seen) -> bytes:
        more = {"location": "https://internal.lan/x"} if status == 302 else {}
        return answer({"error": {"message": words, "type": words, "code": words}}, status, **more)

    async with upstream(play) as server, ground(tmp_path, provider("a", server)) as on, on.http() as http:
        for path in ("/v1/chat/completions", "/v1/messages"):
            reply = await http.post(path, json={**question(), "max_tokens": 5})
            assert reply.status_code >= 400
            assert len(reply.json()["error"]["message"]) <= 1024
            assert len(reply.content) < 2048
            for secret in (key, "internal.lan", "127.0.0.1"):
                assert secret not in reply.text
