"""A process that writes until it is killed: `python -m tests.gateway.writer URL KEY_FILE MODE`.

save: settings with a key, one line "user version key" for each that is committed. rotate: master keys, one line each.
first: opens the vault once and says the id of its key. use: attempts, one line with the id of each that is committed.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from llmcore.gateway.store import SettingsChange, Store, UsageAttempt, open_store
from llmcore.gateway.vault import FileKeys, Vault, open_vault, rotate, save_settings
from llmcore.secret import Secret


async def save(store: Store, vault: Vault, worker: int) -> None:
    users = (await store.users.list()).items
    for number in range(10**6):
        user = users[(number + worker) % len(users)]
        key = f"sk-canary-{user.id}-{worker}-{number}"
        made = await save_settings(
            store, vault, user.id, SettingsChange(provider="openai"), api_key=Secret(key), now=time.time()
        )
        print("saved", user.id, made.version, key, flush=True)


async def rotating(store: Store, vault: Vault) -> None:
    while True:
        print("rotated", (await rotate(store, vault)).key_id, flush=True)


async def use(store: Store) -> None:
    while True:
        attempts = [
            UsageAttempt("r", 1000.0, "u", "openai", "openai", "success", input_tokens=1) for _ in range(5)
        ]
        await store.usage.add(attempts)
        for attempt in attempts:
            print("used", attempt.id, flush=True)


async def main(url: str, key_file: str, mode: str) -> None:
    async with open_store(url) as store:
        if mode == "use":
            await use(store)
        vault = await open_vault(store, FileKeys(Path(key_file)))
        print("ready", vault.key_id, flush=True)
        if mode == "rotate":
            await rotating(store, vault)
        elif mode == "save":
            async with asyncio.TaskGroup() as group:
                for worker in range(3):
                    group.create_task(save(store, vault, worker))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
