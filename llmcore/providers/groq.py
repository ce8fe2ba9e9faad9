"""Groq: the OpenAI wire; its rate-limit texts say how long to wait, and a model's failures have codes of their own."""

from __future__ import annotations

from typing import ClassVar

from llmcore.errors import ContextLengthError, GenerationFailedError
from llmcore.providers.place import Place
from llmcore.wire.openai import FEATURES, OpenAIWire
from llmcore.wire.openai_errors import ErrorRule


class GroqWire(OpenAIWire):
    """Usage and early stops hide under `x_groq` in streams, which the general wire reads."""

    retry_hints_in_text: ClassVar[bool] = True


PLACE = Place(
    kind="groq",
    title="Groq",
    wire=GroqWire(
        origin="groq",
        features=FEATURES - {"embeddings"},
        max_tokens_field="max_completion_tokens",
        rules=(
            ErrorRule(ContextLengthError, 413),
            ErrorRule(GenerationFailedError, 422),
        ),
    ),
    base_url="https://api.groq.com/openai/v1",
    key_env=("GROQ_API_KEY",),
)
