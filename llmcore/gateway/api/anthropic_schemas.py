"""JSON schemas of Anthropic's wire as served: what is asked, what is answered, and the events of streams.

A request may hold more than is named here: fields that nobody could honour become `x-llmcore-warnings`. An answer names
what always comes. Source: Anthropic's API reference; `gateway.mirror` reads and writes them.
"""

from __future__ import annotations

from llmcore.gateway.api.schemas import (
    ANY,
    COUNT,
    JSON_SCHEMA,
    POSITIVE,
    SHARE,
    SOME_TEXT,
    TEXT,
    YES,
    Schema,
    a_list,
    event,
    example,
    kind,
    loose,
    null,
    of,
    one_of,
    told,
    whole,
)

_TEXT_BLOCK = kind("text", ("text",), text=TEXT)
_SOURCE: Schema = {
    "anyOf": [
        kind("base64", ("media_type", "data"), media_type=TEXT, data=TEXT),
        kind("url", ("url",), url=TEXT),
    ]
}
_BLOCK: Schema = {
    "anyOf": [
        _TEXT_BLOCK,
        kind("image", ("source",), source=_SOURCE),
        kind("document", ("source",), source=ANY),
        kind("thinking", ("thinking",), thinking=TEXT, signature=null(TEXT)),
        kind("redacted_thinking", ("data",), data=TEXT),
        kind("tool_use", ("id", "name", "input"), id=TEXT, name=TEXT, input=ANY),
        kind(
            "tool_result",
            ("tool_use_id",),
            tool_use_id=TEXT,
            content=null({"anyOf": [TEXT, a_list(ANY)]}),
            is_error=null(YES),
        ),
    ],
    "description": "A content block; those of Anthropic's own tools are taken back as they came.",
}
_ASKED_MESSAGE = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 256,
    "messages": [{"role": "user", "content": "Say hello."}],
}
_MESSAGES = of(
    ("messages",),
    model=null(told(TEXT, "A name, an alias, or `provider/model`.")),
    messages=a_list(
        of(
            ("role", "content"),
            role=one_of("user", "assistant", "system"),
            content={"anyOf": [SOME_TEXT, a_list(_BLOCK, minItems=1)]},
        ),
        minItems=1,
        maxItems=10_000,
    ),
    system=null({"anyOf": [TEXT, a_list(_TEXT_BLOCK)]}),
    temperature=null(SHARE),
    top_p=null(SHARE),
    stop_sequences=null({"anyOf": [TEXT, a_list(TEXT)]}),
    tools=null(
        a_list(
            of(
                ("name", "input_schema"),
                type=null({"const": "custom"}),
                name=TEXT,
                description=null(TEXT),
                input_schema=JSON_SCHEMA,
            ),
            maxItems=512,
        )
    ),
    tool_choice=null(of(("type",), type=one_of("auto", "any", "tool", "none"), name=null(TEXT))),
    thinking=null(of(("type",), type=one_of("enabled", "disabled", "adaptive", "between_tools"))),
    metadata=null(of(user_id=null(TEXT))),
)
MESSAGES_BODY = example(
    {
        **_MESSAGES,
        "required": ["messages", "max_tokens"],
        "properties": {**_MESSAGES["properties"], "max_tokens": POSITIVE, "stream": null(YES)},
    },
    _ASKED_MESSAGE,
    {**_ASKED_MESSAGE, "stream": True},
)
COUNT_BODY = example(_MESSAGES, {"messages": _ASKED_MESSAGE["messages"]})
COUNTED = whole(input_tokens={"type": "integer", "minimum": 1})
_MESSAGES_USAGE = of(
    ("input_tokens", "output_tokens"),
    input_tokens=COUNT,
    output_tokens=COUNT,
    cache_creation_input_tokens=null(COUNT),
    cache_read_input_tokens=null(COUNT),
    output_tokens_details=ANY,
)
_ANSWERED = loose(
    of(
        ("type",),
        type=TEXT,
        text=TEXT,
        thinking=TEXT,
        signature=TEXT,
        data=TEXT,
        id=TEXT,
        name=TEXT,
        input=ANY,
    ),
    "`text`, `thinking`, `redacted_thinking`, `tool_use`, or a block of Anthropic's own as it came.",
)
MESSAGES_ANSWER = whole(
    id=TEXT,
    type={"const": "message"},
    role={"const": "assistant"},
    model=TEXT,
    content=a_list(_ANSWERED),
    stop_reason=one_of(
        *("end_turn", "stop_sequence", "max_tokens", "model_context_window_exceeded"),
        *("tool_use", "pause_turn", "refusal"),
    ),
    stop_sequence=null(TEXT),
    stop_details=null(ANY),
    usage=_MESSAGES_USAGE,
)
VERSION = {
    "anthropic-version": told(
        {**TEXT, "examples": ["2023-06-01"]},
        "Where it is sent, the answer has Anthropic's form, and `limit`, `after_id` and `before_id` page the list.",
    )
}
MODEL = whole(
    type={"const": "model"},
    id=TEXT,
    display_name=TEXT,
    created_at={"type": "string", "format": "date-time"},
    lifecycle=TEXT,
    max_input_tokens=null(COUNT),
    max_tokens=null(COUNT),
    capabilities=null(ANY),
)
MODELS = whole(data=a_list(MODEL), has_more=YES, first_id=null(TEXT), last_id=null(TEXT))
ANTHROPIC_ERROR = whole(
    type={"const": "error"},
    error=of(
        ("type", "message"),
        type=one_of(
            *("invalid_request_error", "authentication_error", "billing_error", "permission_error"),
            *("not_found_error", "request_too_large", "rate_limit_error", "timeout_error"),
            *("api_error", "overloaded_error"),
        ),
        message=told(TEXT, "What is wrong, and what to do."),
        details=told(ANY, "One word for programs (`error_code`)."),
    ),
    request_id=TEXT,
)
_EVENTS = (
    *("message_start", "content_block_start", "content_block_delta", "content_block_stop"),
    *("message_delta", "message_stop", "ping", "error"),
)
MESSAGES_EVENT = event(
    of(("type",), type=one_of(*_EVENTS)), "`message_stop` is the last one of a whole answer.", *_EVENTS
)
