"""What may go out: the address and the headers of a call, checked before any socket is touched."""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import SplitResult, urlsplit

from attrs import frozen

from llmcore._version import __version__
from llmcore.errors import EndpointError
from llmcore.transport.base import Call

_PORTS = {"http": 80, "https": 443}
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_AUTHORITY = re.compile(r"https?://[^/?]*", re.IGNORECASE)
_FRAMING = {"content-length", "transfer-encoding"}
_WITH_BODY = {"POST", "PUT", "PATCH"}
_UNSENDABLE = re.compile(r"[^\x21-\x7e]")

MAX_LABEL = 63
LARGE = 256 * 1024

# Nothing is asked to be compressed: small answers gain nothing, and a proxy that compresses holds a stream back.
DEFAULT_HEADERS = {"user-agent": f"llmcore/{__version__}", "accept-encoding": "identity"}


class Headers(dict[str, str]):
    """Names and values to send. It does not show them: tracebacks with variables end in logs."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{len(self)} headers>"


def bare(exc: BaseException) -> BaseException:
    """The same exception, and those it came from, without their frames: the libraries' hold our headers.

    Nor is an exception kept that nobody is to see: a library's may hold the whole request.
    """
    one: BaseException | None = exc
    seen: set[int] = set()
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        one.__traceback__ = None
        if one.__suppress_context__:
            one.__context__ = None
        one = one.__cause__ or one.__context__
    return exc


@frozen
class Origin:
    """Who is connected to. `str` shows no path and no query, so it may stand in an error."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


@lru_cache(maxsize=256)
def origin_of(url: str) -> Origin:
    """The origin of an absolute http(s) URL. Raises EndpointError, whose text never repeats the URL."""
    if _UNSENDABLE.search(url):
        raise _bad("holds a space, a control or a non-ASCII character")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _bad("is no URL") from None
    return _origin(parts, port)


def _origin(parts: SplitResult, port: int | None) -> Origin:
    if parts.scheme not in _PORTS:
        raise _bad("does not begin with http:// or https://")
    if not parts.hostname:
        raise _bad("names no host")
    if parts.username is not None:
        raise _bad("holds a user name or password; send credentials as a header")
    if ":" not in parts.hostname and not all(
        0 < len(label) <= MAX_LABEL for label in parts.hostname.removesuffix(".").split(".")
    ):
        raise _bad("names a host that cannot be: every part between dots has 1 to 63 characters")
    return Origin(parts.scheme, parts.hostname, port or _PORTS[parts.scheme])


@lru_cache(maxsize=512)
def _sendable(name: str) -> str:
    """The name in lower case. Raises EndpointError for one that HTTP cannot carry, and for those that frame the body."""
    if not _TOKEN.fullmatch(name):
        raise EndpointError(f"the header {name[:64]!r} cannot be sent: odd characters", phase="connect")
    if name.lower() in _FRAMING:
        raise EndpointError(f"the header {name!r} cannot be sent: the transport sets it", phase="connect")
    return name.lower()


def headers_of(call: Call) -> Headers:
    """All headers to send, names in lower case. Raises EndpointError for one that HTTP cannot carry."""
    headers = Headers(DEFAULT_HEADERS)
    for name, value in call.headers.items():
        if not (value.isascii() and value.isprintable()):
            raise EndpointError(f"the header {name[:64]!r} cannot be sent: odd characters", phase="connect")
        headers[_sendable(name)] = value
    return headers


class Outgoing:
    """One request as bytes, which it does not show. start: what is written at once. rest: a body too large for that.

    bodiless: the answer has no body, whatever length it states.
    """

    __slots__ = ("bodiless", "rest", "start")

    def __init__(self, head: bytes, body: bytes | None, *, bodiless: bool = False) -> None:
        large = body is not None and len(body) > LARGE
        self.start: bytes = head if large or not body else head + body
        self.rest: memoryview | None = memoryview(body) if body is not None and large else None
        self.bodiless: bool = bodiless


class Route:
    """What all requests to one URL share. key: of the origin. Raises EndpointError, whose text never repeats the URL.

    The head of the last request is kept, since that of the next one is mostly the same; it lives no longer than its
    transport, and is replaced in one step, since event loops in several threads may share it.
    """

    __slots__ = ("_host", "_last", "_target", "key", "origin")

    def __init__(self, url: str) -> None:
        self.origin: Origin = origin_of(url)
        self.key: str = str(self.origin)
        target = _AUTHORITY.sub("", url.partition("#")[0], count=1)
        self._target = target if target.startswith("/") else f"/{target}"
        self._host = _host_of(self.origin)
        self._last: tuple[str, Headers, bytes] = ("", Headers(), b"")

    def outgoing(self, call: Call) -> Outgoing:
        """The call as bytes. Raises EndpointError for a header that HTTP cannot carry."""
        method, headers, head = self._last
        if call.method != method or call.headers != headers:
            head = self._head_of(call)
            self._last = (call.method, Headers(call.headers), head)
        body = call.body
        if body is None and call.method not in _WITH_BODY:
            return Outgoing(head + b"\r\n", None, bodiless=call.method == "HEAD")
        return Outgoing(b"%bcontent-length: %d\r\n\r\n" % (head, len(body or b"")), body)

    def _head_of(self, call: Call) -> bytes:
        """All but the content-length."""
        headers = headers_of(call)
        headers.setdefault("host", self._host)
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        return f"{call.method} {self._target} HTTP/1.1\r\n{lines}".encode("ascii")


def _host_of(origin: Origin) -> str:
    host = origin.host.partition("%")[0]
    if ":" in host:
        host = f"[{host}]"
    return host if origin.port == _PORTS[origin.scheme] else f"{host}:{origin.port}"


def _bad(why: str) -> EndpointError:
    return EndpointError(f"the address {why}", phase="connect")
