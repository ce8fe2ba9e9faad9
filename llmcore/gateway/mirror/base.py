"""The contract of a mirror: one served wire from the server's side. Pure; instances hold no state.

The law of every mirror: what our own wire encodes, the mirror decodes to the same nouns, and the other way round.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias

from attrs import field, frozen

from llmcore.errors import ProviderError
from llmcore.gateway.errors import GatewayError
from llmcore.types import Event, GenerationRequest, GenerationResponse, RequestWarning

Failure: TypeAlias = GatewayError | ProviderError
"""What an answer may be instead of an answer."""

_EMPTY: Mapping[str, Any] = {}


@frozen
class Asked:
    """One request of a served wire, understood.

    request: its `model` is as the client said it (a name, an alias, "provider/model") or None.
    stream: whether the answer is wanted as events. include_usage: whether a stream shall end with its usage (OpenAI).
    echo: what the encoder must repeat from the request (Responses: tools, instructions).
    warnings: fields that nobody could honour, each with what became of it.
    """

    request: GenerationRequest
    stream: bool = False
    include_usage: bool = False
    echo: Mapping[str, Any] = _EMPTY
    warnings: tuple[RequestWarning, ...] = ()


@frozen
class ErrorAnswer:
    """An error as a served wire says it: HTTP status, JSON body, and headers beside the common ones."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str] = field(factory=dict)


class EventEncoder(Protocol):
    """The events of one stream as bytes of server-sent events. Made fresh for each stream.

    Nothing is passed through: every byte is written anew from parsed events, and all text goes through JSON.
    """

    def feed(self, event: Event, /) -> bytes:
        """The bytes for one event; b"" where it has no form in this wire. `Finished` gives the terminator too.

        Raises ProviderError where the wire cannot say what happened (text that was sent must be taken back).
        """
        ...

    def keep_alive(self) -> bytes:
        """Bytes that mean nothing to the client and keep the connection open."""
        ...

    def fail(self, error: Failure, /, *, request_id: str) -> bytes:
        """The error inside a stream that has begun, as the wire says it; never a clean end."""
        ...


class Mirror(Protocol):
    """One served wire."""

    @property
    def name(self) -> str:
        """One of `openai`, `responses`, `anthropic`."""
        ...

    def decode_request(self, body: Mapping[str, Any], /) -> Asked:
        """A parsed body to nouns. Raises BadRequest whose `param` is the path of the fault."""
        ...

    def encode_response(
        self,
        response: GenerationResponse,
        asked: Asked,
        /,
        *,
        id: str,  # noqa: A002 - the wire's own word
        created: int,
    ) -> dict[str, Any]:
        """A whole answer. id: the answer's, ours. created: UTC seconds since the epoch."""
        ...

    def left_out(self, response: GenerationResponse, /) -> tuple[RequestWarning, ...]:
        """What of a whole answer `encode_response` has no form for; a stream's head is sent before that is known."""
        ...

    def event_encoder(
        self,
        asked: Asked,
        /,
        *,
        id: str,  # noqa: A002 - the wire's own word
        created: int,
    ) -> EventEncoder: ...

    def encode_error(self, error: Failure, /, *, request_id: str) -> ErrorAnswer: ...
