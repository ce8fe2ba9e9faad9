"""Mistral: the OpenAI wire with words of its own, and tool-call ids of exactly nine letters or digits."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode

from llmcore.errors import OverloadedError, ServerError
from llmcore.providers.place import Place
from llmcore.types import Audio, File
from llmcore.wire.base import Warnings
from llmcore.wire.openai import FEATURES, OpenAIWire
from llmcore.wire.openai_errors import ErrorRule
from llmcore.wire.openai_messages import data_uri
from llmcore.wire.read import Json

_OWN_ID = re.compile(r"[A-Za-z0-9]{9}")


class MistralWire(OpenAIWire):
    """Files are `document_url` chunks, audio is bare base64, and another vendor's call ids are hashed to nine letters."""

    def call_id(self, call_id: str) -> str:
        return call_id if _OWN_ID.fullmatch(call_id) else hashlib.sha256(call_id.encode()).hexdigest()[:9]

    def file_part(self, file: File, warnings: Warnings) -> Json:
        if file.file_id is not None:
            return {"type": "file", "file_id": file.file_id}
        url = file.url or data_uri(file.data or b"", file.media_type or "application/pdf")
        named = {"document_name": file.filename} if file.filename else {}
        return {"type": "document_url", "document_url": url, **named}

    def audio_part(self, audio: Audio) -> Json:
        return {"type": "input_audio", "input_audio": b64encode(audio.data).decode()}


PLACE = Place(
    kind="mistral",
    title="Mistral",
    wire=MistralWire(
        origin="mistral",
        features=FEATURES | {"files", "file_urls", "audio", "tool_images"},
        without=frozenset({"name"}),
        seed_field="random_seed",
        required_word="any",
        stream_usage=False,
        embed_batch=128,
        embed_batch_chars=30_000,
        dimensions_field="output_dimension",
        failures={"error": ServerError},
        rules=(ErrorRule(OverloadedError, 429, words="capacity exceeded"),),
    ),
    base_url="https://api.mistral.ai/v1",
    key_env=("MISTRAL_API_KEY",),
)
