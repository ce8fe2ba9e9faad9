"""Marks by which clients say how much of a prompt may be kept, as each wire writes them, to `CachePoint`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from llmcore.gateway.mirror import read
from llmcore.gateway.mirror.lost import Lost
from llmcore.types import CachePoint, Part, Text

_TTLS: tuple[Literal["5m", "1h"], ...] = ("5m", "1h")
_KNOWN = frozenset({"type", "ttl"})


def cache_control(marked: Mapping[str, Any], at: str, lost: Lost) -> CachePoint | None:
    """Anthropic's `cache_control` of a block, a tool or a whole request. Raises BadRequest."""
    if marked.get("cache_control") is None:
        return None
    given, where = read.need_obj(marked, "cache_control", at), read.path(at, "cache_control")
    read.a_word(read.need_string(given, "type", where), f"{where}.type", ("ephemeral",))
    lost.others(given, _KNOWN, "cache_control")
    return CachePoint(read.word(given, "ttl", _TTLS, where))


def cache_mark(marked: Mapping[str, Any], at: str, lost: Lost) -> CachePoint | None:
    """The mark on a part or tool of OpenAI's wires: its own `prompt_cache_breakpoint`, whose lifetimes are OpenAI's alone,
    or `cache_control`, which clients send to routers of many vendors. Raises BadRequest.
    """
    if marked.get("prompt_cache_breakpoint") is None:
        return cache_control(marked, at, lost)
    where = read.path(at, "prompt_cache_breakpoint")
    given = read.need_obj(marked, "prompt_cache_breakpoint", at)
    read.word(given, "mode", ("explicit",), where)
    lost.given(given, ("ttl",), "prompt_cache_breakpoint")
    return CachePoint()


def says_something(part: Part) -> bool:
    """Whether there is anything to answer in it: blank text is nothing, and a mark is none of what is said."""
    return bool(part.text.strip()) if type(part) is Text else type(part) is not CachePoint
