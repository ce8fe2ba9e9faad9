"""The page on chaos lists every scenario as it is, and its example runs."""

from __future__ import annotations

import re
from pathlib import Path

from llmcore.chaos import SCENARIOS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "chaos.md"


def test_every_scenario_stands_on_the_page() -> None:
    rows = re.findall(r"^\| ([SF]\d\d) \| (.+?) \| (.+?) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == [(scenario.id, scenario.title, scenario.sees) for scenario in SCENARIOS]


def test_the_example_is_python_that_imports() -> None:
    (example,) = re.findall(r"```python\n(.+?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    compile(example, str(PAGE), "exec")
    imports = "\n".join(line for line in example.splitlines() if line.startswith(("import ", "from ")))
    exec(imports, {})
