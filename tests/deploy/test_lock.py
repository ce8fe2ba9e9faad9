"""T16: the versions that the image is made of, each with its hashes: whole, and within the bounds of pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, requires

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.deploy.files import DEPLOY, ROOT

EXTRAS = ("cli", "fast", "gateway", "otel", "postgres", "prices", "redis")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def locked(name: str) -> dict[str, Version]:
    """Versions by name. Raises AssertionError for a line that is no version with hashes."""
    text = (DEPLOY / name).read_text()
    found: dict[str, Version] = {}
    for entry in re.sub(r"\\\n\s*", " ", text).splitlines():
        if entry.startswith("#"):
            continue
        said, *hashes = entry.split(" --hash=")
        assert hashes, entry
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", one.strip()) for one in hashes), said
        requirement = Requirement(said.strip())
        (exact,) = requirement.specifier
        assert exact.operator == "==", said
        assert requirement.url is None, said
        found[canonicalize_name(requirement.name)] = Version(exact.version)
    return found


def meant(text: str) -> Requirement | None:
    requirement = Requirement(text)
    on_linux = {"sys_platform": "linux", "extra": ""}
    return requirement if not requirement.marker or requirement.marker.evaluate(on_linux) else None


def test_it_has_what_the_project_and_its_extras_ask_for() -> None:
    project, versions = PROJECT["project"], locked("requirements.lock")
    asked = [*project["dependencies"]]
    for extra in EXTRAS:
        asked += project["optional-dependencies"][extra]
    for text in asked:
        requirement = meant(text)
        if requirement is not None:
            version = versions[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(version), text


@pytest.mark.parametrize("lock", ["requirements.lock", "build.lock"])
def test_what_is_needed_by_what_it_has_is_there(lock: str) -> None:
    versions = locked(lock)
    for name in versions:
        try:
            needed = requires(name) or []
        except PackageNotFoundError:  # of another platform, or needed to build alone
            continue
        for text in needed:
            requirement = meant(text)
            if requirement is not None:
                assert canonicalize_name(requirement.name) in versions, f"{name} needs {text}"


def test_what_builds_it_is_locked_too() -> None:
    versions = locked("build.lock")
    for text in PROJECT["build-system"]["requires"]:
        requirement = Requirement(text)
        assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)])


def test_no_place_is_named_that_is_not_the_users_own() -> None:
    for name in ("requirements.lock", "build.lock"):
        assert "://" not in (DEPLOY / name).read_text()
        assert "--index" not in (DEPLOY / name).read_text()
