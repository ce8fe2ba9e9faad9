"""T10: what goes out is on a list, whatever comes in; and nothing is smuggled past the parser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmcore.providers import places
from tests.gateway.test_sockets import dialled, until
from tests.gateway.threats.ground import Ground, Upstream, ground, provider, question, upstream
from tests.gateway.whole import whole

CANARY = "zz-canary-of-the-client"
MODELS = {"replicate": "owner/m"}
KINDS = sorted(place.kind for place in places())
GOES_OUT = {
    *("host", "user-agent", "accept", "accept-encoding", "content-type", "content-length"),
    *("authorization", "api-key", "x-api-key", "x-goog-api-key", "anthropic-version", "prefer", "x-title"),
}
"""Every header that may leave, for whatever vendor. A new one is added here on purpose, or not at all."""

NAMES = [
    *(
        "cookie",
        "set-cookie",
        "origin",
        "referer",
        "host",
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-host",
    ),
    *("x-forwarded-proto", "x-real-ip", "connection", "keep-alive", "te", "trailer", "transfer-encoding"),
    *("upgrade", "proxy-authorization", "proxy-connection", "expect", "via", "authorization", "x-api-key"),
    *("api-key", "x-goog-api-key", "openai-organization", "openai-project", "openai-beta", "anthropic-beta"),
    *("x-base-url", "x-http-method-override", "content-encoding", "accept-language", "user-agent", "range"),
    *("x-llmcore-agent", "traceparent", "baggage", "x-request-id", "x-stainless-lang", "http-referer"),
]
names = st.sampled_from(NAMES) | st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True)
values = st.one_of(
    st.just(CANARY.encode()),
    st.sampled_from([b"a\r\nx-evil: " + CANARY.encode(), b"\x00", b"\xff\xfe", b"chunked", b"close", b""]),
    st.binary(max_size=30).map(lambda raw: raw + CANARY.encode()),
)


class Running:
    """A gateway in a thread of its own loop, asked with any header that ASGI can hand over."""

    def __init__(self, portal: anyio.from_thread.BlockingPortal, on: Ground, server: Upstream) -> None:
        self.portal, self.on, self.server = portal, on, server

    def ask(self, kind: str, headers: list[tuple[bytes, bytes]], path: str) -> int:
        return self.portal.call(self._ask, kind, headers, path)

    async def _ask(self, kind: str, headers: list[tuple[bytes, bytes]], path: str) -> int:
        body = json.dumps({**question(model=f"{kind}/{MODELS.get(kind, 'm')}"), "max_tokens": 5}).encode()
        answers: list[dict[str, Any]] = []
        queue = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> dict[str, Any]:
            if queue:
                return queue.pop()
            await anyio.sleep_forever()
            raise AssertionError

        async def send(message: Any) -> None:
            answers.append(message)

        own = [(b"host", b"127.0.0.1"), (b"authorization", f"Bearer {self.on.keys['alice']}".encode())]
        scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": own + headers,
            "client": ("127.0.0.1", 1),
        }
        with anyio.fail_after(20):
            await self.on.ready.app(scope, receive, send)
        return int(answers[0]["status"])


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    path = tmp_path_factory.mktemp("t10")
    with (
        anyio.from_thread.start_blocking_portal() as portal,
        portal.wrap_async_context_manager(upstream()) as server,
    ):
        providers = [provider(kind, server, kind) for kind in KINDS]
        with portal.wrap_async_context_manager(ground(path, *providers)) as on:
            yield Running(portal, on, server)


def check(server: Upstream) -> None:
    for seen in server.seen:
        known = [name for name, _ in seen.headers]
        assert set(known) <= GOES_OUT, set(known) - GOES_OUT
        assert len(known) == len(set(known))
        assert CANARY.encode() not in repr(seen.headers).encode() + seen.path.encode()
        assert seen.header("host") == f"127.0.0.1:{server.port}"


@pytest.mark.parametrize("kind", KINDS)
def test_t10_each_vendor_is_sent_headers_of_the_list_alone(running: Running, kind: str) -> None:
    running.server.seen.clear()
    headers = [(name.encode(), CANARY.encode()) for name in NAMES if name not in {"host", "authorization"}]
    clean = [
        pair for pair in headers if pair[0] not in {b"x-api-key", b"x-goog-api-key", b"content-encoding"}
    ]
    running.ask(kind, clean, "/v1/chat/completions")
    assert running.server.seen, "nobody was asked"
    check(running.server)


@settings(max_examples=40)
@given(
    headers=st.lists(st.tuples(names.map(str.encode), values), max_size=12),
    kind=st.sampled_from(["openai", "anthropic", "openrouter"]),
    path=st.sampled_from(["/v1/chat/completions", "/v1/messages", "/proxy/llm/v1/chat/completions"]),
)
def test_t10_whatever_the_client_sends_only_the_list_goes_out(
    running: Running, headers: list[tuple[bytes, bytes]], kind: str, path: str
) -> None:
    running.server.seen.clear()
    assert running.ask(kind, headers, path) < 600
    check(running.server)


INNER = b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"
POST = b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\n"
CLOSE = b"connection: close\r\n\r\n"
CHUNKED = b"0\r\n\r\n" + INNER
CORPUS: dict[str, bytes] = {
    "length and chunked": POST + b"content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n" + CHUNKED,
    "chunked and length": POST + b"transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n" + CHUNKED,
    "two lengths": POST + b"content-length: 0\r\ncontent-length: 42\r\n\r\n" + INNER,
    "a list of lengths": POST + b"content-length: 0, 42\r\n\r\n" + INNER,
    "a signed length": POST + b"content-length: +5\r\n\r\n" + INNER,
    "a length in hex": POST + b"content-length: 0x2a\r\n\r\n" + INNER,
    "a length with a blank": POST + b"content-length: 4 2\r\n\r\n" + INNER,
    "a length that overflows": POST + b"content-length: 18446744073709551617\r\n\r\n" + INNER,
    "an unknown coding": POST + b"transfer-encoding: xchunked\r\n\r\n" + CHUNKED,
    "chunked, then identity": POST + b"transfer-encoding: chunked, identity\r\n\r\n" + CHUNKED,
    "chunked twice": POST + b"transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n" + CHUNKED,
    "a blank before the colon": POST + b"transfer-encoding : chunked\r\n\r\n" + CHUNKED,
    "a tab before the colon": POST + b"content-length\t: 5\r\n\r\n" + INNER,
    "a folded header": POST + b"transfer-encoding:\r\n chunked\r\n\r\n" + CHUNKED,
    "a chunk size that overflows": POST + b"transfer-encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n" + INNER,
    "a chunk size with a sign": POST + b"transfer-encoding: chunked\r\n\r\n-1\r\n" + INNER,
    "a chunk longer than said": POST + b"transfer-encoding: chunked\r\n\r\n1\r\nXX\r\n0\r\n\r\n",
    "a chunk size in hex with a prefix": POST + b"transfer-encoding: chunked\r\n\r\n0x0\r\n\r\n" + INNER,
    "a zero byte in a value": POST + b"x: a\x00b\r\n\r\n" + INNER,
    "a bare carriage return": POST + b"x: a\rb: c\r\n\r\n" + INNER,
    "a blank in a name": POST + b"x y: 1\r\n\r\n" + INNER,
    "an empty name": POST + b": 1\r\n\r\n" + INNER,
    "two hosts": b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\nhost: evil.test\r\n" + CLOSE,
    "no host": b"GET /healthz HTTP/1.1\r\n" + CLOSE,
    "another host in the target": b"GET http://evil.test/healthz HTTP/1.1\r\nhost: evil.test\r\n" + CLOSE,
    "a host with a path": b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1/@evil.test\r\n" + CLOSE,
    "HTTP/0.9": b"GET /healthz\r\n\r\n",
    "a version of tomorrow": b"GET /healthz HTTP/3.0\r\nhost: 127.0.0.1\r\n\r\n",
    "HTTP/2 at once": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "CONNECT": b"CONNECT evil.test:443 HTTP/1.1\r\nhost: evil.test:443\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}


@pytest.mark.anyio
async def test_t10_nothing_is_smuggled(tmp_path: Path) -> None:
    """Each is refused (400, or 421 for the host) or the connection ends; none is answered twice, and nobody is asked."""
    async with whole(tmp_path) as on, on.listening() as port:
        for name, raw in CORPUS.items():
            async with dialled(port) as stream:
                await stream.send(raw)
                with anyio.move_on_after(10) as waited:  # half of what headers may take
                    answer = await until(stream, b"never comes")
                assert not waited.cancelled_caught, f"{name}: is waited for"
                assert answer.count(b"HTTP/1.1 ") <= 1, f"{name}: {answer!r}"
                assert not answer or answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 421")), (
                    f"{name}: {answer!r}"
                )
        assert not on.provider().requests
