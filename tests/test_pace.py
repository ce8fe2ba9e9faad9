"""The pacer: laws of one key's pace, and what it makes of strict upstreams, in simulated time."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcore.pace import STALE, Pacer, family
from llmcore.pace.tried import FORGET, MANY
from llmcore.types import Limit, RateLimits
from tests.pacing import Bucket, Traffic, Upstream, Window

# ------------------------------------------------------------------------------------------------- families


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (None, ""),
        ("gpt-4o", "gpt-4o"),
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("gpt-3.5-turbo-0125", "gpt-3.5-turbo"),
        ("claude-haiku-4-5-20251001", "claude-haiku-4-5"),
        ("claude-3-5-sonnet-latest", "claude-3-5-sonnet"),
        ("claude-3-5-sonnet@20240620", "claude-3-5-sonnet"),
        ("anthropic.claude-3-5-sonnet-20240620-v1:0", "anthropic.claude-3-5-sonnet"),
        ("claude-opus-4-1", "claude-opus-4-1"),
        ("mistral-large-2411", "mistral-large"),
        ("mistral-small-latest", "mistral-small"),
        ("command-r-08-2024", "command-r"),
        ("gemini-1.5-flash-002", "gemini-1.5-flash"),
        ("gemini-2.0-flash", "gemini-2.0-flash"),
        ("llama3:latest", "llama3"),
        ("llama3:8b", "llama3:8b"),
        ("meta-llama/Llama-3-70b", "meta-llama/Llama-3-70b"),
        ("gpt-4-32k", "gpt-4-32k"),
        ("phi-4", "phi-4"),
        ("-latest", "-latest"),
        ("", ""),
    ],
)
def test_a_family_is_the_name_without_date_or_version(model: str | None, name: str) -> None:
    assert family(model) == name


@given(st.text(max_size=40))
def test_any_name_has_a_family_that_begins_it(model: str) -> None:
    assert model.startswith(family(model))
    assert bool(family(model)) == bool(model)


# --------------------------------------------------------------------------------------------- small laws


def test_nothing_known_is_idle_and_never_waits() -> None:
    pacer = Pacer(None, None)
    for step in range(1000):
        assert pacer.idle
        assert pacer.wait(10**9, step / 1000) == 0.0
        pacer.take(10**9, step / 1000)
        pacer.settle(10**9, None, step / 1000)
        pacer.succeeded(step / 1000)
    assert pacer.room(1.0) == 1.0
    assert pacer.in_flight == 0


@given(
    st.sampled_from([1, 2, 3, 7, 60, 300, 601, 3000]),
    st.lists(st.floats(0, 40), min_size=1, max_size=60),
    st.integers(1, 30),
)
def test_configured_requests_are_never_exceeded_in_any_minute(
    rpm: int, gaps: list[float], crowd: int
) -> None:
    pacer, now, sent = Pacer(rpm, None), 0.0, []
    for gap in gaps:
        now += gap
        for _ in range(crowd):
            now += pacer.wait(0, now)
            pacer.take(0, now)
            pacer.settle(0, None, now)
            sent.append(now)
    for first in range(len(sent)):
        within = sum(1 for at in sent[first:] if at <= sent[first] + 60.0)
        assert within <= rpm


@given(
    st.lists(st.tuples(st.floats(0, 20), st.integers(0, 5000), st.integers(0, 5000)), min_size=1, max_size=80)
)
def test_configured_tokens_are_never_exceeded_in_any_minute(calls: list[tuple[float, int, int]]) -> None:
    """What is used less than reserved is free again; what is used more was sent, and is made up for."""
    pacer, now, spent = Pacer(None, 10_000), 0.0, []
    for gap, reserved, used in calls:
        now += gap
        now += pacer.wait(reserved, now)
        pacer.take(reserved, now)
        pacer.settle(reserved, min(used, reserved), now)
        spent.append((now, min(used, reserved)))
    for first, _ in spent:
        assert sum(used for at, used in spent if first <= at <= first + 60.0) <= 10_000


def test_more_tokens_than_fit_go_when_all_is_left() -> None:
    pacer = Pacer(None, 1000)
    assert pacer.wait(5000, 0.0) == 0.0
    pacer.take(5000, 0.0)
    assert 60.0 <= pacer.wait(1, 0.0) < math.inf
    wait = pacer.wait(5000, 1.0)
    assert math.isfinite(wait)
    assert pacer.wait(5000, 1.0 + wait) == 0.0


@given(
    st.lists(
        st.tuples(st.floats(0, 30), st.sampled_from(["refused", "hint", "early", "late"]), st.floats(0, 100)),
        max_size=40,
    )
)
def test_a_rest_only_grows_until_a_success_that_was_sent_after_the_refusal(
    events: list[tuple[float, str, float]],
) -> None:
    pacer, now, refused_at = Pacer(None, None, learn=False), 1.0, None
    for gap, kind, hint in events:
        now += gap
        before = pacer.not_before
        if kind in {"refused", "hint"}:
            pacer.refused(hint if kind == "hint" else None, now)
            refused_at = now
            assert pacer.not_before == (max(before, now + hint) if kind == "hint" else before)
        elif kind == "early" and refused_at is not None:
            pacer.succeeded(now, refused_at - 0.5)
            assert pacer.not_before == before
        else:
            pacer.succeeded(now, now)
            assert pacer.not_before == 0.0
        assert pacer.wait(0, now) == pytest.approx(max(0.0, pacer.not_before - now), abs=1e-5)
        if pacer.not_before > now + 1e-3:
            assert pacer.room(now) == 0.0


def test_once_its_rest_is_over_a_pacer_is_idle_again() -> None:
    pacer = Pacer(None, None, learn=False)
    pacer.refused(5.0, 0.0)
    assert not pacer.idle
    assert pacer.wait(0, 4.0) == pytest.approx(1.0)
    assert pacer.wait(0, 5.0) == 0.0
    assert pacer.idle


def test_what_was_told_long_ago_is_forgotten() -> None:
    pacer = Pacer(None, None)
    pacer.take(0, 0.0)
    pacer.observe(RateLimits(requests=Limit(100, 0, 86_400.0)), 0.0)
    pacer.settle(0, None, 0.0)
    assert pacer.wait(0, STALE - 1) > 80_000
    assert pacer.wait(0, STALE + 1) == 0.0
    assert pacer.idle


def test_a_rate_found_by_trying_is_forgotten_when_nobody_needs_it() -> None:
    pacer = Pacer(None, None)
    for step in range(50):
        pacer.take(0, step / 10)
        pacer.settle(0, None, step / 10)
    for _ in range(MANY):
        assert pacer.wait(0, 5.0) == 0.0, "one refused request says nothing of a pace"
        pacer.refused(None, 5.0)
    assert pacer.wait(0, 5.0) > 0
    assert pacer.wait(0, 6.0 + FORGET) == 0.0
    assert pacer.idle


def test_reset_forgets_all_that_was_learned_but_keeps_what_is_configured() -> None:
    pacer = Pacer(60, None)
    for _ in range(6):
        pacer.take(0, 0.0)
    pacer.observe(RateLimits(requests=Limit(10, 0, 86_400.0)), 0.0)
    pacer.refused(3600.0, 0.0)
    assert pacer.wait(0, 0.0) >= 3600.0
    pacer.reset()
    assert pacer.wait(0, 0.0) == pytest.approx(1.0), "six at once are a tenth of the configured minute"
    for _ in range(6):
        pacer.settle(0, None, 0.0)
    assert pacer.in_flight == 0
    learned = Pacer(None, None)
    learned.take(0, 0.0)
    learned.observe(RateLimits(requests=Limit(10, 0, 86_400.0)), 0.0)
    learned.reset()
    assert learned.idle


def test_without_a_learned_pace_a_refusals_rest_is_still_kept() -> None:
    pacer = Pacer(None, None, learn=False)
    for _ in range(100):
        pacer.take(0, 0.0)
        pacer.refused(7.0, 0.0, 0.0)
        pacer.settle(0, None, 0.0)
    assert pacer.wait(0, 0.0) == 7.0
    assert pacer.wait(0, 7.0) == 0.0


def test_learn_false_heeds_no_headers() -> None:
    pacer = Pacer(None, None, learn=False)
    pacer.observe(RateLimits(requests=Limit(1, 0, 60.0)), 0.0)
    assert pacer.idle
    assert pacer.wait(0, 0.0) == 0.0


@pytest.mark.parametrize(
    "said",
    [
        Limit(0, 0),
        Limit(None, 5e-324),
        Limit(None, 0.0),
        Limit(math.nan, 5),
        Limit(math.inf, 5),
        Limit(10, math.nan),
        Limit(10, -1),
        Limit(10),
    ],
)
def test_words_without_sense_teach_nothing(said: Limit) -> None:
    pacer = Pacer(None, None)
    pacer.take(5, 0.0)
    pacer.observe(RateLimits(said, said, said, said), 1.0)
    assert pacer.idle
    assert pacer.wait(5, 1.0) == 0.0
    assert pacer.room(1.0) == 1.0


figures = st.one_of(st.none(), st.floats(-10, 1e12), st.sampled_from([0.0, 1.0, math.inf, math.nan, -1.0]))
limits = st.builds(Limit, figures, figures, figures)
told = st.builds(RateLimits, *[st.one_of(st.none(), limits)] * 4)


@given(
    st.sampled_from([None, 1, 60]),
    st.lists(
        st.tuples(
            st.floats(0, 100),
            st.sampled_from(["ask", "observe", "end", "refuse"]),
            told,
            st.integers(0, 10**7),
        ),
        max_size=60,
    ),
)
def test_whatever_is_told_every_answer_is_a_number_that_ends(
    rpm: int | None, events: list[tuple[float, str, RateLimits, int]]
) -> None:
    pacer, now = Pacer(rpm, rpm), 0.0
    for gap, kind, said, tokens in events:
        now += gap
        if kind == "ask":
            pacer.take(tokens, now)
        elif kind == "observe":
            pacer.observe(said, now)
        elif pacer.in_flight and kind == "end":
            pacer.succeeded(now, now)
            pacer.settle(tokens // 2, tokens, now)
        elif kind == "refuse":
            pacer.refused(None, now, now)
        wait = pacer.wait(tokens, now)
        assert wait >= 0.0
        assert math.isfinite(wait)
        assert 0.0 <= pacer.room(now) <= 1.0
        assert pacer.in_flight >= 0
        assert not (pacer.idle and wait)


def test_the_key_with_more_left_has_more_room() -> None:
    rooms = []
    for left in (90, 40, 10, 0):
        pacer = Pacer(None, None)
        pacer.take(0, 0.0)
        pacer.observe(RateLimits(requests=Limit(100, left, 60.0 * (100 - left) / 100)), 0.0)
        rooms.append(pacer.room(0.0))
    assert rooms == [0.9, 0.4, 0.1, 0.0]


# ------------------------------------------------------------------------------------- strict upstreams


LATENCIES = [(0.05, 0.2), (0.2, 1.5), (1.0, 10.0)]


@pytest.mark.parametrize("latency", LATENCIES, ids=str)
@pytest.mark.parametrize("rpm", [30, 60, 300, 1500])
def test_a_strict_bucket_with_headers_is_used_up_without_refusals(
    rpm: int, latency: tuple[float, float]
) -> None:
    for seed in (1, 2):
        run = Traffic(Bucket(rpm), rpm / 30, latency=latency, seed=seed)
        assert run.throughput >= 0.95
        assert run.refusals < 0.01


@pytest.mark.parametrize("latency", LATENCIES, ids=str)
@pytest.mark.parametrize("whole", [False, True], ids=["exact", "whole seconds"])
@pytest.mark.parametrize("rpm", [60, 300, 1500])
def test_a_strict_window_with_headers(rpm: int, whole: bool, latency: tuple[float, float]) -> None:
    for seed in (1, 2):
        run = Traffic(Window(rpm, whole=whole), rpm / 30, latency=latency, seed=seed)
        assert run.throughput >= 0.90
        assert run.refusals < 0.02


@pytest.mark.parametrize("latency", LATENCIES, ids=str)
@pytest.mark.parametrize("rpm", [60, 300, 1500])
@pytest.mark.parametrize("upstream", [Bucket, Window])
def test_an_upstream_without_headers_is_learned_from_its_refusals(
    upstream: type[Upstream], rpm: int, latency: tuple[float, float]
) -> None:
    for seed in (1, 2):
        run = Traffic(upstream(rpm), rpm / 30, headers=False, latency=latency, seed=seed)
        assert run.throughput >= 0.90
        assert run.refusals < 0.02


def test_without_headers_and_hints_a_bucket_is_still_learned_and_a_window_is_not_hammered() -> None:
    bucket = Traffic(Bucket(300), 10.0, headers=False, hints=False)
    assert bucket.throughput >= 0.95
    assert bucket.refusals < 0.01
    window = Traffic(Window(300), 10.0, headers=False, hints=False)
    assert window.throughput >= 0.80
    assert window.refusals < 0.04


@pytest.mark.parametrize("kind", ["tokens", "input_tokens"])
@pytest.mark.parametrize("tpm", [60_000, 600_000])
def test_a_limit_of_tokens_known_before(tpm: int, kind: str) -> None:
    sizes = (100, 500, 2000, 5000)
    run = Traffic(Bucket(tpm), tpm / 60 / 1900 * 2, sizes=sizes, kind=kind)
    assert run.throughput >= 0.95
    assert run.refusals < 0.01


@pytest.mark.parametrize("kind", ["tokens", "output_tokens"])
@pytest.mark.parametrize("tpm", [60_000, 600_000])
def test_a_limit_of_tokens_known_afterwards_only(tpm: int, kind: str) -> None:
    sizes = (100, 500, 2000, 5000)
    run = Traffic(
        Bucket(tpm), tpm / 60 / 1900 * 2, sizes=sizes, kind=kind, estimate=lambda size: 0, seconds=1800
    )
    assert run.throughput >= 0.95
    assert run.refusals < 0.01


@pytest.mark.parametrize("upstream", [Bucket, Window])
@pytest.mark.parametrize("rpm", [3, 60, 600])
def test_a_configured_limit_is_kept_and_used(upstream: type[Upstream], rpm: int) -> None:
    run = Traffic(upstream(rpm), rpm / 30, headers=False, pacer=Pacer(rpm, None))
    assert run.refused == 0
    assert run.admitted >= 0.95 * rpm * 900 / 60


@pytest.mark.parametrize("size", [60, 10])
def test_a_configured_limit_whose_bursts_are_refused_is_spread_out(size: int) -> None:
    run = Traffic(Bucket(600, size=size), 20.0, headers=False, pacer=Pacer(600, None), seconds=1200)
    assert run.throughput >= 0.95
    assert run.refusals < 0.01


def test_a_crowd_at_the_start_teaches_quickly() -> None:
    """Hundreds at once, when nothing is known: what is too much is refused once, then the pace holds."""
    run = Traffic(Bucket(300), 10.0, at_once=200, seconds=600)
    assert run.refused == 0
    run = Traffic(Bucket(300), 10.0, at_once=400, seconds=600)
    assert run.refused <= 110
    assert run.throughput >= 0.95


def test_a_limit_that_is_raised_is_found() -> None:
    class Raised(Bucket):
        def ask(self, now: float, amount: float) -> tuple[float | None, Limit]:
            self.rate = 1.0 if now < 300 else 10.0
            return super().ask(now, amount)

    run = Traffic(Raised(60), 20.0, headers=False, seconds=1200)
    assert run.admitted >= 0.70 * (300 + 900 * 10)
    assert run.refusals < 0.02
