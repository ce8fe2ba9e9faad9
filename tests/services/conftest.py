"""Real servers from installed packages, only when asked for (make test-services); what is missing is skipped, and said."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator

import pytest

from llmcore.gateway.store import Store, open_store
from tests.services import postgres, redis_server

ASKED = "LLMCORE_SERVICES"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/services/" in item.path.as_posix():
            item.add_marker(pytest.mark.services)
            if not os.environ.get(ASKED):
                item.add_marker(pytest.mark.skip(reason="starts real servers: make test-services"))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def server() -> Iterator[postgres.Server]:
    if postgres.programs() is None:
        pytest.skip("NOT TESTED: PostgreSQL is not installed here (Debian: apt-get install postgresql)")
    pytest.importorskip("asyncpg", reason="NOT TESTED: asyncpg is not installed (the extra `postgres`)")
    with postgres.running() as server:
        yield server


@pytest.fixture
def url(server: postgres.Server) -> str:
    return server.empty()


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    async with open_store(url) as store:
        yield store


@pytest.fixture
def redis() -> Iterator[redis_server.Server]:
    if redis_server.program() is None:
        pytest.skip("NOT TESTED: Redis is not installed here (Debian: apt-get install redis-server)")
    pytest.importorskip("redis", reason="NOT TESTED: redis is not installed (the extra `redis`)")
    with redis_server.running() as server:
        yield server
