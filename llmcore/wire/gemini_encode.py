"""Generation requests as Gemini's `generateContent` bodies. Source: the GenerateContentRequest of the Gemini API, v1beta."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from llmcore.types import Effort, GenerationRequest, JsonSchema, Message, Reasoning, Text, Tool
from llmcore.wire.base import Warnings
from llmcore.wire.foreign import TO_GEMINI, native
from llmcore.wire.gemini_contents import Dialect, contents_of
from llmcore.wire.read import merged

_LEVELS: dict[Effort, str] = {
    "minimal": "MINIMAL",
    "low": "LOW",
    "medium": "MEDIUM",
    "high": "HIGH",
    "xhigh": "XHIGH",
    "max": "XHIGH",
}
_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY"}
_GENERATION = re.compile(r"\bgemini-(\d+)")

SIGNED_FROM = 3
"""The first generation of models that refuses a function call of the current turn without its thought signature."""


def body_of(request: GenerationRequest, dialect: Dialect, warnings: Warnings) -> dict[str, Any]:
    """The whole body; the model stands in the path, not here."""
    body: dict[str, Any] = {
        "contents": contents_of(
            request.messages, dialect, warnings, signed=_wants_signatures(request.model or "")
        )
    }
    if system := _system(request.messages, warnings):
        body["systemInstruction"] = {"parts": system}
    if request.tools:
        body["tools"] = [{"functionDeclarations": [_declaration(tool, warnings) for tool in request.tools]}]
        if request.tool_choice is not None:
            body["toolConfig"] = {"functionCallingConfig": _choice(request.tool_choice)}
    if config := _config(request, warnings):
        body["generationConfig"] = config
    warnings.dropped("parallel_tool_calls", request.parallel_tool_calls)
    return merged(body, native(request.extra, TO_GEMINI, warnings))


def _wants_signatures(model: str) -> bool:
    match = _GENERATION.search(model)
    return match is not None and int(match.group(1)[:4]) >= SIGNED_FROM


def _system(messages: tuple[Message, ...], warnings: Warnings) -> list[dict[str, Any]]:
    """All system texts, which Gemini takes in one place before the conversation."""
    parts: list[dict[str, Any]] = []
    begun = False
    for message in messages:
        if message.role != "system":
            begun = True
            continue
        if begun:
            warnings.changed("messages", "a system message inside the conversation is sent before it")
        parts.extend({"text": part.text} for part in message.parts if isinstance(part, Text) and part.text)
    return parts


def _declaration(tool: Tool, warnings: Warnings) -> dict[str, Any]:
    """JSON schema goes unchanged as `parametersJsonSchema`; `parameters` would take a subset of it only."""
    declaration: dict[str, Any] = {"name": tool.name}
    if tool.description:
        declaration["description"] = tool.description
    if tool.parameters:
        declaration["parametersJsonSchema"] = plain(tool.parameters)
    if tool.strict:
        warnings.dropped("tools.strict", tool.strict)
    return declaration


def _choice(choice: str) -> dict[str, Any]:
    if (mode := _MODES.get(choice)) is not None:
        return {"mode": mode}
    return {"mode": "ANY", "allowedFunctionNames": [choice]}


def _config(request: GenerationRequest, warnings: Warnings) -> dict[str, Any]:
    values: dict[str, Any] = {
        "temperature": request.temperature,
        "topP": request.top_p,
        "maxOutputTokens": request.max_tokens,
        "stopSequences": list(request.stop) or None,
        "seed": request.seed,
    }
    config = {name: value for name, value in values.items() if value is not None}
    if request.response_format is not None:
        config["responseMimeType"] = "application/json"
    if isinstance(request.response_format, JsonSchema):
        config["responseJsonSchema"] = plain(request.response_format.schema)
        warnings.dropped("response_format.description", request.response_format.description)
    if request.reasoning is not None:
        config["thinkingConfig"] = _thinking(request.reasoning, warnings)
    return config


def _thinking(reasoning: Reasoning, warnings: Warnings) -> dict[str, Any]:
    """A budget or a level, never both, which is an error; thoughts are shown where any are asked for."""
    if reasoning.budget_tokens is not None:
        warnings.dropped("reasoning.effort", reasoning.effort, "budget_tokens says it already; not sent")
        budget = reasoning.budget_tokens
        return {"thinkingBudget": budget, "includeThoughts": True} if budget else {"thinkingBudget": 0}
    if reasoning.effort == "none":
        return {"thinkingBudget": 0}
    if reasoning.effort is None:
        return {"includeThoughts": True}
    if reasoning.effort == "max":
        warnings.changed("reasoning.effort", "'max' is sent as 'xhigh', the highest level there is")
    return {"thinkingLevel": _LEVELS[reasoning.effort], "includeThoughts": True}


def plain(value: Any) -> Any:
    """Any mapping or sequence as the dicts and lists that JSON knows."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value
