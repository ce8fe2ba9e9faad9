"""Anthropic Messages, what goes up: a request to the JSON body of `POST /v1/messages`.

Source: Anthropic's API reference and SDK 2.11. Version 2026-10-21 refuses `temperature` and `top_p` even at their
defaults, so they are left out there with a warning; 2023-06-01 takes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from llmcore.errors import InvalidRequestError
from llmcore.types import GenerationRequest, JsonSchema, Tool
from llmcore.wire import structured
from llmcore.wire.anthropic_content import MessageEncoder, cache_control
from llmcore.wire.base import Warnings
from llmcore.wire.foreign import TO_ANTHROPIC, native
from llmcore.wire.read import Json, as_count, as_dict, merged

MIN_BUDGET = 1024
_REFUSED = "refused by this API version even at its default; not sent (api_version 2023-06-01 takes it)"
_TIERS = ("auto", "standard_only")
_CHOICES = {"auto": "auto", "required": "any", "none": "none"}


@frozen
class Rules:
    """What differs between versions, models and places that speak this dialect.

    newer: API version 2026-10-21 or later. max_tokens: what is sent where the request sets no limit, since the API needs
    one. native_schema: whether a JSON schema goes into `output_config.format`, or into a forced tool.
    """

    origin: str
    newer: bool
    max_tokens: int
    native_schema: bool

    def answers_by_tool(self, request: GenerationRequest) -> bool:
        """Whether the structured answer comes as the arguments of a tool; JSON without a schema always does."""
        asked = request.response_format
        return asked is not None and (asked == "json" or not self.native_schema)


class RequestEncoder:
    """One request to one body; `warnings` and `uses_files` tell what else is to be known of it."""

    def __init__(self, request: GenerationRequest, rules: Rules) -> None:
        self.warnings: Warnings = Warnings()
        self.uses_files: bool = False
        self._request = request
        self._rules = rules

    def body(self, *, stream: bool) -> dict[str, Any]:
        """Raises InvalidRequestError (UnsupportedFeatureError where another dialect could say it)."""
        request = self._request
        messages = MessageEncoder(newer=self._rules.newer, origin=self._rules.origin, warnings=self.warnings)
        messages.encode(request.messages)
        self.uses_files = messages.uses_files
        thinking = self._thinking()
        fields = {
            "model": request.model,
            "messages": messages.turns,
            "max_tokens": self._max_tokens(thinking),
            "system": _system(messages.system),
            "tools": self._tools(),
            "tool_choice": self._tool_choice(thinking),
            "temperature": self._temperature(),
            "top_p": self._top_p(),
            "stop_sequences": self._stop(),
            "thinking": thinking,
            "output_config": self._output_config(),
            "stream": stream or None,
        }
        self.warnings.dropped("seed", request.seed)
        extra = self._own(native(request.extra, TO_ANTHROPIC, self.warnings))
        body = merged({key: value for key, value in fields.items() if value is not None}, extra)
        _check_budget(body)
        return body

    def _own(self, extra: Mapping[str, Any]) -> Mapping[str, Any]:
        """Without what bears a name that Anthropic knows, but says what only another dialect means by it."""
        tier, metadata = extra.get("service_tier", "auto"), extra.get("metadata", {})
        strange = {
            "service_tier": tier not in _TIERS,
            "metadata": not isinstance(metadata, Mapping) or not {"user_id"}.issuperset(metadata),
        }
        if not any(strange.values()):
            return extra
        for name in filter(strange.get, strange):
            self.warnings.dropped(f"extra.{name}", extra[name], "means something else here; not sent")
        return {name: value for name, value in extra.items() if not strange.get(name)}

    # ---------------------------------------------------------------------------------------------- limits

    def _max_tokens(self, thinking: Json) -> int:
        budget = thinking.get("budget_tokens", 0) if thinking else 0
        return self._request.max_tokens or self._rules.max_tokens + budget

    def _temperature(self) -> float | None:
        value = self._request.temperature
        if self._rules.newer:
            self.warnings.dropped("temperature", value, _REFUSED)
            return None
        if value is not None and value > 1:
            self.warnings.changed("temperature", f"{value:g} lowered to 1, the most that Anthropic takes")
            return 1.0
        return value

    def _top_p(self) -> float | None:
        if self._rules.newer:
            self.warnings.dropped("top_p", self._request.top_p, _REFUSED)
            return None
        return self._request.top_p

    def _stop(self) -> list[str] | None:
        taken = [text for text in self._request.stop if text.strip()]
        if len(taken) < len(self._request.stop):
            self.warnings.changed("stop", "Anthropic takes no stop sequence of white space only; not sent")
        return taken or None

    # ----------------------------------------------------------------------------------------------- tools

    def _tools(self) -> list[Json] | None:
        tools = [_tool(tool) for tool in self._request.tools]
        if self._request.response_format is not None and self._rules.answers_by_tool(self._request):
            tools.append(_tool(structured.as_tool(self._request.response_format)))
        return tools or None

    def _tool_choice(self, thinking: Json) -> Json | None:
        by_tool = self._rules.answers_by_tool(self._request)
        if not by_tool and not self._request.tools:
            return None
        choice: Json = self._answer_choice(thinking) if by_tool else _choice(self._request.tool_choice)
        if self._request.parallel_tool_calls is False:
            choice = choice or {"type": "auto"}
            if choice["type"] != "none":
                choice["disable_parallel_tool_use"] = True
        return choice

    def _answer_choice(self, thinking: Json) -> Json:
        """The choice that makes the model use the answer tool, or first one of the caller's own."""
        if thinking and thinking["type"] != "disabled":
            self.warnings.changed("response_format", "asked for but not forced, since thinking forbids it")
            return {"type": "auto"}
        asked = self._request.tool_choice
        if not self._request.tools or asked == "none":
            return {"type": "tool", "name": structured.ANSWER_TOOL, "disable_parallel_tool_use": True}
        return {"type": "any"} if asked in (None, "auto") else _choice(asked)

    # ------------------------------------------------------------------------------------ thinking, output

    def _thinking(self) -> Json | None:
        reasoning = self._request.reasoning
        if reasoning is None:
            return None
        budget = reasoning.budget_tokens
        if reasoning.effort == "none" or budget == 0:
            return {"type": "disabled"}
        if budget is None:
            return {"type": "adaptive"} if reasoning.adaptive else None
        if budget < MIN_BUDGET:
            self.warnings.changed("reasoning.budget_tokens", f"{budget} raised to {MIN_BUDGET}, the least")
        return {"type": "enabled", "budget_tokens": max(budget, MIN_BUDGET)}

    def _output_config(self) -> Json | None:
        config: dict[str, Any] = {}
        asked = self._request.response_format
        if isinstance(asked, JsonSchema) and self._rules.native_schema:
            config["format"] = {"type": "json_schema", "schema": dict(asked.schema)}
        effort = self._request.reasoning.effort if self._request.reasoning else None
        if effort == "minimal":
            self.warnings.changed("reasoning.effort", "minimal is sent as low, the least")
            effort = "low"
        if effort not in (None, "none"):
            config["effort"] = effort
        return config or None


def _check_budget(body: dict[str, Any]) -> None:
    """Thinking counts towards `max_tokens`; only between calls of tools may it exceed one answer's limit."""
    thinking, limit = as_dict(body.get("thinking")), as_count(body.get("max_tokens"))
    budget = as_count(thinking.get("budget_tokens"))
    if budget is None or limit is None or budget < limit or body.get("tools"):
        return
    raise InvalidRequestError(
        f"reasoning.budget_tokens: {budget} leaves nothing of max_tokens ({limit}) for the answer; "
        "raise max_tokens above it, or lower the budget"
    )


def _system(blocks: list[Json]) -> Json | None:
    plain = len(blocks) == 1 and "cache_control" not in blocks[0]
    return blocks[0]["text"] if plain else blocks or None


def _tool(tool: Tool) -> Json:
    encoded: dict[str, Any] = {"name": tool.name}
    if tool.description:
        encoded["description"] = tool.description
    encoded["input_schema"] = {"type": "object", **tool.parameters}
    if tool.strict is not None:
        encoded["strict"] = tool.strict
    if tool.cache is not None:
        encoded["cache_control"] = cache_control(tool.cache)
    return encoded


def _choice(choice: str | None) -> Json | None:
    if choice is None:
        return None
    return {"type": _CHOICES[choice]} if choice in _CHOICES else {"type": "tool", "name": choice}
