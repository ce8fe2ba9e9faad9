"""A small honest tokenizer: the same text always splits the same way, and the pieces joined are the text.

A token is up to eight letters or digits, or one mark, each with at most one space before it; or a run of white space.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from llmcore.sim.values import Media, Result, Turn

_TOKEN = re.compile(r" ?\w{1,8}| ?[^\w\s]|\s+")

TOKENS_PER_IMAGE = 85
TOKENS_PER_TURN = 3


def tokens_of(text: str) -> list[str]:
    return _TOKEN.findall(text)


def count(text: str) -> int:
    return len(_TOKEN.findall(text))


def count_turns(turns: Iterable[Turn]) -> int:
    """Tokens of a conversation: its texts, 3 for every turn, 85 for every image, file or sound."""
    return sum(TOKENS_PER_TURN + sum(_count_part(part) for part in turn.parts) for turn in turns)


def _count_part(part: object) -> int:
    if isinstance(part, Media):
        return TOKENS_PER_IMAGE
    if isinstance(part, Result):
        return sum(_count_part(piece) for piece in part.content)
    text = getattr(part, "text", None)
    return count(text if isinstance(text, str) else str(getattr(part, "arguments", "")))
