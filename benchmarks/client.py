"""One sample: one client, one case, in a process of its own; prints CPU µs per call (or per streamed event) as JSON."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

EVENTS = 301
Call = Callable[[], Awaitable[None]]


async def raw(url: str, streamed: bool) -> tuple[Call, Call]:
    """The floor: a hand-written request over asyncio streams, one connection per caller; the answer is parsed once."""
    host, port = url.removeprefix("http://").split("/")[0].split(":")
    body = json.dumps(
        {"model": "bench", "messages": [{"role": "user", "content": "hi"}], "stream": streamed},
        separators=(",", ":"),
    ).encode()
    request = (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: "
        + str(len(body)).encode()
        + b"\r\n\r\n"
        + body
    )
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def call() -> None:
        reader, writer = idle.pop() if idle else await asyncio.open_connection(host, int(port))
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        data = await reader.readexactly(length)
        if streamed:
            pieces = [line for line in data.split(b"\n") if line.startswith(b"data: ")]
            assert len(pieces) > 300
        else:
            assert json.loads(data)["choices"][0]["message"]["content"]
        idle.append((reader, writer))

    async def close() -> None:
        for _, writer in idle:
            writer.close()

    return call, close


async def httpx_(url: str, streamed: bool) -> tuple[Call, Call]:
    import httpx

    client = httpx.AsyncClient(
        limits=httpx.Limits(max_connections=1000, max_keepalive_connections=1000), timeout=60
    )
    payload = {"model": "bench", "messages": [{"role": "user", "content": "hi"}], "stream": streamed}

    async def call() -> None:
        if not streamed:
            response = await client.post(f"{url}/chat/completions", json=payload)
            assert response.json()["choices"][0]["message"]["content"]
            return
        seen = 0
        async with client.stream("POST", f"{url}/chat/completions", json=payload) as response:
            async for line in response.aiter_lines():
                if line.startswith("data: ") and line != "data: [DONE]":
                    json.loads(line[6:])
                    seen += 1
        assert seen > 300

    return call, client.aclose


async def openai_(url: str, streamed: bool) -> tuple[Call, Call]:
    import openai

    client = openai.AsyncOpenAI(api_key="k", base_url=url)
    messages: Any = [{"role": "user", "content": "hi"}]

    async def call() -> None:
        if not streamed:
            response = await client.chat.completions.create(model="bench", messages=messages)
            assert response.choices[0].message.content
            return
        seen = 0
        async for chunk in await client.chat.completions.create(
            model="bench", messages=messages, stream=True
        ):
            seen += len(chunk.choices)
        assert seen > 300

    return call, client.close


def asked(llm: Any, streamed: bool) -> tuple[Call, Call]:
    """One call of any llmcore provider, and its closing."""

    async def call() -> None:
        if not streamed:
            assert (await llm.generate("hi")).text
            return
        seen = 0
        async with llm.stream("hi") as events:
            async for _ in events:
                seen += 1
        assert seen > 300

    return call, llm.aclose


async def _llmcore(
    url: str, streamed: bool, *, transport: str, manager: bool, down: bool = False
) -> tuple[Call, Call]:
    import llmcore

    places = [url.replace("/v1", "/down/v1") if down else url, url]
    configs = [
        llmcore.ProviderConfig(
            f"p{i}", "openai_compatible", base_url=place, text_model="bench", transport=transport, priority=i
        )  # type: ignore[arg-type]  # one of the three words, as plain text
        for i, place in enumerate(places)
    ]
    leaves = [llmcore.create_provider(config) for config in configs]
    llm: llmcore.LlmProvider = (
        llmcore.ProviderManager(leaves, llmcore.FallbackConfig(max_retries=0)) if manager else leaves[0]
    )

    return asked(llm, streamed)


async def leaf_fast(url: str, streamed: bool) -> tuple[Call, Call]:
    return await _llmcore(url, streamed, transport="fast", manager=False)


async def manager_fast(url: str, streamed: bool) -> tuple[Call, Call]:
    return await _llmcore(url, streamed, transport="fast", manager=True)


async def manager_all_on(url: str, streamed: bool) -> tuple[Call, Call]:
    """Two providers with every policy: limits, paces, slots, windows, capabilities, latency strategy, hedging, breakers."""
    import llmcore

    leaves = [
        llmcore.create_provider(
            llmcore.ProviderConfig(
                f"p{i}",
                "openai_compatible",
                base_url=url,
                text_model="bench",
                transport="fast",
                max_in_flight=2000,
                rpm=10**9,
                tpm=10**12,
                context_window=100_000,
                max_output_tokens=10_000,
                capabilities=frozenset({"tools"}),
            )
        )
        for i in range(2)
    ]
    fallback = llmcore.FallbackConfig(strategy="latency", hedge_after=5.0, mid_stream="restart")
    llm = llmcore.ProviderManager(leaves, fallback)

    return asked(llm, streamed)


async def manager_httpx(url: str, streamed: bool) -> tuple[Call, Call]:
    return await _llmcore(url, streamed, transport="httpx", manager=True)


async def failover_fast(url: str, streamed: bool) -> tuple[Call, Call]:
    return await _llmcore(url, streamed, transport="fast", manager=True, down=True)


CLIENTS = {
    "raw asyncio": raw,
    "httpx": httpx_,
    "openai SDK": openai_,
    "llmcore leaf, fast": leaf_fast,
    "llmcore manager of 2, fast": manager_fast,
    "llmcore manager of 2, everything on": manager_all_on,
    "llmcore manager of 2, httpx": manager_httpx,
    "llmcore failover (first answers 500)": failover_fast,
}


async def sample(client: str, url: str, concurrency: int, calls: int, streamed: bool) -> dict[str, float]:
    call, close = await CLIENTS[client](url, streamed)

    async def worker(count: int) -> None:
        for _ in range(count):
            await call()

    await asyncio.gather(*(worker(max(1, calls // concurrency // 10)) for _ in range(concurrency)))
    used, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    await asyncio.gather(*(worker(calls // concurrency) for _ in range(concurrency)))
    now, ended = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    made = calls // concurrency * concurrency * (EVENTS if streamed else 1)
    cpu = (now.ru_utime + now.ru_stime) - (used.ru_utime + used.ru_stime)
    await close()
    return {
        "cpu_us": cpu / made * 1e6,
        "wall_us": (ended - began) / made * 1e6,
        "peak_mib": now.ru_maxrss / 1024,
    }


if __name__ == "__main__":
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {0})
    name, address, width, count, kind = sys.argv[1:]
    print(json.dumps(asyncio.run(sample(name, address, int(width), int(count), kind == "stream"))))
