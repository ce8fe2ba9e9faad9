"""The last hour of each provider: counted by minute, bounded, read back once, and no more told to users than they may know."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcore.gateway.history import KEPT, MINUTES, History, Spread
from llmcore.gateway.store import Page, StoreUnavailable, UsageAttempt
from llmcore.testing import Answer, ScriptedProvider
from llmcore.types import Usage
from tests.gateway.pages.reading import read
from tests.gateway.pages.site import site
from tests.gateway.standin import question

NOW = 1_000_000 * 60.0


def attempt(
    at: float, outcome: str = "success", *, provider: str = "a", first: float | None = 100.0, model: str = "m"
) -> UsageAttempt:
    return UsageAttempt(
        request_id="r",
        at=at,
        user_id="u",
        provider=provider,
        wire="openai",
        outcome=outcome,
        model=model,
        duration_ms=1000.0,
        first_token_ms=first,
    )


def history(now: list[float], *names: str) -> History:
    return History(lambda: names or ("a",), lambda: now[0])


@given(st.lists(st.tuples(st.floats(-7200, 0), st.sampled_from(["success", "cancelled", "ServerError"]))))
def test_each_attempt_of_the_hour_counts_once_in_its_minute(made: list[tuple[float, str]]) -> None:
    followed = history([NOW + 30])
    followed.note([attempt(NOW + ago, outcome) for ago, outcome in made])
    hour = followed.hour("a")
    within = [(ago, outcome) for ago, outcome in made if (NOW + ago) // 60 > NOW // 60 - MINUTES]
    assert sum(hour.requests) == len(within)
    assert sum(hour.failures) == sum(outcome == "ServerError" for _, outcome in within)
    assert len(hour.requests) == len(hour.latency_s) == MINUTES
    assert {value for value in hour.latency_s if value is not None} <= {1.0}


def test_means_are_of_answers_alone() -> None:
    followed = history([NOW])
    followed.note(
        [
            attempt(NOW, first=100.0),
            attempt(NOW, first=300.0),
            attempt(NOW, "FirstTokenTimeout", first=9000.0),
        ]
    )
    hour = followed.hour("a")
    assert hour.first_token_s[-1] == 0.2
    assert hour.first_token_s[-2] is None
    assert (hour.requests[-1], hour.failures[-1]) == (3, 1)


@given(st.lists(st.floats(0.1, 1e5), min_size=1, max_size=30))
def test_the_spread_is_of_times_that_were(times: list[float]) -> None:
    followed = history([NOW])
    followed.note([attempt(NOW, first=one) for one in times])
    first = followed.hour("a").first
    kept = {round(one / 1000, 4) for one in times}
    assert {first.p50, first.p95} <= kept
    assert first.p50 is not None
    assert first.p95 is not None
    assert first.p50 <= first.p95
    assert sum(round(one / 1000, 4) <= first.p50 for one in times) * 2 >= len(times)


def test_an_hour_later_nothing_is_left_but_the_last_failure() -> None:
    now = [NOW]
    followed = history(now)
    followed.note([attempt(NOW - 5, "ServerError", model="x"), attempt(NOW)])
    now[0] += 61 * 60
    hour = followed.hour("a")
    assert not any(hour.requests)
    assert hour.whole.p50 is None
    assert hour.failed is not None
    assert (hour.failed.at, hour.failed.outcome, hour.failed.model) == (NOW - 5, "ServerError", "x")
    assert hour.model == "m"


def test_memory_is_bounded() -> None:
    now = [NOW]
    followed = history(now)
    for minute in range(1000):
        now[0] = NOW + 60 * minute
        followed.note([attempt(now[0])])
    assert len(followed._tracks["a"].minutes) <= MINUTES


def test_only_the_gateways_own_providers_are_followed() -> None:
    names = ["a", "b"]
    followed = History(lambda: names, lambda: NOW)
    followed.note([attempt(NOW, provider="own-openai"), attempt(NOW, provider="b")])
    assert not any(followed.hour("own-openai").requests)
    assert sum(followed.hour("b").requests) == 1
    names.remove("b")
    followed.note([])
    assert not any(followed.hour("b").requests)


@pytest.mark.anyio
async def test_what_was_before_the_start_is_read_back_once(tmp_path: Path) -> None:
    async with site(tmp_path) as on:
        before = time.time() - 120
        await on.store.usage.add([attempt(before), attempt(before - 2 * 3600), attempt(time.time() + 30)])
        history = on.services.history
        await history.recall(on.store.usage)
        assert sum(history.hour("a").requests) == 1, "neither the old one, nor what the books will tell"
        await history.recall(on.store.usage)
        assert sum(history.hour("a").requests) == 1


@pytest.mark.anyio
async def test_a_database_that_is_away_is_asked_another_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with site(tmp_path) as on:
        await on.store.usage.add([attempt(time.time() - 60)])

        async def away(**_: object) -> None:
            raise StoreUnavailable("away")

        with monkeypatch.context() as patch:
            patch.setattr(on.store.usage, "attempts", away)
            await on.services.history.recall(on.store.usage)
        assert not any(on.services.history.hour("a").requests)
        await on.services.history.recall(on.store.usage)
        assert sum(on.services.history.hour("a").requests) == 1


class Books:
    """Attempts, newest first, a page of `size` at a time; the page that `breaks` names fails once."""

    def __init__(self, written: list[UsageAttempt], size: int, breaks: int | None = None) -> None:
        self.pages = [written[start : start + size] for start in range(0, len(written), size)]
        self.breaks = breaks

    async def attempts(self, *, limit: int = 100, cursor: str | None = None) -> Page[UsageAttempt]:
        number = int(cursor or 0)
        if number == self.breaks:
            self.breaks = None
            raise StoreUnavailable("away")
        following = str(number + 1) if number + 1 < len(self.pages) else None
        return Page(tuple(self.pages[number]), following)


@pytest.mark.anyio
async def test_a_database_that_goes_away_between_two_pages_lets_nothing_count_twice() -> None:
    followed = history([NOW])
    books = Books([attempt(NOW - ago) for ago in range(1, 5)], 2, breaks=1)
    await followed.recall(books)
    await followed.recall(books)
    assert sum(followed.hour("a").requests) == 4


@pytest.mark.anyio
async def test_the_newest_answers_are_the_ones_whose_times_stay() -> None:
    """Those since the start, then the newest of those that are read back."""
    followed = history([NOW])
    followed.note([attempt(NOW, first=1.0)] * (KEPT // 2))
    newer, older = [attempt(NOW - 1, first=2000.0)] * (KEPT // 2), [attempt(NOW - 9, first=9000.0)] * KEPT
    await followed.recall(Books([*newer, *older], KEPT))
    assert followed.hour("a").first == Spread(0.001, 2.0)


@pytest.mark.anyio
async def test_the_status_page_shows_the_hour_as_soon_as_it_is_opened(tmp_path: Path) -> None:
    provider = ScriptedProvider("a", [Answer("hello", usage=Usage(7, 2))])
    async with site(tmp_path, provider) as on, on.browser("admin") as http, on.browser("alice") as alice:
        body = question(stream=True)
        assert (await http.post("/api/playground", json=body)).status_code == 200
        assert await on.services.recorder.flush()
        page = read((await http.get("/status")).text)
        assert [one for one in page.all("path") if one.attributes.get("class") == "under"]
        assert [one for one in page.all("rect") if one.attributes.get("class") == "well"]
        told = (await http.get("/api/v1/llm/status")).json()["providers"][0]
        assert sum(told["hour"]["requests"]) == 1
        less = (await alice.get("/api/v1/llm/status")).json()["providers"][0]
        assert set(less["hour"]) == {"first_token_s", "latency_s", "first_token", "latency"}, (
            "T14: not when others asked"
        )
        assert not {"last_failure", "last_model"} & set(less)
        held = [value for value in less["hour"]["latency_s"] if value is not None]
        assert held == less["hour"]["latency_s"][-len(held) :], "a value holds until the next one"
