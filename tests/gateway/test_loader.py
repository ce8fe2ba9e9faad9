"""The `[gateway]` table: read strictly, every complaint at once, nothing secret shown; the documented example is true."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmcore.errors import ConfigurationError
from llmcore.gateway.config import GatewayConfig, LimitsConfig
from llmcore.loader.gateway import load_gateway

ROOT = Path(__file__).resolve().parents[2]


def load(text: str, **environ: str) -> GatewayConfig:
    return load_gateway(text, environ=environ)


def refused(text: str, **environ: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(text, **environ)
    return str(caught.value)


def test_without_a_table_the_defaults_hold() -> None:
    assert load("[llm]\n") == load_gateway(None, environ={}) == GatewayConfig()
    assert GatewayConfig().host == "127.0.0.1"


def test_the_documented_example_names_every_key_and_its_defaults() -> None:
    text = (ROOT / "config.toml").read_text(encoding="utf-8")
    section = text[text.index("\n[gateway]\n") :]
    for cls in (GatewayConfig, LimitsConfig):
        for entry in cls.__attrs_attrs__:
            assert f"# {entry.name} = " in section or f".{entry.name}]" in section, entry.name
    no_default = (
        "public_url",
        "data_dir",
        "database_url",
        "redis_url",
        "master_key_file",
        "max_tokens",
        "request ",
    )
    lines = [line.removeprefix("# ") for line in section.splitlines() if " = " in line or line[:1] == "["]
    shown = [line for line in lines if not line.startswith(no_default)]
    assert len(shown) > 30
    assert load("\n".join(shown)) == GatewayConfig()
    assert (
        load("\n".join(lines), DATABASE_URL="postgresql://u@h/n", REDIS_URL="redis://h").limits.max_tokens
        == 8192
    )


def test_all_complaints_come_at_once() -> None:
    text = refused(
        '[gateway]\nprot = 80\nhost = "a b"\nport = 70000\nworkers = 0\nlog_level = "loud"\npublic_url = "x"\n'
        'allowed_hosts = "x"\ndatabase_url = "mysql://x"\n[gateway.limits]\nbody = "big"\nhedaers = 1\n'
    )
    for place in (
        "gateway.prot: unknown key; did you mean 'port'?",
        "gateway.host",
        "gateway.port",
        "gateway.workers",
        "gateway.log_level",
        "gateway.public_url",
        "gateway.allowed_hosts",
        "gateway.database_url",
        "gateway.limits.body",
        "gateway.limits.hedaers: unknown key; did you mean 'headers'?",
    ):
        assert place in text


def test_a_password_is_never_shown() -> None:
    config = load('[gateway]\ndatabase_url = "${URL}"\n', URL="postgresql://u:hunter2hunter2@h/n")
    assert "hunter2" not in repr(config)
    assert config.database_url is not None
    assert config.database_url.reveal() == "postgresql://u:hunter2hunter2@h/n"
    assert "hunter2" not in refused(
        '[gateway]\ndatabase_url = "${URL}"\n', URL="mysql://u:hunter2hunter2@h/n"
    )


@pytest.mark.parametrize(
    ("config", "hosts"),
    [
        (GatewayConfig(), {"127.0.0.1", "localhost", "::1"}),
        (GatewayConfig(host="0.0.0.0", public_url="https://llm.example.org"), {"llm.example.org"}),
        (GatewayConfig(host="10.0.0.5"), {"127.0.0.1", "localhost", "::1", "10.0.0.5"}),
        (
            GatewayConfig(public_url="http://x.test:9", allowed_hosts=("Y.test",)),
            {"127.0.0.1", "localhost", "::1", "x.test", "y.test"},
        ),
    ],
)
def test_the_hosts_that_are_answered(config: GatewayConfig, hosts: set[str]) -> None:
    assert config.hosts() == hosts
