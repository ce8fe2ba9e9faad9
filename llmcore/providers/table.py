"""Places that differ from others in data alone: one row each."""

from __future__ import annotations

from llmcore.errors import (
    ContextLengthError,
    ModelNotFoundError,
    OverloadedError,
    QuotaExhaustedError,
    ServerError,
)
from llmcore.providers.place import Place
from llmcore.wire.openai import FEATURES, OpenAIWire
from llmcore.wire.openai_errors import ErrorRule

_TOGETHER = Place(
    kind="together",
    title="Together AI",
    wire=OpenAIWire(
        origin="together",
        reasoning="enabled",
        constants={"context_length_exceeded_behavior": "error"},
        rules=(ErrorRule(QuotaExhaustedError, 429, words=("credit", "billing")),),
    ),
    base_url="https://api.together.ai/v1",
    key_env=("TOGETHER_API_KEY",),
    aliases=("togetherai",),
)

_FIREWORKS = Place(
    kind="fireworks",
    title="Fireworks AI",
    wire=OpenAIWire(
        origin="fireworks",
        constants={"context_length_exceeded_behavior": "error"},
        rules=(ErrorRule(QuotaExhaustedError, 412),),
    ),
    base_url="https://api.fireworks.ai/inference/v1",
    key_env=("FIREWORKS_API_KEY",),
    aliases=("fireworks_ai",),
)

_CEREBRAS = Place(
    kind="cerebras",
    title="Cerebras",
    wire=OpenAIWire(
        origin="cerebras",
        features=FEATURES - {"embeddings"},
        max_tokens_field="max_completion_tokens",
        rules=(
            ErrorRule(OverloadedError, 429, code="queue_exceeded"),
            ErrorRule(
                QuotaExhaustedError,
                429,
                code="token_quota_exceeded",
                words=("per day", "daily", "tokens-day"),
            ),
        ),
    ),
    base_url="https://api.cerebras.ai/v1",
    key_env=("CEREBRAS_API_KEY",),
)

_LM_STUDIO = Place(
    kind="lm_studio",
    title="LM Studio",
    wire=OpenAIWire(
        origin="lm_studio",
        one_system=True,
        json_object=False,
        rules=(
            ErrorRule(ModelNotFoundError, (400, 404), words=("no models loaded", "model not found")),
            ErrorRule(ContextLengthError, 400, words="context length"),
            ErrorRule(ServerError, 400, words=("unloaded", "crashed")),
        ),
    ),
    base_url="http://localhost:1234/v1",
    key_env=("LM_API_TOKEN",),
    key_required=False,
    local=True,
    model_required=False,
    aliases=("lmstudio",),
)

_VLLM = Place(
    kind="vllm",
    title="vLLM",
    wire=OpenAIWire(
        origin="vllm", one_system=True, rules=(ErrorRule(OverloadedError, 500, code="enginedeaderror"),)
    ),
    base_url="http://localhost:8000/v1",
    key_env=("VLLM_API_KEY",),
    key_required=False,
    local=True,
)

_LLAMACPP = Place(
    kind="llamacpp",
    title="llama.cpp",
    wire=OpenAIWire(
        origin="llamacpp",
        one_system=True,
        rules=(ErrorRule(ContextLengthError, 500, words="is too large to process"),),
    ),
    base_url="http://localhost:8080/v1",
    key_env=("LLAMA_API_KEY",),
    key_required=False,
    local=True,
    model_required=False,
    aliases=("llama_cpp", "llama.cpp"),
)

_LOCALAI = Place(
    kind="localai",
    title="LocalAI",
    wire=OpenAIWire(origin="localai", one_system=True),
    base_url="http://localhost:8080/v1",
    key_env=("LOCALAI_API_KEY",),
    key_required=False,
    local=True,
)

_LITELLM_PROXY = Place(
    kind="litellm_proxy",
    title="LiteLLM proxy",
    wire=OpenAIWire(origin="litellm_proxy", features=FEATURES | {"files", "audio"}),
    base_url="http://localhost:4000/v1",
    key_env=("LITELLM_PROXY_API_KEY",),
    base_url_env=("LITELLM_PROXY_API_BASE",),
    key_required=False,
    aliases=("litellm",),
)

_OPENAI_COMPATIBLE = Place(
    kind="openai_compatible",
    title="Any OpenAI-compatible server",
    wire=OpenAIWire(features=FEATURES | {"files", "audio"}),
    key_required=False,
    aliases=("openai-compatible",),
)

ROWS: tuple[Place, ...] = (
    _CEREBRAS,
    _FIREWORKS,
    _LITELLM_PROXY,
    _LLAMACPP,
    _LM_STUDIO,
    _LOCALAI,
    _OPENAI_COMPATIBLE,
    _TOGETHER,
    _VLLM,
)
