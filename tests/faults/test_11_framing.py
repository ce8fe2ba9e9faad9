"""Faults 11 to 15: answers whose end is not where HTTP says that it is."""

from __future__ import annotations

import json
from collections.abc import Awaitable

import anyio
import pytest

from llmcore.config import TransportChoice
from llmcore.errors import ConnectionReset, MalformedResponseError, StreamInterruptedError
from llmcore.types import GenerationResponse
from tests.faults.conftest import Ask, Make, failure, generate, outcomes, read, rfh, stream
from tests.faults.raw import (
    DONE,
    GOOD,
    LAST,
    STREAM,
    WHOLE,
    Server,
    completion,
    cutting,
    either,
    event,
    finish,
    serving,
    streamed,
)
from tests.transport.faults import CHUNKED, Peer, chunk

pytestmark = pytest.mark.anyio

COVERED = (11, 12, 13, 14, 15)

SSE_OF_100 = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 10000\r\n\r\n"


@pytest.mark.parametrize(
    "start", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK", b"HTTP/1.1 200 OK\r\nx-a: b\r\nx-"]
)
async def test_11_closed_after_the_status_line(make: Make, ask: Ask, start: bytes) -> None:
    with Server(cutting(start)) as server:
        error = await failure(ask(make(server)))
    assert isinstance(error, (ConnectionReset, MalformedResponseError))
    assert rfh(error) == "RFH"
    assert len(server.requests) == 1


@pytest.mark.parametrize("reset", [True, False], ids=["rst", "fin"])
async def test_12_length_larger_than_the_body(make: Make, reset: bool) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 5000\r\n\r\n"
    with Server(cutting(head + completion(), reset=reset)) as server:
        server.tell()
        error = await failure(generate(make(server)))
    assert type(error) is MalformedResponseError
    assert rfh(error) == "RFH"


@pytest.mark.parametrize("reset", [True, False], ids=["rst", "fin"])
async def test_12_length_larger_than_the_stream(make: Make, reset: bool) -> None:
    shown: list[str] = []
    with Server(cutting(SSE_OF_100 + event("hel") + event("lo"), reset=reset)) as server:
        error = await failure(read(make(server), shown, lambda _: server.tell()))
    assert type(error) is StreamInterruptedError
    assert isinstance(error.__cause__, ConnectionReset)
    assert (rfh(error), error.visible_output) == ("H", True)
    assert error.partial is not None
    assert error.partial.text == "".join(shown)


async def text_or_refusal(work: Awaitable[GenerationResponse], choice: TransportChoice) -> str:
    """The answer's text. The parser of the fast transport may refuse the whole where more follows in the same packet."""
    try:
        return (await work).text
    except MalformedResponseError as error:
        if choice != "fast" or rfh(error) != "RFH":
            raise
        return "hello"


async def test_13_length_smaller_than_the_body(make: Make, choice: TransportChoice) -> None:
    """What follows is no answer, and never taken for one."""
    evil = completion("evil")
    smuggled = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(evil), evil)
    for extra in (b"and more", smuggled):
        with Server(serving(GOOD + extra)) as server:
            provider = make(server)
            for _ in range(3):
                assert await text_or_refusal(generate(provider), choice) == "hello"
        assert (len(server.requests), server.connections) == (3, 3)


async def test_13_length_cuts_the_json(make: Make) -> None:
    body = completion()
    short = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body) - 1, body)
    with Server(serving(short, GOOD)) as server:
        provider = make(server)
        error = await failure(generate(provider))
        assert type(error) is MalformedResponseError
        assert rfh(error) == "RFH"
        assert (await generate(provider)).text == "hello"
    assert server.connections == 2


async def test_13_length_cuts_the_stream(make: Make, choice: TransportChoice) -> None:
    """Where the terminator lies inside the declared length the answer is whole."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n" % len(WHOLE)
    with Server(serving(head + WHOLE + event(" and more"))) as server:
        provider = make(server)
        for _ in range(2):
            assert await text_or_refusal(stream(provider), choice) == "hello"
    assert server.connections == 2


async def test_13_bytes_that_follow_later(make: Make) -> None:
    """The answer is whole before they come; the connection is not used again."""

    async def script(peer: Peer) -> None:
        await peer.answer(GOOD)
        await peer.told()
        await peer.send(b"and more")
        await peer.gone()

    with Server(script) as server:
        provider = make(server)
        for _ in range(3):
            assert (await generate(provider)).text == "hello"
            server.tell()
            await anyio.sleep(0.02)
    assert (len(server.requests), server.connections) == (3, 3)


@pytest.mark.parametrize("reset", [True, False], ids=["rst", "fin"])
@pytest.mark.parametrize("data", [STREAM, STREAM + chunk(event())], ids=["nothing", "role"])
async def test_14_no_last_chunk_before_anything_visible(make: Make, data: bytes, reset: bool) -> None:
    with Server(cutting(data, reset=reset)) as server:
        server.tell()
        error = await failure(stream(make(server)))
    assert isinstance(error, (ConnectionReset, StreamInterruptedError))
    assert (rfh(error), error.visible_output, error.partial) == ("RFH", False, None)


@pytest.mark.parametrize("reset", [True, False], ids=["rst", "fin"])
async def test_14_no_last_chunk_after_something_visible(make: Make, reset: bool) -> None:
    shown: list[str] = []
    data = STREAM + chunk(event()) + chunk(event("hel")) + chunk(event("lo"))
    with Server(cutting(data, reset=reset)) as server:
        error = await failure(read(make(server), shown, lambda _: server.tell()))
    assert type(error) is StreamInterruptedError
    assert isinstance(error.__cause__, ConnectionReset)
    assert (rfh(error), error.phase, error.visible_output) == ("H", "stream", True)
    assert error.partial is not None
    assert error.partial.text == "".join(shown) != ""
    assert outcomes(error) == [("p1", "StreamInterruptedError")]


async def test_14_no_last_chunk_of_a_whole_answer(make: Make) -> None:
    """JSON has no terminator of its own: that it parses does not prove that it is all."""
    with Server(cutting(CHUNKED + chunk(completion()))) as server:
        error = await failure(generate(make(server)))
    assert type(error) is MalformedResponseError
    assert rfh(error) == "RFH"


@pytest.mark.parametrize("reset", [True, False], ids=["rst", "fin"])
async def test_14_no_last_chunk_after_the_terminator(make: Make, reset: bool) -> None:
    with Server(cutting(STREAM + chunk(WHOLE), reset=reset)) as server:
        provider = make(server)
        for _ in range(2):
            shown: list[str] = []
            await read(provider, shown, lambda _: server.tell())
            assert "".join(shown) == "hello"
    assert server.connections == 2


TWO_LENGTHS = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\ntransfer-encoding: chunked\r\n\r\n" % len(
    completion()
)

BROKEN = {
    "both lengths": TWO_LENGTHS + chunk(completion()) + LAST,
    "no number": CHUNKED + b"zz\r\n" + completion() + b"\r\n" + LAST,
    "negative": CHUNKED + b"-5\r\n" + completion() + b"\r\n" + LAST,
    "too short": CHUNKED + b"5\r\n" + completion() + b"\r\n" + LAST,
    "too many digits": CHUNKED + b"f" * 40 + b"\r\n" + completion() + b"\r\n" + LAST,
    "empty": CHUNKED + b"\r\n" + completion() + b"\r\n" + LAST,
}


@pytest.mark.parametrize("fault", BROKEN)
async def test_15_framing_that_cannot_be_read(make: Make, ask: Ask, fault: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.answer(BROKEN[fault])
        await peer.gone()

    with Server(script) as server:
        error = await failure(ask(make(server)))
        assert await server.closed()
    assert type(error) is MalformedResponseError
    assert rfh(error) == "RFH"
    assert len(server.requests) == 1


async def test_15_bad_chunk_size_after_something_visible(make: Make) -> None:
    shown: list[str] = []

    async def script(peer: Peer) -> None:
        await peer.answer(STREAM + chunk(event("hello")))
        await peer.told()
        await peer.send(b"zz\r\n" + event("more") + b"\r\n" + LAST)
        await peer.gone()

    with Server(script) as server:
        error = await failure(read(make(server), shown, lambda _: server.tell()))
        assert await server.closed()
    assert type(error) is StreamInterruptedError
    assert isinstance(error.__cause__, MalformedResponseError)
    assert error.partial is not None
    assert error.partial.text == "".join(shown) == "hello"


async def test_15_the_next_call_is_well(make: Make, ask: Ask) -> None:
    with Server(serving(BROKEN["no number"], either())) as server:
        provider = make(server)
        await failure(ask(provider))
        assert (await ask(provider)).text == "hello"
    assert server.connections == 2


async def test_the_bytes_are_what_their_names_say() -> None:
    assert json.loads(completion())["choices"][0]["message"]["content"] == "hello"
    assert WHOLE.endswith(finish() + DONE)
    assert streamed(WHOLE).endswith(LAST)
