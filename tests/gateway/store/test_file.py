"""The SQLite file: private, and one clear sentence where it cannot be used."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from llmcore.gateway.store import (
    Store,
    StoreError,
    StoreOutdated,
    StoreUnavailable,
    UsageAttempt,
    open_store,
    sqlite_url,
    upgrade,
)
from llmcore.gateway.store.engine import Database, read_url
from llmcore.secret import Secret
from tests.gateway.processes import Writer

pytestmark = pytest.mark.anyio


@pytest.fixture
def wide_umask() -> Iterator[None]:
    before = os.umask(0)
    try:
        yield
    finally:
        os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())}


@pytest.mark.usefixtures("wide_umask")
async def test_t13_only_the_owner_can_read_the_files(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "data"
    async with open_store(sqlite_url(folder / "db")) as store:
        await store.users.create("Ann", "admin", now=1.0)
        assert modes(folder) == {"data": 0o700, "db": 0o600, "db-wal": 0o600, "db-shm": 0o600}
    assert modes(folder.parent)["a"] == 0o700


async def test_t13_a_file_that_others_can_read_is_mended(tmp_path: Path) -> None:
    path = tmp_path / "db"
    path.touch(0o644)
    path.chmod(0o666)
    async with open_store(sqlite_url(path)):
        assert modes(tmp_path)["db"] == 0o600


async def test_it_is_set_up_to_survive(store: Store) -> None:
    async with store.database.write() as connection:
        found = {
            name: (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout", "secure_delete")
        }
    assert found == {
        "journal_mode": "wal",
        "synchronous": 1,
        "foreign_keys": 1,
        "busy_timeout": 10_000,
        "secure_delete": 1,
    }


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "mysql://root:sk-canary@h/x",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///x?mode=ro",
        "postgresql://u:sk-canary@[bad/x",
        "http://a",
    ],
)
async def test_an_address_that_cannot_be_used_is_said_in_one_line(url: str) -> None:
    with pytest.raises(StoreError) as caught:
        async with open_store(Secret(url)):
            pass
    assert "\n" not in str(caught.value)
    assert "database_url" in str(caught.value)
    assert "canary" not in str(caught.value)


def test_addresses_are_read_as_people_write_them() -> None:
    assert read_url("sqlite:///x/y.db").drivername == "sqlite+aiosqlite"
    found = read_url("postgres://u:p%40ss@h:5433/name?sslmode=require")
    assert found.drivername == "postgresql+asyncpg"
    assert (found.password, found.port, dict(found.query)) == ("p@ss", 5433, {"ssl": "require"})
    shown = repr(found)
    assert "p@ss" not in shown


async def test_what_is_no_database_is_said_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "db"
    path.write_bytes(b"this is a letter to my aunt" * 100)
    with pytest.raises(StoreUnavailable, match="restore a backup") as caught:
        async with open_store(sqlite_url(path)):
            pass
    assert "\n" not in str(caught.value)
    assert path.read_bytes().startswith(b"this is a letter")


async def test_a_folder_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="data_dir") as caught:
        async with open_store(sqlite_url(tmp_path)):
            pass
    assert "\n" not in str(caught.value)


async def test_a_server_that_is_not_there_is_said_in_one_line(free_tcp_port: int) -> None:
    pytest.importorskip("asyncpg")
    url = f"postgresql://llmcore:sk-canary@127.0.0.1:{free_tcp_port}/x"
    with pytest.raises(StoreUnavailable) as caught:
        async with open_store(Secret(url)):
            pass
    said = str(caught.value)
    assert "\n" not in said
    assert f"127.0.0.1:{free_tcp_port}" in said
    assert "canary" not in said


async def test_without_migrating_an_empty_file_is_outdated(url: str) -> None:
    with pytest.raises(StoreOutdated, match="llmcore db upgrade"):
        async with open_store(url, migrate=False):
            pass


async def test_a_locked_file_is_unavailable_and_comes_back(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "data" / "gateway.sqlite"
    monkeypatch.setattr("llmcore.gateway.store.engine.BUSY_MS", 50)
    database = Database(sqlite_url(path))
    other = sqlite3.connect(path, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        hurried = Store(database)
        with pytest.raises(StoreUnavailable, match="locked"):
            await hurried.users.create("Ann", "admin", now=1.0)
        assert await hurried.users.count() == 0  # readers go on
        other.execute("ROLLBACK")
        await hurried.users.create("Ann", "admin", now=1.0)
    finally:
        other.close()
        await database.close()
    assert await store.users.count() == 1


async def test_many_writers_take_turns(store: Store, url: str) -> None:
    """Two processes' worth of connections and many tasks: nobody is refused, nothing is lost."""
    async with open_store(url) as second, anyio.create_task_group() as group:
        for number in range(40):
            one = (store, second)[number % 2]
            group.start_soon(add_users, one, number)
    assert await store.users.count() == 120


async def add_users(store: Store, number: int) -> None:
    for index in range(3):
        await store.users.create(f"user {number} {index}", "user", now=1.0)


@pytest.mark.slow
async def test_attempts_that_were_committed_before_a_kill_are_there_and_summed(
    url: str, tmp_path: Path
) -> None:
    async with open_store(url):
        pass
    for number in range(5):
        writer = Writer(url, tmp_path / "key", "use", tmp_path / "said")
        writer.wait_for("used", len(writer.lines()) + 10)
        await anyio.sleep(0.005 * number)
        writer.kill()
    said = {line.split(" ")[1] for line in writer.lines()}
    async with open_store(url) as store:
        found: list[UsageAttempt] = []
        cursor = None
        while True:
            page = await store.usage.attempts(limit=1000, cursor=cursor)
            found += page.items
            cursor = page.next
            if cursor is None:
                break
        assert said <= {row.id for row in found}
        (whole,) = await store.usage.of_user("u", by=(), since=0.0, until=2000.0)
        assert whole.sums.attempts == whole.sums.input_tokens == len(found)


def test_the_core_of_sqlalchemy_is_enough(tmp_path: Path) -> None:
    """Its ORM would be a tenth of an idle gateway's memory."""
    url = sqlite_url(tmp_path / "store.db")
    anyio.run(upgrade, url)  # only a database that is behind needs alembic, which brings it
    code = (
        "import asyncio, sys\n"
        "import llmcore.serving.run\n"
        "from llmcore.gateway.store import open_store\n"
        "async def main():\n"
        "    async with open_store(sys.argv[1]) as store:\n"
        "        await store.users.count()\n"
        "asyncio.run(main())\n"
        "print(sorted({'sqlalchemy.orm', 'sqlalchemy.ext.asyncio', 'alembic'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, url], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
