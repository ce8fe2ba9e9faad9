"""Faults 20 to 30: server-sent events in odd shapes, without an end, and with an error among them."""

from __future__ import annotations

import json

import pytest

from llmcore import errors
from llmcore.config import TransportChoice
from llmcore.errors import FirstTokenTimeout, InterChunkTimeout, StreamInterruptedError
from llmcore.types import Event, Finished, TextDelta
from tests.faults.conftest import PAIR, SETUPS, Make, failure, generate, read, rfh, stream
from tests.faults.raw import (
    DONE,
    STREAM,
    WHOLE,
    Server,
    completion,
    cutting,
    dripping,
    event,
    finish,
    holding,
    http,
    serving,
    streamed,
    trickling,
)
from tests.transport.faults import chunk

pytestmark = pytest.mark.anyio

COVERED = (20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30)


@pytest.fixture(params=PAIR)
def setup(request: pytest.FixtureRequest) -> tuple[str, TransportChoice]:
    return SETUPS[request.param]


SOON = 0.1
TEXT = "añ€😀\u200d👩\u0301z"


def plain(text: str) -> bytes:
    """An event whose text stands in it as UTF-8, without escapes."""
    return event("@").replace(b"@", text.encode())


async def text_of(make: Make, *parts: bytes) -> str:
    with Server(trickling(*parts)) as server:
        return (await stream(make(server))).text


# ------------------------------------------------------------------------------------------------- pieces


async def test_20_characters_byte_by_byte(make: Make) -> None:
    data = plain(TEXT) + finish() + DONE
    assert await text_of(make, *(data[place : place + 1] for place in range(len(data)))) == TEXT


async def test_20_characters_cut_at_every_offset(make: Make) -> None:
    data = plain(TEXT)
    first = data.index(TEXT.encode())
    for place in range(first, first + len(TEXT.encode()) + 1):
        assert await text_of(make, event(), data[:place], data[place:], finish() + DONE) == TEXT


@pytest.mark.parametrize("between", [b"", event(""), b": ping\n\n"], ids=["nothing", "empty text", "comment"])
async def test_20_a_surrogate_pair_in_two_deltas(make: Make, between: bytes) -> None:
    halves = event("@1").replace(b"@1", rb"\ud83d"), event("@2").replace(b"@2", rb"\ude00")
    assert (
        await text_of(make, event("a"), halves[0], between, halves[1], event("b"), finish(), DONE) == "a😀b"
    )


@pytest.mark.parametrize("lone", [rb"\ud83d", rb"\ude00", rb"\ud83d\ud83d", rb"\ude00\ud83d"])
async def test_20_a_lone_surrogate_never_reaches_a_text(make: Make, lone: bytes) -> None:
    odd = event("@").replace(b"@", lone)
    shown: list[str] = []
    with Server(serving(streamed(event("a"), odd, event("b"), finish(), DONE))) as server:
        await read(make(server), shown)
    with Server(serving(http(completion("a@b").replace(b"@", lone)))) as server:
        whole = (await generate(make(server))).text
    for text in ("".join(shown), whole):
        assert text.encode().decode() == text
        assert text[0] + text[-1] == "ab"
        assert set(text[1:-1]) == {"\ufffd"}


def ended(data: bytes, end: bytes) -> bytes:
    return data.replace(b"\n", end)


def mixed(data: bytes) -> bytes:
    """Each line ended in another way than the one before."""
    ends = [b"\r\n", b"\n", b"\r"]
    lines = data.split(b"\n")
    return b"".join(line + ends[place % 3] for place, line in enumerate(lines[:-1])) + lines[-1]


LINES = {
    "crlf": ended(WHOLE, b"\r\n"),
    "cr": ended(WHOLE, b"\r"),
    "mixed": mixed(WHOLE),
}


@pytest.mark.parametrize("lines", LINES)
async def test_21_line_ends(make: Make, lines: str) -> None:
    data = LINES[lines]
    events: list[list[tuple[str, ...]]] = []
    for parts in ([WHOLE], [data], [data[place : place + 1] for place in range(len(data))]):
        with Server(trickling(*parts)) as server:
            events.append([told(one) for one in await read(make(server), [])])
    assert events[0] == events[1] == events[2]
    assert events[0] == [("hel",), ("lo",), ("stop", "m", "c1")]


def told(one: Event) -> tuple[str, ...]:
    if isinstance(one, TextDelta):
        return (one.text,)
    assert isinstance(one, Finished)
    return (one.finish_reason, one.model or "", one.id or "")


async def test_22_byte_order_mark(make: Make) -> None:
    mark = b"\xef\xbb\xbf"
    events = event("hello") + finish() + DONE
    assert await text_of(make, mark + events) == "hello"
    assert await text_of(make, mark[:1], mark[1:2], mark[2:], events) == "hello"
    with Server(serving(http(mark + completion()))) as server:
        assert (await generate(make(server))).text == "hello"


ODD = {
    "data over many lines": b"data: " + event("hello")[6:].replace(b", ", b",\ndata: "),
    "no space": event("hello").replace(b"data: ", b"data:"),
    "two spaces": event("hello").replace(b"data: ", b"data:  "),
    "unknown field": b"colour: red\nx\n" + event("hello"),
    "retry": b"retry: 10\n\nretry: soon\n" + event("hello"),
    "id": b"id: 1\n" + event("hello") + b"id: a\x00b\n\n",
    "name": b"event: message\n" + event("hello"),
    "data without a colon": b"data\n\n" + event("hello"),
    "comments": b":\n: a\n\n" + event("hello") + b": b\n\n",
    "many blank lines": b"\n\n\n" + event("hello") + b"\n\n",
}


@pytest.mark.parametrize("shape", ODD)
async def test_23_shapes_of_the_standard(make: Make, shape: str) -> None:
    assert await text_of(make, ODD[shape], finish(), DONE) == "hello"


async def test_24_only_comments(make: Make) -> None:
    """The server lives, and says so; the answer has not begun all the same."""
    with Server(dripping(STREAM + chunk(event()), chunk(b": ping\n\n") * 3, pause=0.002)) as server:
        error = await failure(stream(make(server, first_token=SOON, inter_chunk=SOON / 2)))
        assert await server.closed()
    assert type(error) is FirstTokenTimeout
    assert rfh(error) == "FH"


async def test_24_comments_after_something_visible(make: Make) -> None:
    shown: list[str] = []
    with Server(dripping(STREAM + chunk(event("hello")), chunk(b": ping\n\n") * 3, pause=0.002)) as server:
        error = await failure(read(make(server, inter_chunk=SOON), shown))
        assert await server.closed()
    assert type(error) is StreamInterruptedError
    assert isinstance(error.__cause__, InterChunkTimeout)
    assert shown == ["hello"]


# ---------------------------------------------------------------------------------------------------- ends


async def test_25_no_done_and_the_connection_ends(make: Make) -> None:
    for data in (streamed(event("hello"), finish()), STREAM + chunk(event("hello") + finish())):
        with Server(cutting(data)) as server:
            provider = make(server)
            for _ in range(2):
                response = await stream(provider)
                assert (response.text, response.finish_reason) == ("hello", "stop")
        assert server.connections == 2


async def test_25_no_done_and_the_server_keeps_silent(make: Make) -> None:
    """The answer is whole; the connection, whose answer is not, is closed."""
    with Server(holding(STREAM + chunk(event("hello") + finish()))) as server:
        response = await stream(make(server, inter_chunk=SOON))
        assert await server.closed()
    assert (response.text, response.finish_reason) == ("hello", "stop")


@pytest.mark.parametrize("data", [b"", event(), event("")], ids=["nothing", "role", "empty text"])
async def test_26_no_end_before_anything_visible(make: Make, data: bytes) -> None:
    with Server(serving(streamed(data) if data else streamed())) as server:
        error = await failure(stream(make(server)))
    assert type(error) is StreamInterruptedError
    assert (rfh(error), error.visible_output, error.partial) == ("RFH", False, None)


async def test_26_no_end_after_something_visible(make: Make) -> None:
    shown: list[str] = []
    with Server(serving(streamed(event(), event("hel"), event("lo")))) as server:
        provider = make(server)
        error = await failure(read(provider, shown))
        assert (provider.stats().failures, provider.stats().successes) == (1, 0)
    assert type(error) is StreamInterruptedError
    assert (rfh(error), error.visible_output) == ("H", True)
    assert error.partial is not None
    assert error.partial.text == "".join(shown) == "hello"
    assert error.partial.finish_reason != "stop"


@pytest.mark.parametrize(
    "more", [event(" more"), DONE, b"data: {\n\n", b'data: {"error": {"message": "late"}}\n\n', b"\xff\xfe"]
)
@pytest.mark.parametrize("apart", [True, False])
async def test_27_more_after_done(make: Make, more: bytes, apart: bool) -> None:
    parts = [WHOLE, more, DONE] if apart else [WHOLE + more + DONE]
    with Server(trickling(*parts)) as server:
        provider = make(server)
        for _ in range(2):
            events = await read(provider, [])
            assert [told(one) for one in events] == [("hel",), ("lo",), ("stop", "m", "c1")]
    assert provider.stats().successes == 2


def named(**fields: object) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (str(fields["type"]).encode(), json.dumps(fields).encode())


CLAUDE = b"".join(
    (
        named(type="message_start", message={"id": "m1", "model": "m", "usage": {"input_tokens": 3}}),
        named(type="content_block_start", index=0, content_block={"type": "text", "text": ""}),
        named(type="content_block_delta", index=0, delta={"type": "text_delta", "text": "hello"}),
        named(type="content_block_stop", index=0),
        named(type="message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 2}),
        named(type="message_stop"),
    )
)


@pytest.mark.parametrize(
    "more",
    [
        named(type="content_block_delta", index=0, delta={"type": "text_delta", "text": " more"}),
        named(type="error", error={"type": "overloaded_error", "message": "late"}),
        named(type="message_stop"),
        b"data: {\n\n\xff",
    ],
)
@pytest.mark.parametrize("apart", [True, False])
async def test_28_more_after_message_stop(make: Make, more: bytes, apart: bool) -> None:
    parts = [CLAUDE, more] if apart else [CLAUDE + more]
    with Server(trickling(*parts)) as server:
        response = await stream(make(server, kind="anthropic"))
    assert (response.text, response.finish_reason) == ("hello", "stop")


# -------------------------------------------------------------------------------------------------- errors


def said(**error: object) -> bytes:
    return b"data: %s\n\n" % json.dumps({"error": {"message": "no", **error}}).encode()


MISHAPS = [
    (said(type="server_error"), errors.ServerError, "RFH"),
    (said(code=503), errors.OverloadedError, "RFH"),
    (said(code="rate_limit_exceeded"), errors.RateLimitError, "RF"),
    (said(code="insufficient_quota"), errors.QuotaExhaustedError, "F"),
    (said(code="invalid_api_key"), errors.AuthenticationError, "F"),
    (said(code="context_length_exceeded"), errors.ContextLengthError, "F"),
    (said(code="content_filter"), errors.ContentFilterError, ""),
    (b'event: error\ndata: {"message": "no"}\n\n', errors.ServerError, "RFH"),
    (b'data: {"error": "no"}\n\n', errors.ServerError, "RFH"),
    (b'{"error": {"message": "no", "code": 429}}\n', errors.RateLimitError, "RF"),
]


@pytest.mark.parametrize(("mishap", "kind", "facts"), MISHAPS, ids=lambda value: str(value)[:50])
async def test_29_an_error_before_anything_visible(
    make: Make, mishap: bytes, kind: type[errors.ProviderError], facts: str
) -> None:
    with Server(serving(streamed(event(), mishap, DONE))) as server:
        error = await failure(stream(make(server)))
    assert type(error) is kind
    assert (rfh(error), error.message, error.visible_output, error.partial) == (facts, "no", False, None)


@pytest.mark.parametrize(("mishap", "kind", "facts"), MISHAPS, ids=lambda value: str(value)[:50])
async def test_30_an_error_after_something_visible(
    make: Make, mishap: bytes, kind: type[errors.ProviderError], facts: str
) -> None:
    shown: list[str] = []
    with Server(serving(streamed(event("hel"), event("lo"), mishap, event("more"), DONE))) as server:
        error = await failure(read(make(server), shown))
    assert type(error) is StreamInterruptedError
    assert type(error.__cause__) is kind
    assert (rfh(error), error.phase, error.visible_output) == ("H", "stream", True)
    assert error.partial is not None
    assert error.partial.text == "".join(shown) == "hello"
