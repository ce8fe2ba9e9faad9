"""Hugging Face's router: OpenAI's dialect for chat, pipelines of their own for embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from llmcore.sim.dialects.base import Ask, dumps
from llmcore.sim.dialects.openai import BASE, OpenAIDialect
from llmcore.sim.values import Operation, Reply, Understood, whole


class HuggingFaceDialect(OpenAIDialect):
    """Embeddings are `POST /hf-inference/models/{model}/pipeline/feature-extraction`, answered with nested lists."""

    routes: ClassVar[Sequence[tuple[str, str, Operation]]] = (
        ("POST", BASE + r"/chat/completions", "generate"),
        ("POST", r"/hf-inference/models/(?P<model>.+)/pipeline/feature-extraction", "embed"),
        ("GET", BASE + r"/models", "models"),
    )

    def __init__(self) -> None:
        super().__init__("huggingface")

    def read_embed(self, ask: Ask, named: dict[str, str]) -> Understood:
        body = ask.json()
        inputs = body.strings("inputs")
        body.ignore("normalize", "prompt_name", "truncate", "truncation_direction")
        asked = Understood(dialect=self.name, operation="embed", model=named["model"], inputs=inputs)
        return self.sealed(asked, body, named)

    def embedded(self, asked: Understood, vectors: Sequence[Any], tokens: int) -> Reply:
        return whole(dumps([list(vector) for vector in vectors]))
