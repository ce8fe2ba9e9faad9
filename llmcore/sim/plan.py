"""From an answer and a fault to what happens on the connection: a list of steps, decided before the first byte goes.

Pure: the server performs the steps, nothing here touches a socket or a clock.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from itertools import pairwise

from attrs import evolve, frozen

from llmcore.sim.faults import Fault
from llmcore.sim.steps import END, Close, Flood, Hang, Send, Step, Wait, broken_off
from llmcore.sim.values import Frame, Reply


@frozen
class Speed:
    """first_token_s: before the first token. per_token_s: between two tokens."""

    first_token_s: float = 0.0
    per_token_s: float = 0.0

    def with_fault(self, fault: Fault) -> Speed:
        first, rate = fault.first_token_delay_s, fault.tokens_per_second
        return Speed(self.first_token_s if first is None else first, 1 / rate if rate else self.per_token_s)


_NO_FAULT = Fault()
_NO_SPEED = Speed()
_BEFORE_RESET = 0.02
"""Seconds in which the bytes before a reset reach the reader; a reset may overtake them otherwise."""
_HTTP_ONLY_CLOSE = b"connection: close\r\n"


def plan(
    reply: Reply,
    fault: Fault | None = None,
    speed: Speed = _NO_SPEED,
    *,
    headers: bytes = b"",
    http10: bool = False,
    keep_alive: bool = True,
    broken: Frame | None = None,
) -> tuple[Step, ...]:
    """The steps of one answer. `headers`: more header lines, each with its CRLF. `broken`: the vendor's error event.

    The last step is a Close where the connection cannot be used again.
    """
    fault = fault or _NO_FAULT
    if (early := _no_answer(fault)) is not None:
        return early
    speed = speed.with_fault(fault)
    frames = _edited(reply, fault, broken)
    steps: list[Step] = (
        [*_paced(frames, speed)] if reply.streamed else [Send(f.data, f.tokens) for f in frames]
    )
    steps, length = _encoded(steps, fault)
    steps = broken_off(steps, fault, reply)
    if fault.cut_how == "end":
        length = _length(steps)
    chunked = reply.streamed and not http10 and fault.content_length_off is None
    keep_alive = keep_alive and not (reply.streamed and http10)
    head = _head(reply, fault, headers, chunked=chunked, length=length, keep_alive=keep_alive)
    body = [*_framed(steps, fault)] if chunked else [step for step in steps if step != END]
    waits = _waits_before(reply, fault, speed)
    done: list[Step] = [] if keep_alive and not fault.content_length_off else [Close()]
    return tuple(_joined([*waits, *_head_steps(head, fault), *_slowed(body, fault), *done], fault))


def _no_answer(fault: Fault) -> tuple[Step, ...] | None:
    first: tuple[Step, ...] = (Wait(fault.delay_s),) if fault.delay_s else ()
    if fault.silent:
        return (Hang(),)
    if fault.reset or fault.refuse_s is not None:
        return (*first, Close(reset=True))
    if fault.close:
        return (*first, Close())
    return None


def _waits_before(reply: Reply, fault: Fault, speed: Speed) -> list[Step]:
    seconds = (fault.delay_s or 0.0) + reply.wait_s
    if not reply.streamed and not reply.instant:
        seconds += speed.first_token_s + speed.per_token_s * max(reply.tokens - 1, 0)
    return [Wait(seconds)] if seconds > 0 else []


# ------------------------------------------------------------------------------------------------ the frames


def _edited(reply: Reply, fault: Fault, broken: Frame | None) -> list[Frame]:
    if reply.status in {204, 304}:
        return []
    frames = [frame for frame in reply.frames if not frame.role or frame.role not in fault.drop]
    if reply.streamed:
        if fault.malformed_after_events is not None:
            frames = _inserted(frames, fault.malformed_after_events, [Frame(_malformed(frames), 1)])
        if fault.error_after_events is not None and broken is not None:
            at = _index_after(frames, fault.error_after_events)
            frames = [*frames[:at], broken]
        comments = Frame(b": keep-alive\n\n" * (fault.comments or 0))
        frames = [comments, *frames] if fault.comments else frames
    for old, new in fault.replace:
        frames = [
            evolve(f, data=f.data.replace(old.encode(), new.encode("utf-8", "surrogateescape")))
            for f in frames
        ]
    if fault.newline:
        ending = {"crlf": b"\r\n", "cr": b"\r"}[fault.newline]
        frames = [evolve(frame, data=frame.data.replace(b"\n", ending)) for frame in frames]
    if fault.long_line_mb:
        frames = [Frame(b"data: " + b"x" * (fault.long_line_mb * 1_000_000)), *frames]
    if fault.bom and frames:
        frames = [Frame(b"\xef\xbb\xbf"), *frames]
    return [*frames, Frame(fault.trailing.encode())] if fault.trailing else frames


def _malformed(frames: Sequence[Frame]) -> bytes:
    """A visible frame of this stream whose JSON stops in its middle."""
    sample = next((frame.data for frame in frames if frame.tokens), b"data: {}\n\n")
    line_end = b"\n\n" if sample.endswith(b"\n\n") else b"\n"
    return sample.rstrip(b"\n")[: -len(sample) // 3] + line_end


def _inserted(frames: list[Frame], events: int, new: list[Frame]) -> list[Frame]:
    at = _index_after(frames, events)
    return [*frames[:at], *new, *frames[at:]]


def _index_after(frames: Sequence[Frame | Step], events: int) -> int:
    """Where `events` visible frames have passed: before the next visible one, or before the end begins."""
    seen = 0
    for at, frame in enumerate(frames):
        tokens = getattr(frame, "tokens", 0)
        if getattr(frame, "role", "") or (tokens and seen == events):
            return at
        seen += bool(tokens)
    return len(frames)


def _paced(frames: Iterable[Frame], speed: Speed) -> Iterable[Step]:
    first = True
    for frame in frames:
        if frame.tokens:
            seconds = speed.first_token_s if first else speed.per_token_s
            first = False
            if seconds > 0:
                yield Wait(seconds)
        yield Send(frame.data, frame.tokens)


def _encoded(steps: list[Step], fault: Fault) -> tuple[list[Step], int]:
    """The steps in the content encoding that the fault wants, and the length of the body."""
    if fault.encoding == "gzip-bomb":
        bomb = gzip_bomb(1000)
        return [Send(bomb)], len(bomb)
    if fault.encoding in {"gzip", "gzip-truncated"}:
        packer = zlib.compressobj(6, zlib.DEFLATED, 31)
        steps = [_packed(step, packer) for step in steps]
        if fault.encoding == "gzip":
            steps.append(Send(packer.flush()))
    return steps, _length(steps)


def _length(steps: list[Step]) -> int:
    return sum(len(step.data) for step in steps if isinstance(step, Send))


def gzip_bomb(megabytes: int) -> bytes:
    """Gzip that unpacks to so many megabytes of spaces; its checksum is left out, nobody should get that far."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    start = packer.compress(b" ") + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(b" " * 1_000_000) + packer.flush(zlib.Z_FULL_FLUSH)
    return start + block * megabytes


def _packed(step: Step, packer: zlib._Compress) -> Step:
    if not isinstance(step, Send):
        return step
    return evolve(step, data=packer.compress(step.data) + packer.flush(zlib.Z_SYNC_FLUSH))


# ------------------------------------------------------------------------------------------------------ HTTP


def status_line(status: int) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Status"
    return f"HTTP/1.1 {status} {phrase}\r\n".encode()


def _head(
    reply: Reply, fault: Fault, more: bytes, *, chunked: bool, length: int, keep_alive: bool
) -> list[bytes]:
    """The pieces of the head: informational answers, the status line, the header lines."""
    lines = [f"content-type: {fault.content_type or reply.content_type}\r\n".encode()]
    if fault.content_type == "":
        lines = []
    lines += [f"{name}: {value}\r\n".encode("utf-8", "surrogateescape") for name, value in reply.headers]
    lines += [
        f"{name}: {value}\r\n".encode("utf-8", "surrogateescape") for name, value in fault.headers.items()
    ]
    if chunked:
        lines.append(b"transfer-encoding: chunked\r\n")
    if (
        (not reply.streamed and reply.status != 204)
        or fault.chunks == "both-lengths"
        or (not chunked and keep_alive)
    ):
        lines.append(b"content-length: %d\r\n" % max(length + (fault.content_length_off or 0), 0))
    if fault.encoding:
        lines.append(b"content-encoding: gzip\r\n")
    lines += [b"x-filler-%d: x\r\n" % at for at in range(fault.extra_headers or 0)]
    if fault.header_kb:
        lines.append(b"x-big: " + b"x" * (fault.header_kb * 1000) + b"\r\n")
    if fault.bad_header:
        lines.append(b"x-bad\x00 header: \x01\r\n")
    if not keep_alive:
        lines.append(_HTTP_ONLY_CLOSE)
    early = b"".join(status_line(status) + b"\r\n" for status in fault.informational)
    return [early, status_line(reply.status), more + b"".join(lines) + b"\r\n"]


def _head_steps(head: list[bytes], fault: Fault) -> list[Step]:
    early, line, lines = head
    if fault.cut_after == "status_line":
        return [Send(early + line), Close(reset=fault.cut_how == "reset")]
    if not fault.header_byte_delay_s:
        return [Send(early + line + lines)]
    letters = [bytes([letter]) for letter in early + line + lines]
    return [step for letter in letters for step in (Send(letter), Wait(fault.header_byte_delay_s))]


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _framed(steps: list[Step], fault: Fault) -> Iterable[Step]:
    for step in steps:
        if isinstance(step, Flood):
            yield Flood(chunk(step.data), step.pause_s)
        elif not isinstance(step, Send):
            yield step
        elif step.data:
            bad = fault.chunks == "bad-size" and step.tokens
            yield Send(b"zz\r\n" + step.data if bad else chunk(step.data), step.tokens)
        elif fault.chunks == "no-final":
            yield Close()
        elif step == END:
            yield Send(b"0\r\n\r\n")


def _slowed(steps: list[Step], fault: Fault) -> list[Step]:
    if not fault.byte_delay_s and not fault.split:
        return steps
    size = 1 if fault.byte_delay_s else fault.split or 1
    slow: list[Step] = []
    for step in steps:
        if not isinstance(step, Send):
            slow.append(step)
            continue
        pieces = [step.data[at : at + size] for at in range(0, len(step.data), size)]
        for at, data in enumerate(pieces):
            slow += (Send(data, step.tokens if at == 0 else 0), Wait(fault.byte_delay_s or 0.0))
    return slow


def _joined(steps: list[Step], fault: Fault) -> Iterable[Step]:
    """Neighbouring sends as one, and nothing after the connection is gone."""
    if not steps:
        return
    bulk: list[bytes] = []
    tokens = 0
    for step, following in pairwise([*steps, None]):
        if isinstance(step, Send):
            bulk.append(step.data)
            tokens += step.tokens
            if isinstance(following, Send):
                continue
            yield Send(b"".join(bulk), tokens)
            bulk, tokens = [], 0
        elif step is not None:
            yield step
        if isinstance(step, (Close, Hang, Flood)):
            return
        if isinstance(step, Send) and isinstance(following, Close) and following.reset:
            yield Wait(_BEFORE_RESET)
