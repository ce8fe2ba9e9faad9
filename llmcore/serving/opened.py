"""Everything a gateway needs, opened in order and closed in the other: database, secrets, providers, books, the app."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from attrs import asdict, frozen

from llmcore.build import create_manager
from llmcore.clock import SystemClock
from llmcore.config import LlmConfig
from llmcore.errors import ConfigurationError
from llmcore.gateway.access.authenticate import Authenticator
from llmcore.gateway.access.limits import LocalShares, Seats, Shares
from llmcore.gateway.access.part_shares import PartShares
from llmcore.gateway.access.redis_shares import RedisShares
from llmcore.gateway.api.routes import all_routes
from llmcore.gateway.api.services import Services
from llmcore.gateway.app import Gateway, create_app
from llmcore.gateway.catalogue import Lists
from llmcore.gateway.config import GatewayConfig
from llmcore.gateway.http import AsgiApp
from llmcore.gateway.pages.site import create_pages
from llmcore.gateway.redis_link import LinkState
from llmcore.gateway.resolve import Resolver
from llmcore.gateway.serve import Desk
from llmcore.gateway.store import Store, StoreError, open_store
from llmcore.gateway.stored import StoredBrowsers, StoredChoices, StoredKeys, UsageBooks
from llmcore.gateway.system import SystemProviders
from llmcore.gateway.telemetry.current import request_fields
from llmcore.gateway.telemetry.log import Log
from llmcore.gateway.telemetry.metrics import Metrics
from llmcore.gateway.usage.recorder import Recorder
from llmcore.gateway.usage.retention import Purged, keep_purging
from llmcore.gateway.vault import Passwords, Vault, choose, open_vault
from llmcore.prices import warm
from llmcore.serving.backend import ManagerBackend
from llmcore.serving.hints import shared
from llmcore.serving.options import database_url, master_key_file, read_file
from llmcore.serving.reach import Reach

if TYPE_CHECKING:  # an extra
    from llmcore.gateway.telemetry.tracing import Tracing

CLOSING_S = 5.0


@frozen
class Ready:
    """A gateway that can serve."""

    app: Gateway
    services: Services
    config: GatewayConfig


@asynccontextmanager
async def opened(
    config: GatewayConfig,
    llm: LlmConfig,
    environ: Mapping[str, str],
    *,
    source: str | None = None,
    migrate: bool = True,
    pages: Callable[[Services], AsgiApp] | None = create_pages,
) -> AsyncIterator[Ready]:
    """The gateway, for the time of the block. source: the file that a reload reads again. pages: what answers where no
    route does.

    Raises ConfigurationError, StoreError or VaultError, each in lines that say what to do; then nothing is left open.
    """
    async with AsyncExitStack() as stack:
        log = Log(config.log_level, wall=time.time, context=request_fields)
        store, vault = await stack.enter_async_context(stored(config, environ, migrate=migrate))
        reach = Reach(config.local_servers, environ)
        manager = create_manager(reach.written(llm), environ=environ, admit=reach.admit)
        backend = ManagerBackend(manager, config)
        stack.push_async_callback(_closed, backend)
        recorder = await stack.enter_async_context(
            Recorder(store.usage, SystemClock(), on_lost=partial(_lost, log), on_turn=partial(_turned, log))
        )
        shares = await _shares(config, log, stack)
        services = _services(config, backend, store, vault, recorder, log, shares)
        services.source = source
        services.system = SystemProviders(store, vault, backend, partial(_read, source, llm, environ, reach))
        await services.system.start()
        services.notes["left_out"] = partial(_left_out, services.system)
        services.desk.tracing = _tracing(config)
        if isinstance(shares, RedisShares):
            services.notes["shared_limits"] = lambda: asdict(shares.state)
        stack.push_async_callback(services.desk.resolver.aclose)
        group = await stack.enter_async_context(anyio.create_task_group())
        stack.callback(group.cancel_scope.cancel)
        group.start_soon(
            partial(keep_purging, usage_days=config.usage_days, report=partial(_purged, log)),
            *(store, SystemClock(), time.time),
        )
        group.start_soon(services.system.follow)
        group.start_soon(services.desk.authenticator.keep_fresh)
        group.start_soon(services.desk.resolver.keep_fresh)
        if config.redis_url is not None:
            told = shared(config.redis_url, manager, services.desk.resolver, group)
            services.notes["shared_sessions"] = told
        if llm.prices == "auto":
            group.start_soon(_warmed, services.desk)
        made = None if pages is None else pages(services)
        yield Ready(create_app(config, all_routes(services), pages=made), services, config)


@asynccontextmanager
async def stored(
    config: GatewayConfig, environ: Mapping[str, str], *, migrate: bool = True
) -> AsyncIterator[tuple[Store, Vault]]:
    """The database and the vault alone, as the commands beside `serve` need them."""
    async with open_store(database_url(config, environ), migrate=migrate) as store:
        yield store, await open_vault(store, choose(master_key_file(config, environ), environ))


def _services(
    config: GatewayConfig,
    backend: ManagerBackend,
    store: Store,
    vault: Vault,
    recorder: Recorder,
    log: Log,
    shares: Shares,
) -> Services:
    now, wall = time.monotonic, time.time
    seats = Seats(config.limits.concurrent, config.limits.per_user)
    metrics = Metrics(lambda: [one.name for one in backend.providers()], lambda: seats.running)
    metrics.gauges["usage_queued"] = lambda: recorder.state.queued
    choices = StoredChoices(store, vault, backend)
    desk = Desk(
        config=config,
        backend=backend,
        authenticator=Authenticator(StoredKeys(store, vault.tokens, wall), ttl=config.key_cache, now=now),
        resolver=Resolver(backend, choices, ttl=config.key_cache, now=now),
        seats=seats,
        shares=shares,
        books=UsageBooks(recorder),
        metrics=metrics,
        log=log,
        now=now,
        wall=wall,
    )
    return Services(
        desk=desk,
        store=store,
        vault=vault,
        passwords=Passwords(),
        recorder=recorder,
        lists=Lists(ttl=config.models_ttl, retry=config.models_retry, now=now, wall=wall),
        choices=choices,
        browsers=StoredBrowsers(store, vault.tokens, wall, days=config.session_days),
        doors=LocalShares(now, wall),
        started=now(),
    )


async def _shares(config: GatewayConfig, log: Log, stack: AsyncExitStack) -> Shares:
    """Through Redis; else in this process alone, for its part of `workers`."""
    if config.redis_url is not None:
        told = partial(_redis, log)
        shares = RedisShares(config.redis_url, time.monotonic, time.time, parts=config.workers, told=told)
        return await stack.enter_async_context(shares)
    if config.workers > 1:
        return PartShares(time.monotonic, time.time, config.workers)
    return LocalShares(time.monotonic, time.time)


def _tracing(config: GatewayConfig) -> Tracing | None:
    if not config.tracing:
        return None
    if find_spec("opentelemetry") is None:
        raise ConfigurationError('gateway.tracing needs `pip install "llmcore-kit[otel]"`')
    from llmcore.gateway.telemetry.tracing import Tracing

    return Tracing()


async def _read(source: str | None, llm: LlmConfig, environ: Mapping[str, str], reach: Reach) -> LlmConfig:
    """The file as it is now; where there is none, what the start has found."""
    if source is None:
        return llm
    return reach.written(read_file(source, environ))


async def _closed(backend: ManagerBackend) -> None:
    with anyio.CancelScope(shield=True), anyio.move_on_after(CLOSING_S):
        await backend.aclose()


async def _warmed(desk: Desk) -> None:
    """Read the list of prices beside the first calls: it takes a third of a second, in a process of its own."""
    priced = desk.priced = asyncio.Event()
    try:
        if find_spec("genai_prices") is not None:
            await anyio.to_thread.run_sync(partial(warm, apart=True))
    finally:
        priced.set()


def _left_out(system: SystemProviders) -> list[str]:
    return sorted(system.left_out)


def _lost(log: Log, count: int) -> None:
    log.note("error", "gateway.usage_lost", attempts=count)


def _turned(log: Log, why: str | None) -> None:
    if why is None:
        log.note("info", "gateway.usage_written_again")
    else:
        log.note("warning", "gateway.usage_waits", why=why)


def _redis(log: Log, state: LinkState) -> None:
    if state.up:
        log.note("info", "gateway.redis_up")
    else:
        log.note("warning", "gateway.redis_away", why=state.why)


def _purged(log: Log, outcome: Purged | StoreError) -> None:
    if isinstance(outcome, StoreError):
        log.note("warning", "gateway.purge_failed", reason=str(outcome))
