"""JSON schemas of providers and of how it goes: `/api/providers`, `/api/v1`, the probes."""

from __future__ import annotations

from llmcore.gateway.api.schemas import (
    ANY,
    API_KEY,
    COUNT,
    LARGEST,
    LINE,
    MOMENT,
    NUMBER,
    SECONDS,
    TEXT,
    TEXTS,
    WHOLE,
    YES,
    Schema,
    a_list,
    event,
    example,
    line,
    loose,
    null,
    number,
    of,
    one_of,
    strict,
    told,
    whole,
)

_LINE = null(line(500))
_RESERVED = r"/|^(\.|\.\.|explain|order|own|reload)$"
_MEMBERS: dict[str, Schema] = {
    "base_url": _LINE,
    "text_model": _LINE,
    "embedding_model": _LINE,
    "priority": null(told(number(-LARGEST, LARGEST), "Lower is asked first.")),
    "max_in_flight": null(number(1, LARGEST)),
    "api_key": null({**API_KEY, "minLength": 0, "pattern": "^[!-~]*$"}),
}
PROVIDER_BODY = example(
    strict(
        of(
            ("name", "provider"),
            name=told({**line(64), "not": {"pattern": _RESERVED}}, "Ours for it; no `/`."),
            provider=told(LINE, "Its kind."),
            **_MEMBERS,
        )
    ),
    {"name": "second", "provider": "openai", "api_key": "sk-an-example", "text_model": "gpt-4o-mini"},
)
PROVIDER_PATCH = example(strict(of(provider=_LINE, **_MEMBERS)), {"priority": 10})
ORDER_BODY = strict(of(("names",), names=told(a_list(LINE, maxItems=1000), "Every provider, each once.")))
NAMES = whole(providers=a_list(TEXT))
NOTHING = example(strict(of()), {})

_VIEW: dict[str, Schema] = {
    "name": TEXT,
    "kind": TEXT,
    "state": TEXT,
    "breaker": TEXT,
    "local": YES,
    "text_model": null(TEXT),
    "embedding_model": null(TEXT),
    "models": TEXTS,
    "success_rate": null({"type": "number", "minimum": 0, "maximum": 1}),
    "first_token_mean_s": null(SECONDS),
    "first_token_p95_s": null(SECONDS),
    "latency_p50_s": null(SECONDS),
    "latency_p95_s": null(SECONDS),
}
_FOR_ADMINS: dict[str, Schema] = {
    "in_flight": COUNT,
    "requests": COUNT,
    "failures": COUNT,
    "cost_usd": null(NUMBER),
    "last_error": null(TEXT),
    "priority": WHOLE,
}
PROVIDERS = whole(
    providers=a_list(
        of(
            (*_VIEW, *_FOR_ADMINS),
            **_VIEW,
            **_FOR_ADMINS,
            base_url=null(TEXT),
            max_in_flight=null(WHOLE),
        )
    ),
    file=told(YES, "Whether there is a configuration file to read again."),
)
EXPLAINED = of(
    ("strategy", "candidates"),
    strategy=TEXT,
    candidates=a_list(
        of(
            ("provider", "rank", "reason"),
            provider=TEXT,
            model=null(TEXT),
            rank=told(null(WHOLE), "Null for one that would not be asked; `reason` and `detail` say why."),
            priority=WHOLE,
            reason=TEXT,
            detail=TEXT,
            ready_in_s=null(NUMBER),
            breaker=TEXT,
            in_flight=COUNT,
            delay_s=null(NUMBER),
        )
    ),
    max_attempts=WHOLE,
    retries=WHOLE,
    deadline_s=null(NUMBER),
    mid_stream=TEXT,
    patience_s=null(NUMBER),
    budget_tokens=null(NUMBER),
    skipped=a_list(ANY),
)
PROBED = whole(status={"const": "ok"})
HEALTH = whole(
    status=one_of("ok", "degraded"),
    version=TEXT,
    uptime_s=SECONDS,
    database=one_of("ok", "away"),
    usage=one_of("ok", "queued"),
    limits=one_of("shared", "local"),
    providers=whole(all=COUNT, working=COUNT),
)
_PAST: dict[str, Schema] = {
    "retry_at": null(told(WHOLE, "When one that is left out is asked again; seconds since 1970.")),
    "hour": loose(
        of(requests=a_list(COUNT), failures=a_list(COUNT)),
        "The last hour by minute, oldest first: figures and times as the status page shows them.",
    ),
}
_LAST: dict[str, Schema] = {
    "last_model": null(TEXT),
    "last_failure": null(whole(at=MOMENT, outcome=TEXT, model=null(TEXT))),
}
STATUS = of(
    ("at", "in_flight", "providers", "usage", "limits", "database"),
    at=MOMENT,
    in_flight=null(COUNT),
    providers=a_list(of((*_VIEW, *_PAST), **_VIEW, **_PAST, **_FOR_ADMINS, **_LAST)),
    usage=whole(ok=YES, queued=COUNT, dropped=COUNT, refused=COUNT, error=null(TEXT)),
    limits=whole(shared=YES, configured=YES),
    database=one_of("ok", "away"),
    left_out=told(a_list(TEXT), "Providers that are configured and cannot be asked."),
    shared_limits=ANY,
    shared_sessions=ANY,
)
STATUS_EVENT = event(STATUS, "The picture, now and whenever it has changed.", "status")
DOCUMENT = loose(of(("openapi", "info", "paths"), openapi=TEXT, info=ANY, paths=ANY), "OpenAPI 3.1.")
