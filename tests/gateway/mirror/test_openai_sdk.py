"""OpenAI's official SDK against the mirrors, no server between: what it sends is understood, what it gets is read."""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import openai
import pytest
from pydantic import BaseModel

from llmcore.errors import (
    AuthenticationError,
    ContextLengthError,
    ModelNotFoundError,
    OverloadedError,
    PermissionDeniedError,
    ProviderError,
    RateLimitError,
    ServerError,
)
from llmcore.gateway.mirror.base import Asked
from llmcore.gateway.mirror.openai_chat import OpenAIChatMirror
from llmcore.gateway.mirror.openai_embeddings import OpenAIEmbeddingsMirror
from llmcore.types import (
    EmbeddingResponse,
    Event,
    Finished,
    GenerationResponse,
    JsonSchema,
    Message,
    PartDelta,
    Refusal,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
)

MIRROR = OpenAIChatMirror()
EMBEDDINGS = OpenAIEmbeddingsMirror()
Answer = GenerationResponse | EmbeddingResponse | list[Event | ProviderError] | ProviderError


class Gateway:
    """Answers every request with `answer`, and remembers what it understood."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[Any] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        body = json.loads(request.content)
        if request.url.path == "/v1/embeddings":
            asked = EMBEDDINGS.decode_request(body)
            self.asked.append(asked)
            assert isinstance(self.answer, EmbeddingResponse)
            return httpx2.Response(200, json=EMBEDDINGS.encode_response(self.answer, asked))
        return self._chat(MIRROR.decode_request(body))

    def _chat(self, asked: Asked) -> httpx2.Response:
        self.asked.append(asked)
        if isinstance(self.answer, ProviderError):
            told = MIRROR.encode_error(self.answer, request_id="r1")
            return httpx2.Response(told.status, json=told.body, headers=told.headers)
        if isinstance(self.answer, list):
            return httpx2.Response(
                200, content=self._stream(asked), headers={"content-type": "text/event-stream"}
            )
        assert isinstance(self.answer, GenerationResponse)
        return httpx2.Response(
            200, json=MIRROR.encode_response(self.answer, asked, id="chatcmpl-1", created=7)
        )

    def _stream(self, asked: Asked) -> bytes:
        assert isinstance(self.answer, list)
        writing = MIRROR.event_encoder(asked, id="chatcmpl-1", created=7)
        return writing.keep_alive() + b"".join(
            writing.fail(one, request_id="r1") if isinstance(one, ProviderError) else writing.feed(one)
            for one in self.answer
        )


@contextmanager
def client_of(gateway: Callable[[httpx2.Request], httpx2.Response]) -> Iterator[openai.OpenAI]:
    transport = httpx2.MockTransport(gateway)
    with (
        httpx2.Client(transport=transport) as http,
        openai.OpenAI(api_key="k", base_url="http://gateway/v1", http_client=http, max_retries=0) as client,
    ):
        yield client


HELLO: Any = [{"role": "user", "content": "hello"}]
TOOL: Any = {
    "type": "function",
    "function": {"name": "f", "parameters": {"type": "object", "properties": {}}},
}


def test_an_answer() -> None:
    usage = Usage(5, 7, 2, None, 3)
    gateway = Gateway(
        GenerationResponse(
            Message.assistant(Thinking("hm", raw="reasoning_content"), "hi"), "stop", usage=usage
        )
    )
    with client_of(gateway) as client:
        found = client.chat.completions.create(model="m", messages=HELLO, max_completion_tokens=5, seed=1)
    assert found.choices[0].message.content == "hi"
    assert found.choices[0].message.reasoning_content == "hm"  # type: ignore[attr-defined]  # beside OpenAI's own
    assert found.usage is not None
    assert found.usage.total_tokens == 12
    assert found.usage.completion_tokens_details is not None
    assert found.usage.completion_tokens_details.reasoning_tokens == 3
    assert gateway.asked[0].request.messages == (Message.user("hello"),)


def test_a_call_of_a_tool_goes_there_and_back() -> None:
    call = ToolCall("c1", "f", '{"a":1}')
    gateway = Gateway(GenerationResponse(Message.assistant(call), "tool_calls"))
    with client_of(gateway) as client:
        found = client.chat.completions.create(model="m", messages=HELLO, tools=[TOOL])
        asked: Any = found.choices[0].message
        result: Any = {"role": "tool", "tool_call_id": "c1", "content": "4"}
        client.chat.completions.create(model="m", messages=[*HELLO, asked, result], tools=[TOOL])
    assert found.choices[0].finish_reason == "tool_calls"
    assert gateway.asked[1].request.messages[1:] == (Message.assistant(call), Message.tool("c1", "4"))
    assert gateway.asked[1].warnings == ()


def test_what_another_vendor_sealed_goes_there_and_back() -> None:
    answer = Message.assistant(
        Thinking("hm", "sig", origin="anthropic"), "hi", ToolCall("c1", "f", "{}", "mark", "gemini")
    )
    gateway = Gateway(GenerationResponse(answer, "tool_calls"))
    with client_of(gateway) as client:
        found: Any = client.chat.completions.create(model="m", messages=HELLO).choices[0].message
        client.chat.completions.create(model="m", messages=[*HELLO, found])
    assert gateway.asked[1].request.messages[1] == answer


class City(BaseModel):
    """What is asked for."""

    name: str


def test_parse() -> None:
    gateway = Gateway(GenerationResponse(Message.assistant('{"name": "Oslo"}'), "stop"))
    with client_of(gateway) as client:
        found = client.chat.completions.parse(model="m", messages=HELLO, response_format=City)
    assert found.choices[0].message.parsed == City(name="Oslo")
    wanted = gateway.asked[0].request.response_format
    assert isinstance(wanted, JsonSchema)
    assert (wanted.name, wanted.strict, wanted.schema["required"]) == ("City", True, ["name"])


EVENTS: list[Event | ProviderError] = [
    ThinkingDelta("hm"),
    TextDelta("he"),
    TextDelta("llo"),
    ToolCallDelta(0, "c1", "f", '{"a"'),
    ToolCallDelta(0, arguments=":1}"),
    Finished("tool_calls", usage=Usage(3, 4)),
]


def test_a_stream() -> None:
    gateway = Gateway(EVENTS)
    with (
        client_of(gateway) as client,
        client.chat.completions.create(
            model="m", messages=HELLO, stream=True, stream_options={"include_usage": True}
        ) as chunks,
    ):
        found = list(chunks)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in found if chunk.choices)
    assert text == "hello"
    assert found[-1].usage is not None
    assert found[-1].usage.total_tokens == 7
    assert gateway.asked[0].stream


def test_the_sdks_own_folding_of_a_stream() -> None:
    with (
        client_of(Gateway(EVENTS)) as client,
        client.chat.completions.stream(model="m", messages=HELLO, tools=[TOOL]) as events,
    ):
        kinds = {event.type for event in events}
        found = events.get_final_completion().choices[0]
    assert found.message.content == "hello"
    assert found.message.tool_calls is not None
    assert found.message.tool_calls[0].function.arguments == '{"a":1}'
    assert found.finish_reason == "tool_calls"
    assert {"chunk", "content.delta", "tool_calls.function.arguments.done"} <= kinds


def test_a_refusal_in_a_stream() -> None:
    events: list[Event | ProviderError] = [PartDelta(Refusal("no")), Finished("refusal")]
    with (
        client_of(Gateway(events)) as client,
        client.chat.completions.stream(model="m", messages=HELLO) as stream,
    ):
        stream.until_done()
        assert stream.get_final_completion().choices[0].message.refusal == "no"


def test_an_error_inside_a_stream_is_raised() -> None:
    with client_of(Gateway([TextDelta("he"), OverloadedError("full")])) as client:
        chunks = client.chat.completions.create(model="m", messages=HELLO, stream=True)
        seen: list[str | None] = []
        with pytest.raises(openai.APIError, match="full") as caught:
            seen.extend(chunk.choices[0].delta.content for chunk in chunks)
        assert seen[-1] == "he"
        assert caught.value.code == "server_is_overloaded"


@pytest.mark.parametrize(
    ("error", "cls"),
    [
        (RateLimitError("slow", retry_after=3), openai.RateLimitError),
        (AuthenticationError("no"), openai.AuthenticationError),
        (PermissionDeniedError("no"), openai.PermissionDeniedError),
        (ModelNotFoundError("no"), openai.NotFoundError),
        (ContextLengthError("long"), openai.BadRequestError),
        (ServerError("broken"), openai.InternalServerError),
        (OverloadedError("full"), openai.InternalServerError),
    ],
)
def test_errors_are_the_sdks_own_classes(error: ProviderError, cls: type[openai.APIStatusError]) -> None:
    with client_of(Gateway(error)) as client, pytest.raises(cls) as caught:
        client.chat.completions.create(model="m", messages=HELLO)
    assert caught.value.request_id == "r1"
    assert caught.value.code


def test_only_what_may_pass_is_asked_again() -> None:
    for error, times in ((RateLimitError("slow", retry_after=0), 2), (AuthenticationError("no"), 1)):
        gateway = Gateway(error)
        with client_of(gateway) as client, pytest.raises(openai.APIStatusError):
            client.with_options(max_retries=1).chat.completions.create(model="m", messages=HELLO)
        assert len(gateway.asked) == times


@pytest.mark.parametrize("encoding", [None, "float", "base64"])
def test_embeddings(encoding: str | None) -> None:
    vectors = (array("f", (0.5, -1.25)), array("f", (3.0, 0.125)))
    gateway = Gateway(EmbeddingResponse(vectors, "m", usage=Usage(6)))
    more: Any = {} if encoding is None else {"encoding_format": encoding}
    with client_of(gateway) as client:
        found = client.embeddings.create(model="m", input=["a", "b"], **more)
    assert found.usage.prompt_tokens == 6
    assert gateway.asked[0].request.inputs == ("a", "b")
    if encoding != "base64":  # asked for by name, the SDK hands the text on
        assert [row.embedding for row in found.data] == [[0.5, -1.25], [3.0, 0.125]]


def test_nothing_but_text_is_plain() -> None:
    gateway = Gateway(GenerationResponse(Message.assistant(Text("hi")), "stop"))
    with client_of(gateway) as client:
        raw = client.chat.completions.with_raw_response.create(model="m", messages=HELLO)
    assert raw.parse().choices[0].message.content == "hi"
