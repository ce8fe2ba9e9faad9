"""The OpenAI Responses wire as served: `POST /v1/responses`. Nothing is stored, so each request brings its whole history.

What needs a stored answer (`previous_response_id`, `conversation`, `background`, `prompt`) and tools that OpenAI runs
itself are refused with a sentence; `store: true` is answered without storing, and a warning says so. Tiers and hints for
caches go on to those who know them; what else no noun of ours carries is left out with a warning.
Source: the OpenAI OpenAPI specification 2.3 (`CreateResponse`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import frozen

from llmcore.gateway.mirror import read
from llmcore.gateway.mirror.base import Asked, ErrorAnswer, Failure
from llmcore.gateway.mirror.caching import cache_mark
from llmcore.gateway.mirror.errors import openai_error
from llmcore.gateway.mirror.lost import Lost, unsaid
from llmcore.gateway.mirror.responses_encode import has_form, whole_response
from llmcore.gateway.mirror.responses_items import Items
from llmcore.gateway.mirror.responses_stream import ResponsesEvents
from llmcore.types import (
    EFFORTS,
    GenerationRequest,
    GenerationResponse,
    JsonSchema,
    Message,
    Reasoning,
    RequestWarning,
    ResponseFormat,
    Tool,
)

_REFUSED = {
    "previous_response_id": "names an answer that is not stored here; send the whole conversation as `input`",
    "conversation": "names a conversation that is not stored here; send it whole as `input`",
    "prompt": "names a stored prompt, and nothing is stored here; send its text as `instructions` and `input`",
    "background": "would need a stored answer; wait for it, or stream it",
}
_ECHOED = frozenset(
    {
        *(
            "instructions",
            "temperature",
            "top_p",
            "max_output_tokens",
            "reasoning",
            "text",
            "metadata",
            "user",
        ),
        *("truncation", "safety_identifier", "prompt_cache_key", "max_tool_calls", "tools", "tool_choice"),
        "parallel_tool_calls",
    }
)
"""What an answer repeats of its request."""

_KNOWN = frozenset(
    {
        *("model", "input", "instructions", "tools", "tool_choice", "parallel_tool_calls", "temperature"),
        *("top_p", "max_output_tokens", "text", "reasoning", "metadata", "user", "store", "truncation"),
        *("include", "stream", "stream_options", "max_tool_calls", *_REFUSED),
    }
)
_HERE_ONLY = ("context_management", "moderation")
_PASSED: dict[str, Callable[[object, str], object]] = {
    "prompt_cache_key": read.a_string,
    "prompt_cache_options": read.an_object,
    "prompt_cache_retention": read.a_string,
    "safety_identifier": read.a_string,
    "service_tier": read.a_string,
}
"""What goes on as `extra`: chat completions have the same fields, and other dialects say that they do not."""

_PASSING = frozenset({*_PASSED, "text"})
_PLAIN = _KNOWN.difference(_REFUSED, ("store", "truncation", "include", "stream_options"))
_ALL = _KNOWN.union(_HERE_ONLY, _PASSED, ("top_logprobs",))
_TOOL = frozenset(
    {"type", "name", "description", "parameters", "strict", "cache_control", "prompt_cache_breakpoint"}
)
_TEXT = frozenset({"format", "verbosity"})
_FORMAT = frozenset({"type"})
_SCHEMA = frozenset({"type", "name", "description", "schema", "strict"})
_STREAM_OPTIONS = frozenset({"include_obfuscation"})
_SEALED = "reasoning.encrypted_content"
_CHOICES = ("auto", "none", "required")
_EMPTY: Mapping[str, Any] = {}


@frozen
class ResponsesMirror:
    """One instance serves every call."""

    name: str = "responses"

    def decode_request(self, body: Mapping[str, Any], /) -> Asked:
        lost = Lost()
        if not _PLAIN.issuperset(body):
            _note_lost(body, lost)
        request = _request(body, lost)
        echo = {key: value for key, value in body.items() if key in _ECHOED and value is not None}
        return Asked(request, read.boolean(body, "stream") or False, echo=echo, warnings=lost.done())

    def encode_response(
        self,
        response: GenerationResponse,
        asked: Asked,
        /,
        *,
        id: str,  # noqa: A002 - the wire's own word
        created: int,
    ) -> dict[str, Any]:
        return whole_response(response, asked, response_id(id), created)

    def left_out(self, response: GenerationResponse, /) -> tuple[RequestWarning, ...]:
        return unsaid(response.message, has_form)

    def event_encoder(
        self,
        asked: Asked,
        /,
        *,
        id: str,  # noqa: A002 - the wire's own word
        created: int,
    ) -> ResponsesEvents:
        return ResponsesEvents(asked, response_id(id), created)

    def encode_error(self, error: Failure, /, *, request_id: str) -> ErrorAnswer:
        answer = openai_error(error, request_id=request_id)
        _say_as_asked(answer.body["error"])
        return answer


_NAMES = {"messages": "input", "max_tokens": "max_output_tokens", "response_format": "text.format"}
"""Fields of our requests that clients of this wire know under another name."""


def _say_as_asked(told: dict[str, Any]) -> None:
    """A fault that was found behind the mirror names its field as the client does. Items and messages are counted apart."""
    param = told["param"] or ""
    head = next(
        (name for name in _NAMES if param == name or param.startswith((f"{name}.", f"{name}["))), None
    )
    if head is None:
        return
    told["param"] = _NAMES[head] if head == "messages" else _NAMES[head] + param[len(head) :]
    if told["message"].startswith(f"{param}: "):
        told["message"] = told["param"] + told["message"][len(param) :]


def response_id(id_: str) -> str:
    """The answer's id with the prefix that the wire's ids have."""
    return id_ if id_.startswith("resp_") else f"resp_{id_}"


def _note_lost(body: Mapping[str, Any], lost: Lost) -> None:
    for key, sentence in _REFUSED.items():
        if body.get(key):
            read.fail(key, sentence, code="unsupported_parameter")
    if read.boolean(body, "store"):
        lost.note("store", "nothing is stored here")
    if read.word(body, "truncation", ("auto", "disabled")) == "auto":
        lost.note("truncation", "nothing is cut here; a conversation that is too long is an error")
    if any(word != _SEALED for word in read.strings(body, "include") or ()):
        lost.note("include", f"only {_SEALED} is given, and always")
    if read.integer(body, "top_logprobs", low=0):
        lost.note("top_logprobs")
    lost.others(read.obj(body, "stream_options") or _EMPTY, _STREAM_OPTIONS, "stream_options")
    lost.given(body, _HERE_ONLY)
    lost.others(body, _ALL)


def _request(body: Mapping[str, Any], lost: Lost) -> GenerationRequest:
    instructions = read.string(body, "instructions")
    read.integer(body, "max_tool_calls", low=1)  # of OpenAI's own tools, of which there are none here
    messages = [Message.system(instructions)] if instructions else []
    messages += Items(lost).read(body.get("input"))
    tools = [_tool(tool, at, lost) for at, tool in read.objects(body, "tools", most=read.MAX_TOOLS)]
    tools, choice = _chosen(body.get("tool_choice"), tools)
    return GenerationRequest(
        messages,
        model=read.string(body, "model") or None,
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=read.boolean(body, "parallel_tool_calls"),
        temperature=read.number(body, "temperature", low=0, high=2),
        top_p=read.number(body, "top_p", low=0, high=1),
        max_tokens=read.integer(body, "max_output_tokens", low=1),
        response_format=_format(read.obj(body, "text") or _EMPTY, lost),
        reasoning=_reasoning(read.obj(body, "reasoning") or _EMPTY, lost),
        metadata=_metadata(body),
        extra=_EMPTY if _PASSING.isdisjoint(body) else _passed(body),
    )


def _passed(body: Mapping[str, Any]) -> dict[str, Any]:
    found = {key: body[key] for key in _PASSED if body.get(key) not in (None, "auto")}
    for key, value in found.items():
        _PASSED[key](value, key)
    verbosity = read.string(read.obj(body, "text") or _EMPTY, "verbosity", "text")
    if verbosity not in (None, "medium"):
        found["verbosity"] = verbosity
    return found


def _metadata(body: Mapping[str, Any]) -> dict[str, str]:
    """Texts for our side alone; `session` keeps a conversation with one provider."""
    given = read.obj(body, "metadata") or _EMPTY
    told = {key: read.a_string(value, f"metadata.{key[:60]}") for key, value in given.items()}
    user = read.string(body, "user")
    return told if user is None else {"user": user, **told}


# ---------------------------------------------------------------------------------------------------------- tools


def _tool(tool: dict[str, Any], at: str, lost: Lost) -> Tool:
    if (kind := read.need_string(tool, "type", at)) != "function":
        read.fail(
            f"{at}.type",
            f"{kind[:80]!r} is a tool of OpenAI's own; only tools of the type function are served",
            code="unsupported_parameter",
        )
    lost.others(tool, _TOOL, "tools[]")
    cache = cache_mark(tool, at, lost)
    name, description = read.need_string(tool, "name", at), read.string(tool, "description", at) or ""
    strict, schema = read.boolean(tool, "strict", at), read.obj(tool, "parameters", at)
    if schema is None:
        return Tool(name, description, strict=strict, cache=cache)
    return Tool(name, description, read.schema(schema, f"{at}.parameters", top="object"), strict, cache)


def _chosen(choice: object, tools: list[Tool]) -> tuple[list[Tool], str | None]:
    """The tools that may be called, and the choice among them. `allowed_tools` leaves only those that it names."""
    if choice is None:
        return tools, None
    if type(choice) is str:
        return tools, read.a_word(choice, "tool_choice", _CHOICES)
    given = read.an_object(choice, "tool_choice") if type(choice) is dict else None
    if given is None:
        read.wrong(choice, "tool_choice", "a string or an object")
    match read.need_string(given, "type", "tool_choice"):
        case "function":
            return tools, _function_name(given, "tool_choice")
        case "allowed_tools":
            mode = read.word(given, "mode", ("auto", "required"), "tool_choice") or "auto"
            named = {_function_name(tool, at) for at, tool in read.objects(given, "tools", "tool_choice")}
            if unknown := named.difference(tool.name for tool in tools):
                read.fail("tool_choice.tools", f"{min(unknown)[:80]!r} is not one of the tools")
            return [tool for tool in tools if tool.name in named], mode
        case other:
            return read.not_one_of(other, "tool_choice.type", ("function", "allowed_tools"))


def _function_name(value: dict[str, Any], at: str) -> str:
    name = read.need_string(value, "name", at)
    if name in _CHOICES:
        read.fail(f"{at}.name", f"a tool named {name!r} cannot be chosen by its name; give it another one")
    return name


# -------------------------------------------------------------------------------------------------- answer, thought


def _format(text: Mapping[str, Any], lost: Lost) -> ResponseFormat | None:
    lost.others(text, _TEXT, "text")
    given, at = read.obj(text, "format", "text"), "text.format"
    if given is None:
        return None
    kind = read.need_string(given, "type", at)
    lost.others(given, _SCHEMA if kind == "json_schema" else _FORMAT, at)
    match kind:
        case "text":
            return None
        case "json_object":
            return "json"
        case "json_schema":
            return JsonSchema(
                read.schema(read.need_obj(given, "schema", at), f"{at}.schema"),
                read.need_string(given, "name", at),
                read.string(given, "description", at),
                read.boolean(given, "strict", at) or False,
            )
        case other:
            return read.not_one_of(other, f"{at}.type", ("text", "json_object", "json_schema"))


def _reasoning(given: Mapping[str, Any], lost: Lost) -> Reasoning | None:
    effort = read.word(given, "effort", EFFORTS, "reasoning")
    lost.given(given, [key for key in given if key != "effort"], "reasoning")
    return None if effort is None else Reasoning(effort)
