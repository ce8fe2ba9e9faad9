"""Adding, changing, removing and ordering the providers for everybody; the list, explain and reload are in `providers`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llmcore.gateway.addresses import Rules, checked
from llmcore.gateway.api import system_schemas as schemas
from llmcore.gateway.api.fields import found, known, required, text, texts
from llmcore.gateway.api.frame import Context, Reply
from llmcore.gateway.api.services import Services
from llmcore.gateway.api.table import Route
from llmcore.gateway.backend import KindInfo
from llmcore.gateway.errors import BadRequest, Conflict
from llmcore.gateway.mirror import read
from llmcore.gateway.system import FIELDS, Entry, SystemProviders
from llmcore.secret import Secret

BODY = ("name", *FIELDS, "api_key")
RESERVED = (".", "..", "explain", "order", "own", "reload")
"""Words of paths, and of sessions: a provider of that name could not be reached."""
LARGEST = 2**31


class SystemApi:
    """The endpoints; each change is tried before it is kept, and calls that run go on as they began."""

    def __init__(self, services: Services, system: SystemProviders) -> None:
        self._services = services
        self._system = system

    def routes(self) -> Sequence[Route]:
        route, at, out = self._services.route, "/api/providers", schemas.NAMES
        return (
            route(
                *("POST", at, "admin", "provider_add", "One more for everybody.", self.add),
                request=schemas.PROVIDER_BODY,
                response=out,
                status=201,
                errors=(409,),
            ),
            route(
                *("PUT", f"{at}/order", "admin", "provider_order", "Who is asked first.", self.order),
                request=schemas.ORDER_BODY,
                response=out,
            ),
            route(
                *("PATCH", f"{at}/{{name}}", "admin", "provider_change", "Change one.", self.change),
                request=schemas.PROVIDER_PATCH,
                response=out,
            ),
            route(
                *("DELETE", f"{at}/{{name}}", "admin", "provider_remove", "Remove one.", self.remove),
                response=out,
            ),
        )

    async def add(self, context: Context) -> Reply:
        name = required(context.body, "name", longest=64)
        if "/" in name or name in RESERVED:
            raise BadRequest(f'name: must not hold a "/", nor be one of {", ".join(RESERVED)}', param="name")
        required(context.body, "provider")
        if name in await self._names():
            raise Conflict(f"there is a provider {name!r} already")
        return await self._put(context, name, None, status=201)

    async def change(self, context: Context) -> Reply:
        name = context.params["name"]
        config = await self._system.config()
        before = found(next((one for one in config.providers if one.name == name), None), "provider")
        return await self._put(context, name, (before.provider, before.base_url))

    async def remove(self, context: Context) -> Reply:
        name = context.params["name"]
        found(name in await self._names(), "provider")
        return await self._done(
            context, "provider.remove", name, lambda entries: entries.update({name: {"removed": True}})
        )

    async def order(self, context: Context) -> Reply:
        known(context.body, ("names",))
        names, providers = texts(context.body, "names") or (), (await self._system.config()).providers
        asked = {
            one.name for one in providers if one.enabled
        }  # who is switched off is in no list that people see
        mine = set(names)
        if len(mine) != len(names) or not asked <= mine <= {one.name for one in providers}:
            raise BadRequest("names: must be every provider, each once", param="names")

        def arrange(entries: dict[str, Entry]) -> None:
            for place, name in enumerate(names, 1):
                entries[name] = {**entries.get(name, {}), "priority": place}

        return await self._done(context, "provider.order", ", ".join(names)[:200], arrange)

    # ------------------------------------------------------------------------------------------ in here

    async def _names(self) -> set[str]:
        return {one.name for one in (await self._system.config()).providers}

    async def _put(
        self,
        context: Context,
        name: str,
        before: tuple[str, str | None] | None,
        *,
        status: int = 200,
    ) -> Reply:
        """Lay the body over the entry. before: kind and address until now, None for a new one."""
        body, was = context.body, (await self._system.entries()).get(name)
        known(body, BODY if before is None else BODY[1:])
        entry: Entry = {} if was is None or before is None else was
        after: Entry = {**entry, **_said(body)}
        kind_name = after.get("provider") or (before[0] if before else "")
        kind = self._services.choices.kind(kind_name)
        if kind is None:
            raise BadRequest(f"provider: there is no kind {kind_name[:60]!r}", param="provider")
        if body.get("base_url") is not None and (before is None or body["base_url"] != before[1]):
            after["base_url"] = self._address(kind, body["base_url"])
        place = (kind_name, after.get("base_url") or (before[1] if before else None))
        if before is not None and place != before:
            after.pop("key", None)
        key = read.string(body, "api_key")
        if key:
            after["key"] = self._system.sealed(name, place[0], place[1], Secret(key))
        elif "api_key" in body:
            after.pop("key", None)
        action = "provider.add" if before is None else "provider.change"

        def lay(entries: dict[str, Entry]) -> None:
            if entries.get(name) != was:
                raise Conflict(f"the provider {name!r} was changed by somebody else meanwhile; try again")
            entries[name] = after

        return await self._done(context, action, name, lay, status)

    def _address(self, kind: KindInfo, url: str) -> str:
        config = self._services.desk.config
        return checked(url, Rules(kind.local, frozenset(config.local_servers), config.allow_http)).url

    async def _done(self, context: Context, action: str, target: str, work: Any, status: int = 200) -> Reply:
        await self._system.change(work)
        self._services.lists.forget("system")
        await self._services.audit(context, action, target, fields=sorted(context.body))
        names = [one.name for one in self._services.desk.backend.providers()]
        return Reply({"providers": names}, status=status)


def _said(body: Mapping[str, Any]) -> Entry:
    """The fields that the body names; null makes one unset. Raises BadRequest."""
    lines = {
        name: text(body, name, longest=500)
        for name in ("provider", "base_url", "text_model", "embedding_model")
    }
    numbers = {
        "priority": read.integer(body, "priority", low=-LARGEST, high=LARGEST),
        "max_in_flight": read.integer(body, "max_in_flight", low=1, high=LARGEST),
    }
    return {name: value for name, value in {**lines, **numbers}.items() if name in body}
