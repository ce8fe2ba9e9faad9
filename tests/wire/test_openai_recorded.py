"""Real traffic of everybody who speaks the OpenAI dialect, against oracles that read the raw JSON in their own way."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from llmcore import errors
from llmcore.errors import ProviderError
from llmcore.provider import Fold
from llmcore.providers import find
from llmcore.types import EmbeddingRequest, GenerationRequest, GenerationResponse
from llmcore.wire.openai import OpenAIWire
from tests.corpus import Record, chunkings, records

WIRE = OpenAIWire()
KINDS = (
    *("openai", "groq", "deepseek", "openrouter", "mistral", "xai", "perplexity", "huggingface"),
    "together",
)
ASK = GenerationRequest("?", model="m")
MAX_BYTEWISE = 8_000
LISTERS = ("openai", "deepseek", "mistral", "cerebras", "bedrock_mantle", "perplexity")
EMBEDDERS = (
    "openai",
    "azure_openai",
    "mistral",
    "doubleword",
    "venice",
    "llamacpp",
    "vllm",
    "openrouter",
    "github_copilot",
    "voyageai",
)


# ------------------------------------------------------------------------------------------------ the oracle


def objects(record: Record) -> list[dict[str, Any]]:
    """The JSON objects of a body: one, or those of its `data:` lines."""
    if record.framing != "sse":
        return [record.json]
    lines = record.body.decode("utf-8", "surrogatepass").replace("\r\n", "\n").split("\n")
    found = [line[5:].strip() for line in lines if line.startswith("data:")]
    return [json.loads(text) for text in found if text and text != "[DONE]"]


def deltas(record: Record) -> list[dict[str, Any]]:
    """Every piece of message 0: the message itself, or the deltas."""
    key = "delta" if record.framing == "sse" else "message"
    return [
        choice.get(key) or {}
        for value in objects(record)
        for choice in (value.get("choices") or ())
        if choice.get("index", 0) == 0
    ]


def oracle_text(record: Record) -> str:
    text = ""
    for delta in deltas(record):
        content = delta.get("content")
        if isinstance(content, dict):
            text += json.dumps(content, separators=(",", ":"), ensure_ascii=False)
        elif isinstance(content, list):
            text += "".join(block["text"] for block in content if block["type"] == "text")
        else:
            text += content or ""
    return text


def oracle_thinking(record: Record) -> str:
    text = ""
    for delta in deltas(record):
        if isinstance(delta.get("content"), list):
            blocks = [block["thinking"] for block in delta["content"] if block["type"] == "thinking"]
            text += "".join(piece["text"] for block in blocks for piece in block)
        told = delta.get("reasoning_content") or delta.get("reasoning")
        if not told:
            details = delta.get("reasoning_details") or ()
            told = "".join(item.get("text") or item.get("summary") or "" for item in details)
        text += told
    return text


def oracle_calls(record: Record) -> list[tuple[str | None, str, Any]]:
    """Calls as (id or None, name, arguments), the latter parsed where they are JSON."""
    calls: list[list[Any]] = []
    place: dict[Any, int] = {}
    for delta in deltas(record):
        for piece in delta.get("tool_calls") or ():
            function = piece["function"]
            key = piece.get("index") if record.framing == "sse" else len(calls)
            if key is None:
                key = len(calls)
            if key not in place:
                place[key] = len(calls)
                calls.append([None, "", ""])
            call = calls[place[key]]
            call[0] = call[0] or piece.get("id")
            call[1] = call[1] or function.get("name") or ""
            arguments = function.get("arguments")
            call[2] += json.dumps(arguments) if isinstance(arguments, dict) else arguments or ""
        legacy = delta.get("function_call") or {}
        if legacy.get("name"):
            calls.append([None, legacy["name"], legacy["arguments"]])
    return [(id_ or None, name, parsed(arguments)) for id_, name, arguments in calls]


def parsed(arguments: str) -> Any:
    try:
        return json.loads(arguments or "{}")
    except ValueError:
        return arguments


FINISH = {
    "stop": "stop",
    "eos": "stop",
    "length": "length",
    "max_tokens": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "": "unknown",
}


def oracle_finish(record: Record) -> str:
    raw = ""
    for value in objects(record):
        for choice in value.get("choices") or ():
            raw = choice.get("finish_reason") or (choice.get("finish_details") or {}).get("type") or raw
    found = FINISH[raw]
    if found in ("stop", "unknown"):
        if any(delta.get("refusal") for delta in deltas(record)):
            return "refusal"
        if oracle_calls(record):
            return "tool_calls"
    return found


def oracle_tokens(record: Record) -> tuple[int | None, int | None]:
    found: dict[str, Any] = {}
    for value in objects(record):
        usage = value.get("usage") or (value.get("x_groq") or {}).get("usage")
        if usage and usage.get("prompt_tokens") is not None:
            found = usage
    read, written = found.get("prompt_tokens"), found.get("completion_tokens")
    details = found.get("completion_tokens_details") or {}
    apart = details.get("reasoning_tokens") or 0
    if apart and found["total_tokens"] == read + written + apart:
        written += apart
    return read, written


def is_failure(record: Record) -> bool:
    return any(value.get("error") for value in objects(record))


def agrees(response: GenerationResponse, record: Record) -> None:
    assert response.text == oracle_text(record)
    assert response.thinking == oracle_thinking(record)
    calls = [(call.id, call.name, parsed(call.arguments)) for call in response.tool_calls]
    wanted = oracle_calls(record)
    assert calls == [(id_ or f"call_{i}", name, told) for i, (id_, name, told) in enumerate(wanted)]
    assert response.finish_reason == oracle_finish(record)
    assert (response.usage.input_tokens, response.usage.output_tokens) == oracle_tokens(record)
    ids = [value["id"] for value in objects(record) if value.get("id")]
    assert response.id == (ids[0] if ids else None)
    models = [value["model"] for value in objects(record) if value.get("model")]
    assert response.model == (models[0] if models else None)


def streamed(pieces: list[bytes], wire: OpenAIWire = WIRE) -> tuple[GenerationResponse, ProviderError | None]:
    decoder, fold = wire.event_decoder(ASK), Fold()
    for piece in pieces:
        for event in decoder.feed(piece):
            fold.add(event)
    for event in decoder.finish():
        fold.add(event)
    return fold.response(), decoder.error


# ------------------------------------------------------------------------------------------------- the tests


@pytest.mark.parametrize("record", records(api="chat_completions", operation=("generate", "stream")))
def test_a_recorded_answer_says_what_its_json_says(record: Record) -> None:
    says_what_its_json_says(record, WIRE)


@pytest.mark.parametrize(
    "record", records(api="chat_completions", operation=("generate", "stream"), providers=KINDS)
)
def test_so_it_does_in_the_vendors_own_wire(record: Record) -> None:
    wire = find(record.provider).wire
    assert isinstance(wire, OpenAIWire)
    says_what_its_json_says(record, wire)


def says_what_its_json_says(record: Record, wire: OpenAIWire) -> None:
    if record.framing != "sse":
        agrees(wire.decode_generate(record.body, ASK), record)
        return
    response, error = streamed([record.body], wire)
    if is_failure(record):
        assert isinstance(error, ProviderError)
        return
    assert error is None
    agrees(response, record)


@pytest.mark.parametrize("record", records(api="chat_completions", operation="stream"))
def test_the_pieces_of_a_recorded_stream_do_not_matter(record: Record) -> None:
    whole, error = streamed([record.body])
    for pieces in chunkings(record.body):
        if len(pieces) > MAX_BYTEWISE:
            continue
        again, other = streamed(pieces)
        assert (again, type(other), str(other)) == (whole, type(error), str(error))


BY_STATUS: dict[int, tuple[type[ProviderError], ...]] = {
    400: (errors.InvalidRequestError, errors.ModelNotFoundError, errors.GenerationFailedError),
    401: (errors.AuthenticationError,),
    403: (errors.PermissionDeniedError,),
    404: (errors.ModelNotFoundError, errors.InvalidRequestError),
    429: (errors.RateLimitError,),
    500: (errors.ServerError,),
}
BY_CODE: dict[str, type[ProviderError]] = {
    "model_not_found": errors.ModelNotFoundError,
    "DeploymentNotFound": errors.ModelNotFoundError,
    "model_decommissioned": errors.ModelNotFoundError,
    "tool_use_failed": errors.GenerationFailedError,
    "invalid_api_key": errors.AuthenticationError,
    "exceed_context_size_error": errors.ContextLengthError,
    "too_many_prompt_tokens": errors.ContextLengthError,
    "invalid_model": errors.ModelNotFoundError,
}


@pytest.mark.parametrize(
    "record",
    [
        *records(api="chat_completions", operation=("generate", "stream"), ok=False),
        *records(api="embeddings", operation="embed", ok=False, providers=EMBEDDERS),
        *records(api="models", operation="list_models", ok=False, providers=(*LISTERS, "groq")),
    ],
)
def test_a_recorded_error_has_its_class(record: Record) -> None:
    error = WIRE.decode_error(record.status, record.headers, record.body)
    assert error.status == record.status
    assert isinstance(error, BY_STATUS[record.status])
    body = record.json if record.body.strip() else {}
    inner = body.get("error") if isinstance(body.get("error"), dict) else body
    for word in (inner.get("code"), inner.get("type")):
        if word in BY_CODE:
            assert isinstance(error, BY_CODE[word])
    message = inner.get("message") or inner.get("detail") or body.get("error")
    if message:
        assert error.message == message[: errors.MAX_MESSAGE]


@pytest.mark.parametrize("record", records(api="embeddings", operation="embed", providers=EMBEDDERS))
def test_recorded_embeddings(record: Record) -> None:
    rows = record.json["data"]
    response = WIRE.decode_embed(record.body, EmbeddingRequest(["x"] * len(rows)))
    assert len(response.vectors) == len(rows)
    for vector, row in zip(response.vectors, rows, strict=True):
        if isinstance(row["embedding"], list):
            assert vector == pytest.approx(row["embedding"], rel=1e-6)
        else:
            assert len(vector) * 16 // 3 == pytest.approx(len(row["embedding"]), abs=4)
        assert all(map(math.isfinite, vector))
    usage = record.json.get("usage") or {}
    assert response.usage.input_tokens == usage.get("prompt_tokens", usage.get("total_tokens"))


@pytest.mark.parametrize("record", records(api="models", operation="list_models", providers=LISTERS))
def test_recorded_model_lists(record: Record) -> None:
    page = WIRE.decode_models(record.body)
    assert [(model.id, model.owned_by) for model in page.models] == [
        (row["id"], row.get("owned_by")) for row in record.json["data"]
    ]
    assert page.cursor is None
