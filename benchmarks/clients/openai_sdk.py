"""The openai SDK: one AsyncOpenAI, with its own HTTP client or with the one for aiohttp."""

from __future__ import annotations

from typing import Any

from benchmarks.clients.base import KEY, MESSAGES, MODEL, TEXTS, Seen, Setting


def offered(setting: Setting) -> dict[str, Any]:
    return {"tools": setting.asked_tools} if setting.tools else {}


def encoding(setting: Setting) -> dict[str, Any]:
    """The SDK asks for base64 by itself, and unpacks it only where it was not told to ask for it."""
    return {} if setting.encoding == "base64" else {"encoding_format": setting.encoding}


def look(seen: Seen, chunk: Any) -> None:
    """Note a chunk of the SDK's (or of one that has the same shape) with text or a piece of a tool call's arguments."""
    if chunk.choices:
        delta = chunk.choices[0].delta
        if delta.content or (delta.tool_calls and delta.tool_calls[0].function.arguments):
            seen.note()


class OpenAI:
    def __init__(self, setting: Setting, **more: Any) -> None:
        import openai

        self.setting = setting
        self.client = openai.AsyncOpenAI(api_key=KEY, base_url=setting.url, **more)

    async def generate(self) -> str:
        response = await self.client.chat.completions.create(model=MODEL, messages=MESSAGES)
        return response.choices[0].message.content or ""

    async def stream(self) -> Seen:
        seen = Seen()
        chunks = await self.client.chat.completions.create(
            model=MODEL, messages=MESSAGES, stream=True, **offered(self.setting)
        )
        async for chunk in chunks:
            look(seen, chunk)
        return seen

    async def embed(self) -> int:
        response = await self.client.embeddings.create(model=MODEL, input=TEXTS, **encoding(self.setting))
        return sum(len(item.embedding) for item in response.data)

    async def aclose(self) -> None:
        await self.client.close()


def over_aiohttp(setting: Setting) -> OpenAI:
    from openai import DefaultAioHttpClient

    return OpenAI(setting, http_client=DefaultAioHttpClient())
