"""A real PostgreSQL server that is stopped, killed and started again under the store, the vault and the recorder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from llmcore.clock import SystemClock
from llmcore.gateway.store import (
    SettingsChange,
    Store,
    StoreConflict,
    StoreUnavailable,
    UsageAttempt,
    open_store,
)
from llmcore.gateway.usage.recorder import Recorder
from llmcore.gateway.vault import (
    EnvironmentKeys,
    FileKeys,
    MasterKeyMissing,
    Vault,
    api_key,
    open_vault,
    remove_old,
    rotate,
    save_settings,
)
from llmcore.gateway.vault.keyring import write_key
from llmcore.gateway.vault.rotate import add_key
from llmcore.secret import Secret
from tests.gateway.processes import Writer, last_saved
from tests.services.postgres import PASSWORD, Server

pytestmark = pytest.mark.anyio

START = SettingsChange(provider="openai", base_url="https://a.test/v1")


async def ready(store: Store) -> None:
    """Wait until the server answers again."""
    for _ in range(200):
        try:
            await store.ping()
        except StoreUnavailable:
            await anyio.sleep(0.05)
        else:
            return
    raise AssertionError("the server did not come back")


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(2000):
        if condition():
            return
        await anyio.sleep(0.01)
    raise AssertionError("it never came")


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_it_goes_on_after_the_server_was_away(server: Server, store: Store, how: str) -> None:
    user = await store.users.create("Ann", "admin", now=1.0)
    saved = await store.settings.patch(user.id, START, now=1.0)
    ending: dict[str, Callable[[], None]] = {"stop": server.stop, "kill": server.kill}
    await anyio.to_thread.run_sync(ending[how])
    for _ in range(3):
        with pytest.raises(StoreUnavailable) as caught:
            await store.settings.get(user.id)
        assert "\n" not in str(caught.value)
    await anyio.to_thread.run_sync(server.start)
    await ready(store)
    assert await store.settings.get(user.id) == saved
    await store.settings.patch(user.id, SettingsChange(model="m"), now=2.0, expected=1)


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_usage_is_kept_through_an_outage_and_written_once(
    server: Server, store: Store, how: str
) -> None:
    ending: dict[str, Callable[[], None]] = {"stop": server.stop, "kill": server.kill}
    async with Recorder(store.usage, SystemClock(), every=0.01, batch=50) as recorder:
        for number in range(1500):
            recorder.record(UsageAttempt("r", 1000.0, "u", "openai", "openai", "success", input_tokens=1))
            if number == 600:
                await anyio.to_thread.run_sync(ending[how])
            if number == 1100:
                await until(lambda: not recorder.state.well)
                assert recorder.state.queued > 0
                await anyio.to_thread.run_sync(server.start)
                await ready(store)
            if number % 50 == 0:
                await anyio.sleep(0.005)
        await until(lambda: not recorder.state.queued)
        assert recorder.state.well
    assert (recorder.state.written, recorder.state.dropped) == (1500, 0)
    (whole,) = await store.usage.of_user("u", by=(), since=0.0, until=2000.0)
    assert whole.sums.attempts == whole.sums.input_tokens == 1500


async def test_a_wrong_password_or_name_is_said_in_one_line(server: Server) -> None:
    for url, word in (
        (server.url(password="sk-canary-wrong"), "password"),
        (server.url("nowhere"), "does not exist"),
    ):
        with pytest.raises(StoreUnavailable, match=word) as caught:
            async with open_store(Secret(url)):
                pass
        said = str(caught.value)
        assert "\n" not in said
        assert "canary" not in said
        assert PASSWORD not in said


async def test_two_processes_rotate_and_write_and_one_is_killed(
    url: str, store: Store, tmp_path: Path
) -> None:
    key_file = tmp_path / "master.key"
    vault = await open_vault(store, FileKeys(key_file))
    for number in range(8):
        await store.users.create(f"user {number}", "user", now=1.0)
    writers = [Writer(url, key_file, "save", tmp_path / f"said{number}") for number in range(2)]
    for writer in writers:
        writer.wait_for("saved", 10)
    for _ in range(3):
        await rotate(store, vault)
    for writer in writers:
        writer.wait_for("saved", len(writer.lines()) + 10)
        writer.kill()
    await rotate(store, vault)
    await rotate(store, vault)
    await remove_old(store, vault)
    fresh = await open_vault(store, FileKeys(key_file))
    assert len(fresh.key_ids) == 1
    said = [last_saved(writer.lines()) for writer in writers]
    for user in (await store.users.list()).items:
        settings = await store.settings.get(user.id)
        assert settings is not None
        assert settings.version >= max(lines.get(user.id, 1) for lines in said)
        found = api_key(fresh, settings)
        assert found is not None
        assert found.reveal().startswith(f"sk-canary-{user.id}-")


async def test_a_key_cannot_be_retired_while_somebody_seals_with_it(store: Store, tmp_path: Path) -> None:
    """The race: a process reads "not retired" and commits after the last check. Locks make one of them wait."""
    source = FileKeys(tmp_path / "master.key")
    vault = await open_vault(store, source)
    user = await store.users.create("Ann", "admin", now=1.0)
    await save_settings(store, vault, user.id, START, api_key=Secret("sk-first"), now=1.0)
    for _ in range(15):
        stale = Vault(source, source.load(), b"p" * 32)
        stale.reload = lambda: None  # type: ignore[method-assign] - a process that has not looked yet
        add_key(vault)
        await rotate(store, vault)
        outcome: list[str] = []

        async def seal(stale: Vault, outcome: list[str]) -> None:
            try:
                await save_settings(store, stale, user.id, START, api_key=Secret("sk-canary"), now=1.0)
                outcome.append("sealed")
            except StoreConflict:
                outcome.append("refused")

        async def retire(outcome: list[str]) -> None:
            try:
                await remove_old(store, vault)
                outcome.append("removed")
            except StoreConflict:
                outcome.append("kept")

        async with anyio.create_task_group() as group:
            group.start_soon(seal, stale, outcome)
            group.start_soon(retire, outcome)
        assert set(outcome) in ({"sealed", "kept"}, {"refused", "removed"}), outcome
        await rotate(store, vault)
        await remove_old(store, vault)
        settings = await store.settings.get(user.id)
        assert settings is not None
        api_key(vault, settings)


async def test_two_machines_with_keys_of_their_own_do_not_mix(store: Store) -> None:
    one, two = (EnvironmentKeys({"LLMCORE_MASTER_KEY": write_key(byte * 32)}) for byte in (b"1", b"2"))
    outcomes: list[str] = []

    async def start(source: EnvironmentKeys) -> None:
        try:
            await open_vault(store, source)
            outcomes.append("started")
        except MasterKeyMissing:
            outcomes.append("refused")

    async with anyio.create_task_group() as group:
        group.start_soon(start, one)
        group.start_soon(start, two)
    assert sorted(outcomes) == ["refused", "started"]


async def test_spending_of_one_key_by_many_writers_is_exact(url: str, store: Store) -> None:
    user = await store.users.create("Ann", "admin", now=1.0)
    keys = [
        (await store.keys.create(user.id, public_id=f"p{n}", digest="d", name="n", now=1.0)).id
        for n in range(3)
    ]

    async def spend(one: Store, number: int) -> None:
        rows = [
            UsageAttempt(
                "r",
                1000.0,
                user.id,
                "openai",
                "openai",
                "success",
                key_id=keys[(number + n) % 3],
                cost_micros=1,
                spend_period="2026-11",
            )
            for n in range(9)
        ]
        await one.usage.add(rows)

    async with open_store(url) as second, anyio.create_task_group() as group:
        for number in range(40):
            group.start_soon(spend, (store, second)[number % 2], number)
    found = [await store.keys.get(user.id, key) for key in keys]
    assert [key.spent_micros for key in found if key is not None] == [120, 120, 120]
    (whole,) = await store.usage.of_user(user.id, by=(), since=0.0, until=2000.0)
    assert whole.sums.cost_micros == 360
