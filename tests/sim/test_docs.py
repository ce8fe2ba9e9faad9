"""docs/simulator.md is true: its code is run as it stands there."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmcore.sim import Script
from llmcore.sim.faults import fault_of

from .conftest import eventually

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "simulator.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("code", blocks("python"))
def test_python(code: str) -> None:
    exec(compile(code, "docs/simulator.md", "exec"), {})


@pytest.mark.parametrize("text", blocks("toml"))
def test_toml(text: str) -> None:
    script = Script.of(text)
    assert script.rules or script.limits


def test_every_model_name_of_the_table_breaks_something() -> None:
    table = PAGE.partition("## Faults by model name")[2].partition("## A rule")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    names = [name for row in rows for name in re.findall(r"`([^`]+)`", row)]
    assert len(names) > 20
    assert [name for name in names if fault_of(name) is None] == []


@pytest.fixture
def served(tmp_path: Path) -> Iterator[int]:
    """The page's own command, at a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "faults.toml").write_text(blocks("toml")[0])
    words = blocks("sh")[0].strip().replace("8401", str(port)).split()
    program = Path(sys.executable).with_name(words[0])
    process = subprocess.Popen([program, *words[1:]], cwd=tmp_path, stdout=subprocess.DEVNULL)
    try:
        assert eventually(lambda: _listens(port))
        yield port
    finally:
        process.terminate()
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_shell_lines(served: int) -> None:
    lines = blocks("sh")[1].strip().replace("8401", str(served)).splitlines()
    told = [
        subprocess.run(["sh", "-c", line], check=True, capture_output=True, text=True).stdout
        for line in lines
    ]
    assert '"content":"hi"' in told[0]
    assert '"dialect":"openai"' in told[1]
    assert '"requests":1' in told[2]
    assert '"rules":1' in told[3]
    assert '"ok":true' in told[4]
