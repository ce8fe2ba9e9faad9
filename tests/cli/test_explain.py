"""`llmcore explain`: the order, the reasons, the policies; nothing is sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmcore.sim import SimulatorThread

Llmcore = Callable[..., Any]

CONFIG = """
[llm]
prices = "off"

[[llm.providers]]
name = "small"
provider = "openai"
api_key = "sk-canary-explain-0123456789"
base_url = "{url}"
text_model = "m"
context_window = 100
priority = 1

[[llm.providers]]
name = "plain"
provider = "openai_compatible"
base_url = "{url}"
text_model = "m"
priority = 2
capabilities = ["images"]

[[llm.providers]]
name = "able"
provider = "openai_compatible"
base_url = "{url}"
text_model = "m"
priority = 3
"""


@pytest.fixture
def file(sim: SimulatorThread, tmp_path: Path) -> Path:
    path = tmp_path / "explain.toml"
    path.write_text(CONFIG.format(url=sim.base_url("openai")))
    return path


def test_the_order_and_the_reasons(llmcore: Llmcore, file: Path, sim: SimulatorThread) -> None:
    before = sim.counters.requests
    schema = file.parent / "schema.json"
    schema.write_text('{"type": "object"}')
    done = llmcore("explain", "word " * 300, "-c", str(file), "--schema", str(schema))
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[1].split()[:2] == ["1", "able"]
    assert "asked first" in lines[1]
    assert any("small" in line and "not asked" in line and "100" in line for line in lines)
    assert any("plain" in line and "not asked" in line for line in lines)
    assert "strategy priority" in lines[-1]
    assert "canary" not in done.out + done.err
    assert sim.counters.requests == before


def test_as_json_and_narrowed(llmcore: Llmcore, file: Path) -> None:
    done = llmcore("explain", "hi", "-c", str(file), "--only", "plain", "--json")
    value = json.loads(done.out)
    assert [one["provider"] for one in value["candidates"]] == ["plain"]
    assert value["candidates"][0]["rank"] == 1
    assert value["max_attempts"] == 2


def test_nobody_to_ask_is_exit_code_1(llmcore: Llmcore, file: Path) -> None:
    done = llmcore("explain", "word " * 300, "-c", str(file), "--only", "small")
    assert done.code == 1
    assert "not asked" in done.out
