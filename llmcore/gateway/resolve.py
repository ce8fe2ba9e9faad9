"""Who answers a call: the session's provider, else the user's own settings, else the system's providers.

The rules, in order. 1. A session (header `x-llmcore-session`, or `metadata.session` with the id of one) says provider
and model, for the agent named in `x-llmcore-agent` its own; what it says wins over `model` of the request. 2. A model
"name/..." with the name of a system provider goes to that one. 3. The user's own settings; `model` of the request wins
over theirs. 4. The system, as the request says.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import anyio
from attrs import evolve, frozen

from llmcore.errors import ConfigurationError
from llmcore.gateway.access.extras import check_bounded, check_handed_on
from llmcore.gateway.access.principal import Principal
from llmcore.gateway.backend import Backend
from llmcore.gateway.errors import BadRequest, Forbidden, NotFound
from llmcore.gateway.media import Media
from llmcore.gateway.memory import Memory
from llmcore.gateway.own import Lease, OwnProviders
from llmcore.provider import LlmProvider
from llmcore.types import EmbeddingRequest, GenerationRequest

OWN = "own"
"""The name under which a session asks for the user's own settings."""

SESSION_ID = re.compile(r"[A-Za-z0-9_-]{22}")


@frozen
class OwnSettings:
    """What a user chose. make: their own provider, None where they use the system's key for that kind.

    provider: the kind, or the name of a system provider. local: whether its own provider is a server in our network.
    owner: whose they are, "" for those that an administrator set for everybody.
    """

    version: int
    provider: str
    model: str | None = None
    embedding_model: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    make: Callable[[], Awaitable[LlmProvider]] | None = None
    local: bool = False
    owner: str = ""


@frozen
class OwnSession:
    """A session of a user: provider and model by agent, "" for all agents that have none of their own."""

    id: str
    agents: dict[str, tuple[str, str | None]]

    def choice(self, agent: str | None) -> tuple[str, str | None]:
        return self.agents.get(agent or "") or self.agents[""]


class Choices(Protocol):
    """What users stored; every question names its user."""

    async def settings(self, user_id: str, /) -> OwnSettings | None:
        """Raises Unavailable."""
        ...

    async def session(self, user_id: str, session_id: str, /) -> OwnSession | None:
        """Raises Unavailable."""
        ...


@frozen
class Wanted:
    """What is known of a call before its target is. session, agent: as the headers name them."""

    principal: Principal
    session: str | None = None
    agent: str | None = None
    media: Media | None = None
    deadline: float | None = None


@frozen
class Target:
    """Who is asked. lease: to be closed when the call has ended; None for the system's. own: whose label it bears."""

    provider: LlmProvider
    lease: Lease | None = None

    @property
    def own(self) -> bool:
        return self.lease is not None


@frozen
class _Narrowed:
    """How a request is changed for its target. use: settings whose own provider answers; None for the system."""

    use: OwnSettings | None = None
    providers: tuple[str, ...] = ()
    model: str | None = None
    defaults: OwnSettings | None = None


class Resolver:
    """now: monotonic seconds. ttl: how long settings and sessions are remembered; what is changed here counts at once.

    learn: asked, before the system is, where the call's session stays in other processes; None where there are none.
    """

    def __init__(self, backend: Backend, choices: Choices, *, ttl: float, now: Callable[[], float]) -> None:
        self._backend = backend
        self._choices = choices
        self._own = OwnProviders()
        self.learn: Callable[[str], Awaitable[None]] | None = None
        self._settings: Memory[str, OwnSettings | None] = Memory(ttl=ttl, now=now)
        self._sessions: Memory[tuple[str, str], OwnSession | None] = Memory(ttl=ttl, now=now)

    async def generation(
        self, request: GenerationRequest, wanted: Wanted
    ) -> tuple[Target, GenerationRequest]:
        """Target and request for it. Raises BadRequest, Forbidden, NotFound, Unavailable."""
        session = await self._session(wanted, request.metadata.get("session"))
        narrowed = await self._narrowed(request.model, wanted, session, embedding=False)
        defaults, media = narrowed.defaults, wanted.media
        changed = evolve(
            request,
            model=narrowed.model,
            providers=narrowed.providers if media is None else self._fitting(narrowed, media),
            deadline=wanted.deadline,
            metadata=_metadata(wanted, request.metadata.get("session")),
        )
        if defaults is not None:
            changed = _with_defaults(changed, defaults)
        target = await self._target(narrowed, wanted, request.extra)
        if self.learn is not None and changed.metadata and not target.own:
            await self.learn(changed.metadata["session"])
        return target, changed

    async def embedding(self, request: EmbeddingRequest, wanted: Wanted) -> tuple[Target, EmbeddingRequest]:
        """The same for embeddings."""
        session = await self._session(wanted, request.metadata.get("session"))
        narrowed = await self._narrowed(request.model, wanted, session, embedding=True)
        changed = evolve(
            request,
            model=narrowed.model,
            providers=narrowed.providers,
            deadline=wanted.deadline,
            metadata=_metadata(wanted, request.metadata.get("session")),
        )
        target = await self._target(narrowed, wanted, request.extra)
        if self.learn is not None and changed.metadata and not target.own:
            await self.learn(changed.metadata["session"])
        return target, changed

    async def settings_changed(self, user_id: str) -> None:
        """Forget what the user ("": everybody) had chosen; running calls end as they began."""
        self._settings.forget(lambda key, _: user_id in {"", key})
        await self._own.forget(user_id)

    def session_changed(self, user_id: str, session_id: str) -> None:
        self._sessions.forget(lambda key, _: key == (user_id, session_id))

    async def keep_fresh(self) -> None:
        """Look up the settings and sessions in use beside their calls, until cancelled."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._settings.keep_fresh)
            group.start_soon(self._sessions.keep_fresh)

    async def aclose(self) -> None:
        await self._own.aclose()

    # ------------------------------------------------------------------------------------------ in here

    async def _session(self, wanted: Wanted, said: object) -> OwnSession | None:
        named = wanted.session
        sought = named if named is not None else said
        user_id = wanted.principal.user_id
        found = None
        if isinstance(sought, str) and SESSION_ID.fullmatch(sought):
            found = await self._sessions.get(
                (user_id, sought), lambda: self._choices.session(user_id, sought)
            )
        if found is None and named is not None:
            raise NotFound("there is no such session", code="session_not_found", param="x-llmcore-session")
        return found

    async def _narrowed(
        self, model: str | None, wanted: Wanted, session: OwnSession | None, *, embedding: bool
    ) -> _Narrowed:
        user_id = wanted.principal.user_id
        settings = await self._settings.get(user_id, lambda: self._choices.settings(user_id))
        if session is not None:
            provider, chosen = session.choice(wanted.agent)
            return self._by_name(provider, chosen or model, settings, embedding=embedding)
        if settings is None:
            return _Narrowed(model=model)
        if model is not None and model.partition("/")[0] in self._names() and "/" in model:
            return _Narrowed(model=model)
        return self._by_settings(settings, model, embedding=embedding)

    def _by_name(
        self, provider: str, model: str | None, settings: OwnSettings | None, *, embedding: bool
    ) -> _Narrowed:
        if provider in self._names():
            return _Narrowed(providers=(provider,), model=_without(provider, model))
        if settings is not None and provider in {OWN, settings.provider}:
            return self._by_settings(settings, model, embedding=embedding)
        of_kind = tuple(view.name for view in self._backend.providers() if view.kind == provider)
        if of_kind:
            return _Narrowed(providers=of_kind, model=model)
        raise BadRequest(
            f"the session's provider {provider!r} is not there any more; switch the session to another",
            code="provider_not_found",
        )

    def _by_settings(self, settings: OwnSettings, model: str | None, *, embedding: bool) -> _Narrowed:
        default = settings.embedding_model if embedding else settings.model
        if settings.make is not None:
            return _Narrowed(use=settings, model=model or default)
        names = tuple(
            view.name for view in self._backend.providers() if settings.provider in {view.name, view.kind}
        )
        if not names:
            raise BadRequest(
                f"your settings name {settings.provider!r}, for which there is no key; enter one, or choose another",
                code="provider_not_found",
            )
        return _Narrowed(providers=names, model=model or default, defaults=settings)

    async def _target(self, narrowed: _Narrowed, wanted: Wanted, extra: Mapping[str, Any]) -> Target:
        media, use = wanted.media, narrowed.use
        if wanted.principal.models is not None:
            names = self._names() if use is None else frozenset[str]()
            if not wanted.principal.may_use(narrowed.model, names):
                raise _not_allowed(wanted.principal.models, narrowed.model)
            check_bounded(extra)
        if use is None:
            check_handed_on(extra)
            if media is not None and media.vendor_files:
                raise Forbidden("files that lie with a vendor can be named with a key of your own only")
            return Target(self._backend.tenant(wanted.principal.user_id))
        assert use.make is not None
        try:
            lease = await self._own.lease(use.owner, use.version, use.make)
        except ConfigurationError as error:
            raise BadRequest(f"your settings cannot work: {error}", code="invalid_settings") from None
        return Target(lease.provider, lease)

    def _names(self) -> frozenset[str]:
        return frozenset(view.name for view in self._backend.providers())

    def _fitting(self, narrowed: _Narrowed, media: Media) -> tuple[str, ...]:
        """The providers that may be asked, less the local ones where something must be fetched, which they would do from
        inside of our network.
        """
        if not media.addresses:
            return narrowed.providers
        named = (narrowed.model or "").partition("/")[0]
        asked = narrowed.providers or ((named,) if named in self._names() else ())
        meant = [one for one in self._backend.providers() if not asked or one.name in asked]
        names = tuple(one.name for one in meant if not one.local)
        if narrowed.use is not None:
            names = () if narrowed.use.local else ("",)
        if not names:
            raise BadRequest("local servers do not fetch addresses; send the picture as a data URI")
        return () if narrowed.use is not None or len(names) == len(meant) else names


def _without(provider: str, model: str | None) -> str | None:
    """The model without the name of the provider before it."""
    return None if model is None else model.removeprefix(f"{provider}/")


def _metadata(wanted: Wanted, said: object) -> dict[str, str]:
    """What keeps a conversation with one provider; tenants cannot meet in it."""
    session = wanted.session or said
    if not isinstance(session, str) or not session:
        return {}
    return {"session": f"{wanted.principal.user_id}:{session}"}


def _with_defaults(request: GenerationRequest, settings: OwnSettings) -> GenerationRequest:
    """The user's own figures where the request has none; a provider of their own has them built in."""
    temperature = settings.temperature if request.temperature is None else request.temperature
    max_tokens = settings.max_tokens if request.max_tokens is None else request.max_tokens
    return evolve(request, temperature=temperature, max_tokens=max_tokens)


def _not_allowed(models: frozenset[str], model: str | None) -> Forbidden:
    allowed = ", ".join(sorted(models))[:200]
    return Forbidden(
        f"this key may not use {model[:200]!r}; it may use {allowed}"
        if model
        else f"name a model: this key may use {allowed}",
        code="model_not_allowed",
        param="model",
    )
