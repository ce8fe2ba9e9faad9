"""A gateway over scripted providers, without a database: what the tests of the paths stand on."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from decimal import Decimal
from io import StringIO
from typing import Any

import httpx
from attrs import define, evolve, field

from llmcore.config import CAPABILITIES, FallbackConfig, ProviderConfig
from llmcore.gateway.access.authenticate import Authenticator
from llmcore.gateway.access.limits import LocalShares, Seats
from llmcore.gateway.access.principal import Limits, Principal
from llmcore.gateway.api.generation import Generation
from llmcore.gateway.api.table import Route
from llmcore.gateway.app import Gateway, create_app
from llmcore.gateway.backend import KindInfo, ModelFacts, PriceTag, ProviderView, SystemProvider
from llmcore.gateway.config import GatewayConfig
from llmcore.gateway.errors import Unavailable
from llmcore.gateway.ledger import CallRecord
from llmcore.gateway.mirror.anthropic import AnthropicMirror
from llmcore.gateway.mirror.openai_chat import OpenAIChatMirror
from llmcore.gateway.resolve import OwnSession, OwnSettings, Resolver
from llmcore.gateway.serve import Desk
from llmcore.gateway.telemetry.log import Log
from llmcore.gateway.telemetry.metrics import Metrics
from llmcore.manager.manager import ProviderManager
from llmcore.provider import LlmProvider
from llmcore.testing import Answer, Outcome, ScriptedProvider
from llmcore.types import Attempt, GenerationRequest, ModelInfo, Usage

KEY = "llmc-test-key"
ALICE = Principal("alice", "Alice", "user", "key", "key-alice")


class Keys:
    """Virtual keys by token; `away` makes every question fail as a database that is gone does."""

    def __init__(self, **keys: Principal) -> None:
        self.keys: dict[str, Principal] = {KEY: ALICE, **keys}
        self.asked = 0
        self.away = False

    async def find(self, token: str) -> Principal | None:
        self.asked += 1
        if self.away:
            raise Unavailable("the database is away")
        return self.keys.get(token)


class Choices:
    def __init__(self) -> None:
        self.by_user: dict[str, OwnSettings] = {}
        self.sessions: dict[tuple[str, str], OwnSession] = {}

    async def settings(self, user_id: str) -> OwnSettings | None:
        return self.by_user.get(user_id)

    async def session(self, user_id: str, session_id: str) -> OwnSession | None:
        return self.sessions.get((user_id, session_id))


class Books:
    def __init__(self) -> None:
        self.records: list[CallRecord] = []

    def add(self, record: CallRecord) -> None:
        self.records.append(record)


class Backend:
    """Scripted providers behind a real manager."""

    def __init__(
        self, *providers: ScriptedProvider, local: Sequence[str] = (), fallback: FallbackConfig | None = None
    ) -> None:
        self.scripted = {provider.name: provider for provider in providers}
        self.local = local
        self.manager = ProviderManager(providers, fallback or FallbackConfig(retry_delay_ms=1))
        self.made: list[ProviderConfig] = []
        self.price_usd: Decimal | None = None
        self.prices: dict[str, PriceTag] = {}
        self._last: ContextVar[tuple[Attempt, ...]] = ContextVar("last", default=())
        self.manager.ledger.listen(self._noted)

    @property
    def system(self) -> LlmProvider:
        return self.manager

    def tenant(self, user_id: str) -> LlmProvider:
        return self.manager

    def kinds(self) -> Sequence[KindInfo]:
        return (KindInfo("openai", "OpenAI", key_variable="OPENAI_API_KEY"),)

    def make(self, config: ProviderConfig) -> LlmProvider:
        self.made.append(config)
        return ScriptedProvider(config.name)

    def providers(self) -> Sequence[SystemProvider]:
        return [SystemProvider(name, "scripted", name in self.local) for name in self.scripted]

    def views(self) -> Sequence[ProviderView]:
        return [
            ProviderView(name, "scripted", requests=len(one.requests), local=name in self.local)
            for name, one in self.scripted.items()
        ]

    async def models_of(self, name: str) -> Sequence[ModelInfo]:
        return await self.scripted[name].list_models()

    def last_attempts(self) -> tuple[Attempt, ...]:
        return self._last.get()

    def _noted(self, _: int, attempts: tuple[Attempt, ...]) -> None:
        self._last.set(attempts)

    def price(self, kind: str, model: str | None) -> PriceTag:
        return self.prices.get(model or "", PriceTag())

    def priced(self, model: str | None) -> bool:
        return self.price_usd is not None

    def cost(self, model: str | None, usage: Usage) -> Decimal | None:
        return self.price_usd

    def facts(self, model: ModelInfo, kind: str, provider: str | None = None) -> ModelFacts:
        can = {
            name: None if model.capabilities is None else name in model.capabilities for name in CAPABILITIES
        }
        price = self.price(kind, model.id)
        return ModelFacts(model.display_name, model.context_window, model.max_output_tokens, can, price)

    def known(self, kind: str) -> Sequence[ModelInfo]:
        return ()

    def explain(self, request: GenerationRequest) -> Mapping[str, Any]:
        return {"order": list(self.scripted)}

    async def reload(self, source: object) -> None: ...

    async def aclose(self) -> None:
        await self.manager.aclose()


@define
class Stage:
    """One gateway and everything in it that a test wants to look at."""

    desk: Desk
    backend: Backend
    keys: Keys
    choices: Choices
    books: Books
    log: StringIO
    app: Gateway = field(init=False)

    def provider(self, name: str = "a") -> ScriptedProvider:
        return self.backend.scripted[name]


def stage(
    *providers: ScriptedProvider | Outcome,
    config: GatewayConfig | None = None,
    local: Sequence[str] = (),
    limits: Limits | None = None,
    fallback: FallbackConfig | None = None,
) -> Stage:
    """Providers, or the script of a single one named "a"."""
    scripted = [one for one in providers if isinstance(one, ScriptedProvider)]
    script = [one for one in providers if not isinstance(one, ScriptedProvider)]
    if not scripted:
        scripted = [ScriptedProvider("a", script or [Answer("hello there", usage=Usage(7, 2))])]
    config = config or GatewayConfig()
    backend, keys, choices, books, log = (
        Backend(*scripted, local=local, fallback=fallback),
        Keys(),
        Choices(),
        Books(),
        StringIO(),
    )
    if limits is not None:
        keys.keys[KEY] = evolve(ALICE, limits=limits)
    seats = Seats(config.limits.concurrent, config.limits.per_user)
    desk = Desk(
        config=config,
        backend=backend,
        authenticator=Authenticator(keys, ttl=config.key_cache, now=time.monotonic),
        resolver=Resolver(backend, choices, ttl=config.key_cache, now=time.monotonic),
        seats=seats,
        shares=LocalShares(time.monotonic, time.time),
        books=books,
        metrics=Metrics(lambda: backend.scripted, lambda: seats.running),
        log=Log("debug", wall=time.time, out=log),
        now=time.monotonic,
        wall=time.time,
    )
    made = Stage(desk, backend, keys, choices, books, log)
    made.app = create_app(config, wires(desk))
    return made


def wires(desk: Desk) -> list[Route]:
    chat = Generation(desk, OpenAIChatMirror(), "chat")
    messages = Generation(desk, AnthropicMirror(), "messages")
    return [
        Route("POST", "/v1/chat/completions", "inference", "chat", "Ask.", chat),
        Route("POST", "/v1/messages", "inference", "messages", "Ask.", messages),
    ]


@asynccontextmanager
async def client(on: Stage, token: str | None = KEY) -> AsyncIterator[httpx.AsyncClient]:
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    transport = httpx.ASGITransport(app=on.app, raise_app_exceptions=True)  # type: ignore[arg-type]  # our ASGI types are plainer than httpx's
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers) as http:
        yield http


def question(text: str = "hi", **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": text}], **more}
