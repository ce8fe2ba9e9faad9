"""The contract of the store on a real PostgreSQL server."""

from __future__ import annotations

from tests.gateway.store.contract import *  # noqa: F403 - every test of it runs here too
