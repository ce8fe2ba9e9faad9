"""What a vendor of each dialect answers, written by hand from the vendors' references: one small script per dialect.

`Vendor` is the vendor as a mock transport: it answers by the path it is asked at, and remembers every request.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import anyio
import anyio.lowlevel
import httpx

from llmcore import Place, ProviderConfig, create_provider
from llmcore.providers.base import HttpProvider

TEXT = "Hello, wörld ✓!"
PIECES = ("Hello,", " wörld", " ✓!")
READ, WRITTEN = 7, 3
MODEL = "acme/model-1"
EMBEDDER = "acme/embed-1"
KEY = "canary-0123456789-zyxwv"
"""Of no vendor's shape, so that only who knows the key can hide it."""

Handler = Callable[[httpx.Request], httpx.Response]


def dumped(value: Any) -> bytes:
    return json.dumps(value).encode()


def events(*pairs: tuple[str, Any]) -> bytes:
    """Server-sent events, (name or "", data)."""
    lines = []
    for name, data in pairs:
        text = data if isinstance(data, str) else json.dumps(data)
        lines.append((f"event: {name}\n" if name else "") + f"data: {text}\n\n")
    return "".join(lines).encode()


class Dialect:
    """One dialect's answers. `model` is put in where the vendor repeats it."""

    stream_type = "text/event-stream"
    chat_status = 200

    def answer(self) -> bytes:
        raise NotImplementedError

    def stream(self) -> bytes:
        raise NotImplementedError

    def stream_failing(self, message: str) -> bytes:
        """A piece of text, then the vendor's error among the events."""
        raise NotImplementedError

    def embeddings(self, count: int) -> bytes:
        raise NotImplementedError

    def models(self) -> bytes:
        return dumped({"object": "list", "data": [{"id": MODEL}, {"id": EMBEDDER}]})

    def error(self, status: int, message: str) -> bytes:
        return dumped({"error": {"message": message, "type": "some_error", "code": None}})


class OpenAI(Dialect):
    """Chat completions."""

    usage = {"prompt_tokens": READ, "completion_tokens": WRITTEN, "total_tokens": READ + WRITTEN}

    def answer(self) -> bytes:
        message = {"role": "assistant", "content": TEXT}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return dumped({"id": "c1", "model": MODEL, "choices": [choice], "usage": self.usage})

    def stream(self) -> bytes:
        return events(
            self.chunk({"role": "assistant", "content": ""}),
            *(self.chunk({"content": piece}) for piece in PIECES),
            self.chunk({}, "stop"),
            ("", {"id": "c1", "model": MODEL, "choices": [], "usage": self.usage}),
            ("", "[DONE]"),
        )

    def stream_failing(self, message: str) -> bytes:
        failure = {"error": {"message": message, "type": "server_error", "code": None}}
        return events(self.chunk({"content": PIECES[0]}), ("", failure))

    def chunk(self, delta: Any, finish: str | None = None) -> tuple[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return "", {"id": "c1", "model": MODEL, "object": "chat.completion.chunk", "choices": [choice]}

    def embeddings(self, count: int) -> bytes:
        rows = [{"index": index, "embedding": [float(index), 1.0]} for index in range(count)]
        return dumped(
            {"data": rows, "model": EMBEDDER, "usage": {"prompt_tokens": READ, "total_tokens": READ}}
        )


class HuggingFace(OpenAI):
    def embeddings(self, count: int) -> bytes:
        return dumped([[float(index), 1.0] for index in range(count)])


class Perplexity(OpenAI):
    def embeddings(self, count: int) -> bytes:
        rows = [
            {"index": index, "embedding": b64encode(bytes([index, 1])).decode()} for index in range(count)
        ]
        return dumped(
            {"data": rows, "model": EMBEDDER, "usage": {"prompt_tokens": READ, "total_tokens": READ}}
        )


class Responses(OpenAI):
    """OpenAI's Responses."""

    usage = {"input_tokens": READ, "output_tokens": WRITTEN, "total_tokens": READ + WRITTEN}

    def final(self, status: str = "completed", **more: Any) -> Any:
        content = [{"type": "output_text", "text": TEXT, "annotations": []}]
        item = {"id": "m1", "type": "message", "role": "assistant", "status": "completed", "content": content}
        base = {"id": "c1", "object": "response", "model": MODEL, "status": status}
        return {**base, "output": [item], "usage": self.usage, **more}

    def answer(self) -> bytes:
        return dumped(self.final())

    def deltas(self, pieces: Sequence[str]) -> list[tuple[str, Any]]:
        item = {"id": "m1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
        named = [("response.created", {"response": self.final("in_progress", output=[], usage=None)})]
        named.append(("response.output_item.added", {"output_index": 0, "item": item}))
        where = {"item_id": "m1", "output_index": 0, "content_index": 0}
        named += [("response.output_text.delta", {**where, "delta": piece}) for piece in pieces]
        return [(name, {"type": name, **data}) for name, data in named]

    def stream(self) -> bytes:
        end = ("response.completed", {"type": "response.completed", "response": self.final()})
        return events(*self.deltas(PIECES), end)

    def stream_failing(self, message: str) -> bytes:
        return events(*self.deltas(PIECES[:1]), ("error", {"type": "error", "message": message}))


class Anthropic(Dialect):
    """Messages."""

    def answer(self) -> bytes:
        return dumped(
            {
                "id": "c1",
                "type": "message",
                "role": "assistant",
                "model": MODEL,
                "content": [{"type": "text", "text": TEXT}],
                "stop_reason": "end_turn",
                "usage": {"input_tokens": READ, "output_tokens": WRITTEN},
            }
        )

    def begun(self, pieces: Sequence[str]) -> list[tuple[str, Any]]:
        head = {"id": "c1", "type": "message", "role": "assistant", "model": MODEL, "content": []}
        message = {**head, "usage": {"input_tokens": READ, "output_tokens": 1}}
        block = {"index": 0, "content_block": {"type": "text", "text": ""}}
        named: list[tuple[str, Any]] = [
            ("message_start", {"message": message}),
            ("content_block_start", block),
        ]
        named += [
            ("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": piece}})
            for piece in pieces
        ]
        return [(name, {"type": name, **data}) for name, data in named]

    def stream(self) -> bytes:
        delta = {"delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": WRITTEN}}
        return events(
            *self.begun(PIECES),
            ("content_block_stop", {"type": "content_block_stop", "index": 0}),
            ("message_delta", {"type": "message_delta", **delta}),
            ("message_stop", {"type": "message_stop"}),
        )

    def stream_failing(self, message: str) -> bytes:
        error = {"type": "error", "error": {"type": "api_error", "message": message}}
        return events(*self.begun(PIECES[:1]), ("error", error))

    def models(self) -> bytes:
        rows = [{"type": "model", "id": MODEL}, {"type": "model", "id": EMBEDDER}]
        return dumped({"data": rows, "has_more": False, "first_id": MODEL, "last_id": EMBEDDER})

    def error(self, status: int, message: str) -> bytes:
        return dumped({"type": "error", "error": {"type": "some_error", "message": message}})


class Gemini(Dialect):
    """generateContent."""

    def part(self, text: str, finish: str | None = None) -> Any:
        candidate: dict[str, Any] = {"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}
        if finish:
            candidate["finishReason"] = finish
        usage = {"promptTokenCount": READ, "candidatesTokenCount": WRITTEN, "totalTokenCount": READ + WRITTEN}
        return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": MODEL, "responseId": "c1"}

    def answer(self) -> bytes:
        return dumped(self.part(TEXT, "STOP"))

    def stream(self) -> bytes:
        ends = (None,) * (len(PIECES) - 1) + ("STOP",)
        return events(*(("", self.part(piece, end)) for piece, end in zip(PIECES, ends, strict=True)))

    def stream_failing(self, message: str) -> bytes:
        return events(("", self.part(PIECES[0])), ("", json.loads(self.error(500, message))))

    def embeddings(self, count: int) -> bytes:
        rows = [{"values": [float(index), 1.0]} for index in range(count)]
        return dumped({"embedding": rows[0]} if count == 1 else {"embeddings": rows})

    def models(self) -> bytes:
        return dumped({"models": [{"name": f"models/{MODEL}"}, {"name": f"models/{EMBEDDER}"}]})

    def error(self, status: int, message: str) -> bytes:
        return dumped({"error": {"code": status, "message": message, "status": "SOME_STATUS"}})


class Ollama(Dialect):
    """Ollama's own."""

    stream_type = "application/x-ndjson"
    end = {"done": True, "done_reason": "stop", "prompt_eval_count": READ, "eval_count": WRITTEN}

    def line(self, text: str, **more: Any) -> bytes:
        return dumped({"model": MODEL, "message": {"role": "assistant", "content": text}, **more}) + b"\n"

    def answer(self) -> bytes:
        return self.line(TEXT, **self.end)

    def stream(self) -> bytes:
        return b"".join(self.line(piece, done=False) for piece in PIECES) + self.line("", **self.end)

    def stream_failing(self, message: str) -> bytes:
        return self.line(PIECES[0], done=False) + self.error(500, message) + b"\n"

    def embeddings(self, count: int) -> bytes:
        rows = [[float(index), 1.0] for index in range(count)]
        return dumped({"model": EMBEDDER, "embeddings": rows, "prompt_eval_count": READ})

    def models(self) -> bytes:
        return dumped({"models": [{"name": MODEL, "model": MODEL}, {"name": EMBEDDER, "model": EMBEDDER}]})

    def error(self, status: int, message: str) -> bytes:
        return dumped({"error": message})


class Cohere(Dialect):
    """Cohere's v2."""

    usage = {"tokens": {"input_tokens": float(READ), "output_tokens": float(WRITTEN)}}

    def answer(self) -> bytes:
        message = {"role": "assistant", "content": [{"type": "text", "text": TEXT}]}
        return dumped({"id": "c1", "finish_reason": "COMPLETE", "message": message, "usage": self.usage})

    def begun(self, pieces: Sequence[str]) -> list[tuple[str, Any]]:
        named: list[tuple[str, Any]] = [
            ("message-start", {"id": "c1", "delta": {"message": {"role": "assistant"}}}),
            (
                "content-start",
                {"index": 0, "delta": {"message": {"content": {"type": "text", "text": ""}}}},
            ),
        ]
        named += [
            ("content-delta", {"index": 0, "delta": {"message": {"content": {"text": piece}}}})
            for piece in pieces
        ]
        return [(name, {"type": name, **data}) for name, data in named]

    def stream(self) -> bytes:
        return events(
            *self.begun(PIECES),
            ("content-end", {"type": "content-end", "index": 0}),
            (
                "message-end",
                {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": self.usage}},
            ),
        )

    def stream_failing(self, message: str) -> bytes:
        delta = {"finish_reason": "ERROR", "error": message}
        return events(*self.begun(PIECES[:1]), ("message-end", {"type": "message-end", "delta": delta}))

    def embeddings(self, count: int) -> bytes:
        rows = [[float(index), 1.0] for index in range(count)]
        return dumped({"embeddings": {"float": rows}, "meta": {"billed_units": {"input_tokens": READ}}})

    def models(self) -> bytes:
        return dumped({"models": [{"name": MODEL}, {"name": EMBEDDER}]})

    def error(self, status: int, message: str) -> bytes:
        return dumped({"id": "e1", "message": message})


class Replicate(Dialect):
    """Predictions; the stream is at an address of its own."""

    chat_status = 201
    host = "https://api.replicate.com"
    stream_url = "https://stream.replicate.com/v1/files/p1"

    @property
    def urls(self) -> dict[str, str]:
        at = f"{self.host}/v1/predictions/p1"
        return {"get": at, "cancel": f"{at}/cancel", "stream": self.stream_url}

    def prediction(self, status: str, **more: Any) -> bytes:
        return dumped({"id": "p1", "model": MODEL, "status": status, "urls": self.urls, **more})

    def answer(self) -> bytes:
        metrics = {"input_token_count": READ, "output_token_count": WRITTEN}
        return self.prediction("succeeded", output=list(PIECES), metrics=metrics)

    def stream(self) -> bytes:
        metrics = {"input_token_count": READ, "output_token_count": WRITTEN}
        return events(*(("output", piece) for piece in PIECES), ("done", {"metrics": metrics}))

    def stream_failing(self, message: str) -> bytes:
        return events(("output", PIECES[0]), ("error", {"detail": message}))

    def models(self) -> bytes:
        rows = [dict(zip(("owner", "name"), name.split("/"), strict=True)) for name in (MODEL, EMBEDDER)]
        return dumped({"models": rows})

    def error(self, status: int, message: str) -> bytes:
        return dumped({"title": "Something", "detail": message, "status": status})


OF_DIALECT: dict[str, Dialect] = {
    "openai": OpenAI(),
    "openai_responses": Responses(),
    "anthropic": Anthropic(),
    "gemini": Gemini(),
    "ollama": Ollama(),
    "cohere": Cohere(),
    "replicate": Replicate(),
}
OF_KIND: dict[str, Dialect] = {"huggingface": HuggingFace(), "perplexity": Perplexity()}


def dialect_of(place: Place) -> Dialect:
    return OF_KIND.get(place.kind) or OF_DIALECT[place.wire.dialect]


class Body(httpx.AsyncByteStream):
    """A body in steps: bytes are sent, a number is slept, an exception is raised. Knows how far it came, and its end."""

    def __init__(self, *steps: bytes | float | Exception) -> None:
        self._steps = steps
        self.sent = 0
        self.closed = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for step in self._steps:
            if isinstance(step, bytes):
                self.sent += 1
                yield step
            elif isinstance(step, Exception):
                raise step
            else:
                await anyio.sleep(step)

    async def aclose(self) -> None:
        self.closed += 1


class Vendor(httpx.AsyncBaseTransport):
    """A vendor as a transport. `reply` stands before the dialect's own answers, where it gives one."""

    def __init__(
        self,
        dialect: Dialect,
        reply: Callable[[httpx.Request], httpx.Response | None] | None = None,
        *,
        headers: dict[str, str] | None = None,
    ) -> None:
        self.dialect = dialect
        self.requests: list[httpx.Request] = []
        self.bodies: list[Any] = []
        self.closed = 0
        self._reply = reply
        self._headers = headers or {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        self.requests.append(request)
        self.bodies.append(json.loads(body) if body else None)
        return (self._reply and self._reply(request)) or self._own(request, self.bodies[-1] or {})

    async def aclose(self) -> None:
        await anyio.lowlevel.checkpoint()
        self.closed += 1

    @property
    def urls(self) -> list[str]:
        return [f"{request.method} {request.url}" for request in self.requests]

    def _own(self, request: httpx.Request, body: Any) -> httpx.Response:
        dialect, path = self.dialect, urlsplit(str(request.url)).path
        if isinstance(dialect, Replicate):
            return self._replicate(dialect, request, path)
        if request.method == "GET":
            return self._answer(dialect.models())
        if "embed" in path.lower() or "feature-extraction" in path:
            return self._answer(dialect.embeddings(_texts(body)))
        if body.get("stream") is True or "streamGenerateContent" in path:
            return self._answer(dialect.stream(), dialect.stream_type)
        return self._answer(dialect.answer())

    def _replicate(self, dialect: Replicate, request: httpx.Request, path: str) -> httpx.Response:
        if "collections" in path:
            return self._answer(dialect.models())
        if "/files/" in path:
            return self._answer(dialect.stream(), dialect.stream_type)
        if request.method == "GET" or "prefer" in request.headers:
            return self._answer(dialect.answer(), status=201)
        return self._answer(dialect.prediction("starting"), status=201)

    def _answer(self, body: bytes, kind: str = "application/json", status: int = 200) -> httpx.Response:
        return httpx.Response(status, headers={"content-type": kind, **self._headers}, content=body)


def _texts(body: Any) -> int:
    """How many texts an embeddings request holds, whatever the dialect calls them."""
    for name in ("input", "inputs", "texts", "requests"):
        if name in body:
            found = body[name]
            return len(found) if isinstance(found, list) else 1
    return 1


BASE_URLS = {"azure_openai": "https://res.openai.azure.com", "openai_compatible": "https://vendor.example/v1"}
"""For the kinds that have no address of their own."""


def config_of(place: Place, **more: Any) -> ProviderConfig:
    given = {
        "name": "main",
        "provider": place.kind,
        "api_key": KEY,
        "base_url": BASE_URLS.get(place.kind),
        "text_model": MODEL,
        "embedding_model": EMBEDDER,
        **more,
    }
    return ProviderConfig(**given)


def made(place: Place, transport: httpx.AsyncBaseTransport, **more: Any) -> HttpProvider:
    """A provider of that kind over `transport`, with a key and models; `more` is its configuration."""
    return create_provider(config_of(place, **more), transport=transport, environ={})
