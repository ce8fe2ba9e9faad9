"""Faults 46 to 50: calls, choices and endings, vectors and lists of models that are not as they should be."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest

from llmcore.config import TransportChoice
from llmcore.errors import MalformedResponseError
from llmcore.providers.base import MAX_PAGES
from tests.faults.conftest import SETUPS, Ask, Make, failure, stream
from tests.faults.odd import answer, call, calls_in, chunk_of, refusal, streams, whole_calls, wholes
from tests.faults.raw import DONE, Server, completion, event, http, serving, streamed
from tests.providers.dialects import OF_DIALECT, TEXT
from tests.transport.faults import Peer

COVERED = (46, 47, 48, 49, 50)

pytestmark = pytest.mark.anyio


@pytest.fixture(params=[name for name in SETUPS if "trio" not in name])
def setup(request: pytest.FixtureRequest) -> tuple[str, TransportChoice]:
    """Both transports on one loop: what is tested here is how bytes are read."""
    return SETUPS[request.param]


# ------------------------------------------------------------------------------------------------ tool calls


async def test_46_arguments_that_are_no_json_come_raw(make: Make, ask: Ask) -> None:
    told = ("{not json", '["a list"]', '{"a": ', "NaN", "")
    fragments = [call(text, name="f", id=f"c{index}", index=index) for index, text in enumerate(told)]
    response = await answer(make, ask, whole_calls(*fragments), calls_in(*fragments))
    assert [found.arguments for found in response.tool_calls] == list(told)
    assert [found.parse_error is None for found in response.tool_calls] == [False] * 4 + [True]


async def test_46_equal_ids_stay_two_calls_in_order(make: Make, ask: Ask) -> None:
    one = call('{"n":1}', name="f", id="same", index=0)
    two = call('{"n":2}', name="g", id="same", index=1)
    response = await answer(make, ask, whole_calls(one, two), calls_in(one, two))
    assert [(found.id, found.name, found.input) for found in response.tool_calls] == [
        ("same", "f", {"n": 1}),
        ("same", "g", {"n": 2}),
    ]


async def test_46_no_index_and_an_index_that_jumps_keep_the_order(make: Make) -> None:
    jumping = calls_in(
        call("", name="f", id="a", index=0),
        call("", name="g", id="b", index=5),
        call('{"n":', index=0),
        call('{"n":2}', index=5),
        call("1}", index=0),
    )
    bare = calls_in(call('{"n":', name="f", id="a"), call("1}"), call('{"n":2}', name="g", id="b"))
    for events in (jumping, bare):
        response = await answer(make, stream, completion(), events)
        assert [(found.id, found.name, found.input) for found in response.tool_calls] == [
            ("a", "f", {"n": 1}),
            ("b", "g", {"n": 2}),
        ]


# --------------------------------------------------------------------------------------- choices and endings


async def test_47_no_choices_is_no_answer(make: Make, ask: Ask) -> None:
    odd: tuple[Any, ...] = ([], None, {}, "x", [None])
    for choices in odd:
        nothing = b"data: %s\n\n" % json.dumps({"id": "c1", "choices": choices}).encode()
        error = await refusal(make, ask, completion(choices=choices), streamed(nothing, DONE))
        assert type(error) is MalformedResponseError, choices


async def test_47_chunks_without_choices_are_passed_over(make: Make) -> None:
    empty = b'data: {"id":"c1","choices":[]}\n\n'
    events = streamed(empty, event("hel"), empty, event("lo"), empty, event("", "stop"), empty, DONE)
    assert (await answer(make, stream, completion(), events)).text == "hello"


async def test_47_of_several_choices_the_first_is_the_answer(make: Make, ask: Ask) -> None:
    def message(text: str) -> dict[str, Any]:
        return {"role": "assistant", "content": text}

    whole = [
        {"index": 1, "message": message("other"), "finish_reason": "length"},
        {"index": 0, "message": message("hello"), "finish_reason": "stop"},
    ]
    events = streamed(
        chunk_of(index=1, delta=message("oth"), finish_reason=None),
        chunk_of(index=0, delta=message("hel"), finish_reason=None),
        chunk_of(index=1, delta={"content": "er"}, finish_reason="length"),
        chunk_of(index=0, delta={"content": "lo"}, finish_reason="stop"),
        chunk_of(index=1, delta={"content": "!"}, finish_reason=None),
        DONE,
    )
    response = await answer(make, ask, completion(choices=whole), events)
    assert (response.text, response.finish_reason) == ("hello", "stop")


@pytest.mark.parametrize("reason", ["surprise", None, "", 7, {"type": "x"}])
async def test_48_an_unknown_finish_reason_is_unknown(make: Make, ask: Ask, reason: Any) -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": reason}
    events = streamed(event("hello"), chunk_of(delta={}, finish_reason=reason), DONE)
    response = await answer(make, ask, completion(choices=[choice]), events)
    assert (response.text, response.finish_reason) == ("hello", "unknown")
    assert response.raw_finish_reason == (reason if reason == "surprise" else None)


ENDINGS = {
    "openai": b'"finish_reason": "stop"',
    "anthropic": b'"stop_reason": "end_turn"',
    "gemini": b'"finishReason": "STOP"',
    "ollama": b'"done_reason": "stop"',
    "cohere": b'"finish_reason": "COMPLETE"',
}


@pytest.mark.parametrize("kind", ENDINGS)
async def test_48_in_every_dialect(make: Make, kind: str) -> None:
    field = ENDINGS[kind].partition(b":")[0]
    dialect = OF_DIALECT[kind]
    bodies = [
        dialect.answer().replace(ENDINGS[kind], field + b": " + reason) for reason in (b'"surprise"', b"null")
    ]
    events = dialect.stream().replace(ENDINGS[kind], field + b': "surprise"')
    assert dialect.answer() not in bodies
    assert dialect.stream() != events
    for response in [*await wholes(make, kind, bodies), *await streams(make, kind, [events])]:
        assert (response.text, response.finish_reason) == (TEXT, "unknown")


# ---------------------------------------------------------------------------------------------------- vectors


def rows(*pairs: tuple[Any, Any]) -> bytes:
    return json.dumps({"data": [{"index": index, "embedding": vector} for index, vector in pairs]}).encode()


BAD_VECTORS = {
    "one too few": rows((0, [1.0, 0.0])),
    "one too many": rows((0, [1.0]), (1, [1.0]), (2, [1.0])),
    "none": rows(),
    "ragged": rows((0, [1.0, 2.0]), (1, [1.0])),
    "empty": rows((0, []), (1, [])),
    "base64 cut": rows((0, b64encode(b"\0" * 8).decode()), (1, b64encode(b"\0" * 7).decode())),
    "no base64": rows((0, "%%%"), (1, "%%%")),
    "no list": b'{"data":{"0":[1.0],"1":[2.0]}}',
    "no rows": b'{"data":[[1.0],[2.0]]}',
    "nothing": b"{}",
}


@pytest.mark.parametrize("body", BAD_VECTORS.values(), ids=BAD_VECTORS)
async def test_49_vectors_that_do_not_fit_the_inputs_are_refused(make: Make, body: bytes) -> None:
    with Server(serving(http(body))) as server:
        error = await failure(make(server).embed(["a", "b"]))
    assert type(error) is MalformedResponseError


async def test_49_vectors_are_put_in_order_by_their_index(make: Make) -> None:
    bodies = (
        rows((1, [2.0]), (0, [1.0])),
        rows((None, [1.0]), (None, [2.0])),
        rows((0, [1.0]), (0, [2.0])),  # as gateways send it that count anew in each row
    )
    for body in bodies:
        with Server(serving(http(body))) as server:
            response = await make(server).embed(["a", "b"])
        assert [list(vector) for vector in response.vectors] == [[1.0], [2.0]]


# ------------------------------------------------------------------------------------------- lists of models

PAGES: dict[str, bytes] = {
    "gemini": b'{"models":[{"name":"models/m%d"}],"nextPageToken":"%s"}',
    "anthropic": b'{"data":[{"id":"m%d"}],"has_more":true,"last_id":"%s"}',
    "cohere": b'{"models":[{"name":"m%d"}],"next_page_token":"%s"}',
    "replicate": b'{"results":[{"owner":"o","name":"m%d"}],"next":"/v1/models?cursor=%s"}',
}


def paging(kind: str, cursor: str) -> Any:
    """Pages without end. Of `cursor`, "%d" is the number of the page."""

    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            number = len(peer.server.requests)
            token = (cursor % number if "%d" in cursor else cursor).encode()
            await peer.send(http(PAGES[kind] % (number, token)))

    return script


@pytest.mark.parametrize("kind", PAGES)
async def test_50_a_cursor_that_comes_twice_ends_the_list(make: Make, kind: str) -> None:
    with Server(paging(kind, "same")) as server:
        models = await make(server, kind=kind).list_models()
    assert len(server.requests) == 2
    assert [model.id.rpartition("/")[2] for model in models] == ["m1", "m2"]


async def test_50_pages_without_end_are_not_read_without_end(make: Make) -> None:
    with Server(paging("gemini", "c%d")) as server:
        models = await make(server, kind="gemini").list_models()
    assert len(server.requests) == len(models) == MAX_PAGES


async def test_50_a_long_list_is_read_and_one_beyond_all_measure_is_not(make: Make) -> None:
    row = b'{"id":"m%06d"}'
    many = b",".join(row % number for number in range(20_000))
    with Server(serving(http(b'{"data":[' + many + b"]}"))) as server:
        assert len(await make(server).list_models()) == 20_000
    endless = http(b"")[:-2].replace(b"content-length: 0", b"content-length: 900000000") + b"\r\n"

    async def script(peer: Peer) -> None:
        await peer.answer(endless + b'{"data":[')
        while True:
            await peer.send(row % 1 + b" " * 1_000_000 + b",")

    with Server(script) as server:
        assert type(await failure(make(server).list_models())) is MalformedResponseError


async def test_50_bad_entries_are_skipped(make: Make) -> None:
    entries: list[Any] = [
        None,
        {},
        {"id": None},
        {"id": ""},
        {"id": 7},
        [],
        3,
        {"id": "good"},
        {"id": "good"},
    ]
    body = json.dumps({"data": entries}).encode()
    with Server(serving(http(body))) as server:
        provider = make(server)
        assert [model.id for model in await provider.list_models()] == ["good"]
