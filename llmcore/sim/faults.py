"""What can be made to go wrong with one answer, as data; and the faults that a model's name asks for."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from attrs import evolve, field, frozen

from llmcore.sim.values import ErrorKind


@frozen
class Fault:
    """One way to go wrong; everything left out stays as it should be. Times are seconds.

    Another answer: `status` (with that vendor's own error body), `error` (its kind where the status does not say it),
    `message`, `retry_after`, `headers`, `content_type`, `body` (instead of the vendor's), `echo_key` (the error text
    repeats the caller's credential), `plain` (a JSON body where a stream was asked for), `polls` (Replicate: so many
    polls say "processing").

    Time: `delay_s` before anything is sent, `first_token_delay_s` and `tokens_per_second` instead of the server's own,
    `byte_delay_s` for every byte of the body, `header_byte_delay_s` for every byte of the head.

    No answer: `reset` (RST), `close` (FIN), `silent` (never a byte), `refuse_s` (RST, and no connection is accepted for
    so long).

    Broken off: `cut_after` "status_line" or "headers"; `cut_after_events` (visible ones; a plain body is cut in its
    middle), `cut_after_bytes` of the body; `cut_how` "close", "reset" or "end" (a proper end of the HTTP message);
    `stall_after_events`, `stall_after_bytes`, for `stall_s` or for ever.

    Broken events: `malformed_after_events`, `error_after_events` (the vendor's error event of kind `error`, then the
    end), `drop` ("done", "finish", "usage"), `trailing` (text after the end), `comments` (so many SSE comments first),
    `comment_every_s` (comments for ever instead of an answer), `newline` "crlf" or "cr", `bom`, `replace` (pairs of
    texts in the body).

    Broken HTTP: `content_length_off` (added to the true length), `chunks` "no-final", "bad-size" or "both-lengths",
    `informational` (1xx answers first), `extra_headers` (so many), `header_kb` (one of that size), `bad_header`,
    `split` (bytes per write, each flushed), `encoding` "gzip", "gzip-garbage", "gzip-truncated" or "gzip-bomb",
    `flood` (a body without end), `long_line_mb` (one line of that size first).
    """

    status: int | None = None
    error: ErrorKind | None = None
    message: str | None = None
    retry_after: float | None = None
    headers: Mapping[str, str] = field(factory=dict)
    content_type: str | None = None
    body: str | None = None
    echo_key: bool = False
    plain: bool = False
    polls: int | None = None

    delay_s: float | None = None
    first_token_delay_s: float | None = None
    tokens_per_second: float | None = None
    byte_delay_s: float | None = None
    header_byte_delay_s: float | None = None

    reset: bool = False
    close: bool = False
    silent: bool = False
    refuse_s: float | None = None

    cut_after: str | None = None
    cut_after_events: int | None = None
    cut_after_bytes: int | None = None
    cut_how: str = "close"
    stall_after_events: int | None = None
    stall_after_bytes: int | None = None
    stall_s: float | None = None

    malformed_after_events: int | None = None
    error_after_events: int | None = None
    drop: tuple[str, ...] = ()
    trailing: str | None = None
    comments: int | None = None
    comment_every_s: float | None = None
    newline: str | None = None
    bom: bool = False
    replace: tuple[tuple[str, str], ...] = ()

    content_length_off: int | None = None
    chunks: str | None = None
    informational: tuple[int, ...] = ()
    extra_headers: int | None = None
    header_kb: int | None = None
    bad_header: bool = False
    split: int | None = None
    encoding: str | None = None
    flood: bool = False
    long_line_mb: int | None = None

    @property
    def replaces_answer(self) -> bool:
        """Whether something else than the model's answer is sent."""
        return (
            self.body is not None
            or self.status is not None
            or (self.error is not None and self.error_after_events is None)
        )

    @property
    def in_events(self) -> bool:
        """Whether it happens among the events of a stream."""
        return bool(self.tokens_needed or self.drop or self.comments or self.comment_every_s) or (
            self.stall_after_events is not None or self.cut_after_events is not None
        )

    @property
    def tokens_needed(self) -> int:
        """How long an answer must be for this fault to happen in its middle."""
        marks = (
            self.cut_after_events, self.stall_after_events, self.malformed_after_events, self.error_after_events,
        )  # fmt: skip
        return max((mark + 20 for mark in marks if mark is not None), default=0)


WORDS: Mapping[str, tuple[str, ...]] = {
    "error": ErrorKind.__args__,  # type: ignore[attr-defined]  # what a Literal is made of
    "cut_after": ("status_line", "headers"),
    "cut_how": ("close", "reset", "end"),
    "drop": ("done", "finish", "usage"),
    "newline": ("crlf", "cr"),
    "chunks": ("no-final", "bad-size", "both-lengths"),
    "encoding": ("gzip", "gzip-garbage", "gzip-truncated", "gzip-bomb"),
}
"""The words that a field of Fault takes."""

_HTML = "<html><head><title>{status} {title}</title></head><body><h1>{title}</h1></body></html>"


def _html(status: int) -> Fault:
    title = "Welcome to this network" if status == 200 else "Bad gateway"
    return Fault(status=status, body=_HTML.format(status=status, title=title), content_type="text/html")


_NAMES: tuple[tuple[str, str, Callable[..., Fault]], ...] = (
    ("fail-<status>", "that status, with the vendor's error body", lambda status: Fault(status=int(status))),
    (
        "fail-<status>-<seconds>",
        "the same, with retry-after",
        lambda status, after: Fault(status=int(status), retry_after=float(after)),
    ),
    ("flaky-<percent>", "500 for that share of the requests", lambda percent: Fault(status=500)),
    ("reset", "TCP reset before the first byte", lambda: Fault(reset=True)),
    ("close", "closed before the first byte", lambda: Fault(close=True)),
    ("refuse-<seconds>", "reset, and no connection accepted for so long", lambda s: Fault(refuse_s=float(s))),
    ("silent", "accepted, never answered", lambda: Fault(silent=True)),
    ("silent-headers", "headers, then silence", lambda: Fault(stall_after_events=0)),
    ("late-<seconds>", "nothing at all for so long", lambda s: Fault(delay_s=float(s))),
    ("slow-<seconds>", "first token after so long", lambda s: Fault(first_token_delay_s=float(s))),
    ("trickle-<n>", "n tokens a second", lambda n: Fault(tokens_per_second=float(n))),
    ("cut-<n>", "connection closed after n tokens", lambda n: Fault(cut_after_events=int(n))),
    (
        "reset-<n>",
        "connection reset after n tokens",
        lambda n: Fault(cut_after_events=int(n), cut_how="reset"),
    ),
    (
        "end-<n>",
        "a proper end of the body after n tokens",
        lambda n: Fault(cut_after_events=int(n), cut_how="end"),
    ),
    ("stall-<n>", "silence after n tokens", lambda n: Fault(stall_after_events=int(n))),
    (
        "stall-<n>-<seconds>",
        "a pause after n tokens",
        lambda n, s: Fault(stall_after_events=int(n), stall_s=float(s)),
    ),
    (
        "error-<n>",
        "an error event after n tokens",
        lambda n: Fault(error_after_events=int(n), error="overloaded"),
    ),
    ("malformed-chunk", "broken JSON after 3 tokens", lambda: Fault(malformed_after_events=3)),
    ("malformed-chunk-<n>", "broken JSON after n tokens", lambda n: Fault(malformed_after_events=int(n))),
    ("no-done", "the terminator is missing", lambda: Fault(drop=("done",))),
    (
        "no-finish",
        "terminator and finish reason are missing",
        lambda: Fault(drop=("finish", "usage", "done")),
    ),
    ("no-usage", "no usage in the stream", lambda: Fault(drop=("usage",))),
    ("comments", "SSE comments for ever", lambda: Fault(comment_every_s=0.05)),
    ("context-400", "the prompt is too long", lambda: Fault(error="context")),
    ("filter-400", "refused by the content filter", lambda: Fault(error="filter")),
    ("quota-429", "the quota is spent", lambda: Fault(error="quota")),
    ("json-200", "an error body with status 200", lambda: Fault(status=200, error="server")),
    ("html-<status>", "an HTML page", lambda status: _html(int(status))),
    ("empty-<status>", "no body", lambda status: Fault(status=int(status), body="")),
    ("list-200", "a JSON list", lambda: Fault(status=200, body="[]")),
    (
        "truncated-json",
        "half a JSON body, whole as HTTP",
        lambda: Fault(plain=True, cut_after_events=0, cut_how="end"),
    ),
    ("redirect-<status>", "a redirect elsewhere", lambda status: _redirect(int(status))),
    ("gzip", "a compressed body", lambda: Fault(encoding="gzip")),
    ("gzip-garbage", "called gzip, and is not", lambda: Fault(encoding="gzip-garbage")),
    ("gzip-bomb", "a gzip body of 1 GB", lambda: Fault(encoding="gzip-bomb")),
    ("flood", "a body without end", lambda: Fault(flood=True)),
    ("wrong-length", "content-length larger than the body", lambda: Fault(plain=True, content_length_off=10)),
    ("no-final-chunk", "closed without the last chunk", lambda: Fault(chunks="no-final")),
    ("bad-chunk", "a chunk size that is no number", lambda: Fault(chunks="bad-size")),
    ("polls-<n>", "Replicate: n polls before the end", lambda n: Fault(polls=int(n))),
)


def _redirect(status: int) -> Fault:
    return Fault(status=status, body="", headers={"location": "http://169.254.169.254/latest/meta-data/"})


_NUMBER = r"(\d+(?:\.\d+)?)"
_BY_PATTERN = tuple((re.compile(re.sub(r"<\w+>", lambda _: _NUMBER, name)), make) for name, _, make in _NAMES)


@frozen
class NamedFault:
    """A fault by model name; `once`: only for its first request; `rate`: only for that share of them."""

    fault: Fault
    once: bool = False
    rate: float = 1.0


def fault_of(model: str | None) -> NamedFault | None:
    """The fault that a model's name asks for ("once-" before it: for the first request only), or None."""
    name = (model or "").rpartition("/")[2]
    if name.startswith("once-"):
        inner = fault_of(name.removeprefix("once-"))
        return evolve(inner, once=True) if inner else None
    for pattern, make in _BY_PATTERN:
        if found := pattern.fullmatch(name):
            numbers = [number if "." in number else str(int(number)) for number in found.groups()]
            rate = float(found[1]) / 100 if name.startswith("flaky-") else 1.0
            return NamedFault(make(*numbers), rate=rate) if _sane(name, numbers) else None
    return None


def _sane(name: str, numbers: list[str]) -> bool:
    """Statuses must be statuses."""
    return not name.startswith(("fail-", "html-", "empty-", "redirect-")) or 200 <= float(numbers[0]) <= 599


def fault_names() -> tuple[tuple[str, str], ...]:
    """Every name and what it does, for documents and the command line."""
    return tuple((name, meaning) for name, meaning, _ in _NAMES)
