"""The ASGI app: Host check, routes of the table, then pages; start and stop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any

from llmcore.gateway.access.origin import Hosts
from llmcore.gateway.api.frame import ANTHROPIC
from llmcore.gateway.api.table import Found, Route, Table
from llmcore.gateway.config import GatewayConfig
from llmcore.gateway.errors import GatewayError, MethodNotAllowed, NotFound
from llmcore.gateway.http import (
    COMMON,
    JSON_TYPE,
    AsgiApp,
    Head,
    Receive,
    Scope,
    Send,
    answer,
    as_json,
    raw_headers,
)
from llmcore.gateway.mirror.errors import anthropic_error, openai_error

API = ("/v1/", "/api/", "/proxy/")
Lifespan = Callable[[], AbstractAsyncContextManager[Any]]


class Gateway:
    """The app. pages: asked for what the table does not know (the pages' own router). lifespan: held while the app runs."""

    def __init__(
        self, table: Table, hosts: Hosts, *, pages: AsgiApp | None = None, lifespan: Lifespan | None = None
    ) -> None:
        self.table: Table = table
        self._hosts = hosts
        self._pages = pages
        self._lifespan = lifespan
        self.stopping: bool = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "http":
            await self._http(scope, receive, send)
        elif kind == "lifespan":
            await self._live(receive, send)
        elif kind == "websocket":  # there is none; a browser may try from anywhere (T23)
            await receive()
            await send({"type": "websocket.close", "code": 1008})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self._hosts.check(scope["headers"], scope["path"])
            endpoint = self._endpoint(scope)
        except GatewayError as error:
            await self._refuse(scope, send, error)
            return
        await endpoint(scope, receive, send)

    def _endpoint(self, scope: Scope) -> AsgiApp:
        """Raises NotFound, MethodNotAllowed."""
        found = self.table.find(scope["path"])
        if found is None:
            if self._pages is not None and not self._is_api(scope["path"]):
                return self._pages
            raise NotFound(self._unknown(scope["path"]), code="route_not_found")
        method = scope["method"]
        route = found.methods.get("GET" if method == "HEAD" else method)
        if route is None:
            raise _not_allowed(method, found)
        scope["path_params"] = found.params
        return route.endpoint

    def _is_api(self, path: str) -> bool:
        """What programs ask, also where they have nearly the right address; all else is for the pages."""
        return path.startswith(API) or f"{path}/" in API or self._nearly(path) is not None

    def _unknown(self, path: str) -> str:
        if "/batches" in path:
            return "there is no such address here: batches are not served; send their requests one by one"
        near = self._nearly(path)
        return (
            "there is no such address here"
            if near is None
            else f"there is no such address here; it is {near}"
        )

    def _nearly(self, path: str) -> str | None:
        """The address that was meant by one with `/v1` missing, said twice, or with a slash behind it."""
        plain = path.rstrip("/")
        for meant in (plain, f"/v1{plain}", plain.replace("/v1/v1/", "/v1/", 1)):
            if meant.startswith(API) and self.table.find(meant) is not None:
                return meant
        return None

    async def _refuse(self, scope: Scope, send: Send, error: GatewayError) -> None:
        """An error before any endpoint, in the words of the wire that was asked."""
        head = Head(scope)
        anthropic = "/v1/messages" in scope["path"] or head.get(ANTHROPIC) is not None
        wire = anthropic_error if anthropic else openai_error
        said = wire(error, request_id=head.request_id)
        headers = [JSON_TYPE, *COMMON, *raw_headers({"x-request-id": head.request_id, **said.headers})]
        await answer(send, said.status, as_json(said.body), headers, head_only=scope["method"] == "HEAD")

    async def _live(self, receive: Receive, send: Send) -> None:
        async with AsyncExitStack() as stack:
            await receive()
            try:
                if self._lifespan is not None:
                    await stack.enter_async_context(self._lifespan())
            except Exception as error:  # noqa: BLE001 - the server wants to hear of it in a message
                await send({"type": "lifespan.startup.failed", "message": f"{type(error).__name__}: {error}"})
                return
            await send({"type": "lifespan.startup.complete"})
            await receive()
            self.stopping = True
        await send({"type": "lifespan.shutdown.complete"})


def create_app(
    config: GatewayConfig,
    routes: Sequence[Route],
    *,
    pages: AsgiApp | None = None,
    lifespan: Lifespan | None = None,
) -> Gateway:
    """The app over these routes (`api.routes` has them all), with `pages` behind them."""
    return Gateway(Table(routes), Hosts(config.hosts()), pages=pages, lifespan=lifespan)


def _not_allowed(method: str, found: Found) -> MethodNotAllowed:
    allowed = ", ".join(sorted({*found.methods, *(("HEAD",) if "GET" in found.methods else ())}))
    return MethodNotAllowed(f"{method[:20]} is not possible here; {allowed} is", headers={"allow": allowed})
