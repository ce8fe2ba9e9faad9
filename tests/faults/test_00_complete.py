"""Every fault from 1 to 41 has a test that bears its number, and all but those that no manager sees have one with two providers."""

from __future__ import annotations

import re
from importlib import import_module
from types import ModuleType

MODULES = (
    "test_01_connecting",
    "test_07_silence",
    "test_11_framing",
    "test_16_bodies",
    "test_20_events",
    "test_35_floods",
    "test_39_detours",
)


def numbers_of(module: ModuleType) -> set[int]:
    """The numbers in the names of a module's tests; 0 is for tests of the tests."""
    found = (re.match(r"test_(\d\d)_", name) for name in vars(module))
    return {int(match[1]) for match in found if match} - {0}


def test_every_fault_has_its_test() -> None:
    covered: list[int] = []
    for name in MODULES:
        module = import_module(f"tests.faults.{name}")
        assert numbers_of(module) == set(module.COVERED), name
        covered += module.COVERED
    assert sorted(covered) == list(range(1, 42))


def test_every_fault_is_met_by_a_manager() -> None:
    failover = import_module("tests.faults.test_40_failover")
    assert {row.fault for row in failover.ROWS} | set(failover.BESIDE) == set(range(1, 42))
