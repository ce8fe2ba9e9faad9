"""What a vendor echoes is in no frame of an error that was found while its answer was read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from llmcore.errors import ProviderError
from llmcore.providers import find, places
from llmcore.providers.base import HttpProvider
from llmcore.providers.place import Place
from tests.canary import KEY, leaks, told_by
from tests.providers.dialects import Replicate, Vendor, dialect_of, dumped, made

pytestmark = pytest.mark.anyio

ECHO = f"the key {KEY} is bad"
ERROR = dumped({"error": {"message": ECHO, "type": "server_error"}})
HALF = b'{"note": "' + ECHO.encode()
BODIES = {
    "an error": ERROR,
    "half an object": HALF,
    "a list": dumped([ECHO]),
    "a page": b"<html>" + ECHO.encode(),
    "nothing known": dumped({"note": ECHO}),
    "an error event": b"event: error\ndata: " + ERROR + b"\n\n",
    "half an event": b"data: " + HALF + b"\n\n",
    "no utf-8": b'{"note": "' + ECHO.encode() + b'\xff"}',
}
CALLS: dict[str, Callable[[HttpProvider], Awaitable[Any]]] = {
    "generate": lambda provider: provider.generate("hi"),
    "stream": lambda provider: provider.stream("hi").collect(),
    "embed": lambda provider: provider.embed("hi"),
    "list_models": lambda provider: provider.list_models(),
}


def echoing(place: Place, body: bytes, status: int = 200) -> HttpProvider:
    """A provider whose vendor answers everything with that body."""
    dialect = dialect_of(place)

    def reply(request: httpx.Request) -> httpx.Response | None:
        if (
            isinstance(dialect, Replicate)
            and request.method == "POST"
            and b'"stream":true' in request.content
        ):
            return None
        kind = dialect.stream_type if body[:1] != b"<" else "text/plain"
        return httpx.Response(status, headers={"content-type": kind}, content=body)

    return made(place, Vendor(dialect, reply), api_key=KEY)


async def failure(provider: HttpProvider, call: str) -> ProviderError | None:
    """The error without the frames of this file, which know the key."""
    try:
        await CALLS[call](provider)
    except ProviderError as error:
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
            trace = trace.tb_next
        return error.with_traceback(trace)
    return None


@pytest.mark.parametrize("place", places(), ids=lambda place: place.kind)
async def test_no_frame_and_no_field_shows_what_was_echoed(place: Place) -> None:
    failures = 0
    failing = dialect_of(place).stream_failing(ECHO)
    for call in CALLS:
        for name, body in {**BODIES, "an error after words": failing}.items():
            error = await failure(echoing(place, body), call)
            if error is not None:
                failures += 1
                found = [leak for text in told_by(error, by_rich=False) for leak in leaks(text)]
                assert found == [], (call, name)
    assert failures > 20


@pytest.mark.parametrize("call", CALLS)
async def test_an_error_still_says_where_it_came_from(call: str) -> None:
    """Frames of ours that hold no answer stay, and so does the cause."""
    error = await failure(echoing(find("openai"), ERROR), call)
    assert error is not None
    assert error.__traceback__ is not None
    assert "the key *** is bad" in error.message


@pytest.mark.parametrize("call", CALLS)
async def test_the_exception_that_the_caller_is_handling_keeps_its_frames(call: str) -> None:
    """It is the context of whatever is raised meanwhile, and none of our business."""
    theirs = KeyError("theirs")
    try:
        raise theirs
    except KeyError:
        with pytest.raises(ProviderError):
            await CALLS[call](echoing(find("openai"), ERROR))
    assert theirs.__traceback__ is not None
