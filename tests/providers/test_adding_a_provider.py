"""`docs/adding-a-provider.md`, followed literally: its blocks make a package, and the package makes a provider."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import tomli

import llmcore
from llmcore.errors import ConfigurationError, OverloadedError
from llmcore.providers import GROUP, find, kinds, places
from tests.providers.dialects import KEY, TEXT, Vendor, dialect_of, made

pytestmark = pytest.mark.anyio

PAGE = Path(__file__).parents[2] / "docs" / "adding-a-provider.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def block(language: str, *words: str) -> str:
    """The only block of the page in that language with all of these words."""
    (found,) = (text for kind, text in BLOCKS if kind == language and all(word in text for word in words))
    return found


SIMPLE = block("python", "# acme_llm.py", "wire=OpenAIWire(")
DEVIATING = block("python", "# acme_llm.py", "class AcmeWire")


def install(folder: Path, module: str, entry_points: str) -> None:
    """A package as pip would leave it: the module, and beside it the metadata that says its entry points."""
    (folder / "acme_llm.py").write_text(module)
    info = folder / "acme_llm-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-llm\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entry_points)


def entry_points_of(pyproject: str) -> str:
    """What a build backend makes of the table of entry points."""
    lines = []
    for group, entries in tomli.loads(pyproject)["project"]["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {target}" for name, target in entries.items())]
    return "\n".join(lines) + "\n"


@pytest.fixture
def installed(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    module = getattr(request, "param", SIMPLE)
    install(tmp_path, module, entry_points_of(block("toml", "entry-points")))
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield tmp_path
    sys.modules.pop("acme_llm", None)


def test_the_definition_is_under_fifteen_lines() -> None:
    written = SIMPLE.splitlines() + block("toml", "entry-points").splitlines()
    assert len([line for line in written if line.strip() and not line.startswith("#")]) < 15


def test_without_the_package_there_is_no_such_kind() -> None:
    assert "acme" not in kinds()
    with pytest.raises(ConfigurationError, match="no kind 'acme'"):
        find("acme")


@pytest.mark.parametrize("installed", [SIMPLE, DEVIATING], indirect=True, ids=["simple", "deviating"])
async def test_the_kind_is_known_and_answers(installed: Path) -> None:
    place = find("acme")
    assert (place.kind, place.title) == ("acme", "Acme")
    assert "acme" in kinds()
    assert place in places()
    vendor = Vendor(dialect_of(place))
    provider = made(place, vendor)
    assert (await provider.generate("hi")).text == TEXT
    assert (await provider.stream("hi").collect()).text == TEXT
    assert len((await provider.embed(["a", "b"])).vectors) == 2
    assert len(await provider.list_models()) == 2
    assert {request.url.host for request in vendor.requests} == {"api.acme.example"}
    assert {request.headers["authorization"] for request in vendor.requests} == {f"Bearer {KEY}"}


async def test_the_pages_own_test_passes(installed: Path) -> None:
    space: dict[str, Any] = {}
    exec(compile(block("python", "async def test_acme"), "adding-a-provider.md", "exec"), space)
    await space["test_acme"]()


async def test_the_pages_python_makes_a_provider(installed: Path) -> None:
    space: dict[str, Any] = {}
    exec(
        compile(
            block("python", "provider = llmcore.create_provider(config)\n"), "adding-a-provider.md", "exec"
        ),
        space,
    )
    assert space["provider"].provider_type == "acme"
    await space["provider"].aclose()


async def test_the_pages_configuration_is_loaded(installed: Path, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(block("toml", "[[llm.providers]]"))
    vendor = Vendor(dialect_of(find("acme")))
    async with llmcore.open(path, transport=vendor, environ={"ACME_API_KEY": KEY}) as llm:
        assert (await llm.generate("hi")).text == TEXT
    assert json.loads(vendor.requests[0].content)["model"] == "acme-1"
    with pytest.raises(ConfigurationError, match="ACME_API_KEY"):
        async with llmcore.open(path, transport=vendor, environ={}):
            pytest.fail("its key is missing")


@pytest.mark.parametrize("installed", [DEVIATING], indirect=True)
async def test_the_deviation_holds_and_nothing_else_has_changed(installed: Path) -> None:
    for code, cls in (("acme_busy", OverloadedError), ("invalid_api_key", llmcore.AuthenticationError)):

        def reply(request: httpx.Request, code: str = code) -> httpx.Response:
            return httpx.Response(400, json={"error": {"message": "no", "code": code}})

        provider = made(find("acme"), Vendor(dialect_of(find("acme")), reply))
        with pytest.raises(cls):
            await provider.generate("hi")


def test_the_command_line_lists_it(installed: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "llmcore.cli", "providers"],
        env={"PYTHONPATH": f"{installed}:{PAGE.parents[1]}", "PATH": "", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "acme" in done.stdout
    assert "ACME_API_KEY" in done.stdout


def test_every_block_of_the_page_is_used_here() -> None:
    assert [kind for kind, _ in BLOCKS] == ["python", "toml", "toml", "python", "python", "python"]


def test_the_table_of_the_page_says_what_there_is() -> None:
    """Each example in the table is an expression that works."""
    from llmcore.wire.openai import FEATURES, OpenAIWire
    from llmcore.wire.openai_errors import ErrorRule

    names = {
        "OpenAIWire": OpenAIWire,
        "FEATURES": FEATURES,
        "ErrorRule": ErrorRule,
        "OverloadedError": OverloadedError,
    }
    names["Place"] = lambda **given: llmcore.Place(kind="x", wire=OpenAIWire(), **given)
    examples = re.findall(
        r"^\|.*?\| `((?:Place|OpenAIWire)\(.*?\))`(?:[:,].*)? \|$", PAGE.read_text(), re.MULTILINE
    )
    assert len(examples) == 6
    for example in examples:
        eval(example, names)


@pytest.mark.parametrize(
    ("installed", "complaint"),
    [
        ("ACME = 3", "acme is a int, not a Place"),
        ("OTHER = 3", "acme cannot be loaded: .*ACME"),
        ("import no_such_module", "acme cannot be loaded: .*no_such_module"),
    ],
    indirect=["installed"],
)
def test_an_entry_point_that_cannot_be_used_is_said(installed: Path, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        find("acme")
    assert find("openai").kind == "openai"


def test_a_name_that_two_packages_claim_is_said(
    installed: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path_factory.mktemp("other") / "other-1.0.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
    (other / "entry_points.txt").write_text(f"[{GROUP}]\nacme = json:loads\n")
    monkeypatch.syspath_prepend(other.parent)
    with pytest.raises(ConfigurationError, match="more than one package"):
        find("acme")
