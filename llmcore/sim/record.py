"""What the simulator remembers of each request, and its counters; shown as JSON with credentials masked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

import attrs
from attrs import define, field, frozen

from llmcore.sim.faults import Fault
from llmcore.sim.http import HttpRequest
from llmcore.sim.values import NO_COUNTS, ApiError, Counts, Understood

_SECRET = {
    "authorization",
    "proxy-authorization",
    "api-key",
    "x-api-key",
    "x-goog-api-key",
    "xi-api-key",
    "cookie",
}
_SECRET_QUERY = re.compile(r"(?<=[?&])(key|api[-_]key|access_token)=[^&]*")

Outcome = Literal["open", "answered", "broken", "left"]


@define
class Record:
    """One request and what came of it.

    outcome: "open" (still being answered), "answered", "broken" (a fault ended it), "left" (the client went away
    first). error: why the dialect refused it. `request.headers` hold the true credentials; `as_json` masks them.
    """

    number: int
    at: float
    request: HttpRequest = field(repr=False)
    place: str = ""
    dialect: str = ""
    understood: Understood | None = None
    error: ApiError | None = None
    fault: Fault | None = None
    status: int = 0
    counts: Counts = NO_COUNTS
    outcome: Outcome = "open"
    sent_tokens: int = 0
    ended_at: float | None = None

    @property
    def path(self) -> str:
        return self.request.target.partition("?")[0]

    def as_json(self) -> dict[str, Any]:
        body = self.request.body
        return {
            "number": self.number,
            "at": self.at,
            "ended_at": self.ended_at,
            "method": self.request.method,
            "target": _SECRET_QUERY.sub(r"\1=***", self.request.target),
            "place": self.place,
            "dialect": self.dialect,
            "status": self.status,
            "outcome": self.outcome,
            "counts": attrs.asdict(self.counts),
            "sent_tokens": self.sent_tokens,
            "error": None if self.error is None else {"kind": self.error.kind, "message": self.error.message},
            "fault": None if self.fault is None else _plain(self.fault, Fault()),
            "understood": None if self.understood is None else _plain(self.understood, None),
            "headers": masked(self.request.headers),
            "body": body.decode("utf-8", "backslashreplace"),
        }


def masked(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: "***" if name in _SECRET else value for name, value in headers.items()}


def _plain(value: Any, usual: Any) -> dict[str, Any]:
    """Fields as JSON values, without those that are None, empty, or as `usual` has them."""
    fields = attrs.asdict(value)
    if usual is not None:
        return {key: item for key, item in fields.items() if item != getattr(usual, key)}
    return _without_none(fields)  # type: ignore[no-any-return]  # a dict stays one


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [_without_none(item) for item in value]
    return value


@frozen
class Counters:
    """Totals since start or reset; tokens count only for answers that went out whole."""

    requests: int = 0
    answered: int = 0
    refused: int = 0
    broken: int = 0
    left: int = 0
    connections: int = 0
    connections_open: int = 0
    in_flight: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


class Tally:
    """The counters at work."""

    def __init__(self) -> None:
        self._n = dict.fromkeys((entry.name for entry in attrs.fields(Counters)), 0)

    def add(self, name: str, by: int = 1) -> None:
        self._n[name] += by

    def clear(self) -> None:
        """Zero, but for what is going on right now."""
        kept = {name: self._n[name] for name in ("connections_open", "in_flight")}
        self._n = {**dict.fromkeys(self._n, 0), **kept}

    def end(self, record: Record, outcome: Outcome, now: float) -> None:
        """A request is over."""
        record.outcome, record.ended_at = outcome, now
        self.add("in_flight", -1)
        if outcome == "answered" and record.status >= 400:
            self.add("refused")
            return
        self.add(outcome)
        if outcome == "answered":
            self.add("input_tokens", record.counts.input)
            self.add("output_tokens", record.counts.output)

    def snapshot(self) -> Counters:
        return Counters(**self._n)
