"""What can go wrong: one class per thing that a caller does differently.

    LlmError
    ├── ConfigurationError              a person must mend the configuration
    └── ProviderError                   one attempt at one provider failed           same  over  health
        ├── AuthenticationError         the key is missing, malformed or revoked      no    yes   no (the key's)
        │   └── NoUsableKeyError        every key of this provider is disabled        no    yes   no
        ├── PermissionDeniedError       the key is good, the act is not allowed       no    yes   no
        ├── QuotaExhaustedError         money, or a daily or monthly cap              no    yes   no (the key's)
        ├── ModelNotFoundError          unknown, retired or not pulled                no    yes   no
        ├── InvalidRequestError         schema or value rejected                      no    no    no
        │   ├── EndpointError           (a ConfigurationError too) wrong address      no    yes   no
        │   ├── UnsupportedFeatureError we know before sending that it cannot         no    yes   no
        │   └── ContextLengthError      prompt and output exceed the window           no    yes   no
        ├── ContentFilterError          refused by policy                             no    no    no
        ├── RateLimitError              a short-window limit                          yes   yes   no
        ├── OverloadedError             the provider is out of capacity               once  yes   yes
        ├── ServerError                 5xx, broken upstream                          yes   yes   yes
        ├── TimeoutError (builtin too)
        │   ├── ConnectTimeout          no connection in time                         yes   yes   yes
        │   ├── PoolTimeout             no free slot here in time (our own limit)     no    yes   no
        │   ├── ReadTimeout             no answer in time, or the vendor said so      yes   yes   yes
        │   ├── FirstTokenTimeout       nothing visible in time                       no    yes   yes
        │   ├── InterChunkTimeout       silence inside an answer                      no    yes   yes
        │   └── TotalTimeout            the caller's own deadline                     no    no    no
        ├── ConnectionError (builtin too)
        │   ├── ConnectionRefused DNSError ConnectionReset                            yes   yes   yes
        │   └── TLSError                                                              no    yes   yes
        ├── MalformedResponseError      2xx that cannot be read                       once  yes   yes
        │   └── GenerationFailedError   the model wrote what the vendor could not use once  yes   no
        ├── StreamInterruptedError      cut after something was shown                 no    no    yes
        └── AllProvidersFailed          every candidate failed: an exception group of every attempt

`retryable` (same provider again), `failover` (another one) and `health` (counts against the provider) are facts
of the class, and may be set on an instance where the vendor said so (`x-should-retry`). The manager reads these
facts and `retry_after`, never a text. Cancellation is not an error of ours: the runtime's own is re-raised.

Nothing here shows a key, a header, a URL's query or a prompt.
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, cast

if TYPE_CHECKING:
    from llmcore.types import Attempt, GenerationResponse, Skipped

Phase = Literal["encode", "connect", "headers", "first_token", "stream", "parse"]

MAX_MESSAGE = 1024


class LlmError(Exception):
    """Anything that llmcore raises on purpose."""


class ConfigurationError(LlmError):
    """The configuration cannot work; `complaints` lists every mistake, each with its path and what to do."""

    def __init__(self, *complaints: str) -> None:
        super().__init__("\n".join(complaints))
        self._complaints = complaints

    @property
    def complaints(self) -> tuple[str, ...]:
        return self._complaints


class ProviderError(LlmError):
    """One attempt at one provider failed.

    status: HTTP status, None where none came. code, type: the vendor's own words. retry_after: seconds that the
    vendor asked to wait. phase: where it happened ("encode": nothing was sent, so it is no attempt). visible_output: whether the caller had already seen something.
    retry_limit: how often at most the same provider is asked again. maybe_billed: the vendor may have done the work.
    partial: what came before a stream was cut. attempts: all attempts of the call, on the error that ends it; skipped:
    who was not asked, and why. key: the name of the key that was used, where there are several. budget_exhausted: there
    was more to try, but the retry budget is spent.
    sample: the start of an unreadable body, redacted; never shown in `str` or `repr`.
    """

    retryable: bool = False
    failover: bool = False
    health: bool = False
    retry_limit: int | None = None
    maybe_billed: ClassVar[bool] = False

    def __init__(
        self,
        message: str = "",
        *,
        provider: str | None = None,
        model: str | None = None,
        status: int | None = None,
        code: str | None = None,
        type: str | None = None,  # noqa: A002 - the vendors' own word
        request_id: str | None = None,
        retry_after: float | None = None,
        phase: Phase | None = None,
        sample: str | None = None,
    ) -> None:
        super().__init__(message)
        self._message = message[:MAX_MESSAGE]
        self.provider = provider
        self.model = model
        self.status = status
        self.code = code
        self.type = type
        self.request_id = request_id
        self.retry_after = retry_after
        self.phase: Phase | None = phase
        self.sample = sample
        self.elapsed_s: float | None = None
        self.bytes_received: int | None = None
        self.visible_output = False
        self.partial: GenerationResponse | None = None
        self.attempts: tuple[Attempt, ...] = ()
        self.skipped: tuple[Skipped, ...] = ()
        self.key: str | None = None
        self.budget_exhausted = False

    @property
    def message(self) -> str:
        """The vendor's text (redacted, at most 1 KiB) or ours."""
        return self._message

    def reword(self, message: str) -> None:
        """Replace the text; for the one place that redacts."""
        self._message = message[:MAX_MESSAGE]
        object.__setattr__(self, "args", (self._message, *self.args[1:]))  # args is not declared again

    def __str__(self) -> str:
        where = "/".join(part for part in (self.provider, self.model) if part)
        facts = ", ".join(
            fact
            for fact in (
                f"status {self.status}" if self.status is not None else "",
                f"code {self.code}" if self.code else "",
                f"request {self.request_id}" if self.request_id else "",
                f"phase {self.phase}" if self.phase else "",
                f"retry after {self.retry_after:g} s" if self.retry_after is not None else "",
            )
            if fact
        )
        head = f"{where}: " if where else ""
        tail = f" ({facts})" if facts else ""
        return f"{head}{self.message or type(self).__name__}{tail}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self}>"

    @property
    def outcome(self) -> str:
        """The class's name, as attempts and stats show it."""
        return type(self).__name__


class AuthenticationError(ProviderError):
    """The key is missing, malformed or revoked."""

    failover = True


class NoUsableKeyError(AuthenticationError):
    """Every key of this provider has been refused; nothing was sent. `retry_after`: when one is tried again."""


class PermissionDeniedError(ProviderError):
    """The key is good, but what was asked is not allowed with it."""

    failover = True


class QuotaExhaustedError(ProviderError):
    """Money, or a daily or monthly cap, is used up."""

    failover = True


class ModelNotFoundError(ProviderError):
    """An unknown, retired or not yet pulled model."""

    failover = True


class InvalidRequestError(ProviderError):
    """The request itself is wrong; no other provider would take it either, but for one that is too large (413): it fails over."""


class EndpointError(InvalidRequestError, ConfigurationError):
    """The address is wrong: it redirects, is unknown there (404), takes no such request (405, 421, 426, 497), answers with
    an HTML page, or cannot be spoken to. Redirects are never followed.
    """

    failover = True

    def reword(self, message: str) -> None:
        super().reword(message)
        self._complaints = (self.message,)


class UnsupportedFeatureError(InvalidRequestError):
    """A provider or model that cannot do what was asked; known before anything was sent, or said by the vendor."""

    failover = True


class ContextLengthError(InvalidRequestError):
    """Prompt and output together exceed the context window."""

    failover = True


class ContentFilterError(ProviderError):
    """Prompt or output was refused by policy."""


class RateLimitError(ProviderError):
    """A short-window limit; `retry_after` says how long, where the vendor does."""

    retryable = True
    failover = True


class OverloadedError(ProviderError):
    """The provider is out of capacity."""

    retryable = True
    failover = True
    health = True
    retry_limit: int | None = 1


class ServerError(ProviderError):
    """The provider failed."""

    retryable = True
    failover = True
    health = True


class TimeoutError(ProviderError, builtins.TimeoutError):  # noqa: A001 - a subclass of the builtin it shadows
    """Something took longer than it may."""

    failover = True
    health = True


class ConnectTimeout(TimeoutError):
    """No connection in time."""

    retryable = True


class PoolTimeout(TimeoutError):
    """No free slot or connection on our side in time."""

    health = False


class ReadTimeout(TimeoutError):
    """No answer in time, or the vendor itself said that it ran out of time."""

    maybe_billed = True
    retryable = True


class FirstTokenTimeout(TimeoutError):
    """Nothing visible came in time; comments and role-only chunks do not count."""

    maybe_billed = True


class InterChunkTimeout(TimeoutError):
    """Silence inside an answer that had begun."""

    maybe_billed = True


class TotalTimeout(TimeoutError):
    """The caller's deadline has passed."""

    failover = False
    health = False


class ConnectionError(ProviderError, builtins.ConnectionError):  # noqa: A001 - a subclass of the builtin it shadows
    """No answer, because the connection failed."""

    retryable = True
    failover = True
    health = True


class ConnectionRefused(ConnectionError):
    """Nobody listens at the address."""


class ConnectionReset(ConnectionError):
    """The connection was cut before the answer was whole."""

    maybe_billed = True


class DNSError(ConnectionError):
    """The name of the host cannot be resolved."""


class TLSError(ConnectionError):
    """The secure channel could not be set up; check certificates and the host name."""

    retryable = False


class MalformedResponseError(ProviderError):
    """A success status with a body that cannot be read."""

    maybe_billed = True
    retryable = True
    failover = True
    health = True
    retry_limit: int | None = 1


class GenerationFailedError(MalformedResponseError):
    """The model wrote what could not be used: broken JSON, a bad tool call."""

    health = False


class StreamInterruptedError(ProviderError):
    """A stream ended before its end. Before anything was visible the leaf makes it retryable and failover-worthy."""

    maybe_billed = True
    health = True


_PRIMARY: tuple[type[ProviderError], ...] = (
    AuthenticationError,
    PermissionDeniedError,
    UnsupportedFeatureError,
    ModelNotFoundError,
    ContextLengthError,
    InvalidRequestError,
    ContentFilterError,
    QuotaExhaustedError,
    RateLimitError,
    OverloadedError,
    ServerError,
    TimeoutError,
    ConnectionError,
)


class AllProvidersFailed(ExceptionGroup[ProviderError], ProviderError):
    """Every candidate failed. `.exceptions` are the errors in the order of the attempts; `.primary` the one to act on."""

    failover = True

    def __new__(cls, message: str, errors: Sequence[ProviderError], **facts: Any) -> Self:
        return ExceptionGroup.__new__(cls, message, errors)

    def __init__(self, message: str, errors: Sequence[ProviderError], **facts: Any) -> None:
        ProviderError.__init__(self, message, **facts)
        self.health: bool = any(error.health for error in self.leaves())

    def __str__(self) -> str:
        return f"{self._message}: " + "; ".join(
            f"{type(error).__name__} from {error}" for error in self.leaves()
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self}>"

    def derive(self, excs: Sequence[ProviderError], /) -> AllProvidersFailed:  # type: ignore[override]
        return AllProvidersFailed(self.message, excs)

    @property
    def message(self) -> str:
        """What became of the call as a whole."""
        return self._message

    def leaves(self) -> tuple[ProviderError, ...]:
        """Every single error, in the order of the attempts; those of nested managers in place."""
        found: list[ProviderError] = []
        for error in self.exceptions:
            found.extend(
                error.leaves() if isinstance(error, AllProvidersFailed) else (cast("ProviderError", error),)
            )
        return tuple(found)

    @property
    def primary(self) -> ProviderError:
        """The most actionable of the errors: first what a person must mend, last what passes by itself."""
        rank = {cls: place for place, cls in enumerate(_PRIMARY)}
        return min(
            self.leaves(),
            key=lambda error: next((rank[cls] for cls in type(error).__mro__ if cls in rank), len(rank)),
        )
