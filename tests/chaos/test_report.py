"""The scorecard: what counts, what is written, and a page that needs nothing from outside."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest

from llmcore.chaos import PUBLISHED, SCENARIOS, Scorecard, as_json, chosen, default_config, page
from llmcore.chaos.nouns import Finding, Result, Verdict
from llmcore.chaos.report import origin, summary, tally
from llmcore.chaos.settings import FAST, FULL
from llmcore.errors import ConfigurationError

ODD = '<script>alert("x")</script> & more'


def card(*verdicts: tuple[str, Verdict], sentence: str = "so it was") -> Scorecard:
    by_id = {scenario.id: scenario for scenario in SCENARIOS}
    results = [
        Result(by_id[name], (Finding(verdict, sentence, 3, 2, 1.25, label="<v>"),))
        for name, verdict in verdicts
    ]
    return Scorecard(results, FAST, default_config(), "my <config>.toml", 12.0)


ALL_PASS = tuple((scenario.id, "pass") for scenario in SCENARIOS)


@pytest.mark.parametrize(
    ("verdicts", "threshold", "holds"),
    [
        ((("S01", "pass"), ("F01", "safe")), None, True),
        ((("S01", "pass"), ("F01", "fail")), None, False),
        ((("S01", "safe"), ("F01", "pass")), None, False),
        ((("S01", "partial"),), None, False),
        ((("S01", "safe"), ("F01", "pass")), 1, True),
        ((("S01", "safe"), ("F01", "pass")), 2, False),
        ((("S01", "fail"), ("F01", "pass")), 1, False),
        ((), None, True),
    ],
)
def test_when_the_bar_is_held(
    verdicts: tuple[tuple[str, Verdict], ...], threshold: int | None, holds: bool
) -> None:
    assert card(*verdicts).holds(threshold) is holds


def test_counts_and_words() -> None:
    made = card(("S01", "pass"), ("S02", "safe"), ("F01", "pass"))
    assert tally(made.results) == {"pass": 2, "partial": 0, "safe": 1, "fail": 0}
    assert summary(made)[0] == "1 of 2 public scenarios pass (1 pass, 0 partial, 1 safe, 0 fail)"
    assert summary(card(("F01", "pass"))) == [
        "1 of 1 further faults pass (1 pass, 0 partial, 0 safe, 0 fail)"
    ]
    assert "priority over primary, secondary" in origin(made)


def test_the_published_figures_are_of_sixteen() -> None:
    assert all(sum(figures) == 16 for _, *figures in PUBLISHED)


def test_json_holds_everything() -> None:
    told = json.loads(json.dumps(as_json(card(("S01", "pass"), ("F01", "safe")))))
    assert told["public"] == {"of": 1, "pass": 1, "partial": 0, "safe": 0, "fail": 0}
    assert told["profile"] == "fast"
    first = told["scenarios"][0]
    assert (first["id"], first["verdict"], first["attempts"], first["seconds"]) == ("S01", "pass", 3, 1.25)
    assert first["findings"][0]["variant"] == "<v>"


def test_ids_are_found_in_any_case_and_wrong_ones_told() -> None:
    assert [scenario.id for scenario in chosen(["f35", " s06 "])] == ["S06", "F35"]
    assert chosen([]) == SCENARIOS
    with pytest.raises(ConfigurationError, match="S99"):
        chosen(["S99"])


class Reader(HTMLParser):
    """Every tag with its attributes, and that all are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("made", [card(*ALL_PASS, sentence=ODD), card(("F01", "fail")), card()])  # type: ignore[arg-type]  # pairs
def test_the_page_stands_alone(made: Scorecard) -> None:
    text = page(made)
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    names = {tag for tag, _ in reader.tags}
    assert not names & {"script", "link", "img", "iframe", "object", "form"}
    assert not any(
        key in {"src", "href", "style"} or key.startswith("on") for _, attrs in reader.tags for key in attrs
    )
    assert not re.search(r"https?://|url\(|@import", text)
    assert "prefers-color-scheme:dark" in text
    assert ODD not in text
    assert sum(tag == "details" for tag, _ in reader.tags) == len(made.results)
    assert len(text.encode()) < 150_000


def test_the_page_tells_the_scale_and_others_only_for_all_sixteen() -> None:
    whole = page(card(*ALL_PASS))  # type: ignore[arg-type]  # pairs of id and verdict
    assert "Portkey" in whole
    assert "scaled by 0.2" in whole
    assert "Portkey" not in page(card(("S01", "pass")))
    full = Scorecard((), FULL, default_config())
    assert "published timings" in page(full)


def _light(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("mode", [0, 1])
def test_every_colour_can_be_read_in_light_and_dark(mode: int) -> None:
    root = re.findall(r":root\{([^}]*)\}", page(card()))[mode]
    colours = dict(re.findall(r"--(\w+):(#[0-9a-f]{6}|#fff)", root))
    ground = _light(colours["bg"].replace("#fff", "#ffffff") if len(colours["bg"]) == 4 else colours["bg"])
    for name in ("fg", "dim", "pass", "partial", "safe", "fail"):
        bright, dark = sorted((_light(colours[name]), ground), reverse=True)
        assert (bright + 0.05) / (dark + 0.05) >= 4.5, name
