"""`POST /v1/messages/count_tokens`, `POST /v1/responses/input_tokens`: how many tokens a request would read, as an estimate.

An exact count is the vendor's secret, and the contract has no call that asks for it. So the answer is llmcore's own rule:
four characters of text are one token, which fits English and code (other scripts take more, up to three tokens for one
character); a picture counts as a small one, PDFs, sound and earlier reasoning as nothing. Every answer says that it is
an estimate by the header `x-llmcore-estimate: true`; the body is as the wire has it, since official clients read no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmcore.gateway.mirror.anthropic import decode
from llmcore.gateway.mirror.base import Asked
from llmcore.gateway.mirror.lost import Lost
from llmcore.gateway.mirror.sse import dumps
from llmcore.types import File, GenerationRequest, Image, Part, Refusal, Text, ToolCall, ToolResult

ESTIMATE_HEADER = ("x-llmcore-estimate", "true")
CHARACTERS_PER_TOKEN = 4
IMAGE_TOKENS = 85
INPUT_TOKENS = "response.input_tokens"


def decode_count(body: Mapping[str, Any], /) -> Asked:
    """The body of a count, which is that of a message without a limit. Raises BadRequest."""
    lost = Lost()
    return Asked(decode(body, lost, limited=False), warnings=lost.done())


def encode_count(asked: Asked, /) -> dict[str, int]:
    return {"input_tokens": estimate_tokens(asked.request)}


def encode_input_count(asked: Asked, /) -> dict[str, Any]:
    """The count in the words of Responses."""
    return {"object": INPUT_TOKENS, "input_tokens": estimate_tokens(asked.request)}


def estimate_tokens(request: GenerationRequest) -> int:
    """About how many tokens go in, at least 1."""
    total = sum(_characters(part) for message in request.messages for part in message.parts)
    for tool in request.tools:
        total += len(tool.name) + len(tool.description) + len(dumps(tool.parameters))
    return max(1, total // CHARACTERS_PER_TOKEN)


def _characters(part: Part) -> int:
    match part:
        case Text() | Refusal():
            return len(part.text)
        case ToolCall():
            return len(part.name) + len(part.arguments)
        case Image():
            return IMAGE_TOKENS * CHARACTERS_PER_TOKEN
        case File(data=bytes() as data, media_type="text/plain"):
            return len(data)
        case ToolResult(content=str() as content):
            return len(content)
        case ToolResult():
            return sum(_characters(inner) for inner in part.content if not isinstance(inner, str))
        case _:
            return 0
