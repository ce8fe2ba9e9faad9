"""JSON schemas of the bodies, for the OpenAPI document; what is enforced is read by hand, field by field."""

from __future__ import annotations

from typing import Any

from llmcore.gateway.access.principal import PERIODS, SCOPES

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
LINE: Schema = {"type": "string", "minLength": 1, "maxLength": 200}
NUMBER: Schema = {"type": "number"}
WHOLE: Schema = {"type": "integer"}
YES: Schema = {"type": "boolean"}


def null(schema: Schema) -> Schema:
    """The same, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def of(required: tuple[str, ...] = (), /, **members: Schema) -> Schema:
    """An object with these members."""
    return {"type": "object", "properties": members, "required": list(required)}


def a_list(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def strict(schema: Schema) -> Schema:
    """What comes in: unknown members are refused."""
    return {**schema, "additionalProperties": False}


def page(schema: Schema) -> Schema:
    return of(("data", "next"), data=a_list(schema), next=null(TEXT))


PAGING = {"limit": "how many, 1 to 1000 (100)", "cursor": "`next` of the answer before"}

ERROR = of(
    ("error",),
    error=of(("message", "type", "code"), message=TEXT, type=TEXT, code=null(TEXT), param=null(TEXT)),
)
DONE = of(("ok",), ok=YES)

SETTINGS_BODY = strict(
    of(
        provider=LINE,
        model=null(LINE),
        embedding_model=null(LINE),
        base_url=null(TEXT),
        api_key=null(TEXT),
        temperature=null({"type": "number", "minimum": 0, "maximum": 2}),
        max_tokens=null({"type": "integer", "minimum": 1}),
        version=WHOLE,
    )
)
SETTINGS = of(
    ("provider", "version"),
    provider=null(TEXT),
    model=null(TEXT),
    embedding_model=null(TEXT),
    base_url=null(TEXT),
    api_key_set=YES,
    api_key_last4=null(TEXT),
    temperature=null(NUMBER),
    max_tokens=null(WHOLE),
    version=WHOLE,
    updated_at=null(NUMBER),
    uses=TEXT,
)
TEST_RESULT = of(
    ("ok",),
    ok=YES,
    provider=null(TEXT),
    latency_ms=null(NUMBER),
    error=null(TEXT),
    hint=null(TEXT),
    models=a_list(TEXT),
    at=NUMBER,
)
MODEL = of(
    ("id", "provider"),
    id=TEXT,
    provider=TEXT,
    kind=TEXT,
    display_name=null(TEXT),
    context_window=null(WHOLE),
    max_output_tokens=null(WHOLE),
    capabilities=null(a_list(TEXT)),
    input_usd_per_million=null(NUMBER),
    output_usd_per_million=null(NUMBER),
    tags=a_list(TEXT),
    alias_of=null(TEXT),
)
AGENTS: Schema = {
    "type": "object",
    "additionalProperties": of(("provider",), provider=LINE, model=null(LINE)),
}
SESSION_BODY = strict(
    of(("provider",), title=TEXT, provider=LINE, model=null(LINE), settings={"type": "object"}, agents=AGENTS)
)
SESSION_PATCH = strict(
    of(title=TEXT, provider=LINE, model=null(LINE), settings={"type": "object"}, agents=AGENTS)
)
SESSION = of(
    ("id", "provider"),
    id=TEXT,
    title=TEXT,
    provider=TEXT,
    model=null(TEXT),
    settings={"type": "object"},
    agents=AGENTS,
    created_at=NUMBER,
    updated_at=NUMBER,
)
_LIMITS: dict[str, Schema] = {
    "rpm": null({"type": "integer", "minimum": 1}),
    "tpm": null({"type": "integer", "minimum": 1}),
    "budget_usd": null({"type": "number", "minimum": 0}),
    "budget_period": {"enum": list(PERIODS)},
    "concurrent": null({"type": "integer", "minimum": 1}),
    "max_tokens": null({"type": "integer", "minimum": 1}),
}
KEY_BODY = strict(
    of(
        ("name",),
        name=LINE,
        user_id=TEXT,
        scopes=a_list({"enum": list(SCOPES)}),
        models=null(a_list(LINE)),
        expires_at=null(NUMBER),
        **_LIMITS,
    )
)
KEY_PATCH = strict(of(name=LINE, models=null(a_list(LINE)), expires_at=null(NUMBER), **_LIMITS))
KEY = of(
    ("id", "name"),
    id=TEXT,
    name=TEXT,
    user_id=TEXT,
    shown=TEXT,
    scopes=a_list(TEXT),
    models=null(a_list(TEXT)),
    created_at=NUMBER,
    expires_at=null(NUMBER),
    revoked_at=null(NUMBER),
    last_used_at=null(NUMBER),
    spent_usd=NUMBER,
    **_LIMITS,
)
NEW_KEY = of(("key", "token"), key=KEY, token=TEXT)
USER_BODY = strict(of(("name",), name=LINE, role={"enum": ["admin", "user"]}, password=null(TEXT)))
USER_PATCH = strict(of(role={"enum": ["admin", "user"]}, disabled=YES, password=null(TEXT)))
USER = of(
    ("id", "name", "role"), id=TEXT, name=TEXT, role=TEXT, disabled=YES, created_at=NUMBER, password_set=YES
)
SIGN_IN = strict(of(name=TEXT, password=TEXT, token=TEXT))
ME = of(
    ("user", "csrf"),
    user=of(("id", "name", "role"), id=TEXT, name=TEXT, role=TEXT),
    via=TEXT,
    scopes=a_list(TEXT),
    csrf=null(TEXT),
)
USAGE = of(("by", "groups"), by=a_list(TEXT), groups=a_list({"type": "object"}), since=NUMBER, until=NUMBER)
PROVIDER_VIEW: Schema = {"type": "object", "required": ["name", "kind", "state"]}
ANY: Schema = {"type": "object"}
CHAT_BODY: Schema = {
    "type": "object",
    "required": ["messages"],
    "properties": {
        "model": TEXT,
        "messages": {"type": "array", "minItems": 1, "items": {"type": "object", "required": ["role"]}},
        "stream": null(YES),
        "temperature": null({"type": "number", "minimum": 0, "maximum": 2}),
        "max_tokens": null({"type": "integer", "minimum": 1}),
    },
}
MESSAGES_BODY: Schema = {
    "type": "object",
    "required": ["messages", "max_tokens"],
    "properties": {
        "model": TEXT,
        "max_tokens": {"type": "integer", "minimum": 1},
        "messages": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "object", "required": ["role", "content"]},
        },
        "stream": YES,
    },
}
RESPONSES_BODY: Schema = {
    "type": "object",
    "required": ["input"],
    "properties": {"model": TEXT, "input": {}, "stream": null(YES)},
}
EMBEDDINGS_BODY: Schema = {
    "type": "object",
    "required": ["input"],
    "properties": {
        "model": TEXT,
        "input": {"anyOf": [TEXT, a_list(TEXT)]},
        "encoding_format": {"enum": ["float", "base64"]},
        "dimensions": {"type": "integer", "minimum": 1},
    },
}
