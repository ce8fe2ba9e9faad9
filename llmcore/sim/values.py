"""The simulator's own nouns: what a dialect understood of a request, and what the text model answers.

They are not the library's nouns on purpose: the simulator is the mirror in which our wires' mistakes show.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from attrs import field, frozen

Operation: TypeAlias = Literal["generate", "embed", "models", "count", "poll", "events", "cancel", "control"]
Finish: TypeAlias = Literal["stop", "length", "tool_calls", "refusal", "filter"]


@frozen
class Text:
    """Plain text; `signature` is a dialect's own mark beside it."""

    text: str
    signature: str | None = None
    kind: Literal["text"] = "text"


@frozen
class Refusal:
    """Words of refusal."""

    text: str
    kind: Literal["refusal"] = "refusal"


@frozen
class Media:
    """An image, a file or a sound: by `url` or `file_id`, or by bytes of which digest and size are kept."""

    kind: Literal["image", "file", "audio"]
    url: str | None = None
    file_id: str | None = None
    sha256: str | None = None
    size: int | None = None
    media_type: str | None = None
    filename: str | None = None
    detail: str | None = None


@frozen
class Thinking:
    """Reasoning; `signature` seals it. Redacted reasoning has only the seal."""

    text: str
    signature: str | None = None
    redacted: bool = False
    kind: Literal["thinking"] = "thinking"


@frozen
class Call:
    """A tool call; `arguments` is the JSON value, or the text itself where that is no JSON."""

    id: str | None
    name: str
    arguments: Any
    signature: str | None = None
    kind: Literal["call"] = "call"


@frozen
class Result:
    """What a tool gave back: text and media."""

    call_id: str | None
    content: tuple[Text | Media, ...]
    name: str | None = None
    is_error: bool = False
    kind: Literal["result"] = "result"

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.content if isinstance(part, Text))


@frozen
class Other:
    """A block that the dialect allows and the simulator does not look into."""

    type: str
    kind: Literal["other"] = "other"


Part: TypeAlias = Text | Refusal | Media | Thinking | Call | Result | Other


@frozen
class Turn:
    """One message, or the results of one round of tool calls."""

    role: Literal["system", "user", "assistant", "tool"]
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts if isinstance(part, Text))


@frozen
class ToolSpec:
    """A tool as it was declared; `parameters` is its JSON schema."""

    name: str
    description: str = ""
    parameters: Any = None
    strict: bool | None = None


@frozen
class Understood:
    """What a request says, whatever dialect it was said in. None: not said.

    tool_choice: "auto", "none", "required" or a tool's name. format: "json" or a JSON schema. thinking: whether
    reasoning is asked for; show_thinking: whether its text is. stream_usage: whether a stream shall tell tokens.
    unknown: fields that the vendor ignores.
    """

    dialect: str
    operation: Operation = "generate"
    model: str | None = None
    stream: bool = False
    turns: tuple[Turn, ...] = ()
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: str | None = None
    parallel_tool_calls: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    format: Literal["json"] | Mapping[str, Any] | None = None
    format_name: str | None = None
    format_strict: bool | None = None
    effort: str | None = None
    thinking_budget: int | None = None
    thinking: bool = False
    show_thinking: bool = False
    seal_thinking: bool = False
    stream_usage: bool = True
    inputs: tuple[str, ...] = ()
    dimensions: int | None = None
    encoding: Literal["float", "base64", "int8"] = "float"
    input_type: str | None = None
    single: bool = False
    target: str | None = None
    wait_s: float | None = None
    cursor: str | None = None
    unknown: tuple[str, ...] = ()

    @property
    def prompt(self) -> str:
        """The last user turn's text."""
        return next((turn.text for turn in reversed(self.turns) if turn.role == "user"), "")


@frozen
class Counts:
    """Tokens; `reasoning` is part of `output`."""

    input: int = 0
    output: int = 0
    reasoning: int = 0


NO_COUNTS = Counts()


@frozen
class Answer:
    """What the text model says; every text is the concatenation of its tokens (see tokens.py)."""

    parts: tuple[Thinking | Text | Call | Refusal, ...]
    finish: Finish = "stop"
    stop_sequence: str | None = None
    counts: Counts = Counts()
    id: str = ""

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def thinking(self) -> str:
        return "".join(part.text for part in self.parts if isinstance(part, Thinking))

    @property
    def calls(self) -> tuple[Call, ...]:
        return tuple(part for part in self.parts if isinstance(part, Call))

    @property
    def refusal(self) -> str | None:
        return next((part.text for part in self.parts if isinstance(part, Refusal)), None)


@frozen
class Frame:
    """A piece of a body: its bytes, and how many tokens of visible output it carries.

    `role` tells special frames apart, so that a fault can leave them out: "finish", "usage", "done".
    """

    data: bytes
    tokens: int = 0
    role: Literal["", "finish", "usage", "done"] = ""


@frozen
class Reply:
    """An answer in a dialect, before HTTP: `streamed` ones go out frame by frame."""

    frames: tuple[Frame, ...] = field(repr=False)
    status: int = 200
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    streamed: bool = False
    tokens: int = 0
    wait_s: float = 0.0
    instant: bool = False


def whole(
    body: bytes,
    status: int = 200,
    *,
    tokens: int = 0,
    content_type: str = "application/json",
    headers: tuple[tuple[str, str], ...] = (),
) -> Reply:
    """A reply in one piece."""
    return Reply((Frame(body, tokens),), status, content_type, headers, tokens=tokens, instant=not tokens)


ErrorKind: TypeAlias = Literal[
    "invalid",
    "auth",
    "permission",
    "not_found",
    "endpoint",
    "context",
    "filter",
    "rate_limit",
    "quota",
    "overloaded",
    "server",
    "timeout",
    "too_large",
]
ERROR_KINDS: tuple[ErrorKind, ...] = ErrorKind.__args__  # type: ignore[attr-defined]  # what a Literal is made of

_KIND_OF_STATUS: dict[int, ErrorKind] = {
    400: "invalid",
    401: "auth",
    402: "quota",
    403: "permission",
    404: "not_found",
    408: "timeout",
    413: "too_large",
    429: "rate_limit",
    503: "overloaded",
    504: "timeout",
    529: "overloaded",
}


def kind_of_status(status: int) -> ErrorKind:
    return _KIND_OF_STATUS.get(status, "invalid" if status < 500 else "server")


class ApiError(Exception):
    """A request that the vendor would refuse; the dialect turns it into that vendor's error body.

    status: overrides the vendor's usual one for `kind`. retry_after: seconds, told in the vendor's own way.
    """

    def __init__(
        self,
        kind: ErrorKind,
        message: str,
        *,
        param: str | None = None,
        status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.kind: ErrorKind = kind
        self.message = message
        self.param = param
        self.status = status
        self.retry_after = retry_after


def digest(*texts: str | bytes) -> str:
    """Thirty-two hexadecimal digits that depend on every byte of `texts` and their borders."""
    state = hashlib.blake2b(digest_size=16)
    for text in texts:
        data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
        state.update(len(data).to_bytes(8, "big") + data)
    return state.hexdigest()


def media_of_bytes(
    kind: Literal["image", "file", "audio"],
    data: bytes,
    media_type: str | None,
    *,
    filename: str | None = None,
    detail: str | None = None,
) -> Media:
    sha256 = hashlib.sha256(data).hexdigest()
    return Media(kind, sha256=sha256, size=len(data), media_type=media_type, filename=filename, detail=detail)
