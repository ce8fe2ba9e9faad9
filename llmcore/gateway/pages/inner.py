"""A page asks the API as its reader would: the same route, cookie and rules, without a socket."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from attrs import frozen

from llmcore.gateway.api.table import Method, Table
from llmcore.gateway.errors import GatewayError
from llmcore.gateway.http import Message, Scope, json_value

NOTHING: Mapping[str, str] = {}
DEPTH = 100


@frozen
class Refused(Exception):
    """The API said no. message: its words, for people."""

    status: int
    message: str


class Inner:
    """`await inner.get(scope, "/api/keys")`: the JSON of that route for whoever made the request of `scope`."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def get(self, scope: Scope, path: str, query: Mapping[str, str] = NOTHING) -> Any:
        """Raises Refused for everything but a good answer."""
        found = self._table.find(path)
        route = None if found is None else found.methods.get("GET")
        if found is None or route is None:
            raise Refused(404, f"this gateway has no {path}")
        asked = {
            **scope,
            "method": "GET",
            "path": path,
            "query_string": urlencode(query).encode("ascii"),
            "path_params": found.params,
        }
        answer = _Answer()
        await route.endpoint(asked, answer.receive, answer.send)
        body = json_value(bytes(answer.body), DEPTH)
        if answer.status != 200:
            raise Refused(answer.status, _message(body))
        return body

    def has(self, method: Method, path: str) -> bool:
        """Whether there is such a route."""
        found = self._table.find(path)
        return found is not None and method in found.methods

    async def find(self, scope: Scope, path: str, query: Mapping[str, str] = NOTHING) -> Any:
        """The same, but None where the API cannot say; for what a page can do without."""
        try:
            return await self.get(scope, path, query)
        except (Refused, GatewayError):
            return None


class _Answer:
    """What an endpoint sends."""

    def __init__(self) -> None:
        self.status = 500
        self.body = bytearray()

    async def receive(self) -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self.body += message.get("body", b"")


def _message(body: Any) -> str:
    error = body.get("error") if isinstance(body, dict) else None
    said = error.get("message") if isinstance(error, dict) else None
    return said if isinstance(said, str) else "the gateway did not answer"
