"""The server: one process, or several behind one socket; stops when told, after the answers that run."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import uvicorn

from llmcore.errors import ConfigurationError
from llmcore.gateway.config import GatewayConfig
from llmcore.gateway.http import AsgiApp
from llmcore.serving.first import Welcome, welcome
from llmcore.serving.opened import Ready, opened, stored
from llmcore.serving.options import Options, gateway_config, llm_config
from llmcore.serving.protocol import guarded
from llmcore.serving.records import quiet_libraries
from llmcore.serving.workers import Workers

BACKLOG = 2048
KEEP_ALIVE_S = 75
GARBAGE_AFTER = 10_000
"""New objects after which unreachable cycles are looked for. Python's own 700 are fewer than what the calls of a busy
moment hold, so it would look through these again and again: a fifteenth of all CPU.
"""

Show = Callable[[Welcome], None]


def serve(options: Options, environ: Mapping[str, str], show: Show) -> None:
    """Serve until a signal comes. Raises ConfigurationError, StoreError, VaultError before anything is served."""
    config = gateway_config(options, environ)
    with bound(config) as listener:
        port = listener.getsockname()[1]
        if config.workers == 1:
            run(_alone(options, config, environ, listener, show))
        else:
            run(_prepared(options, config, environ, port, show))
            _several(options, config, listener)


def run(main: Any) -> None:
    """On uvloop where it is installed."""
    factory = None
    with contextlib.suppress(ModuleNotFoundError):
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main)


@contextlib.contextmanager
def bound(config: GatewayConfig) -> Iterator[socket.socket]:
    """The listening socket. Raises ConfigurationError where the address cannot be had."""
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((config.host, config.port))
        listener.set_inheritable(True)
    except OSError as error:
        listener.close()
        reason = error.strerror or str(error)
        raise ConfigurationError(
            f"gateway.port: cannot listen at {config.host}:{config.port}: {reason}"
        ) from None
    with listener:
        yield listener


async def _alone(
    options: Options, config: GatewayConfig, environ: Mapping[str, str], listener: socket.socket, show: Show
) -> None:
    llm = await llm_config(options, environ)
    async with opened(config, llm, environ, source=options.config) as ready:
        services = ready.services
        port = listener.getsockname()[1]
        said = await welcome(services.store, services.vault, config, port)
        quiet_libraries(services.desk.log)
        await served(ready, listener, lambda: show(said))


async def served(ready: Ready, listener: socket.socket, started: Callable[[], None] = lambda: None) -> None:
    """Serve at that socket until a signal comes; then let what runs end."""
    gc.collect()
    gc.freeze()  # what is there now stays; looking through it again and again would cost every call
    gc.set_threshold(GARBAGE_AFTER, 10, 10)

    def stopping() -> None:
        ready.services.ready = False

    server = Server(server_config(ready.app, ready.config), started, stopping)
    await server.serve([listener])


def server_config(app: AsgiApp, config: GatewayConfig) -> uvicorn.Config:
    """Uvicorn as it serves us: llhttp, no banner, no access log, no WebSockets."""
    return uvicorn.Config(
        app,
        http=guarded(config.limits.header, config.limits.headers, config.limits.idle_write),
        ws="none",
        lifespan="off",
        access_log=False,
        server_header=False,
        log_config=None,
        proxy_headers=bool(config.trusted_proxies),
        forwarded_allow_ips=list(config.trusted_proxies),
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=max(1, round(config.drain)),
        backlog=BACKLOG,
    )


class Server(uvicorn.Server):
    """uvicorn's server that ends without raising its signal again, so that what is open is closed in order."""

    def __init__(
        self, config: uvicorn.Config, started: Callable[[], None], stopping: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._when_started = started
        self._when_stopping = stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._when_started()

    def handle_exit(self, sig: int, frame: Any) -> None:
        self._when_stopping()
        super().handle_exit(sig, frame)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        signals = (signal.SIGINT, signal.SIGTERM)
        for one in signals:
            loop.add_signal_handler(one, self.handle_exit, one, None)
        try:
            yield
        finally:
            for one in signals:
                loop.remove_signal_handler(one)


# ---------------------------------------------------------------------------------------------- several processes


async def _prepared(
    options: Options, config: GatewayConfig, environ: Mapping[str, str], port: int, show: Show
) -> None:
    """What is done once, before the workers: the schema, the first user, every complaint."""
    await llm_config(options, environ)
    async with stored(config, environ) as (store, vault):
        show(await welcome(store, vault, config, port))


def _several(options: Options, config: GatewayConfig, listener: socket.socket) -> None:
    listener.listen(BACKLOG)
    code = Workers(config.workers, options.as_text(), listener.fileno(), drain=config.drain).run()
    if code:
        raise ConfigurationError("the workers cannot start; start with --workers 1 to see why")
