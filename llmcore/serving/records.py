"""What libraries log comes out as our JSON lines, too, and never louder than a warning where it could show headers (T5)."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import Any

import structlog

from llmcore.gateway.config import LogLevel
from llmcore.gateway.telemetry.log import Log

_QUIET = (
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


def quiet_libraries(log: Log) -> None:
    """Send the records of the standard library's logging and of structlog to `log`. Call it once, in a process of ours."""
    root = logging.getLogger()
    root.handlers = [_Handler(log)]
    root.setLevel(logging.WARNING)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
        logging.getLogger(name).handlers = []

    def told(_: Any, method: str, event: MutableMapping[str, Any]) -> Any:
        name = str(event.pop("event", ""))
        event.pop("level", None)
        log.note(level_of(method), name, **event)
        raise structlog.DropEvent

    structlog.configure(processors=[structlog.contextvars.merge_contextvars, told])


class _Handler(logging.Handler):
    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log.note(level_of(record.levelname), f"{record.name}: {record.getMessage()}")


def level_of(name: str) -> LogLevel:
    lowered = name.lower()
    if lowered in {"critical", "exception", "error"}:
        return "error"
    if lowered in {"warning", "warn"}:
        return "warning"
    return "debug" if lowered == "debug" else "info"
