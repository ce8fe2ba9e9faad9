"""Any JSON whatever is read or refused with a path: no body makes a mirror fail in another way."""

from __future__ import annotations

import copy
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmcore.check import as_generation_request
from llmcore.errors import InvalidRequestError
from llmcore.gateway.errors import BadRequest
from llmcore.gateway.mirror.anthropic import AnthropicMirror
from llmcore.gateway.mirror.marks import Mark
from llmcore.gateway.mirror.responses import ResponsesMirror

SEALED = str(Mark("text", "gemini", "s"))
PICTURE = {"type": "base64", "media_type": "image/png", "data": "iVBO"}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}

MESSAGES: dict[str, Any] = {
    "model": "m",
    "max_tokens": 9,
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Hi", "citations": []},
                {"type": "image", "source": PICTURE},
                {"type": "document", "title": "t", "source": {"type": "content", "content": [{"type": "text", "text": "x"}]}},
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "text", "text": "Yes"},
                {"type": "redacted_thinking", "data": SEALED},
                {"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1}, "caller": {"type": "direct"}},
                {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "c", "is_error": False, "content": [{"type": "image", "source": PICTURE}]}
            ],
        },
    ],
    "tools": [{"name": "f", "description": "d", "input_schema": SCHEMA, "strict": True}],
    "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
    "temperature": 0.5,
    "top_p": 1,
    "stop_sequences": ["x"],
    "thinking": {"type": "enabled", "budget_tokens": 2000, "display": "omitted"},
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}},
    "metadata": {"user_id": "u"},
    "mcp_servers": [],
    "stream": True,
    "top_k": 3,
}  # fmt: skip

RESPONSES: dict[str, Any] = {
    "model": "m",
    "instructions": "Be brief.",
    "input": [
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "Hi"},
                {"type": "input_image", "image_url": "data:image/png;base64,iVBO", "detail": "auto"},
                {"type": "input_file", "filename": "a.txt", "file_data": "eA=="},
                {"type": "input_audio", "input_audio": {"format": "wav", "data": "eA=="}},
            ],
        },
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "s"},
        {"role": "assistant", "phase": "commentary", "content": [{"type": "output_text", "text": "x"}, {"type": "refusal", "refusal": "y"}]},
        {"type": "reasoning", "summary": [], "encrypted_content": SEALED},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "x"}]},
        {"type": "web_search_call", "id": "w"},
    ],
    "tools": [{"type": "function", "name": "f", "description": "d", "parameters": SCHEMA, "strict": True}],
    "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
    "parallel_tool_calls": True,
    "temperature": 0.5,
    "top_p": 1,
    "max_output_tokens": 9,
    "text": {"verbosity": "low", "format": {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True}},
    "reasoning": {"effort": "low", "summary": "auto"},
    "metadata": {"session": "s"},
    "include": ["reasoning.encrypted_content"],
    "truncation": "auto",
    "store": True,
    "stream": True,
    "service_tier": "auto",
    "user": "u",
}  # fmt: skip

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(
        ["user", "text", "none", "auto", "function", "tool_result", SEALED, "llmcore1.", "data:;base64,"]
    )
)
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [at] if at else []
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        found += places(value[key], (*at, key))
    return found


def replaced(body: dict[str, Any], place: tuple[Any, ...], value: Any) -> dict[str, Any]:
    whole: Any = copy.deepcopy(body)
    inner = whole
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return whole  # type: ignore[no-any-return]  # it began as one


BODIES = pytest.mark.parametrize(
    ("mirror", "body"),
    [(AnthropicMirror(), MESSAGES), (ResponsesMirror(), RESPONSES)],
    ids=["anthropic", "responses"],
)


@BODIES
def test_the_whole_body_is_good(mirror: Any, body: dict[str, Any]) -> None:
    as_generation_request(mirror.decode_request(body).request)


@BODIES
@settings(max_examples=300)
@given(data=st.data())
def test_one_wrong_value_anywhere_is_read_or_refused_with_a_path(
    mirror: Any, body: dict[str, Any], data: st.DataObject
) -> None:
    place = data.draw(st.sampled_from(places(body)))
    error = complaint(mirror, replaced(body, place, data.draw(json_values)))
    assert error is None or (error.param and error.message.startswith(error.param))


@BODIES
@given(
    junk=st.dictionaries(
        st.sampled_from(["messages", "input", "max_tokens", "model", "tools", "x"]), json_values
    )
)
def test_junk_is_refused_with_a_path(mirror: Any, body: dict[str, Any], junk: dict[str, Any]) -> None:
    error = complaint(mirror, junk)
    assert error is None or error.param


def complaint(mirror: Any, body: dict[str, Any]) -> BadRequest | None:
    """Why the mirror does not take a body; what it takes may only be refused by our own check."""
    try:
        request = mirror.decode_request(body).request
    except BadRequest as error:
        return error
    with suppress(InvalidRequestError):
        as_generation_request(request)
    return None
