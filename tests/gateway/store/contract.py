"""What holds on every database; `test_sqlite.py` runs it on a file, `tests/services` on a PostgreSQL server."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from sqlalchemy import select, text

from llmcore.gateway.access.principal import Limits
from llmcore.gateway.store import (
    SYSTEM,
    ConnectionTest,
    SealedKey,
    SessionAgent,
    SettingsChange,
    Store,
    StoreConflict,
    StoreError,
    StoreInvalid,
    StoreOutdated,
    UsageAttempt,
    User,
    check_current,
    open_store,
    upgrade,
)
from llmcore.gateway.store.engine import Database
from llmcore.gateway.store.tables import metadata
from llmcore.gateway.store.upgrade import HEAD, revisions, upgrade_database
from llmcore.secret import Secret

pytestmark = pytest.mark.anyio

HOSTILE = "'; DROP TABLE users; -- \" % _ \\ ${x} {0} \u202e\n\x1b[2J"


async def ann(store: Store, name: str = "Ann") -> User:
    return await store.users.create(name, "admin", now=1.0)


# users, tokens, sessions


async def test_a_name_is_taken_however_it_is_spelled(store: Store) -> None:
    user = await store.users.create("Straße", "user", now=1.0)
    for same in ("STRASSE", " straße ", "\uff33\uff34\uff32\uff21\uff33\uff33\uff25"):
        with pytest.raises(StoreConflict):
            await store.users.create(same, "user", now=2.0)
        found = await store.users.by_name(same)
        assert found is not None
        assert found.id == user.id
    assert await store.users.count() == 1


async def test_names_that_nobody_can_have(store: Store) -> None:
    for name in ("", "  ", "x" * 129, "a\0b", "\ud800"):
        with pytest.raises(StoreInvalid):
            await store.users.create(name, "user", now=1.0)
    assert await store.users.count() == 0


async def test_the_last_admin_stays(store: Store) -> None:
    first = await ann(store)
    for attempt in (
        lambda: store.users.update(first.id, role="user"),
        lambda: store.users.update(first.id, disabled=True),
        lambda: store.users.delete(first.id),
    ):
        with pytest.raises(StoreConflict, match="last administrator"):
            await attempt()
    second = await store.users.create("Bob", "admin", now=2.0)
    assert await store.users.delete(first.id)
    with pytest.raises(StoreConflict):
        await store.users.update(second.id, disabled=True)


async def test_two_admins_cannot_remove_each_other_at_once(store: Store) -> None:
    first, second = await ann(store), await ann(store, "Bob")
    refused = []

    async def disable(user: User) -> None:
        try:
            await store.users.update(user.id, disabled=True)
        except StoreConflict:
            refused.append(user.id)

    async with anyio.create_task_group() as group:
        group.start_soon(disable, first)
        group.start_soon(disable, second)
    assert len(refused) == 1


async def test_a_new_password_ends_sessions_and_tokens(store: Store) -> None:
    user = await ann(store)
    await store.web_sessions.create(user.id, "a" * 64, csrf="n", now=1.0, expires_at=100.0)
    await store.one_time_tokens.add(user.id, "b" * 64, now=1.0, expires_at=100.0)
    await store.users.update(user.id, password_hash="$argon2id$...")
    assert await store.web_sessions.get("a" * 64, now=2.0) is None
    assert await store.one_time_tokens.use("b" * 64, now=2.0) is None


async def test_who_goes_takes_everything_along_but_what_was_used(store: Store) -> None:
    await ann(store)
    user = await store.users.create("Bob", "user", now=1.0)
    await fill(store, user.id)
    await store.usage.add([attempt(user.id)])
    assert await store.users.delete(user.id)
    async with store.database.read() as connection:
        for table in metadata.sorted_tables:
            if "user_id" in table.c and table.name not in {"usage_attempts", "usage_days"}:
                left = await connection.execute(select(table.c.user_id).where(table.c.user_id == user.id))
                assert left.all() == [], table.name
    assert (await store.usage.of_user(user.id, by=(), since=0.0, until=1e9))[0].sums.calls == 1


async def test_a_one_time_token_counts_once(store: Store) -> None:
    user = await ann(store)
    await store.one_time_tokens.add(user.id, "b" * 64, now=1.0, expires_at=100.0)
    got = []

    async def use() -> None:
        got.append(await store.one_time_tokens.use("b" * 64, now=2.0))

    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(use)
    assert [found.id for found in got if found is not None] == [user.id]


async def test_tokens_and_sessions_end(store: Store) -> None:
    user = await ann(store)
    other = await store.users.create("Bob", "user", now=1.0)
    await store.one_time_tokens.add(user.id, "b" * 64, now=1.0, expires_at=100.0)
    assert await store.one_time_tokens.use("b" * 64, now=100.0) is None
    for name, owner in (("a", user), ("c", other)):
        await store.web_sessions.create(owner.id, name * 64, csrf="n", now=1.0, expires_at=100.0)
    await store.users.update(other.id, disabled=True)
    assert await store.web_sessions.get("c" * 64, now=2.0) is None
    found = await store.web_sessions.get("a" * 64, now=99.0)
    assert found is not None
    assert (found.user, found.session.csrf) == (user, "n")
    await store.web_sessions.touch(user.id, "a" * 64, now=50.0, expires_at=200.0)
    found = await store.web_sessions.get("a" * 64, now=150.0)
    assert found is not None
    assert found.session.last_seen_at == 50.0
    assert await store.web_sessions.get("a" * 64, now=200.0) is None
    assert await store.web_sessions.purge(now=200.0) == 1
    assert await store.one_time_tokens.purge(now=200.0) == 1


# keys


async def test_a_key_is_found_changed_and_revoked(store: Store) -> None:
    user = await ann(store)
    limits = Limits(rpm=5, tpm=6, budget_micros=7, period="week", concurrent=8, max_tokens=9)
    key = await store.keys.create(
        user.id,
        public_id="p1",
        digest="d" * 64,
        name="laptop",
        now=1.0,
        scopes=frozenset({"inference"}),
        models=frozenset({"a", "b"}),
        limits=limits,
        expires_at=50.0,
    )
    found = await store.keys.find("p1")
    assert found is not None
    assert found.key == key
    assert found.user == user
    assert [key.usable(now) for now in (49.0, 50.0)] == [True, False]
    changed = await store.keys.update(user.id, key.id, models=None, expires_at=None, limits=Limits(rpm=1))
    assert changed is not None
    assert (changed.models, changed.expires_at, changed.limits, changed.name) == (
        None,
        None,
        Limits(rpm=1),
        "laptop",
    )
    assert await store.keys.revoke(user.id, key.id, now=3.0)
    assert not await store.keys.revoke(user.id, key.id, now=4.0)
    found = await store.keys.find("p1")
    assert found is not None
    assert found.key.revoked_at == 3.0
    assert not found.key.usable(3.0)


async def test_no_key_without_its_user(store: Store) -> None:
    with pytest.raises(StoreConflict):
        await store.keys.create("nobody", public_id="p", digest="d", name="n", now=1.0)
    assert await store.keys.find("p") is None


async def test_lists_come_in_pieces_without_gaps(store: Store) -> None:
    user = await ann(store)
    for number in range(25):
        now = float(number // 4)  # several of the same moment
        await store.keys.create(user.id, public_id=f"p{number}", digest="d", name="n", now=now)
    seen, cursor = [], None
    while True:
        page = await store.keys.list(user.id, limit=4, cursor=cursor)
        seen += [key.id for key in page.items]
        cursor = page.next
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 25
    whole = await store.keys.list(user.id, limit=1000)
    assert [key.id for key in whole.items] == seen
    assert [key.created_at for key in whole.items] == sorted(
        (key.created_at for key in whole.items), reverse=True
    )


async def test_a_bad_cursor_or_limit_is_refused(store: Store) -> None:
    user = await ann(store)
    for number in range(3):
        await store.keys.create(user.id, public_id=f"p{number}", digest="d", name="n", now=1.0)
    good = (await store.keys.list(user.id, limit=1)).next
    assert good is not None
    for bad in ("", "x", good[:-1], good + "A", good + "=", good.swapcase(), "é", "A" * 600, HOSTILE):
        with pytest.raises(StoreInvalid, match="cursor"):
            await store.keys.list(user.id, cursor=bad)
    with pytest.raises(StoreInvalid, match="cursor"):
        await store.sessions.list(user.id, cursor=good)  # of another list
    for limit in (0, -1, 1001):
        with pytest.raises(StoreInvalid, match="limit"):
            await store.keys.list(user.id, limit=limit)


# settings


KEY = SealedKey("v1.sealed", "k1", "1234")


async def test_a_patch_changes_what_it_names(store: Store) -> None:
    user = await ann(store)
    with pytest.raises(StoreInvalid, match="provider"):
        await store.settings.patch(user.id, SettingsChange(model="m"), now=1.0)
    first = await store.settings.patch(
        user.id, SettingsChange(provider="openai", model="m", temperature=0.5, key=KEY), now=1.0
    )
    assert (first.version, first.key, first.updated_at) == (1, KEY, 1.0)
    second = await store.settings.patch(
        user.id, SettingsChange(temperature=None, max_tokens=5), now=2.0, expected=1
    )
    assert second == await store.settings.get(user.id)
    assert (second.model, second.temperature, second.max_tokens, second.key) == ("m", None, 5, KEY)
    third = await store.settings.put(user.id, SettingsChange(provider="openai"), now=3.0)
    assert (third.model, third.max_tokens, third.key, third.version) == (None, None, KEY, 3)
    assert await store.settings.delete(user.id, expected=3)
    assert await store.settings.get(user.id) is None
    assert not await store.settings.delete(user.id)


@pytest.mark.parametrize(
    "change",
    [
        SettingsChange(provider="anthropic"),
        SettingsChange(base_url="https://b.test/v1"),
        SettingsChange(base_url="https://a.test/v2"),
        SettingsChange(base_url="http://a.test/v1"),
        SettingsChange(base_url="https://a.test:8443/v1"),
        SettingsChange(base_url=None),
    ],
)
async def test_t04_another_address_or_provider_drops_the_key(store: Store, change: SettingsChange) -> None:
    user = await ann(store)
    start = SettingsChange(provider="openai", base_url="https://a.test/v1", key=KEY)
    before = await store.settings.patch(user.id, start, now=1.0)
    assert before.origin == "https://a.test:443"
    after = await store.settings.patch(user.id, change, now=2.0)
    assert after.key is None
    assert after == await store.settings.get(user.id)


@pytest.mark.parametrize(
    "address",
    ["a.test", "ftp://a.test", "https://", "https://u:p@a.test", "https://a.test\\@b", "https://a:x/"],
)
async def test_t04_an_address_that_is_none_is_refused(store: Store, address: str) -> None:
    user = await ann(store)
    with pytest.raises(StoreInvalid):
        await store.settings.patch(user.id, SettingsChange(provider="openai", base_url=address), now=1.0)
    assert await store.settings.get(user.id) is None


async def test_of_several_changes_to_one_version_one_wins(store: Store) -> None:
    user = await ann(store)
    await store.settings.patch(user.id, SettingsChange(provider="openai"), now=1.0)
    won, lost = [], []

    async def change(number: int) -> None:
        try:
            won.append(
                await store.settings.patch(user.id, SettingsChange(model=f"m{number}"), now=2.0, expected=1)
            )
        except StoreConflict:
            lost.append(number)

    async with anyio.create_task_group() as group:
        for number in range(6):
            group.start_soon(change, number)
    assert (len(won), len(lost)) == (1, 5)
    assert await store.settings.get(user.id) == won[0]


async def test_the_system_has_settings_and_nobody_else_without_an_account(store: Store) -> None:
    stored = await store.settings.patch(SYSTEM, SettingsChange(provider="openai"), now=1.0, expected=0)
    assert await store.settings.get(SYSTEM) == stored
    with pytest.raises(StoreConflict):
        await store.settings.patch("nobody", SettingsChange(provider="openai"), now=1.0)


async def test_the_last_test_of_each_provider_is_known(store: Store) -> None:
    user = await ann(store)
    await store.connection_tests.record(user.id, ConnectionTest(user.id, "openai", 1.0, False, None, "no"))
    newer = ConnectionTest(user.id, "openai", 2.0, True, 12.5)
    other = ConnectionTest(user.id, "ollama", 1.5, True, 3.0)
    for test in (newer, other):
        await store.connection_tests.record(user.id, test)
    assert await store.connection_tests.latest(user.id) == (newer, other)


# chat sessions


async def test_a_session_keeps_its_provider_and_is_switched(store: Store) -> None:
    user = await ann(store)
    agents = (SessionAgent("critic", "anthropic", "c"), SessionAgent("author", "openai"))
    made = await store.sessions.create(
        user.id, provider="openai", model="m", now=1.0, title=HOSTILE, settings={"a": [1]}, agents=agents
    )
    assert await store.sessions.get(user.id, made.id) == made
    assert [agent.agent for agent in made.agents] == ["author", "critic"]
    switched = await store.sessions.update(user.id, made.id, now=2.0, provider="ollama", model=None)
    assert switched is not None
    assert (switched.provider, switched.model, switched.agents, switched.title) == (
        "ollama",
        None,
        made.agents,
        HOSTILE,
    )
    changed = await store.sessions.set_agent(user.id, made.id, SessionAgent("critic", "groq"), now=3.0)
    assert changed is not None
    assert changed.agents == (SessionAgent("author", "openai"), SessionAgent("critic", "groq"))
    fewer = await store.sessions.remove_agent(user.id, made.id, "author", now=4.0)
    assert fewer is not None
    assert fewer.agents == (SessionAgent("critic", "groq"),)
    assert (await store.sessions.list(user.id)).items == (fewer,)
    with pytest.raises(StoreInvalid):
        await store.sessions.update(user.id, made.id, now=5.0, agents=[agents[0], agents[0]])
    assert await store.sessions.get(user.id, made.id) == fewer
    assert await store.sessions.delete(user.id, made.id)
    assert await store.sessions.get(user.id, made.id) is None


async def test_agents_set_at_the_same_time_all_stay(store: Store) -> None:
    user = await ann(store)
    made = await store.sessions.create(user.id, provider="openai", model=None, now=1.0)
    async with anyio.create_task_group() as group:
        for number in range(6):
            group.start_soon(set_agent, store, user.id, made.id, number)
    found = await store.sessions.get(user.id, made.id)
    assert found is not None
    assert len(found.agents) == 6


async def set_agent(store: Store, user_id: str, session_id: str, number: int) -> None:
    await store.sessions.set_agent(user_id, session_id, SessionAgent(f"a{number}", "p"), now=2.0)


# tenants


ADMINS = {
    *("users.create", "users.by_name", "users.list", "users.count"),
    *("one_time_tokens.use", "one_time_tokens.purge", "web_sessions.get", "web_sessions.purge"),
    *(
        "keys.find",
        "keys.list_all",
        "usage.add",
        "usage.of_all",
        "usage.attempts",
        "usage.purge",
        "usage.rebuild",
    ),
    *("audit.append", "audit.list"),
    *("sealed.key_ids", "sealed.pepper", "sealed.keep_pepper", "sealed.reseal_pepper"),
    *("sealed.not_under", "sealed.retire"),
}
"""Methods that are bound to no user: authentication by a secret's hash, administrators, the vault. Each is on purpose."""

REPOSITORIES = (
    *("users", "one_time_tokens", "web_sessions", "keys", "settings", "connection_tests"),
    *("sessions", "usage", "audit", "sealed"),
)


async def test_t14_every_query_takes_the_user_first_or_is_named_here(store: Store) -> None:
    free = set()
    assert {name for name in vars(store) if name != "database"} == set(REPOSITORIES)
    for name in REPOSITORIES:
        for method, function in inspect.getmembers(type(getattr(store, name)), inspect.isfunction):
            if method.startswith("_"):
                continue
            _, first, *_ = [*inspect.signature(function).parameters.values(), None, None]
            if first is None or first.name != "user_id" or first.default is not inspect.Parameter.empty:
                free.add(f"{name}.{method}")
    assert free == ADMINS


async def fill(store: Store, user_id: str) -> dict[str, str]:
    """Something of everything for that user."""
    key = await store.keys.create(user_id, public_id=f"p-{user_id}", digest="d", name="n", now=1.0)
    session = await store.sessions.create(
        user_id, provider="p", model=None, now=1.0, agents=[SessionAgent("a", "p")]
    )
    await store.web_sessions.create(user_id, f"h-{user_id}", csrf="n", now=1.0, expires_at=1e9)
    await store.one_time_tokens.add(user_id, f"t-{user_id}", now=1.0, expires_at=1e9)
    await store.settings.patch(user_id, SettingsChange(provider="openai", key=KEY), now=1.0)
    await store.connection_tests.record(user_id, ConnectionTest(user_id, "openai", 1.0, True))
    return {"key": key.id, "session": session.id, "hash": f"h-{user_id}"}


async def everything(store: Store) -> dict[str, list[Any]]:
    async with store.database.read() as connection:
        found = {}
        for table in metadata.sorted_tables:
            rows = (await connection.execute(select(table))).all()
            found[table.name] = sorted(map(repr, rows))
        return found


async def test_t14_nothing_of_another_user_can_be_read_or_changed(store: Store) -> None:
    mine, other = await ann(store), await store.users.create("Bob", "user", now=1.0)
    await fill(store, mine.id)
    his = await fill(store, other.id)
    await store.usage.add([attempt(other.id, key_id=his["key"])])
    before = await everything(store)
    now = 5.0
    assert await store.keys.get(mine.id, his["key"]) is None
    assert await store.keys.update(mine.id, his["key"], name="x") is None
    assert not await store.keys.revoke(mine.id, his["key"], now=now)
    assert await store.sessions.get(mine.id, his["session"]) is None
    assert await store.sessions.update(mine.id, his["session"], now=now, title="x", agents=[]) is None
    assert await store.sessions.set_agent(mine.id, his["session"], SessionAgent("b", "p"), now=now) is None
    assert await store.sessions.remove_agent(mine.id, his["session"], "a", now=now) is None
    assert not await store.sessions.delete(mine.id, his["session"])
    assert not await store.web_sessions.end(mine.id, his["hash"])
    await store.web_sessions.touch(mine.id, his["hash"], now=now, expires_at=0.0)
    assert not await store.sealed.reseal(mine.id, SealedKey("v1.other", "k1", ""), KEY)
    assert await everything(store) == before
    assert [key.user_id for key in (await store.keys.list(mine.id)).items] == [mine.id]
    assert [session.user_id for session in (await store.sessions.list(mine.id)).items] == [mine.id]
    assert [test.user_id for test in await store.connection_tests.latest(mine.id)] == [mine.id]
    assert (await store.usage.attempts_of(mine.id)).items == ()
    assert (await store.usage.of_user(mine.id, by=("key",), since=0.0, until=1e9)) == ()
    theirs = (await store.keys.list_all(limit=1)).next
    assert theirs is not None
    with pytest.raises(StoreInvalid):  # a cursor of the list of all opens no list of one
        await store.keys.list(mine.id, cursor=theirs)


async def test_values_are_bound_and_never_part_of_a_statement(store: Store) -> None:
    user = await ann(store)
    await fill(store, user.id)
    before = await everything(store)
    assert await store.users.get(HOSTILE) is None
    assert await store.users.by_name(HOSTILE) is None
    assert await store.keys.find(HOSTILE) is None
    assert await store.keys.get(HOSTILE, HOSTILE) is None
    assert await store.sessions.get(HOSTILE, HOSTILE) is None
    assert await store.settings.get(HOSTILE) is None
    assert await store.web_sessions.get(HOSTILE, now=1.0) is None
    assert await store.one_time_tokens.use(HOSTILE, now=1.0) is None
    assert (
        await store.usage.of_all(
            by=(), since=0.0, until=1e9, user_id=HOSTILE, provider=HOSTILE, model=HOSTILE
        )
    )[0].sums.calls == 0
    assert (await store.audit.list(actor=HOSTILE)).items == ()
    assert await everything(store) == before


# usage


def attempt(user_id: str = "u", **more: Any) -> UsageAttempt:
    values: dict[str, Any] = {
        "request_id": "r",
        "at": 1000.0,
        "user_id": user_id,
        "provider": "openai",
        "wire": "openai",
        "outcome": "success",
        **more,
    }
    return UsageAttempt(**values)


async def test_an_attempt_counts_once_however_often_it_is_written(store: Store) -> None:
    user = await ann(store)
    key = await store.keys.create(user.id, public_id="p", digest="d", name="n", now=1.0)
    rows = [
        attempt(user.id, key_id=key.id, model="m", input_tokens=3, cost_micros=10, spend_period="2026-11"),
        attempt(user.id, key_id=key.id, outcome="RateLimitError", final=False, status=429),
        attempt(user.id, key_id=key.id, at=1001.0, model="m", duration_ms=2.5),
    ]
    assert await store.usage.add([*rows, rows[0]]) == 3
    assert await store.usage.add(rows[:2]) == 0
    (whole,) = await store.usage.of_user(user.id, by=(), since=0.0, until=1e9)
    assert (whole.sums.calls, whole.sums.attempts, whole.sums.errors) == (2, 3, 1)
    assert (whole.sums.input_tokens, whole.sums.cost_micros, whole.sums.unknown_cost_calls) == (3, 10, 1)
    assert whole.sums.duration_ms == 2.5
    found = await store.keys.get(user.id, key.id)
    assert found is not None
    assert (found.spent_micros, found.spent_period, found.last_used_at) == (10, "2026-11", 1001.0)
    listed = await store.usage.attempts_of(user.id)
    assert {row.id: row for row in listed.items} == {row.id: row for row in rows}


async def test_attempts_come_back_as_they_were(store: Store) -> None:
    rows = [
        attempt(
            model="'; DROP TABLE users; --", provider='"\\u0041 {é} 🙂', request_id="$.id", why="', null, ''"
        ),
        attempt(at=1763730000.123456, duration_ms=0.1 + 0.2, first_token_ms=0.0, counted="measured"),
        attempt(final=False, status=0, input_tokens=2**53, output_tokens=0, cost_micros=1, key_id="null"),
        attempt(cached_tokens=1, reasoning_tokens=2, spend_period="all", wire="true", outcome="1.0"),
    ]
    assert await store.usage.add(rows) == 4
    listed = await store.usage.attempts_of("u")
    assert {row.id: row for row in listed.items} == {row.id: row for row in rows}


async def test_money_of_a_new_period_begins_at_nothing(store: Store) -> None:
    user = await ann(store)
    key = await store.keys.create(user.id, public_id="p", digest="d", name="n", now=1.0)
    for period, micros in (("2026-10", 5), ("2026-11", 7), ("2026-10", 100), ("2026-11", 1)):
        await store.usage.add([attempt(user.id, key_id=key.id, cost_micros=micros, spend_period=period)])
    found = await store.keys.get(user.id, key.id)
    assert found is not None
    assert (found.spent_micros, found.spent_period) == (8, "2026-11")
    changed = await store.keys.update(user.id, key.id, limits=Limits(period="day"))
    assert changed is not None
    assert (changed.spent_micros, changed.spent_period) == (0, None)


async def test_sums_by_day_are_those_of_the_attempts(store: Store) -> None:
    rows = [
        attempt(
            f"u{number % 3}",
            at=43200.0 * (number % 7),
            key_id=None if number % 2 else f"k{number % 4}",
            model=None if number % 5 == 0 else f"m{number % 3}",
            outcome="success" if number % 4 else "ServerError",
            final=number % 6 != 0,
            input_tokens=number if number % 3 else None,
            cost_micros=number * 7 if number % 8 else None,
            duration_ms=float(number),
        )
        for number in range(240)
    ]
    async with anyio.create_task_group() as group:
        for start in range(0, 240, 40):
            group.start_soon(store.usage.add, rows[start : start + 40])
    by = ("day", "user", "key", "provider", "model")
    groups = await store.usage.of_all(by=by, since=0.0, until=1e6)
    assert sum(one.sums.attempts for one in groups) == 240
    assert sum(one.sums.input_tokens for one in groups) == sum(row.input_tokens or 0 for row in rows)
    for day in ("1970-01-01", "1970-01-02", "1970-01-03", "1970-01-04"):
        await store.usage.rebuild(day)
        await store.usage.rebuild(day)
    assert await store.usage.of_all(by=by, since=0.0, until=1e6) == groups
    only = await store.usage.of_user("u1", by=("model",), since=0.0, until=1e6, provider="openai")
    assert sum(one.sums.attempts for one in only) == 80


async def test_old_attempts_go_and_their_sums_stay(store: Store) -> None:
    day = 86400.0
    await store.usage.add([attempt(at=day * number + 5) for number in range(10)])
    assert await store.usage.purge(before=day * 6 + 100, batch=2) == 6
    assert [row.at for row in (await store.usage.attempts_of("u")).items] == [
        day * number + 5 for number in (9, 8, 7, 6)
    ]
    assert (await store.usage.of_user("u", by=(), since=0.0, until=1e6))[0].sums.attempts == 10
    with pytest.raises(StoreConflict, match="not kept"):
        await store.usage.rebuild("1970-01-03")
    await store.usage.rebuild("1970-01-07")
    assert (await store.usage.of_user("u", by=(), since=0.0, until=1e6))[0].sums.attempts == 10


async def test_what_a_broken_vendor_says_is_kept_plain(store: Store) -> None:
    row = attempt(
        model="a\0b\n\ud800" + "x" * 1000,
        input_tokens=10**40,
        output_tokens=-5,
        cost_micros=2**63,
        provider="=1+1",
    )
    assert await store.usage.add([row]) == 1
    (found,) = (await store.usage.attempts_of("u")).items
    assert found.model is not None
    assert found.model.startswith("a\\x00b\\n\\ud800x")
    assert len(found.model) == 256
    assert (found.input_tokens, found.output_tokens) == (2**53, None)


# audit


async def test_t20_the_audit_log_can_only_grow(store: Store) -> None:
    entry = await store.audit.append(
        at=1.0, actor="a", source="127.0.0.1", action="key.revoke", target="k", detail={"old": 1}
    )
    for statement in ("UPDATE audit SET actor = 'x'", "DELETE FROM audit"):
        with pytest.raises(StoreError):
            async with store.database.write() as connection:
                await connection.execute(text(statement))
    assert (await store.audit.list()).items == (entry,)


async def test_t20_an_entry_is_one_plain_line(store: Store) -> None:
    made = await store.audit.append(
        at=1.0,
        actor=HOSTILE,
        source="s\r\n",
        action="a\0",
        target="\u2028\ud800",
        detail={HOSTILE: [HOSTILE]},
    )
    (found,) = (await store.audit.list(actor=HOSTILE)).items
    assert found == made
    for said in (found.actor, found.source, found.action, found.target, *found.detail):
        assert said.isprintable()
    assert "\\n" in found.actor


async def test_t20_the_audit_log_takes_no_secrets_and_no_novels(store: Store) -> None:
    endless: list[Any] = []
    endless.append(endless)
    for detail in (
        {"k": Secret("x")},
        {"k": "x" * 200, **{str(n): "y" * 250 for n in range(99)}},
        {"k": b"x"},
    ):
        with pytest.raises(StoreInvalid):
            await store.audit.append(at=1.0, actor="a", source="s", action="a", target="t", detail=detail)
    assert (await store.audit.list()).items == ()


# schema


async def test_the_newest_schema_is_the_one_of_the_tables(store: Store) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    async with store.database.read() as connection:
        changes = await connection.run_sync(
            lambda sync: compare_metadata(MigrationContext.configure(sync), metadata)
        )
    wanted = [
        change for change in changes if not isinstance(change, list)
    ]  # lists: modified defaults and the like
    assert wanted == []
    assert revisions()[-1] == HEAD


async def test_upgrades_at_the_same_time_do_the_work_once(url: str) -> None:
    done: list[tuple[str | None, str]] = []

    async def run() -> None:
        done.append(await upgrade(url))

    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(run)
    assert sorted(done, key=str) == sorted([(None, HEAD), *[(HEAD, HEAD)] * 3], key=str)


async def test_the_first_schema_with_data_in_it_becomes_the_newest(url: str) -> None:
    assert await upgrade(url, "0001") == (None, "0001")
    database = Database(url)
    try:
        with pytest.raises(StoreOutdated, match="llmcore db upgrade"):
            await check_current(database)
        async with database.write() as connection:
            for statement in OLD_ROWS:
                await connection.execute(text(statement))
        assert await upgrade_database(database) == ("0001", HEAD)
        await check_current(database)
    finally:
        await database.close()
    async with open_store(url, migrate=False) as store:
        first = await store.settings.get("u1")
        assert first is not None
        assert (first.version, first.origin, first.key) == (
            1,
            "https://a.test:8443",
            SealedKey("v1.x", "k", "1234"),
        )
        plain = await store.settings.get(SYSTEM)
        assert plain is not None
        assert (plain.origin, plain.key) == (None, SealedKey("v1.y", "k", "5678"))
        broken = await store.settings.get("u2")
        assert broken is not None
        assert (broken.origin, broken.key) == (None, None)
        (row,) = (await store.usage.attempts_of("u1")).items
        assert (row.counted, row.input_tokens, row.reasoning_tokens, row.final) == ("measured", 3, None, True)
        assert (await store.usage.of_user("u1", by=(), since=0.0, until=1e6))[0].sums.input_tokens == 3
        found = await store.keys.find("pub")
        assert found is not None
        assert found.key.limits == Limits(rpm=5)
        assert found.user.name == "Ann"
        assert await store.sealed.key_ids() == {"k"}
        changed = await store.settings.patch("u1", SettingsChange(model="new"), now=2.0, expected=1)
        assert changed.version == 2


OLD_ROWS = (
    "INSERT INTO users VALUES ('u1', 'Ann', 'ann', 'admin', NULL, FALSE, 1.0)",
    "INSERT INTO users VALUES ('u2', 'Bob', 'bob', 'user', NULL, FALSE, 1.0)",
    "INSERT INTO llm_settings VALUES ('u1', 'openai', 'm', NULL, 'https://a.test:8443/v1', 'v1.x', '1234', 'k', 0.5, 9, 1.0)",
    "INSERT INTO llm_settings VALUES ('u2', 'openai', 'm', NULL, 'nonsense', 'v1.z', '9999', 'k', NULL, NULL, 1.0)",
    "INSERT INTO llm_settings VALUES ('', 'openai', NULL, NULL, NULL, 'v1.y', '5678', 'k', NULL, NULL, 1.0)",
    (
        "INSERT INTO virtual_keys (id, public_id, digest, user_id, name, scopes, rpm, budget_period, spent_micros, created_at) "
        "VALUES ('k1', 'pub', 'd', 'u1', 'n', '[\"inference\"]', 5, 'month', 0, 1.0)"
    ),
    (
        "INSERT INTO usage_attempts (id, at, request_id, user_id, provider, wire, outcome, final, why, input_tokens) "
        "VALUES ('a1', 1000.0, 'r', 'u1', 'openai', 'openai', 'success', TRUE, 'first', 3)"
    ),
    "INSERT INTO usage_days VALUES ('1970-01-01', 'u1', '', 'openai', '', 1, 1, 0, 3, 0, 0, 0, 1, 0.0)",
)


async def test_a_newer_schema_is_left_alone(url: str) -> None:
    await upgrade(url)
    database = Database(url)
    try:
        async with database.write() as connection:
            await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        for attempt in (check_current, upgrade_database):
            with pytest.raises(StoreOutdated, match="newer"):
                await attempt(database)
    finally:
        await database.close()


async def test_a_cancelled_caller_leaves_whole_rows_or_none_and_the_store_goes_on(store: Store) -> None:
    await ann(store)
    for number in range(12):
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(fill_and_count, store, number)
                await anyio.sleep(0.001 * number)
                scope.cancel()
        user = await store.users.by_name(f"user {number}")
        if user is not None:
            keys = await store.keys.list(user.id)
            assert len(keys.items) <= 1
    assert await store.users.create("after", "user", now=1.0)
    await store.ping()


async def fill_and_count(store: Store, number: int) -> None:
    user = await store.users.create(f"user {number}", "user", now=1.0)
    await fill(store, user.id)


async def test_an_error_inside_leaves_nothing(store: Store) -> None:
    with pytest.raises(ZeroDivisionError):
        await insert_half(store)
    async with store.database.read() as connection:
        assert (await connection.execute(text("SELECT * FROM meta WHERE name = 'half'"))).all() == []


async def insert_half(store: Store) -> None:
    async with store.database.write() as connection:
        await connection.execute(text("INSERT INTO meta VALUES ('half', 'x')"))
        raise ZeroDivisionError


async def test_a_loop_of_reads_or_writes_can_be_cancelled(store: Store) -> None:
    async with anyio.create_task_group() as group:
        for action in (store.ping, store.users.count, lambda: store.one_time_tokens.purge(now=1.0)):
            group.start_soon(forever, action)
        await anyio.sleep(0.02)
        group.cancel_scope.cancel()
    await store.ping()


async def forever(action: Callable[[], Awaitable[object]]) -> None:
    while True:
        await action()
