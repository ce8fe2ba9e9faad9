"""Bytes in, one answer after another out: llhttp (httptools) with the limits and the strictness that it leaves to us.

No socket and no clock. llhttp is kept as strict as it comes: every line ends with CR LF, no header is folded over two
lines, content-length stands once and not beside chunked framing.
"""

from __future__ import annotations

from collections.abc import Callable

import httptools

from llmcore.transport.incoming import MAX_HEADER_BYTES, MAX_HEADERS

MAX_LINE = 64 * 1024

_LENGTH = b"content-length"
_FRAMING = b"transfer-encoding"


class _Refused(Exception):
    """Stops llhttp from inside a callback."""


class Reader:
    """The answers of one connection: `begin` before each request, `feed` what arrives, `end` where nothing more will.

    head: the status and all headers are in, and `status` and `raw` hold them. complete: so is the body. broken: what came
    is no HTTP. keeps: the connection may serve again, as of `complete`. pieces: what has come of the body and was not taken.
    """

    __slots__ = (
        "_barren",
        "_bodiless",
        "_fed",
        "_interim",
        "_parser",
        "broken",
        "complete",
        "head",
        "keeps",
        "on_body",
        "pieces",
        "raw",
        "status",
    )

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.on_body: Callable[[bytes], None] = self.pieces.append
        self._parser = httptools.HttpResponseParser(self)
        self.begin()

    def begin(self, *, bodiless: bool = False) -> None:
        """The next answer. bodiless: to a HEAD request, so its length is that of a body that does not come."""
        self.status: int = 0
        self.raw: list[tuple[bytes, bytes]] = []
        self.head: bool = False
        self.complete: bool = False
        self.broken: bool = False
        self.keeps: bool = False
        self._bodiless = bodiless
        self._interim = False
        self._fed = self._barren = 0

    def feed(self, data: bytes) -> None:
        """Never raises for what a server says; `broken` tells."""
        before = len(self.pieces)
        self._interim = False
        self._fed += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError as exc:
            cause = exc.__context__
            if cause is not None and not isinstance(cause, _Refused):
                raise cause from None  # llhttp passes on nothing, not even KeyboardInterrupt
            self._stopped()
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._stopped()
        if len(self.pieces) > before or self.complete or self._interim:
            self._barren = 0
            return
        self._barren += len(data)
        if self._barren > MAX_HEADER_BYTES:
            self.broken = True

    def end(self) -> None:
        """Nothing more comes, which completes a body that states no length."""
        if self.head and not self.broken and not self._framed():
            self.complete = True

    def take(self) -> bytes:
        """What has come of the body since the last time."""
        pieces = self.pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        return data

    def _stopped(self) -> None:
        """The parser goes no further. Behind a complete answer that spoils only what would follow."""
        if self.complete:
            self.keeps = False
        else:
            self.broken = True

    def _too_much(self) -> bool:
        """Whether the headers are more than is taken. What is fed without an end to them is bounded in `feed`."""
        if len(self.raw) > MAX_HEADERS:
            return True
        if self._fed <= MAX_LINE:
            return False
        sizes = [len(name) + len(value) for name, value in self.raw]
        return max(sizes, default=0) > MAX_LINE or sum(sizes) > MAX_HEADER_BYTES

    def _framed(self) -> bool:
        codings = b",".join(value for name, value in self.raw if name.lower() == _FRAMING)
        if codings:
            return codings.rpartition(b",")[2].strip().lower() == b"chunked"
        return any(name.lower() == _LENGTH for name, _ in self.raw)

    # ------------------------------------------------------------------------------------ called by llhttp

    def on_message_begin(self) -> None:
        if self.complete:
            raise _Refused

    def on_header(self, name: bytes, value: bytes) -> None:
        """Of the head or of the trailers, which are forgotten."""
        if not self.head:
            self.raw.append((name, value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 100 or status == 101 or self._too_much():
            raise _Refused
        if status < 200:
            self.raw.clear()
            self._interim = True
            return
        self.status = status
        self.head = True
        if self._bodiless:
            self.complete = True
            raise _Refused

    def on_message_complete(self) -> None:
        if self.head:
            self.complete = True
            self.keeps = self._parser.should_keep_alive()
