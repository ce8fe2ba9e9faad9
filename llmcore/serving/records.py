"""What libraries log comes out as our JSON lines, too, and never louder than a warning where it could show headers (T5)."""

from __future__ import annotations

import logging

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
    """Send the records of the standard library's logging to `log`. Call it once, in a process of ours.

    The manager tells its events there as well as long as nobody configures structlog, which is not imported here: it
    brings 4 MB with it.
    """
    root = logging.getLogger()
    root.handlers = [_Handler(log)]
    root.setLevel(logging.WARNING)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
        logging.getLogger(name).handlers = []

    events = logging.getLogger("llmcore")
    events.handlers = [_Events(log)]
    events.setLevel(logging.INFO)
    events.propagate = False


class _Handler(logging.Handler):
    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log.note(level_of(record.levelname), f"{record.name}: {record.getMessage()}")


class _Events(logging.Handler):
    """Events of the manager, with the facts that they come with as fields."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        facts = {name: value for name, value in vars(record).items() if name not in _OF_A_RECORD}
        self._log.note(level_of(record.levelname), record.getMessage(), **facts)


_OF_A_RECORD = frozenset(vars(logging.makeLogRecord({})))


def level_of(name: str) -> LogLevel:
    lowered = name.lower()
    if lowered in {"critical", "exception", "error"}:
        return "error"
    if lowered in {"warning", "warn"}:
        return "warning"
    return "debug" if lowered == "debug" else "info"
