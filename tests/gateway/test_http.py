"""Bodies as they come: at once, in pieces, late, not at all; what waits for one can be cancelled, and leaves nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcore.gateway.errors import GatewayError, TooLarge
from llmcore.gateway.http import ClientGone, Head, read_body

Receive = Callable[[], Awaitable[dict[str, Any]]]
GONE = {"type": "http.disconnect"}


def pieces(*bodies: bytes) -> list[dict[str, Any]]:
    last = len(bodies) - 1
    return [
        {"type": "http.request", "body": body, "more_body": index < last} for index, body in enumerate(bodies)
    ]


def receiver(messages: Sequence[dict[str, Any]], waits: Sequence[int] = ()) -> Receive:
    """Those messages, each after so many turns of the loop; after the last one nothing ever comes."""
    left = list(zip(messages, [*waits, *[0] * len(messages)], strict=False))

    async def receive() -> dict[str, Any]:
        if not left:
            await asyncio.get_running_loop().create_future()
        message, turns = left.pop(0)
        for _ in range(turns):
            await asyncio.sleep(0)
        return message

    return receive


def read(receive: Receive, *, limit: int = 1000, seconds: float = 30.0, **headers: str) -> bytes:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return asyncio.run(read_body(Head({"headers": raw}), receive, limit, seconds))  # type: ignore[arg-type]  # as much of a scope and a receiver as it reads


@given(st.lists(st.binary(max_size=30), min_size=1, max_size=6), st.lists(st.integers(0, 3), max_size=6))
def test_all_pieces_make_the_body_however_late_they_come(bodies: list[bytes], waits: list[int]) -> None:
    assert read(receiver(pieces(*bodies), waits)) == b"".join(bodies)


@given(st.lists(st.binary(max_size=30), min_size=1, max_size=6), st.integers(0, 100))
def test_more_than_the_limit_is_refused(bodies: list[bytes], limit: int) -> None:
    size = len(b"".join(bodies))
    if size <= limit:
        assert len(read(receiver(pieces(*bodies)), limit=limit)) == size
    else:
        with pytest.raises(TooLarge, match=f"than the {limit} bytes"):
            read(receiver(pieces(*bodies)), limit=limit)


def test_what_says_that_it_is_too_large_is_not_waited_for() -> None:
    with pytest.raises(TooLarge):
        read(receiver([]), content_length="1001")


@pytest.mark.parametrize("begun", [[], pieces(b"a", b"")[:1]], ids=["nothing", "a piece"])
def test_a_body_that_does_not_come_is_given_up(begun: list[dict[str, Any]]) -> None:
    with pytest.raises(GatewayError, match="did not arrive in time") as caught:
        read(receiver(begun), seconds=0.01)
    assert caught.value.status == 408


@pytest.mark.parametrize("wait", [0, 2])
@pytest.mark.parametrize("before", [[], pieces(b"a", b"")[:1]], ids=["nothing", "a piece"])
def test_a_client_that_leaves_is_gone(before: list[dict[str, Any]], wait: int) -> None:
    with pytest.raises(ClientGone):
        read(receiver([*before, GONE], [wait, wait]))


def test_an_error_of_the_server_comes_through() -> None:
    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0)
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError, match="gone"):
        read(receive)


def test_waiting_for_a_body_can_be_cancelled() -> None:
    ended: list[str] = []

    async def receive() -> dict[str, Any]:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.append("the server's own wait")
        raise AssertionError

    async def main() -> None:
        task = asyncio.create_task(read_body(Head({"headers": []}), receive, 10, 30.0))  # type: ignore[arg-type]  # as much of a scope and a receiver as it reads
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert ended == ["the server's own wait"]
