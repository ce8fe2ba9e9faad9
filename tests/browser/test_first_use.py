"""From the printed link to figures of usage, as somebody does it who was never here before."""

from __future__ import annotations

import re
from typing import Any

from tests.browser.conftest import Open, picture
from tests.browser.served import Served


def test_signed_in_set_up_tested_asked_and_counted(stranger: Open, gateway: Served) -> None:
    page = stranger("/")
    page.wait_for_url("**/sign-in")
    page.goto(gateway.link)
    page.wait_for_url("**/playground")
    assert "token" not in page.url

    page.click("nav >> text=Settings")
    page.select_option("#provider", "ollama")
    assert page.get_attribute("#base_url", "placeholder") == "http://localhost:11434"
    page.fill("#base_url", f"http://{gateway.sim}/ollama")
    page.click("text=Test connection")
    page.wait_for_selector("#tested .good")
    assert re.search(r"Connected in [\d.]+ m?s\. 6 models offered\.", page.inner_text("#tested"))
    page.click("#model")
    page.click("#model-options li:has-text('llama3.2')")
    assert page.input_value("#model") == "llama3.2"
    page.fill("#temperature", "0.3")
    page.click("#settings >> button:text-is('Save')")
    page.wait_for_selector("#outcome.good")
    picture(page, "first-use-settings")
    assert "llama3.2" in page.inner_text('section[aria-labelledby="now"]')
    page.reload()
    assert page.input_value("#provider") == "ollama"
    assert page.input_value("#model") == "llama3.2"
    assert page.input_value("#temperature") == "0.3"

    page.click("nav >> text=Playground")
    asked(page, "What is a gateway?")
    last = page.locator(".turn.assistant").last
    assert len(last.locator(".said").inner_text()) > 5
    told = last.locator(".told").inner_text()
    assert "ollama (own)" in told
    assert "llama3.2" in told
    assert re.search(r"\d+ tokens in, \d+ out", told)
    assert "1 try" in told
    picture(page, "first-use-playground")

    page.click("nav >> text=Usage")
    counted(page, "ollama (own)")
    picture(page, "first-use-usage")
    page.click("nav >> text=Status")
    page.wait_for_selector("text=live")
    assert "llama3.2" in page.inner_text("#picture")


def asked(page: Any, words: str) -> None:
    """Ask, see the answer grow, and wait for its end."""
    page.fill("#prompt", words)
    page.press("#prompt", "Enter")
    page.wait_for_selector(".turn.waiting .said:not(:empty)")
    page.wait_for_selector(".turn.waiting", state="detached")


def counted(page: Any, provider: str) -> None:
    """The books are written within a moment; the page is loaded anew until they are."""
    for _ in range(40):
        if provider in page.inner_text("main"):
            break
        page.wait_for_timeout(250)
        page.reload()
    assert provider in page.inner_text('section[aria-labelledby="by-provider"]')
    page.wait_for_selector("#chart svg rect.s0")
