"""httpx's exceptions as ours. The texts are our own words and name scheme, host and port only: no URL, no header."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator

import httpx

from llmcore.errors import (
    ConnectionRefused,
    ConnectionReset,
    ConnectTimeout,
    DNSError,
    EndpointError,
    InterChunkTimeout,
    MalformedResponseError,
    Phase,
    PoolTimeout,
    ProviderError,
    ReadTimeout,
    TLSError,
)
from llmcore.transport.outgoing import Origin

# The words of httpcore and h11 for a connection that ended by itself, before an answer and inside one.
_NO_ANSWER = "Server disconnected without sending a response"
_CUT_SHORT = "peer closed connection without sending complete message body"
# A resolver that answers with an empty list: trio says this, anyio under asyncio stumbles into a ValueError.
_NO_ADDRESS = "no results found for hostname lookup"


def translated(exc: Exception, origin: Origin, phase: Phase) -> ProviderError:
    """`exc`, raised before the headers were in (phase "headers") or inside the body ("stream"), as one of ours.

    Its cause is what the operating system said; httpx's exceptions over bad HTTP repeat the server's bytes.
    """
    error = _ours(exc, origin, phase)
    error.__cause__ = exc if isinstance(exc, (httpx.NetworkError, httpx.TimeoutException, OSError)) else None
    return error


def _ours(exc: Exception, origin: Origin, phase: Phase) -> ProviderError:
    match exc:
        case httpx.ConnectTimeout():
            return ConnectTimeout(f"no connection to {origin} in time", phase="connect")
        case httpx.PoolTimeout():
            return PoolTimeout("no free connection in time", phase="connect")
        case httpx.ReadTimeout():
            cls = ReadTimeout if phase == "headers" else InterChunkTimeout
            return cls(f"{origin} fell silent", phase=phase)
        case ValueError():
            return DNSError(f"the name {origin.host} has no address", phase="connect")
        case httpx.ConnectError():
            return _not_connected(exc, origin)
        case httpx.ProxyError():
            return ConnectionRefused(f"the proxy did not connect to {origin}", phase="connect")
        case httpx.RemoteProtocolError() if not str(exc).startswith((_NO_ANSWER, _CUT_SHORT)):
            return MalformedResponseError(f"{origin} does not speak proper HTTP", phase=phase)
        case httpx.DecodingError():
            return MalformedResponseError(f"the body from {origin} cannot be decompressed", phase=phase)
        case httpx.LocalProtocolError() | httpx.UnsupportedProtocol() | httpx.InvalidURL():
            return EndpointError(f"the request to {origin} cannot be put into HTTP", phase="connect")
    return ConnectionReset(f"{origin} closed the connection", phase=phase)


def died_unanswered(exc: Exception) -> bool:
    """Whether the connection ended while the headers of an answer were awaited."""
    return isinstance(exc, (httpx.ReadError, httpx.WriteError)) or str(exc).startswith(_NO_ANSWER)


def _not_connected(exc: Exception, origin: Origin) -> ProviderError:
    causes = tuple(_causes(exc))
    if any(isinstance(cause, socket.gaierror) or str(cause).startswith(_NO_ADDRESS) for cause in causes):
        return DNSError(f"the name {origin.host} cannot be resolved", phase="connect")
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return TLSError(
                f"the certificate of {origin} is not trusted: {cause.verify_message}", phase="connect"
            )
    if origin.scheme == "https" and len(causes) > 1 and not any(_unreached(cause) for cause in causes):
        return TLSError(f"no secure channel to {origin}", phase="connect")
    return ConnectionRefused(f"{origin} cannot be reached", phase="connect")


def _unreached(cause: BaseException) -> bool:
    """Whether there was no connection at all, so that no handshake can have failed."""
    return isinstance(cause, OSError) and not isinstance(cause, ssl.SSLError) and cause.errno in _UNREACHED


_UNREACHED = {
    errno.EACCES,
    errno.EADDRNOTAVAIL,
    errno.ECONNREFUSED,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.EINVAL,
    errno.ENETDOWN,
    errno.ENETUNREACH,
    errno.EPERM,
    errno.ETIMEDOUT,
}


def _causes(exc: BaseException | None) -> Iterator[BaseException]:
    """The exception, what it came from, and the members of groups."""
    seen: set[int] = set()
    left = [exc]
    while left:
        exc = left.pop()
        if exc is None or id(exc) in seen:
            continue
        seen.add(id(exc))
        yield exc
        left += [exc.__cause__, exc.__context__]
        if isinstance(exc, BaseExceptionGroup):
            left += exc.exceptions
