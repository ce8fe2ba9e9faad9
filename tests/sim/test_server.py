"""The HTTP half, the counters, the simulator's own pages, and how it is run."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from llmcore.errors import ConfigurationError
from llmcore.sim import Simulator, SimulatorThread, command, run
from llmcore.sim.http import BadRequest, RequestReader
from llmcore.sim.places import PLACE_OF_KIND

from .conftest import Raw, chat, eventually

Connect = Callable[[], Raw]


def test_a_connection_is_kept_and_used_again(sim: SimulatorThread, raw: Connect) -> None:
    one = raw()
    for _ in range(3):
        one.ask(chat())
        assert b"one two three" in one.until(b"}}")
    assert sim.counters.connections == 1
    assert sim.counters.requests == 3


def test_requests_sent_at_once_are_answered_in_order(sim: SimulatorThread, raw: Connect) -> None:
    one = raw()
    for word in ("first", "second", "third"):
        one.ask(chat(f"say: {word}", stream=True))
    one.ask(chat("say: last"), more="connection: close\r\n")
    data = one.all()
    places = [data.index(word) for word in (b"first", b"second", b"third", b"last")]
    assert places == sorted(places)


def test_a_stream_is_chunked_and_ends_properly(sim: SimulatorThread, raw: Connect) -> None:
    one = raw()
    one.ask(chat(stream=True))
    data = one.until(b"0\r\n\r\n")
    assert b"transfer-encoding: chunked" in data
    assert data.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")


def test_http_1_0_gets_no_chunks(sim: SimulatorThread, raw: Connect) -> None:
    one = raw()
    body = json.dumps(chat(stream=True)).encode()
    one.socket.sendall(
        b"POST /v1/chat/completions HTTP/1.0\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    )
    data = one.all()
    assert b"chunked" not in data
    assert data.endswith(b"data: [DONE]\n\n")


def test_100_continue(sim: SimulatorThread, raw: Connect) -> None:
    one = raw()
    body = json.dumps(chat()).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\nexpect: 100-continue\r\n\r\n"
    one.socket.sendall(head.encode())
    assert one.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    one.socket.sendall(body)
    assert one.until(b"}}").startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"GET / HTTP/2\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nx : y\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\ncontent-length: ten\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\ncontent-length: 999999999999\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"GET / HTTP/1.1\r\nx: " + b"y" * 300_000, 431),
    ],
)
def test_what_is_no_http_is_refused_and_closed(
    sim: SimulatorThread, raw: Connect, data: bytes, status: int
) -> None:
    one = raw()
    one.socket.sendall(data)
    assert one.all().startswith(b"HTTP/1.1 %d" % status)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_request_may_come_in_pieces(size: int) -> None:
    body = b'{"a":1}'
    data = (
        b'\r\nPOST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\nX: 1\r\nX: 2\r\n\r\n3\r\n{"a\r\n4;x=y\r\n":1}\r\n0\r\n\r\n'
        b"POST /b HTTP/1.1\r\nContent-Length: 7\r\n\r\n" + body
    )
    reader, seen = RequestReader(), []
    for at in range(0, len(data), size):
        reader.feed(data[at : at + size])
        while (request := reader.next()) is not None:
            seen.append(request)
    assert [(request.target, request.body) for request in seen] == [("/a", body), ("/b", body)]
    assert seen[0].headers["x"] == "1, 2"


def test_a_bad_chunk_size_is_told() -> None:
    reader = RequestReader()
    reader.feed(b"POST /a HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n")
    with pytest.raises(BadRequest):
        reader.next()


# ------------------------------------------------------------------------------------- what it remembers


def test_a_client_that_leaves_is_noticed(sim: SimulatorThread, raw: Connect) -> None:
    one = raw()
    one.ask(chat() | {"model": "stall-1"})
    one.until(b"HTTP/1.1")
    one.close()
    assert eventually(lambda: sim.counters.left == 1)
    assert sim.last.outcome == "left"
    assert sim.counters.in_flight == 0


def test_counters_add_up(sim: SimulatorThread, http: httpx.Client) -> None:
    for model in ("m", "fail-500", "m", "once-fail-503"):
        http.post(f"{sim.url}/v1/chat/completions", json=chat() | {"model": model})
    with pytest.raises(httpx.RemoteProtocolError):
        http.post(f"{sim.url}/v1/chat/completions", json=chat(stream=True) | {"model": "cut-2"})
    counters = sim.counters
    assert counters.requests == 5
    assert (counters.answered, counters.refused, counters.broken, counters.left) == (2, 2, 1, 0)
    answered = [record for record in sim.requests if record.outcome == "answered" and record.status == 200]
    assert counters.output_tokens == sum(record.counts.output for record in answered) == 6


def test_its_pages_show_the_last_request_without_keys(sim: SimulatorThread, http: httpx.Client) -> None:
    http.post(
        f"{sim.base_url('openai')}/chat/completions?key=geheim",
        json=chat(temperature=0.5),
        headers={"authorization": "Bearer geheim"},
    )
    page = http.get(f"{sim.url}/_sim/last")
    assert "geheim" not in page.text
    last = page.json()
    assert last["understood"]["turns"] == [
        {"role": "user", "parts": [{"text": "say: one two three", "kind": "text"}]}
    ]
    assert last["understood"]["temperature"] == 0.5
    assert last["headers"]["authorization"] == "***"
    assert json.loads(last["body"])["temperature"] == 0.5
    assert len(http.get(f"{sim.url}/_sim/requests").json()) == 1
    assert sim.last.request.headers["authorization"] == "Bearer geheim"
    assert "geheim" not in repr(sim.last)


def test_the_script_can_be_set_over_http(sim: SimulatorThread, http: httpx.Client) -> None:
    assert (
        http.post(f"{sim.url}/_sim/script", content="[[rules]]\nstatus = 503\nfirst = 1").json()["rules"] == 1
    )
    asked = [http.post(f"{sim.url}/v1/chat/completions", json=chat()).status_code for _ in range(2)]
    assert asked == [503, 200]
    http.post(f"{sim.url}/_sim/reset")
    assert http.get(f"{sim.url}/_sim/stats").json()["requests"] == 0
    assert http.post(f"{sim.url}/v1/chat/completions", json=chat()).status_code == 503
    bad = http.post(f"{sim.url}/_sim/script", json={"rules": [{"statuss": 1}]})
    assert bad.status_code == 400
    assert 'did you mean "status"' in bad.json()["complaints"][0]
    assert http.post(f"{sim.url}/_sim/script", content=b"\xff").status_code == 400
    assert http.get(f"{sim.url}/_sim/nothing").status_code == 404
    assert "fail-<status>" in http.get(f"{sim.url}/_sim/faults").json()


# ----------------------------------------------------------------------------------------------- running


@pytest.mark.parametrize("kind", sorted(PLACE_OF_KIND))
def test_every_kind_has_an_address(sim: SimulatorThread, kind: str) -> None:
    assert sim.base_url(kind).startswith(sim.url + "/")


def test_an_unknown_kind_or_dialect_is_told(sim: SimulatorThread) -> None:
    with pytest.raises(KeyError):
        sim.base_url("opnai")
    with pytest.raises(ValueError, match="unknown dialects"):
        Simulator(dialects=["opnai"])


def test_only_the_chosen_dialects_are_served() -> None:
    with SimulatorThread(Simulator(dialects=["anthropic"])) as sim, httpx.Client() as http:
        assert http.post(f"{sim.url}/v1/chat/completions", json=chat()).status_code == 404
        headers = {"anthropic-version": "2026-10-21"}
        body = chat(max_tokens=10)
        assert http.post(f"{sim.url}/v1/messages", json=body, headers=headers).status_code == 200


def test_the_speed_is_kept() -> None:
    with (
        SimulatorThread(Simulator(first_token_delay=0.1, tokens_per_second=50)) as sim,
        httpx.Client() as http,
    ):
        for stream in (False, True):
            begun = time.monotonic()
            http.post(f"{sim.url}/v1/chat/completions", json=chat("count: 6", stream=stream))
            assert time.monotonic() - begun >= 0.2


def test_the_same_request_gives_the_same_bytes_and_another_seed_others() -> None:
    answers = []
    for seed in (0, 0, 1):
        with SimulatorThread(Simulator(seed=seed)) as sim, httpx.Client() as http:
            answers.append(http.post(f"{sim.url}/v1/chat/completions", json=chat("hello")).content)
    assert answers[0] == answers[1] != answers[2]


def test_a_taken_port_is_told(sim: SimulatorThread) -> None:
    port = int(sim.url.rpartition(":")[2])
    with pytest.raises(OSError, match="address already in use"), SimulatorThread(Simulator(port=port)):
        pass
    with pytest.raises(ConfigurationError, match="cannot be listened on"):
        run("127.0.0.1", port)


def test_refusing_and_accepting_again(http: httpx.Client) -> None:
    with SimulatorThread() as sim:
        url = f"{sim.url}/v1/chat/completions"
        assert http.post(url, json=chat()).status_code == 200
        sim.refuse()
        with pytest.raises((httpx.ConnectError, httpx.ReadError)):
            http.post(url, json=chat())
        with pytest.raises(httpx.ConnectError):
            http.post(url, json=chat())
        sim.accept()
        assert http.post(url, json=chat()).status_code == 200


def test_the_command_serves_until_it_is_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "faults.toml"
    script.write_text('[[rules]]\nmodel = "m"\nstatus = 503\n')
    lines: list[str] = []

    def use(line: str) -> None:
        lines.append(line)
        address = line.split()[3]
        threading.Thread(
            target=lambda: answers.append(httpx.post(f"{address}/v1/chat/completions", json=chat()))
        ).start()
        threading.Thread(target=stop).start()

    def stop() -> None:
        eventually(lambda: bool(answers))
        loops[0].call_soon_threadsafe(_interrupt)

    answers: list[httpx.Response] = []
    loops: list[Any] = []
    real = command._serve

    async def watched(*args: Any) -> None:
        import asyncio

        loops.append(asyncio.get_running_loop())
        await real(*args)

    monkeypatch.setattr(command, "_serve", watched)
    run("127.0.0.1", 0, script, on_ready=use)
    assert answers[0].status_code == 503
    assert len(lines) == 1


def _interrupt() -> None:
    raise KeyboardInterrupt


def test_a_wrong_script_starts_nothing(tmp_path: Path) -> None:
    script = tmp_path / "faults.toml"
    script.write_text("[[rules]]\nstatuss = 503\n[other]\n")
    with pytest.raises(ConfigurationError) as caught:
        run("127.0.0.1", 0, script)
    assert len(caught.value.complaints) == 2
