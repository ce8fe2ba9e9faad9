"""What streams of the OpenAI dialect cut into pieces beside text and calls: reasoning details, and sound."""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any

from llmcore.wire.openai_decode import details_text
from llmcore.wire.read import Json


class Details:
    """`reasoning_details` out of fragments: those of one index and type are one entry, as in a whole answer."""

    __slots__ = ("_items", "_texts")

    def __init__(self) -> None:
        self._items: list[dict[str, Any]] = []
        self._texts: list[tuple[str, list[str]] | None] = []

    def __bool__(self) -> bool:
        return bool(self._items)

    def add(self, found: list[Json], thought: str) -> str:
        """Take the fragments in; gives the text to show, theirs where the delta has none of its own."""
        items = [item for item in found if isinstance(item, dict)]
        for item in items:
            self._add(item)
        return thought or details_text(items)

    def _add(self, item: dict[str, Any]) -> None:
        key = "text" if isinstance(item.get("text"), str) else "summary"
        text = item.get(key)
        last, pieces = (self._items[-1], self._texts[-1]) if self._items else (None, None)
        if (
            last is not None
            and last.get("type") == item.get("type")
            and last.get("index") == item.get("index")
            and not ("data" in last and "data" in item)
        ):
            last.update({name: value for name, value in item.items() if value is not None and name != key})
            if isinstance(text, str):
                if pieces is None:
                    self._texts[-1] = (key, [text])
                else:
                    pieces[1].append(text)
            return
        self._items.append(dict(item))
        self._texts.append((key, [text]) if isinstance(text, str) else None)

    def taken(self) -> list[dict[str, Any]]:
        """The entries so far, which are then forgotten."""
        for item, pieces in zip(self._items, self._texts, strict=True):
            if pieces is not None:
                item[pieces[0]] = "".join(pieces[1])
        items, self._items, self._texts = self._items, [], []
        return items


def joined_sound(sound: Mapping[str, Any]) -> dict[str, Any]:
    """The pieces of a spoken answer as one `audio` object; every piece is base64 of its own."""
    whole = dict(sound)
    if "transcript" in whole:
        whole["transcript"] = "".join(whole["transcript"])
    if "data" in whole:
        whole["data"] = _joined_base64(whole["data"])
    return whole if whole.get("data") or whole.get("id") or whole.get("transcript") else {}


def _joined_base64(pieces: list[str]) -> str:
    try:
        return b64encode(b"".join(b64decode(piece) for piece in pieces)).decode()
    except (binascii.Error, ValueError):
        return "".join(pieces)
