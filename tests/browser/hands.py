"""Two ways to use a page: with the mouse, and with the keyboard alone."""

from __future__ import annotations

from typing import Any, Protocol

FARTHEST = 150
"""Stops of the Tab key."""

AT = "node => node === document.activeElement"
RING = """() => {
  const style = getComputedStyle(document.activeElement);
  return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
}"""


class Hands(Protocol):
    """What the walk needs. Selectors are Playwright's."""

    page: Any

    def press(self, selector: str) -> None: ...
    def fill(self, selector: str, words: str) -> None: ...
    def choose(self, selector: str, value: str) -> None:
        """An entry of a drop-down."""

    def pick(self, selector: str, name: str) -> None:
        """A model of the list under a field."""

    def move(self, name: str, *, above: str) -> None:
        """A provider in the list, to the place before another one."""


class Mouse:
    def __init__(self, page: Any) -> None:
        self.page: Any = page

    def press(self, selector: str) -> None:
        self.page.click(selector)

    def fill(self, selector: str, words: str) -> None:
        self.page.fill(selector, words)

    def choose(self, selector: str, value: str) -> None:
        self.page.select_option(selector, value)

    def pick(self, selector: str, name: str) -> None:
        self.page.click(selector)
        self.page.click(f"{selector}-options li:has-text('{name}')")

    def move(self, name: str, *, above: str) -> None:
        grip = self.page.locator(f"li[data-name={name}] .grip")
        grip.scroll_into_view_if_needed()
        start = grip.bounding_box()
        end = self.page.locator(f"li[data-name={above}]").bounding_box()
        mouse = self.page.mouse
        mouse.move(start["x"] + start["width"] / 2, start["y"] + start["height"] / 2)
        mouse.down()
        mouse.move(end["x"] + 20, end["y"] + end["height"] * 0.2, steps=12)
        mouse.up()


class Keyboard:
    """Never touches the mouse, and fails where the focus goes somewhere without being seen."""

    def __init__(self, page: Any) -> None:
        self.page: Any = page

    def press(self, selector: str) -> None:
        self._reach(selector)
        self.page.keyboard.press("Enter")

    def fill(self, selector: str, words: str) -> None:
        self._reach(selector)
        self.page.keyboard.press("Control+a")
        self.page.keyboard.press("Delete")
        self.page.keyboard.type(words)

    def choose(self, selector: str, value: str) -> None:
        """The keys of every drop-down: to its first entry, then down."""
        self._reach(selector)
        self.page.keyboard.press("Home")
        for _ in range(FARTHEST):
            if self.page.input_value(selector) == value:
                return
            self.page.keyboard.press("ArrowDown")
        msg = f"{value} is not in {selector}"
        raise AssertionError(msg)

    def pick(self, selector: str, name: str) -> None:
        self._reach(selector)
        active = f"{selector}-options [aria-selected=true]"
        for _ in range(FARTHEST):
            self.page.keyboard.press("ArrowDown")
            marked = self.page.locator(active).all_inner_texts()
            if any(name in one for one in marked):
                self.page.keyboard.press("Enter")
                return
            if not marked:
                self.page.wait_for_timeout(50)
        msg = f"{name} is not in the list of {selector}"
        raise AssertionError(msg)

    def move(self, name: str, *, above: str) -> None:
        self._reach(f"li[data-name={name}] .grip")
        for _ in range(FARTHEST):
            below = self.page.eval_on_selector(
                f"li[data-name={name}]", "row => row.nextElementSibling?.dataset.name"
            )
            if below == above:
                return
            self.page.keyboard.press("ArrowUp")
        msg = f"{name} cannot be moved before {above}"
        raise AssertionError(msg)

    def _reach(self, selector: str) -> None:
        wanted = self.page.locator(selector).first
        wanted.wait_for()
        for _ in range(FARTHEST):
            if wanted.evaluate(AT):
                assert self.page.evaluate(RING), f"the focus on {selector} is not seen"
                return
            self.page.keyboard.press("Tab")
        msg = f"{selector} cannot be reached by the Tab key"
        raise AssertionError(msg)
