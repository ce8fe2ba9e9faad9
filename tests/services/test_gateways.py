"""Two real gateways over one PostgreSQL and one Redis: a shared limit, restarts of both, kill -9 of a gateway."""

from __future__ import annotations

import threading
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from llmcore.sim.server import Simulator
from llmcore.sim.thread import SimulatorThread
from tests.services import postgres, redis_server
from tests.services.gateways import Gateway, Site

HEALTH = "/api/v1/health"
STATUS = "/api/v1/llm/status"


class Pair:
    def __init__(self, one: Gateway, other: Gateway, key: str, site: Site, upstream: SimulatorThread) -> None:
        self.one = one
        self.other = other
        self.key = key
        self.site = site
        self.upstream = upstream
        self.granted: list[float] = []

    @property
    def both(self) -> tuple[Gateway, Gateway]:
        return self.one, self.other

    def flood(self, key: str, calls: int) -> Counter[int]:
        """So many calls, in turns to both, sixteen at a time; how often each status came."""

        def ask(number: int) -> int:
            status = self.both[number % 2].ask(key).status_code
            if status == 200:
                self.granted.append(time.monotonic())
            return status

        with ThreadPoolExecutor(16) as pool:
            return Counter(pool.map(ask, range(calls)))

    def most_in_a_minute(self) -> int:
        """The most that were let in in any 60 seconds."""
        instants = sorted(self.granted)
        return max(bisect_right(instants, instants[index] + 60) - index for index in range(len(instants)))

    def until(self, word: str, wanted: object) -> None:
        for gateway in self.both:
            gateway.until(HEALTH, self.key, word, wanted)

    def until_status(self, word: str, wanted: object) -> None:
        for gateway in self.both:
            gateway.until(STATUS, self.key, word, wanted)

    def booked(self) -> int:
        """Calls that are in the database's books."""
        groups = self.other.get("/api/usage", self.key)["groups"]
        return sum(int(group["calls"]) for group in groups)

    def wait_for_books(self, calls: int) -> None:
        for _ in range(600):
            if self.booked() >= calls:
                break
            time.sleep(0.1)
        assert self.booked() == calls


@contextmanager
def started(tmp_path: Path, url: str, redis: redis_server.Server, **more: str) -> Iterator[Pair]:
    with SimulatorThread(Simulator()) as upstream:
        site = Site(tmp_path, upstream.url, url, redis.url, **more)
        site.run("db", "upgrade")
        key = site.run("keys", "create", "first").split()[-1]
        with site.gateway("one") as one, site.gateway("other") as other:
            one.wait()
            other.wait()
            made = Pair(one, other, key, site, upstream)
            made.until("limits", "shared")
            yield made


@pytest.fixture
def pair(tmp_path: Path, url: str, redis: redis_server.Server) -> Iterator[Pair]:
    with started(tmp_path, url, redis) as made:
        yield made


@pytest.fixture
def turns(tmp_path: Path, url: str, redis: redis_server.Server) -> Iterator[Pair]:
    """With two providers, asked in turns."""
    with started(tmp_path, url, redis, providers="ab", strategy="round_robin") as made:
        yield made


def test_two_gateways_share_one_limit(pair: Pair) -> None:
    limited = pair.one.limited_key(pair.key, rpm=200)
    statuses = pair.flood(limited, 500)
    assert set(statuses) == {200, 429}
    assert 190 <= pair.most_in_a_minute() <= 204


def test_redis_killed_and_back_under_load(pair: Pair, redis: redis_server.Server) -> None:
    limited = pair.one.limited_key(pair.key, rpm=400)
    first = pair.flood(limited, 100)
    redis.kill()
    second = pair.flood(limited, 100)
    pair.until("limits", "local")
    status = pair.one.get(STATUS, pair.key)
    assert status["limits"] == {"shared": False, "configured": True}
    assert status["shared_limits"]["why"] == "ConnectionError"
    assert redis_server.PASSWORD not in str(status) + pair.one.log()
    redis.start()
    pair.until("limits", "shared")
    third = pair.flood(limited, 500)
    assert first[200] == second[200] == 100
    assert set(third) == {200, 429}
    assert 380 <= pair.most_in_a_minute() <= 408


def test_redis_frozen_lets_nobody_hang(pair: Pair, redis: redis_server.Server) -> None:
    limited = pair.one.limited_key(pair.key, rpm=1000)
    redis.freeze()
    try:
        assert pair.flood(limited, 100)[200] == 100
        pair.until("limits", "local")
    finally:
        redis.thaw()
    pair.until("limits", "shared")


def test_postgres_killed_and_back_loses_no_usage(pair: Pair, server: postgres.Server) -> None:
    limited = pair.one.limited_key(pair.key, rpm=100_000)
    before = pair.flood(limited, 60)
    pair.wait_for_books(60)
    server.kill()
    try:
        during = pair.flood(limited, 60)
        pair.until("database", "away")
    finally:
        server.start()
    pair.until("database", "ok")
    after = pair.flood(limited, 60)
    assert before[200] == during[200] == after[200] == 60
    pair.wait_for_books(180)


def test_a_gateway_killed_under_load_takes_nothing_with_it_but_its_own_calls(pair: Pair) -> None:
    limited = pair.one.limited_key(pair.key, rpm=300)
    failed: list[str] = []
    enough = threading.Event()
    granted: list[int] = []

    def load() -> None:
        for _ in range(10_000):
            try:
                if pair.one.ask(limited).status_code == 200:
                    granted.append(1)
            except httpx.HTTPError as error:
                failed.append(type(error).__name__)
                return
            if len(granted) >= 100:
                enough.set()

    with ThreadPoolExecutor(4) as pool:
        loads = [pool.submit(load) for _ in range(4)]
        came = enough.wait(60)
        pair.one.kill()
        for each in loads:
            each.result(60)
    assert came
    assert failed
    before = len(granted)
    after = sum(pair.other.ask(limited).status_code == 200 for _ in range(300))
    assert after > 0
    assert before + after <= 300
    with pair.site.gateway("third") as third:
        third.wait()
        third.until(HEALTH, pair.key, "limits", "shared")
        assert third.ask(limited).status_code == 429, "the limit is used up, for a new process too"
        assert third.ask(pair.key).status_code == 200


def test_what_one_gateway_finds_failing_is_told_and_blocks_nobody(
    pair: Pair, redis: redis_server.Server
) -> None:
    pair.upstream.set_script({"rules": [{"status": 500}]})
    for _ in range(200):
        assert pair.one.ask(pair.key).status_code >= 500
        if redis.say("ZCARD", "llmcore:hints") == ":1":
            break
        time.sleep(0.05)
    assert redis.say("ZCARD", "llmcore:hints") == ":1"
    pair.upstream.set_script({"rules": []})
    time.sleep(2.5)  # the other one has heard it by then
    assert pair.other.ask(pair.key).status_code == 200


def test_a_conversation_stays_with_its_provider_in_every_gateway(
    turns: Pair, redis: redis_server.Server
) -> None:
    """Two providers in turns: whoever has answered the first call answers all others of that session, wherever they go."""

    def answering(session: str, gateway: Gateway) -> str:
        return gateway.ask(turns.key, session=session).headers["x-llmcore-provider"]

    turns.until_status("shared_sessions.shared", True)
    for number in range(10):
        first = answering(f"talk {number}", turns.both[number % 2])
        assert {answering(f"talk {number}", gateway) for gateway in turns.both} == {first}
    alone = {answering("", gateway) for gateway in turns.both for _ in range(2)}
    assert alone == {"a", "b"}, "without a session they are asked in turns"
    redis.kill()
    try:
        turns.until_status("shared_sessions.shared", False)
        assert {answering("talk 0", turns.one) for _ in range(4)} == {answering("talk 0", turns.one)}
    finally:
        redis.start()
    turns.until_status("shared_sessions.shared", True)
