"""The floor: requests written by hand over asyncio streams. No retries, no timeouts, no types; not fit for use.

The standard library alone, but for vectors, which msgspec reads faster than anything else we know.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

from benchmarks.clients.base import MESSAGES, MODEL, TEXTS, Seen, Setting

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
LIMIT = 2**22


class Place:
    """One address: its requests as bytes, and its idle connections."""

    def __init__(self, url: str, setting: Setting) -> None:
        parts = urlsplit(url)
        assert parts.hostname
        assert parts.port
        self.host, self.port = parts.hostname, parts.port
        self.idle: list[Connection] = []
        chat: dict[str, Any] = {"model": MODEL, "messages": MESSAGES}
        if setting.tools:
            chat["tools"] = setting.asked_tools
        embed = {"model": MODEL, "input": TEXTS, "encoding_format": setting.encoding}
        self.generate = self._request(parts.path + "/chat/completions", chat)
        self.stream = self._request(parts.path + "/chat/completions", {**chat, "stream": True})
        self.embed = self._request(parts.path + "/embeddings", embed)

    def _request(self, path: str, body: dict[str, Any]) -> bytes:
        data = json.dumps(body, separators=(",", ":")).encode()
        head = f"POST {path} HTTP/1.1\r\nhost: {self.host}:{self.port}\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
        return head.encode() + data

    async def send(self, request: bytes) -> tuple[Connection, bytes]:
        if self.idle:
            connection = self.idle.pop()
        else:
            connection = await asyncio.open_connection(self.host, self.port, limit=LIMIT)
        try:
            connection[1].write(request)
            return connection, await connection[0].readuntil(b"\r\n\r\n")
        except (OSError, EOFError):
            connection[1].close()
            raise

    async def whole(self, request: bytes) -> bytes:
        """The body of an answer; OSError where there is none, or where its status is not 200."""
        connection, head = await self.send(request)
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        body = await connection[0].readexactly(length)
        self.idle.append(connection)
        if head[9:12] != b"200":
            raise OSError(head[9:12])
        return body


class Raw:
    """Asks one address after the other until one answers: the bare loop that failover is compared with."""

    def __init__(self, setting: Setting) -> None:
        self.places = [Place(url, setting) for url in setting.urls]
        self.base64 = setting.encoding == "base64"

    async def generate(self) -> str:
        for place in self.places:
            try:
                body = await place.whole(place.generate)
            except (OSError, EOFError):
                continue
            text: str = json.loads(body)["choices"][0]["message"]["content"]
            return text
        raise OSError

    async def stream(self) -> Seen:
        """Lines, split and told apart, and nothing more; chunked bodies need no care, since pieces end with their lines."""
        place, seen = self.places[0], Seen()
        connection, head = await place.send(place.stream)
        reader = connection[0]
        while (line := await reader.readline()) != b"data: [DONE]\n":
            if line.startswith(b"data: "):
                seen.note()
        await reader.readline()
        if b"chunked" in head.lower():
            await reader.readuntil(b"0\r\n\r\n")
        place.idle.append(connection)
        return seen

    async def embed(self) -> int:
        place = self.places[0]
        body = await place.whole(place.embed)
        from benchmarks.clients.raw_vectors import numbers, packed

        return sum(len(vector) for vector in (packed(body) if self.base64 else numbers(body)))

    async def aclose(self) -> None:
        for place in self.places:
            for _, writer in place.idle:
                writer.close()
