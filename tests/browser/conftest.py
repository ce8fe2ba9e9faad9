"""A headless Chromium, only when asked for (make test-browser); what is missing is skipped, and said."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.browser.served import Served, served

ASKED = "LLMCORE_BROWSER"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
WIDE, NARROW = (1280, 860), (390, 844)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/browser/" in item.path.as_posix():
            item.add_marker(pytest.mark.browser)
            if not os.environ.get(ASKED):
                item.add_marker(pytest.mark.skip(reason="starts a browser: make test-browser"))


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="NOT TESTED: playwright is not installed")
    path = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("NOT TESTED: there is no Chromium here (Debian: apt-get install chromium)")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("served")) as running:
        yield running


@pytest.fixture(scope="module")
def state(chromium: Any, gateway: Served) -> Any:
    """The cookies of the administrator, who signed in by the printed link."""
    context = chromium.new_context()
    page = context.new_page()
    page.goto(gateway.link)
    page.wait_for_url("**/playground")
    state = context.storage_state()
    context.close()
    return state


Open = Callable[..., Any]


@pytest.fixture
def stranger(chromium: Any, gateway: Served) -> Iterator[Open]:
    """`stranger(size=..., scheme=...)`: a new browser that nobody signed in; what its console complains of fails the test."""
    with ExitStack() as stack:
        yield _opener(chromium, gateway, stack, None)


@pytest.fixture
def admin(chromium: Any, gateway: Served, state: Any) -> Iterator[Open]:
    """The same, signed in as the administrator."""
    with ExitStack() as stack:
        yield _opener(chromium, gateway, stack, state)


def _opener(chromium: Any, gateway: Served, stack: ExitStack, state: Any) -> Open:
    def open_page(
        path: str = "/", *, size: tuple[int, int] = WIDE, scheme: str = "light", failing: tuple[int, ...] = ()
    ) -> Any:
        """failing: HTTP statuses that this test brings about on purpose; 0: nobody answers."""
        context = chromium.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme=scheme,
            storage_state=state,
            base_url=gateway.address,
        )
        page = context.new_page()
        page.set_default_timeout(15_000)
        stack.callback(_quiet, heard(page, failing))
        stack.callback(context.close)
        page.goto(path)
        return page

    return open_page


def heard(page: Any, failing: tuple[int, ...] = ()) -> list[str]:
    """What the browser's console complains of from now on."""
    complaints: list[str] = []
    page.on("console", lambda said: _noted(said, complaints, failing))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return complaints


def _noted(said: Any, complaints: list[str], failing: tuple[int, ...]) -> None:
    expected = any(f"status of {status}" in said.text for status in failing)
    expected = expected or (0 in failing and "net::ERR_" in said.text)
    if said.type in {"error", "warning"} and not expected:
        complaints.append(said.text)


def _quiet(complaints: list[str]) -> None:
    assert complaints == []


def picture(page: Any, name: str) -> None:
    """A screenshot where LLMCORE_SHOTS says, for people to look at."""
    folder = os.environ.get("LLMCORE_SHOTS")
    if folder:
        page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)
