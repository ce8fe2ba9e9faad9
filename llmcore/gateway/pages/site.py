"""The pages behind the API: who may see which, and what becomes of errors on the way to a browser."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from urllib.parse import quote

from attrs import evolve

from llmcore.gateway.access.principal import Principal
from llmcore.gateway.api.frame import cookie_name, cookie_of
from llmcore.gateway.api.services import Services
from llmcore.gateway.api.table import Route, Table
from llmcore.gateway.errors import GatewayError
from llmcore.gateway.http import AsgiApp, Head, Receive, Scope, Send, answer
from llmcore.gateway.pages.inner import Inner, Refused
from llmcore.gateway.pages.render import HTML_TYPE, Renderer, page_headers
from llmcore.gateway.pages.static import PREFIX, Static
from llmcore.gateway.pages.views import PAGES, Page, Visit

SIGN_IN = "/sign-in"
HOME = "/playground"
NAV = tuple((page.path, page.label) for page in PAGES if not page.admin)
ADMIN_NAV = tuple((page.path, page.label) for page in PAGES if page.admin)

_FOR_GOOD = (b"cache-control", b"public, max-age=31536000, immutable")
_TITLES = {
    403: "Not for you",
    404: "Not found",
    405: "Not possible",
    503: "Not just now",
}


def create_pages(services: Services, routes: Sequence[Route] | None = None) -> AsgiApp:
    """The pages over these services; they ask `routes` (left out: all of the gateway's) for what they show."""
    if routes is None:
        from llmcore.gateway.api.routes import all_routes

        routes = all_routes(services)
    return Site(services, Inner(Table(routes)))


class Site:
    """Everything that is no route of the API."""

    def __init__(self, services: Services, inner: Inner) -> None:
        self._services = services
        self._inner = inner
        self._static = Static()
        self._renderer = Renderer(self._static)
        self._pages = {page.path: page for page in PAGES}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began, head, status = perf_counter(), Head(scope), 499
        try:
            status = await self._serve(scope, head, send)
        except Exception as error:  # noqa: BLE001 - the outermost edge: the reader gets a page, the log the fault
            self._services.desk.log.fault(error, head.request_id, "page")
            said = "The gateway has failed. Its log has more, by the number below."
            status = await self._sorry(scope, head, send, Refused(500, said))
        finally:
            self._services.desk.metrics.answered("page", status, perf_counter() - began)

    async def _serve(self, scope: Scope, head: Head, send: Send) -> int:
        path: str = scope["path"]
        if scope["method"] not in {"GET", "HEAD"}:
            refused = Refused(405, "Pages can only be read.")
            return await self._sorry(scope, head, send, refused, (b"allow", b"GET, HEAD"))
        if path.startswith(PREFIX):
            return await self._file(scope, head, send)
        try:
            who = await self._who(head)
            if path == "/":
                return await self._go(scope, head, send, HOME if who else SIGN_IN)
            if path == SIGN_IN:
                return await self._sign_in(scope, head, send, who)
            page = self._pages.get(path)
            if who is None:
                wanted = f"?next={quote(path)}" if page is not None else ""
                return await self._go(scope, head, send, SIGN_IN + wanted)
            if page is None:
                raise Refused(404, "There is no such page.")
            return await self._page(scope, head, send, page, who)
        except Refused as refused:
            if refused.status == 401:
                return await self._go(scope, head, send, SIGN_IN)
            return await self._sorry(scope, head, send, refused)
        except GatewayError as error:
            return await self._sorry(scope, head, send, Refused(error.status, error.message))

    async def _who(self, head: Head) -> Principal | None:
        """Whose browser that is. Raises Unavailable."""
        cookie = cookie_of(head, cookie_name(self._services.desk.config.secure))
        return None if cookie is None else await self._services.browsers.find(cookie)

    async def _page(self, scope: Scope, head: Head, send: Send, page: Page, who: Principal) -> int:
        if page.admin and not who.admin:
            raise Refused(403, "This page is for administrators. Ask one of them, or sign in as one.")
        visit = Visit(scope, who, self._inner, self._services.desk.wall())
        values = await page.values(visit)
        frame = {"me": who, "here": page.path, "nav": NAV, "admin_nav": ADMIN_NAV}
        body = self._renderer.page(page.template, {**frame, **values})
        return await self._html(scope, head, send, 200, body)

    async def _sign_in(self, scope: Scope, head: Head, send: Send, who: Principal | None) -> int:
        """Also for whoever is signed in already: they may want to be somebody else."""
        body = self._renderer.page("sign_in.html", {"known": who, "home": HOME})
        return await self._html(scope, head, send, 200, body)

    async def _sorry(
        self, scope: Scope, head: Head, send: Send, refused: Refused, *more: tuple[bytes, bytes]
    ) -> int:
        title = _TITLES.get(refused.status, "Something went wrong")
        shown = evolve(refused, message=refused.message[:1000])
        values = {"heading": title, "refused": shown, "request_id": head.request_id}
        body = self._renderer.page("error.html", values)
        return await self._html(scope, head, send, refused.status, body, *more)

    async def _html(
        self, scope: Scope, head: Head, send: Send, status: int, body: bytes, *more: tuple[bytes, bytes]
    ) -> int:
        headers = page_headers(head.request_id, secure=self._services.desk.config.secure)
        await answer(send, status, body, [HTML_TYPE, *headers, *more], head_only=scope["method"] == "HEAD")
        return status

    async def _file(self, scope: Scope, head: Head, send: Send) -> int:
        asset = self._static.find(scope["path"])
        if asset is None:
            return await self._sorry(scope, head, send, Refused(404, "There is no such file."))
        common = page_headers(head.request_id, secure=self._services.desk.config.secure)
        headers = [pair for pair in common if pair[0] != b"cache-control"]
        headers += [(b"content-type", asset.kind), _FOR_GOOD]
        await answer(send, 200, asset.body, headers, head_only=scope["method"] == "HEAD")
        return 200

    async def _go(self, scope: Scope, head: Head, send: Send, to: str) -> int:
        headers = page_headers(head.request_id, secure=self._services.desk.config.secure)
        headers.append((b"location", to.encode("ascii")))
        await answer(send, 303, b"", headers, head_only=scope["method"] == "HEAD")
        return 303
