"""Bad input: one clear error, with the place of the fault, before any I/O."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcore.check import as_embedding_request, as_generation_request, check_schema, new_request, readdressed
from llmcore.errors import InvalidRequestError
from llmcore.types import (
    EmbeddingRequest,
    GenerationRequest,
    Image,
    JsonSchema,
    Message,
    Text,
    Tool,
    ToolCall,
)

CALL = Message.assistant(ToolCall("c1", "f"))
TOOL = Tool("f")


@pytest.mark.parametrize(
    "good",
    [
        "hi",
        Message.user("hi"),
        [Message.system("s"), Message.user("hi")],
        [Message.user(Image(url="https://example.org/a.png"))],
        [Message.user("x"), CALL, Message.tool("c1", "result")],
        [Message.user("x"), Message.assistant("and so")],
        GenerationRequest("x", tools=[TOOL], tool_choice="f"),
        GenerationRequest("x", response_format="json"),
    ],
)
def test_good_input_passes(good: Any) -> None:
    assert as_generation_request(good).messages


@pytest.mark.parametrize(
    ("bad", "where"),
    [
        ("", "messages[0]: the prompt is empty"),
        ("  \n", "messages[0]: the prompt is empty"),
        ([], "messages: the prompt is empty"),
        ([Message.system("only")], "messages: the prompt is empty"),
        (["not a message"], "messages[0]: must be a Message"),
        (42, "a request is text"),
        (b"bytes", "messages[0]"),
        ([Message("robot", "x")], "messages[0]: role 'robot'"),  # type: ignore[arg-type]  # wrong on purpose
        ([Message.user("x"), Message.tool("c9", "r")], "messages[1]: tool result for 'c9'"),
        ([Message("user", (ToolCall("1", "f"),))], "messages[0]: a user message cannot hold a ToolCall"),
        (
            [Message("system", (Image(url="u"),)), Message.user("x")],
            "messages[0]: a system message cannot hold a Image",
        ),
        ("lone \ud800 surrogate", "messages[0]: text is not valid Unicode"),
        (Message("user", (Text(5),)), "messages[0]: text must be str"),  # type: ignore[arg-type]  # wrong on purpose
        (GenerationRequest("x", tools=[Tool("bad name!")]), "tools[0].name"),
        (GenerationRequest("x", tools=[TOOL, TOOL]), "tools[1].name: 'f' is given twice"),
        (
            GenerationRequest("x", tools=[Tool("f", parameters={"type": "banana"})]),
            "tools[0].parameters.type",
        ),
        (
            GenerationRequest("x", tools=[Tool("f", parameters=[])]),  # type: ignore[arg-type]  # a caller's mistake
            "tools[0].parameters: a JSON schema is an object",
        ),
        (
            GenerationRequest("x", tools=[Tool("f", parameters={"type": "string"})]),
            "tools[0].parameters.type: must be 'object'",
        ),
        (
            GenerationRequest("x", tools=[Tool("f", parameters={"properties": {"a": 5}})]),
            "tools[0].parameters.properties.a",
        ),
        (GenerationRequest("x", tool_choice="required"), "tool_choice: 'required' needs tools"),
        (GenerationRequest("x", tools=[TOOL], tool_choice="g"), "tool_choice: 'g' is neither"),
        (GenerationRequest("x", temperature=3), "temperature: 3 must be a number from 0 to 2"),
        (GenerationRequest("x", temperature=float("nan")), "temperature"),
        (GenerationRequest("x", temperature="hot"), "temperature"),  # type: ignore[arg-type]  # wrong on purpose
        (GenerationRequest("x", max_tokens=0), "max_tokens: 0 must be a number at least 1"),
        (GenerationRequest("x", top_p=-1), "top_p"),
        (GenerationRequest("x", deadline=-1), "deadline"),
        (
            GenerationRequest("x", response_format=JsonSchema({"type": "nonsense"})),
            "response_format.schema.type",
        ),
    ],
)
def test_bad_input_is_one_clear_error(bad: Any, where: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        as_generation_request(bad)
    assert where in str(caught.value)


def _verdict(*messages: Message) -> str | None:
    try:
        as_generation_request(messages)
    except InvalidRequestError as error:
        return str(error)
    return None


@given(
    st.sampled_from(["system", "user", "assistant", "tool", "robot"]),
    st.text(alphabet="a \n\u00a0\x1cé\ud800", max_size=3) | st.none() | st.integers(),
)
def test_one_piece_of_text_is_judged_as_several_are(role: Any, text: Any) -> None:
    """The short way through plain messages complains of what the long way complains of."""
    first = Message.user("x")
    blank = [] if role == "tool" or not isinstance(text, str) else [Text("")]
    assert _verdict(first, Message(role, (Text(text),))) == _verdict(
        first, Message(role, (Text(text), *blank))
    )
    assert (_verdict(first, Message(role, (Text(text),))) is None) == _is_good(role, text)


def _is_good(role: str, text: object) -> bool:
    if role not in {"system", "user", "assistant"} or not isinstance(text, str) or "\ud800" in text:
        return False
    return role != "user" or bool(text.strip())


def test_bare_messages_become_a_request_with_the_defaults_that_are_handed_in() -> None:
    request = new_request("hi", model="m", max_tokens=5, temperature=0.5, extra={"a": 1})
    assert request == GenerationRequest("hi", "m", max_tokens=5, temperature=0.5, extra={"a": 1})
    assert request.checked


@pytest.mark.parametrize(
    ("bad", "where"),
    [
        ([], "inputs"),
        ("", "inputs[0]"),
        (["a", ""], "inputs[1]"),
        ([b"x"], "inputs[0]"),
        (5, "embeddings"),
        (EmbeddingRequest("x", dimensions=0), "dimensions"),
    ],
)
def test_bad_embedding_input(bad: Any, where: str) -> None:
    with pytest.raises(InvalidRequestError, match=where.replace("[", r"\[")):
        as_embedding_request(bad)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["type", "properties", "items", "anyOf", "required", "$defs", "x"]), inner
            )
        ),
        max_leaves=12,
    )
)
def test_any_value_is_a_schema_or_one_error(value: Any) -> None:
    complaint = "here"
    try:
        check_schema(value, "here")
    except InvalidRequestError as error:
        complaint = str(error)
    assert complaint.startswith("here")


def test_a_request_that_is_readdressed_stays_checked_and_is_the_same_otherwise() -> None:
    request = as_generation_request(GenerationRequest("hi", "a", deadline=9.0, providers=("x",), seed=3))
    made = readdressed(request, "b", 4.0)
    assert made == GenerationRequest("hi", "b", deadline=4.0, seed=3)
    assert made.checked
    assert not readdressed(GenerationRequest("hi"), "b", None).checked
