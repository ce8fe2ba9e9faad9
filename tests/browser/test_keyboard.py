"""Everything by keyboard alone: a focus that is seen, lists, dialogs."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.conftest import NARROW, Open

OUTLINE = "() => { const s = getComputedStyle(document.activeElement); return s.outlineStyle + ' ' + s.outlineWidth }"
FOCUSED = "() => document.activeElement.id || document.activeElement.textContent.trim()"


@pytest.mark.parametrize(
    "path", ["/playground", "/settings", "/status", "/usage", "/keys", "/providers", "/users"]
)
def test_the_focus_is_seen_wherever_it_goes(admin: Open, path: str) -> None:
    page = admin(path)
    page.wait_for_timeout(200)
    page.evaluate("document.activeElement.blur()")
    seen = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        where = page.evaluate(FOCUSED)
        if page.evaluate("document.activeElement === document.body"):
            break
        assert "none" not in page.evaluate(OUTLINE), where
        seen.add(where)
    assert {"Skip to the content", "Settings", "Sign out"} <= seen


def test_the_first_stop_leads_to_the_content(admin: Open) -> None:
    page = admin("/keys")
    page.keyboard.press("Tab")
    assert page.evaluate(FOCUSED) == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_a_model_is_chosen_by_arrows(admin: Open) -> None:
    page = admin("/settings")
    page.select_option("#provider", "primary")
    page.wait_for_selector("#model-hint:has-text('known')")
    page.focus("#model")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.wait_for_selector("#model-options [aria-selected=true]")
    assert page.get_attribute("#model", "aria-expanded") == "true"
    active = page.get_attribute("#model", "aria-activedescendant")
    name = page.inner_text(f"#{active} bdi")
    page.keyboard.press("Enter")
    assert page.input_value("#model") == name
    assert page.get_attribute("#model", "aria-expanded") == "false"
    page.fill("#model", "gpt")
    assert page.locator("#model-options [role=option]").count() == 2
    page.keyboard.press("Escape")
    assert not page.is_visible("#model-options")
    assert page.input_value("#model") == "gpt", "what was typed stays"


def test_a_key_is_made_and_revoked(admin: Open) -> None:
    page = admin("/keys")
    press(page, "#create", "Enter")
    page.wait_for_selector("#editor[open]")
    assert page.evaluate(FOCUSED) == "name"
    page.keyboard.type("by keyboard")
    page.keyboard.press("Enter")
    page.wait_for_selector("#shown[open]")
    page.keyboard.press("Escape")
    page.wait_for_selector("#shown[open]", state="hidden")
    page.wait_for_selector("#secret:empty", state="attached")
    press(page, "[aria-label='Revoke by keyboard']", "Enter")
    page.wait_for_selector("#sure[open]")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("tr:has-text('by keyboard') >> text=revoked")


def press(page: Any, selector: str, key: str) -> None:
    page.focus(selector)
    page.keyboard.press(key)


def test_nothing_moves_for_who_wants_no_motion(admin: Open) -> None:
    page = admin("/keys")
    page.evaluate("document.querySelector('#create').setAttribute('aria-busy', 'true')")
    moving = "() => getComputedStyle(document.querySelector('#create'), '::after').animationName"
    assert page.evaluate(moving) == "turn"
    page.emulate_media(reduced_motion="reduce")
    assert page.evaluate(moving) == "none"


def test_a_menu_is_closed_by_escape(admin: Open) -> None:
    page = admin("/status", size=NARROW)
    press(page, "#menu", "Enter")
    assert page.get_attribute("#menu", "aria-expanded") == "true"
    page.keyboard.press("Tab")
    page.keyboard.press("Escape")
    assert page.get_attribute("#menu", "aria-expanded") == "false"
    assert page.evaluate("document.activeElement.id") == "menu"


def test_the_mark_stays_where_it_is_while_the_list_is_asked_for_again(admin: Open) -> None:
    page = admin("/settings")
    page.wait_for_selector("#model-hint:has-text('known')")
    page.focus("#model")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    marked = page.inner_text("#model-options [aria-selected=true] bdi >> nth=0")
    with page.expect_response("**/api/settings/llm/models**"):
        page.evaluate("document.querySelector('#refresh-models').click()")
    page.wait_for_timeout(100)
    assert page.inner_text("#model-options [aria-selected=true] bdi >> nth=0") == marked
