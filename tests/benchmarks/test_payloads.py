"""The answers of the benchmark's upstream: what they hold, and that they are the same in every run."""

from __future__ import annotations

import json
from array import array
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from benchmarks import payloads


def events(body: bytes) -> list[Any]:
    lines = [line.removeprefix(b"data: ") for line in body.split(b"\n\n") if line]
    assert lines.pop() == b"[DONE]"
    return [json.loads(line) for line in lines]


def deltas(body: bytes) -> list[Any]:
    return [event["choices"][0]["delta"] for event in events(body) if event["choices"]]


def test_a_chat_answer_is_about_700_bytes() -> None:
    body = payloads.chat()
    assert 650 <= len(body) <= 850
    assert json.loads(body)["choices"][0]["message"]["content"].startswith("the sky is blue")


def test_a_stream_holds_its_events_and_ends_with_usage() -> None:
    body = b"".join(payloads.text_events())
    assert sum(bool(delta.get("content")) for delta in deltas(body)) == payloads.EVENTS
    assert events(body)[-1]["usage"]["completion_tokens"] == payloads.EVENTS
    assert events(body)[-2]["choices"][0]["finish_reason"] == "stop"


def test_the_pieces_of_a_tool_call_join_to_its_arguments() -> None:
    pieces = [
        call["function"]["arguments"]
        for delta in deltas(b"".join(payloads.tool_events()))
        for call in delta.get("tool_calls", ())
        if call["function"]["arguments"]
    ]
    assert len(pieces) == payloads.EVENTS
    assert json.loads("".join(pieces))["text"].startswith(" the sky is blue")


def test_both_encodings_hold_the_same_vectors() -> None:
    numbers, packed = (json.loads(payloads.embeddings(encoding))["data"] for encoding in ("float", "base64"))
    assert len(numbers) == payloads.VECTORS
    for plain, tight in zip(numbers, packed, strict=True):
        vector = array("f", b64decode(tight["embedding"]))
        assert len(vector) == payloads.DIMENSIONS
        assert plain["embedding"] == vector.tolist()


def test_numbers_have_the_digits_that_vendors_send() -> None:
    size = len(payloads.embeddings("float"))
    assert 1.8e6 < size < 2.4e6


def test_files_hold_the_same_bytes_in_every_run(tmp_path: Path) -> None:
    payloads.write(tmp_path / "one")
    payloads.write(tmp_path / "two")
    for name in payloads.ANSWERS:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.parametrize("name", [*payloads.ANSWERS])
def test_every_answer_names_its_media_type(name: str) -> None:
    kind, make = payloads.ANSWERS[name]
    assert (kind == "text/event-stream") == make().startswith(b"data: ")
