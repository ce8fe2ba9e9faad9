"""T5, T13, T15: canary keys, passwords, prompts and answers through every error path of the gateway; then every place that
keeps or shows something is looked through for them, in every form that a text can hide them in.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from llmcore.config import BreakerConfig, FallbackConfig, Timeouts
from llmcore.gateway.config import GatewayConfig
from llmcore.gateway.mirror.openai_chat import OpenAIChatMirror
from llmcore.gateway.pages.views import PAGES
from llmcore.gateway.telemetry.log import Log
from llmcore.gateway.telemetry.tracing import Tracing
from tests.canary import forms
from tests.gateway.threats.ground import Ground, Seen, Upstream, answer, chat, ground, provider, upstream

pytestmark = pytest.mark.anyio

SYSTEM_KEY = "Zq7Kanarie/System+4f1a=9Xw2"
OWN_KEY = "Qv9Kanarie/Own+8c77=tLp5eR"
ADDED_KEY = "Hn3Kanarie/Added+5d20=mKs8c"
PASSWORD = "Wort-Kanarie/secret+1848=pW"
PROMPT = "Prompt-Kanarie/about+Aunt=Rose71"
ANSWER = "Answer-Kanarie/about+Uncle=Ben38"
KEYS = {"system key": SYSTEM_KEY, "own key": OWN_KEY, "added key": ADDED_KEY, "password": PASSWORD}
TEXTS = {"prompt": PROMPT, "answer": ANSWER}

STATUSES = (302, 400, 401, 402, 403, 404, 413, 422, 429, 500, 503, 529)
MODES = (
    *STATUSES,
    "malformed",
    "html",
    "cut",
    "silence",
    "never",
    "error event",
    "broken event",
    "cut stream",
    "good",
)


@cache
def hidden(secret: str) -> frozenset[str]:
    """Every form of a secret that is looked for."""
    raw = secret.encode()
    found = forms(secret) | {
        secret[::-1],
        raw.hex(),
        raw.hex().upper(),
        "".join(f"\\x{byte:02x}" for byte in raw),
    }
    for joint in ("-", " ", "\n", "."):
        found.add(joint.join(secret[at : at + 4] for at in range(0, len(secret), 4)))
    return frozenset(found | {secret[: len(secret) - 4], secret[4:]})


def leaks(where: str, text: str, secrets: dict[str, str]) -> Iterator[str]:
    for name, secret in secrets.items():
        for form in hidden(secret):
            at = text.find(form)
            if at >= 0:
                yield f"{where}: {name} as {form[:12]}…: {text[max(0, at - 80) : at]}"


class Mirror:
    """An upstream that repeats key and prompt in whatever it says, in the way that is set."""

    def __init__(self) -> None:
        self.mode: int | str = "good"

    def __call__(self, seen: Seen) -> bytes:
        key = (seen.header("authorization") or seen.header("x-api-key") or "").removeprefix("Bearer ")
        said = f"{PROMPT}, after {ANSWER}" if PROMPT.encode() in seen.body else "nothing"
        words = f"Incorrect key {key} for {said}"
        fault = {"type": words, "message": words, "code": words, "param": words}
        streamed = b'"stream":true' in seen.body.replace(b" ", b"")
        match self.mode:
            case int():
                more = {"location": f"https://example.org/?key={key}"} if self.mode == 302 else {}
                return answer({"error": fault, "detail": words}, self.mode, x_request_id=key, **more)
            case "malformed":
                return answer(b'{"choices": [{"message": "' + words.encode())
            case "html":
                return answer(f"<html><title>{words}</title>".encode(), content_type="text/html")
            case "cut":
                return answer(words.encode() * 9, connection="close")[:-20]
            case "silence":
                return b"HTTP/1.1 200 OK\r\nconnection: close\r\n"
            case "never":
                return b""
            case "error event":
                return events(
                    f"data: {json.dumps({'error': fault})}\n\nevent: error\ndata: {json.dumps(fault)}\n\n"
                )
            case "broken event":
                return events(f"data: {{{words}\n\n")
            case "cut stream":
                return events(piece(ANSWER), cut=True)
        return events(piece(ANSWER) + piece(None) + "data: [DONE]\n\n") if streamed else answer(chat(ANSWER))


def piece(text: str | None) -> str:
    delta = {} if text is None else {"role": "assistant", "content": text}
    one = {"index": 0, "delta": delta, "finish_reason": "stop" if text is None else None}
    return f"data: {json.dumps({**chat(), 'choices': [one]})}\n\n"


def events(text: str, *, cut: bool = False) -> bytes:
    size = len(text.encode()) + (10 if cut else 0)
    head = f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\ncontent-length: {size}\r\n\r\n"
    return (head + text).encode()


class Heard(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: dict[str, None] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Every library's, but for that of the client that the test itself asks with."""
        if not record.name.startswith("httpx"):
            fields = "" if record.name == "aiosqlite" else repr(record.__dict__)
            self.lines.setdefault(f"{record.name} {record.getMessage()} {fields}")


@pytest.fixture
def heard() -> Iterator[Heard]:
    handler, root = Heard(), logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler
    root.removeHandler(handler)
    root.setLevel(before)


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every fault of ours with all its variables, as somebody's debugger would show it."""
    found: list[str] = []
    write = Log.fault

    def told(self: Log, error: BaseException, request_id: str, route: str) -> None:
        trace = traceback.TracebackException.from_exception(error, capture_locals=True)
        found.append("".join(trace.format(chain=True)))
        write(self, error, request_id, route)

    monkeypatch.setattr(Log, "fault", told)
    return found


@asynccontextmanager
async def haunted(path: Path) -> AsyncIterator[tuple[Ground, Mirror, Upstream, InMemorySpanExporter]]:
    """A gateway with a canary in every place for a secret."""
    mirror, spans = Mirror(), InMemorySpanExporter()
    quick = Timeouts(connect=2.0, first_token=0.15, inter_chunk=0.15, total=0.5)
    async with upstream(mirror) as server:
        config = GatewayConfig(
            local_servers=(f"127.0.0.1:{server.port}",), users_set_base_url=True, open_metrics=False
        )
        more: dict[str, Any] = {"api_key": SYSTEM_KEY, "timeouts": quick}
        providers = (provider("a", server, **more), provider("b", server, "anthropic", **more))
        fallback = FallbackConfig(max_retries=0, retry_delay_ms=1, breaker=BreakerConfig(enabled=False))
        async with ground(path, *providers, config=config, fallback=fallback) as on:
            tracers = TracerProvider()
            tracers.add_span_processor(SimpleSpanProcessor(spans))
            on.services.desk.tracing = Tracing(tracers, MeterProvider([InMemoryMetricReader()]))
            own = {"provider": "vllm", "base_url": server.url, "api_key": OWN_KEY, "model": "m"}
            async with on.http("bob") as http:
                assert (await http.put("/api/settings/llm", json=own)).status_code == 200
            async with on.http("admin") as http:
                body = {
                    "name": "c",
                    "provider": "vllm",
                    "base_url": server.url,
                    "api_key": ADDED_KEY,
                    "text_model": "m",
                }
                assert (await http.post("/api/providers", json=body)).status_code == 201
            yield on, mirror, server, spans


def requests(stream: bool) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Who asks where for what."""
    said = [{"role": "user", "content": PROMPT}]
    for model in ("a/m", "b/m", "c/m"):
        yield "alice", "/v1/chat/completions", {"model": model, "messages": said, "stream": stream}
    yield "alice", "/v1/messages", {"model": "b/m", "messages": said, "max_tokens": 9, "stream": stream}
    yield "alice", "/v1/responses", {"model": "a/m", "input": PROMPT, "stream": stream}
    yield "bob", "/v1/chat/completions", {"model": "m", "messages": said, "stream": stream}
    yield "bob", "/v1/messages", {"model": "m", "messages": said, "max_tokens": 9, "stream": stream}
    if not stream:
        yield "alice", "/v1/embeddings", {"model": "a/e", "input": PROMPT}
        yield "admin", "/api/settings/llm/test", {"provider": "vllm", "api_key": OWN_KEY}
        yield "bob", "/api/settings/llm/test", {}


async def walked(on: Ground, mirror: Mirror, found: list[str]) -> int:
    """Every way to fail; answers may repeat to a client what it said, and no key."""
    secrets = {**KEYS, **{f"virtual key of {who}": key for who, key in on.keys.items()}}
    count = 0
    async with on.http("alice") as alice, on.http("bob") as bob, on.http("admin") as admin:
        clients = {"alice": alice, "bob": bob, "admin": admin}

        async def ask(http: httpx.AsyncClient, path: str, body: dict[str, Any]) -> None:
            nonlocal count
            reply = await http.post(path, json=body, headers={"x-request-timeout-ms": "400"})
            found.extend(leaks(f"{mirror.mode} {path}", reply.text + repr(reply.headers), secrets))
            count += 1

        for mode in MODES:
            mirror.mode = mode
            async with anyio.create_task_group() as group:
                for who, path, body in (*requests(False), *requests(True)):
                    group.start_soon(ask, clients[who], path, body)
            for path in ("/api/v1/llm/status", "/api/providers"):  # what the last failure left
                found += leaks(f"{mode} {path}", (await admin.get(path)).text, {**secrets, **TEXTS})
            for path in ("/v1/models", "/api/settings/llm/models?refresh=1", "/api/models?refresh=1"):
                if mode == "never":  # a list has no deadline of the client's
                    continue
                reply = await bob.get(path)
                found += leaks(f"{mode} {path}", reply.text + repr(reply.headers), {**secrets, **TEXTS})
    return count


async def misused(on: Ground, found: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords right and wrong; keys in odd places; faults of our own with everything in hand."""
    async with on.browser("alice") as browser:
        body = {"password": PASSWORD}
        assert (await browser.put("/api/me/password", json=body)).status_code == 200
    async with on.http(None) as http:
        for said in (PASSWORD, PASSWORD + "x"):
            reply = await http.post("/api/sign-in", json={"name": "alice", "password": said})
            found += leaks("sign-in", reply.text, KEYS)
        odd: list[dict[str, Any]] = [
            {"name": "alice", "password": [PASSWORD]},
            {"password": PASSWORD},
            {"token": PASSWORD},
        ]
        for bad in odd:
            reply = await http.post("/api/sign-in", json=bad)
            found += leaks("sign-in", reply.text, KEYS)
        headers: list[dict[str, str]] = [
            {"authorization": f"Bearer {OWN_KEY}"},
            {"x-api-key": OWN_KEY, "x-goog-api-key": OWN_KEY},
        ]
        for header in headers:
            reply = await http.post("/v1/chat/completions", json={"messages": PROMPT}, headers=header)
            found += leaks("bad key", reply.text + repr(reply.headers), {**KEYS, **TEXTS})
    async with on.http("bob") as http:
        for bad in (
            {"provider": "vllm", "api_key": [OWN_KEY]},
            {"provider": "nobody", "api_key": OWN_KEY},
            {"provider": "vllm", "base_url": f"https://user:{OWN_KEY}@example.org", "api_key": OWN_KEY},
            {"provider": "openai", "api_key": OWN_KEY + "\n"},
        ):
            found += leaks("settings", (await http.put("/api/settings/llm", json=bad)).text, KEYS)

    def bug(*_: Any, **__: Any) -> None:
        raise RuntimeError(f"{SYSTEM_KEY} {OWN_KEY} {PROMPT} {ANSWER}")

    async with on.http("alice") as http, on.http("bob") as other:
        for place, name in ((OpenAIChatMirror, "encode_response"), (OpenAIChatMirror, "decode_request")):
            monkeypatch.setattr(place, name, bug)
            for client in (http, other):
                asked: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": PROMPT}]}
                reply = await client.post("/v1/chat/completions", json=asked)
                assert reply.status_code == 500
                found += leaks("fault", reply.text, {**KEYS, **TEXTS})


async def shown(on: Ground) -> AsyncIterator[tuple[str, str]]:
    """Everything that anybody may look at, with what administrators see."""
    for who in ("admin", "alice"):
        async with on.http(who) as http:
            for route in on.ready.app.table:
                if (
                    route.method == "GET"
                    and "{" not in route.path
                    and route.media_type != "text/event-stream"
                ):
                    for query in ("", "?scope=all&user_id=all&limit=1000"):
                        yield f"{who} {route.path}", (await http.get(route.path + query)).text
            yield f"{who} events", (await on.first("/api/v1/llm/status/events", who)).decode()
    for who in ("admin", "alice", "bob"):
        async with on.browser(who) as browser:
            for path in (*(page.path for page in PAGES), "/sign-in", "/nothing", "/"):
                yield f"{who} page {path}", (await browser.get(path)).text


def kept(path: Path) -> Iterator[tuple[str, str]]:
    """Every file, and a copy of the database as a backup makes it."""
    with sqlite3.connect(path / "gateway.db") as before, sqlite3.connect(path / "backup.db") as after:
        before.backup(after)
    before.close()
    after.close()
    for file in sorted(path.rglob("*")):
        if file.is_file():
            yield file.name, file.read_bytes().decode("latin-1")


async def test_t05_t13_t15_canaries_are_nowhere(
    tmp_path: Path,
    heard: Heard,
    faults: list[str],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found: list[str] = []
    looked: dict[str, int] = {}
    monkeypatch.setattr("llmcore.gateway.api.connections.TEST_S", 0.3)
    async with haunted(tmp_path) as (on, mirror, server, spans):
        assert await walked(on, mirror, found) > 250
        for secret in (SYSTEM_KEY, OWN_KEY, ADDED_KEY):
            assert secret.encode() in server.raw  # they were sent, each to its upstream
        with monkeypatch.context() as patch:
            await misused(on, found, patch)
        assert await on.services.recorder.flush()
        secrets = {**KEYS, **TEXTS, **{f"virtual key of {who}": key for who, key in on.keys.items()}}
        async for where, text in shown(on):
            looked[where] = len(text)
            found += leaks(where, text, secrets)
        sinks = {"spans": " ".join(span.to_json() for span in spans.get_finished_spans())}
        sinks["logging"] = "\n".join(heard.lines)
        out, err = capfd.readouterr()
        sinks |= {"stdout": out, "stderr": err}
        for where, text in (*sinks.items(), *kept(tmp_path)):
            looked[where] = len(text)
            found += leaks(where, text, secrets)
        for trace in faults:
            found += leaks(
                "variables of a fault", without_words(trace), {"own key": OWN_KEY, "system key": SYSTEM_KEY}
            )
    for where, text in kept(tmp_path):  # once more, when all is closed
        found += leaks(where, text, secrets)
    assert found == [], "\n".join(found[:20])
    for where in (
        "spans",
        "logging",
        "stderr",
        "gateway.db",
        "gateway.db-wal",
        "backup.db",
        "admin /metrics",
    ):
        assert looked[where] > 100, where
    assert sum("in bug" in trace for trace in faults) == 4
    assert len(looked) > 60


def without_words(trace: str) -> str:
    """A fault's variables, without the text that this test itself has put into it."""
    return "\n".join(line for line in trace.split("\n") if f"{SYSTEM_KEY} {OWN_KEY}" not in line)


def test_the_look_out_finds_every_form() -> None:
    import base64
    import urllib.parse

    raw = SYSTEM_KEY.encode()
    for text in (
        f"x {SYSTEM_KEY} y",
        SYSTEM_KEY[::-1],
        raw.hex(),
        base64.b64encode(raw).decode(),
        base64.b64encode(b"ab" + raw + b"c").decode(),
        base64.urlsafe_b64encode(b"a" + raw).decode(),
        urllib.parse.quote(SYSTEM_KEY, safe=""),
        json.dumps({"a": SYSTEM_KEY}),
        repr(raw),
        "-".join(SYSTEM_KEY[at : at + 4] for at in range(0, len(SYSTEM_KEY), 4)),
        SYSTEM_KEY[:-4] + "***",
    ):
        assert list(leaks("here", text, KEYS)), text
    assert not list(leaks("here", f"…{SYSTEM_KEY[-4:]}", KEYS))
