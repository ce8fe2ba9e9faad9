"""Faults 7 to 10: servers that fall silent, or speak too slowly; every limit ends what it is there for."""

from __future__ import annotations

import pytest

from llmcore.errors import FirstTokenTimeout, InterChunkTimeout, StreamInterruptedError, TotalTimeout
from tests.faults.conftest import Make, failure, generate, read, rfh, stream
from tests.faults.raw import STREAM, Server, completion, dripping, event, healthy, holding
from tests.transport.faults import CHUNKED, chunk

pytestmark = pytest.mark.anyio

COVERED = (7, 8, 9, 10)

SOON = 0.1

HALF_OPEN = {
    "after the headers": STREAM,
    "after the role": STREAM + chunk(event()),
    "inside an event": STREAM + chunk(event("hello")[:-9]),
}


@pytest.mark.parametrize("sent", HALF_OPEN)
async def test_07_silent_before_anything_visible(make: Make, sent: str) -> None:
    with Server(holding(HALF_OPEN[sent])) as server:
        error = await failure(stream(make(server, first_token=SOON)))
        assert await server.closed()
    assert type(error) is FirstTokenTimeout
    assert (rfh(error), error.visible_output, error.partial) == ("FH", False, None)


async def test_07_silent_inside_a_whole_answer(make: Make) -> None:
    """Of an answer that is no stream nothing is shown before it is whole: its only limit is the total."""
    with Server(holding(CHUNKED + chunk(completion()[:20]))) as server:
        error = await failure(generate(make(server, total=SOON)))
        assert await server.closed()
    assert type(error) is TotalTimeout
    assert (error.failover, error.visible_output) == (True, False)


async def test_07_silent_after_something_visible(make: Make) -> None:
    shown: list[str] = []
    with Server(holding(STREAM + chunk(event("hel")) + chunk(event("lo")))) as server:
        error = await failure(read(make(server, inter_chunk=SOON), shown))
        assert await server.closed()
    assert type(error) is StreamInterruptedError
    assert isinstance(error.__cause__, InterChunkTimeout)
    assert (rfh(error), error.phase, error.visible_output) == ("H", "stream", True)
    assert error.partial is not None
    assert error.partial.text == "".join(shown) == "hello"


async def test_08_never_answers_a_stream(make: Make) -> None:
    with Server(holding()) as server:
        provider = make(server, first_token=SOON)
        error = await failure(stream(provider))
        assert await server.closed()
    assert type(error) is FirstTokenTimeout
    assert (rfh(error), error.phase) == ("FH", "first_token")
    assert server.connections <= 1
    assert provider.stats().in_flight == 0


async def test_08_never_answers_a_whole_call(make: Make) -> None:
    with Server(holding()) as server:
        provider = make(server, total=SOON)
        error = await failure(generate(provider))
        assert await server.closed()
    assert type(error) is TotalTimeout
    assert error.failover
    assert server.connections <= 1
    assert provider.stats().in_flight == 0


HEAD = b"HTTP/1.1 200 OK\r\nx-slow: "


async def test_09_headers_byte_by_byte(make: Make) -> None:
    """They would come for ever; a limit that each byte sets back would never end."""
    with Server(dripping(HEAD, b"a")) as server:
        error = await failure(stream(make(server, first_token=SOON)))
        assert await server.closed()
    assert type(error) is FirstTokenTimeout
    assert rfh(error) == "FH"
    with Server(dripping(HEAD, b"a")) as server:
        error = await failure(generate(make(server, total=SOON)))
        assert await server.closed()
    assert type(error) is TotalTimeout
    assert error.failover


async def test_10_body_byte_by_byte(make: Make) -> None:
    start = b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n{"
    with Server(dripping(start, b" ")) as server:
        error = await failure(generate(make(server, total=SOON)))
        assert await server.closed()
    assert type(error) is TotalTimeout


async def test_10_event_byte_by_byte(make: Make) -> None:
    """Bytes that complete no event set no limit back."""
    start = b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n"
    shown: list[str] = []
    with Server(dripping(start + b"data: ", b"x")) as server:
        error = await failure(stream(make(server, first_token=SOON)))
    assert type(error) is FirstTokenTimeout
    with Server(dripping(start + event("hello") + b"data: ", b"x")) as server:
        error = await failure(read(make(server, inter_chunk=SOON), shown))
        assert await server.closed()
    assert type(error) is StreamInterruptedError
    assert isinstance(error.__cause__, InterChunkTimeout)
    assert shown == ["hello"]


async def test_10_the_next_call_is_well(make: Make) -> None:
    """A call that ended by time has given everything back."""
    with Server(holding()) as silent:
        provider = make(silent, total=SOON)
        for _ in range(2):
            assert type(await failure(generate(provider))) is TotalTimeout
        assert (provider.stats().in_flight, silent.connections) == (0, 2)
    with Server(healthy()) as server:
        assert (await generate(make(server))).text == "hello"
