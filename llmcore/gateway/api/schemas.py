"""JSON schemas of the bodies of `/api`, for the OpenAPI document; what is enforced is read by hand, field by field.

A schema of a request never forbids what is taken. One of an answer names every member that always comes as required.
"""

from __future__ import annotations

from typing import Any

from llmcore.gateway.access.principal import PERIODS, SCOPES
from llmcore.gateway.store import DIMENSIONS

Schema = dict[str, Any]

LARGEST = 2**31
TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
WHOLE: Schema = {"type": "integer"}
COUNT: Schema = {"type": "integer", "minimum": 0}
YES: Schema = {"type": "boolean"}
ANY: Schema = {"type": "object"}
TEXTS: Schema = {"type": "object", "additionalProperties": TEXT}
POSITIVE: Schema = {"type": "integer", "minimum": 1}
SHARE: Schema = {"type": "number", "minimum": 0, "maximum": 1}
SOME_TEXT: Schema = {"type": "string", "minLength": 1}
SECONDS: Schema = {"type": "number", "minimum": 0}
MOMENT: Schema = {"type": "number", "description": "Seconds since 1970, UTC."}

_CONTROLS = r"\x00-\x1F\x7F-\x9F"
_ONE_LINE = rf"^[^{_CONTROLS}]*[^\s{_CONTROLS}][^{_CONTROLS}]*$"


def line(longest: int = 200) -> Schema:
    """A text of one line that is not blank."""
    return {"type": "string", "minLength": 1, "maxLength": longest, "pattern": _ONE_LINE}


LINE = line()
API_KEY: Schema = {"type": "string", "minLength": 1, "maxLength": 8192, "pattern": "^[!-~]+$"}
PASSWORD: Schema = {"type": "string", "minLength": 10, "maxLength": 256, "format": "password"}


def null(schema: Schema) -> Schema:
    """The same, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def either(*forms: Schema) -> Schema:
    """One of these forms."""
    return {"anyOf": list(forms)}


def of(required: tuple[str, ...] = (), /, **members: Schema) -> Schema:
    """An object with these members."""
    return {"type": "object", "properties": members, "required": list(required)}


def whole(**members: Schema) -> Schema:
    """An object in which each of these members is always there."""
    return of(tuple(members), **members)


def kind(word: str, required: tuple[str, ...] = (), /, **members: Schema) -> Schema:
    """An object that says by its `type` what it is."""
    return of(("type", *required), type={"const": word}, **members)


def loose(schema: Schema, description: str) -> Schema:
    """An object that may hold more than is named: what a vendor of that wire adds is handed on."""
    return {**schema, "additionalProperties": True, "description": description}


def a_list(schema: Schema, **bounds: int) -> Schema:
    return {"type": "array", "items": schema, **bounds}


def by_name(schema: Schema) -> Schema:
    """An object whose members, whatever their names, are of one kind."""
    return {"type": "object", "additionalProperties": schema}


def one_of(*words: str) -> Schema:
    return {"type": "string", "enum": list(words)}


def number(low: int, high: int) -> Schema:
    return {"type": "integer", "minimum": low, "maximum": high}


def strict(schema: Schema) -> Schema:
    """What comes in: unknown members are refused."""
    return {**schema, "additionalProperties": False}


def example(schema: Schema, *values: Any) -> Schema:
    return {**schema, "examples": list(values)}


def told(schema: Schema, description: str) -> Schema:
    return {**schema, "description": description}


JSON_SCHEMA = told({"type": "object", "examples": [{"type": "object", "properties": {}}]}, "A JSON schema.")


def event(data: Schema, description: str, *names: str) -> Schema:
    """A server-sent event whose data is JSON. names: what it may be called, none where events have no name."""
    content = {"type": "string", "contentMediaType": "application/json", "contentSchema": data}
    members: dict[str, Schema] = {"data": content}
    if names:
        members["event"] = one_of(*names)
    return {**whole(**members), "description": description}


def page(schema: Schema) -> Schema:
    return whole(
        data=a_list(schema), next=told(null(TEXT), "`cursor` of the next page; null on the last one.")
    )


# ------------------------------------------------------------------------------------------------------- queries

PAGING = {
    "limit": told({**number(1, 1000), "default": 100}, "How many."),
    "cursor": told(TEXT, "`next` of the page before."),
}
REFRESH = {"refresh": told(one_of("0", "1", "false", "true"), "`1`: ask the providers again.")}
SETTINGS_SCOPE = {
    "scope": told(
        {**one_of("own", "system"), "default": "own"},
        "`system`: the settings for everybody who has none (administrators only).",
    )
}
USAGE_SCOPE = {
    "scope": told({**one_of("own", "all"), "default": "own"}, "`all`: everybody's (administrators only).")
}
_DAY: Schema = {"type": "string", "format": "date", "examples": ["2026-11-21"]}
USAGE_SPAN = {
    "since": told(_DAY, "First UTC day; left out, 30 days in all."),
    "until": told(_DAY, "Last UTC day; left out, today."),
    "by": told(
        {
            "type": "string",
            "default": "day",
            "pattern": "^({0})(,({0}))*$".format("|".join(DIMENSIONS)),
            "examples": ["provider,model"],
        },
        "What is summed by, with commas.",
    ),
    **USAGE_SCOPE,
    "user_id": told(TEXT, "One user's (administrators only)."),
    "provider": told(TEXT, "This provider alone."),
    "model": told(TEXT, "This model alone."),
    "key_id": told(TEXT, "This key alone."),
}
KEYS_OF = {"user_id": told(TEXT, 'Whose; "all" for everybody\'s (administrators only).')}

# ------------------------------------------------------------------------------------------------ settings, models

DONE = whole(ok={"const": True})
SETTINGS_BODY = example(
    strict(
        of(
            provider=null(told(LINE, "A kind (`GET /api/settings/llm/kinds`), or a system provider's name.")),
            model=null(LINE),
            embedding_model=null(LINE),
            base_url=null(line(500)),
            api_key=null(told(API_KEY, "Null removes it.")),
            temperature=null({"type": "number", "minimum": 0, "maximum": 2}),
            max_tokens=null(number(1, LARGEST)),
            version=null(told(COUNT, "Refuse the change if another was made since this one.")),
        )
    ),
    {"provider": "openai", "model": "gpt-4o-mini", "api_key": "sk-an-example", "temperature": 0.7},
)
SETTINGS = of(
    ("provider", "version", "api_key_set", "uses"),
    provider=null(TEXT),
    model=null(TEXT),
    embedding_model=null(TEXT),
    base_url=null(TEXT),
    api_key_set=YES,
    api_key_last4=null(TEXT),
    temperature=null(NUMBER),
    max_tokens=null(WHOLE),
    version=COUNT,
    updated_at=MOMENT,
    uses=one_of("own", "system"),
)
TEST_RESULT = whole(
    ok=YES,
    provider=TEXT,
    latency_ms=SECONDS,
    error=null(TEXT),
    hint=null(TEXT),
    models=a_list(TEXT),
    at=MOMENT,
)
SETTINGS_STATUS: Schema = {
    **of(("settings", "from", "tests")),
    "properties": {
        "settings": SETTINGS,
        "from": one_of("own", "everybody", "system"),
        "tests": a_list(whole(provider=TEXT, at=MOMENT, ok=YES, latency_ms=null(NUMBER), error=null(TEXT))),
    },
}
KINDS = whole(
    kinds=a_list(
        whole(
            kind=TEXT,
            label=TEXT,
            local=YES,
            base_url=null(TEXT),
            needs_base_url=YES,
            key_variable=null(TEXT),
            key_required=YES,
            default_model=null(TEXT),
            features=a_list(TEXT),
            configured=YES,
        )
    ),
    system=a_list(whole(name=TEXT, kind=TEXT)),
    may_set_base_url=YES,
)
_MODEL = whole(
    id=TEXT,
    provider=TEXT,
    kind=TEXT,
    display_name=null(TEXT),
    context_window=null(WHOLE),
    max_output_tokens=null(WHOLE),
    capabilities=null(a_list(TEXT)),
    input_usd_per_million=null(NUMBER),
    output_usd_per_million=null(NUMBER),
    first_token_s=null(SECONDS),
    tags=a_list(TEXT),
    alias_of=null(TEXT),
)
CATALOGUE = whole(
    models=a_list(_MODEL),
    error=null(TEXT),
    asked_at=null(MOMENT),
    recommended=whole(
        cheapest=null(TEXT),
        fastest=null(TEXT),
        reasons=told(by_name(TEXT), "Why, for each that is named."),
        sure=told(by_name(YES), "Whether it is known that it can do what is needed."),
    ),
)
OWN_MODELS = whole(provider=null(TEXT), **CATALOGUE["properties"])

# ------------------------------------------------------------------------------------------------------- sessions

_NAME: Schema = {"minLength": 1, "maxLength": 100}
_AGENTS = {
    **by_name(strict(of(("provider",), provider=LINE, model=null(LINE)))),
    "maxProperties": 100,
    "propertyNames": _NAME,
}
_SESSION_MEMBERS = {
    "title": null(LINE),
    "model": null(LINE),
    "settings": null(told(ANY, "Kept for you as it is; at most 8 KiB.")),
    "agents": null(told(_AGENTS, "Agents of this session that have a provider of their own.")),
}
SESSION_BODY = example(
    strict(of(("provider",), provider=LINE, **_SESSION_MEMBERS)),
    {"provider": "openai", "model": "gpt-4o-mini", "title": "A plan for the week"},
)
SESSION_PATCH = example(strict(of(provider=null(LINE), **_SESSION_MEMBERS)), {"title": "Another title"})
SESSION = whole(
    id=TEXT,
    title=TEXT,
    provider=TEXT,
    model=null(TEXT),
    settings=ANY,
    agents=by_name(whole(provider=TEXT, model=null(TEXT))),
    created_at=MOMENT,
    updated_at=MOMENT,
)

# ---------------------------------------------------------------------------------------------------- keys, users

_LIMITS: dict[str, Schema] = {
    "rpm": null(told(number(1, LARGEST), "Requests in any 60 seconds.")),
    "tpm": null(told(number(1, LARGEST), "Tokens in any 60 seconds.")),
    "budget_usd": null({"type": "number", "minimum": 0, "maximum": 1_000_000_000}),
    "budget_period": null(one_of(*PERIODS)),
    "concurrent": null(number(1, LARGEST)),
    "max_tokens": null(number(1, LARGEST)),
}
_KEY_MEMBERS = {"models": null(a_list(LINE, maxItems=1000)), "expires_at": null(MOMENT), **_LIMITS}
KEY_BODY = example(
    strict(
        of(
            ("name",),
            name=LINE,
            user_id=null(LINE),
            scopes=null(a_list(one_of(*SCOPES), minItems=1, maxItems=len(SCOPES))),
            **_KEY_MEMBERS,
        )
    ),
    {"name": "laptop", "scopes": ["inference"], "rpm": 60, "budget_usd": 5, "budget_period": "month"},
)
KEY_PATCH = example(strict(of(name=null(LINE), **_KEY_MEMBERS)), {"rpm": 120})
KEY = whole(
    id=TEXT,
    name=TEXT,
    user_id=TEXT,
    shown=told(TEXT, "How it begins."),
    scopes=a_list(one_of(*SCOPES)),
    models=null(a_list(TEXT)),
    created_at=MOMENT,
    expires_at=null(MOMENT),
    revoked_at=null(MOMENT),
    last_used_at=null(MOMENT),
    spent_usd=NUMBER,
    **{**_LIMITS, "budget_period": one_of(*PERIODS)},
)
NEW_KEY = whole(key=KEY, token=told(TEXT, "The key itself; it is never shown again."))

_ROLE = one_of("admin", "user")
USER_BODY = example(
    strict(of(("name",), name=line(128), role=null(_ROLE), password=null(PASSWORD))),
    {"name": "dora", "role": "user"},
)
USER_PATCH = example(
    strict(of(role=null(_ROLE), disabled=null(YES), password=null(PASSWORD))), {"disabled": False}
)
USER = whole(id=TEXT, name=TEXT, role=_ROLE, disabled=YES, created_at=MOMENT, password_set=YES)
LINK = whole(token=told(TEXT, "For `POST /api/sign-in`; it is never shown again."))
AUDIT = whole(id=TEXT, at=MOMENT, actor=TEXT, source=TEXT, action=TEXT, target=TEXT, detail=ANY)
AUDIT_QUERY = {
    **PAGING,
    "actor": told(TEXT, "A user's id."),
    "action": told({**TEXT, "examples": ["key.revoke"]}, "What was done."),
}
SIGN_IN = example(
    {
        **strict(of(name=null(TEXT), password=null(TEXT), token=null(TEXT))),
        "anyOf": [of(("token",), token=TEXT), of(("name", "password"), name=TEXT, password=TEXT)],
    },
    {"name": "dora", "password": "a long enough one"},
)
ME = whole(
    user=whole(id=TEXT, name=TEXT, role=_ROLE),
    via=one_of("key", "session", "single"),
    scopes=a_list(one_of(*SCOPES)),
    csrf=told(null(TEXT), "What a browser repeats as `x-csrf-token`."),
)
PASSWORD_BODY = example(
    strict(of(("password",), password=PASSWORD, old_password=null(TEXT))),
    {"password": "a long enough one", "old_password": "the one before"},
)

# ---------------------------------------------------------------------------------------------------------- usage

_COUNTS = ("calls", "attempts", "errors", "unknown_cost_calls")
_TOKENS = ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens")
_SUMS = whole(**dict.fromkeys((*_COUNTS, *_TOKENS), COUNT), duration_ms=SECONDS, cost_usd=NUMBER)
USAGE = whole(
    by=a_list(one_of(*DIMENSIONS)),
    since=MOMENT,
    until=MOMENT,
    groups=a_list({**_SUMS, "properties": {**dict.fromkeys(DIMENSIONS, TEXT), **_SUMS["properties"]}}),
)
ATTEMPT = whole(
    id=TEXT,
    request_id=TEXT,
    at=MOMENT,
    user_id=TEXT,
    key_id=null(TEXT),
    provider=TEXT,
    wire=TEXT,
    model=null(TEXT),
    outcome=told(TEXT, "`success`, `cancelled`, or the name of an error."),
    final=YES,
    status=null(WHOLE),
    why=TEXT,
    **dict.fromkeys(_TOKENS, null(COUNT)),
    counted=TEXT,
    cost_usd=null(NUMBER),
    duration_ms=null(SECONDS),
    first_token_ms=null(SECONDS),
)
