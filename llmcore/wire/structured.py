"""Structured output where the vendor has no native form: by a tool, or by a prompt with validation.

By tool: one extra tool whose parameters are the schema, and a forced choice; its arguments become the answer's text.
By prompt: the schema is put into the system text, and the answer is checked against it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from attrs import evolve

from llmcore.errors import GenerationFailedError
from llmcore.types import (
    Event,
    Finished,
    GenerationRequest,
    GenerationResponse,
    JsonSchema,
    Message,
    Part,
    ResponseFormat,
    Text,
    TextDelta,
    Thinking,
    Tool,
    ToolCall,
    ToolCallDelta,
)

ANSWER_TOOL = "answer_as_json"
_ENVELOPE = "value"


def schema_of(response_format: ResponseFormat) -> Mapping[str, Any]:
    return {"type": "object"} if response_format == "json" else response_format.schema


def as_tool(response_format: ResponseFormat) -> Tool:
    """The tool that carries the answer; a schema whose top is no object rides in an envelope."""
    schema = schema_of(response_format)
    if schema.get("type") != "object":
        schema = {"type": "object", "properties": {_ENVELOPE: schema}, "required": [_ENVELOPE]}
    described = response_format.description if isinstance(response_format, JsonSchema) else None
    return Tool(ANSWER_TOOL, described or "Give the answer, and give it only through this tool.", schema)


def from_tool(response: GenerationResponse, response_format: ResponseFormat) -> GenerationResponse:
    """The answer tool's arguments as the answer's text; other parts stay."""
    if not any(call.name == ANSWER_TOOL for call in response.tool_calls):
        return response
    parts: list[Part] = []
    for part in response.message.parts:
        if type(part) is ToolCall and part.name == ANSWER_TOOL:
            parts.append(Text(unwrapped(part.arguments, response_format)))
        elif type(part) is not Text:
            parts.append(part)
    message = Message("assistant", tuple(parts))
    finish = (
        "stop"
        if response.finish_reason == "tool_calls" and not message.tool_calls
        else response.finish_reason
    )
    return evolve(response, message=message, finish_reason=finish)


def unwrapped(arguments: str, response_format: ResponseFormat) -> str:
    """The arguments of the answer tool as the JSON text that was asked for."""
    if schema_of(response_format).get("type") == "object":
        return arguments
    try:
        value = json.loads(arguments)
    except ValueError:
        return arguments
    return (
        json.dumps(value[_ENVELOPE], ensure_ascii=False)
        if isinstance(value, dict) and _ENVELOPE in value
        else arguments
    )


class AnswerEvents:
    """A stream's events with the answer tool's arguments as text; they fold to what `from_tool` makes of the whole.

    Prose, and all that follows it, is held back until it is known whether the tool is called: if so, it is left out.
    """

    def __init__(self, response_format: ResponseFormat) -> None:
        self._format: ResponseFormat = response_format
        self._as_sent = schema_of(response_format).get("type") == "object"
        self._answer: int | None = None
        self._arguments: list[str] = []
        self._held: list[Event] = []
        self._others = False

    def push(self, event: Event) -> list[Event]:
        """The events that `event` allows to be shown."""
        if isinstance(event, ToolCallDelta):
            if event.name == ANSWER_TOOL and self._answer is None:
                return [*self._begun(event.index), *self._part(event.arguments)]
            if event.index == self._answer:
                return self._part(event.arguments)
            self._others = True
        if isinstance(event, Finished):
            return self._end(event)
        if self._answer is None and (self._held or isinstance(event, TextDelta)):
            self._held.append(event)
            return []
        return [] if isinstance(event, TextDelta) else [*self._whole(), event]

    def _begun(self, index: int) -> list[Event]:
        self._answer = index
        return [event for event in self._released() if not isinstance(event, TextDelta)]

    def _part(self, arguments: str) -> list[Event]:
        if self._as_sent and arguments:
            return [TextDelta(arguments)]
        self._arguments.append(arguments)
        return []

    def _whole(self) -> list[Event]:
        """The enveloped answer, once its call has ended."""
        arguments, self._arguments = "".join(self._arguments), []
        return [TextDelta(unwrapped(arguments, self._format))] if arguments else []

    def _released(self) -> list[Event]:
        held, self._held = self._held, []
        return held

    def _end(self, event: Finished) -> list[Event]:
        if self._answer is not None and not self._others and event.finish_reason == "tool_calls":
            event = evolve(event, finish_reason="stop")
        return [*self._released(), *self._whole(), event]


def with_prompt(request: GenerationRequest) -> GenerationRequest:
    """The request with the schema said in the system text; the vendor is not told of a response format."""
    if request.response_format is None:
        return request
    schema = json.dumps(schema_of(request.response_format), ensure_ascii=False)
    words = (
        "Answer with one JSON value and nothing else: no prose, no Markdown fence. "
        f"It must be valid against this JSON schema:\n{schema}"
    )
    first = request.messages[0]
    if first.role == "system":
        told = evolve(first, parts=(*first.parts, Text("\n\n" + words)))
        messages = (told, *request.messages[1:])
    else:
        messages = (Message.system(words), *request.messages)
    return evolve(request, messages=messages, response_format=None)


def validated(response: GenerationResponse, response_format: ResponseFormat) -> GenerationResponse:
    """The response with its text reduced to the JSON it holds. Raises GenerationFailedError where it does not fit."""
    if response.finish_reason not in {"stop", "unknown"}:
        return response
    text = json_in(response.text)
    try:
        value = json.loads(text)
    except ValueError as exc:
        raise GenerationFailedError(
            f"the model was asked for JSON and wrote something else: {exc}", phase="parse"
        ) from None
    if complaint := mismatch(value, schema_of(response_format)):
        raise GenerationFailedError(f"the model's JSON does not fit the schema: {complaint}", phase="parse")
    kept: tuple[Part, ...] = tuple(
        part for part in response.message.parts if isinstance(part, (Thinking, ToolCall))
    )
    return evolve(response, message=Message("assistant", (*kept, Text(text))))


_FENCE = re.compile(r"```(?:json)?\s*\n(.*?)\n?```", re.DOTALL)


def json_in(text: str) -> str:
    """The JSON in an answer that may wrap it in a Markdown fence or in prose."""
    text = text.strip()
    if match := _FENCE.search(text):
        return match.group(1).strip()
    if text[:1] in ("{", "["):
        return text
    start = min((at for at in (text.find("{"), text.find("[")) if at >= 0), default=-1)
    end = max(text.rfind("}"), text.rfind("]"))
    return text[start : end + 1] if 0 <= start < end else text


_PYTHON: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "null": (type(None),),
}


def mismatch(value: Any, schema: Any, *, path: str = "$", root: Any = None) -> str | None:
    """Where `value` breaks `schema`, or None. Reads type, enum, const, properties, required, items, anyOf, oneOf, allOf,
    additionalProperties and local $ref; other keywords are taken as kept.
    """
    root = schema if root is None else root
    if isinstance(schema, bool):
        return None if schema else f"{path}: nothing is allowed here"
    if isinstance(reference := schema.get("$ref"), str):
        return mismatch(value, _resolved(reference, root), path=path, root=root)
    if (complaint := _wrong_kind(value, schema, path)) is not None:
        return complaint
    for key in ("anyOf", "oneOf"):
        if schema.get(key) and all(mismatch(value, option, path=path, root=root) for option in schema[key]):
            return f"{path}: fits none of {key}"
    for option in schema.get("allOf", ()):
        if (complaint := mismatch(value, option, path=path, root=root)) is not None:
            return complaint
    return _wrong_members(value, schema, path, root)


def _wrong_kind(value: Any, schema: Mapping[str, Any], path: str) -> str | None:
    kinds = schema.get("type")
    if kinds is not None:
        kinds = [kinds] if isinstance(kinds, str) else kinds
        if not any(_is_a(value, kind) for kind in kinds):
            return f"{path}: {type(value).__name__} instead of {' or '.join(kinds)}"
    if "const" in schema and value != schema["const"]:
        return f"{path}: must be {schema['const']!r}"
    if "enum" in schema and value not in schema["enum"]:
        return f"{path}: {value!r} is not one of {schema['enum']!r}"
    return None


def _is_a(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _PYTHON.get(kind, (object,)))


def _wrong_members(value: Any, schema: Mapping[str, Any], path: str, root: Any) -> str | None:
    if isinstance(value, list) and isinstance(schema.get("items"), (dict, bool)):
        found = (
            mismatch(item, schema["items"], path=f"{path}[{i}]", root=root) for i, item in enumerate(value)
        )
        return next((complaint for complaint in found if complaint), None)
    if not isinstance(value, dict):
        return None
    for name in schema.get("required", ()):
        if name not in value:
            return f"{path}.{name}: missing"
    properties = schema.get("properties", {})
    rest = schema.get("additionalProperties", True)
    for name, member in value.items():
        rule = properties.get(name, rest)
        if rule is False:
            return f"{path}.{name}: not in the schema"
        if (
            isinstance(rule, Mapping)
            and (complaint := mismatch(member, rule, path=f"{path}.{name}", root=root)) is not None
        ):
            return complaint
    return None


def _resolved(reference: str, root: Any) -> Any:
    node = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        node = (
            node.get(step.replace("~1", "/").replace("~0", "~"), True) if isinstance(node, Mapping) else True
        )
    return node
