"""What comes in: headers joined, the body decompressed piece by piece, capped, and given back when it is whole."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Protocol

from llmcore.errors import ConnectionReset, MalformedResponseError, ProviderError
from llmcore.transport.ending import cut_short
from llmcore.transport.outgoing import bare

MAX_HEADERS = 256
MAX_HEADER_BYTES = 128 * 1024
PIECE = 64 * 1024

_GZIP_OR_ZLIB = 47


class Source(Protocol):
    """The raw body as a library hands it out. `next` gives None at the end and raises ConnectionReset where it is cut."""

    async def next(self) -> bytes | None: ...

    async def aclose(self, *, whole: bool) -> None:
        """Called once. whole: the body was read to its end, so that the connection may serve again."""
        ...


class BodyReply:
    """A reply over any source of raw bytes; its own iterator, so that one left early needs no finalizer.

    Making one raises MalformedResponseError where the headers leave open how the body is to be read.
    """

    def __init__(self, status: int, headers: Mapping[str, str], source: Source) -> None:
        if "content-length" in headers and "transfer-encoding" in headers:
            raise MalformedResponseError("the answer states its length in two ways", phase="headers")
        self.status = status
        self.headers = headers
        self._source = source
        self._decode = decoder_for(headers.get("content-encoding"))
        self._pieces: Iterator[bytes] = iter(())
        self._received = 0
        self._closed = False

    async def read(self, limit: int) -> bytes:
        parts: list[bytes] = []
        size = 0
        try:
            async for piece in self:
                size += len(piece)
                if size > limit:
                    raise MalformedResponseError(f"the body is larger than {limit} bytes", phase="stream")
                parts.append(piece)
        except ConnectionReset as cut:
            raise self._seen(cut_short(cut)) from cut.__cause__
        finally:
            await self.aclose()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def chunks(self) -> AsyncIterator[bytes]:
        return self

    async def aclose(self) -> None:
        await self._end(whole=False)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._closed:
            raise StopAsyncIteration
        try:
            piece = await self._next()
        except ProviderError as error:
            await self._end(whole=False)
            raise bare(self._seen(error)) from error.__cause__
        except BaseException:
            await self._end(whole=False)
            raise
        if piece is None:
            await self._end(whole=True)
            raise StopAsyncIteration
        return piece

    async def _next(self) -> bytes | None:
        """The next piece that is not empty, or None at the end."""
        while True:
            for piece in self._pieces:
                if piece:
                    return piece
            raw = await self._source.next()
            if raw is None:
                if self._decode is not None:
                    self._decode.end()
                return None
            self._received += len(raw)
            if self._decode is not None:
                self._pieces = self._decode.feed(raw)
            elif raw:
                return raw

    async def _end(self, *, whole: bool) -> None:
        if not self._closed:
            self._closed = True
            await self._source.aclose(whole=whole)

    def _seen(self, error: ProviderError) -> ProviderError:
        error.bytes_received = self._received
        return error


class Decompressor:
    """gzip (of any number of members) or deflate, in pieces of at most 64 KiB, so that a bomb never stands in memory."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(_GZIP_OR_ZLIB)
        self._started = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._zlib.eof:
                self._zlib = zlib.decompressobj(_GZIP_OR_ZLIB)
            yield self._inflate(data)
            data = self._zlib.unused_data if self._zlib.eof else self._zlib.unconsumed_tail

    def end(self) -> None:
        """The raw body has ended. Raises MalformedResponseError where the compressed one has not."""
        if self._started and not self._zlib.eof:
            raise MalformedResponseError("the compressed body is cut short", phase="stream")

    def _inflate(self, data: bytes) -> bytes:
        try:
            piece = self._zlib.decompress(data, PIECE)
        except zlib.error:
            if self._started:
                raise MalformedResponseError(
                    "the body is not the compressed data it claims", phase="stream"
                ) from None
            piece = self._raw_deflate(data)
        self._started = True
        return piece

    def _raw_deflate(self, data: bytes) -> bytes:
        """Some servers send `deflate` without the zlib header that it must have."""
        self._zlib = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            return self._zlib.decompress(data, PIECE)
        except zlib.error:
            raise MalformedResponseError(
                "the body is not the compressed data it claims", phase="stream"
            ) from None


def decoder_for(encoding: str | None) -> Decompressor | None:
    """How a body with this `content-encoding` is read. Raises MalformedResponseError for one nobody asked for."""
    if not encoding:
        return None
    names = [name for part in encoding.split(",") if (name := part.strip().lower()) not in ("", "identity")]
    if not names:
        return None
    if len(names) == 1 and names[0] in ("gzip", "x-gzip", "deflate"):
        return Decompressor()
    raise MalformedResponseError(
        f"the body is encoded as {', '.join(names)[:64]!r}, unasked", phase="headers"
    )


def joined_headers(raw: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    """Names in lower case; those that come more than once joined by ", ". Raises MalformedResponseError beyond the caps."""
    headers = {name.decode("latin-1").lower(): value.decode("latin-1").strip(" \t") for name, value in raw}
    if len(headers) < len(raw):
        _join_repeated(headers, raw)
    size = sum(map(len, headers)) + sum(map(len, headers.values()))
    if len(raw) > MAX_HEADERS or size > MAX_HEADER_BYTES:
        raise MalformedResponseError("the headers of the answer are too many or too large", phase="headers")
    return headers


def _join_repeated(headers: dict[str, str], raw: Sequence[tuple[bytes, bytes]]) -> None:
    """Give each name all of its values, in the order of coming."""
    values: dict[str, list[str]] = {name: [] for name in headers}
    for name, value in raw:
        values[name.decode("latin-1").lower()].append(value.decode("latin-1").strip(" \t"))
    headers.update((name, ", ".join(found)) for name, found in values.items())
