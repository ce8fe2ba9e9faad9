"""`POST /api/playground`: a streamed answer for a signed-in browser, with all that is known of how it came about.

Events, one JSON object each: `begin`, `text`, `thought`, `part`, `restarted`, `continued`, `done`, `error`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from llmcore.errors import ProviderError
from llmcore.gateway.access import policy
from llmcore.gateway.access.authenticate import credential, unauthorized
from llmcore.gateway.access.origin import check_same_origin
from llmcore.gateway.access.principal import INFERENCE, Principal
from llmcore.gateway.api import openai_schemas
from llmcore.gateway.api.frame import cookie_name, cookie_of
from llmcore.gateway.api.generation import Generation
from llmcore.gateway.api.services import Services
from llmcore.gateway.api.table import Route
from llmcore.gateway.errors import BadRequest, Forbidden, UnsupportedMedia
from llmcore.gateway.http import Head
from llmcore.gateway.mirror.base import Asked, ErrorAnswer, EventEncoder, Failure
from llmcore.gateway.mirror.errors import fault_of, openai_error
from llmcore.gateway.mirror.openai_chat import OpenAIChatMirror
from llmcore.gateway.mirror.sse import KEEP_ALIVE, event
from llmcore.gateway.pages import words
from llmcore.types import (
    Attempt,
    Continued,
    Event,
    Finished,
    GenerationResponse,
    Part,
    PartDelta,
    Refusal,
    RequestWarning,
    Restarted,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCallDelta,
    Usage,
)


class TellingEncoder:
    """The events of one answer, each in full. What was sent may be taken back: the page drops it at `restarted`."""

    def __init__(self) -> None:
        self._begun = False

    def feed(self, one: Event, /) -> bytes:
        piece = self._piece(one)
        if not piece or self._begun:
            return piece
        self._begun = True
        return event("begin", {}) + piece

    def keep_alive(self) -> bytes:
        return KEEP_ALIVE

    def fail(self, error: Failure, /, *, request_id: str) -> bytes:
        fault = fault_of(error)
        tried = error.attempts if isinstance(error, ProviderError) else ()
        said = {"message": fault.message, "request_id": request_id, "attempts": _attempts(tried)}
        return event("error", said)

    def _piece(self, one: Event) -> bytes:
        match one:
            case TextDelta(text=text) if text:
                return event("text", {"text": text})
            case ThinkingDelta(text=text) if text:
                return event("thought", {"text": text})
            case ToolCallDelta():
                return event("part", {"text": one.arguments, "kind": "tool call", "name": one.name})
            case PartDelta():
                return _part(one.part)
            case Restarted() | Continued():
                name = "restarted" if isinstance(one, Restarted) else "continued"
                by = words.provider(one.provider)
                return event(name, {"provider": one.provider, "by": by, "model": one.model})
            case Finished():
                return event("done", _told(one))
            case _:
                return b""


class TellingMirror:
    """Requests as chat completions have them; answers as `TellingEncoder` writes them."""

    name: Final = "openai"

    def __init__(self) -> None:
        self._chat = OpenAIChatMirror()

    def decode_request(self, body: Mapping[str, Any], /) -> Asked:
        asked = self._chat.decode_request(body)
        if not asked.stream:
            raise BadRequest("stream: must be true here", param="stream")
        return asked

    def encode_response(
        self,
        response: GenerationResponse,
        asked: Asked,
        /,
        *,
        id: str,  # noqa: A002 - the wire's own word
        created: int,
    ) -> dict[str, Any]:
        return self._chat.encode_response(response, asked, id=id, created=created)

    def left_out(self, response: GenerationResponse, /) -> tuple[RequestWarning, ...]:
        return self._chat.left_out(response)

    def event_encoder(
        self,
        asked: Asked,
        /,
        *,
        id: str,  # noqa: A002 - the wire's own word
        created: int,
    ) -> EventEncoder:
        return TellingEncoder()

    def encode_error(self, error: Failure, /, *, request_id: str) -> ErrorAnswer:
        """OpenAI's shape, with the attempts beside it."""
        said = openai_error(error, request_id=request_id)
        if isinstance(error, ProviderError):
            said.body["attempts"] = _attempts(error.attempts)
        return said


class Playground(Generation):
    """The path of every model call, entered by a browser's session, its origin and CSRF token proved (T7)."""

    def __init__(self, services: Services) -> None:
        super().__init__(services.desk, TellingMirror(), "playground")
        self._browsers = services.browsers

    async def _admitted(self, head: Head) -> Principal:
        kind = (head.get(b"content-type") or b"").partition(b";")[0].strip().lower()
        principal = await self._principal(head)
        policy.check("account", principal)
        if INFERENCE not in principal.scopes:
            raise Forbidden(f"this key lacks the scope {INFERENCE!r}", code="missing_scope")
        if kind != b"application/json":
            raise UnsupportedMedia("send JSON, with the header `Content-Type: application/json`")
        return principal

    async def _principal(self, head: Head) -> Principal:
        token = credential(head)
        if token is not None:
            return await self.desk.authenticator.principal(token)
        config = self.desk.config
        cookie = cookie_of(head, cookie_name(config.secure))
        principal = None if cookie is None else await self._browsers.find(cookie)
        if principal is None:
            raise unauthorized()
        check_same_origin(config, head, "POST", principal.csrf)
        return principal


def playground_route(services: Services) -> Route:
    """The row of the table."""
    return Route(
        "POST",
        "/api/playground",
        "account",
        "playground",
        "A streamed answer that tells who gave it, and how.",
        Playground(services),
        openai_schemas.PLAYGROUND_BODY,
        media_type="text/event-stream",
        tag="playground",
        events=openai_schemas.PLAYGROUND_EVENT,
        asks_model=True,
    )


def _part(part: Part) -> bytes:
    """A part that comes whole: its text, or the word for what it is."""
    match part:
        case Text():
            return event("text", {"text": part.text})
        case Thinking():
            return event("thought", {"text": part.text})
        case Refusal():
            return event("part", {"text": part.text, "kind": "refusal", "name": None})
        case _:
            return event("part", {"text": "", "kind": type(part).__name__.lower(), "name": None})


def _told(end: Finished) -> dict[str, Any]:
    return {
        "provider": end.provider,
        "by": words.provider(end.provider),
        "model": end.model,
        "finish_reason": end.finish_reason,
        "usage": _usage(end.usage),
        "attempts": _attempts(end.attempts),
        "skipped": [str(one) for one in end.skipped],
        "warnings": [str(one) for one in end.warnings],
    }


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cached_tokens": usage.cached_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "cost_usd": None if usage.cost_usd is None else float(usage.cost_usd),
    }


def _attempts(attempts: tuple[Attempt, ...]) -> list[dict[str, Any]]:
    return [
        {
            "provider": one.provider,
            "model": one.model,
            "outcome": one.outcome,
            "status": one.status,
            "why": one.why,
            "said": words.outcome(one.outcome),
            "reason": words.reason(one.why),
            "by": words.provider(one.provider),
            "duration_s": one.duration_s,
            "first_token_s": one.first_token_s,
            "counted": one.counted,
        }
        for one in attempts
    ]
