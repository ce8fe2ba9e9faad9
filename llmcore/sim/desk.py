"""From one HTTP request to the steps of its answer. Decides everything, performs nothing: no socket here."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from email.utils import formatdate
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from llmcore.sim.checks import check_key, check_meaning
from llmcore.sim.control import control
from llmcore.sim.dialects.base import Ask, Dialect, error_of
from llmcore.sim.dialects.replicate import ReplicateDialect
from llmcore.sim.faults import Fault
from llmcore.sim.http import HttpRequest
from llmcore.sim.limits import Gate
from llmcore.sim.model import answer, input_tokens
from llmcore.sim.places import Places
from llmcore.sim.plan import Speed, plan, status_line
from llmcore.sim.record import Record, Tally
from llmcore.sim.script import Script, ScriptRun, Subject
from llmcore.sim.steps import Send, Step
from llmcore.sim.values import NO_COUNTS, Answer, ApiError, Counts, Frame, Reply, Understood, whole
from llmcore.sim.vectors import embed

DEFAULT_MODELS = ("sim-small", "sim-large", "sim-embed")
_REMEMBERED = 10_000
_CACHED = 512
_CACHED_BYTES = 64 * 1024


@frozen
class Heard:
    """A request understood, and its answer; the same bytes give the same one, so it is kept.

    burst: status line and the rest of the whole answer, where it can go out at once.
    """

    place: str
    dialect: Dialect
    ask: Ask
    understood: Understood | None = None
    error: ApiError | None = None
    answer: Answer | None = None
    reply: Reply | None = None
    counts: Counts = NO_COUNTS
    burst: tuple[bytes, bytes] | None = None


class Desk:
    """Everything a simulator knows: dialects, script, limits, what it was asked, and its counters."""

    def __init__(
        self,
        *,
        dialects: Iterable[str] | None,
        speed: Speed,
        script: Script,
        api_key: str | None,
        models: Sequence[str],
        seed: int,
        now: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self.places: Places = Places(dialects)
        self.speed = speed
        self.api_key = api_key
        self.models: tuple[str, ...] = tuple(models)
        self.seed = seed
        self.now = now
        self.wall = wall
        self.tally: Tally = Tally()
        self.records: deque[Record] = deque(maxlen=_REMEMBERED)
        self._numbers = 0
        self._cache: dict[bytes, Heard] = {}
        self._date = (0, b"")
        self.set_script(script)

    def set_script(self, source: Script | dict[str, Any] | str | Path | None) -> None:
        """A new script, from its beginning. Raises ConfigurationError; then the old one stays."""
        script = Script.of(source)
        self.run: ScriptRun = ScriptRun(script, seed=self.seed, now=self.now())
        self._gate = Gate(script.limits, self.now)

    def reset(self) -> None:
        """Forget what was asked; rules count from the beginning again."""
        self.records.clear()
        self.tally.clear()
        self.set_script(self.run.script)

    # ----------------------------------------------------------------------------------------- one request

    def answer(
        self, request: HttpRequest, origin: str, *, reused: bool
    ) -> tuple[Record | None, tuple[Step, ...]]:
        """The record (None for the simulator's own pages) and the steps of the answer."""
        if request.target.startswith("/_sim/"):
            return None, plan(control(self, request), keep_alive=request.keep_alive, http10=request.http10)
        heard = self._heard(request, origin)
        record = self._record(request, heard)
        record.fault = fault = self.run.fault_for(_subject(heard, reused=reused), self.now())
        limited = None if self._gate.is_open else self._gate.refusal(heard.counts.input + heard.counts.output)
        if fault is None and limited is None and heard.burst is not None:
            record.status, record.counts = 200, heard.counts
            line, rest = heard.burst
            return record, (Send(line + self._headers(heard, record) + rest, heard.counts.output),)
        reply, record.counts = self._reply(heard, fault, limited)
        record.status = reply.status
        return record, plan(
            reply,
            fault,
            self.speed,
            headers=self._headers(heard, record),
            http10=request.http10,
            keep_alive=request.keep_alive,
            broken=_broken(heard.dialect, fault),
        )

    def _record(self, request: HttpRequest, heard: Heard) -> Record:
        self._numbers += 1
        self.tally.add("requests")
        self.tally.add("in_flight")
        record = Record(
            self._numbers, self.now(), request, heard.place, heard.dialect.name, heard.understood, heard.error
        )
        self.records.append(record)
        return record

    def _headers(self, heard: Heard, record: Record) -> bytes:
        """The headers that differ from answer to answer: date, request id, rate limits."""
        second = int(self.wall())
        if second != self._date[0]:
            self._date = (
                second,
                f"date: {formatdate(second, usegmt=True)}\r\nserver: llmcore-sim\r\n".encode(),
            )
        headers = heard.dialect.request_id(f"{record.number:012d}")
        if not self._gate.is_open:
            headers += self._gate.headers(heard.dialect)
        return self._date[1] + "".join(f"{name}: {value}\r\n" for name, value in headers).encode()

    # -------------------------------------------------------------------------------------- understanding

    def _heard(self, request: HttpRequest, origin: str) -> Heard:
        if (kept := self._cache.get(request.raw)) is not None:
            return kept
        heard = self._understood(request, origin)
        if heard.dialect.cacheable and len(request.raw) <= _CACHED_BYTES:
            if len(self._cache) >= _CACHED:
                self._cache.clear()
            heard = self._with_burst(heard, request)
            self._cache[request.raw] = heard
        return heard

    def _understood(self, request: HttpRequest, origin: str) -> Heard:
        ask = Ask.of(request.method, request.target, request.headers, request.body, origin)
        place, dialect, ask = self.places.find(ask)
        heard = Heard(place, dialect, ask)
        try:
            dialect.route(ask)
            check_key(dialect, ask, self.api_key)
            asked = dialect.understand(ask)
            heard = evolve(heard, understood=asked)
            check_meaning(asked, self.models)
            return self._answered(heard, asked)
        except ApiError as error:
            return evolve(heard, error=error)

    def _answered(self, heard: Heard, asked: Understood, at_least: int = 0) -> Heard:
        dialect = heard.dialect
        match asked.operation:
            case "generate":
                said = answer(asked, seed=self.seed, at_least=at_least)
                reply = None if isinstance(dialect, ReplicateDialect) else dialect.reply(asked, said)
                return evolve(heard, answer=said, counts=said.counts, reply=reply)
            case "embed":
                tokens = input_tokens(asked)
                vectors = [embed(text, asked.dimensions or dialect.dimensions) for text in asked.inputs]
                return evolve(heard, counts=Counts(tokens), reply=dialect.embedded(asked, vectors, tokens))
            case "count":
                return evolve(heard, reply=dialect.counted(asked, input_tokens(asked)))
            case "models":
                return evolve(heard, reply=dialect.listed(asked, self.models or DEFAULT_MODELS))
            case _:
                return heard

    def _with_burst(self, heard: Heard, request: HttpRequest) -> Heard:
        if (
            heard.reply is None
            or heard.reply.status != 200
            or self.speed != Speed()
            or not request.keep_alive
        ):
            return heard
        (step,) = plan(heard.reply, keep_alive=True, http10=request.http10) if not request.http10 else (None,)
        if not isinstance(step, Send):
            return heard
        line = status_line(200)
        return evolve(heard, burst=(line, step.data.removeprefix(line)))

    # ------------------------------------------------------------------------------------------ answering

    def _reply(self, heard: Heard, fault: Fault | None, limited: ApiError | None) -> tuple[Reply, Counts]:
        if fault is not None and fault.replaces_answer:
            return _faulty(heard, fault), Counts()
        if limited is not None:
            return heard.dialect.refused(limited), Counts()
        if heard.error is not None or heard.understood is None:
            return heard.dialect.refused(heard.error or ApiError("endpoint", "Not found")), Counts()
        asked = heard.understood
        if fault is not None and asked.operation == "generate":
            heard = self._reshaped(heard, asked, fault)
        if isinstance(heard.dialect, ReplicateDialect) and heard.reply is None:
            return self._replicate(heard.dialect, heard, asked, fault)
        assert heard.reply is not None
        return heard.reply, heard.counts

    def _reshaped(self, heard: Heard, asked: Understood, fault: Fault) -> Heard:
        """The answer made long enough for the fault, or plain where the fault wants that."""
        if fault.plain:
            asked = evolve(asked, stream=False)
        elif not fault.tokens_needed:
            return heard
        return self._answered(heard, asked, fault.tokens_needed)

    def _replicate(
        self, dialect: ReplicateDialect, heard: Heard, asked: Understood, fault: Fault | None
    ) -> tuple[Reply, Counts]:
        if heard.answer is None:
            try:
                return dialect.again(asked, self.now()), Counts()
            except ApiError as error:
                return dialect.refused(error), Counts()
        speed = self.speed if fault is None else self.speed.with_fault(fault)
        takes = speed.first_token_s + speed.per_token_s * max(heard.answer.counts.output - 1, 0)
        polls = (fault.polls if fault else None) or 0
        origin = heard.ask.origin
        reply = dialect.begin(asked, heard.answer, origin, now=self.now(), takes=takes, polls=polls)
        return reply, heard.counts


def _subject(heard: Heard, *, reused: bool) -> Subject:
    asked = heard.understood
    model, stage = (asked.model if asked else None), "whole"
    if isinstance(heard.dialect, ReplicateDialect) and asked is not None:
        run = heard.dialect.predictions.get(asked.target or "")
        model = run.asked.model if run else model
        stage = {"generate": "begin", "events": "events"}.get(asked.operation, "follow")
        stage = "whole" if asked.wait_s is not None else stage
    stream = bool(asked and (asked.stream or asked.operation == "events"))
    return Subject(heard.place, heard.dialect.name, heard.ask.path, model, stream, reused, stage)


def _broken(dialect: Dialect, fault: Fault | None) -> Frame | None:
    if fault is None or fault.error_after_events is None:
        return None
    return dialect.broken(error_of(fault.error, fault.status, fault.message, fault.retry_after))


def _faulty(heard: Heard, fault: Fault) -> Reply:
    """What a fault puts in the answer's place."""
    error = error_of(fault.error, fault.status, fault.message, fault.retry_after)
    if fault.echo_key:
        error.message = f"{error.message} (you sent: {heard.dialect.key_of(heard.ask)})"
    reply = heard.dialect.refused(error)
    if fault.body is not None:
        kind = fault.content_type or "application/json"
        return whole(fault.body.encode("utf-8", "surrogateescape"), fault.status or 200, content_type=kind,
                     headers=reply.headers)  # fmt: skip
    return reply
