"""The demo that a newcomer sees first: plain in a pipe, and telling the truth."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_second_provider_answers_because_the_first_is_down() -> None:
    clean = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "demo.py"), "--once"],
        capture_output=True, text=True, timeout=60, check=False, env=clean,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    question = (ROOT / "examples" / "question.txt").read_text(encoding="utf-8").strip()
    assert question.removeprefix("say: ") in done.stdout
    lines = done.stdout.splitlines()
    tried = [line.split()[1] for line in lines if line.endswith((" ms", " s")) and line[:1].isdigit()]
    assert tried == ["primary", "primary", "primary", "secondary"]
    assert any(line.startswith("answered by  secondary, ") for line in lines)
    stats = {line.split()[0]: line.split()[1:4] for line in lines[lines.index("Stats") + 2 :] if line}
    assert stats["primary"] == ["3", "0", "3"]
    assert stats["secondary"] == ["1", "1", "0"]
    assert stats["manager"] == ["1", "1", "0"]
    assert "answered by primary" in lines  # by the gateway, when all are up
    assert "\x1b" not in done.stdout
