"""One transport on more than one event loop."""

from __future__ import annotations

import gc
from typing import Any

import anyio
import pytest

from llmcore.transport.base import Transport
from tests.transport.conftest import QUICK, SETUPS, call
from tests.transport.faults import OK, FaultServer, answering


@pytest.mark.parametrize("setup", SETUPS)
def test_second_loop_has_connections_of_its_own(setup: str) -> None:
    backend, kind = SETUPS[setup]
    transport = kind()
    with FaultServer(answering(OK)) as server:
        for number in (1, 2):
            _run(backend, _twice, transport, server.url)
            assert server.connections == number
    assert len(server.requests) == 4


async def _twice(transport: Transport, url: str) -> None:
    for _ in range(2):
        assert await (await transport.open(call(url), QUICK)).read(100) == b"hi"
    await transport.aclose()


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("setup", SETUPS)
def test_second_loop_works_although_the_first_was_left_open(setup: str) -> None:
    backend, kind = SETUPS[setup]
    transport = kind()

    async def once(url: str) -> None:
        assert await (await transport.open(call(url), QUICK)).read(100) == b"hi"

    with FaultServer(answering(OK)) as server:
        for _ in range(3):
            _run(backend, once, server.url)
        _run(backend, transport.aclose)
        gc.collect()
    assert server.connections == 3


def _run(backend: Any, *args: Any) -> None:
    name, options = backend if isinstance(backend, tuple) else (backend, {})
    anyio.run(*args, backend=name, backend_options=options)
