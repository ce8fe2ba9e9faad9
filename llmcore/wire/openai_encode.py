"""Requests in the OpenAI dialect: nouns to the JSON body, by the data of one `OpenAIWire`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve

from llmcore.types import (
    EFFORTS,
    Effort,
    EmbeddingRequest,
    GenerationRequest,
    JsonSchema,
    Reasoning,
    ResponseFormat,
    Tool,
)
from llmcore.wire.base import Warnings
from llmcore.wire.foreign import not_adaptive
from llmcore.wire.openai_messages import add
from llmcore.wire.read import Json, merged
from llmcore.wire.structured import ANSWER_TOOL, as_tool, schema_of, with_prompt

if TYPE_CHECKING:
    from llmcore.wire.openai import OpenAIWire


def chat_body(
    wire: OpenAIWire, request: GenerationRequest, warnings: Warnings, *, stream: bool
) -> dict[str, Any]:
    """The body of a chat request. Raises UnsupportedFeatureError for what the vendor has no word for."""
    answer = None
    if request.response_format is not None:
        answer = response_format(wire, request)
        request = prompted(wire, request, warnings)
    body: dict[str, Any] = {} if request.model is None else {"model": request.model}
    body["messages"] = wire.messages(request, warnings)
    if request.tools:
        _add_tools(wire, request, warnings, body)
    _add_limits(wire, request, warnings, body)
    if answer is not None:
        body["response_format"] = answer
    if request.reasoning is not None:
        body.update(wire.reasoning_fields(request.reasoning, warnings))
    if stream:
        body["stream"] = True
        if wire.stream_usage:
            body["stream_options"] = {"include_usage": True}
    body.update(wire.constants)
    return merged(body, request.extra) if request.extra else body


def embed_body(wire: OpenAIWire, request: EmbeddingRequest, warnings: Warnings) -> dict[str, Any]:
    body: dict[str, Any] = {} if request.model is None else {"model": request.model}
    body["input"] = list(request.inputs)
    if request.dimensions is not None and "dimensions" not in wire.without:
        body[wire.dimensions_field] = request.dimensions
    elif "dimensions" in wire.without:
        warnings.dropped("dimensions", request.dimensions)
    if wire.input_type_field is None:
        warnings.dropped("input_type", request.input_type)
    elif request.input_type is not None:
        body[wire.input_type_field] = request.input_type
    if wire.embed_base64:
        body["encoding_format"] = "base64"
    return merged(body, request.extra)


# ----------------------------------------------------------------------------------------------- parameters


def _add_tools(
    wire: OpenAIWire, request: GenerationRequest, warnings: Warnings, body: dict[str, Any]
) -> None:
    wire.need("tools", "this provider takes no tools")
    strict = "strict" not in wire.without
    if not strict and any(tool.strict is not None for tool in request.tools):
        warnings.dropped("tools.strict", True)
    body["tools"] = [_tool(tool, strict=strict) for tool in request.tools]
    choice = request.tool_choice
    if choice == "required":
        body["tool_choice"] = wire.required_word
    elif choice in ("auto", "none"):
        body["tool_choice"] = choice
    elif choice is not None:
        body["tool_choice"] = {"type": "function", "function": {"name": choice}}
    add(wire, warnings, body, "parallel_tool_calls", request.parallel_tool_calls)


def _tool(tool: Tool, *, strict: bool) -> Json:
    function: dict[str, Any] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    function["parameters"] = tool.parameters
    if strict and tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _add_limits(
    wire: OpenAIWire, request: GenerationRequest, warnings: Warnings, body: dict[str, Any]
) -> None:
    if request.temperature is not None:
        add(wire, warnings, body, "temperature", request.temperature)
    if request.top_p is not None:
        add(wire, warnings, body, "top_p", request.top_p)
    if request.max_tokens is not None:
        add(wire, warnings, body, "max_tokens", request.max_tokens, wire.max_tokens_field)
    if request.stop:
        add(wire, warnings, body, "stop", list(request.stop))
    if request.seed is not None:
        add(wire, warnings, body, "seed", request.seed, wire.seed_field)


def reasoning_fields(wire: OpenAIWire, reasoning: Reasoning, warnings: Warnings) -> dict[str, Any]:
    """The fields that ask for so much reasoning, in the wire's style."""
    if wire.reasoning == "none":
        warnings.dropped("reasoning", reasoning)
        return {}
    if wire.reasoning == "nested":
        return {"reasoning": _nested(wire, reasoning, warnings)}
    warnings.dropped("reasoning.budget_tokens", reasoning.budget_tokens, "only effort words; not sent")
    if reasoning.effort is None:
        not_adaptive(reasoning, warnings)
        return {}
    effort = known_effort(wire, reasoning.effort, warnings)
    off = reasoning.effort == "none"
    if wire.reasoning == "thinking":
        switch: dict[str, Any] = {"thinking": {"type": "disabled" if off else "enabled"}}
        return switch if off else {**switch, "reasoning_effort": effort}
    if wire.reasoning == "enabled":
        switch = {"reasoning": {"enabled": not off}}
        return switch if off else {**switch, "reasoning_effort": effort}
    return {"reasoning_effort": effort}


def _nested(wire: OpenAIWire, reasoning: Reasoning, warnings: Warnings) -> dict[str, Any]:
    """`{effort}` or `{max_tokens}`: the vendor takes one of the two; the exact one wins."""
    if reasoning.budget_tokens is None:
        effort = reasoning.effort
        return {"enabled": True} if effort is None else {"effort": known_effort(wire, effort, warnings)}
    warnings.dropped("reasoning.effort", reasoning.effort, "budget_tokens was sent in its place")
    return {"max_tokens": reasoning.budget_tokens}


def known_effort(wire: OpenAIWire, effort: Effort, warnings: Warnings) -> Effort:
    """The nearest of the vendor's effort words (the higher one of two as near)."""
    if not wire.efforts or effort in wire.efforts:
        return effort
    place = EFFORTS.index(effort)
    nearest = min(
        wire.efforts, key=lambda word: (abs(EFFORTS.index(word) - place), -EFFORTS.index(word), word)
    )
    warnings.changed("reasoning.effort", f"{effort!r} is not known here; {nearest!r} was sent")
    return nearest


# -------------------------------------------------------------------------------------- structured output


def prompted(wire: OpenAIWire, request: GenerationRequest, warnings: Warnings) -> GenerationRequest:
    """The request with the schema in its prompt, where the wire says it there.

    `json_object` alone is refused by many where the prompt does not contain the word JSON.
    """
    if request.response_format is None:
        return request
    wire.need("structured_output", "this provider has no structured output")
    if wire.structured == "tool":
        return _by_tool(request, request.response_format)
    if wire.structured != "json_schema":
        return with_prompt(request)
    if request.response_format == "json" and not any(
        "json" in message.text.lower() for message in request.messages
    ):
        warnings.changed("response_format", "the prompt must ask for JSON; a line that does was added")
        return with_prompt(request)
    return request


def _by_tool(request: GenerationRequest, wanted: ResponseFormat) -> GenerationRequest:
    """The request with the answer tool among its tools, and a choice that leads to one of them."""
    choice = request.tool_choice
    if not request.tools or choice == "none":
        choice = ANSWER_TOOL
    elif choice in (None, "auto"):
        choice = "required"
    return evolve(request, tools=(*request.tools, as_tool(wanted)), tool_choice=choice, response_format=None)


def response_format(wire: OpenAIWire, request: GenerationRequest) -> Json:
    """The `response_format` field, or None where there is none to send."""
    wanted = request.response_format
    if wanted is None or wire.structured in {"prompt", "tool"}:
        return None
    if wire.structured == "json_object" or (not isinstance(wanted, JsonSchema) and wire.json_object):
        return {"type": "json_object"}
    if not isinstance(wanted, JsonSchema):
        return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema_of(wanted)}}
    schema: dict[str, Any] = {"name": wanted.name, "schema": wanted.schema, "strict": wanted.strict}
    if wanted.description is not None:
        schema["description"] = wanted.description
    return {"type": "json_schema", "json_schema": schema}
