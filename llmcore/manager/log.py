"""Where the manager's events go: structlog where the application has configured it, the standard logger "llmcore" else.

Events: llm.retry, llm.failover, llm.key, llm.beside, llm.failed, llm.models_failed, llm.reloaded, llm.breaker_STATE,
llm.key_disabled, llm.key_back, llm.queue_full; with provider, model, outcome, status, wait_s. Never a
text of a vendor, a prompt or a key.
"""

from __future__ import annotations

import logging
import sys
from functools import cache
from typing import Any


def note(name: str, **facts: Any) -> None:
    """One event. structlog is not imported for it: an application that has configured it has done so, and a first
    failover is no time to wait for it.
    """
    told = {key: value for key, value in facts.items() if value is not None}
    if "structlog" in sys.modules and (logger := _structured()) is not None:
        logger.info(name, **told)
    else:
        logging.getLogger("llmcore").info(name, extra=told)


def _structured() -> Any:
    import structlog

    return _logger() if structlog.is_configured() else None


@cache
def _logger() -> Any:
    import structlog

    return structlog.get_logger("llmcore")
