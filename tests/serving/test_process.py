"""`llmcore serve` as people start it: the first start, the second, several workers, signals, what it refuses."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from llmcore.sim.server import Simulator
from llmcore.sim.thread import SimulatorThread

CLI = (sys.executable, "-m", "llmcore.cli")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def config(path: Path, url: str, more: str = "") -> Path:
    file = path / "config.toml"
    file.write_text(
        f'[[llm.providers]]\nname = "a"\nprovider = "openai"\nbase_url = "{url}/openai/v1"\napi_key = "sk-sim"\n'
        f'text_model = "gpt-4o-mini"\n[gateway]\n{more}'
    )
    return file


@contextmanager
def served(path: Path, file: Path, *more: str) -> Iterator[tuple[str, list[str], subprocess.Popen[str]]]:
    """The address, the lines that were shown, the process."""
    port = free_port()
    command = [*CLI, "serve", "-c", str(file), "--port", str(port), "--data-dir", str(path / "data"), *more]
    log = (path / f"log-{port}").open("w+")
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=log, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            if process.poll() is not None:
                pytest.fail((path / f"log-{port}").read_text())
            try:
                if httpx.get(f"{address}/readyz", timeout=1).status_code == 200:
                    break
            except httpx.HTTPError:
                time.sleep(0.1)
        os.set_blocking(process.stdout.fileno(), False)  # type: ignore[union-attr]
        shown = (process.stdout.read() or "").splitlines()  # type: ignore[union-attr]
        yield address, shown, process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(20)
        process.stdout.close()  # type: ignore[union-attr]
        log.close()


def ask(address: str, key: str, **more: Any) -> httpx.Response:
    body = {"messages": [{"role": "user", "content": "hi"}], **more}
    return httpx.post(f"{address}/v1/chat/completions", json=body, headers={"x-api-key": key}, timeout=20)


def key_in(shown: list[str]) -> str:
    return next(re.findall(r"llmc-\S+", line)[0] for line in shown if "API key" in line)


@pytest.fixture
def sim() -> Iterator[str]:
    with SimulatorThread(Simulator()) as server:
        yield server.url


def test_the_first_start_shows_a_link_and_a_key_the_second_no_key(tmp_path: Path, sim: str) -> None:
    file = config(tmp_path, sim)
    with served(tmp_path, file) as (address, shown, process):
        key = key_in(shown)
        link = next(line for line in shown if "Sign in" in line).split()[-1]
        assert link.startswith(f"{address}/sign-in#token=")
        assert ask(address, key).status_code == 200
        token = link.partition("#token=")[2]
        assert httpx.post(f"{address}/api/sign-in", json={"token": token}).status_code == 200
        assert httpx.post(f"{address}/api/sign-in", json={"token": token}).status_code == 401
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    with served(tmp_path, file) as (address, shown, _):
        assert not any("API key" in line for line in shown)
        assert ask(address, key).status_code == 200
        usage = httpx.get(f"{address}/api/usage", headers={"x-api-key": key}).json()
        assert usage["groups"][0]["calls"] >= 1  # written when it was told to stop
    for name in ("gateway.db", "master.key"):
        assert (tmp_path / "data" / name).stat().st_mode & 0o077 == 0


def test_a_running_answer_is_not_cut_when_it_is_told_to_stop(tmp_path: Path) -> None:
    with (
        SimulatorThread(Simulator(first_token_delay=1.5)) as slow,
        served(tmp_path, config(tmp_path, slow.url)) as (
            address,
            shown,
            process,
        ),
    ):
        key = key_in(shown)
        with httpx.stream(
            "POST",
            f"{address}/v1/chat/completions",
            json={"messages": [{"role": "user", "content": "hi"}], "stream": True},
            headers={"x-api-key": key},
            timeout=20,
        ) as reply:
            process.send_signal(signal.SIGTERM)
            text = "".join(reply.iter_text())
        assert text.endswith("data: [DONE]\n\n")
        assert process.wait(20) == 0


def children_of(pid: int) -> list[int]:
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=True
    )
    return [int(child) for child in listed.stdout.split()]


def runs(pid: int) -> bool:
    told = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return bool(told.stdout.strip()) and not told.stdout.startswith("Z")


def test_workers_end_with_their_parent_even_where_it_is_killed(tmp_path: Path, sim: str) -> None:
    file = config(tmp_path, sim)
    with served(tmp_path, file, "--workers", "2") as (address, shown, process):
        assert ask(address, key_in(shown)).status_code == 200
        children = children_of(process.pid)
        assert len(children) == 2
        process.kill()
        process.wait()
        for _ in range(200):
            if not any(map(runs, children)):
                break
            time.sleep(0.1)
        assert not any(map(runs, children))


def test_several_workers_and_one_that_dies(tmp_path: Path, sim: str) -> None:
    with served(tmp_path, config(tmp_path, sim), "--workers", "2") as (address, shown, process):
        key = key_in(shown)
        assert {ask(address, key).status_code for _ in range(10)} == {200}
        children = children_of(process.pid)
        assert len(children) == 2
        os.kill(children[0], signal.SIGKILL)
        good = 0
        for _ in range(100):
            try:
                good += ask(address, key).status_code == 200
            except httpx.TransportError:
                time.sleep(0.1)
        assert good >= 90
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_a_public_address_without_any_user_is_refused(tmp_path: Path, sim: str) -> None:
    file = config(tmp_path, sim)
    command = [
        *CLI,
        "serve",
        "-c",
        str(file),
        "--host",
        "0.0.0.0",
        "--port",
        "0",
        "--data-dir",
        str(tmp_path),
    ]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode == 2
    assert "no user yet" in refused.stderr
    made = subprocess.run(
        [*CLI, "keys", "create", "first", "--data-dir", str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert made.stdout.startswith("llmc-")


def test_a_database_that_cannot_be_used_is_one_line(tmp_path: Path, sim: str) -> None:
    (tmp_path / "gateway.db").write_text("this is no database, and long enough to be looked at as one" * 20)
    file = config(tmp_path, sim)
    command = [*CLI, "serve", "-c", str(file), "--port", "0", "--data-dir", str(tmp_path)]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode == 2
    assert len(refused.stderr.strip().splitlines()) == 1
    assert "Traceback" not in refused.stderr


def test_rotation_while_it_serves(tmp_path: Path, sim: str) -> None:
    with served(tmp_path, config(tmp_path, sim)) as (address, shown, _):
        headers = {"x-api-key": key_in(shown)}
        body = {"provider": "openai", "api_key": "sk-sim-own-key-1234"}
        assert httpx.put(f"{address}/api/settings/llm", json=body, headers=headers).status_code == 200
        for more in ((), ("--drop-old",)):
            command = [*CLI, "keys", "rotate", "--data-dir", str(tmp_path / "data"), *more]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            assert done.returncode == 0, done.stderr
        shown_again = httpx.get(f"{address}/api/settings/llm", headers=headers).json()
        assert shown_again["api_key_last4"] == "1234"
        tested = httpx.post(f"{address}/api/settings/llm/test", json={}, headers=headers, timeout=20).json()
        assert "altered" not in json.dumps(tested)
        assert ask(address, headers["x-api-key"], model="a/gpt-4o-mini").status_code == 200


def test_a_broken_table_is_told_whole(tmp_path: Path, sim: str) -> None:
    file = config(tmp_path, sim, 'prot = 80\nhost = 7\nlog_level = "loud"\n[gateway.limits]\nbody = "big"\n')
    refused = subprocess.run(
        [*CLI, "serve", "-c", str(file), "--data-dir", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert refused.returncode == 2
    for place in (
        "gateway.prot",
        "did you mean 'port'",
        "gateway.host",
        "gateway.log_level",
        "gateway.limits.body",
    ):
        assert place in refused.stderr


def test_lines_of_the_manager_name_the_request(tmp_path: Path, sim: str) -> None:
    with served(tmp_path, config(tmp_path, sim)) as (address, shown, _):
        headers = {"x-api-key": key_in(shown), "x-request-id": "mine-1"}
        body = {"model": "fail-503", "messages": [{"role": "user", "content": "hi"}]}
        reply = httpx.post(f"{address}/v1/chat/completions", json=body, headers=headers, timeout=20)
        assert reply.status_code == 503
        (log,) = tmp_path.glob("log-*")
        lines = [json.loads(line) for line in log.read_text().splitlines()]
    told = {line["event"]: line.get("request_id") for line in lines if line["event"].startswith("llm.")}
    assert told == {"llm.retry": "mine-1", "llm.failed": "mine-1"}
