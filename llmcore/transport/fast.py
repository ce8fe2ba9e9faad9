"""The fast transport: HTTP/1.1 of our own over asyncio, parsed by llhttp. docs/transport.md says why."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress

from llmcore.config import Timeouts
from llmcore.transport.base import Call, Reply, refuse_if_blocked
from llmcore.transport.connection import Connection
from llmcore.transport.dial import Admit, connect
from llmcore.transport.ending import closed_by_us
from llmcore.transport.fast_reply import Flow, Lease, Raw, Whole
from llmcore.transport.incoming import BodyReply, joined_headers
from llmcore.transport.limits import Limits
from llmcore.transport.outgoing import Route, bare
from llmcore.transport.pool import Pool
from llmcore.transport.tls import system_tls

MAX_ROUTES = 256


class FastTransport:
    """One pool of connections for each event loop that uses it, made when first needed.

    tls: trust settings of one's own instead of the system's. admit: asked before each new connection whether the
    addresses of its host may be dialled.
    """

    def __init__(
        self, *, tls: ssl.SSLContext | None = None, limits: Limits | None = None, admit: Admit | None = None
    ) -> None:
        self._tls = tls
        self._admit = admit
        self._limits = limits or Limits()
        self._pools: dict[asyncio.AbstractEventLoop, Pool] = {}
        self._routes: dict[str, Route] = {}

    async def open(self, call: Call, timeouts: Timeouts) -> Reply:
        pool = None
        try:
            route = self._routes.get(call.url) or self._route(call.url)
            request = route.outgoing(call)
            refuse_if_blocked()
            here = self._pool()
            if not here.gate.entered():
                await here.gate.enter(timeouts.pool)
            pool = here
            if pool.shut:  # while it waited
                raise closed_by_us("connect")
            connection = pool.take(route.key)
            if connection is None or not await connection.ask(request, timeouts.write, kept=True):
                connection = await self._connected(pool, route, timeouts)
                await connection.ask(request, timeouts.write)
        except BaseException as exc:  # noqa: BLE001 - raised again, without the frames that hold the request
            if pool is not None:
                pool.gate.leave()
            raise bare(exc) from exc.__cause__
        return _reply(connection, pool, route.key)

    async def aclose(self) -> None:
        self._routes.clear()
        pools, self._pools = self._pools, {}
        try:
            here = pools.pop(asyncio.get_running_loop(), None)
        except RuntimeError:  # another loop than asyncio's
            here = None
        for loop, pool in pools.items():
            if loop.is_closed():
                pool.release()
            else:  # it runs in another thread
                with suppress(RuntimeError):
                    loop.call_soon_threadsafe(pool.end)
        if here is not None:
            await here.aclose()

    async def _connected(self, pool: Pool, route: Route, timeouts: Timeouts) -> Connection:
        tls = (self._tls or system_tls()) if route.origin.scheme == "https" else None
        return await pool.dial(connect(route.origin, tls, timeouts, self._admit))

    def _route(self, url: str) -> Route:
        route = Route(url)
        if len(self._routes) >= MAX_ROUTES:
            self._routes.clear()
        self._routes[url] = route
        return route

    def _pool(self) -> Pool:
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if pool is None or pool.shut:
            for other in [one for one in list(self._pools) if one.is_closed()]:
                gone = self._pools.pop(other, None)
                if gone is not None:
                    gone.release()
            pool = self._pools[loop] = Pool(loop, self._limits)
        return pool


def _reply(connection: Connection, pool: Pool, key: str) -> Reply:
    """What the caller reads; where the whole answer is here already, its connection is free for the next call."""
    reader = connection.reader
    try:
        headers = joined_headers(reader.raw)
        if "content-encoding" in headers:
            return BodyReply(reader.status, headers, Raw(Lease(connection, pool, key)))
    except BaseException:
        Lease(connection, pool, key).end()
        raise
    if not reader.complete:
        return Flow(reader.status, headers, Lease(connection, pool, key))
    body = connection.take()
    pool.give(key, connection)
    pool.gate.leave()
    return Whole(reader.status, headers, body)
