"""Where the files are, and what several tests ask of them."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from inspect import signature
from pathlib import Path
from typing import Any

import yaml

from llmcore.gateway.access.redis_shares import FAREWELL_S
from llmcore.gateway.config import GatewayConfig
from llmcore.gateway.usage.recorder import Recorder
from llmcore.loader import load_config
from llmcore.loader.gateway import load_gateway
from llmcore.providers import kinds
from llmcore.serving.opened import CLOSING_S

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
KNOWN_IMAGES = {"python:3.13-slim", "postgres:16-alpine", "redis:7-alpine"}


class Unique(yaml.SafeLoader):
    """YAML in which no key is said twice; the plain loader takes the last one silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        doubles = {key for key in keys if keys.count(key) > 1}
        assert not doubles, f"{node.start_mark}: {doubles} said twice"
        return super().construct_mapping(node, deep)


def documents(path: Path) -> list[Any]:
    return list(yaml.load_all(path.read_text(), Unique))


def gateway_config(text: str) -> GatewayConfig:
    """What is configured, after the whole file was found good."""
    environ = {"OPENAI_API_KEY": "sk-test"}
    assert load_config(text, environ=environ, kinds=kinds()).providers
    return load_gateway(text, environ=environ)


def closing_s() -> float:
    """Seconds that a gateway may take to close after its last answer: usage that is still to be written, limits that are
    given back, connections.
    """
    grace: float = signature(Recorder).parameters["grace"].default
    return grace + FAREWELL_S + CLOSING_S


@cache
def _help(words: tuple[str, ...]) -> str:
    command = [sys.executable, "-m", "llmcore.cli", *words, "--help"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def check_command(words: list[str]) -> None:
    """A command line of ours: the command is there, and so is every option."""
    assert words[0] == "llmcore"
    plain = [word for word in words[1:] if not word.startswith("-")]
    name = tuple(plain[:2]) if plain[0] in {"db", "keys"} else tuple(plain[:1])
    text = _help(name)
    assert "Usage: llmcore " + " ".join(name) in text
    for option in (word for word in words if word.startswith("--")):
        assert option in text, f"{' '.join(words)}: there is no {option}"
