"""What is lost between a client and a provider, each thing once, as warnings for the answer's header.

Of a request: fields that nobody behind the gateway can honour. Of an answer: parts that the client's wire cannot say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from llmcore.types import Message, Part, Refusal, RequestWarning, Text, Thinking, ToolCall

IGNORED = "has no effect here; not sent"
UNKNOWN = "is not known here; not sent"
UNSAID = "has no form in this wire; left out"

_SAID_BY_ALL = frozenset({Text, Refusal, Thinking, ToolCall})


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
            unknown = [key for key, value in body.items() if key not in known and value is not None]
            for key in unknown[:20]:
                self.note(f"{at}.{key[:60]}" if at else key[:60], UNKNOWN)

    def done(self) -> tuple[RequestWarning, ...]:
        return tuple(RequestWarning(parameter, message) for parameter, message in self._found.items())


def unsaid(answer: Message, has_form: Callable[[Part], bool]) -> tuple[RequestWarning, ...]:
    """The kinds of parts of an answer that a wire leaves out. has_form: asked of those that not every wire can say."""
    if _SAID_BY_ALL.issuperset(map(type, answer.parts)):
        return ()
    rare = (part for part in answer.parts if type(part) not in _SAID_BY_ALL)
    kinds = dict.fromkeys(type(part).__name__.lower() for part in rare if not has_form(part))
    return tuple(RequestWarning(f"answer.{kind}", UNSAID) for kind in kinds)
