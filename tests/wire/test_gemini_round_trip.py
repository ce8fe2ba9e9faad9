"""What is encoded for Gemini and read back is what it was: messages of every role, over all that the dialect can say."""

from __future__ import annotations

import base64
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from llmcore.provider import Fold, events_of
from llmcore.types import (
    Audio,
    File,
    GenerationRequest,
    GenerationResponse,
    Image,
    Message,
    Opaque,
    Part,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from llmcore.wire.gemini import GeminiWire

WIRE = GeminiWire()

words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
names = st.text("abcdefgh_", min_size=1, max_size=8)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**60), 2**60), words),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(words, inner, max_size=2)),
    max_leaves=5,
)
objects = st.dictionaries(words, values, max_size=3)
marks = st.one_of(st.none(), st.just("c2ln"))


def own(mark: str | None) -> str | None:
    return "gemini" if mark else None


def compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


texts = st.builds(lambda text, mark: Text(text, mark, own(mark)), words, marks)
thoughts = st.builds(lambda text: Thinking(text, "c2ln", origin="gemini"), words)
blobs = st.binary(min_size=1, max_size=9)
images = st.builds(
    lambda data, kind: Image(data=data, media_type=kind), blobs, st.sampled_from(["image/png", "image/webp"])
)
sounds = st.builds(Audio, blobs, st.sampled_from(["audio/wav", "audio/L16;rate=24000"]))
files = st.builds(
    lambda data, kind: File(data=data, media_type=kind),
    blobs,
    st.sampled_from(["application/pdf", "text/csv"]),
)
blocks = st.builds(
    lambda code: Opaque({"executableCode": {"language": "PYTHON", "code": code}}, "gemini"), words
)
signed = st.builds(lambda image: (image, Opaque({"thoughtSignature": "c2ln"}, "gemini")), images)


def calls(number: int) -> st.SearchStrategy[ToolCall]:
    """A call with the vendor's id, or with the one that its place in the message gives it."""
    return st.builds(
        lambda id_, name, args, mark: ToolCall(id_, name, compact(args), mark, own(mark)),
        st.sampled_from([f"call_{number}", f"id-{number}"]),
        names,
        objects,
        marks,
    )


def canonical(message: Message) -> Message:
    """Neighbouring pieces of text that no signature parts are one text: so streams are folded, too."""
    fold = Fold()
    for event in events_of(GenerationResponse(message)):
        fold.add(event)
    return Message(message.role, fold.message().parts)


def sent(*messages: Message) -> list[dict[str, Any]]:
    encoded = WIRE.encode_generate(GenerationRequest(messages, model="gemini-2.5-pro"), stream=False)
    assert encoded.http.body is not None
    assert encoded.warnings == ()
    contents: list[dict[str, Any]] = json.loads(encoded.http.body)["contents"]
    return contents


def read_back(content: dict[str, Any]) -> Message:
    body = json.dumps({"candidates": [{"content": content, "finishReason": "STOP"}]}).encode()
    response = WIRE.decode_generate(body, GenerationRequest("x"))
    assert isinstance(response, GenerationResponse)
    return response.message


@settings(deadline=None, max_examples=80)
@given(st.data())
def test_what_the_model_said(data: st.DataObject) -> None:
    parts: list[Part] = []
    for _ in range(data.draw(st.integers(1, 6))):
        number = sum(isinstance(part, ToolCall) for part in parts)
        drawn = data.draw(st.one_of(texts, thoughts, images, sounds, files, blocks, signed, calls(number)))
        parts.extend(drawn if isinstance(drawn, tuple) else (drawn,))
    message = canonical(Message("assistant", parts))
    question, content = sent(Message.user("q"), message)
    assert question["role"] == "user"
    assert content["role"] == "model"
    assert read_back(content) == message


@settings(deadline=None, max_examples=50)
@given(st.lists(st.one_of(words.map(Text), images, sounds, files), min_size=1, max_size=5))
def test_what_the_user_said(parts: list[Any]) -> None:
    message = canonical(Message("user", parts))
    (content,) = sent(message)
    assert content["role"] == "user"
    assert read_back(content).parts == message.parts


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.tuples(names, st.one_of(words, objects.map(compact)), st.booleans(), blobs | st.none()),
        min_size=1,
        max_size=4,
    )
)
def test_what_the_tools_said(given_results: list[tuple[str, str, bool, bytes | None]]) -> None:
    ran = [ToolCall(f"call_{number}", name) for number, (name, *_) in enumerate(given_results)]
    results = [
        ToolResult(
            call.id,
            text if blob is None else (Text(text), Image(data=blob, media_type="image/png")),
            call.name,
            bad,
        )
        for call, (_, text, bad, blob) in zip(ran, given_results, strict=True)
    ]
    content = sent(
        Message.user("q"), Message.assistant(*ran), *(Message("tool", (result,)) for result in results)
    )[2]
    assert content["role"] == "user"
    found = [_result(part["functionResponse"], number) for number, part in enumerate(content["parts"])]
    assert found == results


def _result(response: dict[str, Any], number: int) -> ToolResult:
    """The reading that the vendor makes of a function response, written down once more by hand."""
    answer, is_error = response["response"], False
    if list(answer) == ["error"]:
        text, is_error = answer["error"], True
    elif list(answer) == ["result"]:
        text = answer["result"]
    else:
        text = compact(answer)
    blobs = [base64.b64decode(part["inlineData"]["data"]) for part in response.get("parts", ())]
    images = tuple(Image(data=blob, media_type="image/png") for blob in blobs)
    return ToolResult(f"call_{number}", (Text(text), *images) if images else text, response["name"], is_error)
