"""Where the manager's events go: to structlog where the application uses it, else to the standard logger, without importing it."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest
import structlog

from llmcore.manager.log import note


def test_without_structlog_the_standard_logger_gets_the_facts(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="llmcore"):
        note("llm.failover", provider="a", wait_s=None, status=500)
    (record,) = caplog.records
    assert (record.name, record.message) == ("llmcore", "llm.failover")
    assert vars(record)["provider"] == "a"
    assert vars(record)["status"] == 500
    assert not hasattr(record, "wait_s")


def test_where_it_is_configured_structlog_gets_them() -> None:
    try:
        with structlog.testing.capture_logs() as events:  # which configures it, and leaves it so
            note("llm.retry", provider="b", wait_s=0.5)
    finally:
        structlog.reset_defaults()
    assert events == [{"event": "llm.retry", "log_level": "info", "provider": "b", "wait_s": 0.5}]


def test_an_event_imports_nothing() -> None:
    code = (
        "import sys; from llmcore.manager.log import note; note('llm.failed', provider='a'); "
        "print('structlog' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
