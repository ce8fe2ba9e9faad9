"""Addresses that no HTTP server gives: a closed port, a black hole, a certificate of its own making, a picky door."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import TypeAlias

HOST = "127.0.0.1"
UNKNOWN_NAME = "http://no-such-host.invalid"

_HEADER = "-----BEGIN {0}-----\n{1}\n-----END {0}-----\n"
_CERTIFICATE = """
MIIBpzCCAU2gAwIBAgIUNMOA4CTZU0jQtKNLEi+2NRgavnUwCgYIKoZIzj0EAwIw
GDEWMBQGA1UEAwwNY2hhb3MuaW52YWxpZDAgFw0yNjExMjEwNzIxNDBaGA8yMTI2
MTAyODA3MjE0MFowGDEWMBQGA1UEAwwNY2hhb3MuaW52YWxpZDBZMBMGByqGSM49
AgEGCCqGSM49AwEHA0IABJN8fFxzxYY7pjatLm8MSHpzC0iin+us5z1Hcrwv0+k0
LNaFPx3xcH2Zfs0D3/zaPe6z/xGU9tmEzixaWjIyLWWjczBxMB0GA1UdDgQWBBSK
USx7UiN5Izr/NHwm7bj5hOpsgjAfBgNVHSMEGDAWgBSKUSx7UiN5Izr/NHwm7bj5
hOpsgjAPBgNVHRMBAf8EBTADAQH/MB4GA1UdEQQXMBWHBH8AAAGCDWNoYW9zLmlu
dmFsaWQwCgYIKoZIzj0EAwIDSAAwRQIhAIUjUQNqm4YZgVeygXE4gpfHN6NrjYfB
cRoUc0CDXDIvAiATNjazncgvpVgr1+X5wCl4ogSQQva2MKZRw2PqL0wOsQ==
"""
_PRIVATE = """
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgzLzjnxSxFaW6DLUL
lR5YqMiAR9i3brP/kBQFoO/yZ6ahRANCAASTfHxcc8WGO6Y2rS5vDEh6cwtIop/r
rOc9R3K8L9PpNCzWhT8d8XB9mX7NA9/82j3us/8RlPbZhM4sWloyMi1l
"""
# The certificate says "chaos.invalid" and vouches for itself; its other half is public on purpose: nobody may trust it.


def closed_port() -> str:
    """An address at which nobody listens."""
    with closing(socket.socket()) as probe:
        probe.bind((HOST, 0))
        return f"http://{HOST}:{probe.getsockname()[1]}"


@asynccontextmanager
async def black_hole() -> AsyncIterator[str]:
    """An address that neither takes a connection nor refuses one: its queue is full, and nobody empties it."""
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(closing(socket.socket()))
        listener.bind((HOST, 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(closing(socket.socket()))
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        await asyncio.sleep(0)
        yield f"http://{HOST}:{listener.getsockname()[1]}"


@asynccontextmanager
async def self_signed() -> AsyncIterator[str]:
    """A TLS server whose certificate nobody has signed but itself."""
    async with _listening(_hang_up, tls=_own_tls()) as port:
        yield f"https://{HOST}:{port}"


@asynccontextmanager
async def no_tls() -> AsyncIterator[str]:
    """A server that speaks no TLS where TLS is expected."""
    async with _listening(_answer_plainly) as port:
        yield f"https://{HOST}:{port}"


def _own_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "both.pem"
        file.write_text(
            _HEADER.format("CERTIFICATE", _CERTIFICATE.strip())
            + _HEADER.format("PRIVATE KEY", _PRIVATE.strip())
        )
        context.load_cert_chain(file)
    return context


# ------------------------------------------------------------------------------------------------ servers


Serve: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class _Tasks:
    """The connections of one server, ended with it."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self.running: set[asyncio.Task[None]] = set()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.running.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            self.running.discard(task)
            writer.close()


@asynccontextmanager
async def _listening(serve: Serve, tls: ssl.SSLContext | None = None, port: int = 0) -> AsyncIterator[int]:
    tasks = _Tasks(serve)
    server = await asyncio.start_server(tasks, HOST, port, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        running = tuple(tasks.running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)


async def _answer_plainly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(64)
    writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
    await writer.drain()


# ------------------------------------------------------------------------------------------------ a picky door


_REFUSED = json.dumps(
    {
        "type": "error",
        "error": {
            "type": "invalid_request_error",
            "message": "This model does not support assistant message prefill. The conversation must end with a user message.",
        },
    }
).encode()


@asynccontextmanager
async def no_prefill(target_port: int, port: int = 0) -> AsyncIterator[tuple[str, list[int]]]:
    """A door before a simulator that refuses what ends with the assistant's own words; the list counts refusals.

    It listens at `port`, 0 for any free one.
    """
    refused: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(_length(head))
        if ends_with_own_words(body):
            refused.append(len(body))
            writer.write(
                b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\n"
                b"content-length: %d\r\n\r\n%b" % (len(_REFUSED), _REFUSED)
            )
            await writer.drain()
            return
        await _passed_on(head + body, target_port, writer)

    async with _listening(serve, port=port) as open_port:
        yield f"http://{HOST}:{open_port}", refused


async def _passed_on(request: bytes, port: int, writer: asyncio.StreamWriter) -> None:
    """One request, asked with `connection: close`, and its answer to the end."""
    head, _, body = request.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
    inner_reader, inner_writer = await asyncio.open_connection(HOST, port)
    try:
        inner_writer.write(b"\r\n".join((*lines, b"connection: close")) + b"\r\n\r\n" + body)
        while data := await inner_reader.read(65_536):
            writer.write(data)
            await writer.drain()
    finally:
        inner_writer.close()


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name == b"content-length":
            return int(value)
    return 0


def ends_with_own_words(body: bytes) -> bool:
    """Whether the last turn of a request, in any dialect, is the assistant's."""
    try:
        value = json.loads(body)
    except ValueError:
        return False
    if not isinstance(value, dict):
        return False
    turns = value.get("messages") or value.get("contents") or value.get("input") or []
    last = turns[-1] if isinstance(turns, list) and turns else None
    return isinstance(last, dict) and last.get("role") in {"assistant", "model"}
