"""The public face: its exports are sorted and real, and importing it is cheap and without side effects."""

from __future__ import annotations

import json
import subprocess
import sys

import llmcore


def test_exports_are_sorted_and_exist() -> None:
    assert list(llmcore.__all__) == sorted(llmcore.__all__)
    for name in llmcore.__all__:
        assert getattr(llmcore, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(llmcore, "nonsense")


def _modules_after(statement: str) -> set[str]:
    code = f"import sys, json; {statement}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_importing_the_face_imports_nothing_dear() -> None:
    loaded = _modules_after("import llmcore")
    dear = {
        "httpx",
        "pyreqwest",
        "aiohttp",
        "httptools",
        "cattrs",
        "structlog",
        "tomli",
        "anyio",
        "cyclopts",
        "rich",
        "genai_prices",
        "pydantic",
        "trio",
    }
    assert not loaded & dear


def test_building_a_provider_imports_no_command_line_and_no_prices() -> None:
    statement = "import llmcore; llmcore.create_provider(llmcore.ProviderConfig(name='a', provider='openai', api_key='k'))"
    loaded = _modules_after(statement)
    assert not loaded & {
        "cyclopts",
        "rich",
        "genai_prices",
        "structlog",
        "trio",
        "llmcore.cli",
        "llmcore.sim",
    }
