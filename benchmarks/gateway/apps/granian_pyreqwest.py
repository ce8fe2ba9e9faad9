"""A plain ASGI app for granian that passes bytes through with pyreqwest; nothing is read, checked or counted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

from pyreqwest.client import Client, ClientBuilder
from pyreqwest.response import BaseResponse

from benchmarks.gateway.apps.upstreams import KEY, url_of

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class App:
    client: Client

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self.passed(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self.live(receive, send)

    async def live(self, receive: Receive, send: Send) -> None:
        async with AsyncExitStack() as stack:
            await receive()
            self.client = await stack.enter_async_context(ClientBuilder().build())
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def passed(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        headers = {"authorization": KEY, "content-type": "application/json"}
        request = self.client.post(url_of(scope["path"])).headers(headers).body_bytes(body)
        if b'"stream":true' not in body:
            answer = await request.build().send()
            await self.begin(send, answer)
            await send({"type": "http.response.body", "body": bytes(await answer.bytes())})
            return
        async with request.streamed_read_buffer_limit(0).build_streamed() as stream:
            await self.begin(send, stream)
            while (piece := await stream.body_reader.read_chunk()) is not None:
                await send({"type": "http.response.body", "body": bytes(piece), "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def begin(self, send: Send, answer: BaseResponse) -> None:
        headers = [(b"content-type", answer.headers["content-type"].encode())]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})


app = App()
