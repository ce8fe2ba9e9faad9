"""When something breaks: the gateway is gone, the reader is signed out, a script fails, a provider is paused."""

from __future__ import annotations

import re

from tests.browser.conftest import NARROW, Open, picture
from tests.browser.seeing import sound
from tests.browser.served import Served
from tests.browser.test_first_use import asked

GONE = "The gateway cannot be reached. Is it still running?"


def test_a_gateway_that_is_gone_is_said_where_one_looks(admin: Open) -> None:
    page = admin("/settings", failing=(0, 503))
    page.route("**/api/**", lambda route: route.abort())
    page.click("#settings >> button:text-is('Save')")
    page.wait_for_selector("#outcome.bad")
    assert page.inner_text("#outcome") == GONE
    assert page.is_enabled("#settings >> button:text-is('Save')"), "it can be tried again"
    page.unroute("**/api/**")
    page.route("**/api/**", lambda route: route.fulfill(status=503, body="not JSON"))
    page.click("#settings >> button:text-is('Save')")
    page.wait_for_selector("#outcome:has-text('status 503')")
    assert page.inner_text("#outcome") == "The gateway answered with status 503."


def test_a_conversation_survives_a_gateway_that_is_gone_for_a_moment(admin: Open) -> None:
    page = admin("/playground", failing=(0,))
    asked(page, "one")
    page.route("**/api/playground", lambda route: route.abort())
    page.fill("#prompt", "two")
    page.press("#prompt", "Enter")
    page.wait_for_selector(f".turn >> text={GONE}")
    assert page.input_value("#prompt") == "two"
    page.unroute("**/api/playground")
    page.press("#prompt", "Enter")
    page.wait_for_selector(".turn.assistant >> nth=2 >> .told")
    assert page.locator("#trouble").is_hidden()


def test_who_is_signed_out_comes_back_to_the_page(admin: Open, gateway: Served) -> None:
    page = admin("/keys", failing=(401,))
    page.context.clear_cookies()
    page.click("#create")
    page.fill("#name", "too late")
    page.click("#key-save")
    page.wait_for_selector("#key-problem.bad")
    assert page.inner_text("#key-problem") == "You are signed out."
    page.keyboard.press("Escape")
    assert "Signing in brings you back" in page.inner_text("#trouble")
    sound(page)
    picture(page, "trouble-signed-out")
    page.click("text=Sign in again")
    page.wait_for_url(re.compile(r"/sign-in\?next=%2Fkeys$"))


def test_t07_a_page_from_before_the_last_sign_in_asks_to_be_loaded_again(admin: Open) -> None:
    page = admin("/keys", failing=(403,))
    page.evaluate("document.body.dataset.csrf = 'of-another-session'")
    page.click("#create")
    page.fill("#name", "with an old token")
    page.click("#key-save")
    page.wait_for_selector("#key-problem.bad")
    page.keyboard.press("Escape")
    assert "signed in anew" in page.inner_text("#trouble")
    page.click("#trouble >> text=Load the page again")
    page.wait_for_load_state()
    assert page.locator("tr:has-text('with an old token')").count() == 0


def test_a_script_that_fails_is_not_silent(admin: Open) -> None:
    page = admin("/keys", size=NARROW)
    assert not page.is_visible("#trouble")
    page.evaluate("dispatchEvent(new ErrorEvent('error', { error: new Error('odd'), message: 'odd' }))")
    assert "Something on this page does not work" in page.inner_text("#trouble")
    sound(page)
    picture(page, "trouble-script-390")
    page.click("#trouble >> text=Load the page again")
    page.wait_for_load_state()
    assert not page.is_visible("#trouble")


def test_the_status_goes_on_when_the_gateway_is_back(admin: Open, gateway: Served) -> None:
    page = admin("/status", failing=(0,))
    page.wait_for_selector("#live.on")
    page.route("**/status", lambda route: route.abort())
    assert gateway.ask().status_code == 200
    page.wait_for_selector("#live.lost:has-text('cannot be reached')")
    picture(page, "trouble-status")
    page.unroute("**/status")
    page.wait_for_selector("#live.on:has-text('live')")


def test_a_paused_provider_says_when_it_is_tried_again(admin: Open, gateway: Served) -> None:
    for _ in range(12):
        assert gateway.ask(model="closed/gpt-4o").status_code >= 500
    page = admin("/status")
    card = page.locator("article:has-text('closed')")
    card.locator("text=paused").wait_for()
    said = card.inner_text()
    assert "left alone for a while" in said
    assert re.search(r"Tried again (in \d+ (seconds|min)|now)\.", said)
    assert "nobody listens at its address" in said
    assert "breaker" not in said.lower()
    assert card.locator("rect.failed").count() >= 1
    sound(page)
    picture(page, "status-paused")


def test_explain_is_told_in_words(admin: Open) -> None:
    page = admin("/providers")
    page.click("text=Explain")
    page.wait_for_selector("#explained ol")
    said = page.inner_text("#explained")
    assert "primary is asked first" in said
    assert "secondary if those before it fail" in said
    assert "Providers are chosen in the order of the list." in said
    assert "_" not in said
    sound(page)
    picture(page, "providers-explained")
