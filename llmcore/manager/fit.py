"""Pure: what a request needs, and whether a candidate surely cannot take it. What is not known excludes nobody."""

from __future__ import annotations

from collections.abc import Iterable
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


def ability(capability: str, routing: Routing, model: ModelInfo | None = None) -> bool | None:
    """Whether a candidate has that capability (of CAPABILITIES), by the same evidence; None where nobody says."""
    if routing.capabilities is not None:
        return capability in routing.capabilities
    told = None if model is None else model.capabilities
    if told and not told.isdisjoint(_WORDS[capability]):
        return True
    return False if _lacks(capability, routing, model) else None


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


def expected_tokens(request: GenerationRequest | EmbeddingRequest) -> int:
    """About how many tokens the request will cost its limits: the prompt, and the answer where it is capped."""
    output = (request.max_tokens or 0) if isinstance(request, GenerationRequest) else 0
    return estimate_tokens(request) + output


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
    return any(capability in list_.speaks_of and list_.recognised(told) for list_ in _LISTS)


@frozen
class _List:
    """The words of one vendor's list. It is theirs where it has one of each of `marks`; it tells of `speaks_of`."""

    marks: tuple[frozenset[str], ...]
    speaks_of: frozenset[str]

    def recognised(self, told: frozenset[str]) -> bool:
        return not any(mark.isdisjoint(told) for mark in self.marks)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SENTENCES = {
    "tools": "it cannot use tools",
    "images": "it cannot see images",
    "audio": "it cannot hear audio",
    "files": "it cannot read files",
    "schema": "it cannot keep to a JSON schema",
    "reasoning": "it cannot reason at length",
    "prefill": "it cannot go on from a text that is begun",
}

# Vendors' words, as their lists of models have them.
_WORDS = {
    "tools": _words("tools tool_use tool-use tool_calling tool-calling function_calling"),
    "images": _words("images image vision image_input multimodal"),
    "audio": _words("audio audio_input"),
    "files": _words("files file file-input pdf_input"),
    "schema": _words("schema json_schema structured_outputs"),
    "reasoning": _words("reasoning thinking effort"),
    "prefill": _words("prefill"),
}

# A word that is missing says something only in a list that would have it. In any other it does not: llama.cpp never names
# tools, OpenRouter's parameters never images, Gemini's methods neither.
_LISTS = (
    _List((_words("completion_chat function_calling"),), _words("tools images")),  # Mistral
    _List((_words("image_input pdf_input"),), _words("images reasoning")),  # Anthropic
    _List(
        (_words("completion"), _words("tools vision thinking insert")), _words("tools images reasoning")
    ),  # Ollama
    _List((_words("chat"), _words("tools vision json_mode")), _words("tools images")),  # Cohere
    _List((_words("max_tokens"), _words("temperature")), _words("tools")),  # OpenRouter
)
