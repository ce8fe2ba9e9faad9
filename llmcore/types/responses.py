"""What comes back: answers, usage, attempts, vectors, models."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Literal, TypeAlias, TypeVar

from attrs import field, frozen

from llmcore.types.messages import Message, Refusal, ToolCall

T = TypeVar("T")

FinishReason: TypeAlias = Literal[
    "stop", "length", "tool_calls", "content_filter", "refusal", "pause", "error", "cancelled", "unknown"
]


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


NO_USAGE = Usage()
"""Nothing was said of tokens."""


@frozen
class RequestWarning:
    """A parameter that this provider could not take, and what became of it."""

    parameter: str
    message: str

    def __str__(self) -> str:
        return f"{self.parameter}: {self.message}"


Why: TypeAlias = Literal[
    "first", "retry", "failover", "key", "patience", "hedge", "restart", "continue", "splice"
]
Counted: TypeAlias = Literal["measured", "estimated", "unknown"]


@frozen
class Attempt:
    """One HTTP request on behalf of a call: who was asked, and what came of it.

    `outcome` is "success", "cancelled" or the name of an error class; `status` the HTTP status where one came;
    `duration_s` in seconds from dispatch to outcome (for a stream: to its end); `started_s` seconds after the
    call began; `wait_s` the pause that was taken before it. `why` it was made: first, or after what ("key": the same
    provider with another key; "patience", "hedge": beside one that still ran). `key` is the name of the key used,
    `phase` where it failed, `first_token_s` seconds to the first visible delta. `usage` and `counted`: the tokens,
    measured by the vendor, estimated by us, or unknown.
    """

    provider: str
    model: str | None
    outcome: str
    status: int | None = None
    duration_s: float | None = None
    started_s: float | None = None
    wait_s: float = 0.0
    why: Why = "first"
    key: str | None = None
    phase: str | None = None
    first_token_s: float | None = None
    usage: Usage = NO_USAGE
    counted: Counted = "unknown"

    @property
    def cost_usd(self) -> Decimal | None:
        """What it cost; None where nobody knows."""
        return self.usage.cost_usd


@frozen
class Skipped:
    """A candidate that was not asked. `reason` is one word for programs ("breaker_open", "resting", "no_tools",
    "context_window", ...), `detail` a sentence for people.
    """

    provider: str
    model: str | None
    reason: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.provider}: {self.detail or self.reason}"


@frozen
class GenerationResponse:
    """One answer. `text` and `tool_calls` are views of `message`; `raw` is the vendor's body, decoded.

    stop_sequence: which of the request's `stop` ended it, where the vendor says so (Anthropic does).
    """

    message: Message
    finish_reason: FinishReason = "unknown"
    raw_finish_reason: str | None = None
    usage: Usage = NO_USAGE
    model: str | None = None
    provider: str | None = None
    id: str | None = None
    request_id: str | None = None
    attempts: tuple[Attempt, ...] = ()
    warnings: tuple[RequestWarning, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    raw: Any = field(default=None, repr=False, eq=False)
    stop_sequence: str | None = None

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
    usage: Usage = NO_USAGE
    attempts: tuple[Attempt, ...] = ()
    warnings: tuple[RequestWarning, ...] = ()
    skipped: tuple[Skipped, ...] = ()
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


def _sum(a: Any, b: Any) -> Any:
    if a is None or b is None:
        return a if b is None else b
    return a + b


def _strip_fence(text: str) -> str:
    """JSON inside a Markdown fence, as models without native structured output like to send it."""
    text = text.strip()
    if not text.startswith("```") or not text.endswith("```") or "\n" not in text:
        return text
    return text[text.index("\n") + 1 : -3].strip()
