"""An environment for each client, made once with the newest versions; what is in it is read from the environment itself."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from benchmarks.roster import ENVIRONMENTS, OURS, Environment
from benchmarks.servers import ROOT

HOME = ROOT / ".benchvenvs"
_VERSIONS = """
import json, sys
from importlib.metadata import PackageNotFoundError, version
found = {}
for name in sys.argv[1:]:
    try:
        found[name] = version(name)
    except PackageNotFoundError:
        pass
print(json.dumps(found))
"""


class CannotInstall(Exception):
    """Says why, in one line."""


def python_of(name: str) -> Path:
    return HOME / name / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def ready(name: str) -> bool:
    """Whether it is there, and holds what is asked for today."""
    stamp = HOME / name / "requirements.txt"
    return python_of(name).exists() and stamp.exists() and stamp.read_text() == _asked(name)


def make(name: str) -> None:
    """Make or mend an environment. Raises CannotInstall."""
    if ready(name):
        return
    environment = ENVIRONMENTS[name]
    if not python_of(name).exists():
        _run([sys.executable, "-m", "venv", str(HOME / name)])
    pip = [str(python_of(name)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([*pip, *environment.requirements])
    (HOME / name / "requirements.txt").write_text(_asked(name))


def versions(name: str) -> dict[str, str]:
    """Package -> exact version, of those that matter for what is measured."""
    command = [str(python_of(name)), "-c", _VERSIONS, *ENVIRONMENTS[name].packages]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found


def remove_all(names: Iterable[str]) -> None:
    import shutil

    for name in names:
        shutil.rmtree(HOME / name, ignore_errors=True)


def _asked(name: str) -> str:
    environment: Environment = ENVIRONMENTS[name]
    asked = "\n".join(environment.requirements) + "\n"
    return asked + _own_dependencies() if name == OURS else asked


def _own_dependencies() -> str:
    """Our own environment is mended when our dependencies change; the checkout itself is linked, not copied."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return "\n".join([*project["dependencies"], *project["optional-dependencies"]["fast"]])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise CannotInstall(lines[-1] if lines else f"exit status {done.returncode}")
