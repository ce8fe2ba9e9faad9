"""Ids of tool calls to which the vendor gave none (`call_0`, `call_1`, ... in each answer), made unlike those of other answers.

Clients keep whole conversations by these ids, whoever answered. Gemini is sent no id that looks like one of them.
"""

from __future__ import annotations

import re
import secrets

from attrs import evolve

from llmcore.types import Event, GenerationResponse, ToolCall, ToolCallDelta

_OURS = re.compile(r"call_\d{1,4}")


def distinct(id_: str) -> str:
    """An id of ours with something random behind it; a vendor's as it is."""
    return f"{id_}_{secrets.token_hex(4)}" if _OURS.fullmatch(id_) else id_


def distinct_event(event: Event) -> Event:
    """The same for the delta that bears the id of a call."""
    if type(event) is not ToolCallDelta or event.id is None:
        return event
    return evolve(event, id=distinct(event.id))


def distinct_answer(response: GenerationResponse) -> GenerationResponse:
    """The same for every call of a whole answer."""
    message = response.message
    if not any(_OURS.fullmatch(call.id) for call in message.tool_calls):
        return response
    parts = [evolve(part, id=distinct(part.id)) if type(part) is ToolCall else part for part in message.parts]
    return evolve(response, message=evolve(message, parts=parts))
