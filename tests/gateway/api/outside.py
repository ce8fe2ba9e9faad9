"""A real gateway on a real socket over simulated vendors, with an administrator and a user, and no way out by name."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from attrs import frozen

from llmcore.gateway.config import GatewayConfig, LimitsConfig
from llmcore.sim import SimulatorThread
from tests.gateway.sdk.served import GatewayThread, config_over

LIMITS = LimitsConfig(body=200_000, media_body=400_000, upload=1.0)


@frozen
class Caller:
    """token: what is sent as key, None for nobody. own: ids of its user and of its key."""

    token: str | None = None
    own: frozenset[str] = frozenset()

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.token is None else {"authorization": f"Bearer {self.token}"}


@frozen
class Outside:
    url: str
    admin: Caller
    user: Caller
    sim: SimulatorThread
    nobody: Caller = Caller()

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def http(self, who: Caller) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers=who.headers, timeout=30, trust_env=False)


def known_by(http: httpx.Client, token: str) -> Caller:
    """The caller with the ids of its user and its newest key."""
    headers = {"authorization": f"Bearer {token}"}
    user = http.get("/api/me", headers=headers).json()["user"]["id"]
    key = http.get("/api/keys", headers=headers).json()["data"][0]["id"]
    return Caller(token, frozenset((user, key)))


@contextmanager
def outside(folder: Path, **config: Any) -> Iterator[Outside]:
    """Everything started, and everything ended."""
    settings = GatewayConfig(data_dir=str(folder), log_level="error", limits=LIMITS, **config)
    with pytest.MonkeyPatch.context() as patch, SimulatorThread() as sim:
        patch.setattr(socket, "getaddrinfo", only_here(socket.getaddrinfo))
        with (
            GatewayThread(config_over(sim), folder, settings) as gateway,
            httpx.Client(base_url=gateway.url, headers={"authorization": f"Bearer {gateway.key}"}) as http,
        ):
            user = http.post("/api/users", json={"name": "alice"}).json()
            body = {"name": "hers", "user_id": user["id"], "scopes": ["inference", "account"]}
            token = http.post("/api/keys", json=body).json()["token"]
            yield Outside(gateway.url, known_by(http, gateway.key), known_by(http, token), sim)


def only_here(real: Any) -> Any:
    """As `socket.getaddrinfo`, for this machine alone: a connection test with a made-up key must not leave it."""

    def find(host: Any, *args: Any, **more: Any) -> Any:
        if host in {"127.0.0.1", "localhost"}:
            return real(host, *args, **more)
        raise socket.gaierror(socket.EAI_NONAME, "there are no names here")

    return find
