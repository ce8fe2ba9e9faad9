"""Which transport is taken, and what choosing imports."""

from __future__ import annotations

import subprocess
import sys

import anyio
import pytest

from llmcore.errors import ConfigurationError
from llmcore.transport import choose
from llmcore.transport.choose import AutoTransport, open_transport
from llmcore.transport.fast import FastTransport
from llmcore.transport.httpx_transport import HttpxTransport
from tests.transport.conftest import QUICK, call
from tests.transport.faults import OK, FaultServer, answering


def test_by_name() -> None:
    assert isinstance(open_transport("httpx"), HttpxTransport)
    assert isinstance(open_transport("fast"), FastTransport)
    assert isinstance(open_transport("auto"), AutoTransport)
    assert isinstance(open_transport(), AutoTransport)


@pytest.mark.parametrize(
    ("backend", "installed", "agent"),
    [("asyncio", True, FastTransport), ("asyncio", False, HttpxTransport), ("trio", True, HttpxTransport)],
)
def test_auto(backend: str, installed: bool, agent: type, monkeypatch: pytest.MonkeyPatch) -> None:
    if not installed:
        monkeypatch.setattr(choose, "FAST_LIBRARY", "no_such_library")
    transport = AutoTransport()

    async def once(url: str) -> None:
        assert await (await transport.open(call(url), QUICK)).read(100) == b"hi"
        assert [type(made) for made in transport._made.values()] == [agent]
        await transport.aclose()
        await transport.aclose()

    with FaultServer(answering(OK)) as server:
        anyio.run(once, server.url, backend=backend)


def test_fast_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "FAST_LIBRARY", "no_such_library")
    with pytest.raises(ConfigurationError, match=r"llmcore-kit\[fast\]"):
        open_transport("fast")


def test_choosing_imports_no_http_library() -> None:
    code = (
        "import sys, llmcore, llmcore.transport.choose as c; c.open_transport();"
        "print([m for m in ('httpx', 'httptools', 'h11', 'ssl', 'certifi') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
