"""Where OpenAI-shaped vendors differ, as data: one row each."""

from __future__ import annotations

from typing import Literal

from attrs import frozen


@frozen
class Flavour:
    """strict: unknown fields are refused. reasoning: the field that shows reasoning (None: only counted; "chunks": the
    content is a list). usage_always: streams tell tokens unasked. output_excludes_reasoning: as xAI counts.
    x_groq: a last chunk as Groq sends it. errors: the shape of an error body. bare_models: models as a plain array. int8: embeddings as base64 of
    signed bytes.
    """

    strict: bool = False
    reasoning: str | None = "reasoning_content"
    usage_always: bool = False
    output_excludes_reasoning: bool = False
    x_groq: bool = False
    errors: Literal["openai", "flat", "int_code", "text"] = "openai"
    bare_models: bool = False
    int8: bool = False


FLAVOURS: dict[str, Flavour] = {
    "openai": Flavour(strict=True, reasoning=None),
    "azure": Flavour(strict=True, reasoning=None),
    "openai_compatible": Flavour(),
    "groq": Flavour(reasoning="reasoning", x_groq=True),
    "together": Flavour(reasoning="reasoning", bare_models=True),
    "deepseek": Flavour(),
    "openrouter": Flavour(reasoning="reasoning", errors="int_code"),
    "huggingface": Flavour(),
    "mistral": Flavour(reasoning="chunks", usage_always=True, errors="flat"),
    "xai": Flavour(output_excludes_reasoning=True),
    "fireworks": Flavour(),
    "perplexity": Flavour(usage_always=True, errors="int_code", int8=True),
    "cerebras": Flavour(reasoning="reasoning", errors="flat"),
    "vllm": Flavour(reasoning="reasoning", errors="int_code"),
    "llamacpp": Flavour(errors="int_code"),
    "localai": Flavour(errors="int_code"),
    "lm_studio": Flavour(errors="text"),
    "litellm_proxy": Flavour(),
}
