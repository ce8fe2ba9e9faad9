"""The whole walk of a newcomer over `make demo`: from the printed link through every page and out again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from attrs import frozen

from tests.browser.conftest import NARROW, WIDE, heard, picture
from tests.browser.demo import Demo, demo
from tests.browser.hands import Hands, Keyboard, Mouse
from tests.browser.seeing import sound

LAST = ".turn.assistant >> nth=-1"


@frozen
class Walk:
    """One newcomer. name: of the pictures."""

    demo: Demo
    page: Any
    hands: Hands
    narrow: bool
    name: str

    def to(self, label: str) -> None:
        """By the menu."""
        if self.narrow:
            self.hands.press("#menu")
        self.hands.press(f"nav >> a:text-is('{label}')")
        self.page.wait_for_url(f"**/{label.lower()}")

    def seen(self, step: str) -> None:
        sound(self.page)
        picture(self.page, f"demo-{step}-{self.name}")


VARIANTS = (
    pytest.param((WIDE, "light", Mouse), id="wide-light"),
    pytest.param((WIDE, "dark", Keyboard), id="wide-dark-keyboard"),
    pytest.param((NARROW, "light", Mouse), id="phone-light"),
    pytest.param((NARROW, "dark", Mouse), id="phone-dark"),
)


@pytest.fixture
def walk(chromium: Any, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Walk]:
    size, scheme, hands = request.param
    with demo(tmp_path) as running:
        context = chromium.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, reduced_motion="reduce"
        )
        page = context.new_page()
        page.set_default_timeout(20_000)
        complaints = heard(page, failing=(401,))
        yield Walk(running, page, hands(page), size == NARROW, f"{scheme}-{size[0]}")
        context.close()
    assert complaints == []


@pytest.mark.parametrize("walk", VARIANTS, indirect=True)
def test_a_newcomer_walks_through_the_demo(walk: Walk) -> None:
    signs_in(walk)
    settings(walk)
    playground(walk)
    usage(walk)
    status(walk)
    keys(walk)
    providers(walk)
    signs_out(walk)


def signs_in(walk: Walk) -> None:
    page = walk.page
    assert "(all up now)" in walk.demo.said
    page.goto(walk.demo.address)
    page.wait_for_url("**/sign-in")
    walk.seen("sign-in")
    walk.hands.fill("#token", walk.demo.token)
    walk.hands.press("text=Sign in with the token")
    page.wait_for_url("**/playground")
    walk.seen("playground-empty")


def settings(walk: Walk) -> None:
    page, hands = walk.page, walk.hands
    walk.to("Settings")
    assert "primary, secondary, local" in page.inner_text("section[aria-labelledby=now]")
    page.wait_for_selector("#model-hint:has-text('known')")
    walk.seen("settings-first")
    hands.choose("#provider", "secondary")
    hands.pick("#model", "claude")
    assert "claude" in page.input_value("#model")
    priced(walk)

    hands.choose("#provider", "vllm")
    assert page.input_value("#model") == "", "the models follow the provider"
    hands.fill("#base_url", walk.demo.vllm)
    hands.fill("#api_key", "wrong-key-of-nobody")
    hands.press("#test")
    page.wait_for_selector("#tested .bad")
    assert "Check the key: it was refused." in page.inner_text("#tested")
    walk.seen("settings-refused")
    hands.fill("#api_key", walk.demo.vllm_key)
    hands.press("#test")
    page.wait_for_selector("#tested .good")
    assert re.search(r"Connected in [\d.]+ m?s\. [\d,]+ models offered\.", page.inner_text("#tested"))
    hands.pick("#model", "gpt-4o-mini")
    hands.fill("#temperature", "0.3")
    hands.fill("#max_tokens", "200")
    hands.press("#settings >> button:text-is('Save')")
    page.wait_for_selector("#outcome.good")
    hands.press("#refresh-models")
    page.wait_for_selector("#model-hint:has-text('price')")
    walk.seen("settings-saved")

    page.reload()
    assert page.input_value("#provider") == "vllm"
    assert page.input_value("#base_url") == walk.demo.vllm
    assert "gpt-4o-mini" in page.input_value("#model")
    assert (page.input_value("#temperature"), page.input_value("#max_tokens")) == ("0.3", "200")
    assert page.input_value("#api_key") == ""
    shown = page.get_attribute("#api_key", "placeholder")
    assert shown == f"…{walk.demo.vllm_key[-4:]} is stored; empty keeps it"
    assert walk.demo.vllm_key not in page.content()
    assert "Connected" in page.inner_text("#tested"), "the last test is remembered"


def priced(walk: Walk) -> None:
    """The list of prices is read beside the first calls; until then a price is unknown."""
    for _ in range(40):
        if "per million tokens" in walk.page.inner_text("#model-hint"):
            break
        walk.page.wait_for_timeout(250)
        walk.hands.press("#refresh-models")
    assert "per million tokens" in walk.page.inner_text("#model-hint")


def playground(walk: Walk) -> None:
    page, hands = walk.page, walk.hands
    walk.to("Playground")
    assert "My settings (vllm)" in page.inner_text("#provider")
    lengths = asked(walk, "What is a gateway for language models?")
    assert len(lengths) >= 3, f"it came in one piece: {lengths}"
    assert lengths == sorted(lengths)
    told = page.inner_text(f"{LAST} >> .told")
    assert "vllm (own)" in told
    assert "gpt-4o-mini" in told
    assert re.search(r"\d+ tokens in, \d+ out", told)
    assert re.search(r"first word after [\d.]+ m?s, done after [\d.]+ m?s", told)
    assert "1 try" in told
    assert page.inner_text("#heard").startswith("Answer by vllm (own): ")
    for name in ("secondary", "primary"):
        hands.choose("#provider", name)
        assert page.get_attribute("#model", "placeholder") == "its default"
        asked(walk, f"And what do you say, {name}?")
        told = page.inner_text(f"{LAST} >> .told")
        assert told.startswith(name)
        assert re.search(r"\$0\.0\d+", told)
    assert page.locator(".turn").count() == 6, "it is one conversation"
    walk.seen("playground")


WATCH = """() => {
  const seen = (window.seenLengths = []);
  new MutationObserver(() => {
    const said = [...document.querySelectorAll(".turn.assistant .said")].at(-1);
    const length = said?.textContent.length ?? 0;
    if (length && length !== seen.at(-1)) seen.push(length);
  }).observe(document.querySelector("#turns"), { childList: true, subtree: true, characterData: true });
}"""


def asked(walk: Walk, words: str) -> list[int]:
    """The lengths that the answer had on its way."""
    page = walk.page
    before = page.locator(".turn.assistant").count()
    walk.hands.fill("#prompt", words)
    page.evaluate(WATCH)
    walk.hands.press("#send")
    page.wait_for_selector(f".turn.assistant >> nth={before} >> .told")
    page.wait_for_selector(".turn.waiting", state="detached")
    return page.evaluate("window.seenLengths")  # type: ignore[no-any-return]  # playwright answers Any


def usage(walk: Walk) -> None:
    page = walk.page
    walk.to("Usage")
    for _ in range(40):
        if page.locator("section[aria-labelledby=by-provider] tbody tr").count() == 3:
            break
        page.wait_for_timeout(250)
        page.reload()
    by_provider = page.inner_text("section[aria-labelledby=by-provider]")
    assert all(name in by_provider for name in ("vllm (own)", "secondary", "primary"))
    assert re.search(r"Requests\s+3\s", page.inner_text("dl.figures"))
    assert re.search(r"\$0\.\d+", page.inner_text("dl.figures"))
    page.wait_for_selector("#chart svg.chart rect.s0")
    assert page.locator("#chart svg.chart rect.s0").count() == 1
    walk.hands.choose("#measure", "cost_usd")
    page.wait_for_selector("#chart svg[aria-label='cost by day and provider']")
    walk.seen("usage")


def status(walk: Walk) -> None:
    page, hands = walk.page, walk.hands
    walk.to("Status")
    assert page.locator("article .spark .under").count() >= 4, "there is a history at once"
    page.wait_for_selector("#live.on")
    card = "article:has-text('primary')"
    before = page.inner_text(f"{card} >> [data-requests]")
    hands.press("[data-test=primary]")
    page.wait_for_selector(f"{card} >> text=connected in")
    headers = {"authorization": f"Bearer {walk.demo.key}"}
    body = {"model": "primary/gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}
    url = f"{walk.demo.address}/v1/chat/completions"
    assert httpx.post(url, json=body, headers=headers, timeout=20).status_code == 200
    page.wait_for_function(
        "before => document.querySelector('article [data-requests]').textContent !== before", arg=before
    )
    walk.seen("status")


def keys(walk: Walk) -> None:
    page, hands = walk.page, walk.hands
    walk.to("Keys")
    walk.seen("keys")
    hands.press("#create")
    hands.fill("#name", "nightly report")
    hands.fill("#budget_usd", "2.50")
    walk.seen("keys-create")
    hands.press("#key-save")
    page.wait_for_selector("#shown[open]")
    token = page.inner_text("#secret")
    walk.seen("keys-shown")
    hands.press("text=I have it")
    page.wait_for_selector("#secret:empty", state="attached")
    assert token not in page.content()
    models = f"{walk.demo.address}/v1/models"
    headers = {"authorization": f"Bearer {token}"}
    assert httpx.get(models, headers=headers, timeout=20).status_code == 200
    hands.press("[aria-label='Revoke nightly report']")
    walk.seen("keys-revoke")
    hands.press("#sure >> button.danger")
    page.wait_for_selector("tr:has-text('nightly report') >> text=revoked")
    assert httpx.get(models, headers=headers, timeout=20).status_code == 401


def providers(walk: Walk) -> None:
    page, hands = walk.page, walk.hands
    walk.to("Providers")
    hands.press("#add")
    hands.fill("#provider >> #name", "spare")
    hands.choose("#kind", "vllm")
    hands.fill("#base_url", walk.demo.vllm)
    hands.fill("#api_key", walk.demo.vllm_key)
    hands.fill("#text_model", "gpt-4o-mini")
    walk.seen("providers-add")
    hands.press("#provider >> button:text-is('Save')")
    page.wait_for_selector("li[data-name=spare]")
    assert names(page) == ["primary", "secondary", "local", "spare"]
    assert walk.demo.vllm_key not in page.content()
    hands.press("[aria-label='Edit spare']")
    hands.fill("#text_model", "gpt-4o")
    hands.press("#provider >> button:text-is('Save')")
    page.wait_for_selector("li[data-name=spare]:has-text('gpt-4o'):not(:has-text('mini'))")

    hands.move("spare", above="secondary")
    page.wait_for_selector("#outcome.good:has-text('new order')")
    page.wait_for_timeout(300)  # the last of several moves is the one that counts
    page.reload()
    assert names(page) == ["primary", "spare", "secondary", "local"]

    hands.fill("#explain >> [name=model]", "spare/gpt-4o")
    hands.press("text=Explain")
    page.wait_for_selector("#explained ol")
    assert "spare" in page.inner_text("#explained")
    hands.press("#reload")
    page.wait_for_selector("#outcome.good:has-text('4 providers')")
    walk.seen("providers")


def names(page: Any) -> list[str]:
    return page.eval_on_selector_all(".order > li", "rows => rows.map(row => row.dataset.name)")  # type: ignore[no-any-return]  # playwright answers Any


def signs_out(walk: Walk) -> None:
    page = walk.page
    if walk.narrow:
        walk.hands.press("#menu")
        walk.seen("menu")
    walk.hands.press("text=Sign out")
    page.wait_for_url("**/sign-in")
    page.goto(f"{walk.demo.address}/settings")
    page.wait_for_url("**/sign-in?next=/settings")
    walk.hands.fill("#token", walk.demo.token)
    walk.hands.press("text=Sign in with the token")
    page.wait_for_selector("#problem:not([hidden])")
    assert "not valid any more" in page.inner_text("#problem"), "the link of the terminal was good once"
