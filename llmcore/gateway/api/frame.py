"""The frame of every endpoint that is not asked thousands of times a second: authenticate, read JSON, do one thing, answer.

Keys come in headers and need nothing more; a browser's cookie needs its origin and CSRF token too (T7).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from time import perf_counter
from typing import Any, Protocol, TypeAlias
from urllib.parse import parse_qsl

from attrs import field, frozen

from llmcore.errors import ConfigurationError, ProviderError
from llmcore.gateway.access import policy
from llmcore.gateway.access.authenticate import credential, unauthorized
from llmcore.gateway.access.origin import check_same_origin
from llmcore.gateway.access.policy import Access
from llmcore.gateway.access.principal import Principal
from llmcore.gateway.api.fields import known
from llmcore.gateway.config import KIB
from llmcore.gateway.errors import BadRequest, GatewayError, UnsupportedMedia
from llmcore.gateway.http import (
    COMMON,
    JSON_TYPE,
    NO_BUFFERING,
    SSE_TYPE,
    ClientGone,
    Head,
    RawHeaders,
    Receive,
    Scope,
    Send,
    answer,
    as_json,
    json_object,
    raw_headers,
    read_body,
)
from llmcore.gateway.mirror.errors import anthropic_error, openai_error
from llmcore.gateway.mirror.sse import KEEP_ALIVE
from llmcore.gateway.presence import Presence, Stream
from llmcore.gateway.serve import Desk, SayError
from llmcore.gateway.store import StoreError
from llmcore.gateway.stored import told
from llmcore.gateway.vault import VaultError

BODY_LIMIT = 256 * KIB
ANTHROPIC = b"anthropic-version"
"""The header by which Anthropic's clients are known on a path that both wires have."""

NOBODY = Principal("", "nobody", "user", "key", scopes=frozenset())


@frozen
class Context:
    """What an endpoint works with. params: of the path; query: the value of each name; body: the JSON object that
    came, {} where none is expected; source: the client's address.
    """

    principal: Principal
    head: Head
    params: Mapping[str, str] = field(factory=dict)
    query: Mapping[str, str] = field(factory=dict)
    body: Mapping[str, Any] = field(factory=dict)
    source: str = ""
    method: str = "GET"


@frozen
class Reply:
    """An answer: JSON, or bytes with a content type of their own; None for none (204)."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(factory=dict)
    content_type: str | None = None


@frozen
class Live:
    """An answer that goes on: pieces of server-sent events, until the client leaves."""

    pieces: AsyncIterator[bytes]


Handler: TypeAlias = Callable[[Context], Awaitable[Reply | Live]]


class Browsers(Protocol):
    """Where signed-in browsers are known."""

    async def find(self, cookie: str, /) -> Principal | None:
        """Whose session that is; its `csrf` is what unsafe requests must repeat. Raises Unavailable."""
        ...


@frozen
class Rule:
    """How one endpoint is guarded. reads: whether it takes a JSON body. cookies: whether a browser's session counts.

    query: the parameters that are known, all others are refused; None where they are not looked at. both: whether
    Anthropic's clients, known by their header, get its errors.
    """

    route: str
    access: Access
    reads: bool = False
    cookies: bool = True
    limit: int = BODY_LIMIT
    query: frozenset[str] | None = None
    both: bool = False


def cookie_name(secure: bool) -> str:
    """The session's cookie; the prefix makes browsers insist on TLS, path "/" and no domain."""
    return "__Host-llmcore" if secure else "llmcore"


def cookie_of(head: Head, name: str) -> str | None:
    """The value of that cookie; None where it is missing, or there twice."""
    raw = head.get(b"cookie")
    if raw is None or not raw.isascii():
        return None
    pairs = [pair.strip().partition("=") for pair in raw.decode("ascii").split(";")]
    values = [value for key, _, value in pairs if key == name]
    return values[0] if len(values) == 1 else None


class Framed:
    """One endpoint as an ASGI callable; `params` are put into the scope by whoever found the route."""

    def __init__(
        self, desk: Desk, browsers: Browsers, rule: Rule, handler: Handler, say_error: SayError = openai_error
    ) -> None:
        self._desk = desk
        self._browsers = browsers
        self._rule = rule
        self._handler = handler
        self._say_error = say_error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began, head, status = perf_counter(), Head(scope), 499
        try:
            reply = await self._handler(await self._context(scope, head, receive))
            if isinstance(reply, Live):
                status = 200
                await self._live(head, reply, receive, send, head_only=scope["method"] == "HEAD")
            else:
                status = reply.status
                await self._whole(head, reply, scope, send)
        except ClientGone:
            status = 499
        except (GatewayError, ProviderError, ConfigurationError) as error:
            status = await self._failed(head, error, scope, send)
        except (StoreError, VaultError) as error:
            status = await self._failed(head, told(error), scope, send)
        except Exception as error:  # noqa: BLE001 - the outermost edge: the client gets an answer, the log the fault
            self._desk.log.fault(error, head.request_id, self._rule.route)
            fault = GatewayError("the gateway has failed; its log has more by the request id")
            status = await self._failed(head, fault, scope, send)
        finally:
            self._desk.metrics.answered(self._rule.route, status, perf_counter() - began)

    async def _context(self, scope: Scope, head: Head, receive: Receive) -> Context:
        method: str = scope["method"]
        principal = await self._principal(head, method)
        policy.check(self._rule.access, principal)
        return Context(
            principal,
            head,
            scope.get("path_params", {}),
            _query(scope, self._rule.query),
            await self._body(head, receive),
            str((scope.get("client") or ("",))[0]),
            method,
        )

    async def _principal(self, head: Head, method: str) -> Principal:
        """Who asks. Where both came, the key counts."""
        if self._rule.access == "open":
            return NOBODY
        token = credential(head)
        if token is not None:
            return await self._desk.authenticator.principal(token)
        config = self._desk.config
        cookie = cookie_of(head, cookie_name(config.secure)) if self._rule.cookies else None
        principal = None if cookie is None else await self._browsers.find(cookie)
        if principal is None:
            raise unauthorized()
        check_same_origin(config, head, method, principal.csrf)
        return principal

    async def _body(self, head: Head, receive: Receive) -> dict[str, Any]:
        if not self._rule.reads:
            return {}
        limits = self._desk.config.limits
        body = await read_body(head, receive, self._rule.limit, limits.upload)
        if not body:
            return {}
        kind = (head.get(b"content-type") or b"").partition(b";")[0].strip().lower()
        if kind != b"application/json":
            raise UnsupportedMedia("send JSON, with the header `Content-Type: application/json`")
        return json_object(body, limits)

    async def _whole(self, head: Head, reply: Reply, scope: Scope, send: Send) -> None:
        kind = JSON_TYPE
        if reply.content_type is not None:
            kind = (b"content-type", reply.content_type.encode("ascii"))
        body = (
            b""
            if reply.body is None
            else reply.body
            if isinstance(reply.body, bytes)
            else as_json(reply.body)
        )
        headers: RawHeaders = [] if reply.body is None else [kind]
        headers += [*_common(head), *raw_headers(reply.headers)]
        status = 204 if reply.body is None and reply.status == 200 else reply.status
        await answer(send, status, body, headers, head_only=scope["method"] == "HEAD")

    async def _live(
        self, head: Head, live: Live, receive: Receive, send: Send, *, head_only: bool = False
    ) -> None:
        if head_only:
            await answer(send, 200, b"", [SSE_TYPE, NO_BUFFERING, *_common(head)], head_only=True)
            return
        limits = self._desk.config.limits
        every, longest = self._desk.config.keep_alive, limits.stream
        out = Stream(send, KEEP_ALIVE, every=every, idle_write=limits.idle_write, longest=longest)
        try:
            async with Presence(receive, after=0.0):
                await out.start([SSE_TYPE, NO_BUFFERING, *_common(head)])
                async for piece in live.pieces:
                    await out.write(piece)
                await out.end()
        except asyncio.CancelledError:
            if not out.overdue:
                raise
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()
        finally:
            await out.aclose()

    async def _failed(
        self, head: Head, error: GatewayError | ProviderError | ConfigurationError, scope: Scope, send: Send
    ) -> int:
        if isinstance(error, ConfigurationError) and not isinstance(error, ProviderError):
            error = BadRequest("; ".join(error.complaints), code="invalid_configuration")
        anthropic = self._rule.both and head.get(ANTHROPIC) is not None
        said = (anthropic_error if anthropic else self._say_error)(error, request_id=head.request_id)
        headers = [JSON_TYPE, *_common(head)]
        headers += [pair for pair in raw_headers(said.headers) if pair[0] not in _IDS]
        await answer(send, said.status, as_json(said.body), headers, head_only=scope["method"] == "HEAD")
        return said.status


_IDS = (b"x-request-id", b"request-id")


def _common(head: Head) -> RawHeaders:
    """What every answer bears, with the request's id under each name by which its client looks for it."""
    said = head.request_id.encode("ascii")
    names = _IDS[:1] if head.get(ANTHROPIC) is None else _IDS
    return [*((name, said) for name in names), *COMMON]


def _query(scope: Scope, names: frozenset[str] | None) -> dict[str, str]:
    """The parameters. Raises BadRequest for one that came twice, or is none of `names`."""
    raw: bytes = scope.get("query_string", b"")
    if not raw:
        return {}
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, max_num_fields=50, errors="strict")
    except ValueError:
        raise BadRequest("the query string cannot be read") from None
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found:
            raise BadRequest(f"{name[:60]}: is given twice", param=name[:60])
        found[name] = value
    if names is not None:
        known(found, tuple(sorted(names)))
    return found
