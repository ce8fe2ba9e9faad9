"""Canary keys through every error path there is: they appear in no log, view, traceback with locals, ledger or file."""

from __future__ import annotations

import logging
import warnings
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
import pytest
import structlog

import llmcore
from llmcore.cli import journal
from llmcore.config import BreakerConfig, FallbackConfig, KeyConfig, LlmConfig, ProviderConfig, Timeouts
from llmcore.errors import LlmError, ProviderError
from llmcore.manager import ProviderManager
from llmcore.sim import Simulator, SimulatorThread, fault_names
from llmcore.types import GenerationRequest
from tests.canary import CANARIES, HEADERS, KEY, SECOND, SPARE, inside, leaks, told_by, views

KINDS = ("openai", "anthropic", "gemini", "openai_responses", "cohere", "ollama", "replicate")
HEAVY = {"gzip-bomb", "flood"}
NUMBERS = {"status": "503", "seconds": "5", "percent": "100", "n": "2"}
QUICK = Timeouts(connect=2.0, pool=5.0, first_token=0.25, inter_chunk=0.25, total=1.5)
WAYS = [("asyncio", "httpx"), ("trio", "httpx"), ("asyncio", "fast")]


class Seen:
    """Everything that was shown; a canary in it is told with what stands around it."""

    def __init__(self) -> None:
        self.count = 0
        self.found: list[str] = []
        self._known: set[tuple[type, str]] = set()

    def look(self, where: str, *texts: str) -> None:
        for text in texts:
            self.count += 1
            self.found += [f"{where}: {leak}" for leak in leaks(text)[:2]]

    def error(self, where: str, error: BaseException) -> None:
        """rich is slow, so it looks at one error of each class in each place."""
        kind = type(error), where.partition(" ")[0]
        self.look(where, *told_by(without_ours(error), by_rich=kind not in self._known))
        self._known.add(kind)


class Heard(logging.Handler):
    """but_for: a logger of a library whose own lines are not looked at."""

    def __init__(self, seen: Seen) -> None:
        super().__init__()
        self.seen = seen
        self.events = 0
        self.but_for: str | None = None

    def emit(self, record: logging.LogRecord) -> None:
        self.events += 1
        if self.but_for is None or not record.name.startswith(self.but_for):
            self.seen.look(f"log {record.name}", record.getMessage(), repr(record.__dict__))


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def heard(seen: Seen) -> Iterator[Heard]:
    """Every logger at its most talkative."""
    handler, root = Heard(seen), logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler
    root.removeHandler(handler)
    root.setLevel(before)


@pytest.fixture(scope="module")
def sim() -> Iterator[SimulatorThread]:
    with SimulatorThread(Simulator(seed=1)) as running:
        yield running


@pytest.fixture(autouse=True)
def environ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SPARE)
    monkeypatch.setenv("CANARY", KEY)


def every_fault() -> list[str]:
    """A model name for each fault that the simulator knows."""
    names = []
    for name, _ in fault_names():
        for word, number in NUMBERS.items():
            name = name.replace(f"<{word}>", number)  # noqa: PLW2901 - filled in step by step
        names.append(name)
    names.remove("refuse-5")  # of all at once; it has its place at the end
    return [*names, *(f"fail-{status}" for status in (400, 401, 402, 403, 404, 413, 422, 429, 500, 529))]


def config_for(sim: SimulatorThread, transport: Any, **fallback: Any) -> LlmConfig:
    """Every dialect, with two keys each and a secret header; nothing is left alone, so that every fault is met."""
    providers = [
        ProviderConfig(
            kind,
            kind,
            api_keys=(KeyConfig("one", KEY), KeyConfig("two", SECOND, 0.0)),
            headers=HEADERS,
            base_url=sim.base_url(kind),
            embedding_model="e",
            extra={"user": "x"},
        )
        for kind in KINDS
    ]
    policy: dict[str, Any] = {
        "breaker": BreakerConfig(enabled=False), "max_retries": 0, "max_retry_after": 0.0, "patience": 0
    }  # fmt: skip
    return LlmConfig(providers, FallbackConfig(**{**policy, **fallback}), QUICK, transport)


async def ask(llm: ProviderManager, how: str, request: GenerationRequest) -> Any:
    if how == "generate":
        return await llm.generate(request)
    if how == "embed":
        return await llm.embed(
            llmcore.EmbeddingRequest("x", model=request.model, providers=request.providers)
        )
    return await llm.stream(request).collect()


def reached(seen: Seen, llm: ProviderManager) -> None:
    """Everything that hangs on a manager."""
    things = [*inside(llm)]
    assert len(things) > 30
    for thing in things:
        seen.look(f"view of {type(thing).__name__}", *views(thing))
    for thing in (llm.stats(), llm.ledger.attempts, llm.ledger.tallies, llm.ledger.total(), llm.providers):
        seen.look("figures", *views(thing))
    seen.look("explain", *views(llm.explain("x")), llm.explain("x").__class__.__name__)


@asynccontextmanager
async def opened(config: LlmConfig) -> AsyncIterator[ProviderManager]:
    async with llmcore.open(config) as llm:
        yield llm


@pytest.mark.parametrize(("backend", "transport"), WAYS)
def test_every_fault_of_every_dialect(
    sim: SimulatorThread, seen: Seen, heard: Heard, tmp_path: Path, backend: str, transport: str
) -> None:
    failures: list[str] = []

    async def main() -> None:
        async with opened(config_for(sim, transport)) as llm:
            limiter = anyio.CapacityLimiter(24)

            async def one(kind: str, fault: str, how: str) -> None:
                model = f"sim/{fault}" if kind == "replicate" else fault
                async with limiter:
                    llm.reset(kind)
                    try:
                        answer = await ask(llm, how, GenerationRequest("hi", model=model, providers=(kind,)))
                        seen.look(f"answer {kind} {fault}", *views(answer))
                    except ProviderError as error:
                        failures.append(type(error).__name__)
                        seen.error(f"{how} {kind} {fault}", error)
                        journal.append(tmp_path / "journal", journal.entry_of(error, 0.1))

            async with anyio.create_task_group() as group:
                for fault in every_fault():
                    kinds = KINDS[:1] if fault in HEAVY else KINDS
                    for kind in kinds[: 3 if transport == "fast" or backend == "trio" else None]:
                        for how in ("generate", "stream"):
                            group.start_soon(one, kind, fault, how)
                group.start_soon(one, "openai", "fail-500", "embed")
            sim.refuse()
            await one("openai", "m", "generate")
            sim.accept()
            reached(seen, llm)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        anyio.run(main, backend=backend)
    seen.look("warnings", *(str(warning.message) for warning in caught))
    seen.look("journal", (tmp_path / "journal").read_text())
    assert len(failures) > 100
    assert len(set(failures)) >= 10, sorted(set(failures))
    assert heard.events > 100
    assert seen.found == [], f"{len(seen.found)} of {seen.count} texts"


ECHO: list[dict[str, Any]] = [
    {"status": 400, "echo_key": True},
    {"status": 401, "echo_key": True},
    {"status": 500, "echo_key": True},
    *({"status": status, "body": f"research: {canary} was sent"} for status in (200, 401, 502) for canary in CANARIES[:4]),
    {"status": 302, "headers": {"location": f"http://{KEY.partition('/')[0]}.example/?key={KEY}"}},
    {"status": 429, "headers": {"x-request-id": KEY, "retry-after": SECOND}},
    *({"error_after_events": count, "message": f"you are {SECOND}", "error": "server"} for count in (0, 2)),
    {"replace": [["hi", KEY]]},
]  # fmt: skip


@pytest.mark.parametrize(("backend", "transport"), WAYS)
def test_what_vendors_echo(
    sim: SimulatorThread, seen: Seen, heard: Heard, backend: str, transport: str
) -> None:
    """The answers' own text is left out: what a model says is the caller's. So are httpcore's DEBUG lines, which repeat
    every response header as it came; the gateway silences them (serving/records.py).
    """
    failed = 0
    heard.but_for = "httpcore"

    async def main() -> None:
        nonlocal failed
        async with opened(config_for(sim, transport)) as llm:
            for rule in ECHO[:-1]:
                sim.set_script({"rules": [rule]})
                for kind in KINDS[:4]:
                    for how in ("generate", "stream"):
                        llm.reset(
                            kind
                        )  # else keys that were refused keep the rules that follow from being met
                        try:
                            await ask(llm, how, GenerationRequest("hi there", model="m", providers=(kind,)))
                        except ProviderError as error:
                            failed += 1
                            seen.error(f"{how} {kind} {rule.get('status')}", error)
            sim.set_script(None)
            reached(seen, llm)

    anyio.run(main, backend=backend)
    assert failed > 100
    assert seen.found == []


@pytest.mark.parametrize(("backend", "transport"), WAYS)
def test_errors_and_cancellations_that_leave_the_block(
    sim: SimulatorThread, seen: Seen, heard: Heard, backend: str, transport: str
) -> None:
    """The frames of `open` are among those of whatever leaves its block."""

    async def failing(model: str) -> None:
        async with llmcore.open(config_for(sim, transport)) as llm:
            await llm.generate(GenerationRequest("x", model=model))

    async def raw() -> None:
        async with llmcore.open(config_for(sim, transport)) as llm, llm.stream("x") as events:
            await anext(events)
            raise ZeroDivisionError

    async def cancelled() -> None:
        with anyio.fail_after(0.1):
            async with llmcore.open(config_for(sim, transport)) as llm:
                await llm.generate(GenerationRequest("x", model="silent"))

    async def bad_reload() -> None:
        async with llmcore.open(config_for(sim, transport)) as llm:
            await llm.reload(
                '[[llm.providers]]\nprovider = "openai"\napi_key = "${CANARY}"\nbase_url = "x"\n'
            )

    async def from_environ() -> None:
        async with llmcore.open() as llm:
            raise LlmError(repr(llm))

    steps: list[Any] = [raw, cancelled, bad_reload, from_environ]
    steps += [
        partial(failing, model) for model in ("fail-500", "reset", "cut-2", "fail-400", "silent", "html-502")
    ]
    for step in steps:
        with pytest.raises(Exception) as caught:  # noqa: PT011 - of any kind; it is looked at
            anyio.run(step, backend=backend)
        seen.error(f"left the block: {caught.value!r:.60}", caught.value)
    assert seen.found == []


def test_what_shows_is_found(seen: Seen) -> None:
    """The detector itself: a key in a local, in a cause's local, in a field, and in other forms."""

    def careless(key: str) -> None:
        raise ValueError("no key here") from KeyError(len(key))

    with pytest.raises(ValueError, match="no key") as caught:
        careless(KEY)
    seen.error("careless", caught.value)
    assert len(seen.found) >= 2
    for form in (KEY, quote(SECOND, safe=""), b64encode(f"user:{HEADERS['Cookie']}".encode()).decode()):
        assert leaks(f"x{form}y"), form
    assert not leaks("***")


def without_ours(error: BaseException) -> BaseException:
    """The error without the frames of this test, which know the canaries."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__ and trace.tb_next is not None:
        trace = trace.tb_next
    return error.with_traceback(trace)


BROKEN = [
    'api_key = "${CANARY}"\nbase_url = "not an address"',
    'api_key = "${CANARY}"\nbase_url = "http://user:${CANARY}@host/v1"',
    'api_key = "${CANARY} with spaces"',
    'api_keys = ["${CANARY}", "${CANARY}"]\napi_key = "${CANARY}"',
    'api_key = "${CANARY}"\nunknown_key = 3',
    'api_key = "${CANARY}"\ntimeouts = { connect = "${CANARY}" }',
    'api_key = "${CANARY}"\nheaders = { Authorization = 3, Cookie = "${CANARY}" }',
    'api_key = "${CANARY}"\npriority = "${CANARY}"',
    'api_key = "${CANARY}"\nbase_url = "${CANARY}"',
    'api_key = "${CANARY}\\n"',
    'api_key = "${MISSING}"\ntext_model = "${CANARY}"\nmax_in_flight = -1',
]


@pytest.mark.parametrize("lines", BROKEN)
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_configurations_that_are_wrong(seen: Seen, heard: Heard, lines: str, backend: str) -> None:
    text = f'[[llm.providers]]\nname = "a"\nprovider = "openai"\n{lines}\n'

    async def main() -> None:
        async with llmcore.open(text):
            raise ZeroDivisionError

    with pytest.raises((LlmError, ZeroDivisionError)) as caught:
        anyio.run(main, backend=backend)
    seen.error("configuration", caught.value)
    assert seen.count > 5
    assert seen.found == []


def test_events_of_the_application_s_own_log(sim: SimulatorThread, seen: Seen) -> None:
    async def main() -> None:
        async with opened(config_for(sim, "httpx", max_retries=1, retry_delay_ms=0)) as llm:
            for model in ("fail-401", "fail-500", "fail-429-1", "reset", "cut-1", "fail-529"):
                with pytest.raises(ProviderError):
                    await llm.generate(GenerationRequest("x", model=model))

    with structlog.testing.capture_logs() as events:
        anyio.run(main)
    assert isinstance(events, list)
    seen.look("events", repr(events))
    assert seen.found == []
