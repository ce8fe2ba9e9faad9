"""A simulated provider beside the tests, configurations that point to it, and a way to run a command in this process."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attrs import frozen

from llmcore.cli.app import run
from llmcore.sim import Simulator, SimulatorThread

KEY = "sk-canary-0123456789abcdef"


@frozen
class Done:
    """What a command did."""

    code: int
    out: str
    err: str


Llmcore = Callable[..., Done]


@pytest.fixture(scope="session")
def sim() -> Iterator[SimulatorThread]:
    with SimulatorThread(Simulator(api_key=KEY)) as running:
        yield running


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable of this machine reaches a test, and no file is written where the tests run."""
    for name in (
        "LLMCORE_CONFIG",
        "LLMCORE_STATS",
        "LLMCORE_DEBUG",
        "LLMCORE_MODEL",
        "OPENAI_API_KEY",
        "GROQ_API_KEY",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CANARY", KEY)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def llmcore(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Llmcore:
    """`llmcore("generate", "hi", stdin=b"...")`: the exit code, stdout and stderr of that command line."""

    def call(*arguments: str, stdin: bytes | None = None) -> Done:
        given = io.TextIOWrapper(io.BytesIO(stdin or b""), encoding="utf-8")
        monkeypatch.setattr(given, "isatty", lambda: stdin is None, raising=False)
        monkeypatch.setattr(sys, "stdin", given)
        capsys.readouterr()
        code = run(arguments)
        captured = capsys.readouterr()
        return Done(code, captured.out, captured.err)

    return call


def entry(name: str, kind: str, base_url: str, *more: str, key: str = '"${CANARY}"') -> str:
    """One [[llm.providers]] entry."""
    lines = (
        f'name = "{name}"',
        f'provider = "{kind}"',
        f'base_url = "{base_url}"',
        f"api_key = {key}",
        *more,
    )
    return "\n".join(("[[llm.providers]]", *lines)) + "\n"


@pytest.fixture
def config(sim: SimulatorThread, tmp_path: Path) -> Path:
    """The first provider is down, the second and third answer."""
    text = "".join(
        (
            entry("down", "openai", "http://127.0.0.1:9/v1", 'text_model = "m"', "priority = 1"),
            entry(
                "two",
                "anthropic",
                sim.base_url("anthropic"),
                'text_model = "sim-large"',
                "priority = 2",
                'prices = { "*" = { input = 1, output = 2 } }',
            ),
            entry(
                "three",
                "gemini",
                sim.base_url("gemini"),
                'text_model = "sim-small"',
                'embedding_model = "sim-embed"',
                "priority = 3",
            ),
            '[llm]\nprices = "own"\n[llm.fallback]\nmax_retries = 0\n',
        )
    )
    path = tmp_path / "llm.toml"
    path.write_text(text, encoding="utf-8")
    return path
