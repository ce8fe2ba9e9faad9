"""pydantic-ai without an agent: `direct.model_request`, its Embedder, and FallbackModel for failover."""

from __future__ import annotations

from typing import Any

from openai import AsyncOpenAI
from pydantic_ai import ModelRequest
from pydantic_ai.direct import model_request, model_request_stream
from pydantic_ai.messages import PartDeltaEvent, PartStartEvent, TextPartDelta, ToolCallPartDelta
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.tools import ToolDefinition

from benchmarks.clients.base import KEY, MODEL, PROMPT, TEXTS, Seen, Setting


class PydanticAI:
    """Over an openai client of the SDK's own pool size, so that hundreds of calls at once need not queue."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.clients: list[Any] = []
        self.model: Any = self.at(setting.url)
        self.parameters = ModelRequestParameters()
        for tool in setting.asked_tools or ():
            function = tool["function"]
            definition = ToolDefinition(
                name=function["name"],
                description=function["description"],
                parameters_json_schema=function["parameters"],
            )
            self.parameters = ModelRequestParameters(function_tools=[definition])
        self.embedder: Any = None

    def provider(self, url: str, **more: Any) -> Any:
        self.clients.append(AsyncOpenAI(api_key=KEY, base_url=url, **more))
        return OpenAIProvider(openai_client=self.clients[-1])

    def at(self, url: str, **more: Any) -> Any:
        return OpenAIChatModel(MODEL, provider=self.provider(url, **more))

    async def generate(self) -> str:
        response = await model_request(self.model, [ModelRequest.user_text_prompt(PROMPT)])
        text: str = response.text
        return text

    async def stream(self) -> Seen:
        seen = Seen()
        messages = [ModelRequest.user_text_prompt(PROMPT)]
        async with model_request_stream(
            self.model, messages, model_request_parameters=self.parameters
        ) as events:
            async for event in events:
                if isinstance(event, PartStartEvent) or (
                    isinstance(event, PartDeltaEvent)
                    and isinstance(event.delta, TextPartDelta | ToolCallPartDelta)
                ):
                    seen.note()
        return seen

    async def embed(self) -> int:
        if self.embedder is None:
            from pydantic_ai import Embedder
            from pydantic_ai.embeddings.openai import OpenAIEmbeddingModel

            self.embedder = Embedder(OpenAIEmbeddingModel(MODEL, provider=self.provider(self.setting.url)))
        result = await self.embedder.embed_documents(TEXTS)
        return sum(len(vector) for vector in result.embeddings)

    async def aclose(self) -> None:
        for client in self.clients:
            await client.close()


def failover(setting: Setting, **more: Any) -> PydanticAI:
    from pydantic_ai.models.fallback import FallbackModel

    client = PydanticAI(setting)
    client.model = FallbackModel(*(client.at(url, **more) for url in setting.urls))
    return client


def failover_no_retries(setting: Setting) -> PydanticAI:
    return failover(setting, max_retries=0)
