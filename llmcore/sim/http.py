"""The server half of HTTP/1.1, small and by hand: bytes in, requests out. No socket here."""

from __future__ import annotations

from attrs import field, frozen

MAX_HEAD = 256 * 1024
MAX_BODY = 256 * 1024 * 1024


class BadRequest(Exception):
    """What came is no HTTP request; the connection cannot go on. `status` is what to answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@frozen
class HttpRequest:
    """One request; header names in lower case, repeated ones joined with ", ". `raw` is its bytes as they came."""

    method: str
    target: str
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)
    http10: bool = False
    raw: bytes = field(default=b"", repr=False)

    @property
    def keep_alive(self) -> bool:
        wish = self.headers.get("connection", "").lower()
        return "keep-alive" in wish if self.http10 else "close" not in wish


class RequestReader:
    """Feed bytes, take requests; pipelined requests come one after the other.

    `expects_continue` turns true when a client waits for "100 Continue" before it sends the body.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._head: HttpRequest | None = None
        self._body_at = 0
        self.expects_continue: bool = False

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def next(self) -> HttpRequest | None:
        """The next whole request, or None. Raises BadRequest."""
        if self._head is None and not self._read_head():
            return None
        assert self._head is not None
        head = self._head
        if "chunked" in head.headers.get("transfer-encoding", "").lower():
            return self._chunked(head)
        length = _length(head.headers.get("content-length", "0"))
        end = self._body_at + length
        if len(self._buffer) < end:
            return None
        return self._taken(head, bytes(self._buffer[self._body_at : end]), end)

    def _read_head(self) -> bool:
        while self._buffer[:2] == b"\r\n":
            del self._buffer[:2]
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0 or end > MAX_HEAD:
            if len(self._buffer) > MAX_HEAD:
                raise BadRequest(431, "the head is too large")
            return False
        self._head = parse_head(bytes(self._buffer[:end]))
        self._body_at = end + 4
        self.expects_continue = self._head.headers.get("expect", "").lower() == "100-continue"
        return True

    def _taken(self, head: HttpRequest, body: bytes, end: int) -> HttpRequest:
        raw = bytes(self._buffer[:end])
        del self._buffer[:end]
        self._head, self.expects_continue = None, False
        return HttpRequest(head.method, head.target, head.headers, body, head.http10, raw)

    def _chunked(self, head: HttpRequest) -> HttpRequest | None:
        body, at = bytearray(), self._body_at
        while True:
            line_end = self._buffer.find(b"\r\n", at)
            if line_end < 0:
                return None
            size = _chunk_size(bytes(self._buffer[at:line_end]))
            at = line_end + 2
            if size == 0:
                end = self._buffer.find(b"\r\n", at)
                return None if end < 0 else self._taken(head, bytes(body), end + 2)
            if len(self._buffer) < at + size + 2:
                return None
            body += self._buffer[at : at + size]
            at += size + 2
            if len(body) > MAX_BODY:
                raise BadRequest(413, "the body is too large")


def parse_head(data: bytes) -> HttpRequest:
    """Request line and header lines, without the empty line. Raises BadRequest."""
    first, *lines = data.decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise BadRequest(400, "that is no HTTP/1.1 request line")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        name, value = name.lower(), value.strip(" \t")
        if not colon or not name or name != name.strip():
            raise BadRequest(400, "a header line is malformed")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return HttpRequest(words[0], words[1], headers, http10=words[2] == "HTTP/1.0")


def _length(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise BadRequest(400, "content-length is no number")
    if (length := int(text[:18])) > MAX_BODY:
        raise BadRequest(413, "the body is too large")
    return length


def _chunk_size(line: bytes) -> int:
    try:
        return int(line.partition(b";")[0].strip(), 16)
    except ValueError:
        raise BadRequest(400, "a chunk size is no number") from None
