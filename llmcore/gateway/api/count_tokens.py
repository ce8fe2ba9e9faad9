"""Counts of tokens before a request is sent, by either wire: estimates, which the answer's header says."""

from __future__ import annotations

from llmcore.gateway.api.schemas import whole
from llmcore.gateway.http import Receive, json_object
from llmcore.gateway.mirror.anthropic import AnthropicMirror
from llmcore.gateway.mirror.count_tokens import (
    ESTIMATE_HEADER,
    INPUT_TOKENS,
    decode_count,
    encode_count,
    encode_input_count,
)
from llmcore.gateway.mirror.responses import ResponsesMirror
from llmcore.gateway.serve import Call, Desk, Endpoint

COUNTED_INPUT = whole(object={"const": INPUT_TOKENS}, input_tokens={"type": "integer", "minimum": 1})


class CountTokens(Endpoint):
    """`POST /v1/messages/count_tokens`. Nobody is asked, so nothing is reserved; the key must be good all the same."""

    route = "count_tokens"
    wire = "anthropic"
    media = True
    id_header: bytes | None = b"request-id"

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk, AnthropicMirror().encode_error)

    async def _answer(self, call: Call, body: bytes, receive: Receive) -> None:
        asked = decode_count(json_object(body, self.desk.config.limits))
        await self.say(call, None, asked.warnings, encode_count(asked), dict((ESTIMATE_HEADER,)))


class CountInputTokens(Endpoint):
    """`POST /v1/responses/input_tokens`, in the same way."""

    route = "input_tokens"
    wire = "responses"
    media = True

    def __init__(self, desk: Desk) -> None:
        self._mirror = ResponsesMirror()
        super().__init__(desk, self._mirror.encode_error)

    async def _answer(self, call: Call, body: bytes, receive: Receive) -> None:
        asked = self._mirror.decode_request(json_object(body, self.desk.config.limits))
        await self.say(call, None, asked.warnings, encode_input_count(asked), dict((ESTIMATE_HEADER,)))
