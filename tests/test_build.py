"""From configuration to live providers: all complaints at once, one shared transport, and what the environment offers."""

from __future__ import annotations

import errno
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx
import pytest

import llmcore
from llmcore import LlmConfig, ProviderConfig, ProviderManager, create_manager, create_provider
from llmcore.build import LOCAL_SERVERS, PROBE_S, from_environment
from llmcore.config import FallbackConfig, Timeouts, TransportChoice
from llmcore.errors import AllProvidersFailed, ConfigurationError, ConnectionRefused, ProviderError
from llmcore.provider import LlmProvider
from llmcore.providers.base import HttpProvider
from llmcore.sim import SimulatorThread
from llmcore.testing import block_real_requests, run_simulated
from llmcore.transport.base import Call, Reply
from llmcore.transport.httpx_transport import HttpxTransport
from llmcore.types import EmbeddingRequest
from tests.providers.dialects import KEY, MODEL, TEXT, Body, Ollama, OpenAI, Vendor
from tests.transport.faults import FaultServer, Peer, chunk

pytestmark = pytest.mark.anyio

OPENAI = ProviderConfig("a", "openai", api_key=KEY, text_model=MODEL)
OLLAMA = ProviderConfig("b", "ollama", text_model=MODEL)

TEXT_CONFIG = """
[[llm.providers]]
name = "main"
provider = "openai"
api_key = "${MY_KEY}"
text_model = "m"

[[llm.providers]]
provider = "ollama"
text_model = "m"
enabled = false
"""


class World(httpx.AsyncBaseTransport):
    """Many servers, by host and port; nobody listens anywhere else."""

    def __init__(self, **servers: Vendor) -> None:
        self.servers = {name.replace("_", ":").replace("-", "."): server for name, server in servers.items()}
        self.asked: list[str] = []
        self.closed = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(str(request.url))
        where = f"{request.url.host}:{request.url.port}" if request.url.port else request.url.host
        server = self.servers.get(where)
        if server is None:
            raise httpx.ConnectError("refused") from ConnectionRefusedError(errno.ECONNREFUSED, "refused")
        return await server.handle_async_request(request)

    async def aclose(self) -> None:
        self.closed += 1


# -------------------------------------------------------------------------------------------- create_provider


async def test_a_provider_over_an_httpx_transport_or_one_of_ours() -> None:
    class Ours:
        def __init__(self) -> None:
            self.inner = HttpxTransport(Vendor(OpenAI()))
            self.calls: list[Call] = []

        async def open(self, call: Call, timeouts: Timeouts) -> Reply:
            self.calls.append(call)
            return await self.inner.open(call, timeouts)

        async def aclose(self) -> None:
            await self.inner.aclose()

    ours = Ours()
    provider = create_provider(OPENAI, transport=ours, environ={})
    assert isinstance(provider, HttpProvider)
    assert (await provider.generate("hi")).text == TEXT
    assert KEY not in repr(ours.calls)
    assert (await create_provider(OPENAI, transport=Vendor(OpenAI()), environ={}).generate("hi")).text == TEXT


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        (ProviderConfig("a", "opnai"), "did you mean 'openai'"),
        (ProviderConfig("a", "openai"), "api_key: openai needs a key; set api_key or the variable OPENAI_API_KEY"),
        (ProviderConfig("a", "openai_compatible"), "base_url: openai_compatible has no address of its own; set base_url$"),
        (ProviderConfig("a", "azure_openai"), "or the variable AZURE_OPENAI_ENDPOINT"),
        (ProviderConfig("a", "gemini", api_key="k", api_version="1"), "a.api_version"),
    ],
)  # fmt: skip
def test_what_cannot_be_built_is_said(config: ProviderConfig, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint) as caught:
        create_provider(config, environ={})
    assert len(caught.value.complaints) == 1


BAD_URLS = [
    "localhost:8080",
    "ftp://x/",
    "https://",
    "https:///v1",
    "https://x/?key=1",
    "https://x/#a",
    "http://[::1",
    "http://x:99999",
    "http://x:0/",
    "http://x:y/",
    "//x/v1",
    "https://ü.example/",
    "javascript:alert(1)",
    "file:///etc/passwd",
]


@pytest.mark.parametrize("url", [*BAD_URLS, "https://a b/", "https://x/\n", " https://x/"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="base_url: a needs"):
        create_provider(ProviderConfig("a", "openai_compatible", base_url=url), environ={})


@pytest.mark.parametrize("url", ["https://me:s3cr3t@x/", "https://s3cr3t@x/v1", "https://@x/"])
def test_a_key_in_an_address_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigurationError, match="put the key into api_key") as caught:
        create_provider(ProviderConfig("a", "openai", api_key="k", base_url=url), environ={})
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1:9999", "http://127.0.0.1:9999/api/tags"),
        ("0.0.0.0", "http://127.0.0.1:11434/api/tags"),
        ("https://box.example/ollama/", "https://box.example/ollama/api/tags"),
        (":9999", "http://127.0.0.1:9999/api/tags"),
    ],
)
async def test_ollama_host_is_read_as_ollama_reads_it(host: str, url: str) -> None:
    vendor = Vendor(Ollama())
    config = ProviderConfig("a", "ollama")
    await create_provider(config, transport=vendor, environ={"OLLAMA_HOST": host}).list_models()
    assert str(vendor.requests[0].url) == url
    vendor = Vendor(Ollama())
    config = ProviderConfig("a", "ollama", base_url="http://own:1")
    await create_provider(config, transport=vendor, environ={"OLLAMA_HOST": host}).list_models()
    assert vendor.requests[0].url.host == "own"


def test_own_limits_go_before_those_of_all() -> None:
    shared = Timeouts(total=9.0)
    assert create_provider(OPENAI, timeouts=shared, environ={}).timeouts.total == 9.0
    own = ProviderConfig("a", "openai", api_key="k", timeouts=Timeouts(total=3.0))
    assert create_provider(own, timeouts=shared, environ={}).timeouts.total == 3.0
    assert create_provider(OPENAI, environ={}).timeouts.first_token == 60.0
    assert create_provider(OLLAMA, environ={}).timeouts.first_token == 300.0


# --------------------------------------------------------------------------------------------- create_manager


def test_every_complaint_at_once_and_nothing_started() -> None:
    config = LlmConfig(
        (
            ProviderConfig("one", "openai"),
            ProviderConfig("two", "nobody"),
            OLLAMA,
            ProviderConfig("three", "azure_openai", api_key="k"),
            ProviderConfig("four", "groq", api_key="a b"),
            ProviderConfig("off", "anthropic", enabled=False),
        )
    )
    vendor = Vendor(OpenAI())
    with pytest.raises(ConfigurationError) as caught:
        create_manager(config, transport=vendor, environ={})
    heads = [complaint.split(":")[0] for complaint in caught.value.complaints]
    assert heads == [
        "llm.providers.one.api_key",
        "llm.providers.two.provider",
        "llm.providers.three.base_url",
        "llm.providers.four.api_key",
    ]
    assert vendor.requests == []
    assert str(caught.value).count("\n") == 3


async def test_disabled_entries_are_not_built() -> None:
    config = LlmConfig((ProviderConfig("off", "anthropic", enabled=False), OPENAI))
    manager = create_manager(config, transport=Vendor(OpenAI()), environ={})
    assert [provider.name for provider in manager.providers] == ["a"]
    with pytest.raises(ConfigurationError, match="at least one"):
        create_manager(LlmConfig((ProviderConfig("off", "openai", enabled=False),)), environ={})


async def test_all_share_one_transport_which_is_closed_once_with_the_last() -> None:
    entries = [
        ProviderConfig(name, "openai", api_key=KEY, text_model=MODEL, transport=choice)
        for name, choice in (("a", None), ("b", "httpx"), ("c", "auto"))
    ]
    vendor = Vendor(OpenAI())
    manager = create_manager(LlmConfig(tuple(entries)), transport=vendor, environ={})
    await manager.providers[0].aclose()
    await manager.providers[0].aclose()
    assert vendor.closed == 0
    assert (await manager.providers[1].generate("hi")).text == TEXT
    await manager.aclose()
    assert vendor.closed == 1
    await manager.aclose()
    assert vendor.closed == 1


EVERY_CALL: tuple[Callable[[LlmProvider], Awaitable[object]], ...] = (
    lambda provider: provider.generate("hi"),
    lambda provider: provider.stream("hi").collect(),
    lambda provider: provider.embed(EmbeddingRequest("hi", model="e")),
    lambda provider: provider.list_models(),
)
TEXTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("choice", ["httpx", "auto"])
@pytest.mark.parametrize("what", ["generate", "stream"])
async def test_leaving_the_block_ends_calls_in_other_tasks_and_closes_their_sockets(
    what: str, choice: TransportChoice
) -> None:
    there = threading.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        if what == "stream":
            data = b'data: {"choices":[{"index":0,"delta":{"content":"one"}}]}\n\n'
            await peer.send(TEXTS + chunk(data))
        there.set()
        await peer.gone()

    async def call(llm: ProviderManager) -> None:
        with pytest.raises(ProviderError, match="closed by aclose") as caught:
            await (llm.generate("hi") if what == "generate" else llm.stream("hi").collect())
        ended.append(caught.value)

    ended: list[ProviderError] = []
    with FaultServer(script) as server:
        config = LlmConfig(
            tuple(
                ProviderConfig(
                    name, "openai", api_key=KEY, text_model=MODEL, base_url=server.url.split("?")[0]
                )
                for name in ("a", "b")
            ),
            FallbackConfig(max_retries=3, patience=0),
            transport=choice,
        )
        with anyio.fail_after(10.0):
            async with anyio.create_task_group() as tasks, llmcore.open(config, environ={}) as llm:
                tasks.start_soon(call, llm)
                assert await anyio.to_thread.run_sync(there.wait, 10.0)
            assert await server.left()
    assert len(ended) == 1
    assert server.connections == 1
    assert (llm.stats().in_flight, llm.stats().state) == (0, "closed")


async def test_a_closed_manager_and_a_closed_provider_take_no_call() -> None:
    world = World(localhost_11434=Vendor(Ollama()), **{"api-openai-com": Vendor(OpenAI())})
    async with llmcore.open(LlmConfig((OPENAI, OLLAMA)), transport=world, environ={}) as llm:
        begun = llm.stream("hi")
        leaf = llm.providers[0]
        await leaf.aclose()
        assert leaf.stats().state == "closed"
        response = await llm.generate("hi")
        assert response.provider == OLLAMA.name
    asked = len(world.asked)
    for provider, words in ((llm, "manager: the manager is closed"), (leaf, "a.*the provider is closed")):
        for work in EVERY_CALL:
            with pytest.raises(ProviderError, match=words):
                await work(provider)
    with pytest.raises(ProviderError, match="the manager is closed"):
        await begun.collect()
    with pytest.raises(ConfigurationError, match="closed"):
        await llm.reload(LlmConfig((OPENAI,)))
    assert len(world.asked) == asked
    assert llm.stats().in_flight == 0


async def test_limits_and_fallback_of_the_configuration_hold() -> None:
    world = World(localhost_11434=Vendor(Ollama()))
    config = LlmConfig((OPENAI, OLLAMA), FallbackConfig(max_retries=0), Timeouts(total=7.0))
    manager = create_manager(config, transport=world, environ={})
    assert isinstance(manager.providers[0], HttpProvider)
    assert manager.providers[0].timeouts.total == 7.0
    response = await manager.generate("hi")
    assert [attempt.outcome for attempt in response.attempts] == ["ConnectionRefused", "success"]
    only = create_manager(
        LlmConfig((OPENAI, OLLAMA), FallbackConfig(enabled=False)), transport=world, environ={}
    )
    with pytest.raises(ConnectionRefused):
        await only.generate("hi")


# ------------------------------------------------------------------------------------------------------ open


@pytest.mark.parametrize("how", ["text", "path", "str path", "mapping", "config"])
async def test_open_takes_a_configuration_in_any_form(how: str, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(TEXT_CONFIG)
    mapping = {
        "llm": {"providers": [{"name": "main", "provider": "openai", "api_key": KEY, "text_model": "m"}]}
    }
    source: Any = {
        "text": TEXT_CONFIG,
        "path": path,
        "str path": str(path),
        "mapping": mapping,
        "config": LlmConfig((ProviderConfig("main", "openai", api_key=KEY, text_model="m"),)),
    }[how]
    vendor = Vendor(OpenAI())
    async with llmcore.open(source, transport=vendor, environ={"MY_KEY": KEY}) as llm:
        assert isinstance(llm, ProviderManager)
        assert [provider.name for provider in llm.providers] == ["main"]
        assert (await llm.generate("hi")).text == TEXT
        assert vendor.requests[0].headers["authorization"] == f"Bearer {KEY}"
        assert vendor.closed == 0
    assert vendor.closed == 1


async def test_open_says_every_mistake_of_a_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(TEXT_CONFIG.replace('"openai"', '"opnai"') + "[llm.fallbck]\nx = 1\n")
    vendor = Vendor(OpenAI())
    with pytest.raises(ConfigurationError) as caught:
        async with llmcore.open(path, transport=vendor, environ={}):
            pytest.fail("nothing may be opened")
    told = "\n".join(caught.value.complaints)
    assert "did you mean 'openai'" in told
    assert "fallback" in told
    assert "MY_KEY" in told
    assert vendor.requests == []


async def test_open_closes_what_it_opened_whatever_happens_inside() -> None:
    for problem in (ValueError("mine"), ConnectionRefused("theirs")):
        vendor = Vendor(OpenAI())
        with pytest.raises(type(problem)):
            async with llmcore.open(LlmConfig((OPENAI,)), transport=vendor, environ={}):
                raise problem
        assert vendor.closed == 1
    vendor = Vendor(OpenAI())
    with anyio.move_on_after(0.05) as scope:
        async with llmcore.open(LlmConfig((OPENAI,)), transport=vendor, environ={}):
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert vendor.closed == 1


# ------------------------------------------------------------------------------------- what the environment offers


async def environment(environ: dict[str, str], **servers: Any) -> dict[str, str | None]:
    config = await from_environment(environ, transport=World(**servers))
    assert [entry.priority for entry in config.providers] == list(range(1, len(config.providers) + 1))
    return {entry.name: entry.text_model for entry in config.providers}


async def test_keys_that_are_set_are_providers() -> None:
    found = await environment(
        {"ANTHROPIC_API_KEY": "k", "GEMINI_API_KEY": "k", "GROQ_API_KEY": "", "X_API_KEY": "k"}
    )
    assert found == {"anthropic": None, "gemini": None}
    assert "azure_openai" not in await environment({"AZURE_OPENAI_API_KEY": "k", "GROQ_API_KEY": "k"})
    environ = {"AZURE_OPENAI_API_KEY": "k", "AZURE_OPENAI_ENDPOINT": "https://r.openai.azure.com"}
    assert list(await environment(environ)) == ["azure_openai"]


@pytest.mark.parametrize(
    ("wanted", "models"),
    [
        ("anthropic/claude-x", {"anthropic": "claude-x", "gemini": None}),
        ("google/gemini-x", {"anthropic": None, "gemini": "gemini-x"}),
        ("claude-x", {"anthropic": "claude-x", "gemini": "claude-x"}),
        ("meta/llama", {"anthropic": "meta/llama", "gemini": "meta/llama"}),
        ("anthropic/", {"anthropic": None, "gemini": None}),
        ("", {"anthropic": None, "gemini": None}),
    ],
)
async def test_a_model_from_the_environment(wanted: str, models: dict[str, str | None]) -> None:
    environ = {"ANTHROPIC_API_KEY": "k", "GEMINI_API_KEY": "k", "LLMCORE_MODEL": wanted}
    assert await environment(environ) == models


async def test_local_servers_that_answer_are_providers_with_their_first_model() -> None:
    servers = {"localhost_11434": Vendor(Ollama()), "localhost_8000": Vendor(OpenAI())}
    assert await environment({}, **servers) == {"ollama": MODEL, "vllm": MODEL}
    assert await environment({"GROQ_API_KEY": "k"}, **servers) == {
        "groq": None,
        "ollama": MODEL,
        "vllm": MODEL,
    }
    wanted = {"LLMCORE_MODEL": "acme/embed-1"}
    assert await environment(wanted, **servers) == {"ollama": "acme/embed-1", "vllm": "acme/embed-1"}
    wanted = {"LLMCORE_MODEL": "ollama/llama3.2"}
    assert await environment(wanted, **servers) == {"ollama": "llama3.2", "vllm": MODEL}
    wanted = {"LLMCORE_MODEL": "unknown-here"}
    assert await environment(wanted, **servers) == {"ollama": MODEL, "vllm": MODEL}


async def test_a_local_server_without_models_or_sense_does_no_harm() -> None:
    nothing = Vendor(OpenAI(), lambda request: httpx.Response(200, json={"data": []}))
    page = Vendor(
        OpenAI(), lambda request: httpx.Response(200, headers={"content-type": "text/html"}, text="<p>hi")
    )
    refused = Vendor(OpenAI(), lambda request: httpx.Response(401, json={"error": "who?"}))
    assert await environment({}, localhost_8080=nothing, localhost_8000=page, localhost_1234=refused) == {
        "llamacpp": None
    }
    assert await environment({"GROQ_API_KEY": "k", "OLLAMA_HOST": "http://["}) == {"groq": None}


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_local_server_that_hangs_costs_half_a_second(backend: Any) -> None:
    async def main() -> None:
        hanging = Vendor(OpenAI(), lambda request: httpx.Response(200, stream=Body(1000.0)))
        world = World(localhost_11434=Vendor(Ollama()), localhost_8000=hanging, localhost_8080=hanging)
        began = anyio.current_time()
        config = await from_environment({}, transport=world)
        assert [entry.name for entry in config.providers] == ["ollama"]
        assert anyio.current_time() - began == pytest.approx(PROBE_S)
        assert world.closed == 0
        assert len(world.asked) == len(LOCAL_SERVERS)

    run_simulated(main, backend=backend)


async def test_nothing_to_talk_to_says_what_to_do() -> None:
    for work in (
        from_environment({}, transport=World()),
        llmcore.open(transport=World(), environ={}).__aenter__(),
    ):
        with pytest.raises(ConfigurationError, match=r"OPENAI_API_KEY.*ollama serve"):
            await work


async def test_where_real_requests_are_blocked_nothing_local_is_found() -> None:
    with block_real_requests():
        with pytest.raises(ConfigurationError, match="nothing to talk to"):
            await from_environment({})
        assert [entry.name for entry in (await from_environment({"GROQ_API_KEY": "k"})).providers] == ["groq"]


async def test_open_without_anything_talks_to_what_it_finds() -> None:
    world = World(**{"localhost_11434": Vendor(Ollama()), "api-openai-com": Vendor(OpenAI())})
    environ = {"OPENAI_API_KEY": KEY, "LLMCORE_MODEL": "openai/m"}
    async with llmcore.open(transport=world, environ=environ) as llm:
        assert (await llm.generate("hi")).provider == "openai"
        assert (
            await llm.generate(llmcore.GenerationRequest("hi", model=f"ollama/{MODEL}"))
        ).provider == "ollama"
    assert world.closed == 1


async def test_open_finds_a_real_local_server() -> None:
    with SimulatorThread() as sim:
        async with llmcore.open(environ={"OLLAMA_HOST": sim.base_url("ollama")}) as llm:
            response = await llm.generate(llmcore.GenerationRequest("hi", model="ollama/sim-small"))
        assert response.provider == "ollama"
        assert sim.last.dialect == "ollama"


async def test_a_failing_manager_says_all_failures() -> None:
    config = LlmConfig((OPENAI, OLLAMA), FallbackConfig(max_retries=0))
    async with llmcore.open(config, transport=World(), environ={}) as llm:
        with pytest.raises(AllProvidersFailed) as caught:
            await llm.generate("hi")
    assert [error.provider for error in caught.value.leaves()] == ["a", "b"]
