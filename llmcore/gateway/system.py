"""Providers for everybody that administrators add or change while it runs: kept in the database, laid over the file.

An entry of the name of a provider in the file changes that one; another name adds one. A key is sealed for its entry,
kind and address: with another address it does not open, and the file's own key does not go there (T4). An entry whose
key does not open is left out, and said in the status: it must not keep the others from working.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

import anyio
from attrs import evolve
from sqlalchemy import delete, insert, select

from llmcore.config import LlmConfig, ProviderConfig
from llmcore.errors import ConfigurationError
from llmcore.gateway.backend import Backend
from llmcore.gateway.store import Store, StoreConflict, StoreError, StoreInvalid, origin_of
from llmcore.gateway.store.sealed import SYSTEM_PROVIDERS as ROW
from llmcore.gateway.store.sealed import refuse_retired_exclusive
from llmcore.gateway.store.tables import meta
from llmcore.gateway.vault import Place, SealBroken, Sealed, Vault, VaultError
from llmcore.secret import Secret

EVERY_S = 5.0
TRIES = 5
FIELDS = ("provider", "base_url", "text_model", "embedding_model", "priority", "max_in_flight")

Entry: TypeAlias = dict[str, Any]
"""One overlay: some of FIELDS, "key" (text, key_id, last4; kind and base_url that it is sealed for), "removed"."""


class SystemProviders:
    """read: the file's configuration, read anew. Each change is applied to this process at once, to others in seconds."""

    def __init__(
        self, store: Store, vault: Vault, backend: Backend, read: Callable[[], Awaitable[LlmConfig]]
    ) -> None:
        self._store = store
        self._vault = vault
        self._backend = backend
        self._read = read
        self._base: LlmConfig | None = None
        self._seen: str | None = None
        self._turn = anyio.Lock()
        self.left_out: frozenset[str] = frozenset()
        """Names of the entries whose key does not open."""

    async def start(self) -> None:
        """Apply what is stored, if anything is."""
        self._base = await self._read()
        if await load(self._store):
            await self.reload()

    async def reload(self) -> None:
        """Read file and database again. Raises ConfigurationError; nothing has changed then."""
        async with self._turn:
            base, entries = await self._read(), await load(self._store)
            await self._backend.reload(self._laid_over(base, entries))
            self._base, self._seen = base, json.dumps(entries)

    async def entries(self) -> dict[str, Entry]:
        return await load(self._store)

    async def config(self) -> LlmConfig:
        """The file's providers with what is laid over them. Raises ConfigurationError."""
        base = self._base or await self._read()
        return self._laid_over(base, await load(self._store))

    async def change(self, work: Callable[[dict[str, Entry]], None]) -> None:
        """Let `work` change the entries, apply them, and keep them if they can work. Raises ConfigurationError, StoreError."""
        async with self._turn:
            base, entries = self._base or await self._read(), await load(self._store)
            before = json.dumps(entries)
            work(entries)
            await self._backend.reload(self._laid_over(base, entries))
            try:
                await save(self._store, entries, before)
            except StoreError:
                await self._backend.reload(self._laid_over(base, json.loads(before)))
                raise
            self._seen = json.dumps(entries)

    async def follow(self) -> None:
        """Apply what other processes change, until cancelled."""
        while True:
            await anyio.sleep(EVERY_S)
            try:
                entries = await load(self._store)
                if (self._seen is not None or entries) and json.dumps(entries) != self._seen:
                    await self.reload()
            except (StoreError, VaultError, ConfigurationError):
                continue

    def sealed(self, name: str, kind: str, base_url: str | None, key: Secret) -> dict[str, str]:
        """A key as an entry holds it. Raises MasterKeyMissing, MasterKeyUnsafe."""
        self._vault.reload()  # a key that another process has put first seals from now on; one that is gone seals nothing
        box = self._vault.seal(place_of(name, kind, base_url), key)
        text = key.reveal()
        last4 = text[-4:] if len(text) >= 12 else ""
        return {
            "text": box.text,
            "key_id": box.key_id,
            "last4": last4,
            "kind": kind,
            "base_url": base_url or "",
        }

    def _laid_over(self, base: LlmConfig, entries: Mapping[str, Entry]) -> LlmConfig:
        found = {one.name: one for one in base.providers if one.name not in entries}
        written = {one.name: one for one in base.providers}
        broken = set()
        for name in (*(name for name in written if name in entries), *entries):
            if name in found or name in broken or entries[name].get("removed"):
                continue
            made = self._one(name, entries[name], written.get(name))
            if made is None:
                broken.add(name)
            else:
                found[name] = made
        self.left_out = frozenset(broken)
        return evolve(base, providers=tuple(found.values()))

    def _one(self, name: str, entry: Entry, before: ProviderConfig | None) -> ProviderConfig | None:
        """None where its key does not open."""
        said = {field: entry[field] for field in FIELDS if entry.get(field) is not None}
        after = evolve(before, **said) if before is not None else ProviderConfig(**{"name": name, **said})
        moved = before is not None and (before.provider, before.base_url) != (after.provider, after.base_url)
        if moved:
            after = evolve(after, api_key=None, api_keys=(), headers={})
        key = entry.get("key")
        if key is None:
            return after
        place = place_of(name, after.provider, after.base_url)
        try:
            opened = self._vault.open(place, Sealed(key["text"], key["key_id"]))
        except SealBroken:
            return None
        return evolve(after, api_key=opened, api_keys=())


def place_of(name: str, kind: str, base_url: str | None) -> Place:
    try:
        origin = origin_of(base_url) or ""
    except StoreInvalid:
        origin = base_url or ""
    return Place("meta", ROW, name, "api_key", f"{kind} {origin}")


async def load(store: Store) -> dict[str, Entry]:
    """What is kept, by name. Raises StoreError."""
    async with store.database.read() as connection:
        text = (await connection.execute(select(meta.c.value).where(meta.c.name == ROW))).scalar()
    found: dict[str, Entry] = json.loads(text) if text else {}
    return found


async def save(store: Store, entries: Mapping[str, Entry], before: str) -> None:
    """Keep them instead of what was there. before: that as JSON.

    Raises StoreConflict where somebody else was faster, or a key is sealed with a master key that is retired; StoreError.
    """
    async with store.database.write() as connection:
        for key_id in {entry["key"]["key_id"] for entry in entries.values() if entry.get("key")} or {""}:
            await refuse_retired_exclusive(
                connection, key_id
            )  # this row is the lock: ours may not be there yet
        text = (await connection.execute(select(meta.c.value).where(meta.c.name == ROW))).scalar()
        if json.dumps(json.loads(text) if text else {}) != before:
            raise StoreConflict("the providers were changed by somebody else meanwhile; try again")
        await connection.execute(delete(meta).where(meta.c.name == ROW))
        await connection.execute(insert(meta).values(name=ROW, value=json.dumps(dict(entries))))


async def reseal(store: Store, vault: Vault) -> int:
    """Seal the kept keys with the first master key, as a rotation does with all others; how many.

    One that opens with no key stays as it is. Raises StoreConflict where they are being changed all the time.
    """
    for tries_left in reversed(range(TRIES)):
        entries = await load(store)
        before = json.dumps(entries)
        count = sum(_resealed(vault, name, entry) for name, entry in entries.items())
        try:
            if count:
                await save(store, entries, before)
        except StoreConflict:
            if not tries_left:
                raise
        else:
            return count
    raise AssertionError


def _resealed(vault: Vault, name: str, entry: Entry) -> bool:
    key = entry.get("key")
    if key is None or key["key_id"] == vault.key_id:
        return False
    place = place_of(name, key["kind"], key["base_url"] or None)
    try:
        box = vault.seal(place, vault.open(place, Sealed(key["text"], key["key_id"])))
    except SealBroken:
        return False
    entry["key"] = {**key, "text": box.text, "key_id": box.key_id}
    return True
