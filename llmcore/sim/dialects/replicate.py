"""Replicate predictions: create, wait, poll, stream, cancel; the only dialect that remembers what it was asked."""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from attrs import define, evolve

from llmcore.sim.dialects.base import Ask, Dialect, dumps
from llmcore.sim.dialects.openai import media_of_url
from llmcore.sim.tokens import tokens_of
from llmcore.sim.values import (
    Answer,
    ApiError,
    ErrorKind,
    Frame,
    Operation,
    Part,
    Reply,
    Text,
    Turn,
    Understood,
    whole,
)

_ID = r"(?P<id>[\w.-]+)"
_V = r"(?:/v1)?"
_REMEMBERED = 10_000
_CREATED = "2026-11-21T00:00:00Z"


@define
class Prediction:
    """One run: when it began, how long it takes, what it will have said, and whether it was cancelled."""

    id: str
    asked: Understood
    answer: Answer
    origin: str
    began: float
    takes: float
    polls_left: int = 0
    cancelled: bool = False
    failed: str | None = None


class ReplicateDialect(Dialect):
    """`POST .../predictions`, `GET` and `POST .../cancel` by id, an event stream, `GET /v1/models`."""

    name = "replicate"
    cacheable = False
    statuses: ClassVar[Mapping[ErrorKind, int]] = {"quota": 402, "invalid": 422}
    routes: ClassVar[Sequence[tuple[str, str, Operation]]] = (
        ("POST", _V + r"/models/(?P<model>[^/]+/[^/]+)/predictions", "generate"),
        ("POST", _V + r"/deployments/(?P<model>[^/]+/[^/]+)/predictions", "generate"),
        ("POST", _V + r"/predictions", "generate"),
        ("GET", _V + rf"/predictions/{_ID}", "poll"),
        ("GET", _V + rf"/predictions/{_ID}/stream", "events"),
        ("POST", _V + rf"/predictions/{_ID}/cancel", "cancel"),
        ("GET", _V + r"/models", "models"),
        ("GET", _V + r"/collections/(?P<id>[\w-]+)", "models"),
    )

    def __init__(self) -> None:
        super().__init__()
        self.predictions: OrderedDict[str, Prediction] = OrderedDict()

    def readers(self) -> dict[Any, Any]:
        return {
            "generate": self.read_generate,
            "poll": self.read_target("poll"),
            "events": self.read_target("events"),
            "cancel": self.read_target("cancel"),
            "models": self.read_models,
        }

    def key_of(self, ask: Ask) -> str | None:
        scheme, _, key = ask.headers.get("authorization", "").partition(" ")
        return key if scheme.lower() in {"bearer", "token"} and key else None

    def read_generate(self, ask: Ask, named: dict[str, str]) -> Understood:
        body = ask.json()
        model = named.get("model") or str(body.need("version"))
        given = body.object("input")
        if given is None:
            raise ApiError("invalid", "- input is required\n")
        limit = next(
            (n for key in ("max_tokens", "max_new_tokens", "max_completion_tokens", "max_output_tokens")
             if (n := given.integer(key)) is not None),
            None,
        )  # fmt: skip
        stop = given.any("stop_sequences") or given.any("stop")
        system = given.text("system_prompt") or given.text("system_instruction")
        turns = [Turn("system", (Text(system),))] if system else []
        turns.append(Turn("user", (Text(given.text("prompt") or ""), *_images(given))))
        return Understood(
            dialect=self.name,
            model=model,
            stream=bool(body.flag("stream")),
            turns=tuple(turns),
            temperature=given.number("temperature"),
            top_p=given.number("top_p"),
            max_tokens=limit,
            stop=tuple(stop.split(",")) if isinstance(stop, str) else tuple(stop or ()),
            seed=given.integer("seed"),
            wait_s=_wait(ask.headers.get("prefer", "")),
            unknown=given.unknown(),
        )

    def read_target(self, operation: Any) -> Any:
        def read(ask: Ask, named: dict[str, str]) -> Understood:
            return Understood(dialect=self.name, operation=operation, target=named["id"])

        return read

    def read_models(self, ask: Ask, named: dict[str, str]) -> Understood:
        return Understood(dialect=self.name, operation="models", target=named.get("id"))

    # -------------------------------------------------------------------------------------------- the runs

    def begin(
        self, asked: Understood, answer: Answer, origin: str, *, now: float, takes: float, polls: int
    ) -> Reply:
        """A new run. With `Prefer: wait` the reply comes when it ends, or when the wait is over."""
        run = Prediction(
            f"sim{len(self.predictions):06d}{answer.id[:16]}", asked, answer, origin, now, takes, polls
        )
        self.predictions[run.id] = run
        if len(self.predictions) > _REMEMBERED:
            self.predictions.popitem(last=False)
        if asked.wait_s is None or polls:
            return whole(dumps(_shown(run, "starting")), 201)
        waited = min(asked.wait_s, takes)
        status = "succeeded" if takes <= asked.wait_s else "processing"
        return evolve(whole(dumps(_shown(run, status)), 201), wait_s=waited)

    def again(self, asked: Understood, now: float) -> Reply:
        """A poll, a cancel, or the events of a run. Raises ApiError where there is no such run."""
        run = self.predictions.get(asked.target or "")
        if run is None:
            raise ApiError("not_found", "The requested resource could not be found.")
        if asked.operation == "cancel":
            run.cancelled = run.cancelled or now - run.began < run.takes or run.polls_left > 0
            return whole(dumps(_shown(run, _status(run, now))))
        if asked.operation == "events":
            return Reply(tuple(_events(run)), content_type="text/event-stream", streamed=True)
        status = _status(run, now)
        if status == "processing" and run.polls_left:
            run.polls_left -= 1
        return whole(dumps(_shown(run, status)))

    def reply(self, asked: Understood, answer: Answer) -> Reply:
        return self.begin(asked, answer, "http://127.0.0.1", now=0.0, takes=0.0, polls=0)

    def listed(self, asked: Understood, models: Sequence[str]) -> Reply:
        names = [name if "/" in name else f"sim/{name}" for name in models]
        rows = [
            {
                "owner": owner,
                "name": rest,
                "description": "a simulated model",
                "url": f"https://replicate.com/{name}",
            }
            for name in names
            for owner, _, rest in [name.partition("/")]
        ]
        if asked.target is not None:
            return whole(dumps({"name": asked.target, "slug": asked.target, "models": rows}))
        return whole(dumps({"results": rows, "next": None, "previous": None}))

    def refused(self, error: ApiError) -> Reply:
        status = self.status_of(error)
        detail = error.message
        headers: tuple[tuple[str, str], ...] = ()
        if error.retry_after is not None:
            detail = f"Request was throttled. Your rate limit resets in ~{error.retry_after:g}s."
            headers = (("retry-after", f"{error.retry_after:g}"),)
        body = {"title": _TITLES.get(status, "Error"), "detail": detail, "status": status}
        return whole(dumps(body), status, content_type="application/problem+json", headers=headers)

    def broken(self, error: ApiError) -> Frame:
        return Frame(f"event: error\ndata: {error.message}\n\n".encode())

    def request_id(self, number: str) -> tuple[tuple[str, str], ...]:
        return ()


_TITLES = {
    401: "Unauthenticated",
    402: "Insufficient credit",
    404: "Not Found",
    422: "Input validation failed",
    429: "Too Many Requests",
}


def _wait(prefer: str) -> float | None:
    found = re.search(r"\bwait(?:=(\d+))?", prefer)
    if found is None:
        return None
    seconds = int(found[1] or 60)
    if not 1 <= seconds <= 60:
        raise ApiError("invalid", "Prefer: wait must be from 1 to 60 seconds")
    return float(seconds)


def _images(given: Any) -> list[Part]:
    values = [value for key in ("image", "images", "image_input") for value in _as_list(given.any(key))]
    return [media_of_url("image", value) for value in values if isinstance(value, str)]


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _status(run: Prediction, now: float) -> str:
    if run.cancelled:
        return "canceled"
    return "succeeded" if now - run.began >= run.takes and not run.polls_left else "processing"


def _shown(run: Prediction, status: str) -> dict[str, Any]:
    url = f"{run.origin}/v1/predictions/{run.id}"
    done = status == "succeeded"
    pieces = tokens_of(run.answer.text or run.answer.refusal or "")
    return {
        "id": run.id,
        "model": run.asked.model,
        "version": "sim",
        "status": status,
        "input": {},
        "output": pieces if done else None,
        "error": None,
        "logs": "",
        "created_at": _CREATED,
        "started_at": None if status == "starting" else _CREATED,
        "completed_at": _CREATED if done or status == "canceled" else None,
        "metrics": _metrics(run) if done else {},
        "urls": {"get": url, "cancel": f"{url}/cancel", "stream": f"{url}/stream", "web": url},
    }


def _metrics(run: Prediction) -> dict[str, Any]:
    counts = run.answer.counts
    return {"predict_time": run.takes, "input_token_count": counts.input, "output_token_count": counts.output}


def _events(run: Prediction) -> list[Frame]:
    frames: list[Frame] = []
    for at, piece in enumerate(tokens_of(run.answer.text or run.answer.refusal or "")):
        lines = "".join(f"data: {line}\n" for line in piece.split("\n"))
        frames.append(Frame(f"event: output\nid: {at}\n{lines}\n".encode(), 1))
    reason = json.dumps({"reason": "canceled"}) if run.cancelled else "{}"
    return [
        *([] if run.cancelled else frames),
        Frame(f"event: done\ndata: {reason}\n\n".encode(), role="done"),
    ]
