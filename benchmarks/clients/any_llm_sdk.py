"""any-llm: one AnyLLM object for the provider, as its documentation advises for many calls."""

from __future__ import annotations

from any_llm import AnyLLM

from benchmarks.clients.base import KEY, MESSAGES, MODEL, TEXTS, Seen, Setting
from benchmarks.clients.openai_sdk import encoding, look, offered


class AnyLlm:
    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.llm = AnyLLM.create("openai", api_key=KEY, api_base=setting.url)

    async def generate(self) -> str:
        response = await self.llm.acompletion(model=MODEL, messages=MESSAGES)
        text: str = response.choices[0].message.content
        return text

    async def stream(self) -> Seen:
        seen = Seen()
        chunks = await self.llm.acompletion(
            model=MODEL, messages=MESSAGES, stream=True, **offered(self.setting)
        )
        async for chunk in chunks:
            look(seen, chunk)
        return seen

    async def embed(self) -> int:
        response = await self.llm.aembedding(MODEL, TEXTS, **encoding(self.setting))
        return sum(len(item.embedding) for item in response.data)

    async def aclose(self) -> None:
        """It has no way to be closed."""
