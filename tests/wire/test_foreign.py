"""What only OpenAI's chat completions know does not reach a dialect that would refuse it; the caller is told."""

from __future__ import annotations

import json

import pytest

from llmcore.types import GenerationRequest, Message, Reasoning, Text, Thinking
from llmcore.wire.anthropic import AnthropicWire
from llmcore.wire.base import Wire
from llmcore.wire.cohere import CohereWire
from llmcore.wire.foreign import CHAT_COMPLETIONS, TO_ANTHROPIC, TO_COHERE, TO_GEMINI, TO_RESPONSES
from llmcore.wire.gemini import GeminiWire
from llmcore.wire.ollama import OllamaWire
from llmcore.wire.openai import OpenAIWire
from llmcore.wire.responses import ResponsesWire

WIRES = [
    (AnthropicWire(), TO_ANTHROPIC | {"metadata", "service_tier"}),
    (GeminiWire(), TO_GEMINI),
    (CohereWire(), TO_COHERE),
    (ResponsesWire(), TO_RESPONSES),
    (OpenAIWire(), frozenset[str]()),
]


@pytest.mark.parametrize(("wire", "foreign"), WIRES, ids=[type(wire).__name__ for wire, _ in WIRES])
@pytest.mark.parametrize("stream", [True, False])
def test_foreign_fields_become_warnings_and_others_pass(
    wire: Wire, foreign: frozenset[str], stream: bool
) -> None:
    extra = {name: {"probe": name} for name in CHAT_COMPLETIONS} | {"custom_field": {"probe": "custom"}}
    encoded = wire.encode_generate(GenerationRequest("hi", "model-1", extra=extra), stream=stream)
    sent = json.loads(encoded.http.body or b"")
    sent |= sent.get("text", {})  # where Responses have their verbosity
    assert {name for name in extra if isinstance(sent.get(name), dict) and "probe" in sent[name]} == (
        set(extra) - foreign
    )
    warned = {warning.parameter for warning in encoded.warnings if warning.parameter.startswith("extra.")}
    assert warned == {f"extra.{name}" for name in foreign}


def test_anthropic_gets_its_own_tiers_and_user_and_no_others() -> None:
    def sent(**extra: object) -> tuple[dict[str, object], list[str]]:
        encoded = AnthropicWire().encode_generate(GenerationRequest("hi", "m", extra=extra), stream=False)
        return json.loads(encoded.http.body or b""), [warning.parameter for warning in encoded.warnings]

    body, warned = sent(service_tier="standard_only", metadata={"user_id": "u"})
    assert (body["service_tier"], body["metadata"], warned) == ("standard_only", {"user_id": "u"}, [])
    body, warned = sent(service_tier="flex", metadata={"topic": "x"})
    assert {"service_tier", "metadata"}.isdisjoint(body)
    assert warned == ["extra.service_tier", "extra.metadata"]
    assert sent(metadata="u")[1] == ["extra.metadata"]


def test_ollama_gets_what_it_knows_where_it_looks_for_it() -> None:
    """Unknown fields are passed over there, so what is sent in vain must be told all the same."""
    penalties = {"frequency_penalty": 0.5, "presence_penalty": 0.25}
    extra = {**dict.fromkeys(CHAT_COMPLETIONS, "x"), **penalties, "keep_alive": "5m", "options": {"top_k": 3}}
    encoded = OllamaWire().encode_generate(GenerationRequest("hi", "m", extra=extra), stream=False)
    body = json.loads(encoded.http.body or b"")
    assert body["options"] == {**penalties, "top_k": 3}
    assert set(body) - {"model", "messages", "stream", "options"} == {
        "logprobs",
        "top_logprobs",
        "keep_alive",
    }
    kept = {"logprobs", "top_logprobs", *penalties}
    assert {one.parameter for one in encoded.warnings} == {
        f"extra.{name}" for name in CHAT_COMPLETIONS - kept
    }


@pytest.mark.parametrize("wire", [OpenAIWire(), ResponsesWire(), OllamaWire(), CohereWire()])
def test_adaptive_thinking_is_left_to_the_model_where_it_has_no_word(wire: Wire) -> None:
    def sent(reasoning: Reasoning | None) -> tuple[bytes | None, list[str]]:
        encoded = wire.encode_generate(GenerationRequest("hi", "m", reasoning=reasoning), stream=False)
        return encoded.http.body, [warning.parameter for warning in encoded.warnings]

    assert sent(Reasoning(adaptive=True)) == (sent(None)[0], ["reasoning.adaptive"])
    assert sent(Reasoning("high", adaptive=True)) == sent(Reasoning("high"))


ALL_WIRES = [wire for wire, _ in WIRES] + [OllamaWire()]


@pytest.mark.parametrize("wire", ALL_WIRES, ids=[type(wire).__name__ for wire in ALL_WIRES])
def test_reasoning_of_another_vendor_is_told_to_be_left_out_once(wire: Wire) -> None:
    def warned(*parts: Thinking) -> list[str]:
        said = Message("assistant", (*parts, Text("so")))
        request = GenerationRequest(
            [Message.user("?"), said, Message.user("!"), said, Message.user("?")], "m"
        )
        encoded = wire.encode_generate(request, stream=False)
        assert b"secret" not in (encoded.http.body or b"")
        return [warning.parameter for warning in encoded.warnings]

    assert warned(Thinking("secret", "s", raw="x", origin="elsewhere")) == ["messages.thinking"]
    assert warned(Thinking("secret")) == []
