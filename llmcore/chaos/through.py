"""A call through a gateway, over HTTP, by our own client: what came, who the gateway says answered, and what it billed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Self

import anyio
from attrs import define, evolve, field, frozen

from llmcore.build import create_provider
from llmcore.chaos.ask import ask
from llmcore.chaos.nouns import Seen
from llmcore.chaos.routes import KEY, Route
from llmcore.config import ProviderConfig, Timeouts
from llmcore.errors import ConfigurationError, ProviderError
from llmcore.transport.base import Call, Reply, Transport
from llmcore.transport.choose import open_transport
from llmcore.types import Attempt, Usage

ROWS = 1000
BODY_LIMIT = 64 * 1024 * 1024
WRITTEN_S = 4.0
"""Seconds within which the gateway's books must show a call."""
_PAUSE_S = 0.2
_PATIENT = Timeouts(connect=5.0, pool=60.0, write=60.0, first_token=600.0, inter_chunk=600.0, total=3600.0)


@frozen
class Endpoint:
    """A running gateway. url: without "/v1". key: what it asks of its callers."""

    url: str
    key: str = field(repr=False)

    def provider(self, transport: Transport, model: str | None = None) -> ProviderConfig:
        return ProviderConfig(
            "gateway", "openai_compatible", api_key=self.key, base_url=f"{self.url}/v1", text_model=model
        )


@define
class Listening:
    """A transport that remembers the head of the last answer, and leaves another transport open."""

    inner: Transport
    headers: Mapping[str, str] = field(factory=dict)

    async def open(self, call: Call, timeouts: Timeouts) -> Reply:
        reply = await self.inner.open(call, timeouts)
        self.headers = dict(reply.headers)
        return reply

    async def aclose(self) -> None:
        """The other transport is closed by whoever opened it."""


class Client:
    """Asks one gateway. Use in `async with`."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._transport = open_transport()
        self._books: bool | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        with anyio.CancelScope(shield=True):
            await self._transport.aclose()

    async def check(self, names: list[str]) -> None:
        """Raises ConfigurationError where the gateway cannot be asked, or does not know these models."""
        url = self._endpoint.url
        provider = create_provider(
            self._endpoint.provider(self._transport), transport=Listening(self._transport), environ={}
        )
        try:
            with anyio.fail_after(30):
                known = {model.id for model in await provider.list_models()}
        except (ProviderError, TimeoutError) as error:
            raise ConfigurationError(f"--endpoint: {url} cannot be asked: {error}") from None
        unknown = [name for name in names if name not in known]
        if unknown:
            raise ConfigurationError(
                f"--endpoint: the gateway at {url} has no model {unknown[0]!r}; start it with the configuration that "
                "`llmcore chaos --upstreams FILE` writes"
            )

    async def call(self, route: Route, *, factor: float, hang_s: float, began_s: float) -> Seen:
        """One call of that case, and what became of it."""
        listening = Listening(self._transport)
        provider = create_provider(
            self._endpoint.provider(self._transport, route.name),
            transport=listening,
            timeouts=_PATIENT,
            environ={},
        )
        seen = await ask(
            provider,
            route.scenario.traffic,
            route.way,
            factor=factor,
            hang_s=hang_s,
            key=KEY,
            began_s=began_s,
        )
        return await self._told(route, seen, listening.headers)

    async def _told(self, route: Route, seen: Seen, headers: Mapping[str, str]) -> Seen:
        """What the gateway says of the call: in the books, and where it keeps none, in the head of its answer."""
        said = headers.get("x-llmcore-provider")
        provider = None if said is None else route.short(said)
        model = headers.get("x-llmcore-model") or seen.model
        attempts = await self._attempts(route, headers.get("x-request-id"))
        for attempt in attempts:
            if attempt.outcome == "success":
                provider, model = attempt.provider, attempt.model
        if seen.ended != "answered":
            provider = model = None
        leaked = seen.leaked_key or any(KEY in value for value in headers.values())
        return evolve(
            seen,
            provider=provider,
            model=model,
            attempts=attempts,
            leaked_key=leaked,
            warnings=tuple(filter(None, (headers.get("x-llmcore-warnings"),))),
        )

    async def _attempts(self, route: Route, request_id: str | None) -> tuple[Attempt, ...]:
        """Who was tried, as the gateway's books have it; () where it keeps none that we may read."""
        if request_id is None or self._books is False:
            return ()
        found: tuple[Attempt, ...] = ()
        with anyio.move_on_after(WRITTEN_S):
            while not found:
                rows = await self._rows()
                if rows is None:
                    return ()
                mine = [row for row in rows if row.get("request_id") == request_id]
                found = tuple(_attempt(route, row) for row in sorted(mine, key=lambda row: row["at"]))
                if not found:
                    await anyio.sleep(_PAUSE_S)
        return found

    async def _rows(self) -> list[dict[str, Any]] | None:
        headers = {"authorization": f"Bearer {self._endpoint.key}", "accept": "application/json"}
        url = f"{self._endpoint.url}/api/usage/attempts?limit={ROWS}"
        try:
            reply = await self._transport.open(Call("GET", url, headers), _PATIENT)
            try:
                body = await reply.read(BODY_LIMIT)
            finally:
                await reply.aclose()
            rows = json.loads(body)["data"] if reply.status == 200 else None
        except (ProviderError, ValueError, KeyError, TypeError):
            rows = None
        self._books = isinstance(rows, list)
        return rows if isinstance(rows, list) else None


def _attempt(route: Route, row: Mapping[str, Any]) -> Attempt:
    return Attempt(
        route.short(str(row.get("provider"))),
        row.get("model"),
        str(row.get("outcome")),
        row.get("status"),
        why=row.get("why") or "first",
        usage=Usage(row.get("input_tokens"), row.get("output_tokens")),
        counted=row.get("counted") or "unknown",
    )
