"""Framing: the same messages for any split of the same bytes, by the event-stream standard and its known breakers."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcore.errors import MalformedResponseError
from llmcore.wire.framing import MAX_EVENT, JsonLines, ServerSentEvents


def events(*chunks: bytes) -> list[tuple[str, bytes]]:
    framing = ServerSentEvents()
    return [message for chunk in chunks for message in framing.feed(chunk)] + framing.finish()


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"data: a\n\n", [("", b"a")]),
        (b"data:a\r\n\r\n", [("", b"a")]),
        (b"data: a\r\rdata: b\r\r", [("", b"a"), ("", b"b")]),
        (b"\xef\xbb\xbfdata: a\n\n", [("", b"a")]),
        (b"data:  two spaces\n\n", [("", b" two spaces")]),
        (b"data: a\ndata: b\n\n", [("", b"a\nb")]),
        (b"data\n\n", [("", b"")]),
        (b"event: x\ndata: a\n\ndata: b\n\n", [("x", b"a"), ("", b"b")]),
        (b": comment\n\ndata: a\n: again\n\n", [("", b"a")]),
        (b"id: 1\nretry: 5\nunknown: z\ndata: a\n\n", [("", b"a")]),
        (b"event: only\n\ndata: a\n\n", [("", b"a")]),
        (b"data: no blank line at the end", [("", b"no blank line at the end")]),
        (b"data: [DONE]\n", [("", b"[DONE]")]),
        (
            b'data: {}\n\n{"error":\n {"code": 5}}\n\ndata: x\n\n',
            [("", b"{}"), ("", b'{"error":\n {"code": 5}}'), ("", b"x")],
        ),
        (b"", []),
        (b"\n\n\n", []),
        (b"id: nul\x00\ndata: a\n\n", [("", b"a")]),
    ],
)
def test_server_sent_events(raw: bytes, expected: list[tuple[str, bytes]]) -> None:
    assert events(raw) == expected
    for at in range(len(raw) + 1):
        assert events(raw[:at], raw[at:]) == expected
    assert events(*(raw[i : i + 1] for i in range(len(raw)))) == expected


pieces = st.lists(
    st.sampled_from(
        [
            b"data: ",
            b"data:",
            b"event: e",
            b"x",
            b"\n",
            b"\r",
            b"\r\n",
            b"\n\n",
            b": c",
            b"{",
            b"}",
            b"\xef\xbb\xbf",
            "ü".encode(),
        ]
    ),
    max_size=30,
)


@given(raw=pieces.map(b"".join), cuts=st.lists(st.integers(0, 120), max_size=6))
def test_any_split_gives_the_same_events(raw: bytes, cuts: list[int]) -> None:
    places = sorted({0, len(raw), *(cut for cut in cuts if cut < len(raw))})
    chunks = [raw[a:b] for a, b in itertools.pairwise(places)]
    assert _or_error(chunks) == _or_error([raw])


def _or_error(chunks: list[bytes]) -> object:
    try:
        return events(*chunks)
    except MalformedResponseError as error:
        return str(error)


events_in_pieces = st.lists(
    st.sampled_from(
        [b"data: x\n\n", b"data: x\n\n", b"data: \n\n", b"data: a\rb\n\n", b"data: x\n", b"event: e\n", b"\n"]
    )
    | st.just(b'{"a":\n 1}\n\n'),
    max_size=12,
).map(b"".join)


@given(st.lists(events_in_pieces, min_size=1, max_size=4))
def test_whole_events_in_one_chunk_are_what_they_are_byte_by_byte(chunks: list[bytes]) -> None:
    whole = b"".join(chunks)
    assert _or_error(chunks) == _or_error([whole[i : i + 1] for i in range(len(whole))])


def test_a_chunk_of_many_events_may_be_larger_than_one_event() -> None:
    framing = ServerSentEvents(cap=20)
    assert len([*framing.feed(b"data: x\n\n"), *framing.feed(b"data: x\n\n" * 9)]) == 10
    with pytest.raises(MalformedResponseError, match="larger"):
        framing.feed(b"data: " + b"x" * 30 + b"\n\n")


@given(raw=st.binary(max_size=200), cut=st.integers(0, 200))
def test_json_lines_split_anywhere(raw: bytes, cut: int) -> None:
    def lines(*chunks: bytes) -> list[bytes]:
        framing = JsonLines()
        return [data for chunk in chunks for _, data in framing.feed(chunk)] + [
            data for _, data in framing.finish()
        ]

    assert lines(raw[:cut], raw[cut:]) == lines(raw)
    assert all(line.strip() for line in lines(raw))


@pytest.mark.parametrize(
    "raw", [b"data: " + b"x" * (MAX_EVENT + 10), b"data: xxxxxxxxx\n" * (MAX_EVENT // 9 + 10)]
)
def test_an_event_without_end_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedResponseError, match="larger"):
        events(*(raw[i : i + 65536] for i in range(0, len(raw), 65536)))


def test_bytes_that_are_neither_events_nor_json_are_bounded() -> None:
    with pytest.raises(MalformedResponseError):
        events(b"{" + b"x\n" * 50_000)
