"""Every fault from 42 to 72 has a test that bears its number."""

from __future__ import annotations

import re
from importlib import import_module
from types import ModuleType

MODULES = (
    "test_42_bodies",
    "test_46_answers",
    "test_51_waits",
    "test_55_outages",
    "test_57_time",
    "test_59_reading",
    "test_61_cancelling",
    "test_63_network",
    "test_64_credentials",
    "test_69_vendors",
)


def numbers_of(module: ModuleType) -> set[int]:
    """The numbers in the names of a module's tests."""
    found = (re.match(r"test_(\d\d)_", name) for name in vars(module))
    return {int(match[1]) for match in found if match}


def test_every_fault_has_its_test() -> None:
    covered: list[int] = []
    for name in MODULES:
        module = import_module(f"tests.faults.{name}")
        assert numbers_of(module) == set(module.COVERED), name
        covered += module.COVERED
    assert sorted(covered) == list(range(42, 73))
