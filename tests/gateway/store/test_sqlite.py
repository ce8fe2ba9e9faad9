"""The contract on a SQLite file."""

from __future__ import annotations

from tests.gateway.store.contract import *  # noqa: F403 - every test of it runs here too
