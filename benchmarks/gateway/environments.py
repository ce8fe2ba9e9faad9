"""The environments of the measured servers, beside those of the clients; Portkey's is made by npm, where that is there."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.servers import ROOT
from benchmarks.venvs import HOME, CannotInstall, python_of

__all__ = ["ENVIRONMENTS", "HOME", "PORTKEY", "CannotInstall", "make", "python_of", "ready", "versions"]

PORTKEY = "gateway-portkey"
PORTKEY_PACKAGE = "@portkey-ai/gateway"
ENVIRONMENTS: dict[str, tuple[str, ...]] = {
    "gateway-llmcore": ("--editable", ".[cli,fast,gateway,prices]"),
    "gateway-litellm": ("litellm[proxy]",),
    "gateway-starlette": ("starlette", "uvicorn", "httptools", "uvloop", "aiohttp"),
    "gateway-granian": ("granian", "uvloop", "pyreqwest"),
}
_SHOWN = (
    "llmcore-kit",
    "litellm",
    "starlette",
    "uvicorn",
    "httptools",
    "uvloop",
    "aiohttp",
    "granian",
    "pyreqwest",
)
_VERSIONS = """
import json, sys
from importlib.metadata import distributions
found = {one.metadata["Name"].lower(): one.version for one in distributions()}
print(json.dumps({name: found[name] for name in sys.argv[1:] if name in found}))
"""


def ready(name: str) -> bool:
    """Whether it is there, and holds what is asked for today."""
    if name == PORTKEY:
        return _portkey_home().exists()
    stamp = HOME / name / "requirements.txt"
    return python_of(name).exists() and stamp.exists() and stamp.read_text() == _asked(name)


def make(name: str) -> None:
    """Make or mend one. Raises CannotInstall."""
    if name == PORTKEY:
        _make_portkey()
        return
    if not python_of(name).exists():
        _run([sys.executable, "-m", "venv", str(HOME / name)], ROOT)
    pip = [str(python_of(name)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([*pip, *ENVIRONMENTS[name]], ROOT)
    (HOME / name / "requirements.txt").write_text(_asked(name))


def versions(name: str) -> dict[str, str]:
    """Package -> version, of those that matter."""
    if name == PORTKEY:
        package = json.loads((_portkey_home() / "package.json").read_text())
        node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
        return {PORTKEY_PACKAGE: package["version"], "node": node.strip().removeprefix("v")}
    command = [str(python_of(name)), "-c", _VERSIONS, *_SHOWN]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found


def _portkey_home() -> Path:
    return HOME / PORTKEY / "node_modules" / "@portkey-ai" / "gateway"


def _make_portkey() -> None:
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise CannotInstall("not run: there is no npm here")
    (HOME / PORTKEY).mkdir(parents=True, exist_ok=True)
    _run([npm, "install", "--silent", "--no-audit", "--no-fund", PORTKEY_PACKAGE], HOME / PORTKEY)


def _asked(name: str) -> str:
    asked = "\n".join(ENVIRONMENTS[name]) + "\n"
    return asked + (ROOT / "pyproject.toml").read_text() if name == "gateway-llmcore" else asked


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise CannotInstall(lines[-1] if lines else f"exit status {done.returncode}")
