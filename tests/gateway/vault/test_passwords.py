"""Passwords: argon2id, never blocking, and as slow for nobody as for somebody."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.low_level import Type

from llmcore.gateway.vault import Passwords
from llmcore.secret import Secret

pytestmark = pytest.mark.anyio

WEAK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


async def test_a_password_is_known_again_and_no_other() -> None:
    passwords = Passwords(WEAK)
    stored = await passwords.hash(Secret("päss wörd"))
    assert (await passwords.verify(stored, Secret("päss wörd"))).ok
    for wrong in ("pass word", "päss wörd ", "", "x" * 5000, "päss wörd" + "\0"):
        assert not (await passwords.verify(stored, Secret(wrong))).ok
    assert stored != await passwords.hash(Secret("päss wörd"))
    for bad in ("", "x" * 1025):
        with pytest.raises(ValueError, match="1 to 1024"):
            await passwords.hash(Secret(bad))


async def test_a_password_that_was_cut_is_another_one() -> None:
    passwords = Passwords(WEAK)
    stored = await passwords.hash(Secret("x" * 1024))
    assert (await passwords.verify(stored, Secret("x" * 1024))).ok
    assert not (await passwords.verify(stored, Secret("x" * 1025))).ok


async def test_t06_nobody_has_the_dummy_password() -> None:
    passwords = Passwords(WEAK)
    for stored in (None, "", "plain", "$argon2id$broken"):
        for said in ("nobody's password", ""):
            assert not (await passwords.verify(stored, Secret(said))).ok


async def test_t06_an_unknown_user_costs_one_hash_too(monkeypatch: pytest.MonkeyPatch) -> None:
    passwords, asked = Passwords(WEAK), []
    verify = PasswordHasher.verify
    monkeypatch.setattr(
        PasswordHasher, "verify", lambda self, *rest: (asked.append(rest[0]), verify(self, *rest))[1]
    )
    await passwords.verify(None, Secret("x"))
    assert asked[0].startswith("$argon2id$")


async def test_real_hashes_are_argon2id_and_weaker_ones_are_replaced() -> None:
    weak, real = Passwords(WEAK), Passwords()
    old = await weak.hash(Secret("pass"))
    verified = await real.verify(old, Secret("pass"))
    assert verified.ok
    assert verified.new_hash is not None
    found = extract_parameters(verified.new_hash)
    assert (found.type, found.memory_cost, found.time_cost) == (Type.ID, 65536, 3)
    assert (await real.verify(verified.new_hash, Secret("pass"))) == await real.verify(
        verified.new_hash, Secret("pass")
    )
    assert (await real.verify(old, Secret("wrong"))).new_hash is None
    assert verified.new_hash not in repr(verified)


async def test_hashing_does_not_hold_up_the_loop() -> None:
    passwords, ticks = Passwords(), 0
    async with anyio.create_task_group() as group:

        async def tick() -> None:
            nonlocal ticks
            while True:
                await anyio.lowlevel.checkpoint()
                ticks += 1

        group.start_soon(tick)
        await passwords.hash(Secret("pass"))
        group.cancel_scope.cancel()
    assert ticks > 10
