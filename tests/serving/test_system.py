"""Providers for everybody, changed while it runs: added, edited, ordered, removed; their keys; what other processes see."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from llmcore.config import LlmConfig, ProviderConfig
from llmcore.gateway.config import GatewayConfig
from llmcore.gateway.store import Store, StoreConflict
from llmcore.gateway.system import Entry, SystemProviders, load, reseal, save
from llmcore.gateway.vault import remove_old, rotate
from llmcore.secret import Secret
from llmcore.serving.first import new_key, welcome
from llmcore.serving.opened import Ready, opened, stored
from llmcore.serving.options import master_key_file

pytestmark = pytest.mark.anyio

KEY = "sk-canary-of-the-system-1234"
AT = "/api/providers"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def llm() -> LlmConfig:
    first = ProviderConfig("first", "vllm", text_model="m", priority=1)
    hosted = ProviderConfig("hosted", "openai", api_key="sk-of-the-file-000000", priority=2)
    return LlmConfig((first, hosted), prices="off")


@asynccontextmanager
async def running(
    path: Path, configured: LlmConfig | None = None
) -> AsyncIterator[tuple[Ready, httpx.AsyncClient]]:
    config = GatewayConfig(data_dir=str(path), key_cache=0.0)
    async with opened(config, configured or llm(), {}) as ready:
        services = ready.services
        said = await welcome(services.store, services.vault, config, 8400)
        admin = await services.store.users.by_name("admin")
        assert admin is not None
        key = said.key or await new_key(services.store, services.vault, admin, "again")
        headers = {"x-api-key": key.reveal()}
        transport = httpx.ASGITransport(app=ready.app)  # type: ignore[arg-type]  # our ASGI types are plainer than httpx's
        async with httpx.AsyncClient(
            transport=transport, base_url="http://127.0.0.1", headers=headers
        ) as http:
            yield ready, http


async def names(http: httpx.AsyncClient) -> list[str]:
    return [one["name"] for one in (await http.get(AT)).json()["providers"]]


async def test_who_is_switched_off_need_not_be_put_in_order(tmp_path: Path) -> None:
    off = ProviderConfig("off", "vllm", text_model="m", enabled=False)
    configured = LlmConfig((*llm().providers, off), prices="off")
    async with running(tmp_path, configured) as (_, http):
        assert await names(http) == ["first", "hosted"]
        for wrong in (["first"], ["hosted", "first", "first"], ["hosted", "first", "nobody"], []):
            assert (await http.put(f"{AT}/order", json={"names": wrong})).status_code == 400, wrong
        assert (await http.put(f"{AT}/order", json={"names": ["hosted", "first"]})).status_code == 200
        listed = (await http.get(AT)).json()["providers"]
        assert {one["name"]: one["priority"] for one in listed} == {"hosted": 1, "first": 2}
        assert (await http.put(f"{AT}/order", json={"names": ["off", "first", "hosted"]})).status_code == 200


async def test_add_change_order_remove(tmp_path: Path) -> None:
    async with running(tmp_path) as (ready, http):
        body = {"name": "third", "provider": "groq", "api_key": KEY, "text_model": "llama"}
        made = await http.post(AT, json=body)
        assert made.status_code == 201, made.text
        assert await names(http) == ["first", "hosted", "third"]
        assert (await http.post(AT, json=body)).status_code == 409
        assert (await http.patch(f"{AT}/third", json={"text_model": "bigger"})).status_code == 200
        config = await ready.services.system.config()  # type: ignore[union-attr]
        third = next(one for one in config.providers if one.name == "third")
        assert third.text_model == "bigger"
        assert third.api_key is not None
        assert third.api_key.reveal() == KEY
        assert (await http.put(f"{AT}/order", json={"names": ["third", "first"]})).status_code == 400
        assert (
            await http.put(f"{AT}/order", json={"names": ["third", "hosted", "first"]})
        ).status_code == 200
        explained = (
            await http.post(f"{AT}/explain", json={"messages": [{"role": "user", "content": "x"}]})
        ).json()
        assert explained["candidates"][0]["provider"] == "third"
        assert (await http.delete(f"{AT}/first")).status_code == 200
        assert await names(http) == ["hosted", "third"]
        assert (await http.delete(f"{AT}/first")).status_code == 404
        assert KEY not in (await http.get(AT)).text + (await http.get("/api/audit")).text
    async with running(tmp_path) as (_, http):
        assert await names(http) == ["hosted", "third"]
    assert_not_kept(tmp_path)


def assert_not_kept(path: Path) -> None:
    for file in path.rglob("gateway.db*"):
        assert KEY.encode() not in file.read_bytes()


async def test_their_keys_follow_a_new_master_key(tmp_path: Path) -> None:
    async with running(tmp_path) as (ready, http):
        await http.post(AT, json={"name": "third", "provider": "groq", "api_key": KEY})
        store, vault = ready.services.store, ready.services.vault
        await rotate(store, vault)
        assert await reseal(store, vault) == 1
        await remove_old(store, vault)
    async with running(tmp_path) as (ready, _):
        config = await ready.services.system.config()  # type: ignore[union-attr]
        assert any(one.api_key is not None and one.api_key.reveal() == KEY for one in config.providers)


async def test_what_cannot_work_changes_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as (ready, http):
        for body in (
            {"name": "x", "provider": "openai"},
            {"name": "x", "provider": "nobody"},
            {"name": "a/b", "provider": "vllm"},
            {"name": "x", "provider": "openai", "api_key": KEY, "base_url": "https://169.254.169.254"},
            {"name": "x", "provider": "vllm", "base_url": "http://127.0.0.1:22"},
        ):
            assert (await http.post(AT, json=body)).status_code == 400, body
        assert await load(ready.services.store) == {}
        assert await names(http) == ["first", "hosted"]
        await http.delete(f"{AT}/first")
        assert (await http.delete(f"{AT}/hosted")).status_code == 400  # somebody must be left
        assert await names(http) == ["hosted"]


async def test_t04_the_files_key_does_not_go_to_another_address(tmp_path: Path) -> None:
    async with running(tmp_path) as (ready, http):
        moved = await http.patch(f"{AT}/hosted", json={"base_url": "https://llm.example.org/v1"})
        config = await ready.services.system.config()  # type: ignore[union-attr]
        hosted = next(one for one in config.providers if one.name == "hosted")
        if moved.status_code == 200:
            assert hosted.base_url == "https://llm.example.org/v1"
            assert hosted.api_key is None
        body = {"base_url": "https://llm.example.org/v1", "api_key": KEY}
        assert (await http.patch(f"{AT}/hosted", json=body)).status_code == 200
        again = await http.patch(f"{AT}/hosted", json={"base_url": "https://other.example.org/v1"})
        assert again.status_code in {200, 400}
        entry = (await load(ready.services.store))["hosted"]
        assert again.status_code == 400 or "key" not in entry


async def test_another_process_follows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import anyio

    monkeypatch.setattr("llmcore.gateway.system.EVERY_S", 0.05)
    async with running(tmp_path) as (_, one), running(tmp_path) as (_, other):
        await one.delete(f"{AT}/first")
        with anyio.fail_after(5):
            while await names(other) != ["hosted"]:  # noqa: ASYNC110 - what is waited for has no event
                await anyio.sleep(0.05)


async def test_a_process_that_missed_a_rotation_seals_with_the_new_key(tmp_path: Path) -> None:
    """What it sealed with the old one could never be opened again once that is dropped."""
    async with running(tmp_path) as (ready, http):
        async with stored(GatewayConfig(data_dir=str(tmp_path)), {}) as (store, elsewhere):
            await rotate(store, elsewhere)
            await remove_old(store, elsewhere)
        made = await http.post(AT, json={"name": "third", "provider": "groq", "api_key": KEY})
        assert made.status_code == 201, made.text
        assert (await load(ready.services.store))["third"]["key"]["key_id"] == elsewhere.key_id
    async with running(tmp_path) as (_, http):
        assert await names(http) == ["first", "hosted", "third"]


async def test_a_master_key_that_cannot_be_read_for_a_while_ends_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import anyio

    monkeypatch.setattr("llmcore.gateway.system.EVERY_S", 0.05)
    config = GatewayConfig(data_dir=str(tmp_path))
    file = master_key_file(config, {})
    async with running(tmp_path) as (ready, http):
        await http.post(AT, json={"name": "third", "provider": "groq", "api_key": KEY})
        async with stored(config, {}) as (store, elsewhere):
            await rotate(store, elsewhere)
            file.rename(tmp_path / "away")
            # what the running process is to follow, and has not the key for
            assert await reseal(store, elsewhere) == 1
        await anyio.sleep(0.3)
        assert (await http.get("/healthz")).status_code == 200
        (tmp_path / "away").rename(file)
        assert await names(http) == ["first", "hosted", "third"]
        with anyio.fail_after(5):
            while ready.services.vault.key_id != elsewhere.key_id:  # noqa: ASYNC110 - it has no event
                await anyio.sleep(0.05)


async def test_a_key_that_was_dropped_meanwhile_is_not_kept(tmp_path: Path) -> None:
    async with running(tmp_path) as (ready, _):
        services = ready.services
        store, system, vault = services.store, services.system, services.vault
        assert system is not None
        key = system.sealed("third", "groq", None, Secret(KEY))
        entry = {"provider": "groq", "key": key}
        await rotate(store, vault)
        await system.change(lambda entries: entries.update({"third": dict(entry)}))
        with pytest.raises(StoreConflict):
            await remove_old(store, vault)  # something is sealed with it
        await system.change(dict.clear)
        await remove_old(store, vault)
        with pytest.raises(StoreConflict):
            await store.sealed.retire([vault.key_id])  # the one that seals all else
        await save_is_refused(system, store, entry)


async def save_is_refused(system: SystemProviders, store: Store, entry: Entry) -> None:
    with pytest.raises(StoreConflict, match="master key was changed"):
        await save(store, {"third": entry}, json.dumps(await load(store)))
    assert "third" not in await load(store)
    assert "third" not in {one.name for one in (await system.config()).providers}


async def test_of_two_changes_at_once_neither_is_lost(tmp_path: Path) -> None:
    async with running(tmp_path) as (ready, one), running(tmp_path) as (_, other):
        system = ready.services.system
        assert system is not None
        before = json.dumps(await load(ready.services.store))
        assert (
            await other.post(AT, json={"name": "third", "provider": "groq", "api_key": KEY})
        ).status_code == 201
        with pytest.raises(StoreConflict, match="somebody else"):
            await save(ready.services.store, {"fourth": {"provider": "vllm"}}, before)
        assert set(await load(ready.services.store)) == {"third"}
        assert (await one.post(AT, json={"name": "fourth", "provider": "vllm"})).status_code == 201
        assert set(await load(ready.services.store)) == {"third", "fourth"}


async def test_of_two_changes_of_one_provider_none_undoes_the_other(tmp_path: Path) -> None:
    async with running(tmp_path) as (ready, http):
        changes = [{"text_model": "n"}, {"priority": 7}, {"max_in_flight": 3}]
        replies = await asyncio.gather(*(http.patch(f"{AT}/first", json=one) for one in changes))
        kept = (await load(ready.services.store))["first"]
        assert 200 in {reply.status_code for reply in replies}
        for change, reply in zip(changes, replies, strict=True):
            ((field, value),) = change.items()
            if reply.status_code == 200:
                assert kept[field] == value
            else:
                assert reply.status_code == 409
                assert "try again" in reply.json()["error"]["message"]
                assert field not in kept


async def test_one_that_was_removed_may_be_added_again(tmp_path: Path) -> None:
    async with running(tmp_path) as (_, http):
        assert (await http.delete(f"{AT}/first")).status_code == 200
        again = await http.post(AT, json={"name": "first", "provider": "vllm", "text_model": "n"})
        assert again.status_code == 201
        assert sorted(await names(http)) == ["first", "hosted"]


async def test_a_save_that_fails_leaves_the_process_as_the_database_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path) as (_, http):

        async def fails(*_: object) -> None:
            raise StoreConflict("somebody was faster")

        monkeypatch.setattr("llmcore.gateway.system.save", fails)
        assert (await http.delete(f"{AT}/first")).status_code == 409
        explained = await http.post(f"{AT}/explain", json={"messages": [{"role": "user", "content": "x"}]})
        assert [one["provider"] for one in explained.json()["candidates"]] == ["first", "hosted"]


async def test_an_entry_that_does_not_open_is_left_out_and_said(tmp_path: Path) -> None:
    async with running(tmp_path) as (ready, http):
        await http.post(AT, json={"name": "third", "provider": "groq", "api_key": KEY})
        entries = await load(ready.services.store)
        before = json.dumps(entries)
        entries["third"]["key"]["text"] = entries["third"]["key"]["text"][:-4] + "AAAA"
        await save(ready.services.store, entries, before)
    async with running(tmp_path) as (_, http):
        assert await names(http) == ["first", "hosted"]
        assert (await http.get("/api/v1/llm/status")).json()["left_out"] == ["third"]
        assert (
            await http.post(AT, json={"name": "third", "provider": "groq", "api_key": KEY})
        ).status_code == 201
        assert (await http.get("/api/v1/llm/status")).json()["left_out"] == []
        assert await names(http) == ["first", "hosted", "third"]
