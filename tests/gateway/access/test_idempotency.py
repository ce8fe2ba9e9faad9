"""Idempotency-Key: asked once, answered as often as one likes."""

from __future__ import annotations

import anyio
import pytest

from llmcore.errors import InvalidRequestError, ServerError
from llmcore.gateway.access.idempotency import Given, Repeats, Ticket
from llmcore.gateway.access.principal import Principal
from llmcore.testing import Answer, Fail, Hang
from tests.gateway.standin import client, question, stage

pytestmark = pytest.mark.anyio

HEADERS = {"idempotency-key": "order-66"}


async def test_the_same_request_is_answered_by_the_same_answer() -> None:
    on = stage(Answer("first"), Answer("second"))
    async with client(on) as http:
        first = await http.post("/v1/chat/completions", json=question(), headers=HEADERS)
        again = await http.post("/v1/chat/completions", json=question(), headers=HEADERS)
        other = await http.post("/v1/chat/completions", json=question())
    assert first.content == again.content
    assert again.headers["x-llmcore-replayed"] == "true"
    assert first.headers["x-request-id"] != again.headers["x-request-id"]
    assert other.content != first.content
    assert len(on.provider().requests) == 2
    assert len(on.books.records) == 2


async def test_another_body_and_a_running_request_are_told_apart() -> None:
    on = stage(Hang())
    async with client(on) as http, anyio.create_task_group() as group:
        group.start_soon(lambda: http.post("/v1/chat/completions", json=question(), headers=HEADERS))
        while not on.provider().requests:  # noqa: ASYNC110 - what is waited for has no event
            await anyio.sleep(0.01)
        same = await http.post("/v1/chat/completions", json=question(), headers=HEADERS)
        other = await http.post("/v1/chat/completions", json=question("other"), headers=HEADERS)
        group.cancel_scope.cancel()
    assert (same.status_code, other.status_code) == (409, 422)


@pytest.mark.parametrize(
    ("error", "asked"), [(ServerError("down", status=500), 4), (InvalidRequestError("never", status=400), 1)]
)
async def test_only_errors_that_stay_are_kept(error: Exception, asked: int) -> None:
    on = stage(Fail(error))  # type: ignore[arg-type]  # a scripted step of its own
    async with client(on) as http:
        codes = [
            (await http.post("/v1/chat/completions", json=question(), headers=HEADERS)).status_code
            for _ in range(2)
        ]
    assert codes[0] == codes[1]
    assert len(on.provider().requests) == asked


async def test_t14_the_key_of_another_user_is_another_key() -> None:
    on = stage(Answer("mine"), Answer("yours"))
    on.keys.keys["llmc-bob"] = Principal("bob", "Bob", "user", "key", "key-bob")
    async with client(on) as alice, client(on, "llmc-bob") as bob:
        mine = await alice.post("/v1/chat/completions", json=question(), headers=HEADERS)
        yours = await bob.post("/v1/chat/completions", json=question(), headers=HEADERS)
    assert "mine" in mine.text
    assert "yours" in yours.text


@pytest.mark.parametrize("key", ["", "x" * 256, "caf\u00e9"])
async def test_a_key_that_is_none_is_refused(key: str) -> None:
    on = stage()
    async with client(on) as http:
        headers = [(b"idempotency-key", key.encode("latin-1"))]
        assert (await http.post("/v1/chat/completions", json=question(), headers=headers)).status_code == 400


def test_what_is_kept_is_bounded_and_ends() -> None:
    now = [0.0]
    repeats = Repeats(lambda: now[0], most=3, most_bytes=800)
    for number in range(10):
        ticket = repeats.begin("u", "r", str(number), b"")
        assert isinstance(ticket, Ticket)
        ticket.settle(Given(200, [], b"x" * 90))
    assert isinstance(repeats.begin("u", "r", "9", b""), Given)
    assert isinstance(repeats.begin("u", "r", "1", b""), Ticket)
    now[0] = 86401.0
    assert isinstance(repeats.begin("u", "r", "9", b""), Ticket)


async def test_a_replayed_message_bears_the_new_id_under_both_names() -> None:
    on = stage(Answer("first"))
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "?"}]}
    async with client(on) as http:
        first = await http.post("/v1/messages", json=body, headers=HEADERS)
        again = await http.post("/v1/messages", json=body, headers=HEADERS)
    assert first.headers["request-id"] == first.headers["x-request-id"]
    assert again.headers["x-llmcore-replayed"] == "true"
    assert again.headers.get_list("request-id") == [again.headers["x-request-id"]]
    assert again.headers["request-id"] != first.headers["request-id"]
