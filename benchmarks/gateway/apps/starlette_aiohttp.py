"""Starlette over uvicorn that passes bytes through with aiohttp; nothing is read, checked or counted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import ClientResponse, ClientSession, ClientTimeout, TCPConnector
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from benchmarks.gateway.apps.upstreams import KEY, url_of


async def passed(request: Request) -> Response:
    session: ClientSession = request.app.state.session
    answer = await session.post(
        url_of(request.url.path),
        data=await request.body(),
        headers={"authorization": KEY, "content-type": "application/json"},
    )
    if answer.content_type == "text/event-stream":
        return StreamingResponse(pieces(answer), answer.status, media_type="text/event-stream")
    async with answer:
        return Response(await answer.read(), answer.status, media_type="application/json")


async def pieces(answer: ClientResponse) -> AsyncIterator[bytes]:
    async with answer:
        async for piece in answer.content.iter_any():
            yield piece


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    timeout = ClientTimeout(total=600)
    async with ClientSession(connector=TCPConnector(limit=0), timeout=timeout) as session:
        app.state.session = session
        yield


app = Starlette(routes=[Route("/{rest:path}", passed, methods=["POST"])], lifespan=lifespan)
