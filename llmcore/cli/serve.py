"""`llmcore serve`, and the commands beside it: `db upgrade`, `keys create`, `keys rotate`."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from llmcore.cli.outcome import DONE, MISUSED
from llmcore.cli.screen import Screen
from llmcore.errors import ConfigurationError
from llmcore.gateway.store import Store, StoreError, upgrade
from llmcore.gateway.system import reseal
from llmcore.gateway.vault import Vault, VaultError, remove_old, rotate
from llmcore.serving.first import Welcome, new_key
from llmcore.serving.opened import stored
from llmcore.serving.options import Options, database_url, gateway_config
from llmcore.serving.run import serve as run_server


def serve(options: Options, screen: Screen) -> int:
    """Until interrupted."""

    def show(welcome: Welcome) -> None:
        screen.line(f"llmcore gateway at {welcome.address}  (OpenAI: {welcome.address}/v1)")
        if welcome.key is not None:
            screen.line(f"API key, shown once: {welcome.key.reveal()}")
        if welcome.link is not None:
            screen.line(f"Sign in, once and within an hour: {welcome.link.reveal()}")

    return _told(screen, lambda: run_server(options, os.environ, show))


def db_upgrade(options: Options, screen: Screen) -> int:
    """Bring the database to this version's schema."""

    def work() -> None:
        url = database_url(gateway_config(options, os.environ), os.environ)
        before, after = asyncio.run(upgrade(url))
        screen.line(
            f"database: {before or 'empty'} -> {after}"
            if before != after
            else f"database: {after}, as before"
        )

    return _told(screen, work)


def keys_rotate(options: Options, screen: Screen, *, drop_old: bool) -> int:
    """Seal everything with a new master key; with `drop_old`, forget the old ones instead."""

    async def work(store: Store, vault: Vault) -> None:
        if drop_old:
            await reseal(store, vault)
            gone = await remove_old(store, vault)
            screen.line(f"removed {len(gone)} old master key(s)")
            return
        done = await rotate(store, vault)
        count = done.resealed + await reseal(store, vault)
        screen.line(f"master key {done.key_id}: {count} value(s) sealed anew")
        if done.broken:
            screen.complain(
                f"{len(done.broken)} stored key(s) open with no master key; they must be entered again"
            )
        screen.note("when every process has it: llmcore keys rotate --drop-old")

    return _told(screen, lambda: _with_store(options, work))


def keys_create(options: Options, screen: Screen, *, name: str, user: str) -> int:
    """A virtual key of that user; the first user of an empty database is made, an administrator."""

    async def work(store: Store, vault: Vault) -> None:
        found = await store.users.by_name(user)
        if found is None:
            if await store.users.count():
                msg = f"--user: there is no user {user!r}"
                raise ConfigurationError(msg)
            found = await store.users.create(user, "admin", now=time.time())
        key = await new_key(store, vault, found, name)
        screen.note(f"a key of {found.name} ({found.role}), shown once:")
        screen.line(key.reveal())

    return _told(screen, lambda: _with_store(options, work))


def _with_store(options: Options, work: Callable[[Store, Vault], Awaitable[None]]) -> None:
    async def main() -> None:
        async with stored(gateway_config(options, os.environ), os.environ) as (store, vault):
            await work(store, vault)

    asyncio.run(main())


def _told(screen: Screen, work: Callable[[], None]) -> int:
    """What the database or the vault refuses is a matter of the configuration: lines, no traceback."""
    try:
        work()
    except (StoreError, VaultError) as error:
        screen.complain(str(error))
        return MISUSED
    return DONE


def options_of(
    config: Path | None,
    host: str | None = None,
    port: int | None = None,
    workers: int | None = None,
    database_url: str | None = None,
    redis_url: str | None = None,
    data_dir: Path | None = None,
    public_url: str | None = None,
) -> Options:
    """The command's words; the file is the one that --config or LLMCORE_CONFIG names."""
    named = config or os.environ.get("LLMCORE_CONFIG") or None
    return Options(
        None if named is None else str(named),
        host,
        port,
        workers,
        database_url,
        redis_url,
        None if data_dir is None else str(data_dir),
        public_url,
    )
