"""Cache marks, for dialects that have no form for them: their vendors keep prompts by rules of their own, or not at all."""

from __future__ import annotations

from attrs import evolve

from llmcore.types import CachePoint, GenerationRequest, Message
from llmcore.wire.base import Warnings


def unmarked(request: GenerationRequest, warnings: Warnings) -> GenerationRequest:
    """The request without its cache marks, and one warning where it had any; most have none and come back as they are."""
    for message in request.messages:
        if len(message.parts) > 1 and CachePoint in map(type, message.parts):
            break
    else:
        if not request.tools or all(tool.cache is None for tool in request.tools):
            return request
    warnings.changed("cache", "prompts are kept by this provider's own rule; cache marks are not sent")
    return evolve(request, messages=tuple(map(_plain, request.messages)))


def _plain(message: Message) -> Message:
    return evolve(message, parts=tuple(part for part in message.parts if type(part) is not CachePoint))
