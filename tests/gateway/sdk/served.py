"""A gateway as `llmcore serve` runs it, in a thread of its own, over simulated vendors."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Self

from attrs import frozen

from llmcore.config import FallbackConfig, LlmConfig, ProviderConfig
from llmcore.gateway.config import GatewayConfig
from llmcore.gateway.http import AsgiApp
from llmcore.serving.first import welcome
from llmcore.serving.opened import opened
from llmcore.serving.run import Server, server_config
from llmcore.sim import Record, SimulatorThread

KINDS = {
    "openai": "openai",
    "responses": "openai_responses",
    "anthropic": "anthropic",
    "gemini": "gemini",
    "ollama": "ollama",
    "cohere": "cohere",
}
"""Provider by dialect. Each is its own name in the gateway: `model="gemini/sim-model"`."""


@frozen
class Served:
    """What a client needs to know. url: without a path."""

    url: str
    key: str
    sim: SimulatorThread

    @property
    def last(self) -> Record:
        """The newest request that a simulated vendor has seen."""
        return self.sim.last


def config_over(sim: SimulatorThread) -> LlmConfig:
    """Every dialect as a provider; nothing is retried but by the SDKs, nothing fails over."""
    entries = [
        ProviderConfig(
            name,
            kind,
            api_key=f"upstream-key-{name}",
            base_url=sim.base_url(kind),
            text_model="sim-model",
            embedding_model=None if kind == "anthropic" else "sim-embed",
            models={"smart": "sim-model"} if name == "openai" else {},
        )
        for name, kind in KINDS.items()
    ]
    return LlmConfig(tuple(entries), FallbackConfig(max_retries=0), prices="own")


class _Quiet(Server):
    """Signals go to the main thread, and this is another."""

    @property
    def capture_signals(self) -> Any:
        return nullcontext


class GatewayThread:
    """The gateway's event loop beside the tests'. wrap: something of the tests' around the app."""

    def __init__(
        self,
        llm: LlmConfig,
        folder: Path,
        config: GatewayConfig | None = None,
        wrap: Callable[[AsgiApp], AsgiApp] = lambda app: app,
    ) -> None:
        self._llm = llm
        self._wrap = wrap
        self._config = config or GatewayConfig(data_dir=str(folder), log_level="error")
        self._ready = threading.Event()
        self._failed: BaseException | None = None
        self._server: Server | None = None
        self._thread = threading.Thread(target=self._run, name="gateway", daemon=True)
        self.url = ""
        self.key = ""

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(60)
        if self._failed is not None:
            raise self._failed
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.should_exit = self._server.force_exit = True
        self._thread.join(60)
        if self._failed is not None:
            raise self._failed

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
            self._failed = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        with closing(socket.socket()) as listener:
            listener.bind(("127.0.0.1", 0))
            port = listener.getsockname()[1]
            async with opened(self._config, self._llm, {}) as ready:
                said = await welcome(ready.services.store, ready.services.vault, self._config, port)
                assert said.key is not None
                self.url, self.key = f"http://127.0.0.1:{port}", said.key.reveal()
                self._server = _Quiet(
                    server_config(self._wrap(ready.app), self._config), self._ready.set, lambda: None
                )
                await self._server.serve([listener])


@contextmanager
def served(folder: Path) -> Iterator[Served]:
    """Everything started, and everything ended."""
    with SimulatorThread() as sim, GatewayThread(config_over(sim), folder) as gateway:
        yield Served(gateway.url, gateway.key, sim)
