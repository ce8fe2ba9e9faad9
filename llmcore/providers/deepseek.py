"""DeepSeek: the OpenAI wire; thinking is a switch, and goes back with the tool calls that it led to."""

from __future__ import annotations

from llmcore.errors import ModelNotFoundError, OverloadedError
from llmcore.providers.place import Place
from llmcore.wire.openai import OpenAIWire
from llmcore.wire.openai_errors import ErrorRule
from llmcore.wire.read import Json


class DeepSeekWire(OpenAIWire):
    """While it thinks, every assistant message with tool calls must hold `reasoning_content`, if only an empty one.

    Source: the thinking-mode guide of DeepSeek's API. Messages of other models have none of their own.
    """

    def assistant_message(self, message: Json) -> Json:
        if "tool_calls" in message:
            message.setdefault("reasoning_content", "")
        return message


PLACE = Place(
    kind="deepseek",
    title="DeepSeek",
    wire=DeepSeekWire(
        origin="deepseek",
        features=frozenset({"stream", "tools", "structured_output", "reasoning", "models"}),
        without=frozenset({"seed", "parallel_tool_calls", "strict"}),
        reasoning="thinking",
        structured="json_object",
        failures={"insufficient_system_resource": OverloadedError},
        rules=(ErrorRule(ModelNotFoundError, 400, words="supported api model names"),),
    ),
    base_url="https://api.deepseek.com",
    key_env=("DEEPSEEK_API_KEY",),
)
