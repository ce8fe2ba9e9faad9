"""The Anthropic Messages wire as served: `POST /v1/messages` and `POST /v1/messages/count_tokens`.

What is asked of a model is read strictly. What only Anthropic has (top_k, service tiers, containers, ...) no noun of
ours carries: it is left out, and the answer's warnings say so. Tools that Anthropic would run itself are refused, since
no other provider could. `metadata` stays here. Source: Anthropic's API reference and SDK 2.11.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from attrs import evolve, frozen

from llmcore.gateway.mirror import read
from llmcore.gateway.mirror.anthropic_blocks import Turns
from llmcore.gateway.mirror.anthropic_encode import has_form, message_of
from llmcore.gateway.mirror.anthropic_stream import AnthropicEvents
from llmcore.gateway.mirror.base import Asked, ErrorAnswer, Failure
from llmcore.gateway.mirror.caching import cache_control
from llmcore.gateway.mirror.errors import anthropic_error
from llmcore.gateway.mirror.lost import Lost, unsaid
from llmcore.gateway.mirror.strict import can_be_strict
from llmcore.types import (
    CachePoint,
    Effort,
    GenerationRequest,
    GenerationResponse,
    JsonSchema,
    Message,
    Reasoning,
    RequestWarning,
    Tool,
)

_KNOWN = frozenset(
    {
        *("model", "messages", "system", "max_tokens", "stream", "temperature", "top_p", "stop_sequences"),
        *("tools", "tool_choice", "thinking", "output_config", "output_format", "metadata", "cache_control"),
    }
)
_HERE_ONLY = (
    *("container", "context_management", "diagnostics", "inference_geo", "service_tier"),
    *("speed", "top_k", "user_profile_id", "workspace_id"),
)
_ALL = _KNOWN.union(_HERE_ONLY, ("mcp_servers",))
_TOOL = frozenset({"type", "name", "description", "input_schema", "strict", "cache_control"})
_TOOL_HERE_ONLY = ("allowed_callers", "defer_loading", "eager_input_streaming", "input_examples")
_TOOL_ALL = _TOOL.union(_TOOL_HERE_ONLY)
_CONFIG = frozenset({"effort", "format"})
_CHOICE = frozenset({"type", "name", "disable_parallel_tool_use"})
_METADATA = frozenset({"user_id"})
_FORMAT = frozenset({"type", "schema"})
_EMPTY: dict[str, Any] = {}

_EFFORTS: tuple[Effort, ...] = ("low", "medium", "high", "xhigh", "max")
Choice: TypeAlias = Literal["auto", "any", "tool", "none"]
_CHOICES: tuple[Choice, ...] = ("auto", "any", "tool", "none")
_THINKING = {
    "enabled": frozenset({"type", "display", "budget_tokens"}),
    "disabled": frozenset({"type"}),
    "adaptive": frozenset({"type", "display"}),
    "between_tools": frozenset({"type"}),
}
"""Each kind of thinking, with what is read of it."""


@frozen
class AnthropicMirror:
    """One instance serves every call."""

    name: str = "anthropic"

    def decode_request(self, body: Mapping[str, Any], /) -> Asked:
        lost = Lost()
        request = decode(body, lost)
        return Asked(request, stream=read.boolean(body, "stream") or False, warnings=lost.done())

    def encode_response(
        self,
        response: GenerationResponse,
        asked: Asked,
        /,
        *,
        id: str,  # noqa: A002 - the wire's own word
        created: int,
    ) -> dict[str, Any]:
        """`created` has no place in this wire."""
        model = response.model or asked.request.model or ""
        return message_of(response, id=message_id(id), model=model, stops=asked.request.stop)

    def left_out(self, response: GenerationResponse, /) -> tuple[RequestWarning, ...]:
        return unsaid(response.message, has_form)

    def event_encoder(
        self,
        asked: Asked,
        /,
        *,
        id: str,  # noqa: A002 - the wire's own word
        created: int,
    ) -> AnthropicEvents:
        return AnthropicEvents(message_id(id), asked.request.model or "", asked.request.stop)

    def encode_error(self, error: Failure, /, *, request_id: str) -> ErrorAnswer:
        return anthropic_error(error, request_id=request_id)


def message_id(id_: str) -> str:
    """The answer's id with the prefix that the wire's ids have."""
    return id_ if id_.startswith("msg_") else f"msg_{id_}"


def decode(body: Mapping[str, Any], lost: Lost, *, limited: bool = True) -> GenerationRequest:
    """The request in a body. limited: whether `max_tokens` must be there. Raises BadRequest."""
    if not _KNOWN.issuperset(body):
        _note_lost(body, lost)
    turns = Turns(lost)
    messages = turns.system(body["system"], "system") if body.get("system") is not None else []
    messages += turns.turns(body)
    _keep_all(messages, cache_control(body, "", lost))
    choice, parallel = _choice(read.obj(body, "tool_choice"), lost)
    config = read.obj(body, "output_config") or _EMPTY
    metadata = read.obj(body, "metadata") or _EMPTY
    user = read.string(metadata, "user_id", "metadata")
    lost.others(metadata, _METADATA, "metadata")
    max_tokens = (read.need_integer if limited else read.integer)(body, "max_tokens", low=1)
    return GenerationRequest(
        messages,
        model=read.string(body, "model") or None,
        tools=_tools(body, lost),
        tool_choice=choice,
        parallel_tool_calls=parallel,
        temperature=read.number(body, "temperature", low=0, high=1),
        top_p=read.number(body, "top_p", low=0, high=1),
        max_tokens=max_tokens,
        stop=read.strings(body, "stop_sequences") or (),
        response_format=_format(body, config, lost),
        reasoning=_reasoning(body, config, lost),
        metadata={"user": user} if user else _EMPTY,
    )


def _keep_all(messages: list[Message], point: CachePoint | None) -> None:
    """A mark on the whole request is one on the last block that can be kept."""
    if messages and point is not None and type(messages[-1].parts[-1]) is not CachePoint:
        messages[-1] = evolve(messages[-1], parts=(*messages[-1].parts, point))


def _note_lost(body: Mapping[str, Any], lost: Lost) -> None:
    if body.get("mcp_servers"):
        read.fail("mcp_servers", "is run by Anthropic alone; give the server's tools as tools of your own")
    if body.get("thread") is not None:  # the SDK's tool runner asks for one, and goes on without it
        read.fail(
            "thread",
            "would need a stored conversation, and nothing is stored here; send it whole as `messages`",
            code="thread_unsupported_request",
        )
    lost.given(body, _HERE_ONLY)
    lost.others(body, _ALL)


# ---------------------------------------------------------------------------------------------------------- tools


def _tools(body: Mapping[str, Any], lost: Lost) -> list[Tool]:
    return [_tool(tool, at, lost) for at, tool in read.objects(body, "tools", most=read.MAX_TOOLS)]


def _tool(tool: dict[str, Any], at: str, lost: Lost) -> Tool:
    kind = read.string(tool, "type", at)
    if kind not in {None, "custom"}:
        read.fail(
            f"{at}.type",
            f"{str(kind)[:80]!r} is a tool of Anthropic's own; only tools that you describe yourself (custom) are served",
        )
    lost.given(tool, _TOOL_HERE_ONLY, "tools")
    lost.others(tool, _TOOL_ALL, "tools")
    schema = read.schema(read.need_obj(tool, "input_schema", at), f"{at}.input_schema", top="object")
    return Tool(
        read.need_string(tool, "name", at),
        read.string(tool, "description", at) or "",
        schema,
        read.boolean(tool, "strict", at),
        cache_control(tool, at, lost),
    )


def _choice(given: dict[str, Any] | None, lost: Lost) -> tuple[str | None, bool | None]:
    """The choice in our words, and whether calls in parallel were forbidden."""
    if given is None:
        return None, None
    kind = read.word(given, "type", _CHOICES, "tool_choice")
    if kind is None:
        read.missing("tool_choice.type")
    lost.others(given, _CHOICE, "tool_choice")
    parallel = False if read.boolean(given, "disable_parallel_tool_use", "tool_choice") else None
    if kind == "tool":
        name = read.need_string(given, "name", "tool_choice")
        if name in {"auto", "none", "required"}:
            read.fail("tool_choice.name", f"a tool named {name!r} cannot be forced; give it another name")
        return name, parallel
    return ("required" if kind == "any" else kind), parallel


# ------------------------------------------------------------------------------------------------ thinking, output


def _reasoning(body: Mapping[str, Any], config: Mapping[str, Any], lost: Lost) -> Reasoning | None:
    """`thinking` and `output_config.effort` as one."""
    effort = read.word(config, "effort", _EFFORTS, "output_config")
    thinking = read.obj(body, "thinking")
    kind = None if thinking is None else read.word(thinking, "type", _THINKING, "thinking")
    if thinking is None:
        return None if effort is None else Reasoning(effort)
    if kind is None:
        read.missing("thinking.type")
    lost.given(thinking, ("display",), "thinking")
    lost.others(thinking, _THINKING[kind], "thinking")
    if kind == "disabled":
        if effort is not None:
            lost.note("output_config.effort", "has no effect beside thinking that is disabled; not sent")
        return Reasoning("none")
    if kind == "enabled":
        return Reasoning(effort, read.need_integer(thinking, "budget_tokens", "thinking", low=1024))
    if kind == "adaptive":
        return Reasoning(effort, adaptive=True)
    lost.note("thinking.type", f"{kind} is left to the model's own default; output_config.effort says more")
    return None if effort is None else Reasoning(effort)


def _format(body: Mapping[str, Any], config: Mapping[str, Any], lost: Lost) -> JsonSchema | None:
    lost.others(config, _CONFIG, "output_config")
    given, at = read.obj(config, "format", "output_config"), "output_config.format"
    if given is None:
        given, at = read.obj(body, "output_format"), "output_format"
    if given is None:
        return None
    if (kind := read.need_string(given, "type", at)) != "json_schema":
        read.not_one_of(kind, f"{at}.type", ("json_schema",))
    lost.others(given, _FORMAT, at)
    schema = read.need_obj(given, "schema", at)
    return JsonSchema(schema, strict=can_be_strict(schema))
