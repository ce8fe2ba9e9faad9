"""The sync face: the same answers, errors and closing, from ordinary code."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import httpx
import pytest

import llmcore
from llmcore import LlmConfig, ProviderConfig
from llmcore.errors import (
    AuthenticationError,
    ConfigurationError,
    InvalidRequestError,
    StreamInterruptedError,
)
from llmcore.sim import SimulatorThread
from llmcore.types import Finished, TextDelta
from tests.providers.dialects import KEY, MODEL, PIECES, TEXT, Body, OpenAI, Vendor

CONFIG = LlmConfig(
    (ProviderConfig("a", "openai", api_key=KEY, text_model=MODEL, embedding_model="e"),),
    llmcore.FallbackConfig(max_retries=0),
)


def _left_running(before: set[threading.Thread]) -> list[threading.Thread]:
    """The threads that came since and do not end; one that has said its last word may still take a moment."""
    since = set(threading.enumerate()) - before
    for thread in since:
        thread.join(10.0)
    return [thread for thread in since if thread.is_alive()]


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    """Whoever opened it must have closed it, with its thread."""
    threads = set(threading.enumerate())
    made = Vendor(OpenAI())
    yield made
    assert made.closed == 1
    assert not _left_running(threads)


def test_every_call(vendor: Vendor) -> None:
    with llmcore.open_sync(CONFIG, transport=vendor, environ={}) as llm:
        assert llm.generate("hi").text == TEXT
        assert len(llm.embed(["a", "b"]).vectors) == 2
        assert llm.list_models()[0].id == MODEL
        assert llm.stream("hi").collect().text == TEXT
        assert llm.provider.provider_type == "manager"
        assert (llm.stats().requests, llm.stats().successes) == (3, 3)


def test_a_stream_is_read_event_by_event(vendor: Vendor) -> None:
    with llmcore.open_sync(CONFIG, transport=vendor, environ={}) as llm:
        with llm.stream("hi") as events:
            assert list(events.texts()) == list(PIECES)
        with llm.stream("hi") as events:
            seen = list(events)
        assert [event.text for event in seen if isinstance(event, TextDelta) and event.text] == list(PIECES)
        assert isinstance(seen[-1], Finished)
        assert list(llm.stream("hi").texts()) == list(PIECES)


def test_a_stream_left_early_is_closed_at_once(vendor: Vendor) -> None:
    whole = OpenAI().stream()
    body = Body(whole[:400], whole[400:])
    vendor._reply = lambda request: httpx.Response(200, stream=body)
    with llmcore.open_sync(CONFIG, transport=vendor, environ={}) as llm:
        with llm.stream("hi") as events:
            for _ in events:
                break
            assert body.closed == 0
        assert body.closed == 1
        assert (llm.stats().cancelled, llm.stats().in_flight) == (1, 0)
        assert list(events) == []


def test_a_reader_that_raises_closes_the_stream(vendor: Vendor) -> None:
    def clumsy(llm: llmcore.SyncLlm) -> None:
        with llm.stream("hi") as events:
            for _ in events:
                raise ZeroDivisionError

    with llmcore.open_sync(CONFIG, transport=vendor, environ={}) as llm:
        with pytest.raises(ZeroDivisionError):
            clumsy(llm)
        assert (llm.stats().cancelled, llm.stats().in_flight) == (1, 0)


def test_errors_come_through_as_they_are(vendor: Vendor) -> None:
    vendor._reply = lambda request: httpx.Response(401, json={"error": {"message": "no"}})
    with llmcore.open_sync(CONFIG, transport=vendor, environ={}) as llm:
        for work in (llm.generate, llm.embed, lambda text: llm.stream(text).collect()):
            with pytest.raises(AuthenticationError, match="no") as caught:
                work("hi")
            assert caught.value.attempts
        with pytest.raises(AuthenticationError):
            llm.stream("hi").__enter__()
        with pytest.raises(InvalidRequestError):
            llm.generate("")
        assert llm.stats().in_flight == 0


def test_a_stream_that_breaks_off(vendor: Vendor) -> None:
    vendor._reply = lambda request: httpx.Response(200, content=OpenAI().stream_failing("broke"))
    with llmcore.open_sync(CONFIG, transport=vendor, environ={}) as llm:
        seen: list[str] = []

        def read() -> None:
            with llm.stream("hi") as events:
                seen.extend(events.texts())

        with pytest.raises(StreamInterruptedError, match="broke"):
            read()
        assert seen in ([], [PIECES[0]])


def test_the_block_closes_whatever_happens(vendor: Vendor) -> None:
    held: list[llmcore.SyncLlm] = []

    def clumsy() -> None:
        with llmcore.open_sync(CONFIG, transport=vendor, environ={}) as llm:
            held.append(llm)
            llm.generate("hi")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        clumsy()
    with pytest.raises(RuntimeError):
        held[0].generate("hi")


def test_a_configuration_that_cannot_work_is_said_at_once() -> None:
    threads = set(threading.enumerate())
    with pytest.raises(ConfigurationError, match="api_key"):
        llmcore.open_sync(LlmConfig((ProviderConfig("a", "openai"),)), environ={}).__enter__()
    assert not _left_running(threads)


def test_several_threads_share_one(vendor: Vendor) -> None:
    texts: list[str] = []
    with llmcore.open_sync(CONFIG, transport=vendor, environ={}) as llm:
        threads = [threading.Thread(target=lambda: texts.append(llm.generate("hi").text)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert llm.stats().successes == 8
    assert texts == [TEXT] * 8


def test_over_a_real_connection() -> None:
    with SimulatorThread() as sim:
        entry = ProviderConfig(
            "a", "openai", api_key="k", base_url=sim.base_url("openai"), text_model="sim-small"
        )
        with llmcore.open_sync(LlmConfig((entry,)), environ={}) as llm:
            whole = llm.generate("Say a few words.").text
            with llm.stream("Say a few words.") as events:
                next(events.texts())
            with llm.stream("Say a few words.") as events:
                assert "".join(events.texts()) == whole
