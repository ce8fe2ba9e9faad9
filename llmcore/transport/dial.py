"""From a name to a connection: the loop's resolver, TCP to several addresses in turn (RFC 8305), TLS, in one limit of time."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, zip_longest
from typing import Any, TypeAlias

import anyio

from llmcore.config import Timeouts
from llmcore.errors import ConnectionRefused, ConnectTimeout, DNSError, ProviderError, TLSError
from llmcore.transport.connection import Connection
from llmcore.transport.outgoing import Origin

HEAD_START_S = 0.25  # RFC 8305: how long an address is tried alone

Address: TypeAlias = tuple[int, int, int, str, Any]


Admit: TypeAlias = Callable[[Origin, Sequence[str]], None]
"""Told the addresses (IP literals) that a host resolved to, before any of them is dialled; raises ProviderError to refuse."""


async def connect(
    origin: Origin, tls: ssl.SSLContext | None, timeouts: Timeouts, admit: Admit | None = None
) -> Connection:
    """A new connection. Raises ConnectTimeout, DNSError, ConnectionRefused, TLSError, or what `admit` raises; then no
    socket is left. What is dialled is what `admit` has seen: the name is not resolved again.
    """
    with anyio.move_on_after(timeouts.connect):
        addresses = await _resolved(origin)
        if admit is not None:
            admit(origin, [str(address[4][0]) for address in addresses])
        sock = await _first(addresses, origin, timeouts.write)
        return await _protocol(sock, origin, tls)
    raise ConnectTimeout(f"no connection to {origin} in time", phase="connect")


async def _resolved(origin: Origin) -> list[Address]:
    """All addresses of the host, families taking turns. Raises DNSError."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as exc:
        cause = exc if isinstance(exc, OSError) else None
        raise DNSError(f"the name {origin.host} cannot be resolved", phase="connect") from cause
    if not found:
        raise DNSError(f"the name {origin.host} has no address", phase="connect")
    first = found[0][0]
    pairs = zip_longest((one for one in found if one[0] == first), (one for one in found if one[0] != first))
    return [one for one in chain.from_iterable(pairs) if one is not None]


async def _first(addresses: list[Address], origin: Origin, write: float) -> socket.socket:
    """A socket to the address that answers first. Raises ConnectionRefused where none does."""
    won: list[socket.socket] = []
    failures: list[OSError] = []
    try:
        if len(addresses) == 1:
            await _try(addresses[0], write, won, failures)
        else:
            await _race(addresses, write, won, failures)
    except BaseException:
        _close(won)
        raise
    _close(won[1:])
    if won:
        return won[0]
    raise ConnectionRefused(f"{origin} cannot be reached", phase="connect") from failures[0]


async def _race(
    addresses: list[Address], write: float, won: list[socket.socket], failures: list[OSError]
) -> None:
    """Each address gets a head start over the next, which begins at once where the one before fails."""

    async def attempt(address: Address, ended: anyio.Event) -> None:
        await _try(address, write, won, failures)
        ended.set()
        if won:
            group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        for address in addresses:
            ended = anyio.Event()
            group.start_soon(attempt, address, ended)
            with anyio.move_on_after(HEAD_START_S):
                await ended.wait()


async def _try(address: Address, write: float, won: list[socket.socket], failures: list[OSError]) -> None:
    family, kind, protocol, _, where = address
    try:
        sock = socket.socket(family, kind, protocol)
    except OSError as exc:
        failures.append(exc)
        return
    try:
        sock.setblocking(False)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, max(1, round(write * 1000)))
        await asyncio.get_running_loop().sock_connect(sock, where)
    except OSError as exc:
        sock.close()
        failures.append(exc)
    except BaseException:
        sock.close()
        raise
    else:
        won.append(sock)


async def _protocol(sock: socket.socket, origin: Origin, tls: ssl.SSLContext | None) -> Connection:
    """The connection over that socket, with TLS where it is asked for. Raises TLSError."""
    loop = asyncio.get_running_loop()
    connection = Connection(origin, loop)
    server_hostname = None if tls is None else origin.host.partition("%")[0].removesuffix(".")
    try:
        await loop.create_connection(lambda: connection, sock=sock, ssl=tls, server_hostname=server_hostname)
    except OSError as exc:
        raise _insecure(exc, origin) from exc
    return connection


def _insecure(exc: OSError, origin: Origin) -> ProviderError:
    if isinstance(exc, ssl.SSLCertVerificationError):
        verdict = exc.verify_message or "it does not fit the host"
        return TLSError(f"the certificate of {origin} is not trusted: {verdict}", phase="connect")
    if origin.scheme == "https":
        return TLSError(f"no secure channel to {origin}", phase="connect")
    return ConnectionRefused(f"{origin} cannot be reached", phase="connect")


def _close(sockets: Iterable[socket.socket]) -> None:
    for sock in sockets:
        sock.close()
