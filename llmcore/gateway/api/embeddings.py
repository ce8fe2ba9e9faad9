"""`POST /v1/embeddings`."""

from __future__ import annotations

from time import perf_counter

from llmcore.gateway.errors import BadRequest
from llmcore.gateway.http import Receive, json_object
from llmcore.gateway.mirror.openai_embeddings import OpenAIEmbeddingsMirror
from llmcore.gateway.presence import Presence
from llmcore.gateway.serve import Call, Desk, Endpoint


class Embeddings(Endpoint):
    """Texts to vectors, over whoever the caller's settings or the request name."""

    route = "embeddings"
    wire = "embeddings"

    def __init__(self, desk: Desk) -> None:
        self._mirror = OpenAIEmbeddingsMirror()
        super().__init__(desk, self._mirror.encode_error)

    async def _answer(self, call: Call, body: bytes, receive: Receive) -> None:
        limits = self.desk.config.limits
        asked = self._mirror.decode_request(json_object(body, limits))
        if len(asked.request.inputs) > limits.inputs:
            raise BadRequest(f"input: at most {limits.inputs:,} texts are taken", param="input")
        call.target, request = await self.desk.resolver.embedding(asked.request, self.wanted(call))
        await self.reserve(call, body, request.model, 0)
        async with Presence(receive):
            call.asked = perf_counter()
            try:
                response = await call.target.provider.embed(request)
            finally:
                call.got = perf_counter()
        call.attempts = response.attempts
        await self.say(call, response, (), self._mirror.encode_response(response, asked))
