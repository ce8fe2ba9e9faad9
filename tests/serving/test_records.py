"""What libraries and the manager log comes out as JSON lines of ours."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from llmcore.gateway.telemetry.log import Log
from llmcore.manager.log import note
from llmcore.serving.records import quiet_libraries

NAMES = (
    "",
    "llmcore",
    "httpx",
    "httpcore",
    "asyncio",
    "aiosqlite",
    "sqlalchemy",
    "uvicorn",
    "uvicorn.error",
    "alembic",
    "hpack",
)


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """Where the lines go; all loggers are as before at the end."""
    loggers = [logging.getLogger(name) for name in NAMES]
    before = [(one, one.handlers, one.level, one.propagate) for one in loggers]
    out = io.StringIO()
    quiet_libraries(Log("info", wall=lambda: 1.0, out=out))
    try:
        yield out
    finally:
        for one, handlers, level, propagate in before:
            one.handlers, one.propagate = handlers, propagate
            one.setLevel(level)


def written(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_an_event_of_the_manager_keeps_its_facts(lines: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "structlog", raising=False)
    note("llm.failover", provider="a", outcome="RateLimitError", status=429, wait_s=None)
    expected = {"event": "llm.failover", "provider": "a", "outcome": "RateLimitError", "status": 429}
    assert written(lines) == [{"at": 1.0, "level": "info", **expected}]


def test_libraries_are_heard_from_a_warning_on(lines: io.StringIO) -> None:
    logging.getLogger("httpx").info("GET http://x with a header")
    logging.getLogger("sqlalchemy.pool").warning("a connection is lost")
    assert written(lines) == [
        {"at": 1.0, "level": "warning", "event": "sqlalchemy.pool: a connection is lost"}
    ]


def test_serving_does_without_structlog() -> None:
    code = "import sys, llmcore.serving.run; sys.exit('structlog' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
