"""What a dialect is: bytes of a request to `Understood`, an `Answer` to the vendor's bytes. Pure; no socket here."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, TypeVar
from urllib.parse import parse_qsl, unquote

import msgspec
from attrs import field, frozen

from llmcore.sim.values import (
    Answer,
    ApiError,
    ErrorKind,
    Frame,
    Operation,
    Reply,
    Understood,
    kind_of_status,
)

T = TypeVar("T")

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def dumps(value: Any) -> bytes:
    """Compact JSON."""
    return _encode(value)


@frozen
class Ask:
    """One HTTP request as a dialect sees it: `path` without query and without the place's prefix."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)
    origin: str = "http://127.0.0.1"

    @classmethod
    def of(
        cls,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        origin: str = "http://127.0.0.1",
    ) -> Ask:
        """`target` as it stands in the request line; header names in any case."""
        path, _, query = target.partition("?")
        lower = {name.lower(): value for name, value in headers.items()}
        return cls(method, path, dict(parse_qsl(query, keep_blank_values=True)), lower, body, origin)

    def json(self) -> Fields:
        """The body, which must be a JSON object. Raises ApiError."""
        try:
            value = _decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            raise ApiError("invalid", f"We could not parse the JSON body of your request: {exc}") from None
        return Fields(value, "body")


class Fields:
    """A JSON object that is read field by field with types; what nobody asked for is `unknown`.

    Every getter returns None where the field is absent or null, and raises ApiError where it has another type.
    """

    def __init__(self, value: Any, path: str) -> None:
        if not isinstance(value, dict):
            raise ApiError("invalid", f"{path}: expected an object, got {_name_of(value)}", param=path)
        self._value = value
        self._seen: set[str] = set()
        self.path = path

    def __contains__(self, key: str) -> bool:
        return self._value.get(key) is not None

    def any(self, key: str) -> Any:
        self._seen.add(key)
        return self._value.get(key)

    def need(self, key: str) -> Any:
        if (value := self.any(key)) is None:
            raise ApiError("invalid", f"Missing required parameter: '{self._at(key)}'.", param=self._at(key))
        return value

    def text(self, key: str) -> str | None:
        value: str | None = self._typed(key, str, "a string")
        return value

    def integer(self, key: str) -> int | None:
        value = self._typed(key, (int, float), "an integer")
        if isinstance(value, float) and not value.is_integer():
            raise self._wrong(key, "an integer")
        return None if value is None else int(value)

    def number(self, key: str, low: float | None = None, high: float | None = None) -> float | None:
        value: float | None = self._typed(key, (int, float), "a number")
        if value is not None and ((low is not None and value < low) or (high is not None and value > high)):
            raise ApiError(
                "invalid", f"Invalid '{self._at(key)}': must be from {low} to {high}.", param=self._at(key)
            )
        return value

    def flag(self, key: str) -> bool | None:
        value = self.any(key)
        if value is not None and not isinstance(value, bool):
            raise self._wrong(key, "a boolean")
        return value

    def word(self, key: str, *allowed: str) -> str | None:
        value = self.text(key)
        if value is not None and value not in allowed:
            raise ApiError(
                "invalid",
                f"Invalid value: '{value}'. Supported values of {self._at(key)} are: {', '.join(allowed)}.",
                param=self._at(key),
            )
        return value

    def object(self, key: str) -> Fields | None:
        return None if self.any(key) is None else Fields(self._value[key], self._at(key))

    def items(self, key: str) -> list[Any]:
        value = self._typed(key, list, "an array")
        return [] if value is None else value

    def objects(self, key: str) -> list[Fields]:
        return [Fields(item, f"{self._at(key)}[{at}]") for at, item in enumerate(self.items(key))]

    def strings(self, key: str) -> tuple[str, ...]:
        """A string, or an array of strings."""
        value = self.any(key)
        if isinstance(value, str):
            return (value,)
        if value is not None and not (
            isinstance(value, list) and all(isinstance(item, str) for item in value)
        ):
            raise self._wrong(key, "a string or an array of strings")
        return tuple(value or ())

    def ignore(self, *keys: str) -> None:
        """Fields that the vendor knows and the simulator does not look into."""
        self._seen.update(keys)

    def unknown(self) -> tuple[str, ...]:
        return tuple(sorted(self._value.keys() - self._seen))

    def closed(self) -> None:
        """Raises ApiError where there is an unknown field: for vendors that refuse those."""
        if unknown := self.unknown():
            raise ApiError(
                "invalid",
                f"Invalid JSON payload received. Unknown name \"{unknown[0]}\" at '{self.path}': Cannot find field.",
                param=self._at(unknown[0]),
            )

    def _typed(self, key: str, kinds: type | tuple[type, ...], called: str) -> Any:
        value = self.any(key)
        if value is not None and (not isinstance(value, kinds) or isinstance(value, bool)):
            raise self._wrong(key, called)
        return value

    def _wrong(self, key: str, called: str) -> ApiError:
        at = self._at(key)
        return ApiError(
            "invalid",
            f"Invalid type for '{at}': expected {called}, but got {_name_of(self._value[key])} instead.",
            param=at,
        )

    def _at(self, key: str) -> str:
        return key if self.path == "body" else f"{self.path}.{key}"


def _name_of(value: Any) -> str:
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def arguments_of(text: str) -> Any:
    """Tool arguments sent as text: the JSON value, or the text itself where it is none."""
    if not text.strip():
        return {}
    try:
        return json.loads(text)
    except ValueError:
        return text


def data_uri(url: str) -> tuple[str, str] | None:
    """Media type and base64 of a data URI, or None where `url` is another one."""
    found = re.match(r"data:([^;,]*)(?:;[^,]*)?;base64,(.*)", url, re.DOTALL)
    return (found[1], found[2]) if found else None


def sse(data: bytes, name: str = "") -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data) if name else b"data: %b\n\n" % data


class Dialect:
    """One vendor's API. `routes`: method, pattern of the path, operation; groups of the pattern go to `understand`."""

    name: ClassVar[str] = ""
    routes: ClassVar[Sequence[tuple[str, str, Operation]]] = ()
    statuses: ClassVar[Mapping[ErrorKind, int]] = {}
    cacheable: ClassVar[bool] = True
    dimensions: ClassVar[int] = 1536

    def __init__(self) -> None:
        self._routes = [(method, re.compile(pattern + r"/?"), what) for method, pattern, what in self.routes]

    def route(self, ask: Ask) -> tuple[Operation, dict[str, str]]:
        """Which operation a path names. Raises ApiError: "endpoint" where there is none."""
        wrong_method = False
        for method, pattern, operation in self._routes:
            if found := pattern.fullmatch(ask.path):
                if method == ask.method:
                    return operation, {key: unquote(text) for key, text in found.groupdict("").items()}
                wrong_method = True
        message = f"Invalid URL ({ask.method} {ask.path})"
        raise ApiError("endpoint", message, status=405 if wrong_method else None)

    def understand(self, ask: Ask) -> Understood:
        """What the request says. Raises ApiError where the vendor would refuse its shape."""
        operation, named = self.route(ask)
        return self.readers()[operation](ask, named)

    def readers(self) -> Mapping[Operation, Callable[[Ask, dict[str, str]], Understood]]:
        raise NotImplementedError

    def key_of(self, ask: Ask) -> str | None:
        """The credential that came, or None."""
        scheme, _, key = ask.headers.get("authorization", "").partition(" ")
        return key if scheme.lower() == "bearer" and key else None

    def reply(self, asked: Understood, answer: Answer) -> Reply:
        """The answer to a generate request, streamed where that was asked for."""
        raise NotImplementedError

    def embedded(self, asked: Understood, vectors: Sequence[Any], tokens: int) -> Reply:
        raise ApiError("endpoint", "this API has no embeddings")

    def listed(self, asked: Understood, models: Sequence[str]) -> Reply:
        raise ApiError("endpoint", "this API does not list models")

    def counted(self, asked: Understood, tokens: int) -> Reply:
        raise ApiError("endpoint", "this API does not count tokens")

    def status_of(self, error: ApiError) -> int:
        return error.status or self.statuses.get(error.kind, _STATUS[error.kind])

    def refused(self, error: ApiError) -> Reply:
        """The vendor's error answer."""
        raise NotImplementedError

    def broken(self, error: ApiError) -> Frame:
        """The vendor's way to say in the middle of a stream that it failed."""
        raise NotImplementedError

    def limits(self, kind: str, limit: int, remaining: int, reset_s: float) -> tuple[tuple[str, str], ...]:
        """The vendor's rate-limit headers for "requests" or "tokens": how many, how many left, when full again."""
        return ()

    def request_id(self, number: str) -> tuple[tuple[str, str], ...]:
        return (("x-request-id", f"req_{number}"),)


_STATUS: dict[ErrorKind, int] = {
    "invalid": 400,
    "auth": 401,
    "permission": 403,
    "not_found": 404,
    "endpoint": 404,
    "context": 400,
    "filter": 400,
    "rate_limit": 429,
    "quota": 429,
    "overloaded": 503,
    "server": 500,
    "timeout": 504,
    "too_large": 413,
}


def error_of(
    kind: ErrorKind | None, status: int | None, message: str | None, retry_after: float | None
) -> ApiError:
    """An error that a script asks for, with words that vendors really use for its kind."""
    kind = kind or kind_of_status(status or 500)
    return ApiError(kind, message or _MESSAGES[kind], status=status, retry_after=retry_after)


_MESSAGES: dict[ErrorKind, str] = {
    "invalid": "The request is invalid.",
    "auth": "Incorrect API key provided.",
    "permission": "You are not allowed to do this.",
    "not_found": "The model does not exist or you do not have access to it.",
    "endpoint": "Invalid URL.",
    "context": "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
    "filter": "The response was filtered due to the prompt triggering the content management policy.",
    "rate_limit": "Rate limit reached for requests.",
    "quota": "You exceeded your current quota, please check your plan and billing details.",
    "overloaded": "The server is overloaded. Please try again later.",
    "server": "The server had an error while processing your request.",
    "timeout": "The request timed out.",
    "too_large": "The request is too large.",
}
