"""Faults 63, 65 and 66: more calls than connections, proxies, and a host of which one address is dead."""

from __future__ import annotations

import socket
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import anyio
import httpx
import pytest
from attrs import evolve

from llmcore import create_manager, create_provider
from llmcore.config import FallbackConfig, LlmConfig, ProviderConfig, Routing, Timeouts, TransportChoice
from llmcore.errors import ConnectionError, ConnectionRefused, PoolTimeout, ProviderError
from llmcore.manager import ProviderManager
from llmcore.provider import LlmProvider
from llmcore.testing import Answer, ScriptedProvider, run_simulated
from llmcore.transport.base import Transport
from llmcore.transport.fast import FastTransport
from llmcore.transport.httpx_transport import HttpxTransport
from llmcore.transport.limits import Limits
from tests.faults.conftest import QUICK, Ask, Make, entry, failure
from tests.faults.raw import GOOD, Server, healthy, holding, http, serving
from tests.transport.faults import GUARD, Peer

COVERED = (63, 65, 66)

pytestmark = pytest.mark.anyio

CALLS = 1000
WIDE = 8

# -------------------------------------------------------------------------------------------------- the pool


def narrow(choice: TransportChoice, limit: int = WIDE) -> Transport:
    limits = Limits(max_open=limit)
    return FastTransport(limits=limits) if choice == "fast" else HttpxTransport(limits=limits)


async def many(provider: LlmProvider, count: int) -> tuple[list[int], list[ProviderError]]:
    """`count` calls at once, numbered as they begin; the numbers in the order in which they end, and the errors."""
    begun: list[int] = []
    ended: list[int] = []
    errors: list[ProviderError] = []

    async def one() -> None:
        number = len(begun)
        begun.append(number)
        try:
            await provider.generate(f"number {number}.")
            ended.append(number)
        except ProviderError as error:
            errors.append(error)

    async with anyio.create_task_group() as tasks:
        for _ in range(count):
            tasks.start_soon(one)
    return ended, errors


def numbers(requests: list[bytes]) -> list[int]:
    return [int(request.partition(b"number ")[2].partition(b".")[0]) for request in requests]


async def test_63_a_thousand_calls_go_through_few_connections_by_turn(
    make: Make, choice: TransportChoice
) -> None:
    with Server(serving(GOOD)) as server, anyio.fail_after(60):
        provider = make(server, transport=narrow(choice), pool=60.0, total=60.0)
        ended, errors = await many(provider, CALLS)
    assert errors == []
    assert sorted(ended) == list(range(CALLS))
    assert server.connections <= WIDE
    late = [abs(place - number) for place, number in enumerate(numbers(server.requests))]
    assert max(late) < 2 * WIDE, "first come, first served"
    assert (provider.stats().successes, provider.stats().in_flight) == (CALLS, 0)


async def test_63_who_waits_too_long_is_told_and_the_rest_goes_on(
    make: Make, choice: TransportChoice
) -> None:
    """The connections are held; everybody else gives up, and nobody is stuck afterwards."""
    with Server(holding()) as server, Server(serving(GOOD)) as free, anyio.fail_after(GUARD):
        transport = narrow(choice)
        provider = make(server, transport=transport, pool=0.3)
        other = make(free, transport=transport)
        async with anyio.create_task_group() as held:
            for _ in range(WIDE):
                held.start_soon(provider.generate, "hold")
            while len(server.requests) < WIDE:  # noqa: ASYNC110 - it happens in another thread
                await anyio.sleep(0.005)
            ended, errors = await many(provider, 200)
            assert ended == []
            assert {type(error) for error in errors} == {PoolTimeout}
            assert len(errors) == 200
            assert not any(error.retryable or error.health for error in errors)
            held.cancel_scope.cancel()
        ended, errors = await many(other, 20)
        assert (len(ended), errors) == (20, [])
    assert len(server.requests) == WIDE


async def test_63_a_slot_of_the_manager_goes_by_turn_too(choice: TransportChoice) -> None:
    with Server(serving(GOOD)) as server, anyio.fail_after(GUARD):
        settings = ProviderConfig(**entry(server, "openai_compatible", choice), max_in_flight=1)
        config = LlmConfig([settings], timeouts=evolve(QUICK, pool=GUARD), transport=choice)
        manager = create_manager(config, environ={})
        try:
            ended, errors = await many(manager, 100)
        finally:
            await manager.aclose()
    assert (errors, server.connections) == ([], 1)
    assert numbers(server.requests) == ended == list(range(100))


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_63_the_queue_has_an_end(backend: Literal["asyncio", "trio"]) -> None:
    """Four run, a hundred wait by turn; the others are told at once, and that is no fault of the provider."""

    async def main() -> None:
        provider = ScriptedProvider("a", [Answer(delay=1.0)], routing=Routing(max_in_flight=4))
        manager = ProviderManager([provider], FallbackConfig(max_queue=100), timeouts=Timeouts(pool=500.0))
        began = anyio.current_time()
        refused: list[tuple[float, bool]] = []
        answered: list[float] = []

        async def one() -> None:
            try:
                await manager.generate("hi")
                answered.append(anyio.current_time() - began)
            except ProviderError as error:
                refused.append((anyio.current_time() - began, error.health))

        async with anyio.create_task_group() as tasks:
            for _ in range(CALLS):
                tasks.start_soon(one)
        assert (len(answered), len(refused)) == (104, CALLS - 104)
        assert set(refused) == {(0.0, False)}
        assert max(answered) == pytest.approx(26.0)

    run_simulated(main, backend=backend)


# --------------------------------------------------------------------------------------------------- proxies

PASSWORD = "pr0xy-passw0rd-canary"
PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")


def everything_shown(error: BaseException) -> str:
    """What a log could hold of an error: its texts, and its traceback with all causes."""
    texts = [str(error), repr(error), *traceback.format_exception(error)]
    if isinstance(error, ProviderError):
        texts += [error.message, error.sample or "", str(error.args)]
    return "\n".join(texts)


async def test_65_proxies_of_the_environment_are_not_asked(
    make: Make, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Server(serving(http(status=407))) as proxy, Server(healthy()) as server:
        address = f"http://me:{PASSWORD}@127.0.0.1:{proxy.port}"
        for name in PROXY_VARIABLES:
            monkeypatch.setenv(name, address)
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert (await ask(make(server))).text == "hello"
        gone = server.base_url
    error = await failure(ask(make(gone)))
    assert type(error) is ConnectionRefused
    assert PASSWORD not in everything_shown(error)
    assert proxy.connections == 0


def proxying(behave: str) -> Any:
    """A proxy that refuses, or that agrees to a tunnel and then cuts it."""

    async def script(peer: Peer) -> None:
        head = await peer.reader.readuntil(b"\r\n\r\n")
        peer.server.requests.append(head)
        if behave == "407":
            await peer.send(
                b"HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic\r\ncontent-length: 0\r\n\r\n"
            )
        elif behave == "403":
            await peer.send(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")
        elif behave == "502":
            await peer.send(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n")
        elif behave == "tunnel cut":
            await peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        elif behave == "tunnel reset":
            await peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await peer.reader.read(5)
            peer.reset()

    return script


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
@pytest.mark.parametrize("behave", ["407", "403", "502", "tunnel cut", "tunnel reset", "closes", "nobody"])
async def test_65_a_proxy_of_ones_own_that_fails_is_a_connection_error(
    behave: str, anyio_backend: str
) -> None:
    """Whoever hands in an httpx transport with a proxy gets errors that speak of the connection, never of its password."""
    with Server(proxying(behave)) as proxy:
        address = f"http://me:{PASSWORD}@127.0.0.1:{proxy.port if behave != 'nobody' else 9}"
        transport = httpx.AsyncHTTPTransport(proxy=address)
        settings = ProviderConfig(**entry("https://vendor.test/v1", "openai_compatible", "httpx"))
        provider = create_provider(settings, transport=transport, timeouts=QUICK, environ={})
        try:
            error = await failure(provider.generate("hi"))
        finally:
            await provider.aclose()
    assert isinstance(error, ConnectionError)
    assert (error.failover, error.health) == (True, True)
    assert PASSWORD not in everything_shown(error)
    if behave != "nobody":
        assert proxy.requests[0].startswith(b"CONNECT vendor.test:443 ")
        assert b"sk-fault" not in b"".join(proxy.requests)


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_65_nor_is_its_refusal_of_a_plain_request_the_vendors_word(anyio_backend: str) -> None:
    """Without TLS there is no tunnel, and a proxy's 407 looks like an answer of the vendor."""
    with Server(serving(http(b"who are you", 407, proxy_authenticate="Basic"))) as proxy:
        transport = httpx.AsyncHTTPTransport(proxy=f"http://me:{PASSWORD}@127.0.0.1:{proxy.port}")
        settings = ProviderConfig(**entry("http://vendor.test/v1", "openai_compatible", "httpx"))
        provider = create_provider(settings, transport=transport, timeouts=QUICK, environ={})
        try:
            error = await failure(provider.generate("hi"))
        finally:
            await provider.aclose()
    assert isinstance(error, ConnectionError)
    assert PASSWORD not in everything_shown(error)


# ------------------------------------------------------------------------------------- one address is dead

NAME = "vendor.test"


@contextmanager
def dead_twin(port: int) -> Iterator[bool]:
    """The same port on ::1, where nobody ever answers: a listener with a full queue. Whether that works here."""
    held = [socket.socket(socket.AF_INET6)]
    try:
        held[0].bind(("::1", port))
        held[0].listen(0)
        yield any(_is_stuck(held, port) for _ in range(8))
    finally:
        for one in held:
            one.close()


def _is_stuck(held: list[socket.socket], port: int) -> bool:
    one = socket.socket(socket.AF_INET6)
    one.settimeout(0.05)
    held.append(one)
    try:
        one.connect(("::1", port))
    except TimeoutError:
        return True
    return False


def resolving(to: list[str]) -> Callable[..., Any]:
    """As socket.getaddrinfo, but `NAME` has these addresses, in this order."""
    real = socket.getaddrinfo

    def look_up(host: Any, port: Any, family: int = 0, kind: int = 0, proto: int = 0, flags: int = 0) -> Any:
        if host not in (NAME, NAME.encode()):
            return real(host, port, family, kind, proto, flags)
        found: list[Any] = []
        for address in to:
            found += real(address, port, 0, kind or socket.SOCK_STREAM, proto)[:1]
        return found

    return look_up


@pytest.mark.parametrize(
    "order", [["::1", "127.0.0.1"], ["127.0.0.1", "::1"]], ids=["dead first", "dead last"]
)
async def test_66_a_dead_ipv6_address_does_not_keep_from_the_ipv4_one(
    make: Make, monkeypatch: pytest.MonkeyPatch, order: list[str]
) -> None:
    with Server(healthy()) as server, dead_twin(server.port) as works:
        if not works:
            pytest.skip("this kernel accepts connections beyond a full queue")
        monkeypatch.setattr(socket, "getaddrinfo", resolving(order))
        address = server.base_url.replace("127.0.0.1", NAME)
        with anyio.fail_after(GUARD):
            assert (await make(address, connect=3.0).generate("hi")).text == "hello"


async def test_66_two_dead_addresses_are_one_connection_error(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", resolving(["::1", "127.0.0.1"]))
    with Server(healthy()) as server:
        address = server.base_url.replace("127.0.0.1", NAME)
    error = await failure(make(address).generate("hi"))
    assert type(error) is ConnectionRefused
