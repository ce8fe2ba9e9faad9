"""Each dialect as its vendor would be: what it refuses, how it refuses, and the shape of what it answers."""

from __future__ import annotations

import json
import struct
import time
from base64 import b64decode
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from llmcore.sim import Simulator, SimulatorThread

from .conftest import chat

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
NEW = {"anthropic-version": "2026-10-21"}
OLD = {"anthropic-version": "2023-06-01"}
KEEP = {"type": "ephemeral"}


def kept(ttl: str) -> dict[str, Any]:
    return {"type": "text", "text": "Be brief.", "cache_control": {**KEEP, "ttl": ttl}}


CLAUDE = chat(max_tokens=4000)
GEMINI = {"contents": [{"role": "user", "parts": [{"text": "say: one two"}]}]}
GENERATE = "/v1beta/models/g:generateContent"
PREDICT = "/v1/models/a/b/predictions"
RESPONSES = {"model": "m", "input": "say: one two"}


def post(sim: SimulatorThread, kind: str, path: str, body: Any, headers: Any = None) -> httpx.Response:
    return httpx.post(f"{sim.url}/{kind}{path}", json=body, headers=headers)


def events(response: httpx.Response) -> list[Any]:
    return [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: {")]


# ------------------------------------------------------------------------------------------- strictness


@pytest.mark.parametrize(
    ("kind", "path", "body", "headers", "status"),
    [
        ("openai", "/v1/chat/completions", chat(), {}, 200),
        ("openai", "/v1/chat/completions", chat(nonsense=1), {}, 400),
        ("groq", "/v1/chat/completions", chat(nonsense=1), {}, 200),
        ("openai", "/v1/chat/completions", chat(temperature=3), {}, 400),
        ("openai", "/v1/chat/completions", chat(temperature="hot"), {}, 400),
        ("openai", "/v1/chat/completions", chat(stop=[1]), {}, 400),
        ("openai", "/v1/chat/completions", chat(max_tokens=5, max_completion_tokens=5), {}, 400),
        ("openai", "/v1/chat/completions", chat(max_tokens=0), {}, 400),
        ("openai", "/v1/chat/completions", chat(stream_options={"include_usage": True}), {}, 400),
        ("openai", "/v1/chat/completions", chat(tool_choice="auto"), {}, 400),
        ("openai", "/v1/chat/completions", {"messages": []}, {}, 400),
        (
            "openai",
            "/v1/chat/completions",
            {"model": "m", "messages": [{"role": "king", "content": "x"}]},
            {},
            400,
        ),
        (
            "openai",
            "/v1/chat/completions",
            {"model": "m", "messages": [{"role": "user", "content": None}]},
            {},
            400,
        ),
        (
            "openai",
            "/v1/chat/completions",
            {"model": "m", "messages": [{"role": "tool", "tool_call_id": "a", "content": "x"}]},
            {},
            400,
        ),
        ("openai", "/v1/chat/completions", chat(response_format={"type": "json_schema"}), {}, 400),
        ("openai", "/v1/completion", chat(), {}, 404),
        ("openai", "/v1/embeddings", {"model": "m", "input": [""]}, {}, 400),
        ("openai", "/v1/embeddings", {"model": "m", "input": ["x"] * 2049}, {}, 400),
        ("openai", "/v1/responses", RESPONSES, {}, 200),
        ("openai", "/v1/responses", RESPONSES | {"stop": ["x"]}, {}, 400),
        ("openai", "/v1/responses", RESPONSES | {"seed": 1}, {}, 400),
        ("openai", "/v1/responses", RESPONSES | {"max_output_tokens": 3}, {}, 400),
        ("openai", "/v1/responses", RESPONSES | {"previous_response_id": "resp_1"}, {}, 400),
        (
            "openai",
            "/v1/responses",
            RESPONSES | {"tools": [{"type": "function", "function": {"name": "f"}}]},
            {},
            400,
        ),
        (
            "openai",
            "/v1/responses",
            {
                "model": "m",
                "input": [{"role": "assistant", "content": [{"type": "input_text", "text": "x"}]}],
            },
            {},
            400,
        ),
        ("anthropic", "/v1/messages", CLAUDE, NEW, 200),
        ("anthropic", "/v1/messages", CLAUDE, {}, 400),
        ("anthropic", "/v1/messages", CLAUDE, {"anthropic-version": "2020-01-01"}, 400),
        ("anthropic", "/v1/messages", CLAUDE, NEW | {"x-api-key": "a", "authorization": "Bearer a"}, 401),
        ("anthropic", "/v1/messages", chat(), NEW, 400),
        ("anthropic", "/v1/messages", CLAUDE | {"temperature": 1}, NEW, 400),
        ("anthropic", "/v1/messages", CLAUDE | {"temperature": 1}, OLD, 200),
        ("anthropic", "/v1/messages", CLAUDE | {"temperature": 1.5}, OLD, 400),
        ("anthropic", "/v1/messages", CLAUDE | {"seed": 1}, NEW, 400),
        (
            "anthropic",
            "/v1/messages",
            CLAUDE | {"thinking": {"type": "enabled", "budget_tokens": 10}},
            NEW,
            400,
        ),
        ("anthropic", "/v1/messages", CLAUDE | {"thinking": {"type": "enabled"}}, NEW, 400),
        ("anthropic", "/v1/messages", CLAUDE | {"messages": [{"role": "user", "content": ""}]}, NEW, 400),
        (
            "anthropic",
            "/v1/messages",
            CLAUDE | {"messages": [{"role": "assistant", "content": "x"}]},
            NEW,
            400,
        ),
        ("anthropic", "/v1/messages", CLAUDE | {"tool_choice": {"type": "any"}}, NEW, 400),
        ("anthropic", "/v1/messages", CLAUDE | {"system": [kept("1h")] * 4}, NEW, 200),
        ("anthropic", "/v1/messages", CLAUDE | {"system": [kept("1h")] * 5}, NEW, 400),
        ("anthropic", "/v1/messages", CLAUDE | {"system": [kept("5m")] * 4, "cache_control": KEEP}, NEW, 400),
        ("anthropic", "/v1/messages", CLAUDE | {"system": [kept("1d")]}, NEW, 400),
        ("anthropic", "/v1/messages", CLAUDE | {"cache_control": {"type": "forever"}}, NEW, 400),
        ("anthropic", "/v1/messages", CLAUDE | {"cache_control": KEEP | {"ttl": ["5m"]}}, NEW, 400),
        ("gemini", GENERATE, GEMINI, {}, 200),
        ("gemini", GENERATE, GEMINI | {"generation_config": {}}, {}, 400),
        ("gemini", GENERATE, GEMINI | {"generationConfig": {"maxTokens": 3}}, {}, 400),
        ("gemini", GENERATE, {"contents": [{"parts": [{"text": "x", "txt": "y"}]}]}, {}, 400),
        ("gemini", GENERATE, {"contents": []}, {}, 400),
        ("gemini", GENERATE, GEMINI | {"generationConfig": {"responseJsonSchema": CITY}}, {}, 400),
        (
            "gemini",
            GENERATE,
            GEMINI | {"generationConfig": {"thinkingConfig": {"thinkingBudget": 1, "thinkingLevel": "LOW"}}},
            {},
            400,
        ),
        ("ollama", "/api/chat", chat(), {}, 200),
        ("ollama", "/api/chat", chat(format="xml"), {}, 400),
        ("ollama", "/api/chat", {"model": "m", "messages": [{"role": "user", "content": []}]}, {}, 400),
        ("cohere", "/v2/chat", chat(), {}, 200),
        ("cohere", "/v2/chat", chat(top_p=0.5), {}, 422),
        ("cohere", "/v2/chat", chat(p=1), {}, 400),
        ("cohere", "/v2/chat", chat(tool_choice="auto"), {}, 400),
        ("cohere", "/v2/embed", {"model": "m", "texts": ["x"]}, {}, 400),
        ("cohere", "/v2/embed", {"model": "m", "texts": ["x"] * 97, "input_type": "search_query"}, {}, 400),
        ("replicate", PREDICT, {"input": {"prompt": "x"}}, {}, 201),
        ("replicate", PREDICT, {"prompt": "x"}, {}, 422),
        ("replicate", PREDICT, {"input": {"prompt": "x"}}, {"prefer": "wait=100"}, 422),
        ("replicate", "/v1/predictions", {"input": {"prompt": "x"}}, {}, 422),
        ("azure", "/openai/deployments/d/chat/completions?api-version=2026-05-01", chat(), {}, 200),
        ("azure", "/openai/deployments/d/chat/completions", chat(), {}, 404),
        ("azure", "/openai/v1/chat/completions", chat(), {}, 200),
    ],
)
def test_what_is_taken_and_what_is_refused(
    sim: SimulatorThread, kind: str, path: str, body: Any, headers: Any, status: int
) -> None:
    answer = post(sim, kind, path, body, headers)
    assert answer.status_code == status, answer.text


@pytest.mark.parametrize("body", [b"{", b"[]", b"", b"\xff", b'"x"', b"[" * 100_000])
def test_a_body_that_is_no_object(sim: SimulatorThread, body: bytes) -> None:
    answer = httpx.post(f"{sim.url}/v1/chat/completions", content=body)
    assert answer.status_code == 400
    assert "error" in answer.json()


# ------------------------------------------------------------------------------------------------ errors

BODIES: dict[str, tuple[str, Any, Any]] = {
    "openai": ("/v1/chat/completions", chat(), {}),
    "azure": ("/openai/deployments/d/chat/completions?api-version=1", chat(), {}),
    "anthropic": ("/v1/messages", CLAUDE, NEW),
    "gemini": (GENERATE, GEMINI, {}),
    "ollama": ("/api/chat", chat(), {}),
    "cohere": ("/v2/chat", chat(), {}),
    "replicate": (PREDICT, {"input": {"prompt": "x"}}, {}),
    "mistral": ("/v1/chat/completions", chat(), {}),
    "vllm": ("/v1/chat/completions", chat(), {}),
    "lm_studio": ("/v1/chat/completions", chat(), {}),
}


@pytest.mark.parametrize(
    ("kind", "fault", "status", "path", "value"),
    [
        ("openai", {"status": 429, "retry_after": 2}, 429, "error.code", "rate_limit_exceeded"),
        ("openai", {"error": "quota"}, 429, "error.code", "insufficient_quota"),
        ("openai", {"error": "context"}, 400, "error.code", "context_length_exceeded"),
        ("openai", {"status": 503}, 503, "error.code", "server_is_overloaded"),
        ("azure", {"error": "filter"}, 400, "error.innererror.code", "ResponsibleAIPolicyViolation"),
        ("azure", {"status": 404}, 404, "error.code", "DeploymentNotFound"),
        ("azure", {"status": 401}, 401, "error.code", "401"),
        ("anthropic", {"error": "overloaded"}, 529, "error.type", "overloaded_error"),
        ("anthropic", {"status": 429}, 429, "error.type", "rate_limit_error"),
        ("anthropic", {"error": "quota"}, 402, "error.type", "billing_error"),
        ("gemini", {"status": 429, "retry_after": 34.5}, 429, "error.status", "RESOURCE_EXHAUSTED"),
        ("gemini", {"error": "auth"}, 400, "error.details.0.reason", "API_KEY_INVALID"),
        ("gemini", {"error": "filter"}, 200, "promptFeedback.blockReason", "PROHIBITED_CONTENT"),
        ("ollama", {"status": 404}, 404, "error", "model not found, try pulling it first"),
        ("cohere", {"status": 401}, 401, "message", "invalid api token"),
        ("replicate", {"status": 429, "retry_after": 3}, 429, "status", 429),
        ("mistral", {"status": 429}, 429, "object", "error"),
        ("vllm", {"status": 400}, 400, "error.code", 400),
        ("lm_studio", {"status": 404, "message": "No models loaded"}, 404, "error", "No models loaded"),
    ],
)
def test_errors_in_the_vendors_words(
    sim: SimulatorThread, kind: str, fault: dict[str, Any], status: int, path: str, value: Any
) -> None:
    sim.set_script({"rules": [fault]})
    answer = post(sim, kind, *BODIES[kind])
    assert answer.status_code == status
    found: Any = answer.json()
    for step in path.split("."):
        found = found[int(step)] if step.isdigit() else found[step]
    assert found == value


def test_gemini_says_the_wait_in_the_body(sim: SimulatorThread) -> None:
    sim.set_script({"rules": [{"status": 429, "retry_after": 34.5}]})
    answer = post(sim, "gemini", *BODIES["gemini"])
    assert answer.json()["error"]["details"][-1]["retryDelay"] == "34.5s"
    assert "retry-after" not in answer.headers


@pytest.fixture(scope="module")
def guarded() -> Iterator[SimulatorThread]:
    with SimulatorThread(Simulator(api_key="key-1", models=["m"])) as sim:
        yield sim


@pytest.mark.parametrize(
    ("kind", "header", "prefix", "status"),
    [
        ("openai", "authorization", "Bearer ", 401),
        ("azure", "api-key", "", 401),
        ("azure", "authorization", "Bearer ", 401),
        ("anthropic", "x-api-key", "", 401),
        ("anthropic", "authorization", "Bearer ", 401),
        ("gemini", "x-goog-api-key", "", 400),
        ("ollama", "authorization", "Bearer ", 401),
        ("cohere", "authorization", "Bearer ", 401),
        ("replicate", "authorization", "Bearer ", 401),
    ],
)
def test_keys(guarded: SimulatorThread, kind: str, header: str, prefix: str, status: int) -> None:
    path, body, more = BODIES[kind]
    for key, refused in (("key-1", False), ("key-2", True), ("", True)):
        answer = post(guarded, kind, path, body, {**more, **({header: prefix + key} if key else {})})
        assert (answer.status_code == status) is refused, answer.text


def test_only_configured_models(guarded: SimulatorThread) -> None:
    answer = post(
        guarded,
        "openai",
        "/v1/chat/completions",
        chat() | {"model": "other"},
        {"authorization": "Bearer key-1"},
    )
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "model_not_found"


# ---------------------------------------------------------------------------------------------- answers


def test_openai_streams_tell_tokens_only_when_asked(sim: SimulatorThread) -> None:
    plain = events(post(sim, "openai", "/v1/chat/completions", chat(stream=True)))
    asked = events(
        post(sim, "openai", "/v1/chat/completions", chat(stream=True, stream_options={"include_usage": True}))
    )
    assert not any(event.get("usage") for event in plain)
    assert asked[-1]["choices"] == []
    assert asked[-1]["usage"]["completion_tokens"] == 3
    mistral = events(post(sim, "mistral", "/v1/chat/completions", chat(stream=True)))
    assert mistral[-1]["usage"]["completion_tokens"] == 3


def test_openai_tool_calls_come_in_fragments(sim: SimulatorThread) -> None:
    tools = [
        {"type": "function", "function": {"name": name, "parameters": CITY}} for name in ("weather", "time")
    ]
    stream = events(
        post(sim, "openai", "/v1/chat/completions", chat("time and weather", tools=tools, stream=True))
    )
    arguments: dict[int, str] = {}
    for event in stream:
        for call in event["choices"][0]["delta"].get("tool_calls", []):
            arguments[call["index"]] = arguments.get(call["index"], "") + call["function"]["arguments"]
    assert {index: json.loads(text) for index, text in arguments.items()} == {
        0: {"city": "Paris"},
        1: {"city": "Paris"},
    }
    assert stream[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_anthropic_thinks_and_takes_its_seal_back(sim: SimulatorThread) -> None:
    body = CLAUDE | {"thinking": {"type": "enabled", "budget_tokens": 1024}}
    first = post(sim, "anthropic", "/v1/messages", body, NEW).json()
    kinds = [block["type"] for block in first["content"]]
    assert kinds == ["thinking", "text"]
    more = [
        *body["messages"],
        {"role": "assistant", "content": first["content"]},
        {"role": "user", "content": "and?"},
    ]
    assert post(sim, "anthropic", "/v1/messages", body | {"messages": more}, NEW).status_code == 200
    first["content"][0]["signature"] = "AAAA"
    assert post(sim, "anthropic", "/v1/messages", body | {"messages": more}, NEW).status_code == 400


def test_anthropic_streams_in_order(sim: SimulatorThread) -> None:
    body = CLAUDE | {"stream": True, "thinking": {"type": "adaptive"}}
    kinds = [event["type"] for event in events(post(sim, "anthropic", "/v1/messages", body, NEW))]
    assert kinds[:3] == ["message_start", "ping", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert kinds.count("content_block_start") == kinds.count("content_block_stop") == 2


def test_anthropic_pages_and_counts(sim: SimulatorThread) -> None:
    first = httpx.get(f"{sim.url}/anthropic/v1/models?limit=2", headers=NEW).json()
    assert (len(first["data"]), first["has_more"]) == (2, True)
    second = httpx.get(f"{sim.url}/v1/models?limit=2&after_id={first['last_id']}", headers=NEW).json()
    assert (len(second["data"]), second["has_more"]) == (1, False)
    counted = post(sim, "anthropic", "/v1/messages/count_tokens", chat(), NEW).json()
    assert (
        counted["input_tokens"]
        == post(sim, "anthropic", "/v1/messages", CLAUDE, NEW).json()["usage"]["input_tokens"]
    )


def test_responses_events_are_numbered_and_whole(sim: SimulatorThread) -> None:
    body = RESPONSES | {
        "stream": True,
        "reasoning": {"effort": "low", "summary": "auto"},
        "include": ["reasoning.encrypted_content"],
        "tools": [{"type": "function", "name": "weather", "parameters": CITY, "strict": None}],
        "input": "weather",
    }
    stream = events(post(sim, "openai", "/v1/responses", body))
    assert [event["sequence_number"] for event in stream] == list(range(len(stream)))
    done = stream[-1]
    assert done["type"] == "response.completed"
    kinds = [item["type"] for item in done["response"]["output"]]
    assert kinds == ["reasoning", "function_call"]
    plain = post(sim, "openai", "/v1/responses", body | {"stream": False}).json()
    assert plain["output"] == done["response"]["output"]
    answered = {"type": "function_call_output", "call_id": plain["output"][1]["call_id"], "output": "21"}
    again = body | {
        "input": [{"role": "user", "content": "weather"}, *plain["output"], answered],
        "stream": False,
    }
    text = post(sim, "openai", "/v1/responses", again).json()["output"][-1]["content"][0]["text"]
    assert text == "The tool weather says: 21"


def test_a_long_answer_is_incomplete(sim: SimulatorThread) -> None:
    body = RESPONSES | {"input": "count: 30", "max_output_tokens": 16}
    answer = post(sim, "openai", "/v1/responses", body).json()
    assert answer["incomplete_details"] == {"reason": "max_output_tokens"}
    stream = events(post(sim, "openai", "/v1/responses", body | {"stream": True}))
    assert stream[-1]["type"] == "response.incomplete"


def test_gemini_signs_calls_and_takes_them_back(sim: SimulatorThread) -> None:
    body = {
        "contents": [{"role": "user", "parts": [{"text": "weather"}]}],
        "tools": [{"functionDeclarations": [{"name": "weather", "parametersJsonSchema": CITY}]}],
        "generationConfig": {"thinkingConfig": {"includeThoughts": True}},
    }
    answer = post(sim, "gemini", GENERATE, body).json()
    content = answer["candidates"][0]["content"]
    call = content["parts"][-1]
    assert call["functionCall"]["args"] == {"city": "Paris"}
    counts = answer["usageMetadata"]
    assert counts["totalTokenCount"] == sum(
        counts[key] for key in ("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount")
    )
    result = {
        "functionResponse": {
            "id": call["functionCall"]["id"],
            "name": "weather",
            "response": {"result": "21"},
        }
    }
    turns = [*body["contents"], content, {"role": "user", "parts": [result]}]  # type: ignore[misc]  # a list
    again = post(sim, "gemini", GENERATE, body | {"contents": turns}).json()
    assert again["candidates"][0]["content"]["parts"][-1]["text"] == "The tool weather says: 21"
    call["thoughtSignature"] = "AAAA"
    assert post(sim, "gemini", GENERATE, body | {"contents": turns}).status_code == 400


def test_gemini_streams_without_a_terminator(sim: SimulatorThread) -> None:
    answer = post(sim, "gemini", "/v1beta/models/g:streamGenerateContent?alt=sse", GEMINI)
    assert "[DONE]" not in answer.text
    stream = events(answer)
    assert stream[-1]["candidates"][0]["finishReason"] == "STOP"
    text = "".join(
        part["text"] for event in stream for part in event["candidates"][0]["content"].get("parts", [])
    )
    assert text == "one two"


def test_ollama_streams_lines_by_default(sim: SimulatorThread) -> None:
    answer = post(sim, "ollama", "/api/chat", chat())
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert "".join(line["message"]["content"] for line in lines) == "one two three"
    assert [line["done"] for line in lines] == [False, False, False, True]
    assert lines[-1]["eval_count"] == 3


def test_replicate_runs_take_their_time() -> None:
    with SimulatorThread(Simulator(first_token_delay=0.15)) as sim:
        run = post(sim, "replicate", PREDICT, {"input": {"prompt": "say: one two"}}).json()
        assert (run["status"], run["output"]) == ("starting", None)
        assert httpx.get(run["urls"]["get"]).json()["status"] == "processing"
        time.sleep(0.15)
        assert httpx.get(run["urls"]["get"]).json()["output"] == ["one", " two"]
        waited = post(sim, "replicate", PREDICT, {"input": {"prompt": "say: x"}}, {"prefer": "wait=5"}).json()
        assert waited["status"] == "succeeded"
        run = post(sim, "replicate", PREDICT, {"input": {"prompt": "say: x"}}).json()
        assert httpx.post(run["urls"]["cancel"]).json()["status"] == "canceled"
        assert httpx.get(run["urls"]["get"]).json()["status"] == "canceled"
        assert httpx.get(f"{sim.url}/v1/predictions/none").status_code == 404


def test_replicate_streams_pieces_of_text(sim: SimulatorThread) -> None:
    run = post(sim, "replicate", PREDICT, {"input": {"prompt": "say: one\n\ntwo"}}).json()
    text = httpx.get(run["urls"]["stream"]).text
    assert text.startswith("event: output\nid: 0\ndata: one\n\n")
    assert "event: output\nid: 1\ndata: \ndata: \ndata: \n\n" in text
    assert text.endswith("event: done\ndata: {}\n\n")


def test_replicate_asks_to_be_polled(sim: SimulatorThread) -> None:
    run = post(sim, "replicate", "/v1/models/a/polls-2/predictions", {"input": {"prompt": "say: x"}}).json()
    seen = [httpx.get(run["urls"]["get"]).json()["status"] for _ in range(3)]
    assert seen == ["processing", "processing", "succeeded"]


def test_replicate_breaks_the_stream_not_the_start(sim: SimulatorThread) -> None:
    run = post(sim, "replicate", "/v1/models/a/cut-3/predictions", {"input": {"prompt": "x"}})
    assert run.status_code == 201
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(run.json()["urls"]["stream"])


# ------------------------------------------------------------------------------------------- embeddings


def test_embeddings_as_floats_and_as_base64(sim: SimulatorThread) -> None:
    body = {"model": "e", "input": ["one", "two"], "dimensions": 8}
    floats = post(sim, "openai", "/v1/embeddings", body).json()["data"]
    packed = post(sim, "openai", "/v1/embeddings", body | {"encoding_format": "base64"}).json()["data"]
    assert [list(struct.unpack("<8f", b64decode(row["embedding"]))) for row in packed] == [
        row["embedding"] for row in floats
    ]


@pytest.mark.parametrize(
    ("kind", "path", "body", "count"),
    [
        ("ollama", "/api/embed", {"model": "e", "input": ["a", "b"]}, 2),
        ("cohere", "/v2/embed", {"model": "e", "texts": ["a"], "input_type": "search_query"}, 1),
        ("gemini", "/v1beta/models/e:embedContent", {"content": {"parts": [{"text": "a"}]}}, 1),
        (
            "gemini",
            "/v1beta/models/e:batchEmbedContents",
            {"requests": [{"model": "models/e", "content": {"parts": [{"text": "a"}]}}] * 3},
            3,
        ),
        ("huggingface", "/hf-inference/models/a/b/pipeline/feature-extraction", {"inputs": ["a", "b"]}, 2),
    ],
)
def test_embeddings_elsewhere(sim: SimulatorThread, kind: str, path: str, body: Any, count: int) -> None:
    answer = post(sim, kind, path, body)
    assert answer.status_code == 200
    assert len(sim.last.understood.inputs) == count  # type: ignore[union-attr]  # it was understood


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("/openai/v1/models", "data"),
        ("/azure/openai/models?api-version=1", "data"),
        ("/gemini/v1beta/models?pageSize=2", "models"),
        ("/ollama/api/tags", "models"),
        ("/cohere/v1/models?page_size=2", "models"),
        ("/replicate/v1/models", "results"),
        ("/replicate/v1/collections/language-models", "models"),
    ],
)
def test_models(sim: SimulatorThread, path: str, key: str) -> None:
    assert len(httpx.get(sim.url + path).json()[key]) in {2, 3}


def test_models_as_a_plain_list(sim: SimulatorThread) -> None:
    assert len(httpx.get(sim.base_url("together") + "/models").json()) == 3
