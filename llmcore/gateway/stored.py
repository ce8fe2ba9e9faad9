"""What the store knows, as the paths of calls and pages ask for it: keys, browsers, choices, books."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count

from llmcore.config import ProviderConfig
from llmcore.errors import ConfigurationError
from llmcore.gateway.access.limits import period_of
from llmcore.gateway.access.principal import ALL_SCOPES, Principal
from llmcore.gateway.backend import Backend, KindInfo
from llmcore.gateway.errors import BadRequest, Conflict, GatewayError, Unavailable
from llmcore.gateway.ledger import CallRecord, micros
from llmcore.gateway.resolve import OwnSession, OwnSettings
from llmcore.gateway.store import (
    SYSTEM,
    KeyOwner,
    LlmSettings,
    Store,
    StoreConflict,
    StoreError,
    StoreInvalid,
    UsageAttempt,
    new_id,
)
from llmcore.gateway.usage.recorder import Recorder
from llmcore.gateway.vault import SealBroken, Tokens, Vault, VaultError, api_key, looks_opaque, public_id_of
from llmcore.provider import LlmProvider
from llmcore.types import Attempt

SEEN_EVERY_S = 300.0
NO_DIGEST = "0" * 64


def told(error: StoreError | VaultError) -> GatewayError:
    """An error of store or vault as an answer; where the database is away, without its address."""
    if isinstance(error, SealBroken):
        return Conflict(str(error), code="key_unreadable")
    if isinstance(error, StoreConflict):
        return Conflict(str(error))
    if isinstance(error, StoreInvalid):
        return BadRequest(str(error), param=error.param)
    return Unavailable("the database cannot be used now; try again", retry_after=5.0, code="database_away")


@contextmanager
def asking() -> Iterator[None]:
    """Errors of the store come out as answers."""
    try:
        yield
    except StoreError as error:
        raise told(error) from None


class StoredKeys:
    """Virtual keys. wall: epoch seconds."""

    def __init__(self, store: Store, tokens: Tokens, wall: Callable[[], float]) -> None:
        self._store = store
        self._tokens = tokens
        self._wall = wall

    async def find(self, token: str, /) -> Principal | None:
        """An unknown key takes the same steps as one that is revoked."""
        public_id = public_id_of(token)
        if public_id is None:
            return None
        with asking():
            owner = await self._store.keys.find(public_id)
        digest = NO_DIGEST if owner is None else owner.key.digest
        good = self._tokens.matches("virtual key", token, digest)
        now = self._wall()
        if owner is None or not good or owner.user.disabled or not owner.key.usable(now):
            return None
        return principal_of(owner, now)


def principal_of(owner: KeyOwner, now: float) -> Principal:
    """Who holds this key."""
    key, user = owner.key, owner.user
    paid = key.spent_period == period_of(key.limits.period, now)
    return Principal(
        user.id,
        user.name,
        user.role,
        "key",
        key.id,
        key.scopes,
        key.models,
        key.limits,
        spent_micros=key.spent_micros if paid else 0,
    )


class StoredBrowsers:
    """Signed-in browsers. days: how long a session lasts after it was seen last."""

    def __init__(self, store: Store, tokens: Tokens, wall: Callable[[], float], *, days: float) -> None:
        self._store = store
        self._tokens = tokens
        self._wall = wall
        self._seconds = days * 86400

    async def find(self, cookie: str, /) -> Principal | None:
        if not looks_opaque(cookie):
            return None
        id_hash, now = self._tokens.digest("web session", cookie), self._wall()
        with asking():
            found = await self._store.web_sessions.get(id_hash, now=now)
            if found is None:
                return None
            user, session = found.user, found.session
            if now - session.last_seen_at > SEEN_EVERY_S:
                until = now + self._seconds
                await self._store.web_sessions.touch(user.id, id_hash, now=now, expires_at=until)
        return Principal(
            user.id,
            user.name,
            user.role,
            "session",
            scopes=ALL_SCOPES,
            csrf=self._tokens.csrf(id_hash, session.csrf),
            session_id=id_hash,
        )


class StoredChoices:
    """Users' settings and sessions. kinds: every kind that may be chosen."""

    def __init__(self, store: Store, vault: Vault, backend: Backend) -> None:
        self._store = store
        self._vault = vault
        self._backend = backend
        self._kinds: dict[str, KindInfo] = {}

    async def settings(self, user_id: str, /) -> OwnSettings | None:
        """The user's, else those for everybody, else None."""
        with asking():
            found = await self._store.settings.get(user_id)
            if found is None and user_id != SYSTEM:
                found = await self._store.settings.get(SYSTEM)
        return None if found is None else self.usable(found)

    async def session(self, user_id: str, session_id: str, /) -> OwnSession | None:
        with asking():
            found = await self._store.sessions.get(user_id, session_id)
        if found is None:
            return None
        agents = {one.agent: (one.provider, one.model) for one in found.agents}
        return OwnSession(found.id, {**agents, "": (found.provider, found.model)})

    def usable(self, settings: LlmSettings) -> OwnSettings:
        """What can be asked with these settings: a provider of one's own, or (without a key) the system's of that kind."""
        kind = self.kind(settings.provider)
        own = kind is not None and (settings.key is not None or not kind.key_required)
        return OwnSettings(
            settings.version,
            settings.provider,
            settings.model,
            settings.embedding_model,
            settings.temperature,
            settings.max_tokens,
            partial(self.make, settings) if own else None,
            kind is not None and kind.local,
            settings.user_id,
        )

    async def make(self, settings: LlmSettings) -> LlmProvider:
        """The provider of these settings; the key is opened for their address alone (T4). Raises ConfigurationError, BadRequest."""
        try:
            key = api_key(self._vault, settings)
        except SealBroken as error:
            raise ConfigurationError(str(error)) from None
        return self._backend.make(
            ProviderConfig(
                f"own-{settings.provider}",
                settings.provider,
                api_key=key,
                base_url=settings.base_url,
                text_model=settings.model,
                embedding_model=settings.embedding_model,
                temperature=settings.temperature,
                max_tokens=settings.max_tokens,
            )
        )

    def kind(self, name: str) -> KindInfo | None:
        if not self._kinds:
            self._kinds = {kind.kind: kind for kind in self._backend.kinds()}
        return self._kinds.get(name)


class UsageBooks:
    """Ended calls on their way to the ledger, one row for each attempt, numbered in this run of ours."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._run = new_id()
        self._count = count()

    def add(self, record: CallRecord, /) -> None:
        last = _final(record.attempts)
        for index, attempt in enumerate(record.attempts):
            row_id = f"{self._run}-{next(self._count)}"
            self._recorder.record(row_of(record, attempt, row_id, final=index == last))


def _final(attempts: tuple[Attempt, ...]) -> int:
    """Which one's outcome the caller got: the good one, else the last."""
    for index, attempt in enumerate(attempts):
        if attempt.outcome == "success":
            return index
    return len(attempts) - 1


def row_of(record: CallRecord, attempt: Attempt, row_id: str, *, final: bool) -> UsageAttempt:
    """One attempt as the ledger has it."""
    usage, principal = attempt.usage, record.principal
    return UsageAttempt(
        id=row_id,
        request_id=record.request_id,
        at=record.at + (attempt.started_s or 0.0),
        user_id=principal.user_id,
        provider=attempt.provider,
        wire=record.wire,
        outcome=attempt.outcome,
        final=final,
        key_id=principal.key_id,
        model=attempt.model,
        status=attempt.status,
        why=attempt.why,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cached_tokens=usage.cached_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        counted=attempt.counted,
        cost_micros=micros(usage.cost_usd),
        duration_ms=_ms(attempt.duration_s),
        first_token_ms=_ms(attempt.first_token_s),
        spend_period=record.period or None,
    )


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
