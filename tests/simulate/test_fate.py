"""What becomes of a request: outages, errors, slowdowns, and answers that are cut."""

from __future__ import annotations

from random import Random

import pytest
from attrs import evolve

from llmcore.simulate.fate import Fate, Luck, draw, fate
from llmcore.simulate.profile import FOREVER, Outage, Profile, Slowdown
from llmcore.simulate.shapes import Constant
from llmcore.simulate.ways import WAYS

EVEN = Luck(0.5, 0.5, 0.5, 0.5, 0.5)
PLAIN = Profile("p", Constant(1.0), Constant(10.0))


def test_an_answer_begins_with_its_first_token_and_ends_with_its_last() -> None:
    assert fate(PLAIN, EVEN, 0.0, 101) == Fate(1.0, 11.0, 11.0)
    assert fate(PLAIN, EVEN, 0.0, 1) == Fate(1.0, 1.0, 1.0)


def test_a_slowdown_holds_from_its_start_until_its_end() -> None:
    slow = evolve(PLAIN, slowdowns=(Slowdown(10.0, 20.0, 5.0), Slowdown(15.0, 20.0, 2.0)))
    assert [fate(slow, EVEN, now, 11).end_s for now in (9.9, 10.0, 15.0, 20.0)] == [2.0, 10.0, 20.0, 2.0]


def test_an_outage_fails_as_it_says_in_its_window_only() -> None:
    down = evolve(PLAIN, outages=(Outage(10.0, 20.0, WAYS["503"]),))
    assert [fate(down, EVEN, now, 11).way is None for now in (9.9, 10.0, 19.9, 20.0)] == [
        True,
        False,
        False,
        True,
    ]
    assert fate(down, EVEN, 10.0, 11) == Fate(FOREVER, FOREVER, 0.05, WAYS["503"], 0.0)


def test_of_a_partial_outage_the_unlucky_share_sees_something() -> None:
    down = evolve(PLAIN, outages=(Outage(0.0, 20.0, WAYS["500"], share=0.3),))
    failed = [fate(down, evolve(EVEN, outage=luck / 10), 1.0, 11).way is not None for luck in range(10)]
    assert failed == [True] * 3 + [False] * 7


def test_errors_come_at_their_rates() -> None:
    faulty = evolve(PLAIN, errors=((0.1, WAYS["500"]), (0.05, WAYS["429"])))
    random = Random(3)
    words = [way.word if (way := fate(faulty, draw(random), 0.0, 11).way) else "" for _ in range(10_000)]
    assert words.count("500") / len(words) == pytest.approx(0.1, abs=0.01)
    assert words.count("429") / len(words) == pytest.approx(0.05, abs=0.01)


@pytest.mark.parametrize(("word", "hangs"), [("silent", True), ("unreachable", True), ("refused", False)])
def test_who_is_silent_hangs_and_shows_nothing(word: str, *, hangs: bool) -> None:
    found = fate(evolve(PLAIN, errors=((1.0, WAYS[word]),)), EVEN, 0.0, 11)
    assert (found.first_s, found.end_s == FOREVER) == (FOREVER, hangs)


def test_a_cut_and_a_stalled_answer_show_a_part() -> None:
    cut = fate(evolve(PLAIN, errors=((1.0, WAYS["cut"]),)), EVEN, 0.0, 101)
    assert (cut.first_s, cut.last_s, cut.end_s, cut.share) == (1.0, 6.0, 6.0, 0.5)
    stalled = fate(evolve(PLAIN, errors=((1.0, WAYS["stalled"]),)), EVEN, 0.0, 101)
    assert (stalled.last_s, stalled.end_s) == (6.0, FOREVER)


def test_an_outage_that_cuts_ends_what_is_under_way() -> None:
    down = evolve(PLAIN, outages=(Outage(10.0, 20.0, WAYS["503"], cuts=True),))
    before = fate(down, EVEN, 9.5, 101)
    assert (before.first_s, before.end_s) == (FOREVER, 0.5)
    assert before.way is not None
    assert before.way.word == "reset"
    within = fate(down, EVEN, 4.0, 101)
    assert (within.first_s, within.end_s, within.share) == (1.0, 6.0, 0.5)
    assert within.way is not None
    assert within.way.word == "cut"
    assert fate(down, EVEN, -10.0, 101).way is None, "over before it began"
    assert fate(evolve(down, outages=(evolve(down.outages[0], cuts=False),)), EVEN, 4.0, 101).way is None


def test_every_way_makes_its_error() -> None:
    for name, way in WAYS.items():
        error = way.made()
        assert (error.status, error.retry_after) == (way.status, None), name
        assert name in {way.word, error.outcome}
