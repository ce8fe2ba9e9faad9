"""What the gateway asks of the rest: the manager of the configuration, and users' own providers behind guarded sockets."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from decimal import Decimal
from functools import cache, partial
from typing import Any

from attrs import asdict, evolve

from llmcore.build import create_manager
from llmcore.config import CAPABILITIES, FallbackConfig, LlmConfig, ProviderConfig, Routing
from llmcore.errors import EndpointError, InvalidRequestError
from llmcore.gateway.addresses import Rules, checked, refusal
from llmcore.gateway.backend import KindInfo, ModelFacts, PriceTag, ProviderView, SystemProvider
from llmcore.gateway.config import GatewayConfig
from llmcore.manager.fit import ability, window_of
from llmcore.manager.guard import Guard
from llmcore.manager.manager import ProviderManager
from llmcore.prices import PriceBook
from llmcore.provider import LlmProvider
from llmcore.providers import find, places
from llmcore.providers.place import Place
from llmcore.transport.fast import FastTransport
from llmcore.transport.limits import Limits
from llmcore.transport.outgoing import Origin
from llmcore.types import Attempt, GenerationRequest, ModelInfo, Usage

MAX_TENANTS = 10_000
OWN_CONNECTIONS = 200
_THOUSAND = 1000
_UNSAID = Routing()
_NOTHING = Usage(0, 0)
_STATUS = re.compile(r"\(status (\d{3})\b")


class ManagerBackend:
    """The gateway's `Backend` over one manager."""

    def __init__(self, manager: ProviderManager, config: GatewayConfig) -> None:
        self._manager = manager
        self._rules = {
            local: Rules(local, frozenset(config.local_servers), config.allow_http) for local in (True, False)
        }
        self._tenants: dict[str, ProviderManager] = {}
        self._fixed: tuple[object, tuple[SystemProvider, ...]] | None = None
        self._prices = PriceBook()
        self._last: ContextVar[tuple[Attempt, ...]] = ContextVar("llmcore_last_attempts", default=())
        manager.ledger.listen(self._noted)

    # ------------------------------------------------------------------------------------- the system

    @property
    def system(self) -> LlmProvider:
        return self._manager

    def tenant(self, user_id: str, /) -> LlmProvider:
        """The manager with a retry budget of this user's own; all else is shared (T21)."""
        manager = self._tenants.get(user_id)
        if manager is None:
            if len(self._tenants) >= MAX_TENANTS:
                del self._tenants[next(iter(self._tenants))]
            manager = self._tenants[user_id] = self._manager.sharing()
        return manager

    def last_attempts(self) -> tuple[Attempt, ...]:
        return self._last.get()

    def providers(self) -> Sequence[SystemProvider]:
        fleet = self._manager.fleet
        if self._fixed is None or self._fixed[0] is not fleet:
            made = tuple(
                SystemProvider(
                    guard.name, guard.provider.provider_type, _is_local(guard.provider.provider_type)
                )
                for guard in fleet.guards
            )
            self._fixed = (fleet, made)
        return self._fixed[1]

    def views(self) -> Sequence[ProviderView]:
        now = self._manager.clock.now()
        return [_view(guard, now) for guard in self._manager.fleet.guards]

    async def models_of(self, name: str, /) -> Sequence[ModelInfo]:
        guards = {guard.name: guard for guard in self._manager.fleet.guards}
        return await guards[name].list_models()

    def cost(self, model: str | None, usage: Usage, /) -> Decimal | None:
        return max((cost for cost in self._costs(model, usage) if cost is not None), default=None)

    def priced(self, model: str | None, /) -> bool:
        return None not in self._costs(model, _NOTHING)

    def _costs(self, model: str | None, usage: Usage) -> list[Decimal | None]:
        fleet = self._manager.fleet
        try:
            choices = fleet.arranged(model, ())
        except InvalidRequestError:
            return []
        return [fleet.guards[choice.index].cost(choice.model, usage) for choice in choices]

    def explain(self, request: GenerationRequest, /) -> Mapping[str, Any]:
        return asdict(self._manager.explain(request))

    async def reload(self, source: object, /) -> None:
        await self._manager.reload(source)

    async def aclose(self) -> None:
        await self._manager.aclose()

    # -------------------------------------------------------------------------------------- the kinds

    def kinds(self) -> Sequence[KindInfo]:
        chosen: dict[str, str] = {}
        for guard in sorted(self._manager.fleet.guards, key=lambda guard: guard.routing.priority):
            if guard.routing.text_model is not None:
                chosen.setdefault(guard.provider.provider_type, guard.routing.text_model)
        return [_kind(place, chosen.get(place.kind)) for place in places()]

    def facts(self, model: ModelInfo, kind: str, provider: str | None = None, /) -> ModelFacts:
        from llmcore.serving.catalogue import priced_model

        guard = next((one for one in self._manager.fleet.guards if one.name == provider), None)
        routing = _UNSAID if guard is None else guard.routing
        listed = priced_model(kind, model.id)
        window = window_of(routing, model)
        return ModelFacts(
            model.display_name or (listed.display_name if listed else None),
            listed.context_window if window is None and listed else window,
            model.max_output_tokens if routing.max_output_tokens is None else routing.max_output_tokens,
            {capability: ability(capability, routing, model) for capability in CAPABILITIES},
            self.price(kind, model.id) if guard is None else _price_tag(partial(guard.cost, model.id)),
        )

    def price(self, kind: str, model: str | None, /) -> PriceTag:
        return _price_tag(partial(self._prices.cost, kind, model))

    def known(self, kind: str, /) -> Sequence[ModelInfo]:
        """From the list of prices, where it is installed."""
        from llmcore.serving.catalogue import priced_models

        return priced_models(kind)

    # ------------------------------------------------------------------------------------- users' own

    def make(self, config: ProviderConfig, /) -> LlmProvider:
        """One provider behind a manager of its own (so with its own retries and breaker). Nothing of our environment,
        no key and no address, is given to it (T17). Raises ConfigurationError, BadRequest for an address.
        """
        place = find(config.provider)
        rules = self._rules[place.local]
        site = checked(config.base_url or place.base_url or "", rules)
        bound = evolve(config, base_url=site.url)
        transport = FastTransport(
            admit=partial(admit, local=place.local, host=site.host, trusted=place.trusted_hosts),
            limits=Limits(max_open=OWN_CONNECTIONS),
        )
        fallback = FallbackConfig(max_retries=1)
        manager = create_manager(LlmConfig((bound,), fallback), transport=transport, environ={})
        manager.ledger.listen(self._noted)
        return manager

    def _noted(self, _: int, attempts: tuple[Attempt, ...]) -> None:
        self._last.set(attempts)


def admit(
    origin: Origin, addresses: Sequence[str], *, local: bool, host: str, trusted: Sequence[str] = ()
) -> None:
    """Refuse to dial what T1 and T2 refuse, and any host that the key was not entered for (T4)."""
    ours = origin.host == host or any(
        origin.host == name or origin.host.endswith("." + name) for name in trusted
    )
    reason = "is not the one that was entered" if not ours else refusal(addresses, local=local)
    if reason is not None:
        raise EndpointError(f"the address of this provider {reason}; it is not asked", phase="connect")


def _price_tag(cost: Callable[[Usage], Decimal | None]) -> PriceTag:
    def dollars(usage: Usage) -> Decimal | None:
        found = cost(usage)
        return None if found is None else found * _THOUSAND

    return PriceTag(dollars(Usage(_THOUSAND, 0)), dollars(Usage(0, _THOUSAND)))


def _kind(place: Place, default_model: str | None) -> KindInfo:
    return KindInfo(
        place.kind,
        place.title or place.kind.replace("_", " ").title(),
        place.local,
        place.base_url,
        place.base_url is None,
        place.key_env[0] if place.key_env else None,
        place.key_required,
        default_model,
        place.wire.features,
    )


@cache
def _is_local(kind: str) -> bool:
    """Looking through the installed packages for places takes 10 ms, which every picture of the status would pay."""
    return any(place.kind == kind and place.local for place in places())


def _fault(text: str) -> str:
    """Class and status of an error alone: vendors repeat what they were asked, and a prompt is nobody else's (T15)."""
    outcome, _, rest = text.partition(":")
    statuses = _STATUS.findall(rest)
    return f"{outcome} (status {statuses[-1]})" if statuses else outcome


def _view(guard: Guard, now: float) -> ProviderView:
    stats, routing = guard.stats(), guard.routing
    ended = stats.successes + stats.failures
    breakers = [line.breaker for line in guard.lines.values()]
    states = sorted({breaker.state for breaker in breakers} - {"closed"})
    waits = [breaker.opens_at - now for breaker in breakers if breaker.state == "open"]
    return ProviderView(
        name=guard.name,
        kind=guard.provider.provider_type,
        state=stats.state,
        breaker=", ".join(states) or "closed",
        retry_in_s=max(0.0, min(waits)) if waits else None,
        in_flight=stats.in_flight,
        requests=stats.requests,
        failures=stats.failures,
        success_rate=stats.successes / ended if ended else None,
        first_token_mean_s=stats.first_token_mean_s,
        first_token_p95_s=stats.first_token_p95_s,
        latency_p50_s=stats.latency_p50_s,
        latency_p95_s=stats.latency_p95_s,
        cost_usd=stats.cost_usd,
        last_error=None if stats.last_error is None else _fault(stats.last_error),
        text_model=routing.text_model,
        embedding_model=routing.embedding_model,
        models=dict(routing.models),
        local=_is_local(guard.provider.provider_type),
        priority=routing.priority,
    )
