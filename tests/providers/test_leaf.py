"""The leaf over a mock vendor: names, defaults, what is refused before any I/O, keys, attempts, stats, model lists."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from urllib.parse import unquote

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcore import errors
from llmcore.build import create_provider
from llmcore.config import Price, ProviderConfig, Timeouts
from llmcore.errors import (
    ConfigurationError,
    EndpointError,
    InvalidRequestError,
    ModelNotFoundError,
    ProviderError,
    TotalTimeout,
    UnsupportedFeatureError,
)
from llmcore.providers import find
from llmcore.providers.base import MAX_PAGES, HttpProvider
from llmcore.secret import Secret
from llmcore.testing import run_simulated
from llmcore.types import EmbeddingRequest, GenerationRequest, Image, Message, ProviderStats, Tool
from tests.providers.dialects import KEY, MODEL, READ, TEXT, WRITTEN, Body, Vendor, dialect_of, made

pytestmark = pytest.mark.anyio

OPENAI = find("openai")


def vendor_of(kind: str = "openai", reply: Any = None) -> Vendor:
    return Vendor(dialect_of(find(kind)), reply)


def leaf(vendor: httpx.AsyncBaseTransport, kind: str = "openai", **more: Any) -> HttpProvider:
    return made(find(kind), vendor, **more)


def adds_up(stats: ProviderStats) -> bool:
    return stats.requests == stats.successes + stats.failures + stats.cancelled + stats.in_flight


# --------------------------------------------------------------------------------------- names and defaults


async def test_a_model_is_the_requests_by_alias_or_the_configured_one() -> None:
    vendor = vendor_of()
    provider = leaf(vendor, models={"fast": "gpt-mini", "embed": "e-large"})
    for asked in (None, "fast", "gpt-other"):
        response = await provider.generate(GenerationRequest("hi", model=asked))
        assert response.attempts[0].model == vendor.bodies[-1]["model"]
        await provider.stream(GenerationRequest("hi", model=asked)).collect()
    assert [body["model"] for body in vendor.bodies] == [
        MODEL, MODEL, "gpt-mini", "gpt-mini", "gpt-other", "gpt-other",
    ]  # fmt: skip


async def test_an_embedding_model_has_aliases_too() -> None:
    vendor = vendor_of()
    provider = leaf(vendor, models={"big": "e-large"})
    for asked in (None, "big", "e-other"):
        await provider.embed(EmbeddingRequest("a", model=asked))
    assert [body["model"] for body in vendor.bodies] == ["acme/embed-1", "e-large", "e-other"]


async def test_defaults_of_the_configuration_and_of_the_request() -> None:
    vendor = vendor_of()
    extra = {"store": False, "metadata": {"team": "a"}}
    provider = leaf(vendor, max_tokens=99, temperature=0.25, extra=extra)
    await provider.generate("hi")
    asked = GenerationRequest("hi", max_tokens=5, temperature=0.0, extra={"metadata": {"run": "b"}})
    await provider.generate(asked)
    first, second = vendor.bodies
    assert (first["max_completion_tokens"], first["temperature"]) == (99, 0.25)
    assert (first["store"], first["metadata"]) == (False, {"team": "a"})
    assert (second["max_completion_tokens"], second["temperature"]) == (5, 0.0)
    assert (second["store"], second["metadata"]) == (False, {"run": "b"})


@pytest.mark.parametrize("call", ["generate", "stream", "embed"])
async def test_no_model_is_said_before_anything_is_sent(call: str) -> None:
    vendor = vendor_of()
    provider = leaf(vendor, text_model=None, embedding_model=None)
    work = (lambda text: provider.stream(text).collect()) if call == "stream" else getattr(provider, call)
    with pytest.raises(ModelNotFoundError, match="no model"):
        await work("hi")
    assert vendor.requests == []
    assert adds_up(provider.stats())


@pytest.mark.parametrize("kind", ["llamacpp", "lm_studio"])
async def test_a_server_that_has_loaded_a_model_needs_no_name(kind: str) -> None:
    vendor = vendor_of(kind)
    assert (await leaf(vendor, kind, text_model=None).generate("hi")).text == TEXT
    assert "model" not in vendor.bodies[0] or vendor.bodies[0]["model"] in (None, "")


REFUSED = ["", "a\r\nx-evil: 1", "a\nb", "a\x00b", "m" * 10_000, "a\u202eb", "a\tb", "\ud800"]


@pytest.mark.parametrize("kind", ["openai", "gemini", "replicate", "azure_openai", "huggingface"])
async def test_a_name_that_is_none_is_refused_before_anything_is_sent(kind: str) -> None:
    for name in REFUSED:
        vendor = vendor_of(kind)
        provider = leaf(vendor, kind)
        for work in (provider.generate, lambda asked, provider=provider: provider.stream(asked).collect()):
            with pytest.raises(InvalidRequestError, match="no name of a model"):
                await work(GenerationRequest("hi", model=name))
        assert vendor.requests == []


@pytest.mark.parametrize("kind", ["openai", "gemini", "replicate", "azure_openai", "ollama", "huggingface"])
@pytest.mark.parametrize("call", ["generate", "embed"])
async def test_an_odd_name_leads_nowhere_else(kind: str, call: str) -> None:
    """Dots, quotes and slashes stay part of the name: the request goes below the base URL, in one line."""
    base = "https://gw.example/a/b"
    version = "2024-10-21" if kind == "azure_openai" else None
    for name in (
        "../../../admin",
        'a"b\\c',
        "a b?x=1#y",
        "..",
        "%2e%2e/%2e%2e",
        "{x}",
        "@evil.example/x",
        "ü",
        "a/..",
        "../x",
    ):
        vendor = vendor_of(kind)
        provider = leaf(vendor, kind, base_url=base, api_version=version)
        try:
            if call == "generate":
                await provider.generate(GenerationRequest("hi", model=name))
            else:
                await provider.embed(EmbeddingRequest("hi", model=name))
        except ProviderError:
            assert vendor.requests == []
            continue
        for request in vendor.requests:
            raw = request.url.raw_path.decode()
            assert request.url.host == "gw.example"
            assert raw.startswith("/a/b/"), raw
            assert not {".", ".."} & {unquote(part) for part in raw.partition("?")[0].split("/")}, raw
            assert "x=1" not in raw.partition("?")[2]


# ------------------------------------------------------------------------------------- before anything is sent


async def test_what_cannot_be_said_is_a_warning_on_answer_and_stream() -> None:
    asked = GenerationRequest("hi", seed=4)
    provider = leaf(vendor_of("anthropic"), "anthropic")
    whole = await provider.generate(asked)
    folded = await provider.stream(asked).collect()
    assert [warning.parameter for warning in whole.warnings] == ["seed"]
    assert folded.warnings == whole.warnings


@pytest.mark.parametrize("call", ["generate", "stream"])
async def test_what_must_not_be_left_out_is_refused_before_anything_is_sent(call: str) -> None:
    asked = GenerationRequest("hi", tools=(Tool("look"),))
    vendor = vendor_of("perplexity")
    provider = leaf(vendor, "perplexity")
    with pytest.raises(UnsupportedFeatureError) as caught:
        await (provider.generate(asked) if call == "generate" else provider.stream(asked).collect())
    assert vendor.requests == []
    assert caught.value.failover
    assert caught.value.provider == "main"
    assert adds_up(provider.stats())
    assert provider.stats().failures == 1


BAD_REQUESTS: list[Any] = [
    "",
    " \n",
    [],
    Message.system("only that"),
    "\ud800",
    Message.tool("c1", "a result of nothing"),
    Message.assistant(Image(url="https://x/y.png")),
    GenerationRequest("hi", temperature=3.0),
    GenerationRequest("hi", max_tokens=0),
    GenerationRequest("hi", tools=(Tool("no name"),)),
    GenerationRequest("hi", tools=(Tool("a", parameters={"type": "array"}),)),
    GenerationRequest("hi", tool_choice="a"),
    GenerationRequest("hi", extra={"x": object()}),
    GenerationRequest("hi", extra={"x": "\ud800"}),
    3,
]


@pytest.mark.parametrize("asked", BAD_REQUESTS, ids=range(len(BAD_REQUESTS)))
async def test_a_bad_request_is_one_error_before_anything_is_sent(asked: Any) -> None:
    vendor = vendor_of()
    provider = leaf(vendor)
    with pytest.raises(InvalidRequestError):
        await provider.generate(asked)
    with pytest.raises(InvalidRequestError):
        await provider.stream(asked).collect()
    assert vendor.requests == []
    assert adds_up(provider.stats())


async def test_a_huge_request_is_refused_before_anything_is_sent() -> None:
    vendor = vendor_of()
    with pytest.raises(InvalidRequestError, match="at most"):
        await leaf(vendor).generate("x" * (64 * 1024 * 1024))
    assert vendor.requests == []


# --------------------------------------------------------------------------------------------- repetition


@given(
    texts=st.lists(st.text(min_size=1).filter(str.strip), min_size=1, max_size=3),
    temperature=st.none() | st.floats(0, 2),
    stop=st.lists(st.text(min_size=1), max_size=2),
    kind=st.sampled_from(
        ["openai", "anthropic", "gemini", "ollama", "cohere", "replicate", "openai_responses"]
    ),
)
def test_7_a_repeated_request_is_the_same_to_the_byte(
    texts: list[str], temperature: float | None, stop: list[str], kind: str
) -> None:
    async def main() -> None:
        vendor = vendor_of(kind)
        provider = leaf(vendor, kind)
        messages = [Message.user(text) for text in texts]
        for _ in range(3):
            await provider.generate(GenerationRequest(messages, temperature=temperature, stop=stop))
        bodies = [request.content for request in vendor.requests]
        heads = [(str(request.url), request.headers.raw) for request in vendor.requests]
        assert bodies[0] == bodies[1] == bodies[2]
        assert heads[0] == heads[1] == heads[2]

    run_simulated(main)


# --------------------------------------------------------------------------------------- attempts and stats


async def test_stats_and_attempts_of_failures_and_successes() -> None:
    answers = iter(
        [httpx.Response(500, json={"error": {"message": "no"}}), None, httpx.Response(200, text="{")]
    )
    provider = leaf(vendor_of(reply=lambda request: next(answers)))
    with pytest.raises(errors.ServerError) as failed:
        await provider.generate("hi")
    good = await provider.generate("hi")
    with pytest.raises(errors.MalformedResponseError):
        await provider.generate("hi")
    (attempt,) = failed.value.attempts
    assert (attempt.provider, attempt.model, attempt.outcome, attempt.status) == (
        "main", MODEL, "ServerError", 500,
    )  # fmt: skip
    assert (attempt.started_s, attempt.wait_s) == (0.0, 0.0)
    assert attempt.duration_s == failed.value.elapsed_s
    assert len(good.attempts) == 1
    stats = provider.stats()
    assert (stats.requests, stats.successes, stats.failures, stats.in_flight) == (3, 1, 2, 0)
    assert (stats.input_tokens, stats.output_tokens) == (READ, WRITTEN)
    assert stats.last_error is not None
    assert stats.last_error.startswith("MalformedResponseError: main/")


async def test_a_request_id_is_kept_where_the_body_cannot_be_read() -> None:
    def reply(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"x-request-id": "req-7"}, text="[1]")

    with pytest.raises(errors.MalformedResponseError) as caught:
        await leaf(vendor_of(reply=reply)).generate("hi")
    assert caught.value.request_id == "req-7"


async def test_a_known_price_gives_a_cost() -> None:
    prices = {MODEL: Price(input=1.0, output=10.0)}
    provider = leaf(vendor_of(), prices=prices)
    whole = await provider.generate("hi")
    folded = await provider.stream("hi").collect()
    assert whole.usage.cost_usd == folded.usage.cost_usd == Decimal(READ + 10 * WRITTEN) / 1_000_000
    assert provider.stats().cost_usd == 2 * whole.usage.cost_usd


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("call", ["generate", "embed", "list_models"])
def test_a_cancelled_call_counts_as_cancelled_and_lets_go(call: str, backend: Any) -> None:
    async def main() -> None:
        body = Body(b"{", 1000.0, b"}")
        vendor = vendor_of(reply=lambda request: httpx.Response(200, stream=body))
        provider = leaf(vendor)
        work = {"generate": ["hi"], "embed": ["hi"], "list_models": []}[call]
        with anyio.move_on_after(5) as scope:
            await getattr(provider, call)(*work)
        assert scope.cancelled_caught
        stats = provider.stats()
        assert (stats.requests, stats.cancelled, stats.in_flight) == (1, 1, 0)
        assert adds_up(stats)
        assert body.closed == 1

    run_simulated(main, backend=backend)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize(
    ("deadline", "total", "at", "failover"),
    [(5.0, 600.0, 5.0, False), (None, 30.0, 30.0, True), (50.0, 30.0, 30.0, True), (30.0, 30.0, 30.0, False)],
)
@pytest.mark.parametrize("call", ["generate", "stream"])
def test_whose_limit_it_was_decides_on_the_failover(
    deadline: float | None, total: float, at: float, failover: bool, call: str, backend: Any
) -> None:
    """The caller's own deadline is final; a limit of this provider alone is worth asking another one."""

    async def main() -> None:
        body = Body(b"data", 1000.0)
        vendor = vendor_of(reply=lambda request: httpx.Response(200, stream=body))
        provider = leaf(vendor, timeouts=Timeouts(total=total, first_token=500.0))
        asked = GenerationRequest("hi", deadline=deadline)
        with pytest.raises(TotalTimeout) as caught:
            await (provider.generate(asked) if call == "generate" else provider.stream(asked).collect())
        assert anyio.current_time() - began == pytest.approx(at)
        assert (caught.value.failover, caught.value.retryable) == (failover, False)
        assert caught.value.elapsed_s == pytest.approx(at)
        assert [one.outcome for one in caught.value.attempts] == ["TotalTimeout"]
        assert body.closed == 1
        assert provider.stats().failures == 1
        assert adds_up(provider.stats())

    async def timed() -> None:
        nonlocal began
        began = anyio.current_time()
        await main()

    began = 0.0
    run_simulated(timed, backend=backend)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_44_an_outer_cancellation_wins_over_a_timeout_at_the_same_instant(backend: Any) -> None:
    async def main() -> None:
        vendor = vendor_of(reply=lambda request: httpx.Response(200, stream=Body(1000.0)))
        provider = leaf(vendor)
        for call in (provider.generate, lambda asked: provider.stream(asked).collect()):
            with anyio.move_on_after(5.0) as scope:
                await call(GenerationRequest("hi", deadline=5.0))
            assert scope.cancelled_caught
        assert provider.stats().in_flight == 0
        assert adds_up(provider.stats())

    run_simulated(main, backend=backend)


@pytest.mark.parametrize("call", ["generate", "stream", "embed"])
async def test_5_nothing_is_sent_at_the_deadline(call: str) -> None:
    vendor = vendor_of()
    provider = leaf(vendor)
    asked = GenerationRequest("hi", deadline=0.0)
    work = {
        "generate": lambda: provider.generate(asked),
        "stream": lambda: provider.stream(asked).collect(),
        "embed": lambda: provider.embed(EmbeddingRequest("hi", deadline=0.0)),
    }[call]
    with pytest.raises(TotalTimeout):
        await work()
    assert vendor.requests == []
    assert provider.stats().failures == 1
    assert adds_up(provider.stats())


# ---------------------------------------------------------------------------------------------------- keys


def build(kind: str, environ: dict[str, str], **more: Any) -> tuple[HttpProvider, Vendor]:
    vendor = vendor_of(kind)
    config = ProviderConfig(**{"name": "main", "provider": kind, "text_model": MODEL, **more})
    return create_provider(config, transport=vendor, environ=environ), vendor


@pytest.mark.parametrize(
    ("base_url", "sent"),
    [
        (None, True),
        ("https://api.openai.com/v1/", True),
        ("https://API.openai.com:443/other", True),
        ("https://api.openai.com:8443/v1", False),
        ("http://api.openai.com/v1", False),
        ("https://api.openai.com.evil.example/v1", False),
        ("https://gateway.example/v1", False),
    ],
)
async def test_the_vendors_own_variable_is_for_the_vendors_own_address(
    base_url: str | None, sent: bool
) -> None:
    provider, vendor = build("openai", {"OPENAI_API_KEY": KEY}, base_url=base_url)
    await provider.generate("hi")
    assert ("authorization" in vendor.requests[0].headers) == sent


async def test_an_address_from_the_vendors_variable_may_have_the_vendors_key() -> None:
    environ = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "https://proxy.example/v1"}
    provider, vendor = build("openai", environ)
    await provider.generate("hi")
    assert str(vendor.requests[0].url) == "https://proxy.example/v1/chat/completions"
    assert vendor.requests[0].headers["authorization"] == f"Bearer {KEY}"


async def test_the_first_variable_that_is_set_gives_the_key() -> None:
    for environ, key in (
        ({"GOOGLE_API_KEY": "one", "GEMINI_API_KEY": "two"}, "one"),
        ({"GOOGLE_API_KEY": "", "GEMINI_API_KEY": " two\n"}, "two"),
    ):
        provider, vendor = build("gemini", environ)
        await provider.generate("hi")
        assert vendor.requests[0].headers["x-goog-api-key"] == key


@pytest.mark.parametrize("key", ["abc\ndef", "abc\r\nx-evil: 1", "a b", "ключ", "a\x00b", " abc"])
def test_a_key_that_no_header_can_carry_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(ConfigurationError, match="api_key") as caught:
        build("openai", {}, api_key=Secret(key))
    assert key not in str(caught.value)
    if key.strip() == key:
        with pytest.raises(ConfigurationError, match="OPENAI_API_KEY"):
            build("openai", {"OPENAI_API_KEY": key})


def test_a_missing_key_names_every_variable() -> None:
    with pytest.raises(ConfigurationError, match="set api_key or the variable CO_API_KEY or COHERE_API_KEY"):
        build("cohere", {})


@pytest.mark.parametrize("name", ["a\r\nb", "a b", "é", ""])
async def test_a_header_that_cannot_be_sent_is_the_configurations_fault(name: str) -> None:
    vendor = vendor_of()
    with pytest.raises(EndpointError, match="cannot be sent"):
        await leaf(vendor, headers={name: "x"}).generate("hi")
    with pytest.raises(EndpointError, match="cannot be sent"):
        await leaf(vendor, headers={"x-ok": "x\r\ny: z"}).generate("hi")
    assert vendor.requests == []


# --------------------------------------------------------------------------------------------------- models


async def test_models_are_listed_page_after_page_each_once() -> None:
    pages = {
        None: {"data": [{"id": "a"}, {"id": "b"}], "has_more": True, "last_id": "b"},
        "b": {"data": [{"id": "b"}, {"id": None}, "odd", {"id": "c"}], "has_more": True, "last_id": "c"},
        "c": {"data": [{"id": "d"}], "has_more": False, "last_id": "d"},
    }

    def reply(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=pages[request.url.params.get("after_id")])

    vendor = vendor_of("anthropic", reply)
    assert [model.id for model in await leaf(vendor, "anthropic").list_models()] == ["a", "b", "c", "d"]
    assert len(vendor.requests) == 3


async def test_a_cursor_that_comes_again_ends_the_list() -> None:
    def reply(request: httpx.Request) -> httpx.Response:
        cursor = "y" if request.url.params.get("page_token") == "x" else "x"
        return httpx.Response(200, json={"models": [{"name": f"m-{cursor}"}], "next_page_token": cursor})

    vendor = vendor_of("cohere", reply)
    assert [model.id for model in await leaf(vendor, "cohere").list_models()] == ["m-x", "m-y"]
    assert len(vendor.requests) == 3


async def test_a_list_without_end_is_cut() -> None:
    vendor = vendor_of("gemini")

    def reply(request: httpx.Request) -> httpx.Response:
        count = str(len(vendor.requests))
        return httpx.Response(200, json={"models": [{"name": f"models/{count}"}], "nextPageToken": count})

    vendor._reply = reply
    assert len(await leaf(vendor, "gemini").list_models()) == MAX_PAGES
    assert len(vendor.requests) == MAX_PAGES


async def test_a_page_that_fails_fails_the_list() -> None:
    def reply(request: httpx.Request) -> httpx.Response:
        if "page_token" in request.url.params:
            return httpx.Response(503, json={"message": "later"})
        return httpx.Response(200, json={"models": [{"name": "a"}], "next_page_token": "x"})

    provider = leaf(vendor_of("cohere", reply), "cohere")
    with pytest.raises(errors.OverloadedError):
        await provider.list_models()
    assert provider.stats().failures == 1
