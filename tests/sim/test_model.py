"""The text model, its tokenizer, its JSON values and its vectors."""

from __future__ import annotations

import json
import math
from typing import Any

import hypothesis.strategies as st
import pytest
from attrs import evolve
from hypothesis import given

from llmcore.sim.checks import check_meaning
from llmcore.sim.instance import instance_of
from llmcore.sim.model import answer, is_genuine, seal
from llmcore.sim.tokens import count, tokens_of
from llmcore.sim.values import ApiError, Call, Result, Text, Thinking, ToolSpec, Turn, Understood
from llmcore.sim.vectors import as_base64, embed
from llmcore.wire.structured import mismatch

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER, TIME = ToolSpec("weather", "", CITY), ToolSpec("time", "", {"type": "object"})


def asked(prompt: str = "hello", **more: Any) -> Understood:
    turns = more.pop("turns", (Turn("user", (Text(prompt),)),))
    return Understood("openai", model="m", turns=turns, **more)


@given(st.text())
def test_tokens_joined_are_the_text(text: str) -> None:
    assert "".join(tokens_of(text)) == text


def test_tokens_are_counted_honestly() -> None:
    assert tokens_of("Hello, wonderful world!") == ["Hello", ",", " wonderfu", "l", " world", "!"]
    said = answer(asked("say: Hello, wonderful world!"))
    assert said.counts.output == 6
    assert said.counts.input == 3 + count("say: Hello, wonderful world!")


def test_the_same_request_gives_the_same_answer() -> None:
    assert answer(asked()) == answer(asked())
    assert answer(asked(), seed=1).text != answer(asked(), seed=0).text
    others = {answer(asked(seed=number)).text for number in range(20)}
    assert len(others) > 10
    assert answer(evolve(asked(), model="other")).text != answer(asked()).text


def test_commands() -> None:
    assert answer(asked("say: exactly this ")).text == "exactly this "
    assert count(answer(asked("count: 60")).text) == 60
    assert answer(asked("refuse: no")).refusal == "no"
    assert answer(asked("refuse: no")).finish == "refusal"
    told = json.loads(answer(asked("describe:", temperature=0.5, tools=(WEATHER,))).text)
    assert (told["temperature"], told["tools"], told["roles"]) == (0.5, ["weather"], ["user"])


@pytest.mark.parametrize(
    ("prompt", "more", "names"),
    [
        ("hello", {}, []),
        ("what does the weather do", {}, ["weather"]),
        ("time and weather", {}, ["time", "weather"]),
        ("time and weather", {"parallel_tool_calls": False}, ["time"]),
        ("weather, twice", {}, ["weather", "weather"]),
        ("weathering", {}, []),
        ("weather", {"tool_choice": "none"}, []),
        ("hello", {"tool_choice": "required"}, ["weather"]),
        ("hello", {"tool_choice": "time"}, ["time"]),
    ],
)
def test_tool_calls(prompt: str, more: dict[str, Any], names: list[str]) -> None:
    said = answer(asked(prompt, tools=(WEATHER, TIME), **more))
    assert [call.name for call in said.calls] == names
    assert said.finish == ("tool_calls" if names else "stop")
    assert len({call.id for call in said.calls}) == len(names)
    assert all(call.arguments == {"city": "Paris"} for call in said.calls if call.name == "weather")


def test_arguments_can_be_told() -> None:
    said = answer(asked('call weather with {"city": "Oslo"} now', tools=(WEATHER,)))
    assert said.calls[0].arguments == {"city": "Oslo"}
    assert answer(asked("call weather with {nonsense", tools=(WEATHER,))).calls[0].arguments == {
        "city": "Paris"
    }


def test_a_tool_result_is_quoted() -> None:
    turns = (
        Turn("user", (Text("weather"),)),
        Turn("assistant", (Call("c1", "weather", {}),)),
        Turn("tool", (Result("c1", (Text("21 degrees"),)),)),
    )
    said = answer(asked(turns=turns, tools=(WEATHER,)))
    assert said.text == "The tool weather says: 21 degrees"
    assert said.calls == ()


def test_schemas_are_obeyed() -> None:
    assert json.loads(answer(asked(format=CITY)).text) == {"city": "Paris"}
    assert isinstance(json.loads(answer(asked(format="json")).text), dict)
    told = Turn("system", (Text(f"It must be valid against this JSON schema:\n{json.dumps(CITY)}"),))
    assert json.loads(answer(asked(turns=(told, Turn("user", (Text("go"),))))).text) == {"city": "Paris"}


def test_limits() -> None:
    long = answer(asked("count: 10", max_tokens=3))
    assert (long.text, long.finish, long.counts.output) == ("word1 word2 word3", "length", 3)
    assert answer(asked("count: 3", max_tokens=3)).finish == "stop"
    stopped = answer(asked("say: one two three", stop=("three", " two")))
    assert (stopped.text, stopped.finish, stopped.stop_sequence) == ("one", "stop", " two")
    spent = answer(asked("say: hi", thinking=True, max_tokens=2))
    assert (spent.thinking, spent.text, spent.finish) == ("The question", "", "length")


def test_reasoning_is_sealed_and_counted() -> None:
    said = answer(asked("say: hi", thinking=True, effort="high"))
    assert said.counts.reasoning == count(said.thinking) > 0
    assert said.counts.output == said.counts.reasoning + 1
    thought = said.parts[0]
    assert isinstance(thought, Thinking)
    back = (Turn("user", (Text("x"),)), Turn("assistant", (thought, Text("hi"))), Turn("user", (Text("y"),)))
    check_meaning(asked(turns=back), ())
    for wrong in (
        evolve(thought, text="other"),
        evolve(thought, signature="AAAA"),
        evolve(thought, signature="?"),
    ):
        with pytest.raises(ApiError, match="signature"):
            check_meaning(asked(turns=(back[0], Turn("assistant", (wrong,)), back[2])), ())
    with pytest.raises(ApiError, match="signature"):
        check_meaning(evolve(asked(turns=back), dialect="gemini"), ())


@given(st.text(), st.text(min_size=1))
def test_seals_are_for_one_text_and_one_dialect(text: str, other: str) -> None:
    signature = seal(text, "anthropic")
    assert is_genuine(signature, "anthropic")
    assert is_genuine(signature, "anthropic", text)
    assert not is_genuine(signature, "gemini")
    assert is_genuine(signature, "anthropic", other) is (other == text)


@pytest.mark.parametrize(
    "turns",
    [
        (Turn("user", (Text("x"),)), Turn("tool", (Result("c1", ()),))),
        (Turn("user", (Text("x"),)), Turn("assistant", (Call("c1", "f", {}),))),
        (Turn("user", (Text("x"),)), Turn("assistant", (Call("c1", "f", {}),)), Turn("user", (Text("y"),))),
        (
            Turn("user", (Text("x"),)),
            Turn("assistant", (Call("c1", "f", {}),)),
            Turn("tool", (Result("c2", ()),)),
        ),
        (Turn("system", (Text("x"),)),),
        (),
    ],
)
def test_talks_that_vendors_refuse(turns: tuple[Turn, ...]) -> None:
    with pytest.raises(ApiError):
        check_meaning(asked(turns=turns), ())


# ------------------------------------------------------------------------------------------ JSON values

leaf_schemas = st.sampled_from(
    [
        {"type": "string", "minLength": 20, "maxLength": 30},
        {"type": "string", "enum": ["a", "b"]},
        {"type": "integer", "minimum": 100},
        {"type": "integer", "maximum": -5},
        {"type": "number", "exclusiveMinimum": 50},
        {"type": ["null", "boolean"]},
        {"const": {"x": 1}},
        {"type": "string", "format": "date-time"},
        {"type": "null"},
        {"$ref": "#/$defs/thing"},
    ]
)
nested_schemas = st.recursive(
    leaf_schemas,
    lambda inner: (
        st.builds(lambda items: {"type": "array", "items": items, "minItems": 2}, inner)
        | st.builds(lambda options: {"anyOf": options}, st.lists(inner, min_size=1, max_size=2))
        | st.builds(
            lambda props: {
                "type": "object",
                "properties": props,
                "required": [*props],
                "additionalProperties": False,
            },
            st.dictionaries(st.sampled_from(["a", "city", "n"]), inner),
        )
    ),
    max_leaves=6,
)


@given(nested_schemas)
def test_values_fit_their_schema(schema: dict[str, Any]) -> None:
    whole = {**schema, "$defs": {"thing": {"type": "object", "properties": {"name": {"type": "string"}}}}}
    value = instance_of(whole)
    assert mismatch(value, whole) is None
    assert instance_of(whole) == value


def test_a_schema_that_contains_itself() -> None:
    tree = {
        "type": "object",
        "properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
        "required": ["next"],
    }
    assert mismatch(instance_of(tree), tree) is None
    assert instance_of(
        {"allOf": [{"type": "object", "properties": {"a": {"const": 1}}}, {"required": ["a"]}]}
    ) == {"a": 1}


# ---------------------------------------------------------------------------------------------- vectors


@given(st.text(), st.integers(1, 500))
def test_vectors_have_length_one(text: str, dimensions: int) -> None:
    vector = embed(text, dimensions)
    assert len(vector) == dimensions
    assert math.isclose(sum(value * value for value in vector), 1, abs_tol=1e-5)
    assert embed(text, dimensions) == vector


def test_texts_that_share_words_are_closer() -> None:
    def near(a: str, b: str) -> float:
        return sum(x * y for x, y in zip(embed(a, 256), embed(b, 256), strict=True))

    assert (
        near("the cat sat on the mat", "a cat on a mat")
        > near("the cat sat on the mat", "stock prices fell") + 0.2
    )
    assert as_base64(embed("x", 4)) == as_base64(embed("X", 4))
