"""Pieces of an answer to events: sealed thinking, numbered calls, joined surrogates; and images as addresses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmcore.types import Image, PartDelta, Refusal, TextDelta, ThinkingDelta, ToolCallDelta
from llmcore.wire.deltas import Deltas, arguments_text, compact
from llmcore.wire.media import image_url


def test_a_block_of_thinking_is_sealed_where_another_begins() -> None:
    deltas = Deltas("o")
    deltas.thinking("a", "thinking")
    deltas.thinking("", "tool_plan")
    deltas.thinking("b", "tool_plan")
    deltas.text("")
    deltas.text(None)
    deltas.text("c")
    assert deltas.take() == [
        ThinkingDelta("a"),
        ThinkingDelta("", raw="thinking", origin="o"),
        ThinkingDelta("b"),
        ThinkingDelta("", raw="tool_plan", origin="o"),
        TextDelta("c"),
    ]
    assert deltas.take() == []


def test_an_open_surrogate_is_replaced_where_its_block_ends() -> None:
    deltas = Deltas("o")
    deltas.text("a\ud83d")
    deltas.thinking("\ud83d", "thinking")
    deltas.part(Refusal("no"))
    assert deltas.take() == [
        TextDelta("a"),
        TextDelta("\ufffd"),
        ThinkingDelta("\ufffd"),
        ThinkingDelta("", raw="thinking", origin="o"),
        PartDelta(Refusal("no")),
    ]


def test_calls_are_numbered_and_named() -> None:
    deltas = Deltas("o")
    assert [deltas.call("x", "f", {"a": 1}), deltas.call(None, "g", None), deltas.call(7, 8, "")] == [0, 1, 2]
    deltas.arguments(1, "{")
    deltas.arguments(1, "")
    assert deltas.take() == [
        ToolCallDelta(0, "x", "f", '{"a":1}'),
        ToolCallDelta(1, "call_1", "g", ""),
        ToolCallDelta(2, "call_2", "", ""),
        ToolCallDelta(1, arguments="{"),
    ]


@pytest.mark.parametrize("value", [{"a": "\ud83d"}, {"a": 10**30}, [1, None, "ä"], {"a": {"b": []}}])
def test_compact_json_takes_any_decoded_value(value: Any) -> None:
    text = compact(value)
    assert text.encode()
    assert json.loads(text) == value


def test_arguments_as_text_are_kept_as_they_are() -> None:
    assert [arguments_text(value) for value in (None, "", '{ "a" :1}', 3)] == ["", "", '{ "a" :1}', "3"]


@pytest.mark.parametrize(
    ("image", "url"),
    [
        (Image(url="https://a/b"), "https://a/b"),
        (Image(data=b"\x00"), "data:image/png;base64,AA=="),
        (Image(data=b"\x00", media_type="image/webp"), "data:image/webp;base64,AA=="),
    ],
)
def test_an_image_is_an_address(image: Image, url: str) -> None:
    assert image_url(image) == url
