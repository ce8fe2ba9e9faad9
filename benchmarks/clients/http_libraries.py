"""HTTP libraries used by hand: one shared client, bodies as dicts, streams line by line, `json.loads` for each event."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.clients.base import KEY, MESSAGES, MODEL, TEXTS, Seen, Setting
from benchmarks.clients.vectors import numbers_in

HEADERS = {"authorization": f"Bearer {KEY}"}
CONNECTIONS = 2000


def chat_body(setting: Setting) -> dict[str, Any]:
    body: dict[str, Any] = {"model": MODEL, "messages": MESSAGES}
    return {**body, "tools": setting.asked_tools} if setting.tools else body


def embed_body(setting: Setting) -> dict[str, Any]:
    return {"model": MODEL, "input": TEXTS, "encoding_format": setting.encoding}


def text_of(answer: Any) -> str:
    text: str = answer["choices"][0]["message"]["content"]
    return text


def look(seen: Seen, line: str | bytes) -> None:
    """Read one line of a stream; note it where it holds text or a piece of a tool call's arguments."""
    data = line[6:].strip()
    if not line[:5] or line[:5] not in {"data:", b"data:"} or data in {"[DONE]", b"[DONE]"}:
        return
    choices = json.loads(data)["choices"]
    delta = choices[0]["delta"] if choices else {}
    calls = delta.get("tool_calls")
    if delta.get("content") or (calls and calls[0]["function"].get("arguments")):
        seen.note()


class Aiohttp:
    """One ClientSession, its connector without a limit."""

    def __init__(self, setting: Setting) -> None:
        import aiohttp

        self.setting = setting
        self.session = aiohttp.ClientSession(
            headers=HEADERS, connector=aiohttp.TCPConnector(limit=CONNECTIONS)
        )

    async def generate(self) -> str:
        url = f"{self.setting.url}/chat/completions"
        async with self.session.post(url, json=chat_body(self.setting)) as response:
            return text_of(await response.json())

    async def stream(self) -> Seen:
        seen = Seen()
        body = {**chat_body(self.setting), "stream": True}
        async with self.session.post(f"{self.setting.url}/chat/completions", json=body) as response:
            async for line in response.content:
                look(seen, line)
        return seen

    async def embed(self) -> int:
        url = f"{self.setting.url}/embeddings"
        async with self.session.post(url, json=embed_body(self.setting)) as response:
            return numbers_in(await response.json())

    async def aclose(self) -> None:
        await self.session.close()


class Httpx:
    """One AsyncClient with room for every caller; httpx and httpx2 have the same face."""

    def __init__(self, library: Any, setting: Setting) -> None:
        self.setting = setting
        limits = library.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
        self.client = library.AsyncClient(headers=HEADERS, limits=limits, timeout=60)

    async def generate(self) -> str:
        url = f"{self.setting.url}/chat/completions"
        return text_of((await self.client.post(url, json=chat_body(self.setting))).json())

    async def stream(self) -> Seen:
        seen = Seen()
        body = {**chat_body(self.setting), "stream": True}
        url = f"{self.setting.url}/chat/completions"
        async with self.client.stream("POST", url, json=body) as response:
            async for line in response.aiter_lines():
                look(seen, line)
        return seen

    async def embed(self) -> int:
        response = await self.client.post(f"{self.setting.url}/embeddings", json=embed_body(self.setting))
        return numbers_in(response.json())

    async def aclose(self) -> None:
        await self.client.aclose()


def httpx(setting: Setting) -> Httpx:
    import httpx as library

    return Httpx(library, setting)


def httpx2(setting: Setting) -> Httpx:
    import httpx2 as library

    return Httpx(library, setting)


class Pyreqwest:
    """One client on its own runtime; it has no lines, so they are cut from chunks here."""

    def __init__(self, setting: Setting) -> None:
        from pyreqwest.client import ClientBuilder

        self.setting = setting
        self.client = ClientBuilder().default_headers(HEADERS).build()

    async def generate(self) -> str:
        request = self.client.post(f"{self.setting.url}/chat/completions").body_json(chat_body(self.setting))
        return text_of(await (await request.build().send()).json())

    async def stream(self) -> Seen:
        seen = Seen()
        body = {**chat_body(self.setting), "stream": True}
        request = self.client.post(f"{self.setting.url}/chat/completions").body_json(body)
        rest = b""
        request = request.streamed_read_buffer_limit(0)  # else it waits for 64 KiB before it shows anything
        async with request.build_streamed() as response:
            while (chunk := await response.body_reader.read_chunk()) is not None:
                *lines, rest = (rest + bytes(chunk)).split(b"\n")
                for line in lines:
                    look(seen, line)
        return seen

    async def embed(self) -> int:
        request = self.client.post(f"{self.setting.url}/embeddings").body_json(embed_body(self.setting))
        return numbers_in(await (await request.build().send()).json())

    async def aclose(self) -> None:
        await self.client.close()
