"""What an error becomes at the edge: one line with what to do, and an exit code."""

from __future__ import annotations

from llmcore.errors import (
    AllProvidersFailed,
    AuthenticationError,
    ConfigurationError,
    ConnectionError,
    ContentFilterError,
    ContextLengthError,
    InvalidRequestError,
    ModelNotFoundError,
    OverloadedError,
    PermissionDeniedError,
    ProviderError,
    QuotaExhaustedError,
    RateLimitError,
    ServerError,
    StreamInterruptedError,
    TimeoutError,
    TLSError,
    UnsupportedFeatureError,
)
from llmcore.secret import redact

DONE, FAILED, MISUSED, INTERRUPTED = 0, 1, 2, 130

CODES = "Exit codes: 0 done, 1 the call failed, 2 wrong usage or configuration, 130 interrupted."

EXTRAS = {
    **dict.fromkeys(("aiosqlite", "alembic", "argon2", "cryptography", "httptools", "jinja2"), "gateway"),
    **dict.fromkeys(("prometheus_client", "sqlalchemy", "uvicorn"), "gateway"),
    "asyncpg": "postgres",
    "matplotlib": "plots",
    "opentelemetry": "otel",
    "redis": "redis",
}
"""What brings a module that is not there."""

_ADVICE: tuple[tuple[type[ProviderError], str], ...] = (
    (AuthenticationError, "check the key: `llmcore providers` names its variable"),
    (PermissionDeniedError, "this key may not do that; use another key or model"),
    (QuotaExhaustedError, "add credit there, or use another provider"),
    (ModelNotFoundError, "name a model with --model; `llmcore models` lists them"),
    (ContextLengthError, "shorten the prompt, or use a model with a larger window"),
    (UnsupportedFeatureError, "leave that out, or use another model or provider"),
    (InvalidRequestError, "correct the request"),
    (ContentFilterError, "word it differently, or use another provider"),
    (RateLimitError, "wait a little, or add a second provider to fall back on"),
    (OverloadedError, "try again later, or add a second provider to fall back on"),
    (TimeoutError, "try again, or raise the limits in [llm.timeouts]"),
    (TLSError, "check the address and its certificate"),
    (ConnectionError, "check base_url, the network, and that the server runs"),
    (StreamInterruptedError, "try again"),
    (ServerError, "try again later, or add a second provider to fall back on"),
)


def exit_code(error: BaseException) -> int:
    """1 where a call was made and failed, 2 where nothing could be sent because of us."""
    if isinstance(error, ConfigurationError) or missing_extra(error) is not None:
        return MISUSED
    if isinstance(error, (InvalidRequestError, ModelNotFoundError)) and error.status is None:
        return MISUSED
    return INTERRUPTED if isinstance(error, KeyboardInterrupt) else FAILED


def lines(error: BaseException) -> list[str]:
    """The error for people: one line, or one for each complaint about a configuration."""
    if isinstance(error, ConfigurationError):
        return list(error.complaints) or [str(error)]
    if isinstance(error, AllProvidersFailed):
        worst = error.primary
        return [f"{error.message}; the most telling error: {_told(worst)}"]
    if isinstance(error, ProviderError):
        return [_told(error)]
    extra = missing_extra(error)
    if extra is not None:
        return [f"this needs the extra `{extra}`: pip install 'llmcore-kit[{extra}]' ({error})"]
    return [f"{type(error).__name__}: {redact(str(error))}"]


def missing_extra(error: BaseException) -> str | None:
    """The extra whose module is not installed; None for every other error."""
    if not isinstance(error, ModuleNotFoundError) or error.name is None:
        return None
    return EXTRAS.get(error.name.partition(".")[0])


def _told(error: ProviderError) -> str:
    advice = next((text for kind, text in _ADVICE if isinstance(error, kind)), "try again")
    return f"{type(error).__name__}: {error}; {advice}"


def single(error: BaseException) -> BaseException:
    """The first error inside the groups that task groups make; our own groups stay whole."""
    while isinstance(error, BaseExceptionGroup) and not isinstance(error, ProviderError):
        error = error.exceptions[0]
    return error
