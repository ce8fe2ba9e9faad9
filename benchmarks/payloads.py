"""The answers that every upstream gives, made by rule and by a seeded generator: the same bytes in every run."""

from __future__ import annotations

import base64
import json
import math
from array import array
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

EVENTS = 300
"""Events with text (or a piece of a tool call's arguments) in each stream."""

VECTORS, DIMENSIONS = 64, 1536

_TEXT = "the sky is blue because air scatters short waves of light more than long ones and so at noon we see"
WORDS = tuple(_TEXT.split())
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "report",
        "description": "Write a report.",
        "parameters": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
    },
}

_STAMP = {"id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT", "created": 1770000000, "model": "bench"}
_USAGE = {
    "prompt_tokens": 12,
    "completion_tokens": EVENTS,
    "total_tokens": 12 + EVENTS,
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
}


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def word(index: int) -> str:
    return " " + WORDS[index % len(WORDS)]


def chat() -> bytes:
    """A chat answer of about 700 bytes."""
    text = "".join(word(index) for index in range(46)).strip()
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None, "annotations": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    usage = {**_USAGE, "completion_tokens": 46, "total_tokens": 58}
    return _json({**_STAMP, "object": "chat.completion", "choices": [choice], "usage": usage})


def _chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    body = {
        **_STAMP,
        "object": "chat.completion.chunk",
        "system_fingerprint": "fp_44709d6fcb",
        "choices": [choice],
    }
    return b"data: " + _json(body) + b"\n\n"


def _end(finish: str) -> bytes:
    usage = {**_STAMP, "object": "chat.completion.chunk", "choices": [], "usage": _USAGE}
    return _chunk({}, finish) + b"data: " + _json(usage) + b"\n\ndata: [DONE]\n\n"


def text_events() -> Iterator[bytes]:
    """A streamed answer, event by event; the first holds the role and the first word, as the last holds all that ends it."""
    yield _chunk({"role": "assistant", "content": ""}) + _chunk({"content": word(0)})
    for index in range(1, EVENTS):
        yield _chunk({"content": word(index)})
    yield _end("stop")


def tool_events() -> Iterator[bytes]:
    """A streamed tool call, its arguments in EVENTS pieces that join to one JSON object."""
    head = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "report", "arguments": ""}}
    yield _chunk({"role": "assistant", "content": None, "tool_calls": [head]})
    pieces = ['{"text":"', *(word(index) for index in range(EVENTS - 2)), '"}']
    for piece in pieces:
        yield _chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
    yield _end("tool_calls")


def vectors() -> list[array[float]]:
    random = Random(4)
    width = 1 / math.sqrt(DIMENSIONS)
    return [array("f", (random.gauss(0, width) for _ in range(DIMENSIONS))) for _ in range(VECTORS)]


def embeddings(encoding: str) -> bytes:
    """64 vectors of 1536; "float" gives numbers with all the digits that vendors send, "base64" packs them."""
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": list(vector)
            if encoding == "float"
            else base64.b64encode(vector.tobytes()).decode("ascii"),
        }
        for index, vector in enumerate(vectors())
    ]
    return _json(
        {
            "object": "list",
            "data": data,
            "model": "bench",
            "usage": {"prompt_tokens": 512, "total_tokens": 512},
        }
    )


ANSWERS = {
    "chat": ("application/json", chat),
    "burst": ("text/event-stream", lambda: b"".join(text_events())),
    "tools": ("text/event-stream", lambda: b"".join(tool_events())),
    "float": ("application/json", lambda: embeddings("float")),
    "base64": ("application/json", lambda: embeddings("base64")),
}
"""First part of the path -> media type and body: POST /chat/v1/... is answered with `chat`."""


def write(folder: Path) -> None:
    """Write every answer as a file of its name, for upstreams that serve files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (_, make) in ANSWERS.items():
        (folder / name).write_bytes(make())
