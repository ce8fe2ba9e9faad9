"""What all tests leave behind is looked through for canary keys when the session ends: every file, and all that was printed.

`sk-canary-…` is the key of a canary in the tests of the gateway; it may be sent to an upstream, and be nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

CANARY = re.compile(rb"sk-canary-[A-Za-z0-9_-]{4,}|[A-Z][a-z]\dKanarie/(?:System|Own|Added)\+|Wort-Kanarie/")
OPERATORS = re.compile(r".*\.(?:toml|env)|said\d*")
"""Files in which tests play the operator, who writes keys into them; and what a process of the tests says it has saved."""


class Looked:
    """found: where a canary was; files, texts: how many were looked at."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self.files = self.texts = 0

    def text(self, where: str, text: str) -> None:
        self.texts += 1
        self._bytes(where, text.encode("utf-8", "replace"))

    def folder(self, folder: Path) -> None:
        for file in sorted(folder.rglob("*")):
            if file.is_file() and not file.is_symlink() and not OPERATORS.fullmatch(file.name):
                self.files += 1
                self._bytes(str(file.relative_to(folder)), file.read_bytes())

    def _bytes(self, where: str, raw: bytes) -> None:
        if b"anarie" in raw or b"sk-canary-" in raw:
            self.found += [f"{where}: {one.group()[:14]!r}…" for one in CANARY.finditer(raw)][:3]


LOOKED = pytest.StashKey[Looked]()


def looked(config: pytest.Config) -> Looked:
    return config.stash.setdefault(LOOKED, Looked())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: object
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a test that passed has printed and logged; one that failed shows its own texts."""
    report = yield
    if report.passed:
        for name, text in report.sections:
            looked(item.config).text(f"{item.nodeid} {name}", text)
    return report


@pytest.fixture(scope="session", autouse=True)
def canaries_are_nowhere(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    yield
    found = looked(request.config)
    found.folder(tmp_path_factory.getbasetemp())
    assert found.found == [], "canary keys were kept or shown:\n" + "\n".join(found.found[:20])
