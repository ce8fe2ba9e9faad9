"""langchain-openai: one ChatOpenAI and one OpenAIEmbeddings; failover by `with_fallbacks`."""

from __future__ import annotations

import os
from typing import Any

from benchmarks.clients.base import KEY, MODEL, PROMPT, TEXTS, Seen, Setting
from benchmarks.clients.openai_sdk import encoding

os.environ["LANGSMITH_TRACING"] = "false"

from langchain_openai import ChatOpenAI, OpenAIEmbeddings


def chat(url: str, **more: Any) -> ChatOpenAI:
    return ChatOpenAI(model=MODEL, api_key=KEY, base_url=url, **more)


class LangChain:
    def __init__(self, setting: Setting, face: Any = None) -> None:
        self.setting = setting
        self.face = face or chat(setting.url)
        if setting.tools:
            self.face = self.face.bind_tools(setting.asked_tools)
        self.embeddings: Any = None

    async def generate(self) -> str:
        text: str = (await self.face.ainvoke(PROMPT)).content
        return text

    async def stream(self) -> Seen:
        seen = Seen()
        async for chunk in self.face.astream(PROMPT):
            if chunk.content or (chunk.tool_call_chunks and chunk.tool_call_chunks[0]["args"]):
                seen.note()
        return seen

    async def embed(self) -> int:
        if self.embeddings is None:
            self.embeddings = OpenAIEmbeddings(
                model=MODEL,
                api_key=KEY,
                base_url=self.setting.url,
                check_embedding_ctx_length=False,
                model_kwargs=encoding(self.setting),
            )
        return sum(len(vector) for vector in await self.embeddings.aembed_documents(TEXTS))

    async def aclose(self) -> None:
        """It has no way to be closed."""


def failover(setting: Setting) -> LangChain:
    first, *others = (chat(url) for url in setting.urls)
    return LangChain(setting, first.with_fallbacks(others))


def failover_no_retries(setting: Setting) -> LangChain:
    first, *others = (chat(url, max_retries=0) for url in setting.urls)
    return LangChain(setting, first.with_fallbacks(others))
