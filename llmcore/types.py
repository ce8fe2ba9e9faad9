"""The nouns: messages and their parts, requests, responses, events, usage, embeddings, models, stats.

Everything is frozen. `None` means "unknown" or "unset", never 0. Vendors' own words are kept beside ours
(`raw_finish_reason`, `raw`), so that nothing a vendor said is lost.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

from attrs import field, frozen
from attrs.validators import deep_iterable, instance_of

T = TypeVar("T")

Role: TypeAlias = Literal["system", "user", "assistant", "tool"]
FinishReason: TypeAlias = Literal[
    "stop", "length", "tool_calls", "content_filter", "refusal", "pause", "error", "cancelled", "unknown"
]
Effort: TypeAlias = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]

EFFORTS: tuple[Effort, ...] = ("none", "minimal", "low", "medium", "high", "xhigh", "max")

_EMPTY: Mapping[str, Any] = {}


# ---------------------------------------------------------------------------------------------------- parts


@frozen
class Text:
    """Plain text. `signature` is a vendor's opaque mark that must go back with it (Gemini)."""

    text: str
    signature: str | None = None
    origin: str | None = None


@frozen
class Refusal:
    """The model's own words of refusal; not part of `.text`."""

    text: str


@frozen
class Image:
    """An image by `url` (https or data URI) or by `data` (bytes, with its `media_type`), exactly one of them."""

    url: str | None = None
    data: bytes | None = field(default=None, repr=False)
    media_type: str | None = None
    detail: Literal["auto", "low", "high", "original"] | None = None

    def __attrs_post_init__(self) -> None:
        _exactly_one("Image", url=self.url, data=self.data)

    @classmethod
    def from_path(cls, path: str | Path) -> Image:
        return cls(data=Path(path).read_bytes(), media_type=_guess_media_type(path))


@frozen
class File:
    """A document by `data` (bytes), by `url`, or by the vendor's `file_id`, exactly one of them."""

    data: bytes | None = field(default=None, repr=False)
    url: str | None = None
    file_id: str | None = None
    media_type: str | None = None
    filename: str | None = None

    def __attrs_post_init__(self) -> None:
        _exactly_one("File", data=self.data, url=self.url, file_id=self.file_id)

    @classmethod
    def from_path(cls, path: str | Path) -> File:
        path = Path(path)
        return cls(data=path.read_bytes(), media_type=_guess_media_type(path), filename=path.name)


@frozen
class Audio:
    """Recorded sound as bytes; `media_type` such as "audio/wav" or "audio/mpeg"."""

    data: bytes = field(repr=False)
    media_type: str


@frozen
class Thinking:
    """Reasoning that the model showed, or its sealed form.

    `signature` and `raw` are opaque and go back unchanged to the dialect named in `origin`, to no other.
    `redacted` means that the text was withheld and only the sealed form exists.
    """

    text: str = ""
    signature: str | None = None
    redacted: bool = False
    raw: Any = field(default=None, repr=False)
    origin: str | None = None


@frozen
class ToolCall:
    """The model wants `name` to be run with `arguments` (JSON text, exactly as the vendor sent it; "" means {})."""

    id: str
    name: str
    arguments: str = "{}"
    signature: str | None = None
    origin: str | None = None

    @property
    def input(self) -> dict[str, Any]:
        """The arguments as a dict. Raises ValueError where the model wrote something else (see `parse_error`)."""
        value = json.loads(self.arguments) if self.arguments.strip() else {}
        if not isinstance(value, dict):
            msg = f"arguments of {self.name!r} are a JSON {type(value).__name__}, not an object"
            raise ValueError(msg)
        return value

    @property
    def parse_error(self) -> str | None:
        """Why `arguments` is not a JSON object, or None where it is one."""
        try:
            self.input  # noqa: B018 - evaluated for its error
        except (ValueError, RecursionError) as exc:
            return str(exc) or type(exc).__name__
        return None


def _as_content(value: str | Iterable[Text | Image | File]) -> str | tuple[Text | Image | File, ...]:
    return value if isinstance(value, str) else tuple(value)


@frozen
class ToolResult:
    """What running a tool gave: text, or parts where the vendor takes them (images)."""

    call_id: str
    content: str | tuple[Text | Image | File, ...] = field(converter=_as_content)
    name: str | None = None
    is_error: bool = False

    @property
    def text(self) -> str:
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content if isinstance(part, Text))


@frozen
class Opaque:
    """A block that only its own vendor understands (hosted tools, citations); goes back to `origin` as it came."""

    raw: Any
    origin: str


Part: TypeAlias = Text | Refusal | Image | File | Audio | Thinking | ToolCall | ToolResult | Opaque
PART_TYPES = (Text, Refusal, Image, File, Audio, Thinking, ToolCall, ToolResult, Opaque)


def _as_parts(value: str | Part | Iterable[str | Part]) -> tuple[Part, ...]:
    if isinstance(value, str):
        return (Text(value),)
    if isinstance(value, PART_TYPES):
        return (value,)
    if isinstance(value, (bytes, Mapping)):
        msg = f"a message part must be text or a part such as Text or Image, not {type(value).__name__}"
        raise TypeError(msg)
    return tuple(Text(item) if isinstance(item, str) else item for item in value)


@frozen
class Message:
    """One turn of a conversation."""

    role: Role
    parts: tuple[Part, ...] = field(converter=_as_parts, validator=deep_iterable(instance_of(PART_TYPES)))
    name: str | None = None

    @classmethod
    def system(cls, *parts: str | Part) -> Message:
        return cls("system", parts)

    @classmethod
    def user(cls, *parts: str | Part) -> Message:
        return cls("user", parts)

    @classmethod
    def assistant(cls, *parts: str | Part) -> Message:
        return cls("assistant", parts)

    @classmethod
    def tool(
        cls,
        call_id: str,
        content: str | Iterable[Text | Image | File],
        *,
        name: str | None = None,
        is_error: bool = False,
    ) -> Message:
        """The result of one tool call; `name` is the tool's (some vendors match by it)."""
        return cls("tool", (ToolResult(call_id, content, name, is_error),))

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts if type(part) is Text)

    @property
    def thinking(self) -> str:
        return "".join(part.text for part in self.parts if type(part) is Thinking)

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        return tuple(part for part in self.parts if type(part) is ToolCall)


# ------------------------------------------------------------------------------------------------- requests


@frozen
class Tool:
    """A function that the model may ask for; `parameters` is a JSON schema of type object."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(factory=lambda: {"type": "object", "properties": {}})
    strict: bool | None = None


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
        import msgspec

        try:
            (schema,), definitions = msgspec.json.schema_components([target], ref_template="#/$defs/{name}")
        except (TypeError, NameError) as exc:
            msg = f"no JSON schema can be derived from {target!r}: {exc}"
            raise TypeError(msg) from exc
        name = name or str(getattr(target, "__name__", "answer"))
        reference = schema.get("$ref", "")
        root = (
            definitions.pop(reference.removeprefix("#/$defs/"), None)
            if not _refers_to(definitions, reference)
            else None
        )
        whole = dict(root if root is not None else schema)
        if definitions:
            whole["$defs"] = definitions
        return cls(_closed(whole), name=name)


ResponseFormat: TypeAlias = Literal["json"] | JsonSchema
"""`"json"` asks for any JSON object; a `JsonSchema` for one of that shape."""


@frozen
class Reasoning:
    """How much the model shall think: an `effort` word, or a `budget_tokens` where the vendor counts."""

    effort: Effort | None = None
    budget_tokens: int | None = None


def _as_messages(value: str | Message | Iterable[Message]) -> tuple[Message, ...]:
    if isinstance(value, str):
        return (Message.user(value),)
    if isinstance(value, Message):
        return (value,)
    return tuple(value)


def _as_reasoning(value: Reasoning | Effort | None) -> Reasoning | None:
    return Reasoning(effort=value) if isinstance(value, str) else value


def _as_format(value: ResponseFormat | type[Any] | Mapping[str, Any] | None) -> ResponseFormat | None:
    if isinstance(value, type):
        return JsonSchema.of(value)
    if isinstance(value, Mapping):
        return JsonSchema(value)
    return value


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
    metadata: for people and policies on our side; not sent to vendors.
    extra: the vendor's own fields, merged into the request body as they are.
    """

    messages: tuple[Message, ...] = field(converter=_as_messages)
    model: str | None = None
    tools: tuple[Tool, ...] = field(default=(), converter=tuple[Tool, ...])
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
    metadata: Mapping[str, Any] = _EMPTY
    extra: Mapping[str, Any] = _EMPTY


GenerationInput: TypeAlias = str | Message | Sequence[Message] | GenerationRequest


@frozen
class EmbeddingRequest:
    """Texts to be turned into vectors. `input_type` is "query" or "document" where the vendor tells them apart."""

    inputs: tuple[str, ...] = field(converter=_as_strings)
    model: str | None = None
    dimensions: int | None = None
    input_type: str | None = None
    deadline: float | None = None
    metadata: Mapping[str, Any] = _EMPTY
    extra: Mapping[str, Any] = _EMPTY


EmbeddingInput: TypeAlias = str | Sequence[str] | EmbeddingRequest


# ------------------------------------------------------------------------------------------------ responses


@frozen
class Usage:
    """Tokens, as the vendor counted them; None where it did not say.

    `input_tokens` is everything the model read (cached included), `output_tokens` everything it produced
    (reasoning included); the other three are parts of those. `cost_usd` is the vendor's own figure, or ours
    where prices are known.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost_usd: Decimal | None = None
    raw: Any = field(default=None, repr=False, eq=False)

    @property
    def total_tokens(self) -> int | None:
        """Input plus output, recomputed (vendors' totals are not always that); None where either is unknown."""
        if self.input_tokens is None or self.output_tokens is None:
            return None
        return self.input_tokens + self.output_tokens

    def __add__(self, other: Usage) -> Usage:
        """The sum; a figure that only one side knows counts as that side's."""
        return Usage(
            _sum(self.input_tokens, other.input_tokens),
            _sum(self.output_tokens, other.output_tokens),
            _sum(self.cached_tokens, other.cached_tokens),
            _sum(self.cache_write_tokens, other.cache_write_tokens),
            _sum(self.reasoning_tokens, other.reasoning_tokens),
            _sum(self.cost_usd, other.cost_usd),
        )


@frozen
class RequestWarning:
    """A parameter that this provider could not take, and what became of it."""

    parameter: str
    message: str

    def __str__(self) -> str:
        return f"{self.parameter}: {self.message}"


@frozen
class Attempt:
    """One HTTP request on behalf of a call: who was asked, and what came of it.

    `outcome` is "success", "cancelled" or the name of an error class; `status` the HTTP status where one came;
    `duration_s` in seconds from dispatch to outcome (for a stream: to its end); `started_s` seconds after the
    call began; `wait_s` the pause that was taken before it.
    """

    provider: str
    model: str | None
    outcome: str
    status: int | None = None
    duration_s: float | None = None
    started_s: float | None = None
    wait_s: float = 0.0


@frozen
class GenerationResponse:
    """One answer. `text` and `tool_calls` are views of `message`; `raw` is the vendor's body, decoded."""

    message: Message
    finish_reason: FinishReason = "unknown"
    raw_finish_reason: str | None = None
    usage: Usage = Usage()
    model: str | None = None
    provider: str | None = None
    id: str | None = None
    request_id: str | None = None
    attempts: tuple[Attempt, ...] = ()
    warnings: tuple[RequestWarning, ...] = ()
    raw: Any = field(default=None, repr=False, eq=False)

    @property
    def text(self) -> str:
        return self.message.text

    @property
    def thinking(self) -> str:
        return self.message.thinking

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        return self.message.tool_calls

    @property
    def refusal(self) -> str | None:
        """The model's words of refusal, or None."""
        return "".join(part.text for part in self.message.parts if type(part) is Refusal) or None

    def parsed(self, cls: type[T]) -> T:
        """The answer's JSON as `cls` (attrs, dataclass, or any type cattrs can structure).

        Raises ValueError with the path of every mismatch, or where the text is no JSON.
        """
        import cattrs

        value = json.loads(_strip_fence(self.text))
        try:
            return cattrs.Converter(forbid_extra_keys=False).structure(value, cls)
        except (cattrs.BaseValidationError, TypeError, ValueError, KeyError) as exc:
            details = (
                "; ".join(cattrs.transform_error(exc))
                if isinstance(exc, cattrs.BaseValidationError)
                else str(exc)
            )
            msg = f"the answer does not fit {cls.__name__}: {details}"
            raise ValueError(msg) from exc


@frozen
class EmbeddingResponse:
    """Vectors in the order of the inputs; each is a compact float buffer that reads as a sequence of floats."""

    vectors: tuple[Sequence[float], ...]
    model: str | None = None
    provider: str | None = None
    usage: Usage = Usage()
    attempts: tuple[Attempt, ...] = ()
    warnings: tuple[RequestWarning, ...] = ()
    raw: Any = field(default=None, repr=False, eq=False)


@frozen
class ModelInfo:
    """A model that a provider offers. `created` is seconds since the epoch; `capabilities` None where not told."""

    id: str
    provider: str | None = None
    display_name: str | None = None
    context_window: int | None = None
    max_output_tokens: int | None = None
    created: int | None = None
    owned_by: str | None = None
    capabilities: frozenset[str] | None = None
    raw: Any = field(default=None, repr=False, eq=False)


# --------------------------------------------------------------------------------------------------- events


@frozen
class TextDelta:
    """A piece of the answer's text."""

    text: str
    signature: str | None = None
    origin: str | None = None


@frozen
class ThinkingDelta:
    """A piece of the shown reasoning; a `signature` or `raw` seals the block it belongs to."""

    text: str
    signature: str | None = None
    redacted: bool = False
    raw: Any = field(default=None, repr=False)
    origin: str | None = None


@frozen
class ToolCallDelta:
    """A fragment of the tool call number `index`; `id` and `name` come once, `arguments` are concatenated."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""
    signature: str | None = None
    origin: str | None = None


@frozen
class PartDelta:
    """A part that comes whole: a refusal, an image, or a vendor's own block."""

    part: Part


@frozen
class Restarted:
    """Another candidate answers from the beginning: drop everything received so far."""

    provider: str
    model: str | None = None


@frozen
class Finished:
    """The end of an answer; comes exactly once, last."""

    finish_reason: FinishReason = "unknown"
    raw_finish_reason: str | None = None
    usage: Usage = Usage()
    model: str | None = None
    provider: str | None = None
    id: str | None = None
    request_id: str | None = None
    attempts: tuple[Attempt, ...] = ()
    warnings: tuple[RequestWarning, ...] = ()


Event: TypeAlias = TextDelta | ThinkingDelta | ToolCallDelta | PartDelta | Restarted | Finished


def is_visible(event: Event) -> bool:
    """Whether a reader sees something of it; the first visible delta commits a stream to its provider."""
    if isinstance(event, (TextDelta, ThinkingDelta)):
        return bool(event.text)
    return isinstance(event, (ToolCallDelta, PartDelta))


# ---------------------------------------------------------------------------------------------------- stats


@frozen
class ProviderStats:
    """Counters since start. Always: requests = successes + failures + cancelled + in_flight.

    Latencies are seconds, None before the first success; `state` is "ok" or why it is not used now;
    `possible_duplicate_charges` counts attempts repeated after one that may have been billed.
    """

    name: str
    requests: int = 0
    successes: int = 0
    failures: int = 0
    cancelled: int = 0
    in_flight: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal | None = None
    latency_mean_s: float | None = None
    latency_p50_s: float | None = None
    latency_p95_s: float | None = None
    first_token_mean_s: float | None = None
    first_token_p95_s: float | None = None
    last_error: str | None = None
    possible_duplicate_charges: int = 0
    state: str = "ok"
    children: tuple[ProviderStats, ...] = ()


# -------------------------------------------------------------------------------------------------- helpers


def _sum(a: Any, b: Any) -> Any:
    if a is None or b is None:
        return a if b is None else b
    return a + b


def _exactly_one(what: str, **values: object) -> None:
    given = [name for name, value in values.items() if value is not None]
    if len(given) != 1:
        msg = f"{what} takes exactly one of {', '.join(values)}; got {', '.join(given) or 'none'}"
        raise ValueError(msg)


def _guess_media_type(path: str | Path) -> str | None:
    import mimetypes

    return mimetypes.guess_type(str(path))[0]


def _strip_fence(text: str) -> str:
    """JSON inside a Markdown fence, as models without native structured output like to send it."""
    text = text.strip()
    if not text.startswith("```") or not text.endswith("```") or "\n" not in text:
        return text
    return text[text.index("\n") + 1 : -3].strip()


def _refers_to(node: Any, reference: str) -> bool:
    if isinstance(node, Mapping):
        return node.get("$ref") == reference or any(_refers_to(value, reference) for value in node.values())
    return isinstance(node, (list, tuple)) and any(_refers_to(value, reference) for value in node)


def _closed(node: Any) -> Any:
    """Every object closed and all its properties required, which strict structured output asks for."""
    if isinstance(node, (list, tuple)):
        return [_closed(item) for item in node]
    if not isinstance(node, Mapping):
        return node
    out: dict[str, Any] = {}
    for key, value in node.items():
        if key in {"properties", "$defs"}:
            out[key] = {name: _closed(schema) for name, schema in value.items()}
        elif key in {"enum", "const"}:
            out[key] = value
        elif key not in {"title", "default"}:
            out[key] = _closed(value)
    if out.get("type") == "object" and "properties" in out:
        out["additionalProperties"] = False
        out["required"] = list(out["properties"])
    return out
