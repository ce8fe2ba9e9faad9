"""Providers for everybody that administrators add or change while it runs: kept in the database, laid over the file.

An entry of the name of a provider in the file changes that one; another name adds one. A key is sealed for its entry,
kind and address: with another address it does not open, and the file's own key does not go there (T4).
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
from llmcore.gateway.store import Store, StoreError, StoreInvalid, origin_of
from llmcore.gateway.store.tables import meta
from llmcore.gateway.vault import Place, SealBroken, Sealed, Vault
from llmcore.secret import Secret

ROW = "system_providers"
EVERY_S = 5.0
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
            work(entries)
            await self._backend.reload(self._laid_over(base, entries))
            await save(self._store, entries)
            self._seen = json.dumps(entries)

    async def follow(self) -> None:
        """Apply what other processes change, until cancelled."""
        while True:
            await anyio.sleep(EVERY_S)
            try:
                entries = await load(self._store)
                if (self._seen is not None or entries) and json.dumps(entries) != self._seen:
                    await self.reload()
            except (StoreError, ConfigurationError):
                continue

    def sealed(self, name: str, kind: str, base_url: str | None, key: Secret) -> dict[str, str]:
        """A key as an entry holds it."""
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
        for one in base.providers:
            if one.name in entries and not entries[one.name].get("removed"):
                found[one.name] = self._one(one.name, entries[one.name], one)
        for name, entry in entries.items():
            if name not in found and not entry.get("removed"):
                found[name] = self._one(name, entry, None)
        return evolve(base, providers=tuple(found.values()))

    def _one(self, name: str, entry: Entry, before: ProviderConfig | None) -> ProviderConfig:
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
            raise ConfigurationError(f"llm.providers.{name}.api_key: does not open; enter it again") from None
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


async def save(store: Store, entries: Mapping[str, Entry]) -> None:
    """Keep them instead of what was there. Raises StoreError."""
    async with store.database.write() as connection:
        await connection.execute(delete(meta).where(meta.c.name == ROW))
        await connection.execute(insert(meta).values(name=ROW, value=json.dumps(dict(entries))))


async def reseal(store: Store, vault: Vault) -> int:
    """Seal the kept keys with the first master key, as a rotation does with all others; how many. Raises SealBroken."""
    entries, count = await load(store), 0
    for name, entry in entries.items():
        key = entry.get("key")
        if key is None or key["key_id"] == vault.key_id:
            continue
        place = place_of(name, key["kind"], key["base_url"] or None)
        box = vault.seal(place, vault.open(place, Sealed(key["text"], key["key_id"])))
        entry["key"] = {**key, "text": box.text, "key_id": box.key_id}
        count += 1
    if count:
        await save(store, entries)
    return count
