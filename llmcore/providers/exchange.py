"""One provider's talk with its server: address, headers, key and statuses. Every error leaves here redacted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from copy import copy
from email.utils import formatdate
from typing import NamedTuple, TypeAlias
from urllib.parse import urlsplit

import anyio

from llmcore.clock import wall_clock
from llmcore.config import Timeouts
from llmcore.errors import EndpointError, InvalidRequestError, MalformedResponseError, ProviderError
from llmcore.providers.place import Place
from llmcore.secret import Redactor, Secret, header_secrets
from llmcore.transport.base import Call, Reply, Transport
from llmcore.types import RateLimits, RequestWarning
from llmcore.wire.base import MAX_BODY, HttpRequest, Wire
from llmcore.wire.limits import LimitReader

MAX_REQUEST = 64 * 1024 * 1024
MAX_ERROR_BODY = 256 * 1024
CLEANUP_S = 2.0
ERROR_BODY_S = 5.0

Told: TypeAlias = Callable[[str | None, RateLimits], None]


class Trace:
    """What one call notes of its requests: their model, what could not be said in them, and the last answer's status and id."""

    __slots__ = ("model", "request_id", "status", "warnings")

    def __init__(self, model: str | None) -> None:
        self.model: str | None = model
        self.status: int | None = None
        self.request_id: str | None = None
        self.warnings: tuple[RequestWarning, ...] = ()


class Answer(NamedTuple):
    """A whole 2xx answer."""

    body: bytes
    headers: Mapping[str, str]


class Exchange:
    """Sends what a wire encoded to where the place is, and hands back what may be decoded: 2xx bodies that are no HTML.

    api_key: the key that is sent. secrets: all that no error may show beside it; those among `headers` are found here.
    """

    def __init__(
        self,
        place: Place,
        wire: Wire,
        transport: Transport,
        *,
        base_url: str,
        headers: Mapping[str, str],
        api_key: Secret | None,
        secrets: Iterable[Secret] = (),
        timeouts: Timeouts,
    ) -> None:
        self._place = place
        self._wire = wire
        self._transport = transport
        self._base_url = base_url.rstrip("/")
        self._headers = dict(headers)
        self._api_key = api_key
        self._redact = Redactor((api_key, *secrets, *header_secrets(headers)))
        self._limits = LimitReader()
        self._listeners: tuple[Told, ...] = ()
        self.timeouts: Timeouts = timeouts

    def keyed(self, key: Secret) -> Exchange:
        """The same talk with another key."""
        other = copy(self)
        other._api_key = key
        return other

    def listen(self, told: Told) -> None:
        """Call `told(model, limits)` for every traced answer, good or bad, that tells rate limits."""
        self._listeners = (*self._listeners, told)

    @property
    def host(self) -> str:
        """Host and port, for people to read."""
        return urlsplit(self._base_url).netloc.rpartition("@")[2]

    async def open(self, http: HttpRequest, trace: Trace | None = None) -> Reply:
        """The reply to `http`, its body unread. Raises ProviderError for every status but 2xx."""
        try:
            reply = await self._transport.open(self._call(http), self.timeouts)
            if trace is not None:
                trace.status = reply.status
                if self._listeners:
                    self._tell(trace.model, reply.headers)
            if not 200 <= reply.status < 300 or _is_html(reply):
                try:
                    raise await self._error(reply)
                finally:
                    await reply.aclose()
        except ProviderError as error:
            raise self.redacted(error) from error.__cause__
        return reply

    async def fetch(self, http: HttpRequest, trace: Trace | None = None) -> Answer:
        """The whole body and the headers of a 2xx reply. Raises ProviderError."""
        reply = await self.open(http, trace)
        try:
            return Answer(await reply.read(MAX_BODY), reply.headers)
        except ProviderError as error:
            raise self.redacted(error) from error.__cause__
        finally:
            await reply.aclose()

    async def cancel(self, http: HttpRequest | None) -> None:
        """Tell the vendor to stop working on what nobody waits for; best effort, within two seconds, uncancellable."""
        if http is None:
            return
        with anyio.CancelScope(shield=True), anyio.move_on_after(CLEANUP_S):
            try:
                await self.fetch(http)
            except ProviderError:
                return

    def redacted(self, error: ProviderError) -> ProviderError:
        """The same error, with no key in its texts, nor in those of the errors that it came from, and without the frames
        that it has passed: whoever read the answer held what the vendor sent, and vendors echo keys. Raise it `from` its cause.
        """
        error.reword(self._redact(error.message))
        for name in ("sample", "code", "type", "request_id"):
            if text := getattr(error, name):
                setattr(error, name, self._redact(text))
        error.__traceback__ = error.__context__ = None
        if isinstance(error.__cause__, ProviderError):
            self.redacted(error.__cause__)
        elif error.__cause__ is not None:
            error.__cause__.__traceback__ = error.__cause__.__context__ = None
        return error

    async def aclose(self) -> None:
        await self._transport.aclose()

    def _tell(self, model: str | None, headers: Mapping[str, str]) -> None:
        limits = self._limits.read(headers, wall_clock())
        if limits is not None:
            for told in self._listeners:
                told(model, limits)

    def _call(self, http: HttpRequest) -> Call:
        """The request with address and credentials; no frame that raises here holds one of them."""
        path, body = http.path, http.body
        if path.startswith("/"):
            path = self._base_url + path
        else:
            self._check_host(path)
        headers = {**self._headers, **http.headers}
        if body is not None:
            if len(body) > MAX_REQUEST:
                words = f"the request is {len(body)} bytes; at most {MAX_REQUEST} are sent"
                raise InvalidRequestError(words, phase="encode")
            headers["content-type"] = "application/json"
        if self._api_key:
            headers[self._place.auth_header] = self._place.auth_prefix + self._api_key.reveal()
        return Call(http.method, path, headers, body)

    def _check_host(self, url: str) -> None:
        if not self._place.trusts(url, self._base_url):
            raise MalformedResponseError(
                f"the provider handed out an address on a foreign host ({_where(self._redact(url))})",
                phase="connect",
            )

    async def _error(self, reply: Reply) -> ProviderError:
        status, headers = reply.status, reply.headers
        if 300 <= status < 400:
            return EndpointError(self._detour(status, headers), status=status, phase="headers")
        body = await _read(reply, status)
        if "date" not in headers:
            headers = {**headers, "date": formatdate(wall_clock(), usegmt=True)}
        error = self._wire.decode_error(status, headers, body)
        error.phase = "headers"
        if status < 300:
            error.sample = body[:2048].decode("utf-8", "replace")
        return error

    def _detour(self, status: int, headers: Mapping[str, str]) -> str:
        """What a 3xx says; one without a `location` leads nowhere."""
        location = headers.get("location")
        if location is None:
            words = "304 (Not Modified)" if status == 304 else f"{status} without saying where to go"
            return f"the provider answered {words}, which is no answer; check base_url and what stands in front of it"
        target = _where(self._redact(location))
        return f"the provider redirects to {target}; redirects are not followed, so check base_url"


async def _read(reply: Reply, status: int) -> bytes:
    """The body; of an error status nothing where it is endless, cut or stalled, since the status says enough."""
    if status < 300:
        return await reply.read(MAX_BODY)
    with anyio.move_on_after(ERROR_BODY_S), suppress(ProviderError):
        return await reply.read(MAX_ERROR_BODY)
    return b""


def _is_html(reply: Reply) -> bool:
    told = reply.headers.get("content-type")
    return told is not None and told.lower().startswith(("text/html", "application/xhtml"))


def _where(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return "what is no address"
    return f"{parts.scheme}://{parts.hostname}" if parts.hostname else "a path of its own"
