"""Faults 1 to 41 met by a manager over two providers, the first of which has the fault: who answers, and after how many attempts."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Literal, TypeAlias

import pytest
from attrs import evolve, frozen

from llmcore.config import FallbackConfig, Timeouts, TransportChoice
from llmcore.errors import AllProvidersFailed, StreamInterruptedError
from tests.faults.conftest import PAIR, QUICK, SETUPS, Ask, Manage, failure, generate, outcomes, read, stream
from tests.faults.raw import (
    DONE,
    GOOD,
    LAST,
    STREAM,
    WHOLE,
    Server,
    completion,
    cutting,
    dripping,
    either,
    event,
    finish,
    healthy,
    holding,
    http,
    serving,
    streamed,
)
from tests.transport.faults import CHUNKED, Blackhole, Peer, Script, chunk

pytestmark = pytest.mark.anyio


@pytest.fixture(params=PAIR)
def setup(request: pytest.FixtureRequest) -> tuple[str, TransportChoice]:
    return SETUPS[request.param]


SOON = evolve(QUICK, first_token=0.1, total=0.1)
LATER_ON = evolve(QUICK, inter_chunk=0.1)
"""The limits of the first provider where its fault is silence."""

Call: TypeAlias = Literal["generate", "stream", "both"]


@frozen
class Row:
    """One fault of the first provider.

    calls: what is asked for. asked: requests that reach it in one call; 2 where it is asked again before another one is.
    answers: who answers in the end; None where nobody may: something was shown, or the fault is the caller's.
    """

    fault: int
    name: str
    script: Callable[[], Script]
    asked: int = 1
    answers: Literal["p1", "p2"] | None = "p2"
    calls: Call = "both"
    limits: Timeouts | None = None

    def __str__(self) -> str:
        return f"{self.fault:02} {self.name}"


def plainly(answer: bytes) -> Callable[[], Script]:
    return lambda: serving(answer)


def cut(data: bytes) -> Callable[[], Script]:
    return lambda: cutting(data)


def resetting() -> Script:
    return cutting(b"", reset=True)


def resetting_later() -> Script:
    """Answers the first request, dies at the second and answers its replay."""
    return cutting(b"", reset=True, after={2})


def error(message: bytes) -> bytes:
    return b'data: {"error": {"message": "no", %s}}\n\n' % message


SHOWN = event("hello")
MOVED = http(b"", 307, location="http://127.0.0.1:1/")
FALSE_LENGTH = http(completion()).replace(b"content-length: ", b"content-length: 9")
STREAM_OF_9000 = b"HTTP/1.1 200 OK\r\ncontent-length: 9000\r\n\r\n"
BAD_CHUNK = CHUNKED + b"zz\r\n" + completion() + b"\r\n" + LAST
MANY_HEADERS = GOOD.replace(b"\r\n\r\n", b"\r\n" + b"x: y\r\n" * 10_000 + b"\r\n", 1)
PAGE = http(b"<html><title>down</title></html>", 502, "text/html")
LATER = cut(STREAM + chunk(SHOWN))

ROWS: tuple[Row, ...] = (
    Row(5, "reset", resetting, asked=2),
    Row(5, "closed", cut(b""), asked=2),
    Row(7, "silent after the headers", lambda: holding(STREAM), calls="stream", limits=SOON),
    Row(7, "silent inside the body", lambda: holding(CHUNKED), calls="generate", limits=SOON),
    Row(
        7,
        "silent after something visible",
        lambda: holding(STREAM + chunk(SHOWN)),
        answers=None,
        calls="stream",
        limits=LATER_ON,
    ),
    Row(8, "never answers", holding, limits=SOON),
    Row(9, "slow headers", lambda: dripping(b"HTTP/1.1 200 OK\r\nx: ", b"a"), limits=SOON),
    Row(10, "slow body", lambda: dripping(CHUNKED + b"ffff\r\n", b" "), limits=SOON),
    Row(11, "status line only", cut(b"HTTP/1.1 200 OK\r\n"), asked=2),
    Row(12, "length too large", cut(FALSE_LENGTH), asked=2, calls="generate"),
    Row(12, "length too large", cut(STREAM_OF_9000 + SHOWN), answers=None, calls="stream"),
    Row(13, "length cuts the answer", plainly(http(completion()[:-9]) + completion()[-9:]), asked=2),
    Row(14, "no last chunk", cut(CHUNKED + chunk(completion())), asked=2, calls="generate"),
    Row(14, "no last chunk", cut(STREAM + chunk(event())), asked=2, calls="stream"),
    Row(14, "no last chunk after something visible", LATER, answers=None, calls="stream"),
    Row(14, "no last chunk after the end", cut(STREAM + chunk(WHOLE)), answers="p1", calls="stream"),
    Row(15, "bad chunk size", plainly(BAD_CHUNK), asked=2),
    Row(16, "truncated", plainly(http(completion()[:-9])), asked=2),
    Row(17, "empty", plainly(http()), asked=2),
    Row(17, "no content", plainly(b"HTTP/1.1 204 No Content\r\n\r\n"), asked=2),
    Row(18, "null", plainly(http(b"null")), asked=2),
    Row(19, "no UTF-8", plainly(http(completion("@").replace(b"@", b"\xff"))), asked=2, calls="generate"),
    Row(
        19,
        "no UTF-8",
        plainly(streamed(SHOWN, SHOWN.replace(b"hello", b"\xff"))),
        answers=None,
        calls="stream",
    ),
    Row(24, "comments only", lambda: dripping(STREAM, chunk(b":\n\n"), 0.005), calls="stream", limits=SOON),
    Row(25, "no [DONE]", plainly(streamed(SHOWN, finish())), answers="p1", calls="stream"),
    Row(26, "no end", plainly(streamed(event())), asked=2, calls="stream"),
    Row(26, "no end after something visible", plainly(streamed(SHOWN)), answers=None, calls="stream"),
    Row(27, "more after [DONE]", plainly(streamed(WHOLE, SHOWN, DONE)), answers="p1", calls="stream"),
    Row(29, "server error", plainly(streamed(event(), error(b'"code": 500'))), asked=2, calls="stream"),
    Row(29, "overloaded", plainly(streamed(event(), error(b'"code": 503'))), calls="stream"),
    Row(29, "bad key", plainly(streamed(error(b'"code": "invalid_api_key"'))), calls="stream"),
    Row(29, "policy", plainly(streamed(error(b'"code": "content_filter"'))), answers=None, calls="stream"),
    Row(
        30,
        "error after something visible",
        plainly(streamed(SHOWN, error(b'"code": 503'))),
        answers=None,
        calls="stream",
    ),
    Row(31, "error with status 200", plainly(http(b'{"error": {"message": "no", "code": 503}}'))),
    Row(32, "half the events", plainly(streamed(event())), asked=2, calls="generate"),
    Row(32, "JSON for events", plainly(GOOD), answers="p1", calls="stream"),
    Row(33, "text/plain", plainly(http(completion(), kind="text/plain")), answers="p1"),
    Row(33, "text/html", plainly(http(completion(), kind="text/html")), asked=2),
    Row(34, "page", plainly(PAGE), asked=2),
    Row(35, "gzip garbage", plainly(http(completion(), content_encoding="gzip")), asked=2),
    Row(
        35,
        "gzip cut short",
        plainly(http(gzip.compress(completion())[:-9], content_encoding="gzip")),
        asked=2,
        calls="generate",
    ),
    Row(38, "headers", plainly(MANY_HEADERS), asked=2),
    Row(39, "redirect", plainly(MOVED)),
    Row(40, "early hints", lambda: serving(either(b"HTTP/1.1 103 Early\r\n\r\n" + GOOD)), answers="p1"),
    Row(41, "GOAWAY", cut(b"\x00\x00\x08\x07\x00\x00\x00\x00\x00" + b"\x00" * 8), asked=2),
)

BESIDE = (1, 2, 3, 4, 6, 20, 21, 22, 23, 28, 36, 37)
"""Faults with a test of their own below; those of no fault to a manager (well-formed oddities) are met by one of them."""

CASES = [
    pytest.param(row, call, id=f"{row}-{call.__name__}")
    for row in ROWS
    for call in (generate, stream)
    if row.calls in ("both", call.__name__)
]


@pytest.mark.parametrize(("row", "call"), CASES)
async def test_who_answers(manage: Manage, row: Row, call: Ask) -> None:
    with Server(row.script()) as first, Server(healthy()) as second:
        manager = manage(first, second, first=row.limits)
        if row.answers is None:
            error = await failure(call(manager))
            attempts = outcomes(error)
        else:
            response = await call(manager)
            assert (response.text, response.provider) == ("hello", row.answers)
            attempts = outcomes(response)
    if row.limits is None:
        assert len(first.requests) == row.asked
    assert len(second.requests) == (row.answers == "p2")
    expected = ["p1"] * row.asked + ["p2"] * (row.answers == "p2")
    assert [name for name, _ in attempts] == expected
    assert (attempts[-1][1] == "success") is (row.answers is not None)
    stats = manager.stats()
    assert (stats.requests, stats.successes, stats.in_flight) == (1, row.answers is not None, 0)
    assert all(child.in_flight == 0 for child in stats.children)
    assert stats.children[0].failures == row.asked - (row.answers == "p1")


async def test_nothing_shown_is_lost(manage: Manage) -> None:
    """After something visible the error tells it, and nobody else is asked."""
    for row in ROWS:
        if row.answers is None and row.fault in (12, 14, 26, 30):
            with Server(row.script()) as first, Server(healthy()) as second:
                shown: list[str] = []
                error = await failure(read(manage(first, second), shown))
            assert type(error) is StreamInterruptedError
            assert error.partial is not None
            assert error.partial.text == "".join(shown) == "hello"
            assert not second.requests


# -------------------------------------------------------------------------------- those that need more than bytes


async def answered_by_second(manage: Manage, ask: Ask, address: str, asked: int) -> None:
    with Server(healthy()) as second:
        response = await ask(manage(address, second, first=evolve(QUICK, connect=0.1)))
    assert (response.text, response.provider) == ("hello", "p2")
    assert [name for name, _ in outcomes(response)] == ["p1"] * asked + ["p2"]
    assert len(second.requests) == 1


async def test_01_refused(manage: Manage, ask: Ask) -> None:
    with Server(healthy()) as server:
        address = server.base_url
    await answered_by_second(manage, ask, address, asked=2)


async def test_02_no_such_name(manage: Manage, ask: Ask) -> None:
    await answered_by_second(manage, ask, "http://nosuchhost.invalid/v1", asked=2)


async def test_03_syn_dropped(manage: Manage, ask: Ask, hole: Blackhole) -> None:
    await answered_by_second(manage, ask, f"{hole.url}v1", asked=2)


async def test_04_handshake_fails(manage: Manage, ask: Ask) -> None:
    """Not tried again: a certificate does not mend itself."""

    async def script(peer: Peer) -> None:
        await peer.reader.read(65536)

    with Server(script) as server:
        await answered_by_second(manage, ask, server.base_url.replace("http:", "https:"), asked=1)
    assert server.connections == 1


async def test_06_a_replay_is_no_attempt(manage: Manage, ask: Ask) -> None:
    with Server(resetting_later()) as first, Server(healthy()) as second:
        manager = manage(first, second)
        await ask(manager)
        response = await ask(manager)
    assert outcomes(response) == [("p1", "success")]
    assert (len(first.requests), len(second.requests)) == (3, 0)


@pytest.mark.parametrize(
    "events",
    [
        WHOLE.replace(b"\n", b"\r\n"),
        b"\xef\xbb\xbf" + event("hello") + finish() + DONE,
        b"retry: 1\n: x\n\n" + WHOLE,
        WHOLE.replace(b": ", b":"),
    ],
    ids=["20 21", "22", "23 28", "23"],
)
async def test_20_odd_but_whole(manage: Manage, events: bytes) -> None:
    """What is only odd moves nobody to ask another one."""
    with Server(serving(streamed(events))) as first, Server(healthy()) as second:
        response = await stream(manage(first, second))
    assert (response.text, outcomes(response)) == ("hello", [("p1", "success")])
    assert not second.requests


@pytest.mark.parametrize("start", [STREAM, STREAM + chunk(b"data: ")], ids=["no line", "one line"])
async def test_37_a_flood(manage: Manage, start: bytes) -> None:
    """Nothing but bytes without end, as in 36, and one endless line."""

    async def script(peer: Peer) -> None:
        await peer.answer(start)
        while True:
            await peer.send(chunk(b"x" * (1 << 20)))

    with Server(script) as first, Server(healthy()) as second:
        response = await stream(manage(first, second, fallback=FallbackConfig(max_retries=0)))
    assert (response.text, response.provider) == ("hello", "p2")
    assert (len(first.requests), len(second.requests)) == (1, 1)


# ------------------------------------------------------------------------------------------------- how often


async def test_16_malformed_is_asked_again_once_at_most(manage: Manage, ask: Ask) -> None:
    with Server(serving(http(b"null"))) as first, Server(healthy()) as second:
        response = await generate(
            manage(first, second, fallback=FallbackConfig(max_retries=5, retry_delay_ms=1))
        )
    assert outcomes(response) == [("p1", "MalformedResponseError")] * 2 + [("p2", "success")]


async def test_05_everybody_down(manage: Manage, ask: Ask) -> None:
    """Attempts end where the plan says, with all of them on the error."""
    with Server(cutting(b"")) as first, Server(cutting(b"")) as second:
        error = await failure(ask(manage(first, second)))
    assert type(error) is AllProvidersFailed
    assert [name for name, _ in outcomes(error)] == ["p1", "p1", "p2", "p2"]
    assert (len(first.requests), len(second.requests)) == (2, 2)


async def test_05_attempts_are_bounded(manage: Manage, ask: Ask) -> None:
    with Server(cutting(b"")) as first, Server(cutting(b"")) as second:
        fallback = FallbackConfig(max_retries=9, max_attempts=3, retry_delay_ms=1)
        error = await failure(ask(manage(first, second, fallback=fallback)))
    assert len(outcomes(error)) == len(first.requests) + len(second.requests) == 3


async def test_05_no_retries_where_none_are_wanted(manage: Manage, ask: Ask) -> None:
    with Server(cutting(b"")) as first, Server(healthy()) as second:
        response = await ask(manage(first, second, fallback=FallbackConfig(max_retries=0)))
    assert outcomes(response) == [("p1", "ConnectionReset"), ("p2", "success")]


async def test_05_what_may_have_been_billed_is_not_sent_again(manage: Manage, ask: Ask) -> None:
    with Server(cutting(b"")) as first, Server(healthy()) as second:
        await failure(ask(manage(first, second, fallback=FallbackConfig(retry_after_send=False))))
    assert (len(first.requests), len(second.requests)) == (1, 0)
