"""Every page at every size and in both schemes: nothing wider than the screen, no complaint of the browser."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.conftest import NARROW, WIDE, Open, picture
from tests.browser.seeing import sound

PAGES = ("sign-in", "playground", "settings", "status", "usage", "keys", "providers", "users")
BACKGROUND = "() => getComputedStyle(document.body).backgroundColor"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_every_page_fits(admin: Open, size: tuple[int, int], scheme: str) -> None:
    page = admin("/playground", size=size, scheme=scheme)
    for name in PAGES:
        page.goto(f"/{name}")
        page.wait_for_selector("main")
        page.wait_for_timeout(200)
        picture(page, f"{name}-{scheme}-{size[0]}")
        sound(page)
        light = sum(int(part) for part in page.evaluate(BACKGROUND)[4:-1].split(",")) > 384
        assert light == (scheme == "light")


def test_the_menu_of_a_phone(admin: Open) -> None:
    page = admin("/status", size=NARROW)
    assert not page.is_visible("nav >> text=Keys")
    page.click("#menu")
    assert page.get_attribute("#menu", "aria-expanded") == "true"
    picture(page, "menu-390")
    page.click("nav >> text=Keys")
    page.wait_for_url("**/keys")


def test_dialogs_fit_a_phone(admin: Open) -> None:
    page = admin("/keys", size=NARROW)
    page.click("#create")
    box = page.locator("#editor").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= NARROW[0]
    sound(page)
    picture(page, "key-editor-390")


def test_it_can_be_read_without_scripts(chromium: Any, admin: Open, gateway: Any, state: Any) -> None:
    context = chromium.new_context(java_script_enabled=False, storage_state=state, base_url=gateway.address)
    page = context.new_page()
    for path, words in (("/status", "primary"), ("/providers", "secondary"), ("/keys", "first key")):
        page.goto(path)
        assert words in page.inner_text("main")
        assert "needs JavaScript" in page.inner_text("main")
    context.close()
