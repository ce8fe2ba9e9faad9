"""The fast transport's replies: one that is here already, and one that still comes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from llmcore.errors import ConnectionReset, MalformedResponseError, ProviderError
from llmcore.transport.connection import HIGH, Connection
from llmcore.transport.ending import cut_short
from llmcore.transport.outgoing import bare
from llmcore.transport.pool import Pool


class Lease:
    """A connection from its answer's headers to the end of the body; it counts as open until then."""

    __slots__ = ("_key", "_pool", "connection", "ended")

    def __init__(self, connection: Connection, pool: Pool, key: str) -> None:
        self.connection: Connection = connection
        self.ended: bool = False
        self._pool = pool
        self._key = key

    def end(self) -> None:
        """Give the connection back if the body is wholly here, else close it at once. May be called twice."""
        if self.ended:
            return
        self.ended = True
        if self.connection.reader.complete:
            self._pool.give(self._key, self.connection)
        else:
            self.connection.abort()
        self._pool.gate.leave()


class Raw:
    """A Source: the body as it comes, for whoever decompresses it."""

    __slots__ = ("_lease",)

    def __init__(self, lease: Lease) -> None:
        self._lease = lease

    async def next(self) -> bytes | None:
        return await self._lease.connection.next() or None

    async def aclose(self, *, whole: bool) -> None:
        self._lease.end()


class Whole:
    """An answer that came in one go; its connection has been given back."""

    __slots__ = ("_body", "headers", "status")

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status: int = status
        self.headers: Mapping[str, str] = headers
        self._body = body

    async def read(self, limit: int) -> bytes:
        body, self._body = self._body, b""
        if len(body) > limit:
            raise MalformedResponseError(f"the body is larger than {limit} bytes", phase="stream")
        return body

    def chunks(self) -> AsyncIterator[bytes]:
        return self

    async def aclose(self) -> None:
        self._body = b""

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        body, self._body = self._body, b""
        if not body:
            raise StopAsyncIteration
        return body


class Flow:
    """An answer whose body still comes, uncompressed. Whatever has arrived is handed on as one piece."""

    __slots__ = ("_lease", "_received", "headers", "status")

    def __init__(self, status: int, headers: Mapping[str, str], lease: Lease) -> None:
        self.status: int = status
        self.headers: Mapping[str, str] = headers
        self._lease = lease
        self._received = 0

    async def read(self, limit: int) -> bytes:
        lease = self._lease
        if lease.ended:
            return b""
        connection = lease.connection
        parts: list[bytes] = []
        size = 0
        try:
            while not parts or not connection.reader.complete:
                await connection.rest(min(limit - size, HIGH))
                parts.append(connection.take())
                size += len(parts[-1])
                if size > limit:
                    raise MalformedResponseError(f"the body is larger than {limit} bytes", phase="stream")
            return parts[0] if len(parts) == 1 else b"".join(parts)
        except ConnectionReset as cut:
            self._received += size + len(connection.take())
            raise bare(self._seen(cut_short(cut))) from cut.__cause__
        except ProviderError as error:
            self._received += size + len(connection.take())
            raise bare(self._seen(error)) from error.__cause__
        finally:
            lease.end()

    def chunks(self) -> AsyncIterator[bytes]:
        return self

    async def aclose(self) -> None:
        self._lease.end()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        lease = self._lease
        if lease.ended:
            raise StopAsyncIteration
        connection = lease.connection
        try:
            piece = await connection.next()
        except ProviderError as error:
            lease.end()
            raise bare(self._seen(error)) from error.__cause__
        except BaseException:
            lease.end()
            raise
        self._received += len(piece)
        if connection.reader.complete:
            lease.end()
            if not piece:
                raise StopAsyncIteration
        return piece

    def _seen(self, error: ProviderError) -> ProviderError:
        error.bytes_received = self._received
        return error
