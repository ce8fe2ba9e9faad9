"""xAI: the OpenAI wire; cached and reasoning tokens may be counted apart from the others."""

from __future__ import annotations

from attrs import evolve

from llmcore.errors import AuthenticationError, ContentFilterError, ModelNotFoundError, QuotaExhaustedError
from llmcore.providers.place import Place
from llmcore.types import Usage
from llmcore.wire.openai import FEATURES, OpenAIWire
from llmcore.wire.openai_errors import ErrorRule
from llmcore.wire.read import Json, as_count, as_dict


class XaiWire(OpenAIWire):
    """`completion_tokens` excludes reasoning always, `prompt_tokens` the cached ones where those are more."""

    def usage(self, raw: Json) -> Usage:
        found = super().usage(raw)
        written = as_count(as_dict(raw).get("completion_tokens"))
        reasoning = as_count(as_dict(as_dict(raw).get("completion_tokens_details")).get("reasoning_tokens"))
        if written is not None and reasoning is not None:
            found = evolve(found, output_tokens=written + reasoning, reasoning_tokens=reasoning)
        read = as_count(as_dict(raw).get("prompt_tokens"))
        cached = as_count(as_dict(as_dict(raw).get("prompt_tokens_details")).get("cached_tokens"))
        if read is not None and cached is not None and cached > read:
            found = evolve(found, input_tokens=read + cached, cached_tokens=cached)
        return found


PLACE = Place(
    kind="xai",
    title="xAI",
    wire=XaiWire(
        origin="xai",
        features=FEATURES - {"embeddings"},
        rules=(
            ErrorRule(AuthenticationError, 400, words=("incorrect api key", "invalid api key")),
            ErrorRule(QuotaExhaustedError, (403, 429), words=("credits", "spending limit")),
            ErrorRule(ContentFilterError, 403, words=("safety", "usage guidelines", "content violates")),
            ErrorRule(ModelNotFoundError, 410),
        ),
    ),
    base_url="https://api.x.ai/v1",
    key_env=("XAI_API_KEY",),
)
