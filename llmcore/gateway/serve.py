"""The one path of a model call: admit, understand, resolve, reserve, ask, encode, settle, record.

Plain ASGI: these endpoints are asked thousands of times a second. What is common to all of them is here; each wire and
kind of answer adds its own `_asked`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

from attrs import define, field

from llmcore.errors import ProviderError
from llmcore.gateway.access.authenticate import Authenticator, credential, unauthorized
from llmcore.gateway.access.idempotency import Given, Repeats, Ticket
from llmcore.gateway.access.limits import Hold, Seats, Shares, Want
from llmcore.gateway.access.principal import INFERENCE, NO_LIMITS, Principal
from llmcore.gateway.access.uploads import Uploads
from llmcore.gateway.backend import Backend
from llmcore.gateway.config import GatewayConfig
from llmcore.gateway.errors import BadRequest, Forbidden, GatewayError, TooMany
from llmcore.gateway.http import (
    COMMON,
    JSON_TYPE,
    ClientGone,
    Head,
    RawHeaders,
    Receive,
    Scope,
    Send,
    answer,
    header_text,
    raw_headers,
    read_body,
)
from llmcore.gateway.ledger import Books, CallRecord, taken
from llmcore.gateway.mirror.base import ErrorAnswer, Failure
from llmcore.gateway.mirror.errors import warnings_header
from llmcore.gateway.mirror.sse import dumps
from llmcore.gateway.resolve import Resolver, Target, Wanted
from llmcore.gateway.telemetry.current import REQUEST
from llmcore.gateway.telemetry.log import Log
from llmcore.gateway.telemetry.metrics import Metrics
from llmcore.provider import Answering
from llmcore.types import Attempt, RequestWarning, Usage

CHARS_PER_TOKEN = 4
USUAL_OUTPUT = 512

if TYPE_CHECKING:  # an extra
    from llmcore.gateway.telemetry.tracing import Tracing

SayError = Callable[..., ErrorAnswer]


@define
class Desk:
    """What every call needs. now: monotonic seconds, wall: epoch seconds. priced: set once public prices are known; calls
    that have a budget wait for it where configured prices do not suffice. None: they need not.
    """

    config: GatewayConfig
    backend: Backend
    authenticator: Authenticator
    resolver: Resolver
    seats: Seats
    shares: Shares
    books: Books
    metrics: Metrics
    log: Log
    now: Callable[[], float]
    wall: Callable[[], float]
    tracing: Tracing | None = None
    priced: asyncio.Event | None = None
    repeats: Repeats = field(init=False)
    uploads: Uploads = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.repeats = Repeats(self.now)
        limits = self.config.limits
        largest = max(limits.body, limits.media_body)  # one alone is always taken
        self.uploads = Uploads(max(limits.uploads, largest), max(limits.user_uploads, largest))


@define
class Call:
    """One request on its way. status: what was answered, 0 before; asked, got: when the model was asked and had
    answered, by `perf_counter`. earlier: the attempts of a call that went before in the same context.
    """

    head: Head
    send: Send
    began: float = field(factory=perf_counter)
    principal: Principal | None = None
    target: Target | None = None
    hold: Hold | None = None
    attempts: tuple[Attempt, ...] = ()
    status: int = 0
    begun: bool = False
    outcome: str = "success"
    ticket: Ticket | None = None
    asked: float = 0.0
    got: float = 0.0
    earlier: tuple[Attempt, ...] = ()

    @property
    def request_id(self) -> str:
        return self.head.request_id

    def overhead(self, now: float) -> float:
        """Seconds of this call that were ours and not a provider's."""
        if not self.asked:
            return now - self.began
        got = self.got or now
        between = got - self.asked
        last = self.attempts[-1] if self.attempts else None
        if last is not None and last.duration_s is not None:
            between -= last.duration_s + (last.started_s or 0.0)
            first = self.attempts[0].started_s or 0.0
            between += first
        else:
            between = 0.0
        return max(0.0, (self.asked - self.began) + between + (now - got))


class Told(Protocol):
    """What a whole answer tells of itself in headers."""

    @property
    def provider(self) -> str | None: ...
    @property
    def model(self) -> str | None: ...
    @property
    def attempts(self) -> tuple[Attempt, ...]: ...
    @property
    def warnings(self) -> tuple[RequestWarning, ...]: ...


def answering(told: Told) -> Answering:
    """Who gave it, after how many attempts."""
    return Answering(told.provider or "", told.model, len(told.attempts), told.warnings)


class Endpoint:
    """The frame around one kind of call. route: its name in metrics; wire: in the books; media: whether pictures may come.

    id_header: the name under which clients of this wire look for the request's id, where it is not `x-request-id`.
    """

    route: str = ""
    wire: str = ""
    media: bool = False
    id_header: bytes | None = None

    def __init__(self, desk: Desk, say_error: SayError) -> None:
        self.desk = desk
        self.say_error = say_error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = Call(Head(scope), send)
        call.earlier = self.desk.backend.last_attempts()
        REQUEST.set(call.request_id)
        try:
            await self._serve(call, receive)
        except (GatewayError, ProviderError) as error:
            await self._failed(call, error)
        except ClientGone:
            call.outcome = "cancelled"
            call.status = 499
        except asyncio.CancelledError:
            call.outcome = "cancelled"
            raise
        except Exception as error:  # noqa: BLE001 - the outermost edge: the client gets an answer, the log the fault
            self.desk.log.fault(error, call.request_id, self.route)
            await self._failed(
                call, GatewayError("the gateway has failed; its log has more by the request id")
            )
        finally:
            if call.ticket is not None:
                call.ticket.settle(None)
            self._close(call)
            if call.hold is not None:
                await self._settle(call, call.hold)
            if call.target is not None and call.target.lease is not None:
                await call.target.lease.aclose()

    async def _serve(self, call: Call, receive: Receive) -> None:
        """Admit the request, read it, and have it answered."""
        desk = self.desk
        principal = call.principal = await self._admitted(call.head)
        desk.seats.take(principal)
        try:
            limits = desk.config.limits
            cap = limits.media_body if self.media else limits.body
            body = await read_body(
                call.head, receive, cap, limits.upload, uploads=desk.uploads, user=principal.user_id
            )
            key = call.head.text(b"idempotency-key")
            if key is None or not await self._repeated(call, principal, key, body):
                await self._answer(call, body, receive)
        finally:
            desk.seats.give(principal)

    async def _repeated(self, call: Call, principal: Principal, key: str, body: bytes) -> bool:
        """Give the answer that was given for this key; False where this request is the first of it."""
        given = self.desk.repeats.begin(principal.user_id, self.route, key, body)
        if isinstance(given, Ticket):
            call.ticket = given
            return False
        call.begun, call.status = True, given.status
        headers = [pair for pair in given.headers if pair[0] not in {b"x-request-id", self.id_header}]
        headers += [*self._ids(call), (b"x-llmcore-replayed", b"true")]
        await answer(call.send, given.status, given.body, headers)
        return True

    async def _answer(self, call: Call, body: bytes, receive: Receive) -> None:
        """Each wire and kind of answer says it; there is nothing common to fall back to."""
        raise NotImplementedError

    async def _admitted(self, head: Head) -> Principal:
        """Who asks. Raises Unauthorized, Forbidden, BadRequest."""
        token = credential(head)
        if token is None:
            raise unauthorized()
        principal = await self.desk.authenticator.principal(token)
        if INFERENCE not in principal.scopes:
            raise Forbidden(f"this key lacks the scope {INFERENCE!r}", code="missing_scope")
        return principal

    # ------------------------------------------------------------------------------ before the model

    def wanted(self, call: Call, **more: Any) -> Wanted:
        """What the headers say of the call. Raises BadRequest."""
        head = call.head
        assert call.principal is not None
        return Wanted(
            call.principal,
            session=head.text(b"x-llmcore-session"),
            agent=head.text(b"x-llmcore-agent"),
            deadline=deadline_of(head, self.desk.config),
            **more,
        )

    async def reserve(self, call: Call, body: bytes, model: str | None, output: int) -> None:
        """Take requests, tokens and money in advance. Raises TooMany."""
        principal = call.principal
        assert principal is not None
        limits = principal.limits
        if limits is NO_LIMITS or limits.free:
            return
        tokens, cost = len(body) // CHARS_PER_TOKEN, 0
        if limits.budget_micros is not None:
            await self._priced(model)
            price = self.desk.backend.cost(model, Usage(tokens, output))
            cost = 0 if price is None else int(price * 1_000_000)
        want = Want(1, tokens + output, cost)
        try:
            call.hold = await self.desk.shares.reserve(principal.share, limits, want, principal.spent_micros)
        except TooMany as error:
            self.desk.metrics.limited(error.code)
            raise

    async def _priced(self, model: str | None) -> None:
        """Until a budget can count this call."""
        priced = self.desk.priced
        if priced is not None and not priced.is_set() and not self.desk.backend.priced(model):
            await priced.wait()

    # ------------------------------------------------------------------------------- after the model

    def _ids(self, call: Call) -> RawHeaders:
        """The request's id, under each name by which clients know it."""
        said = call.request_id.encode("ascii")
        if self.id_header is None:
            return [(b"x-request-id", said)]
        return [(b"x-request-id", said), (self.id_header, said)]

    def headers(
        self,
        call: Call,
        who: Answering | None,
        warnings: tuple[RequestWarning, ...],
        kind: tuple[bytes, bytes],
    ) -> RawHeaders:
        """The head of a good answer."""
        headers: RawHeaders = [kind, *self._ids(call), *COMMON]
        if who is not None:
            if who.provider:
                headers.append((b"x-llmcore-provider", header_text(who.provider)))
            if who.model:
                headers.append((b"x-llmcore-model", header_text(who.model)))
            headers.append((b"x-llmcore-attempts", b"%d" % who.attempts))
            if who.warnings:
                warnings = (*warnings, *who.warnings)
        overhead = call.overhead(perf_counter())
        headers.append((b"x-llmcore-overhead-ms", b"%.3f" % (overhead * 1000)))
        if warnings:
            headers.append((b"x-llmcore-warnings", warnings_header(warnings).encode("ascii")))
        return headers

    async def say(
        self,
        call: Call,
        told: Told | None,
        warnings: tuple[RequestWarning, ...],
        body: Mapping[str, Any],
        more: Mapping[str, str] | None = None,
    ) -> None:
        """A whole good answer. more: headers beside the common ones."""
        text = dumps(body)
        call.begun, call.status = True, 200
        headers = self.headers(call, None if told is None else answering(told), warnings, JSON_TYPE)
        if more:
            headers += raw_headers(more)
        if call.ticket is not None:
            call.ticket.settle(Given(200, headers, text))
        await answer(call.send, 200, text, headers)

    async def _failed(self, call: Call, error: Failure) -> None:
        """Say the error in this wire's words, if nothing was said yet."""
        call.outcome = error.outcome if isinstance(error, ProviderError) else type(error).__name__
        if isinstance(error, ProviderError):
            call.attempts = call.attempts or error.attempts
        self.desk.metrics.failed(self.route, call.outcome)
        if call.begun:
            return
        said = self.say_error(error, request_id=call.request_id)
        call.begun, call.status = True, said.status
        headers: RawHeaders = [JSON_TYPE, (b"x-request-id", call.request_id.encode("ascii")), *COMMON]
        headers += [pair for pair in raw_headers(said.headers) if pair[0] != b"x-request-id"]
        if call.attempts:
            last = call.attempts[-1]
            headers.append((b"x-llmcore-provider", header_text(last.provider)))
            if last.model:
                headers.append((b"x-llmcore-model", header_text(last.model)))
            headers.append((b"x-llmcore-attempts", b"%d" % len(call.attempts)))
        headers.append((b"x-llmcore-overhead-ms", b"%.3f" % (call.overhead(perf_counter()) * 1000)))
        text = dumps(said.body)
        if call.ticket is not None:
            call.ticket.settle(Given(said.status, headers, text))
        await answer(call.send, said.status, text, headers)

    def _close(self, call: Call) -> None:
        """Figures and books."""
        desk, now = self.desk, perf_counter()
        desk.metrics.answered(self.route, call.status or 499, now - call.began)
        if call.asked:
            if not call.attempts and (last := desk.backend.last_attempts()) is not call.earlier:
                call.attempts = last
            desk.metrics.added(self.route, call.overhead(now))
        own = call.target is not None and call.target.own
        if call.attempts:
            desk.metrics.attempted(call.attempts, own=own)
        if call.principal is not None and (call.attempts or call.asked):
            at = desk.wall() - (now - call.began)
            period = "" if call.hold is None else call.hold.period
            record = CallRecord(
                call.request_id, at, call.principal, self.wire, call.outcome, call.attempts, period, own
            )
            desk.books.add(record)
            if desk.tracing is not None:
                said = call.head.get(b"traceparent")
                parent = said.decode("ascii") if said is not None and said.isascii() else None
                desk.tracing.called(record, desk.wall(), parent)

    async def _settle(self, call: Call, hold: Hold) -> None:
        """What it took; where nobody was asked, nothing."""
        tokens, money = taken(call.attempts) if call.asked else (0, 0)
        await self.desk.shares.settle(hold, tokens, money)


def deadline_of(head: Head, config: GatewayConfig) -> float | None:
    """Seconds from `x-request-timeout-ms`, within our bounds. Raises BadRequest."""
    said = head.text(b"x-request-timeout-ms")
    if said is None:
        return config.limits.request
    if not said.isdigit() or len(said) > 12 or int(said) == 0:
        raise BadRequest(
            "x-request-timeout-ms must be a whole number of milliseconds", param="x-request-timeout-ms"
        )
    return min(int(said) / 1000, config.limits.max_request)


async def within(work: Awaitable[Any], call: Call) -> Any:
    """Await the model, and note when."""
    call.asked = perf_counter()
    try:
        return await work
    finally:
        call.got = perf_counter()
