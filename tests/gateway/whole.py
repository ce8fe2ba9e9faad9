"""A whole gateway over scripted providers and a real SQLite file: every route, two users and an administrator."""

from __future__ import annotations

import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from io import StringIO
from pathlib import Path

import anyio
import httpx
from argon2 import PasswordHasher
from attrs import define, field

from llmcore.clock import SystemClock
from llmcore.config import FallbackConfig
from llmcore.gateway.access.authenticate import Authenticator
from llmcore.gateway.access.limits import LocalShares, Seats
from llmcore.gateway.access.principal import ALL_SCOPES, Limits, Role
from llmcore.gateway.api.frame import cookie_name
from llmcore.gateway.api.routes import all_routes
from llmcore.gateway.api.services import Services
from llmcore.gateway.app import Gateway, create_app
from llmcore.gateway.catalogue import Lists
from llmcore.gateway.config import GatewayConfig
from llmcore.gateway.resolve import Resolver
from llmcore.gateway.serve import Desk
from llmcore.gateway.store import Store, User, open_store, sqlite_url
from llmcore.gateway.stored import StoredBrowsers, StoredChoices, StoredKeys, UsageBooks
from llmcore.gateway.telemetry.log import Log
from llmcore.gateway.telemetry.metrics import Metrics
from llmcore.gateway.usage.recorder import Recorder
from llmcore.gateway.vault import FileKeys, Passwords, Vault, open_vault
from llmcore.serving.run import Server, server_config
from llmcore.testing import Answer, Outcome, ScriptedProvider
from llmcore.types import Usage
from tests.gateway.standin import Backend

WEAK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@define
class Person:
    user: User
    key: str
    key_id: str


@define
class Whole:
    """One gateway with its people: "admin", "alice" and "bob"."""

    services: Services
    backend: Backend
    store: Store
    vault: Vault
    app: Gateway
    log: StringIO
    path: Path
    people: dict[str, Person] = field(factory=dict)

    def provider(self, name: str = "a") -> ScriptedProvider:
        return self.backend.scripted[name]

    async def person(self, name: str, role: Role, password: str | None = None) -> Person:
        hashed = PasswordHasher(1, 8, 1).hash(password) if password else None
        user = await self.store.users.create(name, role, now=time.time(), password_hash=hashed)
        key, key_id = await self.key(user.id)
        self.people[name] = Person(user, key, key_id)
        return self.people[name]

    async def key(
        self,
        user_id: str,
        scopes: frozenset[str] = ALL_SCOPES,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        models: frozenset[str] | None = None,
        expires_at: float | None = None,
    ) -> tuple[str, str]:
        made = self.vault.tokens.new_virtual_key()
        key = await self.store.keys.create(
            user_id,
            public_id=made.public_id,
            digest=made.digest,
            name="test",
            now=time.time(),
            scopes=scopes,
            limits=limits,
            models=models,
            expires_at=expires_at,
        )
        return made.token.reveal(), key.id

    @asynccontextmanager
    async def http(
        self, who: str | None = "alice", token: str | None = None
    ) -> AsyncIterator[httpx.AsyncClient]:
        said = token or (self.people[who].key if who is not None else None)
        headers = {} if said is None else {"authorization": f"Bearer {said}"}
        transport = httpx.ASGITransport(app=self.app)  # type: ignore[arg-type]
        async with httpx.AsyncClient(
            transport=transport, base_url="http://127.0.0.1", headers=headers
        ) as http:
            yield http

    @asynccontextmanager
    async def browser(self, who: str = "alice") -> AsyncIterator[httpx.AsyncClient]:
        """Signed in by a one-time token, with the headers that our own pages send."""
        made, now = self.vault.tokens.new_one_time_token(), time.time()
        user_id = self.people[who].user.id
        await self.store.one_time_tokens.add(user_id, made.digest, now=now, expires_at=now + 60)
        transport = httpx.ASGITransport(app=self.app)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            reply = await http.post("/api/sign-in", json={"token": made.token.reveal()})
            assert reply.status_code == 200, reply.text
            http.headers["x-csrf-token"] = reply.json()["csrf"]
            http.headers["origin"] = "http://127.0.0.1"
            http.headers["sec-fetch-site"] = "same-origin"
            assert cookie_name(False) in http.cookies
            yield http

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        """The same behind a real socket; its port."""
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        ready = anyio.Event()
        config = self.services.desk.config
        server = _Server(server_config(self.app, config), ready.set, lambda: None)
        async with anyio.create_task_group() as group:
            group.start_soon(server.serve, [listener])
            with anyio.fail_after(10):
                await ready.wait()
            try:
                yield listener.getsockname()[1]
            finally:
                server.should_exit = server.force_exit = True


class _Server(Server):
    @property
    def capture_signals(self) -> Callable[[], object]:  # type: ignore[override]
        from contextlib import nullcontext

        return nullcontext


@asynccontextmanager
async def whole(
    path: Path,
    *providers: ScriptedProvider | Outcome,
    config: GatewayConfig | None = None,
    local: Sequence[str] = (),
    fallback: FallbackConfig | None = None,
) -> AsyncIterator[Whole]:
    """Providers, or the script of a single one named "a"."""
    scripted = [one for one in providers if isinstance(one, ScriptedProvider)]
    script = [one for one in providers if not isinstance(one, ScriptedProvider)]
    scripted = scripted or [ScriptedProvider("a", script or [Answer("hello there", usage=Usage(7, 2))])]
    config = config or GatewayConfig(key_cache=0.0)
    backend, log = Backend(*scripted, local=local, fallback=fallback), StringIO()
    async with open_store(sqlite_url(path / "gateway.db")) as store:
        vault = await open_vault(store, FileKeys(path / "master.key"))
        async with Recorder(store.usage, SystemClock(), every=0.05) as recorder:
            services = _services(config, backend, store, vault, recorder, log)
            app = create_app(config, all_routes(services))
            made = Whole(services, backend, store, vault, app, log, path)
            await made.person("admin", "admin", "correct horse")
            await made.person("alice", "user", "battery staple")
            await made.person("bob", "user")
            try:
                yield made
            finally:
                await services.desk.resolver.aclose()
                await backend.aclose()


def _services(
    config: GatewayConfig, backend: Backend, store: Store, vault: Vault, recorder: Recorder, log: StringIO
) -> Services:
    now, wall = time.monotonic, time.time
    seats = Seats(config.limits.concurrent, config.limits.per_user)
    choices = StoredChoices(store, vault, backend)
    desk = Desk(
        config=config,
        backend=backend,
        authenticator=Authenticator(StoredKeys(store, vault.tokens, wall), ttl=config.key_cache, now=now),
        resolver=Resolver(backend, choices, ttl=config.key_cache, now=now),
        seats=seats,
        shares=LocalShares(now, wall),
        books=UsageBooks(recorder),
        metrics=Metrics(lambda: backend.scripted, lambda: seats.running),
        log=Log("debug", wall=wall, out=log),
        now=now,
        wall=wall,
    )
    return Services(
        desk=desk,
        store=store,
        vault=vault,
        passwords=Passwords(WEAK),
        recorder=recorder,
        lists=Lists(ttl=config.models_ttl, retry=config.models_retry, now=now, wall=wall),
        choices=choices,
        browsers=StoredBrowsers(store, vault.tokens, wall, days=config.session_days),
        doors=LocalShares(now, wall),
        started=now(),
    )
