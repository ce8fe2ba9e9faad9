"""The mirrors are pure: no clock, no socket, no randomness, and nothing of ours but nouns and errors."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import llmcore.gateway.mirror as room
from llmcore.gateway.mirror.base import Asked, EventEncoder, Mirror
from llmcore.gateway.mirror.openai_chat import OpenAIChatMirror
from llmcore.types import GenerationRequest

FILES = sorted(Path(str(room.__file__)).parent.glob("*.py"))
OURS = (
    "llmcore.check",
    "llmcore.types",
    "llmcore.errors",
    "llmcore.gateway.errors",
    "llmcore.gateway.mirror",
)
IMPURE = {"asyncio", "anyio", "time", "random", "os", "socket", "ssl", "threading", "subprocess", "secrets"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_mirror_imports_nothing_that_could_act(path: Path) -> None:
    names = [
        name
        for node in ast.walk(ast.parse(path.read_text()))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    ]
    for name in names:
        assert name.split(".")[0] not in IMPURE, name
        assert not name.startswith("llmcore.") or name.startswith(OURS), name


def test_chat_completions_are_a_mirror() -> None:
    mirror: Mirror = OpenAIChatMirror()
    encoder: EventEncoder = mirror.event_encoder(Asked(GenerationRequest("?")), id="x", created=1)
    assert mirror.name == "openai"
    assert encoder.keep_alive()
