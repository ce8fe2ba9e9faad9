"""The attempt log: JSON lines, one for each attempt, to profiles and calls; and the other way round.

A line has the fields of an Attempt, and of its call: `call` (any text or number that is the same for all attempts of a
call), `at` (seconds, or an ISO time, at which the call began), and where known `stream`, `deadline_s` and `session`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from attrs import frozen

from llmcore.loader.text import Notes
from llmcore.simulate.profile import Call, Profile
from llmcore.simulate.shapes import Measured
from llmcore.simulate.ways import WAYS
from llmcore.types import Attempt

MAX_SAMPLES = 2000
"""Figures kept of one distribution; more of them are thinned out evenly."""
_NOT_THEIRS = frozenset({"success", "cancelled", "TotalTimeout", "PoolTimeout", "AllProvidersFailed"})
_FEW_SECONDS = 1e-6


@frozen
class Logged:
    """What a log tells. length: seconds from the first call to the last."""

    profiles: tuple[Profile, ...]
    calls: tuple[Call, ...]
    length: float


@frozen
class Line:
    """One attempt of a log, as far as it says."""

    call: str
    at: float
    provider: str
    outcome: str
    duration_s: float | None
    first_token_s: float | None
    input_tokens: int | None
    output_tokens: int | None
    stream: bool | None
    deadline: float | None
    session: str | None


def read_log(path: Path, notes: Notes) -> Logged | None:
    """The profiles and calls in a log; None after complaints."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        notes.error("log", f"{path} cannot be read: {reason}")
        return None
    lines: list[Line] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                lines.append(_line(json.loads(line)))
            except (ValueError, TypeError, KeyError, OverflowError) as exc:
                what = f"has no {exc}" if isinstance(exc, KeyError) else str(exc)
                notes.error(
                    f"log, line {number}", f"is no attempt: {what}; docs/simulate.md describes the format"
                )
                return None
    if not lines:
        notes.error("log", f"{path} holds no attempts")
        return None
    return logged(lines)


def logged(lines: Sequence[Line]) -> Logged:
    """What the attempts tell: a profile of each provider, and the calls in the order of time."""
    by_provider: dict[str, list[Line]] = {}
    by_call: dict[str, list[Line]] = {}
    for line in lines:
        by_provider.setdefault(line.provider, []).append(line)
        by_call.setdefault(line.call, []).append(line)
    profiles = tuple(_profile(name, made) for name, made in sorted(by_provider.items()))
    began = min(line.at for line in lines)
    calls = sorted((_call(made, began) for made in by_call.values()), key=lambda call: call.at)
    numbered = tuple(
        Call(
            number, call.at, call.prompt_tokens, call.answer_tokens, call.stream, call.deadline, call.session
        )
        for number, call in enumerate(calls)
    )
    return Logged(profiles, numbered, numbered[-1].at + 1.0)


def lines_of(attempts: Iterable[tuple[Call, tuple[Attempt, ...]]]) -> Iterator[str]:
    """The log of simulated calls, in their order: one line for each attempt."""
    for call, made in sorted(attempts, key=lambda item: item[0].number):
        of_call: dict[str, Any] = {"call": call.number, "at": round(call.at, 6), "stream": call.stream}
        of_call |= {} if call.deadline is None else {"deadline_s": call.deadline}
        of_call |= {} if call.session is None else {"session": call.session}
        for attempt in made:
            yield json.dumps({**of_call, **_fields(attempt)})


def _fields(attempt: Attempt) -> dict[str, Any]:
    usage = attempt.usage
    cost = usage.cost_usd
    return {
        "provider": attempt.provider,
        "model": attempt.model,
        "outcome": attempt.outcome,
        "status": attempt.status,
        "duration_s": _rounded(attempt.duration_s),
        "started_s": _rounded(attempt.started_s),
        "wait_s": _rounded(attempt.wait_s),
        "why": attempt.why,
        "key": attempt.key,
        "phase": attempt.phase,
        "first_token_s": _rounded(attempt.first_token_s),
        "usage": {
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "cost_usd": None if cost is None else str(cost),
        },
        "counted": attempt.counted,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


# ------------------------------------------------------------------------------------------------ reading


def _line(value: Any) -> Line:
    """Raises ValueError, TypeError or KeyError where it is no attempt."""
    if not isinstance(value, Mapping):
        msg = "not a JSON object"
        raise TypeError(msg)
    usage = value.get("usage") or {}
    stream = value.get("stream")
    return Line(
        str(value["call"]),
        _instant(value["at"]),
        str(value["provider"]),
        str(value["outcome"]),
        _number(value.get("duration_s")),
        _number(value.get("first_token_s")),
        _tokens(usage.get("input_tokens")),
        _tokens(usage.get("output_tokens")),
        bool(stream) if stream is not None else None,
        _number(value.get("deadline_s")),
        None if value.get("session") is None else str(value["session"]),
    )


def _instant(value: Any) -> float:
    if isinstance(value, str):
        moment = datetime.fromisoformat(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return float(value)


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _tokens(value: Any) -> int | None:
    return None if value is None else int(value)


# ----------------------------------------------------------------------------------------------- profiles


def _profile(name: str, made: Sequence[Line]) -> Profile:
    """First tokens and speeds as measured, and the share of each class of error."""
    good = [line for line in made if line.outcome == "success"]
    firsts = [line.first_token_s for line in good if line.first_token_s is not None]
    speeds = [speed for line in good if (speed := _speed(line)) is not None]
    if not firsts:
        firsts = [line.duration_s for line in good if line.duration_s is not None]
    known: dict[str, Any] = {}
    if firsts:
        known["first_token"] = Measured(thinned(firsts))
    if speeds:
        known["speed"] = Measured(thinned(speeds))
    failed = Counter(line.outcome for line in made if line.outcome not in _NOT_THEIRS)
    errors = tuple((failed[kind] / len(made), WAYS.get(kind, WAYS["500"])) for kind in sorted(failed))
    return Profile(name, errors=errors, **known)


def _speed(line: Line) -> float | None:
    """Tokens per second after the first one."""
    if line.first_token_s is None or line.duration_s is None or (line.output_tokens or 0) < 2:
        return None
    span = line.duration_s - line.first_token_s
    return ((line.output_tokens or 0) - 1) / span if span > _FEW_SECONDS else None


def thinned(values: Sequence[float]) -> list[float]:
    """At most MAX_SAMPLES of them, in rising order, evenly chosen, the lowest and the highest among them."""
    ordered = sorted(values)
    if len(ordered) <= MAX_SAMPLES:
        return ordered
    last = len(ordered) - 1
    return [ordered[round(place * last / (MAX_SAMPLES - 1))] for place in range(MAX_SAMPLES)]


def _call(made: Sequence[Line], began: float) -> Call:
    """The call that these attempts were made for; sizes as its best-informed attempt counted them."""
    prompts = [line.input_tokens for line in made if line.input_tokens]
    answers = [line.output_tokens for line in made if line.output_tokens and line.outcome == "success"]
    said = [line.stream for line in made if line.stream is not None]
    stream = said[0] if said else any(line.first_token_s is not None for line in made)
    deadlines = [line.deadline for line in made if line.deadline is not None]
    sessions = [line.session for line in made if line.session is not None]
    return Call(
        0,
        min(line.at for line in made) - began,
        max(prompts, default=1),
        max(answers, default=1),
        stream,
        deadlines[0] if deadlines else None,
        sessions[0] if sessions else None,
    )
