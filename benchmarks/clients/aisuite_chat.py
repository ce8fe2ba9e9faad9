"""aisuite: one Client; `acreate`, whole and streamed. It has no embeddings."""

from __future__ import annotations

import aisuite

from benchmarks.clients.base import KEY, MESSAGES, MODEL, Seen, Setting
from benchmarks.clients.openai_sdk import look, offered


class Aisuite:
    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        client = aisuite.Client({"openai": {"api_key": KEY, "base_url": setting.url}})
        self.completions = client.chat.completions

    async def generate(self) -> str:
        response = await self.completions.acreate(model=f"openai:{MODEL}", messages=MESSAGES)
        text: str = response.choices[0].message.content
        return text

    async def stream(self) -> Seen:
        seen = Seen()
        chunks = await self.completions.acreate(
            model=f"openai:{MODEL}", messages=MESSAGES, stream=True, **offered(self.setting)
        )
        async for chunk in chunks:
            look(seen, chunk)
        return seen

    async def embed(self) -> int:
        raise NotImplementedError

    async def aclose(self) -> None:
        """It has no way to be closed."""
