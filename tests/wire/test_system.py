"""All that the system says in one message at the top, where a server may take no other."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcore.providers.table import ROWS
from llmcore.types import GenerationRequest, Message
from llmcore.wire.base import Warnings, Wire
from llmcore.wire.ollama import OllamaWire
from llmcore.wire.openai import OpenAIWire
from llmcore.wire.system import at_the_top

HI, ONE, TWO = Message.user("hi"), Message.system("One."), Message.system("Two.")


def roles(wire: Wire, *messages: Message) -> tuple[list[tuple[str, str]], list[str]]:
    encoded = wire.encode_generate(GenerationRequest(messages, "m"), stream=False)
    sent = json.loads(encoded.http.body or b"")["messages"]
    told = [(message["role"], message["content"]) for message in sent]
    return told, [warning.parameter for warning in encoded.warnings]


@pytest.mark.parametrize("wire", [OllamaWire(), OpenAIWire(one_system=True)])
def test_one_message_at_the_top(wire: Wire) -> None:
    both = [("system", "One.\n\nTwo."), ("user", "hi")]
    assert roles(wire, ONE, TWO, HI) == (both, [])
    assert roles(wire, ONE, HI, TWO) == (both, ["messages"])
    assert roles(wire, HI, TWO) == ([("system", "Two."), ("user", "hi")], ["messages"])
    assert roles(wire, Message.system(""), HI) == ([("user", "hi")], [])
    assert roles(wire, ONE, HI) == ([("system", "One."), ("user", "hi")], [])


def test_others_get_each_where_it_stands() -> None:
    assert roles(OpenAIWire(), ONE, TWO, HI, TWO)[0] == [
        ("system", "One."),
        ("system", "Two."),
        ("user", "hi"),
        ("system", "Two."),
    ]


def test_a_name_that_goes_is_told() -> None:
    warnings = Warnings()
    at_the_top((ONE, Message("system", "Two.", name="x"), HI), warnings)
    assert [one.parameter for one in warnings.items] == ["message.name"]


def test_local_servers_are_such() -> None:
    wires = {place.kind: place.wire for place in ROWS}
    for kind in ("vllm", "llamacpp", "lm_studio", "localai"):
        wire = wires[kind]
        assert isinstance(wire, OpenAIWire)
        assert wire.one_system, kind


texts = st.text("ab ", max_size=3)
said = st.builds(Message.system, texts) | st.builds(Message.user, texts) | st.builds(Message.assistant, texts)


@given(st.lists(said, max_size=6))
def test_nothing_said_is_lost_and_the_rest_keeps_its_order(messages: list[Message]) -> None:
    found = at_the_top(tuple(messages), Warnings())
    assert all(message.role != "system" for message in found[1:])
    assert [one for one in found if one.role != "system"] == [one for one in messages if one.role != "system"]
    words = "".join(one.text for one in messages if one.role == "system")
    assert "".join(one.text for one in found if one.role == "system").replace("\n\n", "") == words
