"""What requests need, and who surely cannot take them: unknown never excludes, and what excludes says why."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcore.config import CAPABILITIES, Routing
from llmcore.manager.fit import (
    IMAGE_TOKENS,
    Needs,
    estimate_tokens,
    misfit,
    needs_of,
    window_of,
)
from llmcore.types import (
    Audio,
    EmbeddingRequest,
    File,
    GenerationRequest,
    Image,
    JsonSchema,
    Message,
    ModelInfo,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    Thinking,
    Tool,
    ToolCall,
)

IMAGE = Image(url="https://example.org/a.png")
FILE = File(data=b"%PDF", media_type="application/pdf")
SOUND = Audio(b"RIFF", "audio/wav")
SCHEMA = JsonSchema({"type": "object"})
TOOL = Tool("look", "Looks.")


def asking(*parts: str | Part, **more: Any) -> GenerationRequest:
    return GenerationRequest(Message.user(*(parts or ("hello",))), **more)


def model(*capabilities: str, **more: Any) -> ModelInfo:
    return ModelInfo("m", capabilities=frozenset(capabilities) if capabilities else None, **more)


def needing(*words: str) -> Needs:
    return Needs(*[word in words for word in CAPABILITIES])


REQUESTS: list[tuple[GenerationRequest, set[str]]] = [
    (asking(), set()),
    (asking(tools=[TOOL]), {"tools"}),
    (asking("what is it?", IMAGE), {"images"}),
    (asking(SOUND), {"audio"}),
    (asking(FILE), {"files"}),
    (asking(response_format=SCHEMA), {"schema"}),
    (asking(response_format="json"), set()),
    (asking(reasoning="low"), {"reasoning"}),
    (asking(reasoning=Reasoning(budget_tokens=1000)), {"reasoning"}),
    (asking(reasoning="none"), set()),
    (asking(reasoning=Reasoning()), set()),
    (asking(reasoning=Reasoning(budget_tokens=0)), set()),
    (GenerationRequest([Message.user("go"), Message.assistant("Once upon")]), {"prefill"}),
    (GenerationRequest([Message.user("draw"), Message.assistant(IMAGE), Message.user("thanks")]), set()),
    (
        GenerationRequest(
            [
                Message.user("look"),
                Message.assistant(ToolCall("1", "look")),
                Message.tool("1", [Text("there"), IMAGE, FILE]),
            ]
        ),
        {"images", "files"},
    ),
    (
        GenerationRequest(
            [
                Message.user("look"),
                Message.assistant(ToolCall("1", "look")),
                Message.tool("1", "there"),
            ]
        ),
        set(),
    ),
]


@pytest.mark.parametrize(("request_", "words"), REQUESTS)
def test_what_a_request_needs(request_: GenerationRequest, words: set[str]) -> None:
    needs = needs_of(request_)
    assert set(needs.asked) == words
    assert {word for word in CAPABILITIES if getattr(needs, word)} == words


def test_the_needs_have_a_field_for_each_capability() -> None:
    assert Needs(*[True] * len(CAPABILITIES)).asked == CAPABILITIES
    assert needs_of(asking(max_tokens=7)).max_tokens == 7
    assert needs_of(asking("a", IMAGE)) == Needs(images=True)
    assert "hello" not in repr(needs_of(asking()))


# --------------------------------------------------------------------------------------------- capabilities


@given(
    needed=st.sets(st.sampled_from(CAPABILITIES)),
    able=st.none() | st.sets(st.sampled_from(CAPABILITIES)),
)
def test_what_is_configured_decides(needed: set[str], able: set[str] | None) -> None:
    needs = needing(*needed)
    found = misfit(needs, Routing(capabilities=None if able is None else frozenset(able)))
    lacking = set() if able is None else needed - able
    assert (found is None) == (not lacking)
    if found is not None:
        reason, sentence = found
        assert reason.removeprefix("no_") in lacking
        assert sentence.startswith("it cannot ")


@given(needed=st.sets(st.sampled_from(CAPABILITIES)), words=st.sets(st.text(max_size=9)))
def test_words_that_nobody_knows_exclude_nobody(needed: set[str], words: set[str]) -> None:
    told = model(*words)
    assert misfit(needing(*needed), Routing(), told) is None


MISTRAL = ("completion_chat", "fine_tuning")
ANTHROPIC = ("batch", "image_input", "pdf_input", "citations")
OLLAMA = ("completion", "tools")
COHERE = ("chat", "tools")
OPENROUTER = ("max_tokens", "temperature", "top_p", "response_format")


@pytest.mark.parametrize(
    ("told", "lacking"),
    [
        (MISTRAL, {"tools", "images"}),
        ((*MISTRAL, "function_calling"), {"images"}),
        ((*MISTRAL, "function_calling", "vision"), set()),
        (ANTHROPIC, {"reasoning"}),
        ((*ANTHROPIC, "thinking", "effort.low"), set()),
        (OLLAMA, {"images", "reasoning"}),
        ((*OLLAMA, "vision", "thinking"), set()),
        (COHERE, {"images"}),
        (OPENROUTER, {"tools"}),
        ((*OPENROUTER, "tools"), set()),
        (("completion",), set()),  # llama.cpp, which never names tools
        (("completion", "multimodal"), set()),
        (("tools",), set()),
        (("generate", "countTokens", "reasoning"), set()),  # Gemini
        (("batch", "effort", "thinking"), set()),
    ],
)
def test_what_vendors_lists_say_for_sure(told: tuple[str, ...], lacking: set[str]) -> None:
    found = {word for word in CAPABILITIES if misfit(needing(word), Routing(), model(*told))}
    assert found == lacking


def test_the_configuration_goes_before_the_vendors_word() -> None:
    told = model(*MISTRAL, context_window=10, max_output_tokens=1)
    routing = Routing(capabilities=frozenset({"tools"}), context_window=10_000, max_output_tokens=1000)
    request = asking("x" * 400, tools=[TOOL], max_tokens=500)
    assert misfit(needs_of(request), Routing(), told) == ("no_tools", "it cannot use tools")
    assert misfit(needs_of(request), routing, told) is None


# --------------------------------------------------------------------------------------------------- size


def test_max_tokens_beyond_what_a_model_writes() -> None:
    needs = needs_of(asking(max_tokens=4097))
    told = "max_tokens", "it writes at most 4096 tokens, and max_tokens is 4097"
    assert misfit(needs, Routing(max_output_tokens=4096)) == told
    assert misfit(needs, Routing(), model(max_output_tokens=4096)) == told
    assert misfit(needs, Routing(max_output_tokens=4097), model(max_output_tokens=4096)) is None
    assert misfit(needs_of(asking()), Routing(max_output_tokens=1)) is None


def test_a_configured_window_holds_prompt_and_answer() -> None:
    needs = needs_of(asking("word " * 8000, max_tokens=1000))  # 40,000 characters, 10,000 tokens at four
    assert misfit(needs, Routing(context_window=9000)) is None, "at five it might be 8,000, and fit"
    reason, sentence = misfit(needs, Routing(context_window=8999)) or ("", "")
    assert reason == "context_window"
    assert "about 10000 tokens and 1000 for the answer do not fit into its context window of 8999" in sentence


def test_a_vendors_window_may_be_for_the_prompt_alone() -> None:
    needs = needs_of(asking("word " * 8000, max_tokens=1000))
    assert misfit(needs, Routing(), model(context_window=8000)) is None
    reason, sentence = misfit(needs, Routing(), model(context_window=7999)) or ("", "")
    assert reason == "context_window"
    assert "10000 tokens does not fit into its context window of 7999" in sentence


@given(
    words=st.integers(0, 5000),
    max_tokens=st.none() | st.integers(1, 5000),
    window=st.integers(1, 8000),
    least=st.floats(5.0, 20.0),
)
def test_what_might_fit_is_never_turned_away(
    words: int, max_tokens: int | None, window: int, least: float
) -> None:
    """Whatever a tokenizer makes of plain text, from five characters a token upwards."""
    text = "text " * (words + 1)
    if len(text) / least + (max_tokens or 0) <= window and len(text) / 5 + (max_tokens or 0) <= window:
        assert misfit(needs_of(asking(text, max_tokens=max_tokens)), Routing(context_window=window)) is None


@given(configured=st.none() | st.integers(1, 9), told=st.none() | st.integers(1, 9))
def test_the_window(configured: int | None, told: int | None) -> None:
    routing = Routing(context_window=configured)
    assert window_of(routing) == configured
    assert window_of(routing, model(context_window=told)) == (told if configured is None else configured)


# ---------------------------------------------------------------------------------------------- estimates


def test_the_estimate_is_made_only_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[GenerationRequest] = []

    def counting(request: GenerationRequest) -> int:
        counted.append(request)
        return 10

    monkeypatch.setattr("llmcore.manager.fit.estimate_tokens", counting)
    needs = needs_of(asking("hello", IMAGE, max_tokens=5, tools=[TOOL]))
    assert misfit(needs, Routing(), model("tools")) is None
    assert misfit(needs, Routing(max_output_tokens=1)) is not None
    assert counted == []
    for window in (100, 5, 100):
        misfit(needs, Routing(context_window=window))
    assert needs.input_tokens == 10
    assert len(counted) == 1


@pytest.mark.parametrize(
    ("parts", "tokens"),
    [
        (["x" * 400], 100),
        (["x" * 200, "x" * 200], 100),
        ([IMAGE], IMAGE_TOKENS),
        ([FILE, SOUND, Opaque({"a": "b" * 1000}, "x")], 0),
    ],
)
def test_the_estimate_of_parts(parts: list[str | Part], tokens: int) -> None:
    assert estimate_tokens(asking(*parts)) == tokens


def test_the_estimate_of_a_conversation() -> None:
    messages = [
        Message.system("s" * 40),
        Message.user("u" * 40),
        Message.assistant(
            Thinking("t" * 4000), Text("a" * 40), Refusal("r" * 40), ToolCall("1", "n" * 10, "j" * 30)
        ),
        Message.tool("1", "o" * 40),
        Message.assistant(ToolCall("2", "n" * 40, "")),
        Message.tool("2", [Text("p" * 40), IMAGE]),
    ]
    assert estimate_tokens(GenerationRequest(messages)) == 8 * 10 + IMAGE_TOKENS


def test_the_estimate_counts_tools_with_their_schemas() -> None:
    schema = {"type": "object", "properties": {"where": {"type": "string", "description": "d" * 400}}}
    plain, frozen = (
        estimate_tokens(asking("x", tools=[Tool("look", "Looks.", parameters)]))
        for parameters in (schema, MappingProxyType(schema))
    )
    assert 110 < plain < 140
    assert abs(plain - frozen) <= 5
    knot: dict[str, Any] = {"type": "object"}
    knot["x-self"] = knot
    assert estimate_tokens(asking("x", tools=[Tool("look", parameters=knot)])) > 0


def test_the_estimate_of_texts_to_embed() -> None:
    assert estimate_tokens(EmbeddingRequest(["x" * 100, "y" * 100])) == 50


@given(
    texts=st.lists(st.text(alphabet="ab ", min_size=1), min_size=1, max_size=5), more=st.text(alphabet="ab ")
)
def test_more_text_is_never_fewer_tokens(texts: list[str], more: str) -> None:
    def tokens(*parts: str) -> int:
        return estimate_tokens(GenerationRequest(Message.user(*parts)))

    assert tokens(*texts) <= tokens(*texts, more) <= tokens(*texts) + len(more) // 4 + 1
