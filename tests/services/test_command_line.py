"""The database as an operator meets it, by the command line alone, on SQLite and PostgreSQL: old data brought to the newest
schema, a master key that is gone, keys changed under load and killed in the middle, kill -9 at any moment.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from llmcore.gateway.store import Database, sqlite_url, upgrade
from llmcore.sim.server import Simulator
from llmcore.sim.thread import SimulatorThread
from tests.gateway.store.contract import OLD_ROWS
from tests.services import postgres

PROGRAM = str(Path(sys.executable).parent / "llmcore")
WAIT_S = 60


class Site:
    """One directory, one database, and commands on them."""

    def __init__(self, home: Path, url: str, upstream: str) -> None:
        self.home = home
        self.url = url
        self.key_file = home / "master.key"
        self._config = home / "config.toml"
        self._config.write_text(
            f'[[llm.providers]]\nname = "a"\nprovider = "openai"\nbase_url = "{upstream}/openai/v1"\n'
            'api_key = "sk-sim"\ntext_model = "gpt-4o-mini"\n[gateway]\nkey_cache = 0.5\n'
            f'users_set_base_url = true\nlocal_servers = ["{upstream.removeprefix("http://")}"]\n'
        )
        self.own = {"provider": "vllm", "base_url": f"{upstream}/openai/v1"}

    def command(self, *words: str) -> list[str]:
        return [
            PROGRAM,
            *words,
            "-c",
            str(self._config),
            "--data-dir",
            str(self.home),
            "--database-url",
            self.url,
        ]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words), capture_output=True, text=True, timeout=WAIT_S, check=False
        )

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def good(self, *words: str) -> str:
        done = self.run(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    @contextmanager
    def serving(self) -> Iterator[Running]:
        one = Running(self)
        try:
            one.wait()
            yield one
        finally:
            one.end()


class Running:
    """One process of `llmcore serve`."""

    def __init__(self, site: Site) -> None:
        self._log = (site.home / "log").open("a+")
        self._process = subprocess.Popen(
            site.command("serve", "--port", "0"), stdout=subprocess.PIPE, stderr=self._log, text=True
        )
        self.address = ""

    def wait(self) -> None:
        assert self._process.stdout is not None
        first = self._process.stdout.readline()  # it is said when calls are taken
        assert first, Path(self._log.name).read_text()[-3000:]
        (self.address,) = re.findall(r"http://[0-9.:]+", first)[:1]

    def api(self, method: str, path: str, key: str, body: Any = None) -> httpx.Response:
        return httpx.request(method, self.address + path, json=body, headers={"x-api-key": key}, timeout=30)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(30)

    def end(self) -> None:
        """It ends well, unless it was killed, and was never surprised."""
        if self._process.poll() is None:
            self._process.terminate()
            assert self._process.wait(60) == 0
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._log.close()
        assert "Traceback" not in Path(self._log.name).read_text()


@pytest.fixture(params=["sqlite", "postgres"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    if request.param == "sqlite":
        url = sqlite_url(home / "gateway.db").replace("+aiosqlite", "")
    else:
        server: postgres.Server = request.getfixturevalue("server")
        url = server.empty()
    with SimulatorThread(Simulator()) as upstream:
        yield Site(home, url, upstream.url)


# ------------------------------------------------------------------------------------------------------ upgrades


async def first_schema(url: str) -> None:
    await upgrade(url, "0001")
    database = Database(url)
    try:
        async with database.write() as connection:
            for statement in OLD_ROWS:
                await connection.execute(text(statement))
    finally:
        await database.close()


async def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    database = Database(url)
    try:
        async with database.read() as connection:
            return [tuple(row) for row in (await connection.execute(text(query))).all()]
    finally:
        await database.close()


def test_old_data_is_brought_along_however_often_the_upgrade_is_killed(site: Site) -> None:
    asyncio.run(first_schema(site.url))
    for number in range(12):
        process = site.start("db", "upgrade")
        time.sleep(0.1 * number)
        process.kill()
        process.communicate()
        (found,) = asyncio.run(rows(site.url, "SELECT version_num FROM alembic_version"))
        assert found[0] in {"0001", "0002"}
        (users,) = asyncio.run(rows(site.url, "SELECT count(*) FROM users"))
        assert users == (2,)
    assert re.search(r"database: 0002, as before|database: 0001 -> 0002", site.good("db", "upgrade"))
    assert site.good("db", "upgrade") == "database: 0002, as before\n"
    kept = asyncio.run(
        rows(site.url, "SELECT user_id, model, version, origin FROM llm_settings ORDER BY user_id")
    )
    assert kept == [("", None, 1, None), ("u1", "m", 1, "https://a.test:8443"), ("u2", "m", 1, None)]
    assert asyncio.run(rows(site.url, "SELECT counted, input_tokens FROM usage_attempts")) == [
        ("measured", 3)
    ]
    refused = site.run("serve", "--port", "0")  # what it holds was sealed with a key that is not here
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)
    assert "sealed with k" in refused.stderr


# ------------------------------------------------------------------------------------------------------ master keys


def test_without_its_master_key_nothing_starts_and_none_is_made(site: Site) -> None:
    site.good("keys", "create", "first")
    away = site.key_file.rename(site.key_file.with_name("elsewhere"))
    for words in (
        ("serve", "--port", "0"),
        ("keys", "create", "x"),
        ("keys", "rotate"),
        ("keys", "rotate", "--drop-old"),
    ):
        refused = site.run(*words)
        assert refused.returncode == 2
        (line,) = refused.stderr.splitlines()
        assert "put it back" in line
        assert refused.stdout == ""
        assert not site.key_file.exists()
    away.rename(site.key_file)
    site.good("keys", "create", "second")


class Writers:
    """Users who save keys all the time, each remembering what it was told is saved."""

    def __init__(self, site: Site, people: int = 6) -> None:
        self._own = site.own
        self._admin = site.good("keys", "create", "first").split()[-1]
        self._people = people
        self._keys: dict[str, str] = {}
        self.said: dict[str, str] = {}
        self.tried: dict[str, str] = {}
        self.refused: list[str] = []

    def made(self, gateway: Running) -> None:
        for number in range(self._people):
            user = gateway.api(
                "POST", "/api/users", self._admin, {"name": f"u{number}", "role": "user"}
            ).json()
            body = {"name": "k", "user_id": user["id"], "scopes": ["inference", "account"]}
            self._keys[user["id"]] = gateway.api("POST", "/api/keys", self._admin, body).json()["token"]

    @contextmanager
    def at_work(self, gateway: Running) -> Iterator[None]:
        enough = threading.Event()
        threads = [threading.Thread(target=self._write, args=(gateway, user, enough)) for user in self._keys]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            enough.set()
            for thread in threads:
                thread.join(WAIT_S)

    def _write(self, gateway: Running, user: str, enough: threading.Event) -> None:
        while not enough.is_set():
            key = f"sk-canary-{random.randrange(10**12):012d}"
            self.tried[user] = key
            try:
                body = {**self._own, "api_key": key}
                reply = gateway.api("PUT", "/api/settings/llm", self._keys[user], body)
            except httpx.HTTPError:  # it was killed; this key may be saved
                return
            if reply.status_code == 200:
                self.said[user] = key
            else:
                self.refused.append(reply.text)

    def check(self, gateway: Running) -> None:
        """Everybody has the key that was last said to be saved, or the one after it; each one opens."""
        assert len(self.said) == self._people
        for user, key in self._keys.items():
            shown = gateway.api("GET", "/api/settings/llm", key).json()
            assert shown["api_key_last4"] in {self.said[user][-4:], self.tried[user][-4:]}
            tested = gateway.api("POST", "/api/settings/llm/test", key, {}).json()
            assert tested["ok"], tested  # it opens
        assert self.refused == []


def test_keys_are_changed_under_load_and_killed_in_the_middle(site: Site) -> None:
    writers = Writers(site)
    with site.serving() as gateway:
        writers.made(gateway)
        with writers.at_work(gateway):
            for number in range(8):
                process = site.start("keys", "rotate")
                time.sleep(0.4 + 0.1 * number)
                if number % 4 != 3:
                    process.kill()
                process.communicate(timeout=WAIT_S)
            site.good("keys", "rotate")
            assert "removed" in site.good("keys", "rotate", "--drop-old")
        writers.check(gateway)
    with site.serving() as gateway:
        writers.check(gateway)
    assert len([line for line in site.key_file.read_text().splitlines() if not line.startswith("#")]) == 1


def test_killed_at_any_moment_it_starts_again_with_all_that_was_said_to_be_saved(site: Site) -> None:
    writers = Writers(site, 4)
    with site.serving() as gateway:
        writers.made(gateway)
    for number in range(5):
        with site.serving() as gateway:
            if number:
                writers.check(gateway)
            with writers.at_work(gateway):
                wait_for(lambda: len(writers.said) == 4)
                time.sleep(0.2 + 0.13 * number)
                gateway.kill()
        if site.url.startswith("sqlite"):
            file = sqlite3.connect(site.home / "gateway.db")
            assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            file.close()
    with site.serving() as gateway:
        writers.check(gateway)


# ------------------------------------------------------------------------------------------------------ files


@pytest.mark.skipif(os.name != "posix", reason="modes of files")
def test_the_files_are_its_owners_alone_whatever_the_umask_is(tmp_path: Path) -> None:
    home = tmp_path / "made by it"
    with SimulatorThread(Simulator()) as upstream:
        (tmp_path / "site").mkdir()
        site = Site(
            tmp_path / "site", sqlite_url(home / "gateway.db").replace("+aiosqlite", ""), upstream.url
        )
        before = os.umask(0)
        try:
            with site.serving():
                modes = {file.name: file.stat().st_mode & 0o777 for file in home.iterdir()}
        finally:
            os.umask(before)
    assert {"gateway.db", "gateway.db-wal", "gateway.db-shm"} <= set(modes)
    assert set(modes.values()) == {0o600}
    assert home.stat().st_mode & 0o777 == 0o700
    assert site.key_file.stat().st_mode & 0o777 == 0o600


def test_a_locked_file_keeps_nobody_from_asking_and_loses_no_usage(tmp_path: Path) -> None:
    with SimulatorThread(Simulator()) as upstream:
        url = sqlite_url(tmp_path / "gateway.db").replace("+aiosqlite", "")
        site = Site(tmp_path, url, upstream.url)
        key = site.good("keys", "create", "first").split()[-1]
        body = {"messages": [{"role": "user", "content": "hi"}]}
        with site.serving() as gateway:
            assert gateway.api("POST", "/v1/chat/completions", key, body).status_code == 200
            other = sqlite3.connect(tmp_path / "gateway.db", isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            for _ in range(20):
                assert gateway.api("POST", "/v1/chat/completions", key, body).status_code == 200
            wait_for(lambda: not usage(gateway, key)["ok"])
            assert usage(gateway, key)["queued"] >= 20
            other.execute("ROLLBACK")
            other.close()
            wait_for(lambda: usage(gateway, key)["ok"] and usage(gateway, key)["queued"] == 0)
            (group,) = gateway.api("GET", "/api/usage", key).json()["groups"]
            assert group["calls"] == 21


def usage(gateway: Running, key: str) -> dict[str, Any]:
    found: dict[str, Any] = gateway.api("GET", "/api/v1/llm/status", key).json()["usage"]
    return found


def wait_for(what: Any) -> None:
    for _ in range(WAIT_S * 5):
        if what():
            return
        time.sleep(0.2)
    raise AssertionError("it does not come")
