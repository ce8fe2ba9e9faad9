"""A gateway as `serve` opens it, over hostile upstreams on real sockets: what the threats are played on."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from attrs import define, evolve, field, frozen

from llmcore.config import FallbackConfig, LlmConfig, ProviderConfig
from llmcore.gateway.access.principal import ALL_SCOPES, NO_LIMITS, Limits
from llmcore.gateway.config import GatewayConfig
from llmcore.serving.opened import Ready, opened

PEOPLE = {"admin": "admin", "alice": "user", "bob": "user"}


@frozen
class Seen:
    """One request as it came over the wire. headers: names in lower case, in order, each as often as it came."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        return dict(self.headers).get(name)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def raw(self) -> bytes:
        return repr(self.headers).encode() + self.path.encode() + self.body


Play = Callable[[Seen], bytes]


def answer(body: bytes | Mapping[str, Any], status: int = 200, **headers: str) -> bytes:
    """A whole HTTP answer."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = headers.pop("content_type", "application/json")
    more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {len(raw)}\r\n{more}\r\n"
    return head.encode() + raw


def chat(text: str = "hello there", model: str = "m") -> dict[str, Any]:
    """A chat completion in OpenAI's words."""
    return {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9},
    }


def friendly(seen: Seen) -> bytes:
    """Answers everything that an honest server of OpenAI's wire would be asked for."""
    if seen.path.endswith("/models"):
        return answer({"object": "list", "data": [{"id": "m", "object": "model"}]})
    if seen.path.endswith("/embeddings"):
        return answer(
            {
                "object": "list",
                "model": "e",
                "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}],
                "usage": {"prompt_tokens": 1, "total_tokens": 1},
            }
        )
    if seen.json.get("stream"):
        first = {**chat(), "object": "chat.completion.chunk"}
        del first["usage"]
        first["choices"] = [{"index": 0, "delta": {"role": "assistant", "content": "hello there"}}]
        last = {**first, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        text = "".join(f"data: {json.dumps(one)}\n\n" for one in (first, last)) + "data: [DONE]\n\n"
        return answer(text.encode(), content_type="text/event-stream")
    return answer(chat())


@define
class Upstream:
    """A server that plays: what it answers is bytes, whatever they may be."""

    play: Play
    port: int = 0
    seen: list[Seen] = field(factory=list)
    connections: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def raw(self) -> bytes:
        return b"".join(one.raw for one in self.seen)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                method, path, _ = head[0].split(" ")
                pairs = tuple(
                    (line.partition(":")[0].lower(), line.partition(":")[2].strip()) for line in head[1:-2]
                )
                size = int(dict(pairs).get("content-length", "0"))
                one = Seen(method, path, pairs, await reader.readexactly(size))
                self.seen.append(one)
                said = self.play(one)
                writer.write(said)
                await writer.drain()
                if b"connection: close" in said:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def upstream(play: Play = friendly) -> AsyncIterator[Upstream]:
    made = Upstream(play)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, limit=2**20)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()


def provider(name: str, on: Upstream, kind: str = "openai", **more: Any) -> ProviderConfig:
    """One provider of the operator's own file."""
    said = {"api_key": "sk-of-the-operator-42", "text_model": "m", "embedding_model": "e", **more}
    return ProviderConfig(name, kind, base_url=on.url, **said)


@define
class Ground:
    """The gateway and its people."""

    ready: Ready
    path: Path
    keys: dict[str, str] = field(factory=dict)
    ids: dict[str, str] = field(factory=dict)

    @property
    def services(self) -> Any:
        return self.ready.services

    async def key(
        self,
        who: str,
        *,
        limits: Limits = NO_LIMITS,
        models: frozenset[str] | None = None,
    ) -> str:
        """Another key of that person."""
        made = self.services.vault.tokens.new_virtual_key()
        await self.services.store.keys.create(
            self.ids[who],
            public_id=made.public_id,
            digest=made.digest,
            name="test",
            now=time.time(),
            scopes=ALL_SCOPES,
            limits=limits,
            models=models,
        )
        return str(made.token.reveal())

    @asynccontextmanager
    async def http(
        self, who: str | None = "alice", key: str | None = None
    ) -> AsyncIterator[httpx.AsyncClient]:
        said = key or (self.keys[who] if who is not None else None)
        headers = {} if said is None else {"authorization": f"Bearer {said}"}
        transport = httpx.ASGITransport(app=self.ready.app)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://127.0.0.1", headers=headers
        ) as http:
            yield http

    async def first(self, path: str, who: str) -> bytes:
        """The first piece of an answer that goes on."""
        pieces: list[bytes] = []
        came = asyncio.Event()

        asked = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> dict[str, Any]:
            if asked:
                return asked.pop()
            await came.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message.get("body"):
                pieces.append(message["body"])
                came.set()

        headers = [(b"host", b"127.0.0.1"), (b"x-api-key", self.keys[who].encode())]
        scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": headers}
        await asyncio.wait_for(self.ready.app(scope, receive, send), 10)
        return pieces[0]

    @asynccontextmanager
    async def browser(self, who: str = "alice") -> AsyncIterator[httpx.AsyncClient]:
        """Signed in, with the headers that our own pages send."""
        made, now = self.services.vault.tokens.new_one_time_token(), time.time()
        await self.services.store.one_time_tokens.add(
            self.ids[who], made.digest, now=now, expires_at=now + 60
        )
        async with self.http(None) as http:
            reply = await http.post("/api/sign-in", json={"token": made.token.reveal()})
            assert reply.status_code == 200, reply.text
            ours = {"origin": "http://127.0.0.1", "sec-fetch-site": "same-origin"}
            http.headers.update({**ours, "x-csrf-token": reply.json()["csrf"]})
            yield http


@asynccontextmanager
async def ground(
    path: Path,
    *providers: ProviderConfig,
    config: GatewayConfig | None = None,
    fallback: FallbackConfig | None = None,
    source: str | None = None,
    key_cache: float = 0.0,
) -> AsyncIterator[Ground]:
    """An opened gateway with "admin", "alice" and "bob"; a database and a master key of its own in `path`."""
    config = evolve(config or GatewayConfig(), data_dir=str(path), key_cache=key_cache, log_level="debug")
    llm = LlmConfig(providers, fallback or FallbackConfig(max_retries=0, retry_delay_ms=1), prices="off")
    async with AsyncExitStack() as stack:
        ready = await stack.enter_async_context(opened(config, llm, {}, source=source))
        made = Ground(ready, path)
        for name, role in PEOPLE.items():
            user = await ready.services.store.users.create(name, role, now=time.time())  # type: ignore[arg-type]  # one of the two roles, out of a table
            made.ids[name] = user.id
            made.keys[name] = await made.key(name)
        yield made


def question(text: str = "hi", **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": text}], **more}
