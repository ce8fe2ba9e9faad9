"""Fields of a request that nobody behind the gateway can honour: each once, as a warning for the answer's header."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from llmcore.types import RequestWarning

IGNORED = "has no effect here; not sent"
UNKNOWN = "is not known here; not sent"


class Lost:
    """Collects warnings, one for each field however often it comes."""

    def __init__(self) -> None:
        self._found: dict[str, str] = {}

    def note(self, parameter: str, message: str = IGNORED) -> None:
        self._found.setdefault(parameter, message)

    def given(
        self, body: Mapping[str, Any], keys: Iterable[str], at: str = "", message: str = IGNORED
    ) -> None:
        """Note those of `keys` that the object holds; null is nothing."""
        for key in keys:
            if body.get(key) is not None:
                self.note(f"{at}.{key}" if at else key, message)

    def others(self, body: Mapping[str, Any], known: frozenset[str], at: str = "") -> None:
        """Note every member that is none of the known ones. Their names are the client's own: shortened."""
        if not known.issuperset(body):
            self.given(body, [key[:60] for key in body if key not in known][:20], at, UNKNOWN)

    def done(self) -> tuple[RequestWarning, ...]:
        return tuple(RequestWarning(parameter, message) for parameter, message in self._found.items())
