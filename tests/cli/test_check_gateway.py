"""`llmcore check` on what the `[gateway]` table names: files, addresses, extras; one complaint each, nothing made."""

from __future__ import annotations

import asyncio
import importlib.util
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from llmcore.gateway.store import open_store, sqlite_url
from tests.cli.conftest import Llmcore

PASSWORD = "canary-of-the-address"

Check = Callable[..., list[str]]


@pytest.fixture
def check(llmcore: Llmcore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    """The lines that it says of a `[gateway]` table, less the verdict."""
    for name in ("LLMCORE_DATABASE_URL", "LLMCORE_REDIS_URL", "LLMCORE_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name in ("LLMCORE_MASTER_KEY", "LLMCORE_MASTER_KEYS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))

    def call(table: str) -> list[str]:
        path = tmp_path / "c.toml"
        path.write_text(
            f'[[llm.providers]]\nname = "a"\nprovider = "ollama"\ntext_model = "m"\n[gateway]\n{table}\n'
        )
        before = sorted(tmp_path.rglob("*"))
        done = llmcore("check", str(path))
        assert sorted(tmp_path.rglob("*")) == before, "it has made something"
        assert PASSWORD not in done.out + done.err
        *said, verdict = done.out.splitlines()
        assert done.code == any(line.startswith("error") for line in said), verdict
        return said

    return call


def test_a_good_table(check: Check) -> None:
    assert check("") == []
    assert check('redis_url = "redis://127.0.0.1:1/0"\ndatabase_url = "postgresql://u@127.0.0.1:1/x"') == []


@pytest.mark.parametrize(
    ("table", "path"),
    [
        ("prot = 1", "gateway.prot"),
        ("port = 'x'", "gateway.port"),
        ("[gateway.limits]\nbody = -1", "gateway.limits.body"),
        (f'redis_url = "http://{PASSWORD}@h"', "gateway.redis_url"),
        (f'redis_url = "redis://u:{PASSWORD}@h:port/0"', "gateway.redis_url"),
        (f'database_url = "mysql://u:{PASSWORD}@h/x"', "gateway.database_url"),
        (f'database_url = "postgresql+psycopg2:{PASSWORD}"', "gateway.database_url"),
        ('database_url = "sqlite://"', "gateway.database_url"),
        ('data_dir = "/dev/null/x"', "gateway.data_dir"),
    ],
)
def test_one_line_with_its_place_for_what_is_wrong(check: Check, table: str, path: str) -> None:
    said = check(table)
    assert said
    assert all(line.startswith(f"error    {path}: ") for line in said), said
    assert len(said) == (
        2 if path == "gateway.data_dir" else 1
    )  # of the data: the database, and the master key


def test_a_variable_of_the_environment_counts_and_is_checked(
    check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMCORE_REDIS_URL", f"nonsense-{PASSWORD}")
    (said,) = check("")
    assert said.startswith("error    gateway.redis_url: ")


@pytest.mark.skipif(os.name != "posix", reason="modes of files")
@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [
        ("", 0o600, "holds no key"),
        ("not a key\n", 0o600, "is not 32 bytes"),
        ("A" * 43 + "\n", 0o644, "chmod 600"),
    ],
)
def test_a_master_key_file_that_cannot_be_used(
    check: Check, tmp_path: Path, text: str, mode: int, words: str
) -> None:
    file = tmp_path / "key"
    file.write_text(text)
    file.chmod(mode)
    (said,) = check(f'master_key_file = "{file}"')
    assert said.startswith("error    gateway.master_key_file: ")
    assert words in said


def test_a_master_key_file_that_is_not_there_is_only_odd(check: Check, tmp_path: Path) -> None:
    (said,) = check(f'master_key_file = "{tmp_path}/key"')
    assert said.startswith("warning  gateway.master_key_file: there is no file")


def test_a_folder_is_no_database_and_no_key(check: Check, tmp_path: Path) -> None:
    (said,) = check(f'database_url = "sqlite:///{tmp_path}"')
    assert "is no file" in said
    (said,) = check(f'master_key_file = "{tmp_path}"')
    assert "is no ordinary file" in said


def test_a_public_address_without_any_user(check: Check, tmp_path: Path) -> None:
    table = f'host = "0.0.0.0"\npublic_url = "https://llm.example.org"\ndata_dir = "{tmp_path}"'
    (said,) = check(table)
    assert said.startswith("error    gateway.host: ")
    assert "llmcore keys create" in said

    async def with_a_user() -> None:
        async with open_store(sqlite_url(tmp_path / "gateway.db")) as store:
            await store.users.create("ann", "admin", now=1.0)

    asyncio.run(with_a_user())
    assert check(table) == []


def test_a_public_address_before_a_server_that_is_not_asked(check: Check) -> None:
    host, name = check('host = "0.0.0.0"\ndatabase_url = "postgresql://u@127.0.0.1:1/x"')
    assert host.startswith("warning  gateway.host: ")
    assert name.startswith("warning  gateway.public_url: ")
    _, plain = check(
        'host = "10.0.0.1"\npublic_url = "http://x.test"\ndatabase_url = "postgresql://u@127.0.0.1:1/x"'
    )
    assert "not https" in plain


@pytest.mark.parametrize(
    ("library", "table", "extra"),
    [
        ("asyncpg", 'database_url = "postgresql://u@h/x"', "postgres"),
        ("opentelemetry", "tracing = true", "otel"),
        ("sqlalchemy", "", "gateway"),
        ("jinja2", "", "gateway"),
    ],
)
def test_an_extra_that_is_missing(
    check: Check, monkeypatch: pytest.MonkeyPatch, library: str, table: str, extra: str
) -> None:
    find = importlib.util.find_spec
    without = lambda name, *more: None if name == library else find(name, *more)  # noqa: E731 - one line says it
    monkeypatch.setattr("llmcore.cli.check.find_spec", without)
    monkeypatch.setattr("llmcore.serving.examine.find_spec", without)
    (said,) = check(table)
    assert f"llmcore-kit[{extra}]" in said


def test_the_documented_example_is_good(llmcore: Llmcore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    monkeypatch.setenv("LLMCORE_DATABASE_URL", "postgresql://u@postgres/x")
    deploy = Path(__file__).resolve().parents[2] / "deploy" / "config.toml"
    done = llmcore("check", str(deploy))
    assert done.code == 0, done.out
