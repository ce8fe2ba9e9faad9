"""Over real sockets: streams, clients that leave, slow ones, broken framing."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.abc import ByteStream

from llmcore.errors import InvalidRequestError
from llmcore.gateway.config import GatewayConfig, LimitsConfig
from llmcore.gateway.store import StoreUnavailable
from llmcore.testing import Answer, Fail, Hang
from llmcore.types import Usage
from tests.gateway.standin import question
from tests.gateway.whole import Whole, whole

pytestmark = pytest.mark.anyio

CANARY = "text with\n\ndata: [DONE]\n\nevent: error\ndata: {}\n\n in it"


@asynccontextmanager
async def dialled(port: int) -> AsyncIterator[ByteStream]:
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        yield stream


def post(on: Whole, body: object, *, path: str = "/v1/chat/completions", more: str = "") -> bytes:
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {on.people['alice'].key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(content)}\r\n{more}\r\n"
    )
    return head.encode() + content


async def until(stream: ByteStream, mark: bytes) -> bytes:
    found = b""
    with anyio.fail_after(10):
        while mark not in found:
            try:
                found += await stream.receive()
            except anyio.EndOfStream:
                break
    return found


async def soon(true: Callable[[], bool]) -> None:
    with anyio.fail_after(5):
        while not true():  # noqa: ASYNC110 - what is waited for has no event
            await anyio.sleep(0.01)


async def test_no_banner_and_the_common_headers(tmp_path: Path) -> None:
    async with whole(tmp_path) as on, on.listening() as port, dialled(port) as stream:
        await stream.send(post(on, question()))
        head = (await until(stream, b"hello there")).partition(b"\r\n\r\n")[0].lower()
        assert b"server:" not in head
        assert b"x-content-type-options: nosniff" in head
        assert b"cache-control: no-store" in head


async def test_a_stream_arrives_while_it_is_written(tmp_path: Path) -> None:
    script = Answer("one two three", gap=0.3)
    async with whole(tmp_path, script) as on, on.listening() as port, dialled(port) as stream:
        await stream.send(post(on, question(stream=True)))
        first = await until(stream, b'"one"')
        assert b"three" not in first
        rest = await until(stream, b"[DONE]")
        assert b"three" in rest


async def test_t22_a_client_that_leaves_a_stream_cancels_upstream(tmp_path: Path) -> None:
    async with whole(tmp_path, Hang(words=2)) as on, on.listening() as port:
        async with dialled(port) as stream:
            await stream.send(post(on, question(stream=True)))
            await until(stream, b'"w"')
            assert on.provider().open_streams == 1
        await soon(lambda: on.provider().open_streams == 0)
        await soon(lambda: on.services.desk.seats.running == 0)


@pytest.mark.parametrize("streamed", [False, True])
async def test_t22_a_client_that_leaves_before_anything_came_cancels_upstream(
    tmp_path: Path, streamed: bool
) -> None:
    async with whole(tmp_path, Hang()) as on, on.listening() as port:
        async with dialled(port) as stream:
            await stream.send(post(on, question(stream=streamed)))
            await soon(lambda: on.provider().open_streams == 1)
        await soon(lambda: on.provider().open_streams == 0)
        await soon(lambda: on.services.desk.seats.running == 0)


async def test_t22_text_that_looks_like_events_arrives_as_text(tmp_path: Path) -> None:
    async with whole(tmp_path, Answer(CANARY)) as on, on.listening() as port, dialled(port) as stream:
        await stream.send(post(on, question(stream=True)))
        answer = await until(stream, b"data: [DONE]\n\n")
        body = b"".join(line for line in answer.split(b"\r\n") if b"data:" in line).decode()
        events = [json.loads(one[6:]) for one in body.split("\n\n") if one.startswith("data: {")]
        said = "".join(event["choices"][0]["delta"].get("content") or "" for event in events)
        assert said == CANARY
        assert body.split("\n\n").count("data: [DONE]") == 1


async def test_t22_silence_is_filled_with_comments(tmp_path: Path) -> None:
    config = GatewayConfig(key_cache=0.0, keep_alive=0.1)
    script = Answer("one two", gap=0.5)
    async with whole(tmp_path, script, config=config) as on, on.listening() as port, dialled(port) as stream:
        await stream.send(post(on, question(stream=True)))
        answer = await until(stream, b"[DONE]")
        assert answer.count(b": keep-alive\n\n") >= 2
        assert b"x-accel-buffering: no" in answer


async def test_silence_before_the_first_token_is_filled_with_comments_too(tmp_path: Path) -> None:
    config = GatewayConfig(key_cache=0.0, keep_alive=0.1)
    script = Answer("one two", delay=0.5)
    async with whole(tmp_path, script, config=config) as on, on.listening() as port, dialled(port) as stream:
        await stream.send(post(on, question(stream=True)))
        answer = await until(stream, b"[DONE]")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert answer.count(b"HTTP/1.1") == 1
    assert b"x-request-id: " in head
    assert b"x-llmcore-provider" not in head  # nobody has answered yet
    assert body.count(b": keep-alive\n\n", 0, body.index(b'"one')) >= 2


async def test_a_failure_after_silence_is_an_error_event(tmp_path: Path) -> None:
    config = GatewayConfig(key_cache=0.0, keep_alive=0.1)
    script = Fail(InvalidRequestError("no such thing", status=400), delay=0.3)
    async with whole(tmp_path, script, config=config) as on, on.listening() as port, dialled(port) as stream:
        await stream.send(post(on, question(stream=True)))
        answer = await until(stream, b"\r\n0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.count(b"HTTP/1.1") == 1
    assert b"no such thing" in answer
    assert b"[DONE]" not in answer


async def test_a_client_that_leaves_in_the_silence_cancels_upstream(tmp_path: Path) -> None:
    config = GatewayConfig(key_cache=0.0, keep_alive=0.1)
    async with whole(tmp_path, Hang(), config=config) as on, on.listening() as port:
        async with dialled(port) as stream:
            await stream.send(post(on, question(stream=True)))
            await until(stream, b": keep-alive")
            assert on.provider().open_streams == 1
        await soon(lambda: on.provider().open_streams == 0)
        await soon(lambda: on.services.desk.seats.running == 0)


async def test_an_answer_that_does_not_begin_in_the_time_allowed_is_an_http_error(tmp_path: Path) -> None:
    config = GatewayConfig(key_cache=0.0, keep_alive=0.4, limits=LimitsConfig(stream=0.3))
    async with (
        whole(tmp_path, Hang(), config=config) as on,
        on.listening() as port,
        dialled(port) as stream,
    ):
        await stream.send(post(on, question(stream=True)))
        answer = await until(stream, b"stream_too_long")
    assert answer.startswith(b"HTTP/1.1 500 ")


async def test_a_client_that_does_not_read_is_given_up(tmp_path: Path) -> None:
    limits = LimitsConfig(idle_write=0.3)
    config = GatewayConfig(key_cache=0.0, keep_alive=0.1, limits=limits)
    words = " ".join("x" * 4000 for _ in range(5000))
    async with (
        whole(tmp_path, Answer(words), config=config) as on,
        on.listening() as port,
        dialled(port) as stream,
    ):
        await stream.send(post(on, question(stream=True)))
        await soon(lambda: on.provider().open_streams == 1)
        await soon(lambda: on.provider().open_streams == 0)
        await soon(lambda: on.services.desk.seats.running == 0)


async def test_a_client_that_does_not_read_the_end_is_given_up(tmp_path: Path) -> None:
    """The last event of this wire says the whole text again, several times: more than anybody takes unread."""
    config = GatewayConfig(key_cache=0.0, limits=LimitsConfig(idle_write=0.3))
    asked = {"model": "m", "input": "hi", "stream": True}
    async with (
        whole(tmp_path, Answer("x" * 2_000_000), config=config) as on,
        on.listening() as port,
        dialled(port) as stream,
    ):
        await stream.send(post(on, asked, path="/v1/responses"))
        await soon(lambda: bool(on.provider().requests))
        await soon(lambda: on.services.desk.seats.running == 0)


async def test_an_answer_longer_than_allowed_ends_with_an_error(tmp_path: Path) -> None:
    limits = LimitsConfig(stream=0.3)
    config = GatewayConfig(key_cache=0.0, keep_alive=0.1, limits=limits)
    async with (
        whole(tmp_path, Hang(words=1), config=config) as on,
        on.listening() as port,
        dialled(port) as stream,
    ):
        await stream.send(post(on, question(stream=True)))
        answer = await until(stream, b"stream_too_long")
        assert b"stream_too_long" in answer
        assert b"[DONE]" not in answer


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: -1\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\n",
        b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\nx y: 1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n x: folded\r\n\r\n",
        b"GET  /healthz HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01",
    ],
)
async def test_t10_broken_framing_is_refused_and_closed(tmp_path: Path, request_bytes: bytes) -> None:
    async with whole(tmp_path) as on, on.listening() as port, dialled(port) as stream:
        await stream.send(request_bytes)
        answer = await until(stream, b"never comes")
        assert answer.startswith(b"HTTP/1.1 400") or b"\r\n" not in answer
        assert not on.provider().requests


async def test_t11_headers_above_the_limit_are_refused(tmp_path: Path) -> None:
    async with whole(tmp_path) as on, on.listening() as port:
        for filler in (
            "x-a: " + "b" * 70_000 + "\r\n",
            "".join(f"x-{i}: {'b' * 500}\r\n" for i in range(200)),
        ):
            async with dialled(port) as stream:
                await stream.send(post(on, question(), more=filler))
                answer = await until(stream, b"never comes")
                assert answer.startswith((b"HTTP/1.1 431", b"HTTP/1.1 400"))
        async with dialled(port) as stream:
            await stream.send(post(on, question(), more="x-a: " + "b" * 60_000 + "\r\n"))
            assert (await until(stream, b"hello there")).startswith(b"HTTP/1.1 200")


async def test_t11_headers_that_never_end_are_not_waited_for(tmp_path: Path) -> None:
    config = GatewayConfig(limits=LimitsConfig(headers=0.2))
    async with (
        whole(tmp_path, config=config) as on,
        on.listening() as port,
        dialled(port) as slow,
        dialled(port) as silent,
    ):
        await slow.send(b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n")
        assert (await until(slow, b"never comes")).startswith(b"HTTP/1.1 408")
        assert await until(silent, b"never comes") == b""


async def test_t11_a_body_that_never_ends_is_not_waited_for(tmp_path: Path) -> None:
    config = GatewayConfig(key_cache=0.0, limits=LimitsConfig(upload=0.2))
    async with whole(tmp_path, config=config) as on, on.listening() as port, dialled(port) as stream:
        await stream.send(post(on, question())[:-5])
        answer = await until(stream, b"request_timeout")
        assert answer.startswith(b"HTTP/1.1 408")
        assert on.services.desk.seats.running == 0


async def test_t23_a_web_socket_is_no_way_in(tmp_path: Path) -> None:
    async with whole(tmp_path) as on, on.listening() as port, dialled(port) as stream:
        await stream.send(
            b"GET /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
            b"origin: https://evil.example\r\nsec-websocket-version: 13\r\nsec-websocket-key: eHh4eHh4eHh4eHh4eHh4eA==\r\n\r\n"
        )
        answer = await until(stream, b"\r\n\r\n")
        assert not answer.startswith(b"HTTP/1.1 101")


async def test_two_calls_on_one_connection(tmp_path: Path) -> None:
    async with (
        whole(tmp_path, Answer("x", usage=Usage(1, 1))) as on,
        on.listening() as port,
        dialled(port) as stream,
    ):
        for _ in range(2):
            await stream.send(post(on, question()))
            assert b"200 OK" in await until(stream, b"total_tokens")


async def test_the_status_is_told_again_when_it_changes(tmp_path: Path) -> None:
    async with whole(tmp_path) as on, on.listening() as port, dialled(port) as stream:
        key = on.people["admin"].key
        await stream.send(
            f"GET /api/v1/llm/status/events HTTP/1.1\r\nhost: 127.0.0.1\r\nx-api-key: {key}\r\n\r\n".encode()
        )
        first = await until(stream, b"event: status")
        assert b"text/event-stream" in first
        async with on.http("alice") as http:
            await http.post("/v1/chat/completions", json=question())
        assert b"event: status" in await until(stream, b"event: status")


async def test_the_status_says_while_one_looks_that_the_database_has_gone_and_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmcore.gateway.status.pictures.__kwdefaults__", {"every": 0.05})
    async with whole(tmp_path) as on, on.listening() as port, dialled(port) as stream:
        key = on.people["admin"].key
        await stream.send(
            f"GET /api/v1/llm/status/events HTTP/1.1\r\nhost: 127.0.0.1\r\nx-api-key: {key}\r\n\r\n".encode()
        )
        assert b'"database":"ok"' in await until(stream, b'"database":"ok"')
        with monkeypatch.context() as gone:

            async def away() -> None:
                raise StoreUnavailable("away")

            gone.setattr(on.store, "ping", away)
            assert b'"database":"away"' in await until(stream, b'"database":"away"')
        assert b'"database":"ok"' in await until(stream, b'"database":"ok"')
