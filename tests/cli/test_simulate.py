"""`llmcore simulate`: tables on stdout, files where asked, and complaints instead of tracebacks."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

Llmcore = Callable[..., Any]

SCENARIO = """
duration = "10m"
[traffic]
rate = 1
[[providers]]
name = "a"
outages = [{ from = "4m", until = "6m", fails = "503" }]
price = { input = 1, output = 2 }
[[providers]]
name = "b"
[[configs]]
name = "alone"
fallback = { enabled = false }
[[configs]]
name = "both"
"""


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "rough.toml"
    path.write_text(SCENARIO)
    return path


def rows(out: str) -> dict[str, list[str]]:
    """The cells of the first table by their heads."""
    lines = out.split("\n\n")[1].splitlines()
    return {cells[0]: cells[1:] for line in lines if (cells := re.split(r" {2,}", line.strip()))}


def test_the_tables_tell_what_each_configuration_is_worth(llmcore: Llmcore, scenario: Path) -> None:
    done = llmcore("simulate", str(scenario))
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("rough: 10 minutes of traffic, seed 0\n")
    found = rows(done.out)
    alone, both = (float(cell.rstrip("%")) for cell in found["availability"])
    assert alone < 85
    assert both > 99
    assert "▁" in done.out


def test_every_file_that_is_asked_for_is_written(llmcore: Llmcore, scenario: Path, tmp_path: Path) -> None:
    done = llmcore(
        "simulate", str(scenario), "--json", "o.json", "--html", "o.html", "--log", "o.jsonl", "--seed", "5"
    )
    assert done.code == 0
    assert done.err.splitlines() == [
        "wrote o.json",
        "wrote o-alone.jsonl",
        "wrote o-both.jsonl",
        "wrote o.html",
    ]
    found = json.loads((tmp_path / "o.json").read_text())
    assert (found["seed"], [config["name"] for config in found["configs"]]) == (5, ["alone", "both"])
    page = (tmp_path / "o.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "http" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "https://matplotlib.org", ""
    ).replace("http://creativecommons.org", "")
    first = json.loads((tmp_path / "o-both.jsonl").read_text().splitlines()[0])
    assert {"call", "at", "provider", "outcome", "why", "usage"} <= set(first)


def test_the_same_seed_writes_the_same_bytes(llmcore: Llmcore, scenario: Path, tmp_path: Path) -> None:
    for name in ("one.json", "two.json"):
        assert llmcore("simulate", str(scenario), "--duration", "2m", "--json", name).code == 0
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()


def test_json_can_go_to_standard_output(llmcore: Llmcore, scenario: Path) -> None:
    out = llmcore("simulate", str(scenario), "--duration", "60", "--json", "-").out
    assert json.loads(out)["duration_s"] == 60.0


@pytest.mark.skipif(find_spec("matplotlib") is None, reason="needs the extra `plots`")
@pytest.mark.parametrize("name", ["o.png", "o.svg"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning:matplotlib")
def test_the_picture_is_the_same_for_the_same_seed(
    llmcore: Llmcore, scenario: Path, tmp_path: Path, name: str
) -> None:
    found = []
    for _ in range(2):
        assert llmcore("simulate", str(scenario), "--duration", "5m", "--plot", name).code == 0
        found.append((tmp_path / name).read_bytes())
    assert found[0] == found[1]
    assert len(found[0]) > 10_000


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("none.toml",), "none.toml: there is no such file"),
        (("rough.toml", "--plot", "x.jpeg"), "--plot: x.jpeg must end in .png, .svg, .pdf"),
        (("rough.toml", "--duration", "long"), "--duration: 'long' is none"),
        (("rough.toml", "--config", "none.toml"), "there is no such file"),
        (("rough.toml", "--duration", "5", "--json", "no/such/folder.json"), "cannot be written"),
    ],
)
def test_mistakes_are_told_on_one_line(
    llmcore: Llmcore, scenario: Path, arguments: tuple[str, ...], complaint: str
) -> None:
    done = llmcore("simulate", *arguments)
    assert done.code == 2
    assert complaint in done.err


def test_another_configuration_is_compared(llmcore: Llmcore, scenario: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(
        '[[llm.providers]]\nname = "b"\nprovider = "ollama"\ntext_model = "m"\n'
    )
    done = llmcore("simulate", str(scenario), "--duration", "60", "-c", "mine.toml")
    assert done.code == 0
    assert "MINE" in done.out
