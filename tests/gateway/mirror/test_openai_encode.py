"""Whole answers as chat completions: finish reasons, usage, rare parts; the official SDK's own types read them."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import msgspec
import pytest
from hypothesis import given
from openai.types.chat import ChatCompletion

from llmcore.gateway.mirror.base import Asked
from llmcore.gateway.mirror.openai_chat import OpenAIChatMirror
from llmcore.types import (
    NO_USAGE,
    Audio,
    File,
    FinishReason,
    GenerationRequest,
    GenerationResponse,
    Image,
    Message,
    Opaque,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from tests.gateway.mirror.openai_nouns import responses

MIRROR = OpenAIChatMirror()
ASKED = Asked(GenerationRequest("?", model="asked"))
CALL = ToolCall("c", "f", '{"a":1}')


def encoded(
    *parts: Part, finish: FinishReason = "stop", usage: Usage = NO_USAGE, model: str | None = "m"
) -> dict[str, Any]:
    response = GenerationResponse(
        Message("assistant", parts), finish, None, usage, model, provider="secret-name"
    )
    return MIRROR.encode_response(response, ASKED, id="chatcmpl-1", created=1_700_000_000)


def message(*parts: Part) -> dict[str, Any]:
    found: dict[str, Any] = encoded(*parts)["choices"][0]["message"]
    return found


def test_a_plain_answer_has_the_standard_fields_and_no_other() -> None:
    assert encoded(Text("hi"), usage=Usage(5, 7)) == {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "hi", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "system_fingerprint": None,
        "usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12},
    }


def test_the_model_is_the_one_that_answered_else_the_one_asked() -> None:
    assert encoded(Text("hi"))["model"] == "m"
    assert encoded(Text("hi"), model=None)["model"] == "asked"


@pytest.mark.parametrize(
    ("finish", "parts", "word"),
    [
        ("stop", (Text("x"),), "stop"),
        ("length", (Text("x"),), "length"),
        ("tool_calls", (CALL,), "tool_calls"),
        ("content_filter", (), "content_filter"),
        ("refusal", (Refusal("no"),), "stop"),
        ("refusal", (Text("x"),), "content_filter"),
        ("pause", (Text("x"),), "length"),
        ("error", (Text("x"),), "length"),
        ("cancelled", (Text("x"),), "length"),
        ("unknown", (Text("x"),), "stop"),
        ("unknown", (CALL,), "tool_calls"),
    ],
)
def test_finish_reasons_are_the_dialects_own_words(
    finish: FinishReason, parts: tuple[Part, ...], word: str
) -> None:
    assert encoded(*parts, finish=finish)["choices"][0]["finish_reason"] == word


@pytest.mark.parametrize(
    ("usage", "wanted"),
    [
        (NO_USAGE, None),
        (Usage(5), {"prompt_tokens": 5}),
        (Usage(None, 5), {"completion_tokens": 5}),
        (Usage(0, 0), {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}),
        (
            Usage(5, 6, 3, 2, 1),
            {
                "prompt_tokens": 5,
                "completion_tokens": 6,
                "total_tokens": 11,
                "prompt_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 2},
                "completion_tokens_details": {"reasoning_tokens": 1},
            },
        ),
    ],
)
def test_what_is_not_known_of_tokens_is_left_out_and_never_0(
    usage: Usage, wanted: dict[str, Any] | None
) -> None:
    assert encoded(Text("x"), usage=usage).get("usage") == wanted


def test_calls_have_no_content_beside_them() -> None:
    assert message(CALL) == {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}],
    }


def test_pieces_of_one_kind_are_joined() -> None:
    found = message(Thinking("a"), Text("1"), Thinking("b"), Text("2"), Refusal("x"), Refusal("y"))
    assert (found["content"], found["reasoning_content"], found["refusal"]) == ("12", "ab", "xy")
    assert "reasoning_details" not in found


def test_pictures_sound_and_notes_have_their_fields() -> None:
    note = {"annotations": [{"type": "url_citation"}]}
    found = message(
        Image(url="https://a/b.png"),
        Image(data=b"AB", media_type="image/gif"),
        Opaque(note, "x"),
        Audio(b"AB", "audio/wav"),
    )
    assert [image["image_url"]["url"] for image in found["images"]] == [
        "https://a/b.png",
        "data:image/gif;base64,QUI=",
    ]
    assert found["annotations"] == note["annotations"]
    assert b64decode(found["audio"]["data"]) == b"AB"
    assert found["audio"]["expires_at"] == 1_700_000_000
    assert message(Opaque({"audio": {"id": "a1"}}, "openai"))["audio"] == {"id": "a1"}


def test_blocks_of_other_vendors_and_files_have_no_form_and_are_left_out() -> None:
    block = Opaque({"type": "server_tool_use", "id": "x"}, "anthropic")
    assert message(Text("x"), block, File(b"AB")) == message(Text("x"))


def test_the_marks_of_a_vendor_stand_beside_the_text_and_are_opaque() -> None:
    found = message(
        Thinking("hm", "sig", origin="anthropic"), Text("x"), ToolCall("c", "f", "{}", "mark", "gemini")
    )
    (entry,) = found["reasoning_details"]
    assert (entry["type"], entry["index"], entry["thinking"]) == ("reasoning.sealed", 0, "hm")
    assert entry["data"].startswith("llmcore1.")
    assert found["tool_calls"][0]["extra_content"] == {
        "google": {"thought_signature": "mark"},
        "origin": "gemini",
    }


def test_nothing_tells_which_provider_answered() -> None:
    assert b"secret-name" not in msgspec.json.encode(encoded(Text("x"), CALL, usage=Usage(1, 2)))


@given(responses())
def test_the_official_sdk_reads_every_answer(response: GenerationResponse) -> None:
    body = MIRROR.encode_response(response, ASKED, id="x", created=7)
    if {"total_tokens"}.isdisjoint(body.get("usage") or ()):
        body.pop("usage", None)  # its type wants all three figures, of which we never invent one
    for name in ("audio", "annotations"):
        body["choices"][0]["message"].pop(name, None)  # vendors' own, as they came
    found = ChatCompletion.model_validate(body, strict=True)
    answer = found.choices[0].message
    assert (answer.content or "", answer.refusal) == (response.text, response.refusal)
    assert [call.id for call in answer.tool_calls or ()] == [call.id for call in response.tool_calls]


def test_a_call_without_arguments_has_an_empty_object() -> None:
    assert message(ToolCall("c", "f", ""))["tool_calls"][0]["function"]["arguments"] == "{}"


def test_citations_of_responses_have_the_form_of_chats() -> None:
    flat = {"type": "url_citation", "start_index": 0, "end_index": 2, "title": "t", "url": "https://a"}
    nested = {
        "type": "url_citation",
        "url_citation": {"start_index": 0, "end_index": 2, "title": "t", "url": "https://a"},
    }
    other = {"type": "file_citation", "file_id": "f", "filename": "n", "index": 0}
    found = message(Text("hi"), Opaque({"annotations": [flat, nested, other]}, "openai_responses"))
    assert found["annotations"] == [nested, nested, other]
