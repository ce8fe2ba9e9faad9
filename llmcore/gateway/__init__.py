"""The gateway: an ASGI app that serves the contract over HTTP. It knows `LlmProvider`, never providers or the manager.

`create_app` is imported when asked for, so that naming the room costs nothing.
"""

from __future__ import annotations

from typing import Any

__all__ = ["create_app"]


def __getattr__(name: str) -> Any:
    if name == "create_app":
        from llmcore.gateway.app import create_app

        return create_app
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
