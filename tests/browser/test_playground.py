"""Conversations: switching providers in the middle, stopping, failing, and texts that are no more than texts."""

from __future__ import annotations

import re

from tests.browser.conftest import Open, picture
from tests.browser.served import HOSTILE, Served
from tests.browser.test_first_use import asked

LAST = ".turn.assistant >> nth=-1"


def test_the_provider_is_switched_in_the_middle(admin: Open) -> None:
    page = admin("/playground", failing=(502,))
    told = []
    for name in ("", "secondary", "primary"):
        page.select_option("#provider", name)
        asked(page, f"Question for {name or 'anybody'}")
        told.append(page.inner_text(f"{LAST} >> .told"))
    assert [one.split()[0] for one in told] == ["primary", "secondary", "primary"]
    assert "claude-sonnet-4-5" in told[1]
    assert all(re.search(r"\$0\.0\d+", one) for one in told)
    assert all("first word" in one for one in told)
    prompts = [int(re.search(r"([\d,]+) tokens in", one)[1].replace(",", "")) for one in told]  # type: ignore[index]  # a match that is missing shall fail the test
    assert prompts == sorted(prompts), "each question brings the conversation along"
    page.select_option("#provider", "closed")
    page.fill("#prompt", "Are you there?")
    page.press("#prompt", "Enter")
    page.wait_for_selector(f"{LAST} >> .note.bad")
    assert page.input_value("#prompt") == "Are you there?", "a question that failed can be sent again"
    page.click(f"{LAST} >> summary")
    assert "nobody listens at its address" in page.inner_text(f"{LAST} >> .tries")
    picture(page, "playground-switched")


def test_stop_ends_the_answer_and_the_conversation_goes_on(admin: Open) -> None:
    page = admin("/playground")
    page.fill("#prompt", "Tell me a long story")
    page.press("#prompt", "Enter")
    page.wait_for_selector(".turn.waiting .said:not(:empty)")
    page.click("#stop")
    page.wait_for_selector("text=stopped by you")
    assert page.is_visible("#send")
    asked(page, "And now?")
    assert "primary" in page.inner_text(f"{LAST} >> .told")


def test_a_new_conversation_starts_from_nothing(admin: Open) -> None:
    page = admin("/playground")
    asked(page, "one")
    page.click("#anew")
    assert page.locator(".turn").count() == 0
    assert "new conversation" in page.inner_text("#turns")


def test_nothing_is_sent_without_words(admin: Open) -> None:
    page = admin("/playground")
    page.click("#send")
    assert page.inner_text("#ask-problem") == "Write a message first."


def test_t08_texts_and_names_are_texts(admin: Open, gateway: Served) -> None:
    page = admin("/playground")
    asked(page, f"{HOSTILE} [x](javascript:alert(1)) \u202e <script>window.hit=1</script>")
    page.select_option("#provider", "primary")
    page.click("#model")
    page.click(f"#model-options li >> text={HOSTILE}")
    assert page.input_value("#model") == HOSTILE
    asked(page, "hello")
    assert HOSTILE in page.inner_text(f"{LAST} >> .told")
    assert page.locator("main img, .turns a, .turns script, .turns b").count() == 0
    assert page.evaluate("window.hit") is None
    assert "\u202e" not in page.inner_text("#turns")
    page.goto("/usage")
    page.wait_for_timeout(500)
    assert page.locator("main img").count() == 0
    assert page.evaluate("window.hit") is None
