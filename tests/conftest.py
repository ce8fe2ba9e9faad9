"""Shared by all tests: hypothesis profiles, and both event loops."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

from tests.canary_session import canaries_are_nowhere, pytest_runtest_makereport  # noqa: F401 - fixture and hook

settings.register_profile(
    "default", deadline=None, derandomize=True, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "long",
    deadline=None,
    max_examples=int(os.environ.get("HYPOTHESIS_EXAMPLES", "10000")),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)
