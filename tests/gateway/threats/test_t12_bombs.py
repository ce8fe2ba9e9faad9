"""T12: bombs of upstreams, and of clients at every address that reads a body."""

from __future__ import annotations

import gzip
import json
import tracemalloc
import zlib
from pathlib import Path

import pytest

from llmcore.wire.base import MAX_BODY
from tests.gateway.threats.ground import Seen, answer, chat, ground, provider, question, upstream
from tests.gateway.whole import whole

pytestmark = pytest.mark.anyio

MIB = 2**20
HEAD, TAIL = json.dumps(chat("@")).encode().split(b"@")
FILLER = b"a" * MIB


def squeezed(how: str, size: int) -> bytes:
    """A chat completion whose text has that many MiB, squeezed."""
    if how not in {"gzip", "deflate"}:
        return b"\x00" * 1000
    squeeze = zlib.compressobj(9, zlib.DEFLATED, 31 if how == "gzip" else 15)
    pieces = [squeeze.compress(one) for one in (HEAD, *([FILLER] * size), TAIL)]
    return b"".join((*pieces, squeeze.flush()))


NESTED = gzip.compress(squeezed("gzip", 10))

BOMBS = {
    "gzip": squeezed("gzip", MAX_BODY // MIB + 40),
    "deflate": squeezed("deflate", MAX_BODY // MIB + 40),
    "gzip, gzip": NESTED,
    "deflate, gzip": NESTED,
    "br": squeezed("br", 1),
    "zstd": squeezed("zstd", 1),
    "gzip, br": NESTED,
}


@pytest.mark.parametrize("encoding", BOMBS)
@pytest.mark.parametrize("status", [200, 500])
async def test_t12_a_bomb_of_an_upstream_is_given_up(tmp_path: Path, encoding: str, status: int) -> None:
    """Also as the body of an error. What is held at once stays below the cap of a body and a little."""
    bomb = BOMBS[encoding]
    assert len(bomb) < MIB

    def play(seen: Seen) -> bytes:
        return answer(bomb, status, content_encoding=encoding)

    async with upstream(play) as server, ground(tmp_path, provider("a", server)) as on, on.http() as http:
        tracemalloc.start()
        try:
            reply = await http.post("/v1/chat/completions", json=question())
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert reply.status_code >= 500, reply.status_code
        assert len(reply.content) < 5000
        assert peak < MAX_BODY + 20 * MIB
        assert {seen.header("accept-encoding") for seen in server.seen} == {"identity"}


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_t12_a_bomb_in_a_stream_is_given_up(tmp_path: Path, encoding: str) -> None:
    """One event without an end."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, 31 if encoding == "gzip" else 15)
    pieces = [squeeze.compress(one) for one in (b"data: ", *([FILLER] * 200))]
    bomb = b"".join((*pieces, squeeze.flush()))

    def play(seen: Seen) -> bytes:
        return answer(bomb, content_type="text/event-stream", content_encoding=encoding)

    async with upstream(play) as server, ground(tmp_path, provider("a", server)) as on, on.http() as http:
        tracemalloc.start()
        try:
            reply = await http.post("/v1/chat/completions", json=question(stream=True))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert reply.status_code >= 500 or "error" in reply.text
        assert "[DONE]" not in reply.text
        assert peak < MAX_BODY + 20 * MIB


async def test_t12_what_is_not_too_large_is_read(tmp_path: Path) -> None:
    """The bombs fail for their size, and not for being squeezed."""

    def play(seen: Seen) -> bytes:
        return answer(squeezed("gzip", 1), content_encoding="gzip")

    async with upstream(play) as server, ground(tmp_path, provider("a", server)) as on, on.http() as http:
        reply = await http.post("/v1/chat/completions", json=question())
        assert len(reply.json()["choices"][0]["message"]["content"]) == MIB


async def test_t12_no_address_takes_a_squeezed_body(tmp_path: Path) -> None:
    async with whole(tmp_path) as on, on.http("admin") as http:
        asked = 0
        for route in on.app.table:
            if route.request is None:
                continue
            path = "/".join("x" if part.startswith("{") else part for part in route.path.split("/"))
            for encoding in ("gzip", "deflate", "br", "zstd", "gzip, gzip", "x-gzip"):
                headers = {"content-encoding": encoding, "content-type": "application/json"}
                reply = await http.request(route.method, path, content=NESTED, headers=headers)
                assert reply.status_code == 415, f"{route.method} {path} {encoding}: {reply.status_code}"
                asked += 1
        assert asked > 60
