"""The leaf's streams in simulated time: limits on silence, what a cut leaves behind, how every end is counted."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcore import errors
from llmcore.config import Timeouts
from llmcore.errors import (
    FirstTokenTimeout,
    InterChunkTimeout,
    ProviderError,
    StreamInterruptedError,
    TotalTimeout,
)
from llmcore.providers import find
from llmcore.providers.base import LOCAL_FIRST_TOKEN, HttpProvider
from llmcore.testing import run_simulated
from llmcore.types import (
    Event,
    Finished,
    GenerationRequest,
    GenerationResponse,
    ProviderStats,
    TextDelta,
    ToolCallDelta,
    is_visible,
)
from tests.providers.dialects import MODEL, PIECES, READ, TEXT, Body, OpenAI, Vendor, dialect_of, events, made

BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])
TIMES = Timeouts(first_token=10.0, inter_chunk=20.0, total=300.0)
OPENAI = OpenAI()

ROLE = events(OPENAI.chunk({"role": "assistant", "content": ""}))
COMMENT = b": still here\n\n"
PING = events(OPENAI.chunk({}))
WORD = events(OPENAI.chunk({"content": "word "}))
STOP = events(OPENAI.chunk({}, "stop"))
DONE = b"data: [DONE]\n\n"
USAGE = events(("", {"choices": [], "usage": OPENAI.usage}))


def streaming(body: Body, kind: str = "openai", **more: Any) -> HttpProvider:
    place = find(kind)
    headers = {"content-type": dialect_of(place).stream_type, "x-request-id": "req-1"}
    vendor = Vendor(dialect_of(place), lambda request: httpx.Response(200, headers=headers, stream=body))
    return made(place, vendor, **{"timeouts": TIMES, **more})


class Seen:
    """What one stream showed, when (seconds since it was asked for), and how it ended."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.at: list[float] = []
        self.error: ProviderError | None = None
        self.ended = 0.0

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, TextDelta))


async def watch(provider: HttpProvider, asked: Any = "hi", *, think: float = 0.0) -> Seen:
    """Read a stream to its end, with a pause after every event."""
    seen, began = Seen(), anyio.current_time()
    try:
        async with provider.stream(asked) as stream:
            async for event in stream:
                seen.events.append(event)
                seen.at.append(anyio.current_time() - began)
                if think:
                    await anyio.sleep(think)
    except ProviderError as error:
        seen.error = error
    seen.ended = anyio.current_time() - began
    assert adds_up(provider.stats())
    assert provider.stats().in_flight == 0
    return seen


def adds_up(stats: ProviderStats) -> bool:
    return stats.requests == stats.successes + stats.failures + stats.cancelled + stats.in_flight


def simulated(work: Callable[..., Awaitable[Any]], *args: Any, backend: Any = "asyncio", **more: Any) -> Any:
    async def main() -> Any:
        return await work(*args, **more)

    return run_simulated(main, backend=backend)


# ----------------------------------------------------------------------------------------- the first token


@BACKENDS
@pytest.mark.parametrize("filler", [COMMENT, ROLE, PING, b"\n", b"event: ping\ndata: {}\n\n"])
def test_15_what_shows_nothing_does_not_push_the_first_token_back(filler: bytes, backend: Any) -> None:
    body = Body(*[filler, 3.0] * 100)
    provider = streaming(body)
    seen = simulated(watch, provider, backend=backend)
    assert type(seen.error) is FirstTokenTimeout
    assert seen.ended == pytest.approx(10.0)
    assert not any(is_visible(event) for event in seen.events)
    assert (seen.error.visible_output, seen.error.partial) == (False, None)
    assert (seen.error.failover, seen.error.retryable) == (True, False)
    assert (seen.error.phase, seen.error.request_id) == ("first_token", "req-1")
    assert body.closed == 1
    assert provider.stats().failures == 1


@BACKENDS
def test_the_first_token_is_awaited_from_dispatch_headers_included(backend: Any) -> None:
    async def main() -> None:
        class Slow(Vendor):
            async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
                await anyio.sleep(8.0)
                return httpx.Response(200, stream=Body(4.0, WORD))

        seen = await watch(made(find("openai"), Slow(OPENAI), timeouts=TIMES))
        assert type(seen.error) is FirstTokenTimeout
        assert seen.ended == pytest.approx(10.0)

    run_simulated(main, backend=backend)


@BACKENDS
def test_headers_that_never_come_end_at_the_first_token_limit(backend: Any) -> None:
    async def main() -> None:
        class Silent(Vendor):
            async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
                await anyio.sleep_forever()
                raise AssertionError

        provider = made(find("openai"), Silent(OPENAI), timeouts=TIMES)
        with pytest.raises(FirstTokenTimeout):
            await provider.stream("hi").open()
        assert provider.stats().failures == 1

    run_simulated(main, backend=backend)


@BACKENDS
@pytest.mark.parametrize("call", ["generate", "stream"])
def test_a_status_is_heard_though_its_body_stalls(call: str, backend: Any) -> None:
    async def main() -> None:
        body = Body(b'{"err', 1e6)
        vendor = Vendor(OPENAI, lambda request: httpx.Response(503, stream=body))
        provider = made(find("openai"), vendor, timeouts=TIMES)
        with pytest.raises(ProviderError) as caught:
            await (provider.generate("hi") if call == "generate" else provider.stream("hi").collect())
        assert caught.value.status == 503
        assert not isinstance(caught.value, errors.TimeoutError)
        assert anyio.current_time() < TIMES.total
        assert body.closed == 1

    run_simulated(main, backend=backend)


@pytest.mark.parametrize(("kind", "limit"), [("openai", 60.0), ("ollama", LOCAL_FIRST_TOKEN)])
def test_local_servers_may_load_a_model_first(kind: str, limit: float) -> None:
    seen = simulated(watch, streaming(Body(1000.0), kind, timeouts=Timeouts()))
    assert type(seen.error) is FirstTokenTimeout
    assert seen.ended == pytest.approx(limit)


@BACKENDS
@pytest.mark.parametrize(
    "delta",
    [
        {"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "f", "arguments": "{"}}]},
        {"reasoning_content": "hm"},
        {"content": "x"},
    ],
)
def test_after_the_first_visible_delta_another_limit_holds(delta: Any, backend: Any) -> None:
    body = Body(9.0, events(OPENAI.chunk(delta)), 19.0, WORD, 19.0, STOP, DONE)
    seen = simulated(watch, streaming(body), backend=backend)
    assert seen.error is None
    assert seen.ended == pytest.approx(47.0)


# ------------------------------------------------------------------------------------------ between chunks


@BACKENDS
def test_15_silence_inside_an_answer_interrupts_it_with_what_came(backend: Any) -> None:
    provider = streaming(Body(WORD, 5.0, WORD, 1000.0))
    seen = simulated(watch, provider, backend=backend)
    assert type(seen.error) is StreamInterruptedError
    assert type(seen.error.__cause__) is InterChunkTimeout
    assert seen.ended == pytest.approx(25.0)
    assert seen.text == "word word "
    assert seen.error.partial is not None
    assert seen.error.partial.text == "word word "
    assert (seen.error.failover, seen.error.retryable) == (False, False)


@BACKENDS
def test_whole_events_that_show_nothing_reset_the_silence_but_comments_do_not(backend: Any) -> None:
    alive = Body(WORD, *[15.0, PING] * 5, WORD, STOP, DONE)
    assert simulated(watch, streaming(alive), backend=backend).error is None
    for filler in (COMMENT, b"\n", WORD[:9]):
        dead = Body(WORD, *[15.0, filler] * 5)
        seen = simulated(watch, streaming(dead), backend=backend)
        assert isinstance(seen.error, StreamInterruptedError)
        assert isinstance(seen.error.__cause__, InterChunkTimeout)
        assert seen.ended == pytest.approx(20.0)


@BACKENDS
def test_59_nothing_fires_while_nobody_reads_but_the_whole_limit(backend: Any) -> None:
    seen = simulated(watch, streaming(Body(WORD, WORD, STOP, USAGE, DONE)), think=90.0, backend=backend)
    assert seen.error is None
    assert seen.at == pytest.approx([0.0, 90.0, 180.0])
    seen = simulated(watch, streaming(Body(*[WORD] * 9, 1.0, STOP, DONE)), think=90.0, backend=backend)
    assert type(seen.error) is TotalTimeout


@BACKENDS
def test_an_interval_begins_when_somebody_reads_again(backend: Any) -> None:
    body = Body(WORD, 15.0, WORD, 15.0, WORD, STOP, DONE)
    seen = simulated(watch, streaming(body), think=50.0, backend=backend)
    assert seen.error is None
    assert seen.at[:3] == pytest.approx([0.0, 65.0, 130.0])


@BACKENDS
def test_the_whole_limit_interrupts_an_answer_and_keeps_what_came(backend: Any) -> None:
    async def main() -> None:
        provider = streaming(Body(*[WORD, 4.0] * 100))
        seen = await watch(provider, GenerationRequest("hi", deadline=30.0))
        assert type(seen.error) is TotalTimeout
        assert seen.ended == pytest.approx(30.0)
        assert seen.error.visible_output
        assert seen.error.partial is not None
        assert seen.error.partial.text == seen.text == "word " * 8

    run_simulated(main, backend=backend)


@given(
    steps=st.lists(
        st.sampled_from([COMMENT, ROLE, PING, WORD]) | st.sampled_from([0.5, 2.0, 9.0, 11.0, 19.0, 21.0]),
        max_size=12,
    ),
    backend=st.sampled_from(["asyncio", "trio"]),
)
def test_15_a_limit_fires_only_where_its_silence_was(steps: list[Any], backend: Any) -> None:
    """A model of the limits, by hand: walk over the steps and add up the time."""
    now, shown, since, fired = 0.0, False, 0.0, None
    for step in steps:
        if isinstance(step, float):
            limit = since + 20.0 if shown else 10.0
            if now + step > limit:
                fired = (InterChunkTimeout if shown else FirstTokenTimeout), limit
                break
            now += step
        elif step == WORD:
            shown, since = True, now
        elif step in (ROLE, PING):
            since = now
    seen = simulated(watch, streaming(Body(*steps, WORD, STOP, DONE)), backend=backend)
    if fired is None:
        assert seen.error is None
        return
    assert seen.error is not None
    assert type(seen.error.__cause__ or seen.error) is fired[0]
    assert seen.ended == pytest.approx(fired[1])


# ---------------------------------------------------------------------------------------- how a stream ends


def test_a_whole_stream() -> None:
    provider = streaming(Body(OPENAI.stream()))
    seen = simulated(watch, provider)
    assert seen.text == TEXT
    (finished,) = (event for event in seen.events if isinstance(event, Finished))
    assert seen.events[-1] is finished
    assert (finished.finish_reason, finished.usage.input_tokens) == ("stop", READ)
    assert (finished.provider, finished.model, finished.request_id) == ("main", MODEL, "req-1")
    assert [one.outcome for one in finished.attempts] == ["success"]


@BACKENDS
def test_left_at_any_event_it_counts_as_cancelled_and_closes(backend: Any) -> None:
    async def main(index: int) -> None:
        body = Body(WORD, WORD, WORD, STOP, DONE)
        provider = streaming(body)
        async with provider.stream("hi") as stream:
            for _ in range(index):
                await anext(stream)
        assert body.closed == 1
        stats = provider.stats()
        assert (stats.requests, stats.successes, stats.cancelled) == ((1, 0, 1) if index < 4 else (1, 1, 0))
        assert [event async for event in stream] == []

    for index in range(5):
        simulated(main, index, backend=backend)


@BACKENDS
def test_a_stream_that_nobody_opened_costs_nothing(backend: Any) -> None:
    async def main() -> None:
        body = Body(WORD)
        provider = streaming(body)
        stream = provider.stream("hi")
        await stream.aclose()
        assert provider.stats().requests == 0
        assert body.sent == 0

    run_simulated(main, backend=backend)


@BACKENDS
def test_60_a_reader_that_raises_closes_the_stream(backend: Any) -> None:
    async def main() -> None:
        body = Body(WORD, WORD, 1000.0)
        provider = streaming(body)

        async def clumsy() -> None:
            async with provider.stream("hi") as stream:
                async for _ in stream:
                    raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await clumsy()
        assert body.closed == 1
        assert (provider.stats().cancelled, provider.stats().in_flight) == (1, 0)

    run_simulated(main, backend=backend)


@BACKENDS
def test_cancelled_at_any_time_it_counts_once_and_closes(backend: Any) -> None:
    async def main(after: float) -> None:
        body = Body(2.0, WORD, 2.0, WORD, 2.0, STOP, DONE)
        provider = streaming(body)
        with anyio.move_on_after(after) as scope:
            await provider.stream("hi").collect()
        assert scope.cancelled_caught
        assert body.closed == 1
        assert (provider.stats().requests, provider.stats().cancelled) == (1, 1)
        assert adds_up(provider.stats())

    for after in (0.0, 1.0, 2.0, 3.0, 4.0, 5.0):
        simulated(main, after, backend=backend)


def test_a_dropped_stream_says_so() -> None:
    async def main() -> None:
        stream = await streaming(Body(WORD, WORD)).stream("hi").open()
        with pytest.warns(ResourceWarning, match="dropped unclosed"):
            del stream

    run_simulated(main)


# -------------------------------------------------------------------------------------------------- cuts

CALL = [
    OPENAI.chunk(
        {"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "look", "arguments": '{"a"'}}]}
    ),
    OPENAI.chunk({"tool_calls": [{"index": 0, "function": {"arguments": ": 1"}}]}),
]


@pytest.mark.parametrize("how", ["end", "reset"])
def test_a_cut_answer_keeps_its_text_and_calls(how: str) -> None:
    cut = [httpx.ReadError("gone")] if how == "reset" else []
    seen = simulated(watch, streaming(Body(WORD, events(*CALL), *cut)))
    assert isinstance(seen.error, StreamInterruptedError)
    assert isinstance(seen.error.partial, GenerationResponse)
    assert seen.error.partial.text == "word "
    (call,) = seen.error.partial.tool_calls
    assert (call.id, call.name, call.arguments) == ("c1", "look", '{"a": 1')
    assert (seen.error.partial.provider, seen.error.partial.model) == ("main", MODEL)
    assert any(isinstance(event, ToolCallDelta) for event in seen.events)
    if how == "reset":
        assert isinstance(seen.error.__cause__, errors.ConnectionReset)
    assert seen.error.bytes_received == len(WORD + events(*CALL))


@pytest.mark.parametrize("how", ["end", "reset"])
def test_a_cut_before_anything_is_visible_may_be_repeated(how: str) -> None:
    cut = [httpx.ReadError("gone")] if how == "reset" else []
    seen = simulated(watch, streaming(Body(ROLE, *cut)))
    assert isinstance(seen.error, StreamInterruptedError if how == "end" else errors.ConnectionReset)
    assert (seen.error.failover, seen.error.retryable, seen.error.visible_output) == (True, True, False)


@pytest.mark.parametrize("tail", [(), (httpx.ReadError("gone"),), (USAGE, httpx.ReadError("gone"))])
def test_25_an_answer_that_lacks_only_its_terminator_is_whole(tail: Any) -> None:
    provider = streaming(Body(WORD, STOP, *tail))
    seen = simulated(watch, provider)
    assert seen.error is None
    assert isinstance(seen.events[-1], Finished)
    assert seen.events[-1].finish_reason == "stop"
    assert provider.stats().successes == 1


# ----------------------------------------------------------------------------------- after the finish reason

SPOKEN_END = events(OPENAI.chunk({"content": "word "}, "stop"))
COUNTED_END = events(("", {**OPENAI.chunk({"content": "word "}, "stop")[1], "usage": OPENAI.usage}))
LONG = 1000.0


@BACKENDS
@pytest.mark.parametrize(
    ("tail", "ends", "counted"),
    [
        ((STOP, LONG), 1.0, False),
        ((STOP, USAGE, LONG), 1.0, True),
        ((STOP, USAGE[:40], LONG), 1.0, False),
        ((STOP, 0.6, USAGE, LONG), 1.0, True),
        ((STOP, 0.6, PING, 0.6, USAGE, DONE), 1.0, False),
        ((STOP, *[0.3, COMMENT] * 20), 1.0, False),
        ((STOP, 0.9, USAGE, DONE), 0.9, True),
        ((COUNTED_END, LONG), 1.0, True),
        ((USAGE, SPOKEN_END, LONG), 20.0, True),
        ((SPOKEN_END, PING, LONG), 1.0, False),
    ],
)
def test_silence_after_the_finish_reason_ends_the_answer_soon_and_well(
    tail: Any, ends: float, counted: bool, backend: Any
) -> None:
    provider = streaming(Body(WORD, *tail))
    seen = simulated(watch, provider, backend=backend)
    assert seen.error is None
    assert seen.ended == pytest.approx(ends)
    assert seen.text in ("word ", "word word ")
    finished = seen.events[-1]
    assert isinstance(finished, Finished)
    assert finished.finish_reason == "stop"
    assert finished.usage.input_tokens == (READ if counted else None)
    assert provider.stats().successes == 1


@BACKENDS
@pytest.mark.parametrize("end", [SPOKEN_END, STOP + WORD])
def test_a_finish_reason_that_more_words_follow_is_no_end(end: bytes, backend: Any) -> None:
    """Some say it with every piece of the text."""
    seen = simulated(watch, streaming(Body(end, 15.0, end, 15.0, end, STOP, USAGE, DONE)), backend=backend)
    assert seen.error is None
    assert seen.text == "word " * 3
    assert seen.ended == pytest.approx(30.0)


@BACKENDS
def test_an_empty_answer_with_a_finish_reason_ends_soon_too(backend: Any) -> None:
    seen = simulated(watch, streaming(Body(ROLE, STOP, LONG)), backend=backend)
    assert seen.error is None
    assert seen.ended == pytest.approx(1.0)


@BACKENDS
def test_the_grace_runs_only_while_somebody_reads(backend: Any) -> None:
    body = Body(SPOKEN_END, PING, 0.5, USAGE, 0.4, DONE)
    seen = simulated(watch, streaming(body), think=90.0, backend=backend)
    assert seen.error is None
    assert isinstance(seen.events[-1], Finished)
    assert seen.events[-1].usage.input_tokens == READ


@BACKENDS
def test_other_dialects_with_a_terminator_have_the_same_grace_and_gemini_none(backend: Any) -> None:
    whole = dialect_of(find("anthropic")).stream()
    seen = simulated(
        watch,
        streaming(Body(whole[: whole.index(b"event: message_stop")], LONG), "anthropic"),
        backend=backend,
    )
    assert (seen.error, seen.text) == (None, TEXT)
    assert seen.ended == pytest.approx(1.0)
    whole = dialect_of(find("gemini")).stream().replace(b'"index": 0', b'"index": 0, "finishReason": "STOP"')
    first, rest = whole[: whole.index(b"\n\n") + 2], whole[whole.index(b"\n\n") + 2 :]
    seen = simulated(watch, streaming(Body(first, 15.0, rest), "gemini"), backend=backend)
    assert (seen.error, seen.text) == (None, TEXT)


KINDS = ["openai", "openai_responses", "anthropic", "gemini", "ollama", "cohere"]


@pytest.mark.parametrize("kind", KINDS)
def test_39_cut_at_any_byte_it_never_pretends_to_be_whole(kind: str) -> None:
    whole = dialect_of(find(kind)).stream()

    async def main() -> None:
        for end in range(len(whole)):
            seen = await watch(streaming(Body(whole[:end]), kind))
            if seen.error is None:
                assert seen.text == TEXT, end
                assert sum(isinstance(event, Finished) for event in seen.events) == 1
            else:
                assert not any(isinstance(event, Finished) for event in seen.events)
                assert TEXT.startswith(seen.text)

    run_simulated(main)


@pytest.mark.parametrize("kind", KINDS)
def test_35_the_same_bytes_in_any_pieces_are_the_same_events(kind: str) -> None:
    whole = dialect_of(find(kind)).stream()

    async def main() -> None:
        expected = (await watch(streaming(Body(whole), kind))).events
        for size in (1, 2, 3, 7, 50):
            pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
            got = (await watch(streaming(Body(*pieces), kind))).events
            assert got[:-1] == expected[:-1]
            assert got[-1].usage == expected[-1].usage  # type: ignore[union-attr]  # Finished is last

    run_simulated(main)


# ------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize("kind", KINDS)
def test_29_an_error_event_before_anything_is_visible_is_that_error(kind: str) -> None:
    dialect = dialect_of(find(kind))
    failing = dialect.stream_failing("it broke")
    word = PIECES[0].encode()
    cut = failing.index(word)
    framed = b"\n" if kind == "ollama" else b"\n\n"
    begin = failing.rfind(framed, 0, cut) + len(framed) if framed in failing[:cut] else 0
    silent = failing[:begin] + failing[failing.index(framed, cut) + len(framed) :]
    provider = streaming(Body(silent), kind)
    seen = simulated(watch, provider)
    assert seen.error is not None
    assert "it broke" in seen.error.message
    assert not seen.error.visible_output
    assert seen.error.failover
    assert seen.error.partial is None


@pytest.mark.parametrize(
    ("error", "cls"),
    [
        ({"message": "slow down", "code": "rate_limit_exceeded"}, errors.RateLimitError),
        ({"message": "no", "code": "invalid_api_key"}, errors.AuthenticationError),
        ({"message": "long", "code": "context_length_exceeded"}, errors.ContextLengthError),
        ({"message": "broke", "code": 503}, errors.OverloadedError),
        ({"message": "broke"}, errors.ServerError),
    ],
)
def test_an_error_event_has_its_class_before_and_is_the_cause_after(
    error: Any, cls: type[ProviderError]
) -> None:
    event = events(("", {"error": error}))
    before = simulated(watch, streaming(Body(ROLE, event))).error
    assert type(before) is cls
    after = simulated(watch, streaming(Body(ROLE, WORD, event))).error
    assert type(after) is StreamInterruptedError
    assert type(after.__cause__) is cls
    assert after.code == before.code
    assert not after.failover


def test_31_a_plain_body_where_a_stream_was_asked_for() -> None:
    seen = simulated(watch, streaming(Body(OPENAI.answer()[:40], 5.0, OPENAI.answer()[40:])))
    assert seen.error is None
    assert seen.text == TEXT
    assert isinstance(seen.events[-1], Finished)
    body = json.dumps({"error": {"message": "no money", "code": "insufficient_quota"}}).encode()
    assert type(simulated(watch, streaming(Body(body))).error) is errors.QuotaExhaustedError


def test_a_body_without_end_in_a_stream_is_cut() -> None:
    piece = b"x" * 1_000_000
    line = Body(b"data: ", *[piece] * 100)
    seen = simulated(watch, streaming(line))
    assert type(seen.error) is errors.MalformedResponseError
    assert line.sent < 20
    assert line.closed == 1


def test_a_stream_that_cannot_be_opened_is_its_error_and_closed() -> None:
    async def main() -> None:
        body = Body(b'{"error": {"message": "who are you"}}')
        vendor = Vendor(OPENAI, lambda request: httpx.Response(401, stream=body))
        provider = made(find("openai"), vendor)
        stream = provider.stream("hi")
        with pytest.raises(errors.AuthenticationError) as caught:
            await stream.open()
        assert body.closed == 1
        assert [one.outcome for one in caught.value.attempts] == ["AuthenticationError"]
        assert [event async for event in stream] == []
        assert (provider.stats().failures, provider.stats().in_flight) == (1, 0)

    run_simulated(main)


def test_what_follows_the_terminator_is_ignored() -> None:
    provider = streaming(Body(WORD, STOP, DONE, WORD, DONE, b"\xff\xff", 1000.0))
    seen = simulated(watch, provider)
    assert seen.error is None
    assert seen.text == "word "
    assert seen.ended < 1.0
