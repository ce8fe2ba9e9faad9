"""Messages and the parts they are made of."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

from attrs import field, frozen

Role: TypeAlias = Literal["system", "user", "assistant", "tool"]


@frozen
class Text:
    """Plain text. `signature` is a vendor's opaque mark that must go back with it (Gemini)."""

    text: str
    signature: str | None = None
    origin: str | None = None


@frozen
class Refusal:
    """The model's own words of refusal; not part of `.text`."""

    text: str


@frozen
class Image:
    """An image by `url` (https or data URI) or by `data` (bytes, with its `media_type`), exactly one of them."""

    url: str | None = None
    data: bytes | None = field(default=None, repr=False)
    media_type: str | None = None
    detail: Literal["auto", "low", "high", "original"] | None = None

    def __attrs_post_init__(self) -> None:
        _exactly_one("Image", url=self.url, data=self.data)

    @classmethod
    def from_path(cls, path: str | Path) -> Image:
        return cls(data=Path(path).read_bytes(), media_type=_guess_media_type(path))


@frozen
class File:
    """A document by `data` (bytes), by `url`, or by the vendor's `file_id`, exactly one of them."""

    data: bytes | None = field(default=None, repr=False)
    url: str | None = None
    file_id: str | None = None
    media_type: str | None = None
    filename: str | None = None

    def __attrs_post_init__(self) -> None:
        _exactly_one("File", data=self.data, url=self.url, file_id=self.file_id)

    @classmethod
    def from_path(cls, path: str | Path) -> File:
        path = Path(path)
        return cls(data=path.read_bytes(), media_type=_guess_media_type(path), filename=path.name)


@frozen
class Audio:
    """Recorded sound as bytes; `media_type` such as "audio/wav" or "audio/mpeg"."""

    data: bytes = field(repr=False)
    media_type: str


@frozen
class Thinking:
    """Reasoning that the model showed, or its sealed form.

    `signature` and `raw` are opaque and go back unchanged to the dialect named in `origin`, to no other.
    `redacted` means that the text was withheld and only the sealed form exists.
    """

    text: str = ""
    signature: str | None = None
    redacted: bool = False
    raw: Any = field(default=None, repr=False)
    origin: str | None = None


@frozen
class ToolCall:
    """The model wants `name` to be run with `arguments` (JSON text, exactly as the vendor sent it; "" means {})."""

    id: str
    name: str
    arguments: str = "{}"
    signature: str | None = None
    origin: str | None = None

    @property
    def input(self) -> dict[str, Any]:
        """The arguments as a dict. Raises ValueError where the model wrote something else (see `parse_error`)."""
        value = json.loads(self.arguments) if self.arguments.strip() else {}
        if not isinstance(value, dict):
            msg = f"arguments of {self.name!r} are a JSON {type(value).__name__}, not an object"
            raise ValueError(msg)
        return value

    @property
    def parse_error(self) -> str | None:
        """Why `arguments` is not a JSON object, or None where it is one."""
        try:
            self.input  # noqa: B018 - evaluated for its error
        except (ValueError, RecursionError) as exc:
            return str(exc) or type(exc).__name__
        return None


def _as_content(value: str | Iterable[Text | Image | File]) -> str | tuple[Text | Image | File, ...]:
    return value if isinstance(value, str) else tuple(value)


@frozen
class ToolResult:
    """What running a tool gave: text, or parts where the vendor takes them (images)."""

    call_id: str
    content: str | tuple[Text | Image | File, ...] = field(converter=_as_content)
    name: str | None = None
    is_error: bool = False

    @property
    def text(self) -> str:
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content if isinstance(part, Text))


@frozen
class Opaque:
    """A block that only its own vendor understands (hosted tools, citations); goes back to `origin` as it came."""

    raw: Any
    origin: str


@frozen
class CachePoint:
    """The vendor may keep what the request says up to here, and read it cheaper the next time.

    It stands behind what it marks: a part of a message, or a tool (`Tool.cache`). Anthropic writes it as `cache_control`,
    at most four to a request. Others keep prompts by rules of their own: there it is left out, and a warning says so.
    ttl: how long it is kept, "5m" or "1h" after the last use; None for the vendor's own rule (Anthropic: 5 minutes).
    """

    ttl: Literal["5m", "1h"] | None = None


Part: TypeAlias = (
    Text | Refusal | Image | File | Audio | Thinking | ToolCall | ToolResult | Opaque | CachePoint
)
PART_TYPES = (Text, Refusal, Image, File, Audio, Thinking, ToolCall, ToolResult, Opaque, CachePoint)


_EXACT_PARTS = frozenset(PART_TYPES)


def _as_parts(value: str | Part | Iterable[str | Part]) -> tuple[Part, ...]:
    if type(value) is tuple and _EXACT_PARTS.issuperset(map(type, value)):
        return value
    if isinstance(value, (str, bytes, Mapping, *PART_TYPES)):
        return (_as_part(value),)
    return tuple(_as_part(item) for item in value)


def _as_part(value: object) -> Part:
    if isinstance(value, str):
        return Text(value)
    if isinstance(value, PART_TYPES):
        return value
    msg = f"a message part must be text or a part such as Text or Image, not {type(value).__name__}"
    raise TypeError(msg)


@frozen
class Message:
    """One turn of a conversation."""

    role: Role
    parts: tuple[Part, ...] = field(converter=_as_parts)
    name: str | None = None

    @classmethod
    def system(cls, *parts: str | Part) -> Message:
        return cls("system", parts)

    @classmethod
    def user(cls, *parts: str | Part) -> Message:
        return cls("user", parts)

    @classmethod
    def assistant(cls, *parts: str | Part) -> Message:
        return cls("assistant", parts)

    @classmethod
    def tool(
        cls,
        call_id: str,
        content: str | Iterable[Text | Image | File],
        *,
        name: str | None = None,
        is_error: bool = False,
    ) -> Message:
        """The result of one tool call; `name` is the tool's (some vendors match by it)."""
        return cls("tool", (ToolResult(call_id, content, name, is_error),))

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts if type(part) is Text)

    @property
    def thinking(self) -> str:
        return "".join(part.text for part in self.parts if type(part) is Thinking)

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        return tuple(part for part in self.parts if type(part) is ToolCall)


def _exactly_one(what: str, **values: object) -> None:
    given = [name for name, value in values.items() if value is not None]
    if len(given) != 1:
        msg = f"{what} takes exactly one of {', '.join(values)}; got {', '.join(given) or 'none'}"
        raise ValueError(msg)


def _guess_media_type(path: str | Path) -> str | None:
    import mimetypes

    return mimetypes.guess_type(str(path))[0]
