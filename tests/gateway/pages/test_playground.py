"""`POST /api/playground`: who may ask, what the events tell, and that leaving cancels."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcore.config import Routing
from llmcore.errors import AuthenticationError, ServerError
from llmcore.gateway.access.principal import ACCOUNT, INFERENCE
from llmcore.gateway.errors import BadRequest
from llmcore.gateway.pages.playground import TellingEncoder, TellingMirror
from llmcore.gateway.store import Page, UsageAttempt
from llmcore.testing import Answer, Fail, Hang, ScriptedProvider
from llmcore.types import (
    Attempt,
    Continued,
    Event,
    Finished,
    Image,
    PartDelta,
    Refusal,
    Restarted,
    Skipped,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    Usage,
)
from tests.gateway.pages.site import site
from tests.gateway.standin import question
from tests.gateway.whole import Whole

pytestmark = pytest.mark.anyio

T = TypeVar("T")

AT = "/api/playground"
ASKED = question(stream=True)


def told(body: bytes) -> list[tuple[str, Any]]:
    """The events, as a browser reads them."""
    found = []
    for block in body.decode().split("\n\n"):
        lines = [line for line in block.split("\n") if line and not line.startswith(":")]
        if lines:
            name, data = lines
            found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


async def until(look: Callable[[], Awaitable[T]]) -> T:
    """What `look` finds, as soon as it is something."""
    with anyio.fail_after(5):
        while True:
            if found := await look():
                return found
            await anyio.sleep(0.02)


async def in_the_books(on: Whole, who: str) -> Page[UsageAttempt] | None:
    page = await on.store.usage.attempts_of(on.people[who].user.id)
    return page if page.items else None


# ------------------------------------------------------------------------------------------- the encoder


def encoded(*events: Event) -> list[tuple[str, Any]]:
    encoder = TellingEncoder()
    return told(b"".join(encoder.feed(one) for one in events))


@given(st.lists(st.text(min_size=1)))
def test_t22_no_text_can_end_an_event_or_begin_another(texts: list[str]) -> None:
    events = encoded(*(TextDelta(text) for text in texts), Finished())
    assert [data["text"] for name, data in events if name == "text"] == texts
    assert [name for name, _ in events] == ["begin", *("text" for _ in texts), "done"]


def test_an_answer_in_full() -> None:
    usage = Usage(12, 5, cached_tokens=3, cost_usd=Decimal("0.0125"))
    end = Finished(
        "stop",
        usage=usage,
        model="m",
        provider="b",
        attempts=(
            Attempt("a", "m", "ServerError", 500, 0.2),
            Attempt("b", "m", "success", 200, 1.5, why="failover", first_token_s=0.3),
        ),
        skipped=(Skipped("c", None, "breaker_open", "it rests"),),
    )
    events = encoded(
        ThinkingDelta("hm"),
        TextDelta(""),
        TextDelta("yes"),
        Restarted("b", "m"),
        Continued("b"),
        ToolCallDelta(0, "1", "look", '{"a":1}'),
        PartDelta(Refusal("no")),
        PartDelta(Image(data=b"\x89PNG\r\n\x1a\n", media_type="image/png")),
        end,
    )
    assert [name for name, _ in events] == [
        *("begin", "thought", "text", "restarted", "continued", "part", "part", "part", "done")
    ]
    done = events[-1][1]
    assert (done["provider"], done["model"], done["finish_reason"]) == ("b", "m", "stop")
    assert done["usage"] == {
        "input_tokens": 12,
        "output_tokens": 5,
        "cached_tokens": 3,
        "reasoning_tokens": None,
        "cost_usd": 0.0125,
    }
    assert [one["outcome"] for one in done["attempts"]] == ["ServerError", "success"]
    assert done["skipped"] == ["c: it rests"]
    assert events[7][1]["kind"] == "image"


def test_an_error_tells_what_was_tried() -> None:
    error = ServerError("down", provider="a")
    error.attempts = (Attempt("a", "m", "ServerError", 500, 0.1),)
    [(name, data)] = told(TellingEncoder().fail(error, request_id="req_1"))
    assert (name, data["request_id"], data["attempts"][0]["status"]) == ("error", "req_1", 500)
    body = TellingMirror().encode_error(error, request_id="req_1").body
    assert body["attempts"] == data["attempts"]


def test_only_streams_are_told() -> None:
    with pytest.raises(BadRequest) as caught:
        TellingMirror().decode_request(question())
    assert caught.value.param == "stream"


# ---------------------------------------------------------------------------------------------- the route


async def test_a_signed_in_browser_gets_an_answer(tmp_path: Path) -> None:
    async with site(tmp_path, Answer("hello there", usage=Usage(7, 2))) as on, on.browser() as http:
        reply = await http.post(AT, json=ASKED)
        assert reply.status_code == 200
        assert reply.headers["content-type"].startswith("text/event-stream")
        assert reply.headers["cache-control"] == "no-store"
        events = told(reply.content)
        assert "".join(data["text"] for name, data in events if name == "text") == "hello there"
        assert events[-1][0] == "done"
        assert events[-1][1]["usage"]["input_tokens"] == 7
        [row] = (await until(lambda: in_the_books(on, "alice"))).items
        assert (row.provider, row.key_id) == ("a", None)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"x-csrf-token": "0" * 64}, 403),
        ({"x-csrf-token": ""}, 403),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
        ({"cookie": ""}, 401),
        ({"cookie": "llmcore=llmcs-nonsense"}, 401),
        ({"authorization": "Bearer nonsense"}, 401),
        ({"authorization": "Basic YTpi"}, 401),
    ],
)
async def test_t07_nobody_else_asks_in_their_name(
    tmp_path: Path, change: dict[str, str], status: int
) -> None:
    async with site(tmp_path) as on, on.browser() as http:
        headers = {"content-type": "application/json", **change}
        if "cookie" in change:
            http.cookies.clear()
        reply = await http.post(AT, content=json.dumps(ASKED), headers=headers)
        assert reply.status_code == status
        assert on.provider().requests == []


@pytest.mark.parametrize(
    ("scopes", "status"),
    [({INFERENCE}, 403), ({ACCOUNT}, 403), ({INFERENCE, ACCOUNT}, 200)],
)
async def test_t06_a_key_needs_both_scopes(tmp_path: Path, scopes: set[str], status: int) -> None:
    async with site(tmp_path) as on:
        key, _ = await on.key(on.people["alice"].user.id, frozenset(scopes))
        async with on.http(None, key) as http:
            assert (await http.post(AT, json=ASKED)).status_code == status
    assert len(on.provider().requests) == (1 if status == 200 else 0)


async def test_a_stranger_does_not(tmp_path: Path) -> None:
    async with site(tmp_path) as on, on.http(None) as http:
        assert (await http.post(AT, json=ASKED)).status_code == 401


async def test_a_session_switches_its_provider(tmp_path: Path) -> None:
    a, b = (
        ScriptedProvider(name, [Answer(f"I am {name}")], routing=Routing(text_model=f"model-{name}"))
        for name in "ab"
    )
    async with site(tmp_path, a, b) as on, on.browser() as http:
        asked = {"messages": ASKED["messages"], "stream": True}
        made = (await http.post("/api/sessions", json={"provider": "b", "model": None})).json()
        headers = {"x-llmcore-session": made["id"]}
        first = told((await http.post(AT, json=asked, headers=headers)).content)
        assert (await http.patch(f"/api/sessions/{made['id']}", json={"provider": "a"})).status_code == 200
        second = told((await http.post(AT, json=asked, headers=headers)).content)
        assert [events[-1][1]["provider"] for events in (first, second)] == ["b", "a"]


async def test_t14_the_session_of_another_is_not_there(tmp_path: Path) -> None:
    async with site(tmp_path) as on, on.browser("bob") as bob, on.browser("alice") as alice:
        made = (await bob.post("/api/sessions", json={"provider": "a"})).json()
        reply = await alice.post(AT, json=ASKED, headers={"x-llmcore-session": made["id"]})
        assert reply.status_code == 404


async def test_a_failure_before_the_first_word_is_an_http_error_that_tells_the_attempts(
    tmp_path: Path,
) -> None:
    async with site(tmp_path, Fail(AuthenticationError("no"))) as on, on.browser() as http:
        reply = await http.post(AT, json=ASKED)
        assert reply.status_code >= 400
        assert reply.json()["attempts"][0]["outcome"] == "AuthenticationError"
        assert reply.json()["error"]["message"]


async def test_a_failure_after_it_is_an_event_and_no_end(tmp_path: Path) -> None:
    async with site(tmp_path, Fail(ServerError("gone"), words=2)) as on, on.browser() as http:
        events = told((await http.post(AT, json=ASKED)).content)
        assert events[-1][0] == "error"
        assert "done" not in [name for name, _ in events]


async def test_whoever_leaves_cancels(tmp_path: Path) -> None:
    """Stop closes the connection; the provider hears of it at once."""
    async with site(tmp_path, Hang(words=2)) as on, on.browser() as known, on.listening() as port:
        base = f"http://127.0.0.1:{port}"
        headers = {**known.headers, "origin": base, "cookie": f"llmcore={known.cookies['llmcore']}"}
        headers.pop("host", None)
        async with (
            httpx.AsyncClient(base_url=base) as http,
            http.stream("POST", AT, json=ASKED, headers=headers) as reply,
        ):
            assert reply.status_code == 200
            async for chunk in reply.aiter_bytes():
                if b"event: text" in chunk:
                    break
            assert on.provider().open_streams == 1

        async def closed() -> bool:
            return on.provider().open_streams == 0

        await until(closed)
