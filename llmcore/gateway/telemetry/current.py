"""Which request is being answered, for lines written on its way by who does not know it (the manager, libraries)."""

from __future__ import annotations

from contextvars import ContextVar

REQUEST: ContextVar[str] = ContextVar("llmcore_request", default="")
"""The id of the request that this task works for; "" outside of one."""


def request_fields() -> dict[str, str]:
    """The field of a log line that names it."""
    request_id = REQUEST.get()
    return {"request_id": request_id} if request_id else {}
