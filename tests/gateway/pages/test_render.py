"""Figures as people read them; texts without characters that hide something; the headers."""

from __future__ import annotations

import re
import unicodedata
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import TemplateNotFound, UndefinedError

from llmcore.gateway.pages.render import (
    Renderer,
    count,
    dollars,
    instant,
    milliseconds,
    moment,
    page_headers,
    plain,
    seconds,
    share,
)
from llmcore.gateway.pages.static import Static
from tests.gateway.pages.reading import read

BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@given(st.text())
def test_plain_hides_nothing_and_changes_nothing_else(text: str) -> None:
    after = plain(text)
    assert len(after) == len(text)
    assert not any(char in BIDI for char in after)
    assert not any(unicodedata.category(char) == "Cc" and char not in "\n\t" for char in after)
    assert plain(after) == after
    for before, now in zip(text, after, strict=True):
        assert now in {before, "\ufffd"}


def test_plain_leaves_the_rest_alone() -> None:
    assert plain(None) == ""
    assert plain(3) == 3
    assert plain("Grüße, 世界 👍\n\tx") == "Grüße, 世界 👍\n\tx"


SOUND = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=60)


@given(SOUND, SOUND)
def test_t08_any_text_comes_out_as_that_text(name: str, message: str) -> None:
    """Through the real template of errors, read back by a parser."""
    values = {"heading": name, "refused": type("R", (), {"status": 1, "message": message}), "request_id": "r"}
    page = read(RENDERER.page("error.html", values).decode())
    assert page.all("h1")[0].words == plain(name)
    assert plain(message) in [one.words for one in page.all("p")]


RENDERER = Renderer(Static())


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=0, max_value=1e9))
def test_money_is_never_rounded_away(value: float) -> None:
    shown = dollars(value)
    assert re.fullmatch(r"\$[\d,]+\.\d{2,6}", shown)
    assert float(shown[1:].replace(",", "")) == pytest.approx(value, abs=0.005 if value >= 1 else 5e-5)
    if value >= 1e-6:
        assert float(shown[1:].replace(",", "")) > 0


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "$0.00"),
        (0.1, "$0.10"),
        (0.15, "$0.15"),
        (0.00001, "$0.00001"),
        (12.5, "$12.50"),
        (1234.5, "$1,234.50"),
        (None, "\u2013"),
    ],
)
def test_dollars(value: float | None, text: str) -> None:
    assert dollars(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0 ms"),
        (0.0034, "3.4 ms"),
        (0.25, "250 ms"),
        (0.9996, "1.00 s"),
        (1.5, "1.50 s"),
        (90, "1.5 min"),
    ],
)
def test_durations(value: float, text: str) -> None:
    assert seconds(value) == text == milliseconds(value * 1000)


def test_what_is_unknown_is_not_nought() -> None:
    for write in (seconds, milliseconds, dollars, share, count, moment):
        assert write(None) == "\u2013"


def test_shares_counts_and_times() -> None:
    assert (share(1.0), share(0.0), share(0.9987), count(1234567)) == ("100 %", "0 %", "99.9 %", "1,234,567")
    assert (moment(0.0), instant(0.0)) == ("1970-01-01 00:00 UTC", "1970-01-01T00:00:00+00:00")


def test_a_template_that_asks_for_what_is_not_there_fails() -> None:
    with pytest.raises(UndefinedError):
        RENDERER.page("error.html", {})
    with pytest.raises(TemplateNotFound):
        RENDERER.page("../render.py", {})


def test_the_path_of_a_file_that_is_not_there() -> None:
    static = Static()
    with pytest.raises(KeyError):
        static.path("nothing.js")
    asset = static.find(static.path("app.css"))
    assert asset is not None
    assert asset.body.startswith(b"/*")


def test_every_file_of_ours_is_named_by_a_page_or_another_file() -> None:
    """Nothing is shipped that nobody loads, and nothing is loaded that is not there."""
    folder = files("llmcore.gateway.pages") / "static"
    shipped = {entry.name for entry in folder.iterdir()}
    named: set[str] = set()
    for entry in folder.iterdir():
        named |= set(re.findall(r'from "\./([a-z_]+\.js)"', entry.read_text()))
    for entry in (files("llmcore.gateway.pages") / "templates").iterdir():
        named |= set(re.findall(r"static\('([a-z_.]+)'\)", entry.read_text()))
    assert named == shipped


def test_the_headers_of_a_page() -> None:
    names = [name for name, _ in page_headers("r", secure=True)]
    assert len(names) == len(set(names))
    assert b"strict-transport-security" in names
    assert b"strict-transport-security" not in dict(page_headers("r", secure=False))
