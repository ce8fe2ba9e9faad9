"""Faults 69 to 72: what Ollama, Gemini, Replicate and Azure do in their own ways."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import anyio
import pytest

from llmcore import create_provider
from llmcore.config import ProviderConfig, TransportChoice
from llmcore.errors import (
    AuthenticationError,
    ContentFilterError,
    MalformedResponseError,
    ModelNotFoundError,
    OverloadedError,
    ProviderError,
    ServerError,
    StreamInterruptedError,
    TotalTimeout,
)
from llmcore.testing import FakeClock
from llmcore.types import GenerationRequest, GenerationResponse
from tests.faults.conftest import QUICK, SETUPS, Ask, Make, entry, failure, generate, read, rfh, stream
from tests.faults.raw import DONE, KEY, LAST, STREAM, Server, event, finish, http, serving, streamed
from tests.transport.faults import GUARD, Peer, chunk

COVERED = (69, 70, 71, 72)

pytestmark = pytest.mark.anyio


@pytest.fixture(params=[name for name in SETUPS if "trio" not in name])
def setup(request: pytest.FixtureRequest) -> tuple[str, TransportChoice]:
    """Both transports on one loop: what is tested here is how bytes are read."""
    return SETUPS[request.param]


# ---------------------------------------------------------------------------------------------------- Ollama

NDJSON = STREAM.replace(b"text/event-stream", b"application/x-ndjson")


def line(text: str = "", **more: Any) -> bytes:
    return json.dumps(
        {"model": "m", "message": {"role": "assistant", "content": text}, "done": False, **more}
    ).encode()


END = line(done=True, done_reason="stop", prompt_eval_count=3, eval_count=2)
WHOLE_LINES = line("hel") + b"\n" + line("lö ✓") + b"\n" + END + b"\n"


def lines(*parts: bytes) -> bytes:
    """A chunked answer in JSON lines, one HTTP chunk for each part."""
    return NDJSON + b"".join(chunk(part) for part in parts) + LAST


async def ollama(make: Make, answer: bytes, into: list[str] | None = None) -> ProviderError:
    with Server(serving(answer)) as server:
        return await failure(read(make(server, kind="ollama"), [] if into is None else into))


async def test_69_an_error_line_after_text_is_an_interruption(make: Make) -> None:
    texts: list[str] = []
    error = await ollama(
        make, lines(line("hel") + b"\n", b'{"error":"llama runner process has terminated"}\n'), texts
    )
    assert type(error) is StreamInterruptedError
    assert (rfh(error), error.visible_output) == ("H", True)
    assert error.partial is not None
    assert error.partial.text == "".join(texts) == "hel"
    assert "terminated" in error.message


@pytest.mark.parametrize(
    ("words", "cls"),
    [
        ("model 'm' not found", ModelNotFoundError),
        ("model requires more system memory (9 GiB) than is available", OverloadedError),
        ("an error was encountered while running the model", StreamInterruptedError),
    ],
)
async def test_69_an_error_line_before_text_is_what_it_says(
    make: Make, words: str, cls: type[ProviderError]
) -> None:
    error = await ollama(make, lines(json.dumps({"error": words}).encode() + b"\n"))
    assert type(error) is cls
    assert error.failover
    assert not error.visible_output


async def test_69_without_done_it_is_no_answer(make: Make) -> None:
    for cut in (lines(line("hel") + b"\n"), lines(line("hel") + b"\n", END[:-9])):
        texts: list[str] = []
        error = await ollama(make, cut, texts)
        assert isinstance(error, StreamInterruptedError)
        assert "".join(texts) == "hel"
    error = await ollama(make, lines(line() + b"\n"))
    assert type(error) is StreamInterruptedError
    assert rfh(error) == "RFH"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 10_000])
@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\n\n", b"\r\n \r\n"])
async def test_69_however_the_lines_are_cut(make: Make, size: int, ending: bytes) -> None:
    data = WHOLE_LINES.replace(b"\n", ending)
    parts = [data[place : place + size] for place in range(0, len(data), size)]
    with Server(serving(lines(*parts))) as server:
        response = await stream(make(server, kind="ollama"))
    check_lines(response)


async def test_69_the_last_line_may_lack_its_end_and_more_may_follow(make: Make) -> None:
    for data in (WHOLE_LINES.rstrip(b"\n"), WHOLE_LINES + line("more") + b"\n" + b"nonsense"):
        with Server(serving(lines(data))) as server:
            check_lines(await stream(make(server, kind="ollama")))


def check_lines(response: GenerationResponse) -> None:
    assert (response.text, response.finish_reason) == ("hellö ✓", "stop")
    assert (response.usage.input_tokens, response.usage.output_tokens) == (3, 2)


# ---------------------------------------------------------------------------------------------------- Gemini


def gemini_part(*parts: Any, reason: str | None = None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": list(parts)}, "index": 0}
    return {"candidates": [candidate if reason is None else {**candidate, "finishReason": reason}]}


def sse(*values: Any) -> bytes:
    return b"".join(b"data: %s\n\n" % json.dumps(value).encode() for value in values)


UNAVAILABLE = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
BARE = json.dumps(UNAVAILABLE, indent=2).encode() + b"\n"


@pytest.mark.parametrize("late", [BARE, b"[" + BARE + b"]\n", BARE.replace(b"\n", b"\r\n"), sse(UNAVAILABLE)])
async def test_70_an_error_among_the_events(make: Make, late: bytes) -> None:
    texts: list[str] = []
    with Server(serving(streamed(sse(gemini_part({"text": "hel"})), late))) as server:
        error = await failure(read(make(server, kind="gemini"), texts))
    assert type(error) is StreamInterruptedError
    assert type(error.__cause__) is OverloadedError
    assert error.partial is not None
    assert error.partial.text == "".join(texts) == "hel"
    with Server(serving(streamed(late))) as server:
        error = await failure(stream(make(server, kind="gemini")))
    assert type(error) is OverloadedError
    assert rfh(error) == "RFH"


def gemini(value: Any) -> Any:
    """The same answer whole or as a stream of one event, as the request asks."""

    def answer(request: bytes) -> bytes:
        return (
            streamed(sse(value)) if b"streamGenerateContent" in request else http(json.dumps(value).encode())
        )

    return serving(answer)


async def test_70_a_blocked_prompt_is_a_refusal(make: Make, ask: Ask) -> None:
    blocked = {
        "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
        "usageMetadata": {"promptTokenCount": 3},
    }
    with Server(gemini(blocked)) as server:
        error = await failure(ask(make(server, kind="gemini")))
    assert type(error) is ContentFilterError
    assert (rfh(error), error.code) == ("", "PROHIBITED_CONTENT")


@pytest.mark.parametrize(
    "content", [None, {}, {"role": "model"}, {"parts": None}, {"parts": []}, {"parts": [None, {}, 3]}]
)
async def test_70_missing_parts_are_an_empty_answer(make: Make, ask: Ask, content: Any) -> None:
    for reason, expected in (("STOP", "stop"), ("SAFETY", "content_filter"), ("SOMETHING_NEW", "unknown")):
        with Server(gemini({"candidates": [{"content": content, "finishReason": reason}]})) as server:
            response = await ask(make(server, kind="gemini"))
        assert (response.text, response.finish_reason, response.raw_finish_reason) == ("", expected, reason)


@pytest.mark.parametrize("nothing", [{}, {"candidates": []}, {"candidates": None}, {"promptFeedback": {}}])
async def test_70_no_candidates_and_no_reason_is_no_answer(make: Make, ask: Ask, nothing: Any) -> None:
    with Server(gemini(nothing)) as server:
        error = await failure(ask(make(server, kind="gemini")))
    assert isinstance(error, MalformedResponseError | StreamInterruptedError)
    assert (error.retryable, error.failover) == (True, True)


async def test_70_calls_without_ids_get_ids_of_their_own(make: Make, ask: Ask) -> None:
    calls = [
        {"functionCall": {"name": "f", "args": {"n": 1}}},
        {"functionCall": {"name": "f"}},
        {"functionCall": {"args": None}},
    ]
    with Server(gemini(gemini_part(*calls, reason="STOP"))) as server:
        response = await ask(make(server, kind="gemini"))
    found = [(call.name, call.input) for call in response.tool_calls]
    assert found == [("f", {"n": 1}), ("f", {}), ("", {})]
    assert len({call.id for call in response.tool_calls}) == 3
    assert all(call.id for call in response.tool_calls)
    assert response.finish_reason == "tool_calls"


# ------------------------------------------------------------------------------------------------- Replicate


class Predictions:
    """Answers every request for the prediction with the next of `states`, the last for ever."""

    def __init__(self, *states: dict[str, Any], cancel: int = 200, host: str | None = None) -> None:
        self.states = list(states)
        self.cancel = cancel
        self.host = host
        self.asked: list[str] = []

    async def __call__(self, peer: Peer) -> None:
        while True:
            request = await peer.request()
            method, path, _ = request.partition(b"\r\n")[0].decode().split(" ")
            self.asked.append(f"{method} {path.rpartition('/')[2]}")
            if path.endswith("/cancel"):
                await peer.send(http(b'{"detail":"gone"}', self.cancel))
                continue
            at = (self.host or f"http://127.0.0.1:{peer.server.port}") + "/v1/predictions/p1"
            urls = {"get": at, "cancel": f"{at}/cancel", "stream": f"{at}/stream"}
            state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
            wanted = {name: urls[name] for name in state.get("urls", ("get", "cancel"))}
            await peer.send(http(json.dumps({"id": "p1", **state, "urls": wanted}).encode(), 201))


@pytest.fixture
def replicate(choice: TransportChoice) -> Any:
    """Makes a provider whose waits between polls take no time."""

    def build(server: Server, **more: Any) -> Any:
        settings = ProviderConfig(**{**entry(server, "replicate", choice), "text_model": "acme/m"})
        return create_provider(settings, timeouts=QUICK, environ={}, **more)

    return build


async def closing(provider: Any, ask: Ask) -> Any:
    try:
        return await ask(provider)
    finally:
        await provider.aclose()


async def test_71_an_unknown_status_is_no_end_and_output_may_shrink(replicate: Any, ask: Ask) -> None:
    predictions = Predictions(
        {"status": "brand new", "output": None},
        {"status": "processing", "output": ["a", "b"]},
        {"status": "another", "output": ["a"]},
        {"status": "processing", "output": []},
        {"status": "succeeded", "output": ["a", "b", "c"]},
    )
    with Server(predictions) as server:
        clock = FakeClock()
        response = await closing(replicate(server, clock=clock), ask)
    assert response.text == "abc"
    assert predictions.asked == ["POST predictions", *["GET p1"] * 4]
    assert clock.sleeps == [0.5] * 4


async def test_71_it_is_asked_until_the_deadline_and_then_told_to_stop(replicate: Any) -> None:
    predictions = Predictions({"status": "unheard of"}, cancel=404)
    with Server(predictions) as server:
        request = GenerationRequest("hi", deadline=0.6)
        error = await failure(closing(replicate(server), lambda provider: provider.generate(request)))
    assert type(error) is TotalTimeout
    assert predictions.asked == ["POST predictions", "GET p1", "POST cancel"]


async def test_71_who_is_cancelled_cancels_best_effort(replicate: Any) -> None:
    predictions = Predictions({"status": "starting"}, cancel=404)
    with Server(predictions) as server, anyio.fail_after(GUARD):
        provider = replicate(server)
        with anyio.move_on_after(0.2) as scope:
            await provider.generate("hi")
        assert scope.cancelled_caught
        assert (provider.stats().cancelled, provider.stats().in_flight) == (1, 0)
        await provider.aclose()
    assert predictions.asked == ["POST predictions", "POST cancel"]


@pytest.mark.parametrize("urls", [("get",), ("get", "cancel"), ("get", "cancel", "stream"), ("stream",)])
async def test_71_an_address_on_a_foreign_host_is_never_asked(
    replicate: Any, ask: Ask, urls: tuple[str, ...]
) -> None:
    with Server(serving(http(b'{"id":"p1","status":"succeeded","output":"stolen"}'))) as foreign:
        for host in (f"http://127.0.0.1:{foreign.port}", f"http://localhost:{foreign.port}"):
            predictions = Predictions({"status": "starting", "urls": urls}, host=host)
            with Server(predictions) as server:
                provider = replicate(server, clock=FakeClock())
                if ask is generate and urls == ("stream",):
                    predictions.states.append({"status": "succeeded", "output": "ok", "urls": ()})
                    assert (await closing(provider, ask)).text == "ok"
                    continue
                error = await failure(closing(provider, ask))
            assert type(error) is MalformedResponseError
            assert "foreign host" in error.message
        assert foreign.connections == 0


@pytest.mark.parametrize(
    "host",
    [
        "http://127.0.0.1:{0}@127.0.0.1:{1}",
        "http://127.0.0.1:{0}\\@127.0.0.1:{1}",
        "//127.0.0.1:{1}",
        "http://127.0.0.1:{1}#",
    ],
)
async def test_71_nor_one_that_only_looks_like_its_own(replicate: Any, host: str) -> None:
    """Refused, or read as a broken address, in place of which the prediction is asked for at its own."""
    with Server(serving(http(b"{}"))) as foreign:
        predictions = Predictions(
            {"status": "starting", "urls": ("get",)}, {"status": "succeeded", "output": "ok"}
        )
        with Server(predictions) as server, anyio.fail_after(GUARD):
            predictions.host = host.format(server.port, foreign.port)
            with suppress(MalformedResponseError):
                assert (await closing(replicate(server, clock=FakeClock()), generate)).text == "ok"
        assert foreign.connections == 0


# ----------------------------------------------------------------------------------------------------- Azure

FILTERS = {"prompt_index": 0, "content_filter_results": {"hate": {"filtered": False, "severity": "safe"}}}
AZURE = {"api_version": "2024-10-21"}


async def test_72_filter_results_before_the_answer_are_passed_over(make: Make) -> None:
    first = (
        b'data: {"id":"","model":"","choices":[],"prompt_filter_results":[%s]}\n\n'
        % json.dumps(FILTERS).encode()
    )
    notes = b'data: {"choices":[{"index":0,"content_filter_offsets":{"start":0},"content_filter_results":{},"finish_reason":null}]}\n\n'
    with Server(
        serving(streamed(first, event(), event("hel"), notes, event("lo"), finish(), DONE))
    ) as server:
        response = await stream(make(server, kind="azure_openai", config=AZURE))
    assert (response.text, response.finish_reason, response.id) == ("hello", "stop", "c1")
    only = streamed(first, DONE)
    with Server(serving(only)) as server:
        assert (
            type(await failure(stream(make(server, kind="azure_openai", config=AZURE))))
            is MalformedResponseError
        )


async def test_72_a_key_that_expires_inside_a_batch_ends_the_call_once(make: Make) -> None:
    """There are no tokens to refresh here, only keys: nothing is asked twice, and nothing of the batch goes on."""
    texts = [str(number) for number in range(9000)]

    def answer(request: bytes) -> bytes:
        asked = json.loads(request.partition(b"\r\n\r\n")[2])["input"]
        if texts[-1] in asked:
            return http(
                json.dumps({"error": {"code": "401", "message": "Access token expired."}}).encode(), 401
            )
        rows = [{"index": index, "embedding": [1.0]} for index in range(len(asked))]
        return http(json.dumps({"data": rows}).encode())

    with Server(serving(answer)) as server:
        provider = make(server, kind="azure_openai", config=AZURE)
        error = await failure(provider.embed(texts))
        assert type(error) is AuthenticationError
        assert rfh(error) == "F"
        assert len(server.requests) == len(set(server.requests)) <= 5
        assert (provider.stats().failures, provider.stats().in_flight) == (1, 0)
        assert len((await provider.embed(texts[:-1])).vectors) == 8999
    assert KEY not in str(error)


async def test_72_a_server_error_inside_a_batch_is_the_error_of_the_call(make: Make) -> None:
    with Server(serving(http(b"{}", 500))) as server:
        provider = make(server, kind="azure_openai", config=AZURE)
        assert type(await failure(provider.embed([str(number) for number in range(9000)]))) is ServerError
