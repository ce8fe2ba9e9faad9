"""What the endpoints of `/api` work with, beside the desk of the calls; and how one of them becomes a route."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import define, field

from llmcore.gateway.access.limits import LocalShares
from llmcore.gateway.access.policy import Access
from llmcore.gateway.api.frame import ANTHROPIC, BODY_LIMIT, Browsers, Context, Framed, Handler, Rule
from llmcore.gateway.api.table import Method, Route, Schema
from llmcore.gateway.catalogue import Lists
from llmcore.gateway.history import History
from llmcore.gateway.serve import Desk
from llmcore.gateway.store import Store
from llmcore.gateway.stored import StoredChoices
from llmcore.gateway.system import SystemProviders
from llmcore.gateway.usage.recorder import Recorder
from llmcore.gateway.vault import Passwords, Vault

NO_QUERY: Mapping[str, Schema] = {}


@define
class Services:
    """doors: how often one may try to sign in. source: the file that a reload reads, None where there is none.
    system: providers for everybody that can be changed while it runs; None where they cannot.

    ready: whether the process takes calls; False while it stops. history: the last hour of each provider.
    """

    desk: Desk
    store: Store
    vault: Vault
    passwords: Passwords
    recorder: Recorder
    lists: Lists
    choices: StoredChoices
    browsers: Browsers
    doors: LocalShares
    source: str | None = None
    system: SystemProviders | None = None
    started: float = 0.0
    ready: bool = True
    notes: dict[str, Callable[[], Any]] = field(factory=dict)
    history: History = field(init=False)

    def __attrs_post_init__(self) -> None:
        backend = self.desk.backend
        self.history = History(lambda: {one.name for one in backend.providers()}, self.desk.wall)
        self.recorder.listen(self.history.note)

    async def audit(self, context: Context, action: str, target: str, **detail: Any) -> None:
        """Write down what was done, by whom, from where; never a secret."""
        await self.store.audit.append(
            at=self.desk.wall(),
            actor=context.principal.user_id or "nobody",
            source=context.source,
            action=action,
            target=target,
            detail=detail,
        )
        self.desk.log.note(
            "info",
            "gateway.audit",
            request_id=context.head.request_id,
            actor=context.principal.user_id,
            source=context.source,
            action=action,
            target=target,
        )

    def route(  # noqa: PLR0913 - one word for each column of the table
        self,
        method: Method,
        path: str,
        access: Access,
        name: str,
        summary: str,
        handler: Handler,
        *,
        request: Schema | None = None,
        response: Schema | None = None,
        query: Mapping[str, Schema] = NO_QUERY,
        status: int = 200,
        cookies: bool = True,
        media_type: str = "application/json",
        limit: int = BODY_LIMIT,
        errors: tuple[int, ...] = (),
        events: Schema | None = None,
        headers: Mapping[str, Schema] = NO_QUERY,
    ) -> Route:
        """One endpoint in its frame, as a row of the table."""
        reads = request is not None
        names = frozenset(query) if path.startswith("/api/") else None
        both = ANTHROPIC.decode() in headers
        rule = Rule(name, access, reads=reads, cookies=cookies, limit=limit, query=names, both=both)
        return Route(
            method,
            path,
            access,
            name,
            summary,
            Framed(self.desk, self.browsers, rule, handler),
            request,
            response,
            query,
            status,
            media_type,
            path.split("/")[2] if path.count("/") > 1 else path.strip("/"),
            errors,
            events,
            cookies=cookies,
            headers=headers,
        )
