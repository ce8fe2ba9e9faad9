"""Scenarios through a real gateway over HTTP: a good one passes, a careless one is found out, a foreign one is judged fairly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from llmcore.chaos.gateway import run_through, upstreams
from llmcore.chaos.judge import judge
from llmcore.chaos.nouns import Result
from llmcore.chaos.public import PUBLIC
from llmcore.chaos.routes import first_of, ports_of, routes
from llmcore.chaos.scenarios import chosen
from llmcore.chaos.settings import FAST, Profile, default_config
from llmcore.chaos.through import Endpoint
from llmcore.config import FallbackConfig, LlmConfig, ProviderConfig
from llmcore.errors import ConfigurationError
from llmcore.gateway.http import AsgiApp, Receive, Scope, Send
from llmcore.loader import load_config
from llmcore.providers import kinds
from tests.chaos.cases import FACTS, case
from tests.gateway.sdk.served import GatewayThread

QUICK = Profile("test", 0.1)
SPLICE = LlmConfig(default_config().providers, FallbackConfig(mid_stream="splice"))
REMOTE = evolve(FACTS, remote=True)


def verdicts(results: Sequence[Result]) -> dict[str, str]:
    return {result.scenario.id: f"{result.verdict}: {result.worst.sentence}" for result in results}


def run(
    folder: Path,
    names: Sequence[str],
    config: LlmConfig = SPLICE,
    wrap: Callable[[AsgiApp], AsgiApp] = lambda app: app,
    heard: list[str] | None = None,
) -> dict[str, str]:
    """The scenarios' verdicts, through a gateway in a thread of its own."""

    @asynccontextmanager
    async def gateway(text: str) -> AsyncIterator[Endpoint]:
        thread = GatewayThread(load_config(text, environ={}, kinds=kinds()), folder, wrap=wrap)
        await asyncio.to_thread(thread.__enter__)
        try:
            yield Endpoint(thread.url, thread.key)
        finally:
            await asyncio.to_thread(thread.__exit__)

    def progress(result: Result) -> None:
        if heard is not None:
            heard.append(result.scenario.id)

    return verdicts(asyncio.run(run_through(config, chosen(names), QUICK, gateway, progress)))


# -------------------------------------------------------------------------------------------- real gateways


def test_ours_passes(tmp_path: Path) -> None:
    heard: list[str] = []
    names = ["S03", "S04", "S08", "S10", "S12", "S13", "S14", "S16"]
    found = run(tmp_path, names, heard=heard)
    assert list(found) == names
    assert sorted(heard) == names
    assert {words.partition(":")[0] for words in found.values()} == {"pass"}, found
    assert "secondary answered instead" in found["S08"]


@pytest.mark.parametrize("kind", ["anthropic", "gemini"])
def test_over_another_dialect(tmp_path: Path, kind: str) -> None:
    entries = [ProviderConfig("one", kind, priority=1), ProviderConfig("two", "openai", priority=2)]
    found = run(tmp_path, ["S04", "S16"], LlmConfig(entries))
    assert found["S04"].startswith("pass: two answered instead")
    assert found["S16"].startswith("pass")


def test_without_a_policy_for_cuts_a_cut_is_safe(tmp_path: Path) -> None:
    found = run(tmp_path, ["S08"], evolve(SPLICE, fallback=FallbackConfig()))
    assert found["S08"].startswith("safe")


def test_a_gateway_without_books_and_names_is_judged_by_what_it_says(tmp_path: Path) -> None:
    found = run(tmp_path, ["S04", "S16"], wrap=Foreign)
    assert found["S04"].startswith("pass")
    assert found["S16"] == "partial: the caller is not told who answered, and who was tried"


@pytest.mark.parametrize(
    ("way", "words"),
    [
        ("stutters", "came twice"),
        ("cuts", "truncated"),
        ("leaks", "key can be read"),
        ("renames", "no provider of ours"),
    ],
)
def test_a_gateway_that_misbehaves_fails(tmp_path: Path, way: str, words: str) -> None:
    found = run(tmp_path, ["S11"], wrap=partial(Bad, way))
    assert found["S11"].startswith("fail")
    assert words in found["S11"]


def test_a_gateway_over_other_providers_is_refused(tmp_path: Path) -> None:
    other = LlmConfig((ProviderConfig("x", "openai", api_key="k", base_url="http://127.0.0.1:1/v1"),))
    with GatewayThread(other, tmp_path) as thread:

        @asynccontextmanager
        async def gateway(text: str) -> AsyncIterator[Endpoint]:
            yield Endpoint(thread.url, thread.key)

        with pytest.raises(ConfigurationError) as caught:
            asyncio.run(run_through(SPLICE, chosen(["S03"]), QUICK, gateway))
    assert "--endpoint" in str(caught.value)


class Foreign:
    """No headers of ours, no books."""

    def __init__(self, app: AsgiApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith("/api/"):
            await send({"type": "http.response.start", "status": 404, "headers": []})
            await send({"type": "http.response.body", "body": b"{}"})
            return

        async def sent(message: Any) -> None:
            if message["type"] == "http.response.start":
                kept = [pair for pair in message["headers"] if not pair[0].startswith(b"x-llmcore")]
                message = {**message, "headers": kept}
            await send(message)

        await self._app(scope, receive, sent)


class Bad:
    """Spoils streams on their way."""

    def __init__(self, way: str, app: AsgiApp) -> None:
        self._way = way
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        away = self._way == "renames" and scope["type"] == "http" and scope["path"].startswith("/api/")
        if away:
            await send({"type": "http.response.start", "status": 404, "headers": []})
            await send({"type": "http.response.body", "body": b"{}"})
            return
        chat = scope["type"] == "http" and scope["path"].endswith("/chat/completions")
        await self._app(scope, receive, self._spoiled(send) if chat else send)

    def _spoiled(self, send: Send) -> Callable[[Any], Awaitable[None]]:
        async def sent(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = [pair for pair in message["headers"] if pair[0] != b"content-length"]
                if self._way == "leaks":
                    headers.append((b"x-debug", b"upstream authorization: chaos-upstream-key"))
                if self._way == "renames":
                    headers = [(k, b"somebody" if k == b"x-llmcore-provider" else v) for k, v in headers]
                message = {**message, "headers": headers}
            elif self._way == "stutters":
                message = {
                    **message,
                    "body": message.get("body", b"")
                    .replace(b'"word7', b'"word6 word7')
                    .replace(b'" word7', b'" word6 word7'),
                }
            elif self._way == "cuts":
                message = {**message, "body": message.get("body", b"").replace(b" word60", b"")}
            await send(message)

        return sent


# ---------------------------------------------------------------------------------------------- pure parts


def test_every_case_has_a_name_and_ports_of_its_own() -> None:
    every = routes(PUBLIC)
    assert len({route.name for route in every}) == len(every) == sum(len(one.cases) for one in PUBLIC)
    ports = ports_of(("a", "b", "c"), 9000)
    flat = [port for own in ports.values() for port in own.values()]
    assert sorted(flat) == list(range(9000, 9000 + 3 * len(every)))
    (route,) = [one for one in every if one.name == "s08-stream"]
    assert route.short(route.full("primary")) == "primary"


@pytest.mark.parametrize("port", [0, -1, 65_500, 70_000])
def test_ports_must_be_there(port: int) -> None:
    with pytest.raises(ConfigurationError, match="--upstream-port"):
        ports_of(("a", "b"), port)


def test_the_configuration_for_a_gateway_is_one() -> None:
    text = upstreams(SPLICE, chosen(["S04", "S08"]), FAST, 8600)
    config = load_config(text, environ={}, kinds=kinds())
    assert [entry.name for entry in config.providers] == [
        "s04-stream-primary",
        "s04-stream-secondary",
        "s04-generate-primary",
        "s04-generate-secondary",
        "s08-stream-primary",
        "s08-stream-secondary",
    ]
    by_name = {entry.name: entry for entry in config.providers}
    assert by_name["s08-stream-primary"].models == {"s08-stream": "cut-40"}
    assert by_name["s08-stream-secondary"].models == {"s08-stream": "sim-model"}
    assert config.fallback.mid_stream == "splice"
    assert config.fallback.patience == pytest.approx(2.0)
    alone = load_config(upstreams(SPLICE, chosen(["S08"]), FAST, 8600), environ={}, kinds=kinds())
    assert alone.providers == config.providers[4:]


def test_what_cannot_be_tried_through_a_gateway() -> None:
    with pytest.raises(ConfigurationError, match="F01"):
        routes(chosen(["S01", "F01"]))
    with pytest.raises(ConfigurationError, match="strategy"):
        first_of(evolve(SPLICE, fallback=FallbackConfig(strategy="weighted")))
    entries = [ProviderConfig("late", "openai", priority=2), ProviderConfig("early", "openai", priority=1)]
    assert first_of(LlmConfig(entries)) == "early"


def test_an_answer_of_which_no_provider_knows() -> None:
    finding = judge(case(facts=REMOTE, hits=()))
    assert (finding.verdict, finding.sentence) == ("fail", "no provider was asked")


def test_a_gateway_need_not_name_who_answered_but_must_not_lie() -> None:
    assert judge(case(facts=REMOTE, call={"provider": None})).verdict == "pass"
    assert judge(case(facts=FACTS, call={"provider": None})).verdict == "fail"
    assert judge(case(facts=REMOTE, call={"provider": "c"})).verdict == "fail"
    assert judge(case("S16", facts=REMOTE, call={"provider": None})).verdict == "partial"
    assert judge(case("S16", facts=REMOTE, call={"attempts": ()})).verdict == "partial"
