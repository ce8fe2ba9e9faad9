"""A chat over the OpenAI wire: whole and streamed, refused, failed, and in the books."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal

import pytest
from attrs import evolve

from llmcore.config import FallbackConfig
from llmcore.errors import RateLimitError, ServerError
from llmcore.gateway.access.principal import Limits
from llmcore.gateway.config import GatewayConfig, LimitsConfig
from llmcore.testing import Answer, Fail, Hang, ScriptedProvider
from llmcore.types import Usage
from tests.gateway.standin import KEY, client, question, stage

pytestmark = pytest.mark.anyio


def events(text: str) -> list[dict[str, object]]:
    pieces = [piece.removeprefix("data: ") for piece in text.split("\n\n") if piece.startswith("data: {")]
    return [json.loads(piece) for piece in pieces]


async def test_an_answer_and_who_gave_it() -> None:
    on = stage(Answer("hello there", usage=Usage(7, 2)))
    async with client(on) as http:
        reply = await http.post("/v1/chat/completions", json=question())
    assert reply.status_code == 200
    body = reply.json()
    assert body["choices"][0]["message"]["content"] == "hello there"
    assert body["usage"]["total_tokens"] == 9
    assert reply.headers["x-llmcore-provider"] == "a"
    assert reply.headers["x-llmcore-model"] == "m"
    assert reply.headers["x-llmcore-attempts"] == "1"
    assert float(reply.headers["x-llmcore-overhead-ms"]) >= 0
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert "server" not in reply.headers


async def test_a_stream_names_the_model_that_answers_as_a_whole_answer_does() -> None:
    on = stage(Answer("one two"), Answer("one two"))
    async with client(on) as http:
        whole = await http.post("/v1/chat/completions", json=question(model="a/m"))
        streamed = await http.post("/v1/chat/completions", json=question(model="a/m", stream=True))
    assert whole.json()["model"] == "m"
    assert streamed.headers["x-llmcore-model"] == "m"
    assert {chunk["model"] for chunk in events(streamed.text)} == {"m"}


async def test_a_stream_is_the_same_words() -> None:
    on = stage(Answer("one two three", usage=Usage(3, 3)))
    async with client(on) as http:
        reply = await http.post(
            "/v1/chat/completions", json=question(stream=True, stream_options={"include_usage": True})
        )
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert reply.headers["x-accel-buffering"] == "no"
    assert reply.headers["x-llmcore-provider"] == "a"
    assert reply.headers["x-llmcore-attempts"] == "1"
    chunks = events(reply.text)
    said = "".join(
        choice["delta"].get("content") or ""
        for chunk in chunks
        for choice in chunk["choices"]  # type: ignore[attr-defined]
    )
    assert said == "one two three"
    assert chunks[-1]["usage"] == {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6}
    assert reply.text.endswith("data: [DONE]\n\n")


async def test_the_alias_is_the_same_route() -> None:
    on = stage()
    async with client(on) as http:
        reply = await http.post("/proxy/llm/v1/chat/completions", json=question())
    assert reply.status_code == 200


async def test_a_request_id_is_kept_if_it_is_one() -> None:
    on = stage()
    async with client(on) as http:
        good = await http.post("/v1/chat/completions", json=question(), headers={"x-request-id": "my-id_1"})
        bad = await http.post("/v1/chat/completions", json=question(), headers={"x-request-id": "a b;c"})
    assert good.headers["x-request-id"] == "my-id_1"
    assert bad.headers["x-request-id"].startswith("req_")


async def test_a_failure_before_the_first_event_is_an_http_error() -> None:
    on = stage(Fail(RateLimitError("slow down", status=429, retry_after=120.0)))
    async with client(on) as http:
        whole = await http.post("/v1/chat/completions", json=question())
        streamed = await http.post("/v1/chat/completions", json=question(stream=True))
    for reply in (whole, streamed):
        assert reply.status_code == 429
        assert reply.headers["retry-after"] == "120"
        assert reply.json()["error"]["code"] == "rate_limit_exceeded"


async def test_a_failure_after_it_is_an_event_and_no_clean_end() -> None:
    on = stage(Fail(ServerError("broke"), words=2))
    async with client(on) as http:
        reply = await http.post("/v1/chat/completions", json=question(stream=True))
    assert reply.status_code == 200
    assert "[DONE]" not in reply.text
    assert "error" in events(reply.text)[-1]
    assert on.books.records[-1].outcome == "StreamInterruptedError"


async def test_every_call_is_in_the_books_also_the_failed_one() -> None:
    on = stage(Answer("fine"), Fail(ServerError("down")))
    async with client(on) as http:
        await http.post("/v1/chat/completions", json=question())
        await http.post("/v1/chat/completions", json=question())
    good, bad = on.books.records
    assert (good.outcome, len(good.attempts), good.principal.user_id) == ("success", 1, "alice")
    assert bad.outcome in {"ServerError", "AllProvidersFailed"}
    assert [attempt.outcome for attempt in bad.attempts] == ["ServerError", "ServerError"]


async def test_a_model_with_its_provider_goes_there() -> None:
    a, b = ScriptedProvider("a"), ScriptedProvider("b")
    on = stage(a, b)
    async with client(on) as http:
        reply = await http.post("/v1/chat/completions", json={**question(), "model": "b/x"})
    assert reply.headers["x-llmcore-provider"] == "b"
    assert not a.requests


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"", None),
        (b"{", None),
        (b"[]", None),
        (b'{"messages": 7}', "messages"),
        (b'{"messages": [{"role": "user", "content": "x"}], "temperature": 9}', "temperature"),
        (b'{"messages": [{"role": "robot", "content": "x"}]}', "messages[0].role"),
        (b"\xff\xfe", None),
    ],
)
async def test_bad_bodies_are_400_in_the_shape_of_the_wire(body: bytes, param: str | None) -> None:
    on = stage()
    async with client(on) as http:
        reply = await http.post("/v1/chat/completions", content=body)
    assert reply.status_code == 400
    error = reply.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert error["message"]
    if param is not None:
        assert error["param"] == param
    assert not on.provider().requests


async def test_unknown_addresses_and_methods() -> None:
    on = stage()
    async with client(on) as http:
        assert (await http.get("/v1/nothing")).status_code == 404
        wrong = await http.get("/v1/chat/completions")
        anthropic = await http.get("/v1/messages")
    assert wrong.status_code == 405
    assert wrong.headers["allow"] == "POST"
    assert wrong.json()["error"]["code"] == "method_not_allowed"
    assert anthropic.json()["type"] == "error"


@pytest.mark.parametrize(("said", "seconds"), [("1500", 1.5), ("999999999999", 60.0)])
async def test_the_clients_deadline_is_handed_on_within_bounds(said: str, seconds: float) -> None:
    on = stage(config=GatewayConfig(limits=LimitsConfig(max_request=60.0)))
    async with client(on) as http:
        await http.post("/v1/chat/completions", json=question(), headers={"x-request-timeout-ms": said})
    assert on.provider().requests[0].deadline == pytest.approx(seconds, abs=0.1)


@pytest.mark.parametrize("said", ["0", "-1", "soon", "1.5", "9" * 13])
async def test_a_deadline_that_is_none_is_refused(said: str) -> None:
    on = stage()
    async with client(on) as http:
        reply = await http.post(
            "/v1/chat/completions", json=question(), headers={"x-request-timeout-ms": said}
        )
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == "x-request-timeout-ms"


async def test_requests_per_minute() -> None:
    on = stage(limits=Limits(rpm=2))
    async with client(on) as http:
        codes = [(await http.post("/v1/chat/completions", json=question())).status_code for _ in range(2)]
        third = await http.post("/v1/chat/completions", json=question())
    assert codes == [200, 200]
    assert third.status_code == 429
    assert 0 < int(third.headers["retry-after"]) <= 61
    assert len(on.provider().requests) == 2


async def test_tokens_are_reserved_before_and_settled_after() -> None:
    on = stage(Answer("x", usage=Usage(10, 5)), limits=Limits(tpm=1000))
    async with client(on) as http:
        codes = [
            (await http.post("/v1/chat/completions", json=question(max_tokens=400))).status_code
            for _ in range(20)
        ]
    assert codes == [200] * 20  # 15 tokens each: the reservation of 400 is given back


async def test_a_key_may_use_its_models_only() -> None:
    on = stage()
    on.keys.keys[KEY] = evolve(on.keys.keys[KEY], models=frozenset({"m"}))
    async with client(on) as http:
        good = await http.post("/v1/chat/completions", json=question())
        bad = await http.post("/v1/chat/completions", json={**question(), "model": "other"})
        none = await http.post("/v1/chat/completions", json={"messages": question()["messages"]})
    assert good.status_code == 200
    assert bad.status_code == none.status_code == 403
    assert bad.json()["error"]["code"] == "model_not_allowed"


async def test_a_cap_on_the_answer() -> None:
    on = stage(config=GatewayConfig(limits=LimitsConfig(max_tokens=100)))
    async with client(on) as http:
        above = await http.post("/v1/chat/completions", json=question(max_tokens=101))
        at = await http.post("/v1/chat/completions", json=question(max_tokens=100))
        unsaid = await http.post("/v1/chat/completions", json=question())
    assert (above.status_code, at.status_code, unsaid.status_code) == (400, 200, 200)
    assert on.provider().requests[-1].max_tokens == 100  # type: ignore[union-attr]


async def test_a_call_with_a_budget_waits_until_prices_are_known() -> None:
    on = stage(Answer("hello"), Answer("hello"), limits=Limits(budget_micros=1_000_000))
    on.desk.priced = priced = asyncio.Event()
    async with client(on) as http:
        asked = asyncio.create_task(http.post("/v1/chat/completions", json=question()))
        for _ in range(50):
            await asyncio.sleep(0)
        assert not asked.done()
        assert not on.provider().requests
        on.backend.price_usd = Decimal(2)
        priced.set()
        reply = await asked
    assert reply.status_code == 429
    assert reply.json()["error"]["code"] == "insufficient_quota"
    assert not on.provider().requests


async def test_a_call_with_a_budget_waits_for_nothing_where_configured_prices_suffice() -> None:
    on = stage(Answer("hello"), limits=Limits(budget_micros=1_000_000))
    on.desk.priced = asyncio.Event()
    on.backend.price_usd = Decimal("0.1")
    async with client(on) as http:
        reply = await http.post("/v1/chat/completions", json=question())
    assert reply.status_code == 200


async def test_an_error_names_who_failed_last_and_what_was_ours() -> None:
    on = stage(Fail(RateLimitError("slow down", status=429, retry_after=120.0)))
    async with client(on) as http:
        failed = await http.post("/v1/chat/completions", json=question())
        refused = await http.post("/v1/chat/completions", json={})
    assert failed.status_code == 429
    told = [failed.headers[f"x-llmcore-{name}"] for name in ("provider", "model", "attempts")]
    assert told == ["a", "m", "1"]
    assert refused.status_code == 400
    assert "x-llmcore-provider" not in refused.headers
    for reply in (failed, refused):
        assert float(reply.headers["x-llmcore-overhead-ms"]) >= 0


async def test_a_stream_that_takes_too_long_is_in_the_books_with_its_attempts() -> None:
    config = GatewayConfig(keep_alive=0.02, limits=LimitsConfig(stream=0.05))
    on = stage(Hang(words=1), config=config)
    async with client(on) as http:
        reply = await http.post("/v1/chat/completions", json=question(stream=True))
    assert "stream_too_long" in reply.text
    (record,) = on.books.records
    assert record.outcome == "GatewayError"
    assert [attempt.outcome for attempt in record.attempts] == ["cancelled"]
    assert on.desk.metrics.errors["chat", "GatewayError"] == 1


async def test_a_stream_that_would_have_to_be_taken_back_is_in_the_books_with_its_attempts() -> None:
    a = ScriptedProvider("a", [Fail(ServerError("broke"), words=2)])
    on = stage(a, ScriptedProvider("b"), fallback=FallbackConfig(mid_stream="restart"))
    async with client(on) as http:
        reply = await http.post("/v1/chat/completions", json=question(stream=True))
    assert "error" in events(reply.text)[-1]
    (record,) = on.books.records
    assert [attempt.provider for attempt in record.attempts] == ["a", "b"]


async def test_a_call_for_which_nobody_was_asked_has_no_attempts_of_the_one_before() -> None:
    on = stage()
    async with client(on) as http:
        await http.post("/v1/chat/completions", json=question())
        on.backend.manager.isolate("a")
        reply = await http.post("/v1/chat/completions", json=question())
    assert reply.status_code >= 400
    good, refused = on.books.records
    assert len(good.attempts) == 1
    assert not refused.attempts
