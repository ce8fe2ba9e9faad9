"""`/api/providers`: the system's providers, for administrators: how they are, who would be asked, reload."""

from __future__ import annotations

from collections.abc import Sequence

from llmcore.errors import InvalidRequestError
from llmcore.gateway.api import system_schemas as schemas
from llmcore.gateway.api.fields import known
from llmcore.gateway.api.frame import Context, Reply
from llmcore.gateway.api.openai_schemas import EXPLAIN_BODY
from llmcore.gateway.api.services import Services
from llmcore.gateway.api.system import SystemApi
from llmcore.gateway.api.table import Route
from llmcore.gateway.config import MIB
from llmcore.gateway.errors import BadRequest
from llmcore.gateway.mirror.openai_chat import OpenAIChatMirror
from llmcore.gateway.status import view_json


class ProvidersApi:
    """The endpoints."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._mirror = OpenAIChatMirror()

    def routes(self) -> Sequence[Route]:
        route, at = self._services.route, "/api/providers"
        changes = (
            () if self._services.system is None else SystemApi(self._services, self._services.system).routes()
        )
        return (
            *changes,
            route(
                "GET",
                at,
                "admin",
                "providers",
                "Every system provider.",
                self.list,
                response=schemas.PROVIDERS,
            ),
            route(
                *("POST", f"{at}/explain", "admin", "explain"),
                "Who would be asked for a chat request, in which order, who not and why; nothing is sent.",
                self.explain,
                request=EXPLAIN_BODY,
                response=schemas.EXPLAINED,
                limit=MIB,
            ),
            route(
                *("POST", f"{at}/reload", "admin", "reload"),
                "Read the configuration file again; what runs goes on as it began.",
                self.reload,
                request=schemas.NOTHING,
                response=schemas.NAMES,
            ),
        )

    async def list(self, context: Context) -> Reply:
        services = self._services
        views = [view_json(view, admin=True) for view in services.desk.backend.views()]
        if services.system is not None:
            known_ones = {one.name: one for one in (await services.system.config()).providers}
            for view in views:
                one = known_ones.get(view["name"])
                if one is not None:
                    view |= {"base_url": one.base_url, "max_in_flight": one.max_in_flight}
        return Reply({"providers": views, "file": services.source is not None})

    async def explain(self, context: Context) -> Reply:
        asked = self._mirror.decode_request(context.body)
        try:
            return Reply(dict(self._services.desk.backend.explain(asked.request)))
        except InvalidRequestError as error:
            raise BadRequest(error.message) from None

    async def reload(self, context: Context) -> Reply:
        known(context.body, ())
        services = self._services
        if services.source is None:
            raise BadRequest("there is no configuration file to read again", code="no_configuration_file")
        if services.system is None:
            await services.desk.backend.reload(services.source)
        else:
            await services.system.reload()
        services.lists.forget("system")
        await services.audit(context, "providers.reload", "system")
        names = [one.name for one in services.desk.backend.providers()]
        return Reply({"providers": names})
