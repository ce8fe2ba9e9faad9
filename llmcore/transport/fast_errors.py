"""aiohttp's exceptions as ours. The texts are our own words and name scheme, host and port only: no URL, no header."""

from __future__ import annotations

import ssl

import aiohttp

from llmcore.errors import (
    ConnectionRefused,
    ConnectionReset,
    ConnectTimeout,
    DNSError,
    EndpointError,
    InterChunkTimeout,
    MalformedResponseError,
    Phase,
    ProviderError,
    ReadTimeout,
    TLSError,
)
from llmcore.transport.outgoing import Origin

# The words of aiohttp's parser for a body that ended too early; any other complaint of it means broken framing.
_CUT_SHORT = "Not enough data to satisfy"


def translated(exc: Exception, origin: Origin, phase: Phase) -> ProviderError:
    """`exc`, raised before the headers were in (phase "headers") or inside the body ("stream"), as one of ours.

    Its cause is what the operating system said; aiohttp's other exceptions repeat our headers and the server's bytes.
    """
    error = _ours(exc, origin, phase)
    error.__cause__ = exc.with_traceback(None) if isinstance(exc, OSError) else None
    return error


def _ours(exc: Exception, origin: Origin, phase: Phase) -> ProviderError:
    match exc:
        case aiohttp.ConnectionTimeoutError():
            return ConnectTimeout(f"no connection to {origin} in time", phase="connect")
        case aiohttp.ClientConnectorDNSError():
            return DNSError(f"the name {origin.host} cannot be resolved", phase="connect")
        case aiohttp.ClientConnectorCertificateError():
            return TLSError(
                f"the certificate of {origin} is not trusted: {_verdict(exc.certificate_error)}",
                phase="connect",
            )
        case aiohttp.ClientConnectorSSLError():
            return TLSError(f"no secure channel to {origin}", phase="connect")
        case aiohttp.ClientConnectorError():
            return _not_connected(exc, origin)
        case aiohttp.SocketTimeoutError():
            cls = ReadTimeout if phase == "headers" else InterChunkTimeout
            return cls(f"{origin} fell silent", phase=phase)
        case aiohttp.ClientResponseError():
            return MalformedResponseError(f"{origin} does not speak proper HTTP", phase=phase)
        case aiohttp.ClientPayloadError() if not _cut_short(exc):
            return MalformedResponseError(f"{origin} does not speak proper HTTP", phase=phase)
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
            return EndpointError(f"the request to {origin} cannot be put into HTTP", phase="connect")
    return ConnectionReset(f"{origin} closed the connection", phase=phase)


def died_unanswered(exc: Exception) -> bool:
    """Whether the connection ended before any byte of an answer."""
    if isinstance(exc, aiohttp.ServerDisconnectedError):
        return isinstance(exc.message, str)
    return isinstance(exc, (aiohttp.ClientOSError, aiohttp.ClientConnectionResetError)) and not isinstance(
        exc, aiohttp.ClientConnectorError
    )


def _not_connected(exc: aiohttp.ClientConnectorError, origin: Origin) -> ProviderError:
    cut = isinstance(exc.os_error, (ConnectionResetError, ConnectionAbortedError, ssl.SSLError))
    if origin.scheme == "https" and cut:
        return TLSError(f"no secure channel to {origin}", phase="connect")
    return ConnectionRefused(f"{origin} cannot be reached", phase="connect")


def _cut_short(exc: aiohttp.ClientPayloadError) -> bool:
    return _CUT_SHORT in str(exc.__cause__ or exc)


def _verdict(error: Exception) -> str:
    return str(getattr(error, "verify_message", "")) or "it does not fit the host"
