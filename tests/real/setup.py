"""Sets up the environment of the real model server: `python tests/real/setup.py .venv-real`; does nothing the second time.

The engine is llama.cpp with its own HTTP server, which `xllamacpp` ships as a wheel; `gguf` writes the
weights. Nothing is compiled. No version is pinned: the stamp records the versions that were installed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import venv
from pathlib import Path

PACKAGES = ("xllamacpp", "gguf")
STAMP = "installed.json"
INSTALL_S, CHECK_S = 900, 120

VERSIONS = (
    "import json, sys, importlib.metadata as m, xllamacpp, gguf; "
    "print(json.dumps({name: m.version(name) for name in sys.argv[1:]}))"
)


def python_of(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def installed(folder: Path) -> dict[str, str] | None:
    """The versions that the stamp records, or None where the environment is missing, half made or made for another list."""
    try:
        stamp = json.loads((folder / STAMP).read_text("utf-8"))
        whole = set(stamp) == set(PACKAGES) and python_of(folder).exists()
    except (OSError, ValueError):
        return None
    return stamp if whole else None


def install(folder: Path) -> dict[str, str]:
    """Make the environment anew. Raises CalledProcessError or TimeoutExpired; only a whole one gets its stamp."""
    venv.create(folder, clear=True, with_pip=True)
    python = str(python_of(folder))
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"]
    subprocess.run([*pip, *PACKAGES], check=True, timeout=INSTALL_S)
    checked = subprocess.run(
        [python, "-c", VERSIONS, *PACKAGES], check=True, timeout=CHECK_S, capture_output=True, text=True
    )
    versions: dict[str, str] = json.loads(checked.stdout)
    (folder / STAMP).write_text(json.dumps(versions, indent=1) + "\n", "utf-8")
    return versions


def main(folder: Path) -> int:
    versions, began = installed(folder), time.monotonic()
    if versions is None:
        print(f"setting up {folder} (once)", flush=True)
        try:
            versions = install(folder)
        except (subprocess.SubprocessError, OSError, ValueError) as error:
            print(f"could not set up {folder}: {error}", file=sys.stderr)
            print(getattr(error, "stderr", None) or "", file=sys.stderr)
            print(f"{', '.join(PACKAGES)} must be installable as wheels for this Python", file=sys.stderr)
            return 1
        print(f"took {time.monotonic() - began:.0f} s")
    print("real engine:", ", ".join(f"{name} {version}" for name, version in versions.items()))
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: setup.py FOLDER")
    sys.exit(main(Path(sys.argv[1])))
