"""What we encode, the simulator of that dialect understands: the same request, less what a warning says was left out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import attrs
import hypothesis.strategies as st
import pytest
from hypothesis import assume, given, settings

from llmcore.errors import UnsupportedFeatureError
from llmcore.sim import values as sim
from llmcore.sim.dialects.anthropic import AnthropicDialect
from llmcore.sim.dialects.azure import AzureDialect
from llmcore.sim.dialects.base import Ask, Dialect
from llmcore.sim.dialects.cohere import CohereDialect
from llmcore.sim.dialects.gemini import GeminiDialect
from llmcore.sim.dialects.ollama import OllamaDialect
from llmcore.sim.dialects.openai import OpenAIDialect
from llmcore.sim.dialects.replicate import ReplicateDialect
from llmcore.sim.dialects.responses import ResponsesDialect
from llmcore.types import (
    EmbeddingRequest,
    File,
    GenerationRequest,
    Image,
    JsonSchema,
    Message,
    Reasoning,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from llmcore.wire.anthropic import AnthropicWire
from llmcore.wire.azure import AzureWire
from llmcore.wire.base import Wire
from llmcore.wire.cohere import CohereWire
from llmcore.wire.gemini import GeminiWire
from llmcore.wire.ollama import OllamaWire
from llmcore.wire.openai import OpenAIWire
from llmcore.wire.replicate import ReplicateWire
from llmcore.wire.responses import ResponsesWire


@attrs.frozen
class Pair:
    """A wire and its mirror. silent: what the dialect has no field for and loses without changing the meaning."""

    name: str
    wire: Wire
    dialect: Dialect
    lost: frozenset[str] = frozenset()
    model: str = "some-model"


PAIRS = (
    Pair("openai", OpenAIWire(max_tokens_field="max_completion_tokens", features=OpenAIWire().features | {"files"}),
         OpenAIDialect("openai"), frozenset({"thinking", "file_type"})),
    Pair("azure-v1", AzureWire(), AzureDialect(), frozenset({"thinking", "file_type"})),
    Pair("azure-deployments", AzureWire(root="/openai", deployments=True, api_version="2026-05-01"), AzureDialect(),
         frozenset({"thinking", "file_type"})),
    Pair("responses", ResponsesWire(), ResponsesDialect(), frozenset({"thinking", "file_type"})),
    Pair("anthropic", AnthropicWire(), AnthropicDialect()),
    Pair("anthropic-2023", AnthropicWire(version="2023-06-01"), AnthropicDialect()),
    Pair("gemini", GeminiWire(), GeminiDialect()),
    Pair("ollama", OllamaWire(), OllamaDialect(), frozenset({"thinking_signature", "media_type"})),
    Pair("cohere", CohereWire(), CohereDialect(), frozenset({"thinking_signature"})),
)  # fmt: skip

# ------------------------------------------------------------------------------------------------- requests

words = st.text("abcdefgh XYZ09.,:;\"'\\{}[]<>/&éß中😀".replace(" ", ""), min_size=1, max_size=8)
sentences = st.lists(words, min_size=1, max_size=5).map(" ".join)
names = st.sampled_from(["weather", "search", "add_numbers", "look-up"])
json_leaves = st.one_of(sentences, st.integers(-(2**31), 2**31), st.booleans(), st.none())
arguments = st.dictionaries(words, json_leaves, max_size=3)
images = st.builds(
    Image,
    data=st.binary(min_size=1, max_size=40),
    media_type=st.sampled_from(["image/png", "image/jpeg"]),
    detail=st.sampled_from([None, "auto", "low", "high"]),
)
files = st.builds(
    File,
    data=st.binary(min_size=1, max_size=40).map(lambda data: b"%PDF-" + data),
    media_type=st.just("application/pdf"),
    filename=st.sampled_from([None, "paper.pdf"]),
)
properties = st.dictionaries(
    st.sampled_from(["city", "days", "unit"]),
    st.sampled_from(
        [{"type": "string"}, {"type": "integer"}, {"type": "array", "items": {"type": "number"}}]
    ),
    min_size=1,
)
schemas = properties.map(
    lambda props: {
        "type": "object",
        "properties": props,
        "required": sorted(props),
        "additionalProperties": False,
    }
)
tools = st.lists(
    st.builds(Tool, name=names, description=sentences, parameters=schemas),
    max_size=3,
    unique_by=lambda t: t.name,
)


@st.composite
def talks(draw: Any, origin: str) -> tuple[Message, ...]:
    """A conversation that a vendor would take: rounds of user and assistant, some with tools, the user or a tool last."""
    messages: list[Message] = []
    if draw(st.booleans()):
        messages.append(Message.system(draw(sentences)))
    for number in range(draw(st.integers(0, 2))):
        messages.append(draw(users()))
        messages.extend(draw(rounds(origin, number)))
        messages.append(Message.assistant(draw(sentences)))
    messages.append(draw(users()))
    if draw(st.booleans()):
        messages.extend(draw(rounds(origin, 9)))
    return tuple(messages)


@st.composite
def users(draw: Any) -> Message:
    media = draw(st.lists(st.one_of(images, files) if draw(st.integers(0, 4)) == 0 else images, max_size=2))
    return Message.user(Text(draw(sentences)), *media)


@st.composite
def rounds(draw: Any, origin: str, number: int) -> list[Message]:
    """Nothing, or an assistant's turn with calls and all their results."""
    count = draw(st.integers(0, 2))
    if not count:
        return []
    ids = [f"toolu_{number}_{at}" for at in range(count)]
    calls = [ToolCall(call_id, draw(names), json.dumps(draw(arguments))) for call_id in ids]
    before: list[Any] = [Text(draw(sentences))] if draw(st.booleans()) else []
    if draw(st.booleans()):
        before.insert(0, draw(thoughts(origin)))
    results = [
        Message.tool(call.id, draw(sentences), name=call.name, is_error=draw(st.booleans())) for call in calls
    ]
    return [Message("assistant", (*before, *calls)), *results]


@st.composite
def thoughts(draw: Any, origin: str) -> Thinking:
    text = draw(sentences)
    if origin == "openai_responses":
        item = {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "c2VhbGVk"}
        return Thinking(text, raw=item, origin=origin)
    return Thinking(text, signature="c2lnbmF0dXJl", origin=origin)


@st.composite
def requests(draw: Any, pair: Pair) -> GenerationRequest:
    offered = tuple(draw(tools))
    choices = [None, "auto", "none", "required", *(tool.name for tool in offered)] if offered else [None]
    choice = draw(st.sampled_from(choices))
    budgets = st.sampled_from([0, 1024, 2000] if choice in {None, "auto", "none"} else [0])
    hundredths = st.integers(0, 100).map(lambda n: n / 100)
    return GenerationRequest(
        draw(talks(pair.wire.dialect)),
        model=pair.model,
        tools=offered,
        tool_choice=choice,
        parallel_tool_calls=draw(st.sampled_from([None, True, False])) if offered else None,
        temperature=draw(st.none() | hundredths),
        top_p=draw(st.none() | hundredths),
        max_tokens=draw(st.none() | st.integers(2001, 100_000)),
        stop=draw(st.lists(words, max_size=4, unique=True)),
        seed=draw(st.none() | st.integers(0, 2**31 - 1)),
        response_format=draw(
            st.none() | st.just("json") | st.builds(JsonSchema, schema=schemas, name=st.just("answer"))
        ),
        reasoning=draw(
            st.none()
            | st.builds(Reasoning, effort=st.sampled_from(["none", "low", "medium", "high"]))
            | st.builds(Reasoning, budget_tokens=budgets)
        ),
    )


# ---------------------------------------------------------------------------------------------- the mirror


def understood(pair: Pair, request: GenerationRequest, *, stream: bool) -> tuple[sim.Understood, set[str]]:
    """What the dialect makes of our bytes, and which parameters our wire warned of."""
    encoded = pair.wire.encode_generate(request, stream=stream)
    headers = {"content-type": "application/json", **encoded.http.headers}
    ask = Ask.of(encoded.http.method, encoded.http.path, headers, encoded.http.body or b"")
    return pair.dialect.understand(ask), {warning.parameter for warning in encoded.warnings}


def flat(turns: Any, pair: Pair) -> list[tuple[Any, ...]]:
    """Both sides' conversations as rows of (role, kind, ...), texts that stand side by side joined."""
    rows: list[tuple[Any, ...]] = []
    for role, part in turns:
        row = (role, *row_of(part, pair))
        if row[1] == "text" and rows and rows[-1][:2] == row[:2]:
            rows[-1] = (*row[:2], rows[-1][2] + row[2])
        elif not (row[1] in {"text", "thinking"} and not any(row[2:])):
            rows.append(row)
    return rows


def row_of(part: Any, pair: Pair) -> tuple[Any, ...]:
    match part:
        case Text() | sim.Text():
            return ("text", part.text)
        case Thinking() | sim.Thinking():
            if "thinking" in pair.lost:
                return ("thinking", "")
            return ("thinking", part.text, None if "thinking_signature" in pair.lost else part.signature)
        case ToolCall():
            return ("call", part.id, part.name, json.loads(part.arguments))
        case sim.Call():
            return ("call", part.id, part.name, part.arguments)
        case ToolResult() | sim.Result():
            return ("result", part.call_id, part.text)
        case Image() | File():
            kind = "image" if isinstance(part, Image) else "file"
            return media_row(kind, hashlib.sha256(part.data or b"").hexdigest(), part.media_type, pair)
        case sim.Media():
            return media_row(part.kind, part.sha256, part.media_type, pair)
    raise AssertionError(part)


def media_row(kind: str, sha256: str | None, media_type: str | None, pair: Pair) -> tuple[Any, ...]:
    hidden = "media_type" in pair.lost or (kind == "file" and "file_type" in pair.lost)
    return (kind, sha256, None if hidden else media_type)


def images_of(turns: Any) -> list[Any]:
    return [
        part.detail
        for _, part in turns
        if getattr(part, "kind", "image") == "image" and hasattr(part, "detail")
    ]


def said_pairs(request: GenerationRequest) -> list[tuple[str, Any]]:
    return [(message.role, part) for message in request.messages for part in message.parts]


def heard_pairs(asked: sim.Understood) -> list[tuple[str, Any]]:
    return [(turn.role, part) for turn in asked.turns for part in turn.parts]


def results_last(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Media of one message may move before its text where the dialect keeps them apart (Ollama)."""
    return sorted(rows, key=lambda row: (row[0], row[1], str(row[2:])))


def check_talk(pair: Pair, request: GenerationRequest, asked: sim.Understood) -> None:
    want, have = flat(said_pairs(request), pair), flat(heard_pairs(asked), pair)
    if pair.wire.dialect == "ollama":
        want, have = results_last(want), results_last(have)
    assert have == want


def check_details(request: GenerationRequest, asked: sim.Understood, warned: set[str]) -> None:
    want = images_of(said_pairs(request))
    if not any("image.detail" in parameter for parameter in warned):
        have = images_of(heard_pairs(asked))
        assert [detail for detail in have if detail not in {None, "auto"}] == [
            detail for detail in want if detail not in {None, "auto"}
        ]


def check_results(request: GenerationRequest, asked: sim.Understood, warned: set[str]) -> None:
    want = [part.is_error for _, part in said_pairs(request) if isinstance(part, ToolResult)]
    have = [part.is_error for _, part in heard_pairs(asked) if isinstance(part, sim.Result)]
    assert have == want or any("is_error" in parameter for parameter in warned)


def check_names(pair: Pair, request: GenerationRequest, asked: sim.Understood) -> None:
    """Of tools, where results carry them; of files, where the dialect has a field for them."""
    if pair.wire.dialect in {"gemini", "ollama"}:
        want = [part.name for _, part in said_pairs(request) if isinstance(part, ToolResult)]
        assert [part.name for _, part in heard_pairs(asked) if isinstance(part, sim.Result)] == want
    if pair.wire.dialect in {"openai", "openai_responses", "anthropic"}:
        said = [part.filename for _, part in said_pairs(request) if isinstance(part, File)]
        heard = [part.filename for _, part in heard_pairs(asked) if getattr(part, "kind", "") == "file"]
        assert [have for have, want in zip(heard, said, strict=True) if want] == [
            want for want in said if want
        ]


def check_tools(request: GenerationRequest, asked: sim.Understood, warned: set[str]) -> None:
    want = [(tool.name, tool.description, tool.parameters) for tool in request.tools]
    have = [
        (tool.name, tool.description, tool.parameters)
        for tool in asked.tools
        if tool.name != "answer_as_json"
    ]
    choice = request.tool_choice
    if any(tool.name == "answer_as_json" for tool in asked.tools):
        assert request.response_format is not None
        assert [row for row in have if row in want] == want
        return
    if choice == "none" and not have:
        return
    if choice not in {None, "auto", "none", "required"} and asked.tool_choice == "required":
        assert have == [row for row in want if row[0] == choice]
        return
    assert have == want
    assert asked.tool_choice in ({None, "auto"} if choice in {None, "auto"} else {choice})
    if request.parallel_tool_calls is False and "parallel_tool_calls" not in warned:
        assert asked.parallel_tool_calls is False or choice == "none"


def check_numbers(request: GenerationRequest, asked: sim.Understood, warned: set[str]) -> None:
    for name in ("temperature", "top_p", "seed", "max_tokens", "stop"):
        want, have = getattr(request, name), getattr(asked, name)
        if name == "max_tokens" and want is None:
            continue
        assert have == want or name in warned, name


def check_format(pair: Pair, request: GenerationRequest, asked: sim.Understood, warned: set[str]) -> None:
    want = request.response_format
    if want is None:
        assert asked.format is None
    elif want == "json":
        assert asked.format == "json" or any(tool.name == "answer_as_json" for tool in asked.tools)
    elif not any(tool.name == "answer_as_json" for tool in asked.tools):
        assert isinstance(want, JsonSchema)
        assert isinstance(asked.format, Mapping)
        assert asked.format == want.schema
        assert asked.format_name in {None, want.name}


def check_reasoning(request: GenerationRequest, asked: sim.Understood, warned: set[str]) -> None:
    want = request.reasoning
    if want is None:
        assert not asked.thinking
        return
    told = any(parameter.startswith("reasoning") for parameter in warned)
    off = want.effort == "none" or want.budget_tokens == 0
    assert asked.show_thinking or off or asked.dialect not in {"gemini", "cohere", "ollama"}
    assert asked.seal_thinking or asked.dialect != "responses"
    if off:
        assert not asked.thinking or told
    elif want.effort is not None:
        assert asked.effort == want.effort or (asked.thinking and told)
    else:
        assert asked.thinking_budget == want.budget_tokens or told


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
@settings(max_examples=settings().max_examples // 2)
@given(data=st.data())
def test_what_we_encode_is_understood(pair: Pair, data: st.DataObject) -> None:
    request = data.draw(requests(pair))
    stream = data.draw(st.booleans())
    try:
        asked, warned = understood(pair, request, stream=stream)
    except UnsupportedFeatureError as error:
        assert is_documented(pair, request, str(error)), error  # noqa: PT017 - what is refused must be refused rightly
        assume(False)
        return
    assert asked.model == request.model
    assert asked.stream is stream
    assert asked.unknown == ()
    assert asked.stream_usage or not stream
    if "response_format" not in warned:
        check_talk(pair, request, asked)
    check_details(request, asked, warned)
    check_results(request, asked, warned)
    check_names(pair, request, asked)
    check_tools(request, asked, warned)
    check_numbers(request, asked, warned)
    check_format(pair, request, asked, warned)
    check_reasoning(request, asked, warned)


def is_documented(pair: Pair, request: GenerationRequest, message: str) -> bool:
    """Whether a refusal is one that the vendor's documents explain."""
    has_files = any(isinstance(part, File) for _, part in said_pairs(request))
    reasons = {
        "openai": has_files and pair.name.startswith("azure"),
        "ollama": has_files or (request.tool_choice not in {None, "auto", "none"}),
        "cohere": has_files or bool(request.tools and request.response_format is not None),
    }
    return reasons.get(pair.wire.dialect, False)


# ------------------------------------------------------------------------------------------------ Replicate


@given(
    messages=st.lists(
        st.builds(Message.user, sentences) | st.builds(Message.assistant, sentences), min_size=1, max_size=3
    ),
    system=st.none() | sentences,
    image=st.none() | images,
    temperature=st.none() | st.integers(0, 100).map(lambda n: n / 100),
    max_tokens=st.none() | st.integers(1, 1000),
    seed=st.none() | st.integers(0, 1000),
)
def test_a_conversation_on_replicate(
    messages: list[Message],
    system: str | None,
    image: Image | None,
    temperature: Any,
    max_tokens: Any,
    seed: Any,
) -> None:
    """There is no chat schema: the texts must all be in the prompt, in order, and the system text beside it."""
    last = Message.user("the end", *(() if image is None else (image,)))
    told = (*((Message.system(system),) if system else ()), *messages, last)
    request = GenerationRequest(told, model="a/b", temperature=temperature, max_tokens=max_tokens, seed=seed)
    encoded = ReplicateWire().encode_generate(request, stream=False)
    asked = ReplicateDialect().understand(
        Ask.of(encoded.http.method, encoded.http.path, encoded.http.headers, encoded.http.body or b"")
    )
    assert asked.model == "a/b"
    assert (asked.temperature, asked.max_tokens, asked.seed) == (temperature, max_tokens, seed)
    assert [turn.text for turn in asked.turns if turn.role == "system"] == ([system] if system else [])
    at = 0
    for message in (*messages, last):
        at = asked.prompt.index(message.text, at) + len(message.text)
    media = [part for turn in asked.turns for part in turn.parts if isinstance(part, sim.Media)]
    assert [part.sha256 for part in media] == (
        [] if image is None else [hashlib.sha256(image.data or b"").hexdigest()]
    )


# ----------------------------------------------------------------------------------------------- embeddings

EMBEDDERS = tuple(pair for pair in PAIRS if pair.name not in {"anthropic", "anthropic-2023", "responses"})


@pytest.mark.parametrize("pair", EMBEDDERS, ids=lambda pair: pair.name)
@given(
    inputs=st.lists(sentences, min_size=1, max_size=4),
    dimensions=st.none() | st.integers(1, 3000),
    input_type=st.sampled_from([None, "query", "document"]),
)
def test_embedding_requests_are_understood(
    pair: Pair, inputs: list[str], dimensions: int | None, input_type: str | None
) -> None:
    request = EmbeddingRequest(inputs, model=pair.model, dimensions=dimensions, input_type=input_type)
    encoded = pair.wire.encode_embed(request)
    asked = pair.dialect.understand(
        Ask.of(encoded.http.method, encoded.http.path, encoded.http.headers, encoded.http.body or b"")
    )
    warned = {warning.parameter for warning in encoded.warnings}
    assert asked.operation == "embed"
    assert (asked.model, asked.inputs, asked.unknown) == (pair.model, tuple(inputs), ())
    assert asked.dimensions == dimensions or "dimensions" in warned
    if input_type is not None:
        assert "input_type" in warned or input_type in (asked.input_type or "").lower()
