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
_UNSENDABLE = re.compile(r"[^\x21-\x7e]")

MAX_LABEL = 63

# Nothing is asked to be compressed: small answers gain nothing, and a proxy that compresses holds a stream back.
DEFAULT_HEADERS = {"user-agent": f"llmcore/{__version__}", "accept-encoding": "identity"}


class Headers(dict[str, str]):
    """Names and values to send. It does not show them: tracebacks with variables end in logs."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{len(self)} headers>"


def bare(exc: BaseException) -> BaseException:
    """The same exception, and those it came from, without their frames: the libraries' hold our headers.

    Nor is an exception kept that nobody is to see: aiohttp's hold the whole request.
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


def headers_of(call: Call) -> dict[str, str]:
    """All headers to send, names in lower case. Raises EndpointError for one that HTTP cannot carry."""
    headers = Headers(DEFAULT_HEADERS)
    for name, value in call.headers.items():
        if not _TOKEN.fullmatch(name) or not (value.isascii() and value.isprintable()):
            raise EndpointError(f"the header {name[:64]!r} cannot be sent: odd characters", phase="connect")
        headers[name.lower()] = value
    return headers


def _bad(why: str) -> EndpointError:
    return EndpointError(f"the address {why}", phase="connect")
