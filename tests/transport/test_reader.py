"""The reader: however the bytes of an answer are cut, the same answer; and whatever comes, never more than `broken`."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from attrs import frozen
from hypothesis import example, given
from hypothesis import strategies as st

from llmcore.transport.incoming import MAX_HEADER_BYTES, MAX_HEADERS, joined_headers
from llmcore.transport.reader import MAX_LINE, Reader
from tests.transport.faults import CHUNKED, OK, chunk

FRAMING = ("length", "chunked", "end")
NAMES = st.from_regex(r"\Ax-[a-z0-9]{1,8}\Z")
VALUES = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_categories=["Cc"]), max_size=20
)
CUTS = st.lists(st.integers(0, 400), max_size=12)


@frozen
class Sent:
    """A valid answer, and its bytes."""

    status: int
    headers: dict[str, str]
    body: bytes
    framing: str
    data: bytes


@st.composite
def answers(draw: st.DrawFn, framings: Iterable[str] = FRAMING) -> Sent:
    status = draw(st.sampled_from([200, 201, 400, 404, 429, 500, 529, 999]))
    headers = draw(st.dictionaries(NAMES, VALUES, max_size=4))
    pieces = draw(st.lists(st.binary(min_size=1, max_size=40), max_size=5))
    framing = draw(st.sampled_from(sorted(framings)))
    body = b"".join(pieces)
    lines = [f"{name}: {value}\r\n".encode("latin-1") for name, value in headers.items()]
    tail = body
    if framing == "length":
        lines.append(b"Content-Length: %d\r\n" % len(body))
    elif framing == "chunked":
        lines.append(b"transfer-encoding: chunked\r\n")
        extension = draw(st.sampled_from([b"", b";a=b"]))
        trailer = draw(st.sampled_from([b"", b"x-trailer: 1\r\n"]))
        tail = b"".join(b"%x%s\r\n%s\r\n" % (len(one), extension, one) for one in pieces)
        tail += b"0\r\n" + trailer + b"\r\n"
    reason = draw(st.sampled_from([b"", b" OK", b" Too Many"]))
    interim = draw(st.sampled_from([b"", b"HTTP/1.1 103 Early\r\nlink: <x>\r\n\r\n"])) * draw(
        st.integers(0, 3)
    )
    data = interim + b"HTTP/1.1 %d%s\r\n" % (status, reason) + b"".join(lines) + b"\r\n" + tail
    return Sent(status, headers, body, framing, data)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({min(place, len(data)) for place in places} | {len(data)})
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def fed(data: bytes, places: Iterable[int] = (), reader: Reader | None = None) -> Reader:
    reader = reader or Reader()
    reader.begin()
    for piece in cut(data, list(places)):
        reader.feed(piece)
    return reader


@given(answers(), CUTS)
def test_any_cut_gives_the_same_answer(sent: Sent, places: list[int]) -> None:
    reader = fed(sent.data, places)
    assert reader.head
    assert not reader.broken
    assert reader.complete is (sent.framing != "end")
    reader.end()
    assert reader.complete
    assert reader.keeps is (sent.framing != "end")
    assert reader.status == sent.status
    headers = joined_headers(reader.raw)
    assert {name: headers[name] for name in sent.headers} == {
        name: value.strip(" \t") for name, value in sent.headers.items()
    }
    assert reader.take() == sent.body
    assert reader.take() == b""


@given(st.lists(answers(["length", "chunked"]), min_size=2, max_size=4), CUTS)
def test_one_answer_after_another(several: list[Sent], places: list[int]) -> None:
    reader = Reader()
    for sent in several:
        fed(sent.data, places, reader)
        assert reader.complete
        assert reader.keeps
        assert (reader.status, reader.take()) == (sent.status, sent.body)


@given(answers(["length", "chunked"]), st.integers(1, 400))
def test_what_is_cut_short_is_never_complete(sent: Sent, missing: int) -> None:
    data = sent.data[:-missing]
    reader = fed(data)
    reader.end()
    assert not reader.complete
    assert not reader.broken


@given(answers(["length", "chunked"]), st.binary(min_size=1, max_size=40), CUTS)
def test_what_follows_is_never_part_of_the_answer(sent: Sent, extra: bytes, places: list[int]) -> None:
    reader = fed(sent.data + extra, places)
    assert reader.complete
    assert not reader.broken
    assert (reader.status, reader.take()) == (sent.status, sent.body)
    assert not reader.keeps or not extra.strip(b"\r\n")


@given(st.binary(max_size=300), CUTS)
@example(b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nx", [])
@example(b"RTSP/1.0 200 OK\r\n\r\n", [3])
def test_junk_breaks_nothing_but_the_answer(junk: bytes, places: list[int]) -> None:
    reader = fed(junk, places)
    reader.end()
    assert not (reader.broken and reader.complete)


@given(
    st.sampled_from([OK, CHUNKED + chunk(b"hello") + b"0\r\n\r\n"]),
    st.integers(0, 80),
    st.binary(max_size=3),
    CUTS,
)
def test_spoiled_bytes_break_nothing_but_the_answer(
    data: bytes, place: int, junk: bytes, places: list[int]
) -> None:
    reader = fed(data[:place] + junk + data[place + 1 :], places)
    reader.end()
    assert not (reader.broken and reader.complete)


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 099 Odd\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 2000 Odd\r\n\r\n",
        b"HTTP/1.1 200 OK\ncontent-length: 0\n\n",
        b"HTTP/1.1 200 OK\r\nx: a\r\n folded\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * MAX_LINE + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * (MAX_HEADERS + 1) + b"\r\n",
        b"HTTP/1.1 200 OK\r\n" + (b"x: " + b"y" * 30_000 + b"\r\n") * 5 + b"\r\n",
    ],
    ids=lambda head: head[9:60],
)
@pytest.mark.parametrize("size", [1 << 20, 1000])
def test_head_that_is_refused(head: bytes, size: int) -> None:
    reader = fed(head, range(0, len(head), size))
    assert reader.broken
    assert not reader.head


def test_head_as_large_as_may_be() -> None:
    lines = b"".join(b"x-%03d: %s\r\n" % (number, b"y" * 490) for number in range(MAX_HEADERS - 1))
    reader = fed(
        b"HTTP/1.1 200 OK\r\n" + lines + b"content-length: 0\r\n\r\n", range(0, MAX_HEADER_BYTES, 999)
    )
    assert reader.complete
    assert len(joined_headers(reader.raw)) == MAX_HEADERS


@pytest.mark.parametrize("line", [b"x: y\r\n", b"x"])
def test_trailers_without_end(line: bytes) -> None:
    reader = fed(CHUNKED + chunk(b"hello") + b"0\r\n")
    for _ in range(MAX_HEADER_BYTES // 1000 * len(line) + 2):
        reader.feed(line * (1000 // len(line)))
    assert reader.broken
    assert reader.take() == b"hello"


def test_trailers_are_no_headers() -> None:
    reader = fed(CHUNKED + b"0\r\nx-late: 1\r\n\r\n")
    assert reader.complete
    assert joined_headers(reader.raw) == {"transfer-encoding": "chunked"}


def test_interim_answers_count_for_nothing() -> None:
    reader = fed(b"HTTP/1.1 103 Early\r\nlink: <x>\r\n\r\n" * 10_000 + OK, range(0, 400_000, 5000))
    assert reader.complete
    assert joined_headers(reader.raw) == {"content-length": "2"}


@pytest.mark.parametrize(
    ("head", "ends"),
    [
        (b"content-length: 5\r\n", False),
        (b"transfer-encoding: chunked\r\n", False),
        (b"transfer-encoding: gzip, Chunked\r\n", False),
        (b"transfer-encoding: gzip\r\n", True),
        (b"transfer-encoding: chunked, identity\r\n", True),
        (b"", True),
    ],
)
def test_which_body_ends_with_the_connection(head: bytes, ends: bool) -> None:
    reader = fed(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n")
    reader.end()
    assert reader.complete is ends
    assert not reader.keeps


@pytest.mark.parametrize("head", [b"HTTP/1.0 200 OK\r\n", b"HTTP/1.1 200 OK\r\nconnection: close\r\n"])
def test_connection_that_serves_once(head: bytes) -> None:
    reader = fed(head + b"content-length: 2\r\n\r\nhi")
    assert reader.complete
    assert not reader.keeps


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_status_without_body(status: bytes) -> None:
    reader = fed(b"HTTP/1.1 %s\r\ncontent-length: 5\r\n\r\n" % status)
    assert reader.complete
    assert reader.keeps


def test_answer_to_head() -> None:
    reader = Reader()
    reader.begin(bodiless=True)
    reader.feed(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n")
    assert reader.complete
    assert not reader.broken
    assert not reader.keeps


def test_an_interrupt_inside_the_parser_comes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(reader: Reader, name: bytes, value: bytes) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Reader, "on_header", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fed(OK)
