"""Faults 16 to 19 and 31 to 34: success statuses with bodies that are not what was asked for."""

from __future__ import annotations

import json

import pytest

from llmcore import errors
from llmcore.config import TransportChoice
from llmcore.errors import MalformedResponseError, StreamInterruptedError
from llmcore.types import GenerationResponse
from tests.faults.conftest import PAIR, SETUPS, Ask, Make, failure, generate, read, rfh, stream
from tests.faults.raw import (
    DONE,
    STREAM,
    WHOLE,
    Server,
    completion,
    either,
    event,
    finish,
    healthy,
    http,
    serving,
    streamed,
)
from tests.transport.faults import chunk

pytestmark = pytest.mark.anyio

COVERED = (16, 17, 18, 19, 31, 32, 33, 34)


@pytest.fixture(params=PAIR)
def setup(request: pytest.FixtureRequest) -> tuple[str, TransportChoice]:
    return SETUPS[request.param]


@pytest.mark.parametrize("end", [1, 20, -20, -1])
async def test_16_truncated_json(make: Make, end: int) -> None:
    with Server(serving(http(completion()[:end]), either())) as server:
        provider = make(server)
        error = await failure(generate(provider))
        assert (await generate(provider)).text == "hello"
    assert type(error) is MalformedResponseError
    assert (rfh(error), error.phase, error.retry_limit) == ("RFH", "parse", 1)
    assert server.connections == 1


@pytest.mark.parametrize("end", [1, 20, -20, -1])
async def test_16_truncated_json_where_events_were_asked_for(make: Make, end: int) -> None:
    with Server(serving(http(completion()[:end]))) as server:
        error = await failure(stream(make(server)))
    assert isinstance(error, (MalformedResponseError, StreamInterruptedError))
    assert (rfh(error), error.visible_output) == ("RFH", False)


@pytest.mark.parametrize("end", [7, -9])
async def test_16_truncated_event(make: Make, end: int) -> None:
    """HTTP says that all is well; the last event is half a one."""
    shown: list[str] = []
    with Server(serving(streamed(event("hel"), event("lo")[:end]))) as server:
        error = await failure(read(make(server), shown))
    assert type(error) is StreamInterruptedError
    assert rfh(error) == "H"
    assert error.partial is not None
    assert error.partial.text == "".join(shown) == "hel"


NOTHING = {
    "empty": http(),
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "whitespace": http(b" \r\n\t \n"),
    "chunks of nothing": streamed(),
}


@pytest.mark.parametrize("body", NOTHING)
async def test_17_nothing(make: Make, body: str) -> None:
    with Server(serving(NOTHING[body])) as server:
        error = await failure(generate(make(server)))
    assert type(error) is MalformedResponseError
    assert rfh(error) == "RFH"


@pytest.mark.parametrize("body", NOTHING)
async def test_17_nothing_where_events_were_asked_for(make: Make, body: str) -> None:
    with Server(serving(NOTHING[body])) as server:
        error = await failure(stream(make(server)))
    assert isinstance(error, (MalformedResponseError, StreamInterruptedError))
    assert (rfh(error), error.visible_output, error.partial) == ("RFH", False, None)


VALUES = [b"[]", b"[1]", b'[{"id":"c1"}]', b'"text"', b"17", b"null", b"true", b"{}"]


@pytest.mark.parametrize("value", VALUES)
async def test_18_json_that_is_no_answer(make: Make, value: bytes) -> None:
    with Server(serving(http(value))) as server:
        error = await failure(generate(make(server)))
    assert type(error) is MalformedResponseError
    assert (rfh(error), error.phase) == ("RFH", "parse")


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("framed", [True, False])
async def test_18_events_that_are_no_answer(make: Make, value: bytes, framed: bool) -> None:
    answer = streamed(b"data: " + value + b"\n\n", DONE) if framed else http(value)
    with Server(serving(answer)) as server:
        error = await failure(stream(make(server)))
    assert isinstance(error, (MalformedResponseError, StreamInterruptedError))
    assert (rfh(error), error.visible_output) == ("RFH", False)


@pytest.mark.parametrize("broken", [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80"])
async def test_19_text_that_is_no_utf8(make: Make, broken: bytes) -> None:
    shown: list[str] = []
    with Server(serving(http(completion("X").replace(b"X", broken)))) as server:
        error = await failure(generate(make(server)))
    assert type(error) is MalformedResponseError
    assert rfh(error) == "RFH"
    bad = event("X").replace(b"X", broken)
    with Server(serving(streamed(event(), bad, finish(), DONE))) as server:
        error = await failure(stream(make(server)))
    assert type(error) is MalformedResponseError
    assert (rfh(error), error.visible_output) == ("RFH", False)
    with Server(serving(streamed(event("hello"), bad, finish(), DONE))) as server:
        error = await failure(read(make(server), shown))
    assert type(error) is StreamInterruptedError
    assert isinstance(error.__cause__, MalformedResponseError)
    assert error.partial is not None
    assert error.partial.text == "".join(shown) == "hello"


# ------------------------------------------------------------------------------- another kind than asked for


def body(**error: object) -> bytes:
    return json.dumps({"error": {"message": "no", **error}}).encode()


INSIDE = [
    (body(code="invalid_api_key"), errors.AuthenticationError, "F"),
    (body(code="insufficient_quota", type="insufficient_quota"), errors.QuotaExhaustedError, "F"),
    (body(code="rate_limit_exceeded"), errors.RateLimitError, "RF"),
    (body(code="context_length_exceeded"), errors.ContextLengthError, "F"),
    (body(code="model_not_found"), errors.ModelNotFoundError, "F"),
    (body(code=503), errors.OverloadedError, "RFH"),
    (body(code=429), errors.RateLimitError, "RF"),
    (body(), errors.ServerError, "RFH"),
]


@pytest.mark.parametrize(("text", "kind", "facts"), INSIDE, ids=lambda value: str(value)[:40])
async def test_31_an_error_with_status_200(
    make: Make, ask: Ask, text: bytes, kind: type[errors.ProviderError], facts: str
) -> None:
    with Server(serving(http(text))) as server:
        error = await failure(ask(make(server)))
    assert type(error) is kind
    assert (rfh(error), error.message, error.visible_output) == (facts, "no", False)


async def test_32_events_where_json_was_asked_for(make: Make) -> None:
    for head in (STREAM, STREAM.replace(b"text/event-stream", b"application/json")):
        with Server(serving(head + chunk(WHOLE) + b"0\r\n\r\n")) as server:
            response = await generate(make(server))
    assert (response.text, response.finish_reason) == ("hello", "stop")


@pytest.mark.parametrize("events", [event("hello"), event(), b": nothing\n\n", b"data: {\n\n"])
async def test_32_events_that_are_no_whole_answer(make: Make, events: bytes) -> None:
    with Server(serving(streamed(events))) as server:
        error = await failure(generate(make(server)))
    assert isinstance(error, (MalformedResponseError, StreamInterruptedError))
    assert (rfh(error), error.visible_output, error.partial) == ("RFH", False, None)


async def test_32_json_where_events_were_asked_for(make: Make) -> None:
    """Many small servers know no streaming and answer at once."""
    with Server(serving(http(completion()))) as server:
        response = await stream(make(server))
    assert (response.text, response.finish_reason) == ("hello", "stop")


@pytest.mark.parametrize("kind", ["text/plain", "application/octet-stream", "", "x", None])
async def test_33_another_content_type(make: Make, kind: str | None) -> None:
    named = b"" if kind is None else b"content-type: %s\r\n" % kind.encode()
    with Server(
        serving(
            http(completion(), kind=kind),
            STREAM.replace(b"content-type: text/event-stream\r\n", named) + chunk(WHOLE) + b"0\r\n\r\n",
        )
    ) as server:
        provider = make(server)
        answers: list[GenerationResponse] = [await generate(provider), await stream(provider)]
    assert [answer.text for answer in answers] == ["hello", "hello"]


async def test_33_another_content_type_is_told(make: Make) -> None:
    with Server(serving(http(completion(), kind="text/plain"))) as server:
        assert (await generate(make(server))).warnings


@pytest.mark.parametrize("kind", ["text/html", "Text/HTML; charset=utf-8", "application/xhtml+xml"])
async def test_33_html_is_never_an_answer(make: Make, ask: Ask, kind: str) -> None:
    with Server(serving(http(completion(), kind=kind))) as server:
        error = await failure(ask(make(server)))
    assert type(error) is MalformedResponseError
    assert rfh(error) == "RFH"


TITLE = "Bad   gateway &lt;b&gt; &amp; " + "long " * 100
PAGE = f"<!DOCTYPE html><html><head><title>{TITLE}</title></head><body>x</body></html>".encode()

PAGES = {
    "error": (502, errors.ServerError),
    "success": (200, MalformedResponseError),
    "captive portal": (511, errors.ServerError),
    "unavailable": (503, errors.OverloadedError),
}


@pytest.mark.parametrize("kind", ["text/html", "text/html; charset=utf-8"])
@pytest.mark.parametrize("page", PAGES)
async def test_34_a_page(make: Make, ask: Ask, page: str, kind: str) -> None:
    status, expected = PAGES[page]
    with Server(serving(http(PAGE, status, kind))) as server:
        provider = make(server)
        error = await failure(ask(provider))
        assert (error.status, provider.stats().failures) == (status, 1)
    assert type(error) is expected
    assert rfh(error) == "RFH"
    assert error.message.startswith("Bad gateway <b> & ")
    assert len(error.message) <= 200


@pytest.mark.parametrize("kind", ["text/html", "application/json", "text/plain"])
async def test_34_control_characters_do_not_reach_a_terminal(make: Make, ask: Ask, kind: str) -> None:
    texts = {
        "text/html": b"<html><title>a\x1b[31mred\x07</title></html>",
        "application/json": json.dumps({"error": {"message": "a\x1b[31mred\x07"}}).encode(),
        "text/plain": b"a\x1b[31mred\x07",
    }
    with Server(serving(http(texts[kind], 502, kind))) as server:
        error = await failure(ask(make(server)))
    assert "red" in error.message
    assert error.message.isprintable()


async def test_34_a_page_without_a_word_of_what_it_is(make: Make) -> None:
    with Server(serving(http(PAGE, kind=None))) as server:
        error = await failure(generate(make(server)))
    assert type(error) is MalformedResponseError
    with Server(healthy()) as server:
        assert (await generate(make(server))).text == "hello"
