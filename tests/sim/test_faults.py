"""Each way to break, seen over a raw socket; and the script that asks for it."""

from __future__ import annotations

import re
import time
import zlib
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from llmcore.errors import ConfigurationError
from llmcore.sim import Fault, Rule, Script, Simulator, SimulatorThread, fault_names
from llmcore.sim.faults import fault_of
from llmcore.sim.plan import gzip_bomb

from .conftest import Raw, chat, eventually

Connect = Callable[[], Raw]
STREAM = chat("count: 30", stream=True)


def broken(sim: SimulatorThread, raw: Connect, body: Any = STREAM, /, **fault: Any) -> Raw:
    """A connection that has just asked while this fault holds."""
    sim.set_script({"rules": [fault]})
    one = raw()
    one.ask(body)
    return one


def tokens(data: bytes) -> list[bytes]:
    return re.findall(rb'"content":"( ?word\d+)"', data)


# ------------------------------------------------------------------------------------------ no answer


def test_reset_before_anything(sim: SimulatorThread, raw: Connect) -> None:
    one = broken(sim, raw, reset=True)
    with pytest.raises(ConnectionResetError):
        one.all()
    assert sim.counters.broken == 1


def test_close_before_anything(sim: SimulatorThread, raw: Connect) -> None:
    assert broken(sim, raw, close=True).all() == b""


def test_reset_only_on_a_reused_connection(sim: SimulatorThread, raw: Connect) -> None:
    one = broken(sim, raw, reset=True, reused=True)
    assert b"[DONE]" in one.until(b"0\r\n\r\n")
    one.ask(STREAM)
    with pytest.raises(ConnectionResetError):
        one.all()


def test_silence(sim: SimulatorThread, raw: Connect) -> None:
    one = broken(sim, raw, silent=True)
    assert one.silent()
    one.close()
    assert eventually(lambda: sim.counters.left == 1)


def test_refusing_for_a_while(http: httpx.Client) -> None:
    with SimulatorThread(Simulator(script={"rules": [{"refuse_s": 0.2, "first": 1}]})) as sim:
        url = f"{sim.url}/v1/chat/completions"
        with pytest.raises(httpx.ReadError):
            http.post(url, json=chat())
        with pytest.raises(httpx.ConnectError):
            http.post(url, json=chat())

        def answers() -> bool:
            try:
                return http.post(url, json=chat()).status_code == 200
            except httpx.ConnectError:
                return False

        assert eventually(answers)


# ---------------------------------------------------------------------------------------- cuts, stalls


@pytest.mark.parametrize("count", [0, 1, 7])
def test_a_stream_cut_after_so_many_tokens(sim: SimulatorThread, raw: Connect, count: int) -> None:
    data = broken(sim, raw, cut_after_events=count).all()
    assert len(tokens(data)) == count
    assert not data.endswith(b"0\r\n\r\n")
    assert b"[DONE]" not in data


def test_a_stream_reset_after_so_many_tokens(sim: SimulatorThread, raw: Connect) -> None:
    one = broken(sim, raw, cut_after_events=2, cut_how="reset")
    data = one.until(b"word2")
    assert data
    with pytest.raises(ConnectionResetError):
        one.all()


def test_a_stream_that_ends_properly_in_its_middle(sim: SimulatorThread, raw: Connect) -> None:
    data = broken(sim, raw, cut_after_events=5, cut_how="end").until(b"0\r\n\r\n")
    assert len(tokens(data)) == 5
    assert data.endswith(b"0\r\n\r\n")
    assert b'finish_reason":"stop' not in data


def test_the_answer_is_long_enough_for_the_cut(sim: SimulatorThread, raw: Connect) -> None:
    data = broken(sim, raw, chat("hello", stream=True), cut_after_events=40).all()
    assert data.count(b'"content":"') == 41  # the first delta has an empty one


@pytest.mark.parametrize("where", ["status_line", "headers"])
def test_cut_in_the_head(sim: SimulatorThread, raw: Connect, where: str) -> None:
    data = broken(sim, raw, cut_after=where).all()
    assert data.startswith(b"HTTP/1.1 200 OK\r\n")
    assert data.endswith(b"\r\n\r\n") is (where == "headers")


def test_a_plain_body_is_cut_in_its_middle(sim: SimulatorThread, raw: Connect) -> None:
    head, _, body = broken(sim, raw, chat(), cut_after_events=3).all().partition(b"\r\n\r\n")
    promised = int(re.findall(rb"content-length: (\d+)", head)[0])
    assert 0 < len(body) < promised


def test_cut_after_so_many_bytes(sim: SimulatorThread, raw: Connect) -> None:
    body = broken(sim, raw, chat(), cut_after_bytes=10).all().partition(b"\r\n\r\n")[2]
    assert len(body) == 10


def test_a_stall_for_ever(sim: SimulatorThread, raw: Connect) -> None:
    one = broken(sim, raw, stall_after_events=3)
    assert len(tokens(one.until(b'word3"},"logprobs":null,"finish_reason":null}]}\n\n\r\n'))) == 3
    assert one.silent()
    assert sim.counters.in_flight == 1


def test_a_stall_that_ends(sim: SimulatorThread, raw: Connect) -> None:
    one = broken(sim, raw, stall_after_events=3, stall_s=0.2)
    begun = time.monotonic()
    data = one.until(b"0\r\n\r\n")
    assert len(tokens(data)) == 30
    assert time.monotonic() - begun >= 0.2


def test_a_stall_after_bytes_that_ends_loses_nothing(sim: SimulatorThread, raw: Connect) -> None:
    sim.set_script(None)
    one = raw()
    one.ask(chat())
    whole = one.until(b"}}").partition(b"\r\n\r\n")[2]
    data = broken(sim, raw, chat(), stall_after_bytes=17, stall_s=0.05).until(b'_sim"}')
    assert data.partition(b"\r\n\r\n")[2].startswith(whole)


# ------------------------------------------------------------------------------------------------ time


def test_delays(sim: SimulatorThread, raw: Connect) -> None:
    one = broken(sim, raw, delay_s=0.15)
    assert one.silent(0.1)
    assert b"[DONE]" in one.until(b"0\r\n\r\n")
    one = broken(sim, raw, first_token_delay_s=0.2, tokens_per_second=1000)
    assert tokens(one.until(b'"role"')) == []
    assert len(tokens(one.until(b"0\r\n\r\n"))) == 30


def test_slow_heads_and_bodies(sim: SimulatorThread, raw: Connect) -> None:
    begun = time.monotonic()
    assert broken(sim, raw, chat(), header_byte_delay_s=0.001).until(b"}}")
    assert broken(sim, raw, chat(), byte_delay_s=0.001).until(b"}}")
    assert time.monotonic() - begun >= 0.4


# -------------------------------------------------------------------------------------- other answers


def test_another_status_with_headers(sim: SimulatorThread, http: httpx.Client) -> None:
    sim.set_script(
        {
            "rules": [
                {
                    "status": 429,
                    "retry_after": 2,
                    "headers": {"x-should-retry": "true"},
                    "message": "slow down",
                }
            ]
        }
    )
    answer = http.post(f"{sim.url}/v1/chat/completions", json=STREAM)
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "2"
    assert answer.headers["x-should-retry"] == "true"
    assert answer.json()["error"]["message"] == "slow down"


def test_another_body(sim: SimulatorThread, http: httpx.Client) -> None:
    sim.set_script({"rules": [{"status": 502, "body": "<html>", "content_type": "text/html"}]})
    answer = http.post(f"{sim.url}/v1/chat/completions", json=STREAM)
    assert (answer.status_code, answer.text, answer.headers["content-type"]) == (502, "<html>", "text/html")


def test_the_key_in_an_error_text(sim: SimulatorThread, http: httpx.Client) -> None:
    sim.set_script({"rules": [{"status": 401, "echo_key": True}]})
    answer = http.post(
        f"{sim.url}/v1/chat/completions", json=chat(), headers={"authorization": "Bearer geheim"}
    )
    assert "geheim" in answer.json()["error"]["message"]


def test_a_plain_answer_where_a_stream_was_asked(sim: SimulatorThread, http: httpx.Client) -> None:
    sim.set_script({"rules": [{"plain": True}]})
    assert http.post(f"{sim.url}/v1/chat/completions", json=STREAM).json()["object"] == "chat.completion"


def test_a_redirect(sim: SimulatorThread, http: httpx.Client) -> None:
    answer = http.post(f"{sim.url}/v1/chat/completions", json=chat() | {"model": "redirect-307"})
    assert answer.status_code == 307
    assert answer.headers["location"].startswith("http://169.254")


# ---------------------------------------------------------------------------------------------- events


def test_broken_events(sim: SimulatorThread, raw: Connect) -> None:
    data = broken(sim, raw, malformed_after_events=2).until(b"0\r\n\r\n")
    events = [line for line in data.split(b"\n") if line.startswith(b"data: {")]
    bad = [line for line in events if not line.endswith(b"}")]
    assert len(bad) == 1
    assert events.index(bad[0]) == 3


@pytest.mark.parametrize(
    ("path", "body", "headers", "mark"),
    [
        ("/v1/chat/completions", STREAM, "", b'data: {"error":'),
        ("/v1/responses", {"model": "m", "input": "count: 30", "stream": True}, "", b"event: error\n"),
        ("/v1/messages", STREAM | {"max_tokens": 99}, "anthropic-version: 2026-10-21\r\n", b"event: error\n"),
        ("/api/chat", STREAM, "", b'{"error":"server busy'),
        ("/v2/chat", STREAM, "", b'"finish_reason":"ERROR"'),
        (
            "/v1beta/models/g:streamGenerateContent?alt=sse",
            {"contents": [{"parts": [{"text": "count: 30"}]}]},
            "",
            b'data: {"error":{"code":503',
        ),
    ],
)
def test_error_events(
    sim: SimulatorThread, raw: Connect, path: str, body: Any, headers: str, mark: bytes
) -> None:
    sim.set_script({"rules": [{"error_after_events": 2, "error": "overloaded"}]})
    one = raw()
    one.ask(body, path, headers)
    data = one.until(b"0\r\n\r\n")
    assert b"word2" in data.partition(mark)[0]
    assert mark in data
    assert b"word3" not in data


def test_what_can_be_left_out(sim: SimulatorThread, raw: Connect) -> None:
    data = broken(
        sim, raw, STREAM | {"stream_options": {"include_usage": True}}, drop=["done", "usage"]
    ).until(b"0\r\n\r\n")
    assert b"[DONE]" not in data
    assert b'"finish_reason":"stop"' in data
    assert b"prompt_tokens" not in data
    data = broken(sim, raw, drop=["finish", "done"]).until(b"0\r\n\r\n")
    assert b'"finish_reason":"stop"' not in data


def test_odd_framing(sim: SimulatorThread, http: httpx.Client) -> None:
    def body(asked: Any = STREAM, **fault: Any) -> bytes:
        sim.set_script({"rules": [fault]})
        return http.post(f"{sim.url}/v1/chat/completions", json=asked).content

    usual = body(split=100_000)
    assert body(newline="crlf") == usual.replace(b"\n", b"\r\n")
    assert body(newline="cr") == usual.replace(b"\n", b"\r")
    assert body(bom=True) == b"\xef\xbb\xbf" + usual
    assert body(comments=3) == b": keep-alive\n\n" * 3 + usual
    assert body(trailing="data: [DONE]\n\n") == usual + b"data: [DONE]\n\n"
    assert b'"prompt_tokens":NaN' in body(chat(), replace=[['"prompt_tokens":8', '"prompt_tokens":NaN']])


def test_comments_for_ever(sim: SimulatorThread, raw: Connect) -> None:
    one = broken(sim, raw, comment_every_s=0.01)
    for _ in range(3):
        assert one.until(b": keep-alive\n\n")
    assert sim.last.sent_tokens == 0


def test_single_bytes(sim: SimulatorThread, raw: Connect) -> None:
    data = broken(sim, raw, chat("say: \u00e9\u4e2d", stream=True), split=1).until(b"0\r\n\r\n")
    assert "\u00e9\u4e2d".encode() in data


# ------------------------------------------------------------------------------------------------ HTTP


def test_broken_http(sim: SimulatorThread, raw: Connect) -> None:
    head, _, body = broken(sim, raw, chat(), content_length_off=10).all().partition(b"\r\n\r\n")
    assert int(re.findall(rb"content-length: (\d+)", head)[0]) == len(body) + 10
    assert not broken(sim, raw, chunks="no-final").all().endswith(b"0\r\n\r\n")
    assert b"zz\r\n" in broken(sim, raw, chunks="bad-size").until(b"0\r\n\r\n")
    both = broken(sim, raw, chunks="both-lengths").until(b"\r\n\r\n")
    assert b"content-length" in both
    assert b"transfer-encoding" in both
    early = broken(sim, raw, informational=[100, 103]).until(b"200 OK")
    assert early.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103")
    assert broken(sim, raw, extra_headers=500).until(b"\r\n\r\n").count(b"x-filler") == 500
    assert len(broken(sim, raw, header_kb=100).until(b"\r\n\r\n")) > 100_000
    assert b"\x00" in broken(sim, raw, bad_header=True).until(b"\r\n\r\n")


def test_compressed_bodies(sim: SimulatorThread, http: httpx.Client) -> None:
    url = f"{sim.url}/v1/chat/completions"
    for body in (chat(), chat(stream=True)):
        sim.set_script({"rules": [{"encoding": "gzip"}]})
        answer = http.post(url, json=body)
        assert answer.headers["content-encoding"] == "gzip"
        assert "one" in answer.text
        sim.set_script({"rules": [{"encoding": "gzip-garbage"}]})
        with pytest.raises(httpx.DecodingError):
            http.post(url, json=body)


def test_the_bomb_is_small_until_it_is_opened() -> None:
    bomb = gzip_bomb(1000)
    assert len(bomb) < 3_000_000
    opened = zlib.decompressobj(31)
    assert len(opened.decompress(bomb, 50_000_000)) == 50_000_000


def test_endless_bodies_stop_when_the_client_leaves(sim: SimulatorThread, raw: Connect) -> None:
    one = broken(sim, raw, flood=True)
    read = 0
    while read < 3_000_000:
        read += len(one.socket.recv(65_536))
    one.close()
    assert eventually(lambda: sim.counters.left == 1)
    one = broken(sim, raw, long_line_mb=2)
    assert len(one.until(b"[DONE]")) > 2_000_000


# ------------------------------------------------------------------------------------- by model name


@pytest.mark.parametrize("name", [name for name, _ in fault_names()])
def test_every_name_in_the_table_is_known(name: str) -> None:
    named = fault_of(re.sub(r"<\w+>", "400", name))
    assert named is not None
    assert named.fault != Fault()


def test_names_count_for_themselves(sim: SimulatorThread, http: httpx.Client) -> None:
    def status(model: str) -> int:
        return http.post(f"{sim.url}/v1/chat/completions", json=chat() | {"model": model}).status_code

    assert [status("once-fail-500") for _ in range(3)] == [500, 200, 200]
    assert status("vendor/fail-429-2") == 429
    assert status("context-400") == 400
    assert status("fail-999") == 200
    flaky = [status("flaky-50") for _ in range(60)]
    assert 10 < flaky.count(500) < 50


def test_no_such_fault() -> None:
    assert fault_of("gpt-4o-mini") is None
    assert fault_of("once-gpt") is None
    assert fault_of(None) is None


# ------------------------------------------------------------------------------------------- the script


def test_conditions(sim: SimulatorThread, http: httpx.Client) -> None:
    def statuses(rule: dict[str, Any], count: int = 6) -> list[int]:
        sim.set_script({"rules": [{"status": 500, **rule}]})
        return [http.post(f"{sim.url}/v1/chat/completions", json=chat()).status_code for _ in range(count)]

    assert statuses({"first": 2}) == [500, 500, 200, 200, 200, 200]
    assert statuses({"after": 4}) == [200, 200, 200, 200, 500, 500]
    assert statuses({"every": 3}) == [200, 200, 500, 200, 200, 500]
    assert statuses({"until_s": 0.0}) == [200] * 6
    assert statuses({"from_s": 60.0}) == [200] * 6
    assert (
        statuses({"model": "m*", "path": "*/completions", "dialect": "openai", "stream": False}) == [500] * 6
    )
    for other in (
        {"model": "x"},
        {"path": "/v2/*"},
        {"dialect": "cohere"},
        {"stream": True},
        {"place": "groq"},
    ):
        assert statuses(other) == [200] * 6
    assert statuses({"rate": 0.5}, 40) == statuses({"rate": 0.5}, 40)
    assert 5 < statuses({"rate": 0.5}, 40).count(500) < 35


def test_a_rule_for_one_place(sim: SimulatorThread, http: httpx.Client) -> None:
    sim.set_script({"rules": [{"place": "groq", "status": 503}]})
    asked = {
        kind: http.post(f"{sim.base_url(kind)}/chat/completions", json=chat()) for kind in ("groq", "openai")
    }
    assert {kind: answer.status_code for kind, answer in asked.items()} == {"groq": 503, "openai": 200}


def test_the_first_rule_that_is_due_decides(sim: SimulatorThread, http: httpx.Client) -> None:
    sim.set_script("[[rules]]\nfirst = 1\nstatus = 500\n[[rules]]\nfirst = 1\nstatus = 503\n")
    asked = [http.post(f"{sim.url}/v1/chat/completions", json=chat()).status_code for _ in range(3)]
    assert asked == [500, 503, 200]


def test_real_limits_say_when_to_come_back(sim: SimulatorThread, http: httpx.Client) -> None:
    sim.set_script({"limits": {"requests": 2, "window_s": 1}})
    asked = [http.post(f"{sim.base_url('openai')}/chat/completions", json=chat()) for _ in range(3)]
    assert [answer.status_code for answer in asked] == [200, 200, 429]
    assert [answer.headers["x-ratelimit-remaining-requests"] for answer in asked] == ["1", "0", "0"]
    wait = float(asked[2].headers["retry-after"])
    assert 0 < wait <= 0.5
    time.sleep(wait)
    assert http.post(f"{sim.base_url('openai')}/chat/completions", json=chat()).status_code == 200


def test_limits_of_tokens(sim: SimulatorThread, http: httpx.Client) -> None:
    sim.set_script({"limits": {"tokens": 30, "window_s": 0.5}})
    asked = [
        http.post(f"{sim.base_url('openai')}/chat/completions", json=chat("count: 20")) for _ in range(2)
    ]
    assert [answer.status_code for answer in asked] == [200, 429]
    assert asked[0].headers["x-ratelimit-remaining-tokens"] == str(30 - sim.requests[0].counts.input - 20)
    time.sleep(float(asked[1].headers["retry-after"]))
    assert http.post(f"{sim.base_url('openai')}/chat/completions", json=chat("count: 20")).status_code == 200


def test_half_a_body_that_is_whole_as_http(sim: SimulatorThread, http: httpx.Client) -> None:
    answer = http.post(f"{sim.url}/v1/chat/completions", json=chat() | {"model": "truncated-json"})
    assert answer.status_code == 200
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        answer.json()
    assert http.post(f"{sim.url}/v1/chat/completions", json=chat() | {"model": "fail-204"}).content == b""


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        ({"rules": [{"statuss": 1}]}, 'rules[0].statuss: unknown key; did you mean "status"?'),
        ({"rules": [{"status": 99}]}, "rules[0].status: must be from 200 to 599"),
        ({"rules": [{"status": True}]}, "rules[0].status: must be an integer, 0 or more"),
        ({"rules": [{"rate": 2, "reset": True}]}, "rules[0].rate: must be from 0 to 1"),
        ({"rules": [{"every": 0, "reset": True}]}, "rules[0].every: must be more than 0"),
        ({"rules": [{"delay_s": -1}]}, "rules[0].delay_s: must be a number, 0 or more"),
        ({"rules": [{"reset": "yes"}]}, "rules[0].reset: must be true or false"),
        ({"rules": [{"drop": ["all"]}]}, "rules[0].drop: must be of done, finish, usage"),
        ({"rules": [{"drop": "done"}]}, "rules[0].drop: must be a list of strings"),
        ({"rules": [{"error": "bad"}]}, "rules[0].error: must be of invalid, auth, "),
        ({"rules": [{"headers": {"a": 1}}]}, "rules[0].headers: must be a table of strings"),
        ({"rules": [{"replace": [["a"]]}]}, "rules[0].replace: must be a list of pairs of strings"),
        ({"rules": [{"informational": [200]}]}, "rules[0].informational: must be a list of statuses"),
        ({"rules": [{"content_length_off": 1.5}]}, "rules[0].content_length_off: must be an integer"),
        ({"rules": [{"body": 1}]}, "rules[0].body: must be a string"),
        ({"rules": [{"first": 1}]}, "rules[0]: says when, but not what shall happen"),
        ({"rules": [3]}, "rules[0]: must be a table"),
        ({"rules": 3}, "rules: must be a list of tables"),
        ({"limits": 3}, "limits: must be a table"),
        ({"limits": {"requests": 0}}, "limits: requests or tokens, and window_s, must be more than 0"),
        ({"seed": "x"}, "seed: must be an integer"),
        ({"rule": []}, 'rule: unknown key; did you mean "rules"?'),
        ("[[rules", "the script is not TOML"),
    ],
)
def test_a_wrong_script_is_explained(script: Any, complaint: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Script.of(script)
    assert caught.value.complaints[0].startswith(complaint)


def test_all_complaints_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Script.of({"rules": [{"statuss": 1, "rate": 7}, {"delay_s": "x"}], "limit": {}})
    assert len(caught.value.complaints) == 4


def test_a_script_from_values() -> None:
    script = Script((Rule(Fault(status=503), first=1),))
    assert Script.of(script) is script
    assert Script.of({"rules": [{"status": 503, "first": 1}]}) == script
