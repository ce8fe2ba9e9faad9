"""A server on loopback that breaks as real networks do: raw asyncio in a thread of its own, so any client loop will do."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

import anyio
import anyio.to_thread

GUARD = 10.0

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


class Peer:
    """One accepted connection. `number` counts from 1; `asked` counts requests on all connections."""

    def __init__(
        self, server: FaultServer, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.server = server
        self.number = number
        self.reader = reader
        self.writer = writer

    async def request(self) -> bytes:
        """Head and body of the next request. Raises IncompleteReadError where the client has gone."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        self.server.requests.append(head + await self.reader.readexactly(length))
        return self.server.requests[-1]

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, data: bytes = OK) -> None:
        await self.request()
        await self.send(data)

    def reset(self) -> None:
        """RST instead of FIN."""
        self.writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        self.writer.transport.abort()

    async def gone(self) -> None:
        """Until the client has closed."""
        with suppress(ConnectionError):
            while await self.reader.read(65536):
                pass
        self.server.gone.set()

    async def told(self) -> None:
        """Until the test says `server.tell()`."""
        await self.server._told.acquire()


Script = Callable[[Peer], Awaitable[None]]


class FaultServer:
    """Runs `script` for every connection; closes the connection when the script ends."""

    def __init__(self, script: Script, *, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self.gone = threading.Event()
        self._script = script
        self._tls = tls
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(GUARD)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(GUARD)

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/v1/x?key=query-secret"

    def tell(self) -> None:
        self._loop.call_soon_threadsafe(self._told.release)

    async def left(self) -> bool:
        """Whether the client closes a connection whose script awaits `gone`; a guard against hanging, no measurement."""
        return await anyio.to_thread.run_sync(self.gone.wait, GUARD)

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._told = asyncio.Semaphore(0)
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        self.port = int(server.sockets[0].getsockname()[1])
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0.02 if self._tls else 0)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        self.connections += 1
        try:
            await self._script(Peer(self, self.connections, reader, writer))
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()


def answering(*answers: bytes) -> Script:
    """Answers every request on every connection with the next of `answers`, then with the last one for ever."""
    left = list(answers)

    async def script(peer: Peer) -> None:
        while True:
            await peer.answer(left.pop(0) if len(left) > 1 else left[0])

    return script


def answering_once(data: bytes) -> Script:
    """One answer, then FIN."""

    async def script(peer: Peer) -> None:
        await peer.answer(data)

    return script


class Blackhole:
    """A listening socket whose queue is full, so that further SYNs are dropped."""

    def __enter__(self) -> Self:
        self._sockets = [socket.socket()]
        self._sockets[0].bind(("127.0.0.1", 0))
        self._sockets[0].listen(0)
        self.address = self._sockets[0].getsockname()
        self.works = any(self._refuses_one_more() for _ in range(8))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one in self._sockets:
            one.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.address[1]}/"

    def _refuses_one_more(self) -> bool:
        one = socket.socket()
        one.settimeout(0.1)
        self._sockets.append(one)
        try:
            one.connect(self.address)
        except TimeoutError:
            return True
        return False
