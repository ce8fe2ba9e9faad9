"""The upstream that runs everywhere: every answer, paced streams and error statuses; prints its port, ends with its stdin.

POST /chat/v1/... is answered with `chat`; /paced/ streams one event each PACE seconds; /first/ the same, but few; /500/
and /429/ answer that status. POST /turn-500/ (429, refused, ok) turns the provider on the second port, which is printed too:
from then on it answers so, or does not listen at all.
"""

from __future__ import annotations

import asyncio
import sys
from itertools import islice
from typing import ClassVar

from benchmarks.machine import pin, raise_open_files
from benchmarks.payloads import ANSWERS, text_events

PACE = 0.002
FIRST_EVENTS = 10
"""Events of a /first/ stream; its only question is when the first one is seen."""


def whole(status: str, content_type: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def refusal(status: str) -> bytes:
    return whole(
        status, "application/json", b'{"error":{"message":"down","type":"server_error","code":null}}'
    )


def chunked(piece: bytes) -> bytes:
    return f"{len(piece):x}\r\n".encode() + piece + b"\r\n"


STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class Server(asyncio.Protocol):
    """Answers each request by the first part of its path; no parsing beyond that and lengths."""

    wholes = {
        **{name.encode(): whole("200 OK", kind, make()) for name, (kind, make) in ANSWERS.items()},
        b"500": refusal("500 Internal Server Error"),
        b"429": refusal("429 Too Many Requests"),
    }
    _events = [*text_events()]
    paced = {
        b"paced": [chunked(piece) for piece in _events],
        b"first": [chunked(piece) for piece in [*islice(_events, FIRST_EVENTS), _events[-1]]],
    }

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport, self.data = transport, b""
        self.streams: set[asyncio.Task[None]] = set()

    def connection_lost(self, _reason: Exception | None) -> None:
        for stream in self.streams:
            stream.cancel()

    def data_received(self, data: bytes) -> None:
        self.data += data
        while (end := self.data.find(b"\r\n\r\n")) >= 0:
            head = self.data[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self.data) < end + 4 + length:
                return
            self.data = self.data[end + 4 + length :]
            self._answer(head.split(b"/", 2)[1])

    def _answer(self, name: bytes) -> None:
        if name in self.paced:
            stream = asyncio.get_running_loop().create_task(self._pace(self.paced[name]))
            self.streams.add(stream)
            stream.add_done_callback(self.streams.discard)
        else:
            self.transport.write(self.wholes[name])

    async def _pace(self, pieces: list[bytes]) -> None:
        """The head and the first event at once, then one event each PACE seconds by the clock."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        self.transport.write(STREAM_HEAD + pieces[0])
        for index, piece in enumerate(pieces[1:], 1):
            await asyncio.sleep(began + index * PACE - loop.time())
            self.transport.write(piece)
        self.transport.write(b"0\r\n\r\n")


class Faulty(Server):
    """A provider that works until it is told otherwise. mode: the answer that it gives to everything."""

    mode = b"chat"
    connected: ClassVar[set[asyncio.Transport]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.connected.add(self.transport)

    def connection_lost(self, reason: Exception | None) -> None:
        super().connection_lost(reason)
        self.connected.discard(self.transport)

    def _answer(self, _name: bytes) -> None:
        self.transport.write(self.wholes[self.mode])


class Switch(Server):
    """The server of everything else, which also turns the faulty one."""

    faulty: ClassVar[asyncio.Server]
    port: ClassVar[int]
    turning: ClassVar[set[asyncio.Task[None]]] = set()

    def _answer(self, name: bytes) -> None:
        if not name.startswith(b"turn-"):
            super()._answer(name)
            return
        task = asyncio.get_running_loop().create_task(self._turn(name.removeprefix(b"turn-")))
        self.turning.add(task)
        task.add_done_callback(self.turning.discard)

    async def _turn(self, mode: bytes) -> None:
        if mode == b"refused":
            self.faulty.close()
            for transport in [*Faulty.connected]:
                transport.abort()
        else:
            Faulty.mode = b"chat" if mode == b"ok" else mode
            if not self.faulty.is_serving():
                Switch.faulty = await listen(Faulty, self.port)
        self.transport.write(whole("200 OK", "text/plain", mode))


async def listen(protocol: type[Server], port: int = 0) -> asyncio.Server:
    return await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", port, backlog=4096)


async def main() -> None:
    pin(1)
    raise_open_files()
    server, Switch.faulty = await listen(Switch), await listen(Faulty)
    Switch.port = Switch.faulty.sockets[0].getsockname()[1]
    print(server.sockets[0].getsockname()[1], Switch.port, flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
