"""`llmcore chaos` as a command: what it prints, writes and returns."""

from __future__ import annotations

import json
from pathlib import Path

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
