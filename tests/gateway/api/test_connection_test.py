"""Testing one of the gateway's own providers asks that one, and asks it now."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from llmcore.errors import ConnectionRefused
from llmcore.testing import ScriptedProvider
from llmcore.types import ModelInfo
from tests.gateway.whole import whole

pytestmark = pytest.mark.anyio

AT = "/api/settings/llm/test"


class Down(ScriptedProvider):
    """It lists its models as long as it is up."""

    up = True

    async def list_models(self) -> Sequence[ModelInfo]:
        if not self.up:
            raise ConnectionRefused("nobody listens", provider=self.name)
        return await super().list_models()


async def test_one_that_is_down_fails_beside_one_that_is_up(tmp_path: Path) -> None:
    down = Down("down", models=["m"])
    async with whole(tmp_path, ScriptedProvider("up", models=["x", "y"]), down) as on, on.http() as http:
        assert (await http.get("/api/settings/llm/models", params={"provider": "down"})).status_code == 200
        down.up = False
        told = (await http.post(AT, json={"provider": "down"})).json()
        assert not told["ok"]
        assert told["hint"] == "Nobody listens there: is the server running?"
        told = (await http.post(AT, json={"provider": "up"})).json()
        assert (told["ok"], told["models"]) == (True, ["x", "y"])
        down.up = True
        assert (await http.post(AT, json={"provider": "down"})).json()["models"] == ["m"]
        tests = (await http.get("/api/settings/llm/status")).json()["tests"]
        assert {one["provider"]: one["ok"] for one in tests} == {"up": True, "down": True}
