"""The laws that every mirror keeps with the wire of the library that speaks the same dialect, written once for all."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from attrs import evolve, frozen
from hypothesis import strategies as st

from llmcore.check import as_generation_request
from llmcore.gateway.mirror.base import Asked, Mirror
from llmcore.gateway.mirror.sse import dumps
from llmcore.provider import events_of
from llmcore.types import Event, GenerationRequest, GenerationResponse, Message, Opaque, Part, Text, Thinking
from llmcore.wire.base import Wire
from llmcore.wire.framing import ServerSentEvents
from tests.gateway.mirror import nouns


@frozen
class Pair:
    """A mirror, and the client's side of the same dialect. ask: what the answers are answers to."""

    mirror: Mirror
    wire: Wire
    ask: GenerationRequest
    created: int = 7

    # ------------------------------------------------------------------------------------------- what is made

    def whole(self, response: GenerationResponse) -> dict[str, Any]:
        """An answer's JSON, before it is written."""
        return self.mirror.encode_response(response, Asked(self.ask), id="1", created=self.created)

    def stream(self, events: Iterable[Event]) -> bytes:
        encoder = self.mirror.event_encoder(Asked(self.ask), id="1", created=self.created)
        return b"".join(map(encoder.feed, events))

    def read(self, *chunks: bytes) -> tuple[list[Event], Exception | None]:
        """The events that our client reads, and the error with which they end."""
        decoder = self.wire.event_decoder(self.ask)
        events = [event for chunk in chunks for event in decoder.feed(chunk)]
        events += decoder.finish()
        return events, decoder.error

    # --------------------------------------------------------------------------------------------- what holds

    def request_comes_through(self, request: GenerationRequest, *, stream: bool) -> None:
        encoded = self.wire.encode_generate(as_generation_request(request), stream=stream)
        assert encoded.warnings == ()
        asked = self.mirror.decode_request(nouns.body_of(encoded.http.body))
        assert asked.request == request
        assert asked.stream is stream
        assert asked.warnings == ()

    def answer_comes_through(self, response: GenerationResponse) -> None:
        assert self.wire.decode_generate(dumps(self.whole(response)), self.ask) == response

    def stream_comes_through(self, response: GenerationResponse, data: st.DataObject) -> None:
        found, error = self.read(self.stream(data.draw(nouns.streamed(response))))
        assert error is None
        assert nouns.fold(found) == response

    def cuts_change_nothing(self, response: GenerationResponse, data: st.DataObject) -> None:
        body = self.stream(data.draw(nouns.streamed(response)))
        at = data.draw(st.integers(0, len(body)))
        assert self.read(body[:at], body[at:]) == self.read(body)

    def hostile_text_stays_text(self, text: str, end: bytes) -> None:
        """T22. end: the line that ends a stream of this dialect."""
        body = self.stream(events_of(GenerationResponse(Message("assistant", (Text(text),)), "stop")))
        assert body.count(end) == 1
        found, error = self.read(body)
        assert error is None
        assert nouns.fold(found).text == text


def without_notes(response: GenerationResponse) -> GenerationResponse:
    """Without blocks of the vendor's own, which the official types do not know."""
    parts = tuple(part for part in response.message.parts if type(part) is not Opaque)
    return evolve(response, message=Message("assistant", parts))


def messages_of(body: bytes) -> list[dict[str, Any]]:
    """The data of a stream's events; each is named as its type says."""
    found = []
    for name, data in ServerSentEvents().feed(body):
        value = json.loads(data)
        assert value["type"] == name
        found.append(value)
    return found


@st.composite
def foreign(
    draw: st.DrawFn,
    thoughts: st.SearchStrategy[Thinking],
    texts: st.SearchStrategy[str],
    seals: st.SearchStrategy[str],
) -> GenerationResponse:
    """An answer that bears marks of other vendors on its reasoning, its texts and its calls."""
    parts: list[Part] = list(draw(st.lists(thoughts, max_size=2)))
    parts += draw(st.lists(st.builds(Text, texts, seals, st.just("gemini")), max_size=2))
    parts += draw(nouns.calls(seals=seals))
    return GenerationResponse(Message("assistant", tuple(parts or [Text("x")])), "stop")
