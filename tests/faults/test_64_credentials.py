"""Faults 64, 67 and 68: odd keys, answers that repeat our key, and names of models that want to be more than names."""

from __future__ import annotations

import json
import traceback
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote

import anyio
import pytest

from llmcore import create_manager, create_provider
from llmcore.config import KeyConfig, LlmConfig, ProviderConfig
from llmcore.errors import ConfigurationError, EndpointError, InvalidRequestError, LlmError, ProviderError
from llmcore.loader import load_config
from llmcore.provider import LlmProvider
from llmcore.secret import Secret
from llmcore.types import EmbeddingRequest, GenerationRequest
from tests.faults.conftest import Ask, Make, generate, stream
from tests.faults.raw import DONE, STREAM, Server, cutting, event, healthy, http, serving, streamed
from tests.providers.dialects import OF_DIALECT
from tests.transport.faults import GUARD, chunk

COVERED = (64, 67, 68)

CANARY = "canary.0123456789,zyxwv~Q"
"""A key of no vendor's shape, so that only who knows it can hide it."""


def everything_shown(error: BaseException) -> str:
    """What a log could hold of an error: its texts, and its traceback with all causes."""
    texts = [str(error), repr(error), *traceback.format_exception(error)]
    seen: BaseException | None = error
    while isinstance(seen, ProviderError):
        texts += [seen.message, str(seen.args), str(seen.attempts)]
        texts += [
            str(value) for name in ("sample", "code", "type", "request_id") if (value := getattr(seen, name))
        ]
        seen = seen.__cause__
    return "\n".join(texts)


def hides(text: str, secret: str = CANARY) -> bool:
    """Whether `text` holds neither the secret nor its beginning, in whatever case."""
    return secret[:12].lower() not in text.lower()


# ------------------------------------------------------------------------------------------------- odd keys

ODD_KEYS = [
    "secret-word\r\nx-evil: 1",
    "secret-word\n",
    "\nsecret-word",
    "secret-word\r",
    "secret-word\0",
    "secret word",
    " secret-word",
    "secret-word\t",
    "secret-wörd",
    "secret-word\u2028",
    " ",
    "\n",
]


@pytest.mark.parametrize("key", ODD_KEYS)
@pytest.mark.parametrize(
    "kind", ["openai", "azure_openai", "gemini", "anthropic", "openai_compatible", "ollama"]
)
def test_64_a_key_that_no_header_can_hold_is_refused_unseen(kind: str, key: str) -> None:
    url = "https://vendor.test/v1"
    config = ProviderConfig("p", kind, api_key=key, text_model="m", base_url=url)
    with pytest.raises(ConfigurationError) as caught:
        create_provider(config, environ={})
    assert "secret" not in everything_shown(caught.value)
    pool = ProviderConfig(
        "p", kind, api_keys=[KeyConfig("a", "good"), KeyConfig("b", key)], text_model="m", base_url=url
    )
    with pytest.raises(ConfigurationError) as caught:
        create_provider(pool, environ={})
    assert "secret" not in everything_shown(caught.value)
    with pytest.raises(ConfigurationError) as caught:
        create_manager(LlmConfig([config]), environ={})
    assert "secret" not in everything_shown(caught.value)


@pytest.mark.parametrize("key", ODD_KEYS)
def test_64_out_of_a_variable_too(key: str) -> None:
    config = ProviderConfig("p", "openai", text_model="m")
    if not key.strip() or key.strip() == "secret-word":
        key = key.strip() and f"{key.strip()}\n{key.strip()}"
    with pytest.raises(ConfigurationError) as caught:
        create_provider(config, environ={"OPENAI_API_KEY": key})
    assert "secret" not in everything_shown(caught.value)


@pytest.mark.parametrize("key", ODD_KEYS)
def test_64_out_of_a_file_too(key: str) -> None:
    text = '[[llm.providers]]\nname = "p"\nprovider = "openai"\napi_key = "${THE_KEY}"\ntext_model = "m"\n'
    with pytest.raises(ConfigurationError) as caught:
        create_manager(load_config(text, environ={"THE_KEY": key}, kinds=("openai",)), environ={})
    assert "secret" not in everything_shown(caught.value)


@pytest.mark.parametrize("key", ["", None])
def test_64_no_key_where_one_is_needed(key: str | None) -> None:
    with pytest.raises(ConfigurationError, match="api_key"):
        create_provider(ProviderConfig("p", "openai", api_key=key, text_model="m"), environ={})


HEADERS = {
    "value with lines": {"x-team": "a\r\nx-evil: 1"},
    "value with NUL": {"x-team": "a\0"},
    "name with lines": {"x-team: a\r\nx-evil": "1"},
    "name with a colon": {"x-team:": "1"},
    "no name": {"": "1"},
}


@pytest.mark.anyio
@pytest.mark.parametrize("headers", HEADERS.values(), ids=HEADERS)
async def test_64_no_header_of_the_configuration_becomes_two(
    make: Make, ask: Ask, headers: dict[str, str]
) -> None:
    with Server(healthy()) as server:
        with anyio.fail_after(GUARD), pytest.raises((EndpointError, ConfigurationError)):
            await ask(make(server, config={"headers": headers}))
        assert server.connections == 0


@pytest.mark.anyio
@pytest.mark.parametrize("field", ["organization", "project"])
async def test_64_nor_does_an_organization(make: Make, field: str) -> None:
    with Server(healthy()) as server:
        with anyio.fail_after(GUARD), pytest.raises((EndpointError, ConfigurationError)):
            await make(server, kind="openai", config={field: "acme\r\nx-evil: 1"}).generate("hi")
        assert server.connections == 0


# --------------------------------------------------------------------------------------- answers that repeat it


def echoes(key: str) -> dict[str, bytes]:
    """Answers that repeat what came with the request."""
    words = f"bad header Authorization: Bearer {key} (and {key})"
    error = {"message": words, "type": words, "code": key, "param": key, "details": [{"reason": key}]}
    body = json.dumps({"error": error}).encode()
    page = f"<html><head><title>{words}</title></head><body>{words}</body></html>".encode()
    late = b"data: " + body + b"\n\n"
    return {
        "error": http(body, 400),
        "error 401": http(body, 401, request_id=key, x_request_id=key),
        "error 500": http(body, 500),
        "flat": http(json.dumps({"message": words, "detail": words, "title": words}).encode(), 422),
        "list": http(json.dumps({"detail": [{"loc": ["header", key], "msg": words}]}).encode(), 422),
        "text": http(words.encode(), 403, "text/plain"),
        "page": http(page, 502, "text/html"),
        "page on 200": http(page, 200, "text/html"),
        "error on 200": http(body),
        "no JSON on 200": http(words.encode()),
        "redirect": http(b"", 302, location=f"https://{key}.evil.test/{key}?{key}"),
        "late, nothing shown": streamed(event(), late, DONE),
        "late, something shown": streamed(event(), event("hel"), late, DONE),
        "long": http(
            json.dumps({"error": {"message": "x" * 1010 + key, "code": "y" * 186 + key}}).encode(), 400
        ),
        "long page": http(f"<title>{'x ' * 92}{key}</title>".encode(), 502, "text/html"),
        "long 200": http(b"x" * 2034 + key.encode(), 200, "text/html"),
    }


@pytest.mark.anyio
@pytest.mark.parametrize("case", echoes(""))
async def test_67_a_key_that_is_repeated_is_hidden(make: Make, ask: Ask, case: str) -> None:
    with Server(serving(echoes(CANARY)[case])) as server, anyio.fail_after(GUARD):
        provider = make(server, config={"api_key": CANARY})
        try:
            response = await ask(provider)
        except LlmError as error:
            text = everything_shown(error)
        else:
            assert case.startswith("late"), response
            return
        assert CANARY.encode() in server.requests[0]
    assert hides(text), text
    assert hides(f"{provider!r} {provider.stats()}")


ASKING: dict[str, Callable[[LlmProvider], Awaitable[Any]]] = {
    "generate": generate,
    "stream": stream,
    "embed": lambda provider: provider.embed("hi"),
    "models": lambda provider: provider.list_models(),
}


@pytest.mark.anyio
@pytest.mark.parametrize("kind", OF_DIALECT)
async def test_67_in_every_dialect_and_call(make: Make, kind: str) -> None:
    for status in (200, 401, 500):
        body = OF_DIALECT[kind].error(status, f"you sent {CANARY}, not a key")
        with Server(serving(http(body, status))) as server, anyio.fail_after(GUARD):
            provider = make(server, kind=kind, config={"api_key": CANARY, "text_model": "acme/model-1"})
            for call in ASKING.values():
                with pytest.raises(LlmError) as caught:
                    await call(provider)
                assert hides(everything_shown(caught.value))


@pytest.mark.anyio
@pytest.mark.parametrize("kind", [kind for kind in OF_DIALECT if kind != "replicate"])
async def test_67_in_every_stream(make: Make, kind: str) -> None:
    dialect = OF_DIALECT[kind]
    body = dialect.stream_failing(f"you sent {CANARY}, not a key")
    head = STREAM.replace(b"text/event-stream", dialect.stream_type.encode())
    answer = head + chunk(body) + b"0\r\n\r\n"
    with Server(serving(answer)) as server, anyio.fail_after(GUARD), pytest.raises(ProviderError) as caught:
        await stream(make(server, kind=kind, config={"api_key": CANARY}))
    assert hides(everything_shown(caught.value))


@pytest.mark.anyio
async def test_67_a_secret_of_ones_own_headers_too(make: Make, ask: Ask) -> None:
    for case in ("error", "error 401", "text", "page", "no JSON on 200"):
        with Server(serving(echoes(CANARY)[case])) as server, anyio.fail_after(GUARD):
            provider = make(server, config={"headers": {"x-gateway-token": CANARY}})
            with pytest.raises(LlmError) as caught:
                await ask(provider)
        assert hides(everything_shown(caught.value)), case


def holding_it(error: BaseException) -> list[str]:
    """Frames of ours and of libraries, in a traceback with all causes, whose variables would show the key."""
    told = [traceback.TracebackException.from_exception(error, capture_locals=True)]
    found: list[str] = []
    while told:
        one = told.pop()
        context = None if one.__suppress_context__ else one.__context__
        told += [cause for cause in (one.__cause__, context) if cause is not None]
        for frame in one.stack:
            names = [name for name, value in (frame.locals or {}).items() if not hides(value)]
            if names and "/tests/" not in frame.filename:
                found.append(f"{frame.filename}:{frame.lineno} {names}")
    return found


TROUBLE = {
    "error": echoes("")["error"],
    "no HTTP": b"nonsense\r\n\r\n",
    "cut": b"",
    "cut later": STREAM + chunk(event()),
}


@pytest.mark.anyio
@pytest.mark.parametrize("case", [*TROUBLE, "refused"])
async def test_67_not_even_by_the_variables_of_a_traceback(make: Make, ask: Ask, case: str) -> None:
    with Server(cutting(TROUBLE.get(case, b""))) as server:
        url = server.base_url
        if case != "refused":
            with pytest.raises(LlmError) as caught:
                await ask(make(url, config={"api_key": CANARY}))
    if case == "refused":
        with pytest.raises(LlmError) as caught:
            await ask(make(url, config={"api_key": CANARY}))
    assert holding_it(caught.value) == []


# -------------------------------------------------------------------------------------------- names of models

NEVER = [
    "",
    "m\r\nx-evil: 1",
    "m\nn",
    "m\0n",
    "m" * 10_000,
    "m\u202egpj",
    "m\u2028n",
    "m\tn",
    "m\x7fn",
    "\ud800",
]
"""Refused before anything is sent."""

TRICKY = [
    "../../../admin",
    "..",
    ".",
    "a/../b",
    "./a",
    "a/.",
    "a/..",
    "%2e%2e/%2e%2e",
    "..%2f..%2fadmin",
    "..\\..\\admin",
    'a"b',
    "a'b",
    "a b?x=1#y",
    "a:b@evil.test/c",
    "//evil.test/x",
    "/etc/passwd",
    "http://evil.test/x",
    "a;b",
    "{x}",
    "ü/ö",
    "models/../../x",
    "projects/p/locations/../../x",
    "deployments/../x",
]
"""Sent as names, or refused; never more than a name."""

DIALECTS = {
    "gemini": {},
    "azure_openai": {"api_version": "2024-10-21"},
    "huggingface": {},
    "replicate": {},
    "openai": {},
}


@pytest.mark.anyio
@pytest.mark.parametrize("kind", DIALECTS)
@pytest.mark.parametrize("call", ["generate", "stream", "embed"])
async def test_68_what_is_no_name_is_never_sent(make: Make, kind: str, call: str) -> None:
    with Server(healthy()) as server:
        provider = make(server, kind=kind, config=DIALECTS[kind])
        for name in NEVER:
            with anyio.fail_after(GUARD), pytest.raises(ProviderError) as caught:
                await asked(provider, call, name)
            assert isinstance(caught.value, InvalidRequestError) or kind == "replicate"
            assert len(str(caught.value)) < 1200
        assert server.connections == 0


async def asked(provider: LlmProvider, call: str, model: str) -> None:
    if call == "embed":
        await provider.embed(EmbeddingRequest("hi", model=model))
    elif call == "stream":
        await provider.stream(GenerationRequest("hi", model=model)).collect()
    else:
        await provider.generate(GenerationRequest("hi", model=model))


IN_PATH = {
    "generate": ("gemini", "azure_openai", "replicate"),
    "embed": ("gemini", "azure_openai", "huggingface"),
}
"""Whose address holds the name."""


@pytest.mark.anyio
@pytest.mark.parametrize("kind", DIALECTS)
async def test_68_a_tricky_name_stays_a_name(make: Make, kind: str) -> None:
    """On the wire: one request line below the base address, with no step up, no other host and no query of its own."""
    with Server(serving(http(b"{}"))) as server:
        base = server.base_url.replace("/v1", "/base/x")
        provider = make(base, kind=kind, config=DIALECTS[kind])
        for call in ("generate", "embed"):
            for name in TRICKY:
                sent = len(server.requests)
                with anyio.fail_after(GUARD), pytest.raises(ProviderError):
                    await asked(provider, call, name)
                for request in server.requests[sent:]:
                    in_path = kind in IN_PATH[call] and b'"version"' not in request
                    check_target(request, server.port, name, in_path=in_path)
        assert server.requests


def check_target(request: bytes, port: int, name: str, *, in_path: bool) -> None:
    start, _, body = request.partition(b"\r\n\r\n")
    head = start.decode("ascii")
    line, *headers = head.split("\r\n")
    method, target, version = line.split(" ")
    assert (method, version) == ("POST", "HTTP/1.1"), name
    path, _, query = target.partition("?")
    assert path.startswith("/base/"), (name, target)
    steps = path.split("/")[1:]
    assert not {"", ".", ".."} & set(steps), (name, target)
    assert not {".", ".."} & {unquote(step) for step in steps}, (name, target)
    assert not any(char in unquote(path) for char in "\r\n\0"), (name, target)
    said = json.loads(body)
    named = unquote(path) if in_path else f"{said.get('model')} {name if said.get('version') else ''}"
    assert name.removeprefix("/") in named, (name, target)
    assert query in ("", "alt=sse", "api-version=2024-10-21"), (name, target)
    assert [one for one in headers if one.lower().startswith("host:")] == [f"Host: 127.0.0.1:{port}"] or (
        f"host: 127.0.0.1:{port}" in headers
    )
    assert not any(one.lower().startswith("x-evil") for one in headers)


def test_64_a_secret_never_shows_itself() -> None:
    secret = Secret(CANARY)
    assert hides(
        f"{secret} {secret!r} {secret:>40} {[secret]} {ProviderConfig('p', 'openai', api_key=CANARY)}"
    )
