"""T16: importing and running open no connection and start no process of their own; the build runs no code of ours."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import tomli

ROOT = Path(__file__).resolve().parents[3]
PROJECT = tomli.loads((ROOT / "pyproject.toml").read_text())

WATCHED = """
import json, sys
seen = []
WATCHED = ("socket.connect", "socket.getaddrinfo", "socket.bind", "socket.sendto", "subprocess.Popen", "os.system",
           "os.exec", "os.posix_spawn", "os.fork", "urllib.Request", "http.client.connect")
sys.addaudithook(lambda event, args: seen.append(event) if event in WATCHED else None)
def done(count): print(json.dumps({"seen": seen, "count": count}))
"""
IMPORTS = """
import importlib, pkgutil, llmcore
names = [one.name for one in pkgutil.walk_packages(llmcore.__path__, "llmcore.") if not one.name.endswith(("__main__", "migrations.env"))]
for name in names:
    importlib.import_module(name)
done(len(names))
"""
PRICES = """
from llmcore.prices import PriceBook, warm
from llmcore.types import Usage
warm()
book = PriceBook()
done(sum(book.cost("openai", model, Usage(1000, 1000)) is not None for model in ("gpt-4o", "gpt-4o-mini", "nobody")))
"""
A_LEAK = "import socket\ntry: socket.create_connection(('127.0.0.1', 9))\nexcept OSError: pass\ndone(1)"


def watched(code: str) -> tuple[list[str], int]:
    """What the interpreter was asked for while that ran in a process of its own."""
    command = [sys.executable, "-c", WATCHED + code]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, timeout=60)
    told = json.loads(said.stdout.splitlines()[-1])
    return told["seen"], told["count"]


def test_t16_importing_opens_no_socket_and_starts_no_process() -> None:
    seen, count = watched(IMPORTS)
    assert seen == []
    assert count > 200


def test_t16_no_list_of_prices_is_fetched() -> None:
    """genai-prices can update itself: it is not asked to."""
    seen, count = watched(PRICES)
    assert seen == []
    assert count == 2


def test_t16_what_is_looked_for_would_be_seen() -> None:
    seen, _ = watched(A_LEAK)
    assert "socket.connect" in seen


def wanted() -> list[str]:
    project = PROJECT["project"]
    found = [*PROJECT["build-system"]["requires"], *project["dependencies"]]
    for names in (*project["optional-dependencies"].values(), *PROJECT["dependency-groups"].values()):
        found += [name for name in names if isinstance(name, str)]
    return found


@pytest.mark.parametrize("requirement", wanted())
def test_t16_every_dependency_is_a_release_of_an_index(requirement: str) -> None:
    """No address, no path, no branch; and one says from which release on it works."""
    assert re.fullmatch(
        r"[A-Za-z0-9._-]+(\[[a-z0-9,_-]+\])?((>=|~=|==|<)[0-9][0-9.]*(,\s*<[0-9.]+)?)?(\s*;.*)?", requirement
    ), requirement
    assert requirement.startswith(("hatchling", "llmcore-kit")) or re.search(r"[>~=]=", requirement), (
        requirement
    )


def test_t16_the_build_runs_no_code_of_ours() -> None:
    assert PROJECT["build-system"]["build-backend"] == "hatchling.build"
    assert not PROJECT["build-system"].get("backend-path")
    tool = PROJECT["tool"]["hatch"]
    assert "hooks" not in tool.get("build", {})
    assert "hooks" not in tool.get("metadata", {})
    assert all("hooks" not in target for target in tool["build"]["targets"].values())
    assert tool["version"]["path"] == "llmcore/_version.py"
    assert not list(ROOT.glob("setup.*")) + list(ROOT.glob("hatch_build.py"))


def test_t16_few_are_needed_to_begin_with() -> None:
    """The core stands on a handful; all else is an extra that somebody asks for by name."""
    assert len(PROJECT["project"]["dependencies"]) <= 12
