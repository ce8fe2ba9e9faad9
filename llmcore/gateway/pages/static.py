"""Style sheet, scripts and icon: read once, served under a path that changes with their contents."""

from __future__ import annotations

from hashlib import sha256
from importlib.resources import files

from attrs import frozen

TYPES = {
    "css": b"text/css; charset=utf-8",
    "js": b"text/javascript; charset=utf-8",
    "svg": b"image/svg+xml",
}
PREFIX = "/static/"


@frozen
class Asset:
    """One file. kind: its content type."""

    body: bytes
    kind: bytes


class Static:
    """All files of `static/`. The digest of all is a part of every path, so browsers may keep them for good."""

    def __init__(self) -> None:
        folder = files("llmcore.gateway.pages") / "static"
        found = sorted(
            (entry for entry in folder.iterdir() if entry.name.rpartition(".")[2] in TYPES),
            key=lambda entry: entry.name,
        )
        bodies = {entry.name: entry.read_bytes() for entry in found}
        digest = sha256(b"".join(name.encode() + body for name, body in bodies.items())).hexdigest()[:16]
        self._base = f"{PREFIX}{digest}/"
        self._assets = {
            self._base + name: Asset(body, TYPES[name.rpartition(".")[2]]) for name, body in bodies.items()
        }

    def path(self, name: str) -> str:
        """Where `name` is served. Raises KeyError for a file that is not there."""
        path = self._base + name
        if path not in self._assets:
            raise KeyError(name)
        return path

    def find(self, path: str) -> Asset | None:
        return self._assets.get(path)
