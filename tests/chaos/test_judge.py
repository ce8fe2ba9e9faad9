"""The judges, over cases made by hand: what they must not let pass, and what they must not blame."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from llmcore.chaos.judge import judge
from llmcore.chaos.nouns import COUNTED, Case, Finding, Hit, Result, Seen
from llmcore.types import Attempt, Usage
from tests.chaos.cases import FACTS, FAILED, HITS, RESCUED, SERVED, case, refused, scenario

WORDS = COUNTED.split(" ")
CUT = " ".join(WORDS[:40])


def verdict(made: Case) -> str:
    return judge(made).verdict


def test_an_answer_that_came_whole_and_once_passes() -> None:
    found = judge(case())
    assert found.verdict == "pass"
    assert (found.attempts, found.at_broken, found.seconds) == (2, 1, 1.0)
    assert found.sentence == "b answered instead, after 1 attempt at a"


def test_a_clean_error_is_safe() -> None:
    found = judge(case(call=refused("AllProvidersFailed", "ServerError")))
    assert found.verdict == "safe"
    assert "AllProvidersFailed" in found.sentence


# ------------------------------------------------------------------------------------------ what fails


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (CUT, "truncated"),
        ("", "truncated"),
        (COUNTED + COUNTED, "twice"),
        (CUT + COUNTED, "twice"),
        (CUT + " " + COUNTED, "twice"),
        (" ".join([*WORDS[:40], *WORDS[30:]]), "twice"),
        (" ".join([*WORDS[:20], *WORDS[30:]]), "missing"),
        (" ".join(word + word for word in WORDS), "more text"),
        (" ".join(["hello", *WORDS[1:]]), "another"),
        (COUNTED.replace("word7 ", "w\ufffdrd7 "), "another"),
    ],
)
def test_any_other_text_fails(text: str, words: str) -> None:
    found = judge(case(call={"text": text}))
    assert found.verdict == "fail"
    assert words in found.sentence


@pytest.mark.parametrize(
    "changes",
    [
        {"call": {"ended": "hung"}},
        {"call": {"ended": "crashed", "detail": "KeyError: 'choices'"}},
        {"call": {"strange": ("the stream ended without Finished",)}},
        {"call": {"leaked_key": True}},
        {"call": {**refused("AuthenticationError"), "leaked_key": True}},
        {"leaks": ("2 connections left open",)},
        {"trapped": 1},
        {"call": {"provider": "c"}},
        {"call": {"provider": "a"}},
        {"call": {"usage": Usage(14, 120)}},
        {"call": {"usage": Usage(None, 61)}},
    ],
)
@pytest.mark.parametrize("name", ["S04", "S16"])
def test_what_is_forbidden_fails_in_every_scenario(name: str, changes: dict[str, Any]) -> None:
    assert verdict(case(name, **changes)) == "fail"


def test_usage_that_nobody_told_is_no_lie() -> None:
    assert verdict(case(call={"usage": Usage()})) == "pass"


def test_a_fault_that_did_not_come_about_is_said() -> None:
    assert "did not come about" in judge(case(met=False)).sentence


# ---------------------------------------------------------------------------------------------- bounds


def test_too_many_attempts_are_partial() -> None:
    hits = (*HITS, *(Hit("a", at, 500, "answered") for at in (0.2, 0.4)))
    found = judge(case(hits=hits))
    assert found.verdict == "partial"
    assert "3 times" in found.sentence
    assert verdict(case(hits=hits, facts=evolve(FACTS, retries=2))) == "pass"


def test_attempts_that_only_the_trail_knows_count_too() -> None:
    unseen = (HITS[1],)
    attempts = (FAILED, FAILED, FAILED, SERVED)
    assert verdict(case("F01", hits=unseen, call={"attempts": attempts})) == "partial"


def test_the_silent_route_is_asked_once() -> None:
    hits = (*HITS, Hit("a", 5.0, 0, "left"))
    assert verdict(case("S06", call={"seconds": 11.0})) == "pass"
    assert verdict(case("S06", call={"seconds": 11.0}, hits=hits)) == "partial"


def test_too_slow_is_partial_and_scales() -> None:
    assert verdict(case("S06", call={"seconds": 12.1})) == "partial"
    fast = evolve(FACTS, factor=0.2)
    assert verdict(case("S06", call={"seconds": 2.3}, facts=fast)) == "pass"
    assert verdict(case("S06", call={"seconds": 2.5}, facts=fast)) == "partial"
    assert verdict(case("S06", call={"seconds": 2.5}, facts=fast, late_s=0.2)) == "pass"
    assert judge(case("S06", call={"seconds": 2.4}, facts=fast)).seconds == pytest.approx(12.0)


def test_a_late_first_word_is_partial() -> None:
    assert verdict(case("S07", call={"first_s": 10.5})) == "pass"
    assert verdict(case("S07", call={"first_s": 15.5})) == "partial"


def test_the_worst_of_many_calls_counts() -> None:
    late = evolve(RESCUED, seconds=99.0)
    made = case("F54", calls=(RESCUED, late, RESCUED))
    found = judge(made)
    assert found.verdict == "partial"
    assert found.sentence.startswith("1 of 3 calls")
    cut = evolve(RESCUED, text=CUT)
    assert verdict(evolve(made, calls=(late, cut))) == "fail"


def test_the_worst_finding_is_the_results() -> None:
    findings = tuple(Finding(word, word) for word in ("pass", "safe", "partial"))
    assert Result(scenario("S01"), findings).worst.sentence == "safe"
    assert Result(scenario("S01"), (*findings, Finding("fail", "x"))).verdict == "fail"


# ------------------------------------------------------------------------------------- particular scenarios


@pytest.mark.parametrize(("gap", "expected"), [(2.0, "pass"), (1.9, "pass"), (0.6, "partial")])
def test_a_vendor_is_not_asked_before_it_wants(gap: float, expected: str) -> None:
    hits = (Hit("a", 0.0, 429, "answered"), Hit("a", gap, 200, "answered", 7, 60))
    call = {"provider": "a", "attempts": (FAILED, evolve(SERVED, provider="a"))}
    assert verdict(case("S01", hits=hits, call=call)) == expected


def test_a_vendor_that_limits_the_rate_is_not_hammered() -> None:
    patient = evolve(FACTS, retries=9)
    spread = tuple(Hit("a", float(at), 429, "answered") for at in range(5))
    assert verdict(case("S02", hits=(*spread, HITS[1]), facts=patient)) == "pass"
    crowded = tuple(evolve(hit, at_s=hit.at_s / 2) for hit in spread)
    found = judge(case("S02", hits=(*crowded, HITS[1]), facts=patient))
    assert (found.verdict, "5 times within 3 s" in found.sentence) == ("partial", True)


def test_a_prompt_that_is_too_long_goes_where_it_may_fit() -> None:
    told = refused("ContextLengthError")
    known = evolve(FACTS, windows=(("a", 8000), ("b", 8000)))
    larger = evolve(FACTS, windows=(("a", 8000), ("b", 9000)))
    assert verdict(case("S12")) == "pass"
    assert verdict(case("S12", facts=larger)) == "pass"
    assert verdict(case("S12", facts=known)) == "partial"
    assert verdict(case("S12", facts=known, call=told, hits=HITS[:1])) == "pass"
    assert verdict(case("S12", call=told, hits=HITS[:1])) == "safe"
    assert verdict(case("S12", hits=(HITS[0], *HITS))) == "fail"


def test_a_refusal_reaches_the_caller() -> None:
    told = refused("ContentFilterError")
    allowed = evolve(FACTS, allow_policy_fallback=True)
    warned = {"warnings": ("policy: b answered what a refused",)}
    assert verdict(case("S13", call=told, hits=HITS[:1])) == "pass"
    assert verdict(case("S13", call=refused("ServerError"), hits=HITS[:1])) == "safe"
    assert verdict(case("S13", call={"finish_reason": "content_filter", "text": ""}, hits=HITS[:1])) == "pass"
    assert verdict(case("S13")) == "partial"
    assert verdict(case("S13", call=warned)) == "partial"
    assert verdict(case("S13", facts=allowed)) == "partial"
    assert verdict(case("S13", facts=allowed, call=warned)) == "pass"
    assert verdict(case("S13", call=told, hits=(HITS[0], HITS[0]))) == "fail"


def test_accounting_names_who_served_and_bills_nothing_else() -> None:
    billed = evolve(FAILED, usage=Usage(7, 60), counted="measured")
    assert verdict(case("S16")) == "pass"
    assert verdict(case("S16", call={"usage": Usage()})) == "partial"
    assert verdict(case("S16", call={"model": "other"})) == "fail"
    assert verdict(case("S16", call={"attempts": (SERVED,)})) == "fail"
    assert verdict(case("S16", call={"attempts": (billed, SERVED)})) == "fail"
    assert verdict(case("S16", call={"attempts": (evolve(FAILED, outcome="success"), SERVED)})) == "fail"
    assert verdict(case("S16", call=refused("ServerError"))) == "safe"


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (Usage(), "pass"),
        (Usage(7, 60), "pass"),
        (Usage(-7, 60), "fail"),
        (Usage(7, float("nan")), "fail"),  # type: ignore[arg-type]  # what must never come
    ],
)
def test_counts_that_cannot_be_are_none(usage: Usage, expected: str) -> None:
    assert verdict(case("F43", call={"usage": usage})) == expected


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ('{"days": 3, "city": "Oslo"}', "pass"),
        ('{"city": "Os', "fail"),
        (None, "fail"),
        ('{"city": "Oslo"}{"city": "Oslo", "days": 3}', "fail"),
        ('{"city": "Rome", "days": 3}', "fail"),
    ],
)
def test_a_tools_arguments_come_whole(arguments: str | None, expected: str) -> None:
    assert verdict(case("F46", call={"arguments": arguments})) == expected


def test_nobody_can_answer_and_the_error_is_clean() -> None:
    told = refused("AllProvidersFailed", "AuthenticationError")
    assert verdict(case("F67", call=told)) == "pass"
    assert verdict(case("F67")) == "fail"
    assert verdict(case("F08", call={**refused("TotalTimeout"), "seconds": 5.2})) == "pass"
    assert verdict(case("F08", call={**refused("TotalTimeout"), "seconds": 6.2})) == "partial"


def test_whoever_leaves_is_let_go() -> None:
    assert verdict(case("F60", call={"ended": "left"})) == "pass"
    assert verdict(case("F61", call={"ended": "cancelled", "seconds": 3.0})) == "pass"
    assert verdict(case("F61", call={"ended": "cancelled", "seconds": 9.0})) == "partial"


# ------------------------------------------------------------------------------------------------- outages


def outage(dead: tuple[float, ...], back: float | None, **changes: Any) -> Case:
    """Twenty calls, one every 4 s; `dead`: when the dead one was asked; `back`: when it served again."""
    hits = [Hit("a", at, 503, "answered") for at in dead]
    calls = []
    for at in range(20):
        began = at * 4.0
        again = back is not None and began >= back
        name = "a" if again else "b"
        hits.append(Hit(name, began, 200, "answered", 7, 60))
        tried = (FAILED,) if any(began <= when < began + 4 for when in dead) else ()
        calls.append(
            evolve(RESCUED, began_s=began, provider=name, attempts=(*tried, evolve(SERVED, provider=name)))
        )
    return evolve(case("S15", calls=tuple(calls), hits=tuple(hits)), **changes)


def test_an_outage_that_went_well() -> None:
    found = judge(outage((0.0, 4.0, 8.0, 30.0), 60.0))
    assert found.verdict == "pass"
    assert found.figures == {
        "calls_during_outage": 15,
        "attempts_on_dead": 4,
        "attempts_after_opening": 1,
        "back_s": 0.0,
    }


@pytest.mark.parametrize(
    ("dead", "back", "words"),
    [
        ((0.0, 4.0, 8.0, 30.0, 50.0), 60.0, "more than 4"),
        ((0.0, 4.0, 8.0), 68.0, "bound 4 s"),
        ((0.0, 4.0, 8.0), None, "never asked again"),
    ],
)
def test_an_outage_without_discipline_is_partial(
    dead: tuple[float, ...], back: float | None, words: str
) -> None:
    found = judge(outage(dead, back))
    assert found.verdict == "partial"
    assert words in found.sentence


def test_what_it_answered_before_is_no_recovery() -> None:
    made = outage((0.0,), 72.0)
    early = Hit("a", 10.0, 200, "answered", 7, 60)
    assert judge(evolve(made, hits=(early, *made.hits))).figures["back_s"] == 12.0


def test_calls_that_an_outage_left_unanswered() -> None:
    made = outage((0.0,), 60.0)
    lost = evolve(made.calls[3], **refused("AllProvidersFailed"))
    assert verdict(evolve(made, calls=(*made.calls[:3], lost, *made.calls[4:]))) == "safe"
    cut = evolve(made.calls[3], text=CUT)
    assert verdict(evolve(made, calls=(*made.calls[:3], cut, *made.calls[4:]))) == "fail"
    slow = evolve(made.calls[3], seconds=20.0)
    assert verdict(evolve(made, calls=(*made.calls[:3], slow, *made.calls[4:]))) == "partial"


def blackout(*, back: float | None, per_call: int = 1) -> Case:
    calls: list[Seen] = []
    hits: list[Hit] = []
    for at in range(20):
        began = at * 2.0
        if back is not None and began >= back:
            calls.append(evolve(RESCUED, began_s=began, seconds=0.5))
            hits.append(Hit("b", began, 200, "answered", 7, 60))
        else:
            calls.append(evolve(RESCUED, began_s=began, **refused("AllProvidersFailed", "OverloadedError")))
            hits += [Hit("a", began, 503, "answered")] * per_call
    return case("F56", calls=tuple(calls), hits=tuple(hits))


def test_everybody_away() -> None:
    assert verdict(blackout(back=20.0)) == "pass"
    assert verdict(blackout(back=34.0)) == "partial"
    assert verdict(blackout(back=20.0, per_call=5)) == "partial"
    assert verdict(blackout(back=None)) == "safe"


def test_tokens_of_what_failed_are_billed_failures_only_where_they_were_measured() -> None:
    estimated = Attempt("a", "m", "StreamInterruptedError", usage=Usage(7, 40), counted="estimated")
    assert not evolve(RESCUED, attempts=(estimated,)).billed_failures
    assert evolve(RESCUED, attempts=(evolve(estimated, counted="measured"),)).billed_failures
