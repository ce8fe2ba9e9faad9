"""T2: what the system's providers may be dialled at, looked at in the connect step; SNI and Host stay those of the name."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from llmcore.build import create_manager
from llmcore.config import LlmConfig, ProviderConfig, Timeouts
from llmcore.errors import ConfigurationError, EndpointError
from llmcore.gateway.config import GatewayConfig
from llmcore.serving.reach import Reach
from llmcore.transport.base import Call
from llmcore.transport.fast import FastTransport
from llmcore.transport.outgoing import Origin
from tests.gateway.threats.ground import Ground, answer, ground, provider, question, upstream

pytestmark = pytest.mark.anyio

PUBLIC = "93.184.216.34"
INNER = ["127.0.0.1", "10.0.0.7", "169.254.169.254", "100.64.1.1", "::1", "fd00:ec2::254", "64:ff9b::7f00:1"]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What names resolve to, each answer used up but the last; and nothing but loopback is ever dialled."""
    told: dict[str, list[str]] = {"dialled": []}
    loop = asyncio.SelectorEventLoop

    async def resolve(self: Any, host: str, port: int, **_: Any) -> list[Any]:
        if host not in told:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))]
        answers = told[host]
        address = answers.pop(0) if len(answers) > 1 else answers[0]
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [(family, socket.SOCK_STREAM, 6, "", (address, port))]

    dial: Callable[..., Any] = loop.sock_connect

    async def watched(self: Any, sock: socket.socket, where: Any) -> None:
        told["dialled"].append(where[0])
        if where[0] != "127.0.0.1":
            raise ConnectionRefusedError
        await dial(self, sock, where)

    monkeypatch.setattr(loop, "getaddrinfo", resolve)
    monkeypatch.setattr(loop, "sock_connect", watched)
    return told


async def add(on: Ground, url: str, kind: str = "openai", name: str = "added") -> int:
    async with on.http("admin") as http:
        body = {
            "name": name,
            "provider": kind,
            "base_url": url,
            "api_key": "sk-1234567890ab",
            "text_model": "m",
        }
        return (await http.post("/api/providers", json=body)).status_code


async def ask(on: Ground, model: str) -> Any:
    async with on.http("alice") as http:
        return await http.post("/v1/chat/completions", json=question(model=model))


@pytest.mark.parametrize("inner", INNER)
async def test_t02_a_provider_added_over_http_never_leads_inside_later(
    tmp_path: Path, names: dict[str, list[str]], inner: str
) -> None:
    async with upstream() as server, ground(tmp_path, provider("file", server)) as on:
        names["rebinding.example.org"] = [PUBLIC, inner]
        assert await add(on, f"https://rebinding.example.org:{server.port}/v1") == 201
        first, second = await ask(on, "added/m"), await ask(on, "added/m")
        assert first.status_code >= 400
        assert second.status_code >= 400
        assert names["dialled"] == [PUBLIC]  # the second answer led inside: no packet
        assert not server.seen
        assert inner not in second.text
        assert (await ask(on, "file/m")).status_code == 200


async def test_t02_the_files_own_addresses_may_be_inside(tmp_path: Path, names: dict[str, list[str]]) -> None:
    """A server in the operator's own network, by its name: written into the file on purpose."""
    async with upstream() as server:
        names["vllm.corp"] = ["127.0.0.1"]
        named = ProviderConfig(
            "lan", "openai", base_url=f"http://vllm.corp:{server.port}/v1", api_key="sk-1", text_model="m"
        )
        async with ground(tmp_path, named) as on:
            assert (await ask(on, "m")).status_code == 200
            assert server.seen[0].header("host") == f"vllm.corp:{server.port}"


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "fd00:ec2::254", "100.100.100.200", "0.0.0.0", "224.0.0.1"]
)
async def test_t02_metadata_is_refused_in_the_file_too(
    tmp_path: Path, names: dict[str, list[str]], address: str
) -> None:
    names["vllm.corp"] = [address]
    named = ProviderConfig(
        "lan", "openai", base_url="http://vllm.corp:8000/v1", api_key="sk-1", text_model="m"
    )
    async with ground(tmp_path, named) as on:
        assert (await ask(on, "m")).status_code >= 400
        assert names["dialled"] == []


async def test_t02_a_change_over_http_takes_the_trust_of_the_file_away(
    tmp_path: Path, names: dict[str, list[str]]
) -> None:
    async with upstream() as server, ground(tmp_path, provider("file", server)) as on:
        names["moved.example.org"] = ["127.0.0.1"]
        body = {"base_url": f"https://moved.example.org:{server.port}/v1", "api_key": "sk-1234567890ab"}
        async with on.http("admin") as http:
            assert (await http.patch("/api/providers/file", json=body)).status_code == 200
        assert (await ask(on, "file/m")).status_code >= 400
        assert names["dialled"] == []
        assert not server.seen


async def test_t02_local_servers_on_the_operators_list_are_asked(
    tmp_path: Path, names: dict[str, list[str]]
) -> None:
    async with upstream() as server:
        config = GatewayConfig(local_servers=(f"127.0.0.1:{server.port}",))
        async with ground(tmp_path, provider("file", server), config=config) as on:
            assert await add(on, server.url, kind="vllm") == 201
            assert (await ask(on, "added/m")).status_code == 200
            assert await add(on, "http://127.0.0.1:22/v1", kind="vllm", name="other") == 400


@pytest.mark.parametrize("environ", [{}, {"OPENAI_BASE_URL": "http://llm.corp:9000/v1"}])
def test_t02_what_the_environment_says_is_the_operators_word(environ: dict[str, str]) -> None:
    reach, origin = Reach((), environ), Origin("http", "llm.corp", 9000)
    if environ:
        reach.admit(origin, ["10.1.2.3"])
    else:
        with pytest.raises(EndpointError):
            reach.admit(origin, ["10.1.2.3"])
    with pytest.raises(EndpointError):
        reach.admit(origin, ["169.254.169.254"])


def test_t02_another_port_or_scheme_is_another_place() -> None:
    reach = Reach((), {})
    reach.written(LlmConfig((ProviderConfig("a", "vllm", base_url="http://llm.corp:9000/v1"),)))
    reach.admit(Origin("http", "llm.corp", 9000), ["10.1.2.3"])
    for other in (("https", "llm.corp", 9000), ("http", "llm.corp", 9001), ("http", "x.llm.corp", 9000)):
        with pytest.raises(EndpointError):
            reach.admit(Origin(*other), ["10.1.2.3"])


def test_t02_a_transport_that_cannot_look_is_refused() -> None:
    config = LlmConfig((ProviderConfig("a", "vllm", text_model="m"),), transport="httpx")
    with pytest.raises(ConfigurationError, match="transport"):
        create_manager(config, environ={}, admit=Reach((), {}).admit)


async def test_t02_name_for_sni_and_host_and_the_checked_address_for_the_packet(
    names: dict[str, list[str]],
) -> None:
    authority = trustme.CA()
    theirs, ours, asked = (
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH),
        ssl.create_default_context(),
        [],
    )
    authority.issue_cert("llm.example.org").configure_cert(theirs)
    authority.configure_trust(ours)
    theirs.sni_callback = lambda _, name, __: asked.append(name)
    looked: list[Any] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(answer({}))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=theirs)
    port = server.sockets[0].getsockname()[1]
    names["llm.example.org"] = ["127.0.0.1"]
    transport = FastTransport(tls=ours, admit=lambda origin, found: looked.append((origin.host, list(found))))
    reply = await transport.open(Call("GET", f"https://llm.example.org:{port}/v1", {}), Timeouts())
    await reply.read(100)
    await transport.aclose()
    server.close()
    assert looked == [("llm.example.org", ["127.0.0.1"])]
    assert names["dialled"] == ["127.0.0.1"]
    assert asked[0] == "llm.example.org"
    assert f"host: llm.example.org:{port}" in asked[1].lower()
