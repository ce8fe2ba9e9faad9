"""Users' own providers behind guarded sockets (T1 to T4, T17), and a retry budget for each user (T21)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import anyio
import pytest

from llmcore.build import create_manager
from llmcore.config import CAPABILITIES, FallbackConfig, LlmConfig, ProviderConfig
from llmcore.errors import AllProvidersFailed, EndpointError, ProviderError, ServerError
from llmcore.gateway.backend import PriceTag
from llmcore.gateway.config import GatewayConfig
from llmcore.gateway.errors import BadRequest
from llmcore.manager.manager import ProviderManager
from llmcore.prices import Price, warm
from llmcore.secret import Secret
from llmcore.serving.backend import ManagerBackend
from llmcore.testing import Answer, Fail, ScriptedProvider
from llmcore.types import ModelInfo, Usage

pytestmark = pytest.mark.anyio

CANARY = "sk-canary-0123456789abcdef"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Upstream:
    """Answers everything with `reply`, and remembers what came."""

    def __init__(self, reply: bytes) -> None:
        self.reply = reply
        self.seen: list[bytes] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.seen.append(await reader.read(65536))
        writer.write(self.reply)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def upstream(reply: bytes) -> AsyncIterator[Upstream]:
    made = Upstream(reply)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    async with server:
        yield made


MODELS = b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 33\r\nconnection: close\r\n\r\n{"data":[{"id":"m"}],"object":""}'


def backend(port: int = 1, **more: Any) -> ManagerBackend:
    config = GatewayConfig(local_servers=(f"127.0.0.1:{port}", f"localhost:{port}"), **more)
    return ManagerBackend(ProviderManager([ScriptedProvider("a")]), config)


def own(kind: str, base_url: str | None = None, key: str | None = CANARY) -> ProviderConfig:
    return ProviderConfig("own", kind, base_url=base_url, api_key=None if key is None else Secret(key))


async def test_a_local_server_on_the_list_is_asked() -> None:
    async with upstream(MODELS) as server:
        provider = backend(server.port).make(own("vllm", f"http://127.0.0.1:{server.port}/v1"))
        assert [model.id for model in await provider.list_models()] == ["m"]
        await provider.aclose()
        assert len(server.seen) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/v1",
        "https://127.0.0.1:{port}",
        "https://localhost:{port}",
        "https://127.1:{port}",
    ],
)
async def test_t01_hosted_kinds_never_lead_inside(url: str) -> None:
    async with upstream(MODELS) as server:
        with pytest.raises(BadRequest):
            backend(server.port).make(own("openai", url.format(port=server.port)))
        assert not server.seen


async def test_t02_the_address_is_looked_at_when_it_is_dialled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that was public when it was entered, and leads inside when it is asked; each new connection looks again."""
    answers = ["93.184.216.34", "127.0.0.1", "169.254.169.254"]
    dialled: list[Any] = []

    async def resolve(self: object, host: str, port: int, **more: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (answers.pop(0), port))]

    async def dial(self: object, sock: socket.socket, where: Any) -> None:
        dialled.append(where)
        raise ConnectionRefusedError

    loop = type(asyncio.get_running_loop())
    monkeypatch.setattr(loop, "getaddrinfo", resolve)
    monkeypatch.setattr(loop, "sock_connect", dial)
    provider = backend().make(own("openai", "https://rebinding.example.org/v1"))
    for _ in range(3):
        with pytest.raises(ProviderError):
            await provider.list_models()
    assert dialled == [("93.184.216.34", 443)]  # what was looked at is what is dialled; the others are not
    await provider.aclose()


async def test_t02_one_inner_address_among_several_refuses_all(monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolve(self: object, host: str, port: int, **more: Any) -> list[Any]:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in ("93.184.216.34", "10.0.0.1")
        ]

    monkeypatch.setattr(type(asyncio.get_running_loop()), "getaddrinfo", resolve)
    provider = backend().make(own("openai", "https://two.example.org/v1"))
    with pytest.raises(AllProvidersFailed) as caught:
        await provider.list_models()
    assert isinstance(caught.value.primary, EndpointError)
    await provider.aclose()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_t03_a_redirect_is_never_followed(status: int) -> None:
    async with upstream(MODELS) as target:
        reply = (
            f"HTTP/1.1 {status} Moved\r\nlocation: http://127.0.0.1:{target.port}/v1/models\r\n"
            "content-length: 0\r\nconnection: close\r\n\r\n"
        )
        async with upstream(reply.encode()) as server:
            provider = backend(server.port).make(own("vllm", f"http://127.0.0.1:{server.port}/v1"))
            with pytest.raises(ProviderError):
                await provider.list_models()
            await provider.aclose()
            assert len(server.seen) == 1
        assert not target.seen


async def test_t04_the_key_goes_to_the_host_it_was_entered_for_alone() -> None:
    from llmcore.serving.backend import admit
    from llmcore.transport.outgoing import Origin

    admit(Origin("https", "api.example.org", 443), ["93.184.216.34"], local=False, host="api.example.org")
    with pytest.raises(EndpointError):
        admit(
            Origin("https", "evil.example.org", 443), ["93.184.216.34"], local=False, host="api.example.org"
        )


async def test_t17_nothing_of_the_environment_reaches_a_users_provider(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with upstream(MODELS) as server, upstream(MODELS) as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("VLLM_API_KEY", "sk-of-the-system-itself")
        provider = backend(server.port).make(own("vllm", f"http://127.0.0.1:{server.port}/v1", None))
        await provider.list_models()
        await provider.aclose()
        assert not proxy.seen
        assert b"sk-of-the-system" not in server.seen[0]


async def test_t17_a_key_of_the_environment_is_no_users_key(monkeypatch: pytest.MonkeyPatch) -> None:
    from llmcore.errors import ConfigurationError

    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-system-itself")
    with pytest.raises(ConfigurationError, match="api_key"):
        backend().make(own("openai", None, None))


async def test_t21_one_users_failures_take_nothing_from_anothers_retries() -> None:
    """The first provider fails each first attempt of a call; whoever has budget left is answered by the second."""
    failing = ScriptedProvider("a", [Fail(ServerError("down"))])
    good = ScriptedProvider("b", [Answer("fine")])
    fallback = FallbackConfig(max_retries=1, retry_delay_ms=1)
    made = ManagerBackend(ProviderManager([failing, good], fallback), GatewayConfig())
    hostile, other = made.tenant("hostile"), made.tenant("other")
    assert made.tenant("hostile") is hostile
    for _ in range(60):
        with pytest.raises(ProviderError):
            await hostile.generate(_only("a"))
    assert hostile.budget.tokens(anyio.current_time()) < 10  # type: ignore[attr-defined]
    assert other.budget.tokens(anyio.current_time()) >= 90  # type: ignore[attr-defined]
    assert (await other.generate("hi")).provider == "b"


def _only(name: str) -> Any:
    from llmcore.types import GenerationRequest

    return GenerationRequest("hi", providers=(name,))


async def test_the_attempts_of_a_cancelled_call_are_known() -> None:
    from llmcore.testing import Hang

    made = ManagerBackend(ProviderManager([ScriptedProvider("a", [Hang()])]), GatewayConfig())
    with anyio.move_on_after(0.05):
        await made.tenant("x").generate("hi")
    assert [attempt.outcome for attempt in made.last_attempts()] == ["cancelled"]


async def test_kinds_views_and_prices() -> None:
    made = ManagerBackend(ProviderManager([ScriptedProvider("a")]), GatewayConfig())
    kinds = {kind.kind: kind for kind in made.kinds()}
    assert kinds["openai"].key_variable == "OPENAI_API_KEY"
    assert kinds["ollama"].local
    assert kinds["openai_compatible"].needs_base_url
    await made.tenant("x").generate("hi")
    (view,) = made.views()
    assert (view.name, view.requests, view.success_rate) == ("a", 1, 1.0)
    assert made.cost("m", Usage(1, 1)) is None


async def test_a_reload_counts_for_every_user() -> None:
    from llmcore.build import create_manager

    def config(name: str) -> LlmConfig:
        return LlmConfig((ProviderConfig(name, "vllm", text_model="m"),))

    made = ManagerBackend(create_manager(config("one"), environ={}), GatewayConfig())
    before = made.tenant("x")
    assert [one.name for one in made.providers()] == ["one"]
    await made.reload(config("two"))
    assert [one.name for one in made.providers()] == ["two"]
    assert made.tenant("x").providers == before.providers == made.system.providers  # type: ignore[attr-defined]  # managers
    assert [one.name for one in before.providers] == ["two"]  # type: ignore[attr-defined]  # a call may hold it already
    await made.aclose()


# ------------------------------------------------------------------------------------------------ the catalogue


def of(*providers: ProviderConfig) -> ManagerBackend:
    return ManagerBackend(create_manager(LlmConfig(providers, prices="own"), environ={}), GatewayConfig())


async def test_the_default_model_of_a_kind_is_the_operators_own() -> None:
    made = of(
        ProviderConfig("later", "openai", api_key=CANARY, text_model="gpt-4o", priority=2),
        ProviderConfig("first", "openai", api_key=CANARY, text_model="gpt-4o-mini", priority=1),
        ProviderConfig("silent", "anthropic", api_key=CANARY),
    )
    kinds = {kind.kind: kind for kind in made.kinds()}
    assert kinds["openai"].default_model == "gpt-4o-mini"
    assert kinds["openai"].key_variable == "OPENAI_API_KEY"
    assert kinds["anthropic"].default_model is None
    assert kinds["groq"].default_model is None
    await made.aclose()


async def test_a_price_is_known_where_all_that_may_answer_have_one() -> None:
    price = {"*": Price(3)}
    made = of(
        ProviderConfig("said", "openai", api_key=CANARY, models={"fast": "gpt-4o-mini"}, prices=price),
        ProviderConfig("also", "vllm", models={"fast": "m", "any": "n"}, prices=price),
        ProviderConfig("unsaid", "groq", api_key=CANARY, models={"any": "m"}),
    )
    assert made.priced("fast")
    assert made.priced("said/gpt-4o")
    assert not made.priced("any")
    assert not made.priced("unsaid/m")
    assert made.cost("any", Usage(1_000_000, 0)) == 3
    await made.aclose()


async def test_facts_come_from_the_configuration_then_the_vendor_then_the_price_list() -> None:
    assert warm()
    made = of(
        ProviderConfig(
            "said",
            "openai",
            api_key=CANARY,
            context_window=5,
            max_output_tokens=6,
            capabilities=("tools",),
            prices={"gpt-4o-mini": Price(3, 4)},
        ),
        ProviderConfig("plain", "openai", api_key=CANARY),
    )
    model = ModelInfo("gpt-4o-mini", context_window=7)
    said = made.facts(model, "openai", "said")
    assert (said.context_window, said.max_output_tokens) == (5, 6)
    assert said.can == {name: name == "tools" for name in CAPABILITIES}
    assert said.price == PriceTag(Decimal(3), Decimal(4))
    assert made.facts(model, "openai", "plain").context_window == 7
    assert made.facts(model, "openai", "plain").price == PriceTag()  # prices = "own", and it has none
    public = made.facts(model, "openai").price.input
    assert public is not None
    assert public > 0
    bare = made.facts(ModelInfo("gpt-4o-mini-2024-07-18"), "openai", "plain")
    assert bare.context_window is not None
    assert bare.context_window >= 100_000
    assert bare.display_name
    assert set(bare.can.values()) == {None}
    listed = ModelInfo("m", capabilities=frozenset(("completion", "tools")))  # as Ollama says it
    assert made.facts(listed, "ollama").can["tools"] is True
    assert made.facts(listed, "ollama").can["images"] is False
    unknown = made.facts(ModelInfo("nobody knows"), "vllm")
    assert (unknown.context_window, unknown.display_name) == (None, None)
    await made.aclose()
