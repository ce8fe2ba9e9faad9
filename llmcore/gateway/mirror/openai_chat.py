"""The mirror of OpenAI's chat completions, which is also the wire of most other clients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from llmcore.gateway.mirror.base import Asked, ErrorAnswer, Failure
from llmcore.gateway.mirror.errors import openai_error
from llmcore.gateway.mirror.lost import unsaid
from llmcore.gateway.mirror.openai_chat_encode import chat_completion, has_form
from llmcore.gateway.mirror.openai_request import chat_request
from llmcore.gateway.mirror.openai_stream import ChatEventEncoder
from llmcore.types import GenerationResponse, RequestWarning


class OpenAIChatMirror:
    """`POST /v1/chat/completions`."""

    name: Final = "openai"

    def decode_request(self, body: Mapping[str, Any], /) -> Asked:
        return chat_request(body)

    def encode_response(
        self,
        response: GenerationResponse,
        asked: Asked,
        /,
        *,
        id: str,  # noqa: A002 - the wire's own word
        created: int,
    ) -> dict[str, Any]:
        return chat_completion(response, asked, id, created)

    def left_out(self, response: GenerationResponse, /) -> tuple[RequestWarning, ...]:
        return unsaid(response.message, has_form)

    def event_encoder(
        self,
        asked: Asked,
        /,
        *,
        id: str,  # noqa: A002 - the wire's own word
        created: int,
    ) -> ChatEventEncoder:
        return ChatEventEncoder(asked, id, created)

    def encode_error(self, error: Failure, /, *, request_id: str) -> ErrorAnswer:
        return openai_error(error, request_id=request_id)
