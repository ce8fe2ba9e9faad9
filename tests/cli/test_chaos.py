"""`llmcore chaos` as a command: what it prints, writes and returns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Llmcore

SAFE = """
[[llm.providers]]
name = "one"
provider = "openai"
api_key = "${NO_SUCH_KEY}"
text_model = "m"

[[llm.providers]]
name = "two"
provider = "anthropic"
api_key = "${NO_SUCH_KEY_EITHER}"
text_model = "m"

[llm.fallback]
mid_stream = "fail"
"""


def test_a_scorecard_on_the_screen_and_in_files(llmcore: Llmcore, tmp_path: Path) -> None:
    told, page = tmp_path / "c.json", tmp_path / "c.html"
    done = llmcore("chaos", "--only", "S03,s04", "--only", "F52", "--json", str(told), "--html", str(page))
    assert (done.code, done.err) == (0, ""), done
    lines = done.out.splitlines()
    assert [line.split()[0] for line in lines if line[:1] in {"S", "F"} and line[1:3].isdigit()] == [
        "S03",
        "S04",
        "F52",
    ]
    assert "2 of 2 public scenarios pass" in done.out
    card = json.loads(told.read_text())
    assert [one["verdict"] for one in card["scenarios"]] == ["pass"] * 3
    assert page.read_text().startswith("<!doctype html>")


def test_a_users_own_settings_and_the_threshold(llmcore: Llmcore, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(SAFE)
    done = llmcore("chaos", str(path), "--only", "S08,S04")
    assert done.code == 1
    assert "priority over one, two; mid_stream fail" in done.out
    assert "safe" in done.out
    assert "not every public scenario passes" in done.err
    assert llmcore("chaos", str(path), "--only", "S08,S04", "--threshold", "1").code == 0
    assert llmcore("chaos", str(path), "--only", "S08,S04", "--threshold", "2").code == 1


def test_mistakes_are_told_before_anything_runs(llmcore: Llmcore, tmp_path: Path) -> None:
    assert llmcore("chaos", "--only", "S99").code == 2
    assert llmcore("chaos", str(tmp_path / "nothing.toml")).code == 2
    assert llmcore("chaos", "--json", str(tmp_path / "no" / "c.json")).code == 2
    assert llmcore("chaos", "--profile", "slow").code == 2


def test_through_a_gateway_that_is_started_for_it(llmcore: Llmcore, tmp_path: Path) -> None:
    told = tmp_path / "c.json"
    done = llmcore("chaos", "--serve", "--only", "S03,S08,S16", "--json", str(told))
    assert (done.code, done.err) == (0, ""), done
    assert "through its own gateway" in done.out
    assert "mid_stream splice" in done.out
    card = json.loads(told.read_text())
    assert [one["verdict"] for one in card["scenarios"]] == ["pass"] * 3
    assert card["source"] == "through its own gateway"


@pytest.mark.slow
def test_the_public_scenarios_through_a_gateway(llmcore: Llmcore, tmp_path: Path) -> None:
    told = tmp_path / "c.json"
    done = llmcore("chaos", "--serve", "--threshold", "14", "--json", str(told))
    assert done.code == 0, done
    counts = json.loads(told.read_text())["public"]
    assert counts["of"] == 16
    assert counts["pass"] >= 14
    assert counts["fail"] == 0


def test_the_configuration_for_another_gateway(llmcore: Llmcore, tmp_path: Path) -> None:
    path = tmp_path / "up.toml"
    done = llmcore("chaos", "--upstreams", str(path), "--upstream-port", "9000")
    assert done.code == 0, done
    assert f"llmcore serve --config {path}" in done.out
    assert "--upstream-port 9000 --endpoint URL" in done.out
    text = path.read_text()
    assert 'name = "s01-stream-primary"' in text
    assert 'base_url = "http://127.0.0.1:9000/openai/v1"' in text


def test_mistakes_with_gateways(llmcore: Llmcore, tmp_path: Path) -> None:
    for words, told in (
        (("--endpoint", "http://127.0.0.1:1"), "--key"),
        (("--endpoint", "nowhere", "--key", "k"), "is no address"),
        (("--endpoint", "http://127.0.0.1:1", "--serve"), "one of them"),
        (("--serve", "--only", "F01"), "cannot be tried through a gateway"),
        (("--upstreams", str(tmp_path / "no" / "x.toml")), "no folder"),
        (("--upstreams", str(tmp_path / "x.toml"), "--upstream-port", "65535"), "--upstream-port"),
        (("--endpoint", "http://127.0.0.1:1", "--key", "k", "--only", "S03"), "cannot be asked"),
    ):
        done = llmcore("chaos", *words)
        assert done.code == 2, done
        assert told in done.err, done
