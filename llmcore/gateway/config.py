"""The `[gateway]` table as a frozen value, with safe defaults. `llmcore.loader.gateway` reads it from TOML.

Durations are seconds, sizes bytes. None means "not said".
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from attrs import field, frozen

from llmcore.secret import Secret

LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]
LOG_LEVELS: tuple[LogLevel, ...] = ("debug", "info", "warning", "error")

KIB = 1024
MIB = 1024 * KIB

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def _secret(value: str | Secret | None) -> Secret | None:
    return Secret(value) if isinstance(value, str) else value


@frozen
class LimitsConfig:
    """`[gateway.limits]`: what one client may send, hold and take. All of them are enforced before a model is asked.

    body: bytes of a request; media_body: of one that carries images, files or audio. header: bytes of all headers.
    json_depth: nesting of arrays and objects. concurrent: calls at the same time in all, per_user: of one user.
    uploads: bytes of bodies that have begun and are not whole, of all together, user_uploads: of one user; never less than
    the largest body. upload: seconds in which a request must have arrived; headers: in which its headers must. stream:
    longest answer. idle_write: seconds that a client may leave what was sent to it unread. request: deadline where a client names none
    (None: that of the providers), max_request: the longest one that it may name.
    """

    body: int = 10 * MIB
    media_body: int = 32 * MIB
    header: int = 64 * KIB
    json_depth: int = 100
    messages: int = 10_000
    tools: int = 512
    inputs: int = 2048
    max_tokens: int | None = None
    concurrent: int = 2000
    per_user: int = 512
    uploads: int = 128 * MIB
    user_uploads: int = 64 * MIB
    headers: float = 20.0
    upload: float = 60.0
    request: float | None = None
    max_request: float = 3600.0
    stream: float = 3600.0
    idle_write: float = 60.0


@frozen
class GatewayConfig:
    """The `[gateway]` table.

    public_url: how browsers reach it ("https://llm.example.org"); decides cookies and the allowed Host and Origin.
    allowed_hosts: further Host names; the loopback ones are always allowed where it listens on loopback only.
    trusted_proxies: addresses whose X-Forwarded-For and -Proto are believed.
    database_url: SQLAlchemy's asyncio URL; left out, a SQLite file in `data_dir`. redis_url: shares limits,
    hints of open breakers and where conversations stay between processes. master_key_file: what the stored keys are
    sealed with; left out, a file in `data_dir`.
    local_servers: "host:port" that local kinds (Ollama, vLLM, ...) may be asked at when people enter their own
    settings, or administrators a provider over HTTP; the operator's config.toml is not bound by it. users_set_base_url: whether others than administrators
    may enter an address. allow_http: whether an entered address may be http where it is not a local server's.
    keep_alive: seconds of silence after which a stream gets a comment. key_cache: how long the check of a virtual key
    is remembered (a revocation made here counts at once). models_ttl: how long a list of models is kept;
    models_retry: the same for one that could not be had. open_metrics: /metrics without a key. usage_days: how long
    single attempts are kept. drain: how long a stopping server waits for running answers.
    """

    host: str = "127.0.0.1"
    port: int = 8400
    workers: int = 1
    public_url: str | None = None
    allowed_hosts: tuple[str, ...] = field(default=(), converter=tuple[str, ...])
    trusted_proxies: tuple[str, ...] = field(default=(), converter=tuple[str, ...])
    data_dir: str | None = None
    database_url: Secret | None = field(default=None, converter=_secret)
    redis_url: Secret | None = field(default=None, converter=_secret)
    master_key_file: str | None = None
    local_servers: tuple[str, ...] = field(
        default=(
            "127.0.0.1:11434",
            "localhost:11434",
            "127.0.0.1:1234",
            "localhost:1234",
            "127.0.0.1:8000",
            "localhost:8000",
            "127.0.0.1:8080",
            "localhost:8080",
        ),
        converter=tuple[str, ...],
    )
    users_set_base_url: bool = False
    allow_http: bool = False
    keep_alive: float = 15.0
    key_cache: float = 2.0
    session_days: float = 14.0
    models_ttl: float = 300.0
    models_retry: float = 20.0
    open_metrics: bool = False
    usage_days: int = 90
    tracing: bool = False
    log_level: LogLevel = "info"
    drain: float = 30.0
    limits: LimitsConfig = LimitsConfig()

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return self.host in LOOPBACK or self.host.startswith("127.")

    @property
    def secure(self) -> bool:
        """Whether browsers reach it over TLS."""
        return self.public_url is not None and self.public_url.startswith("https://")

    def hosts(self) -> frozenset[str]:
        """Every Host (without port, lower case) that is answered."""
        found = {host.lower() for host in self.allowed_hosts}
        if self.public_url is not None:
            found.add(host_of(self.public_url))
        if self.loopback or not found:
            found |= {"127.0.0.1", "localhost", "::1"}
        if not self.loopback and self.host not in {"0.0.0.0", "::"}:  # noqa: S104 - compared with, not bound to
            found.add(self.host.lower())
        return frozenset(found)


def host_of(url: str) -> str:
    """The host of an absolute URL, in lower case, without port and brackets."""
    from urllib.parse import urlsplit

    return (urlsplit(url).hostname or "").lower()
