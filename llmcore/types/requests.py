"""What is asked of a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from attrs import field, frozen

from llmcore.types.messages import CachePoint, Message, Text

Effort: TypeAlias = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]

EFFORTS: tuple[Effort, ...] = ("none", "minimal", "low", "medium", "high", "xhigh", "max")

EMPTY: Mapping[str, Any] = {}


@frozen
class Tool:
    """A function that the model may ask for; `parameters` is a JSON schema of type object.

    cache: the vendor may keep the tools up to this one (see `CachePoint`).
    """

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(factory=lambda: {"type": "object", "properties": {}})
    strict: bool | None = None
    cache: CachePoint | None = None


@frozen
class JsonSchema:
    """Ask for an answer that is JSON of this schema. `JsonSchema.of(cls)` derives it from a class."""

    schema: Mapping[str, Any]
    name: str = "answer"
    description: str | None = None
    strict: bool = True

    @classmethod
    def of(cls, target: type[Any], *, name: str | None = None) -> JsonSchema:
        """The schema of an attrs class, dataclass, TypedDict or any type that msgspec can describe."""
        from llmcore.schema import closed_schema

        return cls(closed_schema(target), name=name or str(getattr(target, "__name__", "answer")))


ResponseFormat: TypeAlias = Literal["json"] | JsonSchema
"""`"json"` asks for any JSON object; a `JsonSchema` for one of that shape."""


@frozen
class Reasoning:
    """How much the model shall think: an `effort` word, or a `budget_tokens` where the vendor counts.

    adaptive: the model says itself whether and how long it thinks (a mode of Anthropic's), as far as `effort` lets it.
    """

    effort: Effort | None = None
    budget_tokens: int | None = None
    adaptive: bool = False


def _as_messages(value: str | Message | Iterable[Message]) -> tuple[Message, ...]:
    if isinstance(value, str):
        return (Message("user", (Text(value),)),)
    if isinstance(value, Message):
        return (value,)
    return tuple(value)


def _as_reasoning(value: Reasoning | Effort | None) -> Reasoning | None:
    return Reasoning(effort=value) if isinstance(value, str) else value


def _as_format(value: ResponseFormat | type[Any] | Mapping[str, Any] | None) -> ResponseFormat | None:
    if value is None:
        return None
    if isinstance(value, type):
        return JsonSchema.of(value)
    if isinstance(value, Mapping):
        return JsonSchema(value)
    return value


def _as_tools(value: Iterable[Tool]) -> tuple[Tool, ...]:
    return tuple(value)


def _as_strings(value: str | Iterable[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


@frozen
class GenerationRequest:
    """One question to a model.

    model: the provider's own name, an alias from the configuration, "provider/model", or None (the `text_model`).
    tool_choice: "auto", "none", "required", or the name of one of `tools`.
    response_format: "json", a `JsonSchema`, a JSON schema as a mapping, or an attrs or dataclass type.
    reasoning: an effort word or a `Reasoning`.
    deadline: seconds that the whole call may take, all attempts and waits included.
    metadata: for people and policies on our side; not sent to vendors. `metadata["session"]` keeps a conversation with
    one provider.
    extra: the vendor's own fields, merged into the request body as they are.
    providers: only these of a manager's providers may answer; empty for all.
    checked: whether this very value has been found good; set by `llmcore.check`, so that it is looked at once.
    """

    messages: tuple[Message, ...] = field(converter=_as_messages)
    model: str | None = None
    tools: tuple[Tool, ...] = field(default=(), converter=_as_tools)
    tool_choice: str | None = None
    parallel_tool_calls: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = field(default=(), converter=_as_strings)
    seed: int | None = None
    response_format: ResponseFormat | None = field(default=None, converter=_as_format)
    reasoning: Reasoning | None = field(default=None, converter=_as_reasoning)
    deadline: float | None = None
    metadata: Mapping[str, Any] = EMPTY
    extra: Mapping[str, Any] = EMPTY
    providers: tuple[str, ...] = field(default=(), converter=_as_strings)
    checked: bool = field(default=False, init=False, eq=False, repr=False)


GenerationInput: TypeAlias = str | Message | Sequence[Message] | GenerationRequest


@frozen
class EmbeddingRequest:
    """Texts to be turned into vectors. `input_type` is "query" or "document" where the vendor tells them apart."""

    inputs: tuple[str, ...] = field(converter=_as_strings)
    model: str | None = None
    dimensions: int | None = None
    input_type: str | None = None
    deadline: float | None = None
    metadata: Mapping[str, Any] = EMPTY
    extra: Mapping[str, Any] = EMPTY
    providers: tuple[str, ...] = field(default=(), converter=_as_strings)


EmbeddingInput: TypeAlias = str | Sequence[str] | EmbeddingRequest
