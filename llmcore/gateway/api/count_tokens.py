"""`POST /v1/messages/count_tokens`: an estimate, which the answer's header says."""

from __future__ import annotations

from llmcore.gateway.http import Receive, json_object
from llmcore.gateway.mirror.anthropic import AnthropicMirror
from llmcore.gateway.mirror.count_tokens import ESTIMATE_HEADER, decode_count, encode_count
from llmcore.gateway.serve import Call, Desk, Endpoint


class CountTokens(Endpoint):
    """Nobody is asked, so nothing is reserved; the key must be good all the same."""

    route = "count_tokens"
    wire = "anthropic"
    media = True
    id_header = b"request-id"

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk, AnthropicMirror().encode_error)

    async def _answer(self, call: Call, body: bytes, receive: Receive) -> None:
        asked = decode_count(json_object(body, self.desk.config.limits))
        await self.say(call, None, asked.warnings, encode_count(asked), dict((ESTIMATE_HEADER,)))
