"""The seam: `open` sends one request and returns once status and headers are in; `aclose` ends all connections.

Rules that every implementation keeps, and one fault suite checks on all of them:
no redirect is followed, no request is repeated (but for one replay where a reused connection turns out dead before
any byte of an answer), no proxy or netrc is read unless asked for, bytes are handed on as they arrive, bodies come
decompressed and capped, and every exception of the library is turned into one of ours here and nowhere else:
ConnectTimeout, PoolTimeout, ConnectionRefused, DNSError, TLSError, ConnectionReset, MalformedResponseError,
ConfigurationError; their causes are what the operating system said, never a text that repeats our headers or the
server's bytes. Cancelling a call closes its socket at once. A transport used on a second event loop opens new
connections there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

from attrs import field, frozen

from llmcore.config import Timeouts
from llmcore.errors import ConfigurationError


@frozen
class Call:
    """One request on its way: absolute URL and all headers, credentials among them (so never shown)."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(default=None, repr=False)


class Reply(Protocol):
    """Status and headers (names in lower case), and the body still to be read."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    async def read(self, limit: int) -> bytes:
        """The whole body, decompressed. Raises MalformedResponseError beyond `limit` bytes or where it is cut short."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """The body in pieces as they arrive, decompressed. Raises ConnectionReset where it is cut short."""
        ...

    async def aclose(self) -> None:
        """Give the connection back if the body was read to its end, else close it at once."""
        ...


class Transport(Protocol):
    """How bytes move."""

    def open(self, call: Call, timeouts: Timeouts) -> Awaitable[Reply]:
        """Send `call`; return once status and headers are in. Raises ProviderError, and never for a status.

        Of `timeouts` only connect, pool and write are kept here; how long an answer may take is the caller's scope.
        """
        ...

    async def aclose(self) -> None:
        """End all connections. May be called twice."""
        ...


_real_requests_blocked: ContextVar[bool] = ContextVar("llmcore_real_requests_blocked", default=False)


@contextmanager
def real_requests_blocked() -> Iterator[None]:
    """While this block runs, opening a real socket raises ConfigurationError; in-process transports still work."""
    token = _real_requests_blocked.set(True)
    try:
        yield
    finally:
        _real_requests_blocked.reset(token)


def refuse_if_blocked() -> None:
    """Raise ConfigurationError inside `real_requests_blocked()`; every transport asks before it uses a socket."""
    if _real_requests_blocked.get():
        raise ConfigurationError("real requests are blocked")
