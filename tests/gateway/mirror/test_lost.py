"""What a wire cannot say of an answer is told; what it can say is not."""

from __future__ import annotations

from typing import Any

import pytest

from llmcore.gateway.mirror.anthropic import AnthropicMirror
from llmcore.gateway.mirror.base import Mirror
from llmcore.gateway.mirror.openai_chat import OpenAIChatMirror
from llmcore.gateway.mirror.responses import ResponsesMirror
from llmcore.types import (
    Audio,
    GenerationResponse,
    Image,
    Message,
    Opaque,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
)

PICTURE = Image(data=b"\x89PNG", media_type="image/png")
SOUND = Audio(b"RIFF", "audio/wav")
NOTES = Opaque({"annotations": [{"type": "url_citation"}]}, "openai_responses")
CITED = Opaque({"citations": []}, "cohere")
HOSTED = Opaque({"type": "server_tool_use", "id": "s"}, "anthropic")
SEARCHED = Opaque({"groundingMetadata": {}}, "gemini")
MIRRORS = (OpenAIChatMirror(), ResponsesMirror(), AnthropicMirror())


def told(mirror: Mirror, *parts: Part) -> list[str]:
    answer = GenerationResponse(Message("assistant", parts), "stop")
    return [warning.parameter for warning in mirror.left_out(answer)]


@pytest.mark.parametrize("mirror", MIRRORS, ids=lambda mirror: mirror.name)
def test_what_every_wire_says_is_not_told(mirror: Mirror) -> None:
    parts: list[Part] = [
        Text("a"),
        Refusal("b"),
        Thinking("c"),
        ToolCall("d", "e"),
        Text("f", "sig", "gemini"),
    ]
    assert told(mirror, *parts) == []
    assert told(mirror) == []


@pytest.mark.parametrize(
    ("part", "lost"),
    [
        (PICTURE, {"anthropic"}),
        (Image(url="https://example.org/a.png"), {"anthropic", "responses"}),
        (SOUND, {"anthropic", "responses"}),
        (NOTES, {"anthropic"}),
        (CITED, {"anthropic", "responses"}),
        (HOSTED, {"openai", "responses"}),
        (SEARCHED, {"openai", "responses", "anthropic"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_rest_is_told_where_it_is_left_out(part: Any, lost: set[str]) -> None:
    for mirror in MIRRORS:
        kind = type(part).__name__.lower()
        assert told(mirror, Text("a"), part, part) == ([f"answer.{kind}"] if mirror.name in lost else [])
        if mirror.name in lost:
            said = mirror.encode_response(
                GenerationResponse(Message("assistant", (part,)), "stop"),
                mirror_asked(mirror),
                id="x",
                created=7,
            )
            assert said == mirror.encode_response(
                GenerationResponse(Message("assistant", ()), "stop"), mirror_asked(mirror), id="x", created=7
            )


def mirror_asked(mirror: Mirror) -> Any:
    bodies: dict[str, dict[str, Any]] = {
        "openai": {"messages": [{"role": "user", "content": "?"}]},
        "responses": {"input": "?"},
        "anthropic": {"max_tokens": 9, "messages": [{"role": "user", "content": "?"}]},
    }
    return mirror.decode_request(bodies[mirror.name])
