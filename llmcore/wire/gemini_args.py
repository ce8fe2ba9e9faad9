"""Function-call arguments of Gemini: objects to JSON text, and arguments that come in pieces to one object."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Any

from llmcore.errors import MalformedResponseError
from llmcore.wire.read import as_dict, as_list, as_str, dumps, join_surrogates

MAX_STEPS = 64
MAX_ITEMS = 10_000

_STEP = re.compile(r"""\.([^.\[\]]+)|\[(\d{1,6})\]|\[(?:'([^']*)'|"([^"]*)")\]""")
_VALUES = ("stringValue", "numberValue", "boolValue", "nullValue")


def json_text(value: Any) -> str:
    """Compact JSON; text that a vendor sent instead of an object stays as it is. Raises MalformedResponseError."""
    if isinstance(value, str):
        return join_surrogates(value)
    try:
        return dumps(value).decode()
    except UnicodeEncodeError:
        return join_surrogates(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
    except RecursionError:
        raise MalformedResponseError("the arguments are nested too deeply", phase="parse") from None


class PartialCall:
    """One function call, whole or in pieces.

    Source: FunctionCall and PartialArg of the Gemini Enterprise Agent Platform: `partialArgs [{jsonPath, stringValue |
    numberValue | boolValue | nullValue}]`; `willContinue` on the call says that more of it follows.
    """

    def __init__(self) -> None:
        self.id: str | None = None
        self.name: str | None = None
        self.signature: str | None = None
        self.args: Any = {}

    def goes_on(self, call: dict[str, Any]) -> bool:
        """Whether `call` is more of this one: it names no other function and no other id."""
        name, id_ = as_str(call.get("name")), as_str(call.get("id"))
        return name in (None, self.name) and (id_ is None or self.id is None or id_ == self.id)

    def add(self, call: dict[str, Any], signature: str | None) -> None:
        self.id = self.id or as_str(call.get("id"))
        self.name = self.name or as_str(call.get("name"))
        self.signature = self.signature or signature
        args = call.get("args")
        if isinstance(args, dict) and isinstance(self.args, dict):
            self.args = {**self.args, **args}
        elif args is not None:
            self.args = args
        for piece in as_list(call.get("partialArgs")):
            self._lay(as_dict(piece))

    def _lay(self, piece: dict[str, Any]) -> None:
        kind = next((kind for kind in _VALUES if kind in piece), None)
        steps = _steps(piece.get("jsonPath"))
        if kind is None or not steps or len(steps) > MAX_STEPS:
            return
        value = None if kind == "nullValue" else piece[kind]
        node: Any = self.args
        for step, following in pairwise(steps):
            old = _get(node, step)
            if not isinstance(old, (dict, list)):
                old = [] if isinstance(following, int) else {}
                _put(node, step, old)
            node = old
        before = _get(node, steps[-1])
        joined = before + value if isinstance(before, str) and isinstance(value, str) else value
        _put(node, steps[-1], joined)


def _steps(path: Any) -> list[str | int]:
    """`$.a.b[0]['c']` as ["a", "b", 0, "c"]; what is no such path gives nothing."""
    if not isinstance(path, str):
        return []
    found = list(_STEP.finditer(path))
    if "".join(match.group(0) for match in found) != path.removeprefix("$"):
        return []
    return [int(match[2]) if match[2] else match[1] or match[3] or match[4] or "" for match in found]


def _get(node: Any, step: str | int) -> Any:
    if isinstance(node, list):
        return node[step] if isinstance(step, int) and step < len(node) else None
    return node.get(str(step)) if isinstance(node, dict) else None


def _put(node: Any, step: str | int, value: Any) -> None:
    if isinstance(node, dict):
        node[str(step)] = value
    elif isinstance(node, list) and isinstance(step, int) and step < MAX_ITEMS:
        node.extend([None] * (step + 1 - len(node)))
        node[step] = value
