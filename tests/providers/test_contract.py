"""The one contract suite: every kind of provider keeps the same promises, whatever its dialect."""

from __future__ import annotations

import base64
import io
import json
import logging
import re
import traceback
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import product
from typing import Any

import httpx
import pytest
import respx

from llmcore import errors
from llmcore.config import Routing, Timeouts
from llmcore.errors import EndpointError, MalformedResponseError, ProviderError, UnsupportedFeatureError
from llmcore.providers import _FILE_ALIASES, _FILES, find, kinds, places
from llmcore.providers.base import HttpProvider
from llmcore.providers.place import Place
from llmcore.types import GenerationResponse
from tests.providers.dialects import (
    BASE_URLS,
    EMBEDDER,
    KEY,
    MODEL,
    PIECES,
    READ,
    TEXT,
    WRITTEN,
    Body,
    Replicate,
    Vendor,
    config_of,
    dialect_of,
    made,
)

pytestmark = pytest.mark.anyio

PLACES = {place.kind: place for place in places()}
EACH = pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)

CALLS: dict[str, Callable[[HttpProvider], Awaitable[Any]]] = {
    "generate": lambda provider: provider.generate("hi"),
    "stream": lambda provider: provider.stream("hi").collect(),
    "embed": lambda provider: provider.embed(["a", "b"]),
    "models": lambda provider: provider.list_models(),
}


@pytest.fixture
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """asyncio; what shall run on trio too says `BOTH`."""
    return str(getattr(request, "param", "asyncio"))


BOTH = pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"], indirect=True)


def calls_of(place: Place) -> dict[str, Callable[[HttpProvider], Awaitable[Any]]]:
    able = place.wire.features
    return {
        name: call
        for name, call in CALLS.items()
        if name == "generate" or {"embed": "embeddings"}.get(name, name) in able
    }


def replying(status: int, body: bytes = b"", **headers: str) -> Callable[[httpx.Request], httpx.Response]:
    named = {"content-type": "application/json"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    return lambda request: httpx.Response(status, headers=named, content=body)


async def failure_of(work: Awaitable[Any]) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await work
    return caught.value


# ------------------------------------------------------------------------------------------------ the places


@EACH
def test_a_place_is_well_formed(place: Place) -> None:
    assert place.title.strip()
    assert find(place.kind) is place
    assert re.fullmatch(r"[a-z][a-z0-9_]*", place.kind)
    if place.base_url is None:
        assert place.kind in BASE_URLS
    else:
        near = place.local or place.kind == "litellm_proxy"
        assert place.base_url.startswith("http://localhost:" if near else "https://")
        assert not place.base_url.endswith("/")
    for variable in place.key_env:
        assert re.fullmatch(r"[A-Z][A-Z0-9_]*_(?:KEY|TOKEN)", variable)
    for variable in place.base_url_env:
        assert re.fullmatch(r"[A-Z][A-Z0-9_]*_(?:BASE_URL|ENDPOINT|API_BASE|API_URL|HOST)", variable)
    assert bool(place.key_env) or not place.key_required
    assert not (place.local and place.key_required)
    assert place.auth_header.lower() in {"authorization", "x-api-key", "api-key", "x-goog-api-key"}
    assert (place.auth_prefix == "Bearer ") == (place.auth_header == "Authorization")
    assert "stream" in place.wire.features


def test_names_are_unique_and_all_resolve() -> None:
    names = [name for place in PLACES.values() for name in (place.kind, *place.aliases)]
    assert len(names) == len(set(names))
    assert set(names) <= set(kinds())
    for place in PLACES.values():
        assert all(find(alias) is place for alias in place.aliases)


def test_the_aliases_of_files_are_those_of_their_places() -> None:
    told = {alias: place.kind for place in PLACES.values() if place.kind in _FILES for alias in place.aliases}
    assert told == _FILE_ALIASES
    assert set(_FILES) <= set(PLACES)


def test_every_kind_of_the_issue_is_there() -> None:
    asked = """openai openai_responses azure_openai anthropic gemini google ollama lm_studio groq together deepseek
        openrouter replicate huggingface cohere mistral xai fireworks perplexity cerebras vllm llamacpp localai
        litellm_proxy openai_compatible"""
    assert set(asked.split()) <= set(kinds())


def test_an_unknown_kind_is_told_its_neighbour() -> None:
    with pytest.raises(errors.ConfigurationError, match="did you mean 'anthropic'"):
        find("antropic")
    with pytest.raises(errors.ConfigurationError, match=r"known are .*anthropic.*vllm"):
        find("?")


@EACH
def test_who_it_is(place: Place) -> None:
    provider = made(
        place, Vendor(dialect_of(place)), name="mine", priority=3, max_in_flight=4, models={"f": "m"}
    )
    assert (provider.name, provider.provider_type) == ("mine", place.kind)
    assert provider.routing == Routing(3, 1.0, 4, {"f": "m"}, MODEL, EMBEDDER)
    assert KEY not in repr(provider)
    assert provider.stats().name == "mine"


# ------------------------------------------------------------------------------------------------ what is sent

OPENAI_PATHS = {
    "generate": "/chat/completions",
    "stream": "/chat/completions",
    "embed": "/embeddings",
    "models": "/models",
}
PATHS: dict[str, dict[str, str]] = {
    "openai": OPENAI_PATHS,
    "openai_responses": OPENAI_PATHS | {"generate": "/responses", "stream": "/responses"},
    "anthropic": {
        "generate": "/v1/messages",
        "stream": "/v1/messages",
        "models": "/v1/models?limit=1000",
    },
    "gemini": {
        "generate": "/models/acme%2Fmodel-1:generateContent",
        "stream": "/models/acme%2Fmodel-1:streamGenerateContent?alt=sse",
        "embed": "/models/acme%2Fembed-1:batchEmbedContents",
        "models": "/models?pageSize=1000",
    },
    "ollama": {"generate": "/api/chat", "stream": "/api/chat", "embed": "/api/embed", "models": "/api/tags"},
    "cohere": {
        "generate": "/v2/chat",
        "stream": "/v2/chat",
        "embed": "/v2/embed",
        "models": "/v1/models?page_size=1000",
    },
    "replicate": {
        "generate": "/v1/models/acme/model-1/predictions",
        "stream": "/v1/models/acme/model-1/predictions",
        "models": "/v1/collections/language-models",
    },
}
PATHS_OF_KIND = {
    "azure_openai": {name: f"/openai/v1{path}" for name, path in OPENAI_PATHS.items()},
    "perplexity": OPENAI_PATHS | {"embed": "/v1/embeddings", "models": "/v1/models"},
}
BASES = {
    "anthropic": "https://api.anthropic.com",
    "azure_openai": "https://res.openai.azure.com",
    "cerebras": "https://api.cerebras.ai/v1",
    "cohere": "https://api.cohere.com",
    "deepseek": "https://api.deepseek.com",
    "fireworks": "https://api.fireworks.ai/inference/v1",
    "gemini": "https://generativelanguage.googleapis.com/v1beta",
    "groq": "https://api.groq.com/openai/v1",
    "huggingface": "https://router.huggingface.co/v1",
    "litellm_proxy": "http://localhost:4000/v1",
    "llamacpp": "http://localhost:8080/v1",
    "lm_studio": "http://localhost:1234/v1",
    "localai": "http://localhost:8080/v1",
    "mistral": "https://api.mistral.ai/v1",
    "ollama": "http://localhost:11434",
    "openai": "https://api.openai.com/v1",
    "openai_compatible": "https://vendor.example/v1",
    "openai_responses": "https://api.openai.com/v1",
    "openrouter": "https://openrouter.ai/api/v1",
    "perplexity": "https://api.perplexity.ai",
    "replicate": "https://api.replicate.com",
    "together": "https://api.together.ai/v1",
    "vllm": "http://localhost:8000/v1",
    "xai": "https://api.x.ai/v1",
}


def expected_url(place: Place, operation: str, base: str) -> str:
    if place.kind == "huggingface" and operation == "embed":
        return f"{base.removesuffix('/v1')}/hf-inference/models/{EMBEDDER}/pipeline/feature-extraction"
    return base + PATHS_OF_KIND.get(place.kind, PATHS[place.wire.dialect])[operation]


@EACH
async def test_every_request_goes_to_the_vendors_address_with_the_key(place: Place) -> None:
    for operation, call in calls_of(place).items():
        vendor = Vendor(dialect_of(place))
        await call(made(place, vendor))
        request = vendor.requests[0]
        assert str(request.url) == expected_url(place, operation, BASES[place.kind])
        assert request.method == ("GET" if operation == "models" else "POST")
        for sent in vendor.requests:
            assert sent.headers[place.auth_header] == place.auth_prefix + KEY
            assert sum(KEY in value for value in sent.headers.values()) == 1
            assert KEY not in str(sent.url)
            assert KEY not in (await sent.aread()).decode()
            assert sent.headers["user-agent"].startswith("llmcore/")
            assert sent.headers["accept-encoding"] == "identity"
        assert ("content-type" in request.headers) == (operation != "models")


@EACH
async def test_another_base_url_with_a_path_and_slashes(place: Place) -> None:
    base = "https://gateway.example:8443/team/llm"
    for slashes, (operation, call) in product(("", "/", "//"), calls_of(place).items()):
        if (place.kind, operation) == ("replicate", "stream"):
            continue  # its second request goes where the vendor says
        vendor = Vendor(dialect_of(place))
        await call(made(place, vendor, base_url=base + slashes))
        assert str(vendor.requests[0].url) == expected_url(place, operation, base)
        assert vendor.requests[0].headers[place.auth_header] == place.auth_prefix + KEY


@EACH
async def test_no_key_no_header_or_a_complaint(place: Place) -> None:
    vendor = Vendor(dialect_of(place))
    if place.key_required:
        with pytest.raises(errors.ConfigurationError, match=f"api_key: .*{place.key_env[0]}"):
            made(place, vendor, api_key=None)
        return
    await made(place, vendor, api_key=None).generate("hi")
    assert not {"authorization", "x-api-key", "api-key", "x-goog-api-key"} & set(vendor.requests[0].headers)


@EACH
async def test_what_is_configured_is_sent_along(place: Place) -> None:
    vendor = Vendor(dialect_of(place))
    await made(place, vendor, headers={"X-Team": "blue"}, extra={"x_own": {"a": 1}}).generate("hi")
    assert vendor.requests[0].headers["x-team"] == "blue"
    assert '"x_own":{"a":1}' in (await vendor.requests[0].aread()).decode()


# ---------------------------------------------------------------------------------------------- what comes back


@EACH
@BOTH
async def test_an_answer(place: Place) -> None:
    provider = made(place, Vendor(dialect_of(place), headers={"x-request-id": "req-1"}))
    response = await provider.generate("hi")
    assert (response.text, response.finish_reason) == (TEXT, "stop")
    assert (response.usage.input_tokens, response.usage.output_tokens) == (READ, WRITTEN)
    assert (response.provider, response.model, response.request_id) == ("main", MODEL, "req-1")
    assert [(one.provider, one.model, one.outcome, one.status) for one in response.attempts] == [
        ("main", MODEL, "success", dialect_of(place).chat_status)
    ]
    assert response.warnings == ()


@EACH
@BOTH
async def test_a_stream_is_the_answer_in_pieces(place: Place) -> None:
    provider = made(place, Vendor(dialect_of(place), headers={"x-request-id": "req-1"}))
    whole = await provider.generate("hi")
    async with provider.stream("hi") as events:
        pieces = [piece async for piece in events.texts()]
    folded = await provider.stream("hi").collect()
    assert pieces == list(PIECES)
    assert folded.message == whole.message
    for name in ("finish_reason", "usage", "model", "provider", "request_id", "warnings"):
        assert getattr(folded, name) == getattr(whole, name), name
    assert [one.outcome for one in folded.attempts] == ["success"]
    if place.kind != "replicate":  # its stream does not repeat the id
        assert folded.id == whole.id
    stats = provider.stats()
    assert (stats.requests, stats.successes, stats.in_flight) == (3, 3, 0)
    assert (stats.input_tokens, stats.output_tokens) == (3 * READ, 3 * WRITTEN)
    assert stats.first_token_mean_s is not None


@EACH
async def test_embeddings_or_a_clear_no(place: Place) -> None:
    vendor = Vendor(dialect_of(place))
    provider = made(place, vendor)
    if "embeddings" not in place.wire.features:
        error = await failure_of(provider.embed("a"))
        assert isinstance(error, UnsupportedFeatureError)
        assert vendor.requests == []
        return
    response = await provider.embed(["a", "b"])
    assert [list(vector) for vector in response.vectors] == [[0.0, 1.0], [1.0, 1.0]]
    assert (response.model, response.provider) == (EMBEDDER, "main")
    assert len((await provider.embed("a")).vectors) == 1


@EACH
async def test_models(place: Place) -> None:
    provider = made(place, Vendor(dialect_of(place)))
    models = await provider.list_models()
    assert [(model.id, model.provider) for model in models] == [(MODEL, "main"), (EMBEDDER, "main")]
    assert provider.stats().successes == 1


@EACH
async def test_closing_closes_the_transport_once(place: Place) -> None:
    vendor = Vendor(dialect_of(place))
    provider = made(place, vendor)
    await provider.generate("hi")
    assert provider.stats().state == "ok"
    await provider.aclose()
    await provider.aclose()
    assert vendor.closed == 1
    assert provider.stats().state == "closed"


@pytest.mark.parametrize("kind", ["openai", "anthropic", "gemini", "ollama"])
async def test_respx_works_as_the_transport(kind: str) -> None:
    place = PLACES[kind]
    with respx.mock(assert_all_called=True) as router:
        url = expected_url(place, "generate", BASES[kind])
        route = router.post(url).respond(200, content=dialect_of(place).answer())
        assert (await made(place, httpx.AsyncHTTPTransport()).generate("hi")).text == TEXT
    assert route.calls.last.request.headers[place.auth_header] == place.auth_prefix + KEY


@pytest.mark.parametrize("kind", ["openai", "anthropic", "gemini", "ollama"])
async def test_respx_handlers_and_in_process_applications_work_as_the_transport(kind: str) -> None:
    place = PLACES[kind]
    router = respx.MockRouter()
    router.route().respond(200, content=dialect_of(place).answer())
    transport = httpx.MockTransport(router.async_handler)
    assert (await made(place, transport).generate("hi")).text == TEXT

    async def app(scope: Any, receive: Any, send: Any) -> None:
        kind = dialect_of(place).stream_type.encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
        await send({"type": "http.response.body", "body": dialect_of(place).stream()})

    assert (await made(place, httpx.ASGITransport(app)).stream("hi").collect()).text == TEXT


# ------------------------------------------------------------------------------------------------- failures

STATUSES: dict[int, type[ProviderError]] = {
    400: errors.InvalidRequestError,
    401: errors.AuthenticationError,
    402: errors.QuotaExhaustedError,
    403: errors.PermissionDeniedError,
    429: errors.RateLimitError,
    500: errors.ServerError,
    503: errors.OverloadedError,
    529: errors.OverloadedError,
}


@EACH
async def test_a_status_becomes_its_class(place: Place) -> None:
    for status, (operation, call) in product([*STATUSES, 404], calls_of(place).items()):
        body = dialect_of(place).error(status, "it went wrong: the model 'x' is what it is")
        reply = replying(status, body, retry_after="7", x_request_id="req-9")
        provider = made(place, Vendor(dialect_of(place), reply))
        error = await failure_of(call(provider))
        assert type(error) is STATUSES.get(status, errors.ModelNotFoundError), (operation, status)
        assert (error.status, error.retry_after, error.phase) == (status, 7.0, "headers")
        assert error.request_id is not None
        assert error.provider == "main"
        assert "it went wrong" in error.message
        assert [(one.outcome, one.status) for one in error.attempts] == [(type(error).__name__, status)]
        stats = provider.stats()
        assert (stats.requests, stats.failures, stats.in_flight) == (1, 1, 0)
        assert "it went wrong" in (stats.last_error or "")


@EACH
async def test_a_redirect_is_never_followed(place: Place) -> None:
    targets = ("https://evil.example:444/steal?q=s3cr3t#x", "http://[", "/elsewhere?q=s3cr3t", "")
    calls = calls_of(place).values()
    for status, target, call in product((301, 302, 303, 307, 308), targets, calls):
        vendor = Vendor(dialect_of(place), replying(status, location=target))
        error = await failure_of(call(made(place, vendor)))
        assert type(error) is EndpointError
        assert len(vendor.requests) == 1
        assert error.failover
        assert not error.retryable
        assert "s3cr3t" not in str(error)
        assert "steal" not in str(error)
        assert ("https://evil.example" in str(error)) == target.startswith("https://evil")


HTML = b"<!doctype html><html><head><title>Log in &amp; surf</title></head><body>\xff</body></html>"

GARBAGE: dict[str, tuple[bytes, str]] = {
    "html": (HTML, "text/html; charset=utf-8"),
    "html that says it is json": (HTML, "application/json"),
    "empty": (b"", "application/json"),
    "blank": (b" \r\n\n", "application/json"),
    "no type": (b"", ""),
    "bytes": (bytes(range(256)) * 3, "application/octet-stream"),
    "null": (b"null", "application/json"),
    "number": (b"12", "application/json"),
    "text": (b'"hello"', "application/json"),
    "list": (b"[]", "application/json"),
    "list of numbers": (b"[1, 2]", "application/json"),
    "empty object": (b"{}", "application/json"),
    "wrong types": (
        json.dumps(
            dict.fromkeys(
                [
                    "choices",
                    "output",
                    "content",
                    "candidates",
                    "message",
                    "data",
                    "embeddings",
                    "models",
                    "status",
                    "results",
                    "usage",
                ],
                3,
            )
        ).encode(),
        "application/json",
    ),
    "deep": (b'{"a":' + b"[" * 100_000, "application/json"),
    "bad utf-8": (b'{"a": "\xc3\x28"}', "application/json"),
    "two objects": (b"{} {}", "application/json"),
    "events": (b"data: {}\n\ndata: nothing\n\n", "text/event-stream"),
}


@EACH
async def test_a_200_that_is_no_answer_is_one_error(place: Place) -> None:
    for what, (operation, call) in product(GARBAGE, calls_of(place).items()):
        body, kind = GARBAGE[what]
        if operation == "models" and what in {"list", "list of numbers", "empty object"}:
            continue  # may be read as a list with nothing in it
        reply = replying(200, body, content_type=kind)
        provider = made(place, Vendor(dialect_of(place), reply))
        error = await failure_of(call(provider))
        assert isinstance(error, (MalformedResponseError, errors.StreamInterruptedError)), (
            what,
            operation,
            error,
        )
        assert error.retryable
        assert error.failover
        stats = provider.stats()
        assert (stats.requests, stats.failures, stats.in_flight) == (1, 1, 0)


def mutants(value: Any) -> list[bytes]:
    """The same JSON with another value at each of its places, or without it."""
    found: list[bytes] = []

    def visit(node: Any) -> None:
        inside = node if isinstance(node, dict) else dict(enumerate(node)) if isinstance(node, list) else {}
        for key, kept in list(inside.items()):
            for other in (None, -3, 1e300, "\ud800", [], {}, [[None]], True):
                node[key] = other
                found.append(json.dumps(value).encode())
            node[key] = kept
            if isinstance(node, dict):
                del node[key]
                found.append(json.dumps(value).encode())
                node[key] = kept
            visit(kept)

    visit(value)
    return found


@EACH
async def test_wrong_types_anywhere_are_an_answer_or_an_error_and_never_a_crash(place: Place) -> None:
    dialect = dialect_of(place)
    bodies = {"generate": dialect.answer(), "models": dialect.models()}
    if "embeddings" in place.wire.features:
        bodies["embed"] = dialect.embeddings(2)
    for operation, body in bodies.items():
        for mutant in mutants(json.loads(body)):
            provider = made(place, Vendor(dialect, replying(200, mutant)), timeouts=Timeouts(total=0.01))
            with suppress(ProviderError):
                await CALLS[operation](provider)
            assert (provider.stats().requests, provider.stats().in_flight) == (1, 0)


@EACH
async def test_a_204_is_no_answer(place: Place) -> None:
    for call in calls_of(place).values():
        error = await failure_of(call(made(place, Vendor(dialect_of(place), replying(204)))))
        assert isinstance(error, (MalformedResponseError, errors.StreamInterruptedError))


@EACH
async def test_a_page_with_200_is_told_by_its_title(place: Place) -> None:
    for call in calls_of(place).values():
        reply = replying(200, HTML, content_type="Text/HTML")
        error = await failure_of(call(made(place, Vendor(dialect_of(place), reply))))
        assert type(error) is MalformedResponseError
        assert error.message == "Log in & surf"
        assert error.sample is not None
        assert error.sample.startswith("<!doctype html>")
        assert "doctype" not in str(error) + repr(error)


@EACH
async def test_a_page_with_502_is_the_servers_failure_and_keeps_its_title(place: Place) -> None:
    for call in calls_of(place).values():
        reply = replying(502, HTML, content_type="text/html")
        error = await failure_of(call(made(place, Vendor(dialect_of(place), reply))))
        assert isinstance(error, (errors.ServerError, errors.ConnectionError))
        assert error.message == "Log in & surf"
        assert error.status == 502


@EACH
async def test_an_answer_cut_anywhere_is_one_error(place: Place) -> None:
    answer = dialect_of(place).answer()
    for end in (1, len(answer) // 2, len(answer) - 2):
        reply = replying(200, answer[:end])
        error = await failure_of(made(place, Vendor(dialect_of(place), reply)).generate("hi"))
        assert type(error) is MalformedResponseError


@pytest.mark.parametrize("status", [302, 401, 500])
async def test_an_answer_that_is_an_error_is_closed(status: int) -> None:
    for call in CALLS.values():
        body = Body(b"x", 0.0, b"y")
        reply = Vendor(
            dialect_of(PLACES["openai"]), lambda request, body=body: httpx.Response(status, stream=body)
        )
        await failure_of(call(made(PLACES["openai"], reply)))
        assert body.closed == 1


@EACH
@pytest.mark.parametrize("how", ["endless", "cut"])
async def test_a_status_is_heard_though_its_body_is_not(place: Place, how: str) -> None:
    """The class of an error status does not hang on a body that nobody can read."""
    broken: list[Any] = [b"x" * 100_000] * 6 if how == "endless" else [b'{"err', httpx.ReadError("gone")]

    def reply(request: httpx.Request) -> httpx.Response:
        return httpx.Response(401, stream=Body(*broken))

    error = await failure_of(made(place, Vendor(dialect_of(place), reply)).generate("hi"))
    assert type(error) is errors.AuthenticationError
    assert error.status == 401


@EACH
async def test_an_error_inside_a_stream_interrupts_it(place: Place) -> None:
    dialect = dialect_of(place)

    def reply(request: httpx.Request) -> httpx.Response | None:
        if isinstance(dialect, Replicate) and request.method == "POST":
            return None
        kind = {"content-type": dialect.stream_type}
        return httpx.Response(200, headers=kind, content=dialect.stream_failing("the engine broke"))

    error = await failure_of(made(place, Vendor(dialect, reply)).stream("hi").collect())
    assert type(error) is errors.StreamInterruptedError
    assert "the engine broke" in error.message
    assert error.visible_output
    assert isinstance(error.partial, GenerationResponse)
    assert error.partial.text == PIECES[0]
    assert not error.failover
    assert not error.retryable


# --------------------------------------------------------------------------------------------------- secrets


def shown_of(error: BaseException) -> str:
    """Everything that people, logs and tools see of an exception."""
    lines = [str(error), repr(error), *traceback.format_exception(error)]
    seen: list[BaseException | None] = [error]
    while seen:
        one = seen.pop()
        if isinstance(one, ProviderError):
            facts = {name: value for name, value in vars(one).items() if name != "partial"}
            lines += [repr(facts), repr(one.args), repr(one.partial and one.partial.attempts)]
            seen.append(one.__cause__)
    return "\n".join(lines)


def forms_of(secret: str) -> list[str]:
    plain = secret.encode()
    return [secret, base64.b64encode(plain).decode(), plain.hex(), secret[::-1], secret[4:-4]]


@pytest.fixture
def everything_logged(capsys: pytest.CaptureFixture[str]) -> Any:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield lambda: stream.getvalue() + "".join(capsys.readouterr())
    root.removeHandler(handler)
    root.setLevel(level)


ECHO = f"Incorrect key provided: {KEY}, see https://x/?key={KEY}"


@EACH
async def test_a_key_that_the_vendor_echoes_is_never_shown(place: Place, everything_logged: Any) -> None:
    dialect = dialect_of(place)
    statuses = (200, 302, 401, 404, 429, 500)
    bodies = (
        dialect.error(401, ECHO),
        ECHO.encode(),
        json.dumps({"error": {"message": ECHO, "code": KEY, "type": KEY, "status": KEY}}).encode(),
        json.dumps({"status": "failed", "error": ECHO, "detail": ECHO, "id": KEY}).encode(),
    )
    headers = {
        "x_request_id": KEY,
        "www_authenticate": f"Bearer {KEY}",
        "location": f"https://{KEY}.example/{KEY}?{KEY}",
    }
    for status, body, call in product(statuses, bodies, calls_of(place).values()):
        provider = made(place, Vendor(dialect, replying(status, body, **headers)))
        error = await failure_of(call(provider))
        shown = shown_of(error) + repr(provider.stats()) + repr(error.attempts) + repr(provider)
        assert not any(form in shown for form in forms_of(KEY)), shown
    logged = everything_logged()
    assert not any(form in logged for form in forms_of(KEY))


@EACH
async def test_a_key_echoed_inside_a_stream_is_never_shown(place: Place) -> None:
    dialect = dialect_of(place)

    def reply(request: httpx.Request) -> httpx.Response | None:
        if isinstance(dialect, Replicate) and request.method == "POST":
            return None
        return httpx.Response(200, headers={"x-request-id": KEY}, content=dialect.stream_failing(ECHO))

    provider = made(place, Vendor(dialect, reply))
    error = await failure_of(provider.stream("hi").collect())
    assert isinstance(error.__cause__, ProviderError)
    assert KEY not in shown_of(error) + repr(provider.stats())


@EACH
def test_a_configuration_does_not_show_its_key(place: Place) -> None:
    config = config_of(place)
    assert KEY not in repr(config) + str(config) + repr(config.api_key)
