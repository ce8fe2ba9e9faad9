"""Vendors' keys: sealed for one user, provider and address; found nowhere in the clear; whole after any kill."""

from __future__ import annotations

import base64
import sqlite3
from contextlib import suppress
from pathlib import Path

import anyio
import pytest
from attrs import evolve
from sqlalchemy import text

from llmcore.gateway.store import (
    UNSET,
    SettingsChange,
    Store,
    StoreConflict,
    StoreError,
    StoreInvalid,
    open_store,
)
from llmcore.gateway.vault import FileKeys, SealBroken, Vault, api_key, open_vault, rotate, save_settings
from llmcore.secret import Secret
from tests.canary import tracebacks
from tests.gateway.processes import Writer, last_saved

pytestmark = pytest.mark.anyio

CANARY = "sk-canary-4f1c9e0d-77aa"
START = SettingsChange(provider="openai", base_url="https://a.test/v1")


async def test_a_key_is_kept_sealed_and_read_again(store: Store, vault: Vault) -> None:
    user = await store.users.create("Ann", "admin", now=1.0)
    first = await save_settings(store, vault, user.id, START, api_key=Secret(CANARY), now=1.0)
    assert first.key is not None
    assert first.key.last4 == "77aa"
    for shown in (repr(first), str(first)):
        assert CANARY not in shown
        assert first.key.sealed not in shown
    found = api_key(vault, first)
    assert found is not None
    assert found.reveal() == CANARY
    kept = await save_settings(store, vault, user.id, SettingsChange(model="m"), now=2.0)
    assert kept.key == first.key
    none = await save_settings(store, vault, user.id, SettingsChange(), api_key=None, now=3.0)
    assert none.key is None
    assert api_key(vault, none) is None


async def test_t04_a_key_opens_for_the_address_it_was_entered_for_alone(store: Store, vault: Vault) -> None:
    user = await store.users.create("Ann", "admin", now=1.0)
    settings = await save_settings(store, vault, user.id, START, api_key=Secret(CANARY), now=1.0)
    for moved in (
        evolve(settings, origin="https://evil.test:443"),
        evolve(settings, origin="http://a.test:443"),
        evolve(settings, provider="anthropic"),
        evolve(settings, user_id="other"),
        evolve(settings, origin=None),
    ):
        with pytest.raises(SealBroken):
            api_key(vault, moved)
    # even where somebody writes into the database
    async with store.database.write() as connection:
        await connection.execute(text("UPDATE llm_settings SET origin = 'https://evil.test:443'"))
    stolen = await store.settings.get(user.id)
    assert stolen is not None
    with pytest.raises(SealBroken):
        api_key(vault, stolen)


async def test_t14_two_users_sealed_keys_cannot_be_swapped(store: Store, vault: Vault) -> None:
    ids = [(await store.users.create(name, "user", now=1.0)).id for name in ("Ann", "Bob")]
    for user_id in ids:
        await save_settings(store, vault, user_id, START, api_key=Secret(f"{CANARY}-{user_id}"), now=1.0)
    ann, bob = [await store.settings.get(user_id) for user_id in ids]
    assert ann is not None
    assert bob is not None
    for mine, other in ((ann, bob), (bob, ann)):
        with pytest.raises(SealBroken):
            api_key(vault, evolve(mine, key=other.key))


async def test_a_key_is_sealed_for_where_the_settings_end_up(store: Store, vault: Vault) -> None:
    """Others change the address at the same time: whoever wins, the key fits its row, or is not there."""
    user = await store.users.create("Ann", "admin", now=1.0)
    await save_settings(store, vault, user.id, START, now=1.0)

    async def with_key() -> None:
        for number in range(10):
            with suppress(StoreConflict):
                await save_settings(
                    store, vault, user.id, SettingsChange(), api_key=Secret(f"{CANARY}-{number}"), now=2.0
                )

    async def with_address() -> None:
        for number in range(20):
            change = SettingsChange(base_url=f"https://host{number}.test")
            await save_settings(store, vault, user.id, change, now=2.0)

    async with anyio.create_task_group() as group:
        group.start_soon(with_key)
        group.start_soon(with_address)
        for _ in range(60):
            settings = await store.settings.get(user.id)
            assert settings is not None
            api_key(vault, settings)
    settings = await store.settings.get(user.id)
    assert settings is not None
    api_key(vault, settings)


async def test_an_expected_version_holds_with_a_key_too(store: Store, vault: Vault) -> None:
    user = await store.users.create("Ann", "admin", now=1.0)
    await save_settings(store, vault, user.id, START, now=1.0)
    for stale in (0, 2):
        with pytest.raises(StoreConflict):
            await save_settings(store, vault, user.id, START, api_key=Secret(CANARY), now=1.0, expected=stale)
    done = await save_settings(
        store, vault, user.id, START, api_key=Secret(CANARY), now=1.0, expected=1, replace=True
    )
    assert done.version == 2
    assert (await save_settings(store, vault, user.id, START, api_key=UNSET, now=1.0)).key == done.key


@pytest.mark.parametrize("bad", ["", "a b", "a\n", "a\0", "ä", "x" * 8193, "\u202e"])
async def test_t10_a_key_that_no_header_can_carry_is_refused(store: Store, vault: Vault, bad: str) -> None:
    user = await store.users.create("Ann", "admin", now=1.0)
    with pytest.raises(StoreInvalid):
        await save_settings(store, vault, user.id, START, api_key=Secret(bad), now=1.0)
    assert await store.settings.get(user.id) is None
    short = await save_settings(store, vault, user.id, START, api_key=Secret("short"), now=1.0)
    assert short.key is not None
    assert short.key.last4 == ""


def disguises(secret: str) -> set[bytes]:
    """The secret in plain, Base64 at each place of a text, hex, and backwards."""
    raw = secret.encode()
    found = {raw, raw[::-1], raw.hex().encode(), raw.hex().upper().encode()}
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for before, start in ((0, 0), (1, 2), (2, 3)):
            found.add(encode(bytes(before) + raw)[start : (before + len(raw)) * 8 // 6])
    return found


def backup(source: Path, target: Path) -> None:
    """As `sqlite3 .backup` does."""
    one, two = sqlite3.connect(source), sqlite3.connect(target)
    one.backup(two)
    one.close()
    two.close()


def all_files(folder: Path, *without: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path not in without]


async def test_t13_no_secret_is_in_the_clear_in_any_file(url: str, key_file: Path, tmp_path: Path) -> None:
    async with open_store(url) as store:
        vault = await open_vault(store, FileKeys(key_file))
        user = await store.users.create("Ann", "admin", now=1.0)
        key, session = vault.tokens.new_virtual_key(), vault.tokens.new_session_id()
        once = vault.tokens.new_one_time_token()
        await save_settings(store, vault, user.id, START, api_key=Secret(CANARY), now=1.0)
        await store.keys.create(user.id, public_id=key.public_id, digest=key.digest, name="n", now=1.0)
        await store.web_sessions.create(user.id, session.digest, csrf="n", now=1.0, expires_at=9.0)
        await store.one_time_tokens.add(user.id, once.digest, now=1.0, expires_at=9.0)
        await rotate(store, vault)
        await save_settings(store, vault, user.id, START, api_key=Secret(CANARY + "-new"), now=1.0)
        backup(key_file.parent / "gateway.sqlite", tmp_path / "backup.sqlite")
        masters = [base64.urlsafe_b64encode(one).decode().rstrip("=") for one in FileKeys(key_file).load()]
        secrets = [CANARY, *masters]
        secrets += [made.token.reveal().rpartition("-")[2] for made in (key, session, once)]
        files = all_files(tmp_path, key_file)
        assert {path.name for path in files} >= {
            "gateway.sqlite",
            "gateway.sqlite-wal",
            "backup.sqlite",
        }
        for path in files:
            content = path.read_bytes()
            for secret in secrets:
                for form in disguises(secret):
                    assert form not in content, path
        assert b"Ann" in b"".join(path.read_bytes() for path in files)


async def test_t05_errors_carry_no_secret_and_no_row(store: Store, vault: Vault) -> None:
    user = await store.users.create("kanarie of names", "admin", now=1.0)
    settings = await save_settings(store, vault, user.id, START, api_key=Secret(CANARY), now=1.0)
    found = []
    for attempt in (
        lambda: store.one_time_tokens.add("nobody", "kanarie-digest", now=1.0, expires_at=2.0),
        lambda: store.users.create("kanarie of names", "user", now=1.0),
        lambda: store.keys.create("nobody", public_id="p", digest="kanarie-digest", name="n", now=1.0),
        lambda: store.settings.patch("nobody", evolve(START, key=settings.key), now=1.0),
    ):
        with pytest.raises(StoreError) as caught:
            await attempt()
        found.append(caught.value)
    for error in found:
        for shown in tracebacks(error):
            assert CANARY not in shown
            assert settings.key is not None
            assert settings.key.sealed not in shown
        assert "kanarie" not in str(error)
        behind: BaseException | None = error.__context__
        while behind is not None:  # the driver's errors: what a debugger or crash reporter could walk to
            assert behind.__traceback__ is None
            assert "kanarie" not in repr(vars(behind))
            behind = behind.__cause__ or behind.__context__


@pytest.mark.slow
async def test_a_writer_killed_at_any_moment_loses_nothing_that_it_committed(
    url: str, key_file: Path, tmp_path: Path
) -> None:
    async with open_store(url) as store:
        for number in range(6):
            await store.users.create(f"user {number}", "user", now=1.0)
    said = tmp_path / "said"
    for number in range(6):
        writer = Writer(url, key_file, "save", said)
        before = len(last_saved(writer.lines()))
        writer.wait_for("saved", before + 3 + 4 * number)
        await anyio.sleep(0.007 * number)
        writer.kill()
        for line in integrity(key_file.parent / "gateway.sqlite"):
            assert line == "ok"
        async with open_store(url, migrate=False) as store:
            vault = await open_vault(store, FileKeys(key_file))
            for user, version in last_saved(writer.lines()).items():
                settings = await store.settings.get(user)
                assert settings is not None
                assert settings.version >= version
                found = api_key(vault, settings)
                assert found is not None
                assert found.reveal().startswith(f"sk-canary-{user}-")
                assert settings.key is not None
                assert settings.key.last4 == found.reveal()[-4:]


def integrity(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    try:
        return [row[0] for row in connection.execute("PRAGMA integrity_check")]
    finally:
        connection.close()
