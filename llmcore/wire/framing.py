r"""Bytes to messages, in pieces of any size: server-sent events and JSON lines.

Source: the event-stream section of the WHATWG HTML standard. Beyond it, for vendors that break it: an event that
the end of the bytes cuts off before its blank line is still delivered by `finish`, and JSON that stands bare between
events (Gemini's late errors) is delivered as an event without a name.
"""

from __future__ import annotations

import json
from typing import TypeAlias

from llmcore.errors import MalformedResponseError

Message: TypeAlias = tuple[str, bytes]

MAX_EVENT = 1024 * 1024
MAX_BARE = 64 * 1024


class _Lines:
    """Whole lines out of chunks; LF, CRLF and CR end a line, also when split over chunks; a BOM at the start goes."""

    __slots__ = ("_after_cr", "_cap", "_first", "_size", "_tail")

    def __init__(self, cap: int) -> None:
        self._cap = cap
        self._tail: list[bytes] = []
        self._size = 0
        self._after_cr = False
        self._first = True

    def feed(self, chunk: bytes) -> list[bytes]:
        if not chunk:
            return []
        if self._after_cr:
            self._after_cr = False
            if chunk[:1] == b"\n":
                chunk = chunk[1:]
        if not self._first and b"\n" not in chunk and b"\r" not in chunk:
            self._hold(bytes(chunk))
            return []
        data = b"".join((*self._tail, chunk)) if self._tail else bytes(chunk)
        self._tail, self._size = [], 0
        if self._first:
            if len(data) < 3 and b"\xef\xbb\xbf".startswith(data):
                self._tail = [data]
                return []
            self._first = False
            data = data.removeprefix(b"\xef\xbb\xbf")
        if b"\r" in data:
            self._after_cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = data.split(b"\n")
        self._hold(lines.pop())
        return lines

    @property
    def between(self) -> bool:
        """Whether the last line is whole, and nothing of its end can still come."""
        return not (self._tail or self._after_cr or self._first)

    def finish(self) -> list[bytes]:
        tail, self._tail = b"".join(self._tail), []
        return [tail] if tail else []

    def _hold(self, piece: bytes) -> None:
        if piece:
            self._tail.append(piece)
            self._size += len(piece)
        if self._size > self._cap:
            raise MalformedResponseError(f"one event is larger than {self._cap} bytes", phase="stream")


class ServerSentEvents:
    """Server-sent events to (event name, data) pairs; comments, ids and retry hints are passed over."""

    __slots__ = ("_bare", "_cap", "_data", "_lines", "_name", "_size")

    def __init__(self, cap: int = MAX_EVENT) -> None:
        self._lines = _Lines(cap)
        self._cap = cap
        self._name = ""
        self._data: list[bytes] = []
        self._size = 0
        self._bare: list[bytes] | None = None

    def feed(self, chunk: bytes) -> list[Message]:
        """Raises MalformedResponseError where one event exceeds the cap."""
        if chunk[:6] == b"data: " and chunk[-2:] == b"\n\n" and len(chunk) <= self._cap and self._between():
            plain = chunk[6:-2].split(b"\n\ndata: ")
            if chunk.count(b"\n") == 2 * len(plain) and b"\r" not in chunk:
                return [("", data) for data in plain]
        return self._take(self._lines.feed(chunk))

    def _between(self) -> bool:
        """Whether no event has begun."""
        return self._lines.between and not (self._data or self._name) and self._bare is None

    def finish(self) -> list[Message]:
        """What the end of the bytes left unfinished."""
        return self._take([*self._lines.finish(), b""])

    def _take(self, lines: list[bytes]) -> list[Message]:
        out: list[Message] = []
        for line in lines:
            if self._bare is not None:
                self._take_bare(line, out)
            elif line[:5] == b"data:":
                self._add(line[6:] if line[5:6] == b" " else line[5:])
            elif not line:
                if self._data:
                    out.append(
                        (self._name, self._data[0] if len(self._data) == 1 else b"\n".join(self._data))
                    )
                    self._data = []
                    self._size = 0
                self._name = ""
            elif line[:6] == b"event:":
                self._name = line[6:].strip().decode("utf-8", "replace")
            elif line[:1] in (b"{", b"["):
                self._bare = []
                self._take_bare(line, out)
            elif line == b"data":
                self._add(b"")
        return out

    def _add(self, data: bytes) -> None:
        self._data.append(data)
        self._size += len(data)
        if self._size > self._cap:
            raise MalformedResponseError(f"one event is larger than {self._cap} bytes", phase="stream")

    def _take_bare(self, line: bytes, out: list[Message]) -> None:
        assert self._bare is not None
        self._bare.append(line)
        whole = b"\n".join(self._bare)
        if len(whole) > MAX_BARE:
            raise MalformedResponseError("bytes between events that are no event", phase="stream")
        if line.rstrip()[-1:] in (b"}", b"]") and _is_json(whole):
            self._bare = None
            out.append(("", whole))


class JsonLines:
    """One JSON value a line (NDJSON) to ("", line) pairs; blank lines are passed over."""

    __slots__ = ("_lines",)

    def __init__(self, cap: int = MAX_EVENT) -> None:
        self._lines = _Lines(cap)

    def feed(self, chunk: bytes) -> list[Message]:
        """Raises MalformedResponseError where one line exceeds the cap."""
        return [("", line) for line in self._lines.feed(chunk) if line.strip()]

    def finish(self) -> list[Message]:
        return [("", line) for line in self._lines.finish() if line.strip()]


def _is_json(data: bytes) -> bool:
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return False
    return True
