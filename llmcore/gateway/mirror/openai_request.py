"""The body of a chat completion to a request: every documented field has a reader, unknown ones go on as `extra`.

Source: OpenAI's API reference (`CreateChatCompletionRequest`). A field at its default is not passed on, so that no
other vendor stumbles over it. What no answer of ours could hold (log probabilities) becomes a warning.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from attrs import define, field, frozen

from llmcore.gateway.mirror import read
from llmcore.gateway.mirror.base import Asked
from llmcore.gateway.mirror.lost import Lost
from llmcore.gateway.mirror.openai_tools import Tools
from llmcore.gateway.mirror.openai_turns import messages
from llmcore.types import EFFORTS, GenerationRequest, JsonSchema, Reasoning

MAX_STOPS = 64

OURS = frozenset({"api_key", "api_base", "base_url", "extra_headers", "headers", "api_version"})
"""Where a request goes and with which key is never the client's to say."""


@define
class Draft:
    """What has been read of one body so far."""

    fields: dict[str, Any] = field(factory=dict)
    extra: dict[str, Any] = field(factory=dict)
    lost: Lost = field(factory=Lost)
    tools: Tools | None = None
    reasoning: Reasoning | None = None
    stream: bool = False
    include_usage: bool = False

    def asked(self) -> Asked:
        fields = self.fields
        if "messages" not in fields:
            read.missing("messages")
        if self.tools is not None:
            fields.update(self.tools.fields())
        if self.reasoning is not None:
            fields["reasoning"] = self.reasoning
        if self.include_usage and not self.stream:
            self.lost.note("stream_options", "is for streams alone; not used")
        if self.extra:
            if "store" in self.extra and "metadata" in fields:  # kept with the stored answer, at the vendor's
                self.extra["metadata"] = {k: v for k, v in fields["metadata"].items() if k not in _KEPT}
            fields["extra"] = self.extra
        return Asked(
            GenerationRequest(**fields),
            self.stream,
            self.include_usage,
            warnings=self.lost.done(),
        )


def chat_request(body: Mapping[str, Any]) -> Asked:
    """Raises BadRequest with the path of the fault."""
    draft = Draft()
    for name, value in body.items():
        if value is not None:
            reader = _FIELDS.get(name)
            if reader is not None:
                reader(draft, value)
            else:
                _unknown(draft, name, value)
    return draft.asked()


def _unknown(draft: Draft, name: str, value: Any) -> None:
    if name in OURS:
        read.fail(name, "cannot be set by a request; it belongs to the settings of the gateway")
    draft.extra[name] = value


Reader: TypeAlias = Callable[[Draft, Any], None]

# ------------------------------------------------------------------------------------------- fields that we have


def _messages(draft: Draft, value: Any) -> None:
    draft.fields["messages"] = messages(value, draft.lost)


def _model(draft: Draft, value: Any) -> None:
    if not read.a_string(value, "model"):
        read.missing("model", "is empty; name a model, or leave it out for the default one")
    draft.fields["model"] = value


def _temperature(draft: Draft, value: Any) -> None:
    draft.fields["temperature"] = read.a_number(value, "temperature", low=0, high=2)


def _top_p(draft: Draft, value: Any) -> None:
    draft.fields["top_p"] = read.a_number(value, "top_p", low=0, high=1)


def _max_tokens(draft: Draft, value: Any) -> None:
    """The older name; the newer one wins."""
    draft.fields.setdefault("max_tokens", read.an_integer(value, "max_tokens", low=1))


def _max_completion_tokens(draft: Draft, value: Any) -> None:
    draft.fields["max_tokens"] = read.an_integer(value, "max_completion_tokens", low=1)


def _stop(draft: Draft, value: Any) -> None:
    draft.fields["stop"] = read.some_strings(value, "stop", most=MAX_STOPS)


def _seed(draft: Draft, value: Any) -> None:
    draft.fields["seed"] = read.an_integer(value, "seed")


def _stream(draft: Draft, value: Any) -> None:
    draft.stream = read.a_boolean(value, "stream")


_STREAM_OPTIONS = frozenset({"include_usage", "include_obfuscation"})
"""Padding against eavesdroppers is never sent, so it need not be left out."""


def _stream_options(draft: Draft, value: Any) -> None:
    options = read.an_object(value, "stream_options")
    draft.include_usage = read.boolean(options, "include_usage", "stream_options") or False
    draft.lost.others(options, _STREAM_OPTIONS, "stream_options")


def _n(draft: Draft, value: Any) -> None:
    if read.an_integer(value, "n", low=1) > 1:
        read.fail("n", "only 1 answer is given to a request; send the request n times", code="invalid_value")


def _tools(draft: Draft, value: Any) -> None:
    _tool_fields(draft).read_tools(value)


def _tool_choice(draft: Draft, value: Any) -> None:
    _tool_fields(draft).read_choice(value)


def _tool_fields(draft: Draft) -> Tools:
    if draft.tools is None:
        draft.tools = Tools(draft.lost)
    return draft.tools


def _parallel(draft: Draft, value: Any) -> None:
    draft.fields["parallel_tool_calls"] = read.a_boolean(value, "parallel_tool_calls")


def _old_functions(draft: Draft, value: Any) -> None:
    read.fail("functions", "functions and function_call are OpenAI's old form; use tools and tool_choice")


_FORMAT = frozenset({"type"})
_SCHEMA_FORMAT = _FORMAT | {"json_schema"}
_SCHEMA = frozenset({"name", "description", "schema", "strict"})


def _response_format(draft: Draft, value: Any) -> None:
    told, at = read.an_object(value, "response_format"), "response_format"
    kind = read.a_word(
        read.need_string(told, "type", at), f"{at}.type", ("text", "json_object", "json_schema")
    )
    draft.lost.others(told, _SCHEMA_FORMAT if kind == "json_schema" else _FORMAT, at)
    if kind == "json_object":
        draft.fields["response_format"] = "json"
    elif kind == "json_schema":
        told, at = read.need_obj(told, "json_schema", at), f"{at}.json_schema"
        draft.lost.others(told, _SCHEMA, at)
        draft.fields["response_format"] = JsonSchema(
            read.schema(read.need_obj(told, "schema", at), f"{at}.schema"),
            read.string(told, "name", at) or "answer",
            read.string(told, "description", at),
            read.boolean(told, "strict", at) or False,
        )


def _effort(draft: Draft, value: Any) -> None:
    budget = draft.reasoning.budget_tokens if draft.reasoning else None
    draft.reasoning = Reasoning(read.a_word(value, "reasoning_effort", EFFORTS), budget)


_KEPT = frozenset({"session", "user"})
"""Members of `metadata` that are for our side alone."""

_REASONING = frozenset({"effort", "max_tokens", "enabled"})


def _reasoning(draft: Draft, value: Any) -> None:
    """`{effort, max_tokens, enabled}` as routers of many vendors take it; `reasoning_effort` beside it wins.

    `enabled` alone is a medium effort. Source: OpenRouter's guide to reasoning tokens.
    """
    told, at = read.an_object(value, "reasoning"), "reasoning"
    effort = read.word(told, "effort", EFFORTS, at)
    budget = read.integer(told, "max_tokens", at, low=0)
    enabled = read.boolean(told, "enabled", at)
    if enabled is False:
        effort, budget = "none", None
    elif enabled and budget is None:
        effort = effort or "medium"
    draft.lost.others(told, _REASONING, at)
    said = draft.reasoning.effort if draft.reasoning else None
    draft.reasoning = Reasoning(said or effort, budget)


def _metadata(draft: Draft, value: Any) -> None:
    told = read.an_object(value, "metadata")
    read.string(told, "session", "metadata")
    draft.fields["metadata"] = {**draft.fields.get("metadata", {}), **told}


def _user(draft: Draft, value: Any) -> None:
    """Who asks, in the client's words: kept on our side, not told to vendors."""
    draft.fields["metadata"] = {"user": read.a_string(value, "user"), **draft.fields.get("metadata", {})}


# -------------------------------------------------------------------------------------- fields that only pass by


@frozen
class Passed:
    """A field that goes on as `extra`, checked for its type; nothing is passed on where it says the default."""

    name: str
    check: Callable[[object, str], object]
    default: Any = None

    def __call__(self, draft: Draft, value: Any) -> None:
        self.check(value, self.name)
        if value != self.default:
            draft.extra[self.name] = value


MAX_TOP_LOGPROBS = 20
NO_LOGPROBS = "log probabilities are not given; not sent"


def _log_probabilities(draft: Draft, value: Any) -> None:
    if read.a_boolean(value, "logprobs"):
        draft.lost.note("logprobs", NO_LOGPROBS)


def _top_log_probabilities(draft: Draft, value: Any) -> None:
    if read.an_integer(value, "top_logprobs", low=0, high=MAX_TOP_LOGPROBS):
        draft.lost.note("logprobs", NO_LOGPROBS)


def _penalty(value: object, param: str) -> float:
    return read.a_number(value, param, low=-2, high=2)


_PASSED = (
    Passed("frequency_penalty", _penalty, 0),
    Passed("presence_penalty", _penalty, 0),
    Passed("logit_bias", read.an_object, {}),
    Passed("modalities", read.a_list, ["text"]),
    Passed("service_tier", read.a_string, "auto"),
    Passed("store", read.a_boolean, False),
    *(
        Passed(name, read.an_object)
        for name in ("audio", "prediction", "web_search_options", "moderation", "prompt_cache_options")
    ),
    *(
        Passed(name, read.a_string)
        for name in ("verbosity", "prompt_cache_key", "prompt_cache_retention", "safety_identifier")
    ),
)

_FIELDS: dict[str, Reader] = {
    "messages": _messages,
    "model": _model,
    "temperature": _temperature,
    "top_p": _top_p,
    "max_tokens": _max_tokens,
    "max_completion_tokens": _max_completion_tokens,
    "stop": _stop,
    "seed": _seed,
    "stream": _stream,
    "stream_options": _stream_options,
    "n": _n,
    "tools": _tools,
    "tool_choice": _tool_choice,
    "parallel_tool_calls": _parallel,
    "functions": _old_functions,
    "function_call": _old_functions,
    "response_format": _response_format,
    "reasoning_effort": _effort,
    "reasoning": _reasoning,
    "metadata": _metadata,
    "user": _user,
    "logprobs": _log_probabilities,
    "top_logprobs": _top_log_probabilities,
    **{passed.name: passed for passed in _PASSED},
}
