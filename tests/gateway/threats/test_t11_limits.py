"""T11: every limit just below, at and just above; a thousand slow clients; what they may hold in memory."""

from __future__ import annotations

import gc
import json
import socket
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from llmcore.gateway.access.principal import Limits
from llmcore.gateway.access.uploads import Uploads
from llmcore.gateway.config import GatewayConfig, LimitsConfig
from llmcore.gateway.errors import GatewayError
from llmcore.testing import Answer
from llmcore.types import Usage
from tests.gateway.standin import client, question, stage
from tests.gateway.test_sockets import dialled, post, until
from tests.gateway.threats.ground import ground, provider, upstream
from tests.gateway.whole import whole

pytestmark = pytest.mark.anyio

BOUNDS = LimitsConfig(messages=5, tools=4, inputs=3, json_depth=10, max_tokens=7)
SLOW = 1000
MIB = 2**20


def tools(count: int) -> dict[str, Any]:
    return question(
        tools=[{"type": "function", "function": {"name": f"f{number}"}} for number in range(count)]
    )


MADE: dict[str, tuple[int, str, Callable[[int], dict[str, Any]]]] = {
    "messages": (
        5, "/v1/chat/completions", lambda n: {"model": "m", "messages": [{"role": "user", "content": "x"}] * n}
    ),
    "messages of Anthropic": (
        5,
        "/v1/messages",
        lambda n: {"model": "m", "max_tokens": 5, "messages": [{"role": ("user", "assistant")[i % 2], "content": "x"} for i in range(n)]},
    ),
    "input items of Responses": (
        5, "/v1/responses", lambda n: {"model": "m", "input": [{"role": "user", "content": "x"}] * n}
    ),
    "tools": (4, "/v1/chat/completions", tools),
    "inputs": (3, "/v1/embeddings", lambda n: {"model": "e", "input": ["x"] * n}),
    "max_tokens": (7, "/v1/chat/completions", lambda n: question(max_tokens=n)),
    "max_tokens of Anthropic": (7, "/v1/messages", lambda n: question(max_tokens=n)),
    "max_output_tokens": (7, "/v1/responses", lambda n: {"model": "m", "input": "x", "max_output_tokens": n}),
    "n": (1, "/v1/chat/completions", lambda n: question(n=n)),
}  # fmt: skip


@pytest.mark.parametrize("limit", MADE)
async def test_t11_below_at_and_above(tmp_path: Path, limit: str) -> None:
    most, path, make = MADE[limit]
    config = GatewayConfig(limits=BOUNDS)
    async with (
        upstream() as server,
        ground(tmp_path, provider("a", server), config=config) as on,
        on.http() as http,
    ):
        for count in (most - 1, most, most + 1):
            reply = await http.post(path, json=make(count))
            expected = 200 if 0 < count <= most else 400
            assert (reply.status_code == 400) == (expected == 400), f"{count}: {reply.text}"
            assert len(server.seen) == sum(0 < one <= most for one in range(most - 1, count + 1))


async def test_t11_nesting_below_at_and_above() -> None:
    on = stage(config=GatewayConfig(limits=LimitsConfig(json_depth=10)))
    async with client(on) as http:
        for levels, status in ((9, 200), (10, 200), (11, 400)):
            nested = "[" * (levels - 2) + "]" * (levels - 2)
            body = f'{{"messages": [{{"role": "user", "content": "x"}}], "metadata": {{"a": {nested}}}}}'
            reply = await http.post("/v1/chat/completions", content=body.encode())
            assert reply.status_code == status, levels


@pytest.mark.parametrize("sent", [0, 1])
async def test_t11_headers_below_at_and_above(tmp_path: Path, sent: int) -> None:
    """All names and values together; sent at once, or in two pieces."""
    config = GatewayConfig(key_cache=0.0, limits=LimitsConfig(header=4000))
    async with whole(tmp_path, config=config) as on, on.listening() as port:
        known = [(b"host", b"127.0.0.1"), (b"authorization", b"x" * 7 + on.people["alice"].key.encode())]
        body = json.dumps(question()).encode()
        known += [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        spare = 4000 - sum(len(name) + len(value) for name, value in known) - len(b"x-a")
        for size, good in ((spare - 1, True), (spare, True), (spare + 1, False)):
            raw = post(on, question(), more="x-a: " + "b" * size + "\r\n")
            async with dialled(port) as stream:
                if sent:
                    await stream.send(raw[:1000])
                    await anyio.sleep(0.02)
                await stream.send(raw[1000 * sent :])
                found = await until(stream, b"hello there" if good else b"never comes")
                assert found.startswith(b"HTTP/1.1 200" if good else (b"HTTP/1.1 4")), (
                    size - spare,
                    found[:99],
                )


@pytest.mark.parametrize(
    "limits",
    [Limits(rpm=3), Limits(tpm=3 * 300), Limits(budget_micros=3 * 1000)],
    ids=["requests", "tokens", "money"],
)
async def test_t11_what_a_key_may_below_at_and_above(limits: Limits) -> None:
    """Each call is made to reserve a third; the fourth is one too many, and says when to come again."""
    from decimal import Decimal

    on = stage(Answer("x", usage=Usage(100, 200)), limits=limits)
    on.backend.price_usd = Decimal("0.001")
    body = question("x" * 330, max_tokens=200)
    async with client(on) as http:
        codes = [(await http.post("/v1/chat/completions", json=body)).status_code for _ in range(3)]
        fourth = await http.post("/v1/chat/completions", json=body)
    if limits.rpm is not None:
        assert codes == [200] * 3
    assert codes[0] == 200
    assert fourth.status_code == 429
    assert limits.budget_micros is not None or int(fourth.headers["retry-after"]) > 0


@pytest.mark.parametrize(("concurrent", "per_user"), [(3, 10), (10, 3)])
async def test_t11_calls_at_a_time_below_at_and_above(concurrent: int, per_user: int) -> None:
    from llmcore.gateway.access.limits import Seats
    from tests.gateway.standin import ALICE

    seats = Seats(concurrent, per_user)
    for _ in range(3):
        seats.take(ALICE)
    with pytest.raises(GatewayError) as caught:
        seats.take(ALICE)
    assert caught.value.status in {429, 503}
    assert caught.value.retry_after
    seats.give(ALICE)
    seats.take(ALICE)


async def test_t11_bytes_of_unfinished_bodies_below_at_and_above() -> None:
    uploads = Uploads(10, 6)
    first, second, other = uploads.begin("a"), uploads.begin("a"), uploads.begin("b")
    first.take(5)
    second.take(1)
    with pytest.raises(GatewayError) as mine:
        second.take(1)
    other.take(4)
    with pytest.raises(GatewayError) as all_of_them:
        other.take(1)
    assert (mine.value.status, all_of_them.value.status) == (429, 503)
    assert mine.value.retry_after
    assert all_of_them.value.retry_after
    first.end()
    second.take(5)
    second.end()
    other.end()
    assert uploads.held == 0


@pytest.mark.parametrize(
    ("path", "kind"), [("/v1/chat/completions", "rate_limit"), ("/v1/messages", "rate_limit_error")]
)
async def test_t11_unfinished_bodies_of_one_user_are_bounded_until_they_end(path: str, kind: str) -> None:
    """Held ones make the next be refused in the wire's shape; what is cancelled gives its bytes back."""
    limits = LimitsConfig(body=1000, media_body=1000, uploads=5000, user_uploads=1500)
    made = stage(config=GatewayConfig(limits=limits))
    body = json.dumps(question("x" * 700, max_tokens=5)).encode()

    async def in_pieces() -> AsyncIterator[bytes]:
        yield body[:600]
        yield body[600:]

    async def hang() -> AsyncIterator[bytes]:
        yield body[:700]
        begun.set()
        await anyio.sleep_forever()

    async with client(made) as http:
        for _ in range(2):
            begun = anyio.Event()
            async with anyio.create_task_group() as group:
                group.start_soon(partial(http.post, path, content=hang()))
                await begun.wait()
                begun = anyio.Event()
                group.start_soon(partial(http.post, path, content=hang()))
                await begun.wait()
                await anyio.lowlevel.checkpoint()
                refused = await http.post(path, content=in_pieces())
                group.cancel_scope.cancel()
            assert refused.status_code == 429
            assert kind in refused.text
            assert int(refused.headers["retry-after"]) > 0
            assert made.desk.uploads.held == 0
        assert (await http.post(path, content=in_pieces())).status_code == 200
    assert made.desk.uploads.held == 0


def test_t11_the_largest_body_alone_is_always_taken() -> None:
    uploads = stage(config=GatewayConfig(limits=LimitsConfig(uploads=1, user_uploads=1))).desk.uploads
    uploads.begin("a").take(LimitsConfig().media_body)


# ----------------------------------------------------------------------------------------------- slow clients


@contextmanager
def many(port: int, count: int, begun: bytes) -> Iterator[list[socket.socket]]:
    """So many connections that have said that much."""
    found: list[socket.socket] = []
    try:
        for _ in range(count):
            one = socket.create_connection(("127.0.0.1", port))
            one.setblocking(False)
            found.append(one)
            one.send(begun)
        yield found
    finally:
        for one in found:
            one.close()


def ended(one: socket.socket) -> bool:
    try:
        return one.recv(4096) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


@pytest.mark.parametrize(
    "begun", [b"GET /healthz HTTP/1.1\r\nhost: 127", b""], ids=["half a head", "nothing"]
)
async def test_t11_a_thousand_slow_clients_keep_nobody_waiting(tmp_path: Path, begun: bytes) -> None:
    """All are given up when their time is over; others are answered all the while."""
    config = GatewayConfig(key_cache=0.0, limits=LimitsConfig(headers=3.0))
    async with whole(tmp_path, config=config) as on, on.listening() as port:
        with many(port, SLOW, begun) as connections:
            assert len(connections) == SLOW
            async with dialled(port) as stream:
                await stream.send(post(on, question()))
                assert (await until(stream, b"hello there")).startswith(b"HTTP/1.1 200")
            left = list(connections)
            with anyio.fail_after(30):
                while left:
                    await anyio.sleep(0.05)
                    left = [one for one in left if not ended(one)]
            async with dialled(port) as stream:
                await stream.send(post(on, question()))
                assert (await until(stream, b"hello there")).startswith(b"HTTP/1.1 200")


async def test_t11_a_thousand_clients_hold_little_memory(tmp_path: Path) -> None:
    """Each has announced 10 MiB and sent 100 KiB of it without a key: what is held for it is a fraction of that."""
    config = GatewayConfig(key_cache=0.0, limits=LimitsConfig(headers=30.0))
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
    head += b"content-length: 10485760\r\n\r\n"
    async with whole(tmp_path, config=config) as on, on.listening() as port:
        gc.collect()
        tracemalloc.start()
        try:
            with many(port, SLOW, head) as slow:
                for _ in range(25):
                    for one in slow:
                        with suppress(BlockingIOError, ConnectionError):  # nothing more is taken from it
                            one.send(b"x" * 4096)
                    await anyio.lowlevel.checkpoint()
                await anyio.sleep(0.2)
                peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 64 * MIB
        assert on.services.desk.seats.running == 0
        assert not on.provider().requests
