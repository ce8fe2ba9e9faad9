"""OpenAI Responses as OpenAI understands it: items in, items out, events with names and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from attrs import evolve

from llmcore.sim.dialects.base import Ask, Fields, arguments_of
from llmcore.sim.dialects.openai import BASE, EFFORTS, media_of_url
from llmcore.sim.dialects.responses_answer import ResponsesAnswers
from llmcore.sim.values import (
    ApiError,
    Call,
    Media,
    Operation,
    Other,
    Part,
    Refusal,
    Result,
    Text,
    Thinking,
    ToolSpec,
    Turn,
    Understood,
)

_UNREAD = [
    "store",
    "metadata",
    "user",
    "truncation",
    "background",
    "conversation",
    "context_management",
    "max_tool_calls",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "top_logprobs",
    "stream_options",
    "moderation",
    "prompt",
]


class ResponsesDialect(ResponsesAnswers):
    """`POST /responses`."""

    routes: ClassVar[Sequence[tuple[str, str, Operation]]] = (("POST", BASE + r"/responses", "generate"),)

    def readers(self) -> dict[Any, Any]:
        return {"generate": self.read_generate}

    def read_generate(self, ask: Ask, named: dict[str, str]) -> Understood:
        body = ask.json()
        if previous := body.text("previous_response_id"):
            raise ApiError("not_found", f"Previous response with id '{previous}' not found.", status=400)
        thinking, effort, show = _reasoning(body)
        limit = body.integer("max_output_tokens")
        if limit is not None and limit < 16:
            raise ApiError(
                "invalid", "Invalid 'max_output_tokens': must be at least 16.", param="max_output_tokens"
            )
        asked = Understood(
            dialect=self.name,
            model=str(body.need("model")),
            stream=bool(body.flag("stream")),
            turns=(*_instructions(body), *_input(body)),
            tools=tuple(_tool(tool) for tool in body.objects("tools")),
            tool_choice=_tool_choice(body),
            parallel_tool_calls=body.flag("parallel_tool_calls"),
            temperature=body.number("temperature", 0, 2),
            top_p=body.number("top_p", 0, 1),
            max_tokens=limit,
            effort=effort,
            thinking=thinking,
            show_thinking=show,
            seal_thinking="reasoning.encrypted_content" in body.strings("include"),
        )
        asked = _with_format(asked, body.object("text"))
        body.ignore(*_UNREAD)
        if unknown := body.unknown():
            raise ApiError("invalid", f"Unknown parameter: '{unknown[0]}'.", param=unknown[0])
        return asked


def _reasoning(body: Fields) -> tuple[bool, str | None, bool]:
    """Whether to think, the effort, whether a summary is shown."""
    reasoning = body.object("reasoning")
    if reasoning is None:
        return False, None, False
    effort = reasoning.word("effort", *EFFORTS)
    show = reasoning.word("summary", "auto", "concise", "detailed") is not None
    reasoning.ignore("context", "mode", "generate_summary")
    if unknown := reasoning.unknown():
        raise ApiError("invalid", f"Unknown parameter: 'reasoning.{unknown[0]}'.")
    return effort != "none", effort, show


def _with_format(asked: Understood, text: Fields | None) -> Understood:
    wanted = text.object("format") if text is not None else None
    if text is not None:
        text.ignore("verbosity")
        if unknown := text.unknown():
            raise ApiError("invalid", f"Unknown parameter: 'text.{unknown[0]}'.")
    if wanted is None:
        return asked
    match wanted.word("type", "text", "json_object", "json_schema"):
        case "json_schema":
            name, strict = str(wanted.need("name")), wanted.flag("strict")
            return evolve(asked, format=wanted.need("schema"), format_name=name, format_strict=strict)
        case "json_object":
            return evolve(asked, format="json")
        case _:
            return asked


def _tool(tool: Fields) -> ToolSpec:
    if (kind := str(tool.need("type"))) != "function":
        return ToolSpec(kind)
    if "function" in tool:
        raise ApiError("invalid", f"Missing required parameter: '{tool.path}.name'.")
    name = str(tool.need("name"))
    return ToolSpec(name, tool.text("description") or "", tool.any("parameters"), tool.flag("strict"))


def _tool_choice(body: Fields) -> str | None:
    choice = body.any("tool_choice")
    if choice is None or isinstance(choice, str):
        return body.word("tool_choice", "none", "auto", "required")
    named = Fields(choice, "tool_choice")
    return str(named.need("name")) if named.need("type") == "function" else "auto"


def _instructions(body: Fields) -> tuple[Turn, ...]:
    text = body.text("instructions")
    return (Turn("system", (Text(text),)),) if text else ()


def _input(body: Fields) -> list[Turn]:
    value = body.need("input")
    if isinstance(value, str):
        return [Turn("user", (Text(value),))]
    turns: list[Turn] = []
    for item in body.objects("input"):
        turn = _item(item)
        if turns and turn.role == "assistant" and turns[-1].role == "assistant":
            turns[-1] = evolve(turns[-1], parts=(*turns[-1].parts, *turn.parts))
        else:
            turns.append(turn)
    return turns


def _item(item: Fields) -> Turn:
    match item.text("type") or "message":
        case "message":
            role = item.word("role", "user", "assistant", "system", "developer")
            if role in {"system", "developer"}:
                return Turn("system", tuple(_content(item)))
            return Turn("assistant" if role == "assistant" else "user", tuple(_content(item)))
        case "function_call":
            arguments = arguments_of(str(item.need("arguments")))
            return Turn("assistant", (Call(str(item.need("call_id")), str(item.need("name")), arguments),))
        case "function_call_output":
            return Turn("tool", (Result(str(item.need("call_id")), tuple(_output(item))),))
        case "reasoning":
            return Turn("assistant", (_thinking(item),))
        case kind:
            return Turn("assistant", (Other(kind),))


def _thinking(item: Fields) -> Thinking:
    item.need("id")
    if not isinstance(item.any("summary"), list):
        raise ApiError("invalid", f"Missing required parameter: '{item.path}.summary'.")
    text = "".join(str(Fields(piece, item.path).any("text") or "") for piece in item.items("summary"))
    return Thinking(text, item.text("encrypted_content"), redacted=not text)


def _content(item: Fields) -> list[Part]:
    value = item.need("content")
    if isinstance(value, str):
        return [Text(value)] if value else []
    return [_part(part, item.text("role") or "") for part in item.objects("content")]


def _part(part: Fields, role: str) -> Part:
    kind = str(part.need("type"))
    wrong = {"input_text", "input_image", "input_file"} if role == "assistant" else {"output_text", "refusal"}
    if kind in wrong:
        raise ApiError("invalid", f"Invalid value: '{kind}' in a message of role '{role}'.", param=part.path)
    match kind:
        case "input_text" | "output_text":
            return Text(str(part.need("text")))
        case "refusal":
            return Refusal(str(part.need("refusal")))
        case "input_image":
            detail = part.word("detail", "auto", "low", "high", "original")
            if file_id := part.text("file_id"):
                return Media("image", file_id=file_id, detail=detail)
            return media_of_url("image", str(part.need("image_url")), detail=detail)
        case "input_file":
            if file_id := part.text("file_id"):
                return Media("file", file_id=file_id)
            if url := part.text("file_url"):
                return Media("file", url=url)
            return media_of_url("file", str(part.need("file_data")), filename=part.text("filename"))
        case _:
            raise ApiError("invalid", f"Invalid value: '{kind}'.", param=f"{part.path}.type")


def _output(item: Fields) -> list[Text | Media]:
    value = item.need("output")
    if isinstance(value, str):
        return [Text(value)] if value else []
    parts = [_part(part, "user") for part in item.objects("output")]
    return [part for part in parts if isinstance(part, (Text, Media))]
