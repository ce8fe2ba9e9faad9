"""The look-out at the end of the session finds what it is there for; every threat has its tests."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.canary_session import Looked

TESTS = Path(__file__).resolve().parent


@pytest.mark.parametrize("name", ["gateway.db", "gateway.db-wal", "log-8400", "deep/er.json"])
def test_a_canary_in_any_file_is_found(tmp_path: Path, name: str) -> None:
    looked, file = Looked(), tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"\x00\xffsqlite sk-" + b"canary-0123 \xfe")
    looked.folder(tmp_path)
    assert looked.files == 1
    assert len(looked.found) == 1
    file.unlink()


def test_a_canary_that_was_printed_is_found() -> None:
    looked = Looked()
    looked.text("stderr", "Incorrect key: sk-" + "canary-0123")
    looked.text("stderr", "Incorrect key: ***")
    assert looked.texts == 2
    assert len(looked.found) == 1


@pytest.mark.parametrize("number", range(1, 25))
def test_every_threat_has_tests_that_bear_its_number(number: int) -> None:
    name = re.compile(rf"def test_(?:t\d\d_)*t{number:02}_")
    found = [file.name for file in TESTS.rglob("*.py") if name.search(file.read_text())]
    assert found, f"no test is named test_t{number:02}_…"
