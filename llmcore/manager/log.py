"""Where the manager's events go: structlog where the application has configured it, the standard logger "llmcore" else.

Events: llm.retry, llm.failover, llm.key, llm.beside, llm.failed, llm.models_failed, llm.reloaded, llm.breaker_STATE,
llm.key_disabled, llm.key_back, llm.queue_full; with provider, model, outcome, status, wait_s. Never a
text of a vendor, a prompt or a key.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import Any


def note(name: str, **facts: Any) -> None:
    """One event; costs nothing to import before the first one happens."""
    logger = _logger()
    logger.info(name, **{key: value for key, value in facts.items() if value is not None})


@cache
def _logger() -> Any:
    import structlog

    if structlog.is_configured():
        return structlog.get_logger("llmcore")
    return structlog.wrap_logger(
        logging.getLogger("llmcore"),
        processors=[structlog.stdlib.filter_by_level, structlog.stdlib.render_to_log_kwargs],
        wrapper_class=structlog.stdlib.BoundLogger,
    )
