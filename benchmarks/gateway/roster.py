"""Who is measured: how each server is started, and how it is asked for which answer."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.gateway.apps.upstreams import VARIABLE
from benchmarks.gateway.environments import HOME, PORTKEY, python_of

LLMCORE = "llmcore gateway"
LITELLM = "LiteLLM proxy"
PORTKEY_NAME = "Portkey gateway"
GRANIAN = "granian + pyreqwest, bytes through"
STARLETTE = "starlette + uvicorn + aiohttp, bytes through"
NOTHING = "starlette + uvicorn, empty answer"
DIRECT = "upstream itself"

LITELLM_KEY = "sk-bench-1234"

Urls = Mapping[str, str]
"""Answer (chat, first, paced) -> base URL of the upstream that gives it, with /v1."""


@dataclass(frozen=True)
class Ask:
    """One request: where, with which headers, and the name of the model in it."""

    url: str
    headers: dict[str, str]
    model: str = "bench"


@dataclass(frozen=True)
class Start:
    """A server about to be started."""

    command: list[str]
    environ: dict[str, str] = field(default_factory=dict)


Starter = Callable[[int, Urls, Path], Start]
Asker = Callable[[int, str, Urls], Ask]


@dataclass(frozen=True)
class Rival:
    """passes: whether what the upstream says comes out. note: what a reader has to know of it."""

    name: str
    environment: str
    start: Starter
    ask: Asker
    note: str
    passes: bool = True


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def _uvicorn(app: str) -> Starter:
    def start(port: int, urls: Urls, _home: Path) -> Start:
        said = (
            f"-m uvicorn benchmarks.gateway.apps.{app}:app --port {port} --log-level warning --no-access-log"
        )
        python = str(python_of("gateway-starlette"))
        return Start([python, *said.split()], {VARIABLE: json.dumps(dict(urls))})

    return start


def _granian(port: int, urls: Urls, _home: Path) -> Start:
    said = (
        "-m granian --interface asgi --workers 1 --runtime-threads 1 --loop uvloop --log-level warning "
        f"--no-ws --host 127.0.0.1 --port {port} benchmarks.gateway.apps.granian_pyreqwest:app"
    )
    return Start([str(python_of("gateway-granian")), *said.split()], {VARIABLE: json.dumps(dict(urls))})


def _litellm(port: int, urls: Urls, home: Path) -> Start:
    """One process, no database; the master key is checked on each call, nothing is logged."""
    models = [
        {
            "model_name": name,
            "litellm_params": {"model": "openai/bench", "api_base": url, "api_key": "upstream"},
        }
        for name, url in urls.items()
    ]
    config = {
        "model_list": models,
        "litellm_settings": {"telemetry": False, "num_retries": 0},
        "general_settings": {"master_key": LITELLM_KEY},
    }
    path = home / "litellm.json"  # JSON is YAML
    path.write_text(json.dumps(config))
    said = f"--config {path} --host 127.0.0.1 --port {port} --num_workers 1 --telemetry False"
    return Start(
        [str(python_of("gateway-litellm").parent / "litellm"), *said.split()],
        {"LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MODE": "PRODUCTION"},
    )


def _portkey(port: int, _urls: Urls, _home: Path) -> Start:
    server = HOME / PORTKEY / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    return Start(["node", str(server), f"--port={port}", "--headless"], {"NODE_ENV": "production"})


def _ours(port: int, urls: Urls, home: Path) -> Start:
    from benchmarks.gateway.ours import write_config

    config = write_config(home, urls)
    said = f"serve --config {config} --port {port} --data-dir {home / 'data'}"
    script = "llmcore.exe" if sys.platform == "win32" else "llmcore"
    return Start([str(python_of("gateway-llmcore").parent / script), *said.split()])


def _ask_by_path(port: int, answer: str, _urls: Urls) -> Ask:
    return Ask(f"http://127.0.0.1:{port}/{answer}/v1/chat/completions", bearer("any"))


def _ask_by_model(key: str) -> Asker:
    def ask(port: int, answer: str, _urls: Urls) -> Ask:
        return Ask(f"http://127.0.0.1:{port}/v1/chat/completions", bearer(key), answer)

    return ask


def _ask_portkey(port: int, answer: str, urls: Urls) -> Ask:
    headers = {"x-portkey-provider": "openai", "x-portkey-custom-host": urls[answer], **bearer("upstream")}
    return Ask(f"http://127.0.0.1:{port}/v1/chat/completions", headers)


def ask_directly(answer: str, urls: Urls) -> Ask:
    return Ask(f"{urls[answer]}/chat/completions", bearer("upstream"))


def ask_ours(key: str) -> Asker:
    """A key of the gateway; the provider is named before the model, and the other providers of it stand by."""

    def ask(port: int, answer: str, _urls: Urls) -> Ask:
        return Ask(f"http://127.0.0.1:{port}/v1/chat/completions", bearer(key), f"{answer}/bench")

    return ask


RIVALS = [
    Rival(
        LLMCORE, "gateway-llmcore", _ours, ask_ours(""),
        "virtual key with rpm, tpm and budget, SQLite, ledger, metrics, parsed and encoded again",
    ),
    Rival(
        LITELLM, "gateway-litellm", _litellm, _ask_by_model(LITELLM_KEY),
        "one worker, no database, so no virtual keys: the master key is checked",
    ),
    Rival(PORTKEY_NAME, PORTKEY, _portkey, _ask_portkey, "node; checks no key, counts nothing"),
    Rival(STARLETTE, "gateway-starlette", _uvicorn("starlette_aiohttp"), _ask_by_path, "checks, reads and counts nothing"),
    Rival(GRANIAN, "gateway-granian", _granian, _ask_by_path, "plain ASGI; checks, reads and counts nothing"),
    Rival(NOTHING, "gateway-starlette", _uvicorn("nothing"), _ask_by_path, "asks nobody", passes=False),
]  # fmt: skip
