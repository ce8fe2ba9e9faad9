"""Config to live objects; the only file that knows everyone."""

from __future__ import annotations

import math
import os
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
from attrs import evolve

from llmcore.clock import Clock
from llmcore.config import KeyConfig, LlmConfig, ProviderConfig, Timeouts, TransportChoice
from llmcore.errors import ConfigurationError, ProviderError
from llmcore.manager.manager import ProviderManager, Rebuilt
from llmcore.prices import PriceBook, warm
from llmcore.providers import find, kinds
from llmcore.providers.base import HttpProvider
from llmcore.providers.place import Place, origin
from llmcore.secret import Secret, Veiled
from llmcore.transport.base import Call, Reply, Transport
from llmcore.transport.choose import open_transport

if TYPE_CHECKING:
    import httpx

    from llmcore.transport.dial import Admit

LOCAL_SERVERS = ("ollama", "lm_studio", "llamacpp", "vllm")
PROBE_S = 0.5

Source = str | os.PathLike[str] | Mapping[str, object] | LlmConfig | None


def create_provider(
    config: ProviderConfig,
    *,
    transport: httpx.AsyncBaseTransport | Transport | None = None,
    timeouts: Timeouts | None = None,
    clock: Clock | None = None,
    environ: Mapping[str, str] | None = None,
    prices: PriceBook | None = None,
) -> HttpProvider:
    """One provider, alone. Raises ConfigurationError.

    transport: any httpx transport (mock, respx, in-process ASGI) or one of ours; it then belongs to the provider and is
    closed with it. Left out, the provider opens its own.
    """
    environ = Veiled(os.environ if environ is None else environ)
    place = find(config.provider)
    base_url, ours = _base_url(place, config, environ)
    keys = _keys(place, config, environ, vendors_own=ours)
    book = prices or PriceBook(config.prices)
    return HttpProvider(
        place,
        config,
        _as_transport(transport, config.transport or "auto"),
        base_url=base_url,
        keys=keys,
        timeouts=timeouts,
        clock=clock,
        pricer=partial(book.cost, place.kind),
    )


def create_manager(
    config: LlmConfig,
    *,
    transport: httpx.AsyncBaseTransport | Transport | None = None,
    environ: Mapping[str, str] | None = None,
    admit: Admit | None = None,
) -> ProviderManager:
    """Every enabled provider of a configuration behind one manager; they share their transport.

    admit: asked before each new connection whether its addresses may be dialled; a transport of yours asks by itself.
    Raises ConfigurationError with the complaints of all providers at once.
    """
    environ = Veiled(os.environ if environ is None else environ)
    workshop = _Workshop(transport, environ, admit)
    built = workshop.build(config)
    manager = ProviderManager(
        built.providers, config.fallback, timeouts=config.timeouts, rebuild=workshop.rebuild
    )
    built.settle(True)
    return manager


@asynccontextmanager
async def open(  # noqa: A001 - `llmcore.open` reads as what it does
    source: Source = None,
    *,
    transport: httpx.AsyncBaseTransport | Transport | None = None,
    environ: Mapping[str, str] | None = None,
) -> AsyncIterator[ProviderManager]:
    """A manager for a configuration file, TOML text, mapping or LlmConfig; with none, for what the environment offers.

    `async with llmcore.open("config.toml") as llm: ...`; leaving the block closes every connection.
    Raises ConfigurationError with every complaint at once.
    """
    environ = Veiled(os.environ if environ is None else environ)
    try:
        config = await _read(source, environ, transport)
    except ConfigurationError as error:
        raise error.with_traceback(None) from None  # the frames below hold the text, and maybe keys in it
    finally:
        del source
    manager = create_manager(config, transport=transport, environ=environ)
    try:
        yield manager
    finally:
        with anyio.CancelScope(shield=True), anyio.move_on_after(2.0):
            await manager.aclose()


async def _read(
    source: Source, environ: Mapping[str, str], transport: httpx.AsyncBaseTransport | Transport | None
) -> LlmConfig:
    if source is None:
        config = await from_environment(environ, transport=transport)
    elif isinstance(source, LlmConfig):
        config = source
    else:
        from llmcore.loader import load_config

        config = load_config(source, environ=environ, kinds=kinds())
    if config.prices == "auto":  # its import takes a fifth of a second; better here than inside a call
        await anyio.to_thread.run_sync(warm)
    return config


async def from_environment(
    environ: Mapping[str, str], *, transport: httpx.AsyncBaseTransport | Transport | None = None
) -> LlmConfig:
    """A provider for each standard key variable that is set, then each local server that answers at its usual address.

    LLMCORE_MODEL ("provider/model", or a model's name) gives the text model; of a local server that does not have it
    the first model is taken. transport: what local servers are asked over; it is not closed.
    Raises ConfigurationError where there is nothing to talk to.
    """
    environ = Veiled(environ)
    found: list[ProviderConfig] = []
    for kind in kinds():
        place = find(kind)
        if place.kind != kind or place.local or not any(environ.get(variable) for variable in place.key_env):
            continue
        if place.base_url is None and not any(environ.get(variable) for variable in place.base_url_env):
            continue
        if any(find(other.provider).key_env == place.key_env for other in found):
            continue  # another dialect of a vendor that is already there; a failover to it would be none
        found.append(ProviderConfig(kind, kind, text_model=_wanted(kind, environ), priority=len(found) + 1))
    shared = None if transport is None else _Shared(_as_transport(transport, "auto"), holders=1)
    found += await _local_servers(environ, len(found), shared)
    if not found:
        raise ConfigurationError(
            "nothing to talk to: set a provider's key (such as OPENAI_API_KEY), start a local server (such as "
            "`ollama serve`), or name a configuration file"
        )
    return LlmConfig(found)


def _wanted(kind: str, environ: Mapping[str, str]) -> str | None:
    """The model that LLMCORE_MODEL names for this kind: its own after "kind/", else any."""
    wanted = environ.get("LLMCORE_MODEL", "")
    head, _, tail = wanted.partition("/")
    if head not in kinds():
        return wanted or None
    return tail or None if find(head).kind == kind else None


async def _local_servers(
    environ: Mapping[str, str], offset: int, shared: _Shared | None
) -> list[ProviderConfig]:
    answers: dict[str, ProviderConfig] = {}

    async def ask(kind: str) -> None:
        config = ProviderConfig(kind, kind)
        try:
            lease = None if shared is None else shared.lease()
            provider = create_provider(config, transport=lease, environ=environ)
        except ConfigurationError:
            return
        try:
            with anyio.move_on_after(PROBE_S):
                models = [model.id for model in await provider.list_models()]
                wanted = _wanted(kind, environ)
                explicit = wanted is not None and wanted != environ.get("LLMCORE_MODEL")
                chosen = wanted if explicit or wanted in models or not models else models[0]
                answers[kind] = evolve(config, text_model=chosen)
        except (ProviderError, ConfigurationError):
            return
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(PROBE_S):
                await provider.aclose()

    async with anyio.create_task_group() as group:
        for kind in LOCAL_SERVERS:
            group.start_soon(ask, kind)
    ordered = [answers[kind] for kind in LOCAL_SERVERS if kind in answers]
    return [evolve(config, priority=offset + place + 1) for place, config in enumerate(ordered)]


def _base_url(place: Place, config: ProviderConfig, environ: Mapping[str, str]) -> tuple[str, bool]:
    """The address, and whether it is one for which the vendor's standard key variable is meant."""
    said = next((environ[variable] for variable in place.base_url_env if environ.get(variable)), None)
    if said is not None and place.read_base_url is not None and not config.base_url:
        said = place.read_base_url(said)
    url = config.base_url or said or place.base_url
    if url is None:
        hint = f" or the variable {place.base_url_env[0]}" if place.base_url_env else ""
        raise ConfigurationError(f"base_url: {place.kind} has no address of its own; set base_url{hint}")
    _check_url(url, config.name)
    ours = config.base_url is None or place.base_url is None or origin(url) == origin(place.base_url)
    return url, ours


def _check_url(url: str, name: str) -> None:
    try:
        parts = urlsplit(url)
        complete = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        parts, complete = urlsplit(""), False
    if "@" in parts.netloc:
        raise ConfigurationError("base_url: put the key into api_key, not into the address")
    sendable = url.isascii() and url.isprintable() and " " not in url
    if not complete or not sendable or parts.query or parts.fragment:
        raise ConfigurationError(f"base_url: {name} needs http(s)://host[:port][/path], without a query")


def _keys(
    place: Place, config: ProviderConfig, environ: Mapping[str, str], *, vendors_own: bool
) -> tuple[KeyConfig, ...]:
    """The configured keys; else, at the vendor's own address, the one of its standard variable."""
    complaints = list(_key_faults(config))
    if complaints:
        raise ConfigurationError(*complaints)
    if config.api_keys:
        return config.api_keys
    if config.api_key:
        return (KeyConfig("api_key", config.api_key),)
    if not vendors_own:
        return ()
    variable = next((name for name in place.key_env if environ.get(name, "").strip()), None)
    if variable is not None:
        key = Secret(environ[variable].strip())
        if not _is_key(key):
            raise ConfigurationError(f"the variable {variable}: {_NO_KEY}")
        return (KeyConfig("api_key", key),)
    if place.key_required:
        named = " or ".join(place.key_env) or "its key"
        raise ConfigurationError(f"api_key: {place.kind} needs a key; set api_key or the variable {named}")
    return ()


def _key_faults(config: ProviderConfig) -> Iterator[str]:
    if config.api_key and config.api_keys:
        yield "api_keys: is given beside api_key; keep one of the two"
    if config.api_key and not _is_key(config.api_key):
        yield f"api_key: {_NO_KEY}"
    names: set[str] = set()
    for index, key in enumerate(config.api_keys):
        where = f"api_keys[{index}]"
        if not key.value:
            yield f"{where}: is empty"
        elif not _is_key(key.value):
            yield f"{where}: {_NO_KEY}"
        if key.name in names:
            yield f"{where}: {key.name!r} is the name of another key too; give each its own"
        if not 0 <= key.weight < math.inf:
            yield f"{where}: the weight must be a number of at least 0"
        names.add(key.name)


_NO_KEY = "holds spaces, line breaks or characters that no key has"


def _is_key(key: Secret) -> bool:
    """Whether it can be sent; it is looked at here only, so that no frame that raises holds it in clear."""
    value = key.reveal()
    return value.isascii() and value.isprintable() and " " not in value


def _as_transport(
    given: httpx.AsyncBaseTransport | Transport | None, choice: TransportChoice, admit: Admit | None = None
) -> Transport:
    if given is None:
        return open_transport(choice, admit)
    if not hasattr(given, "handle_async_request"):
        return given
    from llmcore.transport.httpx_transport import HttpxTransport

    return HttpxTransport(cast("httpx.AsyncBaseTransport", given))


class _Workshop:
    """Makes the providers of a configuration; of a changed one, only those anew that are different."""

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport | Transport | None,
        environ: Mapping[str, str],
        admit: Admit | None,
    ) -> None:
        self._given = transport
        self._admit = admit
        self._environ = environ
        self._shared: dict[TransportChoice, _Shared] = {}
        self._made: dict[str, tuple[object, HttpProvider]] = {}

    def build(self, config: LlmConfig) -> Rebuilt:
        """Every enabled provider. Raises ConfigurationError with the complaints of all of them; then nothing is kept."""
        made: dict[str, tuple[object, HttpProvider]] = {}
        leases: list[_Lease] = []
        complaints: list[str] = []
        for entry in config.providers:
            if entry.enabled and entry.name in made:
                complaints.append(f"llm.providers: the name {entry.name!r} is given twice")
            elif entry.enabled:
                try:
                    made[entry.name] = self._leaf(entry, config, leases)
                except ConfigurationError as error:
                    complaints += [
                        f"llm.providers.{entry.name}.{complaint}" for complaint in error.complaints
                    ]
        if complaints:
            _drop(leases)
            raise ConfigurationError(*complaints)

        def settle(taken: bool) -> None:
            if taken:
                self._made = made
            else:
                _drop(leases)

        return Rebuilt([leaf for _, leaf in made.values()], config.fallback, config.timeouts, settle)

    async def rebuild(self, source: Source) -> Rebuilt:
        """What another configuration amounts to. Raises ConfigurationError; nothing has changed before it is settled."""
        return self.build(await _read(source, self._environ, self._given))

    def _leaf(
        self, entry: ProviderConfig, config: LlmConfig, leases: list[_Lease]
    ) -> tuple[object, HttpProvider]:
        choice = config.transport if self._given is not None else entry.transport or config.transport
        place = find(entry.provider)
        names = (*place.key_env, *place.base_url_env)
        variables = {name: Secret(self._environ.get(name, "")) for name in names}
        recipe = (entry, config.timeouts, config.prices, choice, variables)
        recipe_before, leaf = self._made.get(entry.name, (None, None))
        if leaf is not None and recipe == recipe_before:
            return recipe, leaf
        shared = self._shared.get(choice)
        if shared is None or shared.closed:
            shared = self._shared[choice] = _Shared(_as_transport(self._given, choice, self._admit))
        leases.append(shared.lease())
        made = create_provider(
            entry,
            transport=leases[-1],
            timeouts=config.timeouts,
            environ=self._environ,
            prices=PriceBook(entry.prices, mode=config.prices),
        )
        return recipe, made


def _drop(leases: Sequence[_Lease]) -> None:
    for lease in leases:
        lease.drop()


class _Shared:
    """One transport for many leaves, closed with the last of them."""

    def __init__(self, transport: Transport, *, holders: int = 0) -> None:
        self.transport = transport
        self.holders = holders
        self.closed = False

    def lease(self) -> _Lease:
        self.holders += 1
        return _Lease(self)


class _Lease:
    def __init__(self, shared: _Shared) -> None:
        self._shared = shared
        self._open = True

    def open(self, call: Call, timeouts: Timeouts) -> Awaitable[Reply]:
        return self._shared.transport.open(call, timeouts)

    def drop(self) -> None:
        """Give the lease back although the transport may have no other holder left."""
        if self._open:
            self._open = False
            self._shared.holders -= 1

    async def aclose(self) -> None:
        if self._open:
            self.drop()
            if self._shared.holders == 0:
                self._shared.closed = True
                await self._shared.transport.aclose()
