"""Settings, keys, users, status and usage as people use them."""

from __future__ import annotations

import re
from typing import Any

from tests.browser.conftest import Open, picture
from tests.browser.served import Served


def test_errors_stand_beside_their_field(admin: Open) -> None:
    page = admin("/settings", failing=(400,))
    page.select_option("#provider", "anthropic")
    page.fill("#model", "")
    page.press("#model", "Escape")
    page.click("#settings >> button:text-is('Save')")
    assert "Choose a model" in page.inner_text("#model-error")
    page.fill("#model", "claude-sonnet-4-5")
    page.fill("#temperature", "9")
    page.click("#settings >> button:text-is('Save')")
    page.wait_for_selector("#temperature[aria-invalid=true]")
    assert page.inner_text("#temperature-error") == "Must be from 0 to 2, not 9"
    assert page.evaluate("document.activeElement.id") == "temperature"
    picture(page, "settings-error")


def test_t04_another_address_asks_for_the_key_again(admin: Open) -> None:
    page = admin("/settings")
    page.on("dialog", lambda dialog: dialog.accept())
    page.select_option("#provider", "openai")
    page.fill("#api_key", "sk-canary-for-one-place-1234")
    page.fill("#model", "gpt-4o")
    page.press("#model", "Escape")
    page.click("#settings >> button:text-is('Save')")
    page.wait_for_selector("#outcome.good")
    assert page.input_value("#api_key") == ""
    assert "1234" in page.get_attribute("#api_key", "placeholder")
    page.click("#move")
    page.fill("#base_url", "https://api.example.org/v1")
    assert "…1234 was entered for openai" in page.inner_text("#api_key-hint")
    assert page.get_attribute("#api_key", "placeholder") == ""
    page.reload()
    assert "canary" not in page.content()
    page.click("#remove")
    page.wait_for_selector("text=nothing saved yet")


def test_a_failed_test_says_what_to_do(admin: Open, gateway: Served) -> None:
    page = admin("/settings", failing=(400,))
    page.select_option("#provider", "ollama")
    page.fill("#base_url", "http://127.0.0.1:11434")
    page.click("text=Test connection")
    page.wait_for_selector("#tested .bad")
    picture(page, "settings-test-failed")
    assert "Failed" in page.inner_text("#tested") or "Not tested" in page.inner_text("#tested")


def test_a_key_works_until_it_is_revoked(admin: Open, gateway: Served) -> None:
    page = admin("/keys", failing=(400,))
    page.click("#create")
    page.fill("#name", "for a program")
    page.fill("#models", "gpt-4o-mini")
    page.fill("#budget_usd", "2.50")
    page.fill("#rpm", "-1")
    page.click("#key-save")
    page.wait_for_selector("#rpm[aria-invalid=true]")
    page.fill("#rpm", "30")
    page.click("#key-save")
    page.wait_for_selector("#shown[open]")
    token = page.inner_text("#secret")
    page.click("text=I have it")
    page.wait_for_selector("#secret:empty", state="attached")
    assert token not in page.content()
    assert "30 requests/min" in page.inner_text("tr:has-text('for a program')")
    assert "of $2.50 per month" in page.inner_text("tr:has-text('for a program')")
    assert gateway.ask(token).status_code == 200
    assert gateway.ask(token, "primary/gpt-4o").status_code == 403
    page.click("[aria-label='Change the limits of for a program']")
    assert page.input_value("#rpm") == "30"
    page.fill("#rpm", "")
    page.click("#key-save")
    page.wait_for_selector("#outcome.good")
    assert "requests/min" not in page.inner_text("tr:has-text('for a program')")
    page.click("[aria-label='Revoke for a program']")
    page.click("#sure >> text=Revoke >> nth=-1")
    page.wait_for_selector("tr:has-text('for a program') >> text=revoked")
    assert gateway.ask(token).status_code == 401


def test_a_user_is_invited_sets_a_password_and_is_disabled(admin: Open, stranger: Open) -> None:
    page = admin("/users", failing=(409,))
    page.fill("#user_name", "Berta")
    page.click("text=Add and make a link")
    page.wait_for_selector("#shown[open]")
    link = page.inner_text("#secret")
    page.click("#shown >> text=Done")
    page.fill("#user_name", "berta")
    page.click("text=Add and make a link")
    page.wait_for_selector("#user-problem.bad, #user_name[aria-invalid=true]")

    other = stranger("/", failing=(401,))
    other.goto(link)
    other.wait_for_url("**/playground")
    assert not other.is_visible("text=For administrators")
    other.goto("/settings")
    other.fill("#new_password", "a good password")
    other.click("text=Set password")
    other.wait_for_selector("#password-outcome.good")
    other.click("text=Sign out")
    other.wait_for_url("**/sign-in")
    sign_in(other, "Berta", "wrong password")
    other.wait_for_selector("#problem:not([hidden])")
    sign_in(other, "Berta", "a good password")
    other.wait_for_url("**/playground")

    page.click("[aria-label='Disable Berta']")
    page.wait_for_selector("tr:has-text('Berta') >> text=disabled")
    other.goto("/keys")
    other.wait_for_url(re.compile(r"/sign-in\?next=/keys$"))
    other.goto(link)
    other.wait_for_selector("#problem:not([hidden])")


def sign_in(page: Any, name: str, password: str) -> None:
    page.fill("#name", name)
    page.fill("#password", password)
    page.click("#by-password >> text=Sign in")


def test_the_status_is_live(admin: Open, gateway: Served) -> None:
    page = admin("/status")
    page.wait_for_selector("#live.on")
    before = requests_of(page, "primary")
    assert gateway.ask().status_code == 200
    page.wait_for_function(
        "before => document.querySelector('article [data-requests]').textContent !== before",
        arg=before,
    )
    page.wait_for_selector("article .spark .under")
    picture(page, "status-live")


def test_the_status_asks_where_events_cannot_come(admin: Open, gateway: Served) -> None:
    page = admin("/playground", failing=(0,))
    page.route("**/status/events", lambda route: route.fulfill(status=204))
    page.goto("/status")
    page.wait_for_selector("text=asking every 5 seconds")
    before = requests_of(page, "primary")
    assert gateway.ask().status_code == 200
    page.wait_for_function(
        "before => document.querySelector('article [data-requests]').textContent !== before",
        arg=before,
    )


def requests_of(page: Any, name: str) -> str:
    return page.inner_text(f"article:has-text('{name}') >> [data-requests]")  # type: ignore[no-any-return]  # playwright answers Any


def test_who_would_answer_and_reload(admin: Open, gateway: Served) -> None:
    page = admin("/providers", failing=(400,))
    page.fill("#model", "secondary/claude-sonnet-4-5")
    page.click("text=Explain")
    page.wait_for_selector("#explained ol")
    assert "secondary" in page.inner_text("#explained")
    config = gateway.folder / "config.toml"
    good = config.read_text()
    config.write_text(good.replace("[llm.fallback]", "[llm.fallbak]"))
    page.click("#reload")
    page.wait_for_selector("#outcome.bad")
    assert "fallbak" in page.inner_text("#outcome")
    config.write_text(good.replace('name = "secondary"', 'name = "second"'))
    page.click("#reload")
    page.wait_for_selector("#outcome.good")
    assert "second" in page.inner_text("#providers")
    config.write_text(good)
    page.click("#reload")
    page.wait_for_selector("#providers >> text=secondary")


def test_usage_is_seen_by_provider_and_as_csv(admin: Open, gateway: Served) -> None:
    assert gateway.ask().status_code == 200
    page = admin("/usage")
    for _ in range(40):
        if page.locator("#chart svg").count():
            break
        page.wait_for_timeout(250)
        page.reload()
    page.select_option("#measure", "tokens")
    assert "tokens" in page.get_attribute("#chart svg.chart", "aria-label")
    page.select_option("#scope", "all")
    page.wait_for_url("**scope=all**")
    page.wait_for_selector("section[aria-labelledby=by-user]")
    with page.expect_download() as download:
        page.click("text=sums by day")
    assert download.value.suggested_filename == "usage.csv"


def test_a_link_is_good_once(stranger: Open, gateway: Served, state: Any) -> None:
    page = stranger("/sign-in", failing=(401,))
    page.goto(gateway.link)
    page.wait_for_selector("#problem:not([hidden])")
    assert "not valid any more" in page.inner_text("#problem")
    assert "token" not in page.url


def test_providers_are_added_ordered_and_removed(admin: Open, gateway: Served) -> None:
    page = admin("/providers", failing=(400,))
    page.on("dialog", lambda dialog: dialog.accept())
    assert names(page) == ["primary", "secondary", "closed"]
    page.click("#add")
    page.fill("#name", "third/one")
    page.select_option("#kind", "openai")
    page.fill("#api_key", "sk-canary-of-the-third-1234")
    page.fill("#text_model", "gpt-4o")
    page.fill("#priority", "9")
    page.click("#provider >> button:text-is('Save')")
    page.wait_for_selector("#name[aria-invalid=true]")
    page.fill("#name", "third")
    picture(page, "provider-editor")
    page.click("#provider >> button:text-is('Save')")
    page.wait_for_selector("#outcome.good")
    assert names(page) == ["primary", "secondary", "closed", "third"]
    assert "canary" not in page.content()

    page.focus("li[data-name=third] .grip")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    page.wait_for_selector("#outcome.good:has-text('new order')")
    assert names(page) == ["primary", "third", "secondary", "closed"]
    assert page.evaluate("document.activeElement.closest('li').dataset.name") == "third"
    drag(page, "primary", "closed")
    page.wait_for_selector("li[data-name=primary]:last-child")
    page.wait_for_selector("#outcome.good:has-text('new order')")
    page.reload()
    assert names(page) == ["third", "secondary", "closed", "primary"]
    picture(page, "providers-ordered")

    page.click("[aria-label='Edit third']")
    assert page.input_value("#text_model") == "gpt-4o"
    assert page.input_value("#api_key") == ""
    page.fill("#base_url", "https://other.example.org/v1")
    assert "never sent anywhere else" in page.inner_text("#api_key-hint")
    page.fill("#base_url", "")
    page.fill("#text_model", "gpt-4o-mini")
    page.click("#provider >> button:text-is('Save')")
    page.wait_for_selector("li[data-name=third]:has-text('gpt-4o-mini')")
    page.click("[aria-label='Edit third']")
    page.click("#delete")
    page.wait_for_selector("li[data-name=third]", state="detached")
    drag(page, "primary", "secondary", above=True)
    page.wait_for_selector("li[data-name=primary]:first-child")
    page.wait_for_selector("#outcome.good:has-text('new order')")


def names(page: Any) -> list[str]:
    return page.eval_on_selector_all(".order > li", "rows => rows.map(row => row.dataset.name)")  # type: ignore[no-any-return]  # playwright answers Any


def drag(page: Any, name: str, to: str, *, above: bool = False) -> None:
    """By the handle, with the mouse, to the lower (or upper) half of another one."""
    start = page.locator(f"li[data-name={name}] .grip").bounding_box()
    end = page.locator(f"li[data-name={to}]").bounding_box()
    page.mouse.move(start["x"] + 5, start["y"] + start["height"] / 2)
    page.mouse.down()
    page.mouse.move(end["x"] + 20, end["y"] + end["height"] * (0.2 if above else 0.8), steps=12)
    page.mouse.up()
