"""The gateway's benchmark: its report over results made by hand, its makers of load against a real server."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

import pytest

pytest.importorskip("httptools")

from benchmarks.gateway.load import STALL, measure, request
from benchmarks.gateway.process import DidNotStart, family, free_port, memory_mb, serving
from benchmarks.gateway.report import added, report, verdicts
from benchmarks.gateway.roster import LITELLM, LLMCORE
from benchmarks.gateway.wrk import figures
from benchmarks.payloads import EVENTS
from benchmarks.results import Results
from benchmarks.upstream import Server, listen

MACHINE = {"cpu": "none", "cores": "2", "system": "none", "python": "3", "load": "1"}


def results(ours: list[float], theirs: list[float]) -> Results:
    found = Results(MACHINE, "today")
    for turn, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
        for name, rate in ((LLMCORE, mine), (LITELLM, other)):
            busy = {
                "requests_per_cpu_s": rate,
                "loaded_p99_ms": 1.0,
                "server_busy": 1.0,
                "load_busy": 0.2,
                "generator": "wrk",
            }
            found.add("throughput", name, turn, {"requests_per_s": rate, **busy})
            found.add("ready", name, turn, {"ready_s": 1.0})
    return found


def test_ratios_come_from_the_same_round() -> None:
    judged = {verdict.target: verdict for verdict in verdicts(results([3000, 1500], [100, 50]))}
    assert judged[f"requests/s beside {LITELLM}"].figure == pytest.approx(30)
    assert judged[f"requests/s beside {LITELLM}"].met
    assert judged["requests/s, 64 in flight"].missed_by == pytest.approx(0.25)
    assert judged["memory, idle"].met is None


def test_what_is_added_is_the_difference_of_each_round() -> None:
    found = Results(MACHINE, "today")
    for turn, (through, direct) in enumerate(((700, 200), (1900, 1000), (600, 200))):
        found.add("latency", LLMCORE, turn, {"p50_us": through, "direct_p50_us": direct})
    assert added(found, LLMCORE, "latency", "p50") == pytest.approx(0.5)


def test_the_report_says_what_was_not_measured_and_why() -> None:
    found = results([3000], [100])
    found.failures["install"] = {"gateway-portkey": "not run: there is no npm here"}
    text = report(found)
    assert "not run: there is no npm here" in text
    assert "| memory, idle | — | ≤ 90 MB | not measured |" in text
    assert "the server took 100% of its core; wrk and the upstream 20% of theirs" in text


def test_a_stream_that_stalls_is_counted_against_it() -> None:
    found = results([3000], [100])
    found.add("streams", LLMCORE, 0, {"whole": 512, "stalled": 3})
    judged = {verdict.target: verdict for verdict in verdicts(found)}
    assert judged["512 streams of 300 events, whole and without a stall"].figure == 509


@contextmanager
def upstream() -> Iterator[str]:
    """The benchmark's own upstream, in a thread."""
    ports: list[int] = []
    up, over = Event(), Event()

    async def main() -> None:
        async with await listen(Server) as server:
            ports.append(server.sockets[0].getsockname()[1])
            up.set()
            await asyncio.to_thread(over.wait)

    thread = Thread(target=lambda: asyncio.run(main()))
    thread.start()
    assert up.wait(10)
    try:
        yield f"http://127.0.0.1:{ports[0]}"
    finally:
        over.set()
        thread.join(10)


def ask(url: str, answer: str) -> dict[str, Any]:
    return {"url": f"{url}/{answer}/v1/chat/completions", "headers": {"authorization": "x"}, "model": "m"}


def test_the_load_is_real() -> None:
    with upstream() as url:
        single = {"warm_up": 2, "calls": 10, "limit": 60}
        chat = measure({"measure": "latency", "asks": [ask(url, "chat")] * 2, **single})
        first = measure({"measure": "first", "asks": [ask(url, "first")] * 2, **single})
        many = measure(
            {"measure": "throughput", "asks": [ask(url, "chat")], "concurrency": 4, "seconds": 0.05}
        )
        streamed = measure(
            {
                "measure": "streams",
                "asks": [ask(url, "burst")],
                "concurrency": 3,
                "events": EVENTS,
                "seconds": 20,
            }
        )
    assert 0 < chat["p50_us"] <= chat["p99_us"]
    assert 0 < first["direct_p50_us"] <= first["direct_p99_us"]
    assert many["requests_per_s"] > 0
    assert (streamed["whole"], streamed["stalled"]) == (3, 0)


def test_a_bad_answer_ends_the_sample() -> None:
    with upstream() as url, pytest.raises(RuntimeError, match="status 500"):
        measure({"measure": "throughput", "asks": [ask(url, "500")], "concurrency": 2, "seconds": 0.05})
    with upstream() as url, pytest.raises(RuntimeError, match="status 429"):
        measure({"measure": "latency", "asks": [ask(url, "429")] * 2, "warm_up": 1, "calls": 1, "limit": 60})


def test_streams_that_do_not_end_in_time_are_stalled() -> None:
    with upstream() as url:
        found = measure(
            {
                "measure": "streams",
                "asks": [ask(url, "paced")],
                "concurrency": 2,
                "events": EVENTS,
                "seconds": 0.1,
            }
        )
    assert (found["whole"], found["stalled"]) == (0, 2)
    assert STALL == 1.0


def test_a_request_is_one_that_a_server_reads() -> None:
    said = request(ask("http://127.0.0.1:1", "chat"), stream=True)
    head, _, body = said.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /chat/v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:1\r\n")
    assert f"content-length: {len(body)}".encode() in head
    assert b'"stream":true' in body


def test_what_wrk_says() -> None:
    assert figures("...\nBENCH 3000 2000000 7500 0\n", 0.5)["requests_per_s"] == 1500
    with pytest.raises(RuntimeError, match="2 of 3000"):
        figures("BENCH 3000 2000000 7500 2", 0.5)
    with pytest.raises(RuntimeError, match="nothing"):
        figures("unable to connect", 0.5)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_server_is_waited_for_measured_and_ended(tmp_path: Any) -> None:
    code = "import subprocess, sys, time; subprocess.Popen(['sleep', '60']); time.sleep(60)"
    asked: list[int] = []

    def answers() -> bool:
        asked.append(1)
        return len(asked) > 20

    with serving([sys.executable, "-c", code], free_port(), answers, tmp_path / "log") as running:
        assert memory_mb(running.pid) > 1
        assert len(family(running.pid)) == 2
        members = family(running.pid)
    assert not any(memory_mb(pid) for pid in members)


def test_a_server_that_dies_says_why(tmp_path: Any) -> None:
    words = [sys.executable, "-c", "import sys; sys.exit('no such thing')"]
    with (
        pytest.raises(DidNotStart, match="no such thing"),
        serving(words, free_port(), lambda: False, tmp_path / "log"),
    ):
        pass
