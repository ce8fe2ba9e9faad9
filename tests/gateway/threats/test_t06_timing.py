"""T6: how long a comparison takes says nothing about how much of a guess was right; the same steps for every bad key.

The statistic is Mann and Whitney's. Right and wrong guesses come in random order, so that load on the machine meets both
alike and the test is exact whatever the noise is; a leak is one that three rounds in a row agree on (p < 10^-9 by chance).
"""

from __future__ import annotations

import gc
import hmac
import math
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from llmcore.gateway.stored import StoredKeys
from llmcore.gateway.vault import Tokens
from tests.gateway.whole import whole

PEPPER = b"p" * 32
SAMPLES = 10_000
ALPHA = 0.001
COMPARE = "llmcore.gateway.vault.tokens.hmac.compare_digest"
LAST = 63

Compare = Callable[[str], object]


def comparing(what: str) -> tuple[Compare, str]:
    """A comparison of a guess with a secret of 64 characters, and the secret."""
    tokens = Tokens(PEPPER)
    if what == "csrf":
        return (lambda said: tokens.csrf_matches("session", "nonce", said)), tokens.csrf("session", "nonce")
    made = tokens.new_virtual_key()
    token = made.token.reveal()
    return (lambda said: tokens.matches("virtual key", token, said)), made.digest


def guess(secret: str, right: int) -> str:
    """A guess of which that many first characters are right, and all others wrong."""
    chars = bytearray(secret.encode())
    for at in range(right, len(chars)):
        chars[at] = ord("x")
    return chars.decode()


def timed(compare: Compare, secret: str, chance: random.Random) -> tuple[list[int], list[int]]:
    """Nanoseconds for guesses of which nothing is right, and for those of which all but the last character is."""
    order = [0] * SAMPLES + [LAST] * SAMPLES
    chance.shuffle(order)
    guesses = [guess(secret, right) for right in order]
    took, clock = [0] * len(order), time.perf_counter_ns
    gc.collect()
    gc.disable()
    try:
        for at, said in enumerate(guesses):  # nothing in here may depend on which kind of guess it is
            began = clock()
            compare(said)
            ended = clock()
            took[at] = ended - began
    finally:
        gc.enable()
    each = list(zip(order, took, strict=True))
    return [one for right, one in each if right == 0], [one for right, one in each if right == LAST]


def p_value(one: Sequence[float], other: Sequence[float]) -> float:
    """Mann and Whitney's U, two-sided, by the normal approximation with its correction for ties."""
    ranked = sorted((value, index < len(one)) for index, value in enumerate((*one, *other)))
    total, at, rank_sum, ties = len(ranked), 0, 0.0, 0
    while at < total:
        end = at
        while end < total and ranked[end][0] == ranked[at][0]:
            end += 1
        middle = (at + 1 + end) / 2
        rank_sum += middle * sum(mine for _, mine in ranked[at:end])
        ties += (end - at) ** 3 - (end - at)
        at = end
    size, rest = len(one), len(other)
    mean = size * (total + 1) / 2
    spread = size * rest / 12 * (total + 1 - ties / (total * (total - 1)))
    return math.erfc(abs(rank_sum - mean) / math.sqrt(2 * spread)) if spread else 1.0


def leaks(compare: Compare, secret: str) -> bool:
    chance = random.Random()
    compare(secret)
    return all(p_value(*timed(compare, secret, chance)) < ALPHA for _ in range(3))


@pytest.mark.parametrize("what", ["virtual key", "csrf"])
def test_t06_time_says_nothing_of_how_much_was_right(what: str) -> None:
    compare, secret = comparing(what)
    assert compare(secret) is True
    assert compare(guess(secret, LAST)) is False
    assert not leaks(compare, secret)


@pytest.mark.parametrize("what", ["virtual key", "csrf"])
def test_t06_a_comparison_that_stops_at_the_first_wrong_character_is_found(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stops(one: bytes, other: bytes) -> bool:
        return len(one) == len(other) and all(a == b for a, b in zip(one, other, strict=True))

    monkeypatch.setattr(COMPARE, stops)
    assert leaks(*comparing(what))


def test_the_statistic_is_the_known_one() -> None:
    """Against values of a table: two samples of ten, without and with ties."""
    assert p_value(range(1, 11), range(11, 21)) == pytest.approx(0.000157, abs=0.00001)
    assert p_value([1, 3, 5, 7, 9], [2, 4, 6, 8, 10]) == pytest.approx(0.6015, abs=0.001)
    assert p_value([1, 1, 1], [1, 1, 1]) == 1.0
    chance, found = random.Random(7), []
    for _ in range(300):
        values = [chance.gauss(0, 1) for _ in range(200)]
        found.append(p_value(values[:100], values[100:]))
    assert 0.02 < sum(p < 0.05 for p in found) / len(found) < 0.09


@pytest.mark.anyio
async def test_t06_every_bad_key_takes_the_same_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unknown, revoked, expired, of a disabled user, with a wrong secret: one look-up, one comparison, then no."""
    steps: list[str] = []
    same = hmac.compare_digest

    def compared(one: bytes, other: bytes) -> bool:
        steps.append("compare")
        return same(one, other)

    monkeypatch.setattr(COMPARE, compared)
    async with whole(tmp_path) as on:
        find = on.store.keys.find

        async def looked(public_id: str) -> object:
            steps.append("look up")
            return await find(public_id)

        monkeypatch.setattr(on.store.keys, "find", looked)
        keys = StoredKeys(on.store, on.vault.tokens, time.time)
        alice = on.people["alice"].user.id
        revoked, revoked_id = await on.key(alice)
        await on.store.keys.revoke(alice, revoked_id, now=time.time())
        expired, _ = await on.key(alice, expires_at=time.time() - 1)
        carol = await on.person("carol", "user")
        await on.store.users.update(carol.user.id, disabled=True)
        unknown = on.vault.tokens.new_virtual_key().token.reveal()
        taken = []
        for token in (unknown, revoked, expired, carol.key):
            steps.clear()
            assert await keys.find(token) is None
            taken.append(tuple(steps))
        assert set(taken) == {("look up", "compare")}
        steps.clear()
        assert await keys.find(on.people["bob"].key) is not None
        assert tuple(steps) == ("look up", "compare")
