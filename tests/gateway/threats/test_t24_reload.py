"""T24: a reload under load, with every broken file that there may be: no call fails, and what was good stays."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import httpx
import pytest

from llmcore.errors import ConfigurationError
from llmcore.serving.options import Options, llm_config
from tests.gateway.threats.ground import (
    Upstream,
    answer,
    chat,
    friendly,
    ground,
    provider,
    question,
    upstream,
)

pytestmark = pytest.mark.anyio

BROKEN = {
    "no TOML": "[[llm.providers",
    "an unknown field": "[[llm.providers]]\nname='a'\nprovider='openai'\nmodle='m'\n",
    "nobody": "[llm]\n",
    "a name twice": "[[llm.providers]]\nname='a'\nprovider='vllm'\n" * 2,
    "an unknown kind": "[[llm.providers]]\nname='a'\nprovider='nobody'\n",
    "a key that is missing": "[[llm.providers]]\nname='a'\nprovider='openai'\napi_key='${NOT_SET}'\n",
    "an address that is none": "[[llm.providers]]\nname='a'\nprovider='openai'\napi_key='k'\nbase_url='ftp://x'\n",
    "nothing": "",
    "bytes": "\x00\x01",
}


def written(path: Path, server: Upstream, name: str = "a") -> str:
    file = path / "config.toml"
    file.write_text(
        f"[[llm.providers]]\nname = '{name}'\nprovider = 'openai'\nbase_url = '{server.url}'\n"
        "api_key = 'sk-of-the-operator-42'\ntext_model = 'm'\n[llm.fallback]\nmax_retries = 0\n"
    )
    return str(file)


def put(source: str, text: str | None = "", *, mode: int | None = None) -> None:
    """Another text, other permissions, or (None) no file."""
    if mode is not None:
        Path(source).chmod(mode)
    elif text is None:
        Path(source).unlink()
    else:
        Path(source).write_text(text)


async def test_t24_a_broken_file_under_load_fails_no_call(tmp_path: Path) -> None:
    codes: Counter[int] = Counter()
    done = anyio.Event()
    async with upstream() as server:
        source = written(tmp_path, server)
        async with ground(tmp_path, provider("a", server), source=source) as on:

            async def load() -> None:
                async with on.http() as http:
                    while not done.is_set():
                        codes[(await http.post("/v1/chat/completions", json=question())).status_code] += 1

            async with anyio.create_task_group() as group, on.http("admin") as admin:
                for _ in range(8):
                    group.start_soon(load)
                for name, text in BROKEN.items():
                    put(source, text)
                    reply = await admin.post("/api/providers/reload", json={})
                    assert reply.status_code == 400, name
                    assert "sk-of" not in reply.text
                    assert (await admin.get("/api/providers")).json()["providers"][0]["name"] == "a"
                put(source, None)
                assert (await admin.post("/api/providers/reload", json={})).status_code == 400
                written(tmp_path, server)
                put(source, mode=0o666)
                unsafe = await admin.post("/api/providers/reload", json={})
                assert unsafe.status_code == 400
                assert "chmod" in unsafe.text
                written(tmp_path, server, "b")
                put(source, mode=0o600)
                assert (await admin.post("/api/providers/reload", json={})).json() == {"providers": ["b"]}
                await anyio.sleep(0.1)
                done.set()
            assert set(codes) == {200}
            assert codes[200] > 50
            async with on.http() as http:
                last = await http.post("/v1/chat/completions", json=question())
                assert last.headers["x-llmcore-provider"] == "b"


@asynccontextmanager
async def slow(goes_on: anyio.Event, asked: anyio.Event) -> AsyncIterator[int]:
    """A server that answers when it is told to; its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await goes_on.wait()
        writer.write(answer(chat()))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def test_t24_a_call_that_runs_ends_as_it_began(tmp_path: Path) -> None:
    """It is answered by the provider that was asked, though that one is gone meanwhile."""
    goes_on, asked = anyio.Event(), anyio.Event()
    said: list[httpx.Response] = []
    async with upstream() as new, slow(goes_on, asked) as port:
        source = written(tmp_path, new, "new")
        old = provider("old", Upstream(friendly, port))
        async with ground(tmp_path, old, source=source) as on, on.http("admin") as http:

            async def ask() -> None:
                said.append(await http.post("/v1/chat/completions", json=question()))

            async with anyio.create_task_group() as group:
                group.start_soon(ask)
                with anyio.fail_after(5):
                    await asked.wait()
                group.start_soon(partial(http.post, "/api/providers/reload", json={}))
                with anyio.fail_after(5):
                    while [one.name for one in on.services.desk.backend.providers()] != ["new"]:  # noqa: ASYNC110 - what is waited for has no event
                        await anyio.sleep(0.01)
                after = await http.post("/v1/chat/completions", json=question())
                assert after.headers["x-llmcore-provider"] == "new"
                assert not said
                goes_on.set()
            assert said[0].status_code == 200
            assert said[0].headers["x-llmcore-provider"] == "old"


async def test_t24_a_file_that_everybody_may_write_is_not_begun_with(tmp_path: Path) -> None:
    async with upstream() as server:
        source = written(tmp_path, server)
        put(source, mode=0o646)
        with pytest.raises(ConfigurationError, match="written by everybody"):
            await llm_config(Options(config=source), {})
        put(source, mode=0o644)
        assert (await llm_config(Options(config=source), {})).providers[0].name == "a"
