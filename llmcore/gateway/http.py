"""ASGI by hand, for the endpoints that must be fast: headers in one pass, bodies under a limit, answers in two messages."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from llmcore.gateway.config import LimitsConfig
from llmcore.gateway.errors import BadRequest, TooLarge, UnsupportedMedia

if TYPE_CHECKING:
    from llmcore.gateway.access.uploads import Upload, Uploads

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
AsgiApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
RawHeaders: TypeAlias = list[tuple[bytes, bytes]]

WANTED = frozenset(
    (
        b"authorization",
        b"x-api-key",
        b"x-goog-api-key",
        b"anthropic-version",
        b"content-length",
        b"content-encoding",
        b"content-type",
        b"cookie",
        b"host",
        b"origin",
        b"sec-fetch-site",
        b"x-csrf-token",
        b"x-http-method-override",
        b"x-llmcore-session",
        b"x-llmcore-agent",
        b"x-request-id",
        b"x-request-timeout-ms",
        b"idempotency-key",
        b"traceparent",
    )
)
ONCE = frozenset((b"authorization", b"x-api-key", b"x-goog-api-key", b"host", b"content-length"))

_REQUEST_ID = re.compile(rb"[A-Za-z0-9_-]{1,128}")

JSON_TYPE = (b"content-type", b"application/json")
SSE_TYPE = (b"content-type", b"text/event-stream; charset=utf-8")
NO_STORE = (b"cache-control", b"no-store")
NO_SNIFF = (b"x-content-type-options", b"nosniff")
NO_BUFFERING = (b"x-accel-buffering", b"no")
COMMON: tuple[tuple[bytes, bytes], ...] = (
    NO_STORE,
    NO_SNIFF,
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
)

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class ClientGone(Exception):
    """The client closed the connection before its request was whole."""


class Head:
    """The headers that matter, by lower-case name. `twice` names one that came twice and may come only once."""

    __slots__ = ("_found", "request_id", "twice")

    def __init__(self, scope: Scope) -> None:
        found: dict[bytes, bytes] = {}
        self.twice: bytes | None = None
        for name, value in scope["headers"]:
            if name in WANTED:
                if name in found and name in ONCE:
                    self.twice = name
                found[name] = value
        self._found = found
        self.request_id: str = _request_id(found.get(b"x-request-id"))

    def get(self, name: bytes) -> bytes | None:
        return self._found.get(name)

    def text(self, name: bytes) -> str | None:
        """A header as text; None where it is missing. Raises BadRequest where it is not printable ASCII."""
        value = self._found.get(name)
        if value is None:
            return None
        if not value.isascii() or not (text := value.decode("ascii")).isprintable():
            label = name.decode()
            raise BadRequest(f"the header {label} holds characters that it may not hold", param=label)
        return text


def _request_id(said: bytes | None) -> str:
    if said is not None and _REQUEST_ID.fullmatch(said):
        return said.decode("ascii")
    return "req_" + secrets.token_hex(12)


async def read_body(
    head: Head,
    receive: Receive,
    limit: int,
    seconds: float,
    *,
    uploads: Uploads | None = None,
    user: str = "",
) -> bytes:
    """The request's body. uploads: where its bytes count for `user` until it is whole; None where they need not.

    Raises TooLarge, UnsupportedMedia, BadRequest where it comes too slowly, ClientGone, and what `uploads` raises.
    """
    encoding = head.get(b"content-encoding")
    if encoding is not None and encoding.strip().lower() not in {b"", b"identity"}:
        raise UnsupportedMedia("send the body as it is: compressed requests are not taken")
    said = head.get(b"content-length")
    if said is not None and said.isdigit() and (len(said) > 15 or int(said) > limit):
        raise _too_large(limit)
    steps, message, waiting = receive().__await__(), None, None
    try:
        waiting = next(steps)
    except StopIteration as done:  # it is there already, as nearly always: then no clock is needed
        message = done.value
        if not message.get("more_body", False):
            return _piece(message, limit, limit)
    try:
        async with asyncio.timeout(seconds):
            first = await _Begun(steps, waiting) if message is None else message
            return await _rest(first, receive, limit, None if uploads is None else uploads.begin(user))
    except TimeoutError:
        raise BadRequest(
            "the request's body did not arrive in time", status=408, code="request_timeout"
        ) from None


class _Begun:
    """What waits already for `waiting`, to be awaited to its end."""

    def __init__(self, steps: Generator[Any, Any, Message], waiting: Any) -> None:
        self._steps = steps
        self._waiting = waiting

    def __await__(self) -> Generator[Any, Any, Message]:
        steps, waiting = self._steps, self._waiting
        try:
            while True:
                try:
                    sent = yield waiting
                except BaseException as error:  # noqa: BLE001 - it is for whoever waits
                    waiting = steps.throw(error)
                else:
                    waiting = steps.send(sent)
        except StopIteration as done:
            message: Message = done.value
            return message


async def _rest(message: Message, receive: Receive, limit: int, upload: Upload | None) -> bytes:
    """All pieces joined as they come: a list of tiny ones would take a hundred times their bytes."""
    body = bytearray()
    try:
        while True:
            body += _piece(message, limit - len(body), limit)
            if not message.get("more_body", False):
                return bytes(body)
            if upload is not None:
                upload.take(len(message.get("body", b"")))
            message = await receive()
    finally:
        if upload is not None:
            upload.end()


def _piece(message: Message, left: int, limit: int) -> bytes:
    """The bytes of a message, of which `left` are taken. Raises TooLarge, ClientGone."""
    if message["type"] == "http.disconnect":
        raise ClientGone
    piece: bytes = message.get("body", b"")
    if len(piece) > left:
        raise _too_large(limit)
    return piece


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the request is larger than the {limit:,} bytes that are taken")


def json_object(body: bytes, limits: LimitsConfig) -> dict[str, Any]:
    """The body as a JSON object. Raises BadRequest, also where it is nested too deeply."""
    value = json_value(body, limits.json_depth)
    if type(value) is not dict:
        raise BadRequest("the body must be a JSON object")
    return value


def json_value(body: bytes, depth: int) -> Any:
    """Any JSON. Raises BadRequest, also where it is nested deeper than `depth`."""
    if not body:
        raise BadRequest("the body is empty; send JSON")
    try:
        value = _decode(body)
    except RecursionError:
        raise _too_deep(depth) from None
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as exc:
        reason = str(exc) if isinstance(exc, msgspec.DecodeError) else "it is not UTF-8"
        raise BadRequest(f"the body is no JSON: {reason}") from None
    if body.count(b"[") + body.count(b"{") > depth and deeper(value, depth):
        raise _too_deep(depth)
    return value


def _too_deep(depth: int) -> BadRequest:
    return BadRequest(f"the JSON is nested deeper than {depth} levels")


def deeper(value: Any, depth: int) -> bool:
    """Whether `value` nests more than `depth` levels of arrays and objects."""
    level: list[Any] = [value] if isinstance(value, (dict, list)) else []
    for _ in range(depth):
        if not level:
            return False
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (dict, list))
        ]
    return bool(level)


def as_json(value: Any) -> bytes:
    """JSON of an answer of ours."""
    return _encode(value)


async def answer(
    send: Send, status: int, body: bytes, headers: Iterable[tuple[bytes, bytes]], *, head_only: bool = False
) -> None:
    """One whole answer."""
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [*headers, (b"content-length", b"%d" % len(body))],
        }
    )
    await send({"type": "http.response.body", "body": b"" if head_only else body})


def raw_headers(headers: Mapping[str, str]) -> RawHeaders:
    """Headers of ours as ASGI wants them; what no header can hold is replaced."""
    return [(name.lower().encode("ascii"), header_text(value)) for name, value in headers.items()]


def header_text(value: str) -> bytes:
    """`value` as printable ASCII: names of models come from outside, and no CR or LF may end a header."""
    if value.isascii() and value.isprintable():
        return value.encode("ascii")
    return "".join(char if " " <= char <= "~" else "?" for char in value).encode("ascii")
