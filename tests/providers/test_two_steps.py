"""Answers that take several requests (Replicate): polling, streams at another address, and who is told to stop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import httpx
import pytest

from llmcore import errors
from llmcore.config import Timeouts
from llmcore.errors import FirstTokenTimeout, MalformedResponseError, ProviderError, TotalTimeout
from llmcore.providers import find
from llmcore.providers.base import HttpProvider
from llmcore.testing import run_simulated
from llmcore.types import GenerationRequest
from tests.providers.dialects import KEY, PIECES, READ, TEXT, Body, Replicate, Vendor, made

PLACE = find("replicate")
POST = "POST https://api.replicate.com/v1/models/acme/model-1/predictions"
GET = "GET https://api.replicate.com/v1/predictions/p1"
CANCEL = "POST https://api.replicate.com/v1/predictions/p1/cancel"
STREAM = "GET https://stream.replicate.com/v1/files/p1"

BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])
Reply = Callable[[httpx.Request], httpx.Response | None]


class Model(Vendor):
    """Replicate with a prediction that goes through `statuses`, the last of them for ever."""

    def __init__(
        self, *statuses: str, stream: Any = None, cancel: int = 200, urls: dict[str, Any] | None = None
    ):
        self.statuses = list(statuses)
        self.cancel = cancel
        self.said = dict(Replicate().urls) | (urls or {})
        self.stream = stream
        super().__init__(Replicate(), self._play)

    def _play(self, request: httpx.Request) -> httpx.Response | None:
        if request.url.path.endswith("/cancel"):
            return httpx.Response(self.cancel, json={"id": "p1", "status": "canceled"})
        if "/files/" in request.url.path:
            return httpx.Response(200, stream=self.stream) if isinstance(self.stream, Body) else self.stream
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        if status == "succeeded":
            return None
        return httpx.Response(201, json={"id": "p1", "status": status, "urls": self.said})


async def failure(work: Any) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await work
    return caught.value


def stats_of(provider: HttpProvider) -> tuple[int, int, int, int, int]:
    stats = provider.stats()
    return stats.requests, stats.successes, stats.failures, stats.cancelled, stats.in_flight


# -------------------------------------------------------------------------------------------------- polling


@BACKENDS
def test_an_answer_is_waited_for(backend: Any) -> None:
    async def main() -> None:
        model = Model("starting", "starting", "processing", "a status of tomorrow", "succeeded")
        provider = made(PLACE, model)
        began = anyio.current_time()
        response = await provider.generate("hi")
        assert (response.text, response.usage.input_tokens) == (TEXT, READ)
        assert model.urls == [POST, GET, GET, GET, GET]
        assert anyio.current_time() - began == pytest.approx(1.0 + 1.0 + 0.5 + 0.5)
        assert {request.headers["authorization"] for request in model.requests} == {f"Bearer {KEY}"}
        assert stats_of(provider) == (1, 1, 0, 0, 0)

    run_simulated(main, backend=backend)


@BACKENDS
def test_whoever_gives_up_tells_the_vendor(backend: Any) -> None:
    async def main() -> None:
        for outer, deadline, cls in ((5.0, None, None), (None, 5.0, TotalTimeout)):
            for cancel in (200, 404, 500):
                model = Model("starting", "processing", cancel=cancel)
                provider = made(PLACE, model)
                asked = GenerationRequest("hi", deadline=deadline)
                if cls is None:
                    with anyio.move_on_after(outer) as scope:
                        await provider.generate(asked)
                    assert scope.cancelled_caught
                    assert stats_of(provider) == (1, 0, 0, 1, 0)
                else:
                    assert type(await failure(provider.generate(asked))) is cls
                    assert stats_of(provider) == (1, 0, 1, 0, 0)
                assert model.urls[0] == POST
                assert model.urls[-1] == CANCEL
                assert model.urls.count(CANCEL) == 1

    run_simulated(main, backend=backend)


@BACKENDS
def test_a_vendor_that_does_not_answer_the_cancelling_costs_two_seconds(backend: Any) -> None:
    async def main() -> None:
        class Deaf(Model):
            async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
                if request.url.path.endswith("/cancel"):
                    await anyio.sleep_forever()
                return await super().handle_async_request(request)

        began = anyio.current_time()
        with anyio.move_on_after(5.0):
            await made(PLACE, Deaf("processing")).generate("hi")
        assert anyio.current_time() - began == pytest.approx(7.0)

    run_simulated(main, backend=backend)


def test_a_poll_that_fails_cancels_the_prediction() -> None:
    async def main() -> None:
        model = Model("processing")
        replies = iter([None, httpx.Response(503, json={"detail": "later"})])

        def reply(request: httpx.Request) -> httpx.Response | None:
            return Model._play(model, request) if request.method == "POST" else next(replies)

        next(replies)
        model._reply = reply
        assert type(await failure(made(PLACE, model).generate("hi"))) is errors.OverloadedError
        assert model.urls == [POST, GET, CANCEL]

    run_simulated(main)


def test_a_poll_that_cannot_be_read_cancels_the_prediction() -> None:
    async def main() -> None:
        model = Model("processing")

        def reply(request: httpx.Request) -> httpx.Response | None:
            if request.method == "POST":
                return Model._play(model, request)
            return httpx.Response(200, content=b"{broken")

        model._reply = reply
        error = await failure(made(PLACE, model).generate("hi"))
        assert type(error) is errors.MalformedResponseError
        assert error.attempts[0].status == 200
        assert model.urls == [POST, GET, CANCEL]

    run_simulated(main)


@pytest.mark.parametrize(
    ("status", "cls"),
    [("failed", errors.ServerError), ("canceled", errors.ServerError), ("aborted", TotalTimeout)],
)
def test_a_prediction_that_ends_badly_is_an_error_and_needs_no_cancelling(
    status: str, cls: type[ProviderError]
) -> None:
    async def main() -> None:
        model = Model("starting", status)
        assert type(await failure(made(PLACE, model).generate("hi"))) is cls
        assert model.urls == [POST, GET]

    run_simulated(main)


# ----------------------------------------------------------------------------------------------- addresses

FOREIGN = [
    "https://evil.example/p1",
    "http://api.replicate.com/v1/predictions/p1",
    "https://api.replicate.com.evil.example/p1",
    "https://evilreplicate.com/p1",
    "https://api.replicate.com@evil.example/p1",
    "https://evil.example\\.replicate.com/p1",
    "https://169.254.169.254/p1",
    "https://api.replicate.com%2eevil.example/p1",
    "https://user@api.replicate.com/p1",
]


@pytest.mark.parametrize("url", FOREIGN)
def test_71_a_key_never_goes_to_a_foreign_host(url: str) -> None:
    async def main() -> None:
        for call in ("generate", "stream"):
            model = Model("starting", urls={"get": url, "stream": url, "cancel": url})
            provider = made(PLACE, model)
            work = provider.generate("hi") if call == "generate" else provider.stream("hi").collect()
            error = await failure(work)
            assert isinstance(error, (MalformedResponseError, errors.EndpointError))
            assert model.urls == [POST]
            assert "p1" not in error.message
            assert stats_of(provider) == (1, 0, 1, 0, 0)

    run_simulated(main)


@pytest.mark.parametrize(
    "url", ["//evil.example/p1", "https://api.replicate.com\uff0eevil.example/p1", "x", 3]
)
def test_what_is_no_address_is_not_followed(url: Any) -> None:
    async def main() -> None:
        model = Model("processing", urls={"get": url, "cancel": url})
        await failure(made(PLACE, model).generate(GenerationRequest("hi", deadline=3)))
        assert {request.url.host for request in model.requests} == {"api.replicate.com"}

    run_simulated(main)


def test_a_foreign_address_to_cancel_at_is_not_called() -> None:
    async def main() -> None:
        model = Model("processing", urls={"cancel": "https://evil.example/cancel"})
        assert (
            type(await failure(made(PLACE, model).generate(GenerationRequest("hi", deadline=3))))
            is TotalTimeout
        )
        assert all(request.url.host == "api.replicate.com" for request in model.requests)

    run_simulated(main)


def test_hosts_of_the_vendor_get_the_key_and_those_beside_another_base_url_do_not() -> None:
    async def main() -> None:
        model = Model("starting", stream=Body(Replicate().stream()))
        assert (await made(PLACE, model).stream("hi").collect()).text == TEXT
        assert model.requests[1].headers["authorization"] == f"Bearer {KEY}"
        for base in ("https://gateway.example", "http://127.0.0.1:9"):
            model = Model("starting")
            error = await failure(made(PLACE, model, base_url=base).stream("hi").collect())
            assert isinstance(error, MalformedResponseError)
            assert {request.url.host for request in model.requests} == {base.split("/")[2].partition(":")[0]}

    run_simulated(main)


# -------------------------------------------------------------------------------------------------- streams


@BACKENDS
def test_a_stream_in_two_steps(backend: Any) -> None:
    async def main() -> None:
        model = Model("starting", stream=Body(Replicate().stream()))
        provider = made(PLACE, model)
        async with provider.stream("hi") as events:
            assert [piece async for piece in events.texts()] == list(PIECES)
        assert model.urls == [POST, STREAM]
        assert stats_of(provider) == (1, 1, 0, 0, 0)

    run_simulated(main, backend=backend)


@BACKENDS
@pytest.mark.parametrize("how", ["left", "cancelled", "first token", "deadline", "cut", "refused"])
def test_a_stream_that_ends_early_cancels_the_prediction_once(how: str, backend: Any) -> None:
    async def main() -> None:
        word = b"event: output\ndata: x\n\n"
        steps: dict[str, Any] = {
            "left": Body(word, 1000.0),
            "cancelled": Body(word, 1000.0),
            "first token": Body(b": hi\n\n", 1000.0),
            "deadline": Body(word, *[5.0, word] * 100),
            "cut": Body(word, httpx.ReadError("gone")),
            "refused": httpx.Response(503, json={"detail": "later"}),
        }
        model = Model("starting", stream=steps[how])
        provider = made(PLACE, model, timeouts=Timeouts(first_token=30.0))
        stream = provider.stream(GenerationRequest("hi", deadline=60.0))
        if how == "left":
            async with stream:
                await anext(stream)
        elif how == "cancelled":
            with anyio.move_on_after(5.0) as scope:
                await stream.collect()
            assert scope.cancelled_caught
        else:
            expected = {
                "first token": FirstTokenTimeout,
                "deadline": TotalTimeout,
                "cut": errors.StreamInterruptedError,
                "refused": errors.OverloadedError,
            }
            assert type(await failure(stream.collect())) is expected[how]
        assert model.urls == [POST, STREAM, CANCEL]
        ended = (1, 0, 0, 1, 0) if how in {"left", "cancelled"} else (1, 0, 1, 0, 0)
        assert stats_of(provider) == ended

    run_simulated(main, backend=backend)


def test_a_model_without_a_stream_is_polled_and_told_whole() -> None:
    async def main() -> None:
        model = Model("starting", "processing", "succeeded", urls={"stream": None})
        response = await made(PLACE, model).stream("hi").collect()
        assert response.text == TEXT
        assert model.urls == [POST, GET, GET]

    run_simulated(main)


def test_an_answer_in_the_background_is_polled_and_cancelled_elsewhere_too() -> None:
    """OpenAI's Responses can be asked to answer in the background: the same loop waits for it."""
    from tests.providers.dialects import Responses

    async def main() -> None:
        answers = iter(["queued", "in_progress", "in_progress"])

        def reply(request: httpx.Request) -> httpx.Response | None:
            status = next(answers, None)
            if status is None:
                return httpx.Response(200, content=Responses().answer())
            return httpx.Response(
                200, json={"id": "resp_1", "status": status, "background": True, "output": []}
            )

        vendor = Vendor(Responses(), reply)
        asked = GenerationRequest("hi", extra={"background": True})
        assert (await made(find("openai_responses"), vendor).generate(asked)).text == TEXT
        assert vendor.urls[1:] == ["GET https://api.openai.com/v1/responses/resp_1"] * 3

        answers = iter(["queued"] * 1000)
        vendor = Vendor(Responses(), reply)
        with anyio.move_on_after(20):
            await made(find("openai_responses"), vendor).generate(asked)
        assert vendor.urls[-1] == "POST https://api.openai.com/v1/responses/resp_1/cancel"

    run_simulated(main)
