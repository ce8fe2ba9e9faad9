"""Logs as JSON lines with the request id: one line per event, control characters escaped, keys masked, no prompts."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from typing import Any, TextIO

from llmcore.gateway.config import LOG_LEVELS, LogLevel
from llmcore.gateway.http import as_json
from llmcore.secret import redact

MAX_TEXT = 2000
_CODES = (
    range(0x7F, 0xA0),
    range(0x200B, 0x2010),
    range(0x2028, 0x202F),
    range(0x2066, 0x206A),
    (0x61C, 0xFEFF),
)
_UNSEEN = {code: f"\\u{code:04x}" for codes in _CODES for code in codes}
"""What breaks lines for some readers, or turns their direction: escaped, though JSON would take it as it is."""


class Log:
    """Writes to `out` (standard error). wall: epoch seconds. context: further fields for each line (trace ids)."""

    def __init__(
        self,
        level: LogLevel = "info",
        *,
        wall: Callable[[], float],
        out: TextIO | None = None,
        context: Callable[[], dict[str, str]] | None = None,
    ) -> None:
        self._least = LOG_LEVELS.index(level)
        self._wall = wall
        self._out = out
        self._context = context

    def wants(self, level: LogLevel) -> bool:
        return LOG_LEVELS.index(level) >= self._least

    def note(self, level: LogLevel, event: str, **fields: Any) -> None:
        """One line. Fields that are None are left out."""
        if not self.wants(level):
            return
        line: dict[str, Any] = {"at": round(self._wall(), 3), "level": level, "event": event}
        if self._context is not None:
            line.update(self._context())
        line.update({name: _shown(value) for name, value in fields.items() if value is not None})
        out = self._out or sys.stderr
        text = as_json(line).decode()
        out.write((text if text.isascii() else text.translate(_UNSEEN)) + "\n")
        out.flush()

    def fault(self, error: BaseException, request_id: str, route: str) -> None:
        """An error of our own: what it is and where it happened. Not its text: that may hold what a client or vendor sent."""
        frames = traceback.extract_tb(error.__traceback__)[-12:]
        where = [
            f"{frame.filename.rpartition('llmcore/')[2]}:{frame.lineno} {frame.name}" for frame in frames
        ]
        self.note(
            "error",
            "gateway.fault",
            request_id=request_id,
            route=route,
            error=type(error).__name__,
            where=where,
        )


def _shown(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value[:MAX_TEXT])
    if isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, (list, tuple)):
        return [_shown(one) for one in value]
    if isinstance(value, dict):
        return {str(key): _shown(one) for key, one in value.items()}
    return redact(str(value)[:MAX_TEXT])
