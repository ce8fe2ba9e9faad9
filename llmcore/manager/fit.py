"""Pure: what a request needs, and whether a candidate surely cannot take it. What is not known excludes nobody."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import cached_property
from itertools import compress

from attrs import field, frozen

from llmcore.config import CAPABILITIES, Routing
from llmcore.types import (
    Audio,
    EmbeddingRequest,
    File,
    GenerationRequest,
    Image,
    JsonSchema,
    ModelInfo,
    Part,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)

CHARACTERS_PER_TOKEN: int = 4
IMAGE_TOKENS: int = 85
"""What the smallest image costs at OpenAI; others ask for more."""
SURELY: float = 0.8
"""Share of the estimate that is certain: plain English runs to five characters a token, and must not be turned away."""


@frozen
class Needs:
    """What a request asks of a model: a field for each of CAPABILITIES, and numbers.

    asked: the capabilities that are needed. max_tokens: of the answer; None where the request leaves it open.
    """

    tools: bool = False
    images: bool = False
    audio: bool = False
    files: bool = False
    schema: bool = False
    reasoning: bool = False
    prefill: bool = False
    max_tokens: int | None = None
    asked: tuple[str, ...] = field(init=False)
    _request: GenerationRequest | None = field(default=None, eq=False, repr=False, kw_only=True)

    @asked.default
    def _asked(self) -> tuple[str, ...]:
        needs = (self.tools, self.images, self.audio, self.files, self.schema, self.reasoning, self.prefill)
        return tuple(compress(CAPABILITIES, needs)) if True in needs else ()

    @cached_property
    def input_tokens(self) -> int:
        """About how many tokens go in (see `estimate_tokens`); computed when first read."""
        return 0 if self._request is None else estimate_tokens(self._request)


def needs_of(request: GenerationRequest) -> Needs:
    """What `request` needs. What an assistant's message holds was written by some model and is no input of a kind."""
    messages = request.messages
    kinds = {type(part) for message in messages if message.role != "assistant" for part in message.parts}
    if ToolResult in kinds:
        kinds |= {type(part) for message in messages for part in _returned(message.parts)}
    reasoning = request.reasoning
    return Needs(
        tools=bool(request.tools),
        images=Image in kinds,
        audio=Audio in kinds,
        files=File in kinds,
        schema=isinstance(request.response_format, JsonSchema),
        reasoning=reasoning is not None
        and (reasoning.effort not in {None, "none"} or bool(reasoning.budget_tokens)),
        prefill=bool(messages) and messages[-1].role == "assistant",
        max_tokens=request.max_tokens,
        request=request,
    )


def misfit(needs: Needs, routing: Routing, model: ModelInfo | None = None) -> tuple[str, str] | None:
    """Why a candidate surely cannot take the request: a word for programs and a sentence; None where it might.

    What the configuration says of a candidate (`routing`) goes before what its vendor says of the model.
    """
    for capability in needs.asked:
        if _lacks(capability, routing, model):
            return f"no_{capability}", _SENTENCES[capability]
    wanted, most = needs.max_tokens, _most(routing, model)
    if wanted is not None and most is not None and wanted > most:
        return "max_tokens", f"it writes at most {most} tokens, and max_tokens is {wanted}"
    return _overflow(needs, routing, model)


def window_of(routing: Routing, model: ModelInfo | None = None) -> int | None:
    """Tokens that the candidate's context holds, as configured, else as its vendor says; None where nobody does."""
    if routing.context_window is not None or model is None:
        return routing.context_window
    return model.context_window


def estimate_tokens(request: GenerationRequest | EmbeddingRequest) -> int:
    """About how many tokens go in, rather too few: four characters of text are one.

    English and code take about that. Other scripts take more, up to three tokens for one character. Files, sound and
    earlier reasoning count nothing, pictures as the smallest ones; nor do the vendors' own additions count.
    """
    if isinstance(request, EmbeddingRequest):
        return sum(map(len, request.inputs)) // CHARACTERS_PER_TOKEN
    total = 0
    for message in request.messages:
        for part in message.parts:
            total += len(part.text) if type(part) is Text else _characters(part)
    for tool in request.tools:  # a schema's repr is as long as its JSON, and exists for any object
        total += len(tool.name) + len(tool.description) + len(repr(tool.parameters))
    return total // CHARACTERS_PER_TOKEN


def _returned(parts: Iterable[Part]) -> list[Part]:
    """The parts inside tool results that are more than text."""
    results = (part for part in parts if type(part) is ToolResult)
    return [inner for result in results if not isinstance(result.content, str) for inner in result.content]


def _characters(part: Part) -> int:
    """How long a part is, or would be as text."""
    match part:
        case Text() | Refusal():
            return len(part.text)
        case Image():
            return IMAGE_TOKENS * CHARACTERS_PER_TOKEN
        case ToolCall():
            return len(part.name) + len(part.arguments)
        case ToolResult(content=str() as content):
            return len(content)
        case ToolResult():
            return sum(map(_characters, _returned([part])))
        case _:
            return 0


def _overflow(needs: Needs, routing: Routing, model: ModelInfo | None) -> tuple[str, str] | None:
    """Whether input and answer exceed the window.

    A configured window holds both, as people understand the word. Vendors list windows of either kind (Anthropic and
    Gemini of the input alone), so beside one of theirs the answer does not count.
    """
    window = window_of(routing, model)
    if window is None:
        return None
    answer = 0 if routing.context_window is None else needs.max_tokens or 0
    if needs.input_tokens * SURELY + answer <= window:
        return None
    beside = f" and {answer} for the answer do" if answer else " does"
    what = f"a prompt of about {needs.input_tokens} tokens{beside}"
    return "context_window", f"{what} not fit into its context window of {window}"


def _most(routing: Routing, model: ModelInfo | None) -> int | None:
    if routing.max_output_tokens is not None or model is None:
        return routing.max_output_tokens
    return model.max_output_tokens


def _lacks(capability: str, routing: Routing, model: ModelInfo | None) -> bool:
    if routing.capabilities is not None:
        return capability not in routing.capabilities
    told = None if model is None else model.capabilities
    if not told or not told.isdisjoint(_WORDS[capability]):
        return False
    return any(capability in spoken for marks, spoken in _TONGUES if _speaks(told, marks))


def _speaks(told: Collection[str], marks: tuple[frozenset[str], ...]) -> bool:
    return all(not mark.isdisjoint(told) for mark in marks)


_SENTENCES = {
    "tools": "it cannot use tools",
    "images": "it cannot see images",
    "audio": "it cannot hear audio",
    "files": "it cannot read files",
    "schema": "it cannot keep to a JSON schema",
    "reasoning": "it cannot reason at length",
    "prefill": "it cannot go on from a text that is begun",
}

_WORDS = {
    "tools": frozenset({"tools", "tool_use", "tool-use", "tool_calling", "tool-calling", "function_calling"}),
    "images": frozenset({"images", "image", "vision", "image_input", "multimodal"}),
    "audio": frozenset({"audio", "audio_input"}),
    "files": frozenset({"files", "file", "file-input", "pdf_input"}),
    "schema": frozenset({"schema", "json_schema", "structured_outputs"}),
    "reasoning": frozenset({"reasoning", "thinking", "effort"}),
    "prefill": frozenset({"prefill"}),
}
"""Vendors' words, as their lists of models have them."""

_TONGUES = (
    ((frozenset({"completion_chat", "function_calling"}),), frozenset({"tools", "images"})),  # Mistral
    ((frozenset({"image_input", "pdf_input"}),), frozenset({"images", "reasoning"})),  # Anthropic
    (
        (frozenset({"completion"}), frozenset({"tools", "vision", "thinking", "insert"})),
        frozenset({"tools", "images", "reasoning"}),
    ),  # Ollama
    (
        (frozenset({"chat"}), frozenset({"tools", "vision", "json_mode"})),
        frozenset({"tools", "images"}),
    ),  # Cohere
    (
        (frozenset({"max_tokens"}), frozenset({"temperature"})),
        frozenset({"tools"}),
    ),  # OpenRouter, by parameters
)
"""How a vendor's list is known, and of which capabilities it would then speak if they were there. A word that is missing
says nothing in any other list: llama.cpp never names tools, OpenRouter's parameters never images."""
