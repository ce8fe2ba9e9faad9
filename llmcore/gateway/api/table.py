"""One table of routes: it drives the router, the policy and the OpenAPI document, so none can know what another does not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from attrs import field, frozen

from llmcore.gateway.access.policy import Access
from llmcore.gateway.http import AsgiApp

Method: TypeAlias = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
Schema: TypeAlias = Mapping[str, Any]

ALIAS = "/proxy/llm"
"""Before "/v1/...": another name of the same routes."""


@frozen
class Route:
    """One method of one path. path: segments in braces are parameters. name: in metrics and logs.

    request, response: JSON schemas for the document; None where there is no body. query: a schema for each name that is
    known. status, media_type: of a good answer. errors: statuses that do not follow from the rest (`openapi.errors_of`).
    events: the schema of one server-sent event where the answer is, or may be, a stream of them. asks_model:
    whether it is a model call, with all that can come of one. cookies: whether a browser's session counts.
    headers: a schema for each header of the request that changes the answer, beside those of all model calls.
    """

    method: Method
    path: str
    access: Access
    name: str
    summary: str
    endpoint: AsgiApp = field(repr=False)
    request: Schema | None = field(default=None, repr=False)
    response: Schema | None = field(default=None, repr=False)
    query: Mapping[str, Schema] = field(factory=dict, repr=False)
    status: int = 200
    media_type: str = "application/json"
    tag: str = ""
    errors: tuple[int, ...] = ()
    events: Schema | None = field(default=None, repr=False)
    asks_model: bool = False
    cookies: bool = True
    headers: Mapping[str, Schema] = field(factory=dict, repr=False)

    @property
    def shown_path(self) -> str:
        """The path as the document writes it."""
        return self.path.replace(":path}", "}")

    @property
    def anthropic(self) -> bool:
        """Whether its errors have Anthropic's shape; all others have OpenAI's."""
        return self.path.startswith("/v1/messages")

    @property
    def both(self) -> bool:
        """Whether a header of the request says which of the two shapes its answers and errors have."""
        return "anthropic-version" in self.headers

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of what is variable in the path."""
        parts = self.shown_path.split("/")
        return tuple(part[1:-1] for part in parts if part.startswith("{"))


class Found:
    """What a path leads to: its methods, and the parameters in it."""

    __slots__ = ("methods", "params")

    def __init__(self, methods: Mapping[str, Route], params: Mapping[str, str]) -> None:
        self.methods: Mapping[str, Route] = methods
        self.params: Mapping[str, str] = params


class Table:
    """The routes, found by path in one look for those without parameters. Raises ValueError for two that are the same."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes: tuple[Route, ...] = tuple(routes)
        self._exact: dict[str, dict[str, Route]] = {}
        self._patterns: dict[tuple[str, ...], dict[str, Route]] = {}
        for route in routes:
            where: dict[str, Route]
            if "{" in route.path:
                where = self._patterns.setdefault(tuple(route.path.split("/")), {})
            else:
                where = self._exact.setdefault(route.path, {})
            if route.method in where:
                msg = f"two routes for {route.method} {route.path}"
                raise ValueError(msg)
            where[route.method] = route
        self._found = {path: Found(methods, {}) for path, methods in self._exact.items()}

    def __iter__(self) -> Iterator[Route]:
        return iter(self.routes)

    def find(self, path: str) -> Found | None:
        """The methods of `path`, its alias included."""
        found = self._found.get(path)
        if found is not None:
            return found
        if path.startswith(ALIAS + "/v1/"):
            return self.find(path.removeprefix(ALIAS))
        return self._by_pattern(path)

    def _by_pattern(self, path: str) -> Found | None:
        parts = path.split("/")
        for pattern, methods in self._patterns.items():
            params = _match(pattern, parts)
            if params is not None:
                return Found(methods, params)
        return None


def _match(pattern: tuple[str, ...], parts: list[str]) -> dict[str, str] | None:
    """The parameters; a last one "{name:path}" takes all that is left."""
    greedy = pattern[-1].endswith(":path}")
    if len(parts) < len(pattern) or (len(parts) > len(pattern) and not greedy):
        return None
    params: dict[str, str] = {}
    last = len(pattern) - 1
    for index, wanted in enumerate(pattern):
        part = "/".join(parts[index:]) if greedy and index == last else parts[index]
        if wanted.startswith("{"):
            if not part:
                return None
            params[wanted[1:-1].removesuffix(":path")] = part
        elif wanted != part:
            return None
    return params
