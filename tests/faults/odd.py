"""Answers in odd shapes, and what a provider makes of them: shared by the tests of faults 42 to 50."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from llmcore.errors import ProviderError
from llmcore.types import GenerationResponse
from tests.faults.conftest import Ask, Make, failure, generate, stream
from tests.faults.raw import DONE, MODEL, Server, completion, either, http, serving, streamed
from tests.providers.dialects import OF_DIALECT

NAMED = {"text_model": "acme/model-1"}


def chunk_of(**choice: Any) -> bytes:
    """One streamed chunk with one choice."""
    return (
        b"data: %s\n\n"
        % json.dumps({"id": "c1", "model": MODEL, "choices": [{"index": 0, **choice}]}).encode()
    )


def calls_in(*fragments: Any) -> bytes:
    """Streamed chunks, each with one fragment of a tool call, then a proper end."""
    chunks = [chunk_of(delta={"tool_calls": [fragment]}, finish_reason=None) for fragment in fragments]
    return streamed(*chunks, chunk_of(delta={}, finish_reason="tool_calls"), DONE)


def call(told: Any, **more: Any) -> dict[str, Any]:
    """A tool call, or a fragment of one."""
    name = more.pop("name", None)
    function = {"arguments": told} if name is None else {"name": name, "arguments": told}
    return {"type": "function", "function": function, **more}


def whole_calls(*calls: Any) -> bytes:
    message = {"role": "assistant", "content": None, "tool_calls": list(calls)}
    return completion(choices=[{"index": 0, "message": message, "finish_reason": "tool_calls"}])


async def answer(make: Make, ask: Ask, whole: bytes, events: bytes | None = None) -> GenerationResponse:
    with Server(serving(either(http(whole), events))) as server:
        return await ask(make(server))


async def refusal(make: Make, ask: Ask, whole: bytes, events: bytes | None = None) -> ProviderError:
    with Server(serving(either(http(whole), events))) as server:
        return await failure(ask(make(server)))


async def wholes(make: Make, kind: str, bodies: Sequence[bytes]) -> list[GenerationResponse]:
    """What a provider of that dialect makes of each of these answers."""
    status = OF_DIALECT[kind].chat_status
    with Server(serving(*(http(body, status) for body in bodies))) as server:
        provider = make(server, kind=kind, config=NAMED)
        return [await generate(provider) for _ in bodies]


async def streams(make: Make, kind: str, bodies: Sequence[bytes]) -> list[GenerationResponse]:
    """The same of each of these streams."""
    stream_type = OF_DIALECT[kind].stream_type
    with Server(serving(*(http(body, kind=stream_type) for body in bodies))) as server:
        provider = make(server, kind=kind)
        return [await stream(provider) for _ in bodies]
