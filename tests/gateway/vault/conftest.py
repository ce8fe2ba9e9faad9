"""A store with a vault: a SQLite file and a key file of their own for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from llmcore.gateway.store import Store, open_store, sqlite_url
from llmcore.gateway.vault import FileKeys, Vault, open_vault


@pytest.fixture
def url(tmp_path: Path) -> str:
    return sqlite_url(tmp_path / "data" / "gateway.sqlite")


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "master.key"


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    async with open_store(url) as store:
        yield store


@pytest.fixture
async def vault(store: Store, key_file: Path) -> Vault:
    return await open_vault(store, FileKeys(key_file))
