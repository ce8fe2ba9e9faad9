"""Tools and the choice among them, as chat completions say them. Source: OpenAI's API reference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import define

from llmcore.gateway.mirror import read
from llmcore.gateway.mirror.caching import cache_mark
from llmcore.gateway.mirror.lost import Lost
from llmcore.types import Tool

CHOICES = ("auto", "none", "required")


@define
class Tools:
    """`tools` and `tool_choice` of one request, in whatever order they came."""

    lost: Lost
    tools: tuple[Tool, ...] = ()
    choice: str | None = None
    allowed: frozenset[str] | None = None

    def read_tools(self, value: object) -> None:
        found = read.a_list(value, "tools", most=read.MAX_TOOLS)
        self.tools = tuple(_tool(item, f"tools[{index}]", self.lost) for index, item in enumerate(found))
        names = [tool.name for tool in self.tools]
        if len({*names}) < len(names):
            twice = next(index for index, name in enumerate(names) if name in names[:index])
            read.fail(
                f"tools[{twice}].function.name", f"{names[twice]!r} is given twice", code="invalid_value"
            )

    def read_choice(self, value: object) -> None:
        at = "tool_choice"
        if type(value) is str:  # "any" is what Mistral's clients say
            self.choice = "required" if value == "any" else read.a_word(value, at, CHOICES)
            return
        if type(value) is not dict:
            read.wrong(value, at, "a string or an object")
        kind = read.need_string(value, "type", at)
        if kind == "allowed_tools":
            self._read_allowed(read.need_obj(value, "allowed_tools", at), f"{at}.allowed_tools")
        elif kind == "function":
            self.choice = _named(value, at)
        else:
            read.not_one_of(kind, f"{at}.type", ("function", "allowed_tools"))

    def _read_allowed(self, told: Mapping[str, Any], at: str) -> None:
        self.choice = read.word(told, "mode", ("auto", "required"), at) or "auto"
        self.allowed = frozenset(_named(item, where) for where, item in read.objects(told, "tools", at))
        if not self.allowed:
            read.missing(f"{at}.tools")

    def fields(self) -> dict[str, Any]:
        """The request's `tools` and `tool_choice`; only the allowed ones are offered to the model."""
        if self.allowed is None:
            return {"tools": self.tools, "tool_choice": self.choice}
        if unknown := self.allowed - {tool.name for tool in self.tools}:
            read.fail("tool_choice.allowed_tools.tools", f"{min(unknown)!r} is not one of the tools")
        offered = tuple(tool for tool in self.tools if tool.name in self.allowed)
        return {"tools": offered, "tool_choice": self.choice}


def _named(value: Mapping[str, Any], at: str) -> str:
    """The function that a choice names."""
    name = read.need_string(read.need_obj(value, "function", at), "name", f"{at}.function")
    if name in CHOICES:
        read.fail(f"{at}.function.name", f"a tool called {name!r} cannot be chosen by its name")
    return name


_TOOL = frozenset({"type", "function", "cache_control", "prompt_cache_breakpoint"})
_FUNCTION = frozenset({"name", "description", "parameters", "strict"})


def _tool(value: object, at: str, lost: Lost) -> Tool:
    told = read.an_object(value, at)
    lost.others(told, _TOOL, "tools[]")
    cache = cache_mark(told, at, lost)
    kind = read.string(told, "type", at) or "function"
    if kind != "function":
        read.fail(
            f"{at}.type",
            f"{kind[:80]!r} is not taken; only tools of the type function are",
            code="invalid_value",
        )
    function, at = read.need_obj(told, "function", at), f"{at}.function"
    lost.others(function, _FUNCTION, "tools[].function")
    name, strict = _name(function, at), read.boolean(function, "strict", at)
    description, parameters = (
        read.string(function, "description", at) or "",
        read.obj(function, "parameters", at),
    )
    if parameters is None:
        return Tool(name, description, strict=strict, cache=cache)
    return Tool(name, description, read.schema(parameters, f"{at}.parameters", top="object"), strict, cache)


def _name(function: Mapping[str, Any], at: str) -> str:
    name = read.need_string(function, "name", at)
    if not name or not all(char.isalnum() or char in "_-." for char in name):
        read.fail(
            f"{at}.name", f"{name[:80]!r} must be letters, digits, '_', '-' or '.'", code="invalid_value"
        )
    return name
