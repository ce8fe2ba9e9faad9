"""Requests as people write them with the official anthropic SDK: prompt caching, tool runners, documents, parameters."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import anthropic
import pytest
from anthropic import beta_tool
from pydantic import BaseModel

from tests.gateway.sdk.served import KINDS, Served
from tests.gateway.sdk.test_anthropic import WEATHER, text_of, user
from tests.gateway.sdk.test_openai_chat import PIXEL

ALL = frozenset(KINDS)
KEEP: Any = {"type": "ephemeral"}
HOUR: Any = {"type": "ephemeral", "ttl": "1h"}
TIDES: Any = {**WEATHER, "name": "tides", "cache_control": HOUR}
HELLO = [user("say: hello")]


def warned(raw: Any) -> list[str]:
    return [one.partition(":")[0] for one in raw.headers.get("x-llmcore-warnings", "").split("; ") if one]


def sent(gateway: Served) -> Any:
    """The body that the simulated vendor got."""
    return json.loads(gateway.last.request.body)


# ------------------------------------------------------------------------------------------------ prompt caching


def test_marked_prompts_are_kept_where_the_vendor_can(
    claude: anthropic.Anthropic, gateway: Served, dialect: str, model: str
) -> None:
    said: Any = [{"type": "text", "text": "say: hello", "cache_control": KEEP}]
    raw = claude.messages.with_raw_response.create(
        model=model,
        max_tokens=50,
        system=[{"type": "text", "text": "Be brief.", "cache_control": HOUR}],
        tools=[WEATHER, TIDES],
        messages=[user(said)],
    )
    assert text_of(raw.parse()) == "hello"
    if dialect != "anthropic":
        assert warned(raw).count("cache") == 1
        assert "cache_control" not in gateway.last.request.body.decode()
        return
    assert warned(raw) == []
    body = sent(gateway)
    assert body["system"] == [{"type": "text", "text": "Be brief.", "cache_control": HOUR}]
    assert [tool.get("cache_control") for tool in body["tools"]] == [None, HOUR]
    assert body["messages"][0]["content"] == said


def test_a_mark_on_the_whole_request(claude: anthropic.Anthropic, gateway: Served) -> None:
    answer = claude.messages.create(
        model="anthropic/sim-model", max_tokens=50, messages=HELLO, cache_control=HOUR
    )
    assert text_of(answer) == "hello"
    assert sent(gateway)["messages"][0]["content"][0]["cache_control"] == HOUR


def test_marked_results_of_tools(claude: anthropic.Anthropic, gateway: Served, model: str) -> None:
    messages = [user("weather twice")]
    asked = claude.messages.create(model=model, max_tokens=200, messages=messages, tools=[WEATHER])
    messages.append({"role": "assistant", "content": asked.content})
    calls = [block for block in asked.content if block.type == "tool_use"]
    results = [
        {"type": "tool_result", "tool_use_id": call.id, "content": [{"type": "text", "text": "rain"}]}
        for call in calls
    ]
    results[-1]["cache_control"] = KEEP
    told = claude.messages.create(
        model=model, max_tokens=200, messages=[*messages, user(results)], tools=[WEATHER]
    )
    assert text_of(told) == "The tool weather says: rain The tool weather says: rain"
    if model.startswith("anthropic/"):
        blocks = sent(gateway)["messages"][2]["content"]
        assert [block.get("cache_control") for block in blocks] == [None, KEEP]


# ------------------------------------------------------------------------------------------------ tools, threads


def test_the_tool_runner_goes_on_without_a_thread(claude: anthropic.Anthropic, model: str) -> None:
    @beta_tool
    def weather(city: str) -> str:
        """The weather of a city.

        Args:
            city: its name
        """
        return f"rain in {city}"

    runner = claude.beta.messages.tool_runner(
        model=model,
        max_tokens=300,
        messages=[user('call weather with {"city": "Oslo"}')],
        tools=[weather],
    )
    assert "".join(block.text for block in runner.until_done().content if block.type == "text") == (
        "The tool weather says: rain in Oslo"
    )


@pytest.mark.parametrize(
    ("choice", "called"),
    [
        ({"type": "any"}, True),
        ({"type": "tool", "name": "weather"}, True),
        ({"type": "none"}, False),
        ({"type": "auto", "disable_parallel_tool_use": True}, False),
    ],
)
def test_tool_choice(
    claude: anthropic.Anthropic, dialect: str, model: str, choice: Any, called: bool
) -> None:
    def ask() -> Any:
        return claude.messages.create(
            model=model, max_tokens=100, messages=HELLO, tools=[WEATHER], tool_choice=choice
        )

    if called and dialect == "ollama":  # it cannot be made to
        with pytest.raises(anthropic.BadRequestError):
            ask()
        return
    answer = ask()
    assert (answer.stop_reason == "tool_use") is called


def test_a_stream_of_arguments(claude: anthropic.Anthropic, model: str) -> None:
    with claude.messages.stream(
        model=model, max_tokens=200, messages=[user('call weather with {"city": "Oslo"}')], tools=[WEATHER]
    ) as stream:
        snapshots = [event.snapshot for event in stream if event.type == "input_json"]
        final = stream.get_final_message()
    assert snapshots[-1] == {"city": "Oslo"}
    assert [block.input for block in final.content if block.type == "tool_use"] == [{"city": "Oslo"}]


def test_thinking_with_tools_there_and_back(claude: anthropic.Anthropic, model: str) -> None:
    messages: list[Any] = [user("weather twice")]
    thinking: Any = {"type": "enabled", "budget_tokens": 1024}
    asked = claude.messages.create(
        model=model, max_tokens=3000, messages=messages, tools=[WEATHER], thinking=thinking
    )
    messages.append({"role": "assistant", "content": asked.content})
    calls = [block.id for block in asked.content if block.type == "tool_use"]
    messages.append(user([{"type": "tool_result", "tool_use_id": id_, "content": "x"} for id_ in calls]))
    told = claude.messages.create(
        model=model, max_tokens=3000, messages=messages, tools=[WEATHER], thinking=thinking
    )
    assert text_of(told) == "The tool weather says: x The tool weather says: x"


# -------------------------------------------------------------------------------------------------- parameters

HONOURED: list[tuple[str, dict[str, Any], frozenset[str]]] = [
    ("system", {"system": [{"type": "text", "text": "Be"}, {"type": "text", "text": "brief."}]}, ALL),
    ("system", {"system": ""}, ALL),
    ("tools", {"tools": []}, ALL),
    ("metadata", {"metadata": {"user_id": "u"}}, ALL),
    ("stop", {"stop_sequences": ["bye"]}, ALL - {"responses"}),
    ("output_config", {"output_config": {"effort": "low"}}, ALL),
    ("thinking", {"thinking": {"type": "disabled"}}, ALL),
    ("reasoning.adaptive", {"thinking": {"type": "adaptive"}}, frozenset({"anthropic", "gemini"})),
    ("thinking", {"thinking": {"type": "between_tools"}}, frozenset()),
    ("service_tier", {"service_tier": "auto"}, frozenset()),
    ("container", {"container": "c"}, frozenset()),
    ("top_k", {"extra_body": {"top_k": 5}}, frozenset()),
    ("brand_new", {"extra_body": {"brand_new": 1}}, frozenset()),
    ("anthropic-beta", {"extra_headers": {"anthropic-beta": "interleaved-thinking-2025-05-14"}}, ALL),
    ("anthropic-version", {"extra_headers": {"anthropic-version": "2023-06-01"}}, ALL),
]


@pytest.mark.parametrize(
    ("name", "fields", "honoured"), HONOURED, ids=[json.dumps(row[1])[:40] for row in HONOURED]
)
def test_every_parameter_of_a_message(
    claude: anthropic.Anthropic, dialect: str, model: str, name: str, fields: dict[str, Any], honoured: frozenset[str]
) -> None:  # fmt: skip
    raw = claude.messages.with_raw_response.create(model=model, max_tokens=50, messages=HELLO, **fields)
    assert text_of(raw.parse()) == "hello"
    assert any(one.startswith(name) for one in warned(raw)) is (dialect not in honoured)


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": []},
        {"messages": [user("")]},
        {"messages": [user([{"type": "tool_result", "tool_use_id": "nope", "content": "x"}])]},
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        {"extra_body": {"mcp_servers": [{"type": "url", "url": "https://example.org", "name": "n"}]}},
        {"extra_body": {"thread": {"type": "create"}}},
        {"system": [{"type": "text", "text": "a", "cache_control": {"type": "forever"}}]},
    ],
    ids=lambda fields: json.dumps(fields)[:40],
)
def test_what_is_not_taken_is_refused(
    claude: anthropic.Anthropic, gateway: Served, fields: dict[str, Any]
) -> None:
    gateway.sim.reset()
    with pytest.raises(anthropic.BadRequestError) as caught:
        claude.messages.create(**{"model": "openai/sim-model", "max_tokens": 50, "messages": HELLO, **fields})
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["error"]["type"] == "invalid_request_error"
    assert caught.value.request_id
    assert not gateway.sim.requests


@pytest.mark.parametrize(
    "source",
    [
        {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjQK"},
        {"type": "text", "media_type": "text/plain", "data": "once upon a time"},
    ],
    ids=["pdf", "text"],
)
def test_documents(claude: anthropic.Anthropic, dialect: str, model: str, source: Any) -> None:
    content = [{"type": "document", "source": source, "title": "A"}, {"type": "text", "text": "describe:"}]

    def ask() -> Any:
        return claude.messages.create(model=model, max_tokens=400, messages=[user(content)])

    if dialect in {"ollama", "cohere"}:  # they take text and pictures
        with pytest.raises(anthropic.BadRequestError, match="no file"):
            ask()
        return
    assert json.loads(text_of(ask()))["dialect"] == dialect


def test_a_picture_in_a_result(claude: anthropic.Anthropic, dialect: str, model: str) -> None:
    picture = {"type": "base64", "media_type": "image/png", "data": PIXEL.partition(",")[2]}
    messages: list[Any] = [
        user("?"),
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "weather", "input": {}}]},
        user(
            [
                {
                    "type": "tool_result",
                    "tool_use_id": "t1",
                    "content": [{"type": "text", "text": "rain"}, {"type": "image", "source": picture}],
                }
            ]
        ),
    ]

    def ask() -> Any:
        return claude.messages.create(model=model, max_tokens=100, messages=messages, tools=[WEATHER])

    if dialect in {"openai", "cohere"}:
        with pytest.raises(anthropic.BadRequestError, match="nothing but text"):
            ask()
        return
    assert text_of(ask()) == "The tool weather says: rain"


# -------------------------------------------------------------------------------------------------------- the rest


class Person(BaseModel):
    name: str
    age: int


def test_the_beta_calls(claude: anthropic.Anthropic, model: str) -> None:
    answer = claude.beta.messages.create(
        model=model, max_tokens=50, messages=HELLO, betas=["context-1m-2025-08-07"]
    )
    assert [block.text for block in answer.content if block.type == "text"] == ["hello"]
    parsed = claude.beta.messages.parse(
        model=model, max_tokens=300, messages=[user("Who?")], output_format=Person
    )
    assert isinstance(parsed.parsed_output, Person)
    assert claude.beta.messages.count_tokens(model=model, messages=HELLO).input_tokens > 0


def test_parse_in_a_stream(claude: anthropic.Anthropic, model: str) -> None:
    with claude.messages.stream(
        model=model, max_tokens=300, messages=[user("Who is it?")], output_format=Person
    ) as stream:
        assert isinstance(stream.get_final_message().parsed_output, Person)


def test_the_request_id_is_where_the_sdk_looks_for_it(claude: anthropic.Anthropic, model: str) -> None:
    answer = claude.messages.create(model=model, max_tokens=50, messages=HELLO)
    assert answer._request_id
    with claude.messages.stream(model=model, max_tokens=50, messages=HELLO) as stream:
        stream.until_done()
        assert stream.request_id
    raw = claude.messages.with_raw_response.count_tokens(model=model, messages=HELLO)
    assert raw.headers["request-id"] == raw.headers["x-request-id"]


def test_models_by_the_other_sdk(claude: anthropic.Anthropic) -> None:
    found = {model.id: model for model in claude.models.list()}
    smart = claude.models.retrieve("smart")
    assert found["smart"] == smart
    assert (smart.type, smart.display_name, smart.lifecycle) == ("model", "smart", "active")
    assert smart.created_at is not None
    with pytest.raises(anthropic.NotFoundError):
        claude.models.retrieve("no-such-model")
    with pytest.raises(anthropic.BadRequestError):
        claude.models.list(limit=1, after_id="no-such-model")


def test_pages_of_models(claude: anthropic.Anthropic) -> None:
    whole = [model.id for model in claude.models.list()]
    first = claude.models.list(limit=2)
    assert ([model.id for model in first.data], first.has_more) == (whole[:2], True)
    assert [model.id for model in claude.models.list(limit=2)] == whole
    last = claude.models.list(limit=1, before_id=whole[-1])
    assert [model.id for model in last.data] == whole[-2:-1]
    assert list(claude.models.list(lifecycle=["retired"])) == []
    assert [model.id for model in claude.models.list(lifecycle=["active"])] == whole


def test_errors_beside_messages_have_the_wires_shape_too(
    gateway: Served, claude: anthropic.Anthropic
) -> None:
    stranger = claude.with_options(api_key="sk-nobody")
    asks: list[tuple[type[anthropic.APIStatusError], str, Callable[[], Any]]] = [
        (anthropic.NotFoundError, "not_found_error", lambda: claude.models.retrieve("no-such-model")),
        (anthropic.AuthenticationError, "authentication_error", lambda: stranger.models.list()),
        (anthropic.BadRequestError, "invalid_request_error", lambda: claude.models.list(limit=0)),
        (anthropic.NotFoundError, "not_found_error", lambda: claude.files.list()),
        (anthropic.NotFoundError, "not_found_error", lambda: claude.messages.batches.list()),
    ]
    for kind, word, ask in asks:
        with pytest.raises(kind) as caught:
            ask()
        assert caught.value.type == word
        assert caught.value.request_id
        assert caught.value.api_message
    with pytest.raises(anthropic.NotFoundError, match="one by one"):
        claude.messages.batches.create(requests=[])
    raw = claude.models.with_raw_response.list()
    assert raw.headers["request-id"] == raw.headers["x-request-id"]


def test_the_stop_sequence_that_ended_it(claude: anthropic.Anthropic, dialect: str, model: str) -> None:
    """Anthropic says which it was, Cohere that it was one; the others say of neither."""
    if dialect == "responses":  # that API has none
        return
    fields: Any = {"model": model, "max_tokens": 50, "messages": [user("say: one two three")]}
    for stops in ([" two"], ["never", " two"]):
        answer = claude.messages.create(**fields, stop_sequences=stops)
        with claude.messages.stream(**fields, stop_sequences=stops) as stream:
            streamed = stream.get_final_message()
        known = dialect == "anthropic" or (dialect == "cohere" and len(stops) == 1)
        reason = "stop_sequence" if dialect in {"anthropic", "cohere"} else "end_turn"
        for one in (answer, streamed):
            assert text_of(one) == "one"
            assert (one.stop_reason, one.stop_sequence) == (reason, " two" if known else None)


def test_adaptive_thinking_reaches_anthropic(claude: anthropic.Anthropic, gateway: Served) -> None:
    claude.messages.create(
        model="anthropic/sim-model",
        max_tokens=500,
        messages=HELLO,
        thinking={"type": "adaptive"},
        output_config={"effort": "high"},
    )
    body = sent(gateway)
    assert (body["thinking"], body["output_config"]) == ({"type": "adaptive"}, {"effort": "high"})
