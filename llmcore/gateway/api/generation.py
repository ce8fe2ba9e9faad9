"""Answers of models in any served wire, whole or as a stream: chat completions, responses, messages."""

from __future__ import annotations

import asyncio
import secrets
from time import perf_counter
from typing import NoReturn

from attrs import evolve

from llmcore.errors import ProviderError
from llmcore.gateway.access.extras import check_bounded
from llmcore.gateway.api.call_ids import distinct_answer, distinct_event
from llmcore.gateway.config import LimitsConfig
from llmcore.gateway.errors import BadRequest, GatewayError, TooLarge
from llmcore.gateway.http import NO_BUFFERING, SSE_TYPE, RawHeaders, Receive, json_object
from llmcore.gateway.media import media_of
from llmcore.gateway.mirror.base import Asked, EventEncoder, Mirror
from llmcore.gateway.presence import Presence, Stream
from llmcore.gateway.resolve import Target
from llmcore.gateway.serve import USUAL_OUTPUT, Call, Desk, Endpoint, answering
from llmcore.provider import Answering, EventStream
from llmcore.types import Finished, GenerationRequest

PREFIXES = {"openai": "chatcmpl-", "responses": "resp_", "anthropic": "msg_"}
ID_HEADERS = {"anthropic": b"request-id"}


class Generation(Endpoint):
    """`POST` of one wire that asks a model."""

    media = True

    def __init__(self, desk: Desk, mirror: Mirror, route: str) -> None:
        super().__init__(desk, mirror.encode_error)
        self.route: str = route
        self.wire: str = mirror.name
        self.id_header: bytes | None = ID_HEADERS.get(mirror.name)
        self._mirror = mirror
        self._prefix = PREFIXES.get(mirror.name, "")

    async def _answer(self, call: Call, body: bytes, receive: Receive) -> None:
        limits = self.desk.config.limits
        asked = self._mirror.decode_request(json_object(body, limits))
        request = asked.request
        check_size(request, limits)
        media = media_of(request.messages)
        if media is None and len(body) > limits.body:
            raise TooLarge(
                f"the request is larger than the {limits.body:,} bytes that are taken without media"
            )
        assert call.principal is not None
        request, output = capped(request, limits, call.principal.limits.max_tokens)
        call.target, request = await self.desk.resolver.generation(request, self.wanted(call, media=media))
        await self.reserve(call, body, request.model, output)
        if asked.stream:
            await self._stream(call, call.target, asked, request, receive)
        else:
            await self._whole(call, call.target, asked, request, receive)

    def _id(self) -> str:
        return self._prefix + secrets.token_hex(12)

    async def _whole(
        self, call: Call, target: Target, asked: Asked, request: GenerationRequest, receive: Receive
    ) -> None:
        async with Presence(receive):
            call.asked = perf_counter()
            try:
                response = distinct_answer(await target.provider.generate(request))
            finally:
                call.got = perf_counter()
        call.attempts = response.attempts
        created = int(self.desk.wall())
        body = self._mirror.encode_response(response, asked, id=self._id(), created=created)
        await self.say(call, response, asked.warnings + self._mirror.left_out(response), body)

    # ------------------------------------------------------------------------------------- streams

    async def _stream(
        self, call: Call, target: Target, asked: Asked, request: GenerationRequest, receive: Receive
    ) -> None:
        encoder = self._mirror.event_encoder(asked, id=self._id(), created=int(self.desk.wall()))
        config = self.desk.config
        out = Stream(
            call.send,
            encoder.keep_alive(),
            every=config.keep_alive,
            idle_write=config.limits.idle_write,
            longest=config.limits.stream,
        )
        try:
            async with Presence(receive, after=0.0):
                call.asked = perf_counter()
                out.expect(lambda: self._head(call, None, asked))
                async with target.provider.stream(request) as events:
                    named = _named(asked, events.answering)
                    if named is not asked:
                        encoder = self._mirror.event_encoder(
                            named, id=self._id(), created=int(self.desk.wall())
                        )
                    await self._written(call, asked, events, encoder, out)
        except (ProviderError, GatewayError) as error:
            await self._broken(call, encoder, out, error)
            raise
        except asyncio.CancelledError:
            if not out.overdue:
                raise
            await self._overdue(call, encoder, out)
        finally:
            await out.aclose()

    async def _written(
        self, call: Call, asked: Asked, events: EventStream, encoder: EventEncoder, out: Stream
    ) -> None:
        """The head with the first bytes, unless silence has sent it, then every event; what `Finished` gives is the end."""
        async for event in events:
            if type(event) is Finished:
                call.attempts = event.attempts
            piece = encoder.feed(distinct_event(event))
            if not piece and type(event) is not Finished:
                continue
            if not call.got:
                call.got = perf_counter()
            if not out.began:
                who = answering(event) if type(event) is Finished else events.answering
                await out.start(self._head(call, who, asked))
            await (out.end(piece) if type(event) is Finished else out.write(piece))

    def _head(self, call: Call, who: Answering | None, asked: Asked) -> RawHeaders:
        """Of a good answer, as far as it is known by now."""
        call.begun, call.status = True, 200
        return [*self.headers(call, who, asked.warnings, SSE_TYPE), NO_BUFFERING]

    async def _broken(
        self, call: Call, encoder: EventEncoder, out: Stream, error: ProviderError | GatewayError
    ) -> None:
        """Say inside of a begun stream why it ends; before, the frame answers with an HTTP error."""
        if out.began:
            await out.end(encoder.fail(error, request_id=call.request_id))

    async def _overdue(self, call: Call, encoder: EventEncoder, out: Stream) -> NoReturn:
        """The client does not read, or the answer takes longer than any may."""
        task = asyncio.current_task()
        assert task is not None
        task.uncancel()
        error = GatewayError("the answer took longer than this gateway allows", code="stream_too_long")
        if not out.writing:
            await self._broken(call, encoder, out, error)
        raise error


def _named(asked: Asked, who: Answering | None) -> Asked:
    """With the model that answers, where the client left it open or said it with its provider."""
    if who is None or who.model is None or who.model == asked.request.model:
        return asked
    return evolve(asked, request=evolve(asked.request, model=who.model))


def check_size(request: GenerationRequest, limits: LimitsConfig) -> None:
    """Raises BadRequest where a request holds more than is taken."""
    if len(request.messages) > limits.messages:
        raise BadRequest(f"messages: at most {limits.messages:,} are taken", param="messages")
    if len(request.tools) > limits.tools:
        raise BadRequest(f"tools: at most {limits.tools:,} are taken", param="tools")


def capped(
    request: GenerationRequest, limits: LimitsConfig, of_key: int | None
) -> tuple[GenerationRequest, int]:
    """The request within the cap on its answer, and how long that will be, for the reservation. Raises BadRequest, and
    Forbidden for a field by which a provider may take another length.
    """
    caps = [cap for cap in (limits.max_tokens, of_key) if cap is not None]
    wanted = request.max_tokens
    if not caps:
        return request, USUAL_OUTPUT if wanted is None else wanted
    check_bounded(request.extra)
    cap = min(caps)
    if wanted is None:
        return evolve(request, max_tokens=cap), min(USUAL_OUTPUT, cap)
    if wanted > cap:
        raise BadRequest(f"max_tokens: at most {cap:,} may be asked for with this key", param="max_tokens")
    return request, wanted
