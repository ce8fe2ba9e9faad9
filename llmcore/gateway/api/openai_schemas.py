"""JSON schemas of OpenAI's wires as served: what is asked, what is answered, and the events of streams.

A request may hold more than is named here: fields that nobody could honour become `x-llmcore-warnings`. An answer names
what always comes. Source: OpenAI's API reference; `gateway.mirror` reads and writes them.
"""

from __future__ import annotations

from llmcore.gateway.api.schemas import (
    ANY,
    COUNT,
    JSON_SCHEMA,
    NUMBER,
    POSITIVE,
    SHARE,
    SOME_TEXT,
    TEXT,
    WHOLE,
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
from llmcore.types import EFFORTS

_MODEL = told(SOME_TEXT, "A name, an alias, or `provider/model`; left out, the default of whoever answers.")
_WARMTH: Schema = {"type": "number", "minimum": 0, "maximum": 2}
_PENALTY: Schema = {"type": "number", "minimum": -2, "maximum": 2}
_TOOL_NAME: Schema = {"type": "string", "pattern": "^[A-Za-z0-9_.-]+$", "maxLength": 128}


# ------------------------------------------------------------------------------------------- chat completions

_TEXT_PART = kind("text", ("text",), text=TEXT)
_IMAGE_PART = kind(
    "image_url",
    ("image_url",),
    image_url=of(
        ("url",),
        url=told(TEXT, "A data URI, or an https address."),
        detail=null(one_of("auto", "low", "high", "original")),
    ),
)
_SOUND_PART = kind(
    "input_audio",
    ("input_audio",),
    input_audio=of(("data", "format"), data=told(TEXT, "Base64."), format=one_of("wav", "mp3")),
)
_FILE_PART = kind("file", ("file",), file=of(file_data=null(TEXT), file_id=null(TEXT), filename=null(TEXT)))


def _turn(role: str, content: Schema, required: tuple[str, ...] = ("content",), /, **more: Schema) -> Schema:
    return of(("role", *required), role={"const": role}, content=content, name=null(TEXT), **more)


def _content(*parts: Schema) -> Schema:
    return {"anyOf": [TEXT, a_list({"anyOf": list(parts)})]}


_CALL = of(
    ("id", "function"),
    id=TEXT,
    type=null({"const": "function"}),
    function=of(("name",), name=TEXT, arguments=null({"anyOf": [TEXT, ANY]})),
)
CHAT_MESSAGE: Schema = {
    "anyOf": [
        _turn("system", _content(_TEXT_PART)),
        _turn("developer", _content(_TEXT_PART)),
        _turn("user", _content(_TEXT_PART, _IMAGE_PART, _SOUND_PART, _FILE_PART)),
        _turn(
            "assistant", null(_content(_TEXT_PART)), (), tool_calls=null(a_list(_CALL)), refusal=null(TEXT)
        ),
        _turn("tool", _content(_TEXT_PART, _IMAGE_PART), ("content", "tool_call_id"), tool_call_id=TEXT),
    ]
}
_FUNCTION = of(
    ("function",),
    type=null({"const": "function"}),
    function=of(
        ("name",),
        name=_TOOL_NAME,
        description=null(TEXT),
        parameters=null(JSON_SCHEMA),
        strict=null(YES),
    ),
)
_FUNCTION_CHOICE: Schema = {
    "anyOf": [
        one_of("auto", "none", "required", "any"),
        kind("function", ("function",), function=of(("name",), name=TEXT)),
        kind("allowed_tools", ("allowed_tools",), allowed_tools=ANY),
    ]
}
_FORMAT: Schema = {
    "anyOf": [
        kind("text"),
        kind("json_object"),
        kind(
            "json_schema",
            ("json_schema",),
            json_schema=of(("schema",), schema=JSON_SCHEMA, name=null(TEXT), strict=null(YES)),
        ),
    ]
}
_ASKED_CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Say hello."}]}
_CHAT = of(
    ("messages",),
    model=null(_MODEL),
    messages=a_list(CHAT_MESSAGE, minItems=1, maxItems=10_000),
    stream=null(YES),
    stream_options=null(of(include_usage=null(YES))),
    temperature=null(_WARMTH),
    top_p=null(SHARE),
    max_tokens=null(POSITIVE),
    max_completion_tokens=null(POSITIVE),
    stop=null({"anyOf": [TEXT, a_list(TEXT, maxItems=64)]}),
    seed=null(WHOLE),
    n=null({"const": 1}),
    tools=null(a_list(_FUNCTION, maxItems=512)),
    tool_choice=null(_FUNCTION_CHOICE),
    parallel_tool_calls=null(YES),
    response_format=null(_FORMAT),
    reasoning_effort=null(one_of(*EFFORTS)),
    frequency_penalty=null(_PENALTY),
    presence_penalty=null(_PENALTY),
    metadata=null(of(session=null(TEXT))),
    user=null(TEXT),
)
CHAT_BODY = example(_CHAT, _ASKED_CHAT, {**_ASKED_CHAT, "stream": True})
PLAYGROUND_BODY = example(
    {**of(("messages", "stream")), "properties": {**_CHAT["properties"], "stream": {"const": True}}},
    {**_ASKED_CHAT, "stream": True},
)
EXPLAIN_BODY = example(_CHAT, _ASKED_CHAT)
_CHAT_USAGE = of(
    prompt_tokens=COUNT,
    completion_tokens=COUNT,
    total_tokens=COUNT,
    prompt_tokens_details=ANY,
    completion_tokens_details=ANY,
)
_FINISH = one_of("stop", "length", "tool_calls", "content_filter")
_ANSWER = of(
    ("role", "content", "refusal"),
    role={"const": "assistant"},
    content=null(TEXT),
    refusal=null(TEXT),
    tool_calls=a_list(_CALL),
    reasoning_content=TEXT,
    reasoning_details=a_list(ANY),
    images=a_list(ANY),
    audio=ANY,
    annotations=a_list(ANY),
    citations={},
    search_results={},
)
CHAT_ANSWER = of(
    ("id", "object", "created", "model", "choices", "system_fingerprint"),
    id=TEXT,
    object={"const": "chat.completion"},
    created=WHOLE,
    model=TEXT,
    choices=a_list(whole(index=COUNT, message=_ANSWER, logprobs={"type": "null"}, finish_reason=_FINISH)),
    system_fingerprint=null(TEXT),
    usage=_CHAT_USAGE,
)
OPENAI_ERROR = whole(
    error=of(
        ("message", "type", "param", "code"),
        message=told(TEXT, "What is wrong, and what to do."),
        type=TEXT,
        param=told(null(TEXT), "The path of the fault in the request."),
        code=null(TEXT),
    )
)
_CHUNK = of(
    ("id", "object", "created", "model", "choices"),
    id=TEXT,
    object={"const": "chat.completion.chunk"},
    created=WHOLE,
    model=TEXT,
    system_fingerprint=null(TEXT),
    choices=a_list(whole(index=COUNT, delta=ANY, logprobs={"type": "null"}, finish_reason=null(_FINISH))),
    usage=null(_CHAT_USAGE),
)
CHAT_EVENT: Schema = {
    "anyOf": [
        whole(data={"const": "[DONE]"}),
        event({"anyOf": [_CHUNK, OPENAI_ERROR]}, "A chunk, or an error."),
    ],
    "description": "`[DONE]` is the last one, which no failed stream has.",
}

# ---------------------------------------------------------------------------------------------------- responses

_INPUT_ITEM: Schema = {
    "anyOf": [
        of(
            ("role", "content"),
            type=null({"const": "message"}),
            role=one_of("user", "assistant", "system", "developer"),
            content={"anyOf": [TEXT, a_list(kind("input_text", ("text",), text=TEXT))]},
        ),
        kind("function_call", ("call_id", "name", "arguments"), call_id=TEXT, name=TEXT, arguments=TEXT),
        kind(
            "function_call_output", ("call_id", "output"), call_id=TEXT, output={"anyOf": [TEXT, a_list(ANY)]}
        ),
    ],
    "description": "An item of the conversation; those that an answer gave are taken back as they are.",
}
_ASKED_RESPONSE = {"model": "gpt-4o-mini", "input": "Say hello."}
RESPONSES_BODY = example(
    of(
        ("input",),
        model=null(_MODEL),
        input={"anyOf": [SOME_TEXT, a_list(_INPUT_ITEM, minItems=1, maxItems=10_000)]},
        instructions=null(TEXT),
        stream=null(YES),
        store=null(told(YES, "Nothing is stored, whatever it says.")),
        temperature=null(_WARMTH),
        top_p=null(SHARE),
        max_output_tokens=null(POSITIVE),
        tools=null(
            a_list(
                kind(
                    "function",
                    ("name",),
                    name=_TOOL_NAME,
                    description=null(TEXT),
                    parameters=null(JSON_SCHEMA),
                    strict=null(YES),
                ),
                maxItems=512,
            )
        ),
        tool_choice=null(
            {"anyOf": [one_of("auto", "none", "required"), kind("function", ("name",), name=TEXT)]}
        ),
        parallel_tool_calls=null(YES),
        reasoning=null(of(effort=null(one_of(*EFFORTS)))),
        text=null(of(format=null(ANY), verbosity=null(TEXT))),
        metadata=null({"type": "object", "additionalProperties": TEXT}),
        user=null(TEXT),
    ),
    _ASKED_RESPONSE,
    {**_ASKED_RESPONSE, "stream": True},
)
_OUTPUT = loose(
    of(
        ("type",),
        type=TEXT,
        id=TEXT,
        status=TEXT,
        role={"const": "assistant"},
        content=a_list(
            of(("type",), type=TEXT, text=TEXT, refusal=TEXT, annotations=a_list(ANY), logprobs={})
        ),
        call_id=TEXT,
        name=TEXT,
        arguments=TEXT,
        summary=a_list(ANY),
        encrypted_content=null(TEXT),
    ),
    "`message`, `function_call`, `reasoning`, `image_generation_call`, or an item of OpenAI's own as it came.",
)
RESPONSES_ANSWER = of(
    (
        "id",
        "object",
        "created_at",
        "status",
        "model",
        "output",
        "error",
        "incomplete_details",
        "usage",
        "store",
    ),
    id=TEXT,
    object={"const": "response"},
    created_at=WHOLE,
    status=one_of("in_progress", "completed", "incomplete", "failed", "cancelled"),
    model=TEXT,
    output=a_list(_OUTPUT),
    error=null(whole(code=TEXT, message=TEXT)),
    incomplete_details=null(whole(reason=TEXT)),
    usage=null(
        whole(
            input_tokens=COUNT,
            input_tokens_details=ANY,
            output_tokens=COUNT,
            output_tokens_details=ANY,
            total_tokens=COUNT,
        )
    ),
    store={"const": False},
    background={"const": False},
    instructions=null(TEXT),
    max_output_tokens=null(WHOLE),
    max_tool_calls={},
    metadata=ANY,
    parallel_tool_calls=YES,
    previous_response_id={"type": "null"},
    reasoning=null(ANY),
    service_tier=TEXT,
    temperature=null(NUMBER),
    text=ANY,
    tool_choice={"anyOf": [TEXT, ANY]},
    tools=a_list(ANY),
    top_p=null(NUMBER),
    truncation=TEXT,
    user=null(TEXT),
)
_EVENTS = (
    *("response.created", "response.in_progress"),
    *("response.completed", "response.incomplete", "response.failed", "error"),
    *("response.output_item.added", "response.output_item.done"),
    *("response.content_part.added", "response.content_part.done"),
    *("response.output_text.delta", "response.output_text.done", "response.output_text.annotation.added"),
    *("response.refusal.delta", "response.refusal.done"),
    *("response.reasoning_summary_part.added", "response.reasoning_summary_part.done"),
    *("response.reasoning_summary_text.delta", "response.reasoning_summary_text.done"),
    *("response.function_call_arguments.delta", "response.function_call_arguments.done"),
)
RESPONSES_EVENT = event(
    of(("type", "sequence_number"), type=one_of(*_EVENTS), sequence_number=COUNT),
    "`response.completed`, `response.incomplete` or `response.failed` is the last one.",
    *_EVENTS,
)

# ------------------------------------------------------------------------------------------- embeddings, models

_ASKED_EMBEDDING = {"model": "text-embedding-3-small", "input": ["one text", "another"]}
EMBEDDINGS_BODY = example(
    of(
        ("input",),
        model=null(_MODEL),
        input={"anyOf": [SOME_TEXT, a_list(SOME_TEXT, minItems=1, maxItems=2048)]},
        encoding_format=null(one_of("float", "base64")),
        dimensions=null(POSITIVE),
        user=null(TEXT),
    ),
    _ASKED_EMBEDDING,
)
EMBEDDINGS_ANSWER = whole(
    object={"const": "list"},
    data=a_list(
        whole(
            object={"const": "embedding"},
            index=COUNT,
            embedding={"anyOf": [a_list(NUMBER), told(TEXT, "Base64 of little-endian float32.")]},
        )
    ),
    model=TEXT,
    usage=whole(
        prompt_tokens=told(null(COUNT), "Null where the provider does not count."), total_tokens=null(COUNT)
    ),
)
MODEL = of(
    ("id", "object", "created", "owned_by"),
    id=TEXT,
    object={"const": "model"},
    created=WHOLE,
    owned_by=TEXT,
    display_name=TEXT,
    context_window=WHOLE,
    max_output_tokens=WHOLE,
    capabilities=a_list(TEXT),
)
MODELS = whole(object={"const": "list"}, data=a_list(MODEL))

# ---------------------------------------------------------------------------------------------------- own streams

PLAYGROUND_EVENT = event(
    ANY,
    "`done` or `error` is the last one.",
    *("begin", "text", "thought", "part", "restarted", "continued", "done", "error"),
)
