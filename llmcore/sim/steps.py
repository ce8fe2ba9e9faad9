"""What happens on a connection, one after the other; and where a fault breaks the steps off."""

from __future__ import annotations

from typing import TypeAlias

from attrs import evolve, frozen

from llmcore.sim.faults import Fault
from llmcore.sim.values import Reply


@frozen
class Send:
    """Bytes, and how many tokens they carry."""

    data: bytes
    tokens: int = 0


@frozen
class Wait:
    """Nothing for so long."""

    seconds: float


@frozen
class Hang:
    """Nothing more, for ever; the connection stays open until the client leaves."""


@frozen
class Close:
    """The end of the connection: FIN, or RST."""

    reset: bool = False


@frozen
class Flood:
    """The same bytes for ever, as fast as the client reads, with a pause after each."""

    data: bytes
    pause_s: float = 0.0


Step: TypeAlias = Send | Wait | Hang | Close | Flood

END = Send(b"")
"""The proper end of a body."""


# ------------------------------------------------------------------------------------------- cuts and stalls


def broken_off(steps: list[Step], fault: Fault, reply: Reply) -> list[Step]:
    """The steps up to where the fault breaks them off; a whole body ends with an empty Send."""
    if fault.cut_after == "headers":
        return [_ending(fault)]
    if fault.comment_every_s is not None:
        return [Flood(b": keep-alive\n\n", fault.comment_every_s)]
    if fault.flood:
        return [*steps, Flood(b"x" * 65_536)]
    if (at := fault.cut_after_bytes) is not None:
        return [*_first_bytes(steps, at), _ending(fault)]
    if (at := fault.cut_after_events) is not None:
        return [*_first_events(steps, at, reply), _ending(fault)]
    if (at := fault.stall_after_bytes) is not None:
        return _stalled(steps, _first_bytes(steps, at), fault)
    if (at := fault.stall_after_events) is not None:
        return _stalled(steps, _first_events(steps, at, reply), fault)
    return [*steps, END]


def _ending(fault: Fault) -> Step:
    return END if fault.cut_how == "end" else Close(reset=fault.cut_how == "reset")


def _stalled(steps: list[Step], begun: list[Step], fault: Fault) -> list[Step]:
    if fault.stall_s is None:
        return [*begun, Hang()]
    sent = sum(len(step.data) for step in begun if isinstance(step, Send))
    return [*begun, Wait(fault.stall_s), *_after_bytes(steps, sent), END]


def _first_events(steps: list[Step], events: int, reply: Reply) -> list[Step]:
    if not reply.streamed:
        length = sum(len(step.data) for step in steps if isinstance(step, Send))
        return _first_bytes(steps, length // 2)
    sends = [step for step in steps if isinstance(step, Send) and step.tokens]
    if len(sends) <= events:
        return _until_end(steps)
    at = _position(steps, events)
    while at and isinstance(steps[at - 1], Wait):
        at -= 1
    return steps[:at]


def _position(steps: list[Step], events: int) -> int:
    seen = 0
    for at, step in enumerate(steps):
        if isinstance(step, Send) and step.tokens:
            if seen == events:
                return at
            seen += 1
    return len(steps)


def _until_end(steps: list[Step]) -> list[Step]:
    """Up to the last visible step: too few events to cut among them."""
    visible = [at for at, step in enumerate(steps) if isinstance(step, Send) and step.tokens]
    return steps[: visible[-1] + 1] if visible else steps[:1]


def _first_bytes(steps: list[Step], limit: int) -> list[Step]:
    kept: list[Step] = []
    for step in steps:
        if isinstance(step, Send):
            if limit <= 0:
                break
            step = evolve(step, data=step.data[:limit])  # noqa: PLW2901 - the cut one
            limit -= len(step.data)
        kept.append(step)
    return kept


def _after_bytes(steps: list[Step], offset: int) -> list[Step]:
    kept: list[Step] = []
    for step in steps:
        if isinstance(step, Send):
            skipped = min(offset, len(step.data))
            offset -= skipped
            if skipped == len(step.data):
                continue
            step = evolve(step, data=step.data[skipped:])  # noqa: PLW2901 - the rest of it
        elif offset:
            continue
        kept.append(step)
    return kept
