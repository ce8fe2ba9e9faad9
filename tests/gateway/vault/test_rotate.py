"""Changing the master key: under load, killed in the middle, and old ones removed only when nothing needs them."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import anyio
import pytest
from attrs import evolve
from sqlalchemy import text

from llmcore.gateway.store import RetiredKey, SettingsChange, Store, StoreConflict, open_store
from llmcore.gateway.vault import (
    EnvironmentKeys,
    FileKeys,
    MasterKeyMissing,
    SealBroken,
    Vault,
    api_key,
    open_vault,
    remove_old,
    reseal,
    rotate,
    save_settings,
)
from llmcore.gateway.vault.keyring import write_key
from llmcore.gateway.vault.rotate import add_key
from llmcore.secret import Secret
from tests.gateway.processes import Writer, last_saved

pytestmark = pytest.mark.anyio

START = SettingsChange(provider="openai", base_url="https://a.test/v1")


async def people(store: Store, vault: Vault, count: int) -> list[str]:
    """So many users with a key each: "sk-canary-<user id>"."""
    ids = []
    for number in range(count):
        user = await store.users.create(f"user {number}", "user", now=1.0)
        await save_settings(store, vault, user.id, START, api_key=Secret(f"sk-canary-{user.id}"), now=1.0)
        ids.append(user.id)
    return ids


async def key_of(store: Store, vault: Vault, user_id: str) -> str:
    settings = await store.settings.get(user_id)
    assert settings is not None
    found = api_key(vault, settings)
    assert found is not None
    return found.reveal()


async def test_everything_is_sealed_anew_and_reads_the_same(store: Store, vault: Vault) -> None:
    ids = await people(store, vault, 120)
    made = vault.tokens.new_virtual_key()
    old = vault.key_id
    before = await store.settings.get(ids[0])
    done = await rotate(store, vault)
    assert (done.added, done.resealed, done.broken, done.key_id) == (True, 121, (), vault.key_id)
    assert vault.key_ids == (done.key_id, old)
    assert await store.sealed.key_ids() == {done.key_id}
    for user_id in ids:
        assert await key_of(store, vault, user_id) == f"sk-canary-{user_id}"
    after = await store.settings.get(ids[0])
    assert before is not None
    assert after is not None
    assert after.key is not None
    assert (after.version, after.key.last4) == (before.version, ids[0][-4:])
    assert await remove_old(store, vault) == (old,)
    fresh = await open_vault(store, vault.source)
    assert fresh.key_ids == (done.key_id,)
    assert await key_of(store, fresh, ids[5]) == f"sk-canary-{ids[5]}"
    assert fresh.tokens.matches("virtual key", made.token.reveal(), made.digest)


async def test_an_old_key_is_not_removed_while_something_needs_it(
    store: Store, vault: Vault, key_file: Path
) -> None:
    (user,) = await people(store, vault, 1)
    add_key(vault)
    with pytest.raises(StoreConflict, match="still sealed"):
        await remove_old(store, vault)
    assert len(FileKeys(key_file).load()) == 2
    assert await reseal(store, vault) == (2, ())
    assert len(await remove_old(store, vault)) == 1
    assert await remove_old(store, vault) == ()
    assert await key_of(store, vault, user) == f"sk-canary-{user}"


async def test_a_key_that_is_added_while_the_old_one_is_dropped_drops_no_other(
    store: Store, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    (user,) = await people(store, vault, 1)
    await rotate(store, vault)
    retire = store.sealed.retire

    async def meanwhile(key_ids: Collection[str]) -> None:
        await retire(key_ids)
        add_key(await open_vault(store, vault.source))  # by another operator

    monkeypatch.setattr(store.sealed, "retire", meanwhile)
    sealing, old = vault.key_ids
    assert await remove_old(store, vault) == (old,)
    assert vault.key_ids[1:] == (sealing,)
    assert await key_of(store, vault, user) == f"sk-canary-{user}"


async def test_a_process_that_missed_it_cannot_seal_with_a_removed_key(
    store: Store, vault: Vault, key_file: Path
) -> None:
    (user,) = await people(store, vault, 1)
    behind = await open_vault(store, FileKeys(key_file))
    await rotate(store, vault)
    assert await key_of(store, behind, user) == f"sk-canary-{user}"  # finds the new key by itself
    behind = Vault(FileKeys(key_file), FileKeys(key_file).load()[1:], b"p" * 32)
    await remove_old(store, vault)
    assert behind.key_id != vault.key_id
    saved = await save_settings(store, behind, user, START, api_key=Secret("sk-newer-canary"), now=2.0)
    assert saved.key is not None
    assert saved.key.key_id == vault.key_id == behind.key_id
    assert await key_of(store, vault, user) == "sk-newer-canary"


async def test_the_database_itself_refuses_what_a_removed_key_has_sealed(store: Store, vault: Vault) -> None:
    (user,) = await people(store, vault, 1)
    before = await store.settings.get(user)
    pepper = await store.sealed.pepper()
    await rotate(store, vault)
    await remove_old(store, vault)
    assert before is not None
    assert before.key is not None
    assert pepper is not None
    after = await store.settings.get(user)
    assert after is not None
    assert after.key is not None
    fresh = await store.sealed.pepper()
    assert fresh is not None
    for attempt in (
        lambda: store.settings.patch(user, evolve(START, key=before.key), now=2.0),
        lambda: store.settings.put(user, evolve(START, key=before.key), now=2.0),
        lambda: store.sealed.reseal(user, after.key, before.key),
        lambda: store.sealed.reseal_pepper(fresh, pepper),
    ):
        with pytest.raises(RetiredKey):
            await attempt()
    assert await store.settings.get(user) == after


async def test_an_operators_environment_is_rotated_by_the_operator(store: Store) -> None:
    one, two = write_key(b"1" * 32), write_key(b"2" * 32)
    vault = await open_vault(store, EnvironmentKeys({"LLMCORE_MASTER_KEY": one}))
    (user,) = await people(store, vault, 1)
    with pytest.raises(MasterKeyMissing, match="LLMCORE_MASTER_KEYS"):
        await rotate(store, vault)
    both = await open_vault(store, EnvironmentKeys({"LLMCORE_MASTER_KEYS": f"{two},{one}"}))
    done = await rotate(store, both)
    assert (done.added, done.resealed) == (False, 2)
    only = await open_vault(store, EnvironmentKeys({"LLMCORE_MASTER_KEY": two}))
    assert await key_of(store, only, user) == f"sk-canary-{user}"


async def test_a_broken_value_is_named_and_stops_nothing(store: Store, vault: Vault) -> None:
    ids = await people(store, vault, 60)
    async with store.database.write() as connection:
        await connection.execute(
            text("UPDATE llm_settings SET sealed_key = 'v1.AAAA' WHERE user_id IN (:one, :two)"),
            {"one": ids[3], "two": ids[50]},
        )
    done = await rotate(store, vault)
    assert done.broken == tuple(sorted([ids[3], ids[50]]))
    assert done.resealed == 59
    with pytest.raises(SealBroken):
        await key_of(store, vault, ids[3])


async def test_t13_rotation_while_others_read_and_write(store: Store, vault: Vault, key_file: Path) -> None:
    ids = await people(store, vault, 40)
    latest = dict.fromkeys(ids, 0)
    reads = 0

    async def read(other: Vault) -> None:
        nonlocal reads
        while True:
            for user in ids:
                assert user in await key_of(store, other, user)
                reads += 1

    async def write(other: Vault, mine: list[str]) -> None:
        for number in range(10**6):
            user = mine[number % len(mine)]
            key = f"sk-canary-{user}-{number}"
            await save_settings(store, other, user, START, api_key=Secret(key), now=2.0)
            latest[user] = number

    async with anyio.create_task_group() as group:
        for index in range(2):
            group.start_soon(read, await open_vault(store, FileKeys(key_file)))
            group.start_soon(write, await open_vault(store, FileKeys(key_file)), ids[index::2])
        for _ in range(3):
            await rotate(store, vault)
            while (await reseal(store, vault))[0]:
                pass
        group.cancel_scope.cancel()
    assert reads > len(ids)
    fresh = await open_vault(store, FileKeys(key_file))
    for user in ids:
        found = await key_of(store, fresh, user)
        # the last write may have been committed, and its writer cancelled before it could say so
        assert found.startswith(f"sk-canary-{user}")
        number = int(found.removeprefix(f"sk-canary-{user}").lstrip("-") or 0)
        assert number >= latest[user]


@pytest.mark.slow
async def test_t13_rotation_killed_in_the_middle(url: str, key_file: Path, tmp_path: Path) -> None:
    async with open_store(url) as store:
        ids = await people(store, await open_vault(store, FileKeys(key_file)), 30)
    for number in range(6):
        writer = Writer(url, key_file, "rotate", tmp_path / f"said{number}")
        writer.wait_for("ready")
        await anyio.sleep(0.02 * number)
        writer.kill()
        async with open_store(url) as store:
            vault = await open_vault(store, FileKeys(key_file))
            for user in ids:
                assert await key_of(store, vault, user) == f"sk-canary-{user}"
    async with open_store(url) as store:
        vault = await open_vault(store, FileKeys(key_file))
        await rotate(store, vault)
        assert await store.sealed.key_ids() == {vault.key_id}
        assert len(await remove_old(store, vault)) >= 1
        assert await key_of(store, vault, ids[0]) == f"sk-canary-{ids[0]}"


@pytest.mark.slow
async def test_rotation_while_another_process_writes_and_is_killed(
    url: str, key_file: Path, tmp_path: Path
) -> None:
    async with open_store(url) as store:
        vault = await open_vault(store, FileKeys(key_file))
        ids = await people(store, vault, 10)
        writer = Writer(url, key_file, "save", tmp_path / "said")
        writer.wait_for("saved", 5)
        for _ in range(4):
            await rotate(store, vault)
        writer.wait_for("saved", len(writer.lines()) + 20)
        await rotate(store, vault)
        writer.kill()
        await rotate(store, vault)
        await remove_old(store, vault)
        said = last_saved(writer.lines())
        for user in ids:
            settings = await store.settings.get(user)
            assert settings is not None
            assert settings.version >= said.get(user, 1)
            assert user in await key_of(store, vault, user)
