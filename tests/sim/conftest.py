"""One simulator in a thread for all tests of this folder, and a raw client that sees every byte."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from llmcore.sim import Simulator, SimulatorThread


@pytest.fixture(scope="session")
def running() -> Iterator[SimulatorThread]:
    with SimulatorThread(Simulator()) as sim:
        yield sim


@pytest.fixture
def sim(running: SimulatorThread) -> SimulatorThread:
    running.set_script(None)
    running.reset()
    return running


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=10) as client:
        yield client


class Raw:
    """A socket to the simulator."""

    def __init__(self, sim: SimulatorThread) -> None:
        host, port = sim.url.removeprefix("http://").split(":")
        self.host = f"{host}:{port}"
        self.socket = socket.create_connection((host, int(port)), timeout=5)

    def ask(self, body: Any, path: str = "/v1/chat/completions", more: str = "") -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nhost: {self.host}\r\ncontent-length: {len(data)}\r\n{more}\r\n"
        self.socket.sendall(head.encode() + data)

    def until(self, mark: bytes) -> bytes:
        """Everything up to and with `mark`; less where the connection ends before."""
        data = b""
        while mark not in data:
            piece = self.socket.recv(65_536)
            if not piece:
                break
            data += piece
        return data

    def all(self) -> bytes:
        """Everything until the connection is closed."""
        data = b""
        while piece := self.socket.recv(65_536):
            data += piece
        return data

    def silent(self, seconds: float = 0.05) -> bool:
        """Whether nothing comes for so long."""
        self.socket.settimeout(seconds)
        try:
            return self.socket.recv(1, socket.MSG_PEEK) is None
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(5)

    def close(self) -> None:
        self.socket.close()


@pytest.fixture
def raw(sim: SimulatorThread) -> Iterator[Callable[[], Raw]]:
    opened: list[Raw] = []

    def connect() -> Raw:
        opened.append(Raw(sim))
        return opened[-1]

    yield connect
    for one in opened:
        one.close()


def chat(prompt: str = "say: one two three", **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": prompt}], **more}


def eventually(condition: Callable[[], bool]) -> bool:
    """Whether it becomes true; the simulator runs in another thread."""
    for _ in range(500):
        if condition():
            return True
        time.sleep(0.01)
    return False
