"""Every transport on every event loop that it runs on."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeAlias

import pytest

from llmcore.config import Timeouts
from llmcore.transport.base import Call, Reply, Transport
from llmcore.transport.fast import FastTransport
from llmcore.transport.httpx_transport import HttpxTransport
from llmcore.transport.limits import Limits

SETUPS: dict[str, tuple[Any, type[HttpxTransport | FastTransport]]] = {
    "httpx-asyncio": ("asyncio", HttpxTransport),
    "httpx-trio": ("trio", HttpxTransport),
    "fast-asyncio": ("asyncio", FastTransport),
    "fast-uvloop": (("asyncio", {"use_uvloop": True}), FastTransport),
}

Make: TypeAlias = Callable[..., Transport]
Send: TypeAlias = Callable[..., Any]

QUICK = Timeouts(connect=0.4, pool=0.3, write=0.4)


@pytest.fixture(params=list(SETUPS))
def setup(request: pytest.FixtureRequest) -> tuple[Any, type[HttpxTransport | FastTransport]]:
    return SETUPS[request.param]


@pytest.fixture
def anyio_backend(setup: tuple[Any, Any]) -> Any:
    return setup[0]


@pytest.fixture
async def make(setup: tuple[Any, Any], anyio_backend: Any) -> AsyncIterator[Make]:
    """Makes transports, and closes them at the end."""
    made: list[Transport] = []

    def build(*, tls: ssl.SSLContext | None = None, limits: Limits | None = None) -> Transport:
        made.append(setup[1](tls=tls, limits=limits))
        return made[-1]

    yield build
    for transport in made:
        await transport.aclose()


@pytest.fixture
def transport(make: Make) -> Transport:
    return make()


@pytest.fixture
def send(transport: Transport) -> Send:
    """`await send(url)` opens a POST with a key in its headers."""

    async def post(url: str, *, body: bytes = b"{}", timeouts: Timeouts = QUICK) -> Reply:
        return await transport.open(call(url, body), timeouts)

    return post


def call(url: str, body: bytes | None = b"{}", **headers: str) -> Call:
    return Call("POST", url, {"authorization": "Bearer header-secret", **headers}, body)
