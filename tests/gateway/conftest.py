"""The gateway runs under asyncio alone; servers that tests of several parts need."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def silent() -> AsyncIterator[int]:
    """The port of a server that takes connections and never says anything."""
    waiting: list[asyncio.StreamWriter] = []

    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        waiting.append(writer)
        await reader.read()

    server = await asyncio.start_server(never, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    for writer in waiting:
        writer.close()
