"""Starts the model server once for all of these tests; without its environment the modules skip themselves."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import pytest

from llmcore.build import create_provider
from llmcore.config import ProviderConfig
from llmcore.providers.base import HttpProvider
from tests.real.engine import KEY, MODEL, UNSET, Engine, real_python, running, tail, write_weights


@pytest.fixture(scope="session")
def python() -> Path:
    found = real_python()
    assert found is not None, UNSET
    return found


@pytest.fixture(scope="session")
def weights(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("weights") / "tiny.gguf"
    write_weights(python, target)
    return target


@pytest.fixture(scope="session")
def engine(python: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with running(python, weights, tmp_path_factory.mktemp("server")) as engine:
        yield engine


@pytest.fixture(params=["llamacpp", "openai_compatible"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def config(engine: Engine, kind: str) -> ProviderConfig:
    return ProviderConfig(
        "real", kind, api_key=KEY, base_url=engine.base_url, text_model=MODEL, embedding_model=MODEL
    )


@pytest.fixture
async def provider(config: ProviderConfig, anyio_backend: str) -> AsyncIterator[HttpProvider]:
    provider = create_provider(config)
    yield provider
    await provider.aclose()


@pytest.fixture
def refused() -> Iterator[str]:
    """The address of a port that is taken, but at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/v1"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    engine = getattr(item, "funcargs", {}).get("engine")
    if report.failed and isinstance(engine, Engine):
        report.sections.append(("the model server's log", tail(engine.log)))
    return report
