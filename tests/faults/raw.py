"""The pieces of the fault list: a raw server at a provider's address, and HTTP answers as bytes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Container
from typing import Any

from tests.transport.faults import CHUNKED, FaultServer, Peer, Script, chunk

KEY = "sk-fault-0123456789abcdef"
MODEL = "m"


class Server(FaultServer):
    """A FaultServer where a provider's `base_url` points; `with Server(script) as server`."""

    @property
    def base_url(self) -> str:
        return self.url.partition("/v1")[0] + "/v1"

    async def closed(self) -> bool:
        """Whether the client closed a connection whose script ended in `Peer.gone`."""
        return await self.left()


# ------------------------------------------------------------------------------------------------- answers


def http(
    body: bytes = b"", status: int = 200, kind: str | None = "application/json", **headers: Any
) -> bytes:
    """A whole answer with its length stated. Of header names, "_" stands for "-"."""
    lines = [f"HTTP/1.1 {status} Status", f"content-length: {len(body)}"]
    if kind is not None:
        lines.append(f"content-type: {kind}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join((*lines, "", "")).encode() + body


def completion(text: str = "hello", **more: Any) -> bytes:
    """The JSON of a whole chat answer."""
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    answer = {"id": "c1", "object": "chat.completion", "model": MODEL, "choices": [choice], "usage": usage}
    return json.dumps({**answer, **more}).encode()


def failed(status: int, message: str = "no", kind: str = "server_error", **headers: Any) -> bytes:
    """A whole error answer in the dialect's shape."""
    return http(json.dumps({"error": {"message": message, "type": kind}}).encode(), status, **headers)


GOOD = http(completion())
"""A whole answer whose text is "hello"."""

DONE = b"data: [DONE]\n\n"


def event(text: str | None = None, finish: str | None = None) -> bytes:
    """One chunk of a streamed chat answer as a server-sent event; without a text only its role."""
    delta = {"role": "assistant"} if text is None else {"content": text}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: %s\n\n" % json.dumps({"id": "c1", "model": MODEL, "choices": [choice]}).encode()


def finish() -> bytes:
    """The last chunk, with the finish reason and no text."""
    choice = {"index": 0, "delta": {}, "finish_reason": "stop"}
    return b"data: %s\n\n" % json.dumps({"id": "c1", "model": MODEL, "choices": [choice]}).encode()


WHOLE = event() + event("hel") + event("lo") + finish() + DONE
"""The events of a whole streamed answer whose text is "hello"."""

STREAM = CHUNKED.replace(b"\r\n\r\n", b"\r\ncontent-type: text/event-stream\r\n\r\n")
"""The head of a streamed answer; `chunk(...)` and LAST follow."""

LAST = b"0\r\n\r\n"


def streamed(*parts: bytes, last: bytes = LAST) -> bytes:
    """A chunked event stream, one HTTP chunk for each part."""
    return STREAM + b"".join(chunk(part) for part in parts) + last


def either(whole: bytes = GOOD, stream: bytes | None = None) -> Callable[[bytes], bytes]:
    """The answer that fits the request: the streamed one where a stream is asked for."""
    events = streamed(WHOLE) if stream is None else stream

    def fitting(request: bytes) -> bytes:
        return events if wants_stream(request) else whole

    return fitting


def wants_stream(request: bytes) -> bool:
    return b'"stream":true' in request.replace(b" ", b"")


# ------------------------------------------------------------------------------------------------- scripts


def serving(*answers: bytes | Callable[[bytes], bytes]) -> Script:
    """Answers every request on every connection with the next of `answers`, then with the last one for ever."""
    left = list(answers)

    async def script(peer: Peer) -> None:
        while True:
            request = await peer.request()
            answer = left.pop(0) if len(left) > 1 else left[0]
            await peer.send(answer if isinstance(answer, bytes) else answer(request))

    return script


def healthy() -> Script:
    """A server with nothing wrong: "hello", whole or streamed."""
    return serving(either())


def holding(data: bytes = b"") -> Script:
    """Answers with `data` and keeps silent until the client has gone."""

    async def script(peer: Peer) -> None:
        await peer.answer(data)
        await peer.gone()

    return script


def dripping(start: bytes, drip: bytes, pause: float = 0.05) -> Script:
    """Answers with `start`, then with one byte of `drip` (again and again) every `pause` seconds until the client has gone."""

    async def script(peer: Peer) -> None:
        await peer.answer(start)
        gone = asyncio.ensure_future(peer.gone())
        place = 0
        while not gone.done():
            await peer.send(drip[place % len(drip) : place % len(drip) + 1])
            place += 1
            await asyncio.wait({gone}, timeout=pause)

    return script


def trickling(*parts: bytes) -> Script:
    """Answers every request with a stream of these parts, each written by itself and an HTTP chunk of its own."""

    async def script(peer: Peer) -> None:
        while True:
            await peer.answer(STREAM)
            for part in filter(None, parts):
                await peer.send(chunk(part))
                await asyncio.sleep(0)
            await peer.send(LAST)

    return script


def cutting(data: bytes, *, reset: bool = False, after: Container[int] | None = None) -> Script:
    """Answers with `data` and ends the connection; by RST once the test has said `tell()` where `reset`.

    after: numbers of the requests (from 1, over all connections) that are cut; the others are answered well.
    """

    async def script(peer: Peer) -> None:
        while True:
            request = await peer.request()
            if after is not None and len(peer.server.requests) not in after:
                await peer.send(either()(request))
                continue
            await peer.send(data)
            if reset:
                if data:
                    await peer.told()
                peer.reset()
            return

    return script
