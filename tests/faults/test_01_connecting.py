"""Faults 1 to 6: connecting, and connections that die before an answer."""

from __future__ import annotations

import pytest

from llmcore.errors import ConnectionRefused
from tests.faults.conftest import Ask, Make, failure, rfh
from tests.faults.raw import Server, healthy

pytestmark = pytest.mark.anyio


async def test_01_connection_refused(make: Make, ask: Ask) -> None:
    with Server(healthy()) as server:
        address = server.base_url
    error = await failure(ask(make(address)))
    assert type(error) is ConnectionRefused
    assert (rfh(error), error.phase) == ("RFH", "connect")


async def test_00_healthy(make: Make, ask: Ask) -> None:
    with Server(healthy()) as server:
        provider = make(server)
        for _ in range(3):
            assert (await ask(provider)).text == "hello"
        assert (len(server.requests), server.connections) == (3, 1)
