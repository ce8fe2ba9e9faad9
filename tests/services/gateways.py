"""Gateways as separate processes over one PostgreSQL and one Redis, started the way that the image starts them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[2]
ENTRY = ("sh", str(ROOT / "deploy" / "entrypoint.sh"), sys.executable, "-m", "llmcore.cli")
WAIT_S = 60


class Site:
    """What all gateways of one installation have in common: configuration, and secrets by file."""

    def __init__(
        self,
        home: Path,
        upstream: str,
        database_url: str,
        redis_url: str,
        *,
        providers: str = "a",
        strategy: str = "priority",
    ) -> None:
        self._home = home
        self._config = home / "config.toml"
        self._config.write_text(
            "".join(
                f'[[llm.providers]]\nname = "{name}"\nprovider = "openai"\nbase_url = "{upstream}/openai/v1"\n'
                'api_key = "sk-sim"\ntext_model = "gpt-4o-mini"\n'
                for name in providers
            )
            + f'[llm.fallback]\nstrategy = "{strategy}"\n[gateway]\nkey_cache = 1.0\n'
        )
        secrets = {
            "LLMCORE_DATABASE_URL": database_url,
            "LLMCORE_REDIS_URL": redis_url,
            "LLMCORE_MASTER_KEY": urlsafe_b64encode(os.urandom(32)).decode(),
        }
        self.environ = {**os.environ, "LLMCORE_CONFIG": str(self._config)}
        for name, value in secrets.items():
            file = home / name.lower()
            file.write_text(value + "\n")
            self.environ[f"{name}_FILE"] = str(file)

    def run(self, *words: str) -> str:
        done = subprocess.run(
            [*ENTRY, *words], env=self.environ, capture_output=True, text=True, cwd=ROOT, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    @contextmanager
    def gateway(self, name: str) -> Iterator[Gateway]:
        one = Gateway(self, self._home / name)
        try:
            yield one
        finally:
            one.end()


class Gateway:
    """One process of `llmcore serve`."""

    def __init__(self, site: Site, home: Path) -> None:
        home.mkdir()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        self.address = f"http://127.0.0.1:{port}"
        self._client = httpx.Client(
            base_url=self.address, timeout=30, limits=httpx.Limits(max_connections=64)
        )
        self._log = home / "log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*ENTRY, "serve", "--port", str(port), "--data-dir", str(home)],
                env=site.environ,
                stdout=log,
                stderr=log,
                cwd=ROOT,
            )

    def wait(self) -> None:
        """Until it takes calls."""
        for _ in range(WAIT_S * 10):
            assert self._process.poll() is None, self.log()
            try:
                if self._client.get("/readyz", timeout=1).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.1)
        raise AssertionError(self.log())

    def ask(self, key: str, session: str = "") -> httpx.Response:
        body = {"messages": [{"role": "user", "content": "hi"}], "metadata": {"session": session}}
        headers = {"x-api-key": key}
        return self._client.post("/v1/chat/completions", json=body, headers=headers)

    def get(self, path: str, key: str) -> Any:
        reply = self._client.get(path, headers={"x-api-key": key})
        assert reply.status_code == 200, reply.text
        return reply.json()

    def limited_key(self, key: str, **limits: Any) -> str:
        body = {"name": "limited", "scopes": ["inference"], **limits}
        reply = self._client.post("/api/keys", json=body, headers={"x-api-key": key})
        assert reply.status_code == 201, reply.text
        token: str = reply.json()["token"]
        return token

    def until(self, path: str, key: str, word: str, wanted: object) -> None:
        """Until that says so; a word with dots leads inwards."""
        said: Any = None
        for _ in range(WAIT_S * 10):
            said = self.get(path, key)
            for part in word.split("."):
                said = said[part]
            if said == wanted:
                return
            time.sleep(0.1)
        raise AssertionError(f"{word} is still {said!r}: {self.log()}")

    def log(self) -> str:
        return self._log.read_text()[-3000:]

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(30)

    def end(self) -> None:
        self._client.close()
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait(60)
